//! Locks of jobs: one build at a time, across runs.

use bellhop_domain::build::Slot;
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::queue::pool::Pool;
use bellhop_domain::run::RunEvent;

use crate::world::{RUNNING, World, calls, job};

const FILE: &str = "version: 1
jobs:
  staging: { agent: small, run: ./staging.sh, lock: staging }
  smoke: { agent: small, run: ./smoke.sh, lock: staging }
  lint: { agent: small, run: ./lint.sh }
";

fn world() -> World {
    let world = World::new();
    world.pipeline(FILE);
    world
}

/// The builds that have an agent, of these runs.
async fn active(world: &World, runs: &[&RunId]) -> Vec<BuildId> {
    let mut active = Vec::new();
    for run in runs {
        for name in ["staging", "smoke"] {
            let id = job(run, name);
            if matches!(world.build(&id).await.status(), "launching" | "running") {
                active.push(id);
            }
        }
    }
    active
}

#[tokio::test]
async fn builds_with_one_lock_run_one_after_the_other_also_across_runs() {
    let world = world();
    let first = world.started("one").await;
    let second = world.started("two").await;
    let third = world.started("three").await;
    let runs = [&first, &second, &third];
    let lints = calls(&world).iter().filter(|call| call.starts_with("lint/")).count();
    assert_eq!(lints, 3, "other jobs do not wait");
    let mut order = Vec::new();
    for _ in 0..6 {
        let now = active(&world, &runs).await;
        let [only] = now.as_slice() else { panic!("{now:?}") };
        world.seen(only, RUNNING).await.unwrap();
        world.exits(only, 0).await;
        order.push(only.clone());
    }
    let order: Vec<&RunId> = order.iter().map(|build| &build.run).collect();
    assert_eq!(
        order,
        [&first, &first, &second, &second, &third, &third],
        "first come, first served"
    );
    let lock = world
        .records()
        .load::<Pool>(&"lock/shop/staging".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((lock.record.holders.len(), lock.record.due()), (0, None));
}

#[tokio::test]
async fn a_waiting_build_says_what_it_waits_for_and_can_be_cancelled() {
    let world = world();
    let run = world.started("one").await;
    let waiting = world.build(&job(&run, "smoke")).await;
    assert_eq!(waiting.status(), "queued");
    assert_eq!(waiting.waits_because().as_deref(), Some("another build holds the lock `staging`"));
    let cancel = RunEvent::Cancel {
        job: None,
        outcome: Outcome::Cancelled,
        cause: "cancelled by hand".to_owned(),
    };
    world.engine().run(&run, cancel).await.unwrap();
    let smoke = world.build(&job(&run, "smoke")).await;
    assert_eq!((smoke.outcome(), smoke.lock), (Some(Outcome::Cancelled), Slot::Released));
    assert_eq!(
        world.build(&job(&run, "staging")).await.lock,
        Slot::Held,
        "its agent is not proven stopped"
    );
}
