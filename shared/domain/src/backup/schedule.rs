//! When a schedule begins a backup job, and when it is the same slot as a schedule before it.

use std::time::Duration;

use jiff::Timestamp;

use super::definition::Definition;
use super::effect::BackupEffect;
use super::job::{Job, ServiceJob, WorkId};
use super::record::Backup;
use crate::decision::Ignored;

/// Schedules that are less than this apart are one: a schedule may arrive late and twice, and people may request a backup twice.
pub const SAME_SLOT_WITHIN: Duration = Duration::from_secs(10 * 60);

impl Backup {
    /// Begins a backup job for a schedule's slot, or for somebody's request (`by`), unless the slot or the request has one. A slot is a time to the
    /// minute; a job that has not failed is also that of a slot less than [`SAME_SLOT_WITHIN`] from its own.
    pub(super) fn schedule(&mut self, definition: &Definition, slot: Timestamp, by: &str, now: Timestamp) -> Result<(), Ignored> {
        let slot = to_the_minute(slot);
        let same = |job: &Job| {
            // A failure only concerns its own slot.
            let counts = job.work.end.as_ref().is_none_or(|end| end.how.is_good());
            job.slot == slot || job.by == by || (counts && job.slot.duration_since(slot).unsigned_abs() < SAME_SLOT_WITHIN)
        };
        if self.jobs.iter().any(same) {
            return Err(Ignored::NothingNew);
        }
        self.definition.clone_from(definition);
        self.jobs.push(Job {
            slot,
            by: by.to_owned(),
            definition: definition.clone(),
            work: ServiceJob::new(now),
            point: None,
            copy: None,
        });
        self.outbox.push(BackupEffect::Start(WorkId::Backup(slot)), now);
        Ok(())
    }
}

/// A moment without its seconds; schedules are identified by it.
pub(super) fn to_the_minute(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second().div_euclid(60) * 60).unwrap_or(time)
}
