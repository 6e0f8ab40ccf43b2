//! The rules for alarms: which alarms, and which remedy. What a remedy's value may be is in `alarm::remedy`.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::defined::Check;
use crate::alarm::Remedy;
use crate::alarm::remedy::{REMEDIES, Rule, Setting, SettingError, read_setting};
use crate::text::shown;
use crate::yaml::{FieldPath, FileError, quoted};
use crate::yaml::{Flag, Name, Timespan};

const NAME: &str = "name";
const AT_MOST_EVERY: &str = "at-most-every";
const DRY_RUN: &str = "dry-run";

/// The keys of a rule, in the order in which messages list them.
const KEYS: [&str; REMEDIES.len() + 3] = {
    let mut keys = [NAME; REMEDIES.len() + 3];
    let mut i = 0;
    while i < REMEDIES.len() {
        keys[i + 1] = REMEDIES[i];
        i += 1;
    }
    keys[i + 1] = AT_MOST_EVERY;
    keys[i + 2] = DRY_RUN;
    keys
};

/// A rule: the remedy for the alarms that a pattern matches.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// The pattern for their names.
    pub name: AlarmPattern,
    /// The remedy.
    pub remedy: Remedy,
}

/// A pattern for the names of alarms. `*` matches `/` too.
#[derive(Debug, Clone)]
pub struct AlarmPattern(globset::GlobMatcher);

impl AlarmPattern {
    /// Whether it matches the alarm's name.
    #[must_use]
    pub fn matches(&self, alarm: &str) -> bool {
        self.0.is_match(alarm)
    }
}

impl<'de> Deserialize<'de> for AlarmPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Name(text) = Name::deserialize(deserializer)?;
        match globset::Glob::new(&text) {
            Ok(glob) => Ok(Self(glob.compile_matcher())),
            Err(error) => Err(serde::de::Error::custom(format!(
                "{} is not a valid pattern: {}",
                quoted(&text),
                shown(&error.kind().to_string(), 100)
            ))),
        }
    }
}

/// A rule as the file has it.
pub(super) struct RawAlarm {
    name: AlarmPattern,
    remedies: Vec<Box<dyn Setting>>,
    at_most_every: Option<Timespan>,
    dry_run: Flag,
}

impl<'de> Deserialize<'de> for RawAlarm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Mapping;

        impl<'de> Visitor<'de> for Mapping {
            type Value = RawAlarm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping, that is `key: value`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawAlarm, A::Error> {
                let (mut name, mut remedies, mut at_most_every, mut dry_run) = (None, Vec::new(), None, Flag::default());
                while let Some(Key(key)) = map.next_key()? {
                    match key {
                        NAME => name = Some(map.next_value()?),
                        AT_MOST_EVERY => at_most_every = map.next_value()?,
                        DRY_RUN => dry_run = map.next_value()?,
                        remedy => remedies.extend(read_setting(remedy, &mut map)?),
                    }
                }
                Ok(RawAlarm {
                    name: name.ok_or_else(|| A::Error::missing_field(NAME))?,
                    remedies,
                    at_most_every,
                    dry_run,
                })
            }
        }

        deserializer.deserialize_struct("RawAlarm", &KEYS, Mapping)
    }
}

/// One of [`KEYS`]. An unknown key is an error of the key itself, so that the error's place is the key's line.
struct Key(&'static str);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = KEYS.iter().find(|key| **key == text);
        known.map(|key| Self(key)).ok_or_else(|| D::Error::unknown_field(&text, &KEYS))
    }
}

impl Check<'_> {
    pub(super) fn alarms(&self, raw: Vec<RawAlarm>, jobs: &[&str], backups: &[&str]) -> Result<Vec<Alarm>, FileError> {
        let mut alarms = Vec::with_capacity(raw.len());
        for (i, raw) in raw.into_iter().enumerate() {
            let at = FieldPath::top("alarms").index(i);
            let [setting] = &raw.remedies[..] else {
                return Err(self.source.error(&at, exactly_one_remedy()));
            };
            let rule = Rule {
                at_most_every: raw.at_most_every.map(|span| span.span),
                jobs,
                backups,
            };
            let (action, at_most_every) = setting
                .check(&rule)
                .map_err(|SettingError { key, message }| self.source.error(&at.key(key), message))?;
            let remedy = Remedy {
                action,
                at_most_every,
                dry_run: raw.dry_run.0,
            };
            alarms.push(Alarm { name: raw.name, remedy });
        }
        Ok(alarms)
    }
}

fn exactly_one_remedy() -> String {
    let keys: Vec<String> = REMEDIES.iter().map(|key| format!("`{key}`")).collect();
    match keys.split_last() {
        Some((last, others)) => format!("expected exactly one of {} and {last}", others.join(", ")),
        None => String::new(),
    }
}
