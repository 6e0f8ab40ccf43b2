//! The record of an alarm in the ledger, and when it needs attention next.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::effect::AlarmEffect;
use super::pause::LONGEST_PAUSE;
use super::state::{AlarmId, Transition};
use crate::outbox::Outbox;
use crate::time::later;

/// An alarm that changes [`FLAPS`] times within this is flapping.
pub const FLAP_WINDOW: Duration = Duration::from_secs(10 * 60);
/// See [`FLAP_WINDOW`].
pub const FLAPS: usize = 5;
/// How long a flapping alarm must keep its state before Bellhop reports it as settled.
pub const SETTLED_AFTER: Duration = Duration::from_secs(10 * 60);
/// How long the record of an alarm without events is kept.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);

/// An alarm and its history: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alarm {
    /// The alarm.
    pub id: AlarmId,
    /// The newest transition; `None` before the first event.
    pub current: Option<Transition>,
    /// When the alert began: it lasts from the first ALARM to the next OK, even if INSUFFICIENT_DATA comes in between.
    pub open: Option<Timestamp>,
    /// A transition to ALARM whose message waits for the result of the remedy.
    #[serde(rename = "untold")]
    pub unreported: Option<Transition>,
    /// Why the configuration could not be read when the alarm went off.
    pub unconfigured: Option<String>,
    /// The times of the newest changes, oldest first: at most [`FLAPS`] of them.
    pub changes: Vec<Timestamp>,
    /// Since when it is flapping.
    pub flapping: Option<Timestamp>,
    /// Since when it pauses launches.
    pub paused: Option<Timestamp>,
    /// Pending effects.
    pub outbox: Outbox<AlarmEffect>,
}

impl Alarm {
    /// An alarm without events.
    #[must_use]
    pub fn new(id: AlarmId) -> Self {
        Self {
            id,
            current: None,
            open: None,
            unreported: None,
            unconfigured: None,
            changes: Vec::new(),
            flapping: None,
            paused: None,
            outbox: Outbox::default(),
        }
    }

    /// When the sweep should process this alarm next; `None` if nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox
            .due()
            .into_iter()
            .chain(self.settles_at())
            .chain(self.pause_ends_at())
            .min()
    }

    /// When DynamoDB may delete the record; `None` while something is pending.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        let heard = self.current.as_ref()?.received_at;
        self.due().is_none().then(|| later(heard, KEEP))
    }

    /// Identifies the occasion of a transition to ALARM, for actions that happen once per occasion.
    #[must_use]
    pub fn occasion(&self, at: Timestamp) -> String {
        format!("{}@{at}", self.id.key())
    }

    pub(super) fn settles_at(&self) -> Option<Timestamp> {
        self.flapping?;
        Some(later(self.current.as_ref()?.received_at, SETTLED_AFTER))
    }

    pub(super) fn pause_ends_at(&self) -> Option<Timestamp> {
        self.paused.map(|since| later(since, LONGEST_PAUSE))
    }
}
