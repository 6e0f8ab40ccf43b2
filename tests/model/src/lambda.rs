//! Lambda: the code of a function, its versions, and the aliases that choose between versions.
//!
//! A [`Function`] has code and settings that updates change, one at a time (`$LATEST`); versions, which nothing changes; and aliases, each at one version
//! or at two with weights. Each change of `$LATEST`, and each of an alias, gives it a new revision id, by which callers compare and set.
//!
//! What AWS documents about a rule stands at the rule. AWS does not document which of several refusals comes first: here a running update, then the
//! revision id, then the rest.

mod errors;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use errors::LambdaError;

/// The version that updates change.
pub const LATEST: &str = "$LATEST";

/// A deployment package, as Lambda knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// SHA-256 of the package, in Base64.
    pub sha256: String,
    /// Bytes of the package.
    pub size: u64,
}

/// The settings of a function that a version keeps, as far as a rule asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The ARN of the execution role.
    pub role: String,
    /// The ARN of the dead-letter queue or topic.
    pub dead_letter_target: Option<String>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// The description.
    pub description: String,
    /// Megabytes of memory.
    pub memory_size: u32,
}

/// Code with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The code.
    pub code: Code,
    /// The settings.
    pub settings: Settings,
}

/// Why Lambda gives up an update: the reason code, such as `InvalidRuntime`, and the reason
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub code: String,
    /// The reason, for people.
    pub reason: String,
}

/// How the last update stands (<https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateStatus {
    /// It takes effect; until then the function can be invoked, and not be changed.
    InProgress,
    /// It is in effect.
    Successful,
    /// Lambda has given it up. What was there before is there again.
    Failed(Failure),
}

impl UpdateStatus {
    /// In Lambda's words.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Successful => "Successful",
            Self::Failed(_) => "Failed",
        }
    }
}

/// `$LATEST` at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest<Time> {
    /// What it has, or will have once the update that is in progress has succeeded.
    pub has: Snapshot,
    /// The revision id.
    pub revision: String,
    /// How the last update stands.
    pub status: UpdateStatus,
    /// When it was changed last.
    pub modified: Time,
}

/// A version. Nothing changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<Time> {
    /// Its number, from 1.
    pub number: String,
    /// What `$LATEST` had when it was published.
    pub has: Snapshot,
    /// Its description: the one that it was published with, or else the function's.
    pub description: String,
    /// The revision id.
    pub revision: String,
    /// When it was published.
    pub published: Time,
    /// When it can be invoked. Until then its state is Pending, not Active.
    pub active_from: Time,
}

/// What PublishVersion returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published<Time> {
    /// The version.
    pub version: Version<Time>,
    /// Whether it is new. If not, it was the newest before.
    pub is_new: bool,
}

/// An alias.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// Its version: a number or [`LATEST`]. It gets what the weights leave.
    pub version: String,
    /// The share of a second version, from 0.0 to 1.0; at most one.
    pub weights: BTreeMap<String, f64>,
    /// The description.
    pub description: String,
    /// The revision id.
    pub revision: String,
}

/// A request of UpdateAlias. What it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AliasUpdate {
    /// The version.
    pub version: Option<String>,
    /// The weights; an empty map takes the second version away.
    pub weights: Option<BTreeMap<String, f64>>,
    /// The description.
    pub description: Option<String>,
    /// The revision id that the alias must have.
    pub revision: Option<String>,
}

/// A function with its versions and aliases. A moment is a parameter, and what has come due by then has happened.
#[derive(Debug, Clone)]
pub struct Function<Time> {
    arn: String,
    latest: Latest<Time>,
    update: Option<Update<Time>>,
    versions: Vec<Version<Time>>,
    aliases: BTreeMap<String, Alias>,
    /// How many revision ids there have been.
    revisions: u64,
}

/// An update that is in progress.
#[derive(Debug, Clone)]
struct Update<Time> {
    /// What invocations run until then.
    before: Snapshot,
    until: Time,
    failure: Option<Failure>,
}

impl<Time: PartialOrd + Clone> Function<Time> {
    /// A function that is active, without versions and aliases. The ARN is the one without a version.
    #[must_use]
    pub fn new(arn: &str, has: Snapshot, now: &Time) -> Self {
        Self {
            arn: arn.to_owned(),
            latest: Latest {
                has,
                revision: revision_id(arn, 0),
                status: UpdateStatus::Successful,
                modified: now.clone(),
            },
            update: None,
            versions: Vec::new(),
            aliases: BTreeMap::new(),
            revisions: 1,
        }
    }

    /// The ARN without a version.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// `$LATEST`, as GetFunctionConfiguration describes it.
    pub fn latest(&mut self, now: &Time) -> &Latest<Time> {
        self.settle(now);
        &self.latest
    }

    /// What an invocation of `$LATEST` runs: "While a function update is in progress, invocations go to the function's previous code and configuration"
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>).
    pub fn running(&mut self, now: &Time) -> &Snapshot {
        self.settle(now);
        self.update.as_ref().map_or(&self.latest.has, |update| &update.before)
    }

    /// The versions, the oldest first.
    #[must_use]
    pub fn versions(&self) -> &[Version<Time>] {
        &self.versions
    }

    /// A version by its number.
    ///
    /// # Errors
    /// [`LambdaError::NoVersion`].
    pub fn version(&self, number: &str) -> Result<&Version<Time>, LambdaError> {
        let found = self.versions.iter().find(|version| version.number == number);
        found.ok_or_else(|| LambdaError::NoVersion(self.qualified(number)))
    }

    /// Whether an update of `$LATEST` would be refused now.
    ///
    /// # Errors
    /// [`LambdaError::InProgress`] and [`LambdaError::OtherRevision`].
    pub fn check_update(&mut self, now: &Time, revision: Option<&str>) -> Result<(), LambdaError> {
        self.settle(now);
        if self.update.is_some() {
            return Err(LambdaError::InProgress(self.arn.clone()));
        }
        compare(revision, &self.latest.revision)
    }

    /// UpdateFunctionCode and UpdateFunctionConfiguration: what `$LATEST` is to have, and when the update ends and how
    /// (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html>). The end gives a new revision id, too: "a new revisionId that changes
    /// shortly after" (<https://github.com/aws/aws-sdk/issues/377>).
    ///
    /// # Errors
    /// As for [`Function::check_update`]. Nothing has changed then.
    pub fn update(
        &mut self,
        now: &Time,
        has: Snapshot,
        revision: Option<&str>,
        until: Time,
        failure: Option<Failure>,
    ) -> Result<&Latest<Time>, LambdaError> {
        self.check_update(now, revision)?;
        let revision = self.next_revision();
        let before = std::mem::replace(
            &mut self.latest,
            Latest {
                has,
                revision,
                status: UpdateStatus::InProgress,
                modified: now.clone(),
            },
        );
        self.update = Some(Update {
            before: before.has,
            until,
            failure,
        });
        Ok(self.latest(now))
    }

    /// PublishVersion: "Lambda doesn't publish a version if the function's configuration and code haven't changed since the last version"
    /// (<https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>). Code counts by its hash: the same package from another place is no change
    /// (<https://github.com/aws/serverless-application-model/issues/1375>). A new version also gives `$LATEST` a new revision id.
    ///
    /// # Errors
    /// As for [`Function::check_update`], and [`LambdaError::OtherCode`]. Nothing has changed then.
    pub fn publish(
        &mut self,
        now: &Time,
        sha256: Option<&str>,
        description: Option<&str>,
        revision: Option<&str>,
        active_from: Time,
    ) -> Result<Published<Time>, LambdaError> {
        self.check_update(now, revision)?;
        let current = &self.latest.has.code.sha256;
        if let Some(asked) = sha256.filter(|asked| asked != current) {
            return Err(LambdaError::OtherCode {
                asked: asked.to_owned(),
                current: current.clone(),
            });
        }
        if let Some(newest) = self.versions.last()
            && newest.has == self.latest.has
        {
            return Ok(Published {
                version: newest.clone(),
                is_new: false,
            });
        }
        Ok(Published {
            version: self.snapshot(now, description, active_from),
            is_new: true,
        })
    }

    /// `Publish` of UpdateFunctionCode: a version of what the update that is in progress brings. It becomes active when the update ends.
    ///
    /// # Errors
    /// As for [`Function::update`].
    pub fn update_and_publish(
        &mut self,
        now: &Time,
        has: Snapshot,
        revision: Option<&str>,
        until: Time,
    ) -> Result<Published<Time>, LambdaError> {
        self.update(now, has, revision, until.clone(), None)?;
        match self.versions.last() {
            Some(newest) if newest.has == self.latest.has => Ok(Published {
                version: newest.clone(),
                is_new: false,
            }),
            _ => Ok(Published {
                version: self.snapshot(now, None, until),
                is_new: true,
            }),
        }
    }

    /// CreateAlias.
    ///
    /// # Errors
    /// [`LambdaError::AliasExists`], and as for [`Function::update_alias`].
    pub fn create_alias(&mut self, name: &str, version: &str, weights: BTreeMap<String, f64>) -> Result<&Alias, LambdaError> {
        if self.aliases.contains_key(name) {
            return Err(LambdaError::AliasExists(self.qualified(name)));
        }
        self.check_versions(version, &weights)?;
        let alias = Alias {
            version: version.to_owned(),
            weights,
            description: String::new(),
            revision: self.next_revision(),
        };
        Ok(self.aliases.entry(name.to_owned()).or_insert(alias))
    }

    /// The aliases by their names.
    #[must_use]
    pub fn aliases(&self) -> &BTreeMap<String, Alias> {
        &self.aliases
    }

    /// GetAlias.
    ///
    /// # Errors
    /// [`LambdaError::NoAlias`].
    pub fn alias(&self, name: &str) -> Result<&Alias, LambdaError> {
        self.aliases.get(name).ok_or_else(|| LambdaError::NoAlias(self.qualified(name)))
    }

    /// UpdateAlias (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>). An update in progress does not hinder it, and it changes no
    /// revision id of `$LATEST`. The rules on two versions are about what the alias has afterwards: a request that names only a version keeps the weights
    /// that are there, and is refused if they name that version (<https://github.com/serverless/serverless/issues/7250>). An update that changes nothing
    /// gives a new revision id as well.
    ///
    /// # Errors
    /// There is no such alias or version, the revision id is another one, or the two versions do not go together. Nothing has changed then.
    pub fn update_alias(&mut self, name: &str, update: AliasUpdate) -> Result<&Alias, LambdaError> {
        let alias = self.alias(name)?;
        compare(update.revision.as_deref(), &alias.revision)?;
        let version = update.version.unwrap_or_else(|| alias.version.clone());
        let weights = update.weights.unwrap_or_else(|| alias.weights.clone());
        let description = update.description.unwrap_or_else(|| alias.description.clone());
        self.check_versions(&version, &weights)?;
        let revision = self.next_revision();
        let alias = self.aliases.entry(name.to_owned()).insert_entry(Alias {
            version,
            weights,
            description,
            revision,
        });
        Ok(alias.into_mut())
    }

    /// The version that an invocation runs. `draw` is from 0.0 up to, and without, 1.0; see [`draw`]. "Lambda uses a simple probabilistic model to
    /// distribute the traffic between the two function versions" (<https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>).
    ///
    /// # Errors
    /// There is no such version or alias, or the version is not active yet.
    pub fn route(&self, now: &Time, qualifier: Option<&str>, draw: f64) -> Result<&str, LambdaError> {
        let qualifier = qualifier.unwrap_or(LATEST);
        let target = match self.aliases.get(qualifier) {
            Some(alias) => {
                let second = alias.weights.iter().find(|(_, weight)| draw < **weight);
                second.map_or(&alias.version, |(version, _)| version)
            }
            None => qualifier,
        };
        if target == LATEST {
            return Ok(LATEST);
        }
        let version = self.version(target)?;
        if *now < version.active_from {
            return Err(LambdaError::Pending);
        }
        Ok(&version.number)
    }

    /// Ends the update that is in progress, if its time has come.
    fn settle(&mut self, now: &Time) {
        let Some(update) = self.update.take_if(|update| *now >= update.until) else {
            return;
        };
        self.latest.revision = self.next_revision();
        self.latest.status = match update.failure {
            None => UpdateStatus::Successful,
            Some(failure) => {
                self.latest.has = update.before;
                UpdateStatus::Failed(failure)
            }
        };
    }

    fn snapshot(&mut self, now: &Time, description: Option<&str>, active_from: Time) -> Version<Time> {
        let has = self.latest.has.clone();
        let version = Version {
            // Versions are never deleted here, so no number is used again.
            number: (self.versions.len() + 1).to_string(),
            description: description.unwrap_or(&has.settings.description).to_owned(),
            has,
            revision: self.next_revision(),
            published: now.clone(),
            active_from,
        };
        self.versions.push(version.clone());
        self.latest.revision = self.next_revision();
        version
    }

    fn check_versions(&self, version: &str, weights: &BTreeMap<String, f64>) -> Result<(), LambdaError> {
        if weights.len() > 1 {
            return Err(LambdaError::TooManyVersions);
        }
        if version != LATEST {
            self.version(version)?;
        }
        for (second, weight) in weights {
            if !(0.0..=1.0).contains(weight) {
                return Err(LambdaError::WeightOutOfRange {
                    version: second.clone(),
                    weight: *weight,
                });
            }
            if second == version {
                return Err(LambdaError::SameVersion(second.clone()));
            }
            if version == LATEST {
                return Err(LambdaError::LatestWithWeights);
            }
            if second.is_empty() || !second.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(LambdaError::NotANumber(second.clone()));
            }
            let [one, other] = [self.version(version)?, self.version(second)?].map(|version| &version.has.settings);
            if one.role != other.role {
                return Err(LambdaError::OtherRole);
            }
            if one.dead_letter_target != other.dead_letter_target {
                return Err(LambdaError::OtherDeadLetterTarget);
            }
        }
        Ok(())
    }

    fn qualified(&self, qualifier: &str) -> String {
        format!("{}:{qualifier}", self.arn)
    }

    fn next_revision(&mut self) -> String {
        self.revisions += 1;
        revision_id(&self.arn, self.revisions)
    }
}

fn compare(asked: Option<&str>, current: &str) -> Result<(), LambdaError> {
    match asked {
        Some(asked) if asked != current => Err(LambdaError::OtherRevision),
        _ => Ok(()),
    }
}

/// The draw of an invocation for [`Function::route`], from 0.0 up to, and without, 1.0: the same for the same seed and place.
#[must_use]
pub fn draw(seed: u64, place: u64) -> f64 {
    // 53 bits are what such a number keeps exactly.
    let bits = mix(mix(seed) ^ place) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// A revision id in the form of a UUID: the same for the same function and place.
fn revision_id(arn: &str, place: u64) -> String {
    let of_function = arn.bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
    let (first, second) = (mix(of_function ^ place), mix(of_function.wrapping_add(place)));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        first >> 32,
        (first >> 16) & 0xffff,
        first & 0xfff,
        second >> 52,
        second & 0xffff_ffff_ffff
    )
}

/// One step of SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>), which spreads neighbours over all numbers.
const fn mix(seed: u64) -> u64 {
    let sum = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}
