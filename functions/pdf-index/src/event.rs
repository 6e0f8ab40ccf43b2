//! From what S3 sends to the objects that it created.
//!
//! An event arrives in one of two forms: as a notification that S3 delivers to Lambda itself
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>), in which keys are URL-encoded, or as an event of
//! EventBridge (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>), in which they are not.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The most characters of a sequencer. Those of S3 have 16 to 18; the field has no documented limit.
const LONGEST_SEQUENCER: usize = 64;

/// An object that S3 created: one version of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, decoded. S3 allows up to 1,024 bytes of UTF-8.
    pub key: String,
    /// The version, in a bucket with versioning.
    pub version: Option<String>,
    /// The object's ETag, without quotes.
    pub etag: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// The place of this event among the events of the same key.
    pub sequencer: Sequencer,
    /// When S3 created the object, as the event says it.
    pub at: Option<String>,
}

/// Orders the events of one key: the greater sequencer belongs to the later event. Events of different keys have no order.
///
/// S3's sequencers are hexadecimal numbers of different lengths, which are compared as texts after the shorter one is padded with zeros at its end. This
/// one is padded already, so that DynamoDB can compare it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequencer(String);

impl Sequencer {
    /// Pads a sequencer; `None` for a text that is not one: 1 to 64 hexadecimal digits.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_valid = !text.is_empty() && text.len() <= LONGEST_SEQUENCER && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_valid.then(|| Self(format!("{:0<LONGEST_SEQUENCER$}", text.to_ascii_uppercase())))
    }

    /// The padded text, of 64 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an input contains.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The created objects, in the order of the input.
    pub objects: Vec<Created>,
    /// What is not about a created object: one line for each part.
    pub ignored: Vec<String>,
    /// What is about a created object and cannot be parsed.
    pub malformed: Vec<Malformed>,
}

/// A part of an input that is about a created object, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Takes an input apart. A malformed record does not affect the others.
#[must_use]
pub fn parse(input: &Value) -> Parsed {
    let mut parsed = Parsed::default();
    if let Some(records) = input.get("Records").and_then(Value::as_array) {
        for (index, record) in records.iter().enumerate() {
            let name = text(record, "/eventName").unwrap_or_default();
            let is_created = name.strip_prefix("s3:").unwrap_or(name).starts_with("ObjectCreated:");
            if text(record, "/eventSource") == Some("aws:s3") && is_created {
                parsed.take(notified(record).map_err(|why| format!("Records[{index}]: {why}")));
            } else {
                parsed
                    .ignored
                    .push(format!("Records[{index}] is not about a created object: {}", line(name)));
            }
        }
    } else if text(input, "/source") == Some("aws.s3") && text(input, "/detail-type") == Some("Object Created") {
        parsed.take(from_event_bridge(input));
    } else {
        let kind = text(input, "/detail-type")
            .or(text(input, "/Event"))
            .unwrap_or("neither records nor an event");
        parsed
            .ignored
            .push(format!("the input is not about a created object: {}", line(kind)));
    }
    parsed
}

impl Parsed {
    fn take(&mut self, created: Result<Created, String>) {
        match created {
            Ok(created) => self.objects.push(created),
            Err(why) => self.malformed.push(Malformed(why)),
        }
    }
}

/// A record of a notification.
fn notified(record: &Value) -> Result<Created, String> {
    let encoded = required(record, "/s3/object/key")?;
    // As a form: a space is a plus, and a plus is %2B.
    let key = percent_decode_str(&encoded.replace('+', " "))
        .decode_utf8()
        .map(|key| key.into_owned())
        .map_err(|_| "/s3/object/key is not UTF-8 after URL decoding".to_owned())?;
    Ok(Created {
        bucket: required(record, "/s3/bucket/name")?.to_owned(),
        key: valid_key(key)?,
        version: optional(record, "/s3/object/versionId"),
        etag: etag(record, "/s3/object/eTag"),
        size: record.pointer("/s3/object/size").and_then(Value::as_u64),
        sequencer: sequencer(record, "/s3/object/sequencer")?,
        at: optional(record, "/eventTime"),
    })
}

/// An event of EventBridge.
fn from_event_bridge(event: &Value) -> Result<Created, String> {
    Ok(Created {
        bucket: required(event, "/detail/bucket/name")?.to_owned(),
        key: valid_key(required(event, "/detail/object/key")?.to_owned())?,
        version: optional(event, "/detail/object/version-id"),
        etag: etag(event, "/detail/object/etag"),
        size: event.pointer("/detail/object/size").and_then(Value::as_u64),
        sequencer: sequencer(event, "/detail/object/sequencer")?,
        at: optional(event, "/time"),
    })
}

fn valid_key(key: String) -> Result<String, String> {
    // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
    if key.is_empty() || key.len() > 1024 {
        return Err(format!("the key has {} bytes: expected 1 to 1,024", key.len()));
    }
    Ok(key)
}

fn sequencer(value: &Value, field: &str) -> Result<Sequencer, String> {
    Sequencer::new(required(value, field)?)
        .ok_or_else(|| format!("{field} is not valid: expected 1 to {LONGEST_SEQUENCER} hexadecimal digits"))
}

fn etag(value: &Value, field: &str) -> Option<String> {
    optional(value, field).map(|etag| etag.trim_matches('"').to_owned())
}

fn required<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    text(value, field)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| format!("{field} is missing: expected a text"))
}

fn optional(value: &Value, field: &str) -> Option<String> {
    text(value, field).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.pointer(field).and_then(Value::as_str)
}

/// The beginning of a text, in one line.
fn line(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
