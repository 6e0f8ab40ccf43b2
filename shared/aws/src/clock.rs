//! The machine's clock.

use std::time::Duration;

use async_trait::async_trait;
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
