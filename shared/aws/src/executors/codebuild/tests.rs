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
    let plain = |name: &str, value: &str| json!({ "name": name, "value": value, "type": "PLAINTEXT" });
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
    let found = vec![spent(), listed(&["a"], None), described(&[build("a", "IN_PROGRESS", NOW)])];
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
    let (found, _) = find(vec![listed(&["a", "b", "c", "d"], None), described(&builds)]).await;
    assert_eq!(found.unwrap(), [arn("a")]);
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
    secret["environment"]["environmentVariables"][1]["type"] = json!("SECRETS_MANAGER");
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
