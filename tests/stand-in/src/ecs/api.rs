//! The operations of ECS.

use bellhop_model::ecs::{NO_CAPACITY, STOPPED_BY_USER, Status, USER_INITIATED};
use bellhop_model::tokens::Known;
use serde::Serialize;
use serde_json::{Value, json};

use super::tasks::{ON_DEMAND, SPOT, container_definition};
use super::{Change, Ecs, Plan, State, id_of};
use crate::calls::{Call, preferred_provider};
use crate::replies::{Answer, AwsError};
use crate::support::{lock, page};

const OVERRIDES_LIMIT: usize = 8192;
const TOKEN_LIMIT: usize = 64;
const STARTED_BY_LIMIT: usize = 128;
const DESCRIBE_LIMIT: usize = 100;
const LIST_LIMIT: u64 = 100;

impl Ecs {
    pub(crate) fn answer(&self, call: &Call) -> Result<Answer, AwsError> {
        let request = call.json()?;
        match call.operation.as_str() {
            "RunTask" => self.run_task(request),
            "StopTask" => self.stop_task(request),
            "DescribeTasks" => self.describe_tasks(request),
            "ListTasks" => self.list_tasks(request),
            "RegisterTaskDefinition" => self.register_task_definition(request),
            "DescribeClusters" => self.describe_clusters(request),
            "ListClusters" => self.list_clusters(request),
            "ListContainerInstances" => self.list_container_instances(request),
            "UpdateContainerInstancesState" => self.update_container_instances_state(request),
            "DescribeServices" => self.describe_services(request),
            "UpdateService" => self.update_service(request),
            _ => Err(AwsError::unknown_operation(call)),
        }
    }

    /// RunTask's success that carries a failure and no task, because there is no capacity.
    pub(crate) fn has_no_capacity(&self, call: &Call) -> Value {
        let failures = json!([{ "reason": NO_CAPACITY }]);
        let token = call.json().ok().and_then(|request| request["clientToken"].as_str());
        lock(&self.inner.state).fail(token, failures)
    }

    fn run_task(&self, request: &Value) -> Result<Answer, AwsError> {
        let mut state = lock(&self.inner.state);
        let cluster = state.cluster(request)?;
        let token = client_token(request)?;
        let capacity = capacity(request, |name| state.has_provider(&cluster, name))?;
        let started_by = started_by(request)?;
        let overrides = overrides(request)?;
        let subnet = subnet(request);
        if subnet.is_none() && matches!(capacity, Capacity::Fargate(_)) {
            return Err(invalid(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ));
        }
        let count = request["count"].as_u64().unwrap_or(1);
        if !(1..=10).contains(&count) {
            return Err(invalid("Tasks count must be between 1 and 10."));
        }
        let definition = state.definition(request)?;
        let containers = containers(&definition, &overrides)?;

        let mut request_itself = request.clone();
        if let Some(members) = request_itself.as_object_mut() {
            members.remove("clientToken");
        }
        match token.and_then(|token| state.tokens.look(token, &request_itself, &())) {
            None => {}
            Some(Known::Made(ids)) => {
                let tasks: Vec<_> = state.named(ids).map(|task| task.description(true)).collect();
                return Ok(Answer {
                    body: json!({ "tasks": tasks, "failures": [] }),
                    note: Some("(reused token)".to_owned()),
                });
            }
            Some(Known::OfAnother(ids)) => {
                let arns: Vec<_> = state.named(ids).map(|task| task.arn.as_str()).collect();
                let message = "The provided clientToken is already in use with a different RunTask request.";
                return Err(AwsError::client("ConflictException", message).with("resourceIds", json!(arns)));
            }
            Some(Known::Refused(failures)) => {
                return Ok(Answer {
                    body: json!({ "tasks": [], "failures": failures }),
                    note: Some("(refused token)".to_owned()),
                });
            }
        }

        let text = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
        let mut ids = Vec::new();
        for _ in 0..count {
            let (provider, instance) = match capacity {
                Capacity::Fargate(provider) => (provider.map(str::to_owned), None),
                Capacity::Instances(provider) => match state.emptiest(&cluster, provider) {
                    Some((instance, provider)) => (Some(provider), Some(instance)),
                    None => {
                        let failures = json!([{ "arn": self.cluster_arn(&cluster), "reason": "RESOURCE:CPU" }]);
                        return Ok(state.fail(token, failures).into());
                    }
                },
            };
            let plan = Plan {
                region: self.inner.region.clone(),
                account: self.inner.account.clone(),
                cluster: cluster.clone(),
                family: text(&definition["family"], ""),
                revision: definition["revision"].as_u64().unwrap_or(1),
                containers: containers.clone(),
                cpu: text(&definition["cpu"], "256"),
                memory: text(&definition["memory"], "512"),
                provider,
                instance,
                started_by: started_by.map(str::to_owned),
                group: request["group"].as_str().map(str::to_owned),
                subnet: subnet.map(str::to_owned),
                overrides: overrides.clone(),
                tags: request["tags"].as_array().map_or(json!([]), |tags| json!(tags)),
            };
            ids.push(self.create(&mut state, plan));
        }
        let tasks = ids.iter().filter_map(|id| state.known(id));
        let tasks: Vec<_> = tasks.map(|task| task.description(true)).collect();
        let note = format!("-> {}", ids.join(" "));
        if let Some(token) = token {
            state.tokens.made(token, request_itself, ids, None);
        }
        drop(state);
        self.changed();
        Ok(Answer {
            body: json!({ "tasks": tasks, "failures": [] }),
            note: Some(note),
        })
    }

    fn stop_task(&self, request: &Value) -> Result<Answer, AwsError> {
        let mut state = lock(&self.inner.state);
        let cluster = state.cluster(request)?;
        let id = id_of(request["task"].as_str().unwrap_or_default()).to_owned();
        let stops_at_once = state.stops_at_once;
        let task = state.place(&id).and_then(|place| state.tasks.get_mut(place));
        let task = task.filter(|task| !task.forgotten && task.plan.cluster == cluster);
        let Some(task) = task else {
            return Err(invalid("The referenced task was not found."));
        };
        if task.life.is_stopping() {
            let body = json!({ "task": task.description(true) });
            return Ok(body.into());
        }
        let reason = request["reason"].as_str().unwrap_or(STOPPED_BY_USER);
        let mut change = Change {
            task,
            events: &self.inner.events,
            produced: Vec::new(),
        };
        change.want_stop(USER_INITIATED, reason);
        let body = json!({ "task": change.task.description(true) });
        if self.inner.processes.is_none()
            && let Some(code) = stops_at_once
        {
            let ran = change.task.life.status >= Status::Running;
            change.end_and_stop(Some(code).filter(|_| ran));
        }
        drop(state);
        self.changed();
        self.terminate(&id, self.inner.timing.stop_timeout);
        Ok(body.into())
    }

    fn describe_tasks(&self, request: &Value) -> Result<Answer, AwsError> {
        let state = lock(&self.inner.state);
        let cluster = state.cluster(request)?;
        let wanted: Vec<_> = strings(&request["tasks"]).collect();
        if wanted.is_empty() {
            return Err(invalid("Tasks cannot be empty."));
        }
        if wanted.len() > DESCRIBE_LIMIT {
            return Err(invalid("Tasks cannot have more than 100 elements."));
        }
        let with_tags = strings(&request["include"]).any(|item| item == "TAGS");
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for name in wanted {
            let task = state.known(name);
            match task.filter(|task| task.plan.cluster == cluster) {
                Some(task) => tasks.push(task.description(with_tags)),
                None => {
                    let arn = self.task_arn(&cluster, name);
                    failures.push(json!({ "arn": arn, "reason": "MISSING" }));
                }
            }
        }
        Ok(json!({ "tasks": tasks, "failures": failures }).into())
    }

    fn list_tasks(&self, request: &Value) -> Result<Answer, AwsError> {
        let state = lock(&self.inner.state);
        let cluster = state.cluster(request)?;
        let started_by = started_by(request)?;
        let others = ["family", "serviceName", "containerInstance", "desiredStatus", "launchType"];
        let combined = others.iter().any(|name| !request[*name].is_null());
        if started_by.is_some() && combined {
            return Err(invalid("startedBy must be the only filter that you use."));
        }
        let desired = request["desiredStatus"].as_str().unwrap_or("RUNNING");
        let fits = |value: &Value, of_task: &str| value.as_str().is_none_or(|value| value == of_task);
        let arns: Vec<_> = state
            .tasks
            .iter()
            .filter(|task| !task.forgotten && task.plan.cluster == cluster)
            .filter(|task| task.life.desired_status() == desired)
            .filter(|task| started_by.is_none() || task.plan.started_by.as_deref() == started_by)
            .filter(|task| fits(&request["family"], &task.plan.family))
            .filter(|task| fits(&request["launchType"], if task.plan.instance.is_some() { "EC2" } else { "FARGATE" }))
            .filter(|task| fits(&request["containerInstance"], task.plan.instance.as_deref().unwrap_or_default()))
            // No task belongs to a service.
            .filter(|_| request["serviceName"].is_null())
            .map(|task| task.arn.as_str())
            .collect();
        listed("taskArns", &arns, request)
    }

    fn register_task_definition(&self, request: &Value) -> Result<Answer, AwsError> {
        let Some(family) = request["family"].as_str() else {
            return Err(AwsError::client("ClientException", "Family should not be null."));
        };
        if !request["containerDefinitions"].is_array() {
            let message = "Container list cannot be empty.";
            return Err(AwsError::client("ClientException", message));
        }
        let mut state = lock(&self.inner.state);
        let revisions = state.definitions.entry(family.to_owned()).or_default();
        let revision = revisions.len() + 1;
        let mut definition = request.clone();
        let tags = definition.as_object_mut().and_then(|members| members.remove("tags"));
        definition["revision"] = revision.into();
        definition["status"] = "ACTIVE".into();
        definition["taskDefinitionArn"] = format!(
            "arn:aws:ecs:{}:{}:task-definition/{family}:{revision}",
            self.inner.region, self.inner.account
        )
        .into();
        revisions.push(definition.clone());
        Ok(json!({ "taskDefinition": definition, "tags": tags.unwrap_or_else(|| json!([])) }).into())
    }

    fn describe_clusters(&self, request: &Value) -> Result<Answer, AwsError> {
        let state = lock(&self.inner.state);
        let mut wanted: Vec<_> = strings(&request["clusters"]).map(id_of).collect();
        if wanted.is_empty() {
            wanted.push("default");
        }
        let (known, missing): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|name| state.has_cluster(name));
        let clusters: Vec<_> = known
            .into_iter()
            .map(|name| {
                json!({
                    "clusterArn": self.cluster_arn(name),
                    "clusterName": name,
                    "status": "ACTIVE",
                    "capacityProviders": [ON_DEMAND, SPOT],
                    "defaultCapacityProviderStrategy": [],
                })
            })
            .collect();
        let failures: Vec<_> = missing
            .into_iter()
            .map(|name| json!({ "arn": self.cluster_arn(name), "reason": "MISSING" }))
            .collect();
        Ok(json!({ "clusters": clusters, "failures": failures }).into())
    }

    fn list_clusters(&self, request: &Value) -> Result<Answer, AwsError> {
        let state = lock(&self.inner.state);
        let names = state.clusters.iter().flatten();
        let arns: Vec<_> = names.map(|name| self.cluster_arn(name)).collect();
        listed("clusterArns", &arns, request)
    }

    pub(super) fn cluster_arn(&self, name: &str) -> String {
        let (region, account) = (&self.inner.region, &self.inner.account);
        format!("arn:aws:ecs:{region}:{account}:cluster/{name}")
    }

    fn task_arn(&self, cluster: &str, task: &str) -> String {
        if task.starts_with("arn:") {
            return task.to_owned();
        }
        let (region, account) = (&self.inner.region, &self.inner.account);
        format!("arn:aws:ecs:{region}:{account}:task/{cluster}/{task}")
    }
}

impl State {
    fn has_cluster(&self, name: &str) -> bool {
        let known = self.clusters.as_ref();
        known.is_none_or(|known| known.contains(name))
    }

    /// The name of the cluster that the request is about.
    pub(super) fn cluster(&self, request: &Value) -> Result<String, AwsError> {
        let name = id_of(request["cluster"].as_str().unwrap_or("default"));
        if self.has_cluster(name) {
            Ok(name.to_owned())
        } else {
            Err(AwsError::client("ClusterNotFoundException", "Cluster not found."))
        }
    }

    /// The task definition, given as family, as `family:revision` or as an ARN. One that nobody registered has no
    /// containers of its own.
    fn definition(&self, request: &Value) -> Result<Value, AwsError> {
        let not_found = || AwsError::client("ClientException", "TaskDefinition not found.");
        let name = id_of(request["taskDefinition"].as_str().unwrap_or_default());
        let (family, revision) = match name.split_once(':') {
            Some((family, revision)) => {
                let revision: usize = revision.parse().map_err(|_| not_found())?;
                (family, Some(revision))
            }
            None => (name, None),
        };
        if family.is_empty() || revision == Some(0) || self.denied.contains(family) {
            return Err(not_found());
        }
        let Some(revisions) = self.definitions.get(family) else {
            return Ok(json!({ "family": family, "revision": revision.unwrap_or(1) }));
        };
        let place = revision.unwrap_or(revisions.len()) - 1;
        revisions.get(place).cloned().ok_or_else(not_found)
    }
}

/// The containers of a new task, the one that the first override is for first.
fn containers(definition: &Value, overrides: &Value) -> Result<Vec<Value>, AwsError> {
    let overridden = overrides["containerOverrides"].as_array();
    let overridden: Vec<_> = overridden
        .into_iter()
        .flatten()
        .map(|container| container["name"].as_str().unwrap_or_default())
        .collect();
    let Some(defined) = definition["containerDefinitions"].as_array() else {
        let family = definition["family"].as_str().unwrap_or_default();
        return Ok(match overridden.as_slice() {
            [] => vec![container_definition(family)],
            names => names.iter().copied().map(container_definition).collect(),
        });
    };
    for name in &overridden {
        if !defined.iter().any(|container| container["name"] == **name) {
            return Err(invalid(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
    }
    let mut containers = defined.clone();
    if let Some(first) = overridden.first() {
        containers.sort_by_key(|container| container["name"] != **first);
    }
    Ok(containers)
}

fn client_token(request: &Value) -> Result<Option<&str>, AwsError> {
    let token = request["clientToken"].as_str();
    let valid = token.is_none_or(|token| {
        let printable = token.bytes().all(|byte| (33..=126).contains(&byte));
        !token.is_empty() && token.len() <= TOKEN_LIMIT && printable
    });
    if valid {
        Ok(token)
    } else {
        Err(invalid("clientToken must be 1 to 64 printable ASCII characters"))
    }
}

fn started_by(request: &Value) -> Result<Option<&str>, AwsError> {
    let started_by = request["startedBy"].as_str();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    let valid = started_by.is_none_or(|text| text.len() <= STARTED_BY_LIMIT && text.bytes().all(allowed));
    if valid {
        Ok(started_by)
    } else {
        Err(invalid(
            "startedBy must be at most 128 letters, digits, hyphens, forward slashes and underscores",
        ))
    }
}

/// Where a task is to run.
#[derive(Clone, Copy)]
enum Capacity<'a> {
    /// On Fargate, by this capacity provider or by launch type.
    Fargate(Option<&'a str>),
    /// On an instance, of this capacity provider or of any.
    Instances(Option<&'a str>),
}

/// The capacity that is asked for. Providers other than Fargate's are those that `known` knows.
///
/// Of a mixed strategy it is always the provider with the greatest base, then the greatest weight, where ECS would
/// distribute many tasks by the weights.
fn capacity(request: &Value, known: impl Fn(&str) -> bool) -> Result<Capacity<'_>, AwsError> {
    let launch_type = request["launchType"].as_str();
    let strategy = request["capacityProviderStrategy"].as_array();
    let strategy = strategy.filter(|strategy| !strategy.is_empty());
    match (launch_type, strategy) {
        (Some(_), Some(_)) => Err(invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        )),
        (Some("FARGATE"), None) => Ok(Capacity::Fargate(None)),
        (Some("EC2"), None) => Ok(Capacity::Instances(None)),
        (_, None) => Err(invalid("No Container Instances were found in your cluster.")),
        (None, Some(strategy)) => {
            let names = strategy.iter().map(|item| &item["capacityProvider"]);
            for name in names {
                if !name.as_str().is_some_and(|name| matches!(name, SPOT | ON_DEMAND) || known(name)) {
                    return Err(invalid(format!(
                        "The specified capacity provider {name} was not found. Specify a valid name or ARN and try again."
                    )));
                }
            }
            // A weight that is left out counts as 0.
            let weighty = |item: &Value| item["weight"].as_u64().unwrap_or(0) > 0;
            if !strategy.iter().any(weighty) {
                return Err(invalid(
                    "At least one capacity provider of the strategy must have a weight greater than 0.",
                ));
            }
            Ok(match preferred_provider(request) {
                Some(name) if !matches!(name, SPOT | ON_DEMAND) => Capacity::Instances(Some(name)),
                fargate => Capacity::Fargate(fargate),
            })
        }
    }
}

fn overrides(request: &Value) -> Result<Value, AwsError> {
    let given = &request["overrides"];
    if !given.is_null() && given.to_string().chars().count() > OVERRIDES_LIMIT {
        return Err(invalid("Container Overrides length must be at most 8192"));
    }
    let mut overrides = json!({ "containerOverrides": [] });
    for (name, member) in given.as_object().into_iter().flatten() {
        overrides[name] = without_nulls(member);
    }
    Ok(overrides)
}

/// What is left of a request's member: what is null was not given.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name.clone(), without_nulls(member)))
            .collect(),
        other => other.clone(),
    }
}

fn subnet(request: &Value) -> Option<&str> {
    strings(&request["networkConfiguration"]["awsvpcConfiguration"]["subnets"]).next()
}

pub(super) fn strings(list: &Value) -> impl Iterator<Item = &str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str)
}

/// A page of a list of ARNs.
pub(super) fn listed<T: Serialize>(name: &str, arns: &[T], request: &Value) -> Result<Answer, AwsError> {
    let limit = request["maxResults"].as_u64().unwrap_or(LIST_LIMIT).clamp(1, LIST_LIMIT);
    let limit = usize::try_from(limit).unwrap_or(DESCRIBE_LIMIT);
    let page = page(arns, request["nextToken"].as_str(), limit);
    let (page, next) = page.ok_or_else(|| invalid("Invalid token in pagination."))?;
    let mut body = json!({ name: page });
    if let Some(next) = next {
        body["nextToken"] = next.into();
    }
    Ok(body.into())
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::client("InvalidParameterException", message)
}
