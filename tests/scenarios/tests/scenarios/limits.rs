//! What a repository's owner can do with its files, and what stays the administrators': a pipeline file chooses among the agents, and an agent gets
//! what its template says.

use bellhop_scenarios::World;
use bellhop_stand_in::Entry;
use serde_json::{Value, json};

use crate::words::MINUTE;

/// What a RunTask asked for.
fn asked(entry: &Entry) -> Value {
    entry.request.clone().unwrap()
}

/// The keys of an object.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn an_agent_gets_what_its_template_says_and_variables_alone_from_the_job() {
    let pipeline = r#"
version: 1
jobs:
  test:
    agent: small
    run: "make test; aws sts get-caller-identity"
    environment: { TASK_ROLE_ARN: "arn:aws:iam::123456789012:role/admin", CLUSTER: production }
    timeout: 1h
    retry: [ { exit-codes: [75], limit: 1 } ]
    relaunch: stopped
"#;
    let world = World::with_pipeline(pipeline).await;
    world.start().await;

    let request = asked(&world.journal().of("ecs", "RunTask").remove(0));
    assert_eq!(
        keys(&request),
        [
            "capacityProviderStrategy",
            "clientToken",
            "cluster",
            "count",
            "networkConfiguration",
            "overrides",
            "startedBy",
            "taskDefinition"
        ]
    );
    assert_eq!(request["cluster"], "ci-spot");
    assert_eq!(request["taskDefinition"], "bellhop-agent-small");
    assert_eq!(
        request["networkConfiguration"]["awsvpcConfiguration"],
        json!({ "subnets": ["subnet-0a", "subnet-0b"], "securityGroups": ["sg-0a"], "assignPublicIp": "DISABLED" })
    );
    // Neither roles nor sizes, neither a command nor an image.
    assert_eq!(keys(&request["overrides"]), ["containerOverrides"]);
    let containers = request["overrides"]["containerOverrides"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    assert_eq!(keys(&containers[0]), ["environment", "name"]);
    assert_eq!(containers[0]["name"], "agent");
}

#[tokio::test]
async fn a_pipeline_file_cannot_name_what_is_the_agents() {
    let world = World::new().await;
    for key in [
        "cluster: production",
        "clusters: { spot: production }",
        "task-definition: admin",
        "taskDefinition: admin",
        "role: admin",
        "task-role: admin",
        "taskRoleArn: arn:aws:iam::123456789012:role/admin",
        "executionRoleArn: arn:aws:iam::123456789012:role/admin",
        "cpu: 16384",
        "memory: 65536",
        "container: sidecar",
        "image: evil",
        "overrides: { taskRoleArn: admin }",
        "command: [sh]",
        "subnets: [subnet-1]",
        "security-groups: [sg-1]",
        "assign-public-ip: true",
        "enable-execute-command: true",
        "ecs: { cluster: production }",
        "tags: { owner: root }",
    ] {
        let file = format!("version: 1\njobs:\n  test:\n    agent: small\n    run: x\n    {key}\n");
        let push = world.commit(&[(".bellhop.yaml", &file)], key).await;
        let answer = world.push(&push).await.unwrap();
        let name = key.split(':').next().unwrap();
        let message = format!(".bellhop.yaml, line 6, jobs.test: unknown key `{name}`");
        assert!(
            answer[0]["rejected"].as_str().is_some_and(|text| text.starts_with(&message)),
            "{key}: {answer}"
        );
    }
    for agents in [
        "agents:\n  big: { ecs: { cluster: production } }\n",
        "repositories: { shop: { agents: [big] } }\n",
    ] {
        let file = format!("version: 1\n{agents}jobs:\n  test: {{ agent: small, run: x }}\n");
        let push = world.commit(&[(".bellhop.yaml", &file)], agents).await;
        let answer = world.push(&push).await.unwrap();
        assert!(
            answer[0]["rejected"].as_str().is_some_and(|text| text.contains("unknown key")),
            "{answer}"
        );
    }
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn no_retry_leads_to_another_agent() {
    let pipeline =
        "version: 1\njobs:\n  test: { agent: small, run: x, environment: { AGENT: big }, retry: [ { exit-codes: [75], limit: 3 } ] }\n";
    let world = World::with_pipeline(pipeline).await;
    world.start().await;
    world.runs(&world.task(0)).await;
    // What the configuration says by now is not what the build was planned with.
    let other = "version: 1\nagents:\n  small: { ecs: { cluster: production, task-definition: admin, subnets: [s] } }\n";
    world.configure(other).await;
    world.exits(&world.task(0), 75).await;
    world.sweep_after(5 * MINUTE).await.unwrap();

    let launches = world.journal().of("ecs", "RunTask");
    assert_eq!(launches.len(), 2);
    for launch in launches.iter().map(asked) {
        assert!(["ci-spot", "ci-main"].contains(&launch["cluster"].as_str().unwrap()), "{launch}");
        assert_eq!(launch["taskDefinition"], "bellhop-agent-small");
    }
}

#[tokio::test]
async fn variables_that_do_not_fit_an_agent_reach_none() {
    let world = World::new().await;
    for value in ["x".repeat(6_000), "\\\\".repeat(3_200), "ü".repeat(3_000)] {
        let file = format!("version: 1\njobs:\n  test: {{ agent: small, run: x, environment: {{ A: \"{value}\" }} }}\n");
        let push = world.commit(&[(".bellhop.yaml", &file)], "Large").await;
        let answer = world.push(&push).await.unwrap();
        assert!(
            answer[0]["rejected"].as_str().is_some_and(|text| text.contains("at most 6000 fit")),
            "{answer}"
        );
    }
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_job_with_a_name_that_a_shell_would_read_is_refused() {
    let world = World::new().await;
    for name in ["a;id", "$(id)", "`id`", "a b", "../a", "-a", "a/b", "a\\nb", "a'b", "ä"] {
        let file = format!("version: 1\njobs:\n  \"{name}\": {{ agent: small, run: x }}\n");
        let push = world.commit(&[(".bellhop.yaml", &file)], "Odd").await;
        let answer = world.push(&push).await.unwrap();
        assert!(
            answer[0]["rejected"]
                .as_str()
                .is_some_and(|text| text.contains("is not a valid job name")),
            "{name}: {answer}"
        );
    }
    assert!(world.tasks().is_empty());
}

/// Git and CodeCommit take these.
#[tokio::test]
async fn a_branch_with_a_name_that_a_shell_would_read_reaches_the_agent_as_it_is() {
    let world = World::new().await;
    for name in [
        "$(touch${IFS}x)",
        "`id`;id",
        "a'b\"c",
        "a&&b|c>d",
        "a#b%s%n",
        "ü/世界",
        "{a,b}",
        "!x",
    ] {
        let reference = format!("refs/heads/{name}");
        world.start_by(&world.push_to(&reference).await).await;
        let task = world.tasks().pop().unwrap();
        assert_eq!(task.environment["BELLHOP_REF"], reference);
        let request = asked(world.journal().of("ecs", "RunTask").last().unwrap());
        let elsewhere = request.to_string().matches(&json!(reference).to_string()).count();
        assert_eq!(elsewhere, 1, "{request}");
    }
}

#[tokio::test]
async fn references_repositories_and_commits_that_could_do_harm_reach_nobody() {
    let world = World::new().await;
    let push = world.push_event();
    let mut harmful = Vec::new();
    for name in [
        "a b", "a\nb", "../a", "a..b", "a:b", "a*", "a\\b", "a\u{7f}", "/a", "a@{1}", "", "a~1",
    ] {
        harmful.push(("referenceFullName", format!("refs/heads/{name}")));
    }
    harmful.push(("referenceFullName", "refs/notes/x".to_owned()));
    harmful.push(("referenceFullName", format!("refs/heads/{}", "a".repeat(300))));
    for name in ["$(id)", "a;id", "a/b", "../a", "a b", "a\nb", "", "a.git", "ä"] {
        harmful.push(("repositoryName", name.to_owned()));
    }
    for name in ["main", "HEAD", "-1", "$(id)", &"a".repeat(41), &"A".repeat(40)] {
        harmful.push(("commitId", name.to_owned()));
    }
    for (field, value) in harmful {
        let mut event = push.clone();
        event["detail"][field] = json!(value);
        if field == "referenceFullName" {
            // What CodeCommit says twice.
            event["detail"]["referenceName"] = json!(value.trim_start_matches("refs/heads/"));
        }
        let answer = world.push(&event).await.unwrap();
        assert!(answer[0]["skipped"].is_string(), "{field} {value:?}: {answer}");
    }
    assert!(world.tasks().is_empty() && world.run_ids().await.is_empty());
    assert!(world.journal().entries().is_empty());
}
