//! The sweep's lane of launches: as many a second as a service takes, and no more.
//!
//! A service launches from a bucket of tokens that fills at a steady rate, and refuses what finds it empty. Whoever asks slower than it fills leaves
//! launches undone, and whoever asks faster pays for refusals, each with a request to the service and two writes of the ledger. The rate is not known: it
//! is the account's, and others take from it. So it is found out, as TCP finds out a line's: a little faster with each launch, and slower by a share
//! where one was refused. What a slow second leaves in the bucket is there in the next one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::build::{Build, BuildEvent, Refusal, THROTTLED_WAIT};
use bellhop_domain::ids::{AgentId, AttemptId, BuildId, LaunchId};
use bellhop_domain::observation::Observation;
use bellhop_domain::spec::BuildSpec;
use futures::future::join_all;
use futures::lock;
use jiff::Timestamp;

use crate::engine::Overdue;
use crate::ports::{Agents, Clock, DueItem, Lane, Launch, Versioned};
use crate::sweep::{LIMIT, SIDE_BY_SIDE, Tally};
use crate::{Engine, Fault};

/// The launches a second that a sweep begins with: what Fargate takes of every account
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html>).
const FIRST: f64 = 20.0;
/// The fewest launches a second, however many are refused.
const FEWEST: f64 = 2.0;
/// The most launches a second.
const MOST: f64 = 200.0;
/// By how many launches a second it gets faster, each second in which none is refused.
const FASTER: f64 = 4.0;
/// What is left of the rate where a launch was refused.
const SLOWER: f64 = 0.7;
/// How long what is refused counts as one refusal: what was on the way with it says nothing new.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The shortest wait: a clock need not know of less.
const SHORTEST: Duration = Duration::from_millis(1);
/// How much of a standstill, as when the next builds are read, is made up for.
const MADE_UP: Duration = Duration::from_secs(1);
/// How many builds are read ahead of their launch: no more than keep everybody busy, so that what was read is still true then.
const AHEAD: usize = SIDE_BY_SIDE;
/// How long after a refusal the sweep goes on looking for what is due: what was refused is due again by then, and the index knows of it.
const LOOK_ON: Duration = Duration::from_secs(THROTTLED_WAIT.as_secs() + 3);
/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether others who are still at a launch were refused.
const OTHERS: Duration = Duration::from_millis(100);

/// How fast launches are asked for.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    per_second: f64,
    /// When the next launch may be asked for.
    next: Timestamp,
    /// When it got slower the last time.
    slowed: Option<Timestamp>,
    /// When the last launch was refused by a rate limit.
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

    /// Takes a turn, or gives how long the next one is away.
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

    /// Whether there will be something due again that was not when this was asked last: a launch was refused since then, or lately.
    fn looks_on(&self, asked: Timestamp, now: Timestamp) -> bool {
        let throttled = self.state().throttled;
        throttled.is_some_and(|throttled| throttled >= asked || after(throttled, LOOK_ON) > now)
    }
}

fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Agents whose launches set the pace.
pub(crate) struct Paced {
    pub(crate) agents: Arc<dyn Agents>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: Arc<Pace>,
}

#[async_trait]
impl Agents for Paced {
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault> {
        let launched = self.agents.launch(spec, launch, again).await;
        match &launched {
            Ok(Launch::Accepted(_)) => self.pace.accepted(),
            Ok(Launch::Refused {
                refusal: Refusal::Throttled(_),
                ..
            }) => self.pace.throttled(self.clock.now()),
            Ok(Launch::Refused { .. }) | Err(_) => {}
        }
        launched
    }

    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault> {
        self.agents.stop(agent, reason).await
    }

    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        self.agents.find(spec, attempt).await
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        self.agents.describe(agents).await
    }

    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        self.agents.identify(agent).await
    }
}

/// Builds in the order in which they are launched.
#[derive(Default)]
struct Line {
    /// Those that are not read yet.
    ids: VecDeque<BuildId>,
    /// Those that were read, each with what it is to be told.
    read: VecDeque<(Versioned<Build>, Vec<BuildEvent>)>,
    /// When it was asked what is due.
    asked: Timestamp,
    /// One was launched, or tried, since then: others have become due meanwhile, or were more than were asked for.
    moved: bool,
    /// Those that could not be read. They stay due, and are not taken again in this sweep.
    unreadable: BTreeSet<BuildId>,
    tally: Tally,
}

impl Line {
    /// Takes on what was due at a moment.
    fn take(&mut self, due: Vec<(Timestamp, DueItem)>, asked: Timestamp) {
        self.asked = asked;
        self.moved = false;
        let builds = due.into_iter().filter_map(|(_, item)| match item {
            DueItem::Build(id) => Some(id).filter(|id| !self.unreadable.contains(id)),
            DueItem::Run(_) | DueItem::Pool(_) | DueItem::Branch(..) | DueItem::Document(_) => None,
        });
        self.ids = builds.collect();
        self.tally.swept.due += self.ids.len();
    }

    /// The next build, once it is its turn; `None` when there is none left, or no time. `at_work` is how many others are being launched.
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
                self.tally.swept.left += self.ids.len() + self.read.len();
                self.ids.clear();
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
            } else if !self.ids.is_empty() {
                self.read_ahead(engine).await;
            } else if !self.look_again(engine, pace, at_work).await {
                return None;
            }
        }
    }

    async fn read_ahead(&mut self, engine: &Engine) {
        let ids: Vec<BuildId> = self.ids.drain(..AHEAD.min(self.ids.len())).collect();
        let mut builds = engine.load(&ids, &mut self.tally).await;
        let read: BTreeSet<&BuildId> = builds.iter().map(|build| &build.record.spec.id).collect();
        self.unreadable.extend(ids.iter().filter(|id| !read.contains(id)).cloned());
        // The index is a little behind.
        let now = engine.clock.now();
        builds.retain(|build| build.record.due().is_some_and(|due| due <= now));
        self.read.extend(engine.look(builds, &mut self.tally).await);
    }

    /// Looks what else is due, where there may be something, now or soon. Gives whether to go on.
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
    /// Launches what is due for it, at the pace that the service allows, until nothing more is due or time is up. `due` is what was due at the moment
    /// `now`, or the first part of it.
    pub(crate) async fn sweep_launches(&self, pace: &Pace, due: Vec<(Timestamp, DueItem)>, now: Timestamp, until: Timestamp) -> Tally {
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
