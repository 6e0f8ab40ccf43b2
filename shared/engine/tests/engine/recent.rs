//! What a function remembers of its last events: it saves reads, and never decides by itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::build::BuildEvent;
use bellhop_domain::decision::Ignored;
use bellhop_domain::executor::observation::AgentStatus;
use bellhop_domain::ids::BuildId;
use bellhop_domain::outcome::Outcome;
use bellhop_engine::Handled;

use crate::world::{RUNNING, World, calls, job, stopped};

/// A build whose agent runs, in the memory of the function of `World`.
async fn running(world: &World) -> BuildId {
    let id = job(&world.started("one").await, "test");
    world.seen(&id, RUNNING).await.unwrap();
    id
}

fn reads(world: &World) -> usize {
    world.ledger.reads.swap(0, Ordering::SeqCst)
}

#[tokio::test]
async fn the_end_of_a_build_that_this_function_stored_is_decided_without_a_read_of_builds() {
    let world = World::new();
    let id = running(&world).await;
    let agent = world.agents.all()[0].clone();
    reads(&world);
    let end = || world.seen_of(&id, 1, agent.clone(), stopped(0));
    assert_eq!(end().await.unwrap(), Handled::Done);
    assert_eq!(reads(&world), 2, "the results of the branch, and the run");
    assert_eq!(end().await.unwrap(), Handled::Ignored(Ignored::AttemptOver));
    assert_eq!(reads(&world), 0, "the attempt is over for good");
    assert_eq!(world.run(&id.run).await.status(), "succeeded");

    // A function that has not stored it reads everything.
    let other = World::new();
    let id = running(&other).await;
    let agent = other.agents.all()[0].clone();
    reads(&other);
    let ended = other.of_another_function().seen_of(&id, 1, agent, stopped(0)).await;
    assert_eq!(ended.unwrap(), Handled::Done);
    assert_eq!(
        reads(&other),
        3,
        "the build as well; the builds of the report are those that it has just stored"
    );
}

#[tokio::test]
async fn what_another_function_stored_counts_although_this_one_remembers_an_older_state() {
    let world = World::new();
    let id = running(&world).await;
    let other = world.of_another_function();
    other.seen(&id, AgentStatus::Interrupted).await.unwrap();
    let second = other.build(&id).await.attempts[1].agent.clone().unwrap();
    // To what is remembered, the second agent is one that the build did not ask for, and would be stopped.
    world.seen_of(&id, 2, second, RUNNING).await.unwrap();
    assert!(world.agents.stops.lock().unwrap().is_empty());
    assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
    assert_eq!(world.build(&id).await.attempts.len(), 2);
}

#[tokio::test]
async fn an_event_without_news_for_what_is_remembered_is_compared_with_the_ledger() {
    let world = World::new();
    let id = running(&world).await;
    let agent = world.agents.all()[0].clone();
    let warned = world.seen(&id, AgentStatus::Interrupted).await.unwrap();
    assert_eq!(warned, Handled::Done);
    let other = world.of_another_function();
    other.seen_of(&id, 1, agent.clone(), stopped(0)).await.unwrap();
    let again = world.seen_of(&id, 1, agent, AgentStatus::Interrupted).await.unwrap();
    assert_eq!(again, Handled::Ignored(Ignored::AttemptOver), "as the other function has stored it");
}

#[tokio::test]
async fn effects_of_a_remembered_state_are_not_performed_again() {
    let world = World::new();
    let id = running(&world).await;
    let agent = world.agents.all()[0].clone();
    world.inbox.closed.store(1, Ordering::SeqCst);
    world.seen_of(&id, 1, agent.clone(), stopped(1)).await.unwrap_err();
    // The sweep, which is another function, has told it.
    world.of_another_function().sweep().await.unwrap();
    assert_eq!(world.told("build"), ["failed"]);
    world.seen_of(&id, 1, agent, stopped(1)).await.unwrap();
    assert_eq!(world.told("build"), ["failed"]);
}

#[tokio::test]
async fn a_build_that_was_cancelled_elsewhere_is_not_finished_twice() {
    let world = World::new();
    let id = running(&world).await;
    let agent = world.agents.all()[0].clone();
    let cancelled = BuildEvent::Cancelled {
        outcome: Outcome::Cancelled,
        cause: "by hand".to_owned(),
    };
    world.of_another_function().engine().build(&id, cancelled).await.unwrap();
    world.seen_of(&id, 1, agent, stopped(0)).await.unwrap();
    assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Cancelled));
    assert_eq!(world.told("run"), ["cancelled"]);
}

#[tokio::test]
async fn an_older_build_is_read_again() {
    let world = World::new();
    let id = running(&world).await;
    let agent = world.agents.all()[0].clone();
    world.clock.pass(Duration::from_secs(300));
    reads(&world);
    world.seen_of(&id, 1, agent, stopped(0)).await.unwrap();
    assert_eq!(reads(&world), 3, "the build, the results of the branch, and the run");
}

#[tokio::test]
async fn so_many_builds_are_remembered() {
    let world = World::new();
    let mut ended = Vec::new();
    for number in 0..33 {
        let id = job(&world.started(&format!("push {number}")).await, "test");
        world.seen(&id, RUNNING).await.unwrap();
        ended.push(id);
    }
    for (id, expected) in [(&ended[0], 3), (&ended[32], 2)] {
        let agent = world.build(id).await.attempts[0].agent.clone().unwrap();
        reads(&world);
        world.seen_of(id, 1, agent, stopped(0)).await.unwrap();
        assert_eq!(reads(&world), expected);
    }
}

#[tokio::test]
async fn a_report_has_what_another_function_collected() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  one: { agent: small, run: make, artifacts: [out] }\n  two: { agent: small, run: make }\n");
    let run = world.started("both").await;
    let [one, two] = ["one", "two"].map(|name| job(&run, name));
    for id in [&one, &two] {
        world.seen(id, RUNNING).await.unwrap();
    }
    world.bucket.unlistable.store(1, Ordering::SeqCst);
    world.seen(&one, stopped(0)).await.unwrap_err();
    // The sweep collects it, which is another function.
    world.of_another_function().sweep().await.unwrap();
    assert!(world.build(&one).await.results.is_some());
    world.exits(&two, 0).await;
    let report = world.bucket.object(&format!("runs/{run}/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report["builds"][0]["artifacts"].is_object(), "{report:#}");
}
