//! What every record of the ledger has in common: a key, a function that performs its effects, and decisions.
//!
//! A record is a value that events change. It stores its effects in an outbox with the decision that asks for them. The end of an effect is decided
//! here, once for all records: a performed effect leaves the outbox; a failed one stays and is tried again, until its time is over and the record
//! decides what follows.
//!
//! No record lives here, and nothing here knows one: each kind has a room of its own.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Ignored};
use crate::outbox::{Deferral, Effect, EffectId, Outbox, PERFORM_WITHIN, RETRY_AFTER};

/// The key of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Records of one partition are read together. It is the name of the kind, `#` and a name: `RUN#abcdefghij`.
    pub partition: String,
    /// The record in its partition, such as `BUILD#test`.
    pub sort: String,
}

impl Key {
    /// A key of these two parts.
    #[must_use]
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self {
            partition: partition.into(),
            sort: sort.into(),
        }
    }

    /// The partition without the name of the kind.
    #[must_use]
    pub fn name(&self) -> &str {
        self.partition.split_once('#').map_or(&self.partition, |(_, name)| name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.partition, self.sort)
    }
}

/// Who performs effects. A function links, and may call, only the services of what it performs. Another function that commits such an effect wakes
/// the performer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Performer {
    /// Every function: messages, and notifications of records.
    Any,
    /// Every function that carries builds.
    Builds,
    /// The function `alarm`: remedies.
    Alarms,
    /// The function `backup`: jobs of AWS Backup.
    Backups,
    /// The function `spot-interruption`: container instances.
    Instances,
    /// The function `deploy`: deployments.
    Deploys,
}

impl Performer {
    /// Whether it is one function, which others wake.
    #[must_use]
    pub fn is_woken(self) -> bool {
        !matches!(self, Self::Any | Self::Builds)
    }

    /// The name in a wake-up: for a performer that is woken, that of its function.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Builds => "builds",
            Self::Alarms => "alarm",
            Self::Backups => "backup",
            Self::Instances => "spot-interruption",
            Self::Deploys => "deploy",
        }
    }
}

/// What a record decides about: an event, or the end of one of its effects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<E> {
    /// An event.
    Event(E),
    /// An effect was performed, and leaves the outbox.
    Performed(EffectId),
    /// An effect failed for this reason. It stays in the outbox, unless its time is over.
    Deferred(EffectId, String),
    /// An effect of another performer is overdue for this reason: as if it had failed. If its performer is at work on it by now, that only counts.
    Unserved(EffectId, String),
}

#[cfg(test)]
impl<E> From<E> for Step<E> {
    fn from(event: E) -> Self {
        Self::Event(event)
    }
}

#[cfg(test)]
impl<E: Clone> From<&E> for Step<E> {
    fn from(event: &E) -> Self {
        Self::Event(event.clone())
    }
}

/// A record that decides about events and keeps its effects in an outbox.
pub trait Decides: Clone + PartialEq {
    /// What can happen to it.
    type Event;
    /// What it can ask for.
    type Effect: Effect + Clone;

    /// The effects that were not performed yet.
    fn outbox(&self) -> &Outbox<Self::Effect>;

    /// The same, to change them.
    fn outbox_mut(&mut self) -> &mut Outbox<Self::Effect>;

    /// Takes an event at a moment.
    ///
    /// # Errors
    /// Why the event changes nothing.
    fn apply(&mut self, event: &Self::Event, now: Timestamp) -> Result<(), Ignored>;

    /// One of its effects failed for this reason until its time was over, and has left the outbox.
    fn abandoned(&mut self, effect: Self::Effect, why: &str, now: Timestamp);

    /// One of its effects failed for this reason, and will be tried again.
    fn failed(&mut self, _effect: &Self::Effect, _why: &str, _now: Timestamp) {}

    /// Follows every change from `before`.
    fn settle(&mut self, _before: &Self, _now: Timestamp) {}

    /// Decides the next state of this record after an event at a moment.
    #[must_use]
    fn decide(&self, event: &Self::Event, now: Timestamp) -> Decision<Self> {
        changed(self, now, |next| next.apply(event, now))
    }

    /// Decides the next state of this record after a step at a moment.
    #[must_use]
    fn take(&self, step: &Step<Self::Event>, now: Timestamp) -> Decision<Self> {
        match step {
            Step::Event(event) => self.decide(event, now),
            Step::Performed(effect) => changed(self, now, |next| {
                let was_pending = next.outbox_mut().remove(*effect);
                was_pending.then_some(()).ok_or(Ignored::NothingNew)
            }),
            Step::Deferred(effect, why) | Step::Unserved(effect, why) => changed(self, now, |next| {
                let failing = self.outbox().pending().iter().find(|pending| pending.id == *effect);
                if matches!(step, Step::Unserved(..)) && failing.is_some_and(|pending| pending.in_progress(now)) {
                    next.outbox_mut().count_failure(*effect, now);
                    return Ok(());
                }
                // Another function was woken just now, and may be performing it.
                let first = if matches!(step, Step::Unserved(..)) {
                    PERFORM_WITHIN
                } else {
                    RETRY_AFTER
                };
                match (next.outbox_mut().defer(*effect, why, first, now), failing) {
                    (Deferral::Abandoned(effect), _) => next.abandoned(effect, why, now),
                    (Deferral::Again, Some(pending)) => next.failed(&pending.effect, why, now),
                    (Deferral::Again, None) | (Deferral::Unknown, _) => return Err(Ignored::NothingNew),
                }
                Ok(())
            }),
        }
    }
}

fn changed<R: Decides>(record: &R, now: Timestamp, change: impl FnOnce(&mut R) -> Result<(), Ignored>) -> Decision<R> {
    let mut next = record.clone();
    match change(&mut next) {
        Ok(()) if next == *record => Decision::Ignored(Ignored::NothingNew),
        Ok(()) => {
            next.settle(record, now);
            Decision::Next(Box::new(next))
        }
        Err(reason) => Decision::Ignored(reason),
    }
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::outbox::RETRY_FOR;
    use crate::testing::t;

    #[derive(Debug, Clone, PartialEq)]
    enum CounterEffect {
        Publish,
        /// A notification of a record, which is never abandoned.
        Notify,
    }

    impl Effect for CounterEffect {
        fn abandoned_after(&self) -> Option<Duration> {
            (*self == Self::Publish).then_some(RETRY_FOR)
        }
    }

    /// Sets the count, and asks for both effects. A smaller count is refused.
    struct Count(u32);

    /// A record that logs the calls of its functions.
    #[derive(Debug, Clone, PartialEq, Default)]
    struct Counter {
        count: u32,
        outbox: Outbox<CounterEffect>,
        calls: Rc<RefCell<Vec<String>>>,
    }

    impl Counter {
        fn called(&self, call: String) {
            self.calls.borrow_mut().push(call);
        }

        fn calls(&self) -> Vec<String> {
            self.calls.take()
        }

        fn effects(&self) -> Vec<&CounterEffect> {
            self.outbox.pending().iter().map(|pending| &pending.effect).collect()
        }

        fn next(&self, step: impl Into<Step<Count>>, second: i64) -> Self {
            match self.take(&step.into(), t(second)) {
                Decision::Next(next) => *next,
                Decision::Ignored(reason) => panic!("{reason}"),
            }
        }

        /// A counter with both effects, and their ids.
        fn counted() -> (Self, [EffectId; 2]) {
            let counter = Self::default().next(Count(1), 0);
            counter.calls();
            let [publish, notify] = counter.outbox.pending() else {
                panic!("{:?}", counter.outbox)
            };
            let ids = [publish.id, notify.id];
            (counter, ids)
        }
    }

    impl Decides for Counter {
        type Event = Count;
        type Effect = CounterEffect;

        fn outbox(&self) -> &Outbox<CounterEffect> {
            &self.outbox
        }

        fn outbox_mut(&mut self) -> &mut Outbox<CounterEffect> {
            &mut self.outbox
        }

        fn apply(&mut self, Count(count): &Count, now: Timestamp) -> Result<(), Ignored> {
            if *count < self.count {
                return Err(Ignored::Stale);
            }
            if *count > self.count {
                self.count = *count;
                self.outbox.push(CounterEffect::Publish, now);
                self.outbox.push(CounterEffect::Notify, now);
            }
            Ok(())
        }

        fn abandoned(&mut self, effect: CounterEffect, why: &str, now: Timestamp) {
            assert!(!self.outbox.any(|pending| *pending == effect), "it has left the outbox");
            self.called(format!("abandoned {effect:?} at {now}: {why}"));
        }

        fn failed(&mut self, effect: &CounterEffect, why: &str, now: Timestamp) {
            self.called(format!("failed {effect:?} at {now}: {why}"));
        }

        fn settle(&mut self, before: &Self, _now: Timestamp) {
            self.called(format!("settle {} after {}", self.count, before.count));
        }
    }

    #[test]
    fn a_performed_effect_leaves_the_outbox() {
        let (counter, [publish, notify]) = Counter::counted();
        let published = counter.next(Step::Performed(publish), 1);
        assert_eq!(published.effects(), [&CounterEffect::Notify]);
        assert_eq!(published.calls(), ["settle 1 after 1"]);
        let again = published.take(&Step::Performed(publish), t(2));
        assert_eq!(again, Decision::Ignored(Ignored::NothingNew));
        let rest = published.next(Step::Performed(notify), 3);
        assert_eq!((rest.effects().len(), rest.outbox.due()), (0, None));
    }

    #[test]
    fn a_failed_effect_stays_until_its_time_is_over_and_is_abandoned_once() {
        let (mut counter, [publish, _]) = Counter::counted();
        let failed = |why: &str| Step::Deferred(publish, why.to_owned());
        for second in [10, 909] {
            counter = counter.next(failed("no"), second);
            assert_eq!(counter.effects(), [&CounterEffect::Publish, &CounterEffect::Notify]);
            let calls = [format!("failed Publish at {}: no", t(second)), "settle 1 after 1".to_owned()];
            assert_eq!(counter.calls(), calls);
        }
        let pending = counter.outbox.pending().first();
        assert_eq!(pending.map(|pending| (pending.tries, pending.since)), Some((2, t(909))));
        let over = counter.next(failed("never"), 910);
        assert_eq!((over.effects(), over.outbox.abandoned()), (vec![&CounterEffect::Notify], 1));
        let calls = [format!("abandoned Publish at {}: never", t(910)), "settle 1 after 1".to_owned()];
        assert_eq!(over.calls(), calls);
        assert_eq!(over.take(&failed("never"), t(911)), Decision::Ignored(Ignored::NothingNew));
        assert_eq!(over.calls(), [""; 0]);
    }

    #[test]
    fn an_effect_that_its_performer_is_at_work_on_has_not_failed() {
        let (mut counter, [publish, _]) = Counter::counted();
        let unserved = || Step::Unserved(publish, "not performed".to_owned());
        counter.outbox.begin(&[publish], t(0));
        counter = counter.next(unserved(), 59);
        assert_eq!(counter.effects().len(), 2);
        assert_eq!(counter.calls(), ["settle 1 after 1"], "it has not failed");
        counter.outbox.begin(&[publish], t(1000));
        counter = counter.next(unserved(), 1059);
        assert_eq!(counter.effects().len(), 2);
        // But it ends, even if its performer begins over and over again and never comes to an end.
        let over = counter.next(unserved(), 1060);
        assert_eq!((over.effects(), over.outbox.abandoned()), (vec![&CounterEffect::Notify], 1));
    }

    #[test]
    fn a_notification_of_a_record_is_never_abandoned() {
        let (counter, [_, notify]) = Counter::counted();
        let failing = (0..90).fold(counter, |counter, day| {
            counter.next(Step::Deferred(notify, "no".to_owned()), day * 86_400)
        });
        assert_eq!((failing.effects().len(), failing.outbox.abandoned()), (2, 0));
    }

    #[test]
    fn what_changes_nothing_is_ignored_and_settles_nothing() {
        let (counter, [publish, _]) = Counter::counted();
        assert_eq!(counter.decide(&Count(1), t(1)), Decision::Ignored(Ignored::NothingNew));
        assert_eq!(counter.decide(&Count(0), t(1)), Decision::Ignored(Ignored::Stale));
        let unknown = Counter::default().take(&Step::Deferred(publish, "no".to_owned()), t(1));
        assert_eq!(unknown, Decision::Ignored(Ignored::NothingNew));
        assert_eq!(counter.calls(), [""; 0]);
        let more = counter.next(Count(3), 2);
        assert_eq!((more.calls(), more.effects().len()), (vec!["settle 3 after 1".to_owned()], 4));
        assert_eq!(counter.count, 1, "a decision does not change the record that it is about");
    }

    #[test]
    fn an_event_is_a_step() {
        let (one, other) = (Step::from(7), Step::from(&7));
        assert_eq!((&one, &other), (&Step::Event(7), &Step::Event(7)));
    }

    #[test]
    fn the_name_of_a_key_follows_its_kind() {
        let key = Key::new("RUN#abcdefghij", "BUILD#test");
        assert_eq!((key.name(), key.to_string().as_str()), ("abcdefghij", "RUN#abcdefghij BUILD#test"));
        assert_eq!(Key::new("ALARM#a#b", "ALARM").name(), "a#b");
        assert_eq!(Key::new("SUITE", "SUITE").name(), "SUITE");
    }

    #[test]
    fn functions_of_their_own_are_woken() {
        let woken = [Performer::Alarms, Performer::Backups, Performer::Instances];
        assert!(woken.iter().all(|performer| performer.is_woken()));
        assert_eq!(woken.map(Performer::name), ["alarm", "backup", "spot-interruption"]);
        assert!(!Performer::Any.is_woken() && !Performer::Builds.is_woken());
    }
}
