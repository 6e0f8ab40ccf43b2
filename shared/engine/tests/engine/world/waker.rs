//! The internal topic: wake-ups, with every call.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use bellhop_domain::record::{Key, Performer};
use bellhop_engine::Fault;
use bellhop_engine::ports::Waker;

use super::values::take;

/// Wake-ups, which the test delivers.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<Vec<(Performer, Vec<Key>)>>,
    /// So many wake-ups to come fail.
    pub(crate) failing: AtomicUsize,
}

impl Bell {
    /// What was woken so far, and not given yet.
    pub(crate) fn taken(&self) -> Vec<(Performer, Vec<Key>)> {
        std::mem::take(&mut *self.rung.lock().unwrap())
    }
}

#[async_trait]
impl Waker for Bell {
    async fn wake(&self, performer: Performer, records: &[Key]) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        if take(&self.failing) {
            return Err(Fault::transient(format!("wake {}: no reply", performer.name())));
        }
        self.rung.lock().unwrap().push((performer, records.to_vec()));
        Ok(())
    }
}
