//! Builds of AWS CodeBuild.
//!
//! Here are the part of an agent template, what a job may ask of such an agent, its links, and what a build is started with as far as CodeBuild wants
//! it (`buildspec`). Calls are in `bellhop-aws`; what a build's state means is judged in `bellhop-events`.

pub mod buildspec;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pages::{Pages, ResourceName, console_of};
use super::placement::Placement;
use super::{Capacity, Demand, ExecutorKind, LAUNCH_TIMEOUT, Logs, Unmet};
use crate::decision::Misfit;
use crate::ids::{AgentId, AttemptId};
use crate::yaml::{LogGroup, Name};

/// The name of this executor.
pub const NAME: &str = "codebuild";

/// Its own machines.
pub const CAPACITY: Capacity = Capacity::Own(NAME);

/// An agent template on CodeBuild: parameters of `StartBuild`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeBuildExecutor {
    /// The project. It defines image, machine and role; the job defines source and buildspec.
    pub project: String,
    /// Where its builds log, if the template says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
}

impl ExecutorKind for CodeBuildExecutor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capacity(&self) -> Capacity {
        CAPACITY
    }

    /// A build may first wait in CodeBuild's queue.
    fn launch_timeout(&self, _capacity: Capacity, queue_timeout: Duration) -> Duration {
        LAUNCH_TIMEOUT.saturating_add(queue_timeout)
    }

    fn check(&self, demand: &Demand<'_>) -> Result<(), Unmet> {
        demand.fetches_nothing()
    }

    fn check_placement(&self, agent: &AgentId, _attempt: &AttemptId, placement: &Placement) -> Result<(), Misfit> {
        let name = ResourceName::of(agent, "codebuild").ok_or(Misfit::Place)?;
        placement.check_account(&name)?;
        let build = name.resource.strip_prefix("build/").ok_or(Misfit::Place)?;
        let of_arn = Placement {
            place: build.split_once(':').map(|(project, _)| project.to_owned()),
            ..Placement::default()
        };
        for placement in [&of_arn, placement] {
            placement.check_place([self.project.as_str()])?;
        }
        Ok(())
    }

    fn logs(&self) -> Option<&Logs> {
        self.logs.as_ref()
    }

    /// A program of AWS uses the same form: <https://github.com/awslabs/seed-farmer/blob/main/seedfarmer/utils.py>.
    fn pages(&self, agent: &AgentId) -> Option<Pages> {
        let name = ResourceName::of(agent, "codebuild")?;
        let (project, id) = name.resource.strip_prefix("build/")?.split_once(':')?;
        let (console, region, account) = (console_of(&name), name.region, name.account);
        let page = format!("{console}/codesuite/codebuild/{account}/projects/{project}/build/{project}%3A{id}");
        Some(Pages {
            agent: format!("{page}/?region={region}"),
            log: format!("{page}/log?region={region}"),
            id: id.to_owned(),
            region: region.to_owned(),
            console,
        })
    }
}

/// The part of an agent template.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Raw {
    project: Name,
    logs: Option<RawLogs>,
}

impl Raw {
    pub(super) fn read(self) -> CodeBuildExecutor {
        let logs = self.logs.map(|raw| {
            let prefix = raw.stream_prefix.map(|Name(prefix)| prefix);
            Logs::of_project(raw.group.0, prefix.as_deref())
        });
        CodeBuildExecutor {
            project: self.project.0,
            logs,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLogs {
    group: LogGroup,
    stream_prefix: Option<Name>,
}
