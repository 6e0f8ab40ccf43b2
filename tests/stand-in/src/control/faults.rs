//! Faults that people switch on and off by HTTP.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bellhop_domain::config::nearest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{ActiveRule, Cloud, Delivery, Order, Rule, RuleId};

/// The most copies of an event that may be asked for: each is delivered to the local AWS.
const MOST_COPIES: usize = 100;

pub(super) fn routes() -> Router<Cloud> {
    Router::new()
        .route("/_stand-in/faults", get(switched_on).post(inject).delete(clear))
        .route("/_stand-in/faults/{id}", delete(remove))
        .route("/_stand-in/faults/events", post(change_delivery))
}

/// Everything that is switched on.
#[derive(Serialize)]
struct SwitchedOn {
    requests: Vec<ActiveRule>,
    events: Delivery,
}

async fn switched_on(State(cloud): State<Cloud>) -> Json<SwitchedOn> {
    Json(SwitchedOn {
        requests: cloud.faults.active(),
        events: cloud.events.delivery(),
    })
}

async fn inject(State(cloud): State<Cloud>, body: Bytes) -> Result<Json<SwitchedOn>, Invalid> {
    let rule: Rule = read(&body)?;
    if let Some(mistake) = rule.mistake() {
        return Err(Invalid(mistake));
    }
    cloud.faults.inject(rule);
    Ok(switched_on(State(cloud)).await)
}

async fn remove(State(cloud): State<Cloud>, Path(id): Path<RuleId>) -> Response {
    if cloud.faults.remove(id) {
        switched_on(State(cloud)).await.into_response()
    } else {
        let body = json!({ "error": "no such fault; GET /_stand-in/faults lists the active ones" });
        (StatusCode::NOT_FOUND, Json(body)).into_response()
    }
}

/// Switches everything off; what was held back is delivered.
async fn clear(State(cloud): State<Cloud>) -> Json<SwitchedOn> {
    cloud.faults.clear();
    cloud.events.drop_next(0);
    cloud.events.repeat(1);
    cloud.events.release(Order::Kept);
    switched_on(State(cloud)).await
}

/// How events are to be delivered from now on; what is not named stays as it is.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Change {
    copies: Option<usize>,
    drop_next: Option<usize>,
    #[serde(default)]
    hold: bool,
    release: Option<Order>,
}

async fn change_delivery(State(cloud): State<Cloud>, body: Bytes) -> Result<Json<SwitchedOn>, Invalid> {
    let change: Change = read(&body)?;
    if change.copies.is_some_and(|copies| copies > MOST_COPIES) {
        return Err(Invalid(format!("copies: expected at most {MOST_COPIES}")));
    }
    if change.hold && change.release.is_some() {
        return Err(Invalid("release: not allowed together with hold".to_owned()));
    }
    if let Some(copies) = change.copies {
        cloud.events.repeat(copies);
    }
    if let Some(count) = change.drop_next {
        cloud.events.drop_next(count);
    }
    if change.hold {
        cloud.events.hold();
    }
    if let Some(order) = change.release {
        cloud.events.release(order);
    }
    Ok(switched_on(State(cloud)).await)
}

/// Reads a body whatever its content type is said to be: `curl -d` says that it is a form.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    let mut source = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|error| {
        let place = match error.path().to_string() {
            root if root == "." => "the body".to_owned(),
            path => path,
        };
        let message = error.inner().to_string();
        Invalid(format!("{place}: {message}{}", hint(&message)))
    })?;
    source.end().map_err(|error| Invalid(format!("the body: {error}")))?;
    Ok(value)
}

/// The known name that an unknown one is near, where serde's message names an unknown one and those that it expected.
fn hint(message: &str) -> String {
    if !message.starts_with("unknown ") {
        return String::new();
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    nearest(unknown, &known).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// What is wrong with a request.
pub(super) struct Invalid(String);

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}
