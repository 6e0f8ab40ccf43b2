//! Mistakes with the places of agent templates, and with the line for them.

use bellhop_domain::build::{Build, BuildState};
use bellhop_domain::ids::BuildId;
use bellhop_domain::queue::line::Waiting;
use bellhop_domain::queue::pool::{Pool, PoolEffect};

use super::kind::Mutant;
use crate::world::{Millis, SECOND, World, timestamp};

mutants! {
    /// A build's place is given back with its outcome, whatever still runs for it.
    PLACE_GIVEN_BACK_EARLY: "place-given-back-early" within 500,
    /// A place that is given back stays taken.
    LEAVE_DROPPED: "leave-dropped" within 50,
    /// A build that gets a place after it has left keeps it.
    LATE_PLACE_KEPT: "late-place-kept" within 2000,
    /// There is always one place more than there should be.
    LIMIT_EXCEEDED: "limit-exceeded" within 50,
    /// Who asks last gets the next place.
    LAST_COMES_FIRST: "last-comes-first" within 100,
    /// The first repository always comes first.
    REPOSITORIES_IN_NO_TURN: "repositories-in-no-turn" within 500,
    /// A build that has to wait is not put in line.
    WAITING_LOST: "waiting-lost" within 200,
    /// The places are notified of a build in line before it is there.
    QUEUED_LATE: "queued-late" within 2000,
    /// The places are not notified of a build in line.
    QUEUED_UNTOLD: "queued-untold" within 500,
    /// A lock is given back when its build is over, whatever may still run for it.
    LOCK_GIVEN_BACK_EARLY: "lock-given-back-early" within 500,
    /// A lock is given back when its build's agent counts as lost.
    LOCK_OF_LOST_GIVEN_BACK: "lock-of-lost-given-back" within 2000,
    /// A build with a lock does not ask for it.
    LOCK_IGNORED: "lock-ignored" within 200,
    /// A build that gets a place stays in line.
    NOT_TAKEN_OUT: "not-taken-out" within 200,
}

/// How late a build is put in line that the places were notified of.
pub(crate) const PUT_LATE: Millis = 60 * SECOND;

/// Whether the places are not written, although they seem to be.
pub(crate) fn drops_pool_write(world: &World, pool: &Pool) -> bool {
    let stored = world.tables.pools.get(&pool.name).map(|stored| &stored.record);
    let queued = stored.is_some_and(|stored| stored.queued_up < pool.queued_up && stored.outbox == pool.outbox);
    world.is(Mutant::QUEUED_UNTOLD) && queued
}

pub(crate) fn before_write_of_pool(world: &World, pool: &mut Pool) {
    let Some(stored) = world.tables.pools.get(&pool.name).map(|stored| &stored.record) else {
        return;
    };
    let give = |pool: &mut Pool, next: &Waiting| {
        pool.holders.insert(next.build.clone(), timestamp(world.now));
        let (build, waiting) = (next.build.clone(), Some(next.clone()));
        pool.outbox.push(PoolEffect::Grant { build, waiting }, timestamp(world.now));
    };
    let agent = pool.name.clone();
    match world.mutant {
        Some(Mutant::LEAVE_DROPPED) => {
            for (build, since) in &stored.holders {
                pool.holders.entry(build.clone()).or_insert(*since);
            }
        }
        Some(Mutant::PLACE_GIVEN_BACK_EARLY) if !pool.queued => {
            let over = |id: &BuildId| world.tables.builds.get(id).is_some_and(|build| build.record.outcome().is_some());
            pool.holders.retain(|id, _| !over(id));
        }
        Some(Mutant::LOCK_GIVEN_BACK_EARLY) if pool.name.is_lock() => {
            let over = |id: &BuildId| world.tables.builds.get(id).is_some_and(|build| build.record.outcome().is_some());
            pool.holders.retain(|id, _| !over(id));
        }
        Some(Mutant::LOCK_OF_LOST_GIVEN_BACK) if pool.name.is_lock() => {
            let lost = |build: &Build| build.attempts.iter().any(|attempt| attempt.lost);
            let over = |id: &BuildId| world.tables.builds.get(id).is_some_and(|build| lost(&build.record));
            pool.holders.retain(|id, _| !over(id));
        }
        Some(Mutant::LATE_PLACE_KEPT) => {
            for (id, since) in &stored.holders {
                let state = world.tables.builds.get(id).map(|build| &build.record.state);
                if matches!(state, Some(BuildState::Finished { at, .. }) if at < since) {
                    pool.holders.entry(id.clone()).or_insert(*since);
                }
            }
        }
        Some(Mutant::LIMIT_EXCEEDED) => {
            let next = world.line_of(&agent).find(|in_line| !pool.serves(&in_line.waiting));
            if let Some(next) = next {
                give(pool, &next.waiting);
            }
        }
        Some(Mutant::LAST_COMES_FIRST) => {
            let line = || world.line_of(&agent).map(|in_line| &in_line.waiting);
            let granted: Vec<&Waiting> = line().filter(|waiting| pool.serves(waiting) && !stored.serves(waiting)).collect();
            for first in granted {
                let behind = |last: &&Waiting| last.repository == first.repository && !pool.serves(last);
                if let Some(last) = line().rev().find(behind) {
                    pool.holders.remove(&first.build);
                    pool.outbox
                        .remove_where(|pending| matches!(&pending.effect, PoolEffect::Grant { build, .. } if *build == first.build));
                    give(pool, last);
                }
            }
        }
        Some(Mutant::REPOSITORIES_IN_NO_TURN) => pool.last = None,
        _ => {}
    }
}
