//! What the engine counts: once however often something is told, and how long the oldest work has been overdue.

use std::time::Duration;

use bellhop_domain::executor::Capacity::Spot;
use bellhop_domain::measure::Measure;
use bellhop_domain::outcome::Outcome;
use bellhop_engine::ports::Clock;
use jiff::Timestamp;

use crate::world::{RUNNING, World, job};

fn counted(world: &World) -> Vec<Measure> {
    let mut counted = std::mem::take(&mut *world.meter.0.lock().unwrap());
    // How long things take here is the clock's business, which goes a millisecond further with each look.
    for measure in &mut counted {
        if let Measure::Queued(took) | Measure::Agent(_, took) = measure {
            *took = Duration::ZERO;
        }
    }
    counted
}

#[tokio::test]
async fn what_happens_to_a_build_is_counted_once_however_often_it_is_told() {
    let world = World::new();
    let id = job(&world.started("one").await, "test");
    assert_eq!(counted(&world), [Measure::Attempt, Measure::Queued(Duration::ZERO)]);
    world.seen(&id, RUNNING).await.unwrap();
    for _ in 0..3 {
        world.exits(&id, 0).await;
    }
    assert_eq!(
        counted(&world),
        [Measure::Agent(Spot, Duration::ZERO), Measure::Build(Outcome::Succeeded)]
    );
}

#[tokio::test]
async fn a_sweep_counts_how_long_the_oldest_has_been_overdue() {
    let world = World::new();
    world.sweep().await.unwrap();
    assert_eq!(counted(&world), []);
    let id = job(&world.started("one").await, "test");
    counted(&world);
    let due = world.build(&id).await.due().unwrap();
    let until = Duration::try_from(due.duration_since(world.clock.now())).unwrap();
    // What a sweep finds in its own pace is not overdue.
    world.clock.pass(until + Duration::from_secs(90));
    world.engine().sweep(Timestamp::MAX).await.unwrap();
    assert!(!counted(&world).iter().any(|measure| matches!(measure, Measure::Overdue(_))));
    let due = world.build(&id).await.due().unwrap();
    world.clock.pass(Duration::from_secs(3600));
    let now = world.clock.now();
    world.engine().sweep(Timestamp::MAX).await.unwrap();
    let Some(Measure::Overdue(overdue)) = counted(&world).first().copied() else {
        panic!("the sweep has counted nothing")
    };
    let expected = Duration::try_from(now.duration_since(due)).unwrap();
    assert!(
        overdue >= expected && overdue < expected + Duration::from_secs(1),
        "{overdue:?} for {expected:?}"
    );
}
