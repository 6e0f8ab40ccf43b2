//! What a function has met lately: it saves requests, and nothing depends on it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellhop_domain::measure;
use bellhop_domain::run::standing::Standing;
use jiff::Timestamp;

use crate::records::{Stored as _, Versioned};

/// How long after a throttled launch a function expects that launches queue.
const THROTTLED_FOR: Duration = Duration::from_secs(60);

/// The memory of a function between its events.
#[derive(Debug, Default)]
pub struct Recent {
    standing: Mutex<Option<Versioned<Standing>>>,
    throttled: Mutex<Option<Timestamp>>,
}

impl Recent {
    /// Keeps the results of a branch or tag that the announcement of a build has read, for the announcement of its run, which often follows within the
    /// same event. A write with their version proves that they were still current.
    pub(crate) fn keep(&self, read: Versioned<Standing>) {
        *lock(&self.standing) = Some(read);
    }

    /// The results that were kept, once, if they are of the same branch or tag.
    pub(crate) fn take(&self, of: &Standing) -> Option<Versioned<Standing>> {
        lock(&self.standing).take().filter(|read| read.record.id() == of.id())
    }

    /// Notes that a launch was throttled, or that others wait for their turn.
    pub(crate) fn throttled(&self, now: Timestamp) {
        *lock(&self.throttled) = Some(now);
    }

    /// Whether launches may queue: then it is worth a request to ask whether they do. Without it, a launch follows at once from its decision.
    pub(crate) fn may_queue(&self, now: Timestamp) -> bool {
        lock(&self.throttled).is_some_and(|at| measure::between(at, now) < THROTTLED_FOR)
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
