//! Long-running services of ECS.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::Fault;

/// The result of restarting a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restarted {
    /// New tasks are being started to replace the old ones, by this request or an earlier one.
    Yes,
    /// The service cannot be restarted. The text has the reason.
    No(String),
}

/// Long-running ECS services, such as a Jenkins controller.
#[async_trait]
pub trait Services: Send + Sync {
    /// Restarts a service with new tasks, unless that has begun since a moment: repeated calls for that moment restart it once.
    async fn restart(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Restarted, Fault>;
}
