//! The decision about an event. [`Build::decide`] is total: every state handles every event, most often as "ignored".

use jiff::Timestamp;

use super::event::BuildEvent;
use super::record::Build;
use super::state::BuildState;
use crate::decision::{Decision, Ignored};

impl Build {
    /// Decides the next state of this build after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &BuildEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) => {
                if self.something_runs() {
                    next.announce_stopped(now);
                }
                next.release_unused_slot(now);
                Decision::Next(Box::new(next))
            }
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &BuildEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            BuildEvent::Released => match self.state {
                BuildState::Blocked => {
                    self.release(now);
                    Ok(())
                }
                BuildState::Finished { .. } => Err(Ignored::Over),
                BuildState::Waiting | BuildState::Queued { .. } | BuildState::Active => Err(Ignored::NothingNew),
            },
            BuildEvent::Granted { turn } => self.slot_granted(*turn, now),
            BuildEvent::Cancelled { outcome, cause } => self.cancelled(*outcome, cause, now),
            BuildEvent::Collected { attempt, found } => self.collected(*attempt, Some(found.clone()), now),
            BuildEvent::Skipped { because } => self.skipped(because, now),
            BuildEvent::LaunchAccepted { attempt, capacity, agent } => self.launch_accepted(*attempt, *capacity, agent, now),
            BuildEvent::LaunchRefused {
                attempt,
                capacity,
                round,
                refusal,
                spent,
            } => self.launch_refused(*attempt, (*capacity, *round), refusal, *spent, now),
            BuildEvent::Agent { attempt, observation } => self.observed(*attempt, observation, now),
            BuildEvent::Deferred(id, why) => self.deferred(*id, why, now),
            BuildEvent::Performed(id) => {
                if self.outbox.remove(*id) {
                    Ok(())
                } else {
                    Err(Ignored::NothingNew)
                }
            }
            BuildEvent::Tick { looked } => self.tick((*looked).min(now), now),
        }
    }
}
