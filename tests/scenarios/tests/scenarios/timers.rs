//! What has a time of its own happens at that time, without a sweep. The messages of the timer queue arrive in the machine's time.

use std::time::{Duration, Instant};

use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::json;

use crate::words::{MINUTE, SECOND, attempts};

/// How late a timer may be: the rest of a second that a delay in whole seconds rounds up, and what the local AWS takes.
const LATE: Duration = Duration::from_secs(2);

/// Waits until a timer goes off, and gives the time that it took.
async fn timer(world: &World) -> Duration {
    let begun = Instant::now();
    loop {
        if let Some(answer) = world.timed().await {
            answer.unwrap();
            return begun.elapsed();
        }
        assert!(begun.elapsed() < MINUTE, "no timer went off");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_launch_that_failed_is_tried_again_after_two_seconds() {
    let world = World::new().await;
    world
        .faults()
        .inject(Rule::new("ecs", "RunTask", Fault::ServerError).times(Times::Next(3)));
    world.push(&world.push_event()).await.unwrap_err();
    assert!(world.tasks().is_empty());

    let waited = timer(&world).await;

    assert_eq!(attempts(&world.build("test").await), ["1 spot launching"]);
    assert_eq!(world.tasks().len(), 1);
    assert!(waited > SECOND && waited < 2 * SECOND + LATE, "{waited:?}");
    assert!(world.timed().await.is_none(), "nothing else has a time of its own");
}

#[tokio::test]
async fn the_backoff_of_a_retry_ends_at_its_time() {
    let pipeline = "
version: 1
jobs:
  test: { agent: small, run: make test, retry: [{ on: failure, limit: 1, backoff: 4s }] }
";
    let world = World::with_pipeline(pipeline).await;
    world.start().await;
    let events = world.ecs().run(&world.task(0)).unwrap();
    world.task_events(&events).await;
    let events = world.ecs().exit(&world.task(0), 1).unwrap();
    world.task_events(&events).await;
    assert_eq!(world.build("test").await.status(), "queued");

    let waited = timer(&world).await;

    assert_eq!(world.tasks().len(), 2);
    assert!(waited > 2 * SECOND && waited < 4 * SECOND + LATE, "{waited:?}");
}

#[tokio::test]
async fn the_sweep_sets_the_timer_of_a_timeout_before_its_end() {
    let world = World::with_pipeline("version: 1\njobs: { test: { agent: small, run: make test, timeout: 3m } }\n").await;
    world.start().await;
    let events = world.ecs().run(&world.task(0)).unwrap();
    world.task_events(&events).await;
    assert!(world.timed().await.is_none());

    // Two seconds and a bit are left.
    let swept = world.sweep_after(3 * MINUTE - 3 * SECOND).await.unwrap();
    assert_eq!(swept, json!({ "due": 0, "advanced": 0, "left": 0 }));
    assert_eq!(world.build("test").await.status(), "running");
    let waited = timer(&world).await;

    assert_eq!(world.build("test").await.status(), "timed-out");
    assert!(waited < 3 * SECOND + LATE, "{waited:?}");
}
