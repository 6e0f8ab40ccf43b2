//! The suite's timer.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::record::Key;

use crate::Fault;

/// How far the clocks of two functions may be apart.
pub const CLOCKS: Duration = Duration::from_millis(100);

/// Wakes the sweep for single records, at a time.
#[async_trait]
pub trait Timer: Send + Sync {
    /// Asks for records to be processed, each after a wait of at most [`TIMERS_AHEAD`](crate::TIMERS_AHEAD). A wake-up may be lost, come twice, or a
    /// second or two late, but not early: the sweep finds by itself what is due, once a minute. A timer without a wait goes off
    /// at once: its record has been due for so long that it is due on every clock.
    async fn set(&self, timers: &[(Duration, Key)]) -> Result<(), Fault>;
}
