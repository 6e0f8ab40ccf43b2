//! The age of the newest recovery point.

use super::*;

#[test]
fn an_old_newest_recovery_point_is_told_once_until_there_is_a_newer_one() {
    let asked = after(&backup(), check(definition()), slot(0));
    assert_eq!(effects(&asked), [&BackupEffect::Check]);
    let asked = perform_all(&asked);
    assert_eq!(ignored(&asked, &newest(26, slot(1)), slot(1)), Ignored::NothingNew);
    let stale = after(&asked, newest(27, slot(1)), slot(1));
    assert_eq!(notified(&stale), ["stale"]);
    let stale = perform_all(&stale);
    assert_eq!(ignored(&stale, &newest(33, slot(360)), slot(360)), Ignored::NothingNew);
    let well = after(&stale, newest(1, slot(720)), slot(720));
    assert_eq!(notified(&well), ["recovered from stale"]);

    // Until the first recovery point could be that old, none is missing.
    assert_eq!(ignored(&asked, &BackupEvent::Newest(None), slot(1)), Ignored::NothingNew);
    let days = 3 * 24 * 60;
    let missing = after(&asked, BackupEvent::Newest(None), slot(days));
    assert_eq!(notified(&missing), ["missing"]);
    let first = running(&perform_all(&missing), days + 10);
    let first = after(
        &first,
        seen(JobKind::Backup, &format!("job-{}", days + 10), JobState::Completed, None),
        slot(days + 15),
    );
    assert_eq!(notified(&first), ["recovered from missing"]);
}

#[test]
fn a_success_that_is_told_too_late_to_be_fresh_recovers_from_no_age() {
    let stale = after(&running(&backup(), 0), newest(30, slot(1)), slot(1));
    let late = 26 * 60;
    let done = seen(JobKind::Backup, "job-0", JobState::Completed, None);
    assert!(after(&stale, &done, slot(late)).troubles.is_empty());
    let too_late = after(&perform_all(&stale), &done, slot(late + 1));
    assert_eq!(notified(&too_late).len(), 0);
    assert!(too_late.troubles.contains_key(&Concern::Age));
}

#[test]
fn a_schedule_that_is_handed_back_late_brings_a_fresh_recovery_point() {
    let now = 27 * 60;
    let stale = perform_all(&after(&backup(), newest(30, slot(now)), slot(now)));
    let asked = perform_all(&after(&stale, scheduled(slot(0), "by-0"), slot(now)));
    let running = after(&asked, started(WorkId::Backup(slot(0)), "job-0"), slot(now));
    let done = after(&running, seen(JobKind::Backup, "job-0", JobState::Completed, None), slot(now + 5));
    assert_eq!(notified(&done), ["recovered from stale"]);
}

#[test]
fn one_job_that_ends_two_troubles_is_told_once() {
    let failed = after(
        &running(&backup(), 0),
        seen(JobKind::Backup, "job-0", JobState::Failed, None),
        slot(5),
    );
    let stale = after(&failed, newest(30, slot(6)), slot(6));
    assert_eq!(notified(&stale), ["failed", "stale"]);
    let well = running(&perform_all(&stale), 20);
    let well = after(&well, seen(JobKind::Backup, "job-20", JobState::Completed, None), slot(25));
    assert_eq!(notified(&well), ["recovered from failed"]);
    assert!(well.troubles.is_empty());
}

#[test]
fn the_first_backup_is_not_missing_while_it_is_on_its_way() {
    let first = running(&backup(), 0);
    assert_eq!(ignored(&first, &BackupEvent::Newest(None), slot(1)), Ignored::NothingNew);
    let asked = after(&first, check(definition()), slot(1));
    assert_eq!(
        effects(&asked),
        [&BackupEffect::Poll(WorkId::Backup(slot(0))), &BackupEffect::Check]
    );
}

#[test]
fn without_a_limit_no_age_is_wrong() {
    let limitless = Definition {
        newest_at_most: None,
        ..definition()
    };
    let stale = after(&backup(), newest(30, slot(0)), slot(0));
    let asked = after(&stale, check(limitless), slot(1));
    let well = after(&perform_all(&asked), newest(36, slot(360)), slot(360));
    assert_eq!((notified(&well).len(), well.troubles.len()), (0, 0));
}
