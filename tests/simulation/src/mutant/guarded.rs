//! Mistakes with agents that serve only some branches.

use super::kind::Mutant;
use crate::guarded::{Way, unguarded};
use crate::world::World;

mutants! {
    /// A push may use agents with `refs` on every branch.
    REFS_UNCHECKED_FOR_PUSHES: "refs-unchecked-for-pushes" within 200,
    /// An action of CodePipeline may use agents with `refs` on every branch.
    REFS_UNCHECKED_FOR_ACTIONS: "refs-unchecked-for-actions" within 500,
    /// A request may use agents with `refs` on every branch.
    REFS_UNCHECKED_FOR_REQUESTS: "refs-unchecked-for-requests" within 1000,
    /// A job of the suite's own may use agents with `refs` on every branch.
    REFS_UNCHECKED_FOR_SCHEDULES: "refs-unchecked-for-schedules" within 1000,
    /// A retry may use agents with `refs` on every branch.
    REFS_UNCHECKED_FOR_RETRIES: "refs-unchecked-for-retries" within 3000,
    /// Every commit counts as one of the branch that a run names.
    ANCESTRY_UNASKED: "ancestry-unasked" within 1000,
}

/// The suite configuration as it is read to plan a run.
pub(crate) fn read_suite(world: &World, way: Option<Way>, suite: String) -> String {
    let unchecked = match world.mutant {
        Some(Mutant::REFS_UNCHECKED_FOR_PUSHES) => Way::Push,
        Some(Mutant::REFS_UNCHECKED_FOR_ACTIONS) => Way::Action,
        Some(Mutant::REFS_UNCHECKED_FOR_REQUESTS) => Way::Request,
        Some(Mutant::REFS_UNCHECKED_FOR_SCHEDULES) => Way::Schedule,
        Some(Mutant::REFS_UNCHECKED_FOR_RETRIES) => Way::Retry,
        _ => return suite,
    };
    if way == Some(unchecked) { unguarded(&suite) } else { suite }
}
