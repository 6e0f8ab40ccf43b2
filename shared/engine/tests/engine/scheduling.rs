//! Limits, superseding, requests by hand, pipelines that wait, and what builds leave behind.

mod collecting;
mod limits;
mod line;
mod pipelines;
mod requests;
mod superseding;

use crate::world::World;

/// How many agents have not stopped.
fn live(world: &World) -> usize {
    world.agents.live().len()
}
