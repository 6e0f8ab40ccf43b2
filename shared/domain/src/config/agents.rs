//! The agent templates of the suite configuration.

use serde::Deserialize;

use super::error::{FieldPath, FileError};
use super::source::Source;
use super::values::{Flag, LogGroup, Name, OneOrMany, Whole};
use crate::spec::{CodeBuildExecutor, EcsExecutor, Executor, Logs, Providers};

/// An agent template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The service that runs it, and what that service is called with.
    pub executor: Executor,
    /// How many there may be at a time.
    pub max_concurrent: Option<u32>,
    /// Only for repositories that `repositories` gives it to.
    pub restricted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAgent {
    ecs: Option<RawEcs>,
    codebuild: Option<RawCodeBuild>,
    max_concurrent: Option<Whole>,
    #[serde(default)]
    restricted: Flag,
}

impl RawAgent {
    pub(super) fn read(self, source: &Source, at: &FieldPath) -> Result<Agent, FileError> {
        let executor = match (self.ecs, self.codebuild) {
            (Some(raw), None) => Executor::Ecs(raw.read(source, &at.clone().key("ecs"))?),
            (None, Some(raw)) => Executor::CodeBuild(raw.read()),
            (Some(_), Some(_)) => return Err(source.error(at, "`ecs` and `codebuild` exclude each other: expected one of them")),
            (None, None) => return Err(source.error(at, "missing key `ecs` (or `codebuild`)")),
        };
        if self.max_concurrent == Some(Whole(0)) {
            return Err(source.error(&at.clone().key("max-concurrent"), "`0` is out of bounds: expected 1 or more"));
        }
        Ok(Agent {
            executor,
            max_concurrent: self.max_concurrent.map(|Whole(most)| most),
            restricted: self.restricted.0,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawEcs {
    cluster: Option<Name>,
    clusters: Option<RawClusters>,
    task_definition: Name,
    container: Option<Name>,
    logs: Option<RawEcsLogs>,
    capacity_providers: Option<RawProviders>,
    subnets: Option<OneOrMany<Name>>,
    #[serde(default)]
    security_groups: OneOrMany<Name>,
    #[serde(default)]
    assign_public_ip: Flag,
}

impl RawEcs {
    fn read(self, source: &Source, at: &FieldPath) -> Result<EcsExecutor, FileError> {
        let (spot_cluster, on_demand_cluster) = match (self.cluster, self.clusters) {
            (Some(Name(both)), None) => (Some(both.clone()), both),
            (None, Some(clusters)) => (clusters.spot.map(|Name(name)| name), clusters.on_demand.0),
            (Some(_), Some(_)) => return Err(source.error(at, "`cluster` and `clusters` exclude each other: expected one of them")),
            (None, None) => return Err(source.error(at, "missing key `cluster` (or `clusters`)")),
        };
        let providers = self.capacity_providers.map(|raw| Providers {
            spot: raw.spot.map(|Name(name)| name),
            on_demand: raw.on_demand.0,
        });
        if providers.is_some() && self.assign_public_ip.0 {
            let message = "expected false, or no `capacity-providers`: ECS gives a public address only to tasks on Fargate";
            return Err(source.error(&at.clone().key("assign-public-ip"), message));
        }
        let subnets = match self.subnets {
            Some(OneOrMany(subnets)) if subnets.is_empty() => {
                return Err(source.error(&at.clone().key("subnets"), "an empty list: expected at least one subnet"));
            }
            Some(OneOrMany(subnets)) => subnets,
            // Tasks on instances may use the instance's network, and have none of their own then.
            None if providers.is_some() => Vec::new(),
            None => return Err(source.error(at, "missing key `subnets`")),
        };
        let container = self.container.map_or_else(|| "agent".to_owned(), |Name(name)| name);
        let logs = self
            .logs
            .map(|raw| Logs::of_container(raw.group.0, &raw.stream_prefix.0, &container));
        Ok(EcsExecutor {
            spot_cluster,
            on_demand_cluster,
            task_definition: self.task_definition.0,
            container,
            subnets: subnets.into_iter().map(|Name(name)| name).collect(),
            security_groups: self.security_groups.0.into_iter().map(|Name(name)| name).collect(),
            assign_public_ip: self.assign_public_ip.0,
            providers,
            logs,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawClusters {
    spot: Option<Name>,
    on_demand: Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawProviders {
    spot: Option<Name>,
    on_demand: Name,
}

/// The prefix is required: without one, the stream is named after the id that Docker gives the container, which ECS does not tell
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_LogConfiguration.html>).
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawEcsLogs {
    group: LogGroup,
    stream_prefix: Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawCodeBuild {
    project: Name,
    logs: Option<RawCodeBuildLogs>,
}

impl RawCodeBuild {
    fn read(self) -> CodeBuildExecutor {
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
struct RawCodeBuildLogs {
    group: LogGroup,
    stream_prefix: Option<Name>,
}
