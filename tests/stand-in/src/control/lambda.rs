//! Functions, their packages, and the alarms that a deployment looks at.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bellhop_domain::alarm::AlarmState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Unable;
use super::faults::{Invalid, read};
use crate::faults::duration;
use crate::{AlarmType, AlarmView, Change, Cloud, FunctionView};

pub(super) fn routes() -> Router<Cloud> {
    Router::new()
        .route("/_stand-in/functions", get(functions).post(create_function))
        .route("/_stand-in/functions/{name}/changes", post(change))
        .route("/_stand-in/lambda", post(set))
        .route("/_stand-in/objects/{bucket}/{*key}", put(put_object))
        .route("/_stand-in/alarms", get(alarms).post(set_alarm).delete(delete_alarm))
}

async fn functions(State(cloud): State<Cloud>) -> Json<Vec<FunctionView>> {
    let names = cloud.lambda.names();
    // One that was deleted in between is left out.
    Json(names.iter().filter_map(|name| cloud.lambda.function(name).ok()).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NewFunction {
    name: String,
    /// What the package is, as a text: only its hash matters.
    #[serde(default)]
    package: String,
}

async fn create_function(State(cloud): State<Cloud>, body: Bytes) -> Result<Json<Value>, Invalid> {
    let new: NewFunction = read(&body)?;
    let arn = cloud.lambda.create_function(&new.name, new.package.as_bytes());
    Ok(Json(json!({ "arn": arn })))
}

/// What somebody else does, now or before the next request of an operation.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Ordered {
    change: Change,
    before: Option<String>,
}

async fn change(State(cloud): State<Cloud>, Path(name): Path<String>, body: Bytes) -> Result<StatusCode, Refused> {
    let Ordered { change, before } = read(&body).map_err(Refused::Invalid)?;
    match before {
        Some(operation) => cloud.lambda.change_before(&operation, &name, change),
        None => cloud.lambda.change(&name, change).map_err(|error| Refused::Unable(Unable(error)))?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What is not named stays as it is.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Switches {
    times: Option<Times>,
    fail_next_update: Option<Reason>,
    storage_full: Option<bool>,
    seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Times {
    #[serde(with = "duration")]
    update: Duration,
    #[serde(with = "duration")]
    publishing: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Reason {
    code: String,
    reason: String,
}

async fn set(State(cloud): State<Cloud>, body: Bytes) -> Result<StatusCode, Invalid> {
    let switches: Switches = read(&body)?;
    if let Some(Times { update, publishing }) = switches.times {
        cloud.lambda.set_times(update, publishing);
    }
    if let Some(Reason { code, reason }) = switches.fail_next_update {
        cloud.lambda.fail_next_update(&code, &reason);
    }
    if let Some(is_full) = switches.storage_full {
        cloud.lambda.fill_storage(is_full);
    }
    if let Some(seed) = switches.seed {
        cloud.lambda.set_seed(seed);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct OfObject {
    version: Option<String>,
}

async fn put_object(
    State(cloud): State<Cloud>,
    Path((bucket, key)): Path<(String, String)>,
    Query(OfObject { version }): Query<OfObject>,
    body: Bytes,
) -> StatusCode {
    cloud.lambda.put_object(&bucket, &key, version.as_deref(), &body);
    StatusCode::NO_CONTENT
}

async fn alarms(State(cloud): State<Cloud>) -> Json<Vec<AlarmView>> {
    Json(cloud.cloudwatch.alarms())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SetAlarm {
    name: String,
    state: AlarmState,
    #[serde(default, rename = "type")]
    looks_at: AlarmType,
}

async fn set_alarm(State(cloud): State<Cloud>, body: Bytes) -> Result<StatusCode, Invalid> {
    let SetAlarm { name, state, looks_at } = read(&body)?;
    cloud.cloudwatch.set_alarm(looks_at, &name, state);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct OfAlarm {
    name: String,
}

async fn delete_alarm(State(cloud): State<Cloud>, Query(OfAlarm { name }): Query<OfAlarm>) -> StatusCode {
    if cloud.cloudwatch.delete_alarm(&name) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

/// A request that says nothing useful, or something that cannot be done.
enum Refused {
    Invalid(Invalid),
    Unable(Unable),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(invalid) => invalid.into_response(),
            Self::Unable(unable) => unable.into_response(),
        }
    }
}
