//! A sweep among services that do not answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::executor::observation::{AgentStatus, Stop};
use bellhop_domain::ids::RunId;
use bellhop_domain::outcome::Outcome;
use bellhop_engine::FaultKind;
use bellhop_engine::ports::Clock;

use crate::world::{World, exited, job, script_ended};

/// Runs whose messages are left to the sweep, those that have been due longest first: so many of which nobody is told that they, or their builds, are
/// over, as the service never answers, and so many others.
async fn unannounced(world: &World, hanging: usize, others: usize) -> Vec<RunId> {
    let mut runs = Vec::new();
    for number in 0..hanging + others {
        let run = world.started(&number.to_string()).await;
        let id = job(&run, "test");
        world.inbox.closed.store(2, Ordering::SeqCst);
        assert!(world.seen(&id, AgentStatus::Stopped(exited(1))).await.is_err());
        runs.push(run);
    }
    assert_eq!((world.told("build").len(), world.told("run").len()), (0, 0));
    world.inbox.hangs.lock().unwrap().extend(runs.iter().take(hanging).cloned());
    runs
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_message_hangs_holds_up_no_other() {
    let world = World::new();
    unannounced(&world, 1, 2).await;
    let swept = tokio::time::timeout(Duration::from_millis(200), world.sweep()).await;
    assert!(swept.is_err(), "its message should hang");
    assert_eq!(world.told("run"), ["failed", "failed"]);
}

#[tokio::test(start_paused = true)]
async fn more_hanging_records_than_a_sweep_works_on_at_once_hold_up_no_other() {
    let world = World::new();
    let runs = unannounced(&world, 40, 3).await;
    let begun = tokio::time::Instant::now();
    let mut sweep = Box::pin(world.sweep());
    let early = tokio::time::timeout(Duration::from_secs(10), &mut sweep).await;
    assert!(early.is_err(), "it waits for those that hang");
    assert_eq!(
        (world.told("build"), world.told("run")),
        (vec!["failed".to_owned(); 3], vec!["failed".to_owned(); 3])
    );
    let fault = sweep.await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(fault.kind, FaultKind::Transient);
    let about = |run: &RunId| [format!("run {run}: no answer"), format!("build {run}/test: no answer")];
    let named = runs.iter().take(40).flat_map(about).any(|about| fault.what.starts_with(&about));
    assert!(named, "{fault}");
    // They stay due.
    world.inbox.hangs.lock().unwrap().clear();
    world.clock.pass(Duration::from_secs(120));
    world.sweep().await.unwrap();
    assert_eq!((world.told("build").len(), world.told("run").len()), (43, 43));
}

#[tokio::test(start_paused = true)]
async fn what_is_never_answered_is_given_up() {
    let world = World::new();
    let run = unannounced(&world, 1, 0).await.remove(0);
    let id = job(&run, "test");
    for _ in 0..180 {
        let _ = world.sweep().await;
        world.clock.pass(Duration::from_secs(60));
    }
    world.sweep().await.unwrap();
    let (build, run) = (world.build(&id).await, world.run(&run).await);
    assert_eq!((build.due(), build.outbox.abandoned()), (None, 1));
    assert_eq!((run.due(), run.outbox.abandoned()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn no_record_is_worked_on_for_long_after_the_sweeps_time() {
    let world = World::new();
    unannounced(&world, 1, 0).await;
    world.clock.pass(Duration::from_secs(61));
    let begun = tokio::time::Instant::now();
    let until = world.clock.now() + Duration::from_secs(1);
    world.engine().sweep(until).await.unwrap_err();
    assert!(begun.elapsed() <= Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_leaves_the_agents_of_the_others() {
    for hangs in [false, true] {
        let world = World::new();
        world.configure_with("  docker: { codebuild: { project: ci-docker } }");
        world.pipeline("version: 1\njobs: { test: { agent: small, run: make }, image: { agent: docker, run: make image } }");
        let run = world.started("both").await;
        let (test, image) = (job(&run, "test"), job(&run, "image"));
        for id in [&test, &image] {
            world.seen(id, AgentStatus::Running { since: None }).await.unwrap();
        }
        // Both end, and no event says so.
        world.agents.end(&world.agents.all()[0], AgentStatus::Stopped(exited(0)));
        let report = Some(script_ended(0));
        let ended = AgentStatus::Stopped(Stop { report, ..exited(0) });
        world.other_agents.end(&world.other_agents.all()[0], ended);
        let counter = if hangs { &world.agents.hanging } else { &world.agents.silent };
        counter.store(1, Ordering::SeqCst);
        world.clock.pass(Duration::from_secs(300));
        world.sweep().await.unwrap_err();
        let ends = (world.build(&test).await.outcome(), world.build(&image).await.outcome());
        assert_eq!(ends, (None, Some(Outcome::Succeeded)));
    }
}

#[tokio::test(start_paused = true)]
async fn agents_that_are_not_described_hold_up_no_sweep() {
    let world = World::new();
    let first = job(&world.started("running").await, "test");
    world.seen(&first, AgentStatus::Running { since: None }).await.unwrap();
    let run = unannounced(&world, 0, 1).await.remove(0);
    world.clock.pass(Duration::from_secs(300));
    world.agents.hanging.store(1, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    let fault = world.sweep().await.unwrap_err();
    assert_eq!(fault.what, "1 agents were not described within 10 s");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(
        (world.told("build"), world.run(&run).await.status()),
        (vec!["failed".to_owned()], "failed")
    );
    assert_eq!(world.build(&first).await.status(), "running");
    assert_eq!(world.sweep().await.unwrap().faults, 0);
}
