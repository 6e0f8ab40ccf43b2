//! The stand-in's own interface for people, under `/_stand-in/`.

mod faults;
mod lambda;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ActionView, BuildView, Cloud, Entry, InstanceView, InvokeAction, Project, TaskView};

pub(crate) fn routes() -> Router<Cloud> {
    Router::new()
        .route("/_stand-in/tasks", get(tasks))
        .route("/_stand-in/journal", get(journal))
        .route("/_stand-in/reclaim-spot", post(reclaim_spot))
        .route("/_stand-in/instances", get(instances).post(add_instance))
        .route("/_stand-in/warn-instance", post(warn_instance))
        .route("/_stand-in/projects", get(projects).post(create_project))
        .route("/_stand-in/builds", get(builds))
        .route("/_stand-in/actions", get(actions).post(start_action))
        .route("/_stand-in/stop-action", post(stop_action))
        .merge(faults::routes())
        .merge(lambda::routes())
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

async fn instances(State(cloud): State<Cloud>) -> Json<Vec<InstanceView>> {
    Json(cloud.ecs.instances())
}

#[derive(Deserialize)]
struct NewInstance {
    cluster: String,
    /// The capacity provider that it comes from.
    provider: String,
}

async fn add_instance(State(cloud): State<Cloud>, Query(new): Query<NewInstance>) -> Json<Value> {
    let id = cloud.ecs.add_instance(&new.cluster, &new.provider);
    Json(json!({ "instance": id }))
}

#[derive(Deserialize)]
struct Warn {
    instance: String,
    /// `terminate` without it.
    action: Option<String>,
}

async fn warn_instance(State(cloud): State<Cloud>, Query(warn): Query<Warn>) -> Result<Json<Value>, Unable> {
    let action = warn.action.as_deref().unwrap_or("terminate");
    cloud.ecs.warn_instance(&warn.instance, action).map(Json).map_err(Unable)
}

async fn projects(State(cloud): State<Cloud>) -> Json<Vec<Project>> {
    Json(cloud.codebuild.projects())
}

async fn create_project(State(cloud): State<Cloud>, Json(project): Json<Project>) -> Result<Json<Project>, Unable> {
    cloud.codebuild.create_project(project.clone()).map_err(Unable)?;
    Ok(Json(project))
}

async fn builds(State(cloud): State<Cloud>) -> Json<Vec<BuildView>> {
    Json(cloud.codebuild.builds())
}

async fn actions(State(cloud): State<Cloud>) -> Json<Vec<ActionView>> {
    Json(cloud.codepipeline.actions())
}

async fn start_action(State(cloud): State<Cloud>, Json(action): Json<InvokeAction>) -> Result<Json<ActionView>, Unable> {
    let started = cloud.codepipeline.start(action).map_err(Unable)?;
    Ok(Json(started))
}

#[derive(Deserialize)]
struct Stop {
    /// The id of the action or of one of its jobs.
    action: String,
}

async fn stop_action(State(cloud): State<Cloud>, Query(stop): Query<Stop>) -> Result<Json<ActionView>, Unable> {
    let stopped = cloud.codepipeline.stop(&stop.action).map_err(Unable)?;
    Ok(Json(stopped))
}

/// What was asked for cannot be done.
struct Unable(anyhow::Error);

impl IntoResponse for Unable {
    fn into_response(self) -> Response {
        let body = json!({ "error": format!("{:#}", self.0) });
        (StatusCode::CONFLICT, Json(body)).into_response()
    }
}
