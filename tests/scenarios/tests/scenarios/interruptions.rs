//! Spot capacity is taken back.

use bellhop_domain::executor::{Capacity, LaunchId};
use bellhop_domain::ids::AttemptId;
use bellhop_domain::outcome::Outcome;
use bellhop_scenarios::{LocalAws, World, script_report};
use serde_json::json;

use crate::words::{MINUTE, attempts, cause};

#[tokio::test]
async fn a_first_attempt_that_finishes_within_its_two_minutes_counts() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    world.is_warned(&first).await;
    let second = world.task(1);
    world.runs(&second).await;

    world.reports(&first, &script_report(0)).await;
    world.is_interrupted(&first, 0).await;

    let build = world.build("test").await;
    assert_eq!(build.outcome(), Some(Outcome::Succeeded));
    assert_eq!(attempts(&build), ["1 spot succeeded", "2 on-demand stopping"]);
    let stops = world.journal().of("ecs", "StopTask");
    assert_eq!(stops.len(), 1);
    assert_eq!(stops[0].request.as_ref().unwrap()["task"], json!(second));
    assert_eq!(
        world.ecs().task(&second).unwrap().stopped_reason.unwrap(),
        "bellhop: the build is over"
    );
    let messages = world.messages().await;
    let of_build = messages.iter().find(|message| message.line() == "build test succeeded").unwrap();
    assert_eq!(
        (&of_build.document["attempt"], &of_build.document["capacity"]),
        (&json!(1), &json!("spot"))
    );

    world.task_events(&world.ecs().settle_stop(&second, 143).unwrap()).await;
    let build = world.build("test").await;
    assert_eq!(build.outcome(), Some(Outcome::Succeeded));
    assert_eq!(attempts(&build), ["1 spot succeeded", "2 on-demand stopped"]);
    assert!(build.due().is_none());
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_replacement_that_succeeds_first_counts_and_the_first_attempt_is_stopped() {
    let world = World::new().await;
    world.start().await;
    let (first, second) = {
        world.runs(&world.task(0)).await;
        world.is_warned(&world.task(0)).await;
        (world.task(0), world.task(1))
    };
    world.runs(&second).await;
    world.exits(&second, 0).await;

    assert_eq!(world.build("test").await.outcome(), Some(Outcome::Succeeded));
    let stops = world.journal().of("ecs", "StopTask");
    assert_eq!(stops[0].request.as_ref().unwrap()["task"], json!(first));
    world.reports(&first, &script_report(0)).await;
    world.is_interrupted(&first, 0).await;
    assert_eq!(attempts(&world.build("test").await), ["1 spot stopped", "2 on-demand succeeded"]);
    assert_eq!(world.told().await, ["build test retrying", "build test succeeded", "run succeeded"]);
}

#[tokio::test]
async fn exit_code_0_alone_proves_nothing_in_an_interrupted_task() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    world.is_warned(&first).await;

    world.is_interrupted(&first, 0).await;

    let build = world.build("test").await;
    assert_eq!(attempts(&build), ["1 spot interrupted", "2 on-demand launching"]);
    assert_eq!(world.tasks().len(), 2);
    assert!(world.journal().of("ecs", "StopTask").is_empty());
}

#[tokio::test]
async fn a_script_that_gave_up_on_sigterm_with_exit_code_0_proves_nothing() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;

    let mut report = script_report(0);
    report["signalled"] = json!(true);
    world.reports(&first, &report).await;
    world.is_interrupted(&first, 0).await;

    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot interrupted", "2 on-demand launching"]
    );
}

#[tokio::test]
async fn a_script_that_fails_by_itself_within_the_window_leaves_the_verdict_to_the_replacement() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    world.is_warned(&first).await;

    world.reports(&first, &script_report(1)).await;
    world.is_interrupted(&first, 1).await;

    assert_eq!(attempts(&world.build("test").await), ["1 spot failed", "2 on-demand launching"]);
    world.runs(&world.task(1)).await;
    world.exits(&world.task(1), 0).await;
    assert_eq!(world.build("test").await.status(), "succeeded");
}

#[tokio::test]
async fn a_job_with_side_effects_is_relaunched_when_its_first_attempt_has_stopped() {
    let world = World::with_pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, relaunch: stopped }\n").await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;

    world.is_warned(&first).await;
    assert_eq!(attempts(&world.build("test").await), ["1 spot being interrupted"]);
    assert_eq!(world.tasks().len(), 1);
    assert!(world.told().await.is_empty());

    world.is_interrupted(&first, 143).await;
    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot interrupted", "2 on-demand launching"]
    );
    assert_eq!(world.told().await, ["build test retrying"]);
}

#[tokio::test]
async fn without_a_retry_left_an_interruption_is_the_outcome() {
    let world = World::with_pipeline(
        "version: 1\njobs:\n  test: { agent: small, run: make test, retry: [ { on: interrupted, limit: 1, capacity: spot } ] }\n",
    )
    .await;
    world.start().await;
    for place in [0, 1] {
        let task = world.task(place);
        assert_eq!(world.tasks()[place].capacity, "FARGATE_SPOT");
        world.runs(&task).await;
        world.is_warned(&task).await;
        world.is_interrupted(&task, 143).await;
    }
    let build = world.build("test").await;
    assert_eq!(build.status(), "interrupted");
    assert_eq!(cause(&build).unwrap(), "AWS reclaimed its Spot capacity");
    assert_eq!(attempts(&build), ["1 spot interrupted", "2 spot interrupted"]);
    assert_eq!(
        world.told().await,
        ["build test interrupted", "build test retrying", "run interrupted"]
    );
}

#[tokio::test]
async fn a_retry_that_is_interrupted_too_waits_until_one_of_the_two_is_gone() {
    let world = World::with_pipeline(
        "version: 1\njobs:\n  test: { agent: small, run: make test, retry: [ { on: interrupted, limit: 2, capacity: spot } ] }\n",
    )
    .await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    world.is_warned(&first).await;
    let second = world.task(1);
    world.runs(&second).await;
    world.is_warned(&second).await;
    assert_eq!(world.tasks().len(), 2);

    world.is_interrupted(&first, 143).await;

    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot interrupted", "2 spot being interrupted", "3 spot launching"]
    );
    assert_eq!(world.tasks().len(), 3);
}

#[tokio::test]
async fn a_task_that_another_principal_spent_the_token_on_is_not_adopted() {
    let world = World::new().await;
    let push = world.push_event();
    // The token is not secret.
    let run = world
        .engine()
        .run_id(push["id"].as_str().unwrap(), &"refs/heads/main".parse().unwrap());
    let attempt = AttemptId {
        build: format!("{run}/test").parse().unwrap(),
        number: 1,
    };
    let request = json!({
        "cluster": "ci-spot",
        "taskDefinition": "bellhop-agent-small:1",
        "clientToken": LaunchId::first(attempt.clone(), Capacity::Spot).token(),
        "startedBy": attempt.started_by(),
        "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }],
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-0a"] } },
        "overrides": { "containerOverrides": [{ "name": "agent" }] },
    });
    let ecs = LocalAws::at(&world.stand_in.endpoint());
    ecs.ask("ecs", "AmazonEC2ContainerServiceV20141113.RunTask", request).await;
    let task = world.task(0);

    world.start().await;
    world.runs(&task).await;
    world.exits(&task, 0).await;
    world.sweep_after(2 * MINUTE).await.unwrap();

    assert_eq!(world.tasks().len(), 1, "under another token there could be two agents");
    let build = world.build("test").await;
    assert_eq!((build.status(), &build.attempts[0].agent), ("infrastructure-failed", &None));
    assert!(
        build
            .cause()
            .unwrap()
            .contains(&format!("for the task {task}, which another principal")),
        "{:?}",
        build.cause()
    );
    assert!(world.journal().of("ecs", "StopTask").is_empty());
}

#[tokio::test]
async fn a_second_task_in_an_attempts_name_is_neither_adopted_nor_stopped() {
    let world = World::new().await;
    let run = world.start().await;
    let request = json!({
        "cluster": "ci-spot",
        "taskDefinition": "bellhop-agent-small",
        "startedBy": format!("bellhop/{run}/test/1"),
        "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }],
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-0a"] } },
        "overrides": { "containerOverrides": [{ "name": "agent" }] },
    });
    let ecs = LocalAws::at(&world.stand_in.endpoint());
    ecs.ask("ecs", "AmazonEC2ContainerServiceV20141113.RunTask", request).await;
    let imitation = world.task(1);

    world.runs(&imitation).await;
    world.task_events(&world.ecs().exit(&imitation, 0).unwrap()).await;

    let build = world.build("test").await;
    assert_eq!(attempts(&build), ["1 spot launching"]);
    assert_eq!(build.attempts[0].agent.as_ref().unwrap().as_str(), world.task(0));
    assert!(build.strays.is_empty());
    assert!(world.journal().of("ecs", "StopTask").is_empty());
}
