//! Values that both files have in common, checked as they are read.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer, StringDeserializer, U64Deserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

use super::error::{invalid_id, quoted};
use crate::ids::InvalidId;

/// `version: 1`.
#[derive(Debug)]
pub(crate) struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if matches!(text.as_str(), "1" | "1.0") {
            Ok(Self)
        } else {
            Err(D::Error::custom(format!("version {} is not supported: expected 1", quoted(&text))))
        }
    }
}

/// One of the names of [`crate::ids`], with an error in the words of this module.
#[derive(Debug, Clone)]
pub(crate) struct Id<T>(pub(crate) T);

impl<'de, T: FromStr<Err = InvalidId>> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| D::Error::custom(invalid_id(&error)))
    }
}

/// The units of durations.
const UNITS: [&str; 18] = [
    "s", "sec", "second", "seconds", "m", "min", "mins", "minute", "minutes", "h", "hour", "hours", "d", "day", "days", "w", "week",
    "weeks",
];

/// The longest duration, in characters.
const LONGEST_DURATION: usize = 24;

/// Whether a text is a list of whole numbers with units, such as `90s` or `1h 30m`: less than humantime takes, which reads `30M` as 30 months.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    loop {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = rest.len() - unit.len();
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let end = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        if !(1..=9).contains(&digits) || !UNITS.contains(&&unit[..end]) {
            return false;
        }
        rest = &unit[end..];
        if rest.is_empty() {
            return true;
        }
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
}

/// A duration such as `1h 30m`.
#[derive(Debug, Clone)]
pub(crate) struct Timespan {
    /// As the file has it.
    pub(crate) text: String,
    pub(crate) span: Duration,
}

impl<'de> Deserialize<'de> for Timespan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = (text.len() <= LONGEST_DURATION && is_duration(&text))
            .then(|| humantime::parse_duration(&text).ok())
            .flatten();
        match span {
            Some(span) => Ok(Self { text, span }),
            None => Err(D::Error::custom(format!(
                "{} is not a valid duration: expected whole numbers with units, such as 30m or 1h 30m",
                quoted(&text)
            ))),
        }
    }
}

/// `true` or `false`; a text in quotes is neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A whole number; a text in quotes is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u32);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number that is not negative")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
                u32::try_from(number)
                    .map(Whole)
                    .map_err(|_| E::custom(format!("{number} is too large: expected at most {}", u32::MAX)))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
                // JSON knows no difference between 1 and 1.0.
                if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
                    return format!("{number:.0}").parse().map(Whole).map_err(E::custom);
                }
                Err(E::invalid_value(Unexpected::Float(number), &self))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
                let positive = u64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))?;
                self.visit_u64(positive)
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// A name of something outside, such as a cluster: one line, not empty.
#[derive(Debug, Clone)]
pub(crate) struct Name(pub(crate) String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if (1..=512).contains(&text.chars().count()) && !text.chars().any(char::is_control) && text.trim() == text {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format!(
                "{} is not a valid name: expected 1 to 512 characters on one line, without spaces around them",
                quoted(&text)
            )))
        }
    }
}

/// The name of a group of CloudWatch Logs (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html>).
#[derive(Debug, Clone)]
pub(crate) struct LogGroup(pub(crate) String);

impl<'de> Deserialize<'de> for LogGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._/#-".contains(c);
        if (1..=512).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format!(
                "{} is not a valid log group name: expected up to 512 letters, digits, '.', '_', '/', '#' and '-'",
                quoted(&text)
            )))
        }
    }
}

/// The ARN of something outside.
#[derive(Debug, Clone)]
pub(crate) struct Arn(pub(crate) String);

impl<'de> Deserialize<'de> for Arn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Name(text) = Name::deserialize(deserializer)?;
        if text.starts_with("arn:") && text.split(':').count() >= 6 {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format!(
                "{} is not a valid ARN: expected arn:partition:service:region:account:resource",
                quoted(&text)
            )))
        }
    }
}

/// A mapping in the file's order.
#[derive(Debug)]
pub(crate) struct Entries<K, V>(pub(crate) Vec<(K, V)>);

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

/// The whole of a file: a mapping, in which keys that begin with `.` or `x-` are the user's own and are skipped. They are a home for YAML anchors.
#[derive(Debug)]
pub(crate) struct Document<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Document<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Whole<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping, that is `key: value`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(WithoutOwnKeys(map)))
            }
        }

        deserializer.deserialize_map(Whole(PhantomData)).map(Self)
    }
}

/// Whether a key at the top of a file is the user's own.
pub(crate) fn is_own_key(key: &str) -> bool {
    key.starts_with('.') || key.starts_with("x-")
}

/// A mapping without the user's own keys.
struct WithoutOwnKeys<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutOwnKeys<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<String>()? {
            if !is_own_key(&key) {
                return seed.deserialize(StringDeserializer::new(key)).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

/// The answer to a number or a boolean in place of a single text: its text as written is not known.
const QUOTE: &str = "expected a text in quotes, or a list";

/// A list, or a single value that stands for a list of one.
#[derive(Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value, or a list such as [a, b]")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(StrDeserializer::new(text)).map(|one| vec![one])
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                // An error about a text is in the words of the type; one about a number says only that it is none.
                T::deserialize(U64Deserializer::<E>::new(number))
                    .map(|one| vec![one])
                    .map_err(|_| E::custom(QUOTE))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Err(E::custom(QUOTE))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Err(E::custom(QUOTE))
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                Err(E::custom(QUOTE))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list))
            }
        }

        deserializer.deserialize_any(Either(PhantomData)).map(Self)
    }
}

/// A list, or a single word that stands for something of its own.
#[derive(Debug)]
pub(crate) enum WordOr<W, T> {
    /// The word.
    Word(W),
    /// The list.
    List(Vec<T>),
}

/// A word that may stand in place of a list.
pub(crate) trait Word: Sized {
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
