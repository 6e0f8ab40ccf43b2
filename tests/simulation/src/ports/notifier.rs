//! SNS: messages to people.

use async_trait::async_trait;
use bellhop_domain::message::Message;
use bellhop_engine::Fault;
use bellhop_engine::ports::Notifier;

use super::fate::Service;
use super::port::Port;
use crate::mutant::{self, Mutant};
use crate::world::Subject;

#[async_trait]
impl Notifier for Port {
    async fn publish(&self, message: &Message) -> Result<(), Fault> {
        let id = message.document.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
        self.call(Service::Other, "Publish", Subject::World, move |world| {
            if world.is(Mutant::MESSAGES_DROPPED) || mutant::drops_message(world, &id) {
                return;
            }
            world.note("published", Subject::World, || id.clone());
            *world.bucket.messages.entry(id.clone()).or_default() += 1;
            world.statistics.messages += 1;
        })
        .await
    }
}
