//! The record of a run, and the questions that it answers by itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::effect::RunEffect;
use super::order::Order;
use super::pipeline::Action;
use crate::ids::{CommitId, JobName, Reference, RepositoryName, RunId};
use crate::outbox::Outbox;
use crate::outcome::Outcome;
use crate::results::found::Tests;
use crate::spec::Successes;

/// A run with all its data: the record in the ledger. Its builds have separate records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The run.
    pub id: RunId,
    /// The trigger's id.
    pub trigger: String,
    /// The repository.
    pub repository: RepositoryName,
    /// The branch or tag.
    pub reference: Reference,
    /// The commit.
    pub commit: CommitId,
    /// Who pushed, if known.
    pub by: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// Its jobs; a job comes after the jobs that it needs.
    pub jobs: Vec<RunJob>,
    /// The state.
    pub state: RunState,
    /// Whether a success is reported.
    pub successes: Successes,
    /// The origin of its jobs.
    #[serde(default, skip_serializing_if = "Origin::is_pipeline_file")]
    pub origin: Origin,
    /// The run that it repeats, in full or in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<RetryOf>,
    /// The other jobs of its pipeline file.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "others")]
    pub other_jobs: Vec<JobName>,
    /// Whether it was requested for a commit that is not the tip of its branch: its result then says nothing about the branch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", rename = "aside")]
    pub off_tip: bool,
    /// The CodePipeline action that waits for it, if there is one.
    #[serde(default)]
    pub action: Option<Action>,
    /// Pending effects.
    pub outbox: Outbox<RunEffect>,
}

/// A run that another one repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryOf {
    /// The run.
    pub run: RunId,
    /// When the first run in its chain of repetitions was created.
    pub since: Timestamp,
}

/// The origin of a run's jobs; a repeated run plans them from there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The pipeline file at the commit.
    #[default]
    PipelineFile,
    /// The jobs of the suite configuration.
    Suite,
    /// A CodePipeline action with a script and an agent.
    Action,
}

/// A job of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJob {
    /// Its name.
    pub name: JobName,
    /// The jobs that must succeed before it starts.
    pub needs: Vec<JobName>,
    /// Its state in the run's record.
    pub state: JobState,
    /// Whether its build was cancelled or superseded.
    #[serde(default)]
    pub cancelled: bool,
}

/// The state of a job in its run's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It waits for jobs that it needs.
    Blocked,
    /// It may run; its build reports its end.
    Released,
    /// It has finished.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// The cause, for people.
        cause: Option<String>,
        /// The counts of its test reports.
        #[serde(default)]
        tests: Option<Tests>,
    },
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// A job has not finished.
    Open,
    /// Every job has finished.
    Finished {
        /// The worst of its jobs' outcomes; never changes.
        outcome: Outcome,
        /// When that was decided.
        at: Timestamp,
    },
    /// No job was started, because a user's file is invalid.
    Rejected {
        /// The error, in one line: file, line, field, and what was expected.
        message: String,
        /// When that was decided.
        at: Timestamp,
    },
}

impl Origin {
    fn is_pipeline_file(&self) -> bool {
        *self == Self::PipelineFile
    }
}

impl Run {
    /// Its status, in one word for records and people: `open`, `rejected`, or the outcome.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match &self.state {
            RunState::Open => "open",
            RunState::Finished { outcome, .. } => outcome.as_str(),
            RunState::Rejected { .. } => "rejected",
        }
    }

    /// When its outcome was decided.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        match &self.state {
            RunState::Open => None,
            RunState::Finished { at, .. } | RunState::Rejected { at, .. } => Some(*at),
        }
    }

    /// Its place in the order of its branch's or tag's runs.
    #[must_use]
    pub fn order(&self) -> Order {
        Order {
            since: self.retry_of.as_ref().map_or(self.created, |retried| retried.since),
            created: self.created,
        }
    }

    /// The data of this run for a run that repeats it.
    #[must_use]
    pub fn as_retried(&self) -> RetryOf {
        RetryOf {
            run: self.id.clone(),
            since: self.order().since,
        }
    }

    /// Its sort key in the list of its repository's runs: a later run has a greater one.
    #[must_use]
    pub fn place_in_list(&self) -> String {
        format!("{}#{}", self.created.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"), self.id)
    }
}
