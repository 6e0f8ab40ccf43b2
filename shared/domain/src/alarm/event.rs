//! What can happen to an alarm.

use jiff::Timestamp;

use super::remedy::{Remedy, RemedyOutcome};
use super::state::AlarmChange;
use crate::outbox::EffectId;

/// An event for an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmEvent {
    /// Its state changed, or a notification says so.
    Changed {
        /// The change.
        change: Box<AlarmChange>,
        /// The remedy to apply if the new state is ALARM.
        wanted: ConfiguredRemedy,
    },
    /// A remedy was applied, or will not be.
    Remedied {
        /// The effect.
        effect: EffectId,
        /// The result.
        outcome: RemedyOutcome,
    },
    /// A remedy waits for one that another alarm may be applying.
    Waits {
        /// The effect, which stays in the outbox.
        effect: EffectId,
        /// When the other alarm requested it.
        since: Timestamp,
    },
    /// Time has passed.
    Tick,
}

/// The remedy for an alarm, according to the suite configuration at the time of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfiguredRemedy {
    /// No rule matches: Bellhop only sends a message.
    Nothing,
    /// The remedy of the first rule that matches.
    Remedy(Remedy),
    /// The configuration cannot be read. The text has the reason.
    Unknown(String),
}
