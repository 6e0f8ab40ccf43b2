//! Arithmetic with moments and durations.

use std::time::Duration;

use jiff::Timestamp;

/// A moment after another, limited to the last possible one.
pub(crate) fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The time between two moments; zero if the clocks disagree.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// A duration, doubled so many times, but no more than 16 times.
pub(crate) fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.min(16)))
}
