//! What every executor says about itself: the rules that decisions about builds and files ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::capacity::Capacity;
use super::logs::Logs;
use super::pages::Pages;
use super::place::Place;
use super::placement::Placement;
use crate::decision::Misfit;
use crate::ids::{AgentId, AttemptId, RepositoryName};
use crate::record::Performer;

/// How long an accepted agent may take to start. Fargate pulls large images in minutes; an agent that takes longer never starts. If a group of
/// instances finds no Spot capacity, its tasks stay PROVISIONING; the build then falls back to on-demand capacity.
pub const LAUNCH_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// The rules of an executor.
pub trait ExecutorKind {
    /// Its name: in the suite configuration, in the ledger, in logs.
    fn name(&self) -> &'static str;

    /// Who performs its calls.
    fn performer(&self) -> Performer {
        Performer::Builds
    }

    /// The capacity that every job may use.
    fn capacity(&self) -> Capacity;

    /// Whether the template offers a capacity.
    fn offers(&self, capacity: Capacity) -> bool {
        capacity == self.capacity()
    }

    /// How long an accepted agent on a capacity may take to start. `queue_timeout` is the build's.
    fn launch_timeout(&self, _capacity: Capacity, _queue_timeout: Duration) -> Duration {
        LAUNCH_TIMEOUT
    }

    /// The container whose exit code is the script's; `None` if the service returns no exit codes.
    fn deciding_container(&self) -> Option<&str> {
        None
    }

    /// Whether its agents leave their report in the bucket. Otherwise the service returns all there is to know.
    fn leaves_report(&self) -> bool {
        false
    }

    /// Where the agents of an attempt leave files in the bucket. By default in a folder that is named after the last part of the agent's id. A policy cannot
    /// bind an agent to such a folder: what keeps others from it is that they do not know its name.
    /// `has_own_role` says whether the agents have a role of the repository.
    fn place(&self, attempt: &AttemptId, repository: &RepositoryName, _has_own_role: bool) -> Place {
        Place {
            above: format!("builds/{repository}/{attempt}/"),
            below: String::new(),
        }
    }

    /// Whether the service takes the agent's whole environment, with the script in it.
    fn takes(&self, _environment: &BTreeMap<String, String>) -> bool {
        true
    }

    /// Checks a job. Only CodeBuild runs buildspecs.
    ///
    /// # Errors
    /// What the executor cannot do for it.
    fn check(&self, demand: &Demand<'_>) -> Result<(), Unmet> {
        demand.script_of_its_own()
    }

    /// Checks what an event says about where its agent runs. An event that does not fit says nothing about the attempt.
    ///
    /// # Errors
    /// The first thing that cannot be said of an agent of this attempt.
    fn check_placement(&self, agent: &AgentId, attempt: &AttemptId, placement: &Placement) -> Result<(), Misfit>;

    /// The ECS clusters in which its agents run, once each.
    fn clusters(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Where its agents log, if the template says.
    fn logs(&self) -> Option<&Logs> {
        None
    }

    /// The pages of an agent in the AWS console; `None` if its id is not one of this executor's.
    fn pages(&self, agent: &AgentId) -> Option<Pages>;
}

/// What a job demands of its executor.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// The name of the agent template.
    pub agent: &'a str,
    /// The script.
    pub script: &'a Script,
    /// The job's own variables.
    pub environment: &'a BTreeMap<String, String>,
    /// Its secrets, as the agent is given them ([`lines`](crate::secret::lines)); empty without secrets.
    pub secrets: &'a str,
    /// The patterns of its artifacts.
    pub artifacts: &'a [String],
    /// Whether its agent is to fetch files of other jobs.
    pub fetches: bool,
}

impl Demand<'_> {
    /// Refuses files of other jobs, where no agent of Bellhop's fetches them.
    pub(super) fn fetches_nothing(&self) -> Result<(), Unmet> {
        if !self.fetches {
            return Ok(());
        }
        Err(Unmet {
            key: "fetch",
            message: format!(
                "files of other jobs need an agent on ECS, and `{}` is none: expected no `fetch`",
                self.agent
            ),
        })
    }

    /// Refuses a buildspec.
    pub(super) fn script_of_its_own(&self) -> Result<(), Unmet> {
        match self.script {
            Script::Buildspec(_) => Err(Unmet {
                key: "buildspec",
                message: format!("a buildspec needs a CodeBuild agent, and `{}` is none: expected `run`", self.agent),
            }),
            Script::Inline(_) | Script::Stored(_) | Script::None => Ok(()),
        }
    }
}

/// A demand that an executor cannot meet: an error in the pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The job's key.
    pub key: &'static str,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// A job's script, and how it reaches the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// In the agent's environment.
    Inline(String),
    /// In the suite's bucket under this key, because it is too large for the agent's environment.
    Stored(String),
    /// The buildspec at this path of the repository, instead of a script; only on CodeBuild.
    Buildspec(String),
    /// A deployment runs none.
    None,
}
