//! What must hold, after every step and at rest. The code under test is not asked: what is true is known from the stand-ins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bellhop_domain::Capacity;
use bellhop_domain::agent::report_key;
use bellhop_domain::branch::{Branch, BranchEffect};
use bellhop_domain::build::{Attempt, Build, BuildEffect, BuildState, End, Phase, Place, STOP_TIMEOUT, StopWhy, UNKNOWN_FOR};
use bellhop_domain::ids::{AttemptId, BuildId, LaunchId, Reference, RepositoryName, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::pool::{Pool, Waiting};
use bellhop_domain::run::{JobState, Run, RunState};
use bellhop_domain::spec::BuildSpec;
use bellhop_domain::trigger::Push;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ecs::{Failure, Task, Truth, short};
use crate::instances::is_doomed;
use crate::ledger::describe;
use crate::source::{Expected, JobTruth};
use crate::world::{HOUR, Job, MINUTE, Millis, SECOND, Subject, World, moment, timestamp};

/// How long an agent that is not wanted (any more) may go on without having been told to stop, once the faults have stopped: the longest wait of an
/// effect that was tried in vain, the time that is spent on looking for the agent of a lost launch, and some sweeps.
const CALM_GRACE: Millis = 24 * MINUTE;
/// The same in a hostile world. Where half of the sweeps are lost or die and two of five requests fail, a look for an agent takes several tries, which are up
/// to a quarter of an hour apart.
const GRACE: Millis = HOUR;
/// How far two clocks may be apart, and a little more.
const CLOCKS: Millis = 10 * SECOND;

/// What is remembered for the checks alone.
#[derive(Default)]
pub(crate) struct Checks {
    /// Launches that ECS refused at least once.
    refused: BTreeSet<(AttemptId, Capacity)>,
    /// Attempts of which a launch was refused for good.
    forbidden: BTreeSet<AttemptId>,
    /// Builds of which a launch was denied, and since when.
    denied: BTreeMap<BuildId, Millis>,
    /// Launches that made a task.
    launched: BTreeSet<(AttemptId, Capacity)>,
    /// Runs that somebody wanted to cancel, or a job of them.
    wished_away: BTreeSet<RunId>,
    /// Runs that somebody was told are cancelled, and since when.
    cancelled: BTreeMap<RunId, Millis>,
    /// The runs that each branch has been told of.
    entered: BTreeMap<(RepositoryName, Reference), BTreeSet<RunId>>,
    /// Runs whose start ended in a dead letter, or of which whoever asked was told that there is none.
    pub(crate) given_up: BTreeSet<RunId>,
    /// How often each build and run was decided to be over.
    closed: BTreeMap<String, u32>,
    /// What was seen of backups.
    backups: backups::Seen,
    /// What was seen of alarms.
    alarms: alarms::Seen,
    /// What was seen of instances.
    instances: instances::Seen,
}

/// Where a check stands: an invariant's name, and whether it holds.
macro_rules! check {
    ($world:expr, $about:expr, $name:literal, $holds:expr, $($message:tt)+) => {
        $world.statistics.checks += 1;
        if !$holds {
            let message = format!($($message)+);
            let about: crate::world::Subject = $about.into();
            $world.violated($name, &about, message);
        }
    };
}

pub(crate) mod actions;
pub(crate) mod alarms;
mod artifacts;
pub(crate) mod backups;
pub(crate) mod instances;
pub(crate) mod requests;
mod superseded;

impl World {
    fn job(&self, spec: &BuildSpec) -> Option<&JobTruth> {
        self.repository.job(spec)
    }

    fn tasks_of<'a>(&'a self, build: &'a BuildId) -> impl Iterator<Item = &'a Task> {
        self.ecs.tasks.iter().filter(move |task| task.attempt.build == *build)
    }

    fn outcome_of(&self, build: &BuildId) -> Option<Outcome> {
        self.tables.builds.get(build)?.record.outcome()
    }
}

pub(crate) fn refused(world: &mut World, attempt: &AttemptId, capacity: Capacity) {
    world.checks.refused.insert((attempt.clone(), capacity));
}

/// Somebody asks for a run, or a job of it, to be cancelled.
pub(crate) fn wished_away(world: &mut World, run: &RunId) {
    world.checks.wished_away.insert(run.clone());
}

/// Somebody is told that a run is cancelled.
pub(crate) fn cancelled(world: &mut World, run: &RunId) {
    let now = world.now;
    world.checks.cancelled.entry(run.clone()).or_insert(now);
}

/// A launch was refused for good.
pub(crate) fn forbidden(world: &mut World, attempt: &AttemptId) {
    world.checks.forbidden.insert(attempt.clone());
}

/// A launch was refused for a reason that nobody knows.
pub(crate) fn denied(world: &mut World, attempt: &AttemptId) {
    let now = world.now;
    world.checks.denied.entry(attempt.build.clone()).or_insert(now);
}

/// A launch is answered with the refusal that its token was spent on.
pub(crate) fn refused_again(world: &mut World, launch: &LaunchId, of: &LaunchId) {
    check!(
        world,
        &launch.attempt.build,
        "no-try-under-a-spent-token",
        launch == of,
        "round {} of {launch} has the token of round {} of {of}",
        launch.round,
        of.round
    );
}

/// A launch's token is spent on a task already.
pub(crate) fn launched_again(world: &mut World, attempt: &AttemptId, capacity: Capacity, spent_on: &(AttemptId, Capacity)) {
    let (other, on) = spent_on;
    check!(
        world,
        &attempt.build,
        "one-token-per-launch",
        (other, *on) == (attempt, capacity),
        "{attempt} on {capacity} has the token of {other} on {on}"
    );
}

pub(crate) fn version_written(world: &mut World, about: &Subject, stored: u64, next: u64) {
    check!(
        world,
        about.clone(),
        "versions-grow",
        next == stored + 1,
        "version {stored} is overwritten by version {next}"
    );
}

/// A new task is about to be created. The number of live tasks grows here alone, so that here alone it has to be looked at.
pub(crate) fn launching(world: &mut World, spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity) {
    let id = &attempt.build;
    let Some(job) = world.job(spec).cloned() else {
        world.violated("jobs-as-pushed", &id.into(), "no commit has such a job".to_owned());
        return;
    };
    let known = world.tables.builds.get(id).is_some_and(|build| {
        build
            .record
            .attempts
            .iter()
            .any(|known| known.number == attempt.number && known.launched.is_some())
    });
    check!(
        world,
        id,
        "state-before-action",
        known,
        "{attempt} is launched and not in the ledger"
    );

    let spot = capacity == Capacity::Spot;
    check!(
        world,
        id,
        "critical-never-on-spot",
        !(spot && job.critical),
        "{attempt} is launched on Spot"
    );
    check!(
        world,
        id,
        "spot-only-where-offered",
        !spot || job.spot,
        "{attempt} is launched on Spot"
    );

    for need in &job.needs {
        if requests::is_left_out(world, id, need) {
            continue;
        }
        let needed = BuildId {
            run: id.run.clone(),
            job: need.parse().expect("it is a job's name"),
        };
        let outcome = world.outcome_of(&needed);
        check!(
            world,
            id,
            "needs-first",
            outcome == Some(Outcome::Succeeded),
            "{attempt} is launched, and {needed} is {outcome:?}"
        );
    }

    alarms::launching(world, attempt);
    let first = world.checks.launched.insert((attempt.clone(), capacity));
    check!(
        world,
        id,
        "one-agent-per-launch",
        first,
        "{attempt} has a second agent on {capacity}"
    );

    // An attempt whose accepted launch found no capacity after all takes another number, and no retry.
    let without_capacity = world.tasks_of(id).filter(|task| {
        task.never_ran() && task.disturbed && (task.capacity == Capacity::OnDemand || task.failure == Some(Failure::NotNow))
    });
    // So does one whose token was spent on an agent that was taken for a stray.
    let spent = world.tables.builds.get(id).map_or(0, |build| {
        let attempts = build.record.attempts.iter();
        attempts
            .filter(|attempt| attempt.end().is_some() && (attempt.agent.is_none() || attempt.lost && attempt.started.is_none()))
            .count()
    });
    let extra = u32::try_from(without_capacity.count() + spent).unwrap_or(u32::MAX);
    let most = 1 + job.limits.iter().sum::<u32>() + extra;
    check!(
        world,
        id,
        "retry-limits",
        attempt.number <= most,
        "{attempt} is one too many for the limits {:?}",
        job.limits
    );

    // A launch that was refused, while an earlier request of it was still under way: the attempt has gone on to other capacity by now, and what comes
    // of that request has to be found and stopped.
    if world.checks.refused.contains(&(attempt.clone(), capacity)) && is_over_with(world, attempt, capacity) {
        return;
    }
    if world.repository.limits.contains_key(job.agent) {
        let held = world
            .tables
            .pools
            .get(&spec.agent)
            .is_some_and(|pool| pool.record.holders.contains_key(id));
        // A request that was delayed comes through after another one was denied, and the place was given back meanwhile.
        let build = world.tables.builds.get(id).map(|stored| &stored.record);
        let waits = build
            .and_then(|build| build.attempts.last())
            .is_some_and(|attempt| attempt.phase == Phase::Waiting);
        let denied = waits && world.checks.denied.contains_key(id);
        check!(
            world,
            id,
            "no-agent-without-a-place",
            held || denied,
            "{attempt} is launched without a place"
        );
    }
    let since = world.checks.cancelled.get(&id.run).copied();
    let late = since.is_some_and(|since| match world.calm_since {
        Some(calm) => world.now > since.max(calm) + CALM_GRACE,
        None => world.now > since + GRACE,
    });
    check!(
        world,
        id,
        "cancelled-starts-nothing",
        !late,
        "{attempt} is launched long after its run was cancelled"
    );
    let others: Vec<Task> = world.tasks_of(id).filter(|task| task.lives()).cloned().collect();
    let mut going = 0;
    for other in others {
        // A launch on Spot that was refused and, at another try, not: found by its events, and stopped.
        let abandoned = world.checks.refused.contains(&(other.attempt.clone(), other.capacity)) && !is_named(world, &other);
        let lost = is_given_up(world, &other) && (!job.relaunch_stopped || is_stray(world, &other));
        if abandoned || lost {
            continue;
        }
        let name = short(&other.agent).to_owned();
        check!(
            world,
            id,
            "one-live-agent",
            !other.goes_on() || is_doomed(world, &other.agent),
            "{attempt} is launched beside {name} of {}",
            other.attempt
        );
        check!(
            world,
            id,
            "two-only-after-a-warning",
            other.goes_on() || other.reclaimed.is_some(),
            "{attempt} is launched beside {name} of {}, which is being stopped",
            other.attempt
        );
        check!(
            world,
            id,
            "relaunch-stopped",
            !job.relaunch_stopped,
            "{attempt} is launched beside {name} of {}",
            other.attempt
        );
        going += 1;
    }
    check!(
        world,
        id,
        "at-most-two-agents",
        going <= 1,
        "{attempt} is launched beside {going} others"
    );
}

/// Whether an attempt has gone on to other capacity, or ended.
fn is_over_with(world: &World, attempt: &AttemptId, capacity: Capacity) -> bool {
    let build = world.tables.builds.get(&attempt.build);
    let known = build.and_then(|build| build.record.attempts.iter().find(|known| known.number == attempt.number));
    known.is_some_and(|known| known.capacity != capacity || known.end().is_some())
}

/// What is stored reads as what was to be stored.
fn reads_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(world: &mut World, about: impl Into<Subject>, next: &T) {
    let text = serde_json::to_string(next).unwrap_or_default();
    let back = serde_json::from_str::<T>(&text);
    check!(
        world,
        about,
        "records-read-back",
        back.as_ref().is_ok_and(|back| back == next),
        "{back:?} from {text}"
    );
}

/// The places of an agent template are about to be written.
pub(crate) fn places_written(world: &mut World, previous: Option<&Pool>, next: &Pool) {
    reads_back(world, Subject::World, next);
    let limit = world.repository.limits.get(next.agent.as_str()).copied().unwrap_or(0);
    let held = next.holders.len();
    check!(
        world,
        Subject::World,
        "limits-are-kept",
        u32::try_from(held).is_ok_and(|held| held <= limit),
        "{held} builds hold the {limit} places of agent {}",
        next.agent
    );
    check!(
        world,
        Subject::World,
        "nobody-waits-for-a-free-place",
        next.waiting.is_empty() || u32::try_from(held).is_ok_and(|held| held >= limit),
        "{} wait, and {held} of {limit} places are held",
        next.waiting.len()
    );
    let new = |waiting: &&Waiting| previous.is_none_or(|previous| !previous.waiting.contains(*waiting));
    world.statistics.waited += next.waiting.iter().filter(new).map(|_| 1).sum::<u64>();
    let before = |build: &BuildId| previous.is_some_and(|previous| previous.holders.contains_key(build));
    for build in next.holders.keys().filter(|build| !before(build)) {
        let record = world.tables.builds.get(build).map(|stored| &stored.record);
        let since = record.and_then(|record| record.attempts.first()).map(|attempt| attempt.queued);
        let granted = since.map(|since| Waiting {
            since,
            build: build.clone(),
        });
        let passed_over = next
            .waiting
            .first()
            .filter(|first| granted.as_ref().is_none_or(|granted| *first < granted));
        check!(
            world,
            build,
            "first-come-first-served",
            passed_over.is_none(),
            "{build} gets a place before {passed_over:?}"
        );
    }
    let gone = previous.into_iter().flat_map(|previous| previous.holders.keys());
    for build in gone.filter(|build| !next.holders.contains_key(build)) {
        let record = world.tables.builds.get(build).map(|stored| &stored.record);
        let needs_it = record.is_some_and(|record| record.place == Place::Held && record.outcome().is_none());
        check!(
            world,
            build,
            "no-agent-without-a-place",
            !needs_it,
            "{build} has its place, and it is taken away"
        );
        let lives = world.tasks_of(build).find(|task| {
            let abandoned = world.checks.refused.contains(&(task.attempt.clone(), task.capacity)) && !is_named(world, task);
            task.lives() && !abandoned && !is_given_up(world, task)
        });
        let lives = lives.map(|task| short(&task.agent).to_owned());
        check!(
            world,
            build,
            "no-agent-without-a-place",
            lives.is_none(),
            "{build} gives its place back, and {lives:?} runs for it"
        );
    }
}

impl World {
    /// When the push of a run was made, if its pipeline file lets newer pushes supersede older ones and the event tells the time.
    fn pushed_at(&self, run: &RunId) -> Option<Timestamp> {
        self.push_of(run)?.at
    }

    fn push_of(&self, run: &RunId) -> Option<&Push> {
        let trigger = &self.tables.runs.get(run)?.record.trigger;
        self.repository.pushes.iter().find(|push| push.trigger == *trigger)
    }
}

/// A branch whose pushes supersede each other is about to be written.
pub(crate) fn branch_written(world: &mut World, previous: Option<&Branch>, next: &Branch) {
    reads_back(world, Subject::World, next);
    let key = (next.repository.clone(), next.reference.clone());
    let newest = next.newest.as_ref().map(|pushed| pushed.run.clone());
    let mut named: BTreeSet<RunId> = newest.iter().cloned().collect();
    for pending in next.outbox.pending() {
        let BranchEffect::Supersede { run, by } = &pending.effect;
        named.extend([run.clone(), by.clone()]);
        let (older, newer) = (world.pushed_at(run), world.pushed_at(by));
        check!(
            world,
            run,
            "newer-supersedes-older",
            older <= newer,
            "the run of {older:?} is superseded by {by} of {newer:?}"
        );
    }
    let asked_for = named.iter().find(|run| world.push_of(run).is_none()).cloned();
    check!(
        world,
        Subject::World,
        "only-pushes-supersede",
        asked_for.is_none(),
        "{asked_for:?} enters its branch, and is of no push"
    );
    let entered = world.checks.entered.entry(key).or_default();
    entered.extend(named);
    let entered = entered.clone();
    if let Some(newest) = newest {
        let last = entered.iter().filter_map(|run| world.pushed_at(run)).max();
        let at = world.pushed_at(&newest);
        check!(
            world,
            &newest,
            "newest-is-newest",
            at == last,
            "the push of {at:?} counts as the newest, after {previous:?}, and there is one of {last:?}"
        );
    }
}

/// Whether a build's record names a task as an attempt's agent.
fn is_named(world: &World, task: &Task) -> bool {
    let build = world.tables.builds.get(&task.attempt.build);
    build.is_some_and(|build| {
        build
            .record
            .attempts
            .iter()
            .any(|attempt| attempt.agent.as_ref() == Some(&task.agent))
    })
}

fn is_stray(world: &World, task: &Task) -> bool {
    let build = world.tables.builds.get(&task.attempt.build);
    build.is_some_and(|build| build.record.strays.iter().any(|stray| stray.agent == task.agent))
}

/// Whether nobody can stop a task, or learn that it has stopped, so that it counts as lost: in truth, and not as the record has it.
pub(crate) fn is_out_of_reach(world: &World, task: &Task) -> bool {
    task.deaf || world.was_denied(&["StopTask", "ListTasks", "DescribeTasks"])
}

/// Whether a task that lives was given up, as it may be.
fn is_given_up(world: &World, task: &Task) -> bool {
    let Some(build) = world.tables.builds.get(&task.attempt.build).map(|build| &build.record) else {
        return false;
    };
    let mut attempts = build.attempts.iter().filter(|attempt| attempt.agent.as_ref() == Some(&task.agent));
    let mut strays = build.strays.iter().filter(|stray| stray.agent == task.agent);
    is_out_of_reach(world, task) && (attempts.any(|attempt| attempt.end().is_some()) || strays.any(|stray| stray.stopped))
}

/// An attempt counts as over whose agent was told to stop, and has not said that it has: it must have had its time for that.
fn lost(world: &mut World, build: &Build, before: &Attempt, given_up: bool) {
    let Phase::Stopping { at, .. } = &before.phase else { return };
    let Some(task) = before.agent.as_ref().and_then(|agent| world.task(agent)) else {
        return;
    };
    let (lives, reachable) = (task.lives(), !is_out_of_reach(world, task));
    let waited = world.now.saturating_sub(moment(*at)) + CLOCKS;
    let name = short(&task.agent).to_owned();
    check!(
        world,
        &build.spec.id,
        "lost-after-its-time",
        !lives || waited >= Millis::try_from(STOP_TIMEOUT.as_millis()).unwrap_or(Millis::MAX),
        "{name} counts as lost after {waited} ms"
    );
    world.statistics.given_up += u64::from(lives);
    check!(
        world,
        &build.spec.id,
        "only-the-lost-are-given-up",
        // In a hostile world anything may fail for a quarter of an hour.
        !lives || !reachable || given_up && !world.calm(),
        "{name} is given up, and could have been stopped"
    );
}

/// An attempt counts as over whose agent never ran for want of something that others have, or that comes back: that is nobody's failure.
fn never_ran(world: &mut World, previous: Option<&Build>, next: &Build, before: &Attempt) {
    let is_current = previous.is_some_and(|previous| previous.outcome().is_none() && previous.attempts.len() == before.number as usize);
    let Some(task) = before.agent.as_ref().and_then(|agent| world.task(agent)).filter(|_| is_current) else {
        return;
    };
    let for_want = task.failure == Some(Failure::NotNow) && before.phase == Phase::Launching;
    let never_up = matches!(before.phase, Phase::Stopping { why: StopWhy::NeverUp, .. }) && task.never_ran();
    let job_waits = world.job(&next.spec).is_some_and(|job| job.relaunch_stopped);
    let mut later = next.attempts.iter().filter(|attempt| attempt.number > before.number);
    let gave_way = later.any(|attempt| attempt.capacity == Capacity::OnDemand);
    let gives_way = never_up && before.capacity == Capacity::Spot && !job_waits && !gave_way;
    let before_retries = previous.map(|previous| previous.retries.clone()).unwrap_or_default();
    check!(
        world,
        &next.spec.id,
        "want-is-no-failure",
        !for_want || next.retries == before_retries,
        "attempt {} found no room, and that counts as a failure: {}",
        before.number,
        describe(next)
    );
    check!(
        world,
        &next.spec.id,
        "on-demand-follows-spot",
        !gives_way,
        "attempt {} never came up on Spot, and does not go to on-demand",
        before.number
    );
}

pub(crate) fn build_written(world: &mut World, previous: Option<&Build>, next: &Build) {
    let id = &next.spec.id;
    reads_back(world, id, next);

    let limits = world.job(&next.spec).map(|job| job.limits.clone()).unwrap_or_default();
    let within = next.retries.len() == limits.len() && next.retries.iter().zip(&limits).all(|(used, limit)| used <= limit);
    check!(
        world,
        id,
        "retry-limits",
        within,
        "retries {:?} for the limits {limits:?}",
        next.retries
    );

    let live: Vec<_> = next.attempts.iter().filter(|attempt| attempt.is_live()).collect();
    let over = next.outcome().is_some();
    let windows = live
        .iter()
        .rev()
        .skip(1)
        .all(|attempt| matches!(attempt.phase, Phase::Interrupted { .. } | Phase::Stopping { .. }));
    check!(world, id, "one-live-attempt", live.len() <= 2 && windows, "{}", describe(next));

    let waits = !over && next.state != BuildState::Blocked || !next.outbox.pending().is_empty() || !live.is_empty();
    check!(world, id, "what-waits-is-due", !waits || next.due().is_some(), "{}", describe(next));

    let stopping = next
        .attempts
        .iter()
        .filter(|attempt| matches!(attempt.phase, Phase::Stopping { .. }))
        .filter_map(|attempt| attempt.agent.as_ref());
    let strays = next.strays.iter().filter(|stray| !stray.stopped).map(|stray| &stray.agent);
    let untold = stopping.chain(strays).find(|agent| {
        let pending = next
            .outbox
            .any(|effect| matches!(effect, BuildEffect::Stop { agent: other, .. } if other == *agent));
        !pending && world.task(agent).is_some_and(Task::goes_on)
    });
    check!(
        world,
        id,
        "told-to-stop",
        untold.is_none(),
        "{untold:?} is taken for told: {}",
        describe(next)
    );

    // What it left behind is looked at first.
    let tells = next
        .outbox
        .any(|effect| matches!(effect, BuildEffect::TellRun { .. } | BuildEffect::Collect { .. }));
    let knows = next.outcome() == Some(Outcome::Skipped)
        || world
            .tables
            .runs
            .get(&id.run)
            .and_then(|run| run.record.jobs.iter().find(|job| job.name == id.job))
            .is_some_and(|job| matches!(job.state, JobState::Finished { .. }));
    check!(world, id, "run-is-told", !over || tells || knows, "{}", describe(next));

    let abandoned = |build: &Build| build.outbox.abandoned();
    world.statistics.given_up += abandoned(next).saturating_sub(previous.map_or(0, abandoned));
    let previous_attempts = previous.map(|previous| previous.attempts.as_slice()).unwrap_or_default();
    if let Some(previous) = previous {
        let kept = previous
            .attempts
            .iter()
            .zip(&next.attempts)
            .all(|(before, after)| before.number == after.number && (before.end().is_none() || before.phase == after.phase));
        check!(
            world,
            id,
            "ends-never-change",
            kept && previous.attempts.len() <= next.attempts.len(),
            "from {} to {}",
            describe(previous),
            describe(next)
        );
        let fewer = previous.retries.iter().zip(&next.retries).any(|(before, after)| after < before);
        check!(
            world,
            id,
            "retries-never-return",
            !fewer,
            "from {:?} to {:?}",
            previous.retries,
            next.retries
        );
        let settled = previous.outcome().is_none() || previous.state == next.state;
        check!(world, id, "one-outcome", settled, "from {:?} to {:?}", previous.state, next.state);
        let blocked_again = previous.state != BuildState::Blocked && next.state == BuildState::Blocked;
        check!(world, id, "never-blocked-again", !blocked_again, "from {}", describe(previous));
    }
    for attempt in &next.attempts {
        let before = previous_attempts.iter().find(|before| before.number == attempt.number);
        if let Some(end) = attempt.end()
            && before.is_none_or(|before| before.end().is_none())
        {
            let was_stopping = before.is_some_and(|before| matches!(before.phase, Phase::Stopping { .. }));
            attempt_ended(world, next, attempt, end, was_stopping);
            if let Some(before) = before.cloned() {
                let given_up = previous.is_some_and(|previous| abandoned(previous) < abandoned(next));
                lost(world, next, &before, given_up);
                never_ran(world, previous, next, &before);
            }
        }
    }
    artifacts::found(world, previous, next);
    instances::build_written(world, previous, next);
    if next.outcome().is_some() && previous.is_none_or(|previous| previous.outcome().is_none()) {
        closed(world, id.into(), id.to_string());
        build_finished(world, previous, next);
    }
}

fn closed(world: &mut World, about: Subject, name: String) {
    let times = world.checks.closed.entry(name).or_default();
    *times += 1;
    let times = *times;
    check!(world, about, "one-closing", times == 1, "closed {times} times");
}

/// The judgement on an attempt, against what its agent really did.
fn attempt_ended(world: &mut World, build: &Build, attempt: &Attempt, end: &End, was_stopping: bool) {
    let id = &build.spec.id;
    let task = attempt.agent.as_ref().and_then(|agent| world.task(agent)).cloned();
    let truth = task.as_ref().map_or(Truth::Open, |task| task.truth);
    let now = world.now;
    let number = attempt.number;
    let reported = task.as_ref().is_some_and(|task| task.reported) && !world.was_denied(&["GetReport"]);
    // Without a report nobody can tell whether the script ended by itself or because the container beside it had ended, and not whether an exit code
    // is the script's or the entry point's.
    let alone = !reported && task.as_ref().is_some_and(|task| task.sidecar_ended_first);
    // Two agents of one attempt, of which one is a launch that was given up, write their reports under one key.
    let twin = task.as_ref().is_some_and(|task| {
        let mut others = world
            .tasks_of(id)
            .filter(|other| other.attempt == task.attempt && other.agent != task.agent);
        others.any(|other| other.reported)
    });
    let unknowable = alone || twin;
    match end {
        End::Succeeded => {
            check!(
                world,
                id,
                "success-is-proven",
                truth == Truth::Succeeded || unknowable,
                "attempt {number} counts as a success, and its script is {truth:?}"
            );
        }
        End::Failed { .. } => {
            check!(
                world,
                id,
                "failure-is-proven",
                truth == Truth::Failed || unknowable || truth == Truth::NotCheckedOut && !reported,
                "attempt {number} counts as failed, and its script is {truth:?}"
            );
        }
        End::CommitGone { .. } => {
            check!(
                world,
                id,
                "failure-is-proven",
                truth == Truth::NotCheckedOut || unknowable,
                "attempt {number} has found no commit, and its script is {truth:?}"
            );
        }
        End::Interrupted => {
            let signalled = |task: &Task| task.capacity == Capacity::Spot && truth == Truth::Signalled;
            let taken = task.as_ref().is_some_and(|task| task.reclaimed.is_some() || signalled(task));
            check!(
                world,
                id,
                "interruption-is-real",
                taken,
                "attempt {number} counts as interrupted, and was not"
            );
        }
        End::TimedOut => {
            let timeout = world.job(&build.spec).map_or(0, |job| job.timeout);
            let ran = task.as_ref().map_or(0, |task| {
                // Nobody learns of the end of an agent that ECS does not hear of.
                let until = task.known_end().filter(|_| !task.deaf).unwrap_or(now);
                task.up_since().map_or(0, |since| until.saturating_sub(since))
            });
            check!(
                world,
                id,
                "timeout-is-real",
                // Its end was not to be seen.
                ran + CLOCKS >= timeout || world.was_denied(&["DescribeTasks"]),
                "attempt {number} ran {ran} ms of its {timeout} ms"
            );
        }
        End::Infrastructure { cause } => {
            let spent = task.is_none() && world.tasks_of(id).any(|other| other.attempt.number == number && !other.goes_on());
            let denied = world.checks.denied.get(id).copied();
            if let Some(since) = denied.filter(|_| cause.contains("AccessDenied")) {
                let millis = |time: std::time::Duration| Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
                let has_waited = moment(attempt.queued).saturating_add(millis(build.spec.queue_timeout)) <= now + CLOCKS;
                check!(
                    world,
                    id,
                    "unknown-is-tried-for-a-while",
                    has_waited || now.saturating_sub(since) + CLOCKS >= millis(UNKNOWN_FOR),
                    "attempt {number} ends {} ms after it was denied first",
                    now.saturating_sub(since)
                );
            }
            let forbidden = task.is_none() && (denied.is_some() || world.checks.forbidden.contains(&build.attempt_id(number)));
            let unseen = world.was_denied(&["DescribeTasks"]);
            let excused = twin
                || spent
                || forbidden
                || unseen
                || task.as_ref().is_some_and(|task| {
                    task.disturbed || truth == Truth::NotCheckedOut || task.never_ran() && was_stopping || is_forgotten(task, now)
                });
            check!(
                world,
                id,
                "infrastructure-is-to-blame",
                excused,
                "attempt {number} counts as `{cause}`, and nothing was wrong with its agent"
            );
        }
        End::Unneeded => {
            check!(
                world,
                id,
                "unneeded-is-over",
                build.outcome().is_some(),
                "attempt {number} counts as unneeded, and the build is not over"
            );
        }
    }
    // What an agent has reported must count, unless it was being stopped for another reason already.
    if !was_stopping && reported && !twin {
        let heard = match (truth, end) {
            // Another attempt has succeeded.
            (_, End::Unneeded) => true,
            (Truth::Succeeded, _) => *end == End::Succeeded,
            (Truth::Failed, _) => matches!(end, End::Failed { .. }),
            _ => true,
        };
        check!(
            world,
            id,
            "reports-count",
            heard,
            "attempt {number} counts as {end:?}, and its agent reported {truth:?}"
        );
    }
}

/// ECS has forgotten how the task ended.
fn is_forgotten(task: &Task, now: Millis) -> bool {
    task.ended.is_some_and(|ended| ended + HOUR <= now)
}

fn build_finished(world: &mut World, previous: Option<&Build>, build: &Build) {
    let id = &build.spec.id;
    let BuildState::Finished { outcome, cause, .. } = &build.state else {
        return;
    };
    let ended = |fits: fn(&End) -> bool| build.attempts.iter().filter_map(|attempt| attempt.end()).any(fits);
    match outcome {
        Outcome::Succeeded => {
            check!(
                world,
                id,
                "success-is-proven",
                ended(|end| *end == End::Succeeded),
                "{}",
                describe(build)
            );
        }
        Outcome::Failed => {
            check!(
                world,
                id,
                "failure-is-proven",
                ended(|end| matches!(end, End::Failed { .. } | End::CommitGone { .. })),
                "{}",
                describe(build)
            );
        }
        Outcome::Interrupted => {
            check!(
                world,
                id,
                "interruption-is-real",
                ended(|end| *end == End::Interrupted),
                "{}",
                describe(build)
            );
        }
        Outcome::InfrastructureFailed => {
            // Of a launch that is denied until the build's time in the queue is over nothing has ended.
            let denied = build.attempts.last().is_some_and(|attempt| attempt.unknown.is_some());
            check!(
                world,
                id,
                "infrastructure-is-to-blame",
                denied || ended(|end| matches!(end, End::Infrastructure { .. })),
                "{}",
                describe(build)
            );
        }
        Outcome::TimedOut => {
            let ran = build.attempts.iter().any(|attempt| {
                matches!(
                    attempt.phase,
                    Phase::Stopping { why: StopWhy::Timeout, .. } | Phase::Ended { end: End::TimedOut, .. }
                )
            });
            // Once the faults have stopped, every launch is answered, and accepted, as soon as the longest wait for it is over.
            let waited = world.calm_since.is_none_or(|since| world.now < since + CALM_GRACE);
            // Places may be taken for as long as other builds take.
            let taken = previous.is_some_and(|previous| previous.state == BuildState::Waiting) && {
                let pool = world.tables.pools.get(&build.spec.agent).map(|pool| &pool.record);
                pool.is_some_and(|pool| pool.waiting.iter().any(|waiting| waiting.build == *id))
            };
            let paused = build.spec.pausable && alarms::may_have_waited(world);
            check!(
                world,
                id,
                "timeout-is-real",
                ran || waited || taken || paused,
                "{cause:?}: {}",
                describe(build)
            );
        }
        Outcome::Skipped => {
            let needs = world.job(&build.spec).map(|job| job.needs.clone()).unwrap_or_default();
            let unsuccessful = needs.iter().any(|need| {
                let needed = BuildId {
                    run: id.run.clone(),
                    job: need.parse().expect("it is a job's name"),
                };
                let run = world.tables.runs.get(&id.run).map(|run| &run.record);
                let skipped = run.is_some_and(|run| {
                    run.jobs.iter().any(|job| {
                        job.name == needed.job && matches!(&job.state, JobState::Finished { outcome, .. } if decided_by_run(*outcome))
                    })
                });
                skipped || world.outcome_of(&needed).is_some_and(|outcome| outcome != Outcome::Succeeded)
            });
            check!(world, id, "skipped-for-a-need", unsuccessful, "{cause:?}");
        }
        Outcome::Cancelled => {
            let wished = world.checks.wished_away.contains(&id.run);
            check!(world, id, "somebody-cancelled", wished, "{cause:?}");
        }
        Outcome::Superseded => {
            let by_newer = is_outdated(world, &id.run);
            check!(world, id, "newer-supersedes-older", by_newer, "{cause:?}");
        }
    }
}

/// A run decides by itself that a build ends like this, where it has not started yet.
fn decided_by_run(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Skipped | Outcome::Cancelled | Outcome::Superseded)
}

/// Whether a newer push than a run's may supersede it, as far as the time of the pushes tells.
fn is_outdated(world: &World, run: &RunId) -> bool {
    let Some(push) = world.push_of(run).filter(|_| world.repository.supersedes) else {
        return false;
    };
    world.repository.pushes.iter().any(|other| {
        let same = (&other.repository, &other.reference) == (&push.repository, &push.reference);
        same && other.trigger != push.trigger && other.at >= push.at
    })
}

pub(crate) fn run_written(world: &mut World, previous: Option<&Run>, next: &Run) {
    let id = &next.id;
    reads_back(world, id, next);
    match previous {
        None => requests::run_created(world, next),
        Some(previous) => actions::run_written(world, previous, next),
    }
    let over = next.jobs.iter().all(|job| matches!(job.state, JobState::Finished { .. }));
    let finished = matches!(next.state, RunState::Finished { .. });
    check!(
        world,
        id,
        "run-over-with-its-jobs",
        finished == (over && !next.jobs.is_empty()),
        "{:?} with {:?}",
        next.state,
        next.jobs
    );
    if let Some(previous) = previous {
        superseded::run_written(world, previous, next);
        let settled = previous.state == RunState::Open || previous.state == next.state;
        check!(world, id, "one-outcome", settled, "from {:?} to {:?}", previous.state, next.state);
    }
    for (index, job) in next.jobs.iter().enumerate() {
        let before = previous.and_then(|previous| previous.jobs.get(index)).map(|before| &before.state);
        if before == Some(&job.state) {
            continue;
        }
        let settled = !matches!(before, Some(JobState::Finished { .. }));
        check!(world, id, "one-outcome", settled, "{} from {before:?} to {:?}", job.name, job.state);
        if let JobState::Finished { outcome, .. } = &job.state
            && !(decided_by_run(*outcome) && before.is_none_or(|before| *before == JobState::Blocked))
        {
            let build = BuildId {
                run: id.clone(),
                job: job.name.clone(),
            };
            let truly = world.outcome_of(&build);
            check!(
                world,
                id,
                "run-knows-its-builds",
                truly == Some(*outcome),
                "{build} is {truly:?}, and its run knows {outcome}"
            );
        }
    }
    if next.finished_at().is_some() && previous.is_none_or(|previous| previous.finished_at().is_none()) {
        closed(world, id.into(), id.to_string());
    }
}

/// What must hold over time.
pub(crate) fn inspect(world: &mut World) {
    let now = world.now;
    for index in 0..world.ecs.tasks.len() {
        let Some(task) = world.ecs.tasks.get(index).filter(|task| task.goes_on()) else {
            continue;
        };
        let build = world.tables.builds.get(&task.attempt.build).map(|build| &build.record);
        let why = build.map_or(Some("its build is not in the ledger"), |build| unwanted(build, task));
        // Nobody can stop an agent of which nobody has heard: its launch has never been answered, and all its events were lost.
        let known_since = task.known_since.or(is_named(world, task).then_some(now));
        let overtime = why.is_none()
            && task.up_since().is_some_and(|since| {
                let timeout = build.and_then(|build| world.job(&build.spec)).map_or(0, |job| job.timeout);
                let from = world.calm_since.or(known_since).map(|from| from.max(since + timeout));
                from.is_some_and(|from| now > from + if world.calm() { CALM_GRACE } else { GRACE })
            });
        let since = match (why, task.unwanted_since) {
            (None, _) => None,
            (Some(_), Some(since)) => Some(since),
            (Some(_), None) => Some(now),
        };
        let too_long = since.is_some_and(|since| match world.calm_since {
            Some(calm) => now > since.max(calm) + CALM_GRACE,
            None => now > since + GRACE,
        });
        let (agent, attempt) = (task.agent.clone(), task.attempt.clone());
        if let Some(task) = world.ecs.tasks.get_mut(index) {
            task.unwanted_since = since;
            task.known_since = known_since;
        }
        if world.ecs.tasks.get(index).is_some_and(|task| is_out_of_reach(world, task)) {
            continue;
        }
        check!(
            world,
            &attempt.build,
            "timeouts-are-kept",
            !overtime,
            "{} of {attempt} runs on after its timeout",
            short(&agent)
        );
        check!(
            world,
            &attempt.build,
            "no-agent-without-a-build",
            !too_long,
            "{} of {attempt} goes on and is not told to stop: {}",
            short(&agent),
            why.unwrap_or_default()
        );
    }
}

/// Why a task should not go on, if it should not.
fn unwanted(build: &Build, task: &Task) -> Option<&'static str> {
    if build.outcome().is_some() {
        return Some("its build is over");
    }
    let Some(attempt) = build.attempts.iter().find(|attempt| attempt.number == task.attempt.number) else {
        return Some("its attempt does not exist");
    };
    match (&attempt.agent, &attempt.phase) {
        (Some(agent), _) if *agent != task.agent => Some("another agent has its attempt"),
        (_, Phase::Ended { .. }) => Some("its attempt is over"),
        (_, Phase::Stopping { .. }) => Some("its attempt is being stopped"),
        (None, _) if attempt.capacity != task.capacity => Some("its attempt is on the other capacity"),
        _ => None,
    }
}

/// What must hold once everything is at rest.
pub(crate) fn at_rest(world: &mut World) {
    let ids: Vec<_> = world.tables.builds.keys().cloned().collect();
    for id in ids {
        build_at_rest(world, &id);
    }
    let ids: Vec<_> = world.tables.runs.keys().cloned().collect();
    for id in ids {
        run_at_rest(world, &id);
    }
    actions::at_rest(world);
    requests::at_rest(world);
    instances::at_rest(world);
    alarms::at_rest(world);
    backups::at_rest(world);
    for push in world.repository.pushes.clone() {
        let runs: Vec<Run> = world
            .tables
            .runs
            .values()
            .filter(|run| run.record.commit == push.commit && run.record.trigger.starts_with(&push.trigger))
            .map(|run| run.record.clone())
            .collect();
        let Some(commit) = world.repository.commits.get(push.commit.as_str()).cloned() else {
            continue;
        };
        let wanted = usize::from(commit.expected != Expected::Nothing);
        check!(
            world,
            Subject::World,
            "one-run-per-trigger",
            runs.len() == wanted,
            "{} runs of trigger {}, expected {wanted}",
            runs.len(),
            push.trigger
        );
        for run in &runs {
            let rejected = matches!(run.state, RunState::Rejected { .. });
            check!(
                world,
                &run.id,
                "mistakes-are-rejected",
                rejected == (commit.expected == Expected::Rejected),
                "{:?}",
                run.state
            );
            let jobs = run.jobs.len();
            check!(
                world,
                &run.id,
                "all-jobs",
                rejected || jobs == commit.jobs.len(),
                "{jobs} jobs of {}",
                commit.jobs.len()
            );
        }
    }
}

/// Lambda has given up an invocation that was to start a run.
pub(crate) fn given_up(world: &mut World, job: &Job) {
    let run = match job {
        Job::Request(request) => Some(request.run()),
        Job::Pipeline(job) => {
            let mut actions = world.codepipeline.actions.iter();
            let action = actions.find(|action| action.jobs.iter().any(|other| *other.id() == job.id));
            action.and_then(|action| action.run())
        }
        _ => None,
    };
    world.checks.given_up.extend(run);
}

fn build_at_rest(world: &mut World, id: &BuildId) {
    let Some(build) = world.tables.builds.get(id).map(|build| build.record.clone()) else {
        return;
    };
    let over = build.outcome().is_some() && build.outbox.pending().is_empty() && !build.attempts.iter().any(|attempt| attempt.is_live());
    // A start can fail for good between the builds of a large run and the run, with a dead letter or an answer that says so; nothing was to come of them yet.
    let given_up = world.checks.given_up.contains(&id.run) && !world.tables.runs.contains_key(&id.run);
    let never_begun = build.state == BuildState::Blocked && build.due().is_none() && given_up;
    check!(world, id, "every-build-ends", over || never_begun, "{}", describe(&build));
    let Some(outcome) = build.outcome() else { return };
    artifacts::at_rest(world, &build);
    let prefix = format!("{id}/");
    let told: Vec<String> = world
        .bucket
        .messages
        .keys()
        .filter_map(|message| message.strip_prefix(&prefix).map(str::to_owned))
        .collect();
    if world.was_denied(&["Publish"]) {
        return;
    }
    let (marks, told): (Vec<String>, Vec<String>) = told.into_iter().partition(|told| told == "waiting" || told == "stopped");
    let is_told = |mark: &str| marks.iter().any(|told| told == mark);
    check!(
        world,
        id,
        "waiting-is-told",
        build.waiting_told == is_told("waiting"),
        "it counts as told that it waits: {}, and told were {marks:?}",
        build.waiting_told
    );
    // Of an agent that counts as lost it is told that it may go on.
    let lost = build.attempts.iter().any(|attempt| attempt.lost) || build.strays.iter().any(|stray| stray.lost);
    let over = build.finished_at();
    let went_on = |attempt: &Attempt| attempt.started.is_some() && matches!(attempt.phase, Phase::Ended { at, .. } if Some(at) >= over);
    let is_awaited = matches!(outcome, Outcome::Cancelled | Outcome::TimedOut) && build.attempts.iter().any(went_on);
    check!(
        world,
        id,
        "the-agents-end-is-told",
        lost || is_awaited == is_told("stopped"),
        "its agent has gone on after its end: {is_awaited}, and told were {marks:?}"
    );
    let remarks = ["refused/", "abandoned/"];
    let (remarks, told): (Vec<String>, Vec<String>) = told
        .into_iter()
        .partition(|told| remarks.iter().any(|remark| told.starts_with(remark)));
    // One that had no time left ended at once, and that is told.
    let BuildState::Finished { at: ended, .. } = build.state else {
        return;
    };
    let told_of = |attempt: &&Attempt| attempt.unknown.is_some_and(|since| since < ended);
    let refused = build.attempts.iter().filter(told_of).count();
    let told_refused = remarks.iter().filter(|remark| remark.starts_with("refused/")).count();
    let denied = world.checks.denied.contains_key(id);
    check!(
        world,
        id,
        "unknown-is-told",
        told_refused >= usize::from(refused > 0) && told_refused <= build.attempts.len() && (denied || told_refused == 0),
        "{refused} attempts were refused for a reason that nobody knows, and told were {remarks:?}"
    );
    let told_abandoned = remarks.len() - told_refused;
    let lost = build.attempts.iter().filter(|attempt| attempt.lost).count() + build.strays.iter().filter(|stray| stray.lost).count();
    let most = build.outbox.abandoned() + u64::try_from(lost).unwrap_or(u64::MAX) + u64::from(build.blind);
    check!(
        world,
        id,
        "given-up-is-told-once",
        u64::try_from(told_abandoned).is_ok_and(|told| told <= most),
        "{most} things were given up, and told were {remarks:?}"
    );
    check!(
        world,
        id,
        "what-is-given-up-is-told",
        // What is given up once more, of an agent that was seen again, is told already.
        told_abandoned > 0 || build.outbox.abandoned() == 0,
        "{} effects were given up, and told were {remarks:?}",
        build.outbox.abandoned()
    );
    let ends: Vec<&String> = told.iter().filter(|told| !told.starts_with("retrying/")).collect();
    // What is skipped is told by the run's message alone.
    let expected = match outcome {
        _ if decided_by_run(outcome) && build.attempts.is_empty() => Vec::new(),
        _ => vec![outcome.as_str()],
    };
    check!(world, id, "the-end-is-told", ends == expected, "{outcome}, and told were {ends:?}");
    let retries = usize::try_from(build.retries.iter().sum::<u32>()).unwrap_or(usize::MAX);
    let told_retries = told.len() - ends.len();
    check!(
        world,
        id,
        "retries-are-told",
        told_retries == retries,
        "{retries} retries, and told were {told:?}"
    );
}

/// Whoever was told that a run is cancelled can rely on it.
fn cancelled_at_rest(world: &mut World, run: &Run) {
    let Some(since) = world.checks.cancelled.get(&run.id).copied() else {
        return;
    };
    let until = timestamp((since + GRACE).max(world.calm_since.unwrap_or(world.now) + CALM_GRACE));
    let at = run.finished_at();
    check!(
        world,
        &run.id,
        "cancelling-is-final",
        at.is_some_and(|at| at <= until),
        "it ended at {at:?}, and was cancelled at {}",
        timestamp(since)
    );
}

fn run_at_rest(world: &mut World, id: &bellhop_domain::ids::RunId) {
    let Some(run) = world.tables.runs.get(id).map(|run| run.record.clone()) else {
        return;
    };
    superseded::at_rest(world, &run);
    cancelled_at_rest(world, &run);
    let over = run.finished_at().is_some() && run.outbox.pending().is_empty();
    check!(world, id, "every-run-ends", over, "{:?}", run.state);
    let told = world.was_denied(&["Publish"]) || world.bucket.messages.contains_key(&format!("{id}/{}", run.status()));
    check!(
        world,
        id,
        "the-end-is-told",
        told,
        "no message about the run that is {}",
        run.status()
    );
    let report: Option<Value> = world
        .bucket
        .texts
        .get(&report_key(id))
        .and_then(|text| serde_json::from_str(text).ok());
    let status = report.as_ref().and_then(|report| report.get("status")).and_then(Value::as_str);
    check!(
        world,
        id,
        "runs-have-reports",
        status == Some(run.status()) || world.was_denied(&["PutObject"]),
        "the report says {status:?} of a run that is {}",
        run.status()
    );
    let reported: Vec<(String, String)> = report
        .as_ref()
        .and_then(|report| report.get("builds")?.as_array().cloned())
        .unwrap_or_default()
        .iter()
        .filter_map(|build| Some((build.get("job")?.as_str()?.to_owned(), build.get("status")?.as_str()?.to_owned())))
        .collect();
    let truly: Vec<(String, String)> = run
        .jobs
        .iter()
        .map(|job| {
            let build = BuildId {
                run: id.clone(),
                job: job.name.clone(),
            };
            let outcome = world.outcome_of(&build).map_or("none", Outcome::as_str);
            (job.name.to_string(), outcome.to_owned())
        })
        .collect();
    check!(
        world,
        id,
        "reports-are-true",
        reported == truly || world.was_denied(&["PutObject"]),
        "the report says {reported:?}, and it was {truly:?}"
    );
    let worst = run.jobs.iter().filter_map(|job| match job.state {
        JobState::Finished { outcome, .. } => Some(outcome),
        _ => None,
    });
    let expected = worst.max();
    let said = match run.state {
        RunState::Finished { outcome, .. } => Some(outcome),
        _ => None,
    };
    check!(
        world,
        id,
        "run-is-its-worst-build",
        said == expected,
        "{said:?}, and the worst is {expected:?}"
    );
}
