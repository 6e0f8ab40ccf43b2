//! Requests of people, schedules and pipelines, as `bellhop-events` parses them.

use serde::{Deserialize, Serialize};

use crate::ids::{AgentName, Arn, BuildId, CommitId, JobName, PipelineJobId, RepositoryName, RunId};
use crate::run::RunClass;

/// A request to the function `control`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Start a run.
    Start(Start),
    /// Cancel the unfinished builds of a run.
    CancelRun(RunId),
    /// Cancel one build, and skip what needs it.
    CancelBuild(BuildId),
    /// Run finished builds again, and those that were skipped because of them, as a new run.
    Retry(Retry),
    /// Return the state of a run.
    Show(RunId),
    /// Return the newest runs.
    List {
        /// Of this repository; `None` for all.
        repository: Option<RepositoryName>,
        /// Only those of this class.
        class: Option<RunClass>,
        /// The `next` of the previous page.
        before: Option<String>,
    },
}

impl Request {
    /// Its key in the input.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::CancelRun(_) | Self::CancelBuild(_) => "cancel",
            Self::Retry(_) => "retry",
            Self::Show(_) => "show",
            Self::List { .. } => "list",
        }
    }
}

/// A request, and what it says about its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The request.
    pub request: Request,
    /// The schedule that it says it comes from. Everybody who may send a request may say so.
    pub schedule: Option<Arn>,
}

impl From<Request> for Submitted {
    fn from(request: Request) -> Self {
        Self { request, schedule: None }
    }
}

/// A request for a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The builds to retry.
    pub what: RetryWhat,
    /// The requester's id for the request, as for a [`Start`].
    pub id: Option<String>,
}

/// The builds to retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryWhat {
    /// One build.
    Build(BuildId),
    /// The jobs of a run that did not succeed.
    Failed(RunId),
    /// All jobs of a run.
    All(RunId),
}

impl RetryWhat {
    /// The run in question.
    #[must_use]
    pub fn run(&self) -> &RunId {
        match self {
            Self::Build(build) => &build.run,
            Self::Failed(run) | Self::All(run) => run,
        }
    }
}

/// A request for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The jobs.
    pub what: StartWhat,
    /// The requester's id for the request: repeated requests with this id start one run.
    pub id: Option<String>,
}

/// The jobs of a requested run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartWhat {
    /// Jobs of a repository's pipeline file.
    Pipeline {
        /// The repository.
        repository: RepositoryName,
        /// The commit.
        at: At,
        /// One job, and the jobs that it needs; `None` for all jobs that a push to the branch would start.
        job: Option<JobName>,
    },
    /// A job of the suite configuration.
    Suite(JobName),
}

/// A commit in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The tip of the default branch.
    Default,
    /// The tip of this branch.
    Branch(String),
    /// This commit, as if it were on the default branch.
    Commit(CommitId),
}

/// An invoke action of CodePipeline, which waits for a result under the job's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineJob {
    /// The job.
    pub id: PipelineJobId,
    /// The action's request.
    pub asks: PipelineAsks,
}

/// The request of an invoke action of CodePipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineAsks {
    /// Start a run.
    Start(PipelineStart),
    /// Continue with a run that an earlier job of the same action started: the continuation token is the run's id.
    Continue(RunId),
    /// An invalid request. The text says what was expected, for the action's owner.
    Wrong(String),
}

/// The run that an invoke action of CodePipeline asks for, by its `UserParameters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStart {
    /// The repository.
    pub repository: RepositoryName,
    /// The branch; without it, the default branch.
    pub branch: Option<String>,
    /// The commit; without it, the tip of the branch.
    pub commit: Option<CommitId>,
    /// The work.
    pub work: PipelineWork,
}

/// The work of a CodePipeline invoke action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PipelineWork {
    /// A job of the repository's pipeline file, and the jobs that it needs.
    Job(JobName),
    /// A script in the action's parameters.
    Script {
        /// The shell script.
        run: String,
        /// The agent template.
        agent: AgentName,
    },
}
