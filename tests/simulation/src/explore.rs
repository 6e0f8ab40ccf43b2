//! Every flow with a fault at every call, and at every pair of calls: nothing is sampled.
//!
//! A world without faults tells which calls a flow makes. For each of them, and for each thing that can go wrong with it, the flow is lived through again.
//! What then happens makes other calls; each of those that come after the fault is made to go wrong as well, in each way. So the shortest way to a
//! violation is found first.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::executor;
use crate::flows::{self, Flow};
use crate::mutant::Mutant;
use crate::plan::{Call, Planned, Script};
use crate::world::{Happening, World};
use crate::{Options, Outcome, Statistics, Violation};

/// What is explored.
#[derive(Debug, Clone, Copy)]
pub struct Exploration {
    /// The flow.
    pub flow: Flow,
    /// A mistake to be found; none for the code as it is.
    pub mutant: Option<Mutant>,
    /// How many faults there may be, at most 2.
    pub faults: usize,
    /// Of the first faults of a pair, only each of which the number has this remainder is taken: `(0, 1)` for all.
    pub share: (usize, usize),
    /// How many violations are enough.
    pub enough: usize,
}

impl Exploration {
    /// All of a flow, with so many faults at most.
    #[must_use]
    pub fn all(flow: Flow, faults: usize) -> Self {
        Self {
            flow,
            mutant: None,
            faults,
            share: (0, 1),
            enough: 1,
        }
    }
}

/// A violation, and the faults that lead to it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The flow.
    pub flow: Flow,
    /// The faults, each with its call.
    pub faults: Vec<(Planned, Call)>,
    /// What was violated, with its trace.
    pub violation: Violation,
}

impl Found {
    /// The faults in words, each after a comma; empty where there are none.
    #[must_use]
    pub fn path(&self) -> String {
        let words = |(planned, call): &(Planned, Call)| format!(", {planned} ({} of {})", call.operation, call.function);
        self.faults.iter().map(words).collect()
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.violation)?;
        write!(f, "in the flow {}{}", self.flow.name(), self.path())
    }
}

/// What came of an exploration.
#[derive(Debug, Clone)]
pub struct Explored {
    /// The flow.
    pub flow: Flow,
    /// The calls that it makes without faults, and the events.
    pub calls: Vec<Call>,
    /// What happens in it without faults.
    pub peaceful: Statistics,
    /// How many times it was lived through with one fault, and with two.
    pub lives: [usize; 2],
    /// How many first faults of pairs were left out, by [`Exploration::share`].
    pub left_out: usize,
    /// What happened in all of them.
    pub statistics: Statistics,
    /// Violations, those with the fewest faults first.
    pub found: Vec<Found>,
    /// How long it took.
    pub took: Duration,
}

/// A life of a flow: what it did, and the calls that it made.
struct Life {
    statistics: Statistics,
    violation: Option<Violation>,
    calls: Vec<Call>,
}

/// Lives through a flow in which only chosen faults happen. Gives what came of it, and the calls that were made.
fn live_once(exploration: &Exploration, faults: &[Planned], tells: bool) -> (Outcome, Vec<Call>) {
    let options = Options::explored(exploration.mutant);
    // The engine's own dice, for the pauses after conflicts. They belong to this thread.
    fastrand::seed(options.seed);
    let mut world = World::new(&options, tells);
    world.script = Some(Script::new(faults));
    flows::prepare(&mut world, exploration.flow);
    world.schedule(executor::INSPECTION, Happening::Inspect);
    executor::live(world, |world| {
        let calls = world.script.take().map(|script| script.calls);
        (world.outcome(), calls.unwrap_or_default())
    })
}

/// The same, with the story of a violation, for which it is lived through a second time.
fn live(exploration: &Exploration, faults: &[Planned]) -> Life {
    let (mut outcome, calls) = live_once(exploration, faults, false);
    if outcome.violation.is_some() {
        outcome = live_once(exploration, faults, true).0;
    }
    Life {
        statistics: outcome.statistics,
        violation: outcome.violation,
        calls,
    }
}

/// Every fault at every call from one on.
fn faults_from(calls: &[Call], first: usize) -> impl Iterator<Item = Planned> + '_ {
    let from = calls.iter().enumerate().skip(first);
    from.flat_map(|(call, what)| what.kinds().map(move |kind| Planned { call, kind }))
}

/// Explores a flow on so many threads. `progress` is called with how many of its first faults are done, and of how many.
pub fn explore(exploration: &Exploration, threads: usize, progress: impl Fn(usize, usize) + Sync) -> Explored {
    let begun = Instant::now();
    let base = live(exploration, &[]);
    let (_, modulus) = exploration.share;
    let mut explored = Explored {
        flow: exploration.flow,
        calls: base.calls.clone(),
        peaceful: base.statistics,
        lives: [0, 0],
        left_out: 0,
        statistics: base.statistics,
        found: Vec::new(),
        took: Duration::ZERO,
    };
    if let Some(violation) = base.violation {
        explored.found.push(found(exploration, Vec::new(), violation));
    }
    let singles: Vec<Planned> = faults_from(&base.calls, 0).collect();
    let shared = Mutex::new(explored);
    for depth in 0..exploration.faults.min(2) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(first) = singles.get(number) else { return };
                        if lock(&shared).found.len() >= exploration.enough {
                            return;
                        }
                        if depth == 0 {
                            take(&shared, exploration, &[*first], 0);
                        } else if number % modulus.max(1) == exploration.share.0 {
                            pairs(&shared, exploration, *first);
                        } else {
                            lock(&shared).left_out += 1;
                        }
                        progress(number + 1, singles.len());
                    }
                });
            }
        });
    }
    let mut explored = shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    explored
        .found
        .sort_by_key(|found| found.faults.iter().map(|(planned, _)| *planned).collect::<Vec<_>>());
    explored.found.sort_by_key(|found| found.faults.len());
    explored.took = begun.elapsed();
    explored
}

/// Every second fault after a first one.
fn pairs(shared: &Mutex<Explored>, exploration: &Exploration, first: Planned) {
    let life = live(exploration, &[first]);
    for second in faults_from(&life.calls, first.call + 1) {
        if lock(shared).found.len() >= exploration.enough {
            return;
        }
        take(shared, exploration, &[first, second], 1);
    }
}

fn take(shared: &Mutex<Explored>, exploration: &Exploration, faults: &[Planned], depth: usize) {
    let life = live(exploration, faults);
    let mut explored = lock(shared);
    if let Some(lives) = explored.lives.get_mut(depth) {
        *lives += 1;
    }
    explored.statistics.add(&life.statistics);
    if let Some(violation) = life.violation {
        let calls = faults.iter().filter_map(|planned| Some((*planned, *life.calls.get(planned.call)?)));
        let calls = calls.collect();
        explored.found.push(found(exploration, calls, violation));
    }
}

fn found(exploration: &Exploration, faults: Vec<(Planned, Call)>, violation: Violation) -> Found {
    Found {
        flow: exploration.flow,
        faults,
        violation,
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
