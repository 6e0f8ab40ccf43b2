//! Container instances of ECS: the EC2 instances that may run agents
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html>). Bellhop does not call EC2 itself.

use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{ContainerInstanceStatus, Task};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::executor::observation::AgentStatus;
use bellhop_domain::ids::InstanceId;
use bellhop_domain::instance::{ForeignTask, Host};
use bellhop_engine::Fault;
use bellhop_engine::ports::{InstanceTask, Instances};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::config::Lazy;
use crate::executors::ecs::{attempt_of, observe};
use crate::fault::{class_of, code_of, fault};
use bellhop_events::aws_errors::Class;

/// How many tasks ECS describes in one call.
const DESCRIBE: usize = 100;
/// How many clusters are searched in parallel: a warning leaves two minutes, which all builds on the instance share.
const SIDE_BY_SIDE: usize = 16;

/// Container instances.
#[derive(Debug, Clone)]
pub struct EcsInstances {
    client: Lazy<Client>,
}

impl EcsInstances {
    pub(crate) fn new(client: Lazy<Client>) -> Self {
        Self { client }
    }

    /// The instance in a cluster, if it belongs to it.
    async fn registered(&self, instance: &InstanceId, cluster: &str) -> Result<Option<Host>, Fault> {
        let mut pages = self
            .client
            .list_container_instances()
            .cluster(cluster)
            .filter(format!("ec2InstanceId == {instance}"))
            .into_paginator()
            .items()
            .send();
        match pages.next().await {
            None => Ok(None),
            Some(Ok(container_instance)) => Ok(Some(Host {
                cluster: cluster.to_owned(),
                container_instance,
            })),
            // The suite configuration may name a cluster that is deleted, or not created yet.
            Some(Err(error)) if code_of(&error) == Some("ClusterNotFoundException") => Ok(None),
            Some(Err(error)) => Err(fault(format_args!("look for {instance} in cluster {cluster}"), error)),
        }
    }

    async fn describe(&self, host: &Host, arns: &[String]) -> Result<Vec<InstanceTask>, Fault> {
        let reply = self
            .client
            .describe_tasks()
            .cluster(&host.cluster)
            .set_tasks(Some(arns.to_vec()))
            .send()
            .await
            .map_err(|error| fault(format_args!("describe the tasks on {}", host.container_instance), error))?;
        Ok(reply.tasks().iter().filter_map(instance_task).collect())
    }
}

impl EcsInstances {
    /// Sets an instance's state, and returns whether it still exists.
    async fn set_state(&self, host: &Host, status: ContainerInstanceStatus, what: &str) -> Result<bool, Fault> {
        let reply = self
            .client
            .update_container_instances_state()
            .cluster(&host.cluster)
            .container_instances(&host.container_instance)
            .status(status)
            .send()
            .await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(fault(format_args!("{what} {}", host.container_instance), error)),
        };
        match reply
            .failures()
            .first()
            .map(|failure| failure.reason().unwrap_or("no reason given"))
        {
            None => Ok(true),
            Some("MISSING" | "INACTIVE") => Ok(false),
            Some(reason) => Err(Fault::transient(format!("failed to {what} {}: {reason}", host.container_instance))),
        }
    }
}

#[async_trait]
impl Instances for EcsInstances {
    async fn find(&self, instance: &InstanceId, clusters: &[String]) -> Result<Option<Host>, Fault> {
        let asking: Vec<_> = clusters.iter().map(|cluster| self.registered(instance, cluster)).collect();
        let mut asking = stream::iter(asking).buffer_unordered(SIDE_BY_SIDE);
        let mut unanswered = None;
        while let Some(answer) = asking.next().await {
            match answer {
                Ok(Some(host)) => return Ok(Some(host)),
                Ok(None) => {}
                Err(other) => {
                    unanswered.get_or_insert(other);
                }
            }
        }
        // The instance may belong to the cluster whose call failed.
        unanswered.map_or(Ok(None), Err)
    }

    async fn tasks(&self, host: &Host) -> Result<Vec<InstanceTask>, Fault> {
        let listed = self
            .client
            .list_tasks()
            .cluster(&host.cluster)
            .container_instance(&host.container_instance)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        let arns: Vec<String> = match listed {
            Ok(arns) => arns,
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            Err(error) => return Err(fault(format_args!("list the tasks on {}", host.container_instance), error)),
        };
        let describing: Vec<_> = arns.chunks(DESCRIBE).map(|arns| self.describe(host, arns)).collect();
        let portions: Vec<Vec<InstanceTask>> = stream::iter(describing).buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(portions.into_iter().flatten().collect())
    }

    async fn drain(&self, host: &Host) -> Result<(), Fault> {
        // An instance that was deregistered meanwhile gets no tasks either.
        self.set_state(host, ContainerInstanceStatus::Draining, "drain").await.map(|_| ())
    }

    async fn is_draining(&self, instance: &InstanceId, host: &Host) -> Result<bool, Fault> {
        let listed = self
            .client
            .list_container_instances()
            .cluster(&host.cluster)
            .filter(format!("ec2InstanceId == {instance}"))
            .status(ContainerInstanceStatus::Draining)
            .send()
            .await;
        match listed {
            Ok(listed) => Ok(!listed.container_instance_arns().is_empty()),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(fault(format_args!("ask whether {instance} is drained"), error)),
        }
    }

    async fn activate(&self, host: &Host) -> Result<bool, Fault> {
        self.set_state(host, ContainerInstanceStatus::Active, "activate").await
    }
}

/// Whether an error means that the instance or its cluster no longer exists.
fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> bool {
    // ECS also uses the error code of a client error for throttling.
    let is_permanent = error
        .as_service_error()
        .is_some_and(|service| class_of(service) == Class::Permanent);
    is_permanent && matches!(code_of(error), Some("ClusterNotFoundException" | "InvalidParameterException"))
}

/// The owner of a task; none for a task that is stopping or has stopped.
fn instance_task(task: &Task) -> Option<InstanceTask> {
    if let Some(attempt) = attempt_of(task) {
        let observation = observe(task)?;
        let up = matches!(observation.status, AgentStatus::Starting | AgentStatus::Running { .. });
        return up.then_some(InstanceTask::Agent(attempt, observation));
    }
    if task.desired_status() == Some("STOPPED") {
        return None;
    }
    let definition = || {
        let arn = task.task_definition_arn()?;
        Some(format!("task definition {}", arn.rsplit('/').next().unwrap_or(arn)))
    };
    Some(InstanceTask::Foreign(ForeignTask {
        arn: task.task_arn()?.to_owned(),
        belongs_to: task
            .group()
            .map(ToOwned::to_owned)
            .or_else(definition)
            .unwrap_or_else(|| "an unknown group".to_owned()),
        started_by: task.started_by().map(ToOwned::to_owned),
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_engine::FaultKind;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Wire, broken, ok, refused};

    const HOST: &str = "arn:aws:ecs:eu-west-1:123456789012:container-instance/ci/0f1e";

    fn instance() -> InstanceId {
        "i-0123456789abcdef0".parse().unwrap()
    }

    fn host() -> Host {
        Host {
            cluster: "ci".to_owned(),
            container_instance: HOST.to_owned(),
        }
    }

    fn clusters(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn task(name: &str, more: &Value) -> Value {
        let mut task = json!({
            "taskArn": format!("arn:aws:ecs:eu-west-1:123456789012:task/ci/{name}"),
            "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "containers": [],
        });
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    }

    #[tokio::test]
    async fn an_instance_is_looked_for_in_each_cluster_once() {
        let nothing = || ok(&json!({ "containerInstanceArns": [] }));
        let (aws, wire) = Wire::replying([nothing(), refused("ClusterNotFoundException", "no"), nothing()]);
        let found = aws.instances().find(&instance(), &clusters(&["a", "b", "c"])).await.unwrap();
        assert_eq!(found, None);
        let asked = wire.asked();
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[0].0, "ListContainerInstances");
        assert_eq!(
            asked[0].1,
            json!({ "cluster": "a", "filter": "ec2InstanceId == i-0123456789abcdef0" })
        );
        let (aws, _) = Wire::replying([ok(&json!({ "containerInstanceArns": [HOST] }))]);
        assert_eq!(aws.instances().find(&instance(), &clusters(&["ci"])).await.unwrap(), Some(host()));
    }

    #[tokio::test]
    async fn a_cluster_that_gives_no_answer_may_have_it() {
        let (aws, _) = Wire::replying([broken(), ok(&json!({ "containerInstanceArns": [] }))]);
        assert!(aws.instances().find(&instance(), &clusters(&["a", "b"])).await.is_err());
        let (aws, _) = Wire::replying([broken(), ok(&json!({ "containerInstanceArns": [HOST] }))]);
        assert_eq!(
            aws.instances().find(&instance(), &clusters(&["a", "ci"])).await.unwrap(),
            Some(host())
        );
    }

    #[tokio::test]
    async fn tasks_are_ours_or_somebody_elses_and_come_from_every_page() {
        let (aws, wire) = Wire::replying([
            ok(&json!({ "taskArns": ["t1", "t2"], "nextToken": "more" })),
            ok(&json!({ "taskArns": ["t3", "t4"] })),
            ok(&json!({ "tasks": [
                task("ours", &json!({ "startedBy": "bellhop/abcdefghij/test/2" })),
                task("ending", &json!({ "startedBy": "bellhop/abcdefghij/lint/1", "desiredStatus": "STOPPED" })),
                task("web", &json!({ "group": "service:web", "startedBy": "ecs-svc/1" })),
                task("plain", &json!({ "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/jenkins:7" })),
                task("going", &json!({ "group": "family:x", "desiredStatus": "STOPPED" })),
            ] })),
        ]);
        let occupants = aws.instances().tasks(&host()).await.unwrap();
        let told: Vec<String> = occupants
            .iter()
            .map(|occupant| match occupant {
                InstanceTask::Agent(attempt, _) => attempt.to_string(),
                InstanceTask::Foreign(task) => task.belongs_to.clone(),
            })
            .collect();
        assert_eq!(told, ["abcdefghij/test/2", "service:web", "task definition jenkins:7"]);
        assert_eq!(wire.operations(), ["ListTasks", "ListTasks", "DescribeTasks"]);
        assert_eq!(wire.asked()[0].1["containerInstance"], HOST);
    }

    #[tokio::test]
    async fn an_instance_is_drained_or_takes_tasks_again() {
        let listed = |arns: &[&str]| ok(&json!({ "containerInstanceArns": arns }));
        let (aws, wire) = Wire::replying([listed(&[HOST]), listed(&[])]);
        let hosts = aws.instances();
        assert!(hosts.is_draining(&instance(), &host()).await.unwrap());
        assert!(!hosts.is_draining(&instance(), &host()).await.unwrap());
        let asked = json!({ "cluster": "ci", "filter": "ec2InstanceId == i-0123456789abcdef0", "status": "DRAINING" });
        assert_eq!(wire.asked()[0], ("ListContainerInstances".to_owned(), asked));
        let answer = |reason: &str| ok(&json!({ "containerInstances": [], "failures": [{ "arn": HOST, "reason": reason }] }));
        let (aws, wire) = Wire::replying([ok(&json!({ "containerInstances": [{}], "failures": [] })), answer("MISSING")]);
        let hosts = aws.instances();
        assert!(hosts.activate(&host()).await.unwrap());
        assert!(!hosts.activate(&host()).await.unwrap());
        assert_eq!(wire.asked()[0].1["status"], "ACTIVE");
        // Two who drain at once may be in each other's way: it is not done then.
        let (aws, _) = Wire::replying([answer("AGENT_UPDATE_IN_PROGRESS")]);
        assert_eq!(aws.instances().drain(&host()).await.unwrap_err().kind, FaultKind::Transient);
    }

    #[tokio::test]
    async fn an_instance_that_is_gone_has_no_tasks_and_needs_no_draining() {
        let gone = || refused("InvalidParameterException", "The referenced container instance was not found.");
        let (aws, _) = Wire::replying([gone(), gone()]);
        assert_eq!(aws.instances().tasks(&host()).await.unwrap(), []);
        aws.instances().drain(&host()).await.unwrap();
        let (aws, wire) = Wire::replying([ok(
            &json!({ "containerInstances": [], "failures": [{ "arn": HOST, "reason": "INACTIVE" }] }),
        )]);
        aws.instances().drain(&host()).await.unwrap();
        assert_eq!(
            wire.asked(),
            [(
                "UpdateContainerInstancesState".to_owned(),
                json!({ "cluster": "ci", "containerInstances": [HOST], "status": "DRAINING" })
            )]
        );
        let throttled = || refused("InvalidParameterException", "Rate exceeded");
        let (aws, _) = Wire::replying([throttled(), throttled()]);
        assert_eq!(aws.instances().tasks(&host()).await.unwrap_err().kind, FaultKind::Transient);
        assert_eq!(aws.instances().drain(&host()).await.unwrap_err().kind, FaultKind::Transient);
        let (aws, _) = Wire::replying([broken(), broken()]);
        assert!(aws.instances().tasks(&host()).await.is_err());
        assert!(aws.instances().drain(&host()).await.is_err());
    }
}
