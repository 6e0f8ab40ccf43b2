//! Agents as AWS CodeBuild builds (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>).
//!
//! A build has no name of Bellhop's by which it could be listed. Bellhop searches the newest builds of its project for the attempt's name in their
//! variables, and then compares everything that a launch gives.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::operation::start_build::StartBuildError;
use aws_sdk_codebuild::types::{
    ArtifactNamespace, ArtifactPackaging, ArtifactsType, Build, BuildPhase, EnvironmentVariable, EnvironmentVariableType, Project,
    ProjectArtifacts, ProjectEnvironment, ProjectSource, SourceType, StatusType,
};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::agent::launched::{BuildLaunch, VariablesDigest};
use bellhop_domain::agent::{self, environment};
use bellhop_domain::executor::codebuild::buildspec::{self, FAILED};
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::executor::{self, Capacity, CodeBuildExecutor, LaunchId};
use bellhop_domain::ids::{AgentId, AttemptId, RepositoryName, RoleArn};
use bellhop_domain::secret::Secret;
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Executor, Launch};
use bellhop_events::codebuild::{BuildFacts, PhaseContext, PhaseFacts, attempt};

use super::throttle::LeftToQueue;
use super::{agent_id, unproven};
use crate::Aws;
use crate::clock::timestamp;
use crate::config::Lazy;
use crate::fault::{code_of, fault, refusal_of};

/// How many builds CodeBuild describes in one call, and lists on a page.
const DESCRIBE: usize = 100;
/// How many pages of a project's builds are searched for one build.
const PAGES: usize = 10;
/// How many seconds before the project's newest build a searched build can have started: an attempt takes a day at most, and is searched from its
/// launch on.
const LOOK_BACK: i64 = 25 * 60 * 60;

/// AWS CodeBuild.
#[derive(Debug, Clone)]
pub(super) struct CodeBuilds {
    client: Lazy<Client>,
    bucket: String,
    /// The region of the repositories.
    region: Option<String>,
}

impl CodeBuilds {
    pub(super) fn new(aws: &Aws, bucket: &str) -> Self {
        Self {
            client: aws.lazy(Client::new),
            bucket: bucket.to_owned(),
            region: aws.region().map(ToOwned::to_owned),
        }
    }

    async fn get(&self, ids: Vec<String>) -> Result<Vec<Build>, Fault> {
        let reply = self.client.batch_get_builds().set_ids(Some(ids)).send().await;
        Ok(reply
            .map_err(|error| fault("describe builds of CodeBuild", error))?
            .builds
            .unwrap_or_default())
    }

    /// The region, whose CodeCommit has the sources.
    fn region(&self) -> Result<&str, Fault> {
        let region = self.region.as_deref();
        region.ok_or_else(|| Fault::permanent("the region is not known: AWS_REGION is not set"))
    }

    /// The builds that a launch of an attempt started, newest first.
    async fn builds_of(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Build>, Fault> {
        let named = self.named(&template_of(spec)?.project, attempt).await?;
        self.own(spec, attempt, named).await
    }

    /// Those of these builds that a launch of an attempt started. A build shows the variables, image, machine and role that it has, and the project tells
    /// which of them no launch has changed.
    async fn own(&self, spec: &BuildSpec, attempt: &AttemptId, mut builds: Vec<Build>) -> Result<Vec<Build>, Fault> {
        if builds.is_empty() {
            return Ok(builds);
        }
        let template = template_of(spec)?;
        let reply = self.client.batch_get_projects().names(&template.project).send().await;
        let projects = reply.map_err(|error| fault(format_args!("describe project {}", template.project), error))?;
        let project = projects.projects().first();
        let region = self.region()?;
        let given = buildspec::only_needed(environment(spec, attempt, executor::codebuild::CAPACITY, &self.bucket));
        builds.retain(|build| {
            let launch = launch_of(build, project, &given, spec);
            let proof = template.launched(spec, attempt, (&self.bucket, region), &launch);
            if let Err(difference) = proof {
                tracing::warn!(%attempt, build = build.arn(), ?difference, "a build with the name of an attempt is not its agent");
            }
            proof.is_ok()
        });
        Ok(builds)
    }

    /// The builds that carry the name of an attempt, newest first.
    async fn named(&self, project: &str, attempt: &AttemptId) -> Result<Vec<Build>, Fault> {
        let mut pages = self
            .client
            .list_builds_for_project()
            .project_name(project)
            // The default order is newest first (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ListBuildsForProject.html>).
            // `sortOrder` is omitted, because users have reported an InvalidInputException for it together with the next page's token.
            .into_paginator()
            .send();
        let (mut found, mut newest) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = match pages.next().await {
                Some(Ok(page)) => page,
                // A deleted project has no builds.
                Some(Err(error)) if code_of(&error) == Some("ResourceNotFoundException") => break,
                Some(Err(error)) => return Err(fault(format_args!("list the builds of project {project}"), error)),
                None => break,
            };
            let mut oldest = None;
            for ids in page.ids().chunks(DESCRIBE) {
                let builds = self.get(ids.to_vec()).await?;
                let started = builds.iter().filter_map(|build| build.start_time().map(|at| at.secs()));
                for at in started {
                    newest = newest.max(Some(at));
                    oldest = Some(oldest.map_or(at, |oldest: i64| oldest.min(at)));
                }
                found.extend(builds.into_iter().filter(|build| attempt_of(build).as_ref() == Some(attempt)));
            }
            if newest.zip(oldest).is_some_and(|(newest, oldest)| newest - oldest > LOOK_BACK) {
                break;
            }
        }
        found.sort_by_key(|build| std::cmp::Reverse(build.start_time().map(|at| at.secs())));
        Ok(found)
    }

    /// The build that an earlier launch of an attempt started. It may have ended, because it belongs to the attempt in any case.
    async fn started_before(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Option<AgentId>, Fault> {
        let builds = self.builds_of(spec, attempt).await?;
        let under_way = builds.iter().find(|build| build.build_status() == Some(&StatusType::InProgress));
        under_way
            .or(builds.first())
            .and_then(Build::arn)
            .map(|arn| agent_id(executor::codebuild::NAME, arn))
            .transpose()
    }
}

#[async_trait]
impl Executor for CodeBuilds {
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault> {
        let LaunchId { attempt, capacity, .. } = launch;
        let capacity = *capacity;
        let project = &template_of(spec)?.project;
        if again && let Some(agent) = self.started_before(spec, attempt).await? {
            return Ok(Launch::Accepted(agent));
        }
        let Some(buildspec) = buildspec::text(&spec.script, &spec.artifacts, attempt) else {
            return Err(Fault::permanent(format!(
                "the script of {attempt} is in the bucket, but a CodeBuild build does not read it there"
            )));
        };
        let region = self.region()?;
        let request = self
            .client
            .start_build()
            .project_name(project)
            .idempotency_token(launch.token())
            .source_type_override(SourceType::Codecommit)
            .source_location_override(buildspec::clone_url(region, &spec.repository))
            .source_version(spec.commit.as_str())
            .set_environment_variables_override(Some(variables(spec, attempt, capacity, &self.bucket)?))
            .buildspec_override(buildspec)
            .artifacts_override(artifacts(spec, attempt, &self.bucket)?)
            .timeout_in_minutes_override(buildspec::timeout_minutes(spec.timeout))
            .queued_timeout_in_minutes_override(buildspec::queued_timeout_minutes(spec.queue_timeout))
            .set_service_role_override(spec.role.as_ref().map(ToString::to_string))
            // The suite does the retries.
            .auto_retry_limit_override(0);
        let queued = aws_sdk_codebuild::config::Builder::new().retry_classifier(LeftToQueue::<StartBuildError>::new());
        let error = match request.customize().config_override(queued).send().await {
            Ok(reply) => {
                return match reply.build_value().and_then(Build::arn) {
                    Some(arn) => Ok(Launch::Accepted(agent_id(executor::codebuild::NAME, arn)?)),
                    None => Err(Fault::transient(format!("StartBuild for {attempt} returned no build"))),
                };
            }
            Err(error) => error,
        };
        if code_of(&error) == Some("InvalidInputException") {
            // The token may belong to a build whose reply was lost, started by another version of the suite with other parameters.
            if let Some(agent) = self.started_before(spec, attempt).await? {
                return Ok(Launch::Accepted(agent));
            }
            if speaks_of_the_token(&error) {
                return Err(
                    Fault::transient(format!("launch {attempt}: its token was used for a build that is not listed yet")).caused_by(error),
                );
            }
        }
        match refusal_of(&error) {
            Some(refusal) => Ok(Launch::refused(refusal)),
            None => Err(fault(format_args!("launch {attempt} on CodeBuild"), error)),
        }
    }

    /// CodeBuild accepts no reason.
    async fn stop(&self, agent: &AgentId, _reason: &str) -> Result<(), Fault> {
        let error = match self.client.stop_build().id(build_id(agent)).send().await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match code_of(&error) {
            Some("ResourceNotFoundException") => Ok(()),
            // A finished build cannot be stopped. Polling it is safer than parsing the error message.
            Some("InvalidInputException") => {
                let builds = self.get(vec![build_id(agent).to_owned()]).await?;
                let under_way = builds.iter().any(|build| build.build_status() == Some(&StatusType::InProgress));
                if under_way {
                    Err(fault(format_args!("stop {agent}"), error))
                } else {
                    Ok(())
                }
            }
            _ => Err(fault(format_args!("stop {agent}"), error)),
        }
    }

    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        let builds = self.builds_of(spec, attempt).await?;
        Ok(builds.iter().filter_map(observe).filter(Observation::is_open).collect())
    }

    async fn prove(&self, spec: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Result<Option<Observation>, Fault> {
        let mut builds = match self.get(vec![build_id(agent).to_owned()]).await {
            Ok(builds) => builds,
            Err(fault) => return unproven(attempt, agent, fault),
        };
        builds.retain(|build| build.arn() == Some(agent.as_str()));
        Ok(self.own(spec, attempt, builds).await?.iter().find_map(observe))
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        let (mut all, mut fault) = (Vec::with_capacity(agents.len()), None);
        for agents in agents.chunks(DESCRIBE) {
            let builds = match self.get(agents.iter().map(|agent| build_id(agent).to_owned()).collect()).await {
                Ok(builds) => builds,
                // The agents of the other batches are returned nevertheless.
                Err(other) => {
                    fault.get_or_insert(other);
                    continue;
                }
            };
            for agent in agents {
                match builds.iter().find(|build| build.arn() == Some(agent.as_str())) {
                    None => all.push((agent.clone(), None)),
                    // A build that exists but cannot be parsed is not missing: it has no entry in the result.
                    Some(build) => all.extend(observe(build).map(|observation| (agent.clone(), Some(observation)))),
                }
            }
        }
        (all, fault)
    }

    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        // Only an event that is none of CodeBuild's names something else.
        if agent.as_str().split(':').nth(2) != Some("codebuild") {
            return Ok(None);
        }
        let builds = self.get(vec![build_id(agent).to_owned()]).await?;
        Ok(builds
            .iter()
            .find(|build| build.arn() == Some(agent.as_str()))
            .and_then(|build| Some((attempt_of(build)?, observe(build)?))))
    }
}

fn template_of(spec: &BuildSpec) -> Result<&CodeBuildExecutor, Fault> {
    match &spec.executor {
        executor::Executor::CodeBuild(codebuild) => Ok(codebuild),
        _ => Err(Fault::permanent(format!("build {} does not run on CodeBuild", spec.id))),
    }
}

fn variables(spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity, bucket: &str) -> Result<Vec<EnvironmentVariable>, Fault> {
    // Always plain text: never the name of a secret, even if the value looks like one.
    let plain = buildspec::only_needed(environment(spec, attempt, capacity, bucket))
        .into_iter()
        .map(|(name, value)| (name, value, EnvironmentVariableType::Plaintext));
    let secrets = spec.secrets.iter().map(|(name, secret)| {
        let (value, kind) = reference(secret, &spec.repository);
        (name.clone(), value, kind)
    });
    plain
        .chain(secrets)
        .map(|(name, value, kind)| {
            EnvironmentVariable::builder()
                .name(name)
                .value(value)
                .r#type(kind)
                .build()
                .map_err(|error| Fault::permanent("an environment variable could not be built").caused_by(error))
        })
        .collect()
}

/// The value and the type of a variable whose secret CodeBuild fetches with the build's role, and shows as `***` in the build's log
/// (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_EnvironmentVariable.html>,
/// <https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html>). The key of a secret follows its name after a colon.
fn reference(secret: &Secret, repository: &RepositoryName) -> (String, EnvironmentVariableType) {
    let path = secret.path(repository);
    match secret {
        Secret::Parameter(_) => (path, EnvironmentVariableType::ParameterStore),
        Secret::SecretsManager { key: None, .. } => (path, EnvironmentVariableType::SecretsManager),
        Secret::SecretsManager { key: Some(key), .. } => (format!("{path}:{key}"), EnvironmentVariableType::SecretsManager),
    }
}

/// In a folder that CodeBuild names by the build's id, each file separately under its path in the checkout.
fn artifacts(spec: &BuildSpec, attempt: &AttemptId, bucket: &str) -> Result<ProjectArtifacts, Fault> {
    let artifacts = if spec.artifacts.is_empty() {
        ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts)
    } else {
        let place = agent::place(spec, attempt);
        let (path, name) = buildspec::artifacts_place(&place);
        ProjectArtifacts::builder()
            .r#type(ArtifactsType::S3)
            .location(bucket)
            .path(path)
            .name(name)
            .namespace_type(ArtifactNamespace::BuildId)
            .packaging(ArtifactPackaging::None)
            .override_artifact_name(false)
    };
    artifacts
        .build()
        .map_err(|error| Fault::permanent("the destination of the artifacts could not be built").caused_by(error))
}

/// A build's id, `PROJECT:UUID`, from its ARN. The API documents only such ids for `ids` and `id`
/// (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BatchGetBuilds.html>), although ARNs also work.
fn build_id(agent: &AgentId) -> &str {
    let arn = agent.as_str();
    arn.split_once(":build/").map_or(arn, |(_, id)| id)
}

/// The token's documentation says "A parameter mismatch error", without the error's message.
fn speaks_of_the_token(error: &SdkError<StartBuildError, Response>) -> bool {
    let message = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default();
    let message = message.to_lowercase();
    ["token", "idempoten", "mismatch"].iter().any(|word| message.contains(word))
}

fn observe(build: &Build) -> Option<Observation> {
    match facts(build).observation() {
        Ok(observation) => Some(observation),
        Err(error) => {
            tracing::warn!(build = build.arn(), %error, "CodeBuild returned a build that cannot be parsed");
            None
        }
    }
}

/// Values of variables other than the suite's are not read, because they may be secrets.
fn attempt_of(build: &Build) -> Option<AttemptId> {
    attempt(
        build
            .environment()
            .map(ProjectEnvironment::environment_variables)
            .unwrap_or_default()
            .iter()
            // With another type, the value is the name of a parameter or secret.
            .filter(|variable| matches!(variable.r#type(), None | Some(EnvironmentVariableType::Plaintext)))
            .map(|variable| (variable.name(), variable.value())),
    )
}

/// What a build was started with. Variables of its project count only where the build has another value: `environmentVariablesOverride` replaces variables
/// of the same name and leaves the others
/// (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>). Without the project, nothing is known to be its own.
/// `given` are the plain variables of the launch.
fn launch_of(build: &Build, project: Option<&Project>, given: &BTreeMap<String, String>, spec: &BuildSpec) -> BuildLaunch {
    let environment = build.environment();
    let of_project = project.and_then(Project::environment);
    let all = environment.map(ProjectEnvironment::environment_variables).unwrap_or_default();
    let inherited = of_project.map(ProjectEnvironment::environment_variables).unwrap_or_default();
    let is_given = |name: &str| given.contains_key(name) || spec.secrets.contains_key(name);
    let is_own = |variable: &&EnvironmentVariable| is_given(variable.name()) || !inherited.contains(variable);
    let plain = |variable: &&EnvironmentVariable| matches!(variable.r#type(), None | Some(EnvironmentVariableType::Plaintext));
    let (own, secrets): (Vec<&EnvironmentVariable>, Vec<_>) = all.iter().filter(is_own).partition(plain);
    let is_reference = |variable: &&EnvironmentVariable| {
        let secret = spec.secrets.get(variable.name()).map(|secret| reference(secret, &spec.repository));
        secret.is_some_and(|(value, kind)| variable.value() == value && variable.r#type() == Some(&kind))
    };
    let has_other_secrets = secrets.len() != spec.secrets.len() || !secrets.iter().all(is_reference);
    let machine = |environment: Option<&ProjectEnvironment>| {
        environment.map(|environment| {
            (
                environment.r#type().clone(),
                environment.image().to_owned(),
                environment.compute_type().clone(),
                environment.privileged_mode().unwrap_or_default(),
            )
        })
    };
    let expected_role = spec.role.as_ref().map(RoleArn::as_str).or(project.and_then(Project::service_role));
    let is_of_project = machine(environment) == machine(of_project)
        && build.service_role().map(role_name) == expected_role.map(role_name)
        && build.secondary_sources().is_empty();
    let source = build.source();
    BuildLaunch {
        project: build.project_name().unwrap_or_default().to_owned(),
        source_type: source.map(|source| source.r#type().as_str().to_owned()),
        source_location: source.and_then(ProjectSource::location).map(ToOwned::to_owned),
        source_version: build.source_version().map(ToOwned::to_owned),
        buildspec: source.and_then(ProjectSource::buildspec).map(ToOwned::to_owned),
        timeout: build.timeout_in_minutes(),
        queued_timeout: build.queued_timeout_in_minutes(),
        has_more: !is_of_project || has_other_secrets,
        variables: VariablesDigest::of(own.into_iter().map(|variable| (variable.name(), variable.value()))),
    }
}

/// The name of a role: the API documents a build's role as a name, and a project's as an ARN.
fn role_name(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}

fn facts(build: &Build) -> BuildFacts {
    BuildFacts {
        arn: build.arn().unwrap_or_default().to_owned(),
        status: build.build_status().map(StatusType::as_str).unwrap_or_default().to_owned(),
        current_phase: build.current_phase().map(ToOwned::to_owned),
        ended_at: build.end_time().and_then(timestamp),
        phases: build.phases().iter().map(phase).collect(),
        failed: build
            .exported_environment_variables()
            .iter()
            .find(|variable| variable.name() == Some(FAILED))
            .and_then(|variable| variable.value().map(ToOwned::to_owned)),
    }
}

fn phase(phase: &BuildPhase) -> PhaseFacts {
    PhaseFacts {
        kind: phase.phase_type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        status: phase.phase_status().map(|status| status.as_str().to_owned()),
        ended_at: phase.end_time().and_then(timestamp),
        contexts: phase
            .contexts()
            .iter()
            .map(|context| PhaseContext {
                code: context.status_code().unwrap_or_default().to_owned(),
                message: context.message().unwrap_or_default().to_owned(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
