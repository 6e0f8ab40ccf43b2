//! The slots of an agent template with `max-concurrent`: the builds that hold one.
//!
//! A build acquires a slot before its first launch, and holds it until it has finished and nothing runs for it any more; a replacement uses its
//! build's slot. A build that waits for something else, such as a permission, releases the slot meanwhile and takes another turn later: a late event
//! of an earlier turn releases no slot. The pool stores builds by id, not as a count, so acquiring or releasing twice changes nothing, and the
//! outboxes on both sides repair lost calls.
//!
//! Builds that wait are [records of their own](super::line). The pool knows only that there may be some ([`Pool::queued`]): the engine reads the first
//! of them with each event after which a slot is free, and this decides which of them get one. That is safe without a transaction over both records:
//!
//! - A build is put in line first, and the pool is notified afterwards, which always changes the pool ([`Pool::queued_up`]). So an event that had read the
//!   line before meets a conflict, and reads it again.
//! - A build leaves the line after it was notified of its slot. If the function dies in between, the pending [`PoolEffect::Grant`] names the build's place
//!   in line, and it is performed again. A build in line that holds a slot already gets no second one.
//! - A build that is over and still in line gets a slot, and releases it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::line::{Line, Waiting};
use crate::decision::Ignored;
use crate::ids::{BuildId, PoolName, RepositoryName};
use crate::outbox::{Effect, Outbox};
use crate::record::Decides;
use crate::time::later;

/// The most slots of an agent template: with as many holders the record stays below the 400 KB of a DynamoDB item.
pub const MOST_SLOTS: u32 = 2_000;
/// The most slots that are granted to waiting builds at a time: the rest follows once these builds were notified.
pub const AT_ONCE: usize = 16;
/// How often Bellhop checks, while builds wait, whether the builds that hold a slot still exist.
pub const AUDIT_EVERY: Duration = Duration::from_secs(5 * 60);

/// The slots of an agent template, or a lock, which is one slot: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The name of the agent template, or of the lock.
    #[serde(rename = "agent")]
    pub name: PoolName,
    /// The number of slots, as the suite configuration had it for the newest build that asked.
    pub limit: u32,
    /// The builds that hold a slot, and since when.
    pub holders: BTreeMap<BuildId, Timestamp>,
    /// Builds that waited for a slot before waiting builds had records of their own. The first is next, before all others.
    #[serde(default, rename = "waiting")]
    pub waiting_before: BTreeSet<WaitingBefore>,
    /// The turns of holders that have had more than one.
    #[serde(default)]
    pub turns: BTreeMap<BuildId, u32>,
    /// Whether builds may be in line. A record without it is of a function that knows no line, and may have dropped it.
    #[serde(default = "unknown")]
    pub queued: bool,
    /// How often a build has queued up.
    #[serde(default)]
    pub queued_up: u64,
    /// The repository of the last build that got a slot: the repository after it is next.
    #[serde(default)]
    pub last: Option<RepositoryName>,
    /// When the holders' existence was last checked.
    pub audited: Timestamp,
    /// Pending effects.
    pub outbox: Outbox<PoolEffect>,
}

/// A build that waits for a slot, as records of earlier versions have it. Ordered by its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WaitingBefore {
    /// Since when it has been waiting.
    pub since: Timestamp,
    /// The build.
    pub build: BuildId,
}

/// Builds may be in line.
fn unknown() -> bool {
    true
}

/// An event for a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolEvent {
    /// What happened.
    pub change: PoolChange,
    /// The builds that are next in line; none if they were not read.
    pub line: Option<Line>,
}

impl From<PoolChange> for PoolEvent {
    fn from(change: PoolChange) -> Self {
        Self { change, line: None }
    }
}

/// What happened to a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolChange {
    /// A build requests a slot. It gets one at once, or must queue up ([`Ignored::Full`]).
    Acquire {
        /// The build, as it would be in line.
        waiting: Waiting,
        /// The current number of slots.
        limit: u32,
        /// Whether it may have requested this slot before, so that it may be in line.
        again: bool,
    },
    /// A build has queued up.
    Queued {
        /// The current number of slots.
        limit: u32,
    },
    /// A build needs no slot, or none any more.
    Release {
        /// The build.
        build: BuildId,
        /// The turn that ends.
        turn: u32,
    },
    /// Builds that have finished, or that are no longer in the ledger.
    Gone(Vec<BuildId>),
    /// Time has passed.
    Tick,
}

/// An effect of a pool. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolEffect {
    /// Notify a build that it has a slot, and take it out of the line.
    Grant {
        /// The build.
        build: BuildId,
        /// Its place in line, if it may have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waiting: Option<Waiting>,
    },
    /// Check whether the builds that hold a slot still exist.
    Audit,
}

impl Effect for PoolEffect {
    /// Never: one record notifies another.
    fn abandoned_after(&self) -> Option<Duration> {
        None
    }
}

impl Pool {
    /// A pool without requests.
    #[must_use]
    pub fn new(name: PoolName, now: Timestamp) -> Self {
        Self {
            name,
            limit: 0,
            holders: BTreeMap::new(),
            waiting_before: BTreeSet::new(),
            turns: BTreeMap::new(),
            queued: false,
            queued_up: 0,
            last: None,
            audited: now,
            outbox: Outbox::default(),
        }
    }

    /// When the sweep should process this pool next; `None` if no build waits and nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let audit = self.may_wait().then(|| later(self.audited, AUDIT_EVERY));
        self.outbox.due().into_iter().chain(audit).min()
    }

    /// Whether builds may wait for a slot.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.queued || !self.waiting_before.is_empty()
    }

    /// How many slots are free.
    #[must_use]
    pub fn free(&self) -> usize {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        limit.saturating_sub(self.holders.len())
    }

    /// How many builds of the line an event may grant slots to: so many have to be read for it.
    #[must_use]
    pub fn wants_of_line(&self, change: &PoolChange, now: Timestamp) -> usize {
        let mut next = self.clone();
        if next.change(change, now).is_err() || !next.queued {
            return 0;
        }
        next.fill(None, now);
        next.free().min(AT_ONCE.saturating_sub(next.grants()))
    }

    /// How often a build had released a slot before it requested the one that it holds.
    #[must_use]
    pub fn turn(&self, build: &BuildId) -> u32 {
        self.turns.get(build).copied().unwrap_or(0)
    }

    /// Whether a build in line has got the slot that it waits for.
    #[must_use]
    pub fn serves(&self, waiting: &Waiting) -> bool {
        let holds = self.holders.contains_key(&waiting.build) && self.turn(&waiting.build) >= waiting.turn;
        holds || self.takes_out(waiting)
    }

    /// Whether a pending grant takes a build out of the line.
    #[must_use]
    pub fn takes_out(&self, waiting: &Waiting) -> bool {
        let own = |effect: &PoolEffect| matches!(effect, PoolEffect::Grant { waiting: Some(place), .. } if place == waiting);
        self.outbox.any(own)
    }

    fn grants(&self) -> usize {
        let pending = self.outbox.pending().iter();
        pending.filter(|pending| matches!(pending.effect, PoolEffect::Grant { .. })).count()
    }

    fn grant(&mut self, build: &BuildId, waiting: Option<&Waiting>, now: Timestamp) {
        let grant = PoolEffect::Grant {
            build: build.clone(),
            waiting: waiting.cloned(),
        };
        if !self.outbox.any(|effect| *effect == grant) {
            self.outbox.push(grant, now);
        }
    }

    fn hold(&mut self, build: &BuildId, turn: u32, now: Timestamp) {
        self.holders.entry(build.clone()).or_insert(now);
        if turn > self.turn(build) {
            self.turns.insert(build.clone(), turn);
        }
    }

    /// Grants free slots to waiting builds, in their order.
    fn fill(&mut self, line: Option<&Line>, now: Timestamp) {
        while self.free() > 0
            && self.grants() < AT_ONCE
            && let Some(WaitingBefore { build, .. }) = self.waiting_before.pop_first()
        {
            self.hold(&build, 0, now);
            self.grant(&build, None, now);
        }
        let Some(line) = line.filter(|_| self.waiting_before.is_empty()) else {
            return;
        };
        let mut served = 0;
        for waiting in &line.next {
            let is_holder = self.holders.contains_key(&waiting.build);
            if self.grants() >= AT_ONCE || (self.free() == 0 && !is_holder) {
                break;
            }
            served += 1;
            if !self.serves(waiting) {
                self.hold(&waiting.build, waiting.turn, now);
                self.grant(&waiting.build, Some(waiting), now);
                if !is_holder {
                    self.last = Some(waiting.repository.clone());
                }
            }
        }
        if line.is_all && served == line.next.len() {
            self.queued = false;
        }
    }

    fn change(&mut self, change: &PoolChange, now: Timestamp) -> Result<(), Ignored> {
        match change {
            PoolChange::Acquire { waiting, limit, again } => {
                self.limit = (*limit).min(MOST_SLOTS);
                if self.holders.contains_key(&waiting.build) {
                    // The build does not know that it already holds a slot, so it is notified again.
                    self.hold(&waiting.build, waiting.turn, now);
                    self.grant(&waiting.build, again.then_some(waiting), now);
                }
            }
            PoolChange::Queued { limit } => {
                self.limit = (*limit).min(MOST_SLOTS);
                self.queued_up += 1;
                if !self.may_wait() {
                    self.audited = now;
                }
                self.queued = true;
            }
            PoolChange::Release { build, turn } => {
                if *turn < self.turn(build) {
                    return Err(Ignored::Stale);
                }
                self.remove(build);
            }
            PoolChange::Gone(builds) => {
                for build in builds {
                    self.remove(build);
                }
            }
            PoolChange::Tick => {
                if self.may_wait() && later(self.audited, AUDIT_EVERY) <= now {
                    self.audited = now;
                    if !self.outbox.any(|effect| *effect == PoolEffect::Audit) {
                        self.outbox.push(PoolEffect::Audit, now);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a build's slot away. A grant with a place in line stays: the build has yet to be taken out of the line.
    fn remove(&mut self, gone: &BuildId) {
        self.turns.remove(gone);
        self.holders.remove(gone);
        self.waiting_before.retain(|waiting| waiting.build != *gone);
        self.outbox
            .remove_where(|pending| matches!(&pending.effect, PoolEffect::Grant { build, waiting: None } if build == gone));
    }
}

impl Decides for Pool {
    type Event = PoolEvent;
    type Effect = PoolEffect;

    fn outbox(&self) -> &Outbox<PoolEffect> {
        &self.outbox
    }

    fn outbox_mut(&mut self) -> &mut Outbox<PoolEffect> {
        &mut self.outbox
    }

    fn apply(&mut self, PoolEvent { change, line }: &PoolEvent, now: Timestamp) -> Result<(), Ignored> {
        self.change(change, now)?;
        self.fill(line.as_ref(), now);
        if let PoolChange::Acquire { waiting, again, .. } = change
            && !self.holders.contains_key(&waiting.build)
        {
            // It comes after all that wait.
            if self.free() == 0 || self.may_wait() {
                return Err(Ignored::Full);
            }
            self.hold(&waiting.build, waiting.turn, now);
            self.grant(&waiting.build, again.then_some(waiting), now);
            self.last = Some(waiting.repository.clone());
        }
        Ok(())
    }

    /// Never: notifications of records are not abandoned, and neither is an audit.
    fn abandoned(&mut self, _: PoolEffect, _: &str, _: Timestamp) {}
}

#[cfg(test)]
mod tests;
