//! Bellhop's domain and engine in a hostile world that one seed decides.
//!
//! The code under test is the real one: everything from [`RunStarter::push`](bellhop_engine::RunStarter::push), [`Engine::build`](bellhop_engine::Engine::build)
//! and [`Engine::sweep`](bellhop_engine::Engine::sweep) on. Around it stand AWS's services in memory, with their own semantics, and a scheduler of
//! virtual time that lets any number of invocations interleave at every call of a port. What the stand-in says of a service too is in `tests/model`. See
//! `docs/contributing/simulation.md`.
#![allow(clippy::expect_used, reason = "this crate is a test: what cannot be in its own world may stop it")]

mod alarms;
mod attacker;
mod backups;
mod bucket;
mod checks;
mod codepipeline;
mod denials;
mod ecs;
mod environments;
mod executor;
mod explore;
mod flows;
mod guarded;
mod hostility;
mod instances;
mod job;
mod ledger;
mod line;
mod mutant;
mod plan;
mod ports;
mod requests;
mod source;
mod world;

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use explore::{Exploration, Explored, Found, explore};
pub use flows::Flow;
pub use mutant::{Mutant, MutantResult};
pub use plan::{Call, Kind, Planned};

/// The suite's name.
const SUITE: &str = "simulation";

/// What a simulation is made of. The same options always give the same simulation, step by step.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// How many virtual minutes the world is hostile before it calms down.
    pub minutes: u32,
    /// How hostile it is: 1 as usual, 0 not at all.
    pub hostility: f64,
    /// How many events somebody makes up while the world is hostile.
    pub forgeries: u32,
    /// A mistake to be found; none for the code as it is.
    pub mutant: Option<Mutant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            minutes: 60,
            hostility: 1.0,
            forgeries: 30,
            mutant: None,
        }
    }
}

impl Options {
    /// A world in which nothing is hostile but what is chosen.
    fn explored(mutant: Option<Mutant>) -> Self {
        Self {
            hostility: 0.0,
            mutant,
            ..Self::default()
        }
    }
}

/// What happened in a simulation, or in many.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Runs that were created.
    pub runs: u64,
    /// Builds that were created.
    pub builds: u64,
    /// Attempts beyond the first of each build.
    pub retries: u64,
    /// Builds that were cancelled or superseded.
    pub cancelled: u64,
    /// Builds that had to wait for a place of their agent template.
    pub waited: u64,
    /// Actions of CodePipeline that began.
    pub actions: u64,
    /// Their jobs that came with a continuation token.
    pub continued: u64,
    /// Actions whose pipeline was stopped.
    pub withdrawn: u64,
    /// Actions that CodePipeline ended for want of an answer.
    pub unanswered: u64,
    /// Runs that somebody asked for.
    pub requested: u64,
    /// Tasks that ECS created.
    pub tasks: u64,
    /// Builds that CodeBuild created, which are among the tasks.
    pub on_codebuild: u64,
    /// Executions that Step Functions started for attempts, which are among the tasks.
    pub on_step_functions: u64,
    /// Executions that these started with their own input.
    pub children: u64,
    /// Tasks on instances, which are among the tasks.
    pub on_instances: u64,
    /// Instances that EC2 took away.
    pub taken_away: u64,
    /// Transitions to ALARM that were taken.
    pub alarms: u64,
    /// Restarts of a service.
    pub restarts: u64,
    /// Jobs that AWS Backup took.
    pub backup_jobs: u64,
    /// What was told of how they ended.
    pub backup_alerts: u64,
    /// Restored resources that were removed again.
    pub removed: u64,
    /// Events that somebody made up, or that told of a task that only imitates an agent.
    pub forged: u64,
    /// Tasks, builds and executions that imitate an agent.
    pub imitations: u64,
    /// Reports that a script wrote in the place of another build's.
    pub forged_reports: u64,
    /// Tokens and names of launches that somebody used before the suite did.
    pub tokens_taken: u64,
    /// Tasks of the agent template with `refs`, which are among the tasks.
    pub guarded: u64,
    /// Runs that were rejected because of `refs`.
    pub off_refs: u64,
    /// Launches that ECS refused.
    pub refusals: u64,
    /// Those of them that it refused for good.
    pub refused_for_good: u64,
    /// Requests that were denied.
    pub denials: u64,
    /// Things that were given up, and agents that were.
    pub given_up: u64,
    /// Tasks whose Spot capacity was taken back.
    pub interruptions: u64,
    /// Invocations of functions.
    pub invocations: u64,
    /// Invocations that died between two steps.
    pub deaths: u64,
    /// Invocations that ended with an error.
    pub errors: u64,
    /// Events and pushes that were given up on after their last retry.
    pub dead_letters: u64,
    /// Events that were delivered.
    pub events: u64,
    /// Changes of a task of which no event was delivered.
    pub events_lost: u64,
    /// Changes of a task of which more than one event was delivered.
    pub events_repeated: u64,
    /// Requests to services that were refused, delayed, or whose reply was lost.
    pub faults: u64,
    /// Writes that found another version.
    pub conflicts: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// How often an invariant was looked at.
    pub checks: u64,
    /// Steps of the story.
    pub steps: u64,
    /// Virtual time.
    pub virtual_seconds: u64,
}

impl Statistics {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.builds += other.builds;
        self.retries += other.retries;
        self.cancelled += other.cancelled;
        self.waited += other.waited;
        self.actions += other.actions;
        self.continued += other.continued;
        self.withdrawn += other.withdrawn;
        self.unanswered += other.unanswered;
        self.requested += other.requested;
        self.tasks += other.tasks;
        self.on_codebuild += other.on_codebuild;
        self.on_step_functions += other.on_step_functions;
        self.children += other.children;
        self.on_instances += other.on_instances;
        self.taken_away += other.taken_away;
        self.alarms += other.alarms;
        self.restarts += other.restarts;
        self.backup_jobs += other.backup_jobs;
        self.backup_alerts += other.backup_alerts;
        self.removed += other.removed;
        self.forged += other.forged;
        self.imitations += other.imitations;
        self.forged_reports += other.forged_reports;
        self.tokens_taken += other.tokens_taken;
        self.guarded += other.guarded;
        self.off_refs += other.off_refs;
        self.refusals += other.refusals;
        self.refused_for_good += other.refused_for_good;
        self.denials += other.denials;
        self.given_up += other.given_up;
        self.interruptions += other.interruptions;
        self.invocations += other.invocations;
        self.deaths += other.deaths;
        self.errors += other.errors;
        self.dead_letters += other.dead_letters;
        self.events += other.events;
        self.events_lost += other.events_lost;
        self.events_repeated += other.events_repeated;
        self.faults += other.faults;
        self.conflicts += other.conflicts;
        self.messages += other.messages;
        self.checks += other.checks;
        self.steps += other.steps;
        self.virtual_seconds += other.virtual_seconds;
    }
}

/// Something that must hold and did not.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which invariant, in a word.
    pub invariant: &'static str,
    /// What was found.
    pub message: String,
    /// The seed that shows it again.
    pub seed: u64,
    /// The build or run that it concerns.
    pub about: Option<String>,
    /// When it was found, in virtual time.
    pub at: Duration,
    /// The last steps that concern it: virtual time, who, what.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        let about = self.about.as_deref().unwrap_or("the world");
        write!(f, "seed {}: {} violated for {about}: {}", self.seed, self.invariant, self.message)
    }
}

/// What came of a simulation.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What happened.
    pub statistics: Statistics,
    /// The first violation, with which the simulation ended.
    pub violation: Option<Violation>,
    /// A hash over every step, its time and who made it.
    pub digest: u64,
}

/// Simulates once. A violation comes with its trace, for which the simulation is run a second time.
#[must_use]
pub fn run(options: &Options) -> Outcome {
    let outcome = executor::simulate(options, false);
    if outcome.violation.is_some() {
        executor::simulate(options, true)
    } else {
        outcome
    }
}

/// What came of many simulations.
#[derive(Debug, Default, Clone)]
pub struct Summary {
    /// How many there were.
    pub simulations: u64,
    /// What happened in all of them.
    pub statistics: Statistics,
    /// Every violation, by seed.
    pub violations: Vec<Violation>,
    /// The seed that took longest, and how long, by the clock on the wall.
    pub slowest: Option<(u64, Duration)>,
}

/// Simulates every seed of a range, on so many threads. `progress` is called after each simulation with how many are done.
///
/// `options` says everything but the seed.
pub fn simulate(seeds: Range<u64>, options: &Options, threads: usize, progress: impl Fn(u64) + Sync) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let begun = Instant::now();
                    let outcome = run(&Options { seed, ..options.clone() });
                    let took = begun.elapsed();
                    let done = {
                        let mut summary = summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        summary.simulations += 1;
                        summary.statistics.add(&outcome.statistics);
                        summary.violations.extend(outcome.violation);
                        if summary.slowest.is_none_or(|(_, longest)| longest < took) {
                            summary.slowest = Some((seed, took));
                        }
                        summary.simulations
                    };
                    progress(done);
                }
            });
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    summary.violations.sort_by_key(|violation| violation.seed);
    summary
}

/// Makes every mistake of the list in turn, and tells which seed showed it. `progress` is called with each result.
pub fn mutants(mutants: &[Mutant], threads: usize, progress: impl Fn(&MutantResult) + Sync) -> Vec<MutantResult> {
    let next = AtomicU64::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                    let Some(mutant) = mutants.get(index) else { return };
                    let result = mutant.search();
                    progress(&result);
                    results
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
