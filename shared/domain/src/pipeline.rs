//! Actions of CodePipeline that wait for a run: which job of theirs is the current one, and what it is answered.
//!
//! An invoke action ends in failure 20 minutes after its last job went without an answer. A success with a continuation token keeps it alive: the same
//! action comes back as another job, with another id and that token. An answer to the old id is refused then.
//! See <https://docs.aws.amazon.com/codepipeline/latest/userguide/actions-invoke-lambda-function.html>.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{BuildId, JobName, PipelineJobId, RunId};
use crate::outbox::later;
use crate::outcome::Outcome;

/// How long a job may be open before the action is kept alive by a continuation: well inside CodePipeline's 20 minutes, with room for a sweep or two
/// that fail.
pub const CONTINUE_AFTER: Duration = Duration::from_secs(6 * 60);
/// How long the next job of a continued action may take to come. CodePipeline sends it within a minute; Lambda's own retries of an invocation take
/// some more. An action that does not come back was stopped.
pub const GONE_AFTER: Duration = Duration::from_secs(15 * 60);

/// The action that waits for a run, as the run remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The job of the run that the action is about: its build's id and attempts are the action's output.
    pub about: JobName,
    /// The current job of CodePipeline.
    pub job: PipelineJobId,
    /// Those before it.
    #[serde(default)]
    pub earlier: Vec<PipelineJobId>,
    /// How far the current job is.
    pub state: ActionState,
}

/// How far the current job of an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionState {
    /// It waits for an answer.
    Open {
        /// Since when.
        since: Timestamp,
    },
    /// It was answered with a continuation; the next job is to come.
    Continued {
        /// When.
        at: Timestamp,
    },
    /// It was told how the run ended, or is not there any more.
    Over,
}

impl Action {
    /// When something is to be done for it although nothing happens: a continuation, or the conclusion that it is gone.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.state {
            ActionState::Open { since } => Some(later(since, CONTINUE_AFTER)),
            ActionState::Continued { at } => Some(later(at, GONE_AFTER)),
            ActionState::Over => None,
        }
    }
}

/// What a job of CodePipeline is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineAnswer {
    /// The run goes on; the action is to come back with this token.
    Continue {
        /// The token: the run.
        run: RunId,
        /// What is under way, for people.
        summary: String,
    },
    /// The run has succeeded.
    Success {
        /// The build that the action is about: output variable `BuildId`.
        build: BuildId,
        /// How it ended: output variable `Outcome`.
        outcome: Outcome,
        /// How many attempts it took: output variable `Attempts`.
        attempts: usize,
        /// One line for people.
        summary: String,
    },
    /// The action fails.
    Failure {
        /// Whose fault it is.
        kind: PipelineFailure,
        /// What went wrong, for the action's owner. Not empty.
        message: String,
        /// The build that the action is about, if there is one.
        build: Option<BuildId>,
    },
}

/// Whose fault it is that an action fails (`FailureType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineFailure {
    /// The job's own: its commands failed, it took too long, somebody cancelled it.
    JobFailed,
    /// The action's, the pipeline file's or the suite configuration's author: something is wrong in them, or not allowed by them.
    Configuration,
    /// Nobody's who reads this: capacity, the service.
    SystemUnavailable,
}

impl PipelineFailure {
    /// The failure that an outcome is.
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
