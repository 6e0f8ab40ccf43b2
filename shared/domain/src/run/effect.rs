//! The effects of a run, which the engine performs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::branch::Pushed;
use crate::ids::{JobName, PipelineJobId};
use crate::outbox::{ANNOUNCE_FOR, Abandoned, Effect};
use crate::outcome::Outcome;

/// How long Bellhop tries to send a result to an action. CodePipeline gives up a job of a Lambda function after 20 minutes without a result
/// (<https://docs.aws.amazon.com/codepipeline/latest/userguide/limits.html>).
const ANSWER_FOR: Duration = Duration::from_secs(20 * 60);

/// An effect of a run. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEffect {
    /// Release a blocked build.
    Release {
        /// Its job.
        job: JobName,
    },
    /// Skip a blocked build that can never start.
    Skip {
        /// Its job.
        job: JobName,
        /// The job it needs that did not succeed.
        because: JobName,
    },
    /// End a build that was cancelled or superseded.
    Cancel {
        /// Its job.
        job: JobName,
        /// Its outcome.
        outcome: Outcome,
        /// The cause, for people.
        cause: String,
    },
    /// Become the newest run of the branch, if its pushes supersede each other.
    #[serde(rename = "enter")]
    EnterBranch(Pushed),
    /// Keep the CodePipeline action that waits for this run in progress.
    Continue {
        /// Its current job.
        job: PipelineJobId,
    },
    /// Send the run's result to that action.
    #[serde(rename = "answer")]
    ReportToPipeline {
        /// Its current job.
        job: PipelineJobId,
    },
    /// Publish the message that the run has finished.
    Announce,
    /// Write the run's report to the bucket.
    Report,
    /// Report an abandoned effect.
    #[serde(rename = "tell-abandoned")]
    AnnounceAbandoned {
        /// Identifies it.
        number: u64,
        /// The effect.
        what: Abandoned,
    },
}

impl Effect for RunEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        match self {
            Self::Release { .. } | Self::Skip { .. } | Self::Cancel { .. } | Self::EnterBranch(_) => None,
            Self::Continue { .. } | Self::ReportToPipeline { .. } => Some(ANSWER_FOR),
            Self::Announce | Self::Report | Self::AnnounceAbandoned { .. } => Some(ANNOUNCE_FOR),
        }
    }
}
