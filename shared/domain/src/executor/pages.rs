//! The pages of an agent in the AWS console.

use super::LogStream;
use crate::console::{console, percent_encoded};
use crate::ids::AgentId;

/// The pages of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    /// The page of the agent.
    pub agent: String,
    /// The page of its log, for a template that does not name its log group.
    pub log: String,
    /// The id of the task or build, as its log stream's name ends with it.
    pub id: String,
    /// The region.
    pub region: String,
    /// The base URL of the region's console.
    pub console: String,
}

impl Pages {
    /// The page of a log stream in the console of CloudWatch Logs, in the form of CodeBuild's `deepLink`
    /// (<https://docs.aws.amazon.com/codebuild/latest/userguide/sandbox.html>): names are percent-encoded twice, and each `%` of the result is a `$`,
    /// so `/` becomes `$252F`.
    #[must_use]
    pub fn stream(&self, log: &LogStream) -> String {
        let name = |text: &str| percent_encoded(&percent_encoded(text)).replace('%', "$");
        let Self { console, region, .. } = self;
        let (group, stream) = (name(&log.group), name(&log.stream));
        format!("{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}/log-events/{stream}")
    }
}

/// The parts of the ARN of an agent.
pub(super) struct ResourceName<'a> {
    partition: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    /// All that follows the account.
    pub(super) resource: &'a str,
}

impl<'a> ResourceName<'a> {
    /// The ARN of an agent of this service; `None` if its id is something else.
    pub(super) fn of(agent: &'a AgentId, service: &str) -> Option<Self> {
        let mut parts = agent.as_str().splitn(6, ':');
        let (_, partition, of) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        (of == service).then_some(Self {
            partition,
            region,
            account,
            resource,
        })
    }
}

/// The base URL of the console of a region.
pub(super) fn console_of(name: &ResourceName<'_>) -> String {
    format!("https://{}.{}", name.region, console(name.partition))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::super::{CodeBuildExecutor, Executor, Logs};
    use super::*;
    use crate::testing::spec;

    fn codebuild() -> Executor {
        Executor::CodeBuild(CodeBuildExecutor {
            project: "ci-docker".to_owned(),
            logs: None,
        })
    }

    fn stream(executor: &Executor, agent: &str, logs: &Logs) -> String {
        let pages = executor.kind().pages(&agent.parse().unwrap()).unwrap();
        pages.stream(&LogStream::of(logs, &pages.id))
    }

    #[test]
    fn a_task_leads_to_its_pages_in_its_partition() {
        let pages = |arn: &str| spec().executor.kind().pages(&arn.parse().unwrap()).unwrap();
        let china = pages("arn:aws-cn:ecs:cn-north-1:123456789012:task/ci/0a1b");
        assert_eq!(
            [china.agent, china.log],
            [
                "https://cn-north-1.console.amazonaws.cn/ecs/v2/clusters/ci/tasks/0a1b/configuration?region=cn-north-1",
                "https://cn-north-1.console.amazonaws.cn/ecs/v2/clusters/ci/tasks/0a1b/logs?region=cn-north-1",
            ]
        );
        assert_eq!(
            pages("arn:aws-us-gov:ecs:us-gov-west-1:123456789012:task/ci/0a1b").agent,
            "https://us-gov-west-1.console.amazonaws-us-gov.com/ecs/v2/clusters/ci/tasks/0a1b/configuration?region=us-gov-west-1"
        );
    }

    #[test]
    fn a_build_leads_to_its_pages_in_its_partition() {
        let pages = |arn: &str| codebuild().kind().pages(&arn.parse().unwrap()).unwrap();
        let page = "/codesuite/codebuild/123456789012/projects/ci-docker/build/ci-docker%3A0f1e-2d3c";
        let found = pages("arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:0f1e-2d3c");
        assert_eq!(
            [found.agent, found.log],
            [
                format!("https://us-east-1.console.aws.amazon.com{page}/?region=us-east-1"),
                format!("https://us-east-1.console.aws.amazon.com{page}/log?region=us-east-1"),
            ]
        );
        assert_eq!(
            pages("arn:aws-cn:codebuild:cn-north-1:123456789012:build/ci-docker:0f1e-2d3c").log,
            format!("https://cn-north-1.console.amazonaws.cn{page}/log?region=cn-north-1")
        );
    }

    #[test]
    fn a_log_leads_to_its_stream_in_its_partition() {
        let small = Logs::of_container("/bellhop/agents".to_owned(), "small", "agent");
        let page = "logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b";
        for (partition, region, console) in [
            ("aws", "us-east-1", "console.aws.amazon.com"),
            ("aws-cn", "cn-north-1", "console.amazonaws.cn"),
            ("aws-us-gov", "us-gov-west-1", "console.amazonaws-us-gov.com"),
        ] {
            let task = format!("arn:{partition}:ecs:{region}:123456789012:task/ci/0a1b");
            assert_eq!(
                stream(&spec().executor, &task, &small),
                format!("https://{region}.{console}/cloudwatch/home?region={region}#{page}")
            );
        }
        let build = "arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:0f1e-2d3c";
        let events = |prefix: Option<&str>| {
            let log = stream(&codebuild(), build, &Logs::of_project("builds".to_owned(), prefix));
            log.split_once("#logsV2:log-groups/log-group/builds/log-events/")
                .unwrap()
                .1
                .to_owned()
        };
        assert_eq!(events(None), "0f1e-2d3c");
        assert_eq!(events(Some("images")), "images$252F0f1e-2d3c");
    }

    #[test]
    fn odd_characters_are_encoded_twice() {
        let odd = Logs::of_container("/a.b_c-d#e".to_owned(), "100% of $[ü] ~", "a/b");
        let log = stream(&spec().executor, "arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b", &odd);
        assert!(
            log.ends_with(
                "/log-group/$252Fa.b_c-d$2523e/log-events/100$2525$2520of$2520$2524$255B$25C3$25BC$255D$2520~$252Fa$252Fb$252F0a1b"
            ),
            "{log}"
        );
    }

    #[test]
    fn other_agents_have_no_pages() {
        for other in [
            "arn:aws:ecs:us-east-1:123456789012:task/0a1b",
            "arn:aws:codebuild:us-east-1:123456789012:build/ci-docker",
            "arn:aws:codebuild:us-east-1:123456789012:project/ci-docker:0f1e",
            "arn:aws:batch:us-east-1:123456789012:job/0a1b",
            "arn:",
        ] {
            for executor in [spec().executor, codebuild()] {
                assert_eq!(executor.kind().pages(&other.parse().unwrap()), None, "{other}");
            }
        }
        let task = "arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b".parse().unwrap();
        assert_eq!(codebuild().kind().pages(&task), None, "a task is no build");
    }
}
