//! Which operation of which service a request asks for.

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use serde_json::Value;

use crate::replies::AwsError;
use crate::{backup, cbor, lambda};

/// What a request says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) service: String,
    pub(crate) operation: String,
    pub(crate) caller: Option<String>,
    /// The id of the access key that signed the request.
    pub(crate) access_key: Option<String>,
    pub(crate) protocol: Protocol,
    /// The body of a protocol of JSON or CBOR, of AWS Backup or of a deployment with Lambda, or the fields of a form as an object; None where it is none of these.
    pub(crate) body: Option<Value>,
    /// Method and path, for the summary of a request without a readable body.
    line: String,
}

/// How a service speaks, which decides what its errors look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// JSON with the operation in `X-Amz-Target`; the version stands in the content type.
    Json(&'static str),
    /// A form with the operation in `Action`, answered with XML.
    Query,
    /// S3's own.
    S3,
    /// JSON with the operation in method and path.
    RestJson,
    /// CBOR with the operation in the path (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>).
    Cbor,
}

impl Call {
    /// The body of a JSON protocol.
    pub(crate) fn json(&self) -> Result<&Value, AwsError> {
        let none = || AwsError::client("SerializationException", "The body is not JSON");
        self.body.as_ref().ok_or_else(none)
    }

    pub(crate) fn identify(parts: &Parts, body: &Bytes) -> Self {
        let target = header(&parts.headers, "x-amz-target");
        let (prefix, target_operation) = match target.and_then(|target| target.rsplit_once('.')) {
            Some((prefix, operation)) => (Some(prefix), Some(operation)),
            None => (None, target),
        };
        let service = signing_name(&parts.headers)
            .or_else(|| prefix.map(service_of_target))
            .unwrap_or_else(|| "other".to_owned());
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        let mut line = format!("{} {path}", parts.method);

        let (protocol, operation) = if let Some(operation) = target_operation {
            let old = header(&parts.headers, "content-type").is_some_and(|kind| kind.contains("json-1.0"));
            let version = if old { "1.0" } else { "1.1" };
            (Protocol::Json(version), operation.to_owned())
        } else if header(&parts.headers, "smithy-protocol") == Some("rpc-v2-cbor") {
            let operation = rpc_operation(path);
            (Protocol::Cbor, operation.map_or_else(|| line.clone(), str::to_owned))
        } else if service == "s3" {
            (Protocol::S3, s3_operation(&parts.method, path, query, &parts.headers))
        } else if let Some(operation) = form_action(body, query) {
            (Protocol::Query, operation)
        } else {
            let operation = rest_operation(&service, &parts.method, path);
            (Protocol::RestJson, operation.map_or_else(|| line.clone(), str::to_owned))
        };
        if protocol == Protocol::S3
            && matches!(operation.as_str(), "ListObjectsV2" | "ListObjectVersions")
            && let Some((_, prefix)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "prefix")
        {
            line = format!("{} /{}/ {prefix}", parts.method, path.trim_matches('/'));
        }
        let body = match protocol {
            Protocol::Json(_) => serde_json::from_slice(body).ok(),
            Protocol::Query => Some(form_fields(body)),
            Protocol::Cbor => cbor::read(body),
            Protocol::RestJson if service == "backup" => serde_json::from_slice(body).ok(),
            Protocol::RestJson if service == "lambda" && lambda::has_parameters(&operation) => serde_json::from_slice(body).ok(),
            Protocol::S3 | Protocol::RestJson => None,
        };
        Self {
            service,
            operation,
            caller: caller(&parts.headers),
            access_key: credential(&parts.headers, 0),
            protocol,
            body,
            line,
        }
    }

    /// The capacity that a RunTask request asks for: `FARGATE_SPOT` or `FARGATE`.
    pub(crate) fn capacity(&self) -> Option<&str> {
        if self.operation != "RunTask" {
            return None;
        }
        let body = self.body.as_ref()?;
        preferred_provider(body).or_else(|| body["launchType"].as_str())
    }

    /// What the request is about, for people.
    pub(crate) fn summary(&self) -> String {
        let Some(body) = &self.body else {
            return self.line.clone();
        };
        match (self.service.as_str(), self.operation.as_str()) {
            ("lambda", _) => self.line.clone(),
            ("ecs", "RunTask") => {
                let started_by = body["startedBy"].as_str().unwrap_or("nobody");
                format!("{started_by} on {}", self.capacity().unwrap_or("default"))
            }
            ("events", "PutEvents") => {
                let kinds = body["Entries"].as_array().into_iter().flatten();
                let kinds: Vec<_> = kinds.filter_map(|entry| entry["DetailType"].as_str()).collect();
                kinds.join(", ")
            }
            ("sns", "Publish") => body["Subject"].as_str().unwrap_or_default().to_owned(),
            _ => key_fields(body),
        }
    }
}

/// The provider of a strategy that takes the first task: the greatest base, then the greatest weight.
pub(crate) fn preferred_provider(request: &Value) -> Option<&str> {
    let strategy = request["capacityProviderStrategy"].as_array()?;
    let rank = |item: &&Value| (item["base"].as_u64(), item["weight"].as_u64());
    // max_by_key takes the last of equals, and the first one named is meant.
    let preferred = strategy.iter().rev().max_by_key(rank)?;
    preferred["capacityProvider"].as_str()
}

/// The fields that name what a request is about, whichever of them it has.
fn key_fields(body: &Value) -> String {
    const NAMING: [&str; 33] = [
        "TableName",
        "QueueUrl",
        "FunctionName",
        "logGroupName",
        "repositoryName",
        "commitSpecifier",
        "filePath",
        "commitId",
        "beforeCommitSpecifier",
        "afterCommitSpecifier",
        "branchName",
        "task",
        "tasks",
        "startedBy",
        "reason",
        "family",
        "projectName",
        "sourceVersion",
        "id",
        "stateMachineArn",
        "executionArn",
        "ids",
        "jobId",
        "filter",
        "containerInstance",
        "containerInstances",
        "BackupVaultName",
        "ResourceArn",
        "RecoveryPointArn",
        "DestinationBackupVaultArn",
        "TypeName",
        "Identifier",
        "AlarmNames",
    ];
    let values = NAMING.iter().filter_map(|name| match &body[*name] {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            Some(items.join(" "))
        }
        _ => None,
    });
    values.collect::<Vec<_>>().join(" ")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The service in the credential scope of a version 4 signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn signing_name(headers: &HeaderMap) -> Option<String> {
    credential(headers, 3)
}

/// A part of what a request was signed with: `KEY/DATE/REGION/SERVICE/aws4_request`.
fn credential(headers: &HeaderMap, part: usize) -> Option<String> {
    let authorization = header(headers, "authorization")?;
    let (_, scope) = authorization.split_once("Credential=")?;
    let scope = scope.split([',', ' ']).next()?;
    Some(scope.split('/').nth(part)?.to_owned())
}

fn service_of_target(prefix: &str) -> String {
    match prefix {
        "AmazonEC2ContainerServiceV20141113" => "ecs".to_owned(),
        "CodeBuild_20161006" => "codebuild".to_owned(),
        "CodeCommit_20150413" => "codecommit".to_owned(),
        "CodePipeline_20150709" => "codepipeline".to_owned(),
        "AWSStepFunctions" => "states".to_owned(),
        "DynamoDB_20120810" => "dynamodb".to_owned(),
        "CloudApiService" => "cloudcontrolapi".to_owned(),
        "GraniteServiceVersion20100801" => "monitoring".to_owned(),
        "AmazonSQS" => "sqs".to_owned(),
        "AWSEvents" => "events".to_owned(),
        "Logs_20140328" => "logs".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}

fn caller(headers: &HeaderMap) -> Option<String> {
    // The Rust SDK puts the application id into the second header only.
    ["user-agent", "x-amz-user-agent"]
        .into_iter()
        .filter_map(|name| header(headers, name))
        .flat_map(str::split_whitespace)
        .find_map(|token| token.strip_prefix("app/"))
        .map(str::to_owned)
}

fn form_action(body: &Bytes, query: &str) -> Option<String> {
    let form = std::str::from_utf8(body).unwrap_or_default();
    [form, query]
        .into_iter()
        .flat_map(|fields| fields.split('&'))
        .find_map(|field| field.strip_prefix("Action="))
        .map(str::to_owned)
}

fn form_fields(body: &Bytes) -> Value {
    form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn rest_operation<'a>(service: &str, method: &Method, path: &'a str) -> Option<&'a str> {
    match service {
        "lambda" => lambda::operation(method, path),
        "backup" => backup::operation(method, path),
        _ => rpc_operation(path),
    }
}

/// The protocol over CBOR names the operation in the path.
fn rpc_operation(path: &str) -> Option<&str> {
    path.rsplit_once("/operation/").map(|(_, operation)| operation)
}

fn s3_operation(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> String {
    let asks = |name: &str| query.split('&').any(|field| field.split('=').next() == Some(name));
    let of_object = path.trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let operation = if of_object {
        match *method {
            Method::GET => "GetObject",
            Method::HEAD => "HeadObject",
            Method::PUT if asks("partNumber") => "UploadPart",
            Method::PUT if headers.contains_key("x-amz-copy-source") => "CopyObject",
            Method::PUT => "PutObject",
            Method::DELETE if asks("uploadId") => "AbortMultipartUpload",
            Method::DELETE => "DeleteObject",
            Method::POST if asks("uploads") => "CreateMultipartUpload",
            Method::POST if asks("uploadId") => "CompleteMultipartUpload",
            _ => "",
        }
    } else {
        match *method {
            Method::GET if path == "/" => "ListBuckets",
            Method::GET if asks("list-type") => "ListObjectsV2",
            Method::GET if asks("versions") => "ListObjectVersions",
            Method::GET if query.is_empty() => "ListObjects",
            Method::HEAD => "HeadBucket",
            Method::PUT if query.is_empty() => "CreateBucket",
            Method::DELETE if query.is_empty() => "DeleteBucket",
            Method::POST if asks("delete") => "DeleteObjects",
            _ => "",
        }
    };
    if operation.is_empty() {
        format!("{method} {path}?{query}")
    } else {
        operation.to_owned()
    }
}
