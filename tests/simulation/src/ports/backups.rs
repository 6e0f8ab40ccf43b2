//! AWS Backup and Cloud Control.

use async_trait::async_trait;
use bellhop_domain::backup::{Definition, JobKind, JobObservation, Point, RemovalObservation};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Backups, JobStart};

use super::fate::Service;
use super::port::Port;
use crate::backups;
use crate::world::Subject;

#[async_trait]
impl Backups for Port {
    async fn back_up(&self, definition: &Definition, token: &str) -> Result<JobStart, Fault> {
        let wanted = wanted(JobKind::Backup, definition, token, None, None);
        self.begin("StartBackupJob", wanted).await
    }

    async fn copy(&self, definition: &Definition, point: &str, token: &str) -> Result<JobStart, Fault> {
        let wanted = wanted(JobKind::Copy, definition, token, Some(point), None);
        self.begin("StartCopyJob", wanted).await
    }

    async fn restore(&self, definition: &Definition, point: &str, name: &str, token: &str) -> Result<JobStart, Fault> {
        let wanted = wanted(JobKind::Restore, definition, token, Some(point), Some(name));
        self.begin("StartRestoreJob", wanted).await
    }

    async fn job(&self, kind: JobKind, id: &str) -> Result<Option<JobObservation>, Fault> {
        let id = id.to_owned();
        self.call(Service::Other, "DescribeBackupJob", Subject::World, move |world| {
            backups::describe(world, kind, &id)
        })
        .await
    }

    async fn newest(&self, resource: &str, _: &str) -> Result<Option<Point>, Fault> {
        let resource = resource.to_owned();
        self.call(Service::Other, "ListRecoveryPointsByBackupVault", Subject::World, move |world| {
            backups::newest(world, &resource)
        })
        .await
    }

    async fn remove(&self, resource: &str, token: &str) -> Result<RemovalObservation, Fault> {
        let (resource, token) = (resource.to_owned(), token.to_owned());
        self.call(Service::Other, "DeleteResource", Subject::World, move |world| {
            backups::remove(world, &resource, &token)
        })
        .await
    }

    async fn removal(&self, request: &str) -> Result<RemovalObservation, Fault> {
        let request = request.to_owned();
        self.call(Service::Other, "GetResourceRequestStatus", Subject::World, move |world| {
            backups::removal(world, &request)
        })
        .await
    }
}

impl Port {
    pub(super) async fn begin(&self, what: &'static str, wanted: backups::Wanted) -> Result<JobStart, Fault> {
        self.call(Service::Other, what, Subject::World, move |world| backups::begin(world, &wanted))
            .await
    }
}

pub(super) fn wanted(kind: JobKind, definition: &Definition, token: &str, point: Option<&str>, name: Option<&str>) -> backups::Wanted {
    backups::Wanted {
        kind,
        token: token.to_owned(),
        resource: definition.resource.clone(),
        point: point.map(str::to_owned),
        name: name.map(str::to_owned),
    }
}
