//! CodePipeline actions that wait for a run: their current job, and its result.
//!
//! An invoke action fails 20 minutes after its last job if that gets no result. A success result with a continuation token keeps the action in
//! progress: CodePipeline invokes the function again with another job, another id and that token. It refuses a result for the old id then. See
//! <https://docs.aws.amazon.com/codepipeline/latest/userguide/actions-invoke-lambda-function.html>.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{BuildId, JobName, PipelineJobId, RunId};
use crate::outcome::Outcome;
use crate::time::later;

/// How long a job may be open before a continuation keeps the action in progress: well within CodePipeline's 20 minutes, with time for one or two
/// failed sweeps.
pub const CONTINUE_AFTER: Duration = Duration::from_secs(6 * 60);
/// How long the next job of a continued action may take to arrive. CodePipeline sends it within a minute; Lambda's retries of an invocation take
/// longer. An action that does not return was stopped.
pub const GONE_AFTER: Duration = Duration::from_secs(15 * 60);

/// The action that waits for a run, in the run's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The job of the run whose build id and attempts are the action's output.
    pub about: JobName,
    /// The current job in CodePipeline.
    pub job: PipelineJobId,
    /// The previous jobs.
    #[serde(default)]
    pub earlier: Vec<PipelineJobId>,
    /// The state of the current job.
    pub state: ActionState,
}

/// The state of an action's current job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionState {
    /// It waits for a result.
    Open {
        /// Since when.
        since: Timestamp,
    },
    /// It got a continuation; the next job is expected.
    Continued {
        /// When.
        at: Timestamp,
    },
    /// It got the run's result, or no longer exists.
    Over,
}

impl Action {
    /// When a timer is due: to send a continuation, or to conclude that the action was stopped.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.state {
            ActionState::Open { since } => Some(later(since, CONTINUE_AFTER)),
            ActionState::Continued { at } => Some(later(at, GONE_AFTER)),
            ActionState::Over => None,
        }
    }
}

/// The result of a CodePipeline job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineAnswer {
    /// The run is in progress; CodePipeline invokes the function again with this token.
    Continue {
        /// The token: the run's id.
        run: RunId,
        /// The progress, for people.
        summary: String,
    },
    /// The run has succeeded.
    Success {
        /// The id of the action's build: output variable `BuildId`.
        build: BuildId,
        /// The outcome: output variable `Outcome`.
        outcome: Outcome,
        /// The number of attempts: output variable `Attempts`.
        attempts: usize,
        /// One line for people.
        summary: String,
    },
    /// The action failed.
    Failure {
        /// The type of the failure.
        kind: PipelineFailure,
        /// The cause, for the action's owner. Not empty.
        message: String,
        /// The id of the action's build, if there is one.
        build: Option<BuildId>,
    },
}

/// The type of an action's failure (`FailureType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineFailure {
    /// The job's: its commands failed, it took too long, or somebody cancelled it.
    JobFailed,
    /// The configuration's: the action, the pipeline file or the suite configuration is wrong, or does not allow it.
    Configuration,
    /// The infrastructure's: capacity, or a fault of a service.
    SystemUnavailable,
}

impl PipelineFailure {
    /// The failure type of an outcome.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Interrupted | Outcome::InfrastructureFailed => Self::SystemUnavailable,
            Outcome::Succeeded | Outcome::Skipped | Outcome::Superseded | Outcome::Cancelled | Outcome::TimedOut | Outcome::Failed => {
                Self::JobFailed
            }
        }
    }
}
