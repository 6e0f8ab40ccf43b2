//! Services of ECS, as far as they are restarted: a name with its deployments. No tasks belong to them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Ecs;
use crate::replies::{Answer, AwsError};
use crate::support::{epoch, hex, lock};

/// A service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    cluster: String,
    name: String,
    /// Whether it was deleted, which ECS remembers for a while.
    is_deleted: bool,
    /// The newest last.
    deployments: Vec<Deployment>,
}

#[derive(Debug, Clone)]
struct Deployment {
    id: String,
    created: Timestamp,
}

impl Deployment {
    fn new(created: Timestamp) -> Self {
        Self {
            id: format!("ecs-svc/{}", hex(19)),
            created,
        }
    }
}

impl Ecs {
    /// Puts a service into a cluster, deployed at a moment.
    pub fn add_service(&self, cluster: &str, name: &str, deployed: Timestamp) {
        lock(&self.inner.state).services.push(Service {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            is_deleted: false,
            deployments: vec![Deployment::new(deployed)],
        });
    }

    /// Deletes a service: it becomes INACTIVE.
    pub fn delete_service(&self, cluster: &str, name: &str) {
        let mut state = lock(&self.inner.state);
        let services = state.services.iter_mut();
        services
            .filter(|service| service.cluster == cluster && service.name == name)
            .for_each(|service| service.is_deleted = true);
    }

    /// How often a service has been deployed, with the first time; 0 for one that is not there.
    pub fn deployments(&self, cluster: &str, name: &str) -> usize {
        let state = lock(&self.inner.state);
        let mut services = state.services.iter();
        let found = services.find(|service| service.cluster == cluster && service.name == name);
        found.map_or(0, |service| service.deployments.len())
    }

    pub(super) fn describe_services(&self, request: &Value) -> Result<Answer, AwsError> {
        let state = lock(&self.inner.state);
        let cluster = state.cluster(request)?;
        let wanted: Vec<&str> = request["services"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if wanted.is_empty() || wanted.len() > 10 {
            return Err(AwsError::client(
                "InvalidParameterException",
                "Services must have 1 to 10 elements.",
            ));
        }
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for name in wanted {
            match state
                .services
                .iter()
                .find(|service| service.cluster == cluster && service.name == name)
            {
                Some(service) => services.push(self.described(service)),
                None => failures.push(json!({ "arn": self.service_arn(&cluster, name), "reason": "MISSING" })),
            }
        }
        Ok(json!({ "services": services, "failures": failures }).into())
    }

    /// A new deployment, if one is forced; nothing else about a service can be changed here.
    pub(super) fn update_service(&self, request: &Value) -> Result<Answer, AwsError> {
        let mut state = lock(&self.inner.state);
        let cluster = state.cluster(request)?;
        let name = request["service"].as_str().unwrap_or_default();
        let found = state
            .services
            .iter_mut()
            .find(|service| service.cluster == cluster && service.name == name);
        let Some(service) = found else {
            return Err(AwsError::client("ServiceNotFoundException", "Service not found."));
        };
        if service.is_deleted {
            return Err(AwsError::client("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        if request["forceNewDeployment"] == true {
            service.deployments.push(Deployment::new(Timestamp::now()));
        }
        let service = service.clone();
        drop(state);
        self.changed();
        Ok(json!({ "service": self.described(&service) }).into())
    }

    /// A deployment is complete, and the ones before it gone, once its tasks have come up and theirs have ended.
    fn described(&self, service: &Service) -> Value {
        let timing = self.inner.timing;
        let takes = timing.provisioning + timing.deprovisioning;
        let complete = |deployment: &Deployment| deployment.created.checked_add(takes).is_ok_and(|at| at <= Timestamp::now());
        let standing = match service.deployments.as_slice() {
            _ if service.is_deleted => &[],
            [.., newest] if complete(newest) => std::slice::from_ref(newest),
            all => all,
        };
        let deployments: Vec<Value> = standing
            .iter()
            .rev()
            .enumerate()
            .map(|(age, deployment)| {
                json!({
                    "id": deployment.id,
                    "status": if age == 0 { "PRIMARY" } else { "ACTIVE" },
                    "rolloutState": if complete(deployment) { "COMPLETED" } else { "IN_PROGRESS" },
                    "desiredCount": 1,
                    "createdAt": epoch(deployment.created),
                    "updatedAt": epoch(deployment.created),
                })
            })
            .collect();
        let count = u32::from(!service.is_deleted);
        json!({
            "serviceArn": self.service_arn(&service.cluster, &service.name),
            "serviceName": service.name,
            "clusterArn": self.cluster_arn(&service.cluster),
            "status": if service.is_deleted { "INACTIVE" } else { "ACTIVE" },
            "desiredCount": count,
            "runningCount": count,
            "pendingCount": 0,
            "deployments": deployments,
        })
    }

    fn service_arn(&self, cluster: &str, name: &str) -> String {
        let (region, account) = (&self.inner.region, &self.inner.account);
        format!("arn:aws:ecs:{region}:{account}:service/{cluster}/{name}")
    }
}
