//! Names and identifiers, each with its own type, so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::text::is_unfit;

/// A text that is not a valid name or identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}: expected {expected}")]
pub struct InvalidId {
    /// The kind of name or identifier, such as `job name`.
    pub kind: &'static str,
    /// The text, cut to 100 characters.
    pub value: String,
    /// The expected form.
    pub expected: &'static str,
}

impl InvalidId {
    fn new(kind: &'static str, value: &str, expected: &'static str) -> Self {
        Self {
            kind,
            value: value.chars().take(100).collect(),
            expected,
        }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId::new($kind, text, $expected))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A run: ten characters of lower-case base32, derived from its trigger.
    RunId, "run id", "10 characters of a-z and 2-7",
    |text| text.len() == 10 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}

text_id! {
    /// A job's name, as the pipeline file gives it: `[a-z0-9][a-z0-9-]{0,62}`.
    JobName, "job name", "1 to 63 characters of a-z, 0-9 and -, not beginning with -",
    |text| {
        (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
}

text_id! {
    /// A repository's name, within CodeCommit's rules for one: letters, digits, `.`, `_` and `-`, at most 100, not ending in `.git`.
    RepositoryName, "repository name", "up to 100 letters, digits, '.', '_' and '-', not ending in .git",
    |text| {
        (1..=100).contains(&text.len())
            && !text.ends_with(".git")
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    }
}

text_id! {
    /// A commit's full SHA-1 (or SHA-256) in lower-case hexadecimal digits.
    CommitId, "commit id", "40 or 64 lower-case hexadecimal digits",
    |text| matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

text_id! {
    /// An EC2 instance: `i-` and hexadecimal digits.
    InstanceId, "instance id", "i- and 8 to 32 lower-case hexadecimal digits",
    |text| {
        text.strip_prefix("i-").is_some_and(|digits| {
            (8..=32).contains(&digits.len()) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
}

text_id! {
    /// The name of an agent template in the suite configuration; the same alphabet as a job's.
    AgentName, "agent name", "1 to 63 characters of a-z, 0-9 and -, not beginning with -",
    |text| {
        (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
}

text_id! {
    /// The name of a lock in a repository's pipeline file; the same alphabet as a job's.
    LockName, "lock name", "1 to 63 characters of a-z, 0-9 and -, not beginning with -",
    |text| {
        (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
}

text_id! {
    /// The name of a target in the suite configuration; the same alphabet as a job's.
    TargetName, "target name", "1 to 63 characters of a-z, 0-9 and -, not beginning with -",
    |text| {
        (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
}

text_id! {
    /// What builds take turns at: the slots of an agent template, named after it, or a lock. Every lock has a `/` in its name, and no agent template has.
    PoolName, "pool name", "1 to 500 printable characters without #",
    |text| (1..=500).contains(&text.len()) && !text.chars().any(|c| c == '#' || c.is_control())
}

impl From<AgentName> for PoolName {
    fn from(agent: AgentName) -> Self {
        Self(agent.0)
    }
}

impl From<TargetName> for AgentName {
    fn from(target: TargetName) -> Self {
        Self(target.0)
    }
}

impl PoolName {
    /// The lock of this name of a repository's jobs.
    #[must_use]
    pub fn of_lock(repository: &RepositoryName, lock: &LockName) -> Self {
        Self(format!("lock/{repository}/{lock}"))
    }

    /// The lock of what a target deploys to: `kind` is the name of its executor, and `parts` name the resource.
    #[must_use]
    pub fn of_target(kind: &str, parts: &[&str]) -> Self {
        Self(format!("{kind}/{}", parts.join("/")))
    }

    /// Whether it is a lock.
    #[must_use]
    pub fn is_lock(&self) -> bool {
        self.0.contains('/')
    }

    /// Its last part: the name of the lock as the pipeline file has it, or that of the agent template.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

text_id! {
    /// A running or ended agent by its service's id: the ARN of an ECS task, of a CodeBuild build, or of an execution of Step Functions.
    AgentId, "agent id", "an ARN of at most 500 characters",
    |text| text.starts_with("arn:") && text.len() <= 500
}

impl AgentId {
    /// The last part of the ARN: a task's, a build's or an execution's own id.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.rsplit(['/', ':']).next().unwrap_or_default()
    }
}

text_id! {
    /// An IAM role by its ARN.
    RoleArn, "role", "the ARN of an IAM role, such as arn:aws:iam::123456789012:role/bellhop-agent/shop",
    |text| {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        text.len() <= 2048
            && matches!(parts.as_slice(), ["arn", _, "iam", "", account, role]
                if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && role.strip_prefix("role/").is_some_and(|name| !name.is_empty()))
    }
}

text_id! {
    /// A principal or a resource of AWS by its ARN (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>), fit for one line.
    Arn, "ARN", "arn:partition:service:region:account:resource on one line, of at most 2048 bytes",
    |text| {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        text.len() <= 2048
            && !text.contains(is_unfit)
            && matches!(parts.as_slice(), ["arn", partition, service, _, _, resource]
                if !partition.is_empty() && !service.is_empty() && !resource.trim().is_empty())
    }
}

impl Arn {
    /// The service, such as `sts` or `scheduler`.
    #[must_use]
    pub fn service(&self) -> &str {
        self.0.split(':').nth(2).unwrap_or_default()
    }

    /// What people call the principal or resource: the name of a user, a session of a role, an alarm or a schedule.
    #[must_use]
    pub fn name(&self) -> &str {
        let resource = self.0.splitn(6, ':').nth(5).unwrap_or_default();
        // The name of an alarm may contain both separators.
        let name = resource.strip_prefix("alarm:").or_else(|| resource.rsplit(['/', ':']).next());
        name.filter(|name| !name.is_empty()).unwrap_or(resource)
    }
}

text_id! {
    /// A job of CodePipeline: one invocation of an action, which waits for a result under this id. A UUID, but Bellhop accepts every id of that form.
    PipelineJobId, "pipeline job id", "36 letters, digits and -",
    |text| text.len() == 36 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

impl CommitId {
    /// The first seven digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl RunId {
    /// The run that a trigger starts in a suite for a reference. The same trigger and reference always give the same id, so a repeated trigger starts
    /// nothing twice. In another suite the same trigger gives another id. Everything that contains a run's id (the `startedBy` and the token of a
    /// launch, the keys of artifacts) therefore belongs to one suite.
    #[must_use]
    pub fn derive(suite: &str, trigger: &str, reference: &Reference) -> Self {
        let mut hash = Sha256::new();
        hash.update(suite.as_bytes());
        hash.update([0]);
        hash.update(trigger.as_bytes());
        hash.update([0]);
        hash.update(reference.full().as_bytes());
        let mut text = data_encoding::BASE32_NOPAD.encode(&hash.finalize());
        text.truncate(10);
        text.make_ascii_lowercase();
        Self(text)
    }
}

/// A branch or a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reference {
    /// `refs/heads/NAME`
    Branch(String),
    /// `refs/tags/NAME`
    Tag(String),
}

impl Reference {
    /// The full name, `refs/heads/…` or `refs/tags/…`.
    #[must_use]
    pub fn full(&self) -> String {
        match self {
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
        }
    }

    /// The short name, without `refs/heads/` or `refs/tags/`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Tag(name) => name,
        }
    }

    /// The branch's name, if it is a branch.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch(name) => Some(name),
            Self::Tag(_) => None,
        }
    }
}

/// The longest name of a branch or tag, in characters.
const LONGEST_REFERENCE: usize = 256;
/// The same in bytes: the name is part of a DynamoDB key, which has at most 1,024 bytes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const LONGEST_REFERENCE_BYTES: usize = 900;

impl FromStr for Reference {
    type Err = InvalidId;

    /// Parses the full name. The rules are Git's (<https://git-scm.com/docs/git-check-ref-format>), and CodeCommit's limit of 256 characters
    /// (<https://docs.aws.amazon.com/codecommit/latest/APIReference/API_BranchInfo.html>), so every name that can be pushed is accepted. Such a name
    /// may begin with a dash, and contain spaces and control characters outside ASCII.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || {
            InvalidId::new(
                "reference",
                text,
                "refs/heads/NAME or refs/tags/NAME as git-check-ref-format allows it",
            )
        };
        let allowed = |name: &str| {
            name.chars().count() <= LONGEST_REFERENCE
                && name.len() <= LONGEST_REFERENCE_BYTES
                && name
                    .split('/')
                    .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
                && !name.ends_with('.')
                && !name.contains("..")
                && !name.contains("@{")
                && !name.chars().any(|c| c.is_ascii_control() || " ~^:?*[\\".contains(c))
        };
        let (name, make): (_, fn(String) -> Self) = if let Some(name) = text.strip_prefix("refs/heads/") {
            (name, Self::Branch)
        } else if let Some(name) = text.strip_prefix("refs/tags/") {
            (name, Self::Tag)
        } else {
            return Err(invalid());
        };
        if allowed(name) { Ok(make(name.to_owned())) } else { Err(invalid()) }
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.full()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full())
    }
}

/// A build: one job of one run, written `RUN/JOB`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BuildId {
    /// The run it belongs to.
    pub run: RunId,
    /// The job it is a build of.
    pub job: JobName,
}

impl FromStr for BuildId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (run, job) = text.split_once('/').ok_or_else(|| InvalidId::new("build id", text, "RUN/JOB"))?;
        Ok(Self {
            run: run.parse()?,
            job: job.parse()?,
        })
    }
}

impl TryFrom<String> for BuildId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<BuildId> for String {
    fn from(id: BuildId) -> String {
        id.to_string()
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.job)
    }
}

/// One try at a build; a build's first attempt is number 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The build it is a try at.
    pub build: BuildId,
    /// Its number, from 1.
    pub number: u32,
}

impl AttemptId {
    /// The `startedBy` of the attempt's ECS task, `bellhop/RUN/JOB/ATTEMPT`: at most 94 of the 128 characters that ECS allows.
    #[must_use]
    pub fn started_by(&self) -> String {
        format!("bellhop/{}/{}", self.build, self.number)
    }

    /// Parses a `startedBy`; `None` for every other text.
    #[must_use]
    pub fn from_started_by(text: &str) -> Option<Self> {
        let (build, number) = text.strip_prefix("bellhop/")?.rsplit_once('/')?;
        Some(Self {
            build: build.parse().ok()?,
            number: number
                .parse()
                .ok()
                .filter(|n| *n > 0 && number.bytes().all(|b| b.is_ascii_digit()))?,
        })
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.build, self.number)
    }
}

#[cfg(test)]
mod tests;
