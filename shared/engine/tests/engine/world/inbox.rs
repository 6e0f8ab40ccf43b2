//! The topic, with every message.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use bellhop_domain::ids::RunId;
use bellhop_domain::message::Message;
use bellhop_engine::Fault;
use bellhop_engine::ports::Notifier;

use super::values::take;

/// Everything that people were told.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) messages: Mutex<Vec<Message>>,
    /// So many messages to come cannot be sent.
    pub(crate) closed: AtomicUsize,
    /// The runs whose messages, and those of their builds, never come to an answer.
    pub(crate) hangs: Mutex<BTreeSet<RunId>>,
}

#[async_trait]
impl Notifier for Inbox {
    async fn publish(&self, message: &Message) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        if take(&self.closed) {
            return Err(Fault::transient("publish: no reply"));
        }
        let of = message.document["run"].as_str().and_then(|run| run.parse().ok());
        if of.is_some_and(|run| self.hangs.lock().unwrap().contains(&run)) {
            std::future::pending::<()>().await;
        }
        self.messages.lock().unwrap().push(message.clone());
        Ok(())
    }
}
