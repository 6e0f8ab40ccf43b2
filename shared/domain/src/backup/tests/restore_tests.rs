//! Restore tests, and the removal of what they created.

use super::*;

/// A backup whose restore test of slot 0 runs under the id `restore-0`.
fn testing() -> Backup {
    let asked = after(&backup(), check(tested()), slot(0));
    let test = after(&perform_all(&asked), newest(1, slot(0)), slot(0));
    assert_eq!(effects(&test), [&BackupEffect::Start(WorkId::Restore(slot(0)))]);
    assert_eq!(ignored(&test, &newest(1, slot(1)), slot(1)), Ignored::NothingNew);
    after(&perform_all(&test), started(WorkId::Restore(slot(0)), "restore-0"), slot(0))
}

fn restored(state: JobState, created: Option<&str>) -> BackupEvent {
    BackupEvent::Described(JobObservation {
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
    let done = after(&testing(), restored(JobState::Completed, Some(&created())), slot(15));
    assert_eq!(notified(&done), ["restored in 720s"]);
    assert_eq!(effects(&done), [&BackupEffect::Remove { resource: created() }]);
    let request = "request".to_owned();
    let removing = BackupEvent::Removal(RemovalObservation::Underway { request: request.clone() });
    let removing = after(&perform_all(&done), &removing, slot(15));
    let due = removing.due().unwrap();
    assert_eq!(due, later(slot(15), REMOVAL_AFTER));
    let looking = after(&removing, &BackupEvent::Tick, due);
    assert_eq!(effects(&looking), [&BackupEffect::PollRemoval { request: request.clone() }]);
    let still = BackupEvent::Removal(RemovalObservation::Underway { request });
    assert_eq!(ignored(&looking, &still, due), Ignored::NothingNew);
    assert_eq!(perform_all(&looking).due(), Some(later(due, REMOVAL_AFTER * 2)));
    let gone = after(&perform_all(&looking), BackupEvent::Removal(RemovalObservation::Done), due);
    assert_eq!((gone.due(), notified(&gone).len()), (None, 0));
    assert_eq!(ignored(&gone, &BackupEvent::Removal(RemovalObservation::Done), due), Ignored::Over);

    let soon = ignored(&gone, &newest(1, slot(7 * 24 * 60 - 11)), slot(7 * 24 * 60 - 11));
    assert_eq!(soon, Ignored::NothingNew);
    let next = after(&gone, newest(1, slot(7 * 24 * 60)), slot(7 * 24 * 60));
    assert_eq!(effects(&next), [&BackupEffect::Start(WorkId::Restore(slot(7 * 24 * 60)))]);
}

#[test]
fn what_a_restore_created_is_polled_if_its_event_does_not_say() {
    let done = after(&testing(), restored(JobState::Completed, None), slot(15));
    assert_eq!(effects(&done), [&BackupEffect::Poll(WorkId::Restore(slot(0)))]);
    let done = perform_all(&done);
    assert_eq!(ignored(&done, &restored(JobState::Completed, None), slot(16)), Ignored::NothingNew);
    let told_late = after(&done, restored(JobState::Completed, Some(&created())), slot(16));
    assert_eq!(effects(&told_late), [&BackupEffect::Remove { resource: created() }]);
    assert_eq!(notified(&told_late), [""; 0]);
}

#[test]
fn what_a_restore_created_is_asked_for_until_the_answer_has_caught_up() {
    let mut record = perform_all(&after(&testing(), restored(JobState::Completed, None), slot(15)));
    assert_eq!(record.due(), Some(later(slot(15), REMOVAL_AFTER)));
    let behind = ignored(&record, &restored(JobState::Underway, None), slot(15));
    assert_eq!(behind, Ignored::Over);
    let next = ignored(&record, &newest(1, slot(8 * 24 * 60)), slot(8 * 24 * 60));
    assert_eq!(next, Ignored::NothingNew, "another test waits until this one has cleaned up");
    for _ in 0..POLLS_FOR_CREATED {
        let due = record.due().unwrap();
        record = after(&record, &BackupEvent::Tick, due);
        assert_eq!(effects(&record), [&BackupEffect::Poll(WorkId::Restore(slot(0)))]);
        record = perform_all(&record);
    }
    let due = record.due().unwrap();
    let given_up = after(&record, &BackupEvent::Tick, due);
    assert_eq!(notified(&given_up), ["left over: AWS Backup does not return its ARN"]);
    assert_eq!(perform_all(&given_up).due(), None);
}

#[test]
fn what_an_event_says_was_created_does_not_count() {
    let BackupEvent::Described(completed) = restored(JobState::Completed, Some(&created())) else {
        unreachable!()
    };
    let heard = after(&testing(), BackupEvent::ReportedByEvent(completed), slot(15));
    assert_eq!(effects(&heard), [&BackupEffect::Poll(WorkId::Restore(slot(0)))]);
    assert_eq!(heard.test.unwrap().created, None);
}

#[test]
fn a_restore_that_fails_says_so_and_leaves_nothing() {
    let failed = after(&testing(), restored(JobState::Failed, None), slot(15));
    assert_eq!(notified(&failed), ["restore failed"]);
    assert_eq!(effects(&failed), [&BackupEffect::Poll(WorkId::Restore(slot(0)))]);
    let left = after(&perform_all(&failed), restored(JobState::Failed, Some(&created())), slot(16));
    assert_eq!(effects(&left), [&BackupEffect::Remove { resource: created() }]);
    let nothing = after(&perform_all(&failed), restored(JobState::Failed, None), slot(16));
    assert_eq!(
        (nothing.test.as_ref().unwrap().removal.clone(), nothing.due()),
        (Removal::Done, None)
    );
    let refused = BackupEvent::Refused {
        work: WorkId::Restore(slot(0)),
        message: "no".to_owned(),
    };
    let asked = after(
        &perform_all(&after(&backup(), check(tested()), slot(0))),
        newest(1, slot(0)),
        slot(0),
    );
    let refused = after(&asked, &refused, slot(1));
    assert_eq!(
        (notified(&refused), effects(&refused).len()),
        (vec!["restore failed".to_owned()], 0)
    );
}

#[test]
fn what_a_forgotten_restore_created_is_removed_by_its_name() {
    let vanished = BackupEvent::Vanished(WorkId::Restore(slot(0)));
    let forgotten = after(&testing(), &vanished, slot(15));
    assert_eq!(notified(&forgotten), ["restore failed"]);
    assert_eq!(effects(&forgotten), [&BackupEffect::Remove { resource: created() }]);

    // AWS Backup deleted the finished job before Bellhop polled it for the created resource.
    let sought = perform_all(&after(&testing(), restored(JobState::Failed, None), slot(15)));
    let forgotten = after(&sought, &vanished, slot(16));
    assert_eq!(effects(&forgotten), [&BackupEffect::Remove { resource: created() }]);
    assert_eq!(notified(&forgotten), [""; 0]);
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
        notified(&left),
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
        let done = after(&testing(), restored(JobState::Completed, Some(other)), slot(15));
        assert!(notified(&done)[1].starts_with("left over: "), "{other}");
        assert_eq!(effects(&done), [&BackupEffect::Check; 0], "{other}");
    }
}

#[test]
fn a_removal_that_fails_is_told() {
    let done = after(&testing(), restored(JobState::Completed, Some(&created())), slot(15));
    let failed = BackupEvent::Removal(RemovalObservation::Failed("AccessDenied".to_owned()));
    let failed = after(&perform_all(&done), &failed, slot(15));
    assert_eq!(notified(&failed), ["left over: AccessDenied"]);
    assert_eq!(failed.due(), failed.outbox.due());
}
