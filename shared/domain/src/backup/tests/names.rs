//! Slots, tokens and names, and the backup of the suite's own table.

use super::*;

#[test]
fn a_schedule_that_comes_twice_starts_one_job() {
    let once = after(&backup(), scheduled(slot(0), "a"), t(5));
    assert_eq!(effects(&once), [&BackupEffect::Start(WorkId::Backup(slot(0)))]);
    for (again, by) in [(slot(0), "a"), (slot(0), "b"), (slot(9), "c"), (slot(-9), "d"), (slot(700), "a")] {
        assert_eq!(ignored(&once, &scheduled(again, by), t(9)), Ignored::NothingNew, "{again} {by}");
    }
    let next = after(&once, scheduled(slot(10), "b"), t(700));
    assert_eq!(next.jobs.len(), 2);
    let (first, second) = (WorkId::Backup(slot(0)), WorkId::Backup(slot(10)));
    assert_ne!(next.token(first), next.token(second));
    assert_ne!(next.token(first), next.token(WorkId::Copy(slot(0))));
    assert_eq!(next.token(first).len(), 40);
}

/// Two versions of Bellhop must request a job with the same token. Otherwise an update during the request starts two jobs.
#[test]
fn a_token_never_changes() {
    let work = WorkId::Backup(Timestamp::from_second(1_790_000_040).unwrap());
    assert_eq!(backup().token(work), "165eddecbc83917c472daba0de173ea1fc3f5735");
}

/// Every suite has a backup of its own table, with the same name and, by default, at the same time. With equal tokens AWS Backup would start one job
/// for two suites, and their restore tests would create resources with the same name.
#[test]
fn suites_share_neither_token_nor_restored_name() {
    let work = |slot| [WorkId::Backup(slot), WorkId::Copy(slot), WorkId::Restore(slot)];
    let (one, other) = (backup(), Backup::new("ci-next", "suite-table", definition(), t(0)));
    for work in work(slot(0)) {
        assert_ne!(one.token(work), other.token(work), "{work:?}");
    }
    assert_ne!(one.restored_name(slot(0)), other.restored_name(slot(0)));
}

#[test]
fn seconds_do_not_make_another_slot() {
    let late = Timestamp::from_second(slot(0).as_second() + 59).unwrap();
    let backup = after(&backup(), scheduled(late, "a"), t(90));
    assert_eq!(backup.jobs[0].slot, slot(0));
}

#[test]
fn only_so_many_finished_jobs_are_remembered() {
    let mut record = running(&backup(), 0);
    for night in 1..=20 {
        let minutes = night * 60;
        record = running(&record, minutes);
        let done = seen(JobKind::Backup, &format!("job-{minutes}"), JobState::Completed, None);
        record = after(&record, &done, slot(minutes + 5));
    }
    assert_eq!(record.jobs.len(), REMEMBERED + 1, "and the one that is not over");
    assert_eq!(record.jobs[0].slot, slot(0));
    assert!(record.expires() > record.changed);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Backup>(&text).unwrap(), record);
}

#[test]
fn the_suites_own_table_is_backed_up_unless_somebody_says_how() {
    let table = definition();
    let mut backups = BTreeMap::new();
    add_suite_table(&mut backups, table.clone());
    assert_eq!(backups.keys().collect::<Vec<_>>(), ["suite-table"]);
    let own = Definition {
        delete_after: None,
        ..table.clone()
    };
    let mut backups = BTreeMap::from([("mine".to_owned(), own)]);
    add_suite_table(&mut backups, table.clone());
    assert_eq!(backups.len(), 1);
    let other = Definition {
        resource: "arn:aws:s3:::b".to_owned(),
        ..table.clone()
    };
    let mut backups = BTreeMap::from([("suite-table".to_owned(), other.clone())]);
    add_suite_table(&mut backups, table);
    assert_eq!((backups.len(), &backups["suite-table"]), (2, &other));
}

/// A record from before the field `suite` existed keeps the names that its restore test was given.
#[test]
fn an_old_record_gets_its_suite_once_nothing_has_a_name_without_it() {
    let mut old = Backup::new("", "orders", definition(), t(0));
    let mut busy = after(&old, scheduled(slot(0), "a"), t(5));
    busy.join("ci");
    assert_eq!(busy.suite, "");
    old.join("ci");
    assert_eq!(old.suite, "ci");
    old.join("other");
    assert_eq!(old.suite, "ci");
}
