//! What an alarm asks the engine to do.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::news::AlarmNews;
use super::remedy::Remedy;
use crate::outbox::{ANNOUNCE_FOR, Effect, RETRY_FOR};

/// An effect of an alarm. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmEffect {
    /// Apply a remedy of the suite configuration.
    Remedy {
        /// When the state ALARM began; identifies the occasion.
        at: Timestamp,
        /// The remedy.
        remedy: Remedy,
    },
    /// Release the claim on the target of a remedy that failed.
    Release {
        /// The occasion, as for the remedy.
        at: Timestamp,
        /// The remedy that failed.
        remedy: Remedy,
    },
    /// Resume launches that the alarm pauses.
    Resume {
        /// All pauses that were requested up to this time end.
        until: Timestamp,
    },
    /// Publish a message.
    #[serde(rename = "tell")]
    Notify(Box<AlarmNews>),
}

impl Effect for AlarmEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        match self {
            Self::Remedy { .. } => Some(RETRY_FOR),
            Self::Resume { .. } | Self::Release { .. } => None,
            Self::Notify(_) => Some(ANNOUNCE_FOR),
        }
    }
}
