//! The system clock, and conversions of the SDK's times.

use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_types::DateTime;
use bellhop_engine::ports::Clock;
use jiff::Timestamp;

/// The system clock, which Lambda keeps accurate to within a second.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    /// In whole microseconds: records have many times, and each is three bytes shorter without the rest. Two functions that decide the same at the same
    /// moment make equal records, so the moments must be short.
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    async fn pause(&self, about: Duration) {
        tokio::time::sleep(about).await;
    }
}

/// Converts a time of the SDK; `None` if it is out of range.
pub(crate) fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.to_millis().ok()?).ok()
}
