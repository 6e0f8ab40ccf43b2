//! The launch of an attempt, from the release of the build to the acceptance by the service. Refusals are in `refusal.rs`.

use jiff::Timestamp;

use super::attempt::Attempt;
use super::effect::BuildEffect;
use super::record::Build;
use super::state::{BuildState, Phase};
use crate::decision::Ignored;
use crate::executor::Capacity;
use crate::executor::observation::{AgentStatus, Observation};
use crate::ids::AgentId;
use crate::spec::BuildSpec;

impl Build {
    /// A build without needs: the launch of its first attempt is in its outbox.
    #[must_use]
    pub fn ready(spec: BuildSpec, now: Timestamp) -> Self {
        let mut build = Self::blocked(spec, now);
        build.release(now);
        build
    }

    /// Starts the first attempt.
    pub(super) fn release(&mut self, now: Timestamp) {
        let wanted = if self.spec.critical { Capacity::OnDemand } else { Capacity::Spot };
        let capacity = self.spec.executor.nearest(wanted);
        self.attempts.push(Attempt::new(1, capacity, now));
        self.launch_in_slot(now);
    }

    /// Launches the current attempt.
    pub(super) fn launch(&mut self, now: Timestamp) {
        self.state = BuildState::Active;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.phase = Phase::Launching;
            attempt.launched = Some(now);
            attempt.polled_at = now;
            self.outbox.push(
                BuildEffect::Launch {
                    attempt: attempt.number,
                    capacity: attempt.capacity,
                    round: attempt.round,
                },
                now,
            );
        }
    }

    /// The service accepted a launch: its agent counts as starting.
    pub(super) fn launch_accepted(&mut self, number: u32, capacity: Capacity, agent: &AgentId, now: Timestamp) -> Result<(), Ignored> {
        if let Some(stray) = self.strays.iter().find(|stray| stray.agent == *agent) {
            let stopped = stray.stopped;
            return self.launch_returned_stray(number, capacity, stopped, now);
        }
        let cleared = self.clear_launch(number, capacity);
        let observation = Observation {
            agent: agent.clone(),
            version: None,
            capacity: Some(capacity),
            status: AgentStatus::Starting,
        };
        match self.observed(number, &observation, now) {
            Err(_) if cleared => Ok(()),
            result => result,
        }
    }

    /// Whether a launch of the current attempt is in progress and has no result yet.
    pub(super) fn awaits_launch(&self, number: u32, capacity: Capacity) -> bool {
        self.outcome().is_none()
            && self.attempts.last().is_some_and(|attempt| {
                attempt.number == number && attempt.capacity == capacity && attempt.phase == Phase::Launching && attempt.agent.is_none()
            })
    }

    /// Removes a pending launch. Returns whether there was one.
    pub(super) fn clear_launch(&mut self, number: u32, on: Capacity) -> bool {
        self.outbox.remove_where(
            |pending| matches!(&pending.effect, BuildEffect::Launch { attempt, capacity, .. } if *attempt == number && *capacity == on),
        )
    }
}
