//! Agents that are builds of CodeBuild.

use std::time::Duration;

use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::{Value, json};

use crate::words::{MINUTE, attempts, cause};

/// For a build that runs.
const SOON: Duration = Duration::from_secs(30);
/// As often as the SDK tries a request.
const ALL_TRIES: Times = Times::Next(3);

const IMAGE: &str = r"
version: 1
jobs:
  image: { agent: docker, run: make image, environment: { TARGET: shop }, timeout: 10m, artifacts: ['out/*.tar'] }
";

async fn world() -> World {
    World::with_both_agents(IMAGE).await
}

fn started(world: &World) -> Vec<Value> {
    let requests = world.journal().of("codebuild", "StartBuild");
    requests.into_iter().map(|entry| entry.request.unwrap()).collect()
}

/// One of those again and again, and all of them, in an order of chance.
fn shuffled(events: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = events.iter().chain(events).chain(events).cloned().collect();
    fastrand::shuffle(&mut all);
    all
}

#[tokio::test]
async fn a_build_is_started_with_everything_that_it_needs_and_no_secret() {
    let world = world().await;
    let push = world.push_event();
    let commit = push["detail"]["commitId"].as_str().unwrap().to_owned();
    // What comes after the push is none of its business.
    world.commit(&[("later", "x")], "Later").await;
    let run = world.start_by(&push).await;

    let requests = started(&world);
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request["projectName"], "ci-docker");
    assert_eq!(request["sourceVersion"], commit);
    assert_eq!(request["sourceTypeOverride"], "CODECOMMIT");
    assert_eq!(
        request["sourceLocationOverride"],
        "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/shop"
    );
    assert!(request["buildspecOverride"].as_str().unwrap().contains("make image"));
    assert_eq!(request["idempotencyToken"].as_str().unwrap().len(), 40);
    assert_eq!(
        (&request["timeoutInMinutesOverride"], &request["autoRetryLimitOverride"]),
        (&json!(10), &json!(0))
    );
    let artifacts = &request["artifactsOverride"];
    assert_eq!(
        [&artifacts["location"], &artifacts["path"], &artifacts["name"]],
        [
            &json!(world.bucket()),
            &json!(format!("builds/shop/{run}/image/1")),
            &json!("artifacts")
        ]
    );
    let variables = request["environmentVariablesOverride"].as_array().unwrap();
    assert!(variables.iter().all(|variable| variable["type"] == "PLAINTEXT"), "{request}");
    let value = |name: &str| {
        variables
            .iter()
            .find(|variable| variable["name"] == name)
            .map(|variable| &variable["value"])
    };
    assert_eq!(value("TARGET"), Some(&json!("shop")));
    assert_eq!(value("BELLHOP_JOB"), Some(&json!("image")));
    assert_eq!(value("BELLHOP_ATTEMPT"), Some(&json!("1")));
    // The functions' own credentials among them.
    assert!(
        !request.to_string().contains("secret") && !request.to_string().contains("AWS_"),
        "{request}"
    );
}

#[tokio::test]
async fn a_build_that_succeeds_is_told_once() {
    let world = world().await;
    world.start().await;
    let agent = world.agent_build(0);
    world.build_runs(&agent).await;
    assert_eq!(attempts(&world.build("image").await), ["1 codebuild running"]);
    world.build_exits(&agent, 0).await;
    assert_eq!(attempts(&world.build("image").await), ["1 codebuild succeeded"]);
    assert_eq!(world.told().await, ["build image succeeded", "run succeeded"]);
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn the_log_that_is_shown_is_the_one_that_codebuild_writes() {
    let world = world().await;
    let run = world.start().await;
    let agent = world.agent_build(0);
    world.build_runs(&agent).await;
    world.build_exits(&agent, 1).await;
    let shown = world.control(&json!({ "show": { "run": run } })).await.unwrap();
    let last = world.codebuild().events_of(&agent).pop().unwrap();
    let logs = &last["detail"]["additional-information"]["logs"];
    assert_eq!(
        shown["builds"][0]["attempts"][0]["log"],
        json!({ "group": logs["group-name"], "stream": logs["stream-name"] })
    );
    assert!(logs["stream-name"].is_string());
}

#[tokio::test]
async fn events_in_any_order_and_number_give_one_outcome() {
    for exit_code in [0, 3] {
        let world = world().await;
        world.start().await;
        let agent = world.agent_build(0);
        world.codebuild().run(&agent).unwrap();
        world.codebuild().exit(&agent, exit_code).unwrap();
        let events = shuffled(&world.codebuild().events_of(&agent));
        assert!(events.len() > 20, "{}", events.len());

        world.build_events(&events).await;

        let outcome = if exit_code == 0 { "succeeded" } else { "failed" };
        assert_eq!(world.build("image").await.status(), outcome);
        assert_eq!(world.told().await, [format!("build image {outcome}"), format!("run {outcome}")]);
        assert_eq!(world.builds().len(), 1);
    }
}

#[tokio::test]
async fn the_events_of_all_attempts_mixed_up_give_one_outcome() {
    let world = world().await;
    world.start().await;
    let agent = world.agent_build(0);
    let lost = world
        .codebuild()
        .fail_to_provision(&agent, "VPC_CLIENT_ERROR", "Unexpected EC2 error")
        .unwrap();
    world.build_events(&lost).await;
    world.sweep_after(6 * MINUTE).await.unwrap();
    let second = world.agent_build(1);
    world.codebuild().exit(&second, 0).unwrap();
    let mut events = world.codebuild().events_of(&agent);
    events.extend(world.codebuild().events_of(&second));

    world.build_events(&shuffled(&events)).await;

    assert_eq!(
        attempts(&world.build("image").await),
        ["1 codebuild infrastructure-failed", "2 codebuild succeeded"]
    );
    assert_eq!(world.builds().len(), 2);
    assert_eq!(
        world.told().await,
        ["build image retrying", "build image succeeded", "run succeeded"]
    );
}

#[tokio::test]
async fn a_script_that_fails_is_not_run_again() {
    let world = world().await;
    world.start().await;
    world.build_exits(&world.agent_build(0), 2).await;

    let build = world.build("image").await;
    assert_eq!(build.status(), "failed");
    let cause = cause(&build).unwrap();
    assert!(cause.contains("exit code 2") || cause.contains("exit status 2"), "{cause}");
    world.sweep_after(10 * MINUTE).await.unwrap();
    assert_eq!(world.builds().len(), 1);
}

/// A world whose one build has run this script on CodeBuild, with its events, which were not delivered.
async fn failed(script: &str) -> (World, Vec<Value>) {
    let pipeline = json!({ "version": 1, "jobs": { "image": { "agent": "docker", "run": script } } });
    let world = World::with_running_builds(&pipeline.to_string()).await;
    world.start().await;
    let agent = world.agent_build(0);
    world.codebuild().wait_for_status(&agent, "FAILED", SOON).await.unwrap();
    let events = world.codebuild().events_of(&agent);
    (world, events)
}

async fn asks_and_cause(world: &World, events: &[Value]) -> (usize, String) {
    let mark = world.journal().mark();
    world.build_events(events).await;
    let asked = World::requests(&world.journal().since(mark));
    let asked = asked.iter().filter(|request| *request == "codebuild BatchGetBuilds").count();
    let cause = cause(&world.build("image").await).unwrap().to_owned();
    assert_eq!(world.told().await, ["build image failed", "run failed"]);
    (asked, cause)
}

#[tokio::test]
async fn a_script_that_fails_is_told_with_its_command_and_line() {
    let script = "echo \"ü\"\nbuild() {\n  sh -c 'exit 3' \"$CI\"\n}\nbuild\necho never\n";
    let words = "`sh -c 'exit 3' \"$CI\"` (line 3) ended with exit code 3";

    let (world, events) = failed(script).await;
    assert_eq!(asks_and_cause(&world, &events).await, (0, words.to_owned()));
    assert_eq!(world.codebuild().stdout(&world.agent_build(0)).unwrap(), "ü\n");

    // Events need not have the variables that a build exports. CodeBuild's answers do.
    let (world, mut events) = failed(script).await;
    for event in &mut events {
        let particulars = event["detail"]["additional-information"].as_object_mut().unwrap();
        particulars.remove("exported-environment-variables");
    }
    assert_eq!(asks_and_cause(&world, &events).await, (1, words.to_owned()));
}

#[tokio::test]
async fn a_script_that_ends_itself_is_told_with_its_exit_code() {
    for (script, words) in [
        ("exit 4", "the script ended with exit code 4"),
        ("#!/bin/sh\nset -e\nsh -c 'exit 5'", "the script ended with exit code 5"),
    ] {
        let (world, events) = failed(script).await;
        assert_eq!(asks_and_cause(&world, &events).await, (0, words.to_owned()));
    }
}

#[tokio::test]
async fn a_build_that_codebuild_itself_fails_is_tried_again() {
    let world = world().await;
    world.start().await;
    let agent = world.agent_build(0);
    world.build_runs(&agent).await;
    world.build_events(&world.codebuild().fault(&agent).unwrap()).await;
    world.sweep_after(6 * MINUTE).await.unwrap();

    assert_eq!(
        attempts(&world.build("image").await),
        ["1 codebuild infrastructure-failed", "2 codebuild launching"]
    );
    assert_ne!(started(&world)[0]["idempotencyToken"], started(&world)[1]["idempotencyToken"]);
}

#[tokio::test]
async fn a_start_whose_reply_is_lost_once_is_repeated_under_its_token() {
    let world = world().await;
    world.faults().inject(Rule::new("codebuild", "StartBuild", Fault::LoseReply));
    world.start().await;
    assert_eq!(started(&world).len(), 2);
    assert_eq!(started(&world)[0], started(&world)[1]);
    assert_eq!(world.builds().len(), 1);
}

#[tokio::test]
async fn a_start_whose_every_reply_is_lost_is_found_when_codebuild_has_forgotten_its_token() {
    let world = world().await;
    world
        .faults()
        .inject(Rule::new("codebuild", "StartBuild", Fault::LoseReply).times(ALL_TRIES));
    world.push(&world.push_event()).await.unwrap_err();
    assert_eq!(world.builds().len(), 1);
    assert_eq!(world.build("image").await.attempts[0].agent, None);
    world.codebuild().forget_tokens();

    world.sweep_after(6 * MINUTE).await.unwrap();

    assert_eq!(world.builds().len(), 1);
    let known = world.build("image").await.attempts[0].agent.clone();
    assert_eq!(known.unwrap().as_str(), world.agent_build(0));
    world.build_exits(&world.agent_build(0), 0).await;
    assert_eq!(world.build("image").await.status(), "succeeded");
}

#[tokio::test]
async fn a_start_whose_every_reply_is_lost_is_found_after_the_build_has_ended_unheard() {
    let world = world().await;
    world
        .faults()
        .inject(Rule::new("codebuild", "StartBuild", Fault::LoseReply).times(ALL_TRIES));
    world.push(&world.push_event()).await.unwrap_err();
    world.codebuild().exit(&world.agent_build(0), 0).unwrap();
    world.codebuild().forget_tokens();

    for _ in 0..4 {
        world.sweep_after(6 * MINUTE).await.unwrap();
    }

    assert_eq!(world.builds().len(), 1);
    assert_eq!(attempts(&world.build("image").await), ["1 codebuild succeeded"]);
}

async fn a_refused_start_waits(fault: Fault, words: &str) {
    let world = world().await;
    world
        .faults()
        .inject(Rule::new("codebuild", "StartBuild", fault).times(Times::Always));
    world.start().await;
    let build = world.build("image").await;
    assert_eq!(build.status(), "queued");
    let refusal = build.attempts[0].last_refusal.as_ref().unwrap();
    assert!(refusal.contains(words), "{refusal}");
    assert!(world.told().await.is_empty());

    world.faults().clear();
    world.sweep_after(6 * MINUTE).await.unwrap();
    assert_eq!(attempts(&world.build("image").await), ["1 codebuild launching"]);
    assert_eq!(world.builds().len(), 1);
}

#[tokio::test]
async fn a_start_beyond_the_accounts_limit_waits() {
    a_refused_start_waits(Fault::AccountLimit, "AccountLimitExceeded").await;
}

#[tokio::test]
async fn a_throttled_start_waits() {
    a_refused_start_waits(Fault::Throttle, "Throttling").await;
}

#[tokio::test]
async fn an_account_whose_queue_is_full_takes_the_next_build_when_one_is_over() {
    let file = "version: 1\njobs:\n  a: { agent: docker, run: x }\n  b: { agent: docker, run: x }\n";
    let world = World::with_both_agents(file).await;
    world.codebuild().set_account_limits(1, 0);
    world.start().await;
    assert_eq!(world.builds().len(), 1);
    world.sweep_after(6 * MINUTE).await.unwrap();
    assert_eq!(world.builds().len(), 1);

    world.build_exits(&world.agent_build(0), 0).await;
    world.sweep_after(6 * MINUTE).await.unwrap();
    assert_eq!(world.builds().len(), 2);
    world.build_exits(&world.agent_build(1), 0).await;
    assert_eq!(world.run().await.status(), "succeeded");
}

#[tokio::test]
async fn a_build_whose_event_does_not_name_it_is_asked_for() {
    let world = world().await;
    world.start().await;
    let agent = world.agent_build(0);
    world.codebuild().exit(&agent, 0).unwrap();
    let mut event = world.codebuild().events_of(&agent).pop().unwrap();
    assert_eq!(event["detail-type"], "CodeBuild Build State Change");
    event["detail"].as_object_mut().unwrap().remove("additional-information").unwrap();

    let mark = world.journal().mark();
    world.build_event(&event).await.unwrap();

    assert!(World::requests(&world.journal().since(mark)).contains(&"codebuild BatchGetBuilds".to_owned()));
    assert_eq!(world.build("image").await.status(), "succeeded");
}

#[tokio::test]
async fn builds_that_are_nobodys_agents_are_passed_over() {
    let world = world().await;
    world.start().await;
    let agent = world.agent_build(0);
    let mut event = world.codebuild().run(&agent).unwrap().remove(0);
    event["detail"]["additional-information"]["environment"]["environment-variables"] = json!([]);
    let items = world.items().await;
    let answer = world.build_event(&event).await.unwrap();
    assert!(answer[0]["skipped"].is_string(), "{answer}");
    assert_eq!(world.items().await, items);
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_stopped() {
    let world = world().await;
    world.start().await;
    let agent = world.agent_build(0);
    world.build_runs(&agent).await;

    world.sweep_after(11 * MINUTE).await.unwrap();
    let stops = world.journal().of("codebuild", "StopBuild");
    assert_eq!(stops.len(), 1);
    assert_eq!(world.codebuild().build(&agent).unwrap().status, "STOPPED");
    world.build_events(&world.codebuild().events_of(&agent)).await;

    assert_eq!(world.build("image").await.status(), "timed-out");
    assert_eq!(world.told().await, ["build image timed-out", "run timed-out"]);
}

#[tokio::test]
async fn a_build_that_codebuild_times_out_first_is_timed_out() {
    let world = world().await;
    world.start().await;
    let agent = world.agent_build(0);
    world.build_runs(&agent).await;
    world.build_events(&world.codebuild().time_out(&agent).unwrap()).await;
    assert_eq!(world.build("image").await.status(), "timed-out");
}

#[tokio::test]
async fn a_build_whose_events_are_all_lost_is_found_by_the_sweep() {
    let world = world().await;
    world.start().await;
    let agent = world.agent_build(0);
    world.codebuild().run(&agent).unwrap();
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(attempts(&world.build("image").await), ["1 codebuild running"]);

    world.codebuild().exit(&agent, 1).unwrap();
    let mark = world.journal().mark();
    world.sweep_after(6 * MINUTE).await.unwrap();

    assert!(World::requests(&world.journal().since(mark)).contains(&"codebuild BatchGetBuilds".to_owned()));
    assert_eq!(world.build("image").await.status(), "failed");
    assert_eq!(world.told().await, ["build image failed", "run failed"]);
}

#[tokio::test]
async fn a_project_that_is_not_there_ends_the_build() {
    let world = world().await;
    world.codebuild().delete_project("ci-docker");
    world.start().await;
    let build = world.build("image").await;
    assert_eq!(build.status(), "infrastructure-failed");
    assert!(cause(&build).unwrap().contains("ci-docker"), "{:?}", cause(&build));
}
