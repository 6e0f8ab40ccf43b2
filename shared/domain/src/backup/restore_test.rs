//! A backup's restore tests: when one begins, how it ends, and the removal of what it created.

use std::time::Duration;

use jiff::Timestamp;

use super::effect::{BackupEffect, BackupNewsKind};
use super::job::{End, MESSAGE_LIMIT, ServiceJob, WorkId};
use super::record::{Backup, Concern, Removal, Test, Trouble};
use super::restore;
use super::schedule::SAME_SLOT_WITHIN;
use super::seen::{JobObservation, JobState, Point, RemovalObservation};
use crate::decision::Ignored;
use crate::time::later;

impl Backup {
    /// Starts a restore test if it is due.
    pub(super) fn start_test(&mut self, point: &Point, slot: Timestamp, now: Timestamp) {
        let Some(every) = self.definition.restore_test.as_ref().map(|test| test.every) else {
            return;
        };
        let waits = self.test.as_ref().is_some_and(|test| {
            // Schedules are not exact to the second: a daily test at six must run every day.
            test.is_open() || later(test.slot, every) > later(now, SAME_SLOT_WITHIN)
        });
        if waits {
            return;
        }
        self.test = Some(Test {
            slot,
            point: point.arn.clone(),
            definition: self.definition.clone(),
            work: ServiceJob::new(now),
            created: None,
            removal: Removal::None,
        });
        self.outbox.push(BackupEffect::Start(WorkId::Restore(slot)), now);
    }

    pub(super) fn restore_ended(&mut self, slot: Timestamp, end: End, now: Timestamp) {
        let Some(test) = &self.test else { return };
        let point = test.point.clone();
        if end.how.is_good() {
            let seconds = end.at.duration_since(test.work.since).as_secs().max(0).unsigned_abs();
            let took = Duration::from_secs(seconds);
            self.troubles.remove(&Concern::Restore);
            self.notify(slot, BackupNewsKind::RestoreTested { point, took }, now);
        } else {
            let trouble = Trouble {
                status: "restore-failed".to_owned(),
                message: end.message.clone(),
                slot,
                since: self.troubles.get(&Concern::Restore).map_or(now, |before| before.since),
            };
            self.troubles.insert(Concern::Restore, trouble);
            self.notify(slot, BackupNewsKind::RestoreFailed { point, end }, now);
        }
        self.remove_created(now);
    }

    /// The resource of a restore job that AWS Backup no longer has, for kinds with names: its name is the one that the test chose.
    pub(super) fn guess_created(&mut self) {
        let name = self.test.as_ref().map(|test| self.restored_name(test.slot));
        if let (Some(test), Some(name)) = (&mut self.test, name)
            && test.created.is_none()
        {
            test.created = restore::named_like(&test.definition.resource, &name);
        }
    }

    /// Deletes the resource that a finished restore job created, once it is known. If the event did not name it, Bellhop polls AWS Backup.
    pub(super) fn remove_created(&mut self, now: Timestamp) {
        let name = self.test.as_ref().map(|test| self.restored_name(test.slot));
        let (Some(test), Some(name)) = (&mut self.test, name) else {
            return;
        };
        if test.work.end.is_none() || !matches!(test.removal, Removal::None | Removal::Sought { .. }) {
            return;
        }
        let slot = test.slot;
        match test.created.clone() {
            Some(resource) => match restore::forbids_removal(&test.definition.resource, &resource, &name) {
                None => {
                    test.removal = Removal::Wanted;
                    self.outbox.push(BackupEffect::Remove { resource }, now);
                }
                Some(why) => {
                    test.removal = Removal::LeftOver;
                    let why = why.to_owned();
                    self.notify(slot, BackupNewsKind::LeftOver { resource, why }, now);
                }
            },
            // A failed restore may also have created a resource.
            None if test.removal == Removal::None && test.work.id.is_some() => {
                test.removal = Removal::Sought { seen_at: now, polls: 0 };
                self.outbox.push(BackupEffect::Poll(WorkId::Restore(slot)), now);
            }
            None => {}
        }
    }

    /// A poll of a failed restore job shows no created resource. The answer may be stale and still show the job as running.
    pub(super) fn note_nothing_created(&mut self, seen: &JobObservation) {
        if let Some(test) = &mut self.test
            && test.work.has_id(&seen.id)
            && matches!(test.removal, Removal::Sought { .. })
            && !matches!(seen.state, JobState::Underway | JobState::Completed)
            && !self.outbox.any(|effect| *effect == BackupEffect::Poll(WorkId::Restore(test.slot)))
        {
            test.removal = Removal::Done;
        }
    }

    /// Another person or program must find the resource that a restore created.
    pub(super) fn give_up_created(&mut self, why: &str, now: Timestamp) {
        if let Some(test) = &mut self.test
            && matches!(test.removal, Removal::Sought { .. })
        {
            test.removal = Removal::LeftOver;
            let slot = test.slot;
            let resource = format!("what restore job {} created", test.work.id.as_deref().unwrap_or_default());
            let why = why.to_owned();
            self.notify(slot, BackupNewsKind::LeftOver { resource, why }, now);
        }
    }

    pub(super) fn removal_observed(&mut self, seen: &RemovalObservation, now: Timestamp) -> Result<(), Ignored> {
        let Some(test) = &mut self.test else {
            return Err(Ignored::NothingNew);
        };
        if !matches!(test.removal, Removal::Wanted | Removal::Underway { .. }) {
            return Err(Ignored::Over);
        }
        let slot = test.slot;
        match seen {
            RemovalObservation::Done => test.removal = Removal::Done,
            RemovalObservation::Underway { request } => {
                if !matches!(&test.removal, Removal::Underway { request: known, .. } if known == request) {
                    test.removal = Removal::Underway {
                        request: request.clone(),
                        seen_at: now,
                        polls: 0,
                    };
                }
            }
            RemovalObservation::Failed(why) => {
                test.removal = Removal::LeftOver;
                let resource = test.created.clone().unwrap_or_default();
                let why = crate::text::shown(why, MESSAGE_LIMIT);
                self.notify(slot, BackupNewsKind::LeftOver { resource, why }, now);
            }
        }
        Ok(())
    }
}
