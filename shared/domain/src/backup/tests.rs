//! What becomes of a backup's jobs, its copies, its age and its restore tests.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use super::*;
use crate::testing::t;

const TABLE: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/suite";
const HOUR: i64 = 3600;

/// A slot is a whole minute.
fn slot(minutes: i64) -> Timestamp {
    Timestamp::from_second(t(0).as_second().div_euclid(60) * 60 + minutes * 60).unwrap()
}

fn definition() -> Definition {
    Definition::of_suite_table(TABLE, "ci", "arn:aws:iam::123456789012:role/backup")
}

fn tested() -> Definition {
    Definition {
        restore_test: Some(RestoreTest {
            every: Duration::from_secs(7 * 24 * 3600),
            role: None,
            metadata: BTreeMap::new(),
        }),
        ..definition()
    }
}

fn backup() -> Backup {
    Backup::new("ci", "suite-table", definition(), t(0))
}

fn after(backup: &Backup, event: &BackupEvent, now: Timestamp) -> Backup {
    match backup.decide(event, now) {
        Decision::Next(next) => {
            assert_eq!(next.changed, now);
            *next
        }
        Decision::Ignored(reason) => panic!("{event:?}: {reason}"),
    }
}

fn ignored(backup: &Backup, event: &BackupEvent, now: Timestamp) -> Ignored {
    match backup.decide(event, now) {
        Decision::Next(next) => panic!("{event:?}: {next:?}"),
        Decision::Ignored(reason) => reason,
    }
}

fn scheduled(slot: Timestamp, by: &str) -> BackupEvent {
    with(definition(), slot, by)
}

fn with(definition: Definition, slot: Timestamp, by: &str) -> BackupEvent {
    BackupEvent::Scheduled {
        definition: Box::new(definition),
        slot,
        by: by.to_owned(),
    }
}

fn seen(kind: JobKind, id: &str, state: JobState, message: Option<&str>) -> BackupEvent {
    BackupEvent::Seen(JobSeen {
        kind,
        id: id.to_owned(),
        state,
        message: message.map(str::to_owned),
        point: (kind == JobKind::Backup && state != JobState::Underway).then(|| "point".to_owned()),
        created: None,
        resource: None,
        ended: None,
    })
}

fn started(work: WorkId, id: &str) -> BackupEvent {
    BackupEvent::Started { work, id: id.to_owned() }
}

/// A backup whose job of a slot runs under the id `job-MINUTES`.
fn running(backup: &Backup, minutes: i64) -> Backup {
    let backup = after(backup, &scheduled(slot(minutes), &format!("by-{minutes}")), slot(minutes));
    let backup = perform_all(&backup);
    after(
        &backup,
        &started(WorkId::Backup(slot(minutes)), &format!("job-{minutes}")),
        slot(minutes),
    )
}

fn perform_all(backup: &Backup) -> Backup {
    let done: Vec<EffectId> = backup.outbox.pending().iter().map(|pending| pending.id).collect();
    done.iter().fold(backup.clone(), |backup, id| {
        after(&backup, &BackupEvent::Performed(*id), backup.changed)
    })
}

fn told(backup: &Backup) -> Vec<String> {
    backup
        .outbox
        .pending()
        .iter()
        .filter_map(|pending| match &pending.effect {
            BackupEffect::Tell(news) => Some(match &news.what {
                BackupTold::Ended(end) => end.how.status().to_owned(),
                BackupTold::CopyEnded(end) => format!("copy {}", end.how.status()),
                BackupTold::Stale { .. } => "stale".to_owned(),
                BackupTold::Missing => "missing".to_owned(),
                BackupTold::Recovered { from, copy, .. } => format!("recovered from {from}{}", if *copy { " (copy)" } else { "" }),
                BackupTold::RestoreTested { took, .. } => format!("restored in {}s", took.as_secs()),
                BackupTold::RestoreFailed { .. } => "restore failed".to_owned(),
                BackupTold::Abandoned(what) => format!("could not {}", what.what),
                BackupTold::LeftOver { why, .. } => format!("left over: {why}"),
            }),
            _ => None,
        })
        .collect()
}

fn effects(backup: &Backup) -> Vec<&BackupEffect> {
    backup
        .outbox
        .pending()
        .iter()
        .map(|pending| &pending.effect)
        .filter(|effect| !matches!(effect, BackupEffect::Tell(_)))
        .collect()
}

#[test]
fn a_schedule_that_comes_twice_starts_one_job() {
    let once = after(&backup(), &scheduled(slot(0), "a"), t(5));
    assert_eq!(effects(&once), [&BackupEffect::Start(WorkId::Backup(slot(0)))]);
    for (again, by) in [(slot(0), "a"), (slot(0), "b"), (slot(9), "c"), (slot(-9), "d"), (slot(700), "a")] {
        assert_eq!(ignored(&once, &scheduled(again, by), t(9)), Ignored::NothingNew, "{again} {by}");
    }
    let next = after(&once, &scheduled(slot(10), "b"), t(700));
    assert_eq!(next.jobs.len(), 2);
    let (first, second) = (WorkId::Backup(slot(0)), WorkId::Backup(slot(10)));
    assert_ne!(next.token(first), next.token(second));
    assert_ne!(next.token(first), next.token(WorkId::Copy(slot(0))));
    assert_eq!(next.token(first).len(), 40);
}

/// Two versions of this suite must ask for one job with one token, or an update in the middle of it starts two.
#[test]
fn a_token_never_changes() {
    let work = WorkId::Backup(Timestamp::from_second(1_790_000_040).unwrap());
    assert_eq!(backup().token(work), "165eddecbc83917c472daba0de173ea1fc3f5735");
}

/// Every suite has a backup of its own table, of the same name and at the same time unless somebody changed the schedule. AWS Backup would take their jobs
/// for one, and what their restore tests create would have one name.
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
    let backup = after(&backup(), &scheduled(late, "a"), t(90));
    assert_eq!(backup.jobs[0].slot, slot(0));
}

#[test]
fn a_job_that_goes_well_is_quiet() {
    let job = running(&backup(), 0);
    assert_eq!(
        ignored(&job, &seen(JobKind::Backup, "job-0", JobState::Underway, None), t(60)),
        Ignored::NothingNew
    );
    let done = after(&job, &seen(JobKind::Backup, "job-0", JobState::Completed, Some("  ")), t(90));
    assert_eq!((told(&done).len(), effects(&done).len(), done.due()), (0, 0, None));
    assert_eq!(done.jobs[0].point.as_deref(), Some("point"));
    assert_eq!(
        ignored(&done, &seen(JobKind::Backup, "job-0", JobState::Failed, None), t(91)),
        Ignored::Over
    );
    assert_eq!(
        ignored(&done, &seen(JobKind::Backup, "other", JobState::Failed, None), t(91)),
        Ignored::Stale
    );
}

#[test]
fn every_bad_end_is_told_once_and_so_is_the_recovery() {
    for (state, status) in [
        (JobState::Failed, "failed"),
        (JobState::Aborted, "aborted"),
        (JobState::Expired, "expired"),
        (JobState::Partial, "partial"),
    ] {
        let bad = seen(JobKind::Backup, "job-0", state, Some("\"No.\""));
        let failed = after(&running(&backup(), 0), &bad, slot(5));
        assert_eq!(told(&failed), [status]);
        assert_eq!(failed.troubles[&Concern::Backup].message.as_deref(), Some("No."));
        assert_eq!(ignored(&failed, &bad, slot(6)), Ignored::Over);
        let again = running(&perform_all(&failed), 20);
        let again = after(&again, &seen(JobKind::Backup, "job-20", state, None), slot(25));
        assert_eq!(told(&again), [status], "each job that goes wrong is told");
        assert_eq!(again.troubles[&Concern::Backup].since, slot(5));
        let well = running(&perform_all(&again), 40);
        let well = after(&well, &seen(JobKind::Backup, "job-40", JobState::Completed, None), slot(45));
        assert_eq!(told(&well), [format!("recovered from {status}")]);
        assert!(well.troubles.is_empty());
    }
}

#[test]
fn an_older_job_that_ends_late_is_no_recovery() {
    let both = running(&running(&backup(), 0), 20);
    let failed = after(&both, &seen(JobKind::Backup, "job-20", JobState::Failed, None), slot(25));
    let late = after(&failed, &seen(JobKind::Backup, "job-0", JobState::Completed, None), slot(26));
    assert_eq!(told(&late), ["failed"]);
    assert!(late.troubles.contains_key(&Concern::Backup));
}

#[test]
fn issues_that_stay_the_same_are_told_once() {
    let issue = |id: &str, text: &str| seen(JobKind::Backup, id, JobState::Completed, Some(text));
    let first = after(&running(&backup(), 0), &issue("job-0", "1 skipped"), slot(5));
    assert_eq!(told(&first), ["completed-with-issues"]);
    let second = after(&running(&perform_all(&first), 20), &issue("job-20", "1 skipped"), slot(25));
    assert_eq!(told(&second), [""; 0]);
    let third = after(&running(&perform_all(&second), 40), &issue("job-40", "2 skipped"), slot(45));
    assert_eq!(told(&third), ["completed-with-issues"]);
}

#[test]
fn a_job_without_events_is_asked_for_and_ever_less_often() {
    let mut job = running(&backup(), 0);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let due = job.due().unwrap();
        waits.push(due.as_second() - job.jobs[0].work.heard.as_second());
        assert_eq!(
            ignored(&job, &BackupEvent::Tick, Timestamp::from_second(due.as_second() - 1).unwrap()),
            Ignored::NothingNew
        );
        job = after(&job, &BackupEvent::Tick, due);
        assert_eq!(effects(&job), [&BackupEffect::Look(WorkId::Backup(slot(0)))]);
        job = perform_all(&job);
    }
    assert_eq!(waits, [900, 1800, 3600, 3600]);
    let lost = after(&job, &BackupEvent::Vanished(WorkId::Backup(slot(0))), slot(300));
    assert_eq!(told(&lost), ["failed"]);
    assert_eq!(lost.due(), lost.outbox.due());
}

#[test]
fn a_job_that_is_refused_or_cannot_be_started_is_told() {
    let asked = after(&backup(), &scheduled(slot(0), "a"), slot(0));
    let refused = BackupEvent::Refused {
        work: WorkId::Backup(slot(0)),
        message: "ResourceNotFoundException: no vault".to_owned(),
    };
    let refused = after(&asked, &refused, slot(1));
    assert_eq!(told(&refused), ["failed"]);
    assert_eq!(effects(&refused), [&BackupEffect::Check; 0]);

    let id = asked.outbox.pending()[0].id;
    let why = || "failed to start it: SomeException: not now".to_owned();
    let tried = after(&asked, &BackupEvent::Deferred(id, why()), slot(0));
    let tried = after(&tried, &BackupEvent::Deferred(id, why()), slot(12 * 60 - 1));
    assert_eq!(effects(&tried).len(), 1);
    let given_up = after(&tried, &BackupEvent::Deferred(id, why()), slot(12 * 60));
    assert_eq!((told(&given_up), effects(&given_up).len()), (vec!["failed".to_owned()], 0));
}

/// What fits is tried in vain for its time.
fn in_vain(backup: &Backup, fits: fn(&BackupEffect) -> bool) -> Backup {
    let id = backup.outbox.pending().iter().find(|pending| fits(&pending.effect)).unwrap().id;
    [100, 219, 220].iter().fold(backup.clone(), |backup, minute| {
        after(
            &backup,
            &BackupEvent::Deferred(id, "failed to ask: AccessDeniedException: no".to_owned()),
            slot(*minute),
        )
    })
}

#[test]
fn a_job_that_nobody_may_ask_for_is_not_asked_for_any_more_and_its_event_tells_its_end() {
    let looked = after(&running(&backup(), 0), &BackupEvent::Tick, slot(20));
    let given_up = in_vain(&looked, |effect| matches!(effect, BackupEffect::Look(_)));
    assert_eq!(told(&given_up), ["could not poll AWS Backup job job-0"]);
    assert_eq!(perform_all(&given_up).due(), None);
    let ended = after(&given_up, &seen(JobKind::Backup, "job-0", JobState::Failed, None), slot(300));
    assert_eq!(told(&ended), ["could not poll AWS Backup job job-0", "failed"]);
    let checked = after(
        &running(&backup(), 0),
        &BackupEvent::Check {
            definition: Box::new(backup().definition),
        },
        slot(20),
    );
    let given_up = in_vain(&checked, |effect| *effect == BackupEffect::Check);
    assert_eq!(told(&given_up), ["could not look for the newest recovery point"]);
}

#[test]
fn a_start_that_is_confirmed_twice_keeps_its_first_id() {
    let job = running(&backup(), 0);
    assert_eq!(ignored(&job, &started(WorkId::Backup(slot(0)), "other"), t(9)), Ignored::NothingNew);
    assert_eq!(ignored(&job, &started(WorkId::Copy(slot(0)), "other"), t(9)), Ignored::NothingNew);
}

#[test]
fn a_copy_follows_a_backup_that_went_well() {
    let far = Definition {
        copy_to: Some("arn:aws:backup:us-east-1:123456789012:backup-vault:far".to_owned()),
        ..definition()
    };
    let job = after(&backup(), &with(far.clone(), slot(0), "a"), slot(0));
    let job = after(&perform_all(&job), &started(WorkId::Backup(slot(0)), "job-0"), slot(0));
    let failed = after(&job, &seen(JobKind::Backup, "job-0", JobState::Failed, None), slot(5));
    assert_eq!((effects(&failed).len(), failed.jobs[0].copy.is_some()), (0, false));

    let copying = after(&job, &seen(JobKind::Backup, "job-0", JobState::Completed, None), slot(5));
    assert_eq!(effects(&copying), [&BackupEffect::Start(WorkId::Copy(slot(0)))]);
    let copying = after(&perform_all(&copying), &started(WorkId::Copy(slot(0)), "copy-0"), slot(6));
    assert_eq!(copying.whose(JobKind::Copy, "copy-0"), Some(WorkId::Copy(slot(0))));
    assert_eq!(copying.whose(JobKind::Backup, "copy-0"), None);
    let failed = after(&copying, &seen(JobKind::Copy, "copy-0", JobState::Failed, Some("no")), slot(9));
    assert_eq!(told(&failed), ["copy failed"]);
    assert_eq!(failed.troubles.keys().collect::<Vec<_>>(), [&Concern::Copy]);

    let next = after(&perform_all(&failed), &with(far, slot(20), "b"), slot(20));
    let next = after(&perform_all(&next), &started(WorkId::Backup(slot(20)), "job-20"), slot(20));
    let next = after(&next, &seen(JobKind::Backup, "job-20", JobState::Completed, None), slot(25));
    let next = after(&perform_all(&next), &started(WorkId::Copy(slot(20)), "copy-20"), slot(26));
    let next = after(&next, &seen(JobKind::Copy, "copy-20", JobState::Completed, None), slot(29));
    assert_eq!(told(&next), ["recovered from failed (copy)"]);
}

fn check(definition: Definition) -> BackupEvent {
    BackupEvent::Check {
        definition: Box::new(definition),
    }
}

fn newest(hours_ago: i64, now: Timestamp) -> BackupEvent {
    BackupEvent::Newest(Some(Point {
        arn: "arn:aws:backup:eu-west-1:123456789012:recovery-point:1".to_owned(),
        created: Timestamp::from_second(now.as_second() - hours_ago * HOUR).unwrap(),
    }))
}

#[test]
fn an_old_newest_recovery_point_is_told_once_until_there_is_a_newer_one() {
    let asked = after(&backup(), &check(definition()), slot(0));
    assert_eq!(effects(&asked), [&BackupEffect::Check]);
    let asked = perform_all(&asked);
    assert_eq!(ignored(&asked, &newest(26, slot(1)), slot(1)), Ignored::NothingNew);
    let stale = after(&asked, &newest(27, slot(1)), slot(1));
    assert_eq!(told(&stale), ["stale"]);
    let stale = perform_all(&stale);
    assert_eq!(ignored(&stale, &newest(33, slot(360)), slot(360)), Ignored::NothingNew);
    let well = after(&stale, &newest(1, slot(720)), slot(720));
    assert_eq!(told(&well), ["recovered from stale"]);

    // Before the first one can be that old, nothing is missing.
    assert_eq!(ignored(&asked, &BackupEvent::Newest(None), slot(1)), Ignored::NothingNew);
    let days = 3 * 24 * 60;
    let missing = after(&asked, &BackupEvent::Newest(None), slot(days));
    assert_eq!(told(&missing), ["missing"]);
    let first = running(&perform_all(&missing), days + 10);
    let first = after(
        &first,
        &seen(JobKind::Backup, &format!("job-{}", days + 10), JobState::Completed, None),
        slot(days + 15),
    );
    assert_eq!(told(&first), ["recovered from missing"]);
}

#[test]
fn a_success_that_is_told_too_late_to_be_fresh_recovers_from_no_age() {
    let stale = after(&running(&backup(), 0), &newest(30, slot(1)), slot(1));
    let late = 26 * 60;
    let done = seen(JobKind::Backup, "job-0", JobState::Completed, None);
    assert!(after(&stale, &done, slot(late)).troubles.is_empty());
    let too_late = after(&perform_all(&stale), &done, slot(late + 1));
    assert_eq!(told(&too_late).len(), 0);
    assert!(too_late.troubles.contains_key(&Concern::Age));
}

#[test]
fn a_schedule_that_is_handed_back_late_brings_a_fresh_recovery_point() {
    let now = 27 * 60;
    let stale = perform_all(&after(&backup(), &newest(30, slot(now)), slot(now)));
    let asked = perform_all(&after(&stale, &scheduled(slot(0), "by-0"), slot(now)));
    let running = after(&asked, &started(WorkId::Backup(slot(0)), "job-0"), slot(now));
    let done = after(&running, &seen(JobKind::Backup, "job-0", JobState::Completed, None), slot(now + 5));
    assert_eq!(told(&done), ["recovered from stale"]);
}

#[test]
fn one_job_that_ends_two_troubles_is_told_once() {
    let failed = after(
        &running(&backup(), 0),
        &seen(JobKind::Backup, "job-0", JobState::Failed, None),
        slot(5),
    );
    let stale = after(&failed, &newest(30, slot(6)), slot(6));
    assert_eq!(told(&stale), ["failed", "stale"]);
    let well = running(&perform_all(&stale), 20);
    let well = after(&well, &seen(JobKind::Backup, "job-20", JobState::Completed, None), slot(25));
    assert_eq!(told(&well), ["recovered from failed"]);
    assert!(well.troubles.is_empty());
}

#[test]
fn the_first_backup_is_not_missing_while_it_is_on_its_way() {
    let first = running(&backup(), 0);
    assert_eq!(ignored(&first, &BackupEvent::Newest(None), slot(1)), Ignored::NothingNew);
    let asked = after(&first, &check(definition()), slot(1));
    assert_eq!(
        effects(&asked),
        [&BackupEffect::Look(WorkId::Backup(slot(0))), &BackupEffect::Check]
    );
}

#[test]
fn without_a_limit_no_age_is_wrong() {
    let limitless = Definition {
        newest_at_most: None,
        ..definition()
    };
    let stale = after(&backup(), &newest(30, slot(0)), slot(0));
    let asked = after(&stale, &check(limitless), slot(1));
    let well = after(&perform_all(&asked), &newest(36, slot(360)), slot(360));
    assert_eq!((told(&well).len(), well.troubles.len()), (0, 0));
}

/// A backup whose restore test of slot 0 runs under the id `restore-0`.
fn testing() -> Backup {
    let asked = after(&backup(), &check(tested()), slot(0));
    let test = after(&perform_all(&asked), &newest(1, slot(0)), slot(0));
    assert_eq!(effects(&test), [&BackupEffect::Start(WorkId::Restore(slot(0)))]);
    assert_eq!(ignored(&test, &newest(1, slot(1)), slot(1)), Ignored::NothingNew);
    after(&perform_all(&test), &started(WorkId::Restore(slot(0)), "restore-0"), slot(0))
}

fn restored(state: JobState, created: Option<&str>) -> BackupEvent {
    BackupEvent::Seen(JobSeen {
        kind: JobKind::Restore,
        id: "restore-0".to_owned(),
        state,
        message: None,
        point: None,
        created: created.map(str::to_owned),
        resource: None,
        ended: Some(slot(12)),
    })
}

fn created() -> String {
    format!("arn:aws:dynamodb:eu-west-1:123456789012:table/{}", backup().restored_name(slot(0)))
}

#[test]
fn a_restore_test_is_told_with_its_duration_and_cleans_up() {
    let done = after(&testing(), &restored(JobState::Completed, Some(&created())), slot(15));
    assert_eq!(told(&done), ["restored in 720s"]);
    assert_eq!(effects(&done), [&BackupEffect::Remove { resource: created() }]);
    let request = "request".to_owned();
    let removing = BackupEvent::Removal(RemovalSeen::Underway { request: request.clone() });
    let removing = after(&perform_all(&done), &removing, slot(15));
    let due = removing.due().unwrap();
    assert_eq!(due, later(slot(15), REMOVAL_AFTER));
    let looking = after(&removing, &BackupEvent::Tick, due);
    assert_eq!(effects(&looking), [&BackupEffect::LookRemoval { request: request.clone() }]);
    let still = BackupEvent::Removal(RemovalSeen::Underway { request });
    assert_eq!(ignored(&looking, &still, due), Ignored::NothingNew);
    assert_eq!(perform_all(&looking).due(), Some(later(due, REMOVAL_AFTER * 2)));
    let gone = after(&perform_all(&looking), &BackupEvent::Removal(RemovalSeen::Done), due);
    assert_eq!((gone.due(), told(&gone).len()), (None, 0));
    assert_eq!(ignored(&gone, &BackupEvent::Removal(RemovalSeen::Done), due), Ignored::Over);

    let soon = ignored(&gone, &newest(1, slot(7 * 24 * 60 - 11)), slot(7 * 24 * 60 - 11));
    assert_eq!(soon, Ignored::NothingNew);
    let next = after(&gone, &newest(1, slot(7 * 24 * 60)), slot(7 * 24 * 60));
    assert_eq!(effects(&next), [&BackupEffect::Start(WorkId::Restore(slot(7 * 24 * 60)))]);
}

#[test]
fn what_a_restore_created_is_asked_for_where_nobody_told() {
    let done = after(&testing(), &restored(JobState::Completed, None), slot(15));
    assert_eq!(effects(&done), [&BackupEffect::Look(WorkId::Restore(slot(0)))]);
    let done = perform_all(&done);
    assert_eq!(ignored(&done, &restored(JobState::Completed, None), slot(16)), Ignored::NothingNew);
    let told_late = after(&done, &restored(JobState::Completed, Some(&created())), slot(16));
    assert_eq!(effects(&told_late), [&BackupEffect::Remove { resource: created() }]);
    assert_eq!(told(&told_late), [""; 0]);
}

#[test]
fn what_a_restore_created_is_asked_for_until_the_answer_has_caught_up() {
    let mut record = perform_all(&after(&testing(), &restored(JobState::Completed, None), slot(15)));
    assert_eq!(record.due(), Some(later(slot(15), REMOVAL_AFTER)));
    let behind = ignored(&record, &restored(JobState::Underway, None), slot(15));
    assert_eq!(behind, Ignored::Over);
    let next = ignored(&record, &newest(1, slot(8 * 24 * 60)), slot(8 * 24 * 60));
    assert_eq!(next, Ignored::NothingNew, "another test waits until this one has cleaned up");
    for _ in 0..LOOKS_FOR_CREATED {
        let due = record.due().unwrap();
        record = after(&record, &BackupEvent::Tick, due);
        assert_eq!(effects(&record), [&BackupEffect::Look(WorkId::Restore(slot(0)))]);
        record = perform_all(&record);
    }
    let due = record.due().unwrap();
    let given_up = after(&record, &BackupEvent::Tick, due);
    assert_eq!(told(&given_up), ["left over: AWS Backup does not return its ARN"]);
    assert_eq!(perform_all(&given_up).due(), None);
}

#[test]
fn what_an_event_says_was_created_does_not_count() {
    let BackupEvent::Seen(completed) = restored(JobState::Completed, Some(&created())) else {
        unreachable!()
    };
    let heard = after(&testing(), &BackupEvent::Heard(completed), slot(15));
    assert_eq!(effects(&heard), [&BackupEffect::Look(WorkId::Restore(slot(0)))]);
    assert_eq!(heard.test.unwrap().created, None);
}

#[test]
fn a_restore_that_fails_says_so_and_leaves_nothing() {
    let failed = after(&testing(), &restored(JobState::Failed, None), slot(15));
    assert_eq!(told(&failed), ["restore failed"]);
    assert_eq!(effects(&failed), [&BackupEffect::Look(WorkId::Restore(slot(0)))]);
    let left = after(&perform_all(&failed), &restored(JobState::Failed, Some(&created())), slot(16));
    assert_eq!(effects(&left), [&BackupEffect::Remove { resource: created() }]);
    let nothing = after(&perform_all(&failed), &restored(JobState::Failed, None), slot(16));
    assert_eq!(
        (nothing.test.as_ref().unwrap().removal.clone(), nothing.due()),
        (Removal::Done, None)
    );
    let refused = BackupEvent::Refused {
        work: WorkId::Restore(slot(0)),
        message: "no".to_owned(),
    };
    let asked = after(
        &perform_all(&after(&backup(), &check(tested()), slot(0))),
        &newest(1, slot(0)),
        slot(0),
    );
    let refused = after(&asked, &refused, slot(1));
    assert_eq!((told(&refused), effects(&refused).len()), (vec!["restore failed".to_owned()], 0));
}

#[test]
fn what_a_forgotten_restore_created_is_removed_by_its_name() {
    let vanished = BackupEvent::Vanished(WorkId::Restore(slot(0)));
    let forgotten = after(&testing(), &vanished, slot(15));
    assert_eq!(told(&forgotten), ["restore failed"]);
    assert_eq!(effects(&forgotten), [&BackupEffect::Remove { resource: created() }]);

    // It ended, and was forgotten before it was asked for what it had created.
    let sought = perform_all(&after(&testing(), &restored(JobState::Failed, None), slot(15)));
    let forgotten = after(&sought, &vanished, slot(16));
    assert_eq!(effects(&forgotten), [&BackupEffect::Remove { resource: created() }]);
    assert_eq!(told(&forgotten), [""; 0]);
    let again = ignored(&forgotten, &vanished, slot(17));
    assert_eq!(again, Ignored::NothingNew);

    let other = Backup {
        test: testing().test.map(|test| Test {
            definition: Definition {
                resource: "arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-0a".to_owned(),
                ..test.definition.clone()
            },
            ..test
        }),
        ..testing()
    };
    let forgotten = perform_all(&after(&other, &vanished, slot(15)));
    let left = after(&forgotten, &vanished, slot(16));
    assert_eq!(
        told(&left),
        ["left over: AWS Backup no longer has the job"],
        "it has a name that nobody knows"
    );
    assert_eq!(perform_all(&left).due(), None);
}

#[test]
fn nothing_but_what_the_test_created_is_ever_removed() {
    for other in [
        TABLE,
        "arn:aws:dynamodb:eu-west-1:123456789012:table/orders",
        "arn:aws:s3:::bucket",
        "",
    ] {
        let done = after(&testing(), &restored(JobState::Completed, Some(other)), slot(15));
        assert!(told(&done)[1].starts_with("left over: "), "{other}");
        assert_eq!(effects(&done), [&BackupEffect::Check; 0], "{other}");
    }
}

#[test]
fn a_removal_that_fails_is_told() {
    let done = after(&testing(), &restored(JobState::Completed, Some(&created())), slot(15));
    let failed = BackupEvent::Removal(RemovalSeen::Failed("AccessDenied".to_owned()));
    let failed = after(&perform_all(&done), &failed, slot(15));
    assert_eq!(told(&failed), ["left over: AccessDenied"]);
    assert_eq!(failed.due(), failed.outbox.due());
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
