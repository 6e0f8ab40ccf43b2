//! The events of a run: what its builds, its branch, its CodePipeline action, people and the clock report.

use crate::ids::{JobName, PipelineJobId, RunId};
use crate::outcome::Outcome;

/// An event for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// A build has finished.
    BuildFinished {
        /// Its job.
        job: JobName,
        /// How it ended.
        outcome: Outcome,
    },
    /// Unfinished builds are cancelled or superseded.
    Cancel {
        /// Only this job and the jobs that need it; `None` for all.
        job: Option<JobName>,
        /// [`Outcome::Cancelled`] or [`Outcome::Superseded`].
        outcome: Outcome,
        /// The cause, for people.
        cause: String,
    },
    /// A newer run of its branch has these jobs and supersedes unfinished builds of them.
    Superseded {
        /// The newer run.
        by: RunId,
        /// Its jobs; `None` if they are no longer known.
        jobs: Option<Vec<JobName>>,
    },
    /// The CodePipeline action that waits for this run has a new job.
    ActionJob(PipelineJobId),
    /// A job of that action got a continuation.
    ActionContinued(PipelineJobId),
    /// A job of that action got the run's result.
    ActionAnswered(PipelineJobId),
    /// Time has passed.
    Tick,
}
