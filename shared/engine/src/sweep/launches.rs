//! The sweep's launches: as many per second as a service accepts.
//!
//! A service takes launches from a token bucket that refills at a constant rate, and throttles a call that finds it empty. Launching slower than the
//! rate delays builds. Launching faster costs throttled calls, each with a request to the service and two writes to the ledger. The rate is unknown:
//! it belongs to the account, and other callers share it. So the sweep probes it as TCP does: a little faster with each launch, and slower by a
//! factor after a throttled one. Tokens that a slow second leaves remain for the next one.
//!
//! Only builds whose launch was throttled, or paused by an alarm, wait for their turn here. A launch that follows from an event is sent at once.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent, Refusal, THROTTLED_WAIT};
use futures::future::join_all;
use futures::lock;
use jiff::Timestamp;

use super::{LIMIT, SIDE_BY_SIDE, Tally};
use crate::Engine;
use crate::advance::Overdue;
use crate::ports::{Key, Lane, Launch};
use crate::records::{Stored as _, Versioned};

/// The launches per second with which a sweep begins: Fargate's limit for every account
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html>).
const FIRST: f64 = 20.0;
/// The fewest launches per second, however many are throttled.
const FEWEST: f64 = 2.0;
/// The most launches per second.
const MOST: f64 = 200.0;
/// The increase in launches per second, for each second without throttling.
const FASTER: f64 = 4.0;
/// The factor for the rate after a throttled launch.
const SLOWER: f64 = 0.7;
/// How long throttled launches count as one: calls that were already sent contain no news.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The shortest wait, for the resolution of clocks.
const SHORTEST: Duration = Duration::from_millis(1);
/// How much of a pause, for instance while the next builds are read, is made up for.
const MADE_UP: Duration = Duration::from_secs(1);
/// How many builds are read ahead of their launch: only enough for all workers, so that the data is still current.
const AHEAD: usize = SIDE_BY_SIDE;
/// How long after a throttled launch the sweep continues to look for due builds: the throttled build is due again by then, and the index shows it.
const LOOK_ON: Duration = Duration::from_secs(THROTTLED_WAIT.as_secs() + 3);
/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it checks whether launches in progress were throttled.
const OTHERS: Duration = Duration::from_millis(100);

/// The rate of launches.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    per_second: f64,
    /// When the next launch may start.
    next: Timestamp,
    /// When the rate was last reduced.
    slowed: Option<Timestamp>,
    /// When a launch was last throttled.
    throttled: Option<Timestamp>,
}

impl Pace {
    pub(crate) fn new(now: Timestamp) -> Self {
        let state = State {
            per_second: FIRST,
            next: now,
            slowed: None,
            throttled: None,
        };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn, or returns the time until the next one.
    fn turn(&self, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.state();
        let earliest = state.next.max(now.checked_sub(MADE_UP).unwrap_or(Timestamp::MIN));
        if let Ok(wait) = Duration::try_from(earliest.duration_since(now))
            && !wait.is_zero()
        {
            return Err(wait.max(SHORTEST));
        }
        let apart = Duration::from_secs_f64(1.0 / state.per_second);
        state.next = earliest.checked_add(apart).unwrap_or(Timestamp::MAX);
        Ok(())
    }

    /// Takes the result of a launch.
    pub(crate) fn note(&self, launched: &Launch, now: Timestamp) {
        match launched {
            Launch::Accepted(_) => self.accepted(),
            Launch::Refused {
                refusal: Refusal::Throttled(_),
                ..
            } => self.throttled(now),
            Launch::Refused { .. } => {}
        }
    }

    fn accepted(&self) {
        let mut state = self.state();
        state.per_second = (state.per_second + FASTER / state.per_second).min(MOST);
    }

    fn throttled(&self, now: Timestamp) {
        let mut state = self.state();
        state.throttled = Some(now);
        if state.slowed.is_none_or(|slowed| after(slowed, AT_ONCE) <= now) {
            state.per_second = (state.per_second * SLOWER).max(FEWEST);
            state.slowed = Some(now);
        }
    }

    /// Whether more builds may become due: a launch was throttled since the last call, or recently.
    fn looks_on(&self, asked: Timestamp, now: Timestamp) -> bool {
        let throttled = self.state().throttled;
        throttled.is_some_and(|throttled| throttled >= asked || after(throttled, LOOK_ON) > now)
    }
}

fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Builds in the order of their launches.
#[derive(Default)]
struct Line {
    /// Those that were not read yet.
    keys: VecDeque<Key>,
    /// Those that were read, each with its events.
    read: VecDeque<(Versioned<Build>, Vec<BuildEvent>)>,
    /// When due builds were last queried.
    asked: Timestamp,
    /// A build was launched, or tried, since then: others may have become due meanwhile, or were beyond the query's limit.
    moved: bool,
    /// Those that could not be read. They stay due, and this sweep does not try them again.
    unreadable: BTreeSet<Key>,
    tally: Tally,
}

impl Line {
    /// Adds the builds that were due at a moment.
    fn take(&mut self, due: Vec<(Timestamp, Key)>, asked: Timestamp) {
        self.asked = asked;
        self.moved = false;
        let keys = due.into_iter().map(|(_, key)| key);
        self.keys = keys.filter(|key| !self.unreadable.contains(key)).collect();
        self.tally.swept.due += self.keys.len();
    }

    /// The next build, when its turn comes; `None` if there is none left, or no time. `at_work` is the number of launches in progress.
    async fn next(
        &mut self,
        engine: &Engine,
        pace: &Pace,
        at_work: &AtomicUsize,
        until: Timestamp,
    ) -> Option<(Versioned<Build>, Vec<BuildEvent>)> {
        loop {
            let now = engine.clock.now();
            if now >= until {
                self.tally.swept.left += self.keys.len() + self.read.len();
                self.keys.clear();
                self.read.clear();
                return None;
            }
            if !self.read.is_empty() {
                match pace.turn(now) {
                    Ok(()) => {
                        self.moved = true;
                        return self.read.pop_front();
                    }
                    Err(wait) => engine.clock.pause(wait).await,
                }
            } else if !self.keys.is_empty() {
                self.read_ahead(engine).await;
            } else if !self.look_again(engine, pace, at_work).await {
                return None;
            }
        }
    }

    async fn read_ahead(&mut self, engine: &Engine) {
        let keys: Vec<Key> = self.keys.drain(..AHEAD.min(self.keys.len())).collect();
        let mut builds = engine.load_builds(&keys, &mut self.tally).await;
        let read: BTreeSet<Key> = builds.iter().map(|build| build.record.key()).collect();
        self.unreadable.extend(keys.into_iter().filter(|key| !read.contains(key)));
        // The index is slightly behind the table.
        let now = engine.clock.now();
        builds.retain(|build| build.record.due().is_some_and(|due| due <= now));
        self.read.extend(engine.poll(builds, &mut self.tally).await);
    }

    /// Queries further due builds, if there may be some now or soon. Returns whether to continue.
    async fn look_again(&mut self, engine: &Engine, pace: &Pace, at_work: &AtomicUsize) -> bool {
        if !self.moved {
            if pace.looks_on(self.asked, engine.clock.now()) {
                engine.clock.pause(LOOK_EVERY).await;
            } else if at_work.load(Ordering::Relaxed) > 0 {
                engine.clock.pause(OTHERS).await;
                return true;
            } else {
                return false;
            }
        }
        let now = engine.clock.now();
        match engine.ledger.due(Lane::Launches, now, LIMIT + self.unreadable.len()).await {
            Ok(due) => {
                self.take(due, now);
                true
            }
            Err(fault) => {
                self.tally.count(Err(fault));
                false
            }
        }
    }
}

impl Engine {
    /// Launches due builds at the rate that the service accepts, until none are due or the time is up. `due` is the first part of the builds that
    /// were due at the moment `now`.
    pub(crate) async fn sweep_launches(&self, pace: &Pace, due: Vec<(Timestamp, Key)>, now: Timestamp, until: Timestamp) -> Tally {
        let mut line = Line::default();
        line.take(due, now);
        let line = lock::Mutex::new(line);
        let at_work = AtomicUsize::new(0);
        let workers = (0..SIDE_BY_SIDE).map(async |_| {
            let mut tally = Tally::default();
            loop {
                let next = {
                    let mut line = line.lock().await;
                    let next = line.next(self, pace, &at_work, until).await;
                    at_work.fetch_add(usize::from(next.is_some()), Ordering::Relaxed);
                    next
                };
                let Some((build, events)) = next else { return tally };
                let name = format!("build {}", build.record.spec.id);
                let work = self.advance(build, events, Overdue::Perform);
                tally.count(self.in_its_time(name, work, until).await);
                at_work.fetch_sub(1, Ordering::Relaxed);
            }
        });
        let tallies = join_all(workers).await;
        tallies.into_iter().fold(line.into_inner().tally, Tally::and)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    /// A service with a bucket of so many tokens, which gets so many a second, and somebody who asks it at a pace for so many seconds. Gives how many
    /// launches it took and refused.
    fn ask(pace: &Pace, burst: f64, per_second: f64, seconds: u32) -> (u32, u32) {
        let (mut tokens, mut taken, mut refused) = (burst, 0, 0);
        for tick in 0..seconds * 1000 {
            let now = at(tick);
            tokens = (tokens + per_second / 1000.0).min(burst);
            while pace.turn(now).is_ok() {
                if tokens >= 1.0 {
                    tokens -= 1.0;
                    taken += 1;
                    pace.accepted();
                } else {
                    refused += 1;
                    pace.throttled(now);
                }
            }
        }
        (taken, refused)
    }

    fn at(millisecond: u32) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + i64::from(millisecond)).unwrap()
    }

    #[test]
    fn the_pace_finds_the_services_rate_with_few_refusals() {
        for per_second in [5.0, 20.0, 60.0] {
            let (taken, refused) = ask(&Pace::new(at(0)), 100.0, per_second, 55);
            let most = 100.0 + per_second * 55.0;
            assert!(f64::from(taken) > 0.9 * (most - 100.0), "{taken} of {most} at {per_second}");
            assert!(f64::from(refused) <= FASTER * 55.0, "{refused} beside {taken} at {per_second}");
        }
    }

    #[test]
    fn a_service_that_takes_nothing_is_asked_no_more_than_twice_a_second() {
        let pace = Pace::new(at(0));
        let (_, refused) = ask(&pace, 0.0, 0.0, 55);
        assert!((100..=220).contains(&refused), "{refused}");
        assert!((pace.state().per_second - FEWEST).abs() < f64::EPSILON);
    }

    #[test]
    fn a_standstill_is_made_up_for_by_a_second_and_no_more() {
        let pace = Pace::new(at(0));
        let turns = (0..1000).take_while(|_| pace.turn(at(30_000)).is_ok()).count();
        assert_eq!(turns, 21);
        assert_eq!(pace.turn(at(30_000)), Err(Duration::from_millis(50)));
    }

    #[test]
    fn what_is_refused_at_once_slows_down_once() {
        let pace = Pace::new(at(0));
        for millisecond in 0..900 {
            pace.throttled(at(millisecond));
        }
        assert!((pace.state().per_second - FIRST * SLOWER).abs() < 1e-9);
        assert!(pace.looks_on(at(1_000), at(5_000)));
        assert!(!pace.looks_on(at(1_000), at(6_000)));
        assert!(pace.looks_on(at(500), at(60_000)), "one was refused since it was asked");
    }
}
