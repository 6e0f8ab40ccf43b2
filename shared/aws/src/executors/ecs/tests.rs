//! Which tasks of ECS the adapter takes for an attempt's agent.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use bellhop_engine::FaultKind;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Reply, Wire, attempt, broken, ecs_spec, ok, refused};

const TASK: &str = "arn:aws:ecs:eu-west-1:123456789012:task/ci/0f1e";

fn agent() -> AgentId {
    TASK.parse().unwrap()
}

/// The agent of the tests' attempt, as `DescribeTasks` shows it.
fn task() -> Value {
    let variables: Vec<Value> = environment(&ecs_spec(), &attempt(), Capacity::OnDemand, "suite")
        .iter()
        .rev()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let container = template_of(&ecs_spec()).unwrap().container.clone();
    json!({
        "taskArn": TASK, "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/ci", "startedBy": attempt().started_by(),
        "taskDefinitionArn": format!("arn:aws:ecs:eu-west-1:123456789012:task-definition/{}:4", template_of(&ecs_spec()).unwrap().task_definition),
        "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "launchType": "FARGATE", "version": 3, "enableExecuteCommand": false,
        "overrides": {
            "containerOverrides": [{ "name": "sidecar" }, { "name": container, "environment": variables }],
            "inferenceAcceleratorOverrides": [],
        },
    })
}

fn described(task: &Value) -> Reply {
    ok(&json!({ "tasks": [task], "failures": [] }))
}

async fn prove(reply: Reply) -> Result<Option<Observation>, Fault> {
    let (aws, wire) = Wire::replying([reply]);
    let proven = EcsTasks::new(&aws, "suite").prove(&ecs_spec(), &attempt(), &agent()).await;
    assert_eq!(
        wire.asked(),
        [("DescribeTasks".to_owned(), json!({ "cluster": "ci", "tasks": [TASK] }))]
    );
    proven
}

async fn find(task: &Value) -> Vec<AgentId> {
    let (aws, wire) = Wire::replying([ok(&json!({ "taskArns": [TASK] })), described(task)]);
    let found = EcsTasks::new(&aws, "suite").find(&ecs_spec(), &attempt()).await.unwrap();
    assert_eq!(
        wire.asked()[0],
        (
            "ListTasks".to_owned(),
            json!({ "cluster": "ci", "startedBy": attempt().started_by() })
        )
    );
    found.into_iter().map(|seen| seen.agent).collect()
}

/// Tasks that carry the attempt's name, and differ from its launch in one thing.
fn imitations() -> Vec<(&'static str, Value)> {
    let at = |pointer: &str, value: Value| {
        let mut task = task();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        task.pointer_mut(parent).unwrap()[key] = value;
        task
    };
    let variable = |name: &str, value: &str| {
        let mut task = task();
        let variables = task.pointer_mut("/overrides/containerOverrides/1/environment").unwrap();
        variables.as_array_mut().unwrap().push(json!({ "name": name, "value": value }));
        task
    };
    let definition = |name: &str| json!(format!("arn:aws:ecs:eu-west-1:123456789012:task-definition/{name}:4"));
    vec![
        (
            "another cluster",
            at("/clusterArn", json!("arn:aws:ecs:eu-west-1:123456789012:cluster/other")),
        ),
        ("another family", at("/taskDefinitionArn", definition("other"))),
        ("another name", at("/startedBy", json!("bellhop/abcdefghij/image/1"))),
        ("no name", at("/startedBy", json!(null))),
        ("another launch type", at("/launchType", json!("EC2"))),
        ("a capacity provider", at("/capacityProviderName", json!("FARGATE_SPOT"))),
        (
            "a task role",
            at("/overrides/taskRoleArn", json!("arn:aws:iam::123456789012:role/other")),
        ),
        (
            "an execution role",
            at("/overrides/executionRoleArn", json!("arn:aws:iam::123456789012:role/other")),
        ),
        ("more memory", at("/overrides/memory", json!("8192"))),
        ("more CPU", at("/overrides/cpu", json!("4096"))),
        ("more disk", at("/overrides/ephemeralStorage", json!({ "sizeInGiB": 100 }))),
        ("ECS Exec", at("/enableExecuteCommand", json!(true))),
        ("a command", at("/overrides/containerOverrides/1/command", json!(["true"]))),
        (
            "a command of another container",
            at("/overrides/containerOverrides/0/command", json!(["true"])),
        ),
        (
            "variables of another container",
            at(
                "/overrides/containerOverrides/0/environment",
                json!([{ "name": "A", "value": "1" }]),
            ),
        ),
        (
            "a file of variables",
            at(
                "/overrides/containerOverrides/1/environmentFiles",
                json!([{ "value": "arn:aws:s3:::x/y", "type": "s3" }]),
            ),
        ),
        (
            "a GPU",
            at(
                "/overrides/containerOverrides/1/resourceRequirements",
                json!([{ "value": "1", "type": "GPU" }]),
            ),
        ),
        (
            "more memory of the container",
            at("/overrides/containerOverrides/1/memory", json!(8192)),
        ),
        ("a variable more", variable("BASH_ENV", "/tmp/x")),
        ("a variable twice", variable("CI", "true")),
        ("another script", variable("BELLHOP_SCRIPT", "evil")),
        ("no variables", at("/overrides/containerOverrides/1/environment", json!([]))),
        ("no overrides", at("/overrides", json!({}))),
    ]
}

#[tokio::test]
async fn a_task_with_the_name_of_an_attempt_is_not_its_agent() {
    let own = prove(described(&task())).await.unwrap().unwrap();
    assert_eq!((own.agent, own.capacity, own.version), (agent(), Some(Capacity::OnDemand), Some(3)));
    assert_eq!(find(&task()).await, [agent()]);
    for (what, imitation) in imitations() {
        assert_eq!(prove(described(&imitation)).await.unwrap(), None, "{what}");
        assert_eq!(find(&imitation).await, [], "{what}");
    }
}

#[tokio::test]
async fn one_that_has_stopped_is_proven_and_one_that_cannot_be_described_is_not() {
    let mut stopped = task();
    stopped["lastStatus"] = json!("STOPPED");
    assert!(!prove(described(&stopped)).await.unwrap().unwrap().is_open());
    for none in [
        ok(&json!({ "tasks": [], "failures": [{ "arn": TASK, "reason": "MISSING" }] })),
        refused("InvalidParameterException", "Identifier is for a different account"),
        refused("AccessDeniedException", "no"),
        refused("ClusterNotFoundException", "no"),
    ] {
        assert_eq!(prove(none).await.unwrap(), None);
    }
    assert_eq!(prove(broken()).await.unwrap_err().kind, FaultKind::Transient);
}

#[tokio::test]
async fn a_token_that_was_used_leads_to_a_task_that_carries_the_launch() {
    let launch = async |described: Reply| {
        let conflict = json!({ "__type": "ConflictException", "message": "no", "resourceIds": [TASK] });
        let (aws, wire) = Wire::replying([(400, conflict.to_string()), described]);
        let id = LaunchId::first(attempt(), Capacity::OnDemand);
        let launched = EcsTasks::new(&aws, "suite").launch(&ecs_spec(), &id, true).await;
        assert_eq!(wire.operations(), ["RunTask", "DescribeTasks"]);
        launched
    };
    assert_eq!(launch(described(&task())).await.unwrap(), Launch::Accepted(agent()));
    for (what, imitation) in imitations() {
        let launched = launch(described(&imitation)).await.unwrap();
        assert!(
            matches!(
                launched,
                Launch::Refused {
                    refusal: Refusal::Invalid(_),
                    spent: false
                }
            ),
            "{what}"
        );
    }
    let missing = launch(ok(&json!({ "tasks": [] }))).await;
    assert_eq!(missing.unwrap_err().kind, FaultKind::Transient, "it may be described later");
}
