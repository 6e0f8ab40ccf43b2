//! Time that passes when a test says so.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bellhop_aws::SystemClock;
use bellhop_engine::ports::Clock;
use jiff::Timestamp;

/// The machine's clock, put forward. It goes on by itself, so that of two things that happen one after the other the second is later.
#[derive(Debug, Default)]
pub struct SteppableClock {
    ahead: Mutex<Duration>,
}

impl SteppableClock {
    /// Puts the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.ahead.lock().expect("no test panics while it holds the clock") += by;
    }
}

#[async_trait]
impl Clock for SteppableClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.ahead.lock().expect("no test panics while it holds the clock")
    }

    async fn pause(&self, about: Duration) {
        SystemClock.pause(about).await;
    }
}
