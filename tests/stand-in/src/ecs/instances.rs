//! Container instances: EC2 instances of a cluster, by the capacity provider that they come from.

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::api::listed;
use super::tasks::{Plan, Task, container_definition};
use super::{Change, Ecs, State, Status, id_of, strings};
use crate::replies::{Answer, AwsError};
use crate::support::{hex, lock};

/// A container instance as the stand-in knows it.
pub(super) struct Instance {
    /// The EC2 instance's id.
    id: String,
    pub(super) arn: String,
    pub(super) cluster: String,
    pub(super) provider: String,
    draining: bool,
    /// Whether EC2 has taken it away.
    gone: bool,
}

/// A container instance as tests and people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    /// The EC2 instance's id.
    pub id: String,
    /// The container instance's ARN.
    pub arn: String,
    /// The cluster's name.
    pub cluster: String,
    /// The capacity provider that it comes from.
    pub provider: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The ids of the tasks on it that are not over.
    pub tasks: Vec<String>,
}

impl Instance {
    fn status(&self) -> &'static str {
        match self {
            Self { gone: true, .. } => "INACTIVE",
            Self { draining: true, .. } => "DRAINING",
            _ => "ACTIVE",
        }
    }

    fn description(&self) -> Value {
        json!({
            "containerInstanceArn": self.arn,
            "ec2InstanceId": self.id,
            "capacityProviderName": self.provider,
            "status": self.status(),
            "agentConnected": !self.gone,
        })
    }
}

impl Ecs {
    /// A new instance in a cluster, from a capacity provider of this name; gives its id.
    pub fn add_instance(&self, cluster: &str, provider: &str) -> String {
        let (region, account) = (&self.inner.region, &self.inner.account);
        let instance = Instance {
            id: format!("i-{}", hex(17)),
            arn: format!("arn:aws:ecs:{region}:{account}:container-instance/{cluster}/{}", hex(32)),
            cluster: cluster.to_owned(),
            provider: provider.to_owned(),
            draining: false,
            gone: false,
        };
        let id = instance.id.clone();
        lock(&self.inner.state).instances.push(instance);
        self.changed();
        id
    }

    /// All instances that there ever were, in the order in which they came.
    pub fn instances(&self) -> Vec<InstanceView> {
        let state = lock(&self.inner.state);
        let view = |instance: &Instance| InstanceView {
            id: instance.id.clone(),
            arn: instance.arn.clone(),
            cluster: instance.cluster.clone(),
            provider: instance.provider.clone(),
            status: instance.status().to_owned(),
            tasks: state.on(&instance.arn).map(|task| task.id.clone()).collect(),
        };
        state.instances.iter().map(view).collect()
    }

    /// A running task of somebody else's on an instance; gives its ARN.
    ///
    /// # Errors
    /// There is no such instance, or it is gone.
    pub fn place_foreign_task(&self, instance: &str, family: &str) -> anyhow::Result<String> {
        let arn = self.present(instance)?;
        let mut state = lock(&self.inner.state);
        let known = state.instances.iter().find(|known| known.arn == arn).context("no such instance")?;
        let mut task = Task::new(Plan {
            region: self.inner.region.clone(),
            account: self.inner.account.clone(),
            cluster: known.cluster.clone(),
            family: family.to_owned(),
            revision: 1,
            containers: vec![container_definition(family)],
            cpu: "256".to_owned(),
            memory: "512".to_owned(),
            provider: Some(known.provider.clone()),
            instance: Some(arn),
            started_by: Some("somebody".to_owned()),
            group: None,
            subnet: None,
            overrides: json!({ "containerOverrides": [] }),
            tags: json!([]),
        });
        let mut change = Change {
            task: &mut task,
            events: &self.inner.events,
            produced: Vec::new(),
        };
        change.run();
        let arn = task.arn.clone();
        let place = state.tasks.len();
        state.places.insert(task.id.clone(), place);
        state.tasks.push(task);
        drop(state);
        self.changed();
        Ok(arn)
    }

    /// EC2 warns that it will take an instance's capacity back, with `terminate`, `stop` or `hibernate`: gives the event. Process tasks on it are killed
    /// after [`crate::Timing::spot_warning`], when the instance goes; with scripted ones, [`Ecs::end_instance`] ends it.
    ///
    /// # Errors
    /// There is no such instance, or it is gone.
    pub fn warn_instance(&self, instance: &str, action: &str) -> anyhow::Result<Value> {
        self.present(instance)?;
        let detail = json!({ "instance-id": instance, "instance-action": action });
        let event = self.publish_of(instance, "EC2 Spot Instance Interruption Warning", detail);
        if self.inner.processes.is_some() {
            let (ecs, instance) = (self.clone(), instance.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(ecs.inner.timing.spot_warning).await;
                if let Err(error) = ecs.end_instance(&instance) {
                    tracing::warn!(instance, "{error:#}");
                }
            });
        }
        Ok(event)
    }

    /// EC2 recommends to replace an instance: gives the event.
    ///
    /// # Errors
    /// There is no such instance, or it is gone.
    pub fn recommend_rebalance(&self, instance: &str) -> anyhow::Result<Value> {
        self.present(instance)?;
        Ok(self.publish_of(
            instance,
            "EC2 Instance Rebalance Recommendation",
            json!({ "instance-id": instance }),
        ))
    }

    /// EC2 warns of an instance, of any cluster or none, and does not take it: gives the event.
    pub fn only_warn(&self, instance: &str) -> Value {
        let detail = json!({ "instance-id": instance, "instance-action": "terminate" });
        self.publish_of(instance, "EC2 Spot Instance Interruption Warning", detail)
    }

    /// An instance goes, and every task on it: gives the events that tell of them.
    ///
    /// # Errors
    /// There is no such instance, or it is gone already.
    pub fn end_instance(&self, instance: &str) -> anyhow::Result<Vec<Value>> {
        let arn = self.present(instance)?;
        let mut produced = Vec::new();
        let mut state = lock(&self.inner.state);
        for known in state.instances.iter_mut().filter(|known| known.arn == arn) {
            known.gone = true;
        }
        let reason = format!("Host EC2 (instance {instance}) terminated.");
        let State { tasks, runners, .. } = &mut *state;
        let mut ended = Vec::new();
        let lives = |task: &&mut Task| task.plan.instance.as_deref() == Some(arn.as_str()) && task.life.status < Status::Stopped;
        for task in tasks.iter_mut().filter(lives) {
            ended.push(task.id.clone());
            let mut change = Change {
                task,
                events: &self.inner.events,
                produced: Vec::new(),
            };
            change.task.life.mark_stop(None, &reason);
            // A process tells of its end itself.
            if !runners.contains_key(&change.task.id) {
                change.end_and_stop(None);
            }
            produced.extend(change.produced);
        }
        drop(state);
        self.changed();
        for task in ended {
            self.terminate(&task, std::time::Duration::ZERO);
        }
        Ok(produced)
    }

    /// The ARN of an instance that is still there.
    fn present(&self, instance: &str) -> anyhow::Result<String> {
        let state = lock(&self.inner.state);
        let known = state.instances.iter().find(|known| known.id == instance && !known.gone);
        Ok(known.context("no such instance")?.arn.clone())
    }

    /// EC2 names the zone where the region belongs.
    fn publish_of(&self, instance: &str, kind: &str, detail: Value) -> Value {
        let resource = format!("arn:aws:ec2:{}a:instance/{instance}", self.inner.region);
        self.inner.events.publish("aws.ec2", kind, &[&resource], detail)
    }

    pub(super) fn list_container_instances(&self, request: &Value) -> Result<Answer, AwsError> {
        let state = lock(&self.inner.state);
        let cluster = state.cluster(request)?;
        let wanted = match request["filter"].as_str() {
            None => None,
            Some(filter) => match filter.split_once("==") {
                Some((name, id)) if name.trim() == "ec2InstanceId" => Some(id.trim()),
                _ => return Err(super::invalid("The filter expression is not understood.")),
            },
        };
        let arns: Vec<&str> = state
            .instances
            .iter()
            .filter(|instance| instance.cluster == cluster && !instance.gone)
            .filter(|instance| wanted.is_none_or(|wanted| wanted == instance.id))
            .filter(|instance| request["status"].as_str().is_none_or(|status| status == instance.status()))
            .map(|instance| instance.arn.as_str())
            .collect();
        listed("containerInstanceArns", &arns, request)
    }

    pub(super) fn update_container_instances_state(&self, request: &Value) -> Result<Answer, AwsError> {
        let mut state = lock(&self.inner.state);
        let cluster = state.cluster(request)?;
        let draining = match request["status"].as_str() {
            Some("DRAINING") => true,
            Some("ACTIVE") => false,
            _ => return Err(super::invalid("The status must be ACTIVE or DRAINING.")),
        };
        let (mut changed, mut failures) = (Vec::new(), Vec::new());
        for name in strings(&request["containerInstances"]) {
            let wanted = id_of(name);
            let known = state.instances.iter_mut();
            let mut of_cluster = known.filter(|instance| instance.cluster == cluster && !instance.gone);
            match of_cluster.find(|instance| id_of(&instance.arn) == wanted) {
                Some(instance) => {
                    instance.draining = draining;
                    changed.push(instance.description());
                }
                None => failures.push(json!({ "arn": name, "reason": "MISSING" })),
            }
        }
        drop(state);
        self.changed();
        Ok(json!({ "containerInstances": changed, "failures": failures }).into())
    }
}

impl State {
    /// The tasks on a container instance that are not over.
    fn on<'a>(&'a self, arn: &'a str) -> impl Iterator<Item = &'a Task> {
        let lives = move |task: &&Task| task.plan.instance.as_deref() == Some(arn) && task.life.status < Status::Stopped;
        self.tasks.iter().filter(lives)
    }

    /// Whether a capacity provider of this name has, or had, instances in a cluster.
    pub(super) fn has_provider(&self, cluster: &str, name: &str) -> bool {
        let mut of_cluster = self.instances.iter().filter(|instance| instance.cluster == cluster);
        of_cluster.any(|instance| instance.provider == name)
    }

    /// The ACTIVE instance of a cluster with the fewest tasks, of this capacity provider or of any.
    pub(super) fn emptiest(&self, cluster: &str, provider: Option<&str>) -> Option<(String, String)> {
        let fits = |instance: &&Instance| {
            instance.cluster == cluster && instance.status() == "ACTIVE" && provider.is_none_or(|name| name == instance.provider)
        };
        let candidates = self.instances.iter().filter(fits);
        let chosen = candidates.min_by_key(|instance| self.on(&instance.arn).count())?;
        Some((chosen.arn.clone(), chosen.provider.clone()))
    }
}
