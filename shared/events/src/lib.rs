//! Parses AWS's events into the events that Bellhop handles.
//!
//! [`parse`] accepts every input of a function and never fails: records that are foreign or invalid are returned as [`Skipped`] with a reason, next
//! to all parsed events. So one invalid record of a batch does not affect the others.
//!
//! There is one file per source of events, in `sources`. SNS and SQS are not sources but envelopes, which [`parse`] opens first. [`task`] evaluates ECS tasks,
//! [`codebuild`] builds of CodeBuild, and [`step_functions`] executions. They work without JSON, so events and API responses lead to the same result.
//! Which record an event is for is decided in `bellhop-runtime`. What an error of AWS means stands in one table for all services, [`aws_errors`].
//!
//! The reasons are suitable for logs: they contain no values of environment variables, no credentials and no foreign message texts.

pub mod aws_errors;
mod decode;
mod fields;
mod sources;
mod wake;
mod wrapping;

use std::fmt;

use bellhop_domain::alarm::AlarmChange;
use bellhop_domain::backup::{BackupRequest, JobObservation};
use bellhop_domain::executor::Placement;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{AgentId, AttemptId, InstanceId};
use bellhop_domain::instance::Ec2Notice;
use bellhop_domain::record::Key;
use bellhop_domain::request::{PipelineJob, Submitted};
use bellhop_domain::run::trigger::Push;
use jiff::Timestamp;
use serde_json::Value;

pub use sources::*;
pub use wake::{timers, wake_up};

/// An event that Bellhop handles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A branch or tag was created or moved.
    Push(Push),
    /// An attempt's agent changed.
    Agent(AgentChange),
    /// An agent changed, and the event does not identify its attempt, or the cause of its failure: the service must be asked.
    Unnamed {
        /// The name of its executor.
        executor: &'static str,
        /// The agent.
        agent: AgentId,
        /// Where it runs, as the event says it.
        placement: Placement,
    },
    /// EC2 will interrupt an instance, or may do so.
    Instance(InstanceNotice),
    /// An action of CodePipeline waits for a result.
    Pipeline(PipelineJob),
    /// An alarm changed its state.
    Alarm(Box<AlarmChange>),
    /// A request, or the error of an invalid one.
    Request(Result<Submitted, String>),
    /// A job of AWS Backup changed.
    BackupJob(JobObservation),
    /// A schedule's time has come: the time, if the event has it.
    Schedule(Option<Timestamp>),
    /// A request for a backup or a check, or the error of an invalid one.
    BackupRequest(Result<BackupRequest, String>),
    /// Another function asks for these records to be processed.
    WakeUp(Vec<Key>),
}

/// How events of a type from EventBridge are parsed.
pub(crate) struct Parser {
    /// `source` of the event.
    source: &'static str,
    /// `detail-type` of the event.
    kind: &'static str,
    parse: fn(&Value) -> Result<Event, Reason>,
}

impl Parser {
    pub(crate) const fn of(source: &'static str, kind: &'static str, parse: fn(&Value) -> Result<Event, Reason>) -> Self {
        Self { source, kind, parse }
    }
}

/// A change of an agent, from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentChange {
    /// The attempt whose name the agent carries.
    pub attempt: AttemptId,
    /// The agent at the time of the event.
    pub observation: Observation,
    /// Where it runs, as the event says it.
    pub placement: Placement,
}

/// EC2's notice about an instance, with or without agents on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceNotice {
    /// The instance.
    pub instance: InstanceId,
    /// The notice.
    pub what: Ec2Notice,
    /// Its time, if the event has it.
    pub at: Option<Timestamp>,
    /// The account that sent it, if the event has it.
    pub account: Option<String>,
}

/// The content of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Events to handle, in the order of the input.
    pub events: Vec<Event>,
    /// Records to acknowledge without handling, in the order of the input.
    pub skipped: Vec<Skipped>,
}

/// A record that is not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its source and type, or its form, in a few words.
    pub what: String,
    /// Why it is not handled.
    pub why: Reason,
}

/// Why a record is not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is valid, but nothing for Bellhop. This is common: rules also deliver foreign events.
    Foreign(String),
    /// Bellhop handles its kind, but a field is missing or invalid. The text names the field and the expected value.
    Malformed(String),
    /// It exceeds a limit that no message of AWS reaches, and was not parsed.
    Excessive(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(text) => write!(f, "foreign: {text}"),
            Self::Malformed(text) => write!(f, "malformed: {text}"),
            Self::Excessive(text) => write!(f, "excessive: {text}"),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl Parsed {
    fn skip(&mut self, what: impl Into<String>, why: Reason) {
        self.skipped.push(Skipped { what: what.into(), why });
    }

    fn add(&mut self, what: impl Into<String>, result: Result<Event, Reason>) {
        match result {
            Ok(event) => self.events.push(event),
            Err(why) => self.skip(what, why),
        }
    }
}

/// Parses an input of any form: an EventBridge event, a CodeCommit trigger, a CodePipeline job, an alarm's action, a request, an SNS or SQS message
/// with one of these, or anything else.
#[must_use]
pub fn parse(input: &Value) -> Parsed {
    let mut parsed = Parsed::default();
    wrapping::open(input, 0, &mut parsed);
    parsed
}
