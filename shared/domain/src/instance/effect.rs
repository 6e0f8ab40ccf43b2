//! What an instance asks the engine to do.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::notice::{ForeignTask, InterruptionNotice};
use crate::ids::BuildId;
use crate::outbox::{ANNOUNCE_FOR, Abandoned, Effect, ONE_TRY, RETRY_FOR};

/// How long Bellhop tries to mark the builds on an instance as interrupted.
const INTERRUPT_FOR: Duration = Duration::from_secs(5 * 60);

/// An effect of an instance. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceEffect {
    /// Mark the builds on it as interrupted, and list the other tasks on it.
    Interrupt,
    /// Drain it, so that ECS places no more tasks on it.
    Drain,
    /// Reactivate it in ECS, if it is drained and empty.
    #[serde(rename = "reopen")]
    Reactivate,
    /// Report its state after a recommendation.
    #[serde(rename = "tell-after-advice")]
    NotifyAfterAdvice {
        /// The recommendation.
        advised: Timestamp,
        /// The state.
        what: AfterAdvice,
        /// When that was detected.
        at: Timestamp,
    },
    /// Report the tasks of others on it.
    #[serde(rename = "tell")]
    Notify {
        /// The interruption.
        warned: InterruptionNotice,
        /// The builds that are retried elsewhere.
        builds: Vec<BuildId>,
        /// The tasks that Bellhop does not manage.
        foreign: Vec<ForeignTask>,
    },
    /// Report an abandoned effect.
    #[serde(rename = "tell-abandoned")]
    NotifyAbandoned {
        /// Identifies it.
        number: u64,
        /// The effect.
        what: Abandoned,
    },
}

/// The state of an instance some time after it was drained because of a recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterAdvice {
    /// It was reactivated.
    Reopened,
    /// Tasks still ran on it, so it stays drained.
    StillBusy,
}

impl Effect for InstanceEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        Some(match self {
            Self::Interrupt => INTERRUPT_FOR,
            Self::Drain | Self::Reactivate => RETRY_FOR,
            Self::NotifyAfterAdvice { .. } | Self::Notify { .. } | Self::NotifyAbandoned { .. } => ANNOUNCE_FOR,
        })
    }

    fn time_limit(&self) -> Option<Duration> {
        match self {
            // This effect launches the replacements of all builds on the instance: a slow one must not cut off the others.
            Self::Interrupt => None,
            Self::Drain | Self::Reactivate | Self::NotifyAfterAdvice { .. } | Self::Notify { .. } | Self::NotifyAbandoned { .. } => {
                Some(ONE_TRY)
            }
        }
    }
}
