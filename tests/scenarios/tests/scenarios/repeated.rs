//! Everything may come more than once, and at the same time.

use std::collections::BTreeSet;

use bellhop_domain::outcome::Outcome;
use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use futures::future::join_all;

use crate::words::{MINUTE, attempts};

const COPIES: usize = 5;

#[tokio::test]
async fn a_push_that_is_delivered_five_times_at_once_starts_one_run() {
    let world = World::new().await;
    let push = world.push_event();

    let answers = join_all((0..COPIES).map(|_| world.push(&push))).await;

    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let started = answers.iter().filter(|answer| answer[0]["builds"] == 1).count();
    let again = answers.iter().filter(|answer| answer[0]["again"] == true).count();
    assert_eq!((started, again), (1, COPIES - 1), "{answers:?}");
    let runs: BTreeSet<_> = answers.iter().map(|answer| answer[0]["run"].to_string()).collect();
    assert_eq!(runs.len(), 1);
    assert_eq!(world.run_ids().await.len(), 1);
    assert_eq!(world.tasks().len(), 1);

    world.runs(&world.task(0)).await;
    world.exits(&world.task(0), 0).await;
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);
}

#[tokio::test]
async fn a_warning_that_is_delivered_five_times_at_once_starts_one_replacement() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    let warning = world.ecs().warn(&first).unwrap().remove(0);

    let answers = join_all((0..COPIES).map(|_| world.task_event(&warning))).await;

    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.tasks().len(), 2);
    assert_eq!(world.tasks()[1].capacity, "FARGATE");
    assert_eq!(world.journal().of("ecs", "RunTask").len(), 2);
    assert_eq!(world.told().await, ["build test retrying"]);
    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot being interrupted", "2 on-demand launching"]
    );

    let second = world.task(1);
    world.runs(&second).await;
    world.exits(&second, 0).await;
    let finished = world.build("test").await;
    assert_eq!(finished.outcome(), Some(Outcome::Succeeded));
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);

    world.is_interrupted(&first, 143).await;
    let build = world.build("test").await;
    assert_eq!(build.state, finished.state);
    assert_eq!(build.attempts.len(), 2);
    assert!(build.due().is_none());
    assert_eq!(world.tasks().len(), 2);
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn an_end_that_is_delivered_five_times_at_once_is_told_once() {
    let world = World::new().await;
    world.start().await;
    world.runs(&world.task(0)).await;
    let events = world.ecs().exit(&world.task(0), 1).unwrap();
    let stopped = events.last().unwrap();

    let answers = join_all((0..COPIES).map(|_| world.task_event(stopped))).await;

    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.told().await, ["build test failed", "run failed"]);
    assert_eq!(world.run().await.status(), "failed");
}

#[tokio::test]
async fn five_sweeps_at_once_launch_a_queued_build_once() {
    let world = World::new().await;
    let rule = Rule::new("ecs", "RunTask", Fault::AccountLimit).times(Times::Always);
    world.faults().inject(rule);
    world.start().await;
    world.faults().clear();
    world.clock.advance(MINUTE);

    let answers = join_all((0..COPIES).map(|_| world.sweep())).await;

    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.tasks().len(), 1);
    assert_eq!(attempts(&world.build("test").await), ["1 spot launching"]);
}

#[tokio::test]
async fn a_sweep_and_an_event_at_the_same_moment_agree() {
    let world = World::new().await;
    world.start().await;
    world.runs(&world.task(0)).await;
    let events = world.ecs().exit(&world.task(0), 0).unwrap();
    world.clock.advance(6 * MINUTE);

    let (swept, told) = tokio::join!(world.sweep(), world.task_event(events.last().unwrap()));

    swept.unwrap();
    told.unwrap();
    assert_eq!(attempts(&world.build("test").await), ["1 spot succeeded"]);
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);
}
