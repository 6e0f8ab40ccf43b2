//! The operations of CodeBuild.

use std::collections::BTreeMap;
use std::time::Instant;

use bellhop_model::codebuild::Outcome;
use bellhop_model::tokens::Known;
use serde::Deserialize;
use serde_json::{Value, json};

use super::builds::{Build, Plan};
use super::buildspec::Buildspec;
use super::projects::{NO_SOURCE, Project, ProjectArtifacts, S3, Variable};
use super::{Change, CodeBuild, State, id_of};
use crate::calls::Call;
use crate::replies::{Answer, AwsError};
use crate::support::lock;

/// Most builds of a BatchGetBuilds request, and of a page of a list.
const PAGE: usize = 100;
/// How long a build may be told to take, in minutes.
const TIMEOUTS: std::ops::RangeInclusive<u32> = 5..=2160;
/// How long a build may be told to be queued, in minutes.
const QUEUED_TIMEOUTS: std::ops::RangeInclusive<u32> = 5..=480;
const SOURCE_TYPES: [&str; 9] = [
    "BITBUCKET",
    "CODECOMMIT",
    "CODEPIPELINE",
    "GITHUB",
    "GITHUB_ENTERPRISE",
    "GITLAB",
    "GITLAB_SELF_MANAGED",
    "NO_SOURCE",
    "S3",
];

/// The members of a StartBuild request that have an effect here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartBuild {
    #[serde(default)]
    project_name: String,
    source_version: Option<String>,
    source_type_override: Option<String>,
    source_location_override: Option<String>,
    buildspec_override: Option<String>,
    #[serde(default)]
    environment_variables_override: Vec<Variable>,
    artifacts_override: Option<ProjectArtifacts>,
    environment_type_override: Option<String>,
    image_override: Option<String>,
    compute_type_override: Option<String>,
    privileged_mode_override: Option<bool>,
    timeout_in_minutes_override: Option<u32>,
    queued_timeout_in_minutes_override: Option<u32>,
    idempotency_token: Option<String>,
}

impl CodeBuild {
    pub(crate) fn answer(&self, call: &Call) -> Result<Answer, AwsError> {
        let request = call.json()?;
        match call.operation.as_str() {
            "StartBuild" => self.start_build(request, call.caller.as_deref()),
            "StopBuild" => self.stop_build(request),
            "BatchGetBuilds" => self.batch_get_builds(request),
            "BatchGetProjects" => self.batch_get_projects(request),
            "ListBuildsForProject" => self.list_builds_for_project(request),
            _ => Err(AwsError::unknown_operation(call)),
        }
    }

    fn start_build(&self, body: &Value, caller: Option<&str>) -> Result<Answer, AwsError> {
        let request: StartBuild =
            serde_json::from_value(body.clone()).map_err(|error| AwsError::client("SerializationException", error.to_string()))?;
        let mut own = request.environment_variables_override.iter();
        if own.any(|variable| variable.name.starts_with("CODEBUILD_")) {
            return Err(invalid("No user environment variables can start with `CODEBUILD_`"));
        }
        let mut state = lock(&self.inner.state);
        let project = state.project(&request.project_name)?;
        let token = request.idempotency_token.clone();
        let plan = self.plan(project, request, caller)?;
        check_plan(&plan, self.inner.processes.is_some())?;

        let mut request_itself = body.clone();
        if let Some(members) = request_itself.as_object_mut() {
            members.remove("idempotencyToken");
        }
        let now = Instant::now();
        match token.as_ref().and_then(|token| state.tokens.look(token, &request_itself, &now)) {
            None => {}
            Some(Known::Made(id)) => {
                let build = state.find(id).map(Build::description);
                return Ok(Answer {
                    body: json!({ "build": build }),
                    note: Some("(reused token)".to_owned()),
                });
            }
            Some(Known::OfAnother(_)) => {
                return Err(invalid(
                    "Parameter mismatch: the idempotency token was used for a StartBuild request with other parameters",
                ));
            }
            Some(Known::Refused(never)) => match *never {},
        }

        state.check_limits(&plan.project)?;
        let number = state.numbers.entry(plan.project.clone()).or_default();
        *number += 1;
        let plan = Plan { number: *number, ..plan };
        let id = self.create(&mut state, plan);
        let build = state.find(&id).map(Build::description);
        let note = format!("-> {id}");
        if let Some(token) = token {
            let until = now + self.inner.timing.build_token;
            state.tokens.made(&token, request_itself, id, Some(until));
        }
        drop(state);
        self.changed();
        Ok(Answer {
            body: json!({ "build": build }),
            note: Some(note),
        })
    }

    /// The project with the request over it. The build has no number yet.
    fn plan(&self, project: &Project, request: StartBuild, caller: Option<&str>) -> Result<Plan, AwsError> {
        let mut source = project.source.clone();
        if let Some(kind) = request.source_type_override {
            source.kind = kind;
        }
        if source.kind == NO_SOURCE {
            source.location = None;
        }
        source.location = request.source_location_override.or(source.location);
        source.buildspec = request.buildspec_override.or(source.buildspec);

        let mut environment = project.environment.clone();
        environment.kind = request.environment_type_override.unwrap_or(environment.kind);
        environment.image = request.image_override.unwrap_or(environment.image);
        environment.compute_type = request.compute_type_override.unwrap_or(environment.compute_type);
        environment.privileged_mode = request.privileged_mode_override.unwrap_or(environment.privileged_mode);
        let own: BTreeMap<_, _> = request
            .environment_variables_override
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect();
        environment
            .environment_variables
            .retain(|variable| !own.contains_key(&variable.name));
        environment.environment_variables.extend(request.environment_variables_override);

        let timeout = request.timeout_in_minutes_override.unwrap_or(project.timeout_in_minutes);
        let queued_timeout = request
            .queued_timeout_in_minutes_override
            .unwrap_or(project.queued_timeout_in_minutes);
        Ok(Plan {
            region: self.inner.region.clone(),
            account: self.inner.account.clone(),
            project: project.name.clone(),
            number: 0,
            source,
            source_version: request.source_version.or_else(|| project.source_version.clone()),
            artifacts: request.artifacts_override.unwrap_or_else(|| project.artifacts.clone()),
            environment,
            variables_override: own,
            timeout,
            queued_timeout,
            initiator: caller.unwrap_or("developer").to_owned(),
        })
    }

    fn stop_build(&self, request: &Value) -> Result<Answer, AwsError> {
        let name = request["id"].as_str().unwrap_or_default();
        // Documented is the id. That AWS takes an ARN as well is nothing to rely on.
        if !is_build_id(name) {
            return Err(invalid("Invalid build ID"));
        }
        let mut state = lock(&self.inner.state);
        let runner = state.runners.remove(name);
        let Some(build) = state.find_mut(name) else {
            return Err(not_found(format!("Build not found: {name}")));
        };
        let mut change = Change {
            build,
            events: &self.inner.events,
            produced: Vec::new(),
        };
        if !change.build.is_over() {
            change.break_off(Outcome::Stopped, None);
        }
        let body = json!({ "build": change.build.description() });
        // With it go the processes.
        if let Some(runner) = runner {
            runner.abort();
        }
        drop(state);
        self.changed();
        Ok(body.into())
    }

    /// What of a project matters here. A name is also taken as an ARN.
    fn batch_get_projects(&self, request: &Value) -> Result<Answer, AwsError> {
        let names: Vec<&str> = request["names"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if names.is_empty() || names.len() > PAGE {
            return Err(invalid(format!("names must be 1 to {PAGE} names of projects")));
        }
        let state = lock(&self.inner.state);
        let (known, unknown): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| state.projects.contains_key(id_of(name)));
        let described = |name: &&str| {
            let project = state.projects.get(id_of(name))?;
            let role = super::builds::service_role(&self.inner.account, &project.name);
            let mut described = serde_json::to_value(project).ok()?;
            described["serviceRole"] = role.into();
            Some(described)
        };
        let projects: Vec<Value> = known.iter().filter_map(described).collect();
        Ok(json!({ "projects": projects, "projectsNotFound": unknown }).into())
    }

    fn batch_get_builds(&self, request: &Value) -> Result<Answer, AwsError> {
        let ids: Vec<_> = request["ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if ids.is_empty() || ids.len() > PAGE {
            return Err(invalid(format!("ids must be 1 to {PAGE} build IDs")));
        }
        let state = lock(&self.inner.state);
        let (mut builds, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match state.find(id).filter(|_| is_build_id(id)) {
                Some(build) => builds.push(build.description()),
                None => missing.push(id),
            }
        }
        Ok(json!({ "builds": builds, "buildsNotFound": missing }).into())
    }

    fn list_builds_for_project(&self, request: &Value) -> Result<Answer, AwsError> {
        let state = lock(&self.inner.state);
        let project = state.project(request["projectName"].as_str().unwrap_or_default())?;
        let mut ids: Vec<_> = state
            .builds
            .iter()
            .filter(|build| build.plan.project == project.name)
            .map(|build| build.id.as_str())
            .collect();
        if request["sortOrder"].is_string() && request["nextToken"].is_string() {
            return Err(invalid("sortOrder cannot be used together with nextToken"));
        }
        match request["sortOrder"].as_str() {
            None | Some("DESCENDING") => ids.reverse(),
            Some("ASCENDING") => {}
            Some(other) => return Err(invalid(format!("Invalid sort order: {other}"))),
        }
        // A build that is started in the meantime moves no page of a list that begins with the newest.
        let start = match request["nextToken"].as_str() {
            None => 0,
            Some(token) => {
                let last = ids.iter().position(|id| *id == token);
                last.ok_or_else(|| invalid("Invalid token in pagination"))? + 1
            }
        };
        let page: Vec<_> = ids.iter().skip(start).take(PAGE).collect();
        let mut body = json!({ "ids": page });
        if let Some(last) = page.last().filter(|_| start + page.len() < ids.len()) {
            body["nextToken"] = json!(last);
        }
        Ok(body.into())
    }
}

impl State {
    fn project(&self, name: &str) -> Result<&Project, AwsError> {
        let name = id_of(name);
        if !is_project_name(name) {
            return Err(invalid("Invalid project name"));
        }
        let project = self.projects.get(name);
        project.ok_or_else(|| not_found(format!("Project cannot be found: {name}")))
    }

    /// Whether there may be one more build.
    fn check_limits(&self, project: &str) -> Result<(), AwsError> {
        let active = || self.builds.iter().filter(|build| !build.is_over());
        let of_project = active().filter(|build| build.plan.project == project).count();
        let limit = self.projects.get(project).and_then(|project| project.concurrent_build_limit);
        if let Some(limit) = limit.filter(|limit| of_project >= *limit as usize) {
            return Err(over_limit(format!("Cannot have more than {limit} active builds for the project")));
        }
        if active().count() >= self.running_limit.saturating_add(self.queued_limit) {
            return Err(queue_is_full(self.queued_limit));
        }
        Ok(())
    }
}

/// What CodeBuild would not accept of a project.
pub(super) fn check_project(project: &Project) -> Result<(), AwsError> {
    if !is_project_name(&project.name) {
        return Err(invalid("Invalid project name"));
    }
    if project.concurrent_build_limit == Some(0) {
        return Err(invalid("Invalid concurrentBuildLimit"));
    }
    check_source_type(&project.source.kind)?;
    check_artifacts(&project.artifacts)?;
    check_times(project.timeout_in_minutes, project.queued_timeout_in_minutes)
}

fn check_plan(plan: &Plan, runs: bool) -> Result<(), AwsError> {
    check_source_type(&plan.source.kind)?;
    let buildspec = plan.source.buildspec.as_deref().filter(|buildspec| !buildspec.is_empty());
    if plan.source.kind == NO_SOURCE && buildspec.and_then(Buildspec::inline).is_none() {
        return Err(invalid("A buildspec is required for a build with no source"));
    }
    if plan.source.kind != NO_SOURCE && plan.source.kind != "CODEPIPELINE" && plan.source.location.is_none() {
        return Err(invalid("A source location is required"));
    }
    check_artifacts(&plan.artifacts)?;
    if runs && plan.artifacts.packaging.as_deref() == Some("ZIP") {
        return Err(invalid("The stand-in's build processes store no ZIP files"));
    }
    for variable in &plan.environment.environment_variables {
        if variable.name.is_empty() {
            return Err(invalid("Environment variable names must not be empty"));
        }
        if !matches!(variable.kind.as_str(), "PLAINTEXT" | "PARAMETER_STORE" | "SECRETS_MANAGER") {
            return Err(invalid(format!("Invalid environment variable type: {}", variable.kind)));
        }
    }
    check_times(plan.timeout, plan.queued_timeout)
}

fn check_source_type(kind: &str) -> Result<(), AwsError> {
    if SOURCE_TYPES.contains(&kind) {
        Ok(())
    } else {
        Err(invalid(format!("Invalid source type: {kind}")))
    }
}

fn check_artifacts(artifacts: &ProjectArtifacts) -> Result<(), AwsError> {
    let one_of = |value: &Option<String>, allowed: [&str; 2]| value.as_deref().is_none_or(|value| allowed.contains(&value));
    if !["CODEPIPELINE", "NO_ARTIFACTS", S3].contains(&artifacts.kind.as_str()) {
        return Err(invalid(format!("Invalid artifacts type: {}", artifacts.kind)));
    }
    if artifacts.kind == S3 && artifacts.location.as_ref().is_none_or(String::is_empty) {
        return Err(invalid("Artifacts of type S3 need a location"));
    }
    if !one_of(&artifacts.namespace_type, ["NONE", "BUILD_ID"]) || !one_of(&artifacts.packaging, ["NONE", "ZIP"]) {
        return Err(invalid("Invalid artifacts namespace type or packaging"));
    }
    Ok(())
}

fn check_times(timeout: u32, queued_timeout: u32) -> Result<(), AwsError> {
    if !TIMEOUTS.contains(&timeout) {
        return Err(invalid("Invalid timeout: it must be 5 to 2160 minutes"));
    }
    if !QUEUED_TIMEOUTS.contains(&queued_timeout) {
        return Err(invalid("Invalid queued timeout: it must be 5 to 480 minutes"));
    }
    Ok(())
}

/// A letter or digit, then 1 to 149 letters, digits, hyphens and underscores.
fn is_project_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (2..=150).contains(&name.len()) && name.bytes().all(allowed) && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// `PROJECT:UUID`.
fn is_build_id(id: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    id.split_once(':')
        .is_some_and(|(project, uuid)| is_project_name(project) && uuid.len() == 36 && uuid.bytes().all(digit))
}

/// The account's queue has no place for one more build.
pub(crate) fn queue_is_full(limit: usize) -> AwsError {
    over_limit(format!("Cannot have more than {limit} builds in queue for the account"))
}

fn over_limit(message: String) -> AwsError {
    AwsError::client("AccountLimitExceededException", message)
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::client("InvalidInputException", message)
}

fn not_found(message: String) -> AwsError {
    AwsError::client("ResourceNotFoundException", message)
}
