//! Wake-ups: what functions publish to the internal topic reaches the functions that are subscribed to it.

use bellhop_engine::Fault;
use serde_json::{Value, json};

use super::World;

// What AWS delivers by itself within a second.
impl World {
    /// An invocation, and then those of the functions that it wakes.
    ///
    /// # Errors
    /// The invocation's, or else the first one of a woken function.
    ///
    /// # Panics
    /// No function is subscribed to what a message names.
    pub(super) async fn with_wake_ups(&self, invocation: impl Future<Output = Result<Value, Fault>>) -> Result<Value, Fault> {
        let answered = invocation.await;
        let delivered = self.deliver_wake_ups().await;
        let answer = answered?;
        delivered?;
        Ok(answer)
    }

    /// Invokes the woken functions, as SNS does, with the messages that the internal topic received since the last delivery, and during this one.
    async fn deliver_wake_ups(&self) -> Result<(), Fault> {
        let mut result = Ok(());
        loop {
            let notifications = self.local_aws.receive_all(&self.wake_queue).await;
            if notifications.is_empty() {
                return result;
            }
            for notification in notifications {
                let woken = self.wake(&notification).await;
                result = result.and(woken.map(|_| ()));
            }
        }
    }

    /// Invokes the function whose subscription lets a notification through.
    async fn wake(&self, notification: &Value) -> Result<Value, Fault> {
        let event = json!({ "Records": [{ "EventSource": "aws:sns", "EventVersion": "1.0", "Sns": notification }] });
        match notification["MessageAttributes"]["performer"]["Value"].as_str() {
            Some("alarm") => self.alarm_alone(&event).await,
            Some("backup") => self.backup(&event).await,
            Some("spot-interruption") => self.instance_event(&event).await,
            other => panic!("no function is subscribed for the performer {other:?}: {notification}"),
        }
    }
}
