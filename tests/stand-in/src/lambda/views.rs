//! What tests and people see of functions, and what somebody else does to one.

use std::collections::BTreeMap;
use std::time::Duration;

use bellhop_model::lambda::{Alias, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::faults::duration;

/// A function as it is now, with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionView {
    /// Its name.
    pub name: String,
    /// Its ARN, without a version.
    pub arn: String,
    /// The hash of the code of `$LATEST`: SHA-256 in Base64.
    pub code_sha256: String,
    /// The revision id of `$LATEST`.
    pub revision_id: String,
    /// How the last update stands: `InProgress`, `Successful` or `Failed`.
    pub last_update_status: &'static str,
    /// The versions, the oldest first.
    pub versions: Vec<VersionView>,
    /// The aliases by their names.
    pub aliases: BTreeMap<String, AliasView>,
    /// Every change that took effect, the oldest first. A request that was refused, and one that changed nothing, is none.
    pub history: Vec<Effect>,
    /// Every invocation, the oldest first.
    pub invocations: Vec<InvocationView>,
}

impl FunctionView {
    /// What the changes did, without times.
    pub fn effects(&self) -> Vec<&EffectKind> {
        self.history.iter().map(|effect| &effect.kind).collect()
    }

    /// How many invocations with a qualifier ran each version.
    pub fn shares(&self, qualifier: &str) -> BTreeMap<&str, usize> {
        let mut shares = BTreeMap::new();
        let of_qualifier = self.invocations.iter().filter(|one| one.qualifier.as_deref() == Some(qualifier));
        for invocation in of_qualifier {
            *shares.entry(invocation.version.as_str()).or_default() += 1;
        }
        shares
    }
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionView {
    /// Its number.
    pub version: String,
    /// The hash of its code.
    pub code_sha256: String,
    /// Its description.
    pub description: String,
    /// When it was published.
    pub published: Timestamp,
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AliasView {
    /// Its version.
    pub version: String,
    /// The weight of the second version, if it has one.
    pub weights: BTreeMap<String, f64>,
    /// The revision id.
    pub revision_id: String,
}

/// A change that took effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// When.
    pub at: Timestamp,
    /// Whether it was no request, but [`Lambda::change`](crate::Lambda::change).
    pub by_somebody_else: bool,
    /// What changed.
    #[serde(flatten)]
    pub kind: EffectKind,
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum EffectKind {
    /// An update of the code began.
    #[serde(rename_all = "camelCase")]
    Code {
        /// The new hash.
        code_sha256: String,
    },
    /// An update of the settings began.
    Settings,
    /// A version was published.
    #[serde(rename_all = "camelCase")]
    Version {
        /// Its number.
        version: String,
        /// The hash of its code.
        code_sha256: String,
    },
    /// An alias was set.
    Alias {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// The weight of the second version, if it has one.
        weights: BTreeMap<String, f64>,
    },
}

impl EffectKind {
    pub(super) fn of_version(version: &Version<Timestamp>) -> Self {
        Self::Version {
            version: version.number.clone(),
            code_sha256: version.has.code.sha256.clone(),
        }
    }

    pub(super) fn of_alias(name: &str, alias: &Alias) -> Self {
        Self::Alias {
            name: name.to_owned(),
            version: alias.version.clone(),
            weights: alias.weights.clone(),
        }
    }
}

/// An invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvocationView {
    /// When.
    pub at: Timestamp,
    /// The version or the alias that was asked for.
    pub qualifier: Option<String>,
    /// The version that ran.
    pub version: String,
}

/// What somebody else does to a function, besides the requests of the program under test. In JSON such as `{"code": {"sha256": …}}` or `"publish"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// Updates the code of `$LATEST`.
    Code {
        /// The hash of the new code. The code itself does not matter.
        sha256: String,
        /// How long the update is in progress.
        #[serde(default, with = "duration")]
        takes: Duration,
    },
    /// Updates settings of `$LATEST`. What is not named stays as it is.
    Settings {
        /// The ARN of another execution role.
        #[serde(default)]
        role: Option<String>,
        /// The ARN of another dead-letter queue or topic.
        #[serde(default)]
        dead_letter_target: Option<String>,
        /// Other megabytes of memory.
        #[serde(default)]
        memory_size: Option<u32>,
        /// How long the update is in progress.
        #[serde(default, with = "duration")]
        takes: Duration,
    },
    /// Publishes a version, which is active at once.
    Publish,
    /// Sets an alias, or creates it.
    Alias {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// The weight of a second version.
        #[serde(default)]
        weights: BTreeMap<String, f64>,
    },
    /// Deletes the function.
    Delete,
}
