//! The suite's timer.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::record::Key;

use crate::Fault;

/// Wakes the sweep for single records, at a time.
#[async_trait]
pub trait Timer: Send + Sync {
    /// Asks for records to be processed, each after a wait of at most [`TIMERS_AHEAD`](crate::TIMERS_AHEAD). A wake-up may be lost, come twice, or a
    /// second or two late, but not early: the sweep finds by itself what is due, once a minute.
    async fn set(&self, timers: &[(Duration, Key)]) -> Result<(), Fault>;
}
