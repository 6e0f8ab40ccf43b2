//! Agents as Amazon ECS tasks (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>).

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::operation::run_task::RunTaskError;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, Failure, KeyValuePair, LaunchType,
    NetworkConfiguration, Task, TaskOverride,
};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::agent::environment;
use bellhop_domain::agent::launched::{ContainerLaunch, TaskLaunch, VariablesDigest};
use bellhop_domain::build::Refusal;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::executor::{self, Capacity, EcsExecutor, LaunchId};
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Executor, Launch};
use bellhop_events::aws_errors::Class;
use bellhop_events::task::{self, ContainerFacts, TaskFacts};

use super::throttle::LeftToQueue;
use super::{agent_id, unproven};
use crate::Aws;
use crate::clock::timestamp;
use crate::config::Lazy;
use crate::fault::{code_of, fault, refusal_of};

/// The most characters that ECS accepts as the reason of a stop.
const REASON_LIMIT: usize = 255;

/// Amazon ECS.
#[derive(Debug, Clone)]
pub(super) struct EcsTasks {
    client: Lazy<Client>,
    bucket: String,
}

impl EcsTasks {
    pub(super) fn new(aws: &Aws, bucket: &str) -> Self {
        Self {
            client: aws.ecs(),
            bucket: bucket.to_owned(),
        }
    }

    /// The capacity of the launch of an attempt that started a task; `None` if the task differs from every launch of it.
    fn launched_on(&self, spec: &BuildSpec, attempt: &AttemptId, task: &Task) -> Result<Option<Capacity>, Fault> {
        let proof = template_of(spec)?.launched(spec, attempt, &self.bucket, &launch_of(task));
        if let Err(difference) = proof {
            tracing::warn!(%attempt, task = task.task_arn(), ?difference, "a task with the name of an attempt is not its agent");
        }
        Ok(proof.ok())
    }

    /// The observations of those of these tasks that a launch of an attempt started.
    fn own(&self, spec: &BuildSpec, attempt: &AttemptId, tasks: &[Task]) -> Result<Vec<Observation>, Fault> {
        let mut own = Vec::new();
        for task in tasks {
            if let Some(capacity) = self.launched_on(spec, attempt, task)? {
                own.extend(observe(task).map(|observation| Observation {
                    capacity: Some(capacity),
                    ..observation
                }));
            }
        }
        Ok(own)
    }

    /// ECS has used the token of a launch for a task with other parameters, and names the task
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>). Another principal may have used the token, which is not secret, so
    /// the task is the agent only if it carries the launch. Otherwise the launch is refused for good: under another token, there could be two agents.
    async fn of_conflict(&self, spec: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Result<Launch, Fault> {
        let tasks = self.describe_in(cluster_of(agent), std::slice::from_ref(agent)).await?;
        let Some(task) = tasks.iter().find(|task| task.task_arn() == Some(agent.as_str())) else {
            return Err(Fault::transient(format!(
                "launch {attempt}: ECS used its token for {agent} before, and does not describe that task"
            )));
        };
        Ok(match self.launched_on(spec, attempt, task)? {
            Some(_) => Launch::Accepted(agent.clone()),
            None => Launch::refused(Refusal::Invalid(format!(
                "ECS used the token of this launch before, for the task {agent}, which another principal or another version of Bellhop started"
            ))),
        })
    }

    async fn describe_in(&self, cluster: &str, agents: &[AgentId]) -> Result<Vec<Task>, Fault> {
        let reply = self
            .client
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(agents.iter().map(|agent| agent.as_str().to_owned()).collect()))
            .send()
            .await;
        match reply {
            Ok(reply) => Ok(reply.tasks.unwrap_or_default()),
            // A deleted cluster has no tasks.
            Err(error) if code_of(&error) == Some("ClusterNotFoundException") => Ok(Vec::new()),
            Err(error) => Err(fault(format_args!("describe tasks of cluster {cluster}"), error)),
        }
    }
}

#[async_trait]
impl Executor for EcsTasks {
    /// ECS remembers a token for longer than its task exists, so it does not matter whether it was called before.
    ///
    /// It remembers "the result of the original request", and AWS's example of that contains `failures`
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>): after a 200 without a task, the token cannot be used
    /// again. After an error it can; a task may have been started.
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, _again: bool) -> Result<Launch, Fault> {
        let LaunchId { attempt, capacity, .. } = launch;
        let capacity = *capacity;
        let ecs = template_of(spec)?;
        let mut request = self
            .client
            .run_task()
            .cluster(ecs.cluster(capacity))
            .task_definition(&ecs.task_definition)
            .count(1)
            .client_token(launch.token())
            .started_by(attempt.started_by())
            .set_network_configuration(network(ecs)?)
            .overrides(overrides(spec, ecs, attempt, capacity, &self.bucket));
        request = match ecs.provider(capacity) {
            Some(provider) => request.capacity_provider_strategy(
                CapacityProviderStrategyItem::builder()
                    .capacity_provider(provider)
                    .weight(1)
                    .build()
                    .map_err(|error| Fault::permanent("a capacity provider strategy could not be built").caused_by(error))?,
            ),
            None => request.launch_type(LaunchType::Fargate),
        };
        let queued = aws_sdk_ecs::config::Builder::new().retry_classifier(LeftToQueue::<RunTaskError>::new());
        match request.customize().config_override(queued).send().await {
            Ok(reply) => match reply.tasks().first().and_then(Task::task_arn) {
                Some(arn) => Ok(Launch::Accepted(agent_id(executor::ecs::NAME, arn)?)),
                None => Ok(Launch::Refused {
                    refusal: refusal_of_failures(reply.failures()),
                    spent: true,
                }),
            },
            Err(error) => match error.as_service_error() {
                Some(RunTaskError::ConflictException(conflict)) => match conflict.resource_ids().first() {
                    Some(arn) => self.of_conflict(spec, attempt, &agent_id(executor::ecs::NAME, arn)?).await,
                    None => Err(fault(
                        format_args!("launch {attempt}: ECS used its token before and does not return the task"),
                        error,
                    )),
                },
                _ => match refusal_of(&error) {
                    Some(refusal) => Ok(Launch::refused(refusal)),
                    None => Err(fault(format_args!("launch {attempt} on {capacity}"), error)),
                },
            },
        }
    }

    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault> {
        let reply = self
            .client
            .stop_task()
            .cluster(cluster_of(agent))
            .task(agent.as_str())
            .reason(reason.chars().take(REASON_LIMIT).collect::<String>())
            .send()
            .await;
        match reply {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(fault(format_args!("stop {agent}"), error)),
        }
    }

    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        let ecs = template_of(spec)?;
        let mut clusters = vec![ecs.cluster(Capacity::OnDemand), ecs.cluster(Capacity::Spot)];
        clusters.dedup();
        let mut found = Vec::new();
        for cluster in clusters {
            let reply = self
                .client
                .list_tasks()
                .cluster(cluster)
                .started_by(attempt.started_by())
                .send()
                .await;
            let reply = match reply {
                Ok(reply) => reply,
                // A missing cluster has no tasks.
                Err(error) if code_of(&error) == Some("ClusterNotFoundException") => continue,
                Err(error) => return Err(fault(format_args!("list the tasks of {attempt}"), error)),
            };
            let agents: Vec<AgentId> = reply
                .task_arns()
                .iter()
                .map(|arn| agent_id(executor::ecs::NAME, arn))
                .collect::<Result<_, _>>()?;
            if !agents.is_empty() {
                let tasks = self.describe_in(cluster, &agents).await?;
                found.extend(self.own(spec, attempt, &tasks)?);
            }
        }
        found.retain(Observation::is_open);
        Ok(found)
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        let mut by_cluster: BTreeMap<&str, Vec<AgentId>> = BTreeMap::new();
        for agent in agents {
            by_cluster.entry(cluster_of(agent)).or_default().push(agent.clone());
        }
        let (mut all, mut fault) = (Vec::with_capacity(agents.len()), None);
        for (cluster, agents) in by_cluster {
            let tasks = match self.describe_in(cluster, &agents).await {
                Ok(tasks) => tasks,
                // The agents in other clusters are returned nevertheless.
                Err(other) => {
                    fault.get_or_insert(other);
                    continue;
                }
            };
            for agent in agents {
                match tasks.iter().find(|task| task.task_arn() == Some(agent.as_str())) {
                    None => all.push((agent, None)),
                    // A task that exists but cannot be parsed is not missing: it has no entry in the result.
                    Some(task) => all.extend(observe(task).map(|observation| (agent, Some(observation)))),
                }
            }
        }
        (all, fault)
    }

    async fn prove(&self, spec: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Result<Option<Observation>, Fault> {
        let mut tasks = match self.describe_in(cluster_of(agent), std::slice::from_ref(agent)).await {
            Ok(tasks) => tasks,
            Err(fault) => return unproven(attempt, agent, fault),
        };
        tasks.retain(|task| task.task_arn() == Some(agent.as_str()));
        Ok(self.own(spec, attempt, &tasks)?.pop())
    }

    /// Never: the event of a task names its attempt.
    async fn identify(&self, _agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        Ok(None)
    }
}

fn template_of(spec: &BuildSpec) -> Result<&EcsExecutor, Fault> {
    match &spec.executor {
        executor::Executor::Ecs(ecs) => Ok(ecs),
        _ => Err(Fault::permanent(format!("build {} does not run on ECS", spec.id))),
    }
}

/// The task's network configuration; `None` for a task that uses its instance's network.
fn network(ecs: &EcsExecutor) -> Result<Option<NetworkConfiguration>, Fault> {
    if ecs.subnets.is_empty() {
        return Ok(None);
    }
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(ecs.subnets.clone()))
        .set_security_groups((!ecs.security_groups.is_empty()).then(|| ecs.security_groups.clone()))
        .assign_public_ip(if ecs.assign_public_ip {
            AssignPublicIp::Enabled
        } else {
            AssignPublicIp::Disabled
        })
        .build()
        .map_err(|error| Fault::permanent("a network configuration could not be built").caused_by(error))?;
    Ok(Some(NetworkConfiguration::builder().awsvpc_configuration(vpc).build()))
}

fn overrides(spec: &BuildSpec, ecs: &EcsExecutor, attempt: &AttemptId, capacity: Capacity, bucket: &str) -> TaskOverride {
    let mut container = ContainerOverride::builder().name(&ecs.container);
    for (name, value) in environment(spec, attempt, capacity, bucket) {
        container = container.environment(KeyValuePair::builder().name(name).value(value).build());
    }
    TaskOverride::builder()
        .container_overrides(container.build())
        .set_task_role_arn(spec.role.as_ref().map(ToString::to_string))
        .build()
}

/// The cluster's name in a task's ARN; the default cluster for the old ARN format without one.
fn cluster_of(agent: &AgentId) -> &str {
    agent
        .as_str()
        .split_once(":task/")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or("default", |(cluster, _)| cluster)
}

/// Whether an error means that the task has already stopped or no longer exists.
fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> bool {
    let message = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default();
    match code_of(error) {
        Some("ClusterNotFoundException") => true,
        Some("InvalidParameterException") => message.to_lowercase().contains("task was not found"),
        _ => false,
    }
}

/// The refusal of a successful reply with `failures` and without tasks
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>). There may be one failure for each container instance
/// that ECS considered.
fn refusal_of_failures(failures: &[Failure]) -> Refusal {
    if failures.is_empty() {
        return Refusal::NoCapacity("RunTask returned neither a task nor a failure".to_owned());
    }
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for failure in failures {
        let reason = failure.reason().unwrap_or("no reason given");
        let text = match failure.detail() {
            Some(detail) => format!("{reason} ({detail})"),
            None => reason.to_owned(),
        };
        match reasons.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => reasons.push((text, 1)),
        }
    }
    let each = reasons.iter().map(|(text, count)| match count {
        1 => text.clone(),
        count => format!("{text} ({count} times)"),
    });
    let text = each.collect::<Vec<_>>().join(", ");
    match Class::of_reasons(failures.iter().filter_map(Failure::reason)) {
        Class::Permanent => Refusal::Invalid(text),
        Class::Throttled => Refusal::Throttled(text),
        Class::AccountLimit => Refusal::AccountLimit(text),
        Class::NoCapacity => Refusal::NoCapacity(text),
        Class::Transient => Refusal::Transient(text),
        Class::Unknown => Refusal::Unknown(text),
    }
}

pub(crate) fn observe(task: &Task) -> Option<Observation> {
    match facts(task).observation() {
        Ok(observation) => Some(observation),
        Err(error) => {
            tracing::warn!(task = task.task_arn(), %error, "ECS returned a task that cannot be parsed");
            None
        }
    }
}

/// The attempt of a task; `None` for foreign tasks.
pub(crate) fn attempt_of(task: &Task) -> Option<AttemptId> {
    task::attempt(task.started_by(), environment_of(task))
}

fn environment_of(task: &Task) -> impl Iterator<Item = (&str, &str)> {
    task.overrides()
        .map(TaskOverride::container_overrides)
        .unwrap_or_default()
        .iter()
        .flat_map(ContainerOverride::environment)
        .filter_map(|pair| Some((pair.name()?, pair.value()?)))
}

/// What a task was launched with. `DescribeTasks` shows all overrides, and containers without any
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html>).
fn launch_of(task: &Task) -> TaskLaunch {
    let overrides = task.overrides();
    let containers = overrides.map(TaskOverride::container_overrides).unwrap_or_default();
    let has_more = |overrides: &TaskOverride| {
        overrides.cpu().is_some()
            || overrides.memory().is_some()
            || overrides.execution_role_arn().is_some()
            || overrides.ephemeral_storage().is_some()
    };
    TaskLaunch {
        cluster: task.cluster_arn().unwrap_or_default().to_owned(),
        definition: task.task_definition_arn().unwrap_or_default().to_owned(),
        started_by: task.started_by().map(ToOwned::to_owned),
        capacity_provider: task.capacity_provider_name().map(ToOwned::to_owned),
        launch_type: task.launch_type().map(|launch| launch.as_str().to_owned()),
        role: overrides.and_then(TaskOverride::task_role_arn).map(ToOwned::to_owned),
        containers: containers.iter().map(container_launch).collect(),
        has_more: overrides.is_some_and(has_more) || task.enable_execute_command(),
    }
}

fn container_launch(container: &ContainerOverride) -> ContainerLaunch {
    let pairs = container.environment().iter();
    let variables = pairs.map(|pair| (pair.name().unwrap_or_default(), pair.value().unwrap_or_default()));
    ContainerLaunch {
        name: container.name().unwrap_or_default().to_owned(),
        variables: (!container.environment().is_empty()).then(|| VariablesDigest::of(variables)),
        has_more: !container.command().is_empty()
            || !container.environment_files().is_empty()
            || !container.resource_requirements().is_empty()
            || container.cpu().is_some()
            || container.memory().is_some()
            || container.memory_reservation().is_some(),
    }
}

fn facts(task: &Task) -> TaskFacts {
    TaskFacts {
        arn: task.task_arn().unwrap_or_default().to_owned(),
        version: u64::try_from(task.version()).ok(),
        last_status: task.last_status().unwrap_or_default().to_owned(),
        desired_status: task.desired_status().map(ToOwned::to_owned),
        stop_code: task.stop_code().map(|code| code.as_str().to_owned()),
        stopped_reason: task.stopped_reason().map(ToOwned::to_owned),
        capacity_provider: task.capacity_provider_name().map(ToOwned::to_owned),
        launch_type: task.launch_type().map(|launch| launch.as_str().to_owned()),
        launched_on: task::capacity_from_environment(environment_of(task)),
        started_at: task.started_at().and_then(timestamp),
        execution_stopped_at: task.execution_stopped_at().and_then(timestamp),
        stopping_at: task.stopping_at().and_then(timestamp),
        stopped_at: task.stopped_at().and_then(timestamp),
        containers: task
            .containers()
            .iter()
            .map(|container| ContainerFacts {
                name: container.name().unwrap_or_default().to_owned(),
                last_status: container.last_status().map(ToOwned::to_owned),
                exit_code: container.exit_code(),
                reason: container.reason().map(ToOwned::to_owned),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
