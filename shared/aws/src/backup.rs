//! Jobs of AWS Backup (<https://docs.aws.amazon.com/aws-backup/latest/devguide/API_Operations_AWS_Backup.html>), and the deletion of resources that
//! restore tests created, through Cloud Control (<https://docs.aws.amazon.com/cloudcontrolapi/latest/userguide/resource-operations-delete.html>).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_backup::types::{Lifecycle, RecoveryPointStatus};
use aws_sdk_cloudcontrol::types::{HandlerErrorCode, OperationStatus, ProgressEvent};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::backup::restore::{self, Resource};
use bellhop_domain::backup::{Definition, JobKind, JobObservation, JobState, Point, RemovalObservation};
use bellhop_engine::ports::{Backups, JobStart};
use bellhop_engine::{Fault, FaultKind};
use bellhop_events::aws_errors::Class;
use bellhop_events::backup::state;
use jiff::Timestamp;

use crate::config::Lazy;
use crate::fault::{class_of, code_of, fault};

const NOT_FOUND: &str = "ResourceNotFoundException";
/// Cloud Control's error codes if another request, or a service that it calls, prevented the deletion.
const PASSES: [&str; 5] = [
    "ConcurrentOperationException",
    "HandlerInternalFailureException",
    "NetworkFailureException",
    "ServiceInternalErrorException",
    "ServiceLimitExceededException",
];

/// AWS Backup and Cloud Control.
#[derive(Debug, Clone)]
pub struct AwsBackup {
    backup: Lazy<aws_sdk_backup::Client>,
    resources: Lazy<aws_sdk_cloudcontrol::Client>,
}

impl AwsBackup {
    pub(crate) fn new(backup: Lazy<aws_sdk_backup::Client>, resources: Lazy<aws_sdk_cloudcontrol::Client>) -> Self {
        Self { backup, resources }
    }
}

#[async_trait]
impl Backups for AwsBackup {
    async fn back_up(&self, definition: &Definition, token: &str) -> Result<JobStart, Fault> {
        let reply = self
            .backup
            .start_backup_job()
            .backup_vault_name(&definition.vault)
            .resource_arn(&definition.resource)
            .iam_role_arn(&definition.role)
            .idempotency_token(token)
            .set_start_window_minutes(definition.start_within.map(minutes))
            .set_complete_window_minutes(definition.complete_within.map(minutes))
            .set_lifecycle(lifecycle(definition))
            .send()
            .await;
        begun("start a backup job", reply, |output| output.backup_job_id)
    }

    async fn copy(&self, definition: &Definition, point: &str, token: &str) -> Result<JobStart, Fault> {
        let reply = self
            .backup
            .start_copy_job()
            .recovery_point_arn(point)
            .source_backup_vault_name(&definition.vault)
            .set_destination_backup_vault_arn(definition.copy_to.clone())
            .iam_role_arn(&definition.role)
            .idempotency_token(token)
            .set_lifecycle(lifecycle(definition))
            .send()
            .await;
        begun("start a copy job", reply, |output| output.copy_job_id)
    }

    async fn restore(&self, definition: &Definition, point: &str, name: &str, token: &str) -> Result<JobStart, Fault> {
        let (Some(test), Some(resource)) = (&definition.restore_test, Resource::of(&definition.resource)) else {
            return Ok(JobStart::Refused("restores of this resource cannot be tested".to_owned()));
        };
        let reply = self
            .backup
            .get_recovery_point_restore_metadata()
            .backup_vault_name(&definition.vault)
            .recovery_point_arn(point)
            .send()
            .await;
        let kept: BTreeMap<String, String> = match reply {
            Ok(output) => output.restore_metadata.unwrap_or_default().into_iter().collect(),
            Err(error) => return refused("read how a recovery point is restored", error),
        };
        let metadata = restore::metadata(resource.kind, name, kept, &test.metadata);
        let reply = self
            .backup
            .start_restore_job()
            .recovery_point_arn(point)
            .iam_role_arn(test.role.as_ref().unwrap_or(&definition.role))
            .resource_type(resource.kind.backup_type())
            .set_metadata(Some(metadata.into_iter().collect()))
            .idempotency_token(token)
            .send()
            .await;
        begun("start a restore job", reply, |output| output.restore_job_id)
    }

    async fn job(&self, kind: JobKind, id: &str) -> Result<Option<JobObservation>, Fault> {
        match kind {
            JobKind::Backup => {
                let reply = self.backup.describe_backup_job().backup_job_id(id).send().await;
                let Some(job) = found(kind, id, reply)? else { return Ok(None) };
                let word = job.state.as_ref().map(AsRef::as_ref);
                let is_complete = word == Some("COMPLETED");
                let mut seen = seen(kind, id, word, job.status_message, job.completion_date.as_ref())?;
                seen.point = job.recovery_point_arn.filter(|_| is_complete);
                seen.resource = job.resource_arn;
                Ok(Some(seen))
            }
            JobKind::Copy => {
                let reply = self.backup.describe_copy_job().copy_job_id(id).send().await;
                let Some(job) = found(kind, id, reply)?.and_then(|output| output.copy_job) else {
                    return Ok(None);
                };
                let word = job.state.as_ref().map(AsRef::as_ref);
                let mut seen = seen(kind, id, word, job.status_message, job.completion_date.as_ref())?;
                seen.point = job.destination_recovery_point_arn;
                seen.resource = job.resource_arn;
                Ok(Some(seen))
            }
            JobKind::Restore => {
                let reply = self.backup.describe_restore_job().restore_job_id(id).send().await;
                let Some(job) = found(kind, id, reply)? else { return Ok(None) };
                let word = job.status.as_ref().map(AsRef::as_ref);
                let mut seen = seen(kind, id, word, job.status_message, job.completion_date.as_ref())?;
                seen.created = job.created_resource_arn;
                Ok(Some(seen))
            }
        }
    }

    async fn newest(&self, resource: &str, vault: &str) -> Result<Option<Point>, Fault> {
        let mut newest: Option<Point> = None;
        let mut pages = self
            .backup
            .list_recovery_points_by_backup_vault()
            .backup_vault_name(vault)
            .by_resource_arn(resource)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) if code_of(&error) == Some(NOT_FOUND) => return Ok(None),
                Err(error) => return Err(fault(format_args!("list the recovery points in vault {vault}"), error)),
            };
            for listed in page.recovery_points.unwrap_or_default() {
                let is_whole = matches!(listed.status, Some(RecoveryPointStatus::Completed | RecoveryPointStatus::Available));
                if let (true, Some(arn), Some(created)) = (
                    is_whole,
                    listed.recovery_point_arn,
                    listed.creation_date.as_ref().and_then(timestamp),
                ) && newest.as_ref().is_none_or(|newest| newest.created < created)
                {
                    newest = Some(Point { arn, created });
                }
            }
        }
        Ok(newest)
    }

    async fn remove(&self, resource: &str, token: &str) -> Result<RemovalObservation, Fault> {
        let Some(Resource { kind, name, .. }) = Resource::of(resource) else {
            return Ok(RemovalObservation::Failed(
                "restore tests do not create resources of its kind".to_owned(),
            ));
        };
        let reply = self
            .resources
            .delete_resource()
            .type_name(kind.type_name())
            .identifier(name)
            .client_token(token)
            .send()
            .await;
        match reply {
            Ok(output) => progress(output.progress_event.as_ref()),
            Err(error) if code_of(&error) == Some(NOT_FOUND) => Ok(RemovalObservation::Done),
            Err(error) => failed(format_args!("remove {resource}"), error),
        }
    }

    async fn removal(&self, request: &str) -> Result<RemovalObservation, Fault> {
        match self.resources.get_resource_request_status().request_token(request).send().await {
            Ok(output) => progress(output.progress_event.as_ref()),
            Err(error) => failed(format_args!("ask for the removal {request}"), error),
        }
    }
}

fn minutes(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs() / 60).unwrap_or(i64::MAX)
}

fn days(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs() / (24 * 3600)).unwrap_or(i64::MAX)
}

fn lifecycle(definition: &Definition) -> Option<Lifecycle> {
    (definition.cold_after.is_some() || definition.delete_after.is_some()).then(|| {
        Lifecycle::builder()
            .set_move_to_cold_storage_after_days(definition.cold_after.map(days))
            .set_delete_after_days(definition.delete_after.map(days))
            .build()
    })
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// The id of a started job, or the reason of a refusal after which a retry would not help.
fn begun<T, E>(what: &str, reply: Result<T, SdkError<E, Response>>, id: impl FnOnce(T) -> Option<String>) -> Result<JobStart, Fault>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match reply {
        Ok(output) => match id(output) {
            Some(id) => Ok(JobStart::Started(id)),
            None => Err(Fault::transient(format!("failed to {what}: the answer has no id"))),
        },
        Err(error) => refused(what, error),
    }
}

fn refused<E>(what: &str, error: SdkError<E, Response>) -> Result<JobStart, Fault>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let message = message_of(&error);
    // The limit of concurrent jobs is reached; a retry succeeds when others have ended.
    let is_limit = error
        .as_service_error()
        .is_some_and(|service| class_of(service) == Class::AccountLimit);
    match (fault(what, error), message) {
        (
            Fault {
                kind: FaultKind::Permanent,
                ..
            },
            Some(message),
        ) if !is_limit => Ok(JobStart::Refused(message)),
        (fault, _) => Err(fault),
    }
}

fn failed<E>(what: impl std::fmt::Display, error: SdkError<E, Response>) -> Result<RemovalObservation, Fault>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let passes = code_of(&error).is_some_and(|code| PASSES.contains(&code));
    let message = message_of(&error);
    match (fault(what, error), message) {
        (fault, _) if passes => Err(Fault {
            kind: FaultKind::Transient,
            ..fault
        }),
        (
            Fault {
                kind: FaultKind::Permanent,
                ..
            },
            Some(message),
        ) => Ok(RemovalObservation::Failed(message)),
        (fault, _) => Err(fault),
    }
}

/// A service's message, without the name of the request.
fn message_of<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> Option<String> {
    let service = error.as_service_error()?;
    let (code, message) = (service.code()?, service.message().unwrap_or_default());
    Some(if message.is_empty() {
        code.to_owned()
    } else {
        format!("{code}: {message}")
    })
}

fn found<T, E>(kind: JobKind, id: &str, reply: Result<T, SdkError<E, Response>>) -> Result<Option<T>, Fault>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match reply {
        Ok(output) => Ok(Some(output)),
        Err(error) if code_of(&error) == Some(NOT_FOUND) => Ok(None),
        Err(error) => Err(fault(format_args!("describe {} job {id}", kind.as_str()), error)),
    }
}

fn seen(kind: JobKind, id: &str, word: Option<&str>, message: Option<String>, ended: Option<&DateTime>) -> Result<JobObservation, Fault> {
    let word = word.unwrap_or_default();
    let state: JobState = state(word).ok_or_else(|| {
        Fault::permanent(format!(
            "AWS Backup returned {} job {id} in the unknown state {word:?}",
            kind.as_str()
        ))
    })?;
    Ok(JobObservation {
        kind,
        id: id.to_owned(),
        state,
        message,
        point: None,
        created: None,
        resource: None,
        ended: ended.and_then(timestamp),
    })
}

fn progress(event: Option<&ProgressEvent>) -> Result<RemovalObservation, Fault> {
    let Some(event) = event else {
        return Err(Fault::transient("Cloud Control returned no progress of the removal"));
    };
    Ok(match (&event.operation_status, &event.error_code, &event.request_token) {
        (Some(OperationStatus::Success), ..) | (Some(OperationStatus::Failed), Some(HandlerErrorCode::NotFound), _) => {
            RemovalObservation::Done
        }
        (Some(OperationStatus::Failed | OperationStatus::CancelComplete), code, _) => {
            let code = code.as_ref().map_or("failed", AsRef::as_ref);
            let message = event.status_message.as_deref().unwrap_or_default();
            RemovalObservation::Failed(format!("{code}: {message}"))
        }
        (_, _, Some(request)) => RemovalObservation::Underway { request: request.clone() },
        (_, _, None) => return Err(Fault::transient("Cloud Control returned no request token")),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::backup::RestoreTest;
    use serde_json::json;

    use super::*;
    use crate::testing::{Reply, Wire, broken, ok, refused as no};

    const TABLE: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/suite";
    const POINT: &str = "arn:aws:backup:eu-west-1:123456789012:recovery-point:1";

    fn definition() -> Definition {
        Definition {
            start_within: Some(Duration::from_secs(3600)),
            complete_within: Some(Duration::from_secs(9000)),
            cold_after: Some(Duration::from_secs(30 * 24 * 3600)),
            delete_after: Some(Duration::from_secs(120 * 24 * 3600)),
            copy_to: Some("arn:aws:backup:us-east-1:123456789012:backup-vault:far".to_owned()),
            restore_test: Some(RestoreTest {
                every: Duration::from_secs(3600),
                role: Some("arn:aws:iam::123456789012:role/restore".to_owned()),
                metadata: BTreeMap::new(),
            }),
            ..Definition::of_suite_table(TABLE, "ci", "arn:aws:iam::123456789012:role/backup")
        }
    }

    fn aws(replies: impl IntoIterator<Item = Reply>) -> (AwsBackup, Wire) {
        let (aws, wire) = Wire::replying(replies);
        (aws.backups(), wire)
    }

    #[tokio::test]
    async fn a_backup_is_asked_for_in_the_services_units() {
        let (backups, wire) = aws([ok(&json!({ "BackupJobId": "b-1" }))]);
        assert_eq!(
            backups.back_up(&definition(), "token").await.unwrap(),
            JobStart::Started("b-1".to_owned())
        );
        let [(operation, body)]: [_; 1] = wire.asked().try_into().unwrap();
        assert!(operation.starts_with("PUT") && operation.ends_with("/backup-jobs"), "{operation}");
        assert_eq!(
            body,
            json!({
                "BackupVaultName": "ci", "ResourceArn": TABLE, "IamRoleArn": "arn:aws:iam::123456789012:role/backup",
                "IdempotencyToken": "token", "StartWindowMinutes": 60, "CompleteWindowMinutes": 150,
                "Lifecycle": { "MoveToColdStorageAfterDays": 30, "DeleteAfterDays": 120 },
            })
        );
    }

    #[tokio::test]
    async fn what_the_service_refuses_is_no_fault_and_what_passes_is_one() {
        for code in [
            "ResourceNotFoundException",
            "InvalidParameterValueException",
            "AccessDeniedException",
        ] {
            let (backups, _) = aws([no(code, "no")]);
            assert_eq!(
                backups.back_up(&definition(), "token").await.unwrap(),
                JobStart::Refused(format!("{code}: no")),
                "{code}"
            );
        }
        for reply in [
            no("ThrottlingException", "slow"),
            broken(),
            no("ServiceUnavailableException", "later"),
        ] {
            let (backups, _) = aws([reply]);
            assert_eq!(
                backups.back_up(&definition(), "token").await.unwrap_err().kind,
                FaultKind::Transient
            );
        }
    }

    #[tokio::test]
    async fn a_copy_names_both_vaults() {
        let (backups, wire) = aws([ok(&json!({ "CopyJobId": "c-1" }))]);
        assert_eq!(
            backups.copy(&definition(), POINT, "token").await.unwrap(),
            JobStart::Started("c-1".to_owned())
        );
        let (_, body) = wire.asked().remove(0);
        assert_eq!(body["SourceBackupVaultName"], "ci");
        assert_eq!(
            body["DestinationBackupVaultArn"],
            "arn:aws:backup:us-east-1:123456789012:backup-vault:far"
        );
        assert_eq!(
            (&body["RecoveryPointArn"], &body["IdempotencyToken"]),
            (&json!(POINT), &json!("token"))
        );
    }

    #[tokio::test]
    async fn a_restore_goes_to_a_new_resource() {
        let kept = ok(&json!({ "RestoreMetadata": { "originalTableName": "suite", "targetTableName": "suite" } }));
        let (backups, wire) = aws([kept, ok(&json!({ "RestoreJobId": "r-1" }))]);
        let begun = backups.restore(&definition(), POINT, "test-1", "token").await.unwrap();
        assert_eq!(begun, JobStart::Started("r-1".to_owned()));
        let (_, body) = wire.asked().remove(1);
        assert_eq!(
            body,
            json!({
                "RecoveryPointArn": POINT, "IamRoleArn": "arn:aws:iam::123456789012:role/restore", "IdempotencyToken": "token",
                "ResourceType": "DynamoDB",
                "Metadata": {
                    "originalTableName": "suite", "targetTableName": "test-1", "encryptionType": "Default", "deletionProtection": "false",
                },
            })
        );
        let (backups, _) = aws([no(NOT_FOUND, "no point")]);
        let begun = backups.restore(&definition(), POINT, "test-1", "token").await.unwrap();
        assert_eq!(begun, JobStart::Refused("ResourceNotFoundException: no point".to_owned()));
    }

    #[tokio::test]
    async fn jobs_are_described_in_the_words_of_events() {
        let job = json!({
            "BackupJobId": "b-1", "State": "COMPLETED", "StatusMessage": "one was skipped", "RecoveryPointArn": POINT, "ResourceArn": TABLE,
            "CompletionDate": 1_790_000_000.5,
        });
        let (backups, _) = aws([ok(&job)]);
        let seen = backups.job(JobKind::Backup, "b-1").await.unwrap().unwrap();
        assert_eq!(
            seen,
            JobObservation {
                kind: JobKind::Backup,
                id: "b-1".to_owned(),
                state: JobState::Completed,
                message: Some("one was skipped".to_owned()),
                point: Some(POINT.to_owned()),
                created: None,
                resource: Some(TABLE.to_owned()),
                ended: Some("2026-09-21T14:13:20.5Z".parse().unwrap()),
            }
        );
        let running = json!({ "State": "RUNNING", "RecoveryPointArn": POINT });
        let (backups, _) = aws([ok(&running)]);
        assert_eq!(backups.job(JobKind::Backup, "b-1").await.unwrap().unwrap().point, None);
        let (backups, _) = aws([ok(&json!({ "CopyJob": { "State": "PARTIAL" } }))]);
        assert_eq!(backups.job(JobKind::Copy, "c-1").await.unwrap().unwrap().state, JobState::Partial);
        let (backups, _) = aws([ok(&json!({ "Status": "COMPLETED", "CreatedResourceArn": TABLE }))]);
        assert_eq!(
            backups.job(JobKind::Restore, "r-1").await.unwrap().unwrap().created.as_deref(),
            Some(TABLE)
        );
        for kind in [JobKind::Backup, JobKind::Copy, JobKind::Restore] {
            let (backups, _) = aws([no(NOT_FOUND, "no job")]);
            assert_eq!(backups.job(kind, "x").await.unwrap(), None);
        }
        let (backups, _) = aws([ok(&json!({ "State": "RESTING" }))]);
        assert_eq!(backups.job(JobKind::Backup, "b-1").await.unwrap_err().kind, FaultKind::Permanent);
    }

    #[tokio::test]
    async fn the_newest_complete_recovery_point_is_found_on_every_page() {
        let point = |id: u32, status: &str, created: u32| json!({ "RecoveryPointArn": format!("p-{id}"), "Status": status, "CreationDate": created });
        let first = json!({ "RecoveryPoints": [point(1, "COMPLETED", 100), point(2, "PARTIAL", 900)], "NextToken": "more" });
        let second = json!({ "RecoveryPoints": [point(3, "COMPLETED", 300), point(4, "COMPLETED", 200), point(5, "DELETING", 500)] });
        let (backups, wire) = aws([ok(&first), ok(&second)]);
        let newest = backups.newest(TABLE, "ci").await.unwrap().unwrap();
        assert_eq!((newest.arn.as_str(), newest.created.as_second()), ("p-3", 300));
        assert!(
            wire.operations()[0].contains("/backup-vaults/ci/recovery-points"),
            "{:?}",
            wire.operations()
        );
        for reply in [ok(&json!({ "RecoveryPoints": [] })), no(NOT_FOUND, "no vault")] {
            let (backups, _) = aws([reply]);
            assert_eq!(backups.newest(TABLE, "ci").await.unwrap(), None);
        }
        let (backups, _) = aws([no("AccessDeniedException", "no")]);
        assert_eq!(backups.newest(TABLE, "ci").await.unwrap_err().kind, FaultKind::Permanent);
    }

    #[tokio::test]
    async fn a_removal_is_followed_to_its_end() {
        let event = |status: &str, code: Option<&str>| {
            ok(&json!({ "ProgressEvent": {
                "OperationStatus": status, "RequestToken": "request", "ErrorCode": code, "StatusMessage": "words",
            } }))
        };
        let (backups, wire) = aws([event("IN_PROGRESS", None)]);
        let request = "request".to_owned();
        assert_eq!(
            backups.remove(TABLE, "token").await.unwrap(),
            RemovalObservation::Underway { request }
        );
        assert_eq!(
            wire.asked(),
            [(
                "DeleteResource".to_owned(),
                json!({ "TypeName": "AWS::DynamoDB::Table", "Identifier": "suite", "ClientToken": "token" })
            )]
        );
        for (reply, seen) in [
            (event("SUCCESS", None), RemovalObservation::Done),
            (event("FAILED", Some("NotFound")), RemovalObservation::Done),
            (
                event("FAILED", Some("AccessDenied")),
                RemovalObservation::Failed("AccessDenied: words".to_owned()),
            ),
            (
                no("RequestTokenNotFoundException", "gone"),
                RemovalObservation::Failed("RequestTokenNotFoundException: gone".to_owned()),
            ),
        ] {
            let (backups, _) = aws([reply]);
            assert_eq!(backups.removal("request").await.unwrap(), seen);
        }
        let (backups, _) = aws([no(NOT_FOUND, "gone")]);
        assert_eq!(backups.remove(TABLE, "token").await.unwrap(), RemovalObservation::Done);
        for reply in [no("ConcurrentOperationException", "busy"), broken(), ok(&json!({}))] {
            let (backups, _) = aws([reply]);
            assert_eq!(backups.remove(TABLE, "token").await.unwrap_err().kind, FaultKind::Transient);
        }
        let (backups, wire) = aws([]);
        let seen = backups.remove("arn:aws:s3:::bucket", "token").await.unwrap();
        assert!(matches!(seen, RemovalObservation::Failed(_)));
        assert_eq!(wire.operations(), [""; 0]);
    }
}
