//! The machine's clock, and times as the SDK has them.

use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_types::DateTime;
use bellhop_engine::ports::Clock;
use jiff::Timestamp;

/// The machine's clock, which Lambda keeps true to within a second.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn pause(&self, about: Duration) {
        tokio::time::sleep(about).await;
    }
}

/// A time of the SDK's; `None` for one that is out of all bounds.
pub(crate) fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.to_millis().ok()?).ok()
}
