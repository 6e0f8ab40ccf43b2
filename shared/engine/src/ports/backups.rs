//! AWS Backup.

use async_trait::async_trait;
use bellhop_domain::backup::{Definition, JobKind, JobObservation, Point, RemovalObservation};

use crate::Fault;

/// The result of starting an AWS Backup job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStart {
    /// The job has this id; it is new or from an earlier try with the same token.
    Started(String),
    /// AWS Backup refused it, and a retry would not help: the reason.
    Refused(String),
}

/// AWS Backup, and Cloud Control, which deletes resources that restore tests created.
#[async_trait]
pub trait Backups: Send + Sync {
    /// Starts a backup job. Repeated calls with one token start one job.
    async fn back_up(&self, definition: &Definition, token: &str) -> Result<JobStart, Fault>;

    /// Starts the copy of a recovery point, likewise.
    async fn copy(&self, definition: &Definition, point: &str, token: &str) -> Result<JobStart, Fault>;

    /// Starts the restore of a recovery point to a new resource, with this name if its kind has names; likewise.
    async fn restore(&self, definition: &Definition, point: &str, name: &str, token: &str) -> Result<JobStart, Fault>;

    /// The state of a job; `None` if AWS Backup does not have it.
    async fn job(&self, kind: JobKind, id: &str) -> Result<Option<JobObservation>, Fault>;

    /// The newest complete recovery point of a resource in a vault; `None` if it or the vault does not exist.
    async fn newest(&self, resource: &str, vault: &str) -> Result<Option<Point>, Fault>;

    /// Deletes a resource that a restore test created. Repeated calls with one token are one request.
    async fn remove(&self, resource: &str, token: &str) -> Result<RemovalObservation, Fault>;

    /// The state of such a request.
    async fn removal(&self, request: &str) -> Result<RemovalObservation, Fault>;
}
