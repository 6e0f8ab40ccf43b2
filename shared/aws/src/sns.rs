//! Messages on the suite's SNS topic.
//!
//! One message carries a text per protocol (`MessageStructure=json`,
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-send-custom-platform-specific-payloads-mobile-devices.html>): the document as `default`, and texts
//! for people as `email` and `sms`.

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use bellhop_domain::message::Message;
use bellhop_engine::Fault;
use bellhop_engine::ports::Notifier;

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
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| Fault::lasting(format!("message attribute {name} could not be built")).caused_by(error))?;
            request = request.message_attributes(*name, value);
        }
        request
            .send()
            .await
            .map_err(|error| fault(format_args!("publish to {}", self.arn), error))?;
        Ok(())
    }
}
