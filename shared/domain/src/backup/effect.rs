//! What a backup asks the engine to do, and the contents of its messages. `message::backup` gives these their form.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::job::{End, WorkId};
use crate::outbox::{ANNOUNCE_FOR, Abandoned, Effect};
use crate::serde_duration;

/// A job that could not be started within this time is reported as failed.
pub const START_WITHIN: Duration = Duration::from_secs(12 * 3600);

/// An effect of a backup. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupEffect {
    /// Start a job, under its token.
    Start(WorkId),
    /// Poll a job.
    #[serde(rename = "look")]
    Poll(WorkId),
    /// Look for the newest recovery point.
    Check,
    /// Delete the resource that a restore test created, under the test's token.
    Remove {
        /// Its ARN.
        resource: String,
    },
    /// Poll the removal.
    #[serde(rename = "look-removal")]
    PollRemoval {
        /// The request token.
        request: String,
    },
    /// Publish a message.
    #[serde(rename = "tell")]
    Notify(BackupNews),
}

impl Effect for BackupEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        Some(match self {
            Self::Start(_) => START_WITHIN,
            Self::Poll(_) | Self::Check | Self::Remove { .. } | Self::PollRemoval { .. } | Self::Notify(_) => ANNOUNCE_FOR,
        })
    }
}

/// A message about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupNews {
    /// The slot of the job or test, or the time of the check.
    pub slot: Timestamp,
    /// When Bellhop detected it.
    pub at: Timestamp,
    /// The content.
    pub what: BackupNewsKind,
}

/// The kinds of messages about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupNewsKind {
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
