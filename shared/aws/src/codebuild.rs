//! Agents as AWS CodeBuild builds (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>).
//!
//! A build has no name of Bellhop's by which it could be listed. Bellhop recognizes it by its environment variables, and searches the newest builds
//! of its project.

use async_trait::async_trait;
use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::operation::start_build::StartBuildError;
use aws_sdk_codebuild::types::{
    ArtifactNamespace, ArtifactPackaging, ArtifactsType, Build, BuildPhase, EnvironmentVariable, EnvironmentVariableType, ProjectArtifacts,
    ProjectEnvironment, SourceType, StatusType,
};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::Capacity;
use bellhop_domain::codebuild::{FAILED, artifacts_place, buildspec, clone_url, environment, queued_timeout_minutes, timeout_minutes};
use bellhop_domain::ids::{AgentId, AttemptId, LaunchId};
use bellhop_domain::observation::{AgentStatus, Observation};
use bellhop_domain::spec::{BuildSpec, CodeBuildExecutor, Executor};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Agents, Launch};
use bellhop_events::codebuild::{BuildFacts, PhaseContext, PhaseFacts, attempt};

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
pub struct CodeBuildAgents {
    client: Lazy<Client>,
    bucket: String,
    region: Option<String>,
}

impl CodeBuildAgents {
    /// `region` is the region of the repositories.
    pub(crate) fn new(client: Lazy<Client>, bucket: &str, region: Option<&str>) -> Self {
        Self {
            client,
            bucket: bucket.to_owned(),
            region: region.map(ToOwned::to_owned),
        }
    }

    async fn get(&self, ids: Vec<String>) -> Result<Vec<Build>, Fault> {
        let reply = self.client.batch_get_builds().set_ids(Some(ids)).send().await;
        Ok(reply
            .map_err(|error| fault("describe builds of CodeBuild", error))?
            .builds
            .unwrap_or_default())
    }

    /// The builds of an attempt, newest first.
    async fn builds_of(&self, project: &str, attempt: &AttemptId) -> Result<Vec<Build>, Fault> {
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
    async fn started_before(&self, project: &str, attempt: &AttemptId) -> Result<Option<AgentId>, Fault> {
        let builds = self.builds_of(project, attempt).await?;
        let under_way = builds.iter().find(|build| build.build_status() == Some(&StatusType::InProgress));
        under_way.or(builds.first()).and_then(Build::arn).map(agent_id).transpose()
    }
}

#[async_trait]
impl Agents for CodeBuildAgents {
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault> {
        let LaunchId { attempt, capacity, .. } = launch;
        let capacity = *capacity;
        let project = &template_of(spec)?.project;
        if again && let Some(agent) = self.started_before(project, attempt).await? {
            return Ok(Launch::Accepted(agent));
        }
        let Some(buildspec) = buildspec(spec, attempt) else {
            return Err(Fault::lasting(format!(
                "the script of {attempt} is in the bucket, but a CodeBuild build does not read it there"
            )));
        };
        let Some(region) = &self.region else {
            return Err(Fault::lasting("the region is not known: AWS_REGION is not set"));
        };
        let request = self
            .client
            .start_build()
            .project_name(project)
            .idempotency_token(launch.token())
            .source_type_override(SourceType::Codecommit)
            .source_location_override(clone_url(region, &spec.repository))
            .source_version(spec.commit.as_str())
            .set_environment_variables_override(Some(variables(spec, attempt, capacity, &self.bucket)?))
            .buildspec_override(buildspec)
            .artifacts_override(artifacts(spec, attempt, &self.bucket)?)
            .timeout_in_minutes_override(timeout_minutes(spec))
            .queued_timeout_in_minutes_override(queued_timeout_minutes(spec))
            // The suite does the retries.
            .auto_retry_limit_override(0);
        let error = match request.send().await {
            Ok(reply) => {
                return match reply.build_value().and_then(Build::arn) {
                    Some(arn) => Ok(Launch::Accepted(agent_id(arn)?)),
                    None => Err(Fault::passing(format!("StartBuild for {attempt} returned no build"))),
                };
            }
            Err(error) => error,
        };
        if code_of(&error) == Some("InvalidInputException") {
            // The token may belong to a build whose reply was lost, started by another version of the suite with other parameters.
            if let Some(agent) = self.started_before(project, attempt).await? {
                return Ok(Launch::Accepted(agent));
            }
            if speaks_of_the_token(&error) {
                return Err(
                    Fault::passing(format!("launch {attempt}: its token was used for a build that is not listed yet")).caused_by(error),
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
        let builds = self.builds_of(&template_of(spec)?.project, attempt).await?;
        Ok(builds
            .iter()
            .filter_map(observe)
            .filter(|observation| !matches!(observation.status, AgentStatus::Stopped(_)))
            .collect())
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
        let builds = self.get(vec![build_id(agent).to_owned()]).await?;
        Ok(builds
            .iter()
            .find(|build| build.arn() == Some(agent.as_str()))
            .and_then(|build| Some((attempt_of(build)?, observe(build)?))))
    }
}

fn template_of(spec: &BuildSpec) -> Result<&CodeBuildExecutor, Fault> {
    match &spec.executor {
        Executor::CodeBuild(codebuild) => Ok(codebuild),
        Executor::Ecs(_) => Err(Fault::lasting(format!("build {} does not run on CodeBuild", spec.id))),
    }
}

fn variables(spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity, bucket: &str) -> Result<Vec<EnvironmentVariable>, Fault> {
    environment(spec, attempt, capacity, bucket)
        .into_iter()
        .map(|(name, value)| {
            // Always plain text: never the name of a secret, even if the value looks like one.
            EnvironmentVariable::builder()
                .name(name)
                .value(value)
                .r#type(EnvironmentVariableType::Plaintext)
                .build()
                .map_err(|error| Fault::lasting("an environment variable could not be built").caused_by(error))
        })
        .collect()
}

/// Below the attempt's prefix, each file separately under its path in the checkout.
fn artifacts(spec: &BuildSpec, attempt: &AttemptId, bucket: &str) -> Result<ProjectArtifacts, Fault> {
    let artifacts = if spec.artifacts.is_empty() {
        ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts)
    } else {
        let (path, name) = artifacts_place(attempt);
        ProjectArtifacts::builder()
            .r#type(ArtifactsType::S3)
            .location(bucket)
            .path(path)
            .name(name)
            .namespace_type(ArtifactNamespace::None)
            .packaging(ArtifactPackaging::None)
            .override_artifact_name(false)
    };
    artifacts
        .build()
        .map_err(|error| Fault::lasting("the destination of the artifacts could not be built").caused_by(error))
}

/// A build's id, `PROJECT:UUID`, from its ARN. The API documents only such ids for `ids` and `id`
/// (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BatchGetBuilds.html>), although ARNs also work.
fn build_id(agent: &AgentId) -> &str {
    let arn = agent.as_str();
    arn.split_once(":build/").map_or(arn, |(_, id)| id)
}

fn agent_id(arn: &str) -> Result<AgentId, Fault> {
    arn.parse()
        .map_err(|error| Fault::lasting(format!("CodeBuild returned the invalid build ARN {arn:?}")).caused_by(error))
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
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::build::Refusal;
    use bellhop_domain::spec::Script;
    use bellhop_engine::FaultKind;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{self, Reply, Wire, broken, ecs_spec, ok, refused, spec};

    const NOW: i64 = 1_790_000_000;

    fn arn(id: &str) -> String {
        format!("arn:aws:codebuild:eu-west-1:123456789012:build/ci-docker:{id}")
    }

    fn agent(id: &str) -> AgentId {
        arn(id).parse().unwrap()
    }

    /// A build of the tests' attempt, as `BatchGetBuilds` shows it.
    fn build(id: &str, status: &str, started: i64) -> Value {
        json!({
            "arn": arn(id), "id": format!("ci-docker:{id}"), "buildStatus": status, "startTime": started, "currentPhase": "BUILD",
            "environment": { "type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL", "environmentVariables": [
                { "name": "TOKEN", "value": "/ci/token", "type": "PARAMETER_STORE" },
                { "name": "BELLHOP_BUILD", "value": "abcdefghij/image", "type": "PLAINTEXT" },
                { "name": "BELLHOP_ATTEMPT", "value": "2", "type": "PLAINTEXT" },
                { "name": "BELLHOP_CAPACITY", "value": "codebuild", "type": "PLAINTEXT" },
            ] },
        })
    }

    /// The same of another attempt.
    fn other(id: &str, started: i64) -> Value {
        let mut build = build(id, "IN_PROGRESS", started);
        build["environment"]["environmentVariables"][2]["value"] = json!("1");
        build
    }

    fn listed(ids: &[&str], next: Option<&str>) -> Reply {
        ok(&json!({ "ids": ids, "nextToken": next }))
    }

    fn described(builds: &[Value]) -> Reply {
        ok(&json!({ "builds": builds }))
    }

    async fn launch(replies: Vec<Reply>, again: bool) -> (Result<Launch, Fault>, Vec<String>) {
        let (aws, wire) = Wire::replying(replies);
        let launched = aws
            .agents("suite")
            .launch(&spec(), &testing::attempt().launch(Capacity::CodeBuild), again)
            .await;
        (launched, wire.operations())
    }

    async fn start_of(spec: &BuildSpec) -> Value {
        let (aws, wire) = Wire::replying([ok(&json!({ "build": build("new", "IN_PROGRESS", NOW) }))]);
        let agents = aws.agents("suite");
        let launched = agents.launch(spec, &testing::attempt().launch(Capacity::CodeBuild), false).await;
        assert_eq!(launched.unwrap(), Launch::Accepted(agent("new")));
        let [(operation, body)]: [(String, Value); 1] = wire.asked().try_into().unwrap();
        assert_eq!(operation, "StartBuild");
        body
    }

    #[tokio::test]
    async fn a_build_is_started_with_all_that_it_takes() {
        let started = start_of(&spec()).await;
        let plain = |name: &str, value: &str| json!({ "name": name, "value": value, "type": "PLAINTEXT" });
        let expected = json!({
            "projectName": "ci-docker",
            "idempotencyToken": testing::attempt().launch(Capacity::CodeBuild).token(),
            "sourceTypeOverride": "CODECOMMIT",
            "sourceLocationOverride": "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop",
            "sourceVersion": "0123456789abcdef0123456789abcdef01234567",
            "environmentVariablesOverride": [
                plain("BELLHOP_ATTEMPT", "2"),
                plain("BELLHOP_BUILD", "abcdefghij/image"),
                plain("BELLHOP_CAPACITY", "codebuild"),
                plain("BELLHOP_COMMIT", "0123456789abcdef0123456789abcdef01234567"),
                plain("BELLHOP_JOB", "image"),
                plain("BELLHOP_REF", "refs/heads/main"),
                plain("BELLHOP_REPOSITORY", "shop"),
                plain("BELLHOP_RUN", "abcdefghij"),
                plain("CI", "true"),
                plain("LEVEL", ""),
            ],
            "buildspecOverride": buildspec(&spec(), &testing::attempt()).unwrap(),
            "artifactsOverride": { "type": "NO_ARTIFACTS" },
            "timeoutInMinutesOverride": 60,
            "queuedTimeoutInMinutesOverride": 120,
            "autoRetryLimitOverride": 0,
        });
        assert_eq!(started, expected);
    }

    #[tokio::test]
    async fn artifacts_go_below_the_attempt_and_a_buildspec_is_named() {
        let mut with_artifacts = spec();
        with_artifacts.artifacts = vec!["target/*.xml".to_owned()];
        with_artifacts.script = Script::Buildspec("ci/image.yml".to_owned());
        let started = start_of(&with_artifacts).await;
        assert_eq!(started["buildspecOverride"], "ci/image.yml");
        let expected = json!({
            "type": "S3", "location": "suite", "path": "runs/abcdefghij/image/2", "name": "artifacts",
            "namespaceType": "NONE", "packaging": "NONE", "overrideArtifactName": false,
        });
        assert_eq!(started["artifactsOverride"], expected);
    }

    #[tokio::test]
    async fn what_is_not_for_codebuild_is_a_fault() {
        let mut stored = spec();
        stored.script = Script::Stored("scripts/abcdefghij/image".to_owned());
        let (aws, wire) = Wire::replying([]);
        let codebuild = CodeBuildAgents::new(aws.lazy(aws_sdk_codebuild::Client::new), "suite", Some("eu-west-1"));
        let homeless = CodeBuildAgents::new(aws.lazy(aws_sdk_codebuild::Client::new), "suite", None);
        for (agents, spec) in [(&codebuild, &stored), (&codebuild, &ecs_spec()), (&homeless, &spec())] {
            let launched = agents.launch(spec, &testing::attempt().launch(Capacity::CodeBuild), false).await;
            assert_eq!(launched.unwrap_err().kind, FaultKind::Lasting);
        }
        assert!(wire.asked().is_empty());
    }

    #[tokio::test]
    async fn a_launch_that_comes_again_finds_its_build() {
        let (launched, asked) = launch(
            vec![
                listed(&["b", "a"], None),
                described(&[other("b", NOW), build("a", "IN_PROGRESS", NOW)]),
            ],
            true,
        )
        .await;
        assert_eq!(launched.unwrap(), Launch::Accepted(agent("a")));
        assert_eq!(asked, ["ListBuildsForProject", "BatchGetBuilds"]);
        // Were there two, the one under way would be the better one; and one that is over is better than a second.
        for (builds, expected) in [
            (vec![build("c", "STOPPED", NOW), build("a", "IN_PROGRESS", NOW - 9)], "a"),
            (vec![build("a", "FAILED", NOW - 9), build("c", "SUCCEEDED", NOW)], "c"),
        ] {
            let (launched, _) = launch(vec![listed(&["c", "a"], None), described(&builds)], true).await;
            assert_eq!(launched.unwrap(), Launch::Accepted(agent(expected)));
        }
        let started = ok(&json!({ "build": build("new", "IN_PROGRESS", NOW) }));
        let (launched, asked) = launch(vec![listed(&["b"], None), described(&[other("b", NOW)]), started], true).await;
        assert_eq!(launched.unwrap(), Launch::Accepted(agent("new")));
        assert_eq!(asked, ["ListBuildsForProject", "BatchGetBuilds", "StartBuild"]);
        let (launched, asked) = launch(vec![broken()], true).await;
        assert_eq!(launched.unwrap_err().kind, FaultKind::Passing);
        assert_eq!(asked, ["ListBuildsForProject"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_what_proves_that_there_is_no_build() {
        let text = |code: &str| format!("{code}: no");
        for (code, expected) in [
            (
                "AccountLimitExceededException",
                Refusal::AccountLimit(text("AccountLimitExceededException")),
            ),
            ("ThrottlingException", Refusal::Throttled(text("ThrottlingException"))),
            ("ResourceNotFoundException", Refusal::Invalid(text("ResourceNotFoundException"))),
            ("AccessDeniedException", Refusal::Unknown(text("AccessDeniedException"))),
            ("ExpiredTokenException", Refusal::Unknown(text("ExpiredTokenException"))),
            ("ValidationException", Refusal::Invalid(text("ValidationException"))),
        ] {
            // What is refused for good is asked for once more.
            let asked = 1 + usize::from(matches!(expected, Refusal::Invalid(_)));
            let (launched, _) = launch(vec![refused(code, "no"); asked], false).await;
            assert_eq!(launched.unwrap(), Launch::refused(expected));
        }
        for open in [broken(), ok(&json!({}))] {
            let (launched, _) = launch(vec![open.clone()], false).await;
            assert!(launched.is_err(), "{open:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_token_leads_to_its_build() {
        let spent = || refused("InvalidInputException", "Idempotent parameters do not match");
        let found = vec![spent(), listed(&["a"], None), described(&[build("a", "IN_PROGRESS", NOW)])];
        assert_eq!(launch(found, false).await.0.unwrap(), Launch::Accepted(agent("a")));
        let (launched, _) = launch(vec![spent(), listed(&[], None)], false).await;
        assert_eq!(launched.unwrap_err().kind, FaultKind::Passing);
        let wrong = refused("InvalidInputException", "Cannot specify queuedTimeoutInMinutes for lambda compute");
        let refused_again = vec![wrong.clone(), listed(&[], None), wrong, listed(&[], None)];
        let (launched, _) = launch(refused_again, false).await;
        assert!(matches!(launched.unwrap(), Launch::Refused { refusal: Refusal::Invalid(words), .. } if words.ends_with("lambda compute")));
    }

    async fn find(replies: Vec<Reply>) -> (Result<Vec<String>, Fault>, usize) {
        let (aws, wire) = Wire::replying(replies);
        let found = aws.agents("suite").find(&spec(), &testing::attempt()).await;
        let names = found.map(|found| found.into_iter().map(|seen| seen.agent.to_string()).collect());
        (names, wire.operations().len())
    }

    #[tokio::test]
    async fn those_under_way_are_found() {
        let builds = [
            build("a", "IN_PROGRESS", NOW),
            build("b", "STOPPED", NOW),
            other("c", NOW),
            json!({ "arn": arn("d"), "buildStatus": "IN_PROGRESS" }),
        ];
        let (found, _) = find(vec![listed(&["a", "b", "c", "d"], None), described(&builds)]).await;
        assert_eq!(found.unwrap(), [arn("a")]);
        let (found, _) = find(vec![refused("ResourceNotFoundException", "no project")]).await;
        assert_eq!(found.unwrap(), [""; 0]);
        let (found, _) = find(vec![listed(&["a"], None), broken()]).await;
        assert_eq!(found.unwrap_err().kind, FaultKind::Passing);
    }

    #[tokio::test]
    async fn the_search_goes_back_a_day_and_no_further_than_ten_pages() {
        let day = 24 * 60 * 60;
        let page = |id: &str, started: i64| [listed(&[id], Some(id)), described(&[other(id, started)])];
        let replies = [page("c", NOW), page("b", NOW - day), page("a", NOW - day - 3601)].concat();
        let (found, asked) = find(replies).await;
        assert_eq!((found.unwrap().len(), asked), (0, 6));
        let replies: Vec<Reply> = (0..10).flat_map(|index| page(&format!("{index}"), NOW)).collect();
        let (found, asked) = find(replies).await;
        assert_eq!((found.unwrap().len(), asked), (0, 20));
    }

    #[tokio::test]
    async fn many_builds_are_described_in_portions() {
        let agents: Vec<AgentId> = (0..201).map(|index| agent(&format!("{index}"))).collect();
        let unclear = json!({ "arn": arn("101"), "buildStatus": "DREAMING" });
        let second = described(&[build("100", "IN_PROGRESS", NOW), unclear]);
        let (aws, wire) = Wire::replying([broken(), second, described(&[build("200", "SUCCEEDED", NOW)])]);
        let (described, fault) = aws.agents("suite").describe(&agents).await;
        assert_eq!(fault.unwrap().kind, FaultKind::Passing);
        let sizes: Vec<usize> = wire.asked().iter().map(|(_, body)| body["ids"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [100, 100, 1]);
        // The first portion and the one that is not understood are missing.
        assert_eq!(described.len(), 100);
        let known: Vec<&AgentId> = described
            .iter()
            .filter(|(_, seen)| seen.is_some())
            .map(|(agent, _)| agent)
            .collect();
        assert_eq!(known, [&agents[100], &agents[200]]);
    }

    #[tokio::test]
    async fn what_cannot_be_stopped_any_more_is_stopped() {
        let stop = async |replies: Vec<Reply>| {
            let (aws, wire) = Wire::replying(replies);
            let stopped = aws.agents("suite").stop(&agent("a"), "superseded").await;
            assert_eq!(wire.asked()[0], ("StopBuild".to_owned(), json!({ "id": "ci-docker:a" })));
            stopped
        };
        let not_now = || refused("InvalidInputException", "no");
        assert!(stop(vec![ok(&json!({}))]).await.is_ok());
        assert!(stop(vec![refused("ResourceNotFoundException", "no")]).await.is_ok());
        assert!(stop(vec![not_now(), described(&[build("a", "FAILED", NOW)])]).await.is_ok());
        assert!(stop(vec![not_now(), described(&[])]).await.is_ok());
        assert!(stop(vec![not_now(), described(&[build("a", "IN_PROGRESS", NOW)])]).await.is_err());
        assert!(stop(vec![broken()]).await.is_err());
    }

    #[tokio::test]
    async fn a_build_names_its_attempt() {
        let identify = async |reply: Reply| {
            let (aws, _) = Wire::replying([reply]);
            aws.agents("suite").identify(&agent("a")).await
        };
        let (attempt, seen) = identify(described(&[build("a", "IN_PROGRESS", NOW)])).await.unwrap().unwrap();
        assert_eq!((attempt, seen.agent), (testing::attempt(), agent("a")));
        let mut secret = build("a", "IN_PROGRESS", NOW);
        secret["environment"]["environmentVariables"][1]["type"] = json!("SECRETS_MANAGER");
        for none in [described(&[]), described(&[secret]), described(&[json!({ "arn": arn("a") })])] {
            assert_eq!(identify(none).await.unwrap(), None);
        }
        assert_eq!(identify(broken()).await.unwrap_err().kind, FaultKind::Passing);
    }

    #[tokio::test]
    async fn a_build_that_failed_names_command_and_line() {
        let mut failed = build("a", "FAILED", NOW);
        failed["phases"] = json!([{
            "phaseType": "BUILD", "phaseStatus": "FAILED",
            "contexts": [{
                "statusCode": "COMMAND_EXECUTION_ERROR",
                "message": "Error while executing command: bash /tmp/bellhop-script || export BELLHOP_FAILED=x. Reason: exit status 3",
            }],
        }]);
        failed["exportedEnvironmentVariables"] = json!([{ "name": "OTHER" }, { "name": "BELLHOP_FAILED", "value": "3 3 12 make test" }]);
        let (aws, _) = Wire::replying([described(&[failed])]);
        let (_, seen) = aws.agents("suite").identify(&agent("a")).await.unwrap().unwrap();
        let AgentStatus::Stopped(stop) = seen.status else {
            panic!("not stopped: {:?}", seen.status)
        };
        let report = stop.report.unwrap();
        assert_eq!((report.line, report.command.as_deref()), (Some(12), Some("make test")));
    }
}
