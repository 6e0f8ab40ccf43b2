//! `RunTask`: what a token means, and in which order a launch is refused.

use bellhop_domain::build::Refusal;
use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::LaunchId;
use bellhop_domain::ids::AttemptId;
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::ports::Launch;
use bellhop_model::ecs::NO_CAPACITY;
use bellhop_model::tokens::Known;

use super::creation::create;
use super::task::{Of, short};
use crate::hostility::Spell;
use crate::world::World;
use crate::{attacker, checks, instances, mutant};

impl World {
    /// Whether a launch under a token has made something, or was refused.
    pub(crate) fn has_launched(&self, token: &str, attempt: &AttemptId, capacity: Capacity) -> bool {
        self.ecs.tokens.look(token, &(attempt.clone(), capacity), &self.now).is_some()
    }
}

/// `RunTask`.
///
/// A rate limit, a missing definition and a missing permission are errors; a refusal for want of capacity is a 200 without a task.
pub(crate) fn run_task(world: &mut World, spec: &BuildSpec, launch: &LaunchId) -> Launch {
    let build = &spec.id;
    let attempt = &launch.attempt;
    let capacity = mutant::launch_capacity(world, launch.capacity);
    let refused = |world: &mut World, refusal: Refusal| {
        world.note("RunTask refused", build, || format!("{attempt} on {capacity}: {refusal:?}"));
        world.statistics.refusals += 1;
        checks::refused(world, attempt, capacity);
        Launch::refused(refusal)
    };
    // A rate limit stands before everything else, even before the token of a task that exists.
    if world.spell(Spell::Throttled) && world.rng.bool() {
        return refused(world, Refusal::Throttled("ThrottlingException: Rate exceeded".to_owned()));
    }
    if world.spell(Spell::Missing) {
        checks::forbidden(world, attempt);
        world.statistics.refused_for_good += 1;
        return refused(world, Refusal::Invalid("ClientException: TaskDefinition not found.".to_owned()));
    }
    if world.spell(Spell::Forbidden) || world.denied("RunTask") {
        checks::denied(world, attempt);
        world.statistics.denials += 1;
        return refused(
            world,
            mutant::unknown(world, "AccessDeniedException: not authorized to perform: ecs:RunTask"),
        );
    }
    let of = Of::executor(&spec.executor);
    let out = match world.script.as_mut().and_then(|script| script.refusal.take()) {
        None => false,
        Some(Refusal::Unknown(words)) => {
            checks::denied(world, attempt);
            return refused(world, mutant::unknown(world, &words));
        }
        Some(Refusal::NoCapacity(words)) if of != Of::Ecs => return refused(world, Refusal::AccountLimit(words)),
        Some(Refusal::NoCapacity(_)) => true,
        Some(refusal) => return refused(world, refusal),
    };
    let token = mutant::token(
        world,
        &LaunchId {
            capacity,
            ..launch.clone()
        },
    );
    if let Some(answer) = attacker::holds(world, spec, attempt, &token) {
        return answer;
    }
    let now = world.now;
    match world.ecs.tokens.look(&token, &(attempt.clone(), capacity), &now) {
        None => {}
        Some(Known::Refused((of, refusal))) => {
            let (of, refusal) = (of.clone(), refusal.clone());
            checks::refused_again(world, launch, &of);
            world.note("RunTask refused again", build, || format!("{launch}: {refusal:?}"));
            return Launch::Refused { refusal, spent: true };
        }
        // AWS would refuse it for another launch. It is a violation in any case.
        Some(Known::Made(task) | Known::OfAnother(task)) => {
            if let Some(task) = world.ecs.tasks.get(*task) {
                let agent = task.agent.clone();
                let spent_on = (task.attempt.clone(), task.capacity);
                checks::launched_again(world, attempt, capacity, &spent_on);
                world.note("RunTask again", build, || format!("{attempt} on {capacity}: {}", short(&agent)));
                return Launch::Accepted(agent);
            }
        }
    }
    let spend = |world: &mut World, refusal: Refusal| {
        world.ecs.tokens.refused(&token, (launch.clone(), refusal.clone()));
        refused(world, refusal.clone());
        Launch::Refused { refusal, spent: true }
    };
    if out || world.spell(Spell::NoCapacity) && of == Of::Ecs || capacity == Capacity::Spot && world.spell(Spell::NoSpot) {
        return spend(world, Refusal::NoCapacity(NO_CAPACITY.to_owned()));
    }
    if world.spell(Spell::AccountLimit) && world.ecs.tasks.iter().filter(|task| task.lives()).count() >= 2 {
        let refusal = Refusal::AccountLimit("You've reached the limit on the number of vCPUs you can run concurrently".to_owned());
        // It comes among the failures of a 200 and as an error.
        return if of == Of::Ecs && world.rng.bool() {
            spend(world, refusal)
        } else {
            refused(world, refusal)
        };
    }
    let host = if instances::has_agents_of(spec) {
        let Some(host) = instances::place(world, capacity) else {
            let words = "RESOURCE:MEMORY: no instance has room for it";
            return spend(world, Refusal::NoCapacity(words.to_owned()));
        };
        Some(host)
    } else {
        None
    };
    checks::launching(world, spec, attempt, capacity);
    let agent = create(world, spec, attempt, (capacity, host), token);
    Launch::Accepted(agent)
}
