//! Alarms: told once, acted on once, whatever comes twice, fails or gets lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::alarm::{AlarmChange, AlarmFacts, AlarmId, AlarmState, LONGEST_PAUSE};
use bellhop_domain::decision::Ignored;
use bellhop_engine::Handled;
use bellhop_engine::ports::Clock;
use futures::future::join_all;

use crate::world::{World, job};

const RULES: &str = r#"
jobs:
  clean: { agent: small, repository: shop, branch: main, run: ./clean.sh }
alarms:
  - { name: "jenkins-*", restart-service: { cluster: ci-main, service: jenkins } }
  - { name: "other-*", restart-service: { cluster: ci-main, service: registry } }
  - { name: "disk-*", run-job: clean }
  - { name: "outage", pause-starts: true }
  - { name: "changed-much", back-up-now: home }
backups:
  home:
    resource: arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0abc
    vault: ci
    role: arn:aws:iam::123456789012:role/ci-backup
"#;

fn world() -> World {
    let world = World::new();
    world.configure_with(RULES);
    world
}

/// A change as of now.
fn change(world: &World, name: &str, state: AlarmState) -> AlarmChange {
    AlarmChange {
        id: AlarmId {
            region: None,
            account: None,
            name: name.to_owned(),
            contributor: None,
        },
        state,
        at: Some(world.clock.now()),
        previous: None,
        quiet: None,
        facts: AlarmFacts::default(),
    }
}

async fn goes(world: &World, name: &str, state: AlarmState) {
    assert_eq!(world.engine().alarm(change(world, name, state)).await.unwrap(), Handled::Done);
}

fn told(world: &World) -> Vec<String> {
    let messages = std::mem::take(&mut *world.inbox.messages.lock().unwrap());
    let of_alarms = messages.iter().filter(|message| message.document["kind"] == "alarm");
    of_alarms
        .map(|message| {
            let outcome = message.document["remedy"]["outcome"].as_str();
            let status = message.document["status"].as_str().unwrap();
            outcome.map_or_else(|| status.to_owned(), |outcome| format!("{status}: {outcome}"))
        })
        .collect()
}

fn restarts(world: &World) -> usize {
    world.services.restarts.lock().unwrap().len()
}

use AlarmState::{Alarm as ALARM, Ok as FINE};

#[tokio::test]
async fn all_forms_of_one_transition_at_once_are_one_message_and_one_restart() {
    let world = world();
    let engine = world.engine();
    let same = change(&world, "jenkins-unhealthy", ALARM);
    for handled in join_all((0..3).map(|_| engine.alarm(same.clone()))).await {
        handled.unwrap();
    }
    assert_eq!((told(&world), restarts(&world)), (vec!["alarm: done".to_owned()], 1));
    assert_eq!(engine.alarm(same).await.unwrap(), Handled::Ignored(Ignored::Stale));
    assert_eq!(world.sweep().await.unwrap().due, 0, "nothing is left to do");
}

#[tokio::test]
async fn ten_flaps_in_a_minute_are_one_restart() {
    let world = world();
    for _ in 0..10 {
        goes(&world, "jenkins-unhealthy", ALARM).await;
        world.clock.pass(Duration::from_secs(3));
        goes(&world, "jenkins-unhealthy", FINE).await;
        world.clock.pass(Duration::from_secs(3));
    }
    assert_eq!(restarts(&world), 1);
    assert_eq!(told(&world), ["alarm: done", "ok", "alarm: held", "ok", "flapping"]);
    world.clock.pass(Duration::from_secs(600));
    world.sweep().await.unwrap();
    assert_eq!(told(&world), ["settled"]);
    world.clock.pass(Duration::from_secs(1800));
    goes(&world, "jenkins-unhealthy", ALARM).await;
    assert_eq!((told(&world), restarts(&world)), (vec!["alarm: done".to_owned()], 2));
}

#[tokio::test]
async fn two_alarms_share_their_targets_restarts() {
    let world = world();
    goes(&world, "jenkins-unhealthy", ALARM).await;
    goes(&world, "jenkins-slow", ALARM).await;
    goes(&world, "other-unhealthy", ALARM).await;
    assert_eq!(restarts(&world), 1);
    assert_eq!(told(&world), ["alarm: done", "alarm: held", "alarm: failed"]);
}

#[tokio::test]
async fn what_waits_for_another_alarms_restart_is_done_if_that_is_not() {
    let world = world();
    // For a quarter of an hour, with waits that double.
    world.services.refused.store(6, Ordering::SeqCst);
    assert!(world.engine().alarm(change(&world, "jenkins-unhealthy", ALARM)).await.is_err());
    goes(&world, "jenkins-slow", ALARM).await;
    assert_eq!(told(&world), ["alarm: tried-again", "alarm: waits"]);
    // Each of the two goes on for itself, until the service answers.
    while world.services.refused.load(Ordering::SeqCst) > 0 {
        let _ = world.sweep().await;
    }
    for _ in 0..20 {
        world.sweep().await.unwrap();
    }
    assert_eq!((told(&world), restarts(&world)), (vec!["remedied: done".to_owned()], 1));
}

#[tokio::test]
async fn what_waits_for_another_alarms_restart_is_not_done_again() {
    let world = world();
    world.services.lost.store(1, Ordering::SeqCst);
    assert!(world.engine().alarm(change(&world, "jenkins-unhealthy", ALARM)).await.is_err());
    goes(&world, "jenkins-slow", ALARM).await;
    assert_eq!(told(&world), ["alarm: tried-again", "alarm: waits"]);
    for _ in 0..20 {
        world.sweep().await.unwrap();
    }
    assert_eq!((told(&world), restarts(&world)), (vec!["remedied: done".to_owned()], 1));
}

#[tokio::test]
async fn a_restart_that_is_refused_holds_back_no_other() {
    let world = world();
    goes(&world, "other-unhealthy", ALARM).await;
    goes(&world, "other-slow", ALARM).await;
    assert_eq!(told(&world), ["alarm: failed", "alarm: failed"]);
}

#[tokio::test]
async fn what_waits_is_not_done_for_an_alarm_that_is_over() {
    let world = world();
    world.services.refused.store(1, Ordering::SeqCst);
    assert!(world.engine().alarm(change(&world, "jenkins-unhealthy", ALARM)).await.is_err());
    goes(&world, "jenkins-slow", ALARM).await;
    goes(&world, "jenkins-unhealthy", FINE).await;
    goes(&world, "jenkins-slow", FINE).await;
    for _ in 0..3 {
        world.sweep().await.unwrap();
    }
    assert_eq!(told(&world), ["alarm: tried-again", "alarm: waits", "ok", "ok"]);
    assert_eq!(restarts(&world), 0);
}

#[tokio::test]
async fn a_restart_without_a_reply_is_repeated_for_the_same_moment() {
    let world = world();
    world.services.lost.store(2, Ordering::SeqCst);
    let lost = world.engine().alarm(change(&world, "jenkins-unhealthy", ALARM)).await;
    assert!(lost.is_err());
    // A second try of the function finds nothing new, and the sweep goes on with it.
    assert_eq!(told(&world), ["alarm: tried-again"]);
    assert!(world.sweep().await.is_err());
    world.clock.pass(Duration::from_secs(60));
    world.sweep().await.unwrap();
    assert_eq!((told(&world), restarts(&world)), (vec!["remedied: done".to_owned()], 1));
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_is_sent_by_the_sweep() {
    let world = world();
    world.inbox.closed.store(1, Ordering::SeqCst);
    assert!(world.engine().alarm(change(&world, "unknown", ALARM)).await.is_err());
    world.sweep().await.unwrap();
    assert_eq!(told(&world), ["alarm"]);
}

#[tokio::test]
async fn a_job_is_run_once_for_an_alarm() {
    let world = world();
    world.ledger.conflicts.store(2, Ordering::SeqCst);
    goes(&world, "disk-full", ALARM).await;
    let messages = told(&world);
    assert_eq!(messages, ["alarm: done"]);
    assert_eq!(world.agents.live().len(), 1);
    goes(&world, "disk-slow", ALARM).await;
    assert_eq!((told(&world), world.agents.live().len()), (vec!["alarm: held".to_owned()], 1));
}

#[tokio::test]
async fn a_backup_is_started_once_for_an_alarm() {
    let world = world();
    world.ledger.conflicts.store(2, Ordering::SeqCst);
    let change = change(&world, "changed-much", ALARM);
    let engine = world.engine();
    let answers = join_all((0..3).map(|_| engine.alarm(change.clone()))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(told(&world), ["alarm: done"]);
    let calls = world.backups.calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].starts_with("back up arn:aws:elasticfilesystem:"), "{calls:?}");
}

#[tokio::test]
async fn a_bad_configuration_is_told_with_the_alarm_and_nothing_is_done() {
    let world = world();
    world.configure("version: 1\nalarm: []\n");
    goes(&world, "jenkins-unhealthy", ALARM).await;
    let message = world.inbox.messages.lock().unwrap().pop().unwrap();
    assert!(
        message.email.contains("config/bellhop.yaml, line 2: unknown key `alarm`"),
        "{}",
        message.email
    );
    assert_eq!(restarts(&world), 0);
}

#[tokio::test]
async fn no_agent_is_launched_while_an_alarm_pauses_starts() {
    let world = world();
    goes(&world, "outage", ALARM).await;
    let id = job(&world.started("one").await, "test");
    assert_eq!((world.agents.live().len(), world.build(&id).await.status()), (0, "queued"));
    let cause = world.build(&id).await.attempts[0].last_refusal.clone().unwrap();
    assert_eq!(cause, "launches are paused until this alarm returns to OK: outage");
    world.sweep().await.unwrap();
    assert_eq!(world.agents.live().len(), 0);
    goes(&world, "outage", FINE).await;
    world.sweep().await.unwrap();
    assert_eq!((world.agents.live().len(), world.build(&id).await.status()), (1, "launching"));
    assert_eq!(told(&world), ["alarm: done", "ok"]);
}

#[tokio::test]
async fn a_pause_that_nobody_ends_ends_after_a_day() {
    let world = world();
    goes(&world, "outage", ALARM).await;
    world.clock.pass(LONGEST_PAUSE);
    world.sweep().await.unwrap();
    assert_eq!(told(&world), ["alarm: done", "pause-ended"]);
    let id = job(&world.started("one").await, "test");
    assert_eq!(world.build(&id).await.status(), "launching");
}

#[tokio::test]
async fn a_build_that_waits_too_long_for_the_end_of_a_pause_is_over() {
    let world = world();
    goes(&world, "outage", ALARM).await;
    let id = job(&world.started("one").await, "test");
    for _ in 0..130 {
        world.sweep().await.unwrap();
    }
    assert_eq!(world.build(&id).await.status(), "timed-out");
    assert_eq!(world.agents.live().len(), 0);
}

#[tokio::test]
async fn suites_without_a_pause_ask_for_none() {
    let world = World::new();
    let id = job(&world.started("one").await, "test");
    assert!(!world.build(&id).await.spec.pausable);
}
