//! Values that both files have in common, checked as they are read.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::{invalid_id, quoted};
use crate::ids::InvalidId;

/// `version: 1`.
#[derive(Debug)]
pub(super) struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "1" {
            Ok(Self)
        } else {
            Err(D::Error::custom(format!("version {} is not supported: expected 1", quoted(&text))))
        }
    }
}

/// One of the names of [`crate::ids`], with an error in the words of this module.
#[derive(Debug, Clone)]
pub(super) struct Id<T>(pub(super) T);

impl<'de, T: FromStr<Err = InvalidId>> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| D::Error::custom(invalid_id(&error)))
    }
}

/// A duration such as `1h 30m`.
#[derive(Debug, Clone)]
pub(super) struct Timespan {
    /// As the file has it.
    pub(super) text: String,
    pub(super) span: Duration,
}

impl<'de> Deserialize<'de> for Timespan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // humantime panics where a sum ends just past what a Duration holds, which takes longer texts than this; no useful one is longer.
        let span = if text.len() <= 24 {
            humantime::parse_duration(&text).ok()
        } else {
            None
        };
        match span {
            Some(span) => Ok(Self { text, span }),
            None => Err(D::Error::custom(format!(
                "{} is no duration: expected a number with a unit, such as 30m or 1h 30m",
                quoted(&text)
            ))),
        }
    }
}

/// A name of something outside, such as a cluster: one line, not empty.
#[derive(Debug, Clone)]
pub(super) struct Name(pub(super) String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if (1..=512).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format!(
                "{} is no name: expected 1 to 512 characters on one line, without spaces around them",
                quoted(&text)
            )))
        }
    }
}

/// The name of a group of CloudWatch Logs (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html>).
#[derive(Debug, Clone)]
pub(super) struct LogGroup(pub(super) String);

impl<'de> Deserialize<'de> for LogGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._/#-".contains(c);
        if (1..=512).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format!(
                "{} is not the name of a log group: expected up to 512 letters, digits, '.', '_', '/', '#' and '-'",
                quoted(&text)
            )))
        }
    }
}

/// The ARN of something outside.
#[derive(Debug, Clone)]
pub(super) struct Arn(pub(super) String);

impl<'de> Deserialize<'de> for Arn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Name(text) = Name::deserialize(deserializer)?;
        if text.starts_with("arn:") && text.split(':').count() >= 6 {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format!(
                "{} is no ARN: expected arn:partition:service:region:account:resource",
                quoted(&text)
            )))
        }
    }
}

/// A mapping in the file's order.
#[derive(Debug)]
pub(super) struct Entries<K, V>(pub(super) Vec<(K, V)>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Mapping<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Mapping<K, V> {
            type Value = Vec<(K, V)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping, that is `key: value`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Mapping(PhantomData)).map(Self)
    }
}

/// A list, or a single word that stands for something of its own.
#[derive(Debug)]
pub(super) enum WordOr<W, T> {
    /// The word.
    Word(W),
    /// The list.
    List(Vec<T>),
}

/// A word that may stand in place of a list.
pub(super) trait Word: Sized {
    /// What is expected, for the message.
    const EXPECTED: &'static str;
}

impl<'de, W: Word + Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for WordOr<W, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<W, T>(PhantomData<(W, T)>);

        impl<'de, W: Word + Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for Either<W, T> {
            type Value = WordOr<W, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(W::EXPECTED)
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
                W::deserialize(StrDeserializer::new(word)).map(WordOr::Word)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(WordOr::List)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}
