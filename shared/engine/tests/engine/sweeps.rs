//! Sweeps: what they find that no event has told, and what stops them from it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent, BuildState, Refusal};
use bellhop_domain::decision::Decision;
use bellhop_domain::executor::observation::{AgentStatus, Observation};
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::record::Decides as _;
use bellhop_domain::run::{Run, RunEvent};
use bellhop_engine::FaultKind;
use bellhop_engine::ports::Clock;
use jiff::Timestamp;

use crate::world::{RUNNING, World, calls, exited, job, script_ended};

async fn three(world: &World) -> (RunId, [BuildId; 3]) {
    world.pipeline(
        "version: 1\njobs:\n  a: { agent: small, run: make }\n  b: { agent: small, run: make }\n  c: { agent: small, run: make }\n",
    );
    let run = world.started("one").await;
    let builds = ["a", "b", "c"].map(|name| job(&run, name));
    (run, builds)
}

#[tokio::test]
async fn an_agent_whose_events_were_all_lost_is_found_by_asking() {
    let world = World::new();
    let id = job(&world.started("one").await, "test");
    world.sweep().await.unwrap();
    assert_eq!(world.build(&id).await.status(), "running");
    world.agents.end(&world.agents.all()[0], AgentStatus::Stopped(exited(0)));
    world.clock.pass(Duration::from_secs(300));
    world.sweep().await.unwrap();
    assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Succeeded));
}

#[tokio::test]
async fn an_agent_that_the_service_does_not_know_any_more_is_judged_by_its_report() {
    for (report, status) in [(Some(script_ended(0)), "succeeded"), (None, "queued")] {
        let world = World::new();
        let id = job(&world.started("one").await, "test");
        world.agents.forget(&world.agents.all()[0]);
        *world.bucket.report.lock().unwrap() = report;
        world.sweep().await.unwrap();
        assert_eq!(world.build(&id).await.status(), status);
    }
}

#[tokio::test]
async fn a_build_that_runs_too_long_is_stopped_and_over() {
    let world = World::new();
    let id = job(&world.started("one").await, "test");
    world.seen(&id, RUNNING).await.unwrap();
    world.clock.pass(Duration::from_secs(3600));
    world.sweep().await.unwrap();
    assert_eq!(world.run(&id.run).await.status(), "timed-out");
    assert_eq!(*world.agents.stops.lock().unwrap(), world.agents.all());
    // It does not stop: the stop is repeated until it has.
    world.sweep().await.unwrap();
    assert_eq!(world.agents.stops.lock().unwrap().len(), 2);
    world.agents.end(&world.agents.all()[0], AgentStatus::Stopped(exited(0)));
    world.sweep().await.unwrap();
    let build = world.build(&id).await;
    assert!(matches!(
        build.state,
        BuildState::Finished {
            outcome: Outcome::TimedOut,
            ..
        }
    ));
    assert_eq!(build.due(), None);
}

/// Found by the simulation: only agents without an event for five minutes were polled, and a shorter timeout applied first.
#[tokio::test]
async fn an_agent_that_ended_in_time_is_asked_for_before_it_is_held_to_its_timeout() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, timeout: 1m }\n");
    let id = job(&world.started("one").await, "test");
    world.seen(&id, RUNNING).await.unwrap();
    world.agents.end(&world.agents.all()[0], AgentStatus::Stopped(exited(0)));
    world.sweep().await.unwrap();
    assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Succeeded));
    assert_eq!(*world.agents.stops.lock().unwrap(), []);
}

#[tokio::test]
async fn one_record_that_cannot_be_read_holds_up_no_other() {
    let world = World::new();
    let (_, builds) = three(&world).await;
    *world.ledger.unreadable.lock().unwrap() = Some(builds[1].clone());
    let fault = world.sweep().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    *world.ledger.unreadable.lock().unwrap() = None;
    let mut statuses = Vec::new();
    for build in &builds {
        statuses.push(world.build(build).await.status());
    }
    assert_eq!(statuses, ["running", "launching", "running"]);
}

#[tokio::test]
async fn agents_that_could_not_be_asked_for_are_not_held_to_their_time() {
    let world = World::new();
    let id = job(&world.started("one").await, "test");
    world.clock.pass(Duration::from_secs(3600));
    world.agents.silent.store(1, Ordering::SeqCst);
    assert!(world.sweep().await.is_err());
    assert_eq!(*world.agents.stops.lock().unwrap(), []);
    world.sweep().await.unwrap();
    assert_eq!(world.build(&id).await.status(), "running");
}

#[tokio::test]
async fn a_silent_service_does_not_hold_up_what_needs_no_answer_from_it() {
    let world = World::new();
    let (_, [a, b, _]) = three(&world).await;
    world.inbox.closed.store(1, Ordering::SeqCst);
    assert!(world.seen(&a, AgentStatus::Stopped(exited(1))).await.is_err());
    world.agents.silent.store(1, Ordering::SeqCst);
    assert!(world.sweep().await.is_err());
    assert_eq!(world.told("build"), ["failed"]);
    assert_eq!(world.build(&b).await.status(), "launching");
}

#[tokio::test]
async fn nothing_new_is_begun_when_time_is_up() {
    let world = World::new();
    three(&world).await;
    world.clock.pass(Duration::from_secs(120));
    let swept = world.engine().sweep(Timestamp::MIN).await.unwrap();
    assert_eq!((swept.due, swept.left, swept.advanced), (3, 3, 0));
}

/// A pipeline file with so many jobs.
fn many(world: &World, jobs: usize) {
    let jobs: String = (0..jobs)
        .map(|number| format!("  job-{number}: {{ agent: small, run: make }}\n"))
        .collect();
    world.pipeline(&format!("version: 1\njobs:\n{jobs}"));
}

fn throttle(world: &World, times: usize) {
    let slow = || Refusal::Throttled("Rate exceeded".to_owned());
    *world.agents.refusals.lock().unwrap() = std::iter::repeat_with(slow).take(times).collect();
}

fn in_seconds(world: &World, seconds: u64) -> Timestamp {
    world.clock.now().checked_add(Duration::from_secs(seconds)).unwrap()
}

async fn statuses(world: &World, run: &RunId) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for build in world.records().builds_of(run).await.unwrap() {
        *counts.entry(build.record.status()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_sweep_goes_on_until_everything_that_was_throttled_is_launched() {
    let world = World::new();
    many(&world, 90);
    throttle(&world, 90 + 40);
    let run = world.started("one").await;
    assert_eq!(statuses(&world, &run).await, BTreeMap::from([("queued", 90)]));
    world.clock.pass(Duration::from_secs(3));
    let swept = world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
    assert_eq!(statuses(&world, &run).await, BTreeMap::from([("launching", 90)]));
    assert_eq!((calls(&world).len(), swept.left), (90 + 40 + 90, 0));
    assert_eq!(world.agents.live().len(), 90);
    // There is nothing more to wait for.
    let before = world.clock.now();
    world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
    assert!(world.clock.now().duration_since(before).as_secs() < 1);
}

#[tokio::test]
async fn what_becomes_due_while_a_sweep_launches_is_launched_by_it() {
    let world = World::new();
    many(&world, 60);
    throttle(&world, 60);
    let earlier = world.started("one").await;
    world.clock.pass(Duration::from_secs(3));
    throttle(&world, 60);
    let later = world.started("two").await;
    world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
    for run in [earlier, later] {
        assert_eq!(statuses(&world, &run).await, BTreeMap::from([("launching", 60)]));
    }
}

#[tokio::test]
async fn a_service_that_refuses_every_launch_is_asked_ever_less_often_until_the_time_is_up() {
    let world = World::new();
    many(&world, 90);
    throttle(&world, 100_000);
    world.started("one").await;
    let asked = calls(&world).len();
    world.clock.pass(Duration::from_secs(3));
    let until = in_seconds(&world, 58);
    world.engine().sweep(until).await.unwrap();
    let asked = calls(&world).len() - asked;
    assert!((100..300).contains(&asked), "asked {asked} times");
    assert!(world.clock.now() >= until);
    assert!(world.clock.now() < until.checked_add(Duration::from_secs(2)).unwrap());
}

#[tokio::test]
async fn a_sweep_works_off_more_than_it_reads_at_a_time() {
    let world = World::new();
    many(&world, 60);
    let mut runs = Vec::new();
    for number in 0..20 {
        runs.push(world.started(&format!("push-{number}")).await);
    }
    let swept = world.sweep().await.unwrap();
    assert_eq!((swept.due, swept.advanced, swept.left), (1200, 1200, 0));
    for run in &runs {
        assert_eq!(statuses(&world, run).await, BTreeMap::from([("running", 60)]));
    }
}

#[tokio::test]
async fn nothing_else_waits_behind_launches() {
    let world = World::new();
    let unheard = job(&world.started("one").await, "test");
    many(&world, 60);
    throttle(&world, 100_000);
    let mut runs = Vec::new();
    for number in 0..20 {
        runs.push(world.started(&format!("push-{number}")).await);
    }
    world.clock.pass(Duration::from_secs(61));
    let swept = world.engine().sweep(in_seconds(&world, 5)).await.unwrap();
    assert_eq!(world.build(&unheard).await.status(), "running");
    assert!(swept.left > 500, "{swept:?}");
    assert_eq!(statuses(&world, &runs[19]).await, BTreeMap::from([("queued", 60)]));
    // The line stands as it stood: those that wait longest come first.
    *world.agents.refusals.lock().unwrap() = VecDeque::new();
    for _ in 0..3 {
        world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
    }
    for run in &runs {
        assert_eq!(statuses(&world, run).await, BTreeMap::from([("launching", 60)]));
    }
    assert_eq!(world.agents.live().len(), 1201);
}

#[tokio::test]
async fn a_queued_build_that_cannot_be_read_holds_up_no_launch() {
    let world = World::new();
    many(&world, 3);
    throttle(&world, 3);
    let run = world.started("one").await;
    *world.ledger.unreadable.lock().unwrap() = Some(job(&run, "job-1"));
    let fault = world.sweep().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert_eq!(statuses(&world, &run).await, BTreeMap::from([("launching", 2), ("queued", 1)]));
    *world.ledger.unreadable.lock().unwrap() = None;
    world.sweep().await.unwrap();
    assert_eq!(world.build(&job(&run, "job-1")).await.status(), "launching");
}

/// Found by the simulation. The run has released a build and not struck that out, the build has ended and not told the run: each record's overdue
/// effect led to the other record, whose overdue effect led back, without end.
#[tokio::test]
async fn a_run_and_its_build_that_both_have_something_overdue_for_each_other_come_to_an_end() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  a: { agent: small, run: make }\n  b: { agent: small, run: make, needs: [a] }\n");
    let run = world.started("one").await;
    let [a, b] = ["a", "b"].map(|name| job(&run, name));
    let before = world.run(&run).await;
    world.exits(&a, 0).await;
    // The function that released `b` died before it could write so.
    let told = RunEvent::BuildFinished {
        job: a.job.clone(),
        outcome: Outcome::Succeeded,
    };
    let Decision::Next(releasing) = before.decide(&told, world.clock.now()) else {
        panic!("the run ignores the end of its build")
    };
    let stored = world.records().load::<Run>(&run).await.unwrap().unwrap().version;
    world.records().store(stored, &*releasing).await.unwrap();
    // The one that decided on the end of `b` died before it could tell the run.
    let stored = world.records().load::<Build>(&b).await.unwrap().unwrap();
    let ended = BuildEvent::Agent {
        attempt: 1,
        observation: Observation {
            agent: stored.record.attempts[0].agent.clone().unwrap(),
            version: None,
            capacity: None,
            status: AgentStatus::Stopped(exited(0)),
        },
    };
    let Decision::Next(finished) = stored.record.decide(&ended, world.clock.now()) else {
        panic!("the build ignores the end of its agent")
    };
    world.records().store(stored.version, &*finished).await.unwrap();

    world.sweep().await.unwrap();
    assert_eq!(world.run(&run).await.status(), "succeeded");
    world.sweep().await.unwrap();
    assert_eq!(world.run(&run).await.due(), None);
    assert_eq!(world.build(&b).await.due(), None);
}

#[tokio::test]
async fn two_sweeps_at_once_do_nothing_twice() {
    let world = World::new();
    world.inbox.closed.store(1, Ordering::SeqCst);
    let id = job(&world.started("one").await, "test");
    world.seen(&id, RUNNING).await.unwrap();
    world.clock.pass(Duration::from_secs(3700));
    let engine = world.engine();
    let (one, two) = futures::future::join(engine.sweep(Timestamp::MAX), engine.sweep(Timestamp::MAX)).await;
    // The one message that could not be sent is one of the sweeps' fault.
    assert!(one.is_ok() || two.is_ok());
    world.sweep().await.unwrap();
    assert_eq!(world.told("build"), ["timed-out"]);
    assert_eq!(world.told("run"), ["timed-out"]);
    assert_eq!(calls(&world), ["test/1 on spot"]);
}
