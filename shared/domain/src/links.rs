//! Links to an agent and its log: pages of the AWS console, and a stream of CloudWatch Logs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::build::Attempt;
use crate::ids::AgentId;
use crate::spec::{BuildSpec, Logs};

/// The log of one agent in CloudWatch Logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogStream {
    /// Its group.
    pub group: String,
    /// Its name in the group.
    pub stream: String,
}

impl LogStream {
    /// The log of an attempt's agent; `None` if it has no agent, or if the agent template does not name its log group.
    #[must_use]
    pub fn of(spec: &BuildSpec, attempt: &Attempt) -> Option<Self> {
        Some(Self::at(spec.executor.logs()?, &Parts::of(attempt.agent.as_ref()?)?))
    }

    fn at(logs: &Logs, parts: &Parts<'_>) -> Self {
        Self {
            group: logs.group.clone(),
            stream: format!("{}{}", logs.stream_start, parts.id),
        }
    }
}

/// The console pages of an attempt's agent, as pairs of a name, `agent` or `logs`, and a link. There are none without an agent.
///
/// `logs` is the agent's stream in CloudWatch Logs. If the agent template does not name its log group, it is a page of CodeBuild, or of ECS, which
/// shows a stopped task "for at least one hour" (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>).
#[must_use]
pub fn links(spec: &BuildSpec, attempt: &Attempt) -> Vec<(&'static str, String)> {
    attempt
        .agent
        .as_ref()
        .map(|agent| of_agent(agent, spec.executor.logs()))
        .unwrap_or_default()
}

/// An agent has no pages unless its id is the ARN of an ECS task with its cluster, or of a CodeBuild build.
fn of_agent(agent: &AgentId, logs: Option<&Logs>) -> Vec<(&'static str, String)> {
    let Some(parts) = Parts::of(agent) else {
        return Vec::new();
    };
    let Parts {
        console,
        region,
        account,
        within,
        id,
        ..
    } = &parts;
    let (agent, log) = match parts.service {
        Service::Ecs => {
            let page = format!("{console}/ecs/v2/clusters/{within}/tasks/{id}");
            (
                format!("{page}/configuration?region={region}"),
                format!("{page}/logs?region={region}"),
            )
        }
        // A program of AWS uses the same form: <https://github.com/awslabs/seed-farmer/blob/main/seedfarmer/utils.py>.
        Service::CodeBuild => {
            let page = format!("{console}/codesuite/codebuild/{account}/projects/{within}/build/{within}%3A{id}");
            (format!("{page}/?region={region}"), format!("{page}/log?region={region}"))
        }
    };
    let log = logs.map_or(log, |logs| stream_page(&parts, &LogStream::at(logs, &parts)));
    vec![("agent", agent), ("logs", log)]
}

/// A stream's page in the console of CloudWatch Logs, in the form of CodeBuild's `deepLink`
/// (<https://docs.aws.amazon.com/codebuild/latest/userguide/sandbox.html>): names are percent-encoded twice, and each `%` of the result is a `$`, so
/// `/` becomes `$252F`.
fn stream_page(parts: &Parts<'_>, log: &LogStream) -> String {
    let name = |text: &str| percent_encoded(&percent_encoded(text)).replace('%', "$");
    let Parts { console, region, .. } = parts;
    let (group, stream) = (name(&log.group), name(&log.stream));
    format!("{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}/log-events/{stream}")
}

enum Service {
    Ecs,
    CodeBuild,
}

/// The parts of an agent's ARN.
struct Parts<'a> {
    service: Service,
    /// The base URL of the region's console.
    console: String,
    region: &'a str,
    account: &'a str,
    /// The cluster or the project.
    within: &'a str,
    /// The id of the task, or the part of the build's id after the project.
    id: &'a str,
}

impl<'a> Parts<'a> {
    fn of(agent: &'a AgentId) -> Option<Self> {
        let mut parts = agent.as_str().splitn(6, ':');
        let (_, partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (account, resource) = (parts.next()?, parts.next()?);
        let (service, (within, id)) = match service {
            "ecs" => (Service::Ecs, resource.strip_prefix("task/")?.split_once('/')?),
            "codebuild" => (Service::CodeBuild, resource.strip_prefix("build/")?.split_once(':')?),
            _ => return None,
        };
        Some(Self {
            service,
            console: format!("https://{region}.{}", console(partition)),
            region,
            account,
            within,
            id,
        })
    }
}

/// Percent-encodes a text as one component of a link.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Links as members of a JSON object.
pub(crate) fn object(links: &[(&'static str, String)]) -> Map<String, Value> {
    links
        .iter()
        .map(|(name, link)| ((*name).to_owned(), Value::String(link.clone())))
        .collect()
}

/// The host of a partition's console, after the region.
pub(crate) fn console(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn of(arn: &str) -> [String; 2] {
        linked(arn, None)
    }

    fn linked(arn: &str, logs: Option<&Logs>) -> [String; 2] {
        let found = of_agent(&arn.parse().unwrap(), logs);
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["agent", "logs"]);
        let found: Vec<String> = found.into_iter().map(|(_, link)| link).collect();
        found.try_into().unwrap()
    }

    #[test]
    fn a_task_leads_to_its_pages_in_its_partition() {
        assert_eq!(
            of("arn:aws-cn:ecs:cn-north-1:123456789012:task/ci/0a1b"),
            [
                "https://cn-north-1.console.amazonaws.cn/ecs/v2/clusters/ci/tasks/0a1b/configuration?region=cn-north-1",
                "https://cn-north-1.console.amazonaws.cn/ecs/v2/clusters/ci/tasks/0a1b/logs?region=cn-north-1",
            ]
        );
        assert_eq!(
            of("arn:aws-us-gov:ecs:us-gov-west-1:123456789012:task/ci/0a1b")[0],
            "https://us-gov-west-1.console.amazonaws-us-gov.com/ecs/v2/clusters/ci/tasks/0a1b/configuration?region=us-gov-west-1"
        );
    }

    #[test]
    fn a_build_leads_to_its_pages_in_its_partition() {
        let page = "/codesuite/codebuild/123456789012/projects/ci-docker/build/ci-docker%3A0f1e-2d3c";
        assert_eq!(
            of("arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:0f1e-2d3c"),
            [
                format!("https://us-east-1.console.aws.amazon.com{page}/?region=us-east-1"),
                format!("https://us-east-1.console.aws.amazon.com{page}/log?region=us-east-1"),
            ]
        );
        assert_eq!(
            of("arn:aws-cn:codebuild:cn-north-1:123456789012:build/ci-docker:0f1e-2d3c")[1],
            format!("https://cn-north-1.console.amazonaws.cn{page}/log?region=cn-north-1")
        );
    }

    #[test]
    fn a_log_leads_to_its_stream_in_its_partition() {
        let small = Logs::of_container("/bellhop/agents".to_owned(), "small", "agent");
        let stream = "logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b";
        for (partition, region, console) in [
            ("aws", "us-east-1", "console.aws.amazon.com"),
            ("aws-cn", "cn-north-1", "console.amazonaws.cn"),
            ("aws-us-gov", "us-gov-west-1", "console.amazonaws-us-gov.com"),
        ] {
            let task = format!("arn:{partition}:ecs:{region}:123456789012:task/ci/0a1b");
            let [agent, log] = linked(&task, Some(&small));
            assert_eq!(agent, of(&task)[0]);
            assert_eq!(log, format!("https://{region}.{console}/cloudwatch/home?region={region}#{stream}"));
        }
        let build = "arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:0f1e-2d3c";
        let events = |prefix: Option<&str>| {
            let [_, log] = linked(build, Some(&Logs::of_project("builds".to_owned(), prefix)));
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
        let [_, log] = linked("arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b", Some(&odd));
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
            let logs = Logs::of_project("g".to_owned(), None);
            assert_eq!(of_agent(&other.parse().unwrap(), Some(&logs)), [], "{other}");
        }
    }
}
