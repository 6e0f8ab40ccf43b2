//! Targets: where runs may deploy, from which repositories, branches and tags, and who has to agree.
//!
//! The registry of executors that deploy is in this file: a variant of [`TargetKind`], a line in [`TargetKind::kind`], in [`TARGETS`] and in `RawTarget`.
//! What an executor deploys to, and what a job gives it, is in the executor's own file. Everything else is the same for all of them.
//!
//! The lock of a target is what it deploys to, whatever its name: two targets that name the same alias take turns.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lambda::{self, LambdaTarget};
use super::{Executor, Unmet, quoted};
use crate::ids::{Arn, JobName, PoolName, RepositoryName};
use crate::patterns::{RefPattern, Refs};
use crate::yaml::{self, FieldPath, FileError, Id, OneOrMany, Source, Timespan};

/// The names of all executors that deploy: their keys in the suite configuration.
pub const TARGETS: [&str; 1] = [lambda::NAME];

/// How long an approval may take, if the target does not say.
const APPROVE_WITHIN: Duration = Duration::from_secs(8 * 3600);
/// The shortest time for an approval.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest time for an approval.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most principals that may approve.
const MOST_PRINCIPALS: usize = 50;

/// A target of deployments.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it deploys to.
    pub kind: TargetKind,
    /// The repositories that may deploy to it.
    pub repositories: BTreeSet<RepositoryName>,
    /// The branches and tags whose runs may.
    pub refs: Refs,
    /// The approval that each deployment needs.
    pub approval: Option<Approval>,
}

/// The approval that a deployment needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// How long it may take.
    #[serde(with = "crate::serde_duration")]
    pub within: Duration,
    /// The principals that may give it. Without any, everyone may who may send requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Arn>,
}

/// What a target deploys to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    /// An alias of a function of AWS Lambda.
    Lambda(LambdaTarget),
}

/// A file that a job kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOf {
    /// The job.
    pub from: JobName,
    /// Its path in the checkout.
    pub path: String,
}

/// A step of a shift: this share of the traffic gets what is new, for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// From 1 to 99.
    pub percent: u8,
    /// How long.
    #[serde(with = "crate::serde_duration")]
    pub lasts: Duration,
}

/// What a job gives its target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// `code`: the zip file of a function.
    pub code: Option<FileOf>,
    /// `shift`: the steps in which the traffic moves.
    pub shift: Vec<Step>,
}

impl Given {
    /// The files of other jobs, each with its key in the pipeline file.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, &FileOf)> {
        self.code.iter().map(|file| ("code", file)).collect()
    }
}

/// The rules of an executor that deploys.
pub trait Deploys {
    /// Its name: the key in the suite configuration.
    fn name(&self) -> &'static str;

    /// The lock: what it deploys to.
    fn lock(&self) -> PoolName;

    /// What it deploys to, for people.
    fn resource(&self) -> String;

    /// The deployment of a job.
    ///
    /// # Errors
    /// What the job must give, or must not.
    fn deployment(&self, given: &Given) -> Result<Executor, Unmet>;
}

impl TargetKind {
    /// The rules of this executor.
    #[must_use]
    pub fn kind(&self) -> &dyn Deploys {
        match self {
            Self::Lambda(lambda) => lambda,
        }
    }
}

/// The same as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawTarget {
    lambda: Option<lambda::Raw>,
    repositories: OneOrMany<Id<RepositoryName>>,
    refs: OneOrMany<RefPattern>,
    approval: Option<RawApproval>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawApproval {
    within: Option<Timespan>,
    #[serde(default)]
    by: OneOrMany<Id<Arn>>,
}

impl RawTarget {
    /// Reads the target with its one executor.
    pub(crate) fn read(self, source: &Source, at: &FieldPath) -> Result<Target, FileError> {
        let kind = match self.lambda {
            Some(raw) => TargetKind::Lambda(raw.read(source, &at.clone().key(lambda::NAME))?),
            None => {
                let names = TARGETS.map(quoted).join(" or ");
                return Err(source.error(at, format!("missing key {names}: what the target deploys to")));
            }
        };
        let repositories: BTreeSet<RepositoryName> = self.repositories.0.into_iter().map(|Id(repository)| repository).collect();
        if repositories.is_empty() {
            let message = "an empty list: expected the repositories that may deploy";
            return Err(source.error(&at.clone().key("repositories"), message));
        }
        let approval = self.approval.map(|raw| raw.read(source, &at.clone().key("approval")));
        Ok(Target {
            kind,
            repositories,
            refs: Refs::read(source, &at.clone().key("refs"), self.refs)?,
            approval: approval.transpose()?,
        })
    }
}

impl RawApproval {
    fn read(self, source: &Source, at: &FieldPath) -> Result<Approval, FileError> {
        let within = match self.within {
            None => APPROVE_WITHIN,
            Some(value) if value.span >= SHORTEST && value.span <= LONGEST => value.span,
            Some(value) => {
                let message = format!("{} is out of bounds: expected 1m to 30d", yaml::quoted(&value.text));
                return Err(source.error(&at.clone().key("within"), message));
            }
        };
        if self.by.0.len() > MOST_PRINCIPALS {
            let message = format!("{} principals: at most {MOST_PRINCIPALS} are possible", self.by.0.len());
            return Err(source.error(&at.clone().key("by"), message));
        }
        Ok(Approval {
            within,
            by: self.by.0.into_iter().map(|Id(principal)| principal).collect(),
        })
    }
}
