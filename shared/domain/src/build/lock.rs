//! The lock of a build: while it holds the lock, no build of another run of the repository with the same `lock` has an agent.
//!
//! A build acquires its lock before the slot of its agent template, so that a build that waits for the lock takes no slot. It holds the lock through all of
//! its attempts, and releases it when it has finished and each of its agents is proven stopped. An agent that counts as lost may still be running: it is
//! polled until the service says that it has stopped, or no longer lists it. A launch whose reply was lost may have started an agent: the lock is kept until
//! that was searched for (`orphan`).

use jiff::Timestamp;

use super::attempt::{Attempt, Stray};
use super::effect::BuildEffect;
use super::record::Build;
use super::state::{BuildState, Slot};
use crate::decision::Ignored;
use crate::ids::PoolName;
use crate::queue::line::Waiting;

/// The builds that may hold a lock at a time.
pub const LOCK_LIMIT: u32 = 1;

impl Build {
    /// Whether it must acquire its lock before its next launch.
    pub(super) fn lacks_lock(&self) -> bool {
        self.spec.lock.is_some() && self.lock != Slot::Held
    }

    /// Requests the lock.
    pub(super) fn acquire_lock(&mut self, now: Timestamp) {
        if self.lock == Slot::Requested {
            return;
        }
        self.lock = Slot::Requested;
        self.lock_requested = Some(self.attempts.last().map_or(self.created, |attempt| attempt.queued));
        self.outbox.push(BuildEffect::AcquireLock, now);
    }

    /// The build has the lock.
    pub(super) fn lock_granted(&mut self, now: Timestamp) -> Result<(), Ignored> {
        match self.lock {
            Slot::Requested => {
                self.lock = Slot::Held;
                self.outbox.remove_where(|pending| pending.effect == BuildEffect::AcquireLock);
                if self.state == BuildState::Waiting {
                    self.take_turns(now);
                }
                Ok(())
            }
            Slot::Held => Err(Ignored::NothingNew),
            // It requested the lock twice, and the second request arrived after its release.
            Slot::None | Slot::Released => {
                self.release_lock(now);
                Ok(())
            }
        }
    }

    /// Releases the lock once the build has finished and each of its agents is proven stopped.
    pub(super) fn release_unused_lock(&mut self, now: Timestamp) {
        let has_it = matches!(self.lock, Slot::Requested | Slot::Held);
        if has_it && self.outcome().is_some() && !self.something_may_run() {
            self.release_lock(now);
        }
    }

    fn release_lock(&mut self, now: Timestamp) {
        // A release that was not performed yet, and is replaced, may have to take the build out of the line.
        let replaced = self.outbox.pending().iter().find_map(|pending| match pending.effect {
            BuildEffect::ReleaseLock { waited } => waited,
            _ => None,
        });
        let waited = if self.lock == Slot::Requested {
            self.lock_requested
        } else {
            replaced
        };
        self.lock = Slot::Released;
        self.outbox
            .remove_where(|pending| matches!(pending.effect, BuildEffect::AcquireLock | BuildEffect::ReleaseLock { .. }));
        self.outbox.push(BuildEffect::ReleaseLock { waited }, now);
    }

    /// Whether an agent runs for it, or may run: one that counts as lost, or one that a lost reply left behind and that is searched for.
    pub(super) fn something_may_run(&self) -> bool {
        let lost = self.attempts.iter().any(Attempt::may_run_on) || self.strays.iter().any(Stray::may_run_on);
        self.something_runs() || lost || self.may_have_orphans()
    }

    /// Whether it has finished and is only polled because it keeps its lock: an agent that counts as lost may still be running.
    #[must_use]
    pub fn only_keeps_lock(&self) -> bool {
        let is_over = self.outcome().is_some() && !self.something_runs() && !self.may_have_orphans() && self.outbox.pending().is_empty();
        is_over && self.lock == Slot::Held && self.something_may_run()
    }

    /// The build as it is in line for its lock; `None` if it has none.
    #[must_use]
    pub fn in_line_for_lock(&self) -> Option<Waiting> {
        Some(Waiting {
            pool: self.spec.lock.clone()?,
            repository: self.spec.repository.clone(),
            since: self.lock_requested.unwrap_or(self.created),
            build: self.spec.id.clone(),
            turn: 0,
        })
    }

    /// Whether it has finished, and neither holds this slot or lock nor waits for it. One that has not finished may continue at any moment, and releases
    /// it itself.
    #[must_use]
    pub fn has_left(&self, pool: &PoolName) -> bool {
        self.outcome().is_some() && matches!(self.slot_in(pool), Slot::None | Slot::Released)
    }

    /// Its slot of its agent template, or its lock.
    #[must_use]
    pub fn slot_in(&self, pool: &PoolName) -> Slot {
        if self.spec.lock.as_ref() == Some(pool) {
            self.lock
        } else {
            self.slot
        }
    }

    /// Why a finished build still has its lock, if only a lost agent keeps it.
    pub(super) fn keeps_lock(&self) -> Option<String> {
        let lock = self.spec.lock.as_ref().filter(|_| self.only_keeps_lock())?;
        Some(format!(
            "it keeps the lock `{}` until its agent, which counts as lost, has stopped",
            lock.last()
        ))
    }

    /// Why a build without its lock waits.
    pub(super) fn lock_in_use(&self) -> Option<String> {
        let lock = self.spec.lock.as_ref().filter(|_| self.lacks_lock())?;
        Some(format!("another build holds the lock `{}`", lock.last()))
    }
}
