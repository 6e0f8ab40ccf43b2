//! What a function has met lately: it saves requests, and nothing depends on it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellhop_domain::build::{Build, CHECK_RUNNING};
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::measure;
use bellhop_domain::run::standing::Standing;
use jiff::Timestamp;

use crate::records::Versioned;

/// How long results that were read are kept: the announcement of a run follows that of its last build within the same event.
const READ_FOR: Duration = Duration::from_secs(5);
/// How long after a throttled launch a function expects that launches queue.
const THROTTLED_FOR: Duration = Duration::from_secs(60);
/// How long a stored build is kept. After that, the sweep has polled its running agent and stored it again, and what was kept would only meet a write
/// conflict.
const STORED_FOR: Duration = CHECK_RUNNING;
/// The most builds that are kept. Most have some kilobytes; the largest are cut to [`LARGEST`](crate::records::LARGEST) bytes only where they are stored.
const MOST_BUILDS: usize = 32;

/// The memory of a function between its events.
#[derive(Debug, Default)]
pub struct Recent {
    standing: Mutex<Option<Read>>,
    throttled: Mutex<Option<Timestamp>>,
    /// The builds that were stored last, the newest last.
    builds: Mutex<VecDeque<(Timestamp, Versioned<Build>)>>,
}

/// The results of a run's branch or tag, as they were read; none if there were none.
#[derive(Debug)]
struct Read {
    run: RunId,
    at: Timestamp,
    standing: Option<Versioned<Standing>>,
}

impl Recent {
    /// Keeps the results of a branch or tag that the announcement of a build has read, for the announcement of its run.
    pub(crate) fn keep(&self, run: &RunId, standing: Option<Versioned<Standing>>, now: Timestamp) {
        *lock(&self.standing) = Some(Read {
            run: run.clone(),
            at: now,
            standing,
        });
    }

    /// The results that were just kept for this run, once: none if none were kept, and then none inside if there are none.
    pub(crate) fn take(&self, run: &RunId, now: Timestamp) -> Option<Option<Versioned<Standing>>> {
        let read = lock(&self.standing).take()?;
        (read.run == *run && measure::between(read.at, now) < READ_FOR).then_some(read.standing)
    }

    /// Keeps a build as it was just stored.
    pub(crate) fn keep_build(&self, stored: Versioned<Build>, now: Timestamp) {
        let mut builds = lock(&self.builds);
        builds.retain(|(at, kept)| measure::between(*at, now) < STORED_FOR && kept.record.spec.id != stored.record.spec.id);
        builds.push_back((now, stored));
        let most = builds.len().saturating_sub(MOST_BUILDS);
        builds.drain(..most);
    }

    /// A build as this function stored it lately. Another function may have stored it since.
    pub(crate) fn build(&self, id: &BuildId, now: Timestamp) -> Option<Versioned<Build>> {
        let builds = lock(&self.builds);
        let mut young = builds.iter().filter(|(at, _)| measure::between(*at, now) < STORED_FOR);
        let (_, build) = young.find(|(_, kept)| kept.record.spec.id == *id)?;
        Some(build.clone())
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
