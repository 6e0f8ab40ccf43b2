//! A backup of the suite configuration: its jobs with AWS Backup, the age of its newest recovery point, and its restore tests.
//!
//! A job is started under a token of the backup's name and the schedule's slot, so that a schedule that is delivered twice starts one. How it ended is
//! told by an event, or, as events get lost, asked for; what never started at all is found out by the newest recovery point's age. Whatever is
//! wrong is told once, and so is the recovery.

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

/// Schedules that are less than this apart are one: a schedule may come late and twice, and people press twice.
pub const SLOT: Duration = Duration::from_secs(10 * 60);
/// How long after a job was last heard of it is asked for. Its events come about every five minutes. Doubles each time, up to [`LONGEST_LOOK`].
pub const LOOK_AFTER: Duration = Duration::from_secs(15 * 60);
/// The longest time between two questions for one job.
pub const LONGEST_LOOK: Duration = Duration::from_secs(60 * 60);
/// How long a removal that was accepted may take before it is asked for; doubles likewise.
pub const REMOVAL_AFTER: Duration = Duration::from_secs(2 * 60);
/// How often it is asked for what a restore created, over some hours, before it is given up.
const LOOKS_FOR_CREATED: u32 = 8;
/// A job that could not be started for so long is given up, and told as failed.
pub const START_WITHIN: Duration = Duration::from_secs(12 * 3600);
/// How many finished jobs are remembered, so that their slots are known.
const REMEMBERED: usize = 10;
/// How long a record is kept after the last thing that happened to it.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// How much of what a service says is kept.
const MESSAGE_LIMIT: usize = 500;

/// What is backed up, how, and how that is watched, as the suite configuration has it. What is left open is up to the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The ARN of what is backed up.
    pub resource: String,
    /// The vault.
    pub vault: String,
    /// The ARN of the role that the service assumes for it.
    pub role: String,
    /// How long the service may wait before it starts.
    #[serde(with = "serde_duration::optional", default)]
    pub start_within: Option<Duration>,
    /// How long it may take from the time it was asked for.
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
    /// The age of the newest recovery point from which on an alert is raised.
    #[serde(with = "serde_duration::optional", default)]
    pub newest_at_most: Option<Duration>,
    /// Whether, and how, restoring is tested.
    pub restore_test: Option<RestoreTest>,
}

/// How restoring is tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTest {
    /// The time from one test to the next.
    #[serde(with = "serde_duration")]
    pub every: Duration,
    /// The ARN of the role that the service assumes for it; the backup's own without it.
    pub role: Option<String>,
    /// Metadata of the restore that AWS Backup should not take from the recovery point.
    pub metadata: BTreeMap<String, String>,
}

/// A backup: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The suite that it is one of. Another suite may have one of the same name at the same time.
    #[serde(default)]
    pub suite: String,
    /// Its name in the suite configuration.
    pub name: String,
    /// Its definition, as it was the last time that the configuration was read for it.
    pub definition: Definition,
    /// Its newest jobs, oldest first, and those that are not over.
    pub jobs: Vec<Job>,
    /// The newest restore test.
    pub test: Option<Test>,
    /// What is wrong, and was told.
    pub troubles: BTreeMap<Concern, Trouble>,
    /// Since when there is a record of it.
    pub since: Timestamp,
    /// When something last happened to it.
    pub changed: Timestamp,
    /// What is still to be done.
    pub outbox: Outbox<BackupEffect>,
}

/// One backup job, and the copy of what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The schedule that it was started for, to the minute.
    pub slot: Timestamp,
    /// Who asked for it, as far as they have a name of their own: an invocation that is tried again asks for the same job.
    pub by: String,
    /// The definition when it was started.
    pub definition: Definition,
    /// The backup.
    pub work: Work,
    /// The recovery point that came of it.
    pub point: Option<String>,
    /// Its copy.
    pub copy: Option<Work>,
}

/// A restore test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// When it was decided upon, to the minute.
    pub slot: Timestamp,
    /// The recovery point.
    pub point: String,
    /// The definition then.
    pub definition: Definition,
    /// The restore.
    pub work: Work,
    /// The ARN of what the restore created, as the service reports it.
    pub created: Option<String>,
    /// What became of that.
    pub removal: Removal,
}

/// What becomes of a restored resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// There is nothing to remove, or it is not known yet.
    None,
    /// What was created was not told, and is asked for.
    Sought {
        /// When it was last asked for.
        heard: Timestamp,
        /// How often it was asked for.
        looks: u32,
    },
    /// It is to be asked for.
    Wanted,
    /// It was accepted, and takes its time.
    Underway {
        /// The name of the request with Cloud Control.
        request: String,
        /// When it was last heard of.
        heard: Timestamp,
        /// How often it was asked for.
        looks: u32,
    },
    /// The resource is gone.
    Done,
    /// It is still there, and people were told.
    LeftOver,
}

/// A job with the service: a backup, a copy or a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// When it was decided upon.
    pub since: Timestamp,
    /// Its id with the service, once that is known.
    pub id: Option<String>,
    /// When it was last heard of, or asked for.
    pub heard: Timestamp,
    /// How often it was asked for.
    pub looks: u32,
    /// How it ended; `None` while it has not.
    pub end: Option<End>,
    /// The service could not be asked for it for so long that it is not asked before the next check.
    #[serde(default)]
    pub unasked: bool,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// In which way.
    pub how: How,
    /// What the service said about it.
    pub message: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The ways in which a job can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Well.
    Completed,
    /// Well, and the service had something to say.
    WithIssues,
    /// It failed.
    Failed,
    /// Somebody stopped it.
    Aborted,
    /// It did not start, or not end, within its windows.
    Expired,
    /// Only parts of the resource are in the recovery point.
    Partial,
    /// The service did not take it.
    Refused,
    /// The service does not know it any more.
    Vanished,
}

impl How {
    /// Whether a recovery point, copy or restored resource came of it that can be used.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Completed | Self::WithIssues)
    }

    /// The word for it in a message's `status`.
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

/// What can be wrong with a backup. Each is told, and recovers, for itself.
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

/// Something that is wrong, and was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The status that was told.
    pub status: String,
    /// What the service said.
    pub message: Option<String>,
    /// The slot of the job or test, or the time of the check.
    pub slot: Timestamp,
    /// Since when.
    pub since: Timestamp,
}

/// Names one job of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkId {
    /// The backup job of a slot.
    Backup(Timestamp),
    /// The copy of what came of it.
    Copy(Timestamp),
    /// The restore test of a slot.
    Restore(Timestamp),
}

/// The kinds of job that the service has.
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
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Copy => "copy",
            Self::Restore => "restore",
        }
    }
}

/// How far a job is, in the service's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It is not over.
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

/// A job as an event or a question shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSeen {
    /// Which kind of job.
    pub kind: JobKind,
    /// Its id.
    pub id: String,
    /// How far it is.
    pub state: JobState,
    /// What the service says about it.
    pub message: Option<String>,
    /// The recovery point that comes of a backup job, or the copy of a copy job.
    pub point: Option<String>,
    /// The ARN of what a restore job created.
    pub created: Option<String>,
    /// The ARN of what it is about, where that is told.
    pub resource: Option<String>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupRequest {
    /// Start a backup.
    Start {
        /// Its name.
        name: String,
        /// The schedule's time, where the asker gives it.
        slot: Option<Timestamp>,
    },
    /// Look whether all backups are well.
    Check,
}

/// A recovery point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Its ARN.
    pub arn: String,
    /// When its backup began: the moment whose state it has.
    pub created: Timestamp,
}

/// What came of asking for a removal, or for how it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovalSeen {
    /// It takes its time.
    Underway {
        /// The name of the request.
        request: String,
    },
    /// The resource is gone.
    Done,
    /// It cannot be removed.
    Failed(String),
}

/// What can happen to a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupEvent {
    /// A schedule, or somebody, asks for a backup job.
    Scheduled {
        /// The definition now.
        definition: Box<Definition>,
        /// The schedule's time.
        slot: Timestamp,
        /// Who asks, as far as they have a name of their own.
        by: String,
    },
    /// A schedule, or somebody, asks whether all is well.
    Check {
        /// The definition now.
        definition: Box<Definition>,
    },
    /// The service has taken a job.
    Started {
        /// Which.
        work: WorkId,
        /// Its id.
        id: String,
    },
    /// The service will not take a job.
    Refused {
        /// Which.
        work: WorkId,
        /// Why.
        message: String,
    },
    /// An event tells of a job. What it says about a restored resource does not count: whoever may invoke the function may say that.
    Heard(JobSeen),
    /// The service was asked, and tells of a job.
    Seen(JobSeen),
    /// The service was asked, and does not know a job.
    Vanished(WorkId),
    /// The newest recovery point was looked for; `None` if there is none.
    Newest(Option<Point>),
    /// How far the removal of a restored resource is.
    Removal(RemovalSeen),
    /// An effect has taken place.
    Performed(EffectId),
    /// An effect was tried in vain, for this reason; it stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
    /// Time has passed.
    Tick,
}

/// What is to be done for a backup. Every one of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupEffect {
    /// Start a job, under its token.
    Start(WorkId),
    /// Ask how a job is.
    Look(WorkId),
    /// Look for the newest recovery point.
    Check,
    /// Remove what a restore test created, under the test's token.
    Remove {
        /// Its ARN.
        resource: String,
    },
    /// Ask how the removal goes.
    LookRemoval {
        /// The name of its request.
        request: String,
    },
    /// Tell people.
    Tell(BackupNews),
}

/// What people are told about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupNews {
    /// The slot of the job or test, or the time of the check.
    pub slot: Timestamp,
    /// When it was found out.
    pub at: Timestamp,
    /// What.
    pub what: BackupTold,
}

/// The kinds of news about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupTold {
    /// A backup job did not end well.
    Ended(End),
    /// A copy did not end well.
    CopyEnded(End),
    /// The newest recovery point is too old.
    Stale {
        /// When it was created.
        newest: Timestamp,
        /// How old it may be.
        #[serde(with = "serde_duration")]
        limit: Duration,
    },
    /// There is no recovery point at all.
    Missing,
    /// What was told as wrong is well again.
    Recovered {
        /// The status that was told.
        from: String,
        /// Since when.
        since: Timestamp,
        /// Whether it was about copies.
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
    /// What a restore test created is still there.
    LeftOver {
        /// Its ARN.
        resource: String,
        /// Why.
        why: String,
    },
    /// Something could not be found out.
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

/// The name of the backup of the suite's own table.
pub const SUITE_TABLE: &str = "suite-table";
/// How long a daily copy of the suite's own table is kept. Each is a whole copy; the stack's weekly ones and the table's recovery to any point in time go back
/// five weeks.
const SUITE_TABLE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

impl Definition {
    /// The backup of the suite's own table, where the stack says how.
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

/// Adds the backup of the suite's own table to those of the configuration, unless one of them is of the same resource.
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

    /// When it should be asked for; `None` while it has not been started, and once it is over.
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

/// A moment without its seconds, as schedules are told apart.
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
    /// A backup that nothing has happened to yet.
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

    /// The idempotency token of a job: the same however often it is started, and another for every other job and in every other suite.
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

    /// The name of what a restore test creates, where its kind has names.
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

    /// Some job of its own, if it has one.
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

    /// Whose job of the service it is; `None` if it is none of this backup's.
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

    /// Every job that was started and is not known to be over.
    fn open(&self) -> Vec<WorkId> {
        let jobs = self.jobs.iter().flat_map(|job| [WorkId::Backup(job.slot), WorkId::Copy(job.slot)]);
        jobs.chain(self.test.as_ref().map(|test| WorkId::Restore(test.slot)))
            .filter(|id| self.work(*id).is_some_and(|work| work.id.is_some() && work.end.is_none()))
            .collect()
    }

    /// Those of them that are asked for.
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

    /// When the sweep should look at this backup next; `None` when nothing is underway and nothing is to be done.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let works = self.underway().into_iter().filter_map(|id| self.work(id).and_then(Work::due));
        self.outbox.due().into_iter().chain(self.removal_due()).chain(works).min()
    }

    /// When the record may be forgotten.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        later(self.changed, KEPT)
    }

    /// What an event makes of this backup at a moment.
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
                // Also for what nobody could be asked about for a while.
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
                    // It was asked what a restore had created that is over.
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
            // What went wrong stands in nobody's way but its own slot's.
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
            // The next schedule has a job of its own.
            BackupEffect::Start(work) => {
                let words = format!("every try in {} failed: {why}", humantime::format_duration(START_WITHIN));
                // Where it is over already, there is nothing to give up.
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
            // Nobody can be told that nobody can be told: it is counted.
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
        // What is told late about a job that is over may still be needed: a copy needs its recovery point, a removal its resource.
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
            // Only what is told late about a restored resource is of use then.
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
                    // A recovery point is as old as the beginning of its job, which may end, or be told, late. The slot may be long before that, where a
                    // schedule was handed back.
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

    /// Tells what went wrong, or that it goes well again. Every job that goes wrong is told; remarks that come again and again only once.
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

    /// What was wrong is well again, if what is well now is newer. A job that ends the trouble of jobs and of age at once is told once.
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
            // The first one may be on its way.
            (None, Some(_)) if self.jobs.iter().any(|job| job.work.end.is_none()) => {}
            // Nor is there one before the first schedule has come.
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

    /// Starts a restore test if it is time for one.
    fn test(&mut self, point: &Point, slot: Timestamp, now: Timestamp) {
        let Some(every) = self.definition.restore_test.as_ref().map(|test| test.every) else {
            return;
        };
        let waits = self.test.as_ref().is_some_and(|test| {
            let open =
                test.work.end.is_none() || matches!(test.removal, Removal::Sought { .. } | Removal::Wanted | Removal::Underway { .. });
            // A schedule is never on the second: whoever tests every day at six does it every day.
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

    /// What a restore created that AWS Backup does not know any more, where its kind has names: it has the one that the test gave.
    fn name_created(&mut self) {
        let name = self.test.as_ref().map(|test| self.restored_name(test.slot));
        if let (Some(test), Some(name)) = (&mut self.test, name)
            && test.created.is_none()
        {
            test.created = restore::named_like(&test.definition.resource, &name);
        }
    }

    /// Removes what a restore that is over created, once that is known. Where its event did not say, AWS Backup is asked.
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
            // A restore that failed may have created something as well.
            None if test.removal == Removal::None && test.work.id.is_some() => {
                test.removal = Removal::Sought { heard: now, looks: 0 };
                self.outbox.push(BackupEffect::Look(WorkId::Restore(slot)), now);
            }
            None => {}
        }
    }

    /// AWS Backup was asked about a restore that has failed, and tells of nothing that it created. It may be behind, and still tell it as underway.
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

    /// Whatever a restore created has to be found by somebody else.
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

    /// Forgets the oldest jobs that are over, beyond those that are remembered.
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
