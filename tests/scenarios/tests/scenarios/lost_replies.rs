//! A request may take effect and its reply get lost.

use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};

use crate::words::{MINUTE, attempts};

/// As often as the SDK tries a request.
const ALL_TRIES: Times = Times::Next(3);

#[tokio::test]
async fn a_launch_whose_reply_is_lost_once_is_repeated_under_its_token() {
    let world = World::new().await;
    world.faults().inject(Rule::new("ecs", "RunTask", Fault::LoseReply));

    world.start().await;

    assert_eq!(world.journal().of("ecs", "RunTask").len(), 2);
    assert_eq!(world.tasks().len(), 1);
    assert_eq!(
        world.build("test").await.attempts[0].agent.as_ref().unwrap().as_str(),
        world.task(0)
    );
}

#[tokio::test]
async fn a_launch_whose_every_reply_is_lost_is_found_by_the_sweep() {
    let world = World::new().await;
    world
        .faults()
        .inject(Rule::new("ecs", "RunTask", Fault::LoseReply).times(ALL_TRIES));

    world.push(&world.push_event()).await.unwrap_err();
    assert_eq!(world.tasks().len(), 1);
    assert_eq!(world.build("test").await.attempts[0].agent, None);

    world.sweep_after(2 * MINUTE).await.unwrap();

    assert_eq!(world.tasks().len(), 1);
    let build = world.build("test").await;
    assert_eq!(build.attempts[0].agent.as_ref().unwrap().as_str(), world.task(0));
    assert!(build.outbox.pending().is_empty());
    world.runs(&world.task(0)).await;
    world.exits(&world.task(0), 0).await;
    assert_eq!(world.build("test").await.status(), "succeeded");
}

#[tokio::test]
async fn a_launch_whose_every_reply_is_lost_is_known_by_its_first_event() {
    let world = World::new().await;
    world
        .faults()
        .inject(Rule::new("ecs", "RunTask", Fault::LoseReply).times(ALL_TRIES));
    world.push(&world.push_event()).await.unwrap_err();
    let task = world.task(0);

    world.task_events(&world.ecs().events_of(&task)).await;

    let build = world.build("test").await;
    assert_eq!(build.attempts[0].agent.as_ref().unwrap().as_str(), task);
    assert!(build.outbox.pending().is_empty());
    let mark = world.journal().mark();
    world.sweep_after(2 * MINUTE).await.unwrap();
    let asked = World::requests(&world.journal().since(mark));
    assert!(!asked.contains(&"ecs RunTask".to_owned()), "{asked:?}");
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn a_push_that_comes_again_after_its_launch_was_lost_launches_nothing() {
    let world = World::new().await;
    world
        .faults()
        .inject(Rule::new("ecs", "RunTask", Fault::LoseReply).times(ALL_TRIES));
    world.push(&world.push_event()).await.unwrap_err();

    let answer = world.push(&world.push_event()).await.unwrap();

    assert_eq!(answer[0]["again"], true);
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn a_run_whose_creation_was_answered_into_the_void_is_launched_at_once_all_the_same() {
    let world = World::new().await;
    world.faults().inject(Rule::new("dynamodb", "TransactWriteItems", Fault::LoseReply));

    world.start().await;

    assert_eq!(world.journal().of("dynamodb", "TransactWriteItems").len(), 2);
    assert_eq!(world.run_ids().await.len(), 1);
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn a_decision_whose_commit_was_answered_into_the_void_is_performed_once() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    world.faults().inject(Rule::new("dynamodb", "PutItem", Fault::LoseReply));

    world.is_warned(&first).await;

    assert_eq!(world.tasks().len(), 2);
    assert_eq!(world.journal().of("ecs", "RunTask").len(), 2);
    assert_eq!(world.told().await, ["build test retrying"]);
    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot being interrupted", "2 on-demand launching"]
    );
}

#[tokio::test]
async fn a_decision_whose_every_commit_was_answered_into_the_void_is_performed_by_the_sweep() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    let warning = world.ecs().warn(&first).unwrap().remove(0);
    world
        .faults()
        .inject(Rule::new("dynamodb", "PutItem", Fault::LoseReply).times(ALL_TRIES));

    world.task_event(&warning).await.unwrap_err();
    assert_eq!(world.tasks().len(), 1);
    world.sweep_after(2 * MINUTE).await.unwrap();

    assert_eq!(world.tasks().len(), 2);
    assert_eq!(world.told().await, ["build test retrying"]);
    assert!(world.build("test").await.outbox.pending().is_empty());
}

#[tokio::test]
async fn a_rejection_whose_creation_was_answered_into_the_void_is_told_at_once_all_the_same() {
    let world = World::with_pipeline("version: 2\n").await;
    world.faults().inject(Rule::new("dynamodb", "PutItem", Fault::LoseReply));

    let answer = world.push(&world.push_event()).await.unwrap();

    assert!(answer[0]["rejected"].is_string(), "{answer}");
    assert_eq!(world.told().await, ["run rejected"]);
}

#[tokio::test]
async fn the_task_of_a_build_that_was_given_up_is_found_and_stopped() {
    let world = World::with_pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, queue-timeout: 10m }\n").await;
    world
        .faults()
        .inject(Rule::new("ecs", "RunTask", Fault::LoseReply).times(ALL_TRIES));
    world.push(&world.push_event()).await.unwrap_err();
    let task = world.task(0);

    world.sweep_after(11 * MINUTE).await.unwrap();

    let build = world.build("test").await;
    assert_eq!(build.status(), "timed-out");
    assert_eq!(attempts(&build), ["1 spot stopping"]);
    assert_eq!(
        world.ecs().task(&task).unwrap().stopped_reason.unwrap(),
        "bellhop: the build is over"
    );
    world.task_events(&world.ecs().settle_stop(&task, None).unwrap()).await;
    assert!(world.build("test").await.due().is_none());
    assert_eq!(world.told().await, ["build test timed-out", "run timed-out"]);
}
