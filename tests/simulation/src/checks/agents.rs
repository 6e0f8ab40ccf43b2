//! Agents over time: an agent that its build does not want is stopped in time.

use bellhop_domain::build::{Build, Phase};

use super::seen::{CALM_GRACE, GRACE, is_named, is_out_of_reach};
use crate::ecs::{Task, short};
use crate::world::World;

/// What must hold over time.
pub(super) fn inspect(world: &mut World) {
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
