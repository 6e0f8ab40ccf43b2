//! AWS Backup and Cloud Control.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{SOON, Setup, start};

const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders";

impl Setup {
    async fn backup_call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let authorization = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/backup/aws4_request, SignedHeaders=host, Signature=0";
        let request = self
            .client
            .request(method, format!("{}{path}", self.endpoint()))
            .header("authorization", authorization);
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    async fn start_job(&self, token: &str) -> (u16, Value) {
        let request = json!({ "BackupVaultName": "ci", "ResourceArn": TABLE, "IamRoleArn": "role", "IdempotencyToken": token });
        self.backup_call(Method::PUT, "/backup-jobs", &request).await
    }
}

#[tokio::test]
async fn a_token_starts_one_job_and_other_parameters_under_it_are_refused() {
    let setup = start().await;
    let (_, first) = setup.start_job("a").await;
    let (_, again) = setup.start_job("a").await;
    assert_eq!(first["BackupJobId"], again["BackupJobId"]);
    let (_, other) = setup.start_job("b").await;
    assert_ne!(first["BackupJobId"], other["BackupJobId"]);
    let request = json!({ "BackupVaultName": "other", "ResourceArn": TABLE, "IamRoleArn": "role", "IdempotencyToken": "a" });
    let (status, error) = setup.backup_call(Method::PUT, "/backup-jobs", &request).await;
    assert_eq!((status, &error["__type"]), (400, &json!("InvalidParameterValueException")));
    assert_eq!(setup.journal().entries()[0].operation, "StartBackupJob");
}

#[tokio::test]
async fn what_the_service_would_refuse_is_refused() {
    let setup = start().await;
    let whole = json!({
        "BackupVaultName": "ci", "ResourceArn": TABLE, "IamRoleArn": "role", "StartWindowMinutes": 60,
        "CompleteWindowMinutes": 120, "Lifecycle": { "MoveToColdStorageAfterDays": 30, "DeleteAfterDays": 120 },
    });
    for (field, value) in [
        ("ResourceArn", json!(null)),
        ("StartWindowMinutes", json!(59)),
        ("StartWindowMinutes", json!(61)),
        // The default is 8 hours.
        ("StartWindowMinutes", json!(null)),
        ("CompleteWindowMinutes", json!(119)),
        ("Lifecycle", json!({ "MoveToColdStorageAfterDays": 30, "DeleteAfterDays": 119 })),
    ] {
        let mut request = whole.clone();
        request[field] = value;
        let (status, _) = setup.backup_call(Method::PUT, "/backup-jobs", &request).await;
        assert_eq!(status, 400, "{field}");
    }
    assert_eq!(setup.backup_call(Method::PUT, "/backup-jobs", &whole).await.0, 200);
    // Nor is a start window as long as the complete window's default, 7 days.
    for (start, status) in [(7 * 24 * 60 - 60, 200), (7 * 24 * 60 - 59, 400)] {
        let mut request = whole.clone();
        request["StartWindowMinutes"] = json!(start);
        request["CompleteWindowMinutes"] = json!(null);
        assert_eq!(
            setup.backup_call(Method::PUT, "/backup-jobs", &request).await.0,
            status,
            "{start} minutes"
        );
    }
    for path in ["/backup-jobs/x", "/copy-jobs/x", "/restore-jobs/x"] {
        let (_, error) = setup.backup_call(Method::GET, path, &json!({})).await;
        assert_eq!(error["__type"], "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn a_job_is_described_and_told_as_it_ends() {
    let setup = start().await;
    setup.start_job("a").await;
    let job = setup.backup().wait_for_job("backup", 1, SOON).await.unwrap();
    let event = setup.backup().ends(&job.id, "COMPLETED", Some("one was skipped")).unwrap();
    assert_eq!(event["detail-type"], "Backup Job State Change");
    assert_eq!(
        [
            &event["detail"]["state"],
            &event["detail"]["backupJobId"],
            &event["detail"]["resourceType"]
        ],
        [&json!("COMPLETED"), &json!(job.id), &json!("DynamoDB")]
    );
    let (_, described) = setup
        .backup_call(Method::GET, &format!("/backup-jobs/{}", job.id), &json!({}))
        .await;
    assert_eq!([&described["State"], &described["StatusMessage"]], ["COMPLETED", "one was skipped"]);
    assert_eq!(described["RecoveryPointArn"], event["resources"][0]);

    let path = format!("/backup-vaults/ci/recovery-points?resourceArn={TABLE}");
    let (_, listed) = setup.backup_call(Method::GET, &path, &json!({})).await;
    assert_eq!(listed["RecoveryPoints"][0]["RecoveryPointArn"], described["RecoveryPointArn"]);
    setup.backup().add_point(TABLE, "ci", SOON);
    let pages = |token: &str| format!("/backup-vaults/ci/recovery-points?maxResults=1{token}");
    let (_, first) = setup.backup_call(Method::GET, &pages(""), &json!({})).await;
    let token = format!("&nextToken={}", first["NextToken"].as_str().unwrap());
    let (_, last) = setup.backup_call(Method::GET, &pages(&token), &json!({})).await;
    assert_eq!(
        (last["RecoveryPoints"].as_array().unwrap().len(), &last["NextToken"]),
        (1, &json!(null))
    );
    assert_ne!(first["RecoveryPoints"], last["RecoveryPoints"]);
    for wrong in ["&nextToken=x", "&maxResults=1001"] {
        assert_eq!(setup.backup_call(Method::GET, &pages(wrong), &json!({})).await.0, 400, "{wrong}");
    }
    let (_, none) = setup
        .backup_call(Method::GET, "/backup-vaults/other/recovery-points", &json!({}))
        .await;
    assert_eq!(none["RecoveryPoints"], json!([]));
    assert!(setup.backup().ends(&job.id, "RESTING", None).is_err());
}

#[tokio::test]
async fn a_restore_creates_what_its_metadata_names_and_it_can_be_removed() {
    let setup = start().await;
    let point = setup.backup().add_point(TABLE, "ci", SOON);
    let path = format!("/backup-vaults/ci/recovery-points/{}/restore-metadata", point.replace(':', "%3A"));
    let (_, metadata) = setup.backup_call(Method::GET, &path, &json!({})).await;
    assert_eq!(metadata["RestoreMetadata"]["originalTableName"], "orders");
    let request =
        json!({ "RecoveryPointArn": point, "IamRoleArn": "role", "ResourceType": "DynamoDB", "Metadata": { "targetTableName": "test-1" } });
    let (_, started) = setup.backup_call(Method::PUT, "/restore-jobs", &request).await;
    let place = format!("/restore-jobs/{}", started["RestoreJobId"].as_str().unwrap());
    let (_, described) = setup.backup_call(Method::GET, &place, &json!({})).await;
    assert_eq!([&described["Status"], &described["SourceResourceArn"]], ["PENDING", TABLE]);
    // No state of a restore.
    assert!(
        setup
            .backup()
            .ends(started["RestoreJobId"].as_str().unwrap(), "EXPIRED", None)
            .is_err()
    );
    let event = setup
        .backup()
        .ends(started["RestoreJobId"].as_str().unwrap(), "COMPLETED", None)
        .unwrap();
    assert_eq!(
        [
            &event["detail"]["status"],
            &event["detail"]["state"],
            &event["detail"]["createdResourceArn"]
        ],
        [
            &json!("COMPLETED"),
            &json!(null),
            &json!("arn:aws:dynamodb:us-east-1:000000000000:table/test-1")
        ]
    );
    let remove = json!({ "TypeName": "AWS::DynamoDB::Table", "Identifier": "test-1", "ClientToken": "t" });
    let target = "CloudApiService.DeleteResource";
    let (_, first) = setup.call("cloudcontrolapi", target, &remove).await;
    let (_, again) = setup.call("cloudcontrolapi", target, &remove).await;
    assert_eq!(first["ProgressEvent"]["RequestToken"], again["ProgressEvent"]["RequestToken"]);
    assert_eq!(first["ProgressEvent"]["OperationStatus"], "IN_PROGRESS");
    let ask = json!({ "RequestToken": first["ProgressEvent"]["RequestToken"] });
    let (_, done) = setup
        .call("cloudcontrolapi", "CloudApiService.GetResourceRequestStatus", &ask)
        .await;
    assert_eq!(done["ProgressEvent"]["OperationStatus"], "SUCCESS");
    assert_eq!(setup.backup().removals().len(), 1);
}

#[tokio::test]
async fn a_vault_with_recovery_points_cannot_be_deleted() {
    let setup = start().await;
    let point = setup.backup().add_point(TABLE, "ci", SOON);
    let (status, error) = setup.backup_call(Method::DELETE, "/backup-vaults/ci", &Value::Null).await;
    assert_eq!((status, &error["__type"]), (400, &json!("InvalidRequestException")));

    let path = format!("/backup-vaults/ci/recovery-points/{}", point.replace(':', "%3A"));
    assert_eq!(setup.backup_call(Method::DELETE, &path, &Value::Null).await.0, 200);
    let (status, error) = setup.backup_call(Method::DELETE, &path, &Value::Null).await;
    assert_eq!((status, &error["__type"]), (400, &json!("ResourceNotFoundException")));
    // Vaults are the upstream's, and there is none here.
    let (status, _) = setup.backup_call(Method::DELETE, "/backup-vaults/ci", &Value::Null).await;
    assert_eq!(status, 501);
}
