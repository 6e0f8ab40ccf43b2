//! One job of AWS Backup, a backup, a copy or a restore, and how it can end.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use crate::time::later;

/// Bellhop polls a job this long after its last event. Events come about every five minutes. Doubles each time, up to [`LONGEST_POLL_WAIT`].
pub const POLL_AFTER: Duration = Duration::from_secs(15 * 60);
/// The longest time between two polls of one job.
pub const LONGEST_POLL_WAIT: Duration = Duration::from_secs(60 * 60);
/// The most characters stored of a service's message.
pub(super) const MESSAGE_LIMIT: usize = 500;

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
    pub work: ServiceJob,
    /// The recovery point that it created.
    pub point: Option<String>,
    /// The copy job.
    pub copy: Option<ServiceJob>,
}

/// A job of AWS Backup: a backup, a copy or a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceJob {
    /// When Bellhop decided to start it.
    pub since: Timestamp,
    /// Its id in AWS Backup, once known.
    pub id: Option<String>,
    /// When an event or a poll last showed it.
    #[serde(rename = "heard")]
    pub seen_at: Timestamp,
    /// How often it was polled.
    #[serde(rename = "looks")]
    pub polls: u32,
    /// How it ended; `None` while it has not.
    pub end: Option<End>,
    /// Polls failed for so long that Bellhop waits for the next check.
    #[serde(default, rename = "unasked")]
    pub polling_suspended: bool,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The way in which it ended.
    pub how: EndKind,
    /// AWS Backup's message.
    pub message: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The ways in which a job can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndKind {
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

impl EndKind {
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

impl ServiceJob {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            id: None,
            seen_at: now,
            polls: 0,
            end: None,
            polling_suspended: false,
        }
    }

    /// When it should be polled; `None` before it has started and after it has ended.
    pub(super) fn due(&self) -> Option<Timestamp> {
        (self.id.is_some() && self.end.is_none() && !self.polling_suspended).then(|| later(self.seen_at, backoff(POLL_AFTER, self.polls)))
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }
}

impl WorkId {
    /// Its kind and its slot, as they are in a token.
    pub(super) fn parts(self) -> (&'static str, Timestamp) {
        match self {
            Self::Backup(slot) => ("backup", slot),
            Self::Copy(slot) => ("copy", slot),
            Self::Restore(slot) => ("restore", slot),
        }
    }
}

pub(super) fn backoff(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(8)).min(LONGEST_POLL_WAIT)
}
