//! Agents of others: no build takes one for its own, and none is stopped.

use bellhop_domain::build::Build;
use bellhop_domain::ids::AgentId;

use crate::attacker;
use crate::ecs::short;
use crate::world::{Subject, World};

/// Every agent that a build has, or takes for a stray, was launched for it.
pub(super) fn agents_written(world: &mut World, build: &Build) {
    let attempts = build.attempts.iter().filter_map(|attempt| attempt.agent.as_ref());
    let other = attempts.chain(build.strays.iter().map(|stray| &stray.agent)).find(|agent| {
        let task = world.task(agent);
        task.is_none_or(|task| task.attempt.build != build.spec.id)
    });
    check!(
        world,
        &build.spec.id,
        "agents-are-launched",
        other.is_none(),
        "{other:?} was not launched for it"
    );
}

/// A stop of something that is no agent of the suite's.
pub(crate) fn stopped_other(world: &mut World, agent: &AgentId) {
    let about = attacker::identify(world, agent).map_or(Subject::World, |(attempt, _)| Subject::from(&attempt.build));
    check!(world, about, "others-are-not-stopped", false, "{} is asked to stop", short(agent));
}
