//! The stand-in's own interface for people, under `/_stand-in/`.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Cloud, Entry, TaskView};

pub(crate) fn routes() -> Router<Cloud> {
    Router::new()
        .route("/_stand-in/tasks", get(tasks))
        .route("/_stand-in/journal", get(journal))
        .route("/_stand-in/reclaim-spot", post(reclaim_spot))
}

async fn tasks(State(cloud): State<Cloud>) -> Json<Vec<TaskView>> {
    Json(cloud.ecs.tasks())
}

async fn journal(State(cloud): State<Cloud>) -> Json<Vec<Entry>> {
    Json(cloud.journal.entries())
}

#[derive(Deserialize)]
struct Reclaim {
    /// The ARN or the id of one task; all running Spot tasks without it.
    task: Option<String>,
}

async fn reclaim_spot(State(cloud): State<Cloud>, Query(reclaim): Query<Reclaim>) -> Result<Json<Value>, Unable> {
    let tasks = match reclaim.task {
        Some(task) => vec![task],
        None => cloud.ecs.running_on_spot(),
    };
    for task in &tasks {
        cloud.ecs.reclaim_spot(task).map_err(Unable)?;
    }
    Ok(Json(json!({ "reclaimed": tasks })))
}

/// What was asked for cannot be done.
struct Unable(anyhow::Error);

impl IntoResponse for Unable {
    fn into_response(self) -> Response {
        let body = json!({ "error": format!("{:#}", self.0) });
        (StatusCode::CONFLICT, Json(body)).into_response()
    }
}
