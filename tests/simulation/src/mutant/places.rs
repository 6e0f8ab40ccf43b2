//! Mistakes with the places of agent templates.

use bellhop_domain::build::BuildState;
use bellhop_domain::ids::BuildId;
use bellhop_domain::queue::pool::{Pool, PoolEffect};

use super::kind::Mutant;
use crate::world::{World, timestamp};

mutants! {
    /// What is heard late of a place that was given back takes the next one away.
    TURNS_IGNORED: "turns-ignored" within 1500,
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
}

pub(crate) fn before_write_of_pool(world: &World, pool: &mut Pool) {
    let Some(stored) = world.tables.pools.get(&pool.agent).map(|stored| &stored.record) else {
        return;
    };
    match world.mutant {
        Some(Mutant::LEAVE_DROPPED) => {
            for (build, since) in &stored.holders {
                pool.holders.entry(build.clone()).or_insert(*since);
            }
        }
        Some(Mutant::PLACE_GIVEN_BACK_EARLY) if pool.waiting.is_empty() => {
            let over = |id: &BuildId| world.tables.builds.get(id).is_some_and(|build| build.record.outcome().is_some());
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
        Some(Mutant::TURNS_IGNORED) => pool.turns.clear(),
        Some(Mutant::LIMIT_EXCEEDED) => {
            if let Some(next) = pool.waiting.pop_first() {
                pool.holders.insert(next.build.clone(), timestamp(world.now));
                pool.outbox.push(PoolEffect::Grant { build: next.build }, timestamp(world.now));
            }
        }
        Some(Mutant::LAST_COMES_FIRST) => {
            let granted: Vec<BuildId> = pool.holders.keys().filter(|id| !stored.holders.contains_key(id)).cloned().collect();
            for build in granted {
                let first = stored.waiting.iter().find(|waiting| waiting.build == build).cloned();
                if let (Some(first), Some(last)) = (first, pool.waiting.pop_last()) {
                    pool.holders.remove(&build);
                    pool.waiting.insert(first);
                    pool.holders.insert(last.build.clone(), timestamp(world.now));
                    pool.outbox.push(PoolEffect::Grant { build: last.build }, timestamp(world.now));
                }
            }
        }
        _ => {}
    }
}
