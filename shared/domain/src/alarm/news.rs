//! The contents of a message about an alarm. `message::alarm` gives them their form.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::remedy::{Remedy, RemedyOutcome};
use super::state::Transition;

/// A message about an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AlarmNews {
    /// The kind of the message.
    pub what: AlarmNewsKind,
    /// The transition that it reports.
    pub transition: Transition,
    /// When the alert began.
    pub open: Option<Timestamp>,
    /// The remedy and its result.
    pub remedy: Option<RemedyNews>,
    /// Why no remedy could be chosen: the configuration cannot be read.
    pub unconfigured: Option<String>,
    /// When Bellhop decided to send it.
    #[serde(rename = "told")]
    pub announced_at: Timestamp,
}

/// The kinds of messages about an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmNewsKind {
    /// The state changed.
    Changed,
    /// The state changes so often that Bellhop sends no more messages until it settles.
    Flapping,
    /// The alarm kept its state for a while after it was flapping.
    Settled,
    /// The result of a remedy, after the message about the alarm itself.
    Remedied,
    /// Launches resume after the longest pause, although the alarm is not OK.
    PauseEnded,
}

/// The remedy in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RemedyNews {
    /// The remedy.
    pub remedy: Remedy,
    /// Its result.
    pub outcome: RemedyOutcome,
}
