//! Which alarm, in which state, and what an event says about it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::console::partition_of;
use crate::ids::Arn;
use crate::text::shown;

/// The identity of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlarmId {
    /// Its region, such as `us-east-1`, if the event has it.
    pub region: Option<String>,
    /// Its account, if the event has it.
    pub account: Option<String>,
    /// Its name.
    pub name: String,
    /// The id of one contributor, if the event is about one: an alarm over many time series has a state for each of them, besides its own state.
    pub contributor: Option<String>,
}

impl AlarmId {
    /// Its key in the ledger.
    #[must_use]
    pub fn key(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        let of = self.contributor.as_ref().map(|id| format!("#{id}")).unwrap_or_default();
        format!("{}/{}/{}{of}", part(&self.region), part(&self.account), self.name)
    }

    /// Its ARN, made of its parts; `None` if the event lacks its region or account.
    #[must_use]
    pub fn arn(&self) -> Option<Arn> {
        let (region, account) = (self.region.as_deref()?, self.account.as_deref()?);
        let partition = partition_of(region);
        let name = shown(&self.name, usize::MAX);
        format!("arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}").parse().ok()
    }
}

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// The alarm's condition is not met.
    Ok,
    /// The alarm's condition is met.
    Alarm,
    /// CloudWatch has insufficient data. This state neither opens nor closes an alert.
    InsufficientData,
}

impl AlarmState {
    /// CloudWatch's name for the state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

impl fmt::Display for AlarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A state change of an alarm, as `bellhop-events` parses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmChange {
    /// The alarm.
    pub id: AlarmId,
    /// The new state.
    pub state: AlarmState,
    /// When the state began; `None` if the event does not say.
    pub at: Option<Timestamp>,
    /// The previous state, if the event has it.
    pub previous: Option<AlarmState>,
    /// Why the alarm's actions are disabled: a mute rule, or a suppressor of a composite alarm. Bellhop then sends no message and applies no remedy.
    pub quiet: Option<String>,
    /// Details for the message.
    pub facts: AlarmFacts,
}

/// Details of an alarm from an event. Each text is one line of bounded length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct AlarmFacts {
    /// The reason of the change, in CloudWatch's words.
    pub reason: Option<String>,
    /// The alarm's description.
    pub description: Option<String>,
    /// The metric or expression that it measures.
    pub measure: Option<String>,
    /// The rule of a composite alarm.
    pub rule: Option<String>,
    /// The metric's namespace.
    pub namespace: Option<String>,
    /// The metric's dimensions, or those of the contributor.
    pub dimensions: BTreeMap<String, String>,
    /// The newest value.
    pub value: Option<String>,
    /// The threshold, or the band of an anomaly alarm.
    pub threshold: Option<String>,
    /// How the value is compared with the threshold.
    pub comparison: Option<Comparison>,
    /// The alarms that caused a composite alarm to change.
    pub because: Vec<String>,
}

/// How a value is compared with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// In ALARM if the value is above the threshold.
    Above,
    /// In ALARM if the value is above the threshold or equal.
    AtLeast,
    /// In ALARM if the value is below the threshold.
    Below,
    /// In ALARM if the value is below the threshold or equal.
    AtMost,
    /// In ALARM if the value is outside the band.
    Outside,
}

/// A transition of an alarm to a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transition {
    /// The new state.
    pub state: AlarmState,
    /// When the state began.
    pub at: Timestamp,
    /// When Bellhop received the event.
    #[serde(rename = "heard")]
    pub received_at: Timestamp,
    /// The previous state, if known.
    pub previous: Option<AlarmState>,
    /// Why Bellhop sends no message and applies no remedy.
    pub quiet: Option<String>,
    /// Details for the message.
    pub facts: AlarmFacts,
}
