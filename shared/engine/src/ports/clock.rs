//! The clock, and the metrics.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::ids::RepositoryName;
use bellhop_domain::measure::Measure;
use jiff::Timestamp;

/// The metrics.
pub trait Meter: Send + Sync {
    /// Records metrics of a repository's builds, or of the suite. It cannot fail: nothing depends on it.
    fn count(&self, repository: Option<&RepositoryName>, measures: &[Measure]);
}

/// The clock, and waiting.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// Waits about this long.
    async fn pause(&self, about: Duration);
}
