//! Newer pushes that supersede older ones.

use bellhop_domain::ids::RunId;
use bellhop_domain::outcome::Outcome;
use bellhop_engine::Started;
use jiff::Timestamp;

use super::live;
use crate::world::{RUNNING, World, job, push};

const FILE: &str = "version: 1\njobs:\n  test: { agent: small, run: make }\n  deploy: { agent: small, run: make, needs: [test] }\n\
                        concurrency: { supersede: true, except: [release] }\n";

async fn pushed(world: &World, trigger: &str, branch: &str, second: i64) -> RunId {
    let push = bellhop_domain::run::trigger::Push {
        reference: format!("refs/heads/{branch}").parse().unwrap(),
        at: Some(Timestamp::from_second(1_790_000_000 + second).unwrap()),
        ..push(trigger)
    };
    match world.starter().push(&push).await.unwrap() {
        Started::Run { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_newer_push_stops_what_runs_for_the_older_one() {
    let world = World::new();
    world.pipeline(FILE);
    let old = pushed(&world, "a", "main", 1).await;
    world.seen(&job(&old, "test"), RUNNING).await.unwrap();
    let new = pushed(&world, "b", "main", 2).await;
    assert_eq!(world.run(&old).await.status(), "superseded");
    for name in ["test", "deploy"] {
        assert_eq!(world.build(&job(&old, name)).await.outcome(), Some(Outcome::Superseded));
    }
    assert_eq!(world.agents.stops.lock().unwrap().len(), 1);
    // A late exit 0 of the stopped task does not revive it.
    world.exits(&job(&old, "test"), 0).await;
    assert_eq!(world.build(&job(&old, "test")).await.outcome(), Some(Outcome::Superseded));
    assert_eq!(world.run(&new).await.status(), "open");
    assert_eq!(live(&world), 1);
}

#[tokio::test]
async fn an_older_push_that_comes_late_is_superseded_itself() {
    let world = World::new();
    world.pipeline(FILE);
    let new = pushed(&world, "b", "main", 2).await;
    let old = pushed(&world, "a", "main", 1).await;
    assert_eq!(world.run(&old).await.status(), "superseded");
    assert_eq!(world.run(&new).await.status(), "open");
}

#[tokio::test]
async fn other_branches_and_those_excepted_go_on() {
    let world = World::new();
    world.pipeline(FILE);
    let runs = [
        pushed(&world, "a", "main", 1).await,
        pushed(&world, "b", "next", 2).await,
        pushed(&world, "c", "release", 3).await,
        pushed(&world, "d", "release", 4).await,
    ];
    for run in &runs {
        assert_eq!(world.run(run).await.status(), "open");
    }
}
