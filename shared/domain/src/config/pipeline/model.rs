//! A job as the file defines it, checked, and what a newer push does to older runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::filter::PushFilter;
use crate::executor::target::Given;
use crate::ids::{AgentName, JobName, LockName, Reference, TargetName};
use crate::patterns::Globs;
use crate::secret::Secrets;
use crate::spec::{Relaunch, RetryPolicy};
use crate::yaml::FieldPath;

/// A job as the file defines it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    pub(super) on: PushFilter,
    /// What it does.
    pub work: Work,
    /// Variables for its script.
    pub environment: BTreeMap<String, String>,
    /// Secrets for its script.
    pub secrets: Secrets,
    /// Never on Spot.
    pub critical: bool,
    /// How long one attempt may run.
    pub timeout: Duration,
    /// How long it may wait for an agent.
    pub queue_timeout: Duration,
    /// When an interrupted attempt is replaced.
    pub relaunch: Relaunch,
    /// The lock that keeps builds of other runs out.
    pub lock: Option<LockName>,
    /// Which ends of an attempt are retried.
    pub retry: RetryPolicy,
    /// Jobs that must succeed first.
    pub needs: Vec<JobName>,
    /// Jobs that it needs whose files it fetches before its script.
    pub fetch: Vec<JobName>,
    /// Which files are kept after the script has ended: globs of bash with `globstar`, relative to the checkout's root, without duplicates.
    pub artifacts: Vec<String>,
    /// Which images it pushes: `REPOSITORY:TAG` of ECR, where `{commit}` in the tag stands for the commit.
    pub images: Vec<String>,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Runs this shell script on an agent.
    Run {
        /// The agent template.
        agent: AgentName,
        /// The script.
        script: String,
    },
    /// Follows the buildspec at this path of the repository; only on a CodeBuild agent.
    Buildspec {
        /// The agent template.
        agent: AgentName,
        /// The path.
        path: String,
    },
    /// Deploys to a target.
    Deploy {
        /// The target.
        target: TargetName,
        /// What it gives the target.
        given: Given,
    },
}

impl Work {
    /// The agent template; `None` for a deployment.
    #[must_use]
    pub fn agent(&self) -> Option<&AgentName> {
        match self {
            Self::Run { agent, .. } | Self::Buildspec { agent, .. } => Some(agent),
            Self::Deploy { .. } => None,
        }
    }
}

/// What a newer push does to the unfinished runs of older ones to the same branch.
#[derive(Debug, Clone, Default)]
pub struct Concurrency {
    pub(super) supersede: bool,
    pub(super) except: Option<Globs>,
}

impl Concurrency {
    /// Whether a push to the branch cancels its older unfinished runs.
    #[must_use]
    pub fn supersedes(&self, branch: &str) -> bool {
        self.supersede && !self.except.as_ref().is_some_and(|except| except.matches(branch))
    }
}

impl Job {
    /// Whether the push starts the job by itself. `changed` holds the paths of the files that differ from the commit before; `None` if they are
    /// not known.
    #[must_use]
    pub fn wanted_by(&self, reference: &Reference, changed: Option<&[String]>) -> bool {
        self.on.wants(reference) && self.on.wants_changes(reference, changed)
    }

    /// Where the job stands in the file.
    pub(in crate::config) fn path(&self) -> FieldPath {
        job_path(&self.name)
    }
}

pub(super) fn job_path(name: &JobName) -> FieldPath {
    FieldPath::top("jobs").key(name)
}

/// Which jobs of a pipeline file a run has.
#[derive(Debug, Clone, Copy)]
pub enum Select<'a> {
    /// Those that the push starts. Holds the paths of the files that differ from the commit before; `None` where they are not known (then no `paths`
    /// filter keeps a job from starting).
    ByFilters(Option<&'a [String]>),
    /// This job. Its filter does not count.
    Job(&'a JobName),
    /// These jobs and no others. They wait only for each other.
    Exactly(&'a [JobName]),
}
