//! A clock that every look moves by a millisecond.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bellhop_engine::ports::Clock;
use jiff::Timestamp;

/// Every look at it shows another millisecond.
#[derive(Default)]
pub(crate) struct SteppedClock(AtomicI64);

impl SteppedClock {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + self.0.fetch_add(1, Ordering::SeqCst)).unwrap()
    }

    async fn pause(&self, about: Duration) {
        if about <= Duration::from_secs(1) {
            self.pass(about);
            tokio::task::yield_now().await;
        } else {
            // A time limit: with Tokio's clock paused, it ends when no other task runs.
            let over = self.0.load(Ordering::SeqCst) + i64::try_from(about.as_millis()).unwrap();
            tokio::time::sleep(about).await;
            self.0.fetch_max(over, Ordering::SeqCst);
        }
    }
}
