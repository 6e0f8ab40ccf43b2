//! The sweep: the only repair. It finds the records that are due, once a minute.
//!
//! What has to happen to the second has a timer besides, which wakes this function for one record ([`Engine::timed`]). A function that stores a record sets
//! its timer if that is near, and the sweep sets the others shortly before their time, so most timers are never set: a build ends before its timeout. If a
//! timer is lost, the record is due all the same.
//!
//! An effect that a dead function left is due [`PERFORM_WITHIN`](bellhop_domain::outbox::PERFORM_WITHIN) after its
//! decision, and `advance` performs it or, where another function has to, wakes that one. `launches` works off the launch queue at the `pace` that the
//! service accepts, woken by each build that joins it, and `polls` asks for agents whose events may be lost.

mod launches;
mod pace;
mod polls;

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bellhop_domain::measure::{self, Measure};
use bellhop_domain::queue::launcher::Launcher;
use futures::future::{BoxFuture, Either, FutureExt, join, join3, join4, poll_fn, select};
use futures::stream::{self, FuturesUnordered, StreamExt};
use jiff::Timestamp;

use self::polls::DESCRIBE;
use crate::advance::Overdue;
use crate::ports::{Key, Lane};
use crate::records::{BUILD, Kind, Stored as _};
use crate::{Engine, Fault, Handled};

pub use self::pace::Pace;

/// How long a record may be due before it counts as overdue and its delay is measured. A sweep runs each minute, so delays of a minute are normal.
/// CloudWatch bills a metric for each hour in which it is written, so an idle suite writes none (<https://aws.amazon.com/cloudwatch/pricing/>).
const OVERDUE_AFTER: Duration = Duration::from_secs(120);
/// How far ahead timers are set: a little more than the time between two sweeps, so that whatever is further away is seen by the next one.
pub const TIMERS_AHEAD: Duration = Duration::from_secs(65);
/// How many due records of a lane are read at a time. A sweep continues with the next ones while it has time.
const LIMIT: usize = 1000;
/// How many records are processed in parallel.
const SIDE_BY_SIDE: usize = 16;
/// How long one record may be processed: longer than one request with all its retries, so that a service that does not respond is recorded with the
/// effect, and much shorter than the sweep's time.
const RECORD: Duration = Duration::from_secs(25);
/// How long a record that was started shortly before the deadline may be processed after it: a little less than the time that the function reserves
/// for this (functions/sweep).
const ENDING: Duration = Duration::from_secs(18);
/// After this time a slow record no longer counts among the parallel ones: another one starts in its place.
const SLOW: Duration = Duration::from_secs(2);

/// The result of a sweep.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Records that were due. One that was due twice counts twice.
    pub due: usize,
    /// Records that changed, or whose overdue effects were performed.
    pub advanced: usize,
    /// Records left for the next sweep because of lack of time.
    pub left: usize,
    /// Records that could not be processed, and polls of agents that failed; these records stay due.
    pub faults: usize,
}

/// The result of a part of a sweep, and its first fault.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) swept: Swept,
    fault: Option<Fault>,
}

/// Slow records, which are processed in parallel with the regular ones.
type Slow<'a> = FuturesUnordered<BoxFuture<'a, Result<Handled, Fault>>>;

/// The result of a record's turn.
enum Turn<'a> {
    Over(Result<Handled, Fault>),
    /// It is slow, and continues.
    Slow(BoxFuture<'a, Result<Handled, Fault>>),
    /// The sweep's time is over.
    Left,
}

impl Engine {
    /// Processes everything that is due: launches builds whose wait is over, stops those that exceeded their timeout, performs pending effects, and
    /// polls agents without recent events. In parallel it works off the launch queue, if no other function does. Starts nothing new after `until`. Each
    /// record has a time limit, so that a service that does not respond delays only the records that need it.
    ///
    /// # Errors
    /// If the ledger cannot list due records, or a record could not be processed: the first such fault, after all others were tried.
    pub async fn sweep(&self, until: Timestamp) -> Result<Swept, Fault> {
        let now = self.clock.now();
        let soon = now.checked_add(TIMERS_AHEAD).unwrap_or(Timestamp::MAX);
        let (rest, launches, timers) = join3(
            self.ledger.due(Lane::Rest, now, LIMIT),
            self.ledger.due(Lane::Launches, soon, LIMIT),
            self.ledger.due(Lane::Timers, soon, LIMIT),
        )
        .await;
        let mut tally = Tally::default();
        // In the launch queue, a record is due since it has its place, however fast the queue is worked off.
        if let (Ok(rest), Ok(timers)) = (&rest, &timers) {
            let firsts = [rest, timers].into_iter().filter_map(|lane| lane.first());
            let oldest = firsts.map(|(since, _)| *since).min();
            let overdue = oldest.map_or(Duration::ZERO, |since| measure::between(since, now));
            if overdue > OVERDUE_AFTER {
                self.meter.count(None, &[Measure::Overdue(overdue)]);
            }
        }
        let [rest, mut launches, mut timers] = [rest, launches, timers].map(|due| {
            due.unwrap_or_else(|fault| {
                tally.count(Err(fault));
                Vec::new()
            })
        });
        let mut ahead = timers.split_off(timers.partition_point(|(at, _)| *at <= now));
        // Each build sets its own wake-up. This one is for those whose wake-up was lost.
        let next_launch = launches
            .split_off(launches.partition_point(|(at, _)| *at <= now))
            .into_iter()
            .next();
        ahead.extend(
            next_launch
                .filter(|_| launches.is_empty())
                .map(|(at, _)| (at, Launcher::key_of(()))),
        );
        let (of_rest, of_timers, of_launches, set) = join4(
            self.sweep_lane(Lane::Rest, rest, now, until),
            self.sweep_lane(Lane::Timers, timers, now, until),
            self.sweep_launches(launches, now, until),
            self.set_timers_ahead(ahead),
        )
        .await;
        if let Err(fault) = set {
            tally.count(Err(fault));
        }
        let tally = tally.and(of_timers);
        let Tally { swept, fault } = tally.and(of_rest).and(of_launches);
        // Most sweeps find nothing, and CloudWatch Logs bills each line.
        if swept != Swept::default() {
            tracing::info!(
                due = swept.due,
                advanced = swept.advanced,
                left = swept.left,
                faults = swept.faults,
                "swept"
            );
        }
        fault.map_or(Ok(swept), Err)
    }

    async fn set_timers_ahead(&self, timers: Vec<(Timestamp, Key)>) -> Result<(), Fault> {
        if timers.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let waits = timers.into_iter().map(|(at, key)| (measure::between(now, at), key));
        self.timer.set(&waits.collect::<Vec<_>>()).await
    }

    /// Processes records whose timers have gone off, and takes a turn as the launcher if that was woken. The records do not wait for the turn. Starts
    /// nothing new after `until`. A record that is not due changes nothing.
    ///
    /// # Errors
    /// As [`Engine::sweep`]. The record stays due, and the next sweep finds it.
    pub async fn timed(&self, mut keys: Vec<Key>, until: Timestamp) -> Result<Swept, Fault> {
        keys.sort();
        keys.dedup();
        let launcher = Launcher::key_of(());
        let is_launcher = keys.contains(&launcher);
        keys.retain(|key| *key != launcher);
        let mut tally = Tally::default();
        tally.swept.due = keys.len();
        let launching = async {
            match is_launcher {
                true => self.launch_what_is_due(until).await,
                false => Tally::default(),
            }
        };
        let (of_records, of_launches) = join(self.sweep_records(keys, until), launching).await;
        let Tally { swept, fault } = tally.and(of_records).and(of_launches);
        tracing::info!(
            due = swept.due,
            advanced = swept.advanced,
            left = swept.left,
            faults = swept.faults,
            "timers went off"
        );
        fault.map_or(Ok(swept), Err)
    }

    /// Processes all records of a lane, except launches: those due at a moment, of which `due` is the first part.
    async fn sweep_lane(&self, lane: Lane, mut due: Vec<(Timestamp, Key)>, now: Timestamp, until: Timestamp) -> Tally {
        let mut tally = Tally::default();
        let (mut taken, mut limit) = (BTreeSet::new(), LIMIT);
        loop {
            let more = due.len() >= limit;
            // A record that was processed and is still due gains nothing from another try at once, or the index is slightly behind.
            due.retain(|(_, key)| taken.insert(key.clone()));
            tally.swept.due += due.len();
            let keys = due.into_iter().map(|(_, key)| key).collect();
            tally = tally.and(self.sweep_records(keys, until).await);
            if !more || self.clock.now() >= until {
                return tally;
            }
            limit = LIMIT + taken.len();
            due = match self.ledger.due(lane, now, limit).await {
                Ok(due) => due,
                Err(fault) => {
                    tally.count(Err(fault));
                    return tally;
                }
            };
        }
    }

    async fn sweep_records(&self, keys: Vec<Key>, until: Timestamp) -> Tally {
        let (builds, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.sort.starts_with(BUILD));
        let (of_builds, of_others) = join(self.sweep_builds(&builds, until), self.sweep_others(others, until)).await;
        of_builds.and(of_others)
    }

    async fn sweep_builds(&self, keys: &[Key], until: Timestamp) -> Tally {
        let mut tally = Tally::default();
        let mut slow = Slow::new();
        // In batches, so that the agents' states are still current at the decision.
        for portion in keys.chunks(DESCRIBE) {
            if self.clock.now() >= until {
                tally.swept.left += portion.len();
                continue;
            }
            let builds = self.load_builds(portion, &mut tally).await;
            let work = self.poll(builds, &mut tally).await;
            let work = work.into_iter().map(|(build, events)| {
                let name = format!("build {}", build.record.spec.id);
                (name, self.advance(build, events, Overdue::Perform))
            });
            self.side_by_side(work.collect(), &mut slow, until, &mut tally).await;
        }
        self.finish(slow, &mut tally).await;
        tally
    }

    /// Processes records in parallel. Slow ones are moved to `slow`, and the others continue.
    async fn side_by_side<'a>(
        &'a self,
        work: Vec<(String, BoxFuture<'a, Result<Handled, Fault>>)>,
        slow: &mut Slow<'a>,
        until: Timestamp,
        tally: &mut Tally,
    ) {
        let work = work.into_iter().map(async |(name, work)| {
            if self.clock.now() >= until {
                return Turn::Left;
            }
            let work = self.in_its_time(name, work, until).boxed();
            match select(work, self.clock.pause(SLOW)).await {
                Either::Left((result, _)) => Turn::Over(result),
                Either::Right(((), work)) => Turn::Slow(work),
            }
        });
        let mut turns = stream::iter(work).buffer_unordered(SIDE_BY_SIDE);
        loop {
            let turn = poll_fn(|context| {
                while let Poll::Ready(Some(result)) = slow.poll_next_unpin(context) {
                    tally.count(result);
                }
                turns.poll_next_unpin(context)
            });
            match turn.await {
                Some(Turn::Over(result)) => tally.count(result),
                Some(Turn::Slow(work)) => slow.push(work),
                Some(Turn::Left) => tally.swept.left += 1,
                None => return,
            }
        }
    }

    /// Waits for the slow records.
    async fn finish(&self, mut slow: Slow<'_>, tally: &mut Tally) {
        while let Some(result) = slow.next().await {
            tally.count(result);
        }
    }

    /// Processes a record within its time limit. The rest then stays as if the function had stopped: in the outbox, and due.
    pub(crate) async fn in_its_time(
        &self,
        name: String,
        work: impl Future<Output = Result<Handled, Fault>>,
        until: Timestamp,
    ) -> Result<Handled, Fault> {
        let left = until
            .checked_add(ENDING)
            .map_or(RECORD, |end| measure::between(self.clock.now(), end));
        match self.within(RECORD.min(left), work).await {
            Some(result) => result,
            None => Err(Fault::transient(format!(
                "{name} was not processed in time; the next sweep retries it"
            ))),
        }
    }

    /// The result of work within a time limit; `None` if it exceeds the limit.
    pub(crate) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        match select(pin!(work), self.clock.pause(limit)).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(((), _)) => None,
        }
    }

    async fn sweep_others(&self, keys: Vec<Key>, until: Timestamp) -> Tally {
        let mut tally = Tally::default();
        let mut slow = Slow::new();
        // In parallel: a slow service must not delay the others, such as an action that needs a continuation.
        let work = known(keys).map(|(kind, key)| (key.to_string(), kind.process(self, key, Overdue::Perform).boxed()));
        self.side_by_side(work.collect(), &mut slow, until, &mut tally).await;
        self.finish(slow, &mut tally).await;
        tally
    }

    /// Processes records for which this function was woken, because they have effects that only it performs. Starts nothing new after
    /// `until`. An effect that fails stays in its outbox, and the sweep wakes this function again when it is due.
    ///
    /// # Errors
    /// The first fault of a record that could not be read or written, after all records were tried.
    pub async fn woken(&self, keys: Vec<Key>, until: Timestamp) -> Result<Swept, Fault> {
        let mut tally = Tally::default();
        tally.swept.due = keys.len();
        let mut slow = Slow::new();
        let own = known(keys).map(|(kind, key)| (key.to_string(), kind.process(self, key, Overdue::PerformOwn).boxed()));
        self.side_by_side(own.collect(), &mut slow, until, &mut tally).await;
        self.finish(slow, &mut tally).await;
        let Tally { swept, fault } = tally;
        fault.map_or(Ok(swept), Err)
    }
}

/// The kinds of records. One that a newer version of the suite stored must not prevent the work on the others.
fn known(keys: Vec<Key>) -> impl Iterator<Item = (&'static Kind, Key)> {
    keys.into_iter().filter_map(|key| {
        let kind = Kind::with(&key);
        if kind.is_none() {
            tracing::error!(%key, "a record of an unknown kind cannot be processed");
        }
        Some((kind?, key))
    })
}

impl Tally {
    pub(crate) fn count(&mut self, result: Result<Handled, Fault>) {
        match result {
            Ok(Handled::Done) => self.swept.advanced += 1,
            Ok(Handled::Ignored(_) | Handled::Unknown) => {}
            Err(fault) => {
                self.swept.faults += 1;
                self.fault.get_or_insert(fault);
            }
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            swept: Swept {
                due: self.swept.due + other.swept.due,
                advanced: self.swept.advanced + other.swept.advanced,
                left: self.swept.left + other.swept.left,
                faults: self.swept.faults + other.swept.faults,
            },
            fault: self.fault.or(other.fault),
        }
    }
}
