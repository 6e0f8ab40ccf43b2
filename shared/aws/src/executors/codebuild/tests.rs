//! What the adapter makes of CodeBuild's replies and refusals.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use bellhop_domain::build::Refusal;
use bellhop_domain::executor::Script;
use bellhop_domain::executor::codebuild::CAPACITY;
use bellhop_engine::FaultKind;
use serde_json::{Value, json};

use bellhop_domain::executor::observation::AgentStatus;

use super::*;
use crate::testing::{self, Reply, Wire, broken, ecs_spec, ok, refused, spec};

const NOW: i64 = 1_790_000_000;
/// The role of the tests' project.
const ROLE: &str = "arn:aws:iam::123456789012:role/ci/docker";

fn arn(id: &str) -> String {
    format!("arn:aws:codebuild:eu-west-1:123456789012:build/ci-docker:{id}")
}

fn agent(id: &str) -> AgentId {
    arn(id).parse().unwrap()
}

fn plain(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value, "type": "PLAINTEXT" })
}

/// The machine and the own variables of the tests' project.
fn of_project(more: &[Value]) -> Value {
    let token = json!({ "name": "TOKEN", "value": "/ci/token", "type": "PARAMETER_STORE" });
    let variables = [&[token, plain("CI", "true")], more].concat();
    json!({ "type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL", "environmentVariables": variables })
}

/// A build of the tests' attempt, as `BatchGetBuilds` shows it.
fn build(id: &str, status: &str, started: i64) -> Value {
    let own: Vec<Value> = buildspec::only_needed(environment(&spec(), &testing::attempt(), CAPACITY, "suite"))
        .iter()
        .filter(|(name, _)| *name != "CI")
        .map(|(name, value)| plain(name, value))
        .collect();
    json!({
        "arn": arn(id), "id": format!("ci-docker:{id}"), "buildStatus": status, "startTime": started, "currentPhase": "BUILD",
        "projectName": "ci-docker", "serviceRole": ROLE, "environment": of_project(&own), "timeoutInMinutes": 60, "queuedTimeoutInMinutes": 120,
        "sourceVersion": "0123456789abcdef0123456789abcdef01234567",
        "source": {
            "type": "CODECOMMIT", "location": "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop",
            "buildspec": buildspec::text(&spec().script, &spec().artifacts, &testing::attempt()).unwrap(),
        },
    })
}

/// The answer about the project.
fn project() -> Reply {
    let project = json!({ "name": "ci-docker", "serviceRole": ROLE, "environment": of_project(&[]) });
    ok(&json!({ "projects": [project], "projectsNotFound": [] }))
}

/// The same of another attempt.
fn other(id: &str, started: i64) -> Value {
    let mut build = build(id, "IN_PROGRESS", started);
    set(&mut build, "BELLHOP_ATTEMPT", "value", &json!("1"));
    build
}

/// Changes a variable of a build.
fn set(build: &mut Value, name: &str, key: &str, to: &Value) {
    let variables = build["environment"]["environmentVariables"].as_array_mut().unwrap();
    variables.iter_mut().find(|variable| variable["name"] == name).unwrap()[key] = to.clone();
}

fn listed(ids: &[&str], next: Option<&str>) -> Reply {
    ok(&json!({ "ids": ids, "nextToken": next }))
}

fn described(builds: &[Value]) -> Reply {
    ok(&json!({ "builds": builds }))
}

async fn launch(replies: Vec<Reply>, again: bool) -> (Result<Launch, Fault>, Vec<String>) {
    let (aws, wire) = Wire::replying(replies);
    let launched = CodeBuilds::new(&aws, "suite")
        .launch(&spec(), &LaunchId::first(testing::attempt(), CAPACITY), again)
        .await;
    (launched, wire.operations())
}

async fn start_of(spec: &BuildSpec) -> Value {
    let (aws, wire) = Wire::replying([ok(&json!({ "build": build("new", "IN_PROGRESS", NOW) }))]);
    let agents = CodeBuilds::new(&aws, "suite");
    let launched = agents.launch(spec, &LaunchId::first(testing::attempt(), CAPACITY), false).await;
    assert_eq!(launched.unwrap(), Launch::Accepted(agent("new")));
    let [(operation, body)]: [(String, Value); 1] = wire.asked().try_into().unwrap();
    assert_eq!(operation, "StartBuild");
    body
}

#[tokio::test]
async fn codebuild_fetches_the_secrets_that_the_build_names() {
    let managed = |key: Option<&str>| Secret::SecretsManager {
        name: "db".to_owned(),
        key: key.map(ToOwned::to_owned),
    };
    let secrets = [
        ("DB", managed(Some("password"))),
        ("WHOLE", managed(None)),
        ("TOKEN", Secret::Parameter("npm-token".to_owned())),
    ];
    let spec = BuildSpec {
        secrets: secrets.map(|(name, secret)| (name.to_owned(), secret)).into(),
        ..spec()
    };
    let started = start_of(&spec).await;
    let given = started["environmentVariablesOverride"].as_array().unwrap();
    let variable = |name: &str| {
        let found: Vec<&Value> = given.iter().filter(|variable| variable["name"] == name).collect();
        found
            .into_iter()
            .map(|found| format!("{} {}", found["type"], found["value"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(variable("TOKEN"), [r#""PARAMETER_STORE" "/bellhop/shop/npm-token""#]);
    assert_eq!(variable("DB"), [r#""SECRETS_MANAGER" "/bellhop/shop/db:password""#]);
    assert_eq!(variable("WHOLE"), [r#""SECRETS_MANAGER" "/bellhop/shop/db""#]);
    assert_eq!(variable("BELLHOP_SECRETS"), [""; 0]);
    assert_eq!(variable("BELLHOP_RUN").len(), 1);
}

#[tokio::test]
async fn a_build_is_started_with_all_that_it_takes() {
    let started = start_of(&spec()).await;
    let expected = json!({
        "projectName": "ci-docker",
        "idempotencyToken": LaunchId::first(testing::attempt(), CAPACITY).token(),
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
        "buildspecOverride": buildspec::text(&spec().script, &spec().artifacts, &testing::attempt()).unwrap(),
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
        "type": "S3", "location": "suite", "path": "builds/shop/abcdefghij/image/2", "name": "artifacts",
        "namespaceType": "BUILD_ID", "packaging": "NONE", "overrideArtifactName": false,
    });
    assert_eq!(started["artifactsOverride"], expected);
}

#[tokio::test]
async fn what_is_not_for_codebuild_is_a_fault() {
    let mut stored = spec();
    stored.script = Script::Stored("scripts/abcdefghij/image".to_owned());
    let (aws, wire) = Wire::replying([]);
    let codebuild = CodeBuilds::new(&aws, "suite");
    let mut homeless = CodeBuilds::new(&aws, "suite");
    homeless.region = None;
    for (agents, spec) in [(&codebuild, &stored), (&codebuild, &ecs_spec()), (&homeless, &spec())] {
        let launched = agents.launch(spec, &LaunchId::first(testing::attempt(), CAPACITY), false).await;
        assert_eq!(launched.unwrap_err().kind, FaultKind::Permanent);
    }
    assert!(wire.asked().is_empty());
}

#[tokio::test]
async fn a_launch_that_comes_again_finds_its_build() {
    let (launched, asked) = launch(
        vec![
            listed(&["b", "a"], None),
            described(&[other("b", NOW), build("a", "IN_PROGRESS", NOW)]),
            project(),
        ],
        true,
    )
    .await;
    assert_eq!(launched.unwrap(), Launch::Accepted(agent("a")));
    assert_eq!(asked, ["ListBuildsForProject", "BatchGetBuilds", "BatchGetProjects"]);
    // Were there two, the one under way would be the better one; and one that is over is better than a second.
    for (builds, expected) in [
        (vec![build("c", "STOPPED", NOW), build("a", "IN_PROGRESS", NOW - 9)], "a"),
        (vec![build("a", "FAILED", NOW - 9), build("c", "SUCCEEDED", NOW)], "c"),
    ] {
        let (launched, _) = launch(vec![listed(&["c", "a"], None), described(&builds), project()], true).await;
        assert_eq!(launched.unwrap(), Launch::Accepted(agent(expected)));
    }
    let started = ok(&json!({ "build": build("new", "IN_PROGRESS", NOW) }));
    let (launched, asked) = launch(vec![listed(&["b"], None), described(&[other("b", NOW)]), started], true).await;
    assert_eq!(launched.unwrap(), Launch::Accepted(agent("new")));
    assert_eq!(asked, ["ListBuildsForProject", "BatchGetBuilds", "StartBuild"]);
    let (launched, asked) = launch(vec![broken()], true).await;
    assert_eq!(launched.unwrap_err().kind, FaultKind::Transient);
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
        let (launched, _) = launch(vec![refused(code, "no")], false).await;
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
    let found = vec![
        spent(),
        listed(&["a"], None),
        described(&[build("a", "IN_PROGRESS", NOW)]),
        project(),
    ];
    assert_eq!(launch(found, false).await.0.unwrap(), Launch::Accepted(agent("a")));
    let (launched, _) = launch(vec![spent(), listed(&[], None)], false).await;
    assert_eq!(launched.unwrap_err().kind, FaultKind::Transient);
    let wrong = refused("InvalidInputException", "Cannot specify queuedTimeoutInMinutes for lambda compute");
    let (launched, _) = launch(vec![wrong, listed(&[], None)], false).await;
    assert!(matches!(launched.unwrap(), Launch::Refused { refusal: Refusal::Invalid(why), .. } if why.ends_with("lambda compute")));
}

async fn find(replies: Vec<Reply>) -> (Result<Vec<String>, Fault>, usize) {
    let (aws, wire) = Wire::replying(replies);
    let found = CodeBuilds::new(&aws, "suite").find(&spec(), &testing::attempt()).await;
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
    let (found, _) = find(vec![listed(&["a", "b", "c", "d"], None), described(&builds), project()]).await;
    assert_eq!(found.unwrap(), [arn("a")]);
    let (found, _) = find(vec![listed(&["a"], None), described(&builds[..1]), broken()]).await;
    assert_eq!(found.unwrap_err().kind, FaultKind::Transient);
    let (found, _) = find(vec![refused("ResourceNotFoundException", "no project")]).await;
    assert_eq!(found.unwrap(), [""; 0]);
    let (found, _) = find(vec![listed(&["a"], None), broken()]).await;
    assert_eq!(found.unwrap_err().kind, FaultKind::Transient);
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
    let (described, fault) = CodeBuilds::new(&aws, "suite").describe(&agents).await;
    assert_eq!(fault.unwrap().kind, FaultKind::Transient);
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
        let stopped = CodeBuilds::new(&aws, "suite").stop(&agent("a"), "superseded").await;
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
        CodeBuilds::new(&aws, "suite").identify(&agent("a")).await
    };
    let (attempt, seen) = identify(described(&[build("a", "IN_PROGRESS", NOW)])).await.unwrap().unwrap();
    assert_eq!((attempt, seen.agent), (testing::attempt(), agent("a")));
    let mut secret = build("a", "IN_PROGRESS", NOW);
    set(&mut secret, "BELLHOP_BUILD", "type", &json!("SECRETS_MANAGER"));
    for none in [described(&[]), described(&[secret]), described(&[json!({ "arn": arn("a") })])] {
        assert_eq!(identify(none).await.unwrap(), None);
    }
    assert_eq!(identify(broken()).await.unwrap_err().kind, FaultKind::Transient);
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
    let (_, seen) = CodeBuilds::new(&aws, "suite").identify(&agent("a")).await.unwrap().unwrap();
    let AgentStatus::Stopped(stop) = seen.status else {
        panic!("not stopped: {:?}", seen.status)
    };
    let report = stop.report.unwrap();
    assert_eq!((report.line, report.command.as_deref()), (Some(12), Some("make test")));
}

/// Builds that carry the attempt's name, and differ from its launch in one thing.
fn imitations() -> Vec<(&'static str, Value)> {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut build = build("a", "IN_PROGRESS", NOW);
        change(&mut build);
        build
    };
    let more = |variable: Value| {
        with(&|build| {
            let variables = build["environment"]["environmentVariables"].as_array_mut().unwrap();
            variables.push(variable.clone());
        })
    };
    let at = |pointer: &'static str, value: Value| with(&|build| *build.pointer_mut(pointer).unwrap() = value.clone());
    vec![
        ("another script", at("/source/buildspec", json!("version: 0.2"))),
        (
            "another repository",
            at(
                "/source/location",
                json!("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/other"),
            ),
        ),
        ("another kind of source", at("/source/type", json!("S3"))),
        ("another commit", at("/sourceVersion", json!("main"))),
        ("another image", at("/environment/image", json!("y"))),
        ("another machine", at("/environment/computeType", json!("BUILD_GENERAL1_LARGE"))),
        ("another role", at("/serviceRole", json!("arn:aws:iam::123456789012:role/ci/other"))),
        ("another time limit", at("/timeoutInMinutes", json!(480))),
        ("privileges", with(&|build| build["environment"]["privilegedMode"] = json!(true))),
        (
            "another source besides",
            with(&|build| build["secondarySources"] = json!([{ "type": "S3", "location": "x/y" }])),
        ),
        ("a variable more", more(plain("BASH_ENV", "/tmp/x"))),
        (
            "a secret more",
            more(json!({ "name": "X", "value": "x", "type": "SECRETS_MANAGER" })),
        ),
        (
            "another value of the project",
            with(&|build| set(build, "TOKEN", "value", &json!("/other"))),
        ),
        (
            "another value of the job",
            with(&|build| set(build, "LEVEL", "value", &json!("debug"))),
        ),
        (
            "a secret instead of a value",
            with(&|build| set(build, "LEVEL", "type", &json!("PARAMETER_STORE"))),
        ),
    ]
}

#[tokio::test]
async fn a_build_with_the_name_of_an_attempt_is_not_its_agent() {
    let prove = async |replies: Vec<Reply>| {
        let (aws, wire) = Wire::replying(replies);
        let proven = CodeBuilds::new(&aws, "suite")
            .prove(&spec(), &testing::attempt(), &agent("a"))
            .await;
        assert_eq!(wire.asked()[0], ("BatchGetBuilds".to_owned(), json!({ "ids": ["ci-docker:a"] })));
        proven
    };
    for status in ["IN_PROGRESS", "SUCCEEDED"] {
        let own = prove(vec![described(&[build("a", status, NOW)]), project()]).await.unwrap();
        assert_eq!(own.unwrap().agent, agent("a"));
    }
    for (what, imitation) in imitations() {
        let proven = prove(vec![described(std::slice::from_ref(&imitation)), project()]).await.unwrap();
        assert_eq!(proven, None, "{what}");
        let (found, _) = find(vec![listed(&["a"], None), described(&[imitation]), project()]).await;
        assert_eq!(found.unwrap(), [""; 0], "{what}");
    }
    let none = || ok(&json!({ "projects": [], "projectsNotFound": ["ci-docker"] }));
    assert_eq!(
        prove(vec![described(&[build("a", "IN_PROGRESS", NOW)]), none()]).await.unwrap(),
        None
    );
    for unknown in [
        described(&[]),
        described(&[build("b", "IN_PROGRESS", NOW)]),
        refused("InvalidInputException", "Invalid build ID given"),
    ] {
        assert_eq!(prove(vec![unknown]).await.unwrap(), None);
    }
    assert_eq!(prove(vec![broken()]).await.unwrap_err().kind, FaultKind::Transient);
}
