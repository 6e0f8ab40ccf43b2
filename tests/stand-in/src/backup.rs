//! AWS Backup's jobs and recovery points, and Cloud Control's removal of what a restore created. Nothing runs: the test, or the story, says what
//! happens to each job.

mod api;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bellhop_domain::backup::JobState;
use bellhop_model::backup::meaning;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) use api::operation;

use crate::Options;
use crate::events::Events;
use crate::support::{self, iso, lock, uuid};

/// The backups of the stand-in. Clones are handles to the same ones.
///
/// A job is created as `CREATED`, or a restore as `PENDING`, and stays so until [`Backup::ends`] says otherwise. Its event has the shape of the real one; a job that ends by
/// [`Backup::ends_in_silence`] has none, as AWS Backup's events are best effort.
#[derive(Clone)]
pub struct Backup {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    account: String,
    events: Events,
    state: Mutex<State>,
    /// Counts the changes, for those who wait for one.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    jobs: Vec<BackupJobView>,
    points: Vec<RecoveryPointView>,
    removals: Vec<RemovalView>,
    /// How removals end.
    removals_fail: bool,
}

/// A backup, copy or restore job as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct BackupJobView {
    /// `backup`, `copy` or `restore`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its state, such as `COMPLETED`.
    pub state: String,
    /// What AWS Backup says about it.
    pub message: Option<String>,
    /// The request that it was started with.
    pub request: Value,
    /// The ARN of what is backed up.
    pub resource: String,
    /// The recovery point that came of it (of a copy: the copy), or that is restored.
    pub point: Option<String>,
    /// What a restore created.
    pub created_resource: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// A recovery point.
#[derive(Debug, Clone, Serialize)]
pub struct RecoveryPointView {
    /// Its ARN.
    pub arn: String,
    /// The vault.
    pub vault: String,
    /// What is in it.
    pub resource: String,
    /// When it was created.
    pub created: Timestamp,
}

/// A request to remove a resource.
#[derive(Debug, Clone, Serialize)]
pub struct RemovalView {
    /// Its token with Cloud Control.
    pub request: String,
    /// The caller's own token.
    pub client_token: String,
    /// The type, such as `AWS::DynamoDB::Table`.
    pub type_name: String,
    /// The resource.
    pub identifier: String,
    /// `IN_PROGRESS`, `SUCCESS` or `FAILED`.
    pub status: &'static str,
}

impl Backup {
    pub(crate) fn new(options: &Options, events: Events) -> Self {
        Self {
            inner: Arc::new(Inner {
                region: options.region.clone(),
                account: options.account.clone(),
                events,
                state: Mutex::default(),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// All jobs, in the order in which they were started.
    pub fn jobs(&self) -> Vec<BackupJobView> {
        lock(&self.inner.state).jobs.clone()
    }

    /// All requests to remove something, in their order.
    pub fn removals(&self) -> Vec<RemovalView> {
        lock(&self.inner.state).removals.clone()
    }

    /// Waits until there are so many jobs of a kind, and gives the last of them.
    ///
    /// # Errors
    /// There were not, in time.
    pub async fn wait_for_job(&self, kind: &str, count: usize, within: Duration) -> anyhow::Result<BackupJobView> {
        let find = || self.jobs().into_iter().filter(|job| job.kind == kind).nth(count.saturating_sub(1));
        support::wait_for(&self.inner.changes, within, find)
            .await
            .with_context(|| format!("no {count} {kind} jobs within {within:?}; the jobs are {:?}", self.jobs()))
    }

    /// Adds a recovery point of this age.
    pub fn add_point(&self, resource: &str, vault: &str, age: Duration) -> String {
        let arn = self.point_arn();
        lock(&self.inner.state).points.push(RecoveryPointView {
            arn: arn.clone(),
            vault: vault.to_owned(),
            resource: resource.to_owned(),
            created: Timestamp::now() - age,
        });
        arn
    }

    /// Lets removals fail from now on, or succeed again.
    pub fn fail_removals(&self, fail: bool) {
        lock(&self.inner.state).removals_fail = fail;
    }

    /// Forgets a job, as AWS Backup does after some weeks.
    pub fn forget(&self, id: &str) {
        lock(&self.inner.state).jobs.retain(|job| job.id != id);
    }

    /// Lets a job come to a state, such as `COMPLETED`, with a status message, and tells it in an event.
    ///
    /// # Errors
    /// There is no such job or state.
    pub fn ends(&self, id: &str, state: &str, message: Option<&str>) -> anyhow::Result<Value> {
        let job = self.ends_in_silence(id, state, message)?;
        Ok(self.tell(&job))
    }

    /// The same without an event.
    ///
    /// # Errors
    /// There is no such job or state.
    pub fn ends_in_silence(&self, id: &str, state: &str, message: Option<&str>) -> anyhow::Result<BackupJobView> {
        let new_point = self.point_arn();
        let mut locked = lock(&self.inner.state);
        let State { jobs, points, .. } = &mut *locked;
        let job = jobs.iter_mut().find(|job| job.id == id).context("no such job")?;
        let Some(meaning) = meaning(job.kind, state) else {
            bail!("{state} is not a state of a {} job", job.kind);
        };
        job.state = state.to_owned();
        job.message = message.map(str::to_owned);
        if meaning != JobState::Underway {
            job.ended = Some(Timestamp::now());
        }
        if meaning == JobState::Completed {
            match job.kind {
                "backup" => {
                    let vault = job.request["BackupVaultName"].as_str().unwrap_or_default().to_owned();
                    points.push(RecoveryPointView {
                        arn: new_point.clone(),
                        vault,
                        resource: job.resource.clone(),
                        created: job.created,
                    });
                    job.point = Some(new_point);
                }
                "copy" => job.point = Some(new_point),
                _ => job.created_resource = Some(restored(job)),
            }
        }
        let job = job.clone();
        drop(locked);
        self.changed();
        Ok(job)
    }

    /// Publishes the event of a job's state. Backup and copy jobs tell it in `state`, restore jobs in `status`.
    fn tell(&self, job: &BackupJobView) -> Value {
        let role = &job.request["IamRoleArn"];
        let mut detail = json!({ "creationDate": iso(job.created), "iamRoleArn": role });
        let mut set = |name: &str, value: Value| {
            if let Some(object) = detail.as_object_mut() {
                object.insert(name.to_owned(), value);
            }
        };
        if let Some(ended) = job.ended {
            set("completionDate", iso(ended).into());
        }
        if let Some(message) = &job.message {
            set("statusMessage", message.clone().into());
        }
        let percent = if job.state == "COMPLETED" { 100.0 } else { 0.0 };
        let kind = match job.kind {
            "backup" => {
                let vault = &job.request["BackupVaultName"];
                set("backupJobId", job.id.clone().into());
                set("backupVaultName", vault.clone());
                set("backupVaultArn", self.vault_arn(vault.as_str().unwrap_or_default()).into());
                set("resourceArn", job.resource.clone().into());
                set("resourceType", resource_type(&job.resource).into());
                set("bytesTransferred", "36048".into());
                set("percentDone", percent.into());
                set("state", job.state.clone().into());
                "Backup Job State Change"
            }
            "copy" => {
                set("copyJobId", job.id.clone().into());
                set("backupSizeInBytes", 36048.into());
                set("resourceArn", job.resource.clone().into());
                set("resourceType", resource_type(&job.resource).into());
                let source = job.request["SourceBackupVaultName"].as_str().unwrap_or_default();
                set("sourceBackupVaultArn", self.vault_arn(source).into());
                set("destinationBackupVaultArn", job.request["DestinationBackupVaultArn"].clone());
                set("destinationRecoveryPointArn", job.point.clone().map_or(json!({}), Value::String));
                set("state", job.state.clone().into());
                "Copy Job State Change"
            }
            _ => {
                set("restoreJobId", job.id.clone().into());
                set("backupSizeInBytes", "36048".into());
                set("resourceType", job.request["ResourceType"].clone());
                set("percentDone", percent.into());
                set("status", job.state.clone().into());
                if let Some(created) = &job.created_resource {
                    set("createdResourceArn", created.clone().into());
                }
                "Restore Job State Change"
            }
        };
        let point = job.point.as_deref().filter(|_| job.kind == "restore" || job.state == "COMPLETED");
        self.inner.events.publish("aws.backup", kind, point.as_slice(), detail)
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|count| *count += 1);
    }

    fn vault_arn(&self, name: &str) -> String {
        format!("arn:aws:backup:{}:{}:backup-vault:{name}", self.inner.region, self.inner.account)
    }

    fn point_arn(&self) -> String {
        format!(
            "arn:aws:backup:{}:{}:recovery-point:{}",
            self.inner.region,
            self.inner.account,
            uuid()
        )
    }
}

fn resource_type(arn: &str) -> &'static str {
    match arn.split(':').nth(2) {
        Some("dynamodb") => "DynamoDB",
        Some("elasticfilesystem") => "EFS",
        Some("s3") => "S3",
        _ => "EBS",
    }
}

/// What a restore creates: a table of the name that it was given, or something with an id of its own.
fn restored(job: &BackupJobView) -> String {
    let (place, name) = job.resource.rsplit_once('/').unwrap_or((&job.resource, ""));
    match (job.request["Metadata"]["targetTableName"].as_str(), name.split_once('-')) {
        (Some(table), _) => format!("{place}/{table}"),
        (None, Some((prefix, _))) => format!("{place}/{prefix}-{}", support::hex(17)),
        (None, None) => format!("{place}/{}", support::hex(17)),
    }
}
