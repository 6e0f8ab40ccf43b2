//! Effects as data, stored with the state that decided them.
//!
//! The write that stores a decision also stores its effects; the write that stores an effect's result removes it. If a function stops in between, the
//! sweep performs the effect again, so every effect is idempotent.
//!
//! Every effect ends: it is performed, or, if an external service refuses it for too long, it is abandoned and reported.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::shown;
use crate::time::doubled;
pub(crate) use crate::time::later;

/// How long an effect may stay pending before the sweep performs it: longer than the function that committed it can still be running (its time limit
/// is one minute).
pub const PERFORM_WITHIN: Duration = Duration::from_secs(60);

/// The first wait between two tries of an effect; doubles with each further one.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The longest wait between two tries of an effect.
pub const LONGEST_WAIT: Duration = Duration::from_secs(16 * 60);

/// How long Bellhop retries requests about an agent, an instance or a target of a remedy.
pub const RETRY_FOR: Duration = Duration::from_secs(15 * 60);

/// How long Bellhop retries to publish a message or to write a report.
pub const ANNOUNCE_FOR: Duration = Duration::from_secs(2 * 60 * 60);

/// How long one try of an effect may take: longer than one request with all its retries, and less than the sweep's time for one record.
pub const ONE_TRY: Duration = Duration::from_secs(22);

/// The most characters stored of the reason for a failure.
const WHY_LIMIT: usize = 300;

/// A pending action.
pub trait Effect {
    /// How long it is retried until it is abandoned; `None` for notifications from record to record, which are never abandoned, and for effects that
    /// end in another way.
    fn abandoned_after(&self) -> Option<Duration>;

    /// How long one try may take; `None` if only the function's time limit applies. A try that takes longer has failed.
    fn time_limit(&self) -> Option<Duration> {
        self.abandoned_after().map(|_| ONE_TRY)
    }
}

/// The result of a failed try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deferral<E> {
    /// The outbox does not have the effect, or no longer.
    Unknown,
    /// It will be retried.
    Again,
    /// Its time is over: it was removed from the outbox.
    Abandoned(E),
}

/// An abandoned effect, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The action as a verb phrase, as in "stop the agent".
    pub what: String,
    /// The error, in the service's words.
    pub why: String,
    /// What Bellhop does now.
    pub now: String,
    /// What a person can do.
    pub advice: String,
    /// When it was abandoned.
    pub at: Timestamp,
}

/// Identifies an effect within its outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId(u64);

/// An effect that was not performed yet, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending<E> {
    /// Its id.
    pub id: EffectId,
    /// When it was decided, or when its last try failed.
    pub since: Timestamp,
    /// When it is tried again, after a failed try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Timestamp>,
    /// How often it has failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// When it first failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Timestamp>,
    /// Why its last try failed, in the service's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When the function that performs it began its last try; only for a performer that others wake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Timestamp>,
    /// The effect.
    pub effect: E,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl<E: Effect> Pending<E> {
    /// When it should be performed, by the sweep at the latest: [`PERFORM_WITHIN`] after the decision, or when it is tried again.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        let due = self.retry.unwrap_or_else(|| later(self.since, PERFORM_WITHIN));
        self.begun.map_or(due, |begun| due.max(later(begun, PERFORM_WITHIN)))
    }

    /// How long it waits after a failed try: `first`, and twice as long with each further failure, up to [`LONGEST_WAIT`] and to an eighth of its
    /// deadline. Effects that fail for hours must not delay everything else in every sweep.
    fn wait(&self, first: Duration) -> Duration {
        let patience = self.effect.abandoned_after().unwrap_or(Duration::MAX);
        let longest = LONGEST_WAIT.min(patience / 8).max(PERFORM_WITHIN);
        doubled(first, self.tries.saturating_sub(1)).min(longest)
    }

    /// Whether a function may be performing it at this moment.
    #[must_use]
    pub fn in_progress(&self, now: Timestamp) -> bool {
        self.begun.is_some_and(|begun| later(begun, PERFORM_WITHIN) > now)
    }

    /// Whether a failure at this moment would abandon it.
    #[must_use]
    pub fn has_last_try(&self, now: Timestamp) -> bool {
        let until = self.failing.zip(self.effect.abandoned_after());
        until.is_some_and(|(failing, patience)| later(failing, patience) <= now)
    }
}

/// The effects that were not performed yet, as far as known, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox<E> {
    next: u64,
    /// The number of abandoned effects.
    #[serde(default)]
    abandoned: u64,
    pending: Vec<Pending<E>>,
}

impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self {
            next: 0,
            abandoned: 0,
            pending: Vec::new(),
        }
    }
}

impl<E> Outbox<E> {
    /// Adds an effect.
    pub fn push(&mut self, effect: E, now: Timestamp) {
        self.pending.push(Pending {
            id: EffectId(self.next),
            since: now,
            retry: None,
            tries: 0,
            failing: None,
            why: None,
            begun: None,
            effect,
        });
        self.next += 1;
    }

    /// Records that a function begins to perform these effects.
    pub fn begin(&mut self, ids: &[EffectId], now: Timestamp) {
        for pending in self.pending.iter_mut().filter(|pending| ids.contains(&pending.id)) {
            pending.begun = Some(now);
        }
    }

    /// Removes a performed effect. Returns whether it was pending.
    pub fn remove(&mut self, id: EffectId) -> bool {
        self.remove_where(|pending| pending.id == id)
    }

    /// Counts a failure of an effect, which is neither deferred nor abandoned for it.
    pub fn count_failure(&mut self, id: EffectId, now: Timestamp) {
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.id == id) {
            pending.tries = pending.tries.saturating_add(1);
            pending.failing.get_or_insert(now);
        }
    }

    /// Records that an effect has failed for this reason. It is tried again after a wait that begins with `first` and doubles.
    pub fn defer(&mut self, id: EffectId, why: &str, first: Duration, now: Timestamp) -> Deferral<E>
    where
        E: Effect,
    {
        let Some(index) = self.pending.iter().position(|pending| pending.id == id) else {
            return Deferral::Unknown;
        };
        if let Some(pending) = self.pending.get_mut(index) {
            pending.tries = pending.tries.saturating_add(1);
            pending.since = now;
            pending.retry = Some(later(now, pending.wait(first)));
            pending.why = Some(shown(why, WHY_LIMIT));
            let failing = *pending.failing.get_or_insert(now);
            if pending
                .effect
                .abandoned_after()
                .is_none_or(|patience| later(failing, patience) > now)
            {
                return Deferral::Again;
            }
        }
        self.abandoned += 1;
        Deferral::Abandoned(self.pending.remove(index).effect)
    }

    /// The number of effects that were ever added.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.next
    }

    /// The number of effects abandoned so far.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// Delays an effect, as if it had not been tried before. Returns whether it was pending.
    pub fn postpone(&mut self, id: EffectId, now: Timestamp) -> bool {
        let pending = self.pending.iter_mut().find(|pending| pending.id == id);
        pending
            .map(|pending| (pending.since, pending.retry, pending.tries, pending.failing, pending.why) = (now, None, 0, None, None))
            .is_some()
    }

    /// Removes every effect that matches. Returns whether there was one.
    pub fn remove_where(&mut self, fits: impl Fn(&Pending<E>) -> bool) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| !fits(pending));
        self.pending.len() < before
    }

    /// Whether a matching effect is pending.
    pub fn any(&self, fits: impl Fn(&E) -> bool) -> bool {
        self.pending.iter().any(|pending| fits(&pending.effect))
    }

    /// All pending effects, oldest first.
    #[must_use]
    pub fn pending(&self) -> &[Pending<E>] {
        &self.pending
    }

    /// The effects that `self` has and an earlier state did not have.
    pub fn since<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = &'a Pending<E>> {
        self.pending.iter().filter(|pending| pending.id.0 >= earlier.next)
    }

    /// When an effect that has failed is tried again next; `None` if none has failed.
    #[must_use]
    pub fn retry(&self) -> Option<Timestamp>
    where
        E: Effect,
    {
        let failed = self.pending.iter().filter(|pending| pending.retry.is_some());
        failed.map(Pending::due).min()
    }

    /// When the sweep should perform the pending effects; `None` if there are none.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp>
    where
        E: Effect,
    {
        self.pending.iter().map(Pending::due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::t;

    impl Effect for &str {
        fn abandoned_after(&self) -> Option<Duration> {
            (*self == "effect").then_some(RETRY_FOR)
        }
    }

    #[test]
    fn an_effect_that_a_function_performs_is_left_to_it() {
        let mut outbox = Outbox::default();
        outbox.push("effect", t(0));
        let id = outbox.pending[0].id;
        assert!(!outbox.pending[0].in_progress(t(0)));
        outbox.begin(&[id], t(50));
        let pending = &outbox.pending[0];
        assert!(pending.in_progress(t(109)) && !pending.in_progress(t(110)));
        assert_eq!(outbox.due(), Some(t(110)), "a minute after its last try began");
        // Another function has woken its performer once more, and counts that as a failed try.
        assert_eq!(outbox.defer(id, "no", RETRY_AFTER, t(60)), Deferral::Again);
        assert!(outbox.pending[0].in_progress(t(109)));
        assert_eq!(outbox.due(), Some(t(110)), "it is not tried again while it may be in progress");
    }

    #[test]
    fn an_effect_is_abandoned_once_it_has_failed_for_its_time() {
        let mut outbox = Outbox::default();
        outbox.push("effect", t(0));
        outbox.push("told by a record", t(0));
        let (id, told) = (outbox.pending[0].id, outbox.pending[1].id);
        // Its time counts from the first try in vain: nobody may have come to it for an hour.
        assert_eq!(outbox.defer(id, "no", RETRY_AFTER, t(3600)), Deferral::Again);
        assert_eq!(outbox.defer(id, "no", RETRY_AFTER, t(3600 + 899)), Deferral::Again);
        assert_eq!(outbox.defer(id, "no", RETRY_AFTER, t(3600 + 900)), Deferral::Abandoned("effect"));
        assert_eq!(outbox.defer(id, "no", RETRY_AFTER, t(3600 + 901)), Deferral::Unknown);
        for day in 0..90 {
            assert_eq!(outbox.defer(told, "no", RETRY_AFTER, t(day * 86_400)), Deferral::Again);
        }
        assert_eq!((outbox.abandoned(), outbox.pending().len()), (1, 1));
    }

    #[test]
    fn each_try_in_vain_doubles_the_wait() {
        let mut outbox = Outbox::default();
        outbox.push("effect", t(0));
        outbox.push("other", t(1000));
        let (id, other) = (outbox.pending[0].id, outbox.pending[1].id);
        let mut waits = Vec::new();
        for second in 0..9 {
            waits.push(outbox.pending[0].due().as_second() - outbox.pending[0].since.as_second());
            assert_eq!(outbox.defer(id, "no", RETRY_AFTER, t(second)), Deferral::Again);
            assert_eq!(outbox.pending[0].since, t(second));
        }
        assert_eq!(waits, [60, 2, 4, 8, 16, 32, 64, 112, 112]);
        assert_eq!(
            outbox.retry(),
            Some(later(t(8), Duration::from_millis(112_500))),
            "the other one has not failed"
        );
        let told = outbox.pending[1].id;
        for _ in 0..10 {
            outbox.defer(told, "no", RETRY_AFTER, t(1000));
        }
        assert_eq!(outbox.pending[1].due(), later(t(1000), LONGEST_WAIT));
        assert_eq!((outbox.pending[1].tries, outbox.pending[1].since), (10, t(1000)));
        assert_eq!(outbox.defer(other, "no", RETRY_AFTER, t(1)), Deferral::Again);
        assert!(outbox.remove(other));
        assert_eq!(outbox.defer(other, "no", RETRY_AFTER, t(2)), Deferral::Unknown);
        assert_eq!(outbox.pending[0].since, t(8));
    }
}
