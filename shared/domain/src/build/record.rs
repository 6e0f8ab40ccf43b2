//! The record of a build, and the questions that it answers by itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Stray};
use super::effect::BuildEffect;
use super::state::{BuildState, Phase, Slot};
use crate::ids::AttemptId;
use crate::outbox::Outbox;
use crate::outcome::Outcome;
use crate::results::found::Results;
use crate::spec::{Bearing, BuildSpec};

/// A build with all its data: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The frozen definition of the build.
    pub spec: BuildSpec,
    /// The state.
    pub state: BuildState,
    /// Its attempts; the last one is the current one.
    pub attempts: Vec<Attempt>,
    /// Agents with this build's name that are not, or no longer, an attempt's agent.
    pub strays: Vec<Stray>,
    /// Retries used under each rule of the retry policy, in its order.
    pub retries: Vec<u32>,
    /// Its slot in the pool of its agent template, if the template has a limit.
    #[serde(default, rename = "place")]
    pub slot: Slot,
    /// How often it has released a slot to acquire another one later.
    #[serde(default)]
    pub turn: u32,
    /// Since when the build has been waiting for the slot of this turn.
    #[serde(default, rename = "wanted", skip_serializing_if = "Option::is_none")]
    pub slot_requested: Option<Timestamp>,
    /// Its lock, if its job has one.
    #[serde(default, skip_serializing_if = "Slot::is_none")]
    pub lock: Slot,
    /// Since when the build has been waiting for its lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_requested: Option<Timestamp>,
    /// The results of the deciding attempt in the bucket, once they were collected.
    #[serde(default, rename = "found")]
    pub results: Option<Results>,
    /// Since when polls of its agents have failed.
    #[serde(default, rename = "unseen")]
    pub polls_failing_since: Option<Timestamp>,
    /// Whether that was reported.
    #[serde(default, rename = "blind")]
    pub polls_failing_announced: bool,
    /// Whether the wait for an agent was reported.
    #[serde(default, rename = "waiting_told")]
    pub waiting_announced: bool,
    /// When the run was created.
    pub created: Timestamp,
    /// Pending effects.
    pub outbox: Outbox<BuildEffect>,
}

impl Build {
    /// A build that waits for the jobs that it needs.
    #[must_use]
    pub fn blocked(spec: BuildSpec, now: Timestamp) -> Self {
        Self {
            retries: vec![0; spec.retry.rules.len()],
            spec,
            state: BuildState::Blocked,
            attempts: Vec::new(),
            strays: Vec::new(),
            slot: Slot::None,
            turn: 0,
            slot_requested: None,
            lock: Slot::None,
            lock_requested: None,
            results: None,
            polls_failing_since: None,
            polls_failing_announced: false,
            waiting_announced: false,
            created: now,
            outbox: Outbox::default(),
        }
    }

    /// The same new build, whose result says this about its branch or tag.
    #[must_use]
    pub fn bearing(mut self, bearing: Bearing) -> Self {
        self.spec.bearing = bearing;
        self
    }

    /// Its outcome, if it has finished.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            BuildState::Finished { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// Why it ended so, for people.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match &self.state {
            BuildState::Finished { cause, .. } => cause.as_deref(),
            _ => None,
        }
    }

    /// When its outcome was decided.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        match self.state {
            BuildState::Finished { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Its status, in one word for records and people: `blocked`, `queued`, `launching`, `running`, or the outcome.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match &self.state {
            BuildState::Blocked => "blocked",
            BuildState::Waiting | BuildState::Queued { .. } => "queued",
            BuildState::Active => match self.attempts.last().map(|attempt| &attempt.phase) {
                Some(Phase::Waiting | Phase::Launching) => "launching",
                _ => "running",
            },
            BuildState::Finished { outcome, .. } => outcome.as_str(),
        }
    }

    /// The full id of one of its attempts.
    #[must_use]
    pub fn attempt_id(&self, number: u32) -> AttemptId {
        AttemptId {
            build: self.spec.id.clone(),
            number,
        }
    }

    /// Whether it has finished, no agent runs for it any more, and its results were collected, if it has any: nothing that a report shows of it changes.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let collects = self.outbox.any(|effect| matches!(effect, BuildEffect::Collect { .. }));
        self.outcome().is_some() && !self.something_runs() && !collects
    }

    /// Whether an agent runs for it, or may run.
    pub(super) fn something_runs(&self) -> bool {
        self.attempts.iter().any(Attempt::is_live) || self.strays.iter().any(|stray| !stray.stopped)
    }
}
