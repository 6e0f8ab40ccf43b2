//! The slots of an agent template with `max-concurrent`: the builds that hold one, and the queue of builds that wait for one.
//!
//! A build acquires a slot before its first launch, and holds it until it has finished and nothing runs for it any more; a replacement uses its
//! build's slot. A build that waits for something else, such as a permission, releases the slot meanwhile and takes another turn later: a late event
//! of an earlier turn releases no slot. The pool stores builds by id, not as a count, so acquiring or releasing twice changes nothing, and the
//! outboxes on both sides repair lost calls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Ignored;
use crate::ids::{AgentName, BuildId};
use crate::outbox::{Effect, Outbox};
use crate::record::Decides;
use crate::time::later;

/// The most builds that can wait in one pool: with them its record stays well below the 400 KB of a DynamoDB item. Further builds are refused and
/// retry.
pub const MOST_WAITING: usize = 2_000;
/// How often Bellhop checks, while builds wait, whether the builds that hold or want a slot still exist.
pub const AUDIT_EVERY: Duration = Duration::from_secs(5 * 60);

/// The slots of an agent template: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The agent template.
    pub agent: AgentName,
    /// The number of slots, as the suite configuration had it for the newest build that asked.
    pub limit: u32,
    /// The builds that hold a slot, and since when.
    pub holders: BTreeMap<BuildId, Timestamp>,
    /// The builds that wait for a slot. The first is next.
    pub waiting: BTreeSet<Waiting>,
    /// The turns of builds that have had more than one.
    #[serde(default)]
    pub turns: BTreeMap<BuildId, u32>,
    /// When their existence was last checked.
    pub audited: Timestamp,
    /// Pending effects.
    pub outbox: Outbox<PoolEffect>,
}

/// A build that waits for a slot, ordered by its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Waiting {
    /// Since when it has been waiting.
    pub since: Timestamp,
    /// The build.
    pub build: BuildId,
}

/// An event for a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolEvent {
    /// A build requests a slot.
    Acquire {
        /// The build.
        build: BuildId,
        /// Since when it has been waiting.
        since: Timestamp,
        /// The current number of slots.
        limit: u32,
        /// How often it has released a slot before.
        turn: u32,
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
    /// Notify a build that it has a slot.
    Grant {
        /// The build.
        build: BuildId,
    },
    /// Check whether the builds that hold or want a slot still exist.
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
    pub fn new(agent: AgentName, now: Timestamp) -> Self {
        Self {
            agent,
            limit: 0,
            holders: BTreeMap::new(),
            waiting: BTreeSet::new(),
            turns: BTreeMap::new(),
            audited: now,
            outbox: Outbox::default(),
        }
    }

    /// When the sweep should process this pool next; `None` if no build waits and nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let audit = (!self.waiting.is_empty()).then(|| later(self.audited, AUDIT_EVERY));
        self.outbox.due().into_iter().chain(audit).min()
    }

    /// Grants free slots to waiting builds, in their order.
    fn fill(&mut self, now: Timestamp) {
        while self.holders.len() < usize::try_from(self.limit).unwrap_or(usize::MAX)
            && let Some(Waiting { build, .. }) = self.waiting.pop_first()
        {
            self.holders.insert(build.clone(), now);
            self.grant(&build, now);
        }
    }

    fn grant(&mut self, build: &BuildId, now: Timestamp) {
        if !self.granting(build) {
            self.outbox.push(PoolEffect::Grant { build: build.clone() }, now);
        }
    }

    fn granting(&self, wanted: &BuildId) -> bool {
        self.outbox
            .any(|effect| matches!(effect, PoolEffect::Grant { build } if build == wanted))
    }

    /// How often a build had released a slot before it requested the one that it holds or waits for.
    #[must_use]
    pub fn turn(&self, build: &BuildId) -> u32 {
        self.turns.get(build).copied().unwrap_or(0)
    }

    fn remove(&mut self, gone: &BuildId) {
        self.turns.remove(gone);
        self.holders.remove(gone);
        self.waiting.retain(|waiting| waiting.build != *gone);
        self.outbox
            .remove_where(|pending| matches!(&pending.effect, PoolEffect::Grant { build } if build == gone));
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

    fn apply(&mut self, event: &PoolEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            PoolEvent::Acquire { build, since, limit, turn } => {
                self.limit = *limit;
                if *turn > self.turn(build) {
                    self.turns.insert(build.clone(), *turn);
                }
                if self.holders.contains_key(build) {
                    // The build does not know that it already holds a slot, so it is notified again.
                    self.grant(build, now);
                } else if !self.waiting.iter().any(|waiting| waiting.build == *build) {
                    // The turns also take space in the record.
                    if self.waiting.len() + self.turns.len() >= MOST_WAITING + usize::from(*turn > 0) {
                        self.turns.remove(build);
                        return Err(Ignored::Full);
                    }
                    if self.waiting.is_empty() {
                        self.audited = now;
                    }
                    self.waiting.insert(Waiting {
                        since: *since,
                        build: build.clone(),
                    });
                }
            }
            PoolEvent::Release { build, turn } => {
                if *turn < self.turn(build) {
                    return Err(Ignored::Stale);
                }
                self.remove(build);
            }
            PoolEvent::Gone(builds) => {
                for build in builds {
                    self.remove(build);
                }
            }
            PoolEvent::Tick => {
                if !self.waiting.is_empty() && later(self.audited, AUDIT_EVERY) <= now {
                    self.audited = now;
                    if !self.outbox.any(|effect| *effect == PoolEffect::Audit) {
                        self.outbox.push(PoolEffect::Audit, now);
                    }
                }
            }
        }
        self.fill(now);
        Ok(())
    }

    /// Never: notifications of records are not abandoned, and neither is an audit.
    fn abandoned(&mut self, _: PoolEffect, _: &str, _: Timestamp) {}
}

#[cfg(test)]
mod tests;
