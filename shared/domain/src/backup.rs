//! A backup of the suite configuration: its AWS Backup jobs, the age of its newest recovery point, and its restore tests.
//!
//! The token of a job contains the backup's name and the schedule's slot, so a schedule that is delivered twice starts one job. An event reports the
//! end of a job; because events get lost, Bellhop also polls. The age of the newest recovery point reveals a job that was never started. Each problem
//! is reported once, and so is the recovery.

pub mod restore;
mod summary;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::decision::{Decision, Ignored};
use crate::outbox::{Abandoned, Deferral, Effect, EffectId, Outbox, TELL_FOR, later};
use crate::serde_duration;

/// Schedules that are less than this apart are one: a schedule may arrive late and twice, and people may request a backup twice.
pub const SLOT: Duration = Duration::from_secs(10 * 60);
/// Bellhop polls a job this long after its last event. Events come about every five minutes. Doubles each time, up to [`LONGEST_LOOK`].
pub const LOOK_AFTER: Duration = Duration::from_secs(15 * 60);
/// The longest time between two polls of one job.
pub const LONGEST_LOOK: Duration = Duration::from_secs(60 * 60);
/// How long Bellhop waits before it polls an accepted removal; doubles likewise.
pub const REMOVAL_AFTER: Duration = Duration::from_secs(2 * 60);
/// How often Bellhop polls for the resource that a restore created, over some hours, before it gives up.
const LOOKS_FOR_CREATED: u32 = 8;
/// A job that could not be started within this time is reported as failed.
pub const START_WITHIN: Duration = Duration::from_secs(12 * 3600);
/// How many finished jobs are remembered, so that their slots are known.
const REMEMBERED: usize = 10;
/// How long a record is kept after its last event.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// The most characters stored of a service's message.
const MESSAGE_LIMIT: usize = 500;

/// The definition of a backup in the suite configuration. The service decides about fields that are not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The ARN of the resource.
    pub resource: String,
    /// The vault.
    pub vault: String,
    /// The ARN of the role that AWS Backup assumes for it.
    pub role: String,
    /// How long AWS Backup may wait before it starts the job.
    #[serde(with = "serde_duration::optional", default)]
    pub start_within: Option<Duration>,
    /// How long the job may take from the time it was requested.
    #[serde(with = "serde_duration::optional", default)]
    pub complete_within: Option<Duration>,
    /// The age at which a recovery point moves to cold storage.
    #[serde(with = "serde_duration::optional", default)]
    pub cold_after: Option<Duration>,
    /// The age at which it is deleted.
    #[serde(with = "serde_duration::optional", default)]
    pub delete_after: Option<Duration>,
    /// The ARN of another vault that gets a copy.
    pub copy_to: Option<String>,
    /// The age of the newest recovery point from which Bellhop raises an alert.
    #[serde(with = "serde_duration::optional", default)]
    pub newest_at_most: Option<Duration>,
    /// Whether and how restores are tested.
    pub restore_test: Option<RestoreTest>,
}

/// How restores are tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTest {
    /// The time between two tests.
    #[serde(with = "serde_duration")]
    pub every: Duration,
    /// The ARN of the role that AWS Backup assumes for a test; without it, the backup's role.
    pub role: Option<String>,
    /// Restore metadata that AWS Backup should not take from the recovery point.
    pub metadata: BTreeMap<String, String>,
}

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

/// One backup job, and the copy of its recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The schedule's time, to the minute.
    pub slot: Timestamp,
    /// The id of the request, if it has one: an invocation that Lambda retries requests the same job.
    pub by: String,
    /// The definition when the job was started.
    pub definition: Definition,
    /// The backup job.
    pub work: Work,
    /// The recovery point that it created.
    pub point: Option<String>,
    /// The copy job.
    pub copy: Option<Work>,
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
    pub work: Work,
    /// The ARN of the resource that the restore created, as AWS Backup reports it.
    pub created: Option<String>,
    /// The state of that resource's removal.
    pub removal: Removal,
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
        heard: Timestamp,
        /// How often it was polled.
        looks: u32,
    },
    /// The removal is requested next.
    Wanted,
    /// Cloud Control accepted the removal, which is in progress.
    Underway {
        /// The request token of Cloud Control.
        request: String,
        /// When its state was last known.
        heard: Timestamp,
        /// How often it was polled.
        looks: u32,
    },
    /// The resource is deleted.
    Done,
    /// The resource still exists, and Bellhop reported that.
    LeftOver,
}

/// A job of AWS Backup: a backup, a copy or a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// When Bellhop decided to start it.
    pub since: Timestamp,
    /// Its id in AWS Backup, once known.
    pub id: Option<String>,
    /// When an event or a poll last showed it.
    pub heard: Timestamp,
    /// How often it was polled.
    pub looks: u32,
    /// How it ended; `None` while it has not.
    pub end: Option<End>,
    /// Polls failed for so long that Bellhop waits for the next check.
    #[serde(default)]
    pub unasked: bool,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The way in which it ended.
    pub how: How,
    /// AWS Backup's message.
    pub message: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The ways in which a job can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Completed.
    Completed,
    /// Completed, with a message from AWS Backup.
    WithIssues,
    /// It failed.
    Failed,
    /// A person stopped it.
    Aborted,
    /// It did not start, or not end, within its windows.
    Expired,
    /// The recovery point contains only parts of the resource.
    Partial,
    /// AWS Backup refused to start it.
    Refused,
    /// AWS Backup no longer has the job.
    Vanished,
}

impl How {
    /// Whether it left a usable recovery point, copy or restored resource.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Completed | Self::WithIssues)
    }

    /// Its `status` in messages.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::WithIssues => "completed-with-issues",
            Self::Failed | Self::Refused | Self::Vanished => "failed",
            Self::Aborted => "aborted",
            Self::Expired => "expired",
            Self::Partial => "partial",
        }
    }
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

/// Identifies one job of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkId {
    /// The backup job of a slot.
    Backup(Timestamp),
    /// The copy of the backup job's recovery point.
    Copy(Timestamp),
    /// The restore test of a slot.
    Restore(Timestamp),
}

/// The kinds of jobs in AWS Backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// A backup job.
    Backup,
    /// A copy job.
    Copy,
    /// A restore job.
    Restore,
}

impl JobKind {
    /// Its name in events and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Copy => "copy",
            Self::Restore => "restore",
        }
    }
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It has not finished.
    Underway,
    /// `COMPLETED`.
    Completed,
    /// `FAILED`.
    Failed,
    /// `ABORTED`.
    Aborted,
    /// `EXPIRED`.
    Expired,
    /// `PARTIAL`.
    Partial,
}

/// The state of a job, from an event or a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSeen {
    /// Which kind of job.
    pub kind: JobKind,
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: JobState,
    /// AWS Backup's message.
    pub message: Option<String>,
    /// The recovery point that a backup job created, or the copy that a copy job created.
    pub point: Option<String>,
    /// The ARN of the resource that a restore job created.
    pub created: Option<String>,
    /// The ARN of the job's resource, if known.
    pub resource: Option<String>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// A request to the function `backup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupRequest {
    /// Start a backup.
    Start {
        /// Its name.
        name: String,
        /// The schedule's time, if the request has it.
        slot: Option<Timestamp>,
    },
    /// Check the age and the jobs of all backups.
    Check,
}

/// A recovery point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Its ARN.
    pub arn: String,
    /// When its backup began: it has the resource's state of that moment.
    pub created: Timestamp,
}

/// The result of requesting a removal, or of polling it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovalSeen {
    /// It is in progress.
    Underway {
        /// The request token.
        request: String,
    },
    /// The resource is deleted.
    Done,
    /// The resource cannot be deleted.
    Failed(String),
}

/// An event for a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupEvent {
    /// A schedule or a request starts a backup job.
    Scheduled {
        /// The current definition.
        definition: Box<Definition>,
        /// The schedule's time.
        slot: Timestamp,
        /// The id of the request, if it has one.
        by: String,
    },
    /// A schedule or a request checks the backup.
    Check {
        /// The current definition.
        definition: Box<Definition>,
    },
    /// AWS Backup accepted a job.
    Started {
        /// Which.
        work: WorkId,
        /// Its id.
        id: String,
    },
    /// AWS Backup refused a job.
    Refused {
        /// Which.
        work: WorkId,
        /// Why.
        message: String,
    },
    /// An event reports a job. Bellhop ignores what it says about a restored resource, because anyone who may invoke the function could send it.
    Heard(JobSeen),
    /// A poll returned a job.
    Seen(JobSeen),
    /// A poll did not find a job.
    Vanished(WorkId),
    /// The search for the newest recovery point returned; `None` if there is none.
    Newest(Option<Point>),
    /// The state of the removal of a restored resource.
    Removal(RemovalSeen),
    /// An effect was performed.
    Performed(EffectId),
    /// An effect failed for this reason. It stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
    /// Time has passed.
    Tick,
}

/// An effect of a backup. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupEffect {
    /// Start a job, under its token.
    Start(WorkId),
    /// Poll a job.
    Look(WorkId),
    /// Look for the newest recovery point.
    Check,
    /// Delete the resource that a restore test created, under the test's token.
    Remove {
        /// Its ARN.
        resource: String,
    },
    /// Poll the removal.
    LookRemoval {
        /// The request token.
        request: String,
    },
    /// Publish a message.
    Tell(BackupNews),
}

/// A message about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupNews {
    /// The slot of the job or test, or the time of the check.
    pub slot: Timestamp,
    /// When Bellhop detected it.
    pub at: Timestamp,
    /// The content.
    pub what: BackupTold,
}

/// The kinds of messages about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupTold {
    /// A backup job failed, or completed with a message.
    Ended(End),
    /// A copy job failed, or completed with a message.
    CopyEnded(End),
    /// The newest recovery point is too old.
    Stale {
        /// When it was created.
        newest: Timestamp,
        /// The configured limit.
        #[serde(with = "serde_duration")]
        limit: Duration,
    },
    /// There is no recovery point at all.
    Missing,
    /// A reported problem has ended.
    Recovered {
        /// The reported status.
        from: String,
        /// When the problem began.
        since: Timestamp,
        /// Whether the problem was about copies.
        copy: bool,
    },
    /// A recovery point was restored.
    RestoreTested {
        /// The recovery point.
        point: String,
        /// How long it took.
        #[serde(with = "serde_duration")]
        took: Duration,
    },
    /// A recovery point could not be restored.
    RestoreFailed {
        /// The recovery point.
        point: String,
        /// How it ended.
        end: End,
    },
    /// The resource that a restore test created still exists.
    LeftOver {
        /// Its ARN.
        resource: String,
        /// Why.
        why: String,
    },
    /// An effect was abandoned.
    Abandoned(Abandoned),
}

impl Effect for BackupEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        Some(match self {
            Self::Start(_) => START_WITHIN,
            Self::Look(_) | Self::Check | Self::Remove { .. } | Self::LookRemoval { .. } | Self::Tell(_) => TELL_FOR,
        })
    }
}

/// The name of the backup of the suite's table.
pub const SUITE_TABLE: &str = "suite-table";
/// How long a daily backup of the suite's table is kept. Each is a full copy; the stack's weekly backups and the table's point-in-time recovery reach
/// back five weeks.
const SUITE_TABLE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

impl Definition {
    /// The backup of the suite's table, if the stack's environment defines it.
    #[must_use]
    pub fn of_suite_table(resource: &str, vault: &str, role: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            vault: vault.to_owned(),
            role: role.to_owned(),
            start_within: None,
            complete_within: None,
            cold_after: None,
            delete_after: Some(SUITE_TABLE_KEPT),
            copy_to: None,
            newest_at_most: Some(Duration::from_secs(26 * 3600)),
            restore_test: None,
        }
    }
}

/// Adds the backup of the suite's table to the configured ones, unless one of them has the same resource.
pub fn add_suite_table(backups: &mut BTreeMap<String, Definition>, table: Definition) {
    if backups.values().any(|backup| backup.resource == table.resource) {
        return;
    }
    let mut name = SUITE_TABLE.to_owned();
    while backups.contains_key(&name) {
        name.push('-');
    }
    backups.insert(name, table);
}

impl Work {
    fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            id: None,
            heard: now,
            looks: 0,
            end: None,
            unasked: false,
        }
    }

    /// When it should be polled; `None` before it has started and after it has ended.
    fn due(&self) -> Option<Timestamp> {
        (self.id.is_some() && self.end.is_none() && !self.unasked).then(|| later(self.heard, doubled(LOOK_AFTER, self.looks)))
    }

    fn is(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }
}

fn doubled(wait: Duration, times: u32) -> Duration {
    wait.saturating_mul(1 << times.min(8)).min(LONGEST_LOOK)
}

/// A moment without its seconds; schedules are identified by it.
fn to_the_minute(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second().div_euclid(60) * 60).unwrap_or(time)
}

impl WorkId {
    fn word(self) -> (&'static str, Timestamp) {
        match self {
            Self::Backup(slot) => ("backup", slot),
            Self::Copy(slot) => ("copy", slot),
            Self::Restore(slot) => ("restore", slot),
        }
    }
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

    /// The idempotency token of a job: the same for every try to start it, and different for every other job and every other suite.
    #[must_use]
    pub fn token(&self, work: WorkId) -> String {
        let (word, slot) = work.word();
        let mut hash = Sha256::new();
        for part in [&self.suite, word, &self.name, &slot.to_string()] {
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
    pub fn work(&self, id: WorkId) -> Option<&Work> {
        match id {
            WorkId::Backup(slot) => self.job(slot).map(|job| &job.work),
            WorkId::Copy(slot) => self.job(slot).and_then(|job| job.copy.as_ref()),
            WorkId::Restore(slot) => self.test.as_ref().filter(|test| test.slot == slot).map(|test| &test.work),
        }
    }

    fn work_mut(&mut self, id: WorkId) -> Option<&mut Work> {
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
            JobKind::Backup => self.jobs.iter().find(|job| job.work.is(id)).map(|job| WorkId::Backup(job.slot)),
            JobKind::Copy => self
                .jobs
                .iter()
                .find(|job| job.copy.as_ref().is_some_and(|copy| copy.is(id)))
                .map(|job| WorkId::Copy(job.slot)),
            JobKind::Restore => self
                .test
                .as_ref()
                .filter(|test| test.work.is(id))
                .map(|test| WorkId::Restore(test.slot)),
        }
    }

    /// Every job that was started and has not finished, as far as known.
    fn open(&self) -> Vec<WorkId> {
        let jobs = self.jobs.iter().flat_map(|job| [WorkId::Backup(job.slot), WorkId::Copy(job.slot)]);
        jobs.chain(self.test.as_ref().map(|test| WorkId::Restore(test.slot)))
            .filter(|id| self.work(*id).is_some_and(|work| work.id.is_some() && work.end.is_none()))
            .collect()
    }

    /// Those of them that Bellhop polls.
    fn underway(&self) -> Vec<WorkId> {
        let mut open = self.open();
        open.retain(|id| self.work(*id).is_some_and(|work| work.due().is_some()));
        open
    }

    fn removal_due(&self) -> Option<Timestamp> {
        match &self.test.as_ref()?.removal {
            Removal::Sought { heard, looks } | Removal::Underway { heard, looks, .. } => {
                Some(later(*heard, doubled(REMOVAL_AFTER, *looks)))
            }
            _ => None,
        }
    }

    /// When the sweep should process this backup next; `None` if nothing is in progress or pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let works = self.underway().into_iter().filter_map(|id| self.work(id).and_then(Work::due));
        self.outbox.due().into_iter().chain(self.removal_due()).chain(works).min()
    }

    /// When DynamoDB may delete the record.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        later(self.changed, KEPT)
    }

    /// Decides the next state of this backup after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &BackupEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) if next != *self => {
                next.changed = now;
                Decision::Next(Box::new(next))
            }
            Ok(()) => Decision::Ignored(Ignored::NothingNew),
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &BackupEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            BackupEvent::Scheduled { definition, slot, by } => self.scheduled(definition, *slot, by, now)?,
            BackupEvent::Check { definition } => {
                self.definition.clone_from(definition);
                // Also for jobs whose polls failed for a while.
                for id in self.open() {
                    if let Some(work) = self.work_mut(id) {
                        work.unasked = false;
                    }
                    self.look(id, now);
                }
                self.effect_once(BackupEffect::Check, now);
            }
            BackupEvent::Started { work, id } => {
                let started = self.work_mut(*work).ok_or(Ignored::NothingNew)?;
                if started.id.is_some() || started.end.is_some() {
                    return Err(Ignored::NothingNew);
                }
                started.id = Some(id.clone());
                started.heard = now;
            }
            BackupEvent::Refused { work, message } => self.ended(*work, How::Refused, Some(message), None, now)?,
            BackupEvent::Heard(heard) => {
                let heard = JobSeen {
                    created: None,
                    ..heard.clone()
                };
                self.seen(&heard, now)?;
            }
            BackupEvent::Seen(seen) => {
                let result = self.seen(seen, now);
                self.nothing_created(seen);
                result?;
            }
            BackupEvent::Vanished(work) => {
                let words = "AWS Backup no longer has the job".to_owned();
                let is_restore = matches!(work, WorkId::Restore(_));
                if is_restore {
                    self.name_created();
                }
                match self.ended(*work, How::Vanished, Some(&words), None, now) {
                    // The poll was about the created resource of a finished restore.
                    Err(_) if is_restore => {
                        self.remove_created(now);
                        self.give_up_created(&words, now);
                    }
                    result => result?,
                }
            }
            BackupEvent::Newest(newest) => self.newest(newest.as_ref(), now),
            BackupEvent::Removal(seen) => self.removal(seen, now)?,
            BackupEvent::Performed(id) => {
                self.outbox.remove(*id);
            }
            BackupEvent::Deferred(id, why) => self.deferred(*id, why, now),
            BackupEvent::Tick => self.tick(now),
        }
        self.forget();
        Ok(())
    }

    fn scheduled(&mut self, definition: &Definition, slot: Timestamp, by: &str, now: Timestamp) -> Result<(), Ignored> {
        let slot = to_the_minute(slot);
        let same = |job: &Job| {
            // A failure only concerns its own slot.
            let counts = job.work.end.as_ref().is_none_or(|end| end.how.is_good());
            job.slot == slot || job.by == by || (counts && job.slot.duration_since(slot).unsigned_abs() < SLOT)
        };
        if self.jobs.iter().any(same) {
            return Err(Ignored::NothingNew);
        }
        self.definition.clone_from(definition);
        self.jobs.push(Job {
            slot,
            by: by.to_owned(),
            definition: definition.clone(),
            work: Work::new(now),
            point: None,
            copy: None,
        });
        self.outbox.push(BackupEffect::Start(WorkId::Backup(slot)), now);
        Ok(())
    }

    fn effect_once(&mut self, wanted: BackupEffect, now: Timestamp) {
        if !self.outbox.any(|effect| *effect == wanted) {
            self.outbox.push(wanted, now);
        }
    }

    fn look(&mut self, id: WorkId, now: Timestamp) {
        if let Some(work) = self.work_mut(id) {
            work.heard = now;
            work.looks = work.looks.saturating_add(1);
            self.effect_once(BackupEffect::Look(id), now);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        for id in self.underway() {
            if self.work(id).and_then(Work::due).is_some_and(|due| due <= now) {
                self.look(id, now);
            }
        }
        if self.removal_due().is_some_and(|due| due <= now) {
            self.look_removal(now);
        }
    }

    fn look_removal(&mut self, now: Timestamp) {
        let Some(test) = &mut self.test else { return };
        let slot = test.slot;
        match &mut test.removal {
            Removal::Sought { looks, .. } if *looks >= LOOKS_FOR_CREATED => {
                self.give_up_created("AWS Backup does not return its ARN", now);
            }
            Removal::Sought { heard, looks } => {
                *heard = now;
                *looks = looks.saturating_add(1);
                self.effect_once(BackupEffect::Look(WorkId::Restore(slot)), now);
            }
            Removal::Underway { request, heard, looks } => {
                *heard = now;
                *looks = looks.saturating_add(1);
                let request = request.clone();
                self.effect_once(BackupEffect::LookRemoval { request }, now);
            }
            Removal::None | Removal::Wanted | Removal::Done | Removal::LeftOver => {}
        }
    }

    fn deferred(&mut self, id: EffectId, why: &str, now: Timestamp) {
        let Deferral::Abandoned(effect) = self.outbox.defer(id, now) else {
            return;
        };
        let why = crate::config::shown(why, MESSAGE_LIMIT);
        match effect {
            // The next schedule starts another job.
            BackupEffect::Start(work) => {
                let words = format!("every try in {} failed: {why}", humantime::format_duration(START_WITHIN));
                // If the job has already ended, nothing is left to do.
                let _ = self.ended(work, How::Refused, Some(&words), None, now);
            }
            BackupEffect::Look(work) => {
                if let Some(work) = self.work_mut(work).filter(|work| work.end.is_none()) {
                    work.unasked = true;
                    let what = format!("poll AWS Backup job {}", work.id.as_deref().unwrap_or_default());
                    self.tell_abandoned(
                        what,
                        why,
                        "the next check polls it again, unless an event reports its end first",
                        now,
                    );
                } else {
                    self.give_up_created(&why, now);
                }
            }
            BackupEffect::Check => self.tell_abandoned(
                "look for the newest recovery point".to_owned(),
                why,
                "its age is not known until the next check",
                now,
            ),
            BackupEffect::Remove { .. } | BackupEffect::LookRemoval { .. } => {
                let _ = self.removal(&RemovalSeen::Failed(why), now);
            }
            // A failed message cannot be reported by another message, so it is only counted.
            BackupEffect::Tell(_) => {}
        }
    }

    fn tell_abandoned(&mut self, what: String, why: String, then: &str, at: Timestamp) {
        let what = Abandoned {
            what,
            why,
            now: then.to_owned(),
            advice: "check the functions' permissions and the status of the AWS service".to_owned(),
            at,
        };
        self.tell(at, BackupTold::Abandoned(what), at);
    }

    fn seen(&mut self, seen: &JobSeen, now: Timestamp) -> Result<(), Ignored> {
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
            (JobState::Completed, None) => How::Completed,
            (JobState::Completed, Some(_)) => How::WithIssues,
            (JobState::Failed, _) => How::Failed,
            (JobState::Aborted, _) => How::Aborted,
            (JobState::Expired, _) => How::Expired,
            (JobState::Partial, _) => How::Partial,
        };
        match self.ended(id, how, message, seen.ended, now) {
            // Then only late data about a restored resource is useful.
            Err(_) if matches!(id, WorkId::Restore(_)) => {
                self.remove_created(now);
                Ok(())
            }
            result => result,
        }
    }

    fn ended(&mut self, id: WorkId, how: How, message: Option<&String>, at: Option<Timestamp>, now: Timestamp) -> Result<(), Ignored> {
        let work = self.work_mut(id).ok_or(Ignored::NothingNew)?;
        if work.end.is_some() {
            return Err(Ignored::Over);
        }
        let end = End {
            how,
            message: message.map(|message| crate::config::shown(message.trim().trim_matches('"'), MESSAGE_LIMIT)),
            at: at.unwrap_or(now),
        };
        work.end = Some(end.clone());
        let since = work.since;
        self.outbox
            .remove_where(|pending| matches!(&pending.effect, BackupEffect::Start(other) | BackupEffect::Look(other) if *other == id));
        match id {
            WorkId::Backup(slot) => {
                self.judge(Concern::Backup, slot, &end, BackupTold::Ended(end.clone()), now);
                if end.how.is_good() {
                    // A recovery point is as old as the start of its job, which may end, or be reported, late. The slot may be much older if a
                    // schedule's event was redriven.
                    let limit = self.definition.newest_at_most;
                    if limit.is_none_or(|limit| later(since, limit) >= now) {
                        self.recovered(Concern::Age, slot, now);
                    }
                    self.copy(slot, now);
                }
            }
            WorkId::Copy(slot) => self.judge(Concern::Copy, slot, &end, BackupTold::CopyEnded(end.clone()), now),
            WorkId::Restore(slot) => self.tested(slot, end, now),
        }
        Ok(())
    }

    /// Reports a problem or a recovery. Every failed job is reported; a repeated remark only once.
    fn judge(&mut self, concern: Concern, slot: Timestamp, end: &End, told: BackupTold, now: Timestamp) {
        if end.how == How::Completed {
            return self.recovered(concern, slot, now);
        }
        let before = self.troubles.get(&concern);
        let known = end.how == How::WithIssues
            && before.is_some_and(|before| before.status == How::WithIssues.status() && before.message == end.message);
        let since = before.map_or(now, |before| before.since);
        let trouble = Trouble {
            status: end.how.status().to_owned(),
            message: end.message.clone(),
            slot: before.map_or(slot, |before| before.slot.max(slot)),
            since,
        };
        self.troubles.insert(concern, trouble);
        if !known {
            self.tell(slot, told, now);
        }
    }

    /// Ends a problem if the good result is newer. A job that ends the problems of jobs and of age at the same time is reported once.
    fn recovered(&mut self, concern: Concern, slot: Timestamp, now: Timestamp) {
        let Some(trouble) = self
            .troubles
            .get(&concern)
            .filter(|trouble| concern == Concern::Age || trouble.slot <= slot)
        else {
            return;
        };
        let told = BackupTold::Recovered {
            from: trouble.status.clone(),
            since: trouble.since,
            copy: concern == Concern::Copy,
        };
        self.troubles.remove(&concern);
        let telling = |effect: &BackupEffect| matches!(effect, BackupEffect::Tell(news) if news.at == now && matches!(news.what, BackupTold::Recovered { copy: false, .. }));
        if concern == Concern::Copy || !self.outbox.any(telling) {
            self.tell(slot, told, now);
        }
    }

    fn copy(&mut self, slot: Timestamp, now: Timestamp) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.slot == slot) else {
            return;
        };
        if job.definition.copy_to.is_some() && job.copy.is_none() {
            job.copy = Some(Work::new(now));
            self.outbox.push(BackupEffect::Start(WorkId::Copy(slot)), now);
        }
    }

    fn tell(&mut self, slot: Timestamp, what: BackupTold, now: Timestamp) {
        self.outbox.push(BackupEffect::Tell(BackupNews { slot, at: now, what }), now);
    }

    fn newest(&mut self, newest: Option<&Point>, now: Timestamp) {
        let slot = to_the_minute(now);
        match (newest, self.definition.newest_at_most) {
            (_, None) => {
                self.troubles.remove(&Concern::Age);
            }
            (Some(point), Some(limit)) if later(point.created, limit) >= now => self.recovered(Concern::Age, slot, now),
            (Some(point), Some(limit)) => {
                let newest = point.created;
                self.aged("stale", slot, BackupTold::Stale { newest, limit }, now);
            }
            // The first recovery point may be in progress.
            (None, Some(_)) if self.jobs.iter().any(|job| job.work.end.is_none()) => {}
            // Before the first schedule there is none either.
            (None, Some(limit)) if self.jobs.is_empty() && later(self.since, limit) > now => {}
            (None, Some(_)) => self.aged("missing", slot, BackupTold::Missing, now),
        }
        if let Some(point) = newest {
            self.test(point, slot, now);
        }
    }

    fn aged(&mut self, status: &str, slot: Timestamp, told: BackupTold, now: Timestamp) {
        if self.troubles.get(&Concern::Age).is_some_and(|trouble| trouble.status == status) {
            return;
        }
        let trouble = Trouble {
            status: status.to_owned(),
            message: None,
            slot,
            since: now,
        };
        self.troubles.insert(Concern::Age, trouble);
        self.tell(slot, told, now);
    }

    /// Starts a restore test if it is due.
    fn test(&mut self, point: &Point, slot: Timestamp, now: Timestamp) {
        let Some(every) = self.definition.restore_test.as_ref().map(|test| test.every) else {
            return;
        };
        let waits = self.test.as_ref().is_some_and(|test| {
            let open =
                test.work.end.is_none() || matches!(test.removal, Removal::Sought { .. } | Removal::Wanted | Removal::Underway { .. });
            // Schedules are not exact to the second: a daily test at six must run every day.
            open || later(test.slot, every) > later(now, SLOT)
        });
        if waits {
            return;
        }
        self.test = Some(Test {
            slot,
            point: point.arn.clone(),
            definition: self.definition.clone(),
            work: Work::new(now),
            created: None,
            removal: Removal::None,
        });
        self.outbox.push(BackupEffect::Start(WorkId::Restore(slot)), now);
    }

    fn tested(&mut self, slot: Timestamp, end: End, now: Timestamp) {
        let Some(test) = &self.test else { return };
        let point = test.point.clone();
        if end.how.is_good() {
            let seconds = end.at.duration_since(test.work.since).as_secs().max(0).unsigned_abs();
            let took = Duration::from_secs(seconds);
            self.troubles.remove(&Concern::Restore);
            self.tell(slot, BackupTold::RestoreTested { point, took }, now);
        } else {
            let trouble = Trouble {
                status: "restore-failed".to_owned(),
                message: end.message.clone(),
                slot,
                since: self.troubles.get(&Concern::Restore).map_or(now, |before| before.since),
            };
            self.troubles.insert(Concern::Restore, trouble);
            self.tell(slot, BackupTold::RestoreFailed { point, end }, now);
        }
        self.remove_created(now);
    }

    /// The resource of a restore job that AWS Backup no longer has, for kinds with names: its name is the one that the test chose.
    fn name_created(&mut self) {
        let name = self.test.as_ref().map(|test| self.restored_name(test.slot));
        if let (Some(test), Some(name)) = (&mut self.test, name)
            && test.created.is_none()
        {
            test.created = restore::named_like(&test.definition.resource, &name);
        }
    }

    /// Deletes the resource that a finished restore job created, once it is known. If the event did not name it, Bellhop polls AWS Backup.
    fn remove_created(&mut self, now: Timestamp) {
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
                    self.tell(slot, BackupTold::LeftOver { resource, why }, now);
                }
            },
            // A failed restore may also have created a resource.
            None if test.removal == Removal::None && test.work.id.is_some() => {
                test.removal = Removal::Sought { heard: now, looks: 0 };
                self.outbox.push(BackupEffect::Look(WorkId::Restore(slot)), now);
            }
            None => {}
        }
    }

    /// A poll of a failed restore job shows no created resource. The answer may be stale and still show the job as running.
    fn nothing_created(&mut self, seen: &JobSeen) {
        if let Some(test) = &mut self.test
            && test.work.is(&seen.id)
            && matches!(test.removal, Removal::Sought { .. })
            && !matches!(seen.state, JobState::Underway | JobState::Completed)
            && !self.outbox.any(|effect| *effect == BackupEffect::Look(WorkId::Restore(test.slot)))
        {
            test.removal = Removal::Done;
        }
    }

    /// Another person or program must find the resource that a restore created.
    fn give_up_created(&mut self, why: &str, now: Timestamp) {
        if let Some(test) = &mut self.test
            && matches!(test.removal, Removal::Sought { .. })
        {
            test.removal = Removal::LeftOver;
            let slot = test.slot;
            let resource = format!("what restore job {} created", test.work.id.as_deref().unwrap_or_default());
            let why = why.to_owned();
            self.tell(slot, BackupTold::LeftOver { resource, why }, now);
        }
    }

    fn removal(&mut self, seen: &RemovalSeen, now: Timestamp) -> Result<(), Ignored> {
        let Some(test) = &mut self.test else {
            return Err(Ignored::NothingNew);
        };
        if !matches!(test.removal, Removal::Wanted | Removal::Underway { .. }) {
            return Err(Ignored::Over);
        }
        let slot = test.slot;
        match seen {
            RemovalSeen::Done => test.removal = Removal::Done,
            RemovalSeen::Underway { request } => {
                if !matches!(&test.removal, Removal::Underway { request: known, .. } if known == request) {
                    test.removal = Removal::Underway {
                        request: request.clone(),
                        heard: now,
                        looks: 0,
                    };
                }
            }
            RemovalSeen::Failed(why) => {
                test.removal = Removal::LeftOver;
                let resource = test.created.clone().unwrap_or_default();
                let why = crate::config::shown(why, MESSAGE_LIMIT);
                self.tell(slot, BackupTold::LeftOver { resource, why }, now);
            }
        }
        Ok(())
    }

    /// Removes the oldest finished jobs beyond those that are remembered.
    fn forget(&mut self) {
        let is_over = |job: &Job| job.work.end.is_some() && job.copy.as_ref().is_none_or(|copy| copy.end.is_some());
        let mut surplus = self.jobs.iter().filter(|job| is_over(job)).count().saturating_sub(REMEMBERED);
        self.jobs.retain(|job| {
            let goes = surplus > 0 && is_over(job);
            surplus -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests;
