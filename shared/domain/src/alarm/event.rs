//! What can happen to an alarm.

use jiff::Timestamp;

use super::remedy::{Remedied, Remedy};
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
        wanted: Wanted,
    },
    /// A remedy was applied, or will not be.
    Remedied {
        /// The effect.
        effect: EffectId,
        /// The result.
        outcome: Remedied,
    },
    /// A remedy waits for one that another alarm may be applying.
    Waits {
        /// The effect, which stays in the outbox.
        effect: EffectId,
        /// When the other alarm requested it.
        since: Timestamp,
    },
    /// An effect was performed.
    Performed(EffectId),
    /// An effect failed for this reason. It stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
    /// Time has passed.
    Tick,
}

/// The remedy for an alarm, according to the suite configuration at the time of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// No rule matches: Bellhop only sends a message.
    Nothing,
    /// The remedy of the first rule that matches.
    Remedy(Remedy),
    /// The configuration cannot be read. The text has the reason.
    Unknown(String),
}
