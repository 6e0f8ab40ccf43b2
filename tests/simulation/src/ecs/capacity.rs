//! Tasks that are accepted and never come up: for want of capacity, of something that comes back, or of their image.

use bellhop_model::ecs::{FAILED_TO_START, NO_CAPACITY};

use super::task::Failure;
use crate::world::World;

/// What a task says that never came up because there was no capacity.
const WITHOUT_CAPACITY: [&str; 4] = [NO_CAPACITY, "RESOURCE:MEMORY", "EMPTY CAPACITY PROVIDER", "NO ACTIVE INSTANCES"];
/// What a task says that never came up for want of something that comes back.
const NOT_NOW: [&str; 4] = [
    "Unexpected EC2 error while attempting to Create Network Interface: InsufficientFreeAddressesInSubnet",
    "You've reached the limit on the number of vCPUs you can run concurrently",
    "Request limit exceeded.",
    "InternalError: an internal error has occurred",
];

impl World {
    pub(super) fn fail_to_start(&mut self, index: usize, failure: Failure) {
        let now = self.now;
        if let Some(task) = self.ecs.tasks.get_mut(index) {
            task.disturbed = true;
            task.failure = Some(failure);
            let reason = match failure {
                Failure::NoCapacity => WITHOUT_CAPACITY[index % WITHOUT_CAPACITY.len()],
                Failure::NotNow => NOT_NOW[index % NOT_NOW.len()],
                Failure::NoImage | Failure::LeftQueue => "CannotPullContainerError: pull image manifest has been retried 5 time(s)",
            };
            task.life.mark_stop(FAILED_TO_START, reason);
            task.life.stopping_at = Some(now);
            task.ended = Some(now);
        }
        self.take_down(index);
    }
}
