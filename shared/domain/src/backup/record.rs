//! The record of a backup in the ledger, its jobs, and when it needs attention next.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::definition::Definition;
use super::effect::BackupEffect;
use super::job::{Job, ServiceJob, WorkId, backoff};
use super::seen::JobKind;
use crate::outbox::Outbox;
use crate::time::later;

/// How long Bellhop waits before it polls an accepted removal; doubles likewise.
pub const REMOVAL_AFTER: Duration = Duration::from_secs(2 * 60);
/// How many finished jobs are remembered, so that their slots are known.
pub(super) const REMEMBERED: usize = 10;
/// How long a record is kept after its last event.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// A backup: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The suite that it belongs to. Another suite may have a backup of the same name at the same time.
    #[serde(default)]
    pub suite: String,
    /// Its name in the suite configuration.
    pub name: String,
    /// Its definition when the configuration was last read for it.
    pub definition: Definition,
    /// Its newest jobs, oldest first, and all unfinished ones.
    pub jobs: Vec<Job>,
    /// The newest restore test.
    pub test: Option<Test>,
    /// Problems that were reported.
    pub troubles: BTreeMap<Concern, Trouble>,
    /// When the record was created.
    pub since: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
    /// Pending effects.
    pub outbox: Outbox<BackupEffect>,
}

/// A restore test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// When Bellhop decided to run it, to the minute.
    pub slot: Timestamp,
    /// The recovery point.
    pub point: String,
    /// The definition at that time.
    pub definition: Definition,
    /// The restore job.
    pub work: ServiceJob,
    /// The ARN of the resource that the restore created, as AWS Backup reports it.
    pub created: Option<String>,
    /// The state of that resource's removal.
    pub removal: Removal,
}

impl Test {
    /// Whether its restore has not ended, or what it created is being removed.
    pub(super) fn is_open(&self) -> bool {
        self.work.end.is_none() || matches!(self.removal, Removal::Sought { .. } | Removal::Wanted | Removal::Underway { .. })
    }
}

/// The state of a restored resource's removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// There is nothing to remove, or that is not known yet.
    None,
    /// The event did not name the created resource, so Bellhop polls for it.
    Sought {
        /// When it was last polled.
        #[serde(rename = "heard")]
        seen_at: Timestamp,
        /// How often it was polled.
        #[serde(rename = "looks")]
        polls: u32,
    },
    /// The removal is requested next.
    Wanted,
    /// Cloud Control accepted the removal, which is in progress.
    Underway {
        /// The request token of Cloud Control.
        request: String,
        /// When its state was last known.
        #[serde(rename = "heard")]
        seen_at: Timestamp,
        /// How often it was polled.
        #[serde(rename = "looks")]
        polls: u32,
    },
    /// The resource is deleted.
    Done,
    /// The resource still exists, and Bellhop reported that.
    LeftOver,
}

/// The parts of a backup that can have problems. Each is reported and recovers separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// Its jobs.
    Backup,
    /// Their copies.
    Copy,
    /// The age of the newest recovery point.
    Age,
    /// Its restore tests.
    Restore,
}

/// A problem that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The reported status.
    pub status: String,
    /// AWS Backup's message.
    pub message: Option<String>,
    /// The slot of the job or test, or the time of the check.
    pub slot: Timestamp,
    /// Since when.
    pub since: Timestamp,
}

impl Backup {
    /// A backup without events.
    #[must_use]
    pub fn new(suite: &str, name: &str, definition: Definition, now: Timestamp) -> Self {
        Self {
            suite: suite.to_owned(),
            name: name.to_owned(),
            definition,
            jobs: Vec::new(),
            test: None,
            troubles: BTreeMap::new(),
            since: now,
            changed: now,
            outbox: Outbox::default(),
        }
    }

    /// Gives the suite to a record from before the field `suite` existed, unless a job, a restored resource or an effect still has a token or a name
    /// without it.
    pub fn join(&mut self, suite: &str) {
        let is_idle = self.outbox.pending().is_empty() && self.unfinished().is_empty() && !self.test.as_ref().is_some_and(Test::is_open);
        if self.suite.is_empty() && is_idle {
            suite.clone_into(&mut self.suite);
        }
    }

    /// The idempotency token of a job: the same for every try to start it, and different for every other job and every other suite.
    #[must_use]
    pub fn token(&self, work: WorkId) -> String {
        let (kind, slot) = work.parts();
        let mut hash = Sha256::new();
        for part in [&self.suite, kind, &self.name, &slot.to_string()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let mut text = data_encoding::HEXLOWER.encode(&hash.finalize());
        text.truncate(40);
        text
    }

    /// The name of the resource that a restore test creates, for kinds with names.
    #[must_use]
    pub fn restored_name(&self, slot: Timestamp) -> String {
        let mut name = self.token(WorkId::Restore(slot));
        name.truncate(16);
        format!("bellhop-restore-test-{name}")
    }

    /// The job of a slot.
    #[must_use]
    pub fn job(&self, slot: Timestamp) -> Option<&Job> {
        self.jobs.iter().find(|job| job.slot == slot)
    }

    /// One of its jobs, if it has one.
    #[must_use]
    pub fn work(&self, id: WorkId) -> Option<&ServiceJob> {
        match id {
            WorkId::Backup(slot) => self.job(slot).map(|job| &job.work),
            WorkId::Copy(slot) => self.job(slot).and_then(|job| job.copy.as_ref()),
            WorkId::Restore(slot) => self.test.as_ref().filter(|test| test.slot == slot).map(|test| &test.work),
        }
    }

    pub(super) fn work_mut(&mut self, id: WorkId) -> Option<&mut ServiceJob> {
        match id {
            WorkId::Backup(slot) => self.jobs.iter_mut().find(|job| job.slot == slot).map(|job| &mut job.work),
            WorkId::Copy(slot) => self.jobs.iter_mut().find(|job| job.slot == slot).and_then(|job| job.copy.as_mut()),
            WorkId::Restore(slot) => self.test.as_mut().filter(|test| test.slot == slot).map(|test| &mut test.work),
        }
    }

    /// The job with this id in AWS Backup; `None` if it does not belong to this backup.
    #[must_use]
    pub fn whose(&self, kind: JobKind, id: &str) -> Option<WorkId> {
        match kind {
            JobKind::Backup => self.jobs.iter().find(|job| job.work.has_id(id)).map(|job| WorkId::Backup(job.slot)),
            JobKind::Copy => self
                .jobs
                .iter()
                .find(|job| job.copy.as_ref().is_some_and(|copy| copy.has_id(id)))
                .map(|job| WorkId::Copy(job.slot)),
            JobKind::Restore => self
                .test
                .as_ref()
                .filter(|test| test.work.has_id(id))
                .map(|test| WorkId::Restore(test.slot)),
        }
    }

    /// Every job that was started and has not finished, as far as known.
    pub(super) fn unfinished(&self) -> Vec<WorkId> {
        let jobs = self.jobs.iter().flat_map(|job| [WorkId::Backup(job.slot), WorkId::Copy(job.slot)]);
        jobs.chain(self.test.as_ref().map(|test| WorkId::Restore(test.slot)))
            .filter(|id| self.work(*id).is_some_and(|work| work.id.is_some() && work.end.is_none()))
            .collect()
    }

    /// Those of them that Bellhop polls.
    pub(super) fn polled(&self) -> Vec<WorkId> {
        let mut open = self.unfinished();
        open.retain(|id| self.work(*id).is_some_and(|work| work.due().is_some()));
        open
    }

    pub(super) fn removal_due(&self) -> Option<Timestamp> {
        match &self.test.as_ref()?.removal {
            Removal::Sought { seen_at, polls } | Removal::Underway { seen_at, polls, .. } => {
                Some(later(*seen_at, backoff(REMOVAL_AFTER, *polls)))
            }
            _ => None,
        }
    }

    /// When the sweep should process this backup next; `None` if nothing is in progress or pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let works = self.polled().into_iter().filter_map(|id| self.work(id).and_then(ServiceJob::due));
        self.outbox.due().into_iter().chain(self.removal_due()).chain(works).min()
    }

    /// When DynamoDB may delete the record.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        later(self.changed, KEPT)
    }

    /// Removes the oldest finished jobs beyond those that are remembered.
    pub(super) fn drop_oldest_jobs(&mut self) {
        let is_over = |job: &Job| job.work.end.is_some() && job.copy.as_ref().is_none_or(|copy| copy.end.is_some());
        let mut surplus = self.jobs.iter().filter(|job| is_over(job)).count().saturating_sub(REMEMBERED);
        self.jobs.retain(|job| {
            let goes = surplus > 0 && is_over(job);
            surplus -= usize::from(goes);
            !goes
        });
    }
}
