//! One task: its life cycle, and what it looks like in events and in answers.

use std::collections::BTreeMap;

use bellhop_model::ecs::{CONTAINER_EXITED, Life, Status};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{epoch, hex, iso, uuid};

pub(super) const SPOT: &str = "FARGATE_SPOT";
pub(super) const ON_DEMAND: &str = "FARGATE";

/// What RunTask and the task definition say about a new task.
pub(super) struct Plan {
    pub(super) region: String,
    pub(super) account: String,
    pub(super) cluster: String,
    pub(super) family: String,
    pub(super) revision: u64,
    /// The container definitions, the one that a command override is for first.
    pub(super) containers: Vec<Value>,
    pub(super) cpu: String,
    pub(super) memory: String,
    /// The capacity provider; None where a launch type was asked for.
    pub(super) provider: Option<String>,
    /// The ARN of the container instance that it is on; None on Fargate.
    pub(super) instance: Option<String>,
    pub(super) started_by: Option<String>,
    pub(super) group: Option<String>,
    /// Of its own network interface, where it has one.
    pub(super) subnet: Option<String>,
    pub(super) overrides: Value,
    pub(super) tags: Value,
}

/// A task as the stand-in knows it.
pub(super) struct Task {
    pub(super) arn: String,
    pub(super) id: String,
    pub(super) cluster_arn: String,
    pub(super) plan: Plan,
    pub(super) life: Life<Timestamp>,
    pub(super) exit_code: Option<i32>,
    pub(super) container_reason: Option<String>,
    /// Whether DescribeTasks and ListTasks do not know it any more.
    pub(super) forgotten: bool,
    eni: Eni,
    /// The containers' ids: of the ARN and of the runtime.
    container_ids: Vec<(String, String)>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The network interface that every Fargate task has.
struct Eni {
    attachment: String,
    id: String,
    mac: String,
    ip: String,
}

impl Eni {
    fn new() -> Self {
        let octet = || fastrand::u8(1..255);
        Self {
            attachment: uuid(),
            id: format!("eni-{}", hex(17)),
            mac: format!("0a:{}:{}:{}:{}:{}", hex(2), hex(2), hex(2), hex(2), hex(2)),
            ip: format!("10.0.{}.{}", octet(), octet()),
        }
    }
}

/// A task as tests and people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// The task's ARN.
    pub arn: String,
    /// The last part of the ARN.
    pub id: String,
    /// The cluster's name.
    pub cluster: String,
    /// The family and revision of the task definition.
    pub task_definition: String,
    /// `startedBy` of the RunTask request.
    pub started_by: Option<String>,
    /// `FARGATE_SPOT`, `FARGATE`, or the capacity provider of an instance.
    pub capacity: String,
    /// The stage, from `PROVISIONING` to `STOPPED`.
    pub last_status: String,
    /// `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// Why it is stopped or being stopped, such as `SpotInterruption`.
    pub stop_code: Option<String>,
    /// The text that goes with the stop code.
    pub stopped_reason: Option<String>,
    /// The exit code of the container that ran the command.
    pub exit_code: Option<i32>,
    /// The same container's own reason, such as that it was killed for its use of memory.
    pub container_reason: Option<String>,
    /// The command override.
    pub command: Vec<String>,
    /// The environment override.
    pub environment: BTreeMap<String, String>,
    /// The `UserId` of its credentials.
    pub user_id: String,
    /// The version of the newest event.
    pub version: u64,
    /// When RunTask created it.
    pub created_at: Timestamp,
    /// When the container began to run.
    pub started_at: Option<Timestamp>,
    /// When all was over.
    pub stopped_at: Option<Timestamp>,
}

impl Task {
    /// A task in its first stage.
    pub(super) fn new(plan: Plan) -> Self {
        let now = Timestamp::now();
        let id = hex(32);
        let place = format!("arn:aws:ecs:{}:{}", plan.region, plan.account);
        let ids = |_: &Value| (uuid(), format!("{id}-{}", fastrand::u32(..)));
        Self {
            arn: format!("{place}:task/{}/{id}", plan.cluster),
            cluster_arn: format!("{place}:cluster/{}", plan.cluster),
            container_ids: plan.containers.iter().map(ids).collect(),
            id,
            plan,
            life: Life::default(),
            exit_code: None,
            container_reason: None,
            forgotten: false,
            eni: Eni::new(),
            created_at: now,
            updated_at: now,
        }
    }

    /// Enters a later stage, and says whether it is one.
    pub(super) fn enter(&mut self, status: Status) -> bool {
        let now = Timestamp::now();
        let is_later = self.life.enter(status, now);
        if is_later {
            self.updated_at = now;
        }
        is_later
    }

    /// Wants the task stopped, within the stage that it is in.
    pub(super) fn want_stop(&mut self, code: &'static str, reason: &str) {
        self.updated_at = Timestamp::now();
        self.life.want_stop(code, reason, self.updated_at);
    }

    pub(super) fn on_spot(&self) -> bool {
        self.plan.provider.as_deref() == Some(SPOT)
    }

    /// The environment that the request gives the container, by name.
    pub(super) fn environment_override(&self) -> BTreeMap<String, String> {
        environment(&self.plan.overrides["containerOverrides"][0])
    }

    /// The environment that the task definition gives the container, by name.
    pub(super) fn defined_environment(&self) -> BTreeMap<String, String> {
        let container = self.plan.containers.first();
        container.map(environment).unwrap_or_default()
    }

    /// The command of the request, or else of the task definition.
    pub(super) fn command(&self) -> Vec<String> {
        let of_request = self.command_override();
        if of_request.is_empty() {
            let container = self.plan.containers.first();
            container.map(command).unwrap_or_default()
        } else {
            of_request
        }
    }

    fn command_override(&self) -> Vec<String> {
        command(&self.plan.overrides["containerOverrides"][0])
    }

    pub(super) fn view(&self) -> TaskView {
        TaskView {
            arn: self.arn.clone(),
            id: self.id.clone(),
            cluster: self.plan.cluster.clone(),
            task_definition: format!("{}:{}", self.plan.family, self.plan.revision),
            started_by: self.plan.started_by.clone(),
            capacity: self.plan.provider.clone().unwrap_or_else(|| ON_DEMAND.to_owned()),
            last_status: self.life.status.name().to_owned(),
            desired_status: self.life.desired_status().to_owned(),
            stop_code: self.life.stop_code().map(str::to_owned),
            stopped_reason: self.life.stopped_reason().map(str::to_owned),
            exit_code: self.exit_code,
            container_reason: self.container_reason.clone(),
            command: self.command_override(),
            environment: self.environment_override(),
            user_id: self.user_id(),
            version: self.life.version,
            created_at: self.created_at,
            started_at: self.life.started_at,
            stopped_at: self.life.stopped_at,
        }
    }

    /// The `detail` of the state change event, which alone tells when the task has changed.
    pub(super) fn event_detail(&self) -> Value {
        let mut task = self.render(|time| iso(time).into());
        task["updatedAt"] = iso(self.updated_at).into();
        task
    }

    /// The task in answers, with its tags where they are asked for.
    pub(super) fn description(&self, with_tags: bool) -> Value {
        let mut task = self.render(|time| epoch(time).into());
        task["tags"] = if with_tags { self.plan.tags.clone() } else { json!([]) };
        task
    }

    fn render(&self, time: impl Fn(Timestamp) -> Value) -> Value {
        let plan = &self.plan;
        let definition = format!(
            "arn:aws:ecs:{}:{}:task-definition/{}:{}",
            plan.region, plan.account, plan.family, plan.revision
        );
        let group = format!("family:{}", plan.family);
        let task = json!({
            "attachments": self.attachment().into_iter().collect::<Vec<_>>(),
            "attributes": [{ "name": "ecs.cpu-architecture", "value": "x86_64" }],
            "availabilityZone": format!("{}a", plan.region),
            "clusterArn": self.cluster_arn,
            "containers": self.containers(),
            "cpu": plan.cpu,
            "createdAt": time(self.created_at),
            "desiredStatus": self.life.desired_status(),
            "enableExecuteCommand": false,
            "ephemeralStorage": { "sizeInGiB": 20 },
            "group": plan.group.as_ref().unwrap_or(&group),
            "launchType": if plan.instance.is_some() { "EC2" } else { "FARGATE" },
            "lastStatus": self.life.status.name(),
            "memory": plan.memory,
            "overrides": plan.overrides,
            "taskArn": self.arn,
            "taskDefinitionArn": definition,
            "version": self.life.version,
        });
        let connectivity = self.life.connected_at.map(|_| "CONNECTED".into());
        let optional = [
            ("platformVersion", plan.instance.is_none().then(|| "1.4.0".into())),
            ("containerInstanceArn", plan.instance.clone().map(Value::from)),
            ("capacityProviderName", plan.provider.clone().map(Value::from)),
            ("startedBy", plan.started_by.clone().map(Value::from)),
            ("stopCode", self.life.stop_code().map(Value::from)),
            ("stoppedReason", self.life.stopped_reason().map(Value::from)),
            ("connectivity", connectivity),
            ("connectivityAt", self.life.connected_at.map(&time)),
            ("pullStartedAt", self.life.connected_at.map(&time)),
            ("pullStoppedAt", self.life.connected_at.map(&time)),
            ("startedAt", self.life.started_at.map(&time)),
            ("stoppingAt", self.life.stopping_at.map(&time)),
            ("executionStoppedAt", self.life.execution_stopped_at.map(&time)),
            ("stoppedAt", self.life.stopped_at.map(&time)),
        ];
        with_optional(task, optional)
    }

    fn attachment(&self) -> Option<Value> {
        let subnet = self.plan.subnet.as_ref()?;
        let status = match self.life.status {
            Status::Provisioning => "PRECREATED",
            Status::Pending => "ATTACHING",
            Status::Stopped => "DELETED",
            _ => "ATTACHED",
        };
        let mut details = vec![json!({ "name": "subnetId", "value": subnet })];
        if self.life.status > Status::Provisioning {
            details.extend([
                json!({ "name": "networkInterfaceId", "value": self.eni.id }),
                json!({ "name": "macAddress", "value": self.eni.mac }),
                json!({ "name": "privateIPv4Address", "value": self.eni.ip }),
            ]);
        }
        Some(json!({ "id": self.eni.attachment, "type": "eni", "status": status, "details": details }))
    }

    /// Only the first container, which runs the command, has an exit code and a reason.
    fn containers(&self) -> Vec<Value> {
        // A container that ends by itself has ended before its task is stopped; one that is stopped from outside
        // ends in the course of it.
        let ended_from = if self.life.stop_code() == Some(CONTAINER_EXITED) {
            Status::Deactivating
        } else {
            Status::Deprovisioning
        };
        let status = if self.life.status >= ended_from {
            "STOPPED"
        } else if self.life.status >= Status::Running {
            "RUNNING"
        } else {
            "PENDING"
        };
        let interfaces = if self.life.status > Status::Pending && self.plan.subnet.is_some() {
            json!([{ "attachmentId": self.eni.attachment, "privateIpv4Address": self.eni.ip }])
        } else {
            json!([])
        };
        let containers = self.plan.containers.iter().zip(&self.container_ids);
        let containers = containers.enumerate().map(|(place, (definition, ids))| {
            let (region, account) = (&self.plan.region, &self.plan.account);
            let container = json!({
                "containerArn": format!(
                    "arn:aws:ecs:{region}:{account}:container/{}/{}/{}",
                    self.plan.cluster, self.id, ids.0
                ),
                "cpu": "0",
                "image": definition["image"],
                "lastStatus": status,
                "name": definition["name"],
                "networkInterfaces": interfaces,
                "taskArn": self.arn,
            });
            let ended = place == 0 && status == "STOPPED";
            let exit_code = self.exit_code.filter(|_| ended);
            let reason = self.container_reason.clone().filter(|_| ended);
            let runtime = self.life.started_at.map(|_| ids.1.clone());
            let optional = [
                ("exitCode", exit_code.map(Value::from)),
                ("reason", reason.map(Value::from)),
                ("runtimeId", runtime.map(Value::from)),
            ];
            with_optional(container, optional)
        });
        containers.collect()
    }
}

fn with_optional<const N: usize>(mut value: Value, optional: [(&str, Option<Value>); N]) -> Value {
    for (name, member) in optional {
        if let Some(member) = member {
            value[name] = member;
        }
    }
    value
}

fn environment(container: &Value) -> BTreeMap<String, String> {
    let pairs = container["environment"].as_array().into_iter().flatten();
    pairs
        .filter_map(|pair| {
            let (name, value) = (pair["name"].as_str()?, pair["value"].as_str()?);
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn command(container: &Value) -> Vec<String> {
    let words = container["command"].as_array().into_iter().flatten();
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A container of a task definition that nobody registered here.
pub(super) fn container_definition(name: &str) -> Value {
    json!({ "name": name, "image": format!("stand-in/{name}:latest") })
}
