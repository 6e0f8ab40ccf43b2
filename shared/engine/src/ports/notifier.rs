//! Messages to people, and wake-ups of functions.

use async_trait::async_trait;
use bellhop_domain::message::Message;
use bellhop_domain::record::{Key, Performer};

use crate::Fault;

/// The topic for messages.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Publishes a message. Subscribers may get it more than once.
    async fn publish(&self, message: &Message) -> Result<(), Fault>;
}

/// The internal topic, through which a function wakes the one that performs what it has committed.
#[async_trait]
pub trait Waker: Send + Sync {
    /// Tells a performer that these records have effects for it. Wake-ups may be lost: the sweep repeats them as long as the effects are due. They may
    /// also arrive more than once.
    async fn wake(&self, performer: Performer, records: &[Key]) -> Result<(), Fault>;
}
