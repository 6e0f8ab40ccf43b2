//! The index in DynamoDB: one item for each key of each bucket.
//!
//! | attribute | type | value |
//! |---|---|---|
//! | `bucket`, `key` | S | partition key and sort key |
//! | `sequencer` | S | the place of the event among those of the key, padded |
//! | `status` | S | `indexed` or `unreadable` |
//! | `why` | S | why it is unreadable |
//! | `version_id`, `etag`, `size`, `created_at` | S, S, N, S | of the object, as the event says them |
//! | `title`, `author`, `subject`, `keywords`, `creator`, `producer` | S | of the document |
//! | `document_created_at`, `document_modified_at` | S | RFC 3339 |
//! | `pages`, `pdf_version`, `encrypted` | N, S, BOOL | of the document |
//!
//! What is not known has no attribute. An item has at most about 30 KiB, of the 400 KiB that DynamoDB allows
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::event::Created;
use crate::failure::Failure;
use crate::pdf::Reading;

/// The condition of every write: no event of the key that was as late or later has been written. So an event that arrives again, or late, changes nothing.
const CONDITION: &str = "attribute_not_exists(#bucket) OR #sequencer < :sequencer";

/// The attributes of an item.
pub type Item = HashMap<String, AttributeValue>;

/// Where items are written.
#[async_trait]
pub trait Index: Send + Sync {
    /// Writes what is known of an object, unless the item is of the same event or of a later one.
    ///
    /// # Errors
    /// If the item cannot be written: no permission, throttling, a fault of the service.
    async fn write(&self, created: &Created, reading: &Reading) -> Result<Written, Failure>;
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The item is there.
    Done,
    /// The item was there already, or one of a later event.
    Stale,
}

/// DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

impl DynamoDb {
    /// Writes to this table with this client.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }
}

#[async_trait]
impl Index for DynamoDb {
    async fn write(&self, created: &Created, reading: &Reading) -> Result<Written, Failure> {
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(created, reading)))
            .condition_expression(CONDITION)
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_names("#sequencer", "sequencer")
            .expression_attribute_values(":sequencer", text(created.sequencer.as_str()))
            .send()
            .await;
        match written {
            Ok(_) => Ok(Written::Done),
            Err(error) if matches!(error.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) => Ok(Written::Stale),
            Err(error) => Err(Failure::of(
                &format!("write the item of s3://{}/{}", created.bucket, created.key),
                &error,
            )),
        }
    }
}

/// The item of an object. The same event always gives the same item.
#[must_use]
pub fn item(created: &Created, reading: &Reading) -> Item {
    let mut item = Item::new();
    let mut put = |name: &str, value: Option<AttributeValue>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    };
    put("bucket", Some(text(&created.bucket)));
    put("key", Some(text(&created.key)));
    put("sequencer", Some(text(created.sequencer.as_str())));
    put("version_id", created.version.as_deref().map(text));
    put("etag", created.etag.as_deref().map(text));
    put("size", created.size.map(number));
    put("created_at", created.at.as_deref().map(text));
    match reading {
        Reading::Metadata(metadata) => {
            put("status", Some(text("indexed")));
            for (name, value) in metadata.texts() {
                put(name, value.map(text));
            }
            put("pages", metadata.pages.map(number));
            put("encrypted", Some(AttributeValue::Bool(metadata.encrypted)));
        }
        Reading::Unreadable { why } => {
            put("status", Some(text("unreadable")));
            put("why", Some(text(why)));
        }
    }
    item
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
