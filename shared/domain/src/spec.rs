//! The definition of a build, frozen when its run is created, so that no later step has to read a file or a configuration again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::executor::target::Approval;
use crate::executor::{Capacity, Executor, Script};
use crate::ids::{AgentName, BuildId, CommitId, JobName, PoolName, Reference, RepositoryName, RoleArn, TargetName};
use crate::inputs::Inputs;
use crate::secret::Secrets;

/// The constant data of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// The build.
    pub id: BuildId,
    /// The repository to check out.
    pub repository: RepositoryName,
    /// The branch or tag that was pushed.
    pub reference: Reference,
    /// The commit to check out.
    pub commit: CommitId,
    /// The name of the agent template, for people.
    pub agent: AgentName,
    /// How an agent is launched from the template.
    pub executor: Executor,
    /// The agent's script.
    pub script: Script,
    /// Variables of the job.
    pub environment: BTreeMap<String, String>,
    /// Secrets of the job: references, which its agent resolves.
    #[serde(default, skip_serializing_if = "Secrets::is_empty")]
    pub secrets: Secrets,
    /// Never on Spot.
    pub critical: bool,
    /// How long one attempt may run before it is stopped.
    #[serde(with = "crate::serde_duration")]
    pub timeout: Duration,
    /// How long the build may wait for an agent.
    #[serde(with = "crate::serde_duration")]
    pub queue_timeout: Duration,
    /// When the replacement of an interrupted attempt starts.
    pub relaunch: Relaunch,
    /// Which ends of an attempt are retried.
    pub retry: RetryPolicy,
    /// Jobs of the same run that must succeed first.
    pub needs: Vec<JobName>,
    /// Whether a success is reported.
    pub successes: Successes,
    /// The files of the checkout to store: globs relative to the checkout.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// The images that it pushes: `REPOSITORY:TAG` of ECR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// What it takes from other builds.
    #[serde(default, skip_serializing_if = "Inputs::is_empty")]
    pub inputs: Inputs,
    /// The most builds of the agent template at the same time; `None` for no limit.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Where and on whose word it deploys, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// The lock that keeps builds of other runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<PoolName>,
    /// Whether an alarm can pause launches: then Bellhop checks for a pause before each launch.
    #[serde(default)]
    pub pausable: bool,
    /// The role of its agent, in place of the agent template's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleArn>,
    /// What its result says about its branch or tag.
    #[serde(default, skip_serializing_if = "Bearing::is_usual")]
    pub bearing: Bearing,
}

impl BuildSpec {
    /// The build of a job that it takes something from.
    #[must_use]
    pub fn source(&self, job: &JobName) -> BuildId {
        let run = self.inputs.inherited.get(job).unwrap_or(&self.id.run);
        BuildId {
            run: run.clone(),
            job: job.clone(),
        }
    }
}

/// A deployment to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The target.
    pub target: TargetName,
    /// What the target deploys to, for people.
    pub resource: String,
    /// The approval that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// When its commit was pushed, or its run was asked for: a later one on the branch goes first.
    pub pushed: Timestamp,
    /// The commit before it on the branch, if known: it decides about pushes of one second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<CommitId>,
}

/// What the results of a run say about its branch or tag, and where it is in the order of the runs there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bearing {
    /// The origin of its jobs: jobs of different origins may have the same names.
    #[serde(default, skip_serializing_if = "Origin::is_pipeline_file")]
    pub origin: Origin,
    /// For a repetition, when the first run in its chain was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether its commit is not the tip of its branch: then its results say nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off_tip: bool,
}

impl Bearing {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the results say anything. Those of a script in a CodePipeline action do not: CodePipeline shows the action's state, and Bellhop cannot
    /// distinguish two actions.
    #[must_use]
    pub fn counts(&self) -> bool {
        !self.off_tip && self.origin != Origin::Action
    }
}

/// The origin of a run's jobs; a repeated run plans them from there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The pipeline file at the commit.
    #[default]
    PipelineFile,
    /// The jobs of the suite configuration.
    Suite,
    /// A CodePipeline action with a script and an agent.
    Action,
}

impl Origin {
    pub(crate) fn is_pipeline_file(&self) -> bool {
        *self == Self::PipelineFile
    }
}

/// When the replacement of an interrupted attempt starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relaunch {
    /// At the warning, in parallel with the interrupted attempt, which has up to two minutes left.
    #[default]
    Warning,
    /// When the interrupted attempt is proven stopped: for jobs with side effects that must not overlap.
    Stopped,
}

/// Which successes are reported; everything else always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Successes {
    /// Every success.
    All,
    /// The first after another outcome on the same branch or tag.
    #[default]
    Changes,
    /// No success.
    None,
}

/// An ordered list of rules; the first that matches applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The rules, in the file's order; empty for `retry: never`.
    pub rules: Vec<RetryRule>,
}

impl Default for RetryPolicy {
    /// The default policy. `interrupted`: twice, on on-demand capacity. `infrastructure`: twice, after 30 seconds and longer.
    fn default() -> Self {
        Self {
            rules: vec![
                RetryRule {
                    on: vec![RetryOn::Interrupted],
                    exit_codes: Vec::new(),
                    limit: 2,
                    backoff: Duration::ZERO,
                    capacity: Some(Capacity::OnDemand),
                },
                RetryRule {
                    on: vec![RetryOn::Infrastructure],
                    exit_codes: Vec::new(),
                    limit: 2,
                    backoff: Duration::from_secs(30),
                    capacity: None,
                },
            ],
        }
    }
}

impl RetryPolicy {
    /// The policy of `retry: never`.
    #[must_use]
    pub fn never() -> Self {
        Self { rules: Vec::new() }
    }
}

/// One rule of a retry policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRule {
    /// The ends of an attempt that it matches.
    pub on: Vec<RetryOn>,
    /// Exit codes of the script that it also matches.
    pub exit_codes: Vec<i32>,
    /// The most retries under this rule.
    pub limit: u32,
    /// The wait before the first retry under this rule; it doubles with each further one.
    #[serde(with = "crate::serde_duration")]
    pub backoff: Duration,
    /// The next attempt's capacity. By default the last attempt's, and on-demand after an interruption.
    pub capacity: Option<Capacity>,
}

/// An end of an attempt that a rule can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// The agent was interrupted (Spot).
    Interrupted,
    /// The agent never started, or was lost, through no fault of the job.
    Infrastructure,
    /// The job's own commands failed.
    Failure,
    /// The attempt ran longer than the job's `timeout`.
    Timeout,
}
