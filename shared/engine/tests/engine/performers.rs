//! Performers: a function performs only its own effects, and wakes the performers of the others.

use std::sync::atomic::Ordering;

use bellhop_domain::alarm::{AlarmChange, AlarmFacts, AlarmId, AlarmState};
use bellhop_domain::backup::Backup;
use bellhop_domain::executor::observation::AgentStatus;
use bellhop_domain::record::{Key, Performer};
use bellhop_engine::ports::Clock;
use bellhop_engine::{Performs, RemedyPorts};
use jiff::Timestamp;

use crate::world::{World, exited, job};

const REMEDIES: &str = "
backups:
  home: { resource: \"arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0abc\", vault: ci, role: \"arn:aws:iam::123456789012:role/ci\" }
alarms:
  - { name: full, back-up-now: home }
  - { name: hung, restart-service: { cluster: ci-main, service: jenkins } }";

fn alarm(world: &World, name: &str) -> AlarmChange {
    AlarmChange {
        id: AlarmId {
            region: None,
            account: None,
            name: name.to_owned(),
            contributor: None,
        },
        state: AlarmState::Alarm,
        at: Some(world.clock.now()),
        previous: None,
        quiet: None,
        facts: AlarmFacts::default(),
    }
}

/// The engine of the function `alarm`.
fn alarms(world: &World) -> bellhop_engine::Engine {
    world.performing(Performs {
        remedies: Some(RemedyPorts {
            services: world.services.clone(),
            source: world.repository.clone(),
        }),
        ..world.builds()
    })
}

/// The engine of the function `backup`.
fn backups(world: &World) -> bellhop_engine::Engine {
    world.performing(Performs {
        backups: Some(world.backups.clone()),
        ..Performs::default()
    })
}

#[tokio::test]
async fn a_backup_that_an_alarm_asks_for_is_started_by_its_performer() {
    let world = World::new();
    world.configure_with(REMEDIES);
    alarms(&world).alarm(alarm(&world, "full")).await.unwrap();
    assert_eq!(world.told("alarm"), ["alarm"]);
    let backup = Key::new("BACKUP#home", "BACKUP");
    assert_eq!(world.bell.taken(), [(Performer::Backups, vec![backup.clone()])]);
    assert!(
        world.backups.calls.lock().unwrap().is_empty(),
        "this function may not call AWS Backup"
    );
    backups(&world).woken(vec![backup.clone()], Timestamp::MAX).await.unwrap();
    assert_eq!(world.backups.calls.lock().unwrap().len(), 1);
    // Woken twice: the job is started already.
    backups(&world).woken(vec![backup], Timestamp::MAX).await.unwrap();
    assert_eq!(world.backups.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_wake_up_is_repeated_by_the_sweep_until_the_effect_is_abandoned() {
    let world = World::new();
    world.configure_with(REMEDIES);
    alarms(&world).alarm(alarm(&world, "full")).await.unwrap();
    // Nothing wakes the function `backup`, and the sweep may not do its work.
    world.bell.taken();
    let home = (Performer::Backups, vec![Key::new("BACKUP#home", "BACKUP")]);
    let mut woken = 0;
    for _ in 0..14 * 60 {
        world.clock.pass(std::time::Duration::from_secs(60));
        world.performing(world.builds()).sweep(Timestamp::MAX).await.unwrap();
        woken += world.bell.taken().iter().filter(|rung| **rung == home).count();
    }
    assert!((20..200).contains(&woken), "woken {woken} times in 14 hours, less and less often");
    assert!(world.backups.calls.lock().unwrap().is_empty());
    let record = world.records().load::<Backup>("home").await.unwrap().unwrap().record;
    assert_eq!(record.outbox.abandoned(), 1, "{record:?}");
}

#[tokio::test]
async fn what_its_performer_cannot_do_is_abandoned_with_the_words_of_the_service() {
    let world = World::new();
    world.configure_with(REMEDIES);
    world.services.refused.store(usize::MAX, Ordering::SeqCst);
    alarms(&world).alarm(alarm(&world, "hung")).await.unwrap_err();
    let mut woken = 0;
    for _ in 0..30 {
        world.clock.pass(std::time::Duration::from_secs(61));
        world.performing(world.builds()).sweep(Timestamp::MAX).await.unwrap();
        for (performer, records) in world.bell.taken() {
            assert_eq!(performer, Performer::Alarms);
            assert!(
                world.told("alarm").len() < 3,
                "the remedy has ended, and its function is woken for it"
            );
            // The outbox has the failure: a retry by Lambda would come too soon.
            alarms(&world).woken(records, Timestamp::MAX).await.unwrap();
            woken += 1;
        }
    }
    assert!((5..20).contains(&woken), "woken {woken} times");
    let messages = world.inbox.messages.lock().unwrap();
    let last = messages.last().unwrap().document.to_string();
    assert!(last.contains("restart: the service is not available"), "{last}");
    assert!(!last.contains("has not performed it"), "{last}");
}

#[tokio::test]
async fn a_wake_up_is_of_no_use_for_what_another_function_performs() {
    let world = World::new();
    let run = world.started("one").await;
    let id = job(&run, "test");
    world.inbox.closed.store(1, Ordering::SeqCst);
    world.seen(&id, AgentStatus::Stopped(exited(1))).await.unwrap_err();
    world.bell.taken();
    let before = world.build(&id).await;
    assert!(!before.outbox.pending().is_empty(), "its message could not be sent");
    world.clock.pass(std::time::Duration::from_secs(61));
    let records = [Key::new(format!("RUN#{run}"), "RUN"), Key::new(format!("RUN#{run}"), "BUILD#test")];
    backups(&world).woken(records.to_vec(), Timestamp::MAX).await.unwrap();
    assert_eq!(world.build(&id).await, before);
    assert!(world.bell.taken().is_empty());
}

#[tokio::test]
async fn a_performer_that_cannot_be_woken_is_a_fault_and_the_effect_stays() {
    let world = World::new();
    world.configure_with(REMEDIES);
    world.bell.failing.store(1, Ordering::SeqCst);
    alarms(&world).alarm(alarm(&world, "full")).await.unwrap_err();
    world.clock.pass(std::time::Duration::from_secs(61));
    world.performing(world.builds()).sweep(Timestamp::MAX).await.unwrap();
    let woken: Vec<Performer> = world.bell.taken().into_iter().map(|(performer, _)| performer).collect();
    assert!(woken.contains(&Performer::Backups), "{woken:?}");
}

#[tokio::test]
async fn the_sweep_wakes_the_function_of_a_remedy_that_failed() {
    let world = World::new();
    world.configure_with(REMEDIES);
    world.services.refused.store(1, Ordering::SeqCst);
    alarms(&world).alarm(alarm(&world, "hung")).await.unwrap_err();
    world.clock.pass(std::time::Duration::from_secs(61));
    let sweep = world.performing(world.builds());
    sweep.sweep(Timestamp::MAX).await.unwrap();
    assert!(world.services.restarts.lock().unwrap().is_empty());
    let woken = world.bell.taken();
    let [(Performer::Alarms, records)] = woken.as_slice() else {
        panic!("{woken:?}")
    };
    alarms(&world).woken(records.clone(), Timestamp::MAX).await.unwrap();
    assert_eq!(world.services.restarts.lock().unwrap().len(), 1);
    assert_eq!(world.told("alarm").len(), 2);
}

#[tokio::test]
async fn what_follows_from_a_wake_up_and_fails_is_left_to_the_sweep() {
    let world = World::new();
    world.configure_with(REMEDIES);
    world.services.refused.store(1, Ordering::SeqCst);
    let change = alarm(&world, "hung");
    let key = Key::new(format!("ALARM#{}", change.id.key()), "ALARM");
    alarms(&world).alarm(change).await.unwrap_err();
    world.clock.pass(std::time::Duration::from_secs(61));
    let told = world.told("alarm").len();
    world.inbox.closed.store(1, Ordering::SeqCst);
    alarms(&world).woken(vec![key], Timestamp::MAX).await.unwrap();
    assert_eq!(world.services.restarts.lock().unwrap().len(), 1);
    assert_eq!(world.told("alarm").len(), told, "its message could not be sent");
    world.clock.pass(std::time::Duration::from_secs(61));
    world.performing(world.builds()).sweep(Timestamp::MAX).await.unwrap();
    assert_eq!(world.told("alarm").len(), told + 1);
}

/// SNS may deliver a wake-up twice, and ECS has no token for a restart.
#[tokio::test]
async fn an_effect_is_performed_by_one_invocation_at_a_time() {
    let world = World::new();
    world.configure_with(REMEDIES);
    world.services.refused.store(1, Ordering::SeqCst);
    alarms(&world).alarm(alarm(&world, "hung")).await.unwrap_err();
    let asked = || world.services.asked.load(Ordering::SeqCst);
    assert_eq!(asked(), 1);
    world.clock.pass(std::time::Duration::from_secs(61));
    world.performing(world.builds()).sweep(Timestamp::MAX).await.unwrap();
    let [(_, records)] = world.bell.taken().try_into().unwrap();
    let engine = alarms(&world);
    let (first, second) = futures::join!(
        engine.woken(records.clone(), Timestamp::MAX),
        engine.woken(records.clone(), Timestamp::MAX)
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(asked(), 2);
}

/// An alarm's function may be woken for an older remedy while another invocation has just committed a new one, which it performs itself.
#[tokio::test]
async fn a_new_effect_is_left_to_the_invocation_that_committed_it() {
    let world = World::new();
    world.configure_with(REMEDIES);
    let engine = alarms(&world);
    let change = alarm(&world, "hung");
    let records = vec![Key::new(format!("ALARM#{}", change.id.key()), "ALARM")];
    let asked = || world.services.asked.load(Ordering::SeqCst);
    let woken = async {
        while asked() == 0 {
            tokio::task::yield_now().await;
        }
        engine.woken(records, Timestamp::MAX).await
    };
    let (committed, woken) = futures::join!(engine.alarm(change), woken);
    committed.unwrap();
    woken.unwrap();
    assert_eq!(asked(), 1);
}

#[tokio::test]
async fn what_no_function_knows_does_not_stop_the_others() {
    let world = World::new();
    let records = vec![Key::new("NOVELTY#x", "NOVELTY"), Key::new("BACKUP#gone", "BACKUP")];
    backups(&world).woken(records, Timestamp::MAX).await.unwrap();
}
