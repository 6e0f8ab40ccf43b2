//! The record of a run, and the questions that it answers by itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::effect::RunEffect;
use super::order::Order;
use super::pipeline::Action;
use super::plan::{Plan, RunJob, States};
use crate::caller::Caller;
use crate::ids::{CommitId, JobName, Reference, RepositoryName, RunId};
use crate::outbox::Outbox;
use crate::outcome::Outcome;
use crate::spec::{Bearing, Origin, Successes};

/// A run with all its data: the record in the ledger. Its builds have separate records, and so has a long plan.
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
    /// Who started it; `None` for a push, and in a record of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Caller>,
    /// When it was created.
    pub created: Timestamp,
    /// Its jobs, unless they are kept apart from this record.
    #[serde(default, skip_serializing_if = "Plan::is_apart")]
    pub plan: Plan,
    /// The states of its jobs.
    #[serde(default)]
    pub states: States,
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
    /// Whether it was requested for a commit that is not the tip of its branch: its result then says nothing about the branch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", rename = "aside")]
    pub off_tip: bool,
    /// The CodePipeline action that waits for it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

impl Run {
    /// Its jobs; a job comes after the jobs that it needs.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = RunJob<'_>> + ExactSizeIterator + Clone {
        let states = self.states.all().iter().copied();
        self.plan.jobs().iter().zip(states).map(|(planned, state)| RunJob {
            name: &planned.name,
            needs: &planned.needs,
            state,
        })
    }

    /// A job; `None` if the run has no such job.
    #[must_use]
    pub fn job(&self, name: &JobName) -> Option<RunJob<'_>> {
        self.jobs().find(|job| job.name == name)
    }

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

    /// What its results say about its branch or tag.
    #[must_use]
    pub fn bearing(&self) -> Bearing {
        Bearing {
            origin: self.origin,
            since: self.retry_of.as_ref().map(|retried| retried.since),
            off_tip: self.off_tip,
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
}
