//! Observations of an agent, from an event or a poll. Both have the same type, so both lead to the same decisions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Capacity;
use crate::ids::AgentId;

/// An agent's state at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The agent.
    pub agent: AgentId,
    /// Grows with each change of the agent; a lower version than one already seen is stale. Some documented events have none.
    pub version: Option<u64>,
    /// The capacity that it runs on, if known.
    pub capacity: Option<Capacity>,
    /// Its status.
    pub status: AgentStatus,
}

impl Observation {
    /// Whether the agent has not stopped.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.status, AgentStatus::Stopped(_))
    }
}

/// The status of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentStatus {
    /// It was accepted and is not running yet.
    Starting,
    /// It is running.
    Running {
        /// Since when, if known.
        since: Option<Timestamp>,
    },
    /// It is running, and AWS reclaims its capacity within about two minutes.
    Interrupted,
    /// It was asked to stop, or its container ended, and the result is not known yet.
    Stopping,
    /// Its containers have ended.
    Stopped(Stop),
}

/// The end of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why the service stopped it.
    pub cause: StopCause,
    /// The service's message.
    pub reason: Option<String>,
    /// Every container of the agent.
    pub containers: Vec<ContainerEnd>,
    /// The report about its script. An ECS agent uploads it to the bucket, and the engine adds it; CodeBuild returns it itself.
    pub report: Option<Report>,
    /// When it ended, if known.
    pub at: Option<Timestamp>,
}

/// Why the service stopped an agent (the `stopCode` of ECS, the status and failed phase of CodeBuild).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// An essential container ended by itself, with any exit code.
    Exited,
    /// It never started.
    FailedToStart,
    /// It never started because there was no capacity.
    NoCapacity,
    /// It never started for a temporary reason: a limit of the account, throttling, or a fault of the service.
    NotNow,
    /// AWS reclaimed its capacity.
    Interrupted,
    /// Bellhop, or a person, stopped it.
    Requested,
    /// It ran longer than the service allows.
    TimedOut,
    /// The job's definition cannot succeed: an invalid buildspec, missing artifacts. The reason has details.
    Definition,
    /// The service lost it, considers it unhealthy, or gives no reason.
    Other,
}

/// The end of one container of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEnd {
    /// Its name in the task definition.
    pub name: String,
    /// Missing for a container that never ran, and for some that ran out of memory.
    pub exit_code: Option<i32>,
    /// The service's message, such as `OutOfMemoryError: Container killed due to memory usage`.
    pub reason: Option<String>,
}

/// The report that the agent uploads when its script has ended (`BELLHOP_RESULT_URI`). An exit code alone cannot distinguish a script
/// that finished within the warning time from one that ended with exit code 0 after SIGTERM; the report can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The phase that the agent reached.
    pub phase: ReportPhase,
    /// The script's exit code (128 + n for signal n), or the checkout's.
    pub exit_code: i32,
    /// SIGTERM was forwarded to the script before it ended, so its end proves nothing.
    #[serde(default)]
    pub signalled: bool,
    /// The command that failed, if the agent knows it.
    #[serde(default)]
    pub command: Option<String>,
    /// Its line in the script.
    #[serde(default)]
    pub line: Option<u32>,
    /// More details for people: Git's last messages if the checkout failed, or which secret or artifact could not be fetched, and why.
    #[serde(default)]
    pub message: Option<String>,
}

/// The phase that an agent reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportPhase {
    /// The checkout failed; the script never ran.
    Checkout,
    /// The commit is no longer in the repository; the script never ran.
    CommitGone,
    /// The job's secrets could not be fetched now; the script never ran.
    Secrets,
    /// A secret of the job is missing, denied, or no value for a variable; the script never ran.
    SecretRefused,
    /// The artifacts of other jobs could not be fetched now; the script never ran.
    Fetch,
    /// An artifact to fetch is gone or another file than it was, or has no place in the checkout; the script never ran.
    FetchRefused,
    /// The script ran.
    Script,
    /// A phase of a newer agent, about which this version knows nothing.
    #[serde(other)]
    Unknown,
}
