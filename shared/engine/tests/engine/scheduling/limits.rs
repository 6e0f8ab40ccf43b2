//! Limits of agent templates: who gets a place, who waits, and what a place that is lost costs.

use std::time::Duration;

use bellhop_domain::build::Refusal;
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::queue::line::Waiting;
use bellhop_domain::queue::pool::{AUDIT_EVERY, Pool};
use bellhop_engine::records::read;
use futures::future::join_all;
use jiff::Timestamp;

use super::live;
use crate::world::{RUNNING, SUITE, World, calls, job, push};

pub(super) fn limited(most: u32) -> World {
    let world = World::new();
    world.configure_with(&format!("    max-concurrent: {most}"));
    world
}

pub(super) async fn pool_of(world: &World) -> Pool {
    let pool = world.records().load::<Pool>(&"small".parse().unwrap()).await.unwrap();
    pool.unwrap().record
}

/// The builds in line, by their jobs' names.
pub(super) async fn line(world: &World) -> Vec<Waiting> {
    let found = world.records().next_in_partition("WAITING#small", "WAITING#", 1_000).await.unwrap();
    found.iter().map(|text| read::<Waiting>(text).unwrap().record).collect()
}

pub(super) async fn end(world: &World, id: &BuildId) {
    world.seen(id, RUNNING).await.unwrap();
    world.exits(id, 0).await;
}

#[tokio::test]
async fn no_more_run_than_there_are_places_and_the_first_to_come_are_the_first_to_run() {
    let world = limited(2);
    let mut runs = Vec::new();
    for trigger in ["a", "b", "c", "d", "e"] {
        runs.push(job(&world.started(trigger).await, "test"));
    }
    assert_eq!(live(&world), 2);
    let mut order: Vec<usize> = Vec::new();
    for _ in 0..5 {
        let mut running = None;
        for (index, id) in runs.iter().enumerate() {
            if world.build(id).await.status() == "launching" && running.is_none() {
                running = Some(index);
            }
        }
        order.extend(running);
        end(&world, &runs[running.unwrap()]).await;
        assert!(live(&world) <= 2);
    }
    assert_eq!(order, [0, 1, 2, 3, 4]);
    let pool = pool_of(&world).await;
    assert_eq!((pool.holders.len(), pool.queued, pool.due()), (0, false, None));
}

#[tokio::test]
async fn many_at_once_share_the_places() {
    let world = limited(3);
    let starter = world.starter();
    let pushes: Vec<_> = (0..20).map(|index| push(&format!("p{index}"))).collect();
    for started in join_all(pushes.iter().map(|push| starter.push(push))).await {
        // The sweep helps a build that had too many write conflicts at the pool.
        assert!(started.is_ok() || started.is_err_and(|fault| fault.to_string().contains("in a row")));
    }
    let ids: Vec<BuildId> = pushes
        .iter()
        .map(|push| job(&RunId::derive(SUITE, &push.trigger, &push.reference), "test"))
        .collect();
    for _ in 0..60 {
        world.sweep().await.unwrap();
        assert!(live(&world) <= 3, "{:?}", world.agents.live());
        for id in &ids {
            if matches!(world.build(id).await.status(), "launching" | "running") {
                end(&world, id).await;
                break;
            }
        }
    }
    for id in &ids {
        assert_eq!(world.build(id).await.outcome(), Some(Outcome::Succeeded));
    }
}

#[tokio::test]
async fn a_replacement_takes_over_its_builds_place() {
    let world = limited(1);
    let first = job(&world.started("a").await, "test");
    let second = job(&world.started("b").await, "test");
    world.seen(&first, RUNNING).await.unwrap();
    world
        .seen(&first, bellhop_domain::executor::observation::AgentStatus::Interrupted)
        .await
        .unwrap();
    assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
    assert_eq!(world.build(&second).await.status(), "queued");
}

#[tokio::test]
async fn a_build_that_waits_too_long_for_a_place_says_so() {
    let world = limited(1);
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, queue-timeout: 10m }\n");
    world.started("a").await;
    let second = job(&world.started("b").await, "test");
    world.clock.pass(Duration::from_secs(601));
    world.sweep().await.unwrap();
    let build = world.build(&second).await;
    assert_eq!(build.outcome(), Some(Outcome::TimedOut));
    let bellhop_domain::build::BuildState::Finished { cause: Some(cause), .. } = build.state else {
        panic!("not over")
    };
    assert_eq!(
        cause,
        "no agent within its queue-timeout of 10m: all 1 slots of the agent `small` were in use"
    );
    world.sweep().await.unwrap();
    assert_eq!((pool_of(&world).await.holders.len(), line(&world).await), (1, vec![]));
}

#[tokio::test]
async fn a_slot_that_was_not_released_is_found_by_the_audit() {
    let world = limited(1);
    let ghost = "zzzzzzzzzz/test".parse().unwrap();
    let mut pool = bellhop_domain::queue::pool::Pool::new("small".parse().unwrap(), Timestamp::from_second(1_790_000_000).unwrap());
    pool.limit = 1;
    pool.holders.insert(ghost, pool.audited);
    world.records().store(0, &pool).await.unwrap();
    let waiting = job(&world.started("a").await, "test");
    assert_eq!(world.build(&waiting).await.status(), "queued");
    world.clock.pass(AUDIT_EVERY);
    world.sweep().await.unwrap();
    assert_eq!(world.build(&waiting).await.status(), "launching");
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_builds_that_cannot_be_launched_is_worked_off_without_end_of_stack() {
    let world = limited(1);
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, retry: never }\n");
    // The one place is taken, so that the others queue up behind it.
    let first = job(&world.started("first").await, "test");
    let never = || Refusal::Invalid("no such cluster".to_owned());
    world
        .agents
        .refusals
        .lock()
        .unwrap()
        .extend(std::iter::repeat_with(never).take(400));
    let mut others = Vec::new();
    for index in 0..100 {
        others.push(job(&world.started(&format!("p{index}")).await, "test"));
    }
    end(&world, &first).await;
    for _ in 0..40 {
        world.sweep().await.unwrap();
    }
    for id in &others {
        assert_eq!(world.build(id).await.outcome(), Some(Outcome::InfrastructureFailed));
    }
}
