//! What is remembered for the checks alone, how long things may take, and whether an agent is one that its build knows. No invariant lives here.

use std::collections::{BTreeMap, BTreeSet};

use bellhop_domain::executor::Capacity;
use bellhop_domain::ids::{AgentId, AttemptId, BuildId, Reference, RepositoryName, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::trigger::Push;
use bellhop_domain::spec::BuildSpec;
use jiff::Timestamp;

use crate::ecs::Task;
use crate::source::JobTruth;
use crate::world::{HOUR, Job, MINUTE, Millis, SECOND, World};

/// How long an agent that is not wanted (any more) may go on without having been told to stop, once the faults have stopped: the longest wait of an
/// effect that was tried in vain, the time that is spent on looking for the agent of a lost launch, and some sweeps.
pub(super) const CALM_GRACE: Millis = 24 * MINUTE;
/// The same in a hostile world. Where half of the sweeps are lost or die and two of five requests fail, a look for an agent takes several tries, which are up
/// to a quarter of an hour apart.
pub(super) const GRACE: Millis = HOUR;
/// How far two clocks may be apart, and a little more.
pub(super) const CLOCKS: Millis = 10 * SECOND;

/// What is remembered for the checks alone.
#[derive(Default)]
pub(crate) struct Checks {
    /// Launches that ECS refused at least once.
    pub(super) refused: BTreeSet<(AttemptId, Capacity)>,
    /// Attempts of which a launch was refused for good.
    pub(super) forbidden: BTreeSet<AttemptId>,
    /// Builds of which a launch was denied, and since when.
    pub(super) denied: BTreeMap<BuildId, Millis>,
    /// Launches that made a task.
    pub(super) launched: BTreeSet<(AttemptId, Capacity)>,
    /// Runs that somebody wanted to cancel, or a job of them.
    pub(super) wished_away: BTreeSet<RunId>,
    /// Runs that somebody was told are cancelled, and since when.
    pub(super) cancelled: BTreeMap<RunId, Millis>,
    /// The runs that each branch has been told of.
    pub(super) entered: BTreeMap<(RepositoryName, Reference), BTreeSet<RunId>>,
    /// Runs whose start ended in a dead letter, or of which whoever asked was told that there is none.
    pub(crate) given_up: BTreeSet<RunId>,
    /// How often each build and run was decided to be over.
    pub(super) closed: BTreeMap<String, u32>,
    /// The invocation that has written the launcher's record last.
    pub(super) launcher: Option<u64>,
    /// What was seen of places.
    pub(crate) places: super::places::Seen,
    /// What was seen of backups.
    pub(super) backups: super::backups::Seen,
    /// What was seen of alarms.
    pub(super) alarms: super::alarms::Seen,
    /// What was seen of instances.
    pub(super) instances: super::instances::Seen,
}

impl World {
    pub(super) fn job(&self, spec: &BuildSpec) -> Option<&JobTruth> {
        self.repository.job(spec)
    }

    pub(super) fn tasks_of<'a>(&'a self, build: &'a BuildId) -> impl Iterator<Item = &'a Task> {
        self.ecs.tasks.iter().filter(move |task| task.attempt.build == *build)
    }

    /// The attempt that an agent was launched for.
    pub(crate) fn attempt_of_agent(&self, agent: &AgentId) -> Option<AttemptId> {
        self.ecs
            .tasks
            .iter()
            .find(|task| task.agent == *agent)
            .map(|task| task.attempt.clone())
    }

    pub(super) fn outcome_of(&self, build: &BuildId) -> Option<Outcome> {
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

impl World {
    /// When the push of a run was made, if its pipeline file lets newer pushes supersede older ones and the event tells the time.
    pub(super) fn pushed_at(&self, run: &RunId) -> Option<Timestamp> {
        self.push_of(run)?.at
    }

    pub(super) fn push_of(&self, run: &RunId) -> Option<&Push> {
        let trigger = &self.tables.runs.get(run)?.record.trigger;
        self.repository.pushes.iter().find(|push| push.trigger == *trigger)
    }
}

/// Whether a build's record names a task as an attempt's agent.
pub(super) fn is_named(world: &World, task: &Task) -> bool {
    let build = world.tables.builds.get(&task.attempt.build);
    build.is_some_and(|build| {
        build
            .record
            .attempts
            .iter()
            .any(|attempt| attempt.agent.as_ref() == Some(&task.agent))
    })
}

pub(super) fn is_stray(world: &World, task: &Task) -> bool {
    let build = world.tables.builds.get(&task.attempt.build);
    build.is_some_and(|build| build.record.strays.iter().any(|stray| stray.agent == task.agent))
}

/// Whether nobody can stop a task, or learn that it has stopped, so that it counts as lost: in truth, and not as the record has it.
pub(crate) fn is_out_of_reach(world: &World, task: &Task) -> bool {
    task.deaf || world.was_denied(&["StopTask", "ListTasks", "DescribeTasks"])
}

/// Whether a task that lives was given up, as it may be.
pub(super) fn is_given_up(world: &World, task: &Task) -> bool {
    let Some(build) = world.tables.builds.get(&task.attempt.build).map(|build| &build.record) else {
        return false;
    };
    let mut attempts = build.attempts.iter().filter(|attempt| attempt.agent.as_ref() == Some(&task.agent));
    let mut strays = build.strays.iter().filter(|stray| stray.agent == task.agent);
    is_out_of_reach(world, task) && (attempts.any(|attempt| attempt.end().is_some()) || strays.any(|stray| stray.stopped))
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
