//! Places of agent templates, and locks, each of which is one place: limits are kept, repositories take turns, and in each of them who comes first is served first.

use std::collections::BTreeMap;

use bellhop_domain::build::Slot;
use bellhop_domain::ids::{PoolName, RepositoryName};
use bellhop_domain::queue::line::Waiting;
use bellhop_domain::queue::pool::{AUDIT_EVERY, Pool, PoolEffect};
use bellhop_engine::records::Stored as _;

use super::records::reads_back;
use super::seen::{CALM_GRACE, is_given_up, is_named};
use crate::ecs::short;
use crate::line::waits_at;
use crate::world::{MINUTE, Millis, Subject, World};

/// What is remembered of places.
#[derive(Default)]
pub(crate) struct Seen {
    /// The number of writes to the places, and to the line for them.
    writes: u64,
    /// When each agent template's places were last written.
    written: BTreeMap<PoolName, u64>,
    /// The repository that got the last place of each.
    last: BTreeMap<PoolName, RepositoryName>,
    /// Since when a place of each is free while a build waits for one.
    free: BTreeMap<PoolName, Millis>,
}

impl Seen {
    pub(crate) fn next_write(&mut self) -> u64 {
        self.writes += 1;
        self.writes
    }
}

/// The places of an agent template are about to be written.
pub(crate) fn places_written(world: &mut World, previous: Option<&Pool>, next: &Pool) {
    reads_back(world, Subject::World, next);
    let limit = match next.name.is_lock() {
        true => 1,
        false => world.repository.limits.get(next.name.as_str()).copied().unwrap_or(0),
    };
    let held = next.holders.len();
    check!(
        world,
        Subject::World,
        "limits-are-kept",
        u32::try_from(held).is_ok_and(|held| held <= limit),
        "{held} builds hold the {limit} places of agent {}",
        next.name
    );
    in_order(world, previous, next);
    let gone = previous.into_iter().flat_map(|previous| previous.holders.keys());
    for build in gone.filter(|build| !next.holders.contains_key(build)) {
        let record = world.tables.builds.get(build).map(|stored| &stored.record);
        let needs_it = record.is_some_and(|record| record.slot_in(&next.name) == Slot::Held && record.outcome().is_none());
        check!(
            world,
            build,
            "no-agent-without-a-place",
            !needs_it,
            "{build} has its place, and it is taken away"
        );
        let lives = world.tasks_of(build).find(|task| {
            let abandoned = world.checks.refused.contains(&(task.attempt.clone(), task.capacity)) && !is_named(world, task);
            task.lives() && (next.name.is_lock() || !abandoned && !is_given_up(world, task))
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

/// The builds that get places are those whose turn it is. A function reads the line after the places: so it saw those that were in line when the places
/// were last written.
fn in_order(world: &mut World, previous: Option<&Pool>, next: &Pool) {
    let agent = &next.name;
    let written = world.checks.places.written.get(agent).copied().unwrap_or(0);
    // Where nothing is said to be in line, nothing was looked for there.
    let looked = previous.is_some_and(|previous| previous.queued || previous.queued_up < next.queued_up);
    let seen = |waiting: &Waiting| !previous.is_some_and(|previous| previous.serves(waiting));
    let line = world
        .line_of(agent)
        .filter(|in_line| looked && in_line.at <= written && seen(&in_line.waiting));
    let mut line: Vec<Waiting> = line.map(|in_line| in_line.waiting.clone()).collect();
    let mut last = world.checks.places.last.get(agent).cloned();
    let known = |effect: &PoolEffect| previous.is_some_and(|previous| previous.outbox.any(|known| known == effect));
    for pending in next.outbox.pending().iter().filter(|pending| !known(&pending.effect)) {
        let PoolEffect::Grant { build, waiting } = &pending.effect else {
            continue;
        };
        // It keeps its place for its next turn, or is notified again.
        let held = previous.is_some_and(|previous| previous.holders.contains_key(build));
        let Some(record) = world.tables.builds.get(build).map(|stored| &stored.record).filter(|_| !held) else {
            continue;
        };
        let in_line = || match next.name.is_lock() {
            true => record.in_line_for_lock().unwrap_or_else(|| record.in_line(0)),
            false => record.in_line(next.turn(build)),
        };
        let granted = waiting.clone().unwrap_or_else(in_line);
        line.retain(|waiting| *waiting != granted);
        let first = line
            .iter()
            .find(|other| other.repository == granted.repository && other.key() < granted.key())
            .cloned();
        check!(
            world,
            Subject::World,
            "first-come-first-served",
            first.is_none(),
            "{build} gets a place before {first:?}"
        );
        let rank = |repository: &RepositoryName| (last.as_ref().is_some_and(|last| repository <= last), repository.clone());
        let earlier = line
            .iter()
            .find(|other| rank(&other.repository) < rank(&granted.repository))
            .cloned();
        check!(
            world,
            Subject::World,
            "repositories-take-turns",
            earlier.is_none(),
            "{build} of {} gets a place after one of {last:?}, before {earlier:?}",
            granted.repository
        );
        last = Some(granted.repository);
    }
    let seen = &mut world.checks.places;
    if let Some(last) = next.last.clone().or(last) {
        seen.last.insert(agent.clone(), last);
    }
    let write = seen.next_write();
    seen.written.insert(agent.clone(), write);
}

/// What must hold over time: a place is not free for long while a build waits for one.
pub(super) fn inspect(world: &mut World) {
    let agents: Vec<PoolName> = world.tables.pools.keys().cloned().collect();
    for agent in agents {
        let free = world.tables.pools.get(&agent).is_some_and(|pool| pool.record.free() > 0);
        let waits = |waiting: &Waiting| {
            let build = world.tables.builds.get(&waiting.build).map(|stored| &stored.record);
            build.is_some_and(|build| waits_at(build, waiting))
        };
        if !free || !world.line_of(&agent).any(|in_line| waits(&in_line.waiting)) {
            world.checks.places.free.remove(&agent);
            continue;
        }
        let now = world.now;
        let since = *world.checks.places.free.entry(agent.clone()).or_insert(now);
        let audit = Millis::try_from(AUDIT_EVERY.as_millis()).unwrap_or(Millis::MAX);
        let calm = world.calm_since.is_some_and(|since| now > since + CALM_GRACE);
        check!(
            world,
            Subject::World,
            "nobody-waits-for-a-free-place",
            !calm || now < since + audit + 2 * MINUTE,
            "a place of {agent} is free for {} s, and builds are in line",
            (now - since) / 1000
        );
    }
}

/// What must hold once everything is at rest: nothing is left in line but what was put there too late.
pub(super) fn at_rest(world: &mut World) {
    let left = world.tables.line.values().find(|in_line| in_line.is_wanted);
    let left = left.map(|in_line| in_line.waiting.clone());
    check!(world, Subject::World, "the-line-ends", left.is_none(), "{left:?} is left in line");
}
