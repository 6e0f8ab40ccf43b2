//! What goes to S3 and DynamoDB, and what their answers mean: on a wire with prepared answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use bellhop_pdf_index::event::{Created, parse};
use bellhop_pdf_index::failure::Failure;
use bellhop_pdf_index::index::{DynamoDb, Index as _, Written};
use bellhop_pdf_index::objects::{Found, Objects as _, S3};
use bellhop_pdf_index::pdf::{Metadata, Reading};
use serde_json::{Value, json};

use crate::events::sample;

/// A request: method and address, the header If-Match, and the body.
type Asked = (String, Option<String>, Value);

/// A status and a body.
type Answer = (u16, Vec<u8>);

#[derive(Debug, Clone)]
struct Wire {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Wire {
    fn answering(status: u16, body: &[u8]) -> (SdkConfig, Self) {
        let wire = Self {
            answers: Arc::new(Mutex::new(VecDeque::from([(status, body.to_vec())]))),
            asked: Arc::default(),
        };
        let connector = SharedHttpConnector::new(wire.clone());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        (config, wire)
    }

    fn asked(&self) -> Asked {
        assert!(self.answers.lock().unwrap().is_empty());
        self.asked.lock().unwrap().pop().unwrap()
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let condition = request.headers().get("if-match").map(ToOwned::to_owned);
        let line = format!("{} {}", request.method(), request.uri());
        self.asked.lock().unwrap().push((line, condition, body));
        let (status, body) = self.answers.lock().unwrap().pop_front().unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))))
    }
}

fn created(name: &str) -> Created {
    let [created] = parse(&sample(name)).objects.try_into().unwrap();
    created
}

async fn read(created: &Created, limit: usize, status: u16, body: &[u8]) -> (Result<Found, Failure>, Asked) {
    let (config, wire) = Wire::answering(status, body);
    let found = S3::new(aws_sdk_s3::Client::new(&config)).read(created, limit).await;
    (found, wire.asked())
}

fn error(code: &str) -> Vec<u8> {
    format!("<Error><Code>{code}</Code><Message>no</Message></Error>").into_bytes()
}

#[tokio::test]
async fn exactly_the_object_of_the_event_is_read() {
    let (found, (line, condition, _)) = read(&created("object-created.json"), 100, 200, b"%PDF").await;
    assert_eq!(found.unwrap(), Found::Bytes(b"%PDF".to_vec()));
    let address = "https://pdf-index-bucket-1a2b3c4d5e6f.s3.eu-west-1.amazonaws.com/invoices/2026/M%C3%A4rz%20%2B%20April.pdf";
    assert_eq!(
        line,
        format!("GET {address}?x-id=GetObject&versionId=3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY")
    );
    assert_eq!(condition, None);

    let (_, (line, condition, _)) = read(&created("notification-unversioned.json"), 100, 200, b"%PDF").await;
    assert!(line.ends_with("/scans/box-17.pdf?x-id=GetObject"), "{line}");
    assert_eq!(condition.as_deref(), Some("\"5f363e0e58a95f06cbe9bbc662c5dfb6-4\""));
}

#[tokio::test]
async fn no_more_than_the_limit_is_kept() {
    let created = created("object-created.json");
    assert_eq!(read(&created, 5, 200, b"12345").await.0.unwrap(), Found::Bytes(b"12345".to_vec()));
    assert_eq!(read(&created, 4, 200, b"12345").await.0.unwrap(), Found::TooLarge);
    assert_eq!(read(&created, 4, 200, b"").await.0.unwrap(), Found::Bytes(Vec::new()));
}

#[tokio::test]
async fn answers_of_s3_are_told_apart() {
    let created = created("object-created.json");
    for (status, body, expected) in [
        (404, error("NoSuchKey"), Found::Deleted),
        (404, error("NoSuchVersion"), Found::Deleted),
        (403, error("InvalidObjectState"), Found::Archived),
        (412, error("PreconditionFailed"), Found::Overwritten),
        (412, Vec::new(), Found::Overwritten),
    ] {
        assert_eq!(read(&created, 100, status, &body).await.0.unwrap(), expected, "{status}");
    }
    for (status, code, is_transient) in [
        (500, "InternalError", true),
        (503, "SlowDown", true),
        (403, "AccessDenied", false),
        (404, "NoSuchBucket", false),
    ] {
        let failure = read(&created, 100, status, &error(code)).await.0.unwrap_err();
        let what = format!("failed to read s3://pdf-index-bucket-1a2b3c4d5e6f/invoices/2026/März + April.pdf: {code}: no");
        assert_eq!((failure.is_transient, failure.what), (is_transient, what));
    }
}

async fn write(reading: &Reading, status: u16, body: &Value) -> (Result<Written, Failure>, Value) {
    let (config, wire) = Wire::answering(status, body.to_string().as_bytes());
    let index = DynamoDb::new(aws_sdk_dynamodb::Client::new(&config), "pdf".to_owned());
    let written = index.write(&created("object-created.json"), reading).await;
    (written, wire.asked().2)
}

#[tokio::test]
async fn an_item_is_written_under_the_condition_that_its_event_is_the_latest() {
    let metadata = Metadata {
        title: Some("März".to_owned()),
        created: Some("2026-03-02T10:15:30+01:00".to_owned()),
        pages: Some(3),
        version: Some("1.7".to_owned()),
        ..Metadata::default()
    };
    let (written, request) = write(&Reading::Metadata(Box::new(metadata)), 200, &json!({})).await;
    assert_eq!(written.unwrap(), Written::Done);
    let sequencer = format!("{:0<64}", "0065E2F8A9D1B3C4E5");
    assert_eq!(
        request,
        json!({
            "TableName": "pdf",
            "ConditionExpression": "attribute_not_exists(#bucket) OR #sequencer < :sequencer",
            "ExpressionAttributeNames": { "#bucket": "bucket", "#sequencer": "sequencer" },
            "ExpressionAttributeValues": { ":sequencer": { "S": sequencer } },
            "Item": {
                "bucket": { "S": "pdf-index-bucket-1a2b3c4d5e6f" },
                "key": { "S": "invoices/2026/März + April.pdf" },
                "sequencer": { "S": sequencer },
                "status": { "S": "indexed" },
                "version_id": { "S": "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY" },
                "etag": { "S": "9b2cf535f27731c974343645a3985328" },
                "size": { "N": "48213" },
                "created_at": { "S": "2026-03-02T10:02:17Z" },
                "title": { "S": "März" },
                "document_created_at": { "S": "2026-03-02T10:15:30+01:00" },
                "pages": { "N": "3" },
                "pdf_version": { "S": "1.7" },
                "encrypted": { "BOOL": false },
            },
        })
    );
}

#[tokio::test]
async fn answers_of_dynamodb_are_told_apart() {
    let unreadable = Reading::unreadable("the file is damaged");
    let refusal = |code: &str| json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "no" });
    let (written, request) = write(&unreadable, 400, &refusal("ConditionalCheckFailedException")).await;
    assert_eq!(written.unwrap(), Written::Stale);
    assert_eq!(request["Item"]["status"], json!({ "S": "unreadable" }));
    assert_eq!(request["Item"]["why"], json!({ "S": "the file is damaged" }));
    for (status, code, is_transient) in [
        (400, "ProvisionedThroughputExceededException", true),
        (400, "ThrottlingException", true),
        (500, "InternalServerError", true),
        (400, "ResourceNotFoundException", false),
        (400, "AccessDeniedException", false),
    ] {
        let failure = write(&unreadable, status, &refusal(code)).await.0.unwrap_err();
        assert_eq!(failure.is_transient, is_transient, "{failure}");
        assert!(failure.what.ends_with(&format!(": {code}: no")), "{failure}");
    }
}
