//! What an event or a poll says about a job of AWS Backup, and what follows its end: the copy of a backup, the news.

use jiff::Timestamp;

use super::effect::{BackupEffect, BackupNewsKind};
use super::job::{End, EndKind, MESSAGE_LIMIT, ServiceJob, WorkId};
use super::record::{Backup, Concern};
use super::seen::{JobObservation, JobState};
use crate::decision::Ignored;
use crate::time::later;

impl Backup {
    pub(super) fn observed(&mut self, seen: &JobObservation, now: Timestamp) -> Result<(), Ignored> {
        let id = self.whose(seen.kind, &seen.id).ok_or(Ignored::Stale)?;
        // A late event about a finished job may still be needed: a copy needs its recovery point, a removal its resource.
        match id {
            WorkId::Backup(slot) => {
                if let Some(job) = self.jobs.iter_mut().find(|job| job.slot == slot) {
                    job.point = job.point.take().or_else(|| seen.point.clone());
                }
            }
            WorkId::Restore(_) => {
                if let Some(test) = &mut self.test {
                    test.created = test.created.take().or_else(|| seen.created.clone());
                }
            }
            WorkId::Copy(_) => {}
        }
        let message = seen.message.as_ref().filter(|message| !message.trim().is_empty());
        let how = match (seen.state, message) {
            (JobState::Underway, _) => {
                let work = self.work_mut(id).ok_or(Ignored::NothingNew)?;
                return if work.end.is_some() { Err(Ignored::Over) } else { Ok(()) };
            }
            (JobState::Completed, None) => EndKind::Completed,
            (JobState::Completed, Some(_)) => EndKind::WithIssues,
            (JobState::Failed, _) => EndKind::Failed,
            (JobState::Aborted, _) => EndKind::Aborted,
            (JobState::Expired, _) => EndKind::Expired,
            (JobState::Partial, _) => EndKind::Partial,
        };
        match self.work_ended(id, how, message, seen.ended, now) {
            // Then only late data about a restored resource is useful.
            Err(_) if matches!(id, WorkId::Restore(_)) => {
                self.remove_created(now);
                Ok(())
            }
            result => result,
        }
    }

    pub(super) fn work_ended(
        &mut self,
        id: WorkId,
        how: EndKind,
        message: Option<&String>,
        at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Ignored> {
        let work = self.work_mut(id).ok_or(Ignored::NothingNew)?;
        if work.end.is_some() {
            return Err(Ignored::Over);
        }
        let end = End {
            how,
            message: message.map(|message| crate::text::shown(message.trim().trim_matches('"'), MESSAGE_LIMIT)),
            at: at.unwrap_or(now),
        };
        work.end = Some(end.clone());
        let since = work.since;
        self.outbox
            .remove_where(|pending| matches!(&pending.effect, BackupEffect::Start(other) | BackupEffect::Poll(other) if *other == id));
        match id {
            WorkId::Backup(slot) => {
                self.report_end(Concern::Backup, slot, &end, BackupNewsKind::Ended(end.clone()), now);
                if end.how.is_good() {
                    // A recovery point is as old as the start of its job, which may end, or be reported, late. The slot may be much older if a
                    // schedule's event was redriven.
                    let limit = self.definition.newest_at_most;
                    if limit.is_none_or(|limit| later(since, limit) >= now) {
                        self.recovered(Concern::Age, slot, now);
                    }
                    self.start_copy(slot, now);
                }
            }
            WorkId::Copy(slot) => self.report_end(Concern::Copy, slot, &end, BackupNewsKind::CopyEnded(end.clone()), now),
            WorkId::Restore(slot) => self.restore_ended(slot, end, now),
        }
        Ok(())
    }

    fn start_copy(&mut self, slot: Timestamp, now: Timestamp) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.slot == slot) else {
            return;
        };
        if job.definition.copy_to.is_some() && job.copy.is_none() {
            job.copy = Some(ServiceJob::new(now));
            self.outbox.push(BackupEffect::Start(WorkId::Copy(slot)), now);
        }
    }
}
