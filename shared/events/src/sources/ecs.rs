//! [ECS task state changes](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html), as EventBridge delivers them: at least
//! once, and in any order.

use bellhop_domain::executor::Placement;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::decode::{self, clean, expected};
use crate::task::{self, ContainerFacts, TaskFacts};
use crate::{AgentChange, Event, Parser, Reason};

/// The events of this source.
pub(crate) const EVENTS: &[Parser] = &[Parser::of(SOURCE, TASK_STATE_CHANGE, task_state_change)];

/// `source` of the event.
const SOURCE: &str = "aws.ecs";
/// `detail-type` of the event.
const TASK_STATE_CHANGE: &str = "ECS Task State Change";

/// The parsed part of a task. It excludes `overrides`, which may contain secrets: only the few values needed are read from them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    task_arn: String,
    #[serde(default, deserialize_with = "decode::text")]
    cluster_arn: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    task_definition_arn: Option<String>,
    #[serde(default, deserialize_with = "decode::whole")]
    version: Option<u64>,
    last_status: String,
    desired_status: Option<String>,
    stop_code: Option<String>,
    stopped_reason: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    capacity_provider_name: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    launch_type: Option<String>,
    #[serde(default, deserialize_with = "decode::time")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "decode::time")]
    execution_stopped_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "decode::time")]
    stopping_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "decode::time")]
    stopped_at: Option<Timestamp>,
    containers: Option<Vec<Container>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    #[serde(default, deserialize_with = "decode::text")]
    last_status: Option<String>,
    #[serde(default, deserialize_with = "decode::whole")]
    exit_code: Option<i32>,
    #[serde(default, deserialize_with = "decode::text")]
    reason: Option<String>,
}

/// Parses an event of type [`TASK_STATE_CHANGE`]. It first checks who started the task, because errors in other tasks do not matter.
fn task_state_change(event: &Value) -> Result<Event, Reason> {
    let detail = event
        .get("detail")
        .filter(|detail| detail.is_object())
        .ok_or_else(|| expected("detail", "an object"))?;
    let started_by = detail.get("startedBy").and_then(Value::as_str);
    let attempt = task::attempt(started_by, environment(detail)).ok_or_else(|| foreign(detail, started_by))?;
    let task: Task = decode::object(detail, "detail")?;
    let placement = Placement {
        account: decode::account(event),
        place: task.cluster_arn,
        definition: task.task_definition_arn,
    };
    let facts = TaskFacts {
        arn: task.task_arn,
        version: task.version,
        last_status: task.last_status,
        desired_status: task.desired_status,
        stop_code: task.stop_code,
        stopped_reason: task.stopped_reason,
        capacity_provider: task.capacity_provider_name,
        launch_type: task.launch_type,
        launched_on: task::capacity_from_environment(environment(detail)),
        started_at: task.started_at,
        execution_stopped_at: task.execution_stopped_at,
        stopping_at: task.stopping_at,
        stopped_at: task.stopped_at,
        containers: task.containers.unwrap_or_default().into_iter().map(ContainerFacts::from).collect(),
    };
    let observation = facts.observation().map_err(|error| Reason::Malformed(format!("detail.{error}")))?;
    Ok(Event::Agent(AgentChange {
        attempt,
        observation,
        placement,
    }))
}

impl From<Container> for ContainerFacts {
    fn from(container: Container) -> Self {
        Self {
            name: container.name,
            last_status: container.last_status,
            exit_code: container.exit_code,
            reason: container.reason,
        }
    }
}

/// The environment variables in the task's overrides, of all its containers.
fn environment(detail: &Value) -> impl Iterator<Item = (&str, &str)> {
    items(detail.pointer("/overrides/containerOverrides"))
        .flat_map(|container| items(container.get("environment")))
        .filter_map(|variable| Some((variable.get("name")?.as_str()?, variable.get("value")?.as_str()?)))
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn foreign(detail: &Value, started_by: Option<&str>) -> Reason {
    let arn = match detail.get("taskArn").and_then(Value::as_str) {
        Some(arn) => clean(arn, 200),
        None => "a task without ARN".to_owned(),
    };
    Reason::Foreign(match started_by {
        Some(name) => format!("{arn} was started by {}", clean(name, 128)),
        None => format!("{arn} has no startedBy"),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::executor::Capacity;
    use bellhop_domain::executor::observation::AgentStatus;
    use serde_json::json;

    use super::*;

    fn event(detail: Value) -> Value {
        let mut event = json!({ "detail": {
            "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/0f1e2d3c", "startedBy": "bellhop/abcdefghij/test/2",
            "lastStatus": "RUNNING", "desiredStatus": "RUNNING",
        } });
        let Value::Object(changes) = detail else { panic!("no object") };
        event["detail"].as_object_mut().unwrap().extend(changes);
        event
    }

    fn change(detail: Value) -> AgentChange {
        match task_state_change(&event(detail)) {
            Ok(Event::Agent(change)) => change,
            other => panic!("no agent: {other:?}"),
        }
    }

    fn refused(detail: Value) -> String {
        task_state_change(&event(detail)).unwrap_err().to_string()
    }

    fn overrides(variables: &[(&str, &str)]) -> Value {
        let list: Vec<Value> = variables
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        json!({ "containerOverrides": [{ "name": "sidecar" }, { "name": "agent", "environment": list }] })
    }

    #[test]
    fn little_has_to_be_told() {
        let change = change(json!({}));
        assert_eq!(change.attempt.to_string(), "abcdefghij/test/2");
        assert_eq!(change.observation.version, None);
        assert_eq!(change.observation.capacity, None);
        assert_eq!(change.observation.status, AgentStatus::Running { since: None });
    }

    #[test]
    fn where_a_task_runs_is_read_as_far_as_the_event_has_it() {
        assert_eq!(change(json!({})).placement, Placement::default());
        let mut event = event(json!({ "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/ci", "taskDefinitionArn": 5 }));
        event["account"] = "123456789012".into();
        let Ok(Event::Agent(change)) = task_state_change(&event) else {
            panic!("no agent")
        };
        let expected = Placement {
            account: Some("123456789012".to_owned()),
            place: Some("arn:aws:ecs:us-east-1:123456789012:cluster/ci".to_owned()),
            definition: None,
        };
        assert_eq!(change.placement, expected);
    }

    #[test]
    fn versions_come_as_integer_float_and_text() {
        for version in [json!(6), json!(6.0), json!("6")] {
            assert_eq!(change(json!({ "version": version })).observation.version, Some(6));
        }
    }

    #[test]
    fn an_attempt_is_found_by_its_environment_too() {
        let ours = overrides(&[
            ("TOKEN", "s3cret"),
            ("BELLHOP_BUILD", "abcdefghij/test"),
            ("BELLHOP_ATTEMPT", "3"),
            ("BELLHOP_CAPACITY", "spot"),
        ]);
        for started_by in [json!(null), json!("someone"), json!(5)] {
            let change = change(json!({ "startedBy": started_by, "overrides": ours, "launchType": "FARGATE" }));
            assert_eq!(change.attempt.to_string(), "abcdefghij/test/3");
            assert_eq!(change.observation.capacity, Some(Capacity::Spot));
        }
        assert_eq!(change(json!({ "overrides": ours })).attempt.number, 2);
        let partly = overrides(&[("BELLHOP_BUILD", "abcdefghij/test"), ("TOKEN", "s3cret")]);
        assert_eq!(
            refused(json!({ "startedBy": "someone", "overrides": partly })),
            "foreign: arn:aws:ecs:us-east-1:123456789012:task/0f1e2d3c was started by someone"
        );
        assert_eq!(
            refused(json!({ "startedBy": null, "taskArn": null, "overrides": "none" })),
            "foreign: a task without ARN has no startedBy"
        );
    }

    #[test]
    fn the_tasks_of_others_are_not_found_fault_with() {
        assert!(refused(json!({ "startedBy": "ecs-svc/1", "lastStatus": 5, "containers": "none" })).starts_with("foreign: "));
    }

    #[test]
    fn what_is_broken_is_named_with_what_was_expected() {
        for (detail, words) in [
            (
                json!({ "taskArn": "task/1" }),
                "detail.taskArn: \"task/1\" is not a valid agent id: expected an ARN",
            ),
            (
                json!({ "lastStatus": "RESTING" }),
                "detail.lastStatus: \"RESTING\" is not a task status",
            ),
            (json!({ "lastStatus": null }), "detail.lastStatus: expected a string"),
            (json!({ "version": -1 }), "detail.version: expected a whole number in range"),
            (json!({ "containers": {} }), "detail.containers: expected a sequence"),
            (
                json!({ "containers": [{ "exitCode": 0 }] }),
                "detail.containers[0].name: required, but missing",
            ),
            (
                json!({ "containers": [{ "name": "a" }, { "name": "b", "exitCode": "none" }] }),
                "detail.containers[1].exitCode: expected a whole number in range",
            ),
        ] {
            let refused = refused(detail);
            assert!(refused.starts_with(&format!("malformed: {words}")), "{refused}");
        }
        assert_eq!(
            task_state_change(&json!({ "detail": "{}" })).unwrap_err().to_string(),
            "malformed: detail: expected an object"
        );
    }
}
