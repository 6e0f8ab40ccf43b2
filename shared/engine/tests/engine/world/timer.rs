//! The suite's timer, with every call.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::record::Key;
use bellhop_engine::Fault;
use bellhop_engine::ports::Timer;

use super::values::take;

/// Timers, which the test lets go off.
#[derive(Default)]
pub(crate) struct Timers {
    set: Mutex<Vec<(Duration, Key)>>,
    /// So many calls to come fail.
    pub(crate) failing: AtomicUsize,
}

impl Timers {
    /// What was set so far, and not taken yet.
    pub(crate) fn taken(&self) -> Vec<(Duration, Key)> {
        std::mem::take(&mut *self.set.lock().unwrap())
    }
}

#[async_trait]
impl Timer for Timers {
    async fn set(&self, timers: &[(Duration, Key)]) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        if take(&self.failing) {
            return Err(Fault::transient("set a timer: no reply".to_owned()));
        }
        self.set.lock().unwrap().extend_from_slice(timers);
        Ok(())
    }
}
