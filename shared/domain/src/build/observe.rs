//! Observations of agents. An observation names an attempt by number; the agent's id then shows whether the agent is the attempt's own, becomes its
//! own (an attempt without an agent adopts it), or is a stray. Observations may arrive late, twice and out of order.
//!
//! An event is no proof that an agent is Bellhop's: it counts only for an agent that the record has. An agent is adopted, or stopped as a stray, only if a
//! launch returned it or the service described it as launched for the attempt.

use jiff::Timestamp;

use super::attempt::Attempt;
use super::event::BuildEvent;
use super::record::Build;
use super::state::{BuildState, Phase, Slot};
use super::verdict::remark;
use crate::decision::{Ignored, Misfit};
use crate::executor::Placement;
use crate::executor::observation::{AgentStatus, Observation, Stop};
use crate::ids::AgentId;

impl Build {
    /// Whether an event has no news for this build, nor for any later state of it: that the agent of an attempt that has ended has stopped. Such an
    /// attempt keeps its agent, and stays ended.
    #[must_use]
    pub fn is_past(&self, event: &BuildEvent) -> bool {
        let (number, observation) = match event {
            BuildEvent::Agent { attempt, observation } => (attempt, observation),
            BuildEvent::Reported {
                attempt,
                observation,
                placement,
            } if self.check_placement(*attempt, observation, placement).is_ok() => (attempt, observation),
            _ => return false,
        };
        let is_over =
            |attempt: &Attempt| attempt.number == *number && attempt.end().is_some() && !(attempt.may_run_on() && self.watches_lost());
        let over = self.attempts.iter().find(|attempt| is_over(attempt));
        matches!(observation.status, AgentStatus::Stopped(_))
            && over.is_some_and(|attempt| attempt.agent.as_ref() == Some(&observation.agent))
    }

    /// Whether the record has this agent: as an attempt's, or as a stray.
    fn knows(&self, agent: &AgentId) -> bool {
        let launched = self.attempts.iter().filter_map(|attempt| attempt.agent.as_ref());
        launched
            .chain(self.strays.iter().map(|stray| &stray.agent))
            .any(|known| known == agent)
    }

    fn check_placement(&self, number: u32, seen: &Observation, placement: &Placement) -> Result<(), Misfit> {
        let kind = self.spec.executor.kind();
        kind.check_placement(&seen.agent, &self.attempt_id(number), placement)
    }

    /// Whether an event is a reason to ask the service for proof that Bellhop launched its agent: the event fits, the record does not have the agent, and
    /// the agent is to be stopped, or adopted by an attempt that has none. The event may have arrived before the launch's reply was committed, or the reply
    /// may be lost. Without proof, the repeated launch finds the agent: the service returns it for the same token.
    #[must_use]
    pub fn needs_proof(&self, number: u32, seen: &Observation, placement: &Placement) -> bool {
        let lacks_agent = |attempt: &Attempt| attempt.number == number && attempt.agent.is_none() && attempt.end().is_none();
        self.check_placement(number, seen, placement).is_ok()
            && !self.knows(&seen.agent)
            && (seen.is_open() || self.attempts.iter().any(lacks_agent))
    }

    /// An event about an agent with the name of an attempt.
    pub(super) fn reported(&mut self, number: u32, seen: &Observation, placement: &Placement, now: Timestamp) -> Result<(), Ignored> {
        self.check_placement(number, seen, placement).map_err(Ignored::Misfit)?;
        if !self.knows(&seen.agent) {
            return Err(Ignored::Unproven);
        }
        self.observed(number, seen, now)
    }

    /// An agent that Bellhop launched for an attempt, or that the record has, was launched or seen.
    pub(super) fn observed(&mut self, number: u32, seen: &Observation, now: Timestamp) -> Result<(), Ignored> {
        if self.strays.iter().any(|stray| stray.agent == seen.agent) {
            return self.stray_observed(&seen.agent, &seen.status, now);
        }
        let (finished, watches_lost) = (self.outcome().is_some(), self.watches_lost());
        let Some(index) = self.attempts.iter().position(|attempt| attempt.number == number) else {
            return self.stop_stray(number, seen, now);
        };
        let Some(attempt) = self.attempts.get_mut(index) else {
            return Err(Ignored::Stale);
        };
        let newly_known = attempt.agent.is_none();
        let its_own = match &attempt.agent {
            Some(agent) => *agent == seen.agent,
            // A waiting attempt adopts an agent with its name, because the refusal of its launch was wrong.
            None => match attempt.phase {
                Phase::Waiting => !finished,
                Phase::Ended { .. } => false,
                _ => seen.capacity.is_none_or(|capacity| capacity == attempt.capacity),
            },
        };
        if !its_own {
            return self.stop_stray(number, seen, now);
        }
        if matches!(attempt.phase, Phase::Ended { .. }) {
            if watches_lost && attempt.may_run_on() && matches!(seen.status, AgentStatus::Stopped(_)) {
                attempt.found_stopped = true;
                return Ok(());
            }
            let is_back = attempt.lost && !matches!(seen.status, AgentStatus::Stopped(_) | AgentStatus::Stopping);
            return if is_back {
                self.stop_again(&seen.agent, now)
            } else {
                Err(Ignored::AttemptOver)
            };
        }
        if let Some(version) = seen.version {
            if version <= attempt.seen_version {
                return Err(Ignored::Stale);
            }
            attempt.seen_version = version;
        }
        if newly_known {
            // Before decisions about the agent, which may request the next launch of the same attempt.
            self.adopt(index, seen, now);
        }
        let news = self.status_changed(index, &seen.status, now);
        if newly_known {
            self.stop_or_supply(index, seen, now);
        }
        if news || newly_known { Ok(()) } else { Err(Ignored::NothingNew) }
    }

    /// The agent becomes the attempt's own, which had none.
    fn adopt(&mut self, index: usize, seen: &Observation, now: Timestamp) {
        let Some(attempt) = self.attempts.get_mut(index) else { return };
        let number = attempt.number;
        attempt.agent = Some(seen.agent.clone());
        if let Some(capacity) = seen.capacity {
            attempt.capacity = capacity;
        }
        if matches!(attempt.phase, Phase::Waiting | Phase::Launching) {
            attempt.phase = Phase::Launching;
            attempt.launched = Some(now);
            attempt.polled_at = now;
            self.state = BuildState::Active;
        }
        self.forget_launches(number);
    }

    /// Stops an adopted agent that came too late, or acquires the slot that it needs.
    fn stop_or_supply(&mut self, index: usize, seen: &Observation, now: Timestamp) {
        if let Some(attempt) = self.attempts.get(index)
            && let Phase::Stopping { why, .. } = attempt.phase
        {
            self.stop(&seen.agent, why, now);
        }
        if self.slot == Slot::Released && self.outcome().is_none() {
            // Its launch was denied, but an earlier request of it succeeded.
            self.acquire_slot(now);
        }
    }

    /// Decides what the status of an attempt's own agent means for the attempt. Returns whether that changes anything.
    fn status_changed(&mut self, index: usize, status: &AgentStatus, now: Timestamp) -> bool {
        let is_current = index + 1 == self.attempts.len();
        let Some(attempt) = self.attempts.get_mut(index) else {
            return false;
        };
        match status {
            AgentStatus::Stopped(stop) => {
                self.agent_stopped(index, stop, now);
                true
            }
            AgentStatus::Running { since } => {
                let first = attempt.started.is_none();
                if first {
                    attempt.started = Some(since.unwrap_or(now).min(now));
                }
                if attempt.phase == Phase::Launching {
                    attempt.phase = Phase::Running;
                    attempt.polled_at = now;
                    self.search_for_orphan(index, now);
                }
                first
            }
            AgentStatus::Interrupted if matches!(attempt.phase, Phase::Launching | Phase::Running) => {
                // This does not prove that it has started: an interrupted instance also takes agents that are still starting.
                attempt.phase = Phase::Interrupted { at: now };
                attempt.polled_at = now;
                if is_current {
                    self.replace_interrupted(now);
                }
                true
            }
            AgentStatus::Interrupted | AgentStatus::Starting | AgentStatus::Stopping => false,
        }
    }

    /// An attempt's own agent has stopped.
    fn agent_stopped(&mut self, index: usize, stop: &Stop, now: Timestamp) {
        let is_current = index + 1 == self.attempts.len();
        if is_current && self.outcome().is_none() && self.never_ran(index, stop, now) {
            return;
        }
        let Some(attempt) = self.attempts.get(index) else { return };
        let number = attempt.number;
        let end = self.verdict(attempt, stop);
        // The service's time is exact: the event may have been lost, and this observation may come from the sweep.
        let earliest = attempt.started.or(attempt.launched).unwrap_or(self.created);
        let at = stop.at.map_or(now, |at| at.max(earliest).min(now));
        self.end_attempt(number, end.clone(), now);
        if let Some(attempt) = self.attempts.get_mut(index) {
            attempt.remark = remark(stop, &end);
            if let Phase::Ended { at: ended, .. } = &mut attempt.phase {
                *ended = at;
            }
        }
        self.ended(index, &end, now);
    }
}
