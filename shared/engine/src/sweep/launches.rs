//! The launch queue: builds whose launch was throttled, or paused by an alarm, wait in it for their turn. A launch that follows from an event is sent at
//! once, unless the queue is being worked off.
//!
//! One function at a time is the [launcher](bellhop_domain::queue::launcher). Each build that joins the queue wakes it, and the minute's sweep takes a
//! turn if all these wake-ups were lost. It launches at the service's [pace](super::pace), until the queue is empty or its time is up. Then it gives its
//! turn up and looks once more: what has joined the queue after its last look found the turn taken.
//!
//! Builds that have just joined come before the first in the queue, in three of four launches. So the builds of a push are launched within seconds, even
//! behind thousands that a storm has left, and these still get on. A build that was not launched within seconds keeps its place in the queue.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::queue::launcher::Launcher;
use futures::future::join_all;
use futures::lock;
use jiff::Timestamp;

use super::pace::Pace;
use super::{LIMIT, Tally};
use crate::Engine;
use crate::advance::Overdue;
use crate::ports::{Key, Lane};
use crate::records::{Stored as _, Versioned};

/// How many launches are in progress at a time: what the largest rate needs, for a launch of 100 ms.
const AT_WORK: usize = 64;
/// For how long builds are read ahead of their launch, and how many at least: not many, so that the data is still current.
const AHEAD: Duration = Duration::from_millis(250);
const AHEAD_AT_LEAST: usize = 8;
/// How many of the newest builds are looked at together, and for how long a build is one of them.
const NEWEST: usize = 8;
const NEW_FOR: Duration = Duration::from_secs(10);
/// One of so many launches is that of the first in the queue, however many new ones there are.
const FIRST_OF: u32 = 4;
/// How often the launcher looks for the first ones again while it has some left: what comes before them may have joined.
const LOOK_FOR_FIRST_EVERY: Duration = Duration::from_secs(2);
/// How often the launcher looks for the newest builds, and for others when it has none left.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long after a throttled launch the launcher continues to look for builds: others that meet the same limit join soon.
const LOOK_ON: Duration = Duration::from_secs(3);

/// A build that was read, with the events that its polls led to.
type Ready = (Versioned<Build>, Vec<BuildEvent>);

/// The builds that the launcher has read and that are not over, and those that it leaves to the next turn.
#[derive(Default)]
struct Seen(Mutex<(BTreeSet<Key>, BTreeSet<Key>)>);

impl Seen {
    fn both(&self) -> MutexGuard<'_, (BTreeSet<Key>, BTreeSet<Key>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with a build, unless that was done.
    fn begins(&self, key: &Key) -> bool {
        let (at_work, left) = &mut *self.both();
        !left.contains(key) && at_work.insert(key.clone())
    }

    /// Is done with a build. One that could not be read or processed is left to the next turn: it is still due, and would be tried without end.
    fn ends(&self, key: &Key, with_fault: bool) {
        let (at_work, left) = &mut *self.both();
        at_work.remove(key);
        if with_fault {
            left.insert(key.clone());
        }
    }

    fn is_idle(&self) -> bool {
        self.both().0.is_empty()
    }

    fn is_left(&self, key: &Key) -> bool {
        self.both().1.contains(key)
    }

    fn count(&self) -> usize {
        let (at_work, left) = &*self.both();
        at_work.len() + left.len()
    }
}

/// One end of the queue.
#[derive(Default)]
struct End {
    /// Builds that were not read yet.
    keys: VecDeque<Key>,
    /// Builds that were read.
    ready: VecDeque<Ready>,
}

impl End {
    fn takes(&mut self, due: Vec<(Timestamp, Key)>) {
        self.keys = due.into_iter().map(|(_, key)| key).collect();
    }

    fn is_to_be_read(&self) -> bool {
        self.ready.is_empty() && !self.keys.is_empty()
    }

    async fn read_ahead(&mut self, engine: &Engine, pace: &Pace, seen: &Seen, tally: &mut Tally) {
        let ahead = pace.launches_in(AHEAD).clamp(AHEAD_AT_LEAST, AT_WORK);
        let portion = self.keys.drain(..ahead.min(self.keys.len()));
        let keys: Vec<Key> = portion.filter(|key| seen.begins(key)).collect();
        tally.swept.due += keys.len();
        let mut builds = engine.load_builds(&keys, tally).await;
        let read: BTreeSet<Key> = builds.iter().map(|build| build.record.key()).collect();
        for key in keys.iter().filter(|key| !read.contains(key)) {
            seen.ends(key, true);
        }
        // The index is slightly behind the table.
        let now = engine.clock.now();
        builds.retain(|build| {
            let is_due = build.record.due().is_some_and(|due| due <= now);
            if !is_due {
                seen.ends(&build.record.key(), false);
            }
            is_due
        });
        self.ready.extend(engine.poll(builds, tally).await);
    }
}

/// The launch queue, as the launcher sees it.
struct Line {
    turn: Versioned<Launcher>,
    /// The turn was not lost to another function.
    is_ours: bool,
    first: End,
    newest: End,
    /// How many builds were launched, or tried.
    launches: u32,
    /// When the first, and the newest, were last queried.
    asked: Timestamp,
    asked_newest: Timestamp,
    /// A build was launched, or tried, since the first were queried: others may have become due meanwhile, or were beyond the query's limit.
    moved: bool,
    tally: Tally,
}

impl Line {
    /// The next build, when its time comes; `None` if there is none left, or no time.
    async fn next(&mut self, engine: &Engine, pace: &Pace, seen: &Seen, until: Timestamp) -> Option<Ready> {
        loop {
            let now = engine.clock.now();
            if now >= until || !self.keeps_turn(engine, pace, now).await {
                self.leaves();
                return None;
            }
            if now >= after(self.asked_newest, LOOK_EVERY) {
                self.asked_newest = now;
                match engine.ledger.newest_due(Lane::Launches, now, NEWEST).await {
                    Ok(mut due) => {
                        due.retain(|(since, _)| after(*since, NEW_FOR) > now);
                        self.newest.takes(due);
                    }
                    Err(fault) => self.tally.count(Err(fault)),
                }
            }
            if now >= after(self.asked, LOOK_FOR_FIRST_EVERY) && !self.first.keys.is_empty() {
                self.asks(engine, seen, now).await;
            }
            if self.first.is_to_be_read() {
                self.first.read_ahead(engine, pace, seen, &mut self.tally).await;
            } else if self.newest.is_to_be_read() {
                self.newest.read_ahead(engine, pace, seen, &mut self.tally).await;
            } else if !self.first.ready.is_empty() || !self.newest.ready.is_empty() {
                match pace.next(now) {
                    Ok(()) => return self.pops(),
                    Err(wait) => engine.clock.pause(wait.min(LOOK_EVERY)).await,
                }
            } else if !self.looks_again(engine, pace, seen).await {
                return None;
            }
        }
    }

    /// The next build that was read.
    fn pops(&mut self) -> Option<Ready> {
        self.moved = true;
        self.launches = self.launches.wrapping_add(1);
        let (next, other) = if self.launches.is_multiple_of(FIRST_OF) {
            (&mut self.first, &mut self.newest)
        } else {
            (&mut self.newest, &mut self.first)
        };
        next.ready.pop_front().or_else(|| other.ready.pop_front())
    }

    /// The builds that are left to the next turn.
    fn leaves(&mut self) {
        let ends = [&mut self.first, &mut self.newest];
        for end in ends {
            self.tally.swept.left += end.ready.len() + end.keys.len();
            *end = End::default();
        }
    }

    /// Prolongs the turn in time. Returns whether it is still this function's.
    async fn keeps_turn(&mut self, engine: &Engine, pace: &Pace, now: Timestamp) -> bool {
        if self.is_ours && self.turn.record.is_half_over(now) {
            match engine.take_turn(self.turn.version, pace.per_minute()).await {
                Ok(Some(turn)) => self.turn = turn,
                Ok(None) => self.is_ours = false,
                Err(fault) => {
                    self.tally.count(Err(fault));
                    self.is_ours = false;
                }
            }
        }
        self.is_ours
    }

    /// Queries further builds, if there may be some now or soon. Returns whether to continue.
    async fn looks_again(&mut self, engine: &Engine, pace: &Pace, seen: &Seen) -> bool {
        if !self.moved {
            let recently = engine.clock.now().checked_sub(LOOK_ON).unwrap_or(Timestamp::MIN);
            if seen.is_idle() && !pace.was_throttled_since(self.asked.min(recently)) {
                return false;
            }
            engine.clock.pause(LOOK_EVERY).await;
        }
        self.asks(engine, seen, engine.clock.now()).await
    }

    /// Queries the first builds. Returns whether that succeeded.
    async fn asks(&mut self, engine: &Engine, seen: &Seen, now: Timestamp) -> bool {
        self.asked = now;
        match engine.ledger.due(Lane::Launches, now, LIMIT + seen.count()).await {
            Ok(due) => {
                self.moved = false;
                self.first.takes(due);
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
    /// What the launcher's wake-up leads to: takes a turn, if there is something to launch and no other function has it.
    pub(crate) async fn launch_what_is_due(&self, until: Timestamp) -> Tally {
        let mut tally = Tally::default();
        // With a storm come thousands of wake-ups, and all but one find the turn taken: they do not query the queue.
        match self.free_turn().await {
            Ok(Some(_)) => {}
            Ok(None) => return tally,
            Err(fault) => {
                tally.count(Err(fault));
                return tally;
            }
        }
        let now = self.clock.now();
        match self.ledger.due(Lane::Launches, now, LIMIT).await {
            Ok(due) => self.sweep_launches(due, now, until).await,
            Err(fault) => {
                tally.count(Err(fault));
                tally
            }
        }
    }

    /// Takes a turn, unless nothing is due or another function has it: launches what is due at the rate that the service accepts, until nothing is or
    /// the time is up. `due` is the first part of the builds that were due at the moment `now`.
    pub(crate) async fn sweep_launches(&self, due: Vec<(Timestamp, Key)>, now: Timestamp, until: Timestamp) -> Tally {
        let mut tally = Tally::default();
        if due.is_empty() {
            return tally;
        }
        let taken = async {
            let Some((version, last)) = self.free_turn().await? else {
                return Ok(None);
            };
            let pace = Pace::new(last.map(|last| last.per_minute), self.clock.now());
            let turn = self.take_turn(version, pace.per_minute()).await?;
            Ok(turn.map(|turn| (turn, pace)))
        };
        match taken.await {
            Ok(Some((turn, pace))) => {
                let mut line = Line {
                    turn,
                    is_ours: true,
                    first: End::default(),
                    newest: End::default(),
                    launches: 0,
                    asked: now,
                    asked_newest: Timestamp::MIN,
                    moved: false,
                    tally,
                };
                line.first.takes(due);
                self.launch(line, Arc::new(pace), until).await
            }
            Ok(None) => tally,
            Err(fault) => {
                tally.count(Err(fault));
                tally
            }
        }
    }

    /// A turn of the launcher.
    async fn launch(&self, line: Line, pace: Arc<Pace>, until: Timestamp) -> Tally {
        let engine = Self {
            pace: Some(pace.clone()),
            ..self.clone()
        };
        let (line, seen) = (lock::Mutex::new(line), Seen::default());
        let workers = (0..AT_WORK).map(async |_| {
            let mut tally = Tally::default();
            loop {
                let next = line.lock().await.next(&engine, &pace, &seen, until).await;
                let Some((build, events)) = next else { return tally };
                let (key, name) = (build.record.key(), format!("build {}", build.record.spec.id));
                let work = engine.advance(build, events, Overdue::Perform);
                let result = engine.in_its_time(name, work, until).await;
                seen.ends(&key, result.is_err());
                tally.count(result);
            }
        });
        let tallies = join_all(workers).await;
        let line = line.into_inner();
        let mut tally = line.tally;
        if line.is_ours
            && let Err(fault) = self.end_turn(&line.turn, &pace, &seen).await
        {
            tally.count(Err(fault));
        }
        tallies.into_iter().fold(tally, Tally::and)
    }

    /// Gives the turn up, and has the launcher woken if a build is due: one that has joined after the last look found the turn taken.
    async fn end_turn(&self, turn: &Versioned<Launcher>, pace: &Pace, seen: &Seen) -> Result<(), crate::Fault> {
        self.give_turn_up(turn, pace.per_minute()).await?;
        let due = self.ledger.due(Lane::Launches, self.clock.now(), 1 + seen.count()).await?;
        let next = due.into_iter().find(|(_, key)| !seen.is_left(key));
        self.set_timers(next.into_iter().map(|(at, _)| (at, Launcher::key_of(()))).collect())
            .await;
        Ok(())
    }
}

fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}
