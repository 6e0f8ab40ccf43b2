//! A launch that may have left an orphan: an agent of this build that Bellhop does not know.
//!
//! When: the reply to a launch was lost, and its repetition was refused or got no answer. So neither a refusal nor silence proves that there is no
//! agent. An attempt may have an orphan if it fell back from Spot to on-demand capacity ([`Attempt::may_have_orphan`]), if its launch was refused for
//! good, or if it is stopped before it has an agent.
//!
//! How it is found: [`BuildEffect::SearchOrphan`] lists the agents that carry the attempt's name, and each of them arrives as an observation, like
//! any event of it. The search runs when the attempt starts or ends; a minute after a refusal for good; and every minute for [`ORPHAN_SEARCH_TIME`]
//! if the attempt is stopped without an agent.
//!
//! How it ends: an attempt without an agent adopts the orphan. Otherwise the orphan is stopped and remembered as a stray. If the search fails for as
//! long as an effect is tried (`outbox`), it is abandoned and reported; an orphan that shows up later is stopped. A launch that returns a stray has
//! spent its token: the next attempt continues in its position in the queue.

use std::time::Duration;

use jiff::Timestamp;

use super::abandoned::NOT_STOPPED;
use super::attempt::{Attempt, Stray};
use super::deadline::{CHECK_CHANGING, CHECK_RUNNING, STOP_TIMEOUT};
use super::effect::BuildEffect;
use super::record::Build;
use super::state::{End, Phase, StopReason};
use crate::decision::Ignored;
use crate::executor::Capacity;
use crate::executor::observation::{AgentStatus, Observation};
use crate::ids::AgentId;
use crate::outbox::{PERFORM_WITHIN, Pending};
use crate::time::later;

/// How long Bellhop searches for the orphan of a stopped attempt before it concludes that there is none.
pub const ORPHAN_SEARCH_TIME: Duration = Duration::from_secs(5 * 60);

impl Attempt {
    /// Records that a refused launch of it may have started an agent nevertheless.
    pub(super) fn suspect_orphan(&mut self, now: Timestamp) {
        self.may_have_orphan = true;
        self.polled_at = now;
    }

    /// Whether it has ended, and the search for its orphan is still to come.
    pub(super) fn must_search_for_orphan(&self) -> bool {
        self.may_have_orphan && self.end().is_some()
    }
}

impl Build {
    /// Whether a request of a pending launch may have been sent before. A refusal does not prove that it had no effect.
    #[must_use]
    pub fn may_have_been_tried(&self, launch: &Pending<BuildEffect>, attempt: u32, now: Timestamp) -> bool {
        let mut tried = self.attempts.iter().filter(|candidate| candidate.number == attempt);
        tried.any(Attempt::was_refused) || launch.tries > 0 || later(launch.since, PERFORM_WITHIN) <= now
    }

    /// Searches once for the orphan of an attempt that may have one.
    pub(super) fn search_for_orphan(&mut self, index: usize, now: Timestamp) {
        if let Some(attempt) = self.attempts.get_mut(index).filter(|attempt| attempt.may_have_orphan) {
            attempt.may_have_orphan = false;
            self.outbox.push(BuildEffect::SearchOrphan { attempt: attempt.number }, now);
        }
    }

    /// Searches for the orphan of an ended attempt, a minute after the orphan was suspected.
    pub(super) fn search_for_orphan_when_due(&mut self, index: usize, now: Timestamp) {
        let is_due = |attempt: &Attempt| attempt.must_search_for_orphan() && later(attempt.polled_at, CHECK_CHANGING) <= now;
        if self.attempts.get(index).is_some_and(is_due) {
            self.search_for_orphan(index, now);
        }
    }

    /// Begins the search for the agent of an attempt that is stopped without one: its launch may be in progress.
    pub(super) fn search_instead_of_launch(&mut self, number: u32, now: Timestamp) {
        self.forget_launches(number);
        self.outbox.push(BuildEffect::SearchOrphan { attempt: number }, now);
    }

    /// Continues the search for the agent of an attempt that has been stopping since this moment, or ends it. Returns whether it has ended.
    pub(super) fn continue_search(&mut self, index: usize, stopping_since: Timestamp, now: Timestamp) -> bool {
        let Some(attempt) = self.attempts.get(index) else { return true };
        let number = attempt.number;
        let searches = self
            .outbox
            .any(|effect| matches!(effect, BuildEffect::SearchOrphan { attempt } if *attempt == number));
        // The timeout proves nothing: the last search must have begun after the timeout, and must have been answered.
        if !searches && attempt.polled_at >= later(stopping_since, ORPHAN_SEARCH_TIME) {
            self.end_attempt(number, End::Unneeded, now);
            return true;
        }
        if !searches && later(attempt.polled_at, CHECK_CHANGING) <= now {
            self.outbox.push(BuildEffect::SearchOrphan { attempt: number }, now);
        }
        false
    }

    /// A search was answered. What it found counts before the search is over, so that nothing that waits for its end overlooks an orphan.
    pub(super) fn searched(&mut self, number: u32, found: &[Observation], now: Timestamp) -> Result<(), Ignored> {
        let mut news = false;
        for seen in found {
            news |= self.observed(number, seen, now).is_ok();
        }
        let was_pending = self
            .outbox
            .remove_where(|pending| pending.effect == BuildEffect::SearchOrphan { attempt: number });
        if news || was_pending { Ok(()) } else { Err(Ignored::NothingNew) }
    }

    /// Whether an agent that it does not know may run for one of its attempts, and is, or will be, searched for.
    pub(super) fn may_have_orphans(&self) -> bool {
        let is_search = |effect: &BuildEffect| matches!(effect, BuildEffect::SearchOrphan { .. });
        self.attempts.iter().any(Attempt::must_search_for_orphan) || self.outbox.any(is_search)
    }

    /// The search for an orphan was abandoned. An orphan that shows up later is stopped as a stray.
    pub(super) fn orphan_search_abandoned(&mut self, number: u32, why: &str, now: Timestamp) {
        self.announce_abandoned(
            format!("look for an orphan agent of attempt {number}"),
            why,
            "the search has ended; an orphan that an event shows is stopped",
            "check whether an agent of this build is running, and check the functions' permissions",
            now,
        );
        let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.number == number) else {
            return;
        };
        attempt.may_have_orphan = false;
        if matches!(attempt.phase, Phase::Stopping { .. }) && attempt.agent.is_none() {
            self.end_attempt(number, End::Unneeded, now);
        }
    }

    /// Removes the pending launches of an attempt, and the pending searches for its agent.
    pub(super) fn forget_launches(&mut self, number: u32) {
        self.outbox.remove_where(
            |pending| matches!(pending.effect, BuildEffect::Launch { attempt, .. } | BuildEffect::SearchOrphan { attempt } if attempt == number),
        );
    }

    /// The service answered a launch with an agent that was recognized as a stray before, so the token cannot be used again.
    pub(super) fn launch_returned_stray(&mut self, number: u32, capacity: Capacity, stopped: bool, now: Timestamp) -> Result<(), Ignored> {
        if !self.awaits_launch(number, capacity) {
            return if self.clear_launch(number, capacity) {
                Ok(())
            } else {
                Err(Ignored::OtherAgent)
            };
        }
        if !stopped {
            // No other agent is launched in parallel: the launch stays in the outbox, and is retried.
            return Err(Ignored::OtherAgent);
        }
        let cause = "the launch returned an agent that had already been stopped".to_owned();
        self.replace_spent_token(number, cause, now);
        self.launch(now);
        Ok(())
    }

    /// Replaces the current attempt by the next one, because its token belongs to an agent that does nothing for it. The position in the queue stays
    /// the same, and no retry is used up.
    pub(super) fn replace_spent_token(&mut self, number: u32, cause: String, now: Timestamp) {
        let Some(attempt) = self.attempts.last() else { return };
        let before = attempt.clone();
        self.end_attempt(number, End::Infrastructure { cause }, now);
        let mut next = Attempt::new(number + 1, before.capacity, now);
        (next.queued, next.refusals, next.throttles, next.refused_unknown_since) =
            (before.queued, before.refusals, before.throttles, before.refused_unknown_since);
        self.attempts.push(next);
    }

    /// Stops an agent that is not the attempt's, because it must not run next to the attempt's agent.
    pub(super) fn stop_stray(&mut self, number: u32, seen: &Observation, now: Timestamp) -> Result<(), Ignored> {
        let known = self.attempts.iter().any(|attempt| attempt.agent.as_ref() == Some(&seen.agent));
        if known || matches!(seen.status, AgentStatus::Stopped(_)) {
            return Err(Ignored::OtherAgent);
        }
        self.strays.push(Stray::new(seen.agent.clone(), number, false, now));
        self.outbox.push(
            BuildEffect::Stop {
                agent: seen.agent.clone(),
                reason: format!("bellhop: a second agent for {}", self.attempt_id(number)),
            },
            now,
        );
        Ok(())
    }

    /// An agent that is known as a stray was observed.
    pub(super) fn stray_observed(&mut self, agent: &AgentId, status: &AgentStatus, now: Timestamp) -> Result<(), Ignored> {
        let watches_lost = self.watches_lost();
        let Some(stray) = self.strays.iter_mut().find(|stray| stray.agent == *agent) else {
            return Err(Ignored::NothingNew);
        };
        match status {
            AgentStatus::Stopped(_) if !stray.stopped => {
                stray.stopped = true;
                self.drop_stop(agent);
                Ok(())
            }
            AgentStatus::Stopped(_) if watches_lost && stray.may_run_on() => {
                stray.found_stopped = true;
                Ok(())
            }
            AgentStatus::Stopped(_) | AgentStatus::Stopping => Err(Ignored::OtherAgent),
            _ if stray.lost => self.stop_again(agent, now),
            _ => Err(Ignored::OtherAgent),
        }
    }

    /// Separates the attempt from its agent, which has stopped: the attempt continues without it, and its later events no longer count.
    pub(super) fn detach_agent(&mut self, index: usize, now: Timestamp) {
        let Some(attempt) = self.attempts.get(index) else { return };
        let stray = attempt.agent.clone().map(|agent| Stray::new(agent, attempt.number, true, now));
        self.strays.extend(stray);
    }

    /// Stops a stray again that has not stopped, or counts it as lost. Timeouts apply up to `effective`.
    pub(super) fn tick_stray(&mut self, index: usize, effective: Timestamp, now: Timestamp) {
        let watches = self.watches_lost();
        let Some(stray) = self.strays.get_mut(index) else { return };
        if stray.stopped {
            if watches && stray.may_run_on() && later(stray.polled_at, CHECK_RUNNING) <= effective {
                stray.polled_at = now;
            }
            return;
        }
        let agent = stray.agent.clone();
        let is_late = stray.since.is_some_and(|since| later(since, STOP_TIMEOUT) <= effective);
        let is_due = later(stray.polled_at, CHECK_CHANGING) <= now;
        if is_due {
            stray.polled_at = now;
        }
        if is_late && !self.is_stop_pending(&agent) {
            self.lose_stray(index, NOT_STOPPED, now);
        } else if is_due {
            self.stop(&agent, StopReason::BuildOver, now);
        }
    }
}
