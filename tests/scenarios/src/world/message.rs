//! A message as a subscriber of the topic gets it.

use std::collections::BTreeMap;

use serde_json::Value;

/// A message as a subscriber gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The document.
    pub document: Value,
    /// What filter policies see.
    pub attributes: BTreeMap<String, String>,
}

impl Message {
    /// What it is about, in a few words: `build test retrying`, `run succeeded`.
    #[must_use]
    pub fn line(&self) -> String {
        let words = ["kind", "job", "status"].map(|name| self.document[name].as_str());
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

pub(super) fn message(envelope: &Value) -> Message {
    let text = envelope["Message"].as_str().expect("a message has a text");
    let attributes = envelope["MessageAttributes"].as_object().into_iter().flatten();
    Message {
        document: serde_json::from_str(text).expect("the text for programs is JSON"),
        attributes: attributes
            .map(|(name, value)| (name.clone(), value["Value"].as_str().unwrap_or_default().to_owned()))
            .collect(),
    }
}
