//! The suite configuration that `infra/agents.yaml` puts out is one that the functions read. The files are what its output is with some parameters;
//! `tests/local/test_infra.py` holds them against the template, and writes them.
#![expect(clippy::unwrap_used, reason = "a check may stop at what should not be")]

use std::collections::BTreeSet;

use bellhop_domain::config::SuiteConfig;
use bellhop_domain::executor::Executor;

const DEFAULT: &str = include_str!("../suite-configuration/default.yaml");
const ONE_CLUSTER_WITHOUT_CODEBUILD: &str = include_str!("../suite-configuration/one-cluster-without-codebuild.yaml");

/// The agent templates, by name, with the task definition or the project of each and whether it is restricted.
fn agents(suite: &SuiteConfig) -> Vec<(&str, &str, bool)> {
    let named = suite.agents.iter().map(|(name, agent)| {
        let what = match &agent.executor {
            Executor::Ecs(ecs) => ecs.task_definition.as_str(),
            Executor::CodeBuild(codebuild) => codebuild.project.as_str(),
            Executor::StepFunctions(_) => unreachable!("the stack makes no such agent: {name}"),
        };
        (name.as_str(), what, agent.restricted)
    });
    named.collect()
}

#[test]
fn the_agents_of_the_template_are_read() {
    let suite = SuiteConfig::parse(DEFAULT).unwrap();
    let expected = [
        ("deploy", "bellhop-agent-deploy", true),
        ("docker", "ci-docker", true),
        ("large", "bellhop-agent-large", false),
        ("medium", "bellhop-agent-medium", false),
        ("publish", "bellhop-agent-publish", true),
        ("small", "bellhop-agent-small", false),
    ];
    assert_eq!(agents(&suite), expected);
    assert_eq!(suite.clusters(), BTreeSet::from(["ci-main".to_owned(), "ci-spot".to_owned()]));
    for (name, agent) in &suite.agents {
        let logs = agent.executor.kind().logs().unwrap();
        let expected = match &agent.executor {
            Executor::Ecs(_) => ("/bellhop-agents/agents", format!("{name}/agent/")),
            Executor::CodeBuild(_) => ("/bellhop-agents/builds", String::new()),
            Executor::StepFunctions(_) => unreachable!("the stack makes no such agent: {name}"),
        };
        assert_eq!((logs.group.as_str(), logs.stream_start.clone()), expected);
        if let Executor::Ecs(ecs) = &agent.executor {
            assert_eq!(ecs.subnets, ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]);
            assert_eq!(ecs.security_groups, ["sg-0a1b2c3d"]);
            assert!(ecs.assign_public_ip);
        }
    }
}

#[test]
fn one_cluster_and_no_project_are_read() {
    let suite = SuiteConfig::parse(ONE_CLUSTER_WITHOUT_CODEBUILD).unwrap();
    let names: Vec<&str> = agents(&suite).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["deploy", "large", "medium", "publish", "small"]);
    assert_eq!(suite.clusters(), BTreeSet::from(["ci".to_owned()]));
}

#[test]
fn a_misspelt_field_would_be_refused() {
    for (field, misspelt) in [
        ("restricted", "restrictd"),
        ("security-groups", "security-group"),
        ("spot:", "spots:"),
    ] {
        let wrong = DEFAULT.replacen(field, misspelt, 1);
        assert!(SuiteConfig::parse(&wrong).is_err(), "{misspelt}");
    }
}
