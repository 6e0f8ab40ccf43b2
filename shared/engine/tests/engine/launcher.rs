//! The launch queue: who works it off, who wakes it, and in which order builds are launched.

use std::time::Duration;

use bellhop_domain::build::Refusal;
use bellhop_domain::queue::launcher::{Launcher, TURN};
use bellhop_engine::Swept;
use bellhop_engine::ports::{Clock as _, Key, Lane};
use bellhop_engine::records::Versioned;
use jiff::Timestamp;

use crate::world::{World, calls, job};

fn key() -> Key {
    Key::new("LAUNCHER#builds", "LAUNCHER")
}

/// So many launches to come are throttled.
fn throttle(world: &World, times: usize) {
    let slow = || Refusal::Throttled("Rate exceeded".to_owned());
    *world.agents.refusals.lock().unwrap() = std::iter::repeat_with(slow).take(times).collect();
}

fn in_seconds(world: &World, seconds: u64) -> Timestamp {
    world.clock.now().checked_add(Duration::from_secs(seconds)).unwrap()
}

async fn wake(world: &World) -> Swept {
    world.engine().timed(vec![key()], in_seconds(world, 58)).await.unwrap()
}

async fn launcher(world: &World) -> Option<Versioned<Launcher>> {
    world.records().load::<Launcher>(()).await.unwrap()
}

/// Another function has the turn.
async fn is_taken(world: &World) {
    let version = launcher(world).await.map_or(0, |stored| stored.version);
    let turn = Launcher::turn(600, world.clock.now());
    world.records().store(version, &turn).await.unwrap();
}

/// The launcher's wake-ups that were set, in seconds from now.
fn wake_ups(world: &World) -> Vec<u64> {
    let timers = world.timers.taken().into_iter().filter(|(_, of)| *of == key());
    timers.map(|(wait, _)| wait.as_secs_f64().ceil() as u64).collect()
}

#[tokio::test]
async fn a_throttled_build_wakes_the_launcher_which_launches_it_and_gives_its_turn_up() {
    let world = World::new();
    throttle(&world, 1);
    let id = job(&world.started("one").await, "test");
    assert_eq!(world.build(&id).await.status(), "queued");
    assert_eq!(wake_ups(&world).len(), 1);
    assert_eq!(wake(&world).await.advanced, 1);
    assert_eq!(world.build(&id).await.status(), "launching");
    let turn = launcher(&world).await.unwrap();
    assert!(!turn.record.is_taken(world.clock.now()));
    assert_eq!(wake_ups(&world), [TURN.as_secs()], "in case that it dies");
    // A wake-up that comes twice finds nothing, and takes no turn for that.
    assert_eq!(wake(&world).await, Swept::default());
    assert_eq!(launcher(&world).await.unwrap().version, turn.version);
    assert_eq!(calls(&world).len(), 2);
}

#[tokio::test]
async fn one_function_at_a_time_works_the_queue_off() {
    let world = World::new();
    throttle(&world, 1);
    let id = job(&world.started("one").await, "test");
    is_taken(&world).await;
    assert_eq!(wake(&world).await, Swept::default());
    world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
    assert_eq!((world.build(&id).await.status(), calls(&world).len()), ("queued", 1));
    // The one that has the turn is dead, and its turn ends.
    world.clock.pass(TURN);
    assert_eq!(wake(&world).await.advanced, 1);
    assert_eq!(world.build(&id).await.status(), "launching");
}

#[tokio::test]
async fn a_launch_does_not_overtake_the_queue() {
    let world = World::new();
    is_taken(&world).await;
    // A function that has met no throttling does not ask for the turn: it would delay every launch.
    let id = job(&world.started("zero").await, "test");
    assert_eq!((world.build(&id).await.status(), calls(&world).len()), ("launching", 1));
    throttle(&world, 1);
    world.started("first").await;
    wake_ups(&world);
    let id = job(&world.started("one").await, "test");
    assert_eq!((world.build(&id).await.status(), calls(&world).len()), ("queued", 2));
    let waits = world.build(&id).await.waits_because().unwrap();
    assert!(waits.contains("waits for its turn in the launch queue"), "{waits}");
    assert_eq!(wake_ups(&world).len(), 1);
    world.clock.pass(TURN);
    wake(&world).await;
    assert_eq!(world.build(&id).await.status(), "launching");
    // Without a turn, a launch is sent at once.
    world.started("two").await;
    assert_eq!(calls(&world).len(), 5);
}

#[tokio::test]
async fn a_launch_that_may_have_succeeded_does_not_queue() {
    let world = World::new();
    world.agents.lost_replies.store(1, std::sync::atomic::Ordering::SeqCst);
    world.starter().push(&crate::world::push("one")).await.unwrap_err();
    is_taken(&world).await;
    world.clock.pass(Duration::from_secs(3));
    let own = world.timers.taken().pop().unwrap().1;
    world.engine().timed(vec![own], Timestamp::MAX).await.unwrap();
    assert_eq!((calls(&world).len(), world.agents.live().len()), (2, 1));
}

#[tokio::test]
async fn a_turn_that_another_function_has_taken_is_over() {
    let world = World::new();
    throttle(&world, 100_000);
    world.started("one").await;
    let other = async {
        while launcher(&world).await.is_none() {
            tokio::task::yield_now().await;
        }
        is_taken(&world).await;
    };
    let (begun, until) = (world.clock.now(), in_seconds(&world, 58));
    let engine = world.engine();
    let (swept, ()) = futures::future::join(engine.timed(vec![key()], until), other).await;
    swept.unwrap();
    assert!(world.clock.now() < begun + TURN, "it stops at the half of its turn");
    assert_eq!(
        launcher(&world).await.unwrap().version,
        2,
        "it does not give up a turn that it has lost"
    );
}

#[tokio::test]
async fn a_turn_lasts_as_long_as_there_is_something_to_launch_and_its_rate_is_kept() {
    let world = World::new();
    throttle(&world, 100_000);
    world.started("one").await;
    wake_ups(&world);
    let until = in_seconds(&world, 58);
    world.engine().timed(vec![key()], until).await.unwrap();
    assert!(world.clock.now() >= until);
    let turn = launcher(&world).await.unwrap();
    assert!(turn.version > 10 && turn.record.per_minute == 120, "{turn:?}");
    // The next turn follows at once.
    let timers = wake_ups(&world);
    assert_eq!(
        (timers.last(), timers.iter().filter(|wait| **wait == 10).count()),
        (Some(&0), timers.len() - 1)
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_left_to_the_sweep() {
    let world = World::new();
    throttle(&world, 1);
    let id = job(&world.started("one").await, "test");
    *world.ledger.unreadable.lock().unwrap() = Some(id.clone());
    wake_ups(&world);
    world.engine().timed(vec![key()], in_seconds(&world, 58)).await.unwrap_err();
    assert_eq!(wake_ups(&world), [TURN.as_secs()], "no turn follows at once");
    *world.ledger.unreadable.lock().unwrap() = None;
    world.sweep().await.unwrap();
    assert_eq!(world.build(&id).await.status(), "launching");
}

#[tokio::test]
async fn a_new_build_comes_before_those_that_have_waited_for_long() {
    let world = World::new();
    let jobs: String = (0..60)
        .map(|number| format!("  job-{number}: {{ agent: small, run: make }}\n"))
        .collect();
    world.pipeline(&format!("version: 1\njobs:\n{jobs}"));
    throttle(&world, 61);
    let old = world.started("one").await;
    world.clock.pass(Duration::from_secs(20));
    world.pipeline("version: 1\njobs:\n  new: { agent: small, run: make }\n");
    let new = world.started("two").await;
    let before = calls(&world).len();
    wake(&world).await;
    let order = calls(&world).split_off(before);
    let place = order.iter().position(|call| call.starts_with("new/")).unwrap();
    assert!(place < 4, "{place}");
    assert_eq!((order.len(), world.build(&job(&new, "new")).await.status()), (61, "launching"));
    assert_eq!(world.build(&job(&old, "job-59")).await.status(), "launching");
    let due = world.records().due(Lane::Launches, Timestamp::MAX, 100).await.unwrap();
    assert_eq!(due, []);
}
