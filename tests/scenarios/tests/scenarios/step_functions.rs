//! Agents that are executions of Step Functions.

use bellhop_scenarios::World;
use bellhop_stand_in::{ExecutionView, Fault, Rule, Times};
use serde_json::{Value, json};

use crate::words::{MINUTE, attempts, cause};

/// As often as the SDK tries a request.
const ALL_TRIES: Times = Times::Next(3);

const RELEASE: &str = r"
version: 1
jobs:
  release: { agent: release, run: make release, environment: { CHANNEL: stable }, timeout: 10m, retry: [{ on: [failure], limit: 1 }] }
";

async fn world() -> World {
    World::with_state_machine(RELEASE).await
}

fn executions(world: &World) -> Vec<ExecutionView> {
    world.step_functions().executions()
}

fn starts(world: &World) -> Vec<Value> {
    let requests = world.journal().of("states", "StartExecution");
    requests.into_iter().map(|entry| entry.request.unwrap()).collect()
}

/// Delivers the events of an execution, to `build-state`.
async fn tell(world: &World, execution: &str) {
    world.build_events(&world.step_functions().events_of(execution)).await;
}

async fn phases(world: &World) -> Vec<String> {
    attempts(&world.build("release").await)
}

#[tokio::test]
async fn an_execution_has_the_agents_environment_and_succeeds() {
    let world = world().await;
    world.start().await;
    let [execution]: [ExecutionView; 1] = executions(&world).try_into().unwrap();
    assert_eq!(execution.variable("BELLHOP_SCRIPT").as_deref(), Some("make release"));
    assert_eq!(execution.variable("CHANNEL").as_deref(), Some("stable"));
    assert_eq!(execution.variable("BELLHOP_ATTEMPT").as_deref(), Some("1"));
    assert!(
        !execution.input.contains("secret") && !execution.input.contains("AWS_"),
        "{}",
        execution.input
    );

    tell(&world, &execution.arn).await;
    assert_eq!(phases(&world).await, ["1 step-functions running"]);
    world.step_functions().succeed(&execution.arn).unwrap();
    tell(&world, &execution.arn).await;
    assert_eq!(phases(&world).await, ["1 step-functions succeeded"]);
    assert_eq!(world.told().await, ["build release succeeded", "run succeeded"]);
}

#[tokio::test]
async fn it_is_started_once_although_replies_are_lost_and_the_push_is_repeated() {
    let world = world().await;
    world.faults().inject(Rule::new("states", "StartExecution", Fault::LoseReply));
    world.start().await;
    world.push(&world.push_event()).await.unwrap();
    assert_eq!(starts(&world).len(), 2);
    assert_eq!(starts(&world)[0], starts(&world)[1]);
    assert_eq!(executions(&world).len(), 1);
}

#[tokio::test]
async fn one_that_has_ended_before_its_start_was_answered_is_the_attempts() {
    let world = world().await;
    let lose = Rule::new("states", "StartExecution", Fault::LoseReply).times(ALL_TRIES);
    world.faults().inject(lose);
    world.push(&world.push_event()).await.unwrap_err();
    assert_eq!(world.build("release").await.attempts[0].agent, None);
    world.step_functions().succeed(&world.execution(0)).unwrap();

    for _ in 0..4 {
        world.sweep_after(6 * MINUTE).await.unwrap();
    }

    assert_eq!(executions(&world).len(), 1);
    assert_eq!(phases(&world).await, ["1 step-functions succeeded"]);
}

#[tokio::test]
async fn a_failure_is_told_with_error_and_cause_and_tried_again() {
    let world = world().await;
    world.start().await;
    let refuse = |place| {
        let agent = world.execution(place);
        world
            .step_functions()
            .fail(&agent, "Release.Refused", "version 1.4.0 is already published")
            .unwrap();
        agent
    };
    tell(&world, &refuse(0)).await;
    world.sweep_after(MINUTE).await.unwrap();
    assert_eq!(phases(&world).await, ["1 step-functions failed", "2 step-functions running"]);
    assert_ne!(executions(&world)[0].name, executions(&world)[1].name);

    tell(&world, &refuse(1)).await;
    let build = world.build("release").await;
    assert_eq!(build.status(), "failed");
    assert_eq!(cause(&build), Some("Release.Refused: version 1.4.0 is already published"));
    assert_eq!(executions(&world).len(), 2);
}

#[tokio::test]
async fn an_event_without_a_cause_is_looked_up() {
    let world = world().await;
    world.start().await;
    let agent = world.execution(0);
    let mut events = world.step_functions().fail(&agent, "Tests", "3 of 7 failed").unwrap();
    let detail = events[0]["detail"].as_object_mut().unwrap();
    detail.remove("error");
    detail.remove("cause");
    world.build_events(&events).await;
    assert_eq!(world.journal().of("states", "DescribeExecution").len(), 1);
    let build = world.build("release").await;
    assert_eq!(attempts(&build), ["1 step-functions failed", "2 step-functions launching"]);
    world.step_functions().fail(&world.execution(1), "Tests", "3 of 7 failed").unwrap();
    tell(&world, &world.execution(1)).await;
    assert_eq!(cause(&world.build("release").await), Some("Tests: 3 of 7 failed"));
}

#[tokio::test]
async fn an_event_without_the_input_is_looked_up() {
    let world = world().await;
    world.step_functions().hide_inputs(true);
    world.start().await;
    world.step_functions().succeed(&world.execution(0)).unwrap();
    let mark = world.journal().mark();
    tell(&world, &world.execution(0)).await;
    assert!(World::requests(&world.journal().since(mark)).contains(&"states DescribeExecution".to_owned()));
    assert_eq!(phases(&world).await, ["1 step-functions succeeded"]);
}

#[tokio::test]
async fn an_execution_that_another_one_started_is_no_agent() {
    let world = world().await;
    world.start().await;
    let agent = world.execution(0);
    tell(&world, &agent).await;
    let items = world.items().await;
    let child = world.step_functions().start_child(&agent).unwrap();
    let answer = world.build_event(&child[0]).await.unwrap();
    assert!(answer[0]["skipped"].is_string(), "{answer}");
    world.step_functions().succeed(&world.execution(1)).unwrap();
    tell(&world, &world.execution(1)).await;
    assert_eq!(world.items().await, items);
}

#[tokio::test]
async fn a_cancelled_build_stops_its_execution() {
    let world = world().await;
    let run = world.start().await;
    let agent = world.execution(0);
    tell(&world, &agent).await;
    world.control(&json!({ "cancel": { "run": run } })).await.unwrap();
    let execution = world.step_functions().execution(&agent).unwrap();
    assert_eq!((execution.status.name(), execution.error.as_deref()), ("ABORTED", Some("Bellhop")));
    tell(&world, &agent).await;
    assert_eq!(world.build("release").await.status(), "cancelled");
}

#[tokio::test]
async fn an_execution_that_takes_too_long_is_stopped() {
    let world = world().await;
    world.start().await;
    let agent = world.execution(0);
    tell(&world, &agent).await;
    world.sweep_after(11 * MINUTE).await.unwrap();
    assert_eq!(world.step_functions().execution(&agent).unwrap().status.name(), "ABORTED");
    tell(&world, &agent).await;
    assert_eq!(phases(&world).await, ["1 step-functions timed-out"]);
}

#[tokio::test]
async fn one_that_its_state_machine_times_out_first_is_timed_out() {
    let world = world().await;
    world.start().await;
    let agent = world.execution(0);
    world.step_functions().time_out(&agent).unwrap();
    tell(&world, &agent).await;
    assert_eq!(phases(&world).await, ["1 step-functions timed-out"]);
    let build = world.build("release").await;
    let cause = cause(&build).unwrap();
    assert!(
        cause.contains("its service ended it") && cause.contains("`timeout` of 10m"),
        "{cause}"
    );
}

#[tokio::test]
async fn an_execution_whose_events_are_all_lost_is_found_by_the_sweep() {
    let world = world().await;
    world.start().await;
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(phases(&world).await, ["1 step-functions running"]);
    world.step_functions().succeed(&world.execution(0)).unwrap();
    world.sweep_after(6 * MINUTE).await.unwrap();
    assert_eq!(phases(&world).await, ["1 step-functions succeeded"]);
}

#[tokio::test]
async fn a_throttled_start_is_repeated() {
    let world = world().await;
    let rule = Rule::new("states", "StartExecution", Fault::Throttle).times(Times::Always);
    world.faults().inject(rule);
    world.start().await;
    assert_eq!((executions(&world).len(), world.build("release").await.status()), (0, "queued"));
    world.faults().clear();
    world.sweep_after(MINUTE).await.unwrap();
    assert_eq!(phases(&world).await, ["1 step-functions launching"]);
    assert_eq!(executions(&world).len(), 1);
}

#[tokio::test]
async fn events_out_of_order_lead_to_the_same_end() {
    let world = world().await;
    world.start().await;
    let agent = world.execution(0);
    world.step_functions().succeed(&agent).unwrap();
    let mut events = world.step_functions().events_of(&agent);
    events.reverse();
    world.build_events(&events).await;
    assert_eq!(phases(&world).await, ["1 step-functions succeeded"]);
    assert_eq!(world.told().await, ["build release succeeded", "run succeeded"]);
}

/// Its end is not known yet, and AWS does not document the answer.
#[tokio::test]
async fn a_stop_of_an_execution_that_has_ended_is_done() {
    let world = world().await;
    let run = world.start().await;
    world.step_functions().succeed(&world.execution(0)).unwrap();
    world.control(&json!({ "cancel": { "run": run } })).await.unwrap();
    assert_eq!(world.journal().of("states", "StopExecution").len(), 1);
    assert_eq!(world.journal().of("states", "DescribeExecution").len(), 1);
    let build = world.build("release").await;
    assert_eq!((build.status(), build.outbox.pending().len()), ("cancelled", 0));
}

/// The state machine starts another one with its own name and input: the event is an attempt's, and the execution is not.
#[tokio::test]
async fn an_execution_of_another_state_machine_is_no_agent() {
    let world = world().await;
    world.start().await;
    let agent = world.execution(0);
    tell(&world, &agent).await;
    let items = world.items().await;
    let mut event = world.step_functions().events_of(&agent)[0].clone();
    event["detail"]["status"] = json!("SUCCEEDED");
    for name in ["executionArn", "stateMachineArn"] {
        let arn = event["detail"][name].as_str().unwrap().replace("release", "other");
        event["detail"][name] = json!(arn);
    }
    let answer = world.build_event(&event).await.unwrap();
    assert!(
        answer[0].to_string().contains("in no cluster, project or state machine"),
        "{answer}"
    );
    assert_eq!(world.items().await, items);
    assert_eq!(phases(&world).await, ["1 step-functions running"]);
}

#[tokio::test]
async fn a_start_beyond_the_accounts_limit_waits() {
    let world = world().await;
    let limit = Fault::Error {
        status: 400,
        code: "ExecutionLimitExceeded".to_owned(),
        message: "Max open executions".to_owned(),
    };
    let rule = Rule::new("states", "StartExecution", limit).times(Times::Always);
    world.faults().inject(rule);
    world.start().await;
    let build = world.build("release").await;
    assert_eq!(build.status(), "queued");
    assert_eq!(
        build.attempts[0].last_refusal.as_deref(),
        Some("ExecutionLimitExceeded: Max open executions")
    );
    world.faults().clear();
    world.sweep_after(6 * MINUTE).await.unwrap();
    assert_eq!(phases(&world).await, ["1 step-functions launching"]);
}

#[tokio::test]
async fn a_state_machine_that_is_not_there_ends_the_build() {
    let world = world().await;
    world.start().await;
    let machine = executions(&world)[0].state_machine.clone();
    world.step_functions().fail(&world.execution(0), "Tests", "red").unwrap();
    world.step_functions().delete_state_machine(&machine);
    tell(&world, &world.execution(0)).await;
    for _ in 0..3 {
        world.sweep_after(MINUTE).await.unwrap();
    }
    let build = world.build("release").await;
    assert_eq!(build.status(), "infrastructure-failed");
    let cause = cause(&build).unwrap();
    assert!(cause.contains("StateMachineDoesNotExist") && cause.contains(&machine), "{cause}");
}
