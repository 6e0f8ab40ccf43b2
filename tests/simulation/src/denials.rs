//! What AWS does not let the suite do, however often it asks: a permission that somebody has taken away, a quota of zero. For a while, or for good.

use std::collections::BTreeMap;

use crate::world::{Happening, MINUTE, Millis, SECOND, Subject, World};

/// What may be denied: everything that is asked of a service and that a record waits for. What nothing can be done without, the ledger and the suite
/// configuration, is not among it.
const OPERATIONS: [&str; 19] = [
    "RunTask",
    "StopTask",
    "ListTasks",
    "DescribeTasks",
    "GetReport",
    "ListObjectsV2",
    "Publish",
    "WakeUp",
    "SendMessageBatch",
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

/// How long something has to be denied to make a difference: anything fails for minutes in a hostile world.
const MATTERS: Millis = 3 * MINUTE;

/// What is denied, with dice of its own.
pub(crate) struct Denials {
    dice: fastrand::Rng,
    now: BTreeMap<&'static str, Millis>,
    /// Everything that was denied at some time, and for how long at most.
    ever: BTreeMap<&'static str, Millis>,
}

impl Denials {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed.rotate_left(17) ^ 0x6465_6e79),
            now: BTreeMap::new(),
            ever: BTreeMap::new(),
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
        let now = self.now;
        if begins {
            self.denials.now.entry(operation).or_insert(now);
        } else if let Some(since) = self.denials.now.remove(operation) {
            let longest = self.denials.ever.entry(operation).or_default();
            *longest = (now - since).max(*longest);
        }
    }

    pub(crate) fn denied(&self, operation: &str) -> bool {
        self.denials.now.contains_key(operation)
    }

    /// Whether anything was denied for however short a time.
    pub(crate) fn was_ever_denied(&self) -> bool {
        !self.denials.now.is_empty() || !self.denials.ever.is_empty()
    }

    /// Whether one of these was denied for long enough that it makes a difference beside all the other faults.
    pub(crate) fn was_denied(&self, operations: &[&str]) -> bool {
        let of = |operation: &&str| {
            let now = self.denials.now.get(operation).map(|since| self.now - since);
            now.max(self.denials.ever.get(operation).copied())
        };
        operations.iter().filter_map(of).any(|long| long >= MATTERS)
    }
}
