//! The definition of a build, frozen when its run is created, so that no later step has to read a file or a configuration again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Capacity;
use crate::ids::{AgentName, BuildId, CommitId, JobName, Reference, RepositoryName};

/// The constant data of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// The build.
    pub id: BuildId,
    /// The repository to check out.
    pub repository: RepositoryName,
    /// The branch or tag that was pushed.
    pub reference: Reference,
    /// The commit to check out.
    pub commit: CommitId,
    /// The name of the agent template, for people.
    pub agent: AgentName,
    /// How an agent is launched from the template.
    pub executor: Executor,
    /// The agent's script.
    pub script: Script,
    /// Variables of the job.
    pub environment: BTreeMap<String, String>,
    /// Never on Spot.
    pub critical: bool,
    /// How long one attempt may run before it is stopped.
    #[serde(with = "crate::serde_duration")]
    pub timeout: Duration,
    /// How long the build may wait for an agent.
    #[serde(with = "crate::serde_duration")]
    pub queue_timeout: Duration,
    /// When the replacement of an interrupted attempt starts.
    pub relaunch: Relaunch,
    /// Which ends of an attempt are retried.
    pub retry: RetryPolicy,
    /// Jobs of the same run that must succeed first.
    pub needs: Vec<JobName>,
    /// Whether a success is reported.
    pub successes: Successes,
    /// The files of the checkout to store: globs relative to the checkout.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// The most builds of the agent template at the same time; `None` for no limit.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Whether an alarm can pause launches: then Bellhop checks for a pause before each launch.
    #[serde(default)]
    pub pausable: bool,
}

/// The service that runs the agents of a template, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Executor {
    /// A task of Amazon ECS on Fargate.
    Ecs(EcsExecutor),
    /// A build of AWS CodeBuild.
    #[serde(rename = "codebuild")]
    CodeBuild(CodeBuildExecutor),
}

impl Executor {
    /// Whether the service offers this capacity.
    #[must_use]
    pub fn offers(&self, capacity: Capacity) -> bool {
        match (self, capacity) {
            (Self::Ecs(ecs), Capacity::Spot) => ecs.offers_spot(),
            (Self::Ecs(_), Capacity::OnDemand) | (Self::CodeBuild(_), Capacity::CodeBuild) => true,
            (Self::Ecs(_), Capacity::CodeBuild) | (Self::CodeBuild(_), Capacity::Spot | Capacity::OnDemand) => false,
        }
    }

    /// The capacity to use for a wanted one: the wanted one if the template has it, otherwise the one that every job may use.
    #[must_use]
    pub fn nearest(&self, wanted: Capacity) -> Capacity {
        match self {
            _ if self.offers(wanted) => wanted,
            Self::Ecs(_) => Capacity::OnDemand,
            Self::CodeBuild(_) => Capacity::CodeBuild,
        }
    }

    /// Where its agents log, if the template says.
    #[must_use]
    pub fn logs(&self) -> Option<&Logs> {
        match self {
            Self::Ecs(ecs) => ecs.logs.as_ref(),
            Self::CodeBuild(codebuild) => codebuild.logs.as_ref(),
        }
    }
}

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

/// An agent template on CodeBuild: parameters of `StartBuild`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeBuildExecutor {
    /// The project. It defines image, machine and role; the job defines source and buildspec.
    pub project: String,
    /// Where its builds log, if the template says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
}

/// An agent template on ECS: parameters of `RunTask`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcsExecutor {
    /// The cluster for Spot, if the template allows Spot.
    pub spot_cluster: Option<String>,
    /// The cluster for on-demand capacity; the same as for Spot if one cluster has both providers.
    pub on_demand_cluster: String,
    /// `family` or `family:revision`.
    pub task_definition: String,
    /// The container whose command and environment are overridden, and whose exit code counts.
    pub container: String,
    /// Subnets of the task's network interface.
    pub subnets: Vec<String>,
    /// Security groups of the task's network interface.
    pub security_groups: Vec<String>,
    /// Whether the task gets a public address.
    pub assign_public_ip: bool,
    /// Capacity providers of the cluster, such as groups of EC2 instances; `None` for Fargate.
    #[serde(default)]
    pub providers: Option<Providers>,
    /// Where the container logs, if the template says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
}

/// Capacity providers that replace Fargate's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Providers {
    /// For Spot, if the template allows it.
    pub spot: Option<String>,
    /// For on-demand capacity.
    pub on_demand: String,
}

impl EcsExecutor {
    /// Whether the template offers Spot.
    #[must_use]
    pub fn offers_spot(&self) -> bool {
        self.spot_cluster.is_some() && self.providers.as_ref().is_none_or(|providers| providers.spot.is_some())
    }

    /// The capacity provider to request; `None` for the launch type Fargate, which needs no provider attached to the cluster.
    #[must_use]
    pub fn provider(&self, capacity: Capacity) -> Option<&str> {
        match (&self.providers, capacity) {
            (None, Capacity::Spot) => Some("FARGATE_SPOT"),
            (None, _) => None,
            (Some(Providers { spot: Some(spot), .. }), Capacity::Spot) => Some(spot),
            (Some(providers), _) => Some(&providers.on_demand),
        }
    }

    /// The cluster for a capacity; the on-demand one if Spot is not offered.
    #[must_use]
    pub fn cluster(&self, capacity: Capacity) -> &str {
        match (capacity, &self.spot_cluster) {
            (Capacity::Spot, Some(cluster)) => cluster,
            _ => &self.on_demand_cluster,
        }
    }
}

/// A job's script, and how it reaches the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// In the agent's environment.
    Inline(String),
    /// In the suite's bucket under this key, because it is too large for the overrides of a task.
    Stored(String),
    /// The buildspec at this path of the repository, instead of a script; only on CodeBuild.
    Buildspec(String),
}

/// When the replacement of an interrupted attempt starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relaunch {
    /// At the warning, in parallel with the interrupted attempt, which has up to two minutes left.
    #[default]
    Warning,
    /// When the interrupted attempt is proven stopped: for jobs with side effects that must not overlap.
    Stopped,
}

/// Which successes are reported; everything else always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Successes {
    /// Every success.
    All,
    /// The first after another outcome on the same branch or tag.
    #[default]
    Changes,
    /// No success.
    None,
}

/// An ordered list of rules; the first that matches applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The rules, in the file's order; empty for `retry: never`.
    pub rules: Vec<RetryRule>,
}

impl Default for RetryPolicy {
    /// The default policy. `interrupted`: twice, on on-demand capacity. `infrastructure`: twice, after 30 seconds and longer.
    fn default() -> Self {
        Self {
            rules: vec![
                RetryRule {
                    on: vec![RetryOn::Interrupted],
                    exit_codes: Vec::new(),
                    limit: 2,
                    backoff: Duration::ZERO,
                    capacity: Some(Capacity::OnDemand),
                },
                RetryRule {
                    on: vec![RetryOn::Infrastructure],
                    exit_codes: Vec::new(),
                    limit: 2,
                    backoff: Duration::from_secs(30),
                    capacity: None,
                },
            ],
        }
    }
}

impl RetryPolicy {
    /// The policy of `retry: never`.
    #[must_use]
    pub fn never() -> Self {
        Self { rules: Vec::new() }
    }
}

/// One rule of a retry policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRule {
    /// The ends of an attempt that it matches.
    pub on: Vec<RetryOn>,
    /// Exit codes of the script that it also matches.
    pub exit_codes: Vec<i32>,
    /// The most retries under this rule.
    pub limit: u32,
    /// The wait before the first retry under this rule; it doubles with each further one.
    #[serde(with = "crate::serde_duration")]
    pub backoff: Duration,
    /// The next attempt's capacity. By default the last attempt's, and on-demand after an interruption.
    pub capacity: Option<Capacity>,
}

/// An end of an attempt that a rule can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// The agent was interrupted (Spot).
    Interrupted,
    /// The agent never started, or was lost, through no fault of the job.
    Infrastructure,
    /// The job's own commands failed.
    Failure,
    /// The attempt ran longer than the job's `timeout`.
    Timeout,
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::testing::spec;

    #[test]
    fn each_capacity_has_its_cluster_and_spot_may_be_missing() {
        let Executor::Ecs(mut ecs) = spec().executor else {
            panic!("the tests' builds run on ECS")
        };
        assert_eq!(
            (ecs.cluster(Capacity::Spot), ecs.cluster(Capacity::OnDemand)),
            ("ci-spot", "ci-main")
        );
        ecs.spot_cluster = None;
        assert_eq!(ecs.cluster(Capacity::Spot), "ci-main");
    }
}
