//! Builds in line for a place: whose turn it is, and functions that die on the way.

use std::pin::pin;

use bellhop_domain::executor::observation::AgentStatus;
use bellhop_domain::ids::BuildId;
use bellhop_domain::queue::pool::WaitingBefore;
use bellhop_domain::run::trigger::Push;
use bellhop_engine::Started;
use bellhop_engine::ports::Written;
use bellhop_engine::records::Stored as _;

use super::limits::{end, limited, line, pool_of};
use crate::world::{RUNNING, World, exited, job, push};

/// More calls than any of these invocations makes.
const CALLS: usize = 400;

async fn started(world: &World, repository: &str, trigger: &str) -> BuildId {
    let push = Push {
        repository: repository.parse().unwrap(),
        ..push(trigger)
    };
    match world.starter().push(&push).await.unwrap() {
        Started::Run { id, .. } | Started::Again(id) => job(&id, "test"),
        other => panic!("{other:?}"),
    }
}

async fn in_line(world: &World) -> Vec<BuildId> {
    line(world).await.into_iter().map(|waiting| waiting.build).collect()
}

async fn has_agent(world: &World, id: &BuildId) -> bool {
    matches!(world.build(id).await.status(), "launching" | "running")
}

async fn assert_empty(world: &World) {
    let pool = pool_of(world).await;
    assert_eq!((pool.holders.len(), pool.queued, pool.due()), (0, false, None), "{pool:?}");
    assert_eq!(line(world).await, []);
}

/// Whether a function got through all its calls. It has more than a few.
fn got_through(died: bool, times: usize) -> bool {
    assert!(died || times > 5, "{times}");
    !died
}

/// Lets an invocation die at the latest when it has given way so often: at every call of the ledger. Gives whether it did.
async fn dies<T>(times: usize, invocation: impl Future<Output = T>) -> bool {
    let mut invocation = pin!(invocation);
    for _ in 0..times {
        if futures::poll!(invocation.as_mut()).is_ready() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[tokio::test]
async fn repositories_take_turns() {
    let world = limited(1);
    let mut builds = Vec::new();
    for (repository, trigger) in [
        ("shop", "a"),
        ("shop", "b"),
        ("shop", "c"),
        ("till", "d"),
        ("till", "e"),
        ("bank", "f"),
    ] {
        builds.push(started(&world, repository, trigger).await);
    }
    // The first one of shop has its place; till comes after shop, and bank after till.
    for next in [0, 3, 5, 1, 4, 2] {
        let running: Vec<&BuildId> = builds.iter().collect();
        for (index, id) in running.iter().enumerate() {
            let is_launching = world.build(id).await.status() == "launching";
            assert_eq!(is_launching, index == next, "{index} instead of {next}");
        }
        end(&world, &builds[next]).await;
    }
    assert_empty(&world).await;
}

#[tokio::test]
async fn wherever_a_function_dies_that_queues_a_build_up_the_build_gets_its_place() {
    for times in 1..CALLS {
        let world = limited(1);
        let first = started(&world, "shop", "a").await;
        let starter = world.starter();
        let push = push("b");
        let died = dies(times, starter.push(&push)).await;
        // Lambda tries the push again.
        let second = started(&world, "shop", "b").await;
        world.sweep().await.unwrap();
        assert_eq!(in_line(&world).await, std::slice::from_ref(&second), "{times}");
        end(&world, &first).await;
        assert!(has_agent(&world, &second).await, "{times}");
        end(&world, &second).await;
        assert_empty(&world).await;
        if got_through(died, times) {
            return;
        }
    }
    panic!("it never got through");
}

#[tokio::test]
async fn wherever_a_function_dies_that_ends_a_build_its_place_goes_to_the_next_one() {
    for times in 1..CALLS {
        let world = limited(1);
        let [first, second, third] = [
            started(&world, "shop", "a").await,
            started(&world, "shop", "b").await,
            started(&world, "shop", "c").await,
        ];
        world.seen(&first, RUNNING).await.unwrap();
        let died = dies(times, world.seen(&first, AgentStatus::Stopped(exited(0)))).await;
        if world.build(&first).await.outcome().is_none() {
            world.exits(&first, 0).await;
        }
        world.sweep().await.unwrap();
        assert!(has_agent(&world, &second).await, "{times}");
        assert_eq!(in_line(&world).await, std::slice::from_ref(&third), "{times}");
        end(&world, &second).await;
        end(&world, &third).await;
        assert_empty(&world).await;
        if got_through(died, times) {
            return;
        }
    }
    panic!("it never got through");
}

#[tokio::test]
async fn builds_that_waited_before_the_line_come_first() {
    let world = limited(1);
    let first = started(&world, "shop", "a").await;
    let before = started(&world, "shop", "b").await;
    // As the version before stored it.
    let waiting = line(&world).await.pop().unwrap();
    world.records().remove(&waiting.key()).await.unwrap();
    let mut stored = world
        .records()
        .load::<bellhop_domain::queue::pool::Pool>(&waiting.pool)
        .await
        .unwrap()
        .unwrap();
    let (since, build) = (waiting.since, waiting.build);
    stored.record.waiting_before.insert(WaitingBefore { since, build });
    stored.record.queued = false;
    let written = world.records().store(stored.version, &stored.record).await.unwrap();
    assert!(matches!(written, Written::Stored(_)));
    let after = started(&world, "bank", "c").await;
    assert_eq!(in_line(&world).await, std::slice::from_ref(&after));
    end(&world, &first).await;
    assert_eq!(world.build(&before).await.status(), "launching");
    end(&world, &before).await;
    assert_eq!(world.build(&after).await.status(), "launching");
    end(&world, &after).await;
    assert_empty(&world).await;
}

/// A request to queue up was under way for so long that the build had its place meanwhile, and was over.
#[tokio::test]
async fn a_build_that_comes_back_into_line_takes_no_place_from_others() {
    let world = limited(1);
    let [first, second, third] = [
        started(&world, "shop", "a").await,
        started(&world, "shop", "b").await,
        started(&world, "shop", "c").await,
    ];
    let waiting = line(&world).await;
    end(&world, &first).await;
    for again in &waiting[..1] {
        // While it holds its place, and when it is over.
        for holder in [&second, &third] {
            world.records().store(0, again).await.unwrap();
            assert_eq!(world.build(holder).await.status(), "launching");
            end(&world, holder).await;
        }
    }
    world.sweep().await.unwrap();
    world.sweep().await.unwrap();
    let fourth = started(&world, "shop", "d").await;
    assert_eq!(world.build(&fourth).await.status(), "launching");
    end(&world, &fourth).await;
    assert_eq!(pool_of(&world).await.holders.len(), 0);
}
