//! What is seen of an agent, in an event or by asking for it. Both come as the same type, so that a lost event and a described task are decided
//! alike.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Capacity;
use crate::ids::AgentId;

/// An agent as it was at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The agent.
    pub agent: AgentId,
    /// Grows with each change of the agent; what is lower than one already seen is stale. Documented forms of an event exist without it.
    pub version: Option<u64>,
    /// The capacity it runs on, where that is told.
    pub capacity: Option<Capacity>,
    /// What it does.
    pub status: AgentStatus,
}

/// What an agent does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentStatus {
    /// It was accepted and is not up yet.
    Starting,
    /// It is up.
    Running {
        /// Since when, where that is told.
        since: Option<Timestamp>,
    },
    /// It runs, and its capacity will be taken back within about two minutes.
    Interrupted,
    /// It was told to stop, or its container ended, and it is not known yet how.
    Stopping,
    /// Its containers have ended.
    Stopped(Stop),
}

/// How an agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why the service stopped it.
    pub cause: StopCause,
    /// The service's own words for it.
    pub reason: Option<String>,
    /// Every container of the agent.
    pub containers: Vec<ContainerEnd>,
    /// What is known of its script. An ECS agent leaves it in the bucket, and the engine fills it in; CodeBuild says it itself.
    pub report: Option<Report>,
    /// When, where that is told.
    pub at: Option<Timestamp>,
}

/// Why the service stopped an agent (the `stopCode` of ECS, the status and failed phase of CodeBuild).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// An essential container ended by itself, with whatever exit code.
    Exited,
    /// It never came up.
    FailedToStart,
    /// It never came up because there was no capacity.
    NoCapacity,
    /// It never came up for a reason that passes: a limit of the account, a rate limit, the service's own trouble.
    NotNow,
    /// Its capacity was taken back.
    Interrupted,
    /// Somebody asked for it: this suite, or a person.
    Requested,
    /// It ran longer than the service lets it.
    TimedOut,
    /// The job as it is defined cannot succeed: a broken buildspec, artifacts that are not there. The reason says what.
    Definition,
    /// The service lost it, found it unhealthy, or does not say.
    Other,
}

/// How one container of an agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEnd {
    /// Its name in the task definition.
    pub name: String,
    /// Missing for a container that never ran, and sometimes for one that ran out of memory.
    pub exit_code: Option<i32>,
    /// The service's own words, such as `OutOfMemoryError: Container killed due to memory usage`.
    pub reason: Option<String>,
}

/// What the agent's entry point leaves in the bucket when its script has ended (`BELLHOP_RESULT_URI`). An exit code alone cannot tell a script that
/// finished inside the warning window from one that gave up on SIGTERM with exit code 0; this can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// How far the agent came.
    pub phase: ReportPhase,
    /// The script's exit code (128 + n for signal n), or the checkout's.
    pub exit_code: i32,
    /// SIGTERM had been passed on to the script before it ended: its end proves nothing.
    #[serde(default)]
    pub signalled: bool,
    /// The command that failed, where the entry point knows it.
    #[serde(default)]
    pub command: Option<String>,
    /// The line of the script on which it stands.
    #[serde(default)]
    pub line: Option<u32>,
    /// More for people: Git's last words when the checkout failed.
    #[serde(default)]
    pub message: Option<String>,
}

/// How far an agent came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportPhase {
    /// The commit could not be checked out; the script never ran.
    Checkout,
    /// The commit is not in the repository any more; the script never ran.
    CommitGone,
    /// The script ran.
    Script,
}
