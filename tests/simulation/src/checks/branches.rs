//! Branches: which push is the newest, and which older ones it supersedes.

use std::collections::BTreeSet;

use bellhop_domain::ids::RunId;
use bellhop_domain::run::branch::{Branch, BranchEffect};

use super::records::reads_back;
use crate::world::{Subject, World};

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

/// Whether a newer push than a run's may supersede it, as far as the time of the pushes tells.
pub(super) fn is_outdated(world: &World, run: &RunId) -> bool {
    let Some(push) = world.push_of(run).filter(|_| world.repository.supersedes) else {
        return false;
    };
    world.repository.pushes.iter().any(|other| {
        let same = (&other.repository, &other.reference) == (&push.repository, &push.reference);
        same && other.trigger != push.trigger && other.at >= push.at
    })
}
