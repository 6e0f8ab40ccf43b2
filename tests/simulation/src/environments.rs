//! Execution environments of functions: what an invocation leaves in memory is there for a later one of the same environment, and gone if it dies.
//!
//! All functions share them here, so a function may remember more than on AWS.

use std::sync::Arc;

use bellhop_engine::Recent;

/// The environments that wait for an event.
pub(crate) struct Environments {
    idle: Vec<Arc<Recent>>,
    dice: fastrand::Rng,
}

impl Environments {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            idle: Vec::new(),
            dice: fastrand::Rng::with_seed(seed.rotate_left(40) ^ 0x656e_7669_726f),
        }
    }

    /// The memory of an environment for the next event: most often that of any idle one.
    pub(crate) fn take(&mut self) -> Arc<Recent> {
        if self.idle.is_empty() || self.dice.u32(0..8) == 0 {
            return Arc::default();
        }
        let any = self.dice.usize(0..self.idle.len());
        self.idle.swap_remove(any)
    }

    /// Its event has ended, and it waits for another one.
    pub(crate) fn put_back(&mut self, memory: Arc<Recent>) {
        self.idle.push(memory);
    }
}
