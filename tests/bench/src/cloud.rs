//! A small AWS on this machine: just enough of each service that a function comes to the end of its work, with every request noted.
//!
//! It is made for measuring: everything is in memory, what it knows can be put back to an earlier state between two events, and each answer can be
//! held back for as long as a service of AWS would take. `tests/stand-in` is the one that behaves like AWS.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::State as Extracted;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::table::{Item, Table, key_of};

/// The ARN of the task in the samples of `events/ecs`, which every first launch gives.
const TASK: &str = "arn:aws:ecs:us-east-1:123456789012:task/ci-spot/8c2e4a6f0b1d4c3e9a5b7d9f1e3c5a70";
/// The ARN that every launch on on-demand capacity gives.
const SECOND_TASK: &str = "arn:aws:ecs:us-east-1:123456789012:task/ci-main/0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f6";
/// The ARN of the build in the samples of `events/codebuild`.
const BUILD: &str = "arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:5d7f9b1c-3e50-4c72-8a94-b6d8f0a2c4e6";
/// The commit of the samples of `events/codecommit`.
const COMMIT: &str = "2a4c6e8091b3d5f7092b4d6f8193a5c7e9fb0d1e";
/// The instance that the first task is on, as far as one is asked for.
const HOST: &str = "arn:aws:ecs:us-east-1:123456789012:container-instance/ci-spot/1f2e3d4c5b6a79880716253443526170";
/// A moment, as the JSON protocols write it.
const MOMENT: f64 = 1_772_442_843.0;

/// What the services know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) table: Table,
    /// The pipeline file at every commit.
    pipeline: String,
    /// `startedBy` of the first task, and its environment.
    first_task: Option<(String, Value)>,
    /// The tasks by their ARNs, where each launch gives one of its own; `None` where launches give those of the samples.
    pub(crate) tasks: Option<BTreeMap<String, String>>,
}

impl Known {
    /// Nothing but a pipeline file.
    pub(crate) fn with_pipeline(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            ..Self::default()
        }
    }

    /// The runs in the table, once for each of their items.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &str> {
        self.table.items().filter_map(|item| item["pk"]["S"].as_str()?.strip_prefix("RUN#"))
    }

    /// The same with another id of a run.
    pub(crate) fn renamed(&self, run: &str, other: &str) -> anyhow::Result<Self> {
        let renamed = |text: &str| text.replace(run, other);
        let mut table = Table::default();
        for item in self.table.items() {
            table.insert(serde_json::from_str(&renamed(&serde_json::to_string(item)?))?);
        }
        let task = |(arn, started_by): (&String, &String)| (arn.clone(), renamed(started_by));
        let first_task = self.first_task.as_ref().map(|(started_by, environment)| {
            let environment = serde_json::from_str(&renamed(&environment.to_string()))?;
            anyhow::Ok((renamed(started_by), environment))
        });
        Ok(Self {
            table,
            pipeline: self.pipeline.clone(),
            first_task: first_task.transpose()?,
            tasks: self.tasks.as_ref().map(|tasks| tasks.iter().map(task).collect()),
        })
    }

    /// The same, with a task of its own for each launch.
    pub(crate) fn with_own_tasks(mut self) -> Self {
        self.tasks = Some(BTreeMap::new());
        self
    }
}

/// The ARN of one of many tasks.
pub(crate) fn task_arn(number: usize) -> String {
    format!("arn:aws:ecs:us-east-1:123456789012:task/ci-spot/{number:032x}")
}

/// What a function asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The service's signing name and the operation, such as `ecs RunTask`.
    pub(crate) call: String,
    /// When the whole request had arrived.
    pub(crate) arrived: Instant,
    /// When its answer went out; `None` while it has not.
    pub(crate) answered: Option<Instant>,
    pub(crate) body: Value,
    /// The bytes of the request's body, and of its answer's.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Whether it was answered with an error of the caller's, such as a condition that does not hold.
    pub(crate) refused: bool,
}

/// The services. Clones are handles to the same ones.
#[derive(Clone, Default)]
pub(crate) struct Cloud {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    known: Known,
    configuration: String,
    delay: Duration,
    asked: Vec<Asked>,
}

impl Cloud {
    /// Serves on a free port, for as long as this process lives. Gives the base URL with the handle.
    pub(crate) async fn start(configuration: &str) -> anyhow::Result<(Self, String)> {
        let cloud = Self::default();
        configuration.clone_into(&mut cloud.lock().configuration);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for the services")?;
        let url = format!("http://{}", listener.local_addr()?);
        let routes = Router::new().fallback(answer).with_state(cloud.clone());
        let listener = listener.tap_io(|stream| {
            // Small answers would wait for acknowledgements; without it they only get slower.
            let _ = stream.set_nodelay(true);
        });
        tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(listener, routes).await;
        });
        Ok((cloud, url))
    }

    /// Goes back to an earlier state, and forgets what was asked.
    pub(crate) fn reset(&self, known: &Known) {
        let mut state = self.lock();
        state.known.clone_from(known);
        state.asked.clear();
    }

    /// How long each answer is held back from now on.
    pub(crate) fn hold_back(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// What the services know now.
    pub(crate) fn known(&self) -> Known {
        self.lock().known.clone()
    }

    /// What was asked since the last reset, in the order of arrival.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(Extracted(cloud): Extracted<Cloud>, request: Request<axum::body::Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let arrived = Instant::now();
    let service = service_of(&parts.headers);
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = match target.and_then(|target| target.rsplit_once('.')) {
        Some((_, operation)) => operation.to_owned(),
        None => operation_of(&service, &parts, &body),
    };
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (reply, delay, place) = {
        let mut state = cloud.lock();
        let reply = reply_to(&mut state, &service, &operation, &json, &parts);
        let asked = Asked {
            call: format!("{service} {operation}"),
            arrived,
            answered: None,
            sent: body.len() as u64,
            received: reply.body().size_hint().exact().unwrap_or_default(),
            refused: reply.status() == StatusCode::BAD_REQUEST,
            body: json,
        };
        state.asked.push(asked);
        (reply, state.delay, state.asked.len() - 1)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(asked) = cloud.lock().asked.get_mut(place) {
        asked.answered = Some(Instant::now());
    }
    reply
}

/// The service in the credential scope of a version 4 signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn service_of(headers: &HeaderMap) -> String {
    let scope = headers
        .get("authorization")
        .and_then(|header| header.to_str().ok())
        .and_then(|header| header.split_once("Credential="));
    let service = scope.and_then(|(_, scope)| scope.split('/').nth(3));
    service.unwrap_or("unsigned").to_owned()
}

/// The operation of the services that do not name it in a header.
fn operation_of(service: &str, parts: &Parts, body: &Bytes) -> String {
    let path = parts.uri.path();
    let named = match (service, &parts.method) {
        ("s3", &Method::GET) if parts.uri.query().is_some_and(|query| query.contains("list-type=2")) => "ListObjectsV2",
        ("s3", &Method::GET) => "GetObject",
        ("s3", &Method::PUT) => "PutObject",
        ("sns", _) if body.starts_with(b"Action=Publish&") => "Publish",
        ("backup", &Method::PUT) if path == "/backup-jobs" => "StartBackupJob",
        _ => return format!("{} {path}", parts.method),
    };
    named.to_owned()
}

fn reply_to(state: &mut State, service: &str, operation: &str, body: &Value, parts: &Parts) -> Response {
    let reply = match (service, operation) {
        ("dynamodb", _) => return dynamodb(&mut state.known.table, operation, body),
        ("s3", "GetObject") => return object(state, parts),
        ("s3", "PutObject") => return StatusCode::OK.into_response(),
        ("s3", "ListObjectsV2") => {
            let none = "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";
            return ([("content-type", "application/xml")], none).into_response();
        }
        ("sns", "Publish") => {
            let published = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
            return ([("content-type", "text/xml")], published).into_response();
        }
        // https://docs.aws.amazon.com/codecommit/latest/APIReference/API_GetBranch.html
        ("codecommit", "GetBranch") => json!({ "branch": { "branchName": body["branchName"], "commitId": COMMIT } }),
        ("codecommit", "GetCommit") => json!({ "commit": { "commitId": COMMIT, "message": "Sell bread\n" } }),
        ("codecommit", "GetFile") => json!({
            "commitId": COMMIT,
            "blobId": COMMIT,
            "filePath": body["filePath"],
            "fileMode": "NORMAL",
            "fileSize": state.known.pipeline.len(),
            "fileContent": data_encoding::BASE64.encode(state.known.pipeline.as_bytes()),
        }),
        ("codecommit", "GetRepository") => json!({ "repositoryMetadata": { "repositoryName": "shop", "defaultBranch": "main" } }),
        ("ecs", "RunTask") if let Some(tasks) = &mut state.known.tasks => {
            let arn = task_arn(tasks.len());
            tasks.insert(arn.clone(), body["startedBy"].as_str().unwrap_or_default().to_owned());
            json!({ "tasks": [{ "taskArn": arn }], "failures": [] })
        }
        ("ecs", "DescribeTasks") if let Some(tasks) = &state.known.tasks => {
            let asked = body["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let known = asked.filter_map(|arn| Some(described(arn, tasks.get(arn)?, &json!({}))));
            json!({ "tasks": known.collect::<Vec<_>>() })
        }
        ("ecs", "RunTask") => {
            let first = body["cluster"] == "ci-spot";
            if first {
                let started_by = body["startedBy"].as_str().unwrap_or_default().to_owned();
                state.known.first_task = Some((started_by, body["overrides"].clone()));
            }
            json!({ "tasks": [{ "taskArn": if first { TASK } else { SECOND_TASK } }], "failures": [] })
        }
        ("ecs", "StopTask") => json!({ "task": { "taskArn": body["task"] } }),
        ("ecs", "ListContainerInstances") => {
            let here: &[&str] = if body["cluster"] == "ci-spot" { &[HOST] } else { &[] };
            json!({ "containerInstanceArns": here })
        }
        ("ecs", "UpdateContainerInstancesState") => json!({ "containerInstances": [], "failures": [] }),
        ("ecs", "ListTasks") => json!({ "taskArns": [TASK] }),
        ("ecs", "DescribeTasks") => {
            let first = state.known.first_task.as_ref();
            let first = first.map(|(started_by, overrides)| described(TASK, started_by, overrides));
            json!({ "tasks": first.into_iter().collect::<Vec<_>>() })
        }
        ("ssm", "GetParameters") => {
            let names = body["Names"].as_array().into_iter().flatten();
            let parameters = names.map(|name| json!({ "Name": name, "Value": "ghp_0123456789abcdefghijklmnopqrstuvwxyz" }));
            json!({ "Parameters": parameters.collect::<Vec<_>>() })
        }
        ("codebuild", "StartBuild") => json!({ "build": { "id": "ci-docker:1", "arn": BUILD } }),
        ("codepipeline", "PutJobSuccessResult" | "PutJobFailureResult") => json!({}),
        ("backup", "StartBackupJob") => json!({ "BackupJobId": "b1", "CreationDate": MOMENT }),
        _ => {
            let message = format!("the benchmark's AWS has no {service} {operation}");
            return refuse("UnknownOperationException", &message, None);
        }
    };
    ([("content-type", "application/x-amz-json-1.1")], reply.to_string()).into_response()
}

/// A running task, on an instance.
fn described(arn: &str, started_by: &str, overrides: &Value) -> Value {
    json!({
        "taskArn": arn,
        "startedBy": started_by,
        "overrides": overrides,
        "version": 4,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "containerInstanceArn": HOST,
        "createdAt": MOMENT,
        "startedAt": MOMENT,
        "containers": [{ "name": "agent", "lastStatus": "RUNNING" }],
    })
}

/// S3 as far as the configuration is concerned; nothing else is there.
fn object(state: &State, parts: &Parts) -> Response {
    const ETAG: &str = "\"c0\"";
    if !parts.uri.path().ends_with("/config/bellhop.yaml") {
        let missing = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
        return (StatusCode::NOT_FOUND, [("content-type", "application/xml")], missing).into_response();
    }
    if parts.headers.get("if-none-match").is_some_and(|known| known == ETAG) {
        return (StatusCode::NOT_MODIFIED, [("etag", ETAG)]).into_response();
    }
    ([("etag", ETAG)], state.configuration.clone()).into_response()
}

/// What `shared/aws/src/dynamodb.rs` asks of a table.
fn dynamodb(table: &mut Table, operation: &str, body: &Value) -> Response {
    let values = &body["ExpressionAttributeValues"];
    let key = || body["Key"].as_object().cloned().unwrap_or_default();
    let reply = match operation {
        "GetItem" => match table.get(&key_of(&key())) {
            Some(item) => json!({ "Item": item }),
            None => json!({}),
        },
        "PutItem" => {
            if !table.put(body) {
                return refuse("ConditionalCheckFailedException", "The conditional request failed", None);
            }
            json!({})
        }
        "DeleteItem" => {
            table.remove(&key_of(&key()));
            json!({})
        }
        "TransactWriteItems" => {
            let puts = body["TransactItems"].as_array().into_iter().flatten();
            let items: Vec<&Item> = puts.filter_map(|each| each["Put"]["Item"].as_object()).collect();
            if items.iter().any(|item| table.get(&key_of(item)).is_some()) {
                let reasons = json!([{ "Code": "ConditionalCheckFailed" }]);
                return refuse(
                    "TransactionCanceledException",
                    "Transaction cancelled",
                    Some(("CancellationReasons", reasons)),
                );
            }
            for item in items {
                table.insert(item.clone());
            }
            json!({})
        }
        "Query" => {
            let text = |name: &str| values[name]["S"].as_str().unwrap_or_default();
            let found: Vec<Value> = match body["IndexName"].as_str() {
                Some("due") => {
                    let now = values[":now"]["N"].as_str().and_then(|now| now.parse().ok());
                    let limit = body["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
                    table.due(text(":shard"), now.unwrap_or_default(), limit.unwrap_or(usize::MAX))
                }
                Some(_) => {
                    let lists = ["list_key", "list_class"];
                    let is_in = |item: &&Item| lists.iter().any(|list| item.get(*list) == Some(&values[":list"]));
                    let listed = table.items().filter(is_in);
                    listed.map(|item| json!(item)).collect()
                }
                None if values.get(":after").is_some() => {
                    let limit = body["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
                    let next = table.after(text(":pk"), text(":after")).take(limit.unwrap_or(usize::MAX));
                    next.map(|item| json!(item)).collect()
                }
                None => table.beginning(text(":pk"), text(":beginning")).map(|item| json!(item)).collect(),
            };
            json!({ "Count": found.len(), "ScannedCount": found.len(), "Items": found })
        }
        _ => return refuse("UnknownOperationException", operation, None),
    };
    ([("content-type", "application/x-amz-json-1.0")], reply.to_string()).into_response()
}

fn refuse(code: &str, message: &str, detail: Option<(&str, Value)>) -> Response {
    let fields: HashMap<&str, Value> = [("__type", json!(code)), ("message", json!(message))]
        .into_iter()
        .chain(detail)
        .collect();
    let body = json!(fields).to_string();
    (StatusCode::BAD_REQUEST, [("content-type", "application/x-amz-json-1.0")], body).into_response()
}
