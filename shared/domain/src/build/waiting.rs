//! What a build waits for, when Bellhop reports it, and the report that a finished build's agent has stopped.

use jiff::Timestamp;

use super::attempt::Attempt;
use super::deadline::WAITING_ANNOUNCED_AFTER;
use super::effect::{BuildEffect, BuildNews};
use super::record::Build;
use super::state::{BuildState, Phase};
use crate::ids::JobName;
use crate::outcome::Outcome;
use crate::time::{between, later};

impl Build {
    /// What it waits for, as text for people; `None` if it does not wait. A finished build may wait with its lock for an agent that counts as lost.
    #[must_use]
    pub fn waits_because(&self) -> Option<String> {
        let attempt = self.attempts.last();
        match &self.state {
            BuildState::Finished { .. } => self.keeps_lock(),
            BuildState::Blocked => {
                let needs: Vec<&str> = self.spec.needs.iter().map(JobName::as_str).collect();
                Some(format!("it needs {}", needs.join(", ")))
            }
            BuildState::Waiting => Some(self.turn_of_others().replace("were in use", "are in use")),
            BuildState::Queued { .. } => {
                let attempt = attempt?;
                let backoff = || format!("attempt {} starts after the backoff of its retry rule", attempt.number);
                Some(attempt.last_refusal.clone().unwrap_or_else(backoff))
            }
            BuildState::Active => match attempt.map(|attempt| (&attempt.phase, attempt)) {
                Some((Phase::Interrupted { .. } | Phase::Stopping { .. }, attempt)) => {
                    Some(format!("Bellhop waits until attempt {} has stopped", attempt.number))
                }
                Some((Phase::Launching, attempt)) if attempt.agent.is_none() => attempt.last_refusal.clone(),
                _ => None,
            },
        }
    }

    /// The time of its next launch, if it waits for one; none in the launch queue, because only its turn decides that.
    #[must_use]
    pub fn next_try(&self) -> Option<Timestamp> {
        match (&self.state, self.attempts.last()) {
            (BuildState::Queued { not_before }, Some(attempt)) if !attempt.is_in_queue(*not_before) => Some(*not_before),
            _ => None,
        }
    }

    /// When Bellhop reports that it waits for an agent.
    pub(super) fn waiting_announced_at(&self) -> Option<Timestamp> {
        let attempt = self.attempts.last()?;
        let waits = matches!(self.state, BuildState::Waiting | BuildState::Queued { .. });
        // A refusal for an unknown reason was already reported.
        if !waits || self.waiting_announced || attempt.refused_unknown_since.is_some() {
            return None;
        }
        let at = later(attempt.queued, WAITING_ANNOUNCED_AFTER);
        (at < self.queue_deadline(attempt)).then_some(at)
    }

    /// Reports once that it waits for an agent.
    pub(super) fn announce_waiting(&mut self, now: Timestamp) {
        let is_time = self.waiting_announced_at().is_some_and(|at| at <= now);
        let (Some(cause), Some(attempt)) = (self.waits_because(), self.attempts.last()) else {
            return;
        };
        // If the sweep is late, the build times out instead.
        if !is_time || self.queue_deadline(attempt) <= now {
            return;
        }
        let advice = match self.state {
            BuildState::Waiting if self.spec.inputs.are_open() => Some("see the log of the function `sweep`".to_owned()),
            BuildState::Waiting if self.lacks_lock() => {
                Some("wait, or cancel the build that holds the lock; if it is over, stop its agent, which counts as lost".to_owned())
            }
            BuildState::Waiting => Some(format!("raise `max-concurrent` of the agent `{}`", self.spec.agent)),
            _ => attempt.advice.clone(),
        };
        let news = BuildNews::Waiting {
            attempt: attempt.number,
            capacity: attempt.capacity,
            cause,
            advice,
            since: attempt.queued,
            until: self.queue_deadline(attempt),
            at: now,
        };
        self.outbox.push(BuildEffect::Announce(news), now);
        self.waiting_announced = true;
    }

    /// Reports that nothing runs any more for a cancelled or timed-out build: its script may continue for as long as the agent's `stopTimeout`, and
    /// people wait for its end. If an agent could not be stopped, another message says that it may still be running.
    pub(super) fn announce_stopped(&mut self, now: Timestamp) {
        let BuildState::Finished {
            outcome: outcome @ (Outcome::Cancelled | Outcome::TimedOut),
            at: over,
            ..
        } = self.state
        else {
            return;
        };
        if self.something_runs() || self.attempts.iter().any(|attempt| attempt.lost) || self.strays.iter().any(|stray| stray.lost) {
            return;
        }
        let ran_longer = |attempt: &&Attempt| attempt.started.is_some() && attempt.ended_at().is_some_and(|at| at >= over);
        let Some((attempt, at)) = self
            .attempts
            .iter()
            .rev()
            .find(ran_longer)
            .and_then(|attempt| Some((attempt, attempt.ended_at()?)))
        else {
            return;
        };
        let news = BuildNews::Stopped {
            attempt: attempt.number,
            capacity: attempt.capacity,
            outcome,
            after: between(over, at),
            at,
        };
        self.outbox.push(BuildEffect::Announce(news), now);
    }
}
