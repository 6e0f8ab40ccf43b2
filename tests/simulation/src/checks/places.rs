//! Places of agent templates: limits are kept, and who comes first is served first.

use bellhop_domain::build::Slot;
use bellhop_domain::ids::BuildId;
use bellhop_domain::queue::pool::{Pool, Waiting};

use super::records::reads_back;
use super::seen::{is_given_up, is_named};
use crate::ecs::short;
use crate::world::{Subject, World};

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
        let needs_it = record.is_some_and(|record| record.slot == Slot::Held && record.outcome().is_none());
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
