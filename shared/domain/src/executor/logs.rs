//! The logs of agents in CloudWatch Logs.

use serde::{Deserialize, Serialize};

/// The log group of a template's agents in CloudWatch Logs. Each agent has a separate stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// The log group.
    pub group: String,
    /// The beginning of the names of the agents' streams, before the id of the task or build.
    pub stream_start: String,
}

impl Logs {
    /// The logs of a task's container: a stream is named `prefix-name/container-name/ecs-task-id`
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_LogConfiguration.html>, `awslogs-stream-prefix`).
    #[must_use]
    pub fn of_container(group: String, prefix: &str, container: &str) -> Self {
        Self {
            group,
            stream_start: format!("{prefix}/{container}/"),
        }
    }

    /// The logs of a CodeBuild project: a stream is named after the build's UUID, preceded by the project's stream name, if it has one, and a slash
    /// (<https://docs.aws.amazon.com/codebuild/latest/userguide/sandbox.html>, whose project has the stream name `stream`, and logs to
    /// `stream/0103e0e7-…`).
    #[must_use]
    pub fn of_project(group: String, prefix: Option<&str>) -> Self {
        Self {
            group,
            stream_start: prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default(),
        }
    }
}

/// The log of one agent in CloudWatch Logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogStream {
    /// Its group.
    pub group: String,
    /// Its name in the group.
    pub stream: String,
}

impl LogStream {
    /// The stream of the agent with this id: that of its task or build.
    #[must_use]
    pub fn of(logs: &Logs, id: &str) -> Self {
        Self {
            group: logs.group.clone(),
            stream: format!("{}{id}", logs.stream_start),
        }
    }
}
