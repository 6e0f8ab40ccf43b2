//! What is counted about builds, for graphs and alarms: what one change of a build's record says.
//!
//! A change is committed once, so that nothing is counted twice, however often an event comes. Who dies between the commit and the count leaves a gap:
//! these are measurements, and nothing is decided by them.

use std::time::Duration;

use jiff::Timestamp;

use crate::Capacity;
use crate::build::{Attempt, Build, End, Phase};
use crate::outcome::Outcome;

/// Something that is counted or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A build is over.
    Build(Outcome),
    /// An attempt was decided upon.
    Attempt,
    /// An attempt beyond the first, by a rule of the retry policy.
    Retry,
    /// An attempt's capacity was taken back.
    Interruption,
    /// From when an attempt began to wait for an agent to when its agent was launched.
    Queued(Duration),
    /// From when an interruption was learnt of to when the attempt that replaces the interrupted one was launched.
    Relaunched(Duration),
    /// How long an agent was up, and on what.
    Agent(Capacity, Duration),
    /// So many effects were tried in vain for too long, and are given up.
    Abandoned(u64),
    /// Something that came in was dropped although it may have been meant for Bellhop: an event that is not understood, or the push of a commit that is
    /// not there.
    Dropped,
    /// For how long the longest overdue record has been due when a sweep begins; zero where none is.
    Overdue(Duration),
}

/// What a change of a build says; `previous` is none for a new build.
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
            // An interrupted attempt that is over tells when it ended; its replacement has waited since the interruption was learnt of.
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

/// When an attempt's interruption was learnt of, or, once it is over, its end.
fn interrupted_at(attempt: &Attempt) -> Option<Timestamp> {
    match &attempt.phase {
        Phase::Interrupted { at } | Phase::Ended { at, end: End::Interrupted } => Some(*at),
        _ => None,
    }
}

/// The time between two moments; zero where clocks differ by more.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
