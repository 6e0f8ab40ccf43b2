//! How long a build's steps may take, how long it waits, and the ends of these times; except the search for an orphan (`orphan`), and the time for
//! which an effect is tried (`outbox`).

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::attempt::Attempt;
use super::record::Build;
use super::state::Phase;
use crate::executor::Capacity;
use crate::time::{between, doubled, later};

/// How long an agent may take to stop after Bellhop asked it to: after that it counts as lost. A task has two minutes. If it takes longer, its host
/// is disconnected and may never report the end.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How long a launch is retried that is refused for a reason outside the table of refusals: for instance a missing permission, which takes effect
/// shortly after a stack was created.
pub const UNKNOWN_FOR: Duration = Duration::from_secs(15 * 60);
/// How long polls of a build's agents may fail before their timeouts apply anyway.
pub const FAILING_POLLS_FOR: Duration = Duration::from_secs(30 * 60);
/// How often a running agent is polled, in case its events were lost.
pub const CHECK_RUNNING: Duration = Duration::from_secs(5 * 60);
/// How often an agent is polled that should change soon: starting, interrupted, stopping.
pub const CHECK_CHANGING: Duration = Duration::from_secs(60);
/// How long after a refusal for good the launch is tried once more: the missing resource, such as a cluster or a task definition of the same deployment,
/// may have been created a moment ago.
pub const ONCE_MORE_AFTER: Duration = Duration::from_secs(2);
/// The first wait after a launch was refused because of capacity or a limit of the account; doubles each time.
pub const REFUSED_BACKOFF: Duration = Duration::from_secs(15);
/// How far a further attempt is ahead of all first ones in the launch queue: more than the longest `queue-timeout`. A build that was interrupted has
/// waited once already.
pub(super) const AHEAD_IN_QUEUE: Duration = Duration::from_secs(48 * 3600);
/// The longest that a wait grows to, between two launches of one attempt and before a retry. A rule whose first wait is longer keeps to that one.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);
/// How long a build waits for an agent before Bellhop reports it, once.
pub const WAITING_ANNOUNCED_AFTER: Duration = Duration::from_secs(10 * 60);
/// How long a build waits before it checks again whether launches are paused.
pub const PAUSED_WAIT: Duration = Duration::from_secs(30);

impl Attempt {
    /// How long after its last poll its agent is polled again.
    pub(super) fn check_after(&self) -> Duration {
        match self.phase {
            Phase::Running => CHECK_RUNNING,
            _ => CHECK_CHANGING,
        }
    }
}

impl Build {
    /// How long an accepted agent may take to start.
    pub(super) fn launch_timeout(&self, capacity: Capacity) -> Duration {
        self.spec.executor.kind().launch_timeout(capacity, self.spec.queue_timeout)
    }

    /// The cause of an end by [`Self::launch_timeout`].
    pub(super) fn never_up(&self, capacity: Capacity) -> String {
        format!(
            "the agent did not start within {}",
            humantime::format_duration(self.launch_timeout(capacity))
        )
    }

    /// The end of an attempt's `queue-timeout`.
    pub(super) fn queue_deadline(&self, attempt: &Attempt) -> Timestamp {
        later(attempt.queued, self.spec.queue_timeout)
    }

    /// The end of a build's wait for a slot. A build whose launch was denied before waits no longer than for the permission.
    pub(super) fn waiting_deadline(&self, attempt: &Attempt) -> Timestamp {
        let queue = self.queue_deadline(attempt);
        attempt
            .refused_unknown_since
            .map_or(queue, |since| queue.min(later(since, UNKNOWN_FOR)))
    }

    /// When an attempt's agent has run, or taken to start, for too long; `None` if neither can happen to it.
    pub(super) fn deadline(&self, attempt: &Attempt) -> Option<Timestamp> {
        match (&attempt.phase, attempt.started) {
            (Phase::Running | Phase::Interrupted { .. }, Some(started)) => Some(later(started, self.spec.timeout)),
            (Phase::Launching, _) if attempt.agent.is_some() => {
                let launched = attempt.launched?;
                Some(later(launched, self.launch_timeout(attempt.capacity)))
            }
            _ => None,
        }
    }

    /// Whether an attempt has run longer than its timeout.
    pub(super) fn is_overtime(&self, attempt: &Attempt, now: Timestamp) -> bool {
        attempt.started.is_some() && self.deadline(attempt).is_some_and(|deadline| deadline <= now)
    }

    /// The cause of an end by the job's `timeout`.
    pub(super) fn timeout_cause(&self) -> String {
        format!(
            "it ran longer than its timeout of {}",
            humantime::format_duration(self.spec.timeout)
        )
    }

    /// Why an attempt timed out. A service may end an agent at a time limit of its own, before the job's `timeout`.
    pub(super) fn timeout_cause_of(&self, attempt: &Attempt) -> String {
        let began = attempt.launched.into_iter().chain(attempt.started).min();
        match (began, &attempt.phase) {
            (Some(began), Phase::Ended { at, .. }) if between(began, *at) < self.spec.timeout => format!(
                "its service ended it at a time limit of its own, which is shorter than the job's `timeout` of {}",
                humantime::format_duration(self.spec.timeout)
            ),
            _ => self.timeout_cause(),
        }
    }

    /// Between three quarters of a wait and all of it, so that builds that were refused together do not retry together. The share depends only on the
    /// build and the round, because `decide` has no random numbers.
    pub(super) fn jittered(&self, wait: Duration, round: u32) -> Duration {
        let mut hash = Sha256::new();
        hash.update(self.spec.id.to_string().as_bytes());
        hash.update(round.to_be_bytes());
        let share = f64::from(hash.finalize()[0]) / 255.0;
        wait.mul_f64(0.25f64.mul_add(share, 0.75))
    }
}

/// A wait that doubles with each time, up to [`LONGEST_BACKOFF`], or to the first wait if that is longer.
pub(super) fn backoff(first: Duration, times: u32) -> Duration {
    doubled(first, times).min(LONGEST_BACKOFF.max(first))
}
