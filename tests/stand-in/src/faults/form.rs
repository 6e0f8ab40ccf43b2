//! Rules as people write them in JSON, and what is wrong with one that could never fire.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Fault, Rule, Times};

/// The key of [`Times::Every`].
const EVERY: &str = "every";
/// The word of [`Times::Always`].
const ALWAYS: &str = "always";

/// The HTTP status of an error that does not say one.
pub(super) fn bad_request() -> u16 {
    400
}

/// A time as people write it: `500ms`, `2m`.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map_err(|error| D::Error::custom(format!("expected a time such as 500ms or 2m, not `{text}` ({error})")))
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Next(count) => serializer.serialize_u32(*count),
            Self::Always => serializer.serialize_str(ALWAYS),
            Self::Every(step) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(EVERY, step)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimesVisitor)
    }
}

struct TimesVisitor;

impl<'de> Visitor<'de> for TimesVisitor {
    type Value = Times;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number from 1 up, \"always\" or {\"every\": 3}")
    }

    fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Times, E> {
        match u32::try_from(count) {
            Ok(count) if count > 0 => Ok(Times::Next(count)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Unsigned(count), &self)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Times, E> {
        match word {
            ALWAYS => Ok(Times::Always),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Times, A::Error> {
        let step = match map.next_entry::<String, u32>()? {
            Some((key, step)) if key == EVERY && step > 0 => step,
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        };
        match map.next_key::<String>()? {
            None => Ok(Times::Every(step)),
            Some(_) => Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }
}

impl Rule {
    /// What is wrong with a rule that no request could match, or whose answer is no error: the field, and what is expected there.
    pub(crate) fn mistake(&self) -> Option<String> {
        let meets = |service: &str, operation: &str| self.service == service && ["*", operation].contains(&self.operation.as_str());
        let (run_task, start_build) = (meets("ecs", "RunTask"), meets("codebuild", "StartBuild"));
        let signing_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let operation = |name: &str| name == "*" || name.starts_with(|c: char| c.is_ascii_uppercase());
        if !signing_name(&self.service) {
            return Some(format!(
                "service: expected a name as requests are signed with it, such as ecs or dynamodb, not `{}`",
                self.service
            ));
        }
        if !operation(&self.operation) {
            return Some(format!(
                "operation: expected one as the API reference writes it, such as RunTask, or * for all, not `{}`",
                self.operation
            ));
        }
        if self.capacity.is_some() && !run_task {
            return Some("capacity: allowed only with RunTask of ecs, because no other request has a capacity".to_owned());
        }
        if self.beyond.is_some() && !run_task {
            return Some("beyond: allowed only with RunTask of ecs, because no other request starts a task".to_owned());
        }
        match &self.fault {
            Fault::NoCapacity if !run_task => Some("fault: no-capacity is allowed only with RunTask of ecs".to_owned()),
            Fault::AccountLimit if !run_task && !start_build => {
                Some("fault: account-limit is allowed only with RunTask of ecs or StartBuild of codebuild".to_owned())
            }
            Fault::Error { status, .. } if !(400..600).contains(status) => Some(format!(
                "fault.error.status: expected the status of an error, 400 to 599, not {status}"
            )),
            _ => None,
        }
    }
}
