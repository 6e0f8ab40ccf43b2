//! Backup jobs and their copies.

use super::*;

#[test]
fn a_job_that_goes_well_is_quiet() {
    let job = running(&backup(), 0);
    assert_eq!(
        ignored(&job, &seen(JobKind::Backup, "job-0", JobState::Underway, None), t(60)),
        Ignored::NothingNew
    );
    let done = after(&job, seen(JobKind::Backup, "job-0", JobState::Completed, Some("  ")), t(90));
    assert_eq!((notified(&done).len(), effects(&done).len(), done.due()), (0, 0, None));
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
        assert_eq!(notified(&failed), [status]);
        assert_eq!(failed.troubles[&Concern::Backup].message.as_deref(), Some("No."));
        assert_eq!(ignored(&failed, &bad, slot(6)), Ignored::Over);
        let again = running(&perform_all(&failed), 20);
        let again = after(&again, seen(JobKind::Backup, "job-20", state, None), slot(25));
        assert_eq!(notified(&again), [status], "each job that goes wrong is told");
        assert_eq!(again.troubles[&Concern::Backup].since, slot(5));
        let well = running(&perform_all(&again), 40);
        let well = after(&well, seen(JobKind::Backup, "job-40", JobState::Completed, None), slot(45));
        assert_eq!(notified(&well), [format!("recovered from {status}")]);
        assert!(well.troubles.is_empty());
    }
}

#[test]
fn an_older_job_that_ends_late_is_no_recovery() {
    let both = running(&running(&backup(), 0), 20);
    let failed = after(&both, seen(JobKind::Backup, "job-20", JobState::Failed, None), slot(25));
    let late = after(&failed, seen(JobKind::Backup, "job-0", JobState::Completed, None), slot(26));
    assert_eq!(notified(&late), ["failed"]);
    assert!(late.troubles.contains_key(&Concern::Backup));
}

#[test]
fn issues_that_stay_the_same_are_told_once() {
    let issue = |id: &str, text: &str| seen(JobKind::Backup, id, JobState::Completed, Some(text));
    let first = after(&running(&backup(), 0), issue("job-0", "1 skipped"), slot(5));
    assert_eq!(notified(&first), ["completed-with-issues"]);
    let second = after(&running(&perform_all(&first), 20), issue("job-20", "1 skipped"), slot(25));
    assert_eq!(notified(&second), [""; 0]);
    let third = after(&running(&perform_all(&second), 40), issue("job-40", "2 skipped"), slot(45));
    assert_eq!(notified(&third), ["completed-with-issues"]);
}

#[test]
fn a_job_without_events_is_asked_for_and_ever_less_often() {
    let mut job = running(&backup(), 0);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let due = job.due().unwrap();
        waits.push(due.as_second() - job.jobs[0].work.seen_at.as_second());
        assert_eq!(
            ignored(&job, &BackupEvent::Tick, Timestamp::from_second(due.as_second() - 1).unwrap()),
            Ignored::NothingNew
        );
        job = after(&job, &BackupEvent::Tick, due);
        assert_eq!(effects(&job), [&BackupEffect::Poll(WorkId::Backup(slot(0)))]);
        job = perform_all(&job);
    }
    assert_eq!(waits, [900, 1800, 3600, 3600]);
    let lost = after(&job, BackupEvent::Vanished(WorkId::Backup(slot(0))), slot(300));
    assert_eq!(notified(&lost), ["failed"]);
    assert_eq!(lost.due(), lost.outbox.due());
}

#[test]
fn a_job_that_is_refused_or_cannot_be_started_is_told() {
    let asked = after(&backup(), scheduled(slot(0), "a"), slot(0));
    let refused = BackupEvent::Refused {
        work: WorkId::Backup(slot(0)),
        message: "ResourceNotFoundException: no vault".to_owned(),
    };
    let refused = after(&asked, &refused, slot(1));
    assert_eq!(notified(&refused), ["failed"]);
    assert_eq!(effects(&refused), [&BackupEffect::Check; 0]);

    let id = asked.outbox.pending()[0].id;
    let why = || "failed to start it: SomeException: not now".to_owned();
    let tried = after(&asked, Step::Deferred(id, why()), slot(0));
    let tried = after(&tried, Step::Deferred(id, why()), slot(12 * 60 - 1));
    assert_eq!(effects(&tried).len(), 1);
    let given_up = after(&tried, Step::Deferred(id, why()), slot(12 * 60));
    assert_eq!((notified(&given_up), effects(&given_up).len()), (vec!["failed".to_owned()], 0));
}

#[test]
fn a_job_that_may_not_be_described_is_not_polled_any_more_and_its_event_reports_its_end() {
    let looked = after(&running(&backup(), 0), &BackupEvent::Tick, slot(20));
    let given_up = in_vain(&looked, |effect| matches!(effect, BackupEffect::Poll(_)));
    assert_eq!(notified(&given_up), ["could not poll AWS Backup job job-0"]);
    assert_eq!(perform_all(&given_up).due(), None);
    let ended = after(&given_up, seen(JobKind::Backup, "job-0", JobState::Failed, None), slot(300));
    assert_eq!(notified(&ended), ["could not poll AWS Backup job job-0", "failed"]);
    let checked = after(
        &running(&backup(), 0),
        &BackupEvent::Check {
            definition: Box::new(backup().definition),
        },
        slot(20),
    );
    let given_up = in_vain(&checked, |effect| *effect == BackupEffect::Check);
    assert_eq!(notified(&given_up), ["could not look for the newest recovery point"]);
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
    let job = after(&backup(), with(far.clone(), slot(0), "a"), slot(0));
    let job = after(&perform_all(&job), started(WorkId::Backup(slot(0)), "job-0"), slot(0));
    let failed = after(&job, seen(JobKind::Backup, "job-0", JobState::Failed, None), slot(5));
    assert_eq!((effects(&failed).len(), failed.jobs[0].copy.is_some()), (0, false));

    let copying = after(&job, seen(JobKind::Backup, "job-0", JobState::Completed, None), slot(5));
    assert_eq!(effects(&copying), [&BackupEffect::Start(WorkId::Copy(slot(0)))]);
    let copying = after(&perform_all(&copying), started(WorkId::Copy(slot(0)), "copy-0"), slot(6));
    assert_eq!(copying.whose(JobKind::Copy, "copy-0"), Some(WorkId::Copy(slot(0))));
    assert_eq!(copying.whose(JobKind::Backup, "copy-0"), None);
    let failed = after(&copying, seen(JobKind::Copy, "copy-0", JobState::Failed, Some("no")), slot(9));
    assert_eq!(notified(&failed), ["copy failed"]);
    assert_eq!(failed.troubles.keys().collect::<Vec<_>>(), [&Concern::Copy]);

    let next = after(&perform_all(&failed), with(far, slot(20), "b"), slot(20));
    let next = after(&perform_all(&next), started(WorkId::Backup(slot(20)), "job-20"), slot(20));
    let next = after(&next, seen(JobKind::Backup, "job-20", JobState::Completed, None), slot(25));
    let next = after(&perform_all(&next), started(WorkId::Copy(slot(20)), "copy-20"), slot(26));
    let next = after(&next, seen(JobKind::Copy, "copy-20", JobState::Completed, None), slot(29));
    assert_eq!(notified(&next), ["recovered from failed (copy)"]);
}
