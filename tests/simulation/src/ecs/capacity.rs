//! Tasks that are accepted and never come up: for want of capacity, of something that comes back, or of their image.

use super::task::Failure;
use crate::world::World;

/// What a task says that never came up because there was no capacity.
const NO_CAPACITY: [&str; 4] = [
    "Capacity is unavailable at this time. Please try again later or in a different availability zone",
    "RESOURCE:MEMORY",
    "EMPTY CAPACITY PROVIDER",
    "NO ACTIVE INSTANCES",
];
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
            task.stop_code = Some("TaskFailedToStart");
            task.stopped_reason = Some(
                match failure {
                    Failure::NoCapacity => NO_CAPACITY[index % NO_CAPACITY.len()],
                    Failure::NotNow => NOT_NOW[index % NOT_NOW.len()],
                    Failure::NoImage | Failure::LeftQueue => "CannotPullContainerError: pull image manifest has been retried 5 time(s)",
                }
                .to_owned(),
            );
            task.stopping_at = Some(now);
            task.ended = Some(now);
        }
        self.take_down(index);
    }
}
