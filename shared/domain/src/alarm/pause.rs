//! The alarms that pause launches of agents now.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::AlarmId;
use crate::time::later;

/// The longest that one alarm pauses launches, because its return to OK may never arrive.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// The alarms that pause launches of agents: one record in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// By the alarm's key.
    pub by: BTreeMap<String, Pause>,
}

/// An alarm that pauses launches of agents, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The alarm's name.
    pub alarm: String,
    /// Since when; `None` if it no longer does.
    pub since: Option<Timestamp>,
    /// Pauses requested up to this time have ended: a request that is performed late changes nothing.
    pub over: Option<Timestamp>,
}

impl Pauses {
    /// Pauses launches for an alarm. Returns whether that changed anything.
    pub fn pause(&mut self, alarm: &AlarmId, at: Timestamp) -> bool {
        let pause = self.of(alarm);
        if pause.since == Some(at) || pause.over.is_some_and(|over| at <= over) {
            return false;
        }
        pause.since = Some(at);
        true
    }

    /// Ends an alarm's pause of launches. Returns whether that changed anything.
    pub fn resume(&mut self, alarm: &AlarmId, until: Timestamp) -> bool {
        let pause = self.of(alarm);
        if pause.over.is_some_and(|over| until <= over) {
            return false;
        }
        pause.over = Some(until);
        if pause.since.is_some_and(|since| since <= until) {
            pause.since = None;
        }
        true
    }

    /// The names of the alarms that pause launches now.
    #[must_use]
    pub fn now(&self, now: Timestamp) -> Vec<&str> {
        let holds = |pause: &&Pause| pause.since.is_some_and(|since| now < later(since, LONGEST_PAUSE));
        self.by.values().filter(holds).map(|pause| pause.alarm.as_str()).collect()
    }

    /// Removes entries that no longer matter.
    pub fn forget(&mut self, now: Timestamp) {
        let recent = |moment: Option<Timestamp>| moment.is_some_and(|moment| now < later(moment, LONGEST_PAUSE.saturating_mul(2)));
        self.by.retain(|_, pause| recent(pause.since) || recent(pause.over));
    }

    fn of(&mut self, alarm: &AlarmId) -> &mut Pause {
        self.by.entry(alarm.key()).or_insert_with(|| Pause {
            alarm: alarm.name.clone(),
            since: None,
            over: None,
        })
    }
}
