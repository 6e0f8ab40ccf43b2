//! The operations of AWS Backup and of Cloud Control.

use std::collections::BTreeMap;

use axum::http::Method;
use bellhop_model::backup::states;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Backup, BackupJobView, RecoveryPointView, RemovalView, resource_type};
use crate::calls::Call;
use crate::replies::{Answer, AwsError};
use crate::support::{decoded, epoch, lock, page, uuid};

/// Most recovery points on a page.
const PAGE: usize = 1000;

impl Backup {
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
            "ListRecoveryPointsByBackupVault" => self.points(path, query),
            "GetRecoveryPointRestoreMetadata" => self.restore_metadata(path),
            "DeleteRecoveryPoint" => self.delete_point(&last()),
            // https://docs.aws.amazon.com/aws-backup/latest/devguide/API_DeleteBackupVault.html
            "DeleteBackupVault" => {
                let message = "Backup vault cannot be deleted because it contains recovery points.";
                Err(AwsError::client("InvalidRequestException", message))
            }
            _ => {
                tracing::debug!(%method, path, "an operation that the stand-in does not have");
                Err(AwsError::unknown_operation(call))
            }
        }
    }

    /// Whether a request is the upstream's, which has the vaults: the removal of a vault without recovery points, which are here.
    pub(crate) fn hands_on(&self, call: &Call, path: &str) -> bool {
        let vault = decoded(path.rsplit('/').next().unwrap_or_default());
        call.operation == "DeleteBackupVault" && !lock(&self.inner.state).points.iter().any(|point| point.vault == vault)
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
                return Err(invalid(message));
            }
            return Ok(begun(known));
        }
        let first = states(kind).first().map_or("CREATED", |(name, _)| name);
        let job = BackupJobView {
            kind,
            id: uuid(),
            state: first.to_owned(),
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
        let asked = |name: &str| job.request[name].as_str().unwrap_or_default();
        let mut body = json!({
            "AccountId": self.inner.account,
            "CreationDate": epoch(job.created),
            "IamRoleArn": job.request["IamRoleArn"],
            "ResourceType": resource_type(&job.resource),
        });
        let more = match kind {
            "backup" => vec![
                ("BackupJobId", Some(json!(job.id))),
                ("BackupVaultName", Some(json!(asked("BackupVaultName")))),
                ("BackupVaultArn", Some(json!(self.vault_arn(asked("BackupVaultName"))))),
                ("ResourceArn", Some(json!(job.resource))),
                ("RecoveryPointArn", job.point.clone().map(Value::from)),
                ("State", Some(json!(job.state))),
            ],
            "copy" => vec![
                ("CopyJobId", Some(json!(job.id))),
                ("SourceBackupVaultArn", Some(json!(self.vault_arn(asked("SourceBackupVaultName"))))),
                ("SourceRecoveryPointArn", Some(json!(asked("RecoveryPointArn")))),
                ("DestinationBackupVaultArn", Some(json!(asked("DestinationBackupVaultArn")))),
                ("DestinationRecoveryPointArn", job.point.clone().map(Value::from)),
                ("ResourceArn", Some(json!(job.resource))),
                ("State", Some(json!(job.state))),
            ],
            _ => vec![
                ("RestoreJobId", Some(json!(job.id))),
                ("SourceResourceArn", Some(json!(job.resource))),
                ("RecoveryPointArn", job.point.clone().map(Value::from)),
                ("CreatedResourceArn", job.created_resource.clone().map(Value::from)),
                ("Status", Some(json!(job.state))),
            ],
        };
        let ends = [
            ("CompletionDate", job.ended.map(|ended| json!(epoch(ended)))),
            ("StatusMessage", job.message.clone().map(Value::from)),
        ];
        for (name, value) in more.into_iter().chain(ends) {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        Ok(if kind == "copy" { json!({ "CopyJob": body }) } else { body }.into())
    }

    fn points(&self, path: &str, query: &str) -> Result<Answer, AwsError> {
        let vault = decoded(path.split('/').nth(2).unwrap_or_default());
        let asked: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
        let resource = asked.get("resourceArn");
        let state = lock(&self.inner.state);
        let points: Vec<&RecoveryPointView> = state
            .points
            .iter()
            .filter(|point| point.vault == vault && resource.is_none_or(|resource| *resource == point.resource))
            .collect();
        let limit = match asked.get("maxResults") {
            None => PAGE,
            Some(limit) => limit
                .parse()
                .ok()
                .filter(|limit| (1..=PAGE).contains(limit))
                .ok_or_else(|| invalid("MaxResults must be 1 to 1000"))?,
        };
        let token = asked.get("nextToken").map(AsRef::as_ref);
        let (page, next) = page(&points, token, limit).ok_or_else(|| invalid("The next token is not valid"))?;
        let page: Vec<Value> = page
            .iter()
            .map(|point| {
                json!({
                    "RecoveryPointArn": point.arn, "BackupVaultName": point.vault, "ResourceArn": point.resource,
                    "CreationDate": epoch(point.created), "Status": "COMPLETED",
                })
            })
            .collect();
        let mut body = json!({ "RecoveryPoints": page });
        if let Some(next) = next {
            body["NextToken"] = next.into();
        }
        Ok(body.into())
    }

    fn delete_point(&self, arn: &str) -> Result<Answer, AwsError> {
        let mut state = lock(&self.inner.state);
        let known = state.points.iter().position(|point| point.arn == arn);
        let known = known.ok_or_else(|| not_found(&format!("Recovery point {arn} does not exist")))?;
        state.points.remove(known);
        Ok(json!({}).into())
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
        ("DELETE", ["backup-vaults", _, "recovery-points", _]) => "DeleteRecoveryPoint",
        ("DELETE", ["backup-vaults", _]) => "DeleteBackupVault",
        _ => return None,
    })
}

/// What starting a job answers. A restore's answer says nothing of when.
fn begun(job: &BackupJobView) -> Answer {
    match job.kind {
        "backup" => json!({ "BackupJobId": job.id, "CreationDate": epoch(job.created) }),
        "copy" => json!({ "CopyJobId": job.id, "CreationDate": epoch(job.created) }),
        _ => json!({ "RestoreJobId": job.id }),
    }
    .into()
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
        return Err(invalid("The start window must be at least 60 minutes"));
    }
    // What plans' rules are held to. Where one is left out its default counts: 8 hours, and 7 days.
    let complete = request["CompleteWindowMinutes"].as_i64().unwrap_or(7 * 24 * 60);
    if complete < start.unwrap_or(8 * 60) + 60 {
        return Err(invalid(
            "The complete window must be at least 60 minutes longer than the start window",
        ));
    }
    let lifecycle = &request["Lifecycle"];
    if let (Some(cold), Some(delete)) = (
        lifecycle["MoveToColdStorageAfterDays"].as_i64(),
        lifecycle["DeleteAfterDays"].as_i64(),
    ) && delete < cold + 90
    {
        return Err(invalid("DeleteAfterDays must be at least 90 days after MoveToColdStorageAfterDays"));
    }
    Ok(())
}

fn invalid(message: &str) -> AwsError {
    AwsError::client("InvalidParameterValueException", message)
}

fn not_found(message: &str) -> AwsError {
    AwsError::client("ResourceNotFoundException", message)
}
