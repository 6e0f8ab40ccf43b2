//! The decision about an event. [`Decides::decide`] is total: every state handles every event, most often as "ignored".

use jiff::Timestamp;

use super::effect::BuildEffect;
use super::event::BuildEvent;
use super::record::Build;
use super::state::BuildState;
use crate::decision::Ignored;
use crate::outbox::Outbox;
use crate::record::Decides;

impl Decides for Build {
    type Event = BuildEvent;
    type Effect = BuildEffect;

    fn outbox(&self) -> &Outbox<BuildEffect> {
        &self.outbox
    }

    fn outbox_mut(&mut self) -> &mut Outbox<BuildEffect> {
        &mut self.outbox
    }

    fn abandoned(&mut self, effect: BuildEffect, why: &str, now: Timestamp) {
        self.effect_abandoned(effect, why, now);
    }

    fn failed(&mut self, effect: &BuildEffect, why: &str, _: Timestamp) {
        self.effect_failed(effect, why);
    }

    fn settle(&mut self, before: &Self, now: Timestamp) {
        if before.something_runs() {
            self.announce_stopped(now);
        }
        self.release_unused_slot(now);
        self.release_unused_lock(now);
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
            BuildEvent::InputsFound(found) => self.inputs_found(found, now),
            BuildEvent::LockGranted => self.lock_granted(now),
            BuildEvent::Cancelled { outcome, cause } => self.cancelled(*outcome, cause, now),
            BuildEvent::Collected { attempt, results } => self.collected(*attempt, Some(results.clone()), now),
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
            BuildEvent::Reported {
                attempt,
                observation,
                placement,
            } => self.reported(*attempt, observation, placement, now),
            BuildEvent::Searched { attempt, found } => self.searched(*attempt, found, now),
            BuildEvent::Tick { polled_at } => self.tick((*polled_at).min(now), now),
        }
    }
}
