//! AWS Backup's jobs and recovery points, and Cloud Control's removal of what a restore created. Nothing runs: the test, or the story, says what
//! happens to each job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::http::Method;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Options;
use crate::calls::Call;
use crate::events::Events;
use crate::replies::{Answer, AwsError};
use crate::support::{self, epoch, iso, lock, uuid};

const STATES: [&str; 8] = [
    "CREATED",
    "PENDING",
    "RUNNING",
    "ABORTED",
    "COMPLETED",
    "FAILED",
    "EXPIRED",
    "PARTIAL",
];

/// The backups of the stand-in. Clones are handles to the same ones.
///
/// A job is created as `CREATED` and stays so until [`Backup::ends`] says otherwise. Its event has the shape of the real one; a job that ends by
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
        if !STATES.contains(&state) {
            bail!("{state} is no state of a job");
        }
        let new_point = self.point_arn();
        let mut locked = lock(&self.inner.state);
        let State { jobs, points, .. } = &mut *locked;
        let job = jobs.iter_mut().find(|job| job.id == id).context("no such job")?;
        job.state = state.to_owned();
        job.message = message.map(str::to_owned);
        if !["CREATED", "PENDING", "RUNNING"].contains(&state) {
            job.ended = Some(Timestamp::now());
        }
        if state == "COMPLETED" {
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

    /// Answers a request to AWS Backup, whose operations are known by method and path.
    pub(crate) fn answer(&self, call: &Call, method: &Method, path: &str, query: &str, body: &[u8]) -> Result<Answer, AwsError> {
        let request =
            || serde_json::from_slice::<Value>(body).map_err(|_| AwsError::client("SerializationException", "The body is not JSON"));
        let last = || decoded(path.rsplit('/').next().unwrap_or_default());
        match call.operation.as_str() {
            "StartBackupJob" => self.start("backup", request()?),
            "StartCopyJob" => self.start("copy", request()?),
            "StartRestoreJob" => self.start("restore", request()?),
            "DescribeBackupJob" => self.describe("backup", &last()),
            "DescribeCopyJob" => self.describe("copy", &last()),
            "DescribeRestoreJob" => self.describe("restore", &last()),
            "ListRecoveryPointsByBackupVault" => Ok(self.points(path, query)),
            "GetRecoveryPointRestoreMetadata" => self.restore_metadata(path),
            _ => {
                tracing::debug!(%method, path, "an operation that the stand-in does not have");
                Err(AwsError::unknown_operation(call))
            }
        }
    }

    fn start(&self, kind: &'static str, request: Value) -> Result<Answer, AwsError> {
        let text = |name: &str| match request[name].as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(AwsError::client("MissingParameterValueException", format!("{name} is missing"))),
        };
        text("IamRoleArn")?;
        let token = request["IdempotencyToken"].as_str();
        let mut state = lock(&self.inner.state);
        let (resource, point) = match kind {
            "backup" => {
                text("BackupVaultName")?;
                check_windows(&request)?;
                (text("ResourceArn")?, None)
            }
            _ => {
                if kind == "copy" {
                    text("SourceBackupVaultName")?;
                    text("DestinationBackupVaultArn")?;
                } else if !request["Metadata"].is_object() {
                    return Err(AwsError::client("MissingParameterValueException", "Metadata is missing"));
                }
                let arn = text("RecoveryPointArn")?;
                let known = state.points.iter().find(|point| point.arn == arn);
                let known = known.ok_or_else(|| not_found(&format!("Recovery point {arn} does not exist")))?;
                (known.resource.clone(), (kind == "restore").then_some(arn))
            }
        };
        // One token, one job; the same token for something else is refused.
        let known = state
            .jobs
            .iter()
            .find(|job| token.is_some() && job.kind == kind && job.request["IdempotencyToken"].as_str() == token);
        if let Some(known) = known {
            if known.request != request {
                let message = "The idempotency token was used with other parameters";
                return Err(AwsError::client("InvalidParameterValueException", message));
            }
            return Ok(begun(known));
        }
        let job = BackupJobView {
            kind,
            id: uuid(),
            state: "CREATED".to_owned(),
            message: None,
            request,
            resource,
            point,
            created_resource: None,
            created: Timestamp::now(),
            ended: None,
        };
        let answer = begun(&job);
        state.jobs.push(job);
        drop(state);
        self.changed();
        Ok(answer)
    }

    fn describe(&self, kind: &str, id: &str) -> Result<Answer, AwsError> {
        let state = lock(&self.inner.state);
        let job = state.jobs.iter().find(|job| job.kind == kind && job.id == id);
        let job = job.ok_or_else(|| not_found(&format!("The job {id} does not exist")))?;
        let mut body = json!({
            "AccountId": self.inner.account,
            "CreationDate": epoch(job.created),
            "CompletionDate": job.ended.map(epoch),
            "StatusMessage": job.message,
            "ResourceArn": job.resource,
            "IamRoleArn": job.request["IamRoleArn"],
        });
        let more = match kind {
            "backup" => json!({ "BackupJobId": job.id, "State": job.state, "RecoveryPointArn": job.point }),
            "copy" => json!({ "CopyJobId": job.id, "State": job.state, "DestinationRecoveryPointArn": job.point }),
            _ => {
                json!({ "RestoreJobId": job.id, "Status": job.state, "RecoveryPointArn": job.point, "CreatedResourceArn": job.created_resource })
            }
        };
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        Ok(if kind == "copy" { json!({ "CopyJob": body }) } else { body }.into())
    }

    fn points(&self, path: &str, query: &str) -> Answer {
        let vault = decoded(path.split('/').nth(2).unwrap_or_default());
        let resource = form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "resourceArn")
            .map(|(_, value)| value.into_owned());
        let state = lock(&self.inner.state);
        let points: Vec<Value> = state
            .points
            .iter()
            .filter(|point| point.vault == vault && resource.as_ref().is_none_or(|resource| *resource == point.resource))
            .map(|point| {
                json!({
                    "RecoveryPointArn": point.arn, "BackupVaultName": point.vault, "ResourceArn": point.resource,
                    "CreationDate": epoch(point.created), "Status": "COMPLETED",
                })
            })
            .collect();
        json!({ "RecoveryPoints": points }).into()
    }

    fn restore_metadata(&self, path: &str) -> Result<Answer, AwsError> {
        let arn = decoded(path.split('/').nth(4).unwrap_or_default());
        let state = lock(&self.inner.state);
        let point = state.points.iter().find(|point| point.arn == arn);
        let point = point.ok_or_else(|| not_found(&format!("Recovery point {arn} does not exist")))?;
        let name = point.resource.rsplit('/').next().unwrap_or_default();
        let metadata: BTreeMap<&str, &str> = match resource_type(&point.resource) {
            "DynamoDB" => [("originalTableName", name), ("encryptionType", "Default")].into(),
            "EFS" => [
                ("file-system-id", name),
                ("Encrypted", "true"),
                ("PerformanceMode", "generalPurpose"),
            ]
            .into(),
            _ => [("volumeId", name)].into(),
        };
        Ok(json!({ "BackupVaultArn": self.vault_arn(&point.vault), "RecoveryPointArn": arn, "RestoreMetadata": metadata }).into())
    }

    /// Answers a request to Cloud Control.
    pub(crate) fn answer_cloud_control(&self, call: &Call) -> Result<Answer, AwsError> {
        let request = call.json()?;
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let mut state = lock(&self.inner.state);
        let fails = state.removals_fail;
        match call.operation.as_str() {
            "DeleteResource" => {
                let token = text("ClientToken");
                if let Some(known) = state.removals.iter().find(|removal| removal.client_token == token) {
                    return Ok(removal_progress(known, fails));
                }
                let removal = RemovalView {
                    request: uuid(),
                    client_token: token,
                    type_name: text("TypeName"),
                    identifier: text("Identifier"),
                    status: "IN_PROGRESS",
                };
                let answer = removal_progress(&removal, fails);
                state.removals.push(removal);
                drop(state);
                self.changed();
                Ok(answer)
            }
            "GetResourceRequestStatus" => {
                let token = text("RequestToken");
                let removal = state.removals.iter_mut().find(|removal| removal.request == token);
                let removal = removal.ok_or_else(|| AwsError::client("RequestTokenNotFoundException", "no such request"))?;
                removal.status = if fails { "FAILED" } else { "SUCCESS" };
                Ok(removal_progress(removal, fails))
            }
            _ => Err(AwsError::unknown_operation(call)),
        }
    }
}

/// The name of an operation of AWS Backup, by method and path.
pub(crate) fn operation(method: &Method, path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    Some(match (method.as_str(), parts.as_slice()) {
        ("PUT", ["backup-jobs"]) => "StartBackupJob",
        ("PUT", ["copy-jobs"]) => "StartCopyJob",
        ("PUT", ["restore-jobs"]) => "StartRestoreJob",
        ("GET", ["backup-jobs", _]) => "DescribeBackupJob",
        ("GET", ["copy-jobs", _]) => "DescribeCopyJob",
        ("GET", ["restore-jobs", _]) => "DescribeRestoreJob",
        ("GET", ["backup-vaults", _, "recovery-points"]) => "ListRecoveryPointsByBackupVault",
        ("GET", ["backup-vaults", _, "recovery-points", _, "restore-metadata"]) => "GetRecoveryPointRestoreMetadata",
        _ => return None,
    })
}

fn begun(job: &BackupJobView) -> Answer {
    let name = match job.kind {
        "backup" => "BackupJobId",
        "copy" => "CopyJobId",
        _ => "RestoreJobId",
    };
    json!({ name: job.id, "CreationDate": epoch(job.created) }).into()
}

fn removal_progress(removal: &RemovalView, fails: bool) -> Answer {
    let mut event = json!({
        "TypeName": removal.type_name, "Identifier": removal.identifier, "RequestToken": removal.request, "Operation": "DELETE",
        "OperationStatus": removal.status,
    });
    if fails && removal.status == "FAILED" {
        event["ErrorCode"] = "AccessDenied".into();
        event["StatusMessage"] = "not allowed to remove it".into();
    }
    json!({ "ProgressEvent": event }).into()
}

fn check_windows(request: &Value) -> Result<(), AwsError> {
    let start = request["StartWindowMinutes"].as_i64();
    if start.is_some_and(|minutes| minutes < 60) {
        return Err(AwsError::client(
            "InvalidParameterValueException",
            "The start window must be at least 60 minutes",
        ));
    }
    // What plans' rules are held to. Where one is left out its default counts: 8 hours, and 7 days.
    let complete = request["CompleteWindowMinutes"].as_i64().unwrap_or(7 * 24 * 60);
    if complete < start.unwrap_or(8 * 60) + 60 {
        return Err(AwsError::client(
            "InvalidParameterValueException",
            "The complete window must be at least 60 minutes longer than the start window",
        ));
    }
    let lifecycle = &request["Lifecycle"];
    if let (Some(cold), Some(delete)) = (
        lifecycle["MoveToColdStorageAfterDays"].as_i64(),
        lifecycle["DeleteAfterDays"].as_i64(),
    ) && delete < cold + 90
    {
        return Err(AwsError::client(
            "InvalidParameterValueException",
            "DeleteAfterDays must be at least 90 days after MoveToColdStorageAfterDays",
        ));
    }
    Ok(())
}

fn not_found(message: &str) -> AwsError {
    AwsError::client("ResourceNotFoundException", message)
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

fn decoded(part: &str) -> String {
    // In a path a plus is a plus; only percent signs mean something.
    let escaped = part.replace('+', "%2B");
    form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map_or(String::new(), |(name, _)| name.into_owned())
}
