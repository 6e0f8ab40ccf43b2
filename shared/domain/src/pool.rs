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

use crate::decision::{Decision, Ignored};
use crate::ids::{AgentName, BuildId};
use crate::outbox::{Effect, EffectId, Outbox, later};

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
    Ask {
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
    Leave {
        /// The build.
        build: BuildId,
        /// The turn that ends.
        turn: u32,
    },
    /// Builds that have finished, or that are no longer in the ledger.
    Gone(Vec<BuildId>),
    /// An effect was performed.
    Performed(EffectId),
    /// An effect failed for this reason; it stays in the outbox.
    Deferred(EffectId, String),
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

    /// Decides the next state of this pool after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &PoolEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) => Decision::Next(Box::new(next)),
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &PoolEvent, now: Timestamp) -> Result<(), Ignored> {
        let before = self.clone();
        match event {
            PoolEvent::Ask { build, since, limit, turn } => {
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
            PoolEvent::Leave { build, turn } => {
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
            PoolEvent::Performed(id) => {
                self.outbox.remove(*id);
            }
            PoolEvent::Deferred(id, _) => {
                self.outbox.defer(*id, now);
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
        if *self == before { Err(Ignored::NothingNew) } else { Ok(()) }
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::testing::t;

    fn id(job: &str) -> BuildId {
        format!("abcdefghij/{job}").parse().unwrap()
    }

    fn pool() -> Pool {
        Pool::new("small".parse().unwrap(), t(0))
    }

    fn take(pool: &Pool, event: &PoolEvent, at: i64) -> Pool {
        match pool.decide(event, t(at)) {
            Decision::Next(next) => *next,
            Decision::Ignored(_) => pool.clone(),
        }
    }

    fn ask(pool: &Pool, job: &str, since: i64, limit: u32) -> Pool {
        let event = PoolEvent::Ask {
            build: id(job),
            since: t(since),
            limit,
            turn: 0,
        };
        take(pool, &event, since)
    }

    fn leave(pool: &Pool, job: &str) -> Pool {
        take(pool, &PoolEvent::Leave { build: id(job), turn: 0 }, 100)
    }

    fn grants(pool: &Pool) -> Vec<String> {
        pool.outbox
            .pending()
            .iter()
            .map(|pending| match &pending.effect {
                PoolEffect::Grant { build } => build.job.to_string(),
                PoolEffect::Audit => "audit".to_owned(),
            })
            .collect()
    }

    fn perform_all(pool: &Pool) -> Pool {
        let done: Vec<EffectId> = pool.outbox.pending().iter().map(|pending| pending.id).collect();
        done.iter()
            .fold(pool.clone(), |pool, id| take(&pool, &PoolEvent::Performed(*id), 0))
    }

    #[test]
    fn places_go_to_the_first_and_then_to_those_who_wait_longest() {
        let pool = ask(&ask(&ask(&ask(&pool(), "a", 0, 2), "b", 1, 2), "d", 4, 2), "c", 3, 2);
        assert_eq!(grants(&pool), ["a", "b"]);
        let pool = leave(&perform_all(&pool), "b");
        assert_eq!(grants(&pool), ["c"]);
        let pool = leave(&leave(&perform_all(&pool), "a"), "c");
        assert_eq!(grants(&pool), ["d"]);
        let pool = leave(&pool, "d");
        assert_eq!((pool.holders.len(), pool.waiting.len(), grants(&pool).len()), (0, 0, 0));
        assert_eq!(pool.due(), None);
    }

    #[test]
    fn asking_twice_takes_one_place_and_leaving_twice_frees_one() {
        let pool = ask(&ask(&ask(&ask(&pool(), "a", 0, 1), "a", 0, 1), "b", 1, 1), "b", 1, 1);
        assert_eq!((pool.holders.len(), pool.waiting.len()), (1, 1));
        assert_eq!(grants(&pool), ["a"]);
        let pool = leave(&leave(&perform_all(&pool), "a"), "a");
        assert_eq!(grants(&pool), ["b"]);
        assert_eq!(
            pool.decide(&PoolEvent::Leave { build: id("a"), turn: 0 }, t(9)),
            Decision::Ignored(Ignored::NothingNew)
        );
    }

    #[test]
    fn a_holder_that_asks_again_did_not_hear_of_its_place() {
        let pool = perform_all(&ask(&pool(), "a", 0, 1));
        assert_eq!(grants(&ask(&pool, "a", 0, 1)), ["a"]);
    }

    #[test]
    fn what_is_heard_late_of_an_earlier_turn_takes_no_place_away() {
        let again = |pool: &Pool, turn| {
            let (build, since, limit) = (id("a"), t(5), 1);
            take(pool, &PoolEvent::Ask { build, since, limit, turn }, 5)
        };
        let first = perform_all(&ask(&pool(), "a", 0, 1));
        let late = PoolEvent::Leave { build: id("a"), turn: 0 };
        for pool in [
            again(&leave(&first, "a"), 1),
            again(&first, 1),
            again(&ask(&leave(&first, "a"), "a", 0, 1), 1),
        ] {
            assert_eq!((pool.holders.len(), pool.turn(&id("a"))), (1, 1));
            assert_eq!(grants(&pool), ["a"]);
            assert_eq!(pool.decide(&late, t(6)), Decision::Ignored(Ignored::Stale));
            let left = take(&pool, &PoolEvent::Leave { build: id("a"), turn: 1 }, 7);
            assert_eq!((left.holders.len(), left.turns.len()), (0, 0));
        }
    }

    #[test]
    fn a_limit_that_changes_counts_from_the_next_build_on() {
        let pool = ask(&ask(&ask(&pool(), "a", 0, 1), "b", 1, 1), "c", 2, 3);
        assert_eq!(grants(&pool), ["a", "b", "c"]);
        let pool = ask(&perform_all(&pool), "d", 3, 1);
        assert_eq!(grants(&pool), [""; 0]);
        let pool = leave(&leave(&pool, "a"), "b");
        assert_eq!(grants(&pool), [""; 0], "one of three is still there, and one is the limit");
        assert_eq!(grants(&leave(&pool, "c")), ["d"]);
    }

    #[test]
    fn those_who_are_gone_are_found_out_while_somebody_waits() {
        let pool = perform_all(&ask(&ask(&pool(), "a", 0, 1), "b", 1, 1));
        let due = pool.due().unwrap();
        assert_eq!(due, later(t(1), AUDIT_EVERY));
        assert_eq!(pool.decide(&PoolEvent::Tick, t(60)), Decision::Ignored(Ignored::NothingNew));
        let audited = take(&pool, &PoolEvent::Tick, 301);
        assert_eq!(grants(&audited), ["audit"]);
        let freed = take(&perform_all(&audited), &PoolEvent::Gone(vec![id("a")]), 400);
        assert_eq!(grants(&freed), ["b"]);
    }

    #[test]
    fn a_full_pool_turns_away_and_forgets_nobody() {
        let mut full = ask(&pool(), "a", 0, 1);
        for index in 0..MOST_WAITING {
            full = ask(&full, &format!("w{index}"), 1, 1);
        }
        let late = PoolEvent::Ask {
            build: id("late"),
            since: t(5),
            limit: 1,
            turn: 0,
        };
        assert_eq!(full.decide(&late, t(5)), Decision::Ignored(Ignored::Full));
        assert!(serde_json::to_string(&full).unwrap().len() < 390_000);
        let freed = leave(&full, "a");
        assert!(matches!(freed.decide(&late, t(6)), Decision::Next(_)));
    }
}
