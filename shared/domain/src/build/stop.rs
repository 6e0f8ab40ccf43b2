//! Stops of agents and of attempts.
//!
//! A stop is an effect that may be repeated: an agent that does not stop is asked again every minute, and counts as lost after
//! [`STOP_TIMEOUT`](super::deadline::STOP_TIMEOUT). What follows from a loss is in `abandoned.rs`.

use jiff::Timestamp;

use super::effect::BuildEffect;
use super::record::Build;
use super::state::{End, Phase, StopReason};
use crate::decision::Ignored;
use crate::ids::AgentId;

impl Build {
    /// Asks the service to stop an agent, unless such a request is pending.
    pub(super) fn stop(&mut self, agent: &AgentId, why: StopReason, now: Timestamp) {
        if self.is_stop_pending(agent) {
            return;
        }
        let reason = match why {
            StopReason::BuildOver => "bellhop: the build is over",
            StopReason::Timeout => "bellhop: the build ran longer than its timeout",
            StopReason::NeverStarted => "bellhop: the agent did not start in time",
        };
        self.outbox.push(
            BuildEffect::Stop {
                agent: agent.clone(),
                reason: reason.to_owned(),
            },
            now,
        );
    }

    /// Stops an agent again that counted as lost and is still running, in case the service accepts the stop now.
    pub(super) fn stop_again(&mut self, agent: &AgentId, now: Timestamp) -> Result<(), Ignored> {
        if self.is_stop_pending(agent) {
            return Err(Ignored::NothingNew);
        }
        self.stop(agent, StopReason::BuildOver, now);
        Ok(())
    }

    /// Whether a stop of this agent is pending.
    pub(super) fn is_stop_pending(&self, agent: &AgentId) -> bool {
        self.outbox
            .any(|effect| matches!(effect, BuildEffect::Stop { agent: other, .. } if other == agent))
    }

    /// Removes the stop of an agent that has stopped, or counts as lost.
    pub(super) fn drop_stop(&mut self, of: &AgentId) {
        self.outbox
            .remove_where(|pending| matches!(&pending.effect, BuildEffect::Stop { agent, .. } if agent == of));
    }

    /// Stops an attempt: its agent, or, if it has none, the agent that its launch may have started.
    pub(super) fn stop_attempt(&mut self, index: usize, why: StopReason, now: Timestamp) {
        let Some(attempt) = self.attempts.get_mut(index) else { return };
        let number = attempt.number;
        match attempt.phase {
            // The stop was already requested; its first reason stays.
            Phase::Ended { .. } | Phase::Stopping { .. } => {}
            Phase::Waiting if attempt.launched.is_none() => {
                attempt.phase = Phase::Ended {
                    at: now,
                    end: End::Unneeded,
                };
            }
            // A refusal does not prove that there is no agent: throttling may have answered the repetition of a request whose reply was lost.
            Phase::Waiting | Phase::Launching | Phase::Running | Phase::Interrupted { .. } => {
                attempt.phase = Phase::Stopping { at: now, why };
                attempt.polled_at = now;
                if let Some(agent) = attempt.agent.clone() {
                    self.stop(&agent, why, now);
                } else {
                    self.search_instead_of_launch(number, now);
                }
            }
        }
    }
}
