//! How builds end.

use bellhop_scenarios::{World, script_report};
use serde_json::{Value, json};

use crate::words::{MINUTE, SECOND, attempts, cause};

/// A run whose one task is up.
async fn running(pipeline: &str) -> (World, String) {
    let world = World::with_pipeline(pipeline).await;
    world.start().await;
    let task = world.task(0);
    world.runs(&task).await;
    (world, task)
}

const PLAIN: &str = "version: 1\njobs:\n  test: { agent: small, run: make test }\n";
const SHORT: &str = "version: 1\njobs:\n  test: { agent: small, run: make test, timeout: 30m }\n";

#[tokio::test]
async fn a_failing_command_is_named_and_not_tried_again() {
    let (world, task) = running(PLAIN).await;
    let mut report = script_report(2);
    report["command"] = json!("cargo test --locked");
    report["line"] = json!(3);
    world.reports(&task, &report).await;

    world.exits(&task, 2).await;

    let expected = "`cargo test --locked` (line 3) ended with exit code 2";
    let build = world.build("test").await;
    assert_eq!(build.status(), "failed");
    assert_eq!(cause(&build), Some(expected));
    assert_eq!(world.tasks().len(), 1);
    let messages = world.messages().await;
    let of_build = messages.iter().find(|message| message.document["kind"] == "build").unwrap();
    assert_eq!(of_build.document["cause"], expected);
    assert_eq!(of_build.document["severity"], "error");
    assert_eq!(of_build.document["title"], format!("shop main: test failed: {expected}"));
    let of_run = messages.iter().find(|message| message.document["kind"] == "run").unwrap();
    assert_eq!(of_run.document["cause"], format!("test: {expected}"));
    assert_eq!(messages.len(), 2);
    assert_eq!(world.report().await["builds"][0]["cause"], expected);
}

#[tokio::test]
async fn a_failure_without_a_report_is_told_by_its_exit_code() {
    let (world, task) = running(PLAIN).await;
    world.exits(&task, 7).await;
    assert_eq!(cause(&world.build("test").await), Some("the script ended with exit code 7"));
}

#[tokio::test]
async fn a_report_that_is_none_does_not_change_the_verdict() {
    for report in [
        json!("what?"),
        json!({ "phase": "lunch", "exit-code": 0 }),
        Value::String("x".repeat(100_000)),
    ] {
        let (world, task) = running(PLAIN).await;
        world.reports(&task, &report).await;
        world.exits(&task, 7).await;
        assert_eq!(cause(&world.build("test").await), Some("the script ended with exit code 7"));
    }
}

#[tokio::test]
async fn a_container_that_runs_out_of_memory_is_a_failure_with_that_name() {
    let (world, task) = running(PLAIN).await;
    world.task_events(&world.ecs().out_of_memory(&task).unwrap()).await;

    let build = world.build("test").await;
    assert_eq!(build.status(), "failed");
    assert_eq!(cause(&build), Some("out of memory"));
    assert_eq!(world.tasks().len(), 1);
    assert_eq!(world.told().await, ["build test failed", "run failed"]);
}

#[tokio::test]
async fn an_exit_code_that_the_job_says_may_pass_is_tried_again_after_its_wait() {
    let (world, task) =
        running("version: 1\njobs:\n  test: { agent: small, run: make test, retry: [ { exit-codes: [75], limit: 1, backoff: 1m } ] }\n")
            .await;
    world.exits(&task, 75).await;

    assert_eq!(attempts(&world.build("test").await), ["1 spot failed", "2 spot waiting"]);
    assert_eq!(world.told().await, ["build test retrying"]);
    world.sweep().await.unwrap();
    assert_eq!(world.tasks().len(), 1);
    world.sweep_after(MINUTE).await.unwrap();
    let second = world.task(1);
    world.runs(&second).await;
    world.exits(&second, 75).await;
    assert_eq!(world.build("test").await.status(), "failed");
    assert_eq!(world.told().await, ["build test failed", "run failed"]);
}

#[tokio::test]
async fn an_agent_that_does_not_start_is_tried_again_after_a_while() {
    let world = World::new().await;
    world.start().await;
    let reason = "CannotPullContainerError: pull image manifest has been retried 5 time(s)";
    let fail = async |place: usize| {
        let events = world.ecs().fail_to_start(&world.task(place), reason).unwrap();
        world.task_events(&events).await;
    };

    fail(0).await;
    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot infrastructure-failed", "2 spot waiting"]
    );
    world.sweep().await.unwrap();
    assert_eq!(world.tasks().len(), 1);
    world.sweep_after(31 * SECOND).await.unwrap();
    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot infrastructure-failed", "2 spot launching"]
    );

    fail(1).await;
    world.sweep_after(31 * SECOND).await.unwrap();
    assert_eq!(world.tasks().len(), 2, "the second wait is longer");
    world.sweep_after(31 * SECOND).await.unwrap();
    fail(2).await;

    let build = world.build("test").await;
    assert_eq!(build.status(), "infrastructure-failed");
    assert_eq!(cause(&build), Some(format!("the agent did not start: {reason}").as_str()));
    assert_eq!(
        world.told().await,
        [
            "build test infrastructure-failed",
            "build test retrying",
            "build test retrying",
            "run infrastructure-failed"
        ]
    );
}

#[tokio::test]
async fn a_checkout_that_fails_is_the_infrastructures_failure() {
    let (world, task) = running(PLAIN).await;
    let report = json!({ "phase": "checkout", "exit-code": 128, "message": "fatal: unable to access the repository" });
    world.reports(&task, &report).await;
    world.exits(&task, 90).await;

    let build = world.build("test").await;
    assert_eq!(attempts(&build), ["1 spot infrastructure-failed", "2 spot waiting"]);
    let messages = world.messages().await;
    assert_eq!(
        messages[0].document["cause"],
        "the commit could not be checked out: fatal: unable to access the repository"
    );
}

#[tokio::test]
async fn retry_never_means_never() {
    let world = World::with_pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, retry: never }\n").await;
    world.start().await;
    world.runs(&world.task(0)).await;
    world.is_warned(&world.task(0)).await;
    assert_eq!(world.tasks().len(), 1);
    world.is_interrupted(&world.task(0), 143).await;
    assert_eq!(world.build("test").await.status(), "interrupted");
    assert_eq!(world.told().await, ["build test interrupted", "run interrupted"]);
}

#[tokio::test]
async fn a_build_that_runs_too_long_is_stopped_and_stays_timed_out() {
    let (world, task) = running(SHORT).await;

    world.sweep_after(29 * MINUTE).await.unwrap();
    assert_eq!(world.build("test").await.status(), "running");
    world.sweep_after(2 * MINUTE).await.unwrap();

    let build = world.build("test").await;
    assert_eq!(build.status(), "timed-out");
    assert_eq!(cause(&build), Some("it ran longer than its timeout of 30m"));
    let stopped = world.ecs().task(&task).unwrap();
    assert_eq!(stopped.stopped_reason.unwrap(), "bellhop: the build ran longer than its timeout");
    assert_eq!(world.told().await, ["build test timed-out", "run timed-out"]);

    world.task_events(&world.ecs().settle_stop(&task, 0).unwrap()).await;
    let build = world.build("test").await;
    assert_eq!(build.status(), "timed-out");
    assert_eq!(attempts(&build), ["1 spot timed-out"]);
    assert!(build.due().is_none());
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_task_that_does_not_heed_its_stop_is_told_again() {
    let (world, _) = running(SHORT).await;
    world.sweep_after(31 * MINUTE).await.unwrap();
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(world.journal().of("ecs", "StopTask").len(), 2);
    assert_eq!(world.told().await, ["build test timed-out", "run timed-out"]);
}

#[tokio::test]
async fn a_spot_agent_that_never_comes_up_is_followed_by_on_demand() {
    let world = World::new().await;
    world.start().await;
    let task = world.task(0);

    world.sweep_after(21 * MINUTE).await.unwrap();
    assert_eq!(
        world.ecs().task(&task).unwrap().stopped_reason.unwrap(),
        "bellhop: the agent did not start in time"
    );
    world.task_events(&world.ecs().settle_stop(&task, None).unwrap()).await;

    let build = world.build("test").await;
    assert_eq!(
        (attempts(&build), build.retries),
        (vec!["1 on-demand launching".to_owned()], vec![0, 0])
    );
}

#[tokio::test]
async fn a_task_that_ecs_forgot_is_lost_unless_its_agent_left_a_report() {
    for (report, status, story) in [
        (None, "queued", vec!["1 spot infrastructure-failed", "2 spot waiting"]),
        (Some(script_report(0)), "succeeded", vec!["1 spot succeeded"]),
        (Some(script_report(4)), "failed", vec!["1 spot failed"]),
    ] {
        let (world, task) = running(PLAIN).await;
        if let Some(report) = &report {
            world.reports(&task, report).await;
        }
        world.ecs().exit(&task, 0).unwrap();
        world.ecs().forget(&task).unwrap();

        world.sweep_after(6 * MINUTE).await.unwrap();

        let build = world.build("test").await;
        assert_eq!(build.status(), status, "{report:?}");
        assert_eq!(attempts(&build), story);
    }
}

#[tokio::test]
async fn a_task_that_somebody_stops_is_tried_again() {
    let (world, task) = running(PLAIN).await;
    let request = json!({ "cluster": "ci-spot", "task": task, "reason": "Task stopped by user" });
    let ecs = bellhop_scenarios::LocalAws::at(&world.stand_in.endpoint());
    ecs.ask("ecs", "AmazonEC2ContainerServiceV20141113.StopTask", request).await;
    world.ecs().settle_stop(&task, 143).unwrap();
    world.task_events(&world.ecs().events_of(&task)).await;

    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot infrastructure-failed", "2 spot waiting"]
    );
    let messages = world.messages().await;
    assert_eq!(
        messages[0].document["cause"],
        "the agent was stopped from outside Bellhop: Task stopped by user"
    );
}
