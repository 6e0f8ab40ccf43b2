//! Links to an agent and its log: pages of the AWS console, and a stream of CloudWatch Logs.

use serde_json::{Map, Value};

use crate::build::Attempt;
use crate::executor::{Executor, LogStream};
use crate::ids::AgentId;
use crate::spec::BuildSpec;

/// The log of an attempt's agent; `None` if it has no agent, or if the agent template does not name its log group.
#[must_use]
pub fn log_of(spec: &BuildSpec, attempt: &Attempt) -> Option<LogStream> {
    let kind = spec.executor.kind();
    let pages = kind.pages(attempt.agent.as_ref()?)?;
    Some(LogStream::of(kind.logs()?, &pages.id))
}

/// The console pages of an attempt's agent, as pairs of a name, `agent` or `logs`, and a link. There are none without an agent.
///
/// `logs` is the agent's stream in CloudWatch Logs, or a page of the executor's service if the agent template does not name its log group.
#[must_use]
pub fn links(spec: &BuildSpec, attempt: &Attempt) -> Vec<(&'static str, String)> {
    attempt
        .agent
        .as_ref()
        .map(|agent| of_agent(agent, &spec.executor))
        .unwrap_or_default()
}

fn of_agent(agent: &AgentId, executor: &Executor) -> Vec<(&'static str, String)> {
    let kind = executor.kind();
    let Some(pages) = kind.pages(agent) else {
        return Vec::new();
    };
    let stream = kind.logs().map(|logs| pages.stream(&LogStream::of(logs, &pages.id)));
    vec![("agent", pages.agent), ("logs", stream.unwrap_or(pages.log))]
}

/// Links as members of a JSON object.
pub(crate) fn object(links: &[(&'static str, String)]) -> Map<String, Value> {
    links
        .iter()
        .map(|(name, link)| ((*name).to_owned(), Value::String(link.clone())))
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::executor::{CodeBuildExecutor, Logs};

    fn codebuild(logs: Option<Logs>) -> Executor {
        Executor::CodeBuild(CodeBuildExecutor {
            project: "ci-docker".to_owned(),
            logs,
        })
    }

    #[test]
    fn the_log_is_a_page_of_the_service_or_the_stream_that_the_template_names() {
        let agent: AgentId = "arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:0f1e-2d3c"
            .parse()
            .unwrap();
        let unnamed = codebuild(None);
        let pages = unnamed.kind().pages(&agent).unwrap();
        let expected = vec![("agent", pages.agent.clone()), ("logs", pages.log.clone())];
        assert_eq!(of_agent(&agent, &unnamed), expected);
        let logs = Logs::of_project("builds".to_owned(), None);
        let stream = pages.stream(&LogStream::of(&logs, "0f1e-2d3c"));
        assert_eq!(of_agent(&agent, &codebuild(Some(logs))), [("agent", pages.agent), ("logs", stream)]);
    }

    #[test]
    fn an_agent_of_another_service_has_no_links() {
        let agent = "arn:aws:batch:us-east-1:123456789012:job/0a1b".parse().unwrap();
        let logs = Logs::of_project("g".to_owned(), None);
        assert_eq!(of_agent(&agent, &codebuild(Some(logs))), []);
    }

    #[test]
    fn links_are_members_of_an_object() {
        let links = [("agent", "https://a".to_owned()), ("logs", "https://b".to_owned())];
        let object = Value::Object(object(&links));
        assert_eq!(object, serde_json::json!({ "agent": "https://a", "logs": "https://b" }));
    }
}
