//! Container instances of ECS, which EC2 may interrupt.

use async_trait::async_trait;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{AttemptId, InstanceId};
use bellhop_domain::instance::{ForeignTask, Host};

use crate::Fault;

/// A running task on an instance that was not asked to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceTask {
    /// An attempt's agent, and its state.
    Agent(AttemptId, Observation),
    /// A foreign task.
    Foreign(ForeignTask),
}

/// The container instances of ECS.
#[async_trait]
pub trait Instances: Send + Sync {
    /// The place of an instance in these clusters; `None` if it belongs to none of them. Takes one call per cluster.
    async fn find(&self, instance: &InstanceId, clusters: &[String]) -> Result<Option<Host>, Fault>;

    /// The tasks on an instance. None if it no longer exists.
    async fn tasks(&self, host: &Host) -> Result<Vec<InstanceTask>, Fault>;

    /// Drains an instance. If it no longer exists, that is not an error.
    async fn drain(&self, host: &Host) -> Result<(), Fault>;

    /// Whether an instance exists and is drained.
    async fn is_draining(&self, instance: &InstanceId, host: &Host) -> Result<bool, Fault>;

    /// Reactivates an instance; returns whether it still exists.
    async fn activate(&self, host: &Host) -> Result<bool, Fault>;
}
