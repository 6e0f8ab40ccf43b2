//! Metrics of builds, for dashboards and alarms, from one change of a build's record.
//!
//! A change is committed once, so nothing is counted twice, however often an event arrives. If a function stops between commit and count, the count
//! is lost: nothing depends on these metrics.

use std::time::Duration;

use jiff::Timestamp;

use crate::build::{Attempt, Build, End, Phase};
use crate::executor::Capacity;
use crate::outcome::Outcome;
pub use crate::time::between;

/// A count or a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A build finished.
    Build(Outcome),
    /// An attempt began.
    Attempt,
    /// An attempt beyond the first, by a rule of the retry policy.
    Retry,
    /// AWS reclaimed an attempt's capacity.
    Interruption,
    /// The time from when an attempt began to wait for an agent to the launch of its agent.
    Queued(Duration),
    /// The time from the receipt of an interruption to the launch of the replacement.
    Relaunched(Duration),
    /// How long an agent ran, by capacity.
    Agent(Capacity, Duration),
    /// The number of effects that were abandoned.
    Abandoned(u64),
    /// An event that may have been meant for Bellhop was dropped: it cannot be parsed, or its commit does not exist.
    Dropped,
    /// How long the most overdue record has been due when a sweep begins; zero if none is.
    Overdue(Duration),
}

/// The metrics of a change of a build; `previous` is none for a new build.
#[must_use]
pub fn of_build(previous: Option<&Build>, next: &Build) -> Vec<Measure> {
    let mut measures = Vec::new();
    let known = previous.map(|previous| previous.attempts.as_slice()).unwrap_or_default();
    let before = |number: u32| known.iter().find(|attempt| attempt.number == number);
    let mut interrupted_before = None;
    for attempt in &next.attempts {
        let known = before(attempt.number);
        if known.is_none() {
            measures.push(Measure::Attempt);
        }
        let interrupted = interrupted_at(attempt);
        if interrupted.is_some() && known.and_then(interrupted_at).is_none() {
            measures.push(Measure::Interruption);
        }
        if attempt.agent.is_some()
            && known.is_none_or(|known| known.agent.is_none())
            && let Some(launched) = attempt.launched
        {
            measures.push(Measure::Queued(between(attempt.queued, launched)));
            // The end of an interrupted attempt is known; its replacement has waited since the interruption was received.
            measures.extend(interrupted_before.map(|at: Timestamp| Measure::Relaunched(between(at.min(attempt.queued), launched))));
        }
        if let (Some(started), Phase::Ended { at, .. }) = (attempt.started, &attempt.phase)
            && known.is_none_or(|known| !matches!(known.phase, Phase::Ended { .. }))
        {
            measures.push(Measure::Agent(attempt.capacity, between(started, *at)));
        }
        interrupted_before = interrupted;
    }
    let retries = |build: &Build| build.retries.iter().sum::<u32>();
    let retried = retries(next).saturating_sub(previous.map(retries).unwrap_or_default());
    measures.extend((0..retried).map(|_| Measure::Retry));
    if let (None, Some(outcome)) = (previous.and_then(Build::outcome), next.outcome()) {
        measures.push(Measure::Build(outcome));
    }
    measures
}

/// When Bellhop received an attempt's interruption, or, after its end, when it ended.
fn interrupted_at(attempt: &Attempt) -> Option<Timestamp> {
    match &attempt.phase {
        Phase::Interrupted { at } | Phase::Ended { at, end: End::Interrupted } => Some(*at),
        _ => None,
    }
}
