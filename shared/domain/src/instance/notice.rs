//! What EC2 says about an instance, and what runs on it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The kinds of EC2 notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ec2Notice {
    /// EC2 will interrupt it.
    Interruption(Action),
    /// It has a higher risk of interruption than others.
    Rebalance,
}

/// A notice of EC2, as its event has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The notice.
    pub what: Ec2Notice,
    /// Its time.
    pub at: Timestamp,
    /// The account that sent it (`account` of the event's envelope), if the event has it.
    pub account: Option<String>,
}

/// What EC2 does to an instance that it interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// In two minutes.
    Terminate,
    /// In two minutes.
    Stop,
    /// At once.
    Hibernate,
}

impl Action {
    /// The action in the past tense.
    pub(crate) fn past(self) -> &'static str {
        match self {
            Self::Terminate => "terminated",
            Self::Stop => "stopped",
            Self::Hibernate => "hibernated",
        }
    }
}

/// The first notice of an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptionNotice {
    /// What EC2 will do.
    pub action: Action,
    /// The time of EC2's notice.
    pub at: Timestamp,
}

/// An instance in ECS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The cluster that it belongs to, by name.
    pub cluster: String,
    /// The ARN of the container instance.
    pub container_instance: String,
}

impl Host {
    /// The account of the instance, from its ARN.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.container_instance.split(':').nth(4)
    }
}

/// A task on an instance that Bellhop did not start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ForeignTask {
    /// Its ARN.
    pub arn: String,
    /// Its owner in ECS: its group (`service:web`, `family:jenkins-agent`), or its task definition.
    pub belongs_to: String,
    /// Its `startedBy`, if it has one.
    pub started_by: Option<String>,
}
