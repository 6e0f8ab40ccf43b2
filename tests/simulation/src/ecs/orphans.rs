//! How tasks are found again whose launch got no answer, or whose events were lost; and how they are stopped.

use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::spec::BuildSpec;
use bellhop_model::ecs::{REMEMBERED, USER_INITIATED};

use super::life::begin_stop;
use super::task::{Of, Task};
use crate::attacker;
use crate::mutant::{self, Mutant};
use crate::world::{World, millis};

/// `StopTask`.
pub(crate) fn stop_task(world: &mut World, agent: &AgentId, reason: &str) {
    let Some(&index) = world.ecs.by_agent.get(agent) else {
        return attacker::stopped(world, agent);
    };
    if mutant::drops_stop(world, index) {
        return;
    }
    if world.is(Mutant::STOPPED_BY_NAME) {
        attacker::stopped_by_name(world, index);
    }
    begin_stop(world, index, USER_INITIATED, reason);
    if let Some(task) = world.ecs.tasks.get_mut(index) {
        task.told_to_stop = true;
    }
}

/// `ListBuildsForProject` and `BatchGetBuilds`: the build that an earlier launch of an attempt has started.
pub(crate) fn started_before(world: &World, spec: &BuildSpec, attempt: &AttemptId) -> Option<AgentId> {
    if world.is(Mutant::AGAIN_IGNORED) {
        return None;
    }
    let mut builds = world.ecs.tasks.iter().rev();
    let found = builds.find(|task| task.attempt == *attempt && task.visible_at <= world.now);
    let imitation = || {
        attacker::found(world, spec, attempt, true)
            .into_iter()
            .map(|seen| seen.agent)
            .next()
    };
    found.map(|task| task.agent.clone()).or_else(imitation)
}

/// `BatchGetBuilds` and `DescribeExecution`, for an event that does not tell whose build it is about.
pub(crate) fn identify(world: &World, agent: &AgentId) -> Option<(AttemptId, Observation)> {
    let task = world.task(agent).map(|task| (task.attempt.clone(), task.observation()));
    task.or_else(|| attacker::identify(world, agent))
}

/// `DescribeTasks`, `BatchGetBuilds` or `DescribeExecution` of one agent, for proof that a launch of an attempt started it. The answer may be a little behind.
pub(crate) fn prove(world: &World, spec: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Option<Observation> {
    match world.task(agent) {
        Some(task) => (task.attempt == *attempt && task.visible_at <= world.now).then(|| task.observation()),
        None => attacker::prove(world, spec, attempt, agent),
    }
}

/// `ListTasks` by `startedBy`, then `DescribeTasks`: only what is desired to run is listed.
pub(crate) fn find(world: &World, spec: &BuildSpec, attempt: &AttemptId) -> Vec<Observation> {
    if world.is(Mutant::NOTHING_FOUND) {
        return Vec::new();
    }
    world
        .ecs
        .tasks
        .iter()
        .filter(|task| task.attempt == *attempt && task.visible_at <= world.now)
        .filter(|task| if task.of == Of::Ecs { !task.is_stopping() } else { !task.is_gone() })
        .map(Task::observation)
        .chain(attacker::found(world, spec, attempt, false))
        .collect()
}

/// `DescribeTasks`, whose answer may be a little behind.
pub(crate) fn describe(world: &mut World, agents: &[AgentId]) -> Vec<(AgentId, Option<Observation>)> {
    if world.is(Mutant::NOTHING_DESCRIBED) {
        return Vec::new();
    }
    let lag = if world.calm() { 0 } else { world.hostility.list_lag };
    let then = world.now.saturating_sub(world.rng.u64(0..=lag));
    agents
        .iter()
        .map(|agent| {
            let overlooked = mutant::overlooks(world);
            let task = world.ecs.by_agent.get(agent).and_then(|index| world.ecs.tasks.get(*index));
            let known = task.filter(|task| {
                !overlooked && (task.of != Of::Ecs || task.life.stopped_at.is_none_or(|at| at + millis(REMEMBERED) > world.now))
            });
            (agent.clone(), known.map(|task| task.as_of(then)))
        })
        .collect()
}
