//! The consequences of a refused launch, and of an accepted one whose agent never ran. Missing Spot capacity sends the attempt to on-demand capacity;
//! a shortage or a throttle lets it wait; an unknown reason is reported and retried for a while; an invalid launch ends it.

use jiff::Timestamp;

use super::attempt::Attempt;
use super::deadline::{PAUSED_WAIT, REFUSED_BACKOFF, UNKNOWN_FOR, backoff};
use super::effect::{BuildEffect, BuildNews};
use super::event::Refusal;
use super::record::Build;
use super::state::{BuildState, End, Phase, Slot, StopReason};
use super::text::{LONGEST_MESSAGE, truncate};
use crate::decision::Ignored;
use crate::executor::Capacity;
use crate::executor::observation::{Stop, StopCause};
use crate::outcome::Outcome;
use crate::time::later;

impl Build {
    /// The service refused a launch.
    pub(super) fn launch_refused(
        &mut self,
        number: u32,
        (capacity, round): (Capacity, u32),
        refusal: &Refusal,
        spent: bool,
        now: Timestamp,
    ) -> Result<(), Ignored> {
        // Another try got the same refusal before, and the launch of the next round may be in progress.
        if self
            .attempts
            .iter()
            .any(|attempt| attempt.number == number && attempt.round > round)
        {
            return Err(Ignored::Stale);
        }
        let cleared = self.clear_launch(number, capacity);
        if !self.awaits_launch(number, capacity) {
            return if cleared { Ok(()) } else { Err(Ignored::Stale) };
        }
        let advice = refusal.advice(self.spec.agent.as_str());
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.round = attempt.round.saturating_add(u32::from(spent));
            attempt.last_refusal = Some(truncate(refusal.message(), LONGEST_MESSAGE));
            attempt.advice = Some(advice);
            // The reason is a different one now.
            if !matches!(refusal, Refusal::Unknown(_) | Refusal::Paused(_)) {
                attempt.refused_unknown_since = None;
            }
        }
        match refusal {
            Refusal::NoCapacity(_) if capacity == Capacity::Spot => {
                self.fall_back_to_on_demand(now);
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.suspect_orphan(now);
                }
            }
            Refusal::NoCapacity(_) | Refusal::AccountLimit(_) | Refusal::Transient(_) => self.requeue(now),
            Refusal::Throttled(_) => self.requeue_throttled(now),
            // The service was not called, so the wait does not grow.
            Refusal::Paused(_) => self.requeue_paced(later(now, PAUSED_WAIT)),
            Refusal::Invalid(text) => self.cannot_launch(number, text, now),
            Refusal::Unknown(text) => self.refused_for_unknown_reason(number, text, now),
        }
        Ok(())
    }

    /// Ends the current attempt, which can never be launched.
    pub(super) fn cannot_launch(&mut self, number: u32, text: &str, now: Timestamp) {
        let cause = format!("the agent cannot be launched: {}", truncate(text, LONGEST_MESSAGE));
        self.end_attempt(number, End::Infrastructure { cause: cause.clone() }, now);
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.suspect_orphan(now);
        }
        // An interrupted attempt may still succeed within its two minutes; its end decides then.
        if self.attempts.iter().any(Attempt::is_live) {
            self.state = BuildState::Active;
        } else {
            self.finish(Outcome::InfrastructureFailed, Some(cause), now);
        }
    }

    /// A refusal for an unknown reason: Bellhop reports it at once, and retries for a while.
    fn refused_for_unknown_reason(&mut self, number: u32, text: &str, now: Timestamp) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        let first = attempt.refused_unknown_since.is_none();
        let since = *attempt.refused_unknown_since.get_or_insert(now);
        let capacity = attempt.capacity;
        let advice = attempt.advice.clone().unwrap_or_default();
        let until = later(since, UNKNOWN_FOR).min(later(attempt.queued, self.spec.queue_timeout));
        if until <= now {
            return self.cannot_launch(number, text, now);
        }
        self.requeue(now);
        if let BuildState::Queued { not_before } = &mut self.state {
            *not_before = (*not_before).min(until);
        }
        // Others may use its slot meanwhile, unless another attempt of the build is running, or may be.
        if self.slot == Slot::Held && !self.something_runs() {
            self.release_slot(now);
        }
        if first {
            let news = BuildNews::Refused {
                attempt: number,
                capacity,
                cause: truncate(text, LONGEST_MESSAGE),
                advice,
                until,
                at: now,
            };
            self.outbox.push(BuildEffect::Announce(news), now);
        }
    }

    /// Whether a current attempt's agent never ran because of a shortage that passes. The attempt then continues, and no retry is used up.
    pub(super) fn never_ran(&mut self, index: usize, stop: &Stop, now: Timestamp) -> bool {
        let Some(attempt) = self.attempts.get(index) else { return false };
        let (number, capacity) = (attempt.number, attempt.capacity);
        let comes_up = attempt.phase == Phase::Launching;
        let never_up = matches!(
            attempt.phase,
            Phase::Stopping {
                why: StopReason::NeverStarted,
                ..
            }
        ) && attempt.started.is_none();
        let text = stop.reason.as_deref().unwrap_or("no capacity");
        let refusal = match stop.cause {
            StopCause::NoCapacity if comes_up => Refusal::NoCapacity(text.to_owned()),
            StopCause::NotNow if comes_up => Refusal::AccountLimit(text.to_owned()),
            _ if never_up && capacity == Capacity::Spot => Refusal::NoCapacity("it did not start in time".to_owned()),
            _ => return false,
        };
        let reason = truncate(refusal.message(), LONGEST_MESSAGE);
        let advice = refusal.advice(self.spec.agent.as_str());
        if capacity == Capacity::Spot && matches!(refusal, Refusal::NoCapacity(_)) {
            self.detach_agent(index, now);
            self.fall_back_to_on_demand(now);
        } else {
            // The idempotency token of this attempt belongs to an agent that never ran, so only another attempt can be launched.
            self.replace_spent_token(number, reason.clone(), now);
            self.requeue(now);
        }
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.last_refusal = Some(reason);
            attempt.advice = Some(advice);
        }
        true
    }

    /// Launches the same attempt on on-demand capacity at once: missing Spot capacity is not a failure. If it has released its slot, it needs another one
    /// first.
    pub(super) fn fall_back_to_on_demand(&mut self, now: Timestamp) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.capacity = Capacity::OnDemand;
            attempt.agent = None;
            attempt.seen_version = 0;
        }
        self.launch_in_slot(now);
    }

    /// The current attempt waits for its next launch, longer each time.
    fn requeue(&mut self, now: Timestamp) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        attempt.refusals = attempt.refusals.saturating_add(1);
        let refusals = attempt.refusals;
        let wait = self.jittered(backoff(REFUSED_BACKOFF, refusals - 1), refusals);
        self.requeue_until(later(now, wait));
    }

    /// The current attempt takes its place in the launch queue, which is that of the moment from which it has been waiting. It does not lose the place
    /// with another throttle: the launcher, which slows down when it is throttled, decides how often all builds together try.
    fn requeue_throttled(&mut self, now: Timestamp) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        attempt.throttles = attempt.throttles.saturating_add(1);
        let place = attempt.queued.min(now);
        self.requeue_paced(place);
    }

    /// The current attempt waits until a moment, and then for its turn in the launch queue.
    fn requeue_paced(&mut self, not_before: Timestamp) {
        self.requeue_until(not_before);
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.paced = true;
        }
    }

    /// The current attempt waits until a moment for its next launch.
    fn requeue_until(&mut self, not_before: Timestamp) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.phase = Phase::Waiting;
            attempt.paced = false;
        }
        self.state = BuildState::Queued { not_before };
    }
}
