//! CloudWatch: the states of its alarms, as DescribeAlarms describes them.

use bellhop_domain::alarm::AlarmState;
use serde::{Deserialize, Serialize};

/// What an alarm looks at, which DescribeAlarms has separate lists for
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AlarmType {
    /// A metric, or an expression of metrics.
    #[default]
    #[serde(rename = "MetricAlarm")]
    Metric,
    /// Other alarms.
    #[serde(rename = "CompositeAlarm")]
    Composite,
    /// The results of a query of logs.
    #[serde(rename = "LogAlarm")]
    Log,
}

impl AlarmType {
    /// In CloudWatch's words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metric => "MetricAlarm",
            Self::Composite => "CompositeAlarm",
            Self::Log => "LogAlarm",
        }
    }

    /// Whether a request that names these types is about it: "If you omit this parameter, only metric alarms are returned, even if composite alarms exist"
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>).
    #[must_use]
    pub fn is_among(self, types: &[&str]) -> bool {
        match types {
            [] => self == Self::Metric,
            _ => types.contains(&self.name()),
        }
    }
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm<Time> {
    /// What it looks at.
    pub looks_at: AlarmType,
    /// Its state.
    pub state: AlarmState,
    /// When the state was set last, to the same value or to another one: StateUpdatedTimestamp.
    pub updated: Time,
    /// When the state became another one: StateTransitionedTimestamp.
    pub transitioned: Time,
}

impl<Time: Clone> Alarm<Time> {
    /// A new alarm: "the alarm state is immediately set to INSUFFICIENT_DATA"
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>).
    #[must_use]
    pub fn new(looks_at: AlarmType, now: &Time) -> Self {
        Self {
            looks_at,
            state: AlarmState::InsufficientData,
            updated: now.clone(),
            transitioned: now.clone(),
        }
    }

    /// CloudWatch has looked, and found this state.
    pub fn set(&mut self, state: AlarmState, now: &Time) {
        if state != self.state {
            self.transitioned = now.clone();
        }
        self.state = state;
        self.updated = now.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_state_is_a_transition() {
        let mut alarm = Alarm::new(AlarmType::Metric, &1);
        assert_eq!(alarm.state, AlarmState::InsufficientData);
        alarm.set(AlarmState::Ok, &2);
        alarm.set(AlarmState::Ok, &3);
        assert_eq!((alarm.state, alarm.transitioned, alarm.updated), (AlarmState::Ok, 2, 3));
    }

    #[test]
    fn composite_alarms_have_to_be_asked_for() {
        assert!(AlarmType::Metric.is_among(&[]) && !AlarmType::Composite.is_among(&[]));
        assert!(AlarmType::Composite.is_among(&["CompositeAlarm"]) && !AlarmType::Metric.is_among(&["CompositeAlarm"]));
        assert!(AlarmType::Metric.is_among(&["CompositeAlarm", "MetricAlarm"]));
    }
}
