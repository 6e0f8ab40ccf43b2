//! The file's text as serde reads it, before it is checked.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::ids::{AgentName, JobName, LockName, TargetName};
use crate::patterns::Pattern;
use crate::secret::{LONGEST_KEY, LONGEST_NAME, MOST_PARTS, Secret, is_key, is_name};
use crate::spec::{Relaunch, RetryOn};
use crate::yaml::quoted;
use crate::yaml::{Entries, Flag, Id, OneOrMany, Timespan, Version, Whole, Word, WordOr};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFile {
    #[serde(rename = "version")]
    pub(super) _version: Version,
    pub(super) jobs: Entries<Id<JobName>, RawJob>,
    pub(super) concurrency: Option<RawConcurrency>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawJob {
    pub(super) on: Option<RawOn>,
    pub(super) agent: Option<Id<AgentName>>,
    pub(super) deploy: Option<Id<TargetName>>,
    pub(super) code: Option<RawFileOf>,
    pub(super) shift: Option<RawShift>,
    pub(super) run: Option<String>,
    pub(super) buildspec: Option<String>,
    #[serde(default)]
    pub(super) environment: Entries<EnvName, String>,
    #[serde(default)]
    pub(super) secrets: Entries<EnvName, RawSecret>,
    #[serde(default)]
    pub(super) critical: Flag,
    pub(super) timeout: Option<Timespan>,
    pub(super) queue_timeout: Option<Timespan>,
    pub(super) relaunch: Option<Relaunch>,
    pub(super) lock: Option<Id<LockName>>,
    pub(super) retry: Option<WordOr<Never, RawRule>>,
    #[serde(default)]
    pub(super) needs: OneOrMany<Id<JobName>>,
    #[serde(default)]
    pub(super) fetch: OneOrMany<Id<JobName>>,
    pub(super) artifacts: Option<OneOrMany<String>>,
    pub(super) images: Option<OneOrMany<String>>,
}

/// A file that another job kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFileOf {
    pub(super) from: Id<JobName>,
    pub(super) path: String,
}

/// The steps of a shift: one, or a list.
pub(super) struct RawShift(pub(super) Vec<RawStep>);

impl<'de> Deserialize<'de> for RawShift {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Steps;

        impl<'de> Visitor<'de> for Steps {
            type Value = RawShift;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step such as `{ percent: 10, for: 5m }`, or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawShift, A::Error> {
                RawStep::deserialize(MapAccessDeserializer::new(map)).map(|step| RawShift(vec![step]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<RawShift, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(RawShift)
            }
        }

        deserializer.deserialize_any(Steps)
    }
}

/// A step of a shift.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawStep {
    pub(super) percent: Whole,
    #[serde(rename = "for")]
    pub(super) lasts: Timespan,
}

/// What starts a job: events, or the word `manual`, for which `never` is the older name.
pub(super) enum RawOn {
    Manual,
    Events(RawEvents),
}

impl<'de> Deserialize<'de> for RawOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = RawOn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping such as `push: { branches: [main] }`, or the word `manual`")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<RawOn, E> {
                match word {
                    "manual" | "never" => Ok(RawOn::Manual),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawOn, A::Error> {
                RawEvents::deserialize(MapAccessDeserializer::new(map)).map(RawOn::Events)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawEvents {
    pub(super) push: Option<RawPush>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPush {
    pub(super) branches: Option<OneOrMany<Pattern>>,
    pub(super) tags: Option<OneOrMany<Pattern>>,
    pub(super) paths: Option<OneOrMany<Pattern>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawConcurrency {
    #[serde(default)]
    pub(super) supersede: Flag,
    pub(super) except: Option<OneOrMany<Pattern>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRule {
    pub(super) on: Option<WordOr<RetryOn, RetryOn>>,
    #[serde(default)]
    pub(super) exit_codes: OneOrMany<Whole>,
    pub(super) limit: Option<Whole>,
    pub(super) backoff: Option<Timespan>,
    pub(super) capacity: Option<RawCapacity>,
}

/// The capacities to choose from. A CodeBuild agent has only one.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawCapacity {
    Spot,
    OnDemand,
}

/// The word `never` in place of retry rules.
pub(super) struct Never;

impl Word for Never {
    const EXPECTED: &'static str = "a list of rules, or the word `never`";
}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "never" {
            Ok(Self)
        } else {
            Err(serde::de::Error::custom(format!(
                "{} is not a valid retry policy: expected {}",
                quoted(&text),
                Self::EXPECTED
            )))
        }
    }
}

impl Word for RetryOn {
    const EXPECTED: &'static str = "interrupted, infrastructure, failure or timeout, or a list of these";
}

/// The name of a variable that the file sets.
pub(in crate::config) struct EnvName(pub(super) String);

impl<'de> Deserialize<'de> for EnvName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let fits = !name.starts_with(|c: char| c.is_ascii_digit())
            && (1..=255).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits {
            return Err(serde::de::Error::custom(format!(
                "{} is not a valid name of a variable: expected letters, digits and _, not beginning with a digit",
                quoted(&name)
            )));
        }
        // CodeBuild refuses its own prefix in the overrides of a build.
        if name == "CI" || ["BELLHOP_", "AWS_", "CODEBUILD_"].iter().any(|prefix| name.starts_with(prefix)) {
            return Err(serde::de::Error::custom(format!(
                "{} is set for the job: expected another name than CI, BELLHOP_…, AWS_… and CODEBUILD_…",
                quoted(&name)
            )));
        }
        Ok(Self(name))
    }
}

/// A reference to a secret as the file has it: the name of a parameter, or a mapping for a secret of Secrets Manager. No error repeats the text: somebody may
/// have written the secret itself there.
pub(in crate::config) struct RawSecret(pub(super) Secret);

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reference;

        impl<'de> Visitor<'de> for Reference {
            type Value = RawSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a parameter, such as npm-token, or a mapping such as `{ secrets-manager: db, key: password }`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawSecret, E> {
                secret_name(text.to_owned()).map(Secret::Parameter).map(RawSecret)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSecret, A::Error> {
                let raw = RawManaged::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawSecret(Secret::SecretsManager {
                    name: raw.secrets_manager.0,
                    key: raw.key.map(|RawKey(key)| key),
                }))
            }
        }

        deserializer.deserialize_any(Reference)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawManaged {
    secrets_manager: RawName,
    key: Option<RawKey>,
}

struct RawName(String);

impl<'de> Deserialize<'de> for RawName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        secret_name(String::deserialize(deserializer)?).map(Self)
    }
}

struct RawKey(String);

impl<'de> Deserialize<'de> for RawKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if is_key(&text) {
            return Ok(Self(text));
        }
        Err(D::Error::custom(format!(
            "not a valid key: expected the name of a field of the secret, with up to {LONGEST_KEY} letters, digits, '.', '_' and '-'"
        )))
    }
}

fn secret_name<E: Error>(text: String) -> Result<String, E> {
    if is_name(&text) {
        return Ok(text);
    }
    Err(E::custom(format!(
        "not a valid name of a secret: expected its name below the repository's prefix, such as npm-token or protected/deploy-key: up to \
         {LONGEST_NAME} letters, digits, '.', '_' and '-', in up to {MOST_PARTS} parts with '/' between them"
    )))
}
