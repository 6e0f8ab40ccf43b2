//! Timers: what is processed at its time and not with the next sweep, and which timers are set.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::build::Refusal;
use bellhop_domain::ids::BuildId;
use bellhop_engine::ports::Key;
use bellhop_engine::{Swept, TIMERS_AHEAD};
use jiff::Timestamp;

use crate::world::{RUNNING, World, calls, job};

/// The timers that were set, each with its wait in seconds, rounded up.
fn set(world: &World) -> Vec<(u64, Key)> {
    let timers = world.timers.taken();
    timers
        .into_iter()
        .map(|(wait, key)| (wait.as_secs_f64().ceil() as u64, key))
        .collect()
}

fn key(id: &BuildId) -> Key {
    Key::new(format!("RUN#{}", id.run), format!("BUILD#{}", id.job))
}

/// The next launch is refused.
fn refuse(world: &World, refusal: Refusal) {
    world.agents.refusals.lock().unwrap().push_back(refusal);
}

async fn goes_off(world: &World, id: &BuildId, after: u64) -> Swept {
    world.clock.pass(Duration::from_secs(after));
    world.engine().timed(vec![key(id)], Timestamp::MAX).await.unwrap()
}

#[tokio::test]
async fn what_failed_is_tried_again_soon_and_then_less_and_less_often() {
    let world = World::new();
    world.agents.lost_replies.store(4, Ordering::SeqCst);
    world.starter().push(&crate::world::push("one")).await.unwrap_err();
    let id = world.timers.taken().pop().map(|(_, key)| key).unwrap();
    let id: BuildId = format!("{}/{}", id.name(), id.sort.trim_start_matches("BUILD#")).parse().unwrap();
    for (waited, next) in [(2, Some(4)), (4, Some(8)), (8, Some(16)), (16, None)] {
        world.clock.pass(Duration::from_secs(waited));
        let tried = world.engine().timed(vec![key(&id)], Timestamp::MAX).await;
        assert_eq!(tried.is_err(), next.is_some());
        assert_eq!(set(&world), next.map(|next| (next, key(&id))).into_iter().collect::<Vec<_>>());
    }
    assert_eq!(world.build(&id).await.status(), "launching");
    assert_eq!(world.agents.all().len(), 1, "each try had the same token");
}

#[tokio::test]
async fn a_refused_launch_has_a_timer_and_a_throttled_one_wakes_the_launcher() {
    for (refusal, woken) in [
        (Refusal::AccountLimit("no more vCPUs".to_owned()), "BUILD#test"),
        (Refusal::Throttled("Rate exceeded".to_owned()), "LAUNCHER"),
    ] {
        let world = World::new();
        refuse(&world, refusal);
        let id = job(&world.started("one").await, "test");
        let set = set(&world);
        let [(wait, key)] = &set[..] else { panic!("{set:?}") };
        assert_eq!((world.build(&id).await.status(), key.sort.as_str()), ("queued", woken));
        world.clock.pass(Duration::from_secs(*wait));
        let swept = world.engine().timed(vec![key.clone()], Timestamp::MAX).await.unwrap();
        assert_eq!(swept.advanced, 1);
        assert_eq!(world.build(&id).await.status(), "launching");
        assert_eq!(calls(&world).len(), 2);
    }
}

#[tokio::test]
async fn the_sweep_sets_the_timers_that_are_near() {
    let world = World::new();
    let id = job(&world.started("one").await, "test");
    world.seen(&id, RUNNING).await.unwrap();
    assert_eq!(set(&world), [], "most builds end before their timeout");
    // The last poll before the timeout brings the build among the timers.
    world.clock.pass(Duration::from_secs(3600 - 100));
    world.engine().sweep(Timestamp::MAX).await.unwrap();
    assert_eq!(set(&world), []);
    world.clock.pass(Duration::from_secs(60));
    world.engine().sweep(Timestamp::MAX).await.unwrap();
    assert_eq!(set(&world), [(40, key(&id))]);
    assert_eq!(goes_off(&world, &id, 41).await.advanced, 1);
    assert_eq!(world.build(&id).await.status(), "timed-out");
}

#[tokio::test]
async fn a_timer_that_goes_off_early_or_twice_changes_nothing() {
    let world = World::new();
    refuse(&world, Refusal::AccountLimit("no".to_owned()));
    let id = job(&world.started("one").await, "test");
    let wait = set(&world)[0].0;
    assert_eq!(goes_off(&world, &id, 1).await.advanced, 0);
    assert_eq!(goes_off(&world, &id, wait).await.advanced, 1);
    assert_eq!(goes_off(&world, &id, 0).await.advanced, 0);
    assert_eq!(world.agents.all().len(), 1);
    let both = world.engine().timed(vec![key(&id), key(&id)], Timestamp::MAX).await.unwrap();
    assert_eq!(both.due, 1);
}

#[tokio::test]
async fn a_timer_that_cannot_be_set_or_goes_off_never_is_made_up_for_by_the_sweep() {
    let world = World::new();
    world.timers.failing.store(1, Ordering::SeqCst);
    refuse(&world, Refusal::AccountLimit("no".to_owned()));
    let id = job(&world.started("one").await, "test");
    assert_eq!((world.build(&id).await.status(), set(&world)), ("queued", Vec::new()));
    assert!(TIMERS_AHEAD > Duration::from_secs(60));
    world.sweep().await.unwrap();
    assert_eq!(world.build(&id).await.status(), "launching");
}

#[tokio::test]
async fn a_sweep_that_cannot_set_timers_says_so() {
    let world = World::new();
    let id = job(&world.started("one").await, "test");
    world.seen(&id, RUNNING).await.unwrap();
    world.clock.pass(Duration::from_secs(3600 - 100));
    world.engine().sweep(Timestamp::MAX).await.unwrap();
    world.clock.pass(Duration::from_secs(60));
    world.timers.failing.store(1, Ordering::SeqCst);
    world.engine().sweep(Timestamp::MAX).await.unwrap_err();
}
