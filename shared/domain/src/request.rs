//! What people, schedules and pipelines ask for, as the parsers of `bellhop-events` hand it over.

use serde::{Deserialize, Serialize};

use crate::ids::{AgentName, BuildId, CommitId, JobName, PipelineJobId, RepositoryName, RunId};

/// A request to the function `control`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Start a run.
    Start(Start),
    /// Cancel what is unfinished of a run.
    CancelRun(RunId),
    /// Cancel one build, and skip what needs it.
    CancelBuild(BuildId),
    /// Start builds again that are over, and those that were skipped because of them, as a new run.
    Retry(Retry),
    /// Tell the state of a run.
    Show(RunId),
    /// Tell the newest runs of a repository.
    List {
        /// The repository.
        repository: RepositoryName,
        /// The `next` of the page before.
        before: Option<String>,
    },
}

/// Builds that are asked for once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Which.
    pub what: RetryWhat,
    /// The asker's own name for the request, as for a [`Start`].
    pub id: Option<String>,
}

/// What is repeated.
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
    /// The run that it is about.
    #[must_use]
    pub fn run(&self) -> &RunId {
        match self {
            Self::Build(build) => &build.run,
            Self::Failed(run) | Self::All(run) => run,
        }
    }
}

/// A run that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What is to run.
    pub what: StartWhat,
    /// The asker's own name for the request: however often a request of this name comes, it starts one run.
    pub id: Option<String>,
}

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartWhat {
    /// Jobs of a repository's pipeline file.
    Pipeline {
        /// The repository.
        repository: RepositoryName,
        /// Where in it.
        at: At,
        /// One job, and those it needs; `None` for all that a push of the branch would start.
        job: Option<JobName>,
    },
    /// A job of the suite's own.
    Suite(JobName),
}

/// A place in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The tip of the default branch.
    Default,
    /// The tip of this branch.
    Branch(String),
    /// This commit, as a part of the default branch.
    Commit(CommitId),
}

/// An invoke action of CodePipeline, which waits for an answer under the job's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineJob {
    /// The job.
    pub id: PipelineJobId,
    /// What it is about.
    pub asks: PipelineAsks,
}

/// What an invoke action of CodePipeline asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineAsks {
    /// A run.
    Start(PipelineStart),
    /// To hear again of a run that an earlier job of the same action has started: the continuation token is the run's id.
    Continue(RunId),
    /// Nothing that can be understood. The text says what was expected, for the action's owner.
    Wrong(String),
}

/// The run that an invoke action of CodePipeline asks for, by its `UserParameters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStart {
    /// The repository.
    pub repository: RepositoryName,
    /// The branch; the default branch where it is left open.
    pub branch: Option<String>,
    /// The commit; the tip of the branch where it is left open.
    pub commit: Option<CommitId>,
    /// What is to run.
    pub work: PipelineWork,
}

/// What an invoke action of CodePipeline runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PipelineWork {
    /// A job of the repository's pipeline file, and those it needs.
    Job(JobName),
    /// A script of the action's own.
    Script {
        /// The shell script.
        run: String,
        /// The agent template.
        agent: AgentName,
    },
}
