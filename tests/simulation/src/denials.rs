//! What AWS does not let the suite do, however often it asks: a permission that somebody has taken away, a quota of zero. For a while, or for good.

use std::collections::BTreeSet;

use crate::world::{Happening, MINUTE, Millis, SECOND, Subject, World};

/// What may be denied: everything that is asked of a service and that a record waits for. What nothing can be done without, the ledger and the suite
/// configuration, is not among it.
const OPERATIONS: [&str; 17] = [
    "RunTask",
    "StopTask",
    "ListTasks",
    "DescribeTasks",
    "GetReport",
    "ListObjectsV2",
    "Publish",
    "PutObject",
    "PutJobSuccessResult",
    "PutJobFailureResult",
    "UpdateService",
    "UpdateContainerInstancesState",
    "StartBackupJob",
    "DescribeBackupJob",
    "ListRecoveryPointsByBackupVault",
    "DeleteResource",
    "GetResourceRequestStatus",
];

/// What is denied, with dice of its own.
pub(crate) struct Denials {
    dice: fastrand::Rng,
    now: BTreeSet<&'static str>,
    /// Everything that was denied at some time.
    ever: BTreeSet<&'static str>,
}

impl Denials {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed.rotate_left(17) ^ 0x6465_6e79),
            now: BTreeSet::new(),
            ever: BTreeSet::new(),
        }
    }
}

/// Decides what is denied, from when on, and for how long.
pub(crate) fn prepare(world: &mut World, length: Millis, hostility: f64) {
    if hostility <= 0.0 || world.denials.dice.u32(0..3) > 0 {
        return;
    }
    for _ in 0..world.denials.dice.u32(1..4) {
        let dice = &mut world.denials.dice;
        let operation = OPERATIONS[dice.usize(0..OPERATIONS.len())];
        let begin = dice.u64(0..length);
        // Some seconds, some minutes, or for good.
        let longest = [30 * SECOND, 10 * MINUTE, 40 * MINUTE][dice.usize(0..3)];
        let end = dice.bool().then(|| begin + dice.u64(SECOND..longest));
        world.schedule(begin, Happening::Denial(operation, true));
        if let Some(end) = end {
            world.schedule(end, Happening::Denial(operation, false));
        }
    }
}

impl World {
    /// Something is denied from now on, or not any more.
    pub(crate) fn deny(&mut self, operation: &'static str, begins: bool) {
        self.note("permission", Subject::World, || {
            format!("{operation} {}", if begins { "is denied" } else { "is allowed again" })
        });
        if begins {
            self.denials.now.insert(operation);
            self.denials.ever.insert(operation);
        } else {
            self.denials.now.remove(operation);
        }
    }

    pub(crate) fn denied(&self, operation: &str) -> bool {
        self.denials.now.contains(operation)
    }

    /// Whether one of these was denied at some time.
    pub(crate) fn was_denied(&self, operations: &[&str]) -> bool {
        operations.iter().any(|operation| self.denials.ever.contains(operation))
    }
}
