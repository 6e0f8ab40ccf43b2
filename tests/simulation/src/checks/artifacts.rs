//! What must hold of what builds leave behind.

use bellhop_domain::build::{Attempt, Build, End};
use bellhop_domain::ids::AttemptId;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::results::found::Tests;

use crate::world::World;

/// Whether an attempt may be the one that decided about its build.
fn may_decide(build: &Build, attempt: &Attempt) -> bool {
    match build.outcome() {
        Some(Outcome::Succeeded) => attempt.end() == Some(&End::Succeeded),
        // One that finds its commit gone decides, and leaves nothing.
        Some(Outcome::Failed) => {
            let found_none = |attempt: &Attempt| matches!(attempt.end(), Some(End::CommitGone { .. }));
            matches!(attempt.end(), Some(End::Failed { .. })) && !build.attempts.iter().any(found_none)
        }
        _ => false,
    }
}

fn deciding(build: &Build) -> impl Iterator<Item = AttemptId> {
    let attempts = build
        .attempts
        .iter()
        .filter(|attempt| may_decide(build, attempt) && attempt.agent.is_some());
    attempts.map(|attempt| build.attempt_id(attempt.number))
}

/// A build is about to be written: what is found belongs to the attempt that decided about it.
pub(super) fn found(world: &mut World, previous: Option<&Build>, next: &Build) {
    let Some(found) = next
        .results
        .as_ref()
        .filter(|_| previous.is_none_or(|previous| previous.results.is_none()))
    else {
        return;
    };
    let tests = |tests: &Tests| tests.failures.clone();
    let named = found.tests.as_ref().map_or_else(Vec::new, tests);
    let its_own = deciding(next).any(|attempt| {
        let left = world.bucket.with_artifacts().any(|left| *left == attempt);
        // A second agent of the attempt may have left it a moment ago.
        let twin = world.tasks_of(&next.spec.id).filter(|task| task.attempt == attempt).count() > 1;
        let said = if found.count > 0 {
            named == [attempt.to_string()]
        } else {
            named.is_empty()
        };
        said && (twin || left == (found.count > 0))
    });
    check!(
        world,
        &next.spec.id,
        "found-is-its-own",
        its_own,
        "{found:?}, and {:?} have left something",
        world
            .bucket
            .with_artifacts()
            .filter(|left| left.build == next.spec.id)
            .collect::<Vec<_>>()
    );
}

/// What an agent left is found in the end, unless nobody could look.
pub(super) fn at_rest(world: &mut World, build: &Build) {
    if build.spec.artifacts.is_empty() || deciding(build).next().is_none() {
        return;
    }
    let in_vain = world.bucket.vain_looks.get(&build.spec.id).copied().unwrap_or(0);
    check!(
        world,
        &build.spec.id,
        "what-is-left-is-found",
        build.results.is_some() || in_vain >= 2,
        "nothing is known of it, and looking was in vain {in_vain} times"
    );
}
