//! The loop that processes every record: decide, commit, perform, and decide about the results.

use std::time::Duration;

use bellhop_domain::decision::Decision;
use bellhop_domain::measure::{self, Measure};
use bellhop_domain::outbox::{Effect as _, EffectId, ONE_TRY, Pending};
use bellhop_domain::record::{Performer, Step};
use futures::future::{BoxFuture, FutureExt, join3};
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use tracing::Instrument;

use crate::ports::{CLOCKS, Key, Written};
use crate::records::{Outcome, Record, Versioned};
use crate::{Engine, Fault, Handled, TIMERS_AHEAD};

/// How many effects, or new records, are performed in parallel. All effects of a large run may request slots of the same pool: without a limit, their
/// writes would conflict until they failed.
pub(crate) const SIDE_BY_SIDE: usize = 16;

/// The shortest wait of a timer for what is not due on every clock.
const SHORTEST: Duration = Duration::from_millis(1);

/// Where a record comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// It was just read or stored.
    Ledger,
    /// This function stored it a while ago, and others may have stored it since.
    Memory,
}

/// Which pending effects of a record are performed with an event, beside those that the event causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Those that are overdue: the function that committed them stopped before it performed them.
    Perform,
    /// Only those of which this function is the only performer: another function has committed them, and woken this one.
    PerformOwn,
    /// None, and a failure of an effect is left to the sweep: what follows from [`Overdue::PerformOwn`].
    LeaveToSweep,
    /// None. A run and its build that notify each other must not perform each other's overdue effects: if both had notified without recording it, each
    /// would trigger the other forever.
    Leave,
}

impl Engine {
    /// Applies events to a record, performs its effects, and applies their results, until there are no more. Without events, it performs pending
    /// effects.
    pub(crate) fn advance<R: Record>(
        &self,
        current: Versioned<R>,
        events: Vec<R::Event>,
        overdue: Overdue,
    ) -> BoxFuture<'_, Result<Handled, Fault>> {
        let steps = events.into_iter().map(Step::Event).collect();
        self.step(Source::Ledger, current, steps, overdue)
    }

    /// The same for a record that this function remembers. Only what it writes counts, because the write fails if the record is not the newest;
    /// otherwise the newest one decides.
    pub(crate) fn advance_remembered<R: Record>(&self, remembered: Versioned<R>, event: R::Event) -> BoxFuture<'_, Result<Handled, Fault>> {
        self.step(Source::Memory, remembered, vec![Step::Event(event)], Overdue::Perform)
    }

    fn step<R: Record>(
        &self,
        source: Source,
        current: Versioned<R>,
        steps: Vec<Step<R::Event>>,
        overdue: Overdue,
    ) -> BoxFuture<'_, Result<Handled, Fault>> {
        let span = current.record.span();
        self.step_unboxed(source, current, steps, overdue).instrument(span).boxed()
    }

    async fn step_unboxed<R: Record>(
        &self,
        mut source: Source,
        mut current: Versioned<R>,
        mut steps: Vec<Step<R::Event>>,
        overdue: Overdue,
    ) -> Result<Handled, Fault> {
        let (mut conflicts, mut wake_ups) = (0, Vec::new());
        loop {
            if let Err(fault) = self.complete(&current.record, &mut steps).await {
                let Source::Memory = source else { return Err(fault) };
                (source, current) = (Source::Ledger, self.reload(&current.record).await?);
                continue;
            }
            let now = self.clock.now();
            let mut next = current.record.clone();
            let mut ignored = None;
            for step in &steps {
                match next.take(step, now) {
                    Decision::Next(decided) => next = *decided,
                    Decision::Ignored(reason) => ignored = Some(reason),
                }
            }
            let mut effects = self.pending_in(&next, overdue, now);
            let begun = self.begin(&mut next, &current.record, &effects, now);
            if next != current.record {
                let (stored, overtaken) = match self.ledger.store(current.version, &next).await? {
                    Written::Stored(version) => {
                        let record = next.clone();
                        (Versioned { version, record }, false)
                    }
                    Written::Conflict => {
                        conflicts += 1;
                        (self.after_conflict(&current.record, conflicts).await?, true)
                    }
                };
                source = Source::Ledger;
                // A ledger may answer the repetition of its own write, whose reply was lost, with a conflict: the stored record then equals the new one.
                if stored.version != current.version + 1 || stored.record != next {
                    current = stored;
                    continue;
                }
                // But an equal record may also be another function's, which decided the same at the same moment. What has no token is left to that one, or
                // to the sweep.
                let doubtful: &[EffectId] = if overtaken { &begun } else { &[] };
                next.count(Some(&current.record), &*self.meter);
                let abandoned = next.outbox().abandoned().saturating_sub(current.record.outbox().abandoned());
                if abandoned > 0 {
                    tracing::error!(record = next.name(), "an effect failed until its deadline and was abandoned");
                    self.meter.count(None, &[Measure::Abandoned(abandoned)]);
                }
                let committed = next.outbox().since(current.record.outbox());
                let known = |pending: &Pending<R::Effect>| effects.iter().any(|other| other.id == pending.id);
                let committed: Vec<_> = committed.filter(|pending| !known(pending)).cloned().collect();
                effects.extend(committed);
                effects.retain(|pending| !doubtful.contains(&pending.id));
                let known = (next.timer(), next.due_in_lane()) == (current.record.timer(), current.record.due_in_lane());
                wake_ups = if known { Vec::new() } else { self.wake_ups(&next) };
                // Before the effects: the end of a run, which follows from that of its last build, may need the build.
                R::keep(&stored, self);
                current = stored;
            } else if let Source::Memory = source {
                (source, current) = (Source::Ledger, self.reload(&current.record).await?);
                continue;
            } else if effects.is_empty() {
                return Ok(ignored.map_or(Handled::Done, Handled::Ignored));
            }
            self.settle(current, effects, wake_ups, overdue).await?;
            return Ok(Handled::Done);
        }
    }

    /// Adds data of external services to the events.
    async fn complete<R: Record>(&self, record: &R, steps: &mut [Step<R::Event>]) -> Result<(), Fault> {
        for step in steps {
            if let Step::Event(event) = step {
                record.complete(self, event).await?;
            }
        }
        Ok(())
    }

    /// The pending effects to perform with an event.
    pub(crate) fn pending_in<R: Record>(&self, record: &R, overdue: Overdue, now: Timestamp) -> Vec<Pending<R::Effect>> {
        let wanted = |pending: &&Pending<R::Effect>| match overdue {
            Overdue::Perform => pending.due() <= now,
            Overdue::PerformOwn => {
                let performer = record.performer(&pending.effect);
                performer.is_woken() && self.performs(performer) && !pending.in_progress(now)
            }
            Overdue::LeaveToSweep | Overdue::Leave => false,
        };
        record.outbox().pending().iter().filter(wanted).cloned().collect()
    }

    /// Notes in a record which effects this function is about to perform that others might wake it for meanwhile: pending ones, and those that the
    /// record does not have yet in its stored state. A wake-up may come twice, and not every service has a token. Returns their ids.
    fn begin<R: Record>(&self, next: &mut R, stored: &R, effects: &[Pending<R::Effect>], now: Timestamp) -> Vec<EffectId> {
        let committed = next.outbox().since(stored.outbox());
        let own = committed.chain(effects).filter(|pending| {
            let performer = next.performer(&pending.effect);
            performer.is_woken() && self.performs(performer)
        });
        let ids: Vec<EffectId> = own.map(|pending| pending.id).collect();
        next.outbox_mut().begin(&ids, now);
        ids
    }

    /// Performs the effects of a newly created record.
    pub(crate) async fn perform_new<R: Record>(&self, record: R) -> Result<(), Fault> {
        let (effects, span) = (record.outbox().pending().to_vec(), record.span());
        record.count(None, &*self.meter);
        let wake_ups = self.wake_ups(&record);
        let settled = self.settle(Versioned { version: 1, record }, effects, wake_ups, Overdue::Leave);
        settled.instrument(span).await
    }

    /// Performs committed effects, and applies their results to the record. The requests are sent in order (`buffered` polls in turn), at most
    /// [`SIDE_BY_SIDE`] at a time. Effects of another performer stay in the outbox, and it is woken. `wake_ups` are those that the record newly needs.
    async fn settle<R: Record>(
        &self,
        current: Versioned<R>,
        effects: Vec<Pending<R::Effect>>,
        wake_ups: Vec<(Timestamp, Key)>,
        overdue: Overdue,
    ) -> Result<(), Fault> {
        let record = &current.record;
        let (own, others): (Vec<_>, Vec<_>) = effects
            .into_iter()
            .partition(|pending| self.performs(record.performer(&pending.effect)));
        let performing: Vec<_> = own.iter().map(|pending| self.perform_in_time(record, pending)).collect();
        let outcomes = stream::iter(performing).buffered(SIDE_BY_SIDE).collect::<Vec<_>>();
        let ((mut steps, mut fault), outcomes, ()) = join3(self.hand_over(record, &others), outcomes, self.set_timers(wake_ups)).await;
        for (pending, outcome) in own.iter().zip(outcomes) {
            match outcome {
                Ok(Outcome::Done(events)) => {
                    steps.push(Step::Performed(pending.id));
                    steps.extend(events.into_iter().map(Step::Event));
                }
                Ok(Outcome::Event(event)) => steps.push(Step::Event(event)),
                Ok(Outcome::Left) => {}
                Err(other) => {
                    // The effect is retried; the caller gets the first fault as an error.
                    tracing::warn!(record = record.name(), error = %other, "an effect could not be performed");
                    steps.push(Step::Deferred(pending.id, other.what.clone()));
                    fault.get_or_insert(other);
                }
            }
        }
        let was_woken = matches!(overdue, Overdue::PerformOwn | Overdue::LeaveToSweep);
        if !steps.is_empty() {
            // What was overdue has been performed, also if that failed.
            let next = if was_woken { Overdue::LeaveToSweep } else { Overdue::Leave };
            self.step(Source::Ledger, current, steps, next).await?;
        }
        match fault {
            // The outbox has the failure, and the sweep wakes this function again in due time. Lambda's retries would come sooner.
            Some(_) if was_woken => Ok(()),
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// Wakes the performers of committed effects. An effect that is overdue, or whose performer cannot be woken, has failed once more: so it ends at
    /// its deadline, also if its performer never comes to it. It keeps the reason of its performer's last try, if there was one. For an effect that
    /// ends here, its performer is not woken.
    async fn hand_over<R: Record>(&self, record: &R, effects: &[Pending<R::Effect>]) -> (Vec<Step<R::Event>>, Option<Fault>) {
        let mut performers: Vec<Performer> = effects.iter().map(|pending| record.performer(&pending.effect)).collect();
        performers.sort();
        performers.dedup();
        let (mut steps, mut first) = (Vec::new(), None);
        for performer in performers {
            let now = self.clock.now();
            let theirs = effects.iter().filter(|pending| record.performer(&pending.effect) == performer);
            let ends = |pending: &Pending<R::Effect>| pending.due() <= now && pending.has_last_try(now);
            let woken = if theirs.clone().all(ends) {
                Ok(())
            } else {
                self.wake_in_time(record, performer).await
            };
            for pending in theirs {
                let why = match (&woken, &pending.why) {
                    (Err(fault), _) => fault.what.clone(),
                    (Ok(()), _) if pending.due() > now => continue,
                    (Ok(()), Some(why)) => why.clone(),
                    (Ok(()), None) => format!("the function {} has not performed it", performer.name()),
                };
                steps.push(Step::Unserved(pending.id, why));
            }
            if let Err(fault) = woken {
                tracing::warn!(record = record.name(), error = %fault, "a function could not be woken");
                first.get_or_insert(fault);
            }
        }
        (steps, first)
    }

    async fn wake_in_time<R: Record>(&self, record: &R, performer: Performer) -> Result<(), Fault> {
        let woken = self.within(ONE_TRY, self.waker.wake(performer, &[record.key()])).await;
        woken.unwrap_or_else(|| {
            let (name, seconds) = (performer.name(), ONE_TRY.as_secs());
            Err(Fault::transient(format!("wake {name}: no answer within {seconds} s")))
        })
    }

    /// What is to be woken for a record. If this is the launcher, it is at work and sees by itself what is due now.
    fn wake_ups<R: Record>(&self, record: &R) -> Vec<(Timestamp, Key)> {
        let mut wake_ups = record.wake_ups();
        if self.pace.is_some() {
            let now = self.clock.now();
            wake_ups.retain(|(at, key)| *at > now || *key == record.key());
        }
        wake_ups
    }

    /// Sets the timers that are near. The sweep sets those that are further away, and also finds what is due without a timer: so one that cannot be set
    /// costs time, and nothing else.
    pub(crate) async fn set_timers(&self, timers: Vec<(Timestamp, Key)>) {
        let now = self.clock.now();
        let wait = |at: Timestamp| match measure::between(at, now) {
            since if since > CLOCKS => Duration::ZERO,
            _ => measure::between(now, at).max(SHORTEST),
        };
        let waits = timers.into_iter().map(|(at, key)| (wait(at), key));
        let near: Vec<(Duration, Key)> = waits.filter(|(wait, _)| *wait <= TIMERS_AHEAD).collect();
        if near.is_empty() {
            return;
        }
        let set = self.within(ONE_TRY, self.timer.set(&near)).await;
        let late = || Err(Fault::transient(format!("set a timer: no answer within {} s", ONE_TRY.as_secs())));
        if let Err(fault) = set.unwrap_or_else(late) {
            tracing::warn!(error = %fault, "a timer could not be set; the sweep comes later");
        }
    }

    /// Performs an effect within its time limit, so that a service that does not respond is recorded, and the effect ends.
    async fn perform_in_time<R: Record>(&self, record: &R, pending: &Pending<R::Effect>) -> Result<Outcome<R::Event>, Fault> {
        let performing = record.perform(self, pending);
        let Some(limit) = pending.effect.time_limit() else {
            return performing.await;
        };
        let answer = self.within(limit, performing).await;
        answer.unwrap_or_else(|| {
            Err(Fault::transient(format!(
                "{}: no answer within {} s",
                record.name(),
                limit.as_secs()
            )))
        })
    }

    async fn after_conflict<R: Record>(&self, record: &R, conflicts: u32) -> Result<Versioned<R>, Fault> {
        let name = record.name();
        if conflicts > R::CONFLICTS {
            return Err(Fault::transient(format!("{name} had {conflicts} write conflicts in a row")));
        }
        let ceiling = 10u64 << conflicts.min(6);
        self.clock.pause(Duration::from_millis(fastrand::u64(ceiling / 2..=ceiling))).await;
        self.reload(record).await
    }

    async fn reload<R: Record>(&self, record: &R) -> Result<Versioned<R>, Fault> {
        let name = record.name();
        self.ledger
            .load::<R>(record.id())
            .await?
            // It has expired. For the next try it is one that never was.
            .ok_or_else(|| Fault::transient(format!("{name} vanished from the ledger while it was being written")))
    }
}
