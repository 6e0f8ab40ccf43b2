//! What happens because time has passed: launches that are due, timeouts, repeated stops and searches.
//!
//! A timeout does not apply before the agents were polled after its end: an agent may have ended in time, and its events may be late. If polls fail
//! for [`FAILING_POLLS_FOR`], timeouts apply anyway.

use jiff::Timestamp;

use super::abandoned::NOT_STOPPED;
use super::deadline::{CHECK_CHANGING, CHECK_RUNNING, FAILING_POLLS_FOR, STOP_TIMEOUT};
use super::record::Build;
use super::state::{BuildState, Phase, StopReason};
use crate::decision::Ignored;
use crate::outcome::Outcome;
use crate::spec::RetryOn;
use crate::time::later;

impl Build {
    /// Time has passed; the agents were polled at this moment.
    pub(super) fn tick(&mut self, polled_at: Timestamp, now: Timestamp) -> Result<(), Ignored> {
        if self.due().is_none_or(|due| due > now) {
            return Err(Ignored::NotDue);
        }
        let before = self.clone();
        let effective = self.effective_time(polled_at, now);
        for index in 0..self.attempts.len() {
            self.tick_attempt(index, polled_at, effective, now);
        }
        for index in 0..self.strays.len() {
            self.tick_stray(index, effective, now);
        }
        self.announce_waiting(now);
        if let (BuildState::Queued { not_before }, Some(attempt)) = (&self.state, self.attempts.last()) {
            // A launch that was never tried is not abandoned, even if the sweep processes it late.
            let ready = *not_before <= now;
            if ready && attempt.launched.is_none() {
                self.launch_in_slot(now);
            } else if self.queue_deadline(attempt) <= now {
                self.queue_timed_out(now);
            } else if ready {
                self.launch_in_slot(now);
            }
        }
        // Also for a build that has just begun to wait: its time for a missing permission may be over.
        if self.state == BuildState::Waiting && self.attempts.last().is_some_and(|attempt| self.waiting_deadline(attempt) <= now) {
            self.queue_timed_out(now);
        }
        if *self == before { Err(Ignored::NotDue) } else { Ok(()) }
    }

    /// The time up to which timeouts apply: when the agents were polled, or now if polls have failed for [`FAILING_POLLS_FOR`].
    fn effective_time(&mut self, polled_at: Timestamp, now: Timestamp) -> Timestamp {
        if polled_at > Timestamp::MIN {
            self.polls_failing_since = None;
            return polled_at;
        }
        let since = *self.polls_failing_since.get_or_insert(now);
        if later(since, FAILING_POLLS_FOR) > now {
            return polled_at;
        }
        if !self.polls_failing_announced {
            self.polls_failing_announced = true;
            self.announce_failing_polls(now);
        }
        now
    }

    fn tick_attempt(&mut self, index: usize, polled_at: Timestamp, effective: Timestamp, now: Timestamp) {
        let over = self.outcome().is_some();
        let Some(attempt) = self.attempts.get(index) else { return };
        let number = attempt.number;
        match (&attempt.phase, &attempt.agent) {
            (Phase::Waiting | Phase::Ended { .. }, _) => {
                self.search_for_orphan_when_due(index, now);
                self.watched_lost(index, polled_at, now);
                return;
            }
            (Phase::Launching, None) => {
                if !over && self.queue_deadline(attempt) <= now {
                    self.queue_timed_out(now);
                    return;
                }
            }
            (Phase::Launching, Some(_)) => {
                if self.deadline(attempt).is_some_and(|deadline| deadline <= effective) {
                    self.stop_attempt(index, StopReason::NeverStarted, now);
                    return;
                }
            }
            (Phase::Interrupted { at }, Some(_)) if attempt.started.is_none() => {
                // The interruption did not happen, and the agent did not start either.
                if later(*at, self.launch_timeout(attempt.capacity)) <= effective {
                    self.stop_attempt(index, StopReason::NeverStarted, now);
                    return;
                }
            }
            (Phase::Running | Phase::Interrupted { .. }, _) => {
                if self.is_overtime(attempt, effective) {
                    let is_current = index + 1 == self.attempts.len();
                    self.stop_attempt(index, StopReason::Timeout, now);
                    // The next attempt must not run in parallel with this one, so it waits until this one is proven stopped.
                    if is_current && !over && self.matching_rule(RetryOn::Timeout, None).is_none() {
                        self.finish_by(number, Outcome::TimedOut, Some(self.timeout_cause()), now);
                    }
                    return;
                }
            }
            // A cancellation that could not be sent yet ends with the service's reason.
            (Phase::Stopping { at, .. }, Some(agent)) if later(*at, STOP_TIMEOUT) <= effective && !self.is_stop_pending(agent) => {
                self.lose(index, NOT_STOPPED, now);
                return;
            }
            (Phase::Stopping { why, .. }, Some(agent)) => {
                if later(attempt.polled_at, CHECK_CHANGING) <= now {
                    let (agent, why) = (agent.clone(), *why);
                    self.stop(&agent, why, now);
                }
            }
            (Phase::Stopping { at, .. }, None) => {
                let since = *at;
                if self.continue_search(index, since, now) {
                    return;
                }
            }
        }
        if let Some(attempt) = self.attempts.get_mut(index)
            && later(attempt.polled_at, attempt.check_after()) <= polled_at
        {
            attempt.polled_at = now;
        }
    }

    /// Notes that the agent of an attempt was polled that counts as lost.
    fn watched_lost(&mut self, index: usize, polled_at: Timestamp, now: Timestamp) {
        let watches = self.watches_lost();
        if let Some(attempt) = self.attempts.get_mut(index).filter(|attempt| watches && attempt.may_run_on())
            && later(attempt.polled_at, CHECK_RUNNING) <= polled_at
        {
            attempt.polled_at = now;
        }
    }

    /// Finishes a build that got no agent within its time.
    fn queue_timed_out(&mut self, now: Timestamp) {
        let last = self.attempts.last().and_then(|attempt| attempt.last_refusal.clone());
        let unknown = self.attempts.last().is_some_and(|attempt| attempt.refused_unknown_since.is_some());
        if let (true, Some(attempt), Some(refusal)) = (unknown, self.attempts.last(), &last) {
            let (number, refusal) = (attempt.number, refusal.clone());
            return self.cannot_launch(number, &refusal, now);
        }
        let why = match (&self.state, last) {
            (BuildState::Waiting, _) => self.turn_of_others(),
            (_, Some(refusal)) => refusal,
            (_, None) => "the launch call got no answer".to_owned(),
        };
        let cause = format!(
            "no agent within its queue-timeout of {}: {why}",
            humantime::format_duration(self.spec.queue_timeout),
        );
        self.finish(Outcome::TimedOut, Some(cause), now);
    }
}
