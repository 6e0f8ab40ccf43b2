//! A newer push takes the place of an older one.

use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::{JobState, Run, RunJob};
use bellhop_scenarios::World;
use serde_json::Value;

use crate::words::{MINUTE, SECOND, cause};

const SUPERSEDING: &str = r"
version: 1
concurrency: { supersede: true, except: ['release/**'] }
jobs:
  test: { agent: small, run: make test }
  image: { agent: docker, run: make image }
  publish: { agent: small, run: make publish, needs: [test] }
";

async fn world() -> World {
    World::with_both_agents(SUPERSEDING).await
}

fn is_superseded(job: RunJob<'_>) -> bool {
    matches!(job.state, JobState::Cancelling | JobState::Finished(Outcome::Superseded))
}

/// The push again, so many seconds later or earlier.
fn moved(event: &Value, seconds: i64) -> Value {
    let mut event = event.clone();
    let at: jiff::Timestamp = event["time"].as_str().unwrap().parse().unwrap();
    event["time"] = (at + jiff::SignedDuration::from_secs(seconds)).to_string().into();
    event
}

#[tokio::test]
async fn the_agents_of_the_older_push_are_stopped() {
    let world = world().await;
    let first = world.start().await;
    let (task, build) = (world.task(0), world.agent_build(0));
    world.runs(&task).await;
    world.build_runs(&build).await;

    let next = world.commit(&[("a", "b")], "Next").await;
    let second = world.start_by(&next).await;

    assert_eq!(world.journal().of("ecs", "StopTask").len(), 1);
    assert_eq!(world.journal().of("codebuild", "StopBuild").len(), 1);
    world.task_events(&world.ecs().settle_stop(&task, 143).unwrap()).await;
    world.build_events(&world.codebuild().events_of(&build)).await;
    let older = world.engine().ledger.load::<Run>(&first).await.unwrap().unwrap().record;
    assert_eq!(older.status(), "superseded");
    let builds = world.engine().ledger.builds_of(&first).await.unwrap();
    for old in &builds {
        assert_eq!(old.record.status(), "superseded", "{}", old.record.spec.id);
        assert_eq!(cause(&old.record).unwrap(), format!("superseded by run {second}"));
    }
    assert_eq!(world.run().await.status(), "open");
    assert_eq!((world.tasks().len(), world.builds().len()), (2, 2));
}

#[tokio::test]
async fn a_late_success_does_not_bring_a_superseded_build_back() {
    let world = world().await;
    let first = world.start().await;
    let (task, build) = (world.task(0), world.agent_build(0));
    world.runs(&task).await;
    world.build_runs(&build).await;
    let next = world.commit(&[("a", "b")], "Next").await;
    world.start_by(&next).await;

    // It ended by itself before the stop came to it.
    world.task_events(&world.ecs().settle_stop(&task, 0).unwrap()).await;
    world.build_events(&world.codebuild().events_of(&build)).await;
    for _ in 0..3 {
        world.sweep_after(2 * MINUTE).await.unwrap();
    }

    let older = world.engine().ledger.load::<Run>(&first).await.unwrap().unwrap().record;
    assert_eq!(older.status(), "superseded");
    let publish = world
        .tasks()
        .iter()
        .filter(|task| task.environment["BELLHOP_JOB"] == "publish")
        .count();
    assert_eq!(publish, 0);
}

#[tokio::test]
async fn an_older_push_that_arrives_late_is_superseded_itself() {
    let world = world().await;
    let older = moved(&world.push_event(), -30);
    let newer = world.commit(&[("a", "b")], "Next").await;
    let first = world.start_by(&newer).await;
    let late = world.start_by(&older).await;

    let late = world.engine().ledger.load::<Run>(&late).await.unwrap().unwrap().record;
    assert!(late.jobs().all(is_superseded), "{late:?}");
    for task in world.tasks().iter().skip(1) {
        if task.last_status != "STOPPED" {
            let _ = world.ecs().settle_stop(&task.arn, None);
        }
        world.task_events(&world.ecs().events_of(&task.arn)).await;
    }
    world.build_events(&world.codebuild().events_of(&world.agent_build(1))).await;
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(world.run().await.status(), "superseded");
    let first = world.engine().ledger.load::<Run>(&first).await.unwrap().unwrap().record;
    assert_eq!(first.status(), "open");
    assert!(!first.jobs().any(is_superseded));
}

#[tokio::test]
async fn two_pushes_within_a_second_are_told_apart_by_the_commit_before() {
    for newer_first in [false, true] {
        let world = world().await;
        let older = world.push_event();
        let mut newer = world.commit(&[("a", "b")], "Next").await;
        newer["time"] = older["time"].clone();
        let (old_run, new_run);
        if newer_first {
            new_run = world.start_by(&newer).await;
            old_run = world.start_by(&older).await;
        } else {
            old_run = world.start_by(&older).await;
            new_run = world.start_by(&newer).await;
        }
        let cancelled = async |run| {
            let run = world.engine().ledger.load::<Run>(&run).await.unwrap().unwrap().record;
            run.jobs().filter(|job| is_superseded(*job)).count()
        };
        assert_eq!(
            (cancelled(old_run).await, cancelled(new_run).await),
            (3, 0),
            "newer first: {newer_first}"
        );
    }
}

#[tokio::test]
async fn other_branches_and_excepted_ones_are_left_alone() {
    let world = world().await;
    world.start().await;
    let other = world.push_to("refs/heads/feature").await;
    world.start_by(&other).await;
    for commit in ["a", "b"] {
        world.repository.commit(&[("file", commit)], commit).await;
        let push = world.push_to("refs/heads/release/1").await;
        world.start_by(&push).await;
    }
    assert!(world.journal().of("ecs", "StopTask").is_empty());
    assert!(world.journal().of("codebuild", "StopBuild").is_empty());
    assert_eq!(world.tasks().len(), 4);
}

#[tokio::test]
async fn a_build_that_was_not_launched_yet_is_never_launched() {
    let world = world().await;
    let rule = bellhop_stand_in::Rule::new("ecs", "RunTask", bellhop_stand_in::Fault::Throttle).times(bellhop_stand_in::Times::Always);
    world.faults().inject(rule);
    world.start().await;
    let next = world.commit(&[("a", "b")], "Next").await;
    let newest = world.start_by(&next).await;
    world.faults().clear();
    for _ in 0..4 {
        world.sweep_after(3 * MINUTE + SECOND).await.unwrap();
    }
    let runs: Vec<_> = world.tasks().iter().map(|task| task.environment["BELLHOP_RUN"].clone()).collect();
    assert_eq!(runs, [newest.to_string()]);
}
