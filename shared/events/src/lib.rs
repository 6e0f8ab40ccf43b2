//! What AWS sends, as the events that Bellhop acts on.
//!
//! [`parse`] takes whatever a function was invoked with and never fails: what is not Bellhop's, or is broken, comes back as [`Skipped`] with its
//! reason, next to everything that was understood. One broken record of a batch therefore costs nothing but itself.
//!
//! There is one file per source of events. SNS and SQS are no sources but wrappings, which [`parse`] takes off first. [`task`] is the one judgement
//! on an ECS task, [`codebuild`] on a build of CodeBuild; neither knows JSON, so that what a service's API describes is judged as what is seen in an
//! event.
//!
//! The reasons are written for logs, and hold no value of an environment variable, no credentials and no foreign message text.

mod alarm;
pub mod backup;
pub mod codebuild;
mod codecommit;
mod codepipeline;
pub mod control;
mod decode;
mod ec2;
mod ecs;
mod fields;
pub mod refusal;
pub mod task;
mod wrapping;

use std::fmt;

use bellhop_domain::alarm::AlarmChange;
use bellhop_domain::backup::{BackupRequest, JobSeen};
use bellhop_domain::ids::{AgentId, AttemptId, InstanceId};
use bellhop_domain::instance::What;
use bellhop_domain::observation::Observation;
use bellhop_domain::request::{PipelineJob, Request};
use bellhop_domain::trigger::Push;
use jiff::Timestamp;
use serde_json::Value;

/// Something that happened and that Bellhop acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A branch or tag was created or moved.
    Push(Push),
    /// An attempt's agent changed.
    Agent(AgentChange),
    /// A build of CodeBuild changed, and the event does not tell whose it is, or not why it failed: CodeBuild has to be asked.
    Unnamed(AgentId),
    /// EC2 tells that an instance is taken away, or may be.
    Instance(InstanceNotice),
    /// An action of CodePipeline waits for an answer.
    Pipeline(PipelineJob),
    /// An alarm changed its state.
    Alarm(Box<AlarmChange>),
    /// Somebody asks for something; or tries to, and should be told what was wrong.
    Request(Result<Request, String>),
    /// A job of AWS Backup changed.
    BackupJob(JobSeen),
    /// A schedule's time has come: which, where it tells.
    Schedule(Option<Timestamp>),
    /// Somebody asks for a backup, or whether all are well; or tries to.
    BackupRequest(Result<BackupRequest, String>),
}

/// An agent of ours as an event shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentChange {
    /// The attempt that the agent was launched for.
    pub attempt: AttemptId,
    /// The agent at the time of the event.
    pub observation: Observation,
}

/// What EC2 tells about an instance, whoever's it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceNotice {
    /// The instance.
    pub instance: InstanceId,
    /// What is told.
    pub what: What,
    /// When, where that is told.
    pub at: Option<Timestamp>,
}

/// What one input held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What is to be acted on, in the order of the input.
    pub events: Vec<Event>,
    /// What is to be acknowledged without acting, in the order of the input.
    pub skipped: Vec<Skipped>,
}

/// A record that leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What it was, in a few words: its source and type, or its shape.
    pub what: String,
    /// Why it leads to nothing.
    pub why: Reason,
}

/// Why a record leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is well-formed, and there is nothing in it for Bellhop to do. Common and harmless: rules let through what concerns others.
    Foreign(String),
    /// It is of a kind that Bellhop acts on, but a field is missing or does not fit. Says which, and what was expected.
    Malformed(String),
    /// It goes beyond a bound that no message of AWS reaches, and was not looked into.
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

/// Reads an input of any shape: an EventBridge event, a CodeCommit trigger, a job of CodePipeline, an alarm's action, a request, an SNS or SQS message holding one of
/// these, or anything else.
#[must_use]
pub fn parse(input: &Value) -> Parsed {
    let mut parsed = Parsed::default();
    wrapping::open(input, 0, &mut parsed);
    parsed
}
