//! Effects that fail until they are abandoned, and agents that count as lost because their stop is never confirmed. People get one message about
//! each.

use jiff::Timestamp;

use super::effect::{BuildEffect, BuildNews};
use super::record::Build;
use super::state::{End, Phase, StopReason};
use super::text::{LONGEST_MESSAGE, truncate};
use crate::executor::Capacity;
use crate::ids::AgentId;
use crate::outbox::Abandoned;
use crate::outcome::Outcome;
use crate::spec::Relaunch;

/// Why an agent counts as lost that was asked to stop.
pub(super) const NOT_STOPPED: &str = "AWS has not confirmed that it stopped";

impl Build {
    /// A try of an effect failed.
    pub(super) fn effect_failed(&mut self, effect: &BuildEffect, why: &str) {
        let BuildEffect::Launch { attempt: launched, .. } = effect else {
            return;
        };
        // It is part of the message when the queue-timeout is over.
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.number == *launched) {
            attempt.last_refusal = Some(truncate(why, LONGEST_MESSAGE));
        }
    }

    /// An effect failed until its time was over.
    pub(super) fn effect_abandoned(&mut self, effect: BuildEffect, why: &str, now: Timestamp) {
        match effect {
            BuildEffect::Collect { attempt, news } => {
                // The message and the waiting jobs do without the artifacts.
                self.announce_end(news, now);
                self.announce_abandoned(
                    format!("read the artifacts of attempt {attempt}"),
                    why,
                    "the outcome stands; the message and the report list no artifacts and no tests",
                    "look for the artifacts in the bucket, and check the functions' permissions",
                    now,
                );
            }
            BuildEffect::SearchOrphan { attempt } => self.orphan_search_abandoned(attempt, why, now),
            BuildEffect::Stop { agent, .. } => self.not_stopped(&agent, why, now),
            // A failed message cannot be reported by another message, so it is only counted.
            BuildEffect::Announce(_) => {}
            BuildEffect::Launch { .. }
            | BuildEffect::FindInputs
            | BuildEffect::AcquireSlot
            | BuildEffect::ReleaseSlot { .. }
            | BuildEffect::AcquireLock
            | BuildEffect::ReleaseLock { .. }
            | BuildEffect::NotifyRun { .. } => {}
        }
    }

    /// The stop of an agent was abandoned.
    fn not_stopped(&mut self, agent: &AgentId, why: &str, now: Timestamp) {
        if let Some(index) = self.strays.iter().position(|stray| stray.agent == *agent) {
            self.lose_stray(index, why, now);
        } else if let Some(index) = self.attempts.iter().position(|attempt| attempt.agent.as_ref() == Some(agent)) {
            self.lose(index, why, now);
        }
    }

    /// Counts a stray as lost.
    pub(super) fn lose_stray(&mut self, index: usize, why: &str, now: Timestamp) {
        let Some(stray) = self.strays.get_mut(index) else { return };
        let was_lost = stray.lost;
        (stray.stopped, stray.lost, stray.polled_at) = (true, true, now);
        let (number, agent) = (stray.attempt, stray.agent.clone());
        if !was_lost {
            self.announce_lost(number, &agent, why, now);
        }
    }

    /// Counts the agent of a stopping attempt as lost: Bellhop no longer waits for it, and its slot is free.
    pub(super) fn lose(&mut self, index: usize, why: &str, now: Timestamp) {
        let Some(attempt) = self.attempts.get(index) else { return };
        let (Phase::Stopping { why: stopped_for, .. }, Some(agent)) = (attempt.phase.clone(), attempt.agent.clone()) else {
            return;
        };
        let (number, capacity, ran) = (attempt.number, attempt.capacity, attempt.started.is_some());
        let is_open = index + 1 == self.attempts.len() && self.outcome().is_none();
        let must_be_proven = self.spec.relaunch == Relaunch::Stopped;
        if let Some(attempt) = self.attempts.get_mut(index) {
            (attempt.lost, attempt.polled_at) = (true, now);
        }
        self.announce_lost(number, &agent, why, now);
        let is_never_up = stopped_for == StopReason::NeverStarted;
        if is_never_up && is_open && capacity == Capacity::Spot && !ran && !must_be_proven {
            // With another number, so that files which the lost agent may still write do not mix with the next one's.
            self.replace_spent_token(number, self.never_up(capacity), now);
            return self.fall_back_to_on_demand(now);
        }
        let end = match stopped_for {
            StopReason::BuildOver => End::Unneeded,
            StopReason::Timeout => End::TimedOut,
            StopReason::NeverStarted => End::Infrastructure {
                cause: self.never_up(capacity),
            },
        };
        self.end_attempt(number, end.clone(), now);
        if is_open && must_be_proven {
            let (outcome, cause) = match end {
                End::Infrastructure { cause } => (Outcome::InfrastructureFailed, cause),
                _ => (Outcome::TimedOut, self.timeout_cause()),
            };
            let cause = format!("{cause}; the build is not retried, because its agent may still be running (`relaunch: stopped`)");
            self.finish_by(number, outcome, Some(cause), now);
        } else {
            self.ended(index, &end, now);
        }
    }

    /// Reports that an agent counts as lost.
    fn announce_lost(&mut self, number: u32, agent: &AgentId, why: &str, now: Timestamp) {
        let keeps = match &self.spec.lock {
            Some(lock) => format!("; the lock `{}` stays taken until it has stopped", lock.last()),
            None => String::new(),
        };
        self.announce_abandoned(
            format!("stop the agent of attempt {number}"),
            why,
            &format!("the agent counts as lost and may still be running: {agent}{keeps}"),
            "check the agent, and stop it by hand if it is running",
            now,
        );
    }

    /// Reports that polls of the build's agents fail.
    pub(super) fn announce_failing_polls(&mut self, now: Timestamp) {
        self.announce_abandoned(
            "poll its agents".to_owned(),
            "the service has not answered for half an hour; see the log of the function `sweep`",
            "its timeouts still apply",
            "check the functions' permissions and the status of the AWS service",
            now,
        );
    }

    /// Reports an abandoned effect.
    pub(super) fn announce_abandoned(&mut self, what: String, why: &str, then: &str, advice: &str, at: Timestamp) {
        let news = BuildNews::Abandoned {
            number: self.outbox.pushed(),
            what: Abandoned {
                what,
                why: truncate(why, LONGEST_MESSAGE),
                now: then.to_owned(),
                advice: advice.to_owned(),
                at,
            },
        };
        self.outbox.push(BuildEffect::Announce(news), at);
    }
}
