//! What events and polls of AWS Backup and Cloud Control say.

use jiff::Timestamp;

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
pub struct JobObservation {
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
pub enum RemovalObservation {
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
