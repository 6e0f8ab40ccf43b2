//! Polling: because events get lost, Bellhop asks AWS for jobs and removals that have been silent for a while.

use jiff::Timestamp;

use super::effect::BackupEffect;
use super::job::{ServiceJob, WorkId};
use super::record::{Backup, Removal};

/// How often Bellhop polls for the resource that a restore created, over some hours, before it gives up.
pub(super) const POLLS_FOR_CREATED: u32 = 8;

impl Backup {
    pub(super) fn push_once(&mut self, wanted: BackupEffect, now: Timestamp) {
        if !self.outbox.any(|effect| *effect == wanted) {
            self.outbox.push(wanted, now);
        }
    }

    pub(super) fn poll(&mut self, id: WorkId, now: Timestamp) {
        if let Some(work) = self.work_mut(id) {
            work.seen_at = now;
            work.polls = work.polls.saturating_add(1);
            self.push_once(BackupEffect::Poll(id), now);
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        for id in self.polled() {
            if self.work(id).and_then(ServiceJob::due).is_some_and(|due| due <= now) {
                self.poll(id, now);
            }
        }
        if self.removal_due().is_some_and(|due| due <= now) {
            self.poll_removal(now);
        }
    }

    fn poll_removal(&mut self, now: Timestamp) {
        let Some(test) = &mut self.test else { return };
        let slot = test.slot;
        match &mut test.removal {
            Removal::Sought { polls, .. } if *polls >= POLLS_FOR_CREATED => {
                self.give_up_created("AWS Backup does not return its ARN", now);
            }
            Removal::Sought { seen_at, polls } => {
                *seen_at = now;
                *polls = polls.saturating_add(1);
                self.push_once(BackupEffect::Poll(WorkId::Restore(slot)), now);
            }
            Removal::Underway { request, seen_at, polls } => {
                *seen_at = now;
                *polls = polls.saturating_add(1);
                let request = request.clone();
                self.push_once(BackupEffect::PollRemoval { request }, now);
            }
            Removal::None | Removal::Wanted | Removal::Done | Removal::LeftOver => {}
        }
    }
}
