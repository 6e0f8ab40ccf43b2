//! Where people find an agent and its log: pages of the console.

use serde_json::{Map, Value};

use crate::ids::AgentId;

/// The agent's pages in the console, as pairs of a name, `agent` or `logs`, and a link. An agent has none unless its id is the ARN of an ECS task that
/// names its cluster, or of a build of CodeBuild.
#[must_use]
pub fn links(agent: &AgentId) -> Vec<(&'static str, String)> {
    let mut parts = agent.as_str().splitn(6, ':');
    let (Some(_), Some(partition), Some(service), Some(region), Some(account), Some(resource)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    let console = console(partition);
    match service {
        "ecs" => {
            let Some((cluster, task)) = resource.strip_prefix("task/").and_then(|rest| rest.split_once('/')) else {
                return Vec::new();
            };
            let page = format!("https://{region}.{console}/ecs/v2/clusters/{cluster}/tasks/{task}");
            vec![
                ("agent", format!("{page}/configuration?region={region}")),
                ("logs", format!("{page}/logs?region={region}")),
            ]
        }
        // The form that a program of AWS's own writes: <https://github.com/awslabs/seed-farmer/blob/main/seedfarmer/utils.py>.
        "codebuild" => {
            let Some((project, id)) = resource.strip_prefix("build/").and_then(|rest| rest.split_once(':')) else {
                return Vec::new();
            };
            let page = format!("https://{region}.{console}/codesuite/codebuild/{account}/projects/{project}/build/{project}%3A{id}");
            vec![
                ("agent", format!("{page}/?region={region}")),
                ("logs", format!("{page}/log?region={region}")),
            ]
        }
        _ => Vec::new(),
    }
}

/// The same, as members of a document.
#[must_use]
pub fn document(agent: &AgentId) -> Map<String, Value> {
    object(&links(agent))
}

/// Links as members of a document.
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
        let found = links(&arn.parse().unwrap());
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
    fn other_agents_have_no_pages() {
        for other in [
            "arn:aws:ecs:us-east-1:123456789012:task/0a1b",
            "arn:aws:codebuild:us-east-1:123456789012:build/ci-docker",
            "arn:aws:codebuild:us-east-1:123456789012:project/ci-docker:0f1e",
            "arn:aws:batch:us-east-1:123456789012:job/0a1b",
            "arn:",
        ] {
            let agent = other.parse().unwrap();
            assert_eq!((links(&agent), document(&agent)), (vec![], Map::new()), "{other}");
        }
    }
}
