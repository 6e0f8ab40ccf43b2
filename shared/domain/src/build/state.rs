//! The states of a build and of its attempts, and the ways in which they end. Types only: decisions about them are in the other files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// The state of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    /// It waits for jobs that it needs.
    Blocked,
    /// It waits for a slot of its agent template.
    Waiting,
    /// Its current attempt waits for its launch.
    Queued {
        /// The earliest time of the launch.
        not_before: Timestamp,
    },
    /// Its current attempt is launching or running.
    Active,
    /// It has finished.
    Finished {
        /// How it ended; never changes.
        outcome: Outcome,
        /// When that was decided.
        at: Timestamp,
        /// The cause, for people; none for a success.
        cause: Option<String>,
    },
}

/// The slot of a build in the [`Pool`](crate::queue::pool::Pool) of its agent template, or in that of its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// Not requested: the template has no limit, or the build is not ready to launch.
    #[default]
    None,
    /// Requested.
    #[serde(rename = "wanted")]
    Requested,
    /// The build holds it until it has finished and nothing runs for it any more.
    Held,
    /// Released, or no longer wanted.
    #[serde(rename = "left")]
    Released,
}

impl Slot {
    /// Whether it was never requested.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The phase of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not launched yet, or refused.
    Waiting,
    /// Launched, but not running yet.
    Launching,
    /// Running.
    Running,
    /// AWS reclaims its capacity; it may have up to two minutes left.
    Interrupted {
        /// When Bellhop received the warning.
        at: Timestamp,
    },
    /// Bellhop has asked it to stop.
    Stopping {
        /// When.
        at: Timestamp,
        /// The reason.
        why: StopReason,
    },
    /// It has ended.
    Ended {
        /// When Bellhop learned of it.
        at: Timestamp,
        /// How.
        end: End,
    },
}

/// Why Bellhop stops an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The build has finished without it.
    BuildOver,
    /// It ran longer than the job's `timeout`.
    Timeout,
    /// Its agent did not start within [`launch_timeout`](crate::executor::ExecutorKind::launch_timeout).
    #[serde(rename = "never-up")]
    NeverStarted,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The script ended by itself with exit code 0.
    Succeeded,
    /// The script failed.
    Failed {
        /// Its exit code, if there is one.
        exit_code: Option<i32>,
        /// The cause, for people.
        cause: String,
    },
    /// The commit is no longer in the repository, so no other attempt would find it.
    CommitGone {
        /// The cause, for people.
        cause: String,
    },
    /// AWS reclaimed its capacity.
    Interrupted,
    /// Its agent never started, or was lost, through no fault of the job.
    Infrastructure {
        /// The cause, for people.
        cause: String,
    },
    /// It ran too long: Bellhop stopped it, or its service ended it at a time limit.
    TimedOut,
    /// It was stopped because the build finished without it, or it was never launched.
    Unneeded,
}

impl End {
    /// Its name in reports and messages.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } | Self::CommitGone { .. } => "failed",
            Self::Interrupted => "interrupted",
            Self::Infrastructure { .. } => "infrastructure-failed",
            Self::TimedOut => "timed-out",
            Self::Unneeded => "stopped",
        }
    }
}
