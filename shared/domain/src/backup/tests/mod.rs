//! A backup's jobs, copies, age and restore tests. The helpers are here, the tests below.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod age;
mod jobs;
mod names;
mod restore_tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::poll::POLLS_FOR_CREATED;
use super::record::REMEMBERED;
use super::*;
use crate::decision::{Decision, Ignored};
use crate::outbox::EffectId;
use crate::record::{Decides, Step};
use crate::testing::t;
use crate::time::later;

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

fn after(backup: &Backup, event: impl Into<Step<BackupEvent>>, now: Timestamp) -> Backup {
    let step = event.into();
    match backup.take(&step, now) {
        Decision::Next(next) => {
            assert_eq!(next.changed, now);
            *next
        }
        Decision::Ignored(reason) => panic!("{step:?}: {reason}"),
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
    BackupEvent::Described(JobObservation {
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
    let backup = after(backup, scheduled(slot(minutes), &format!("by-{minutes}")), slot(minutes));
    let backup = perform_all(&backup);
    after(
        &backup,
        started(WorkId::Backup(slot(minutes)), &format!("job-{minutes}")),
        slot(minutes),
    )
}

fn perform_all(backup: &Backup) -> Backup {
    let done: Vec<EffectId> = backup.outbox.pending().iter().map(|pending| pending.id).collect();
    done.iter()
        .fold(backup.clone(), |backup, id| after(&backup, Step::Performed(*id), backup.changed))
}

fn notified(backup: &Backup) -> Vec<String> {
    backup
        .outbox
        .pending()
        .iter()
        .filter_map(|pending| match &pending.effect {
            BackupEffect::Notify(news) => Some(match &news.what {
                BackupNewsKind::Ended(end) => end.how.status().to_owned(),
                BackupNewsKind::CopyEnded(end) => format!("copy {}", end.how.status()),
                BackupNewsKind::Stale { .. } => "stale".to_owned(),
                BackupNewsKind::Missing => "missing".to_owned(),
                BackupNewsKind::Recovered { from, copy, .. } => format!("recovered from {from}{}", if *copy { " (copy)" } else { "" }),
                BackupNewsKind::RestoreTested { took, .. } => format!("restored in {}s", took.as_secs()),
                BackupNewsKind::RestoreFailed { .. } => "restore failed".to_owned(),
                BackupNewsKind::Abandoned(what) => format!("could not {}", what.what),
                BackupNewsKind::LeftOver { why, .. } => format!("left over: {why}"),
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
        .filter(|effect| !matches!(effect, BackupEffect::Notify(_)))
        .collect()
}

/// The backup after every try of the effects that fit has failed, until they are abandoned.
fn in_vain(backup: &Backup, fits: fn(&BackupEffect) -> bool) -> Backup {
    let id = backup.outbox.pending().iter().find(|pending| fits(&pending.effect)).unwrap().id;
    [100, 219, 220].iter().fold(backup.clone(), |backup, minute| {
        after(
            &backup,
            Step::Deferred(id, "failed to ask: AccessDeniedException: no".to_owned()),
            slot(*minute),
        )
    })
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
