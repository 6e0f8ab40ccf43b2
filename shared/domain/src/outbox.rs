//! Effects as data, kept with the state that asks for them.
//!
//! An effect is stored in the same write as the decision that wants it, and taken out by the write that records its outcome. Whoever dies in between
//! leaves it behind, and the sweep performs it again; every effect is therefore idempotent.
//!
//! Every effect ends: it takes place, or, where a service outside refuses it for too long, it is abandoned, and people are told.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long an effect may stay unperformed before the sweep takes it up: longer than whoever committed it can still be at work (the functions'
/// time limit is one minute).
pub const PERFORM_WITHIN: Duration = Duration::from_secs(60);

/// The longest wait between two tries of an effect.
pub const LONGEST_WAIT: Duration = Duration::from_secs(16 * 60);

/// How long an agent, an instance or a target of a remedy is asked in vain for something.
pub const TRY_FOR: Duration = Duration::from_secs(15 * 60);

/// How long it is tried in vain to tell people something, or to write a report.
pub const TELL_FOR: Duration = Duration::from_secs(2 * 60 * 60);

/// How long one try of an effect may take: longer than one request with all its repetitions, and less than what a swept record has for everything.
pub const ONE_TRY: Duration = Duration::from_secs(22);

/// Something that is to be done.
pub trait Effect {
    /// How long it is tried in vain until it is abandoned; `None` for what one record tells another, which is never given up, and for what ends in
    /// another way.
    fn abandoned_after(&self) -> Option<Duration>;

    /// How long one try may take; `None` where the function's own time is the only bound. A try that takes longer is one in vain.
    fn time_limit(&self) -> Option<Duration> {
        self.abandoned_after().map(|_| ONE_TRY)
    }
}

/// What comes of a try that was in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deferral<E> {
    /// The outbox does not have the effect (any more).
    Unknown,
    /// It is tried again.
    Again,
    /// It was tried for long enough: it is not in the outbox any more.
    Abandoned(E),
}

/// An effect that was abandoned, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// What was to be done, as in "stop the agent".
    pub what: String,
    /// What stood in the way, in the words of the service.
    pub why: String,
    /// What Bellhop does now.
    pub now: String,
    /// What a person can do.
    pub advice: String,
    /// When it was abandoned.
    pub at: Timestamp,
}

/// Names an effect within its outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId(u64);

/// An effect that is not known to have taken place yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending<E> {
    /// Its name.
    pub id: EffectId,
    /// When it was decided, or tried in vain the last time.
    pub since: Timestamp,
    /// How often it was tried in vain.
    #[serde(default)]
    pub tries: u32,
    /// When it was tried in vain the first time.
    #[serde(default)]
    pub failing: Option<Timestamp>,
    /// What is to be done.
    pub effect: E,
}

impl<E: Effect> Pending<E> {
    /// When the sweep should perform it: [`PERFORM_WITHIN`] after it was decided or tried once in vain, and after twice as long with each further try, up
    /// to [`LONGEST_WAIT`], and up to an eighth of the time after which it is abandoned. What cannot be performed for hours must not stand before everything
    /// else in every sweep.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        let doublings = self.tries.saturating_sub(1).min(8);
        let patience = self.effect.abandoned_after().unwrap_or(Duration::MAX);
        let longest = LONGEST_WAIT.min(patience / 8).max(PERFORM_WITHIN);
        later(self.since, PERFORM_WITHIN.saturating_mul(1 << doublings).min(longest))
    }
}

/// The effects that are not known to have taken place yet, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox<E> {
    next: u64,
    /// How many were abandoned.
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
            tries: 0,
            failing: None,
            effect,
        });
        self.next += 1;
    }

    /// Takes out an effect that has taken place. Gives whether it was there.
    pub fn remove(&mut self, id: EffectId) -> bool {
        self.remove_where(|pending| pending.id == id)
    }

    /// Notes that an effect was tried in vain.
    pub fn defer(&mut self, id: EffectId, now: Timestamp) -> Deferral<E>
    where
        E: Effect,
    {
        let Some(index) = self.pending.iter().position(|pending| pending.id == id) else {
            return Deferral::Unknown;
        };
        if let Some(pending) = self.pending.get_mut(index) {
            pending.tries = pending.tries.saturating_add(1);
            pending.since = now;
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

    /// How many effects there ever were.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.next
    }

    /// How many effects were abandoned so far.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// Notes that an effect has to wait, as if it had not been tried before. Gives whether it was there.
    pub fn postpone(&mut self, id: EffectId, now: Timestamp) -> bool {
        let pending = self.pending.iter_mut().find(|pending| pending.id == id);
        pending
            .map(|pending| (pending.since, pending.tries, pending.failing) = (now, 0, None))
            .is_some()
    }

    /// Takes out every effect that fits. Gives whether there was one.
    pub fn remove_where(&mut self, fits: impl Fn(&Pending<E>) -> bool) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| !fits(pending));
        self.pending.len() < before
    }

    /// Whether an effect that fits is pending.
    pub fn any(&self, fits: impl Fn(&E) -> bool) -> bool {
        self.pending.iter().any(|pending| fits(&pending.effect))
    }

    /// All pending effects, oldest first.
    #[must_use]
    pub fn pending(&self) -> &[Pending<E>] {
        &self.pending
    }

    /// The effects that `self` has and an earlier state of it had not.
    pub fn since<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = &'a Pending<E>> {
        self.pending.iter().filter(|pending| pending.id.0 >= earlier.next)
    }

    /// When the sweep should perform what is pending; `None` if nothing is.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp>
    where
        E: Effect,
    {
        self.pending.iter().map(Pending::due).min()
    }
}

/// A moment after another; the last one there is where it would be later still.
pub(crate) fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::t;

    impl Effect for &str {
        fn abandoned_after(&self) -> Option<Duration> {
            (*self == "effect").then_some(TRY_FOR)
        }
    }

    #[test]
    fn an_effect_is_abandoned_once_it_has_failed_for_its_time() {
        let mut outbox = Outbox::default();
        outbox.push("effect", t(0));
        outbox.push("told by a record", t(0));
        let (id, told) = (outbox.pending[0].id, outbox.pending[1].id);
        // Its time counts from the first try in vain: nobody may have come to it for an hour.
        assert_eq!(outbox.defer(id, t(3600)), Deferral::Again);
        assert_eq!(outbox.defer(id, t(3600 + 899)), Deferral::Again);
        assert_eq!(outbox.defer(id, t(3600 + 900)), Deferral::Abandoned("effect"));
        assert_eq!(outbox.defer(id, t(3600 + 901)), Deferral::Unknown);
        for day in 0..90 {
            assert_eq!(outbox.defer(told, t(day * 86_400)), Deferral::Again);
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
        for second in 0..7 {
            waits.push(outbox.pending[0].due().as_second() - outbox.pending[0].since.as_second());
            assert_eq!(outbox.defer(id, t(second)), Deferral::Again);
            assert_eq!(outbox.pending[0].since, t(second));
        }
        assert_eq!(waits, [60, 60, 112, 112, 112, 112, 112]);
        let told = outbox.pending[1].id;
        for _ in 0..9 {
            outbox.defer(told, t(1000));
        }
        assert_eq!(outbox.pending[1].due(), later(t(1000), LONGEST_WAIT));
        assert_eq!((outbox.pending[1].tries, outbox.pending[1].since), (9, t(1000)));
        assert_eq!(outbox.defer(other, t(1)), Deferral::Again);
        assert!(outbox.remove(other));
        assert_eq!(outbox.defer(other, t(2)), Deferral::Unknown);
        assert_eq!(outbox.pending[0].since, t(6));
    }
}
