//! Backups: schedules that come twice, jobs that nobody hears of, and restores that are removed again.

use std::time::Duration;

use bellhop_domain::backup::{JobKind, JobObservation, JobState, Point, RemovalObservation};
use bellhop_engine::ports::{Clock, JobStart};
use bellhop_engine::{BackupService, Handled};
use jiff::Timestamp;

use crate::world::World;

const BACKUPS: &str = "
backups:
  home: { resource: 'arn:aws:elasticfilesystem:eu-west-1:1:file-system/fs-1', vault: ci, role: 'arn:aws:iam::1:role/b', newest-at-most: 26h }
  orders:
    resource: 'arn:aws:dynamodb:eu-west-1:1:table/orders'
    vault: ci
    role: 'arn:aws:iam::1:role/b'
    copy-to: 'arn:aws:backup:us-east-1:1:backup-vault:far'
    restore-test: { every: 7d }
";

fn world() -> World {
    let world = World::new();
    world.configure_with(BACKUPS);
    world
}

fn backup_service(world: &World) -> BackupService {
    BackupService {
        engine: world.engine(),
        table: None,
    }
}

fn slot() -> Timestamp {
    Timestamp::from_second(1_790_000_040).unwrap()
}

fn seen(kind: JobKind, id: &str, state: JobState) -> JobObservation {
    JobObservation {
        kind,
        id: id.to_owned(),
        state,
        message: None,
        point: (kind == JobKind::Backup).then(|| "point".to_owned()),
        created: None,
        resource: None,
        ended: None,
    }
}

fn calls(world: &World) -> Vec<String> {
    std::mem::take(&mut *world.backups.calls.lock().unwrap())
}

#[tokio::test]
async fn a_schedule_that_comes_twice_starts_each_backup_once() {
    let world = world();
    let first = backup_service(&world).start(None, Some(slot()), "a").await.unwrap();
    assert_eq!(
        first.backups,
        [("home".to_owned(), Handled::Done), ("orders".to_owned(), Handled::Done)]
    );
    let again = backup_service(&world).start(None, Some(slot()), "b").await.unwrap();
    assert!(again.backups.iter().all(|(_, handled)| matches!(handled, Handled::Ignored(_))));
    assert_eq!(calls(&world).len(), 2);
    assert_eq!((again.refused, world.told("backup").len()), (None, 0));
}

#[tokio::test]
async fn one_that_does_not_exist_is_refused_and_a_schedules_owner_is_told() {
    let world = world();
    let asked = backup_service(&world).start(Some("hom"), None, "a").await.unwrap();
    assert_eq!(asked.refused.unwrap().0, "there is no backup with that name (known: home, orders)");
    assert_eq!((asked.backups.len(), world.told("backup").len()), (0, 0));
    backup_service(&world).start(Some("hom"), Some(slot()), "b").await.unwrap();
    assert_eq!(world.told("backup"), ["rejected"]);
    assert!(world.engine().back_up_now("hom", "c").await.unwrap().is_err());
    assert_eq!(world.engine().back_up_now("home", "c").await.unwrap().unwrap(), Handled::Done);
    assert_eq!(calls(&world).len(), 1);
}

#[tokio::test]
async fn a_broken_configuration_stops_no_backup_of_the_suites_own_table() {
    let world = world();
    world.configure("version: 2");
    let table = bellhop_domain::backup::Definition::of_suite_table("arn:aws:dynamodb:eu-west-1:1:table/suite", "ci", "role");
    let backup_service = BackupService {
        table: Some(table),
        ..backup_service(&world)
    };
    let asked = backup_service.start(None, Some(slot()), "a").await.unwrap();
    assert_eq!(asked.backups, [("suite-table".to_owned(), Handled::Done)]);
    assert!(asked.refused.unwrap().0.starts_with("config/bellhop.yaml"));
    assert_eq!(world.told("backup"), ["rejected"]);
}

#[tokio::test]
async fn a_lost_job_is_asked_for_and_told() {
    let world = world();
    backup_service(&world).start(Some("home"), Some(slot()), "a").await.unwrap();
    world.sweep().await.unwrap();
    assert_eq!(calls(&world).len(), 1, "it is not time to ask yet");
    world.backups.show(seen(JobKind::Backup, "backup-1", JobState::Failed));
    world.clock.pass(Duration::from_secs(15 * 60));
    world.sweep().await.unwrap();
    assert_eq!(world.told("backup"), ["failed"]);
    world.sweep().await.unwrap();
    assert_eq!(calls(&world), ["job backup-1"]);
    assert_eq!(world.told("backup"), ["failed"]);
}

#[tokio::test]
async fn an_event_finds_the_backup_whose_job_it_is() {
    let world = world();
    backup_service(&world).start(None, Some(slot()), "a").await.unwrap();
    calls(&world);
    let foreign = seen(JobKind::Backup, "of-somebody-else", JobState::Failed);
    assert_eq!(backup_service(&world).job(&foreign).await.unwrap(), None);
    let elsewhere = JobObservation {
        resource: Some("arn:aws:s3:::bucket".to_owned()),
        ..seen(JobKind::Backup, "backup-2", JobState::Failed)
    };
    assert_eq!(backup_service(&world).job(&elsewhere).await.unwrap(), None);
    let done = seen(JobKind::Backup, "backup-2", JobState::Completed);
    assert_eq!(
        backup_service(&world).job(&done).await.unwrap(),
        Some(("orders".to_owned(), Handled::Done))
    );
    assert_eq!(calls(&world), ["copy point"]);
}

#[tokio::test]
async fn a_start_that_fails_in_passing_is_repeated_under_its_token() {
    let world = world();
    world.backups.fail(1);
    assert!(backup_service(&world).start(Some("home"), Some(slot()), "a").await.is_err());
    world.sweep().await.unwrap();
    let calls = calls(&world);
    assert_eq!((calls.len(), &calls[0]), (2, &calls[1]));
}

#[tokio::test]
async fn a_job_that_is_refused_is_told_at_once() {
    let world = world();
    *world.backups.answer.lock().unwrap() = Some(JobStart::Refused("no vault".to_owned()));
    backup_service(&world).start(Some("home"), Some(slot()), "a").await.unwrap();
    assert_eq!(world.told("backup"), ["failed"]);
}

#[tokio::test]
async fn a_restore_test_goes_through_and_cleans_up() {
    let world = world();
    *world.backups.newest.lock().unwrap() = Some(Point {
        arn: "point".to_owned(),
        created: slot(),
    });
    backup_service(&world).check().await.unwrap();
    let asked = calls(&world);
    let name = asked
        .iter()
        .find_map(|call| call.strip_prefix("restore point to "))
        .unwrap()
        .to_owned();
    assert!(name.starts_with("bellhop-restore-test-"), "{name}");
    let created = format!("arn:aws:dynamodb:eu-west-1:1:table/{name}");
    let done = JobObservation {
        created: Some(created.clone()),
        ..seen(JobKind::Restore, "restore-1", JobState::Completed)
    };
    // What an event says was created is nothing to go by: AWS Backup is asked.
    world.backups.show(done.clone());
    let told = JobObservation {
        created: Some("arn:aws:dynamodb:eu-west-1:1:table/orders".to_owned()),
        ..done
    };
    backup_service(&world).job(&told).await.unwrap();
    assert_eq!(calls(&world), ["job restore-1".to_owned(), format!("remove {created}")]);
    *world.backups.removal.lock().unwrap() = Some(RemovalObservation::Done);
    world.clock.pass(Duration::from_secs(120));
    world.sweep().await.unwrap();
    world.sweep().await.unwrap();
    assert_eq!(calls(&world), ["removal request"]);
    assert_eq!(world.told("backup"), ["restore-tested"]);
    backup_service(&world).check().await.unwrap();
    assert!(
        calls(&world).iter().all(|call| call.starts_with("newest")),
        "no test before its time"
    );
}

#[tokio::test]
async fn the_age_of_what_there_is_is_told() {
    let world = world();
    backup_service(&world).check().await.unwrap();
    assert_eq!(world.told("backup"), [""; 0], "the first schedule is still to come");
    world.clock.pass(Duration::from_secs(40 * 60 * 60));
    backup_service(&world).check().await.unwrap();
    backup_service(&world).check().await.unwrap();
    assert_eq!(world.told("backup"), ["missing"]);
    *world.backups.newest.lock().unwrap() = Some(Point {
        arn: "point".to_owned(),
        created: world.clock.now(),
    });
    backup_service(&world).check().await.unwrap();
    assert_eq!(world.told("backup"), ["missing", "recovered"]);
}
