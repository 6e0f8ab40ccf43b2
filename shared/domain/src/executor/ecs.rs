//! Tasks of Amazon ECS, on Fargate or on instances of a capacity provider.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pages::{Pages, ResourceName, console_of};
use super::place::Place;
use super::placement::{Placement, is_definition};
use super::{Capacity, Demand, ExecutorKind, LAUNCH_TIMEOUT, Logs, Unmet};
use crate::decision::Misfit;
use crate::ids::{AgentId, AttemptId, RepositoryName};
use crate::secret;
use crate::yaml::{FieldPath, FileError, Flag, LogGroup, Name, OneOrMany, Source};

/// The name of this executor.
pub const NAME: &str = "ecs";

/// How long an accepted task on on-demand capacity, which has no fallback, may take to start: a capacity provider with managed scaling starts an
/// instance first, and keeps the task PROVISIONING for up to half an hour
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/asg-capacity-providers.html>).
pub const ON_DEMAND_LAUNCH_TIMEOUT: Duration = Duration::from_secs(35 * 60);

/// The most characters of JSON that ECS accepts as the overrides of a task.
pub const OVERRIDES_LIMIT: usize = 8192;

/// Space kept free below the limit: for the overrides' own JSON, and for a longer attempt number or bucket name than at planning time.
const OVERRIDES_MARGIN: usize = 512;

/// How much of the overrides a job's own variables, the names of its secrets and the patterns of its artifacts may take. The rest is for the variables of every agent, and for
/// the place of a script that is kept elsewhere.
const LARGEST_ENVIRONMENT: usize = 6_000;

/// An agent template on ECS: parameters of `RunTask`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcsExecutor {
    /// The cluster for Spot, if the template allows Spot.
    pub spot_cluster: Option<String>,
    /// The cluster for on-demand capacity; the same as for Spot if one cluster has both providers.
    pub on_demand_cluster: String,
    /// `family` or `family:revision`.
    pub task_definition: String,
    /// The container whose command and environment are overridden, and whose exit code counts.
    pub container: String,
    /// Subnets of the task's network interface.
    pub subnets: Vec<String>,
    /// Security groups of the task's network interface.
    pub security_groups: Vec<String>,
    /// Whether the task gets a public address.
    pub assign_public_ip: bool,
    /// Capacity providers of the cluster, such as groups of EC2 instances; `None` for Fargate.
    #[serde(default)]
    pub providers: Option<Providers>,
    /// Where the container logs, if the template says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
}

/// Capacity providers that replace Fargate's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Providers {
    /// For Spot, if the template allows it.
    pub spot: Option<String>,
    /// For on-demand capacity.
    pub on_demand: String,
}

impl EcsExecutor {
    /// Whether the template offers Spot.
    #[must_use]
    pub fn offers_spot(&self) -> bool {
        self.spot_cluster.is_some() && self.providers.as_ref().is_none_or(|providers| providers.spot.is_some())
    }

    /// The capacity provider to request; `None` for the launch type Fargate, which needs no provider attached to the cluster.
    #[must_use]
    pub fn provider(&self, capacity: Capacity) -> Option<&str> {
        match (&self.providers, capacity) {
            (None, Capacity::Spot) => Some("FARGATE_SPOT"),
            (None, _) => None,
            (Some(Providers { spot: Some(spot), .. }), Capacity::Spot) => Some(spot),
            (Some(providers), _) => Some(&providers.on_demand),
        }
    }

    /// The cluster for a capacity; the on-demand one if Spot is not offered.
    #[must_use]
    pub fn cluster(&self, capacity: Capacity) -> &str {
        match (capacity, &self.spot_cluster) {
            (Capacity::Spot, Some(cluster)) => cluster,
            _ => &self.on_demand_cluster,
        }
    }
}

impl ExecutorKind for EcsExecutor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capacity(&self) -> Capacity {
        Capacity::OnDemand
    }

    fn offers(&self, capacity: Capacity) -> bool {
        capacity == Capacity::OnDemand || (capacity == Capacity::Spot && self.offers_spot())
    }

    fn launch_timeout(&self, capacity: Capacity, _queue_timeout: Duration) -> Duration {
        match capacity {
            Capacity::OnDemand => ON_DEMAND_LAUNCH_TIMEOUT,
            _ => LAUNCH_TIMEOUT,
        }
    }

    fn deciding_container(&self) -> Option<&str> {
        Some(&self.container)
    }

    fn leaves_report(&self) -> bool {
        true
    }

    /// An ARN of the old format, `task/ID`, does not have the cluster.
    fn check_placement(&self, agent: &AgentId, _attempt: &AttemptId, placement: &Placement) -> Result<(), Misfit> {
        let name = ResourceName::of(agent, "ecs").ok_or(Misfit::Place)?;
        placement.check_account(&name)?;
        let task = name.resource.strip_prefix("task/").ok_or(Misfit::Place)?;
        let of_arn = Placement {
            place: task.split_once('/').map(|(cluster, _)| cluster.to_owned()),
            ..Placement::default()
        };
        for placement in [&of_arn, placement] {
            placement.check_place(self.clusters())?;
        }
        match &placement.definition {
            Some(definition) if !is_definition(&self.task_definition, definition) => Err(Misfit::Definition),
            _ => Ok(()),
        }
    }

    /// A run's id always has ten characters, as the policies of agents' roles rely on.
    fn place(&self, attempt: &AttemptId, repository: &RepositoryName, has_own_role: bool) -> Place {
        let AttemptId { build, number } = attempt;
        Place {
            // The repository's role reads what is below its repository's name.
            above: if has_own_role {
                format!("repositories/{repository}/{}/", build.run)
            } else {
                format!("runs/{}/", build.run)
            },
            below: format!("{}/{number}/", build.job),
        }
    }

    fn takes(&self, environment: &BTreeMap<String, String>) -> bool {
        let size = size_of(environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        size + self.container.len() + OVERRIDES_MARGIN <= OVERRIDES_LIMIT
    }

    fn check(&self, demand: &Demand<'_>) -> Result<(), Unmet> {
        demand.script_of_its_own()?;
        let size = size_of(demand.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if size > LARGEST_ENVIRONMENT {
            return Err(Unmet {
                key: "environment",
                message: format!(
                    "the variables of the job take {size} bytes as JSON: at most {LARGEST_ENVIRONMENT} fit into an ECS task; larger values belong into a file"
                ),
            });
        }
        let of_secrets = if demand.secrets.is_empty() {
            0
        } else {
            size_of([(secret::VARIABLE, demand.secrets)])
        };
        let size = size + of_secrets;
        if size > LARGEST_ENVIRONMENT {
            return Err(Unmet {
                key: "secrets",
                message: format!(
                    "the names of secrets and the variables of the job take {size} bytes as JSON: at most {LARGEST_ENVIRONMENT} fit into an ECS task"
                ),
            });
        }
        let size = size + size_of([("BELLHOP_ARTIFACTS", demand.artifacts.join("\n").as_str())]);
        if !demand.artifacts.is_empty() && size > LARGEST_ENVIRONMENT {
            return Err(Unmet {
                key: "artifacts",
                message: format!(
                    "the patterns, the variables and the names of secrets of the job take {size} bytes as JSON: at most {LARGEST_ENVIRONMENT} fit into an ECS task"
                ),
            });
        }
        Ok(())
    }

    fn clusters(&self) -> Vec<&str> {
        let mut clusters: Vec<&str> = self
            .spot_cluster
            .iter()
            .chain([&self.on_demand_cluster])
            .map(String::as_str)
            .collect();
        clusters.dedup();
        clusters
    }

    fn logs(&self) -> Option<&Logs> {
        self.logs.as_ref()
    }

    /// ECS shows a stopped task "for at least one hour" (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>).
    fn pages(&self, agent: &AgentId) -> Option<Pages> {
        let name = ResourceName::of(agent, "ecs")?;
        let (cluster, id) = name.resource.strip_prefix("task/")?.split_once('/')?;
        let console = console_of(&name);
        let page = format!("{console}/ecs/v2/clusters/{cluster}/tasks/{id}");
        let region = name.region;
        Some(Pages {
            agent: format!("{page}/configuration?region={region}"),
            log: format!("{page}/logs?region={region}"),
            id: id.to_owned(),
            region: region.to_owned(),
            console,
        })
    }
}

/// The size of variables in the overrides of a task. It counts bytes, of which there are never fewer than the characters that ECS counts.
fn size_of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> usize {
    variables
        .into_iter()
        .map(|(name, value)| serde_json::json!({ "name": name, "value": value }).to_string().len() + 1)
        .sum()
}

/// The part of an agent template.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Raw {
    cluster: Option<Name>,
    clusters: Option<RawClusters>,
    task_definition: Name,
    container: Option<Name>,
    logs: Option<RawLogs>,
    capacity_providers: Option<RawProviders>,
    subnets: Option<OneOrMany<Name>>,
    #[serde(default)]
    security_groups: OneOrMany<Name>,
    #[serde(default)]
    assign_public_ip: Flag,
}

impl Raw {
    pub(super) fn read(self, source: &Source, at: &FieldPath) -> Result<EcsExecutor, FileError> {
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
struct RawLogs {
    group: LogGroup,
    stream_prefix: Name,
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::executor::Executor;
    use crate::testing::spec;

    #[test]
    fn each_capacity_has_its_cluster_and_spot_may_be_missing() {
        let Executor::Ecs(mut ecs) = spec().executor else {
            panic!("the tests' builds run on ECS")
        };
        assert_eq!(
            (ecs.cluster(Capacity::Spot), ecs.cluster(Capacity::OnDemand)),
            ("ci-spot", "ci-main")
        );
        ecs.spot_cluster = None;
        assert_eq!(ecs.cluster(Capacity::Spot), "ci-main");
    }
}
