//! Messages on the suite's SNS topic, and wake-ups on its internal one.
//!
//! One message carries a text per protocol (`MessageStructure=json`,
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-send-custom-platform-specific-payloads-mobile-devices.html>): the document as `default`, and texts
//! for people as `email` and `sms`.

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use bellhop_domain::message::Message;
use bellhop_domain::record::{Key, Performer};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Notifier, Waker};

use crate::config::Lazy;
use crate::fault::fault;

/// The suite's topic.
#[derive(Debug, Clone)]
pub struct Topic {
    client: Lazy<Client>,
    arn: String,
}

impl Topic {
    pub(crate) fn new(client: Lazy<Client>, arn: &str) -> Self {
        Self {
            client,
            arn: arn.to_owned(),
        }
    }
}

#[async_trait]
impl Notifier for Topic {
    async fn publish(&self, message: &Message) -> Result<(), Fault> {
        let texts = serde_json::json!({
            "default": message.document.to_string(),
            "email": message.email,
            "sms": message.sms,
        });
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(&message.subject)
            .message_structure("json")
            .message(texts.to_string());
        for (name, value) in &message.attributes {
            request = request.message_attributes(*name, attribute(name, value)?);
        }
        request
            .send()
            .await
            .map_err(|error| fault(format_args!("publish to {}", self.arn), error))?;
        Ok(())
    }
}

/// The suite's internal topic: each function that may have to be woken is subscribed to it, with a filter on the attribute `performer`.
#[derive(Debug, Clone)]
pub struct WakeTopic {
    client: Lazy<Client>,
    arn: Option<String>,
}

impl WakeTopic {
    pub(crate) fn new(client: Lazy<Client>, arn: Option<&str>) -> Self {
        Self {
            client,
            arn: arn.map(ToOwned::to_owned),
        }
    }
}

#[async_trait]
impl Waker for WakeTopic {
    async fn wake(&self, performer: Performer, records: &[Key]) -> Result<(), Fault> {
        let name = performer.name();
        let Some(arn) = &self.arn else {
            return Err(Fault::permanent(format!(
                "{name} cannot be woken: BELLHOP_WAKE_TOPIC_ARN is not set"
            )));
        };
        self.client
            .publish()
            .topic_arn(arn)
            .message(bellhop_events::wake_up(records).to_string())
            .message_attributes("performer", attribute("performer", name)?)
            .send()
            .await
            .map_err(|error| fault(format_args!("wake {name}"), error))?;
        Ok(())
    }
}

fn attribute(name: &str, value: &str) -> Result<MessageAttributeValue, Fault> {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .map_err(|error| Fault::permanent(format!("message attribute {name} could not be built")).caused_by(error))
}
