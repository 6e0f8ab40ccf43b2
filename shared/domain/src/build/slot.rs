//! The slot of a build whose agent template has a limit: acquired before the first launch, held while something runs, released afterwards. A request
//! after a release begins another turn, so that a late grant of an earlier turn is not mistaken for the current one.

use jiff::Timestamp;

use super::effect::BuildEffect;
use super::record::Build;
use super::state::{BuildState, Phase, Slot};
use crate::decision::Ignored;
use crate::queue::line::Waiting;

impl Build {
    /// Launches the current attempt, or acquires the lock and the slot that it needs first.
    pub(super) fn launch_in_slot(&mut self, now: Timestamp) {
        let waits = self.spec.inputs.are_open() || self.lacks_lock() || self.lacks_slot();
        // Its time in the queue begins when it first waits for its turn, even if the sweep processes it late.
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| waits && attempt.launched.is_none()) {
            attempt.queued = now;
        }
        self.take_turns(now);
    }

    fn lacks_slot(&self) -> bool {
        self.spec.limit.is_some() && self.slot != Slot::Held
    }

    /// The next step towards the launch of the current attempt: what it takes from other builds, the lock, the slot, the launch.
    pub(super) fn take_turns(&mut self, now: Timestamp) {
        let (lacks_inputs, lacks_lock, lacks_slot) = (self.spec.inputs.are_open(), self.lacks_lock(), self.lacks_slot());
        if !lacks_inputs && !lacks_lock && !lacks_slot {
            return self.launch(now);
        }
        self.state = BuildState::Waiting;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.phase = Phase::Waiting;
        }
        if lacks_inputs {
            self.find_inputs(now);
        } else if lacks_lock {
            self.acquire_lock(now);
        } else {
            self.acquire_slot(now);
        }
    }

    /// Requests a slot from the pool.
    pub(super) fn acquire_slot(&mut self, now: Timestamp) {
        if self.slot == Slot::Released {
            self.turn = self.turn.saturating_add(1);
        }
        // Another attempt of a build that already waits keeps the build's place in line.
        if self.slot != Slot::Requested {
            self.slot_requested = Some(self.attempts.last().map_or(self.created, |attempt| attempt.queued));
        }
        self.slot = Slot::Requested;
        // A release that was not performed yet would take the slot away from what runs in it by now: the pool keeps it for the next turn.
        let replaced = |effect: &BuildEffect| matches!(effect, BuildEffect::AcquireSlot | BuildEffect::ReleaseSlot { waited: None, .. });
        self.outbox.remove_where(|pending| replaced(&pending.effect));
        self.outbox.push(BuildEffect::AcquireSlot, now);
    }

    /// The pool granted a slot.
    pub(super) fn slot_granted(&mut self, turn: u32, now: Timestamp) -> Result<(), Ignored> {
        match self.slot {
            // The grant is for an earlier turn; the current request has no answer yet.
            Slot::Requested | Slot::Held if turn < self.turn => Err(Ignored::Stale),
            Slot::Requested => {
                self.slot = Slot::Held;
                self.outbox.remove_where(|pending| pending.effect == BuildEffect::AcquireSlot);
                if self.state == BuildState::Waiting {
                    self.take_turns(now);
                }
                Ok(())
            }
            Slot::Held => Err(Ignored::NothingNew),
            // It requested a slot twice, and the second request arrived after its release. A pending release may have arrived before that, so it
            // proves nothing: another release replaces it.
            Slot::None | Slot::Released => {
                self.release_slot(now);
                Ok(())
            }
        }
    }

    /// Releases the build's slot once it has finished and nothing runs for it any more.
    pub(super) fn release_unused_slot(&mut self, now: Timestamp) {
        let has_one = matches!(self.slot, Slot::Requested | Slot::Held);
        if has_one && self.outcome().is_some() && !self.something_runs() {
            self.release_slot(now);
        }
    }

    /// Returns the slot to the pool, or withdraws the request for one.
    pub(super) fn release_slot(&mut self, now: Timestamp) {
        // A release that was not performed yet, and is replaced, may have to take the build out of the line.
        let replaced = self.outbox.pending().iter().find_map(|pending| match pending.effect {
            BuildEffect::ReleaseSlot { waited, .. } => waited,
            _ => None,
        });
        let waited = match self.slot {
            Slot::Requested => Some(self.in_line(self.turn).since),
            _ => replaced,
        };
        self.slot = Slot::Released;
        self.outbox
            .remove_where(|pending| matches!(pending.effect, BuildEffect::AcquireSlot | BuildEffect::ReleaseSlot { .. }));
        self.outbox.push(BuildEffect::ReleaseSlot { turn: self.turn, waited }, now);
    }

    /// The build as it is in line for a slot, in one of its turns.
    #[must_use]
    pub fn in_line(&self, turn: u32) -> Waiting {
        let queued = self.attempts.last().map_or(self.created, |attempt| attempt.queued);
        Waiting {
            pool: self.spec.agent.clone().into(),
            repository: self.spec.repository.clone(),
            since: self.slot_requested.unwrap_or(queued),
            build: self.spec.id.clone(),
            turn,
        }
    }

    /// Why a build without its lock, or without a slot, waits.
    pub(super) fn turn_of_others(&self) -> String {
        if self.spec.inputs.are_open() {
            return "the files that it fetches have not been listed".to_owned();
        }
        if let Some(why) = self.lock_in_use() {
            return why;
        }
        format!(
            "all {} slots of the agent `{}` were in use",
            self.spec.limit.unwrap_or_default(),
            self.spec.agent
        )
    }
}
