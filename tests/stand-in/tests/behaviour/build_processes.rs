//! Builds that are real processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use bellhop_stand_in::{BuildPhase, BuildProcessOptions, BuildView, Builds, Options, Project, Timing};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::codecommit::{clone, commit, git};
use crate::support::{SOON, Setup, start_with};

async fn start(adapt: impl FnOnce(&mut Options)) -> Setup {
    let setup = start_with(|options, folder| {
        options.timing = Timing::quick();
        options.builds = Builds::Processes(BuildProcessOptions {
            environment: BTreeMap::from([("OF_THE_IMAGE".to_owned(), "yes".to_owned())]),
            work: folder.path().join("work"),
            logs: folder.path().join("logs"),
        });
        adapt(options);
    })
    .await;
    let project = Project::new("ci-docker").variable("LEVEL", "project").variable("OF_PROJECT", "yes");
    setup.codebuild().create_project(project).unwrap();
    setup
}

async fn launch(setup: &Setup, buildspec: &str) -> String {
    let request = json!({ "projectName": "ci-docker", "buildspecOverride": buildspec });
    setup.start_build(&request).await
}

async fn ended(setup: &Setup, build: &str, status: &str) -> BuildView {
    setup.codebuild().wait_for_status(build, status, SOON).await.unwrap()
}

/// The phases with what is not `SUCCEEDED` of them.
fn unsuccessful(build: &BuildView) -> Vec<String> {
    let phases = build.phases.iter().filter(|phase| phase.status.as_deref() != Some("SUCCEEDED"));
    let told = phases.map(|phase| {
        let words = [Some(phase.phase.name()), phase.status.as_deref(), phase.context.as_deref()];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    told.collect()
}

async fn until(what: impl Fn() -> bool) {
    let until = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, until).await.unwrap();
}

fn is_alive(process: &str) -> bool {
    let state = std::fs::read_to_string(Path::new("/proc").join(process.trim()).join("stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}

#[tokio::test]
async fn the_phases_share_one_shell() {
    let setup = start(|_| {}).await;
    let buildspec = r#"
version: 0.2
env:
  variables:
    LEVEL: buildspec
    OF_BUILDSPEC: 7
phases:
  install:
    runtime-versions: { python: 3.12 }
    commands:
      - tag="v 1"
      - greet() { echo "hello $1"; }
      - mkdir inner && cd inner
  build:
    commands:
      - greet "$tag" && pwd
      - |
        echo "$LEVEL $OF_BUILDSPEC $OF_PROJECT $OF_THE_IMAGE"
  post_build:
    commands: ["env | grep ^CODEBUILD_ | sort"]
"#;
    let build = launch(&setup, buildspec).await;
    let view = ended(&setup, &build, "SUCCEEDED").await;

    assert_eq!(unsuccessful(&view), ["COMPLETED"]);
    assert_eq!(view.phases.len(), 11);
    let output = setup.codebuild().stdout(&build).unwrap();
    let uuid = build.split_once(':').unwrap().1;
    let folder = setup.folder.path().join("work").join(uuid).join("src");
    let (folder, arn) = (folder.display(), &view.arn);
    let expected = format!("hello v 1\n{folder}/inner\nproject 7 yes yes\nCODEBUILD_BUILD_ARN={arn}\nCODEBUILD_BUILD_ID={build}\n");
    assert!(output.starts_with(&expected), "{output}");
    for line in [
        "CODEBUILD_BUILD_NUMBER=1".to_owned(),
        "CODEBUILD_BUILD_SUCCEEDING=1".to_owned(),
        "CODEBUILD_CI=true".to_owned(),
        format!("CODEBUILD_SRC_DIR={folder}"),
        format!("CODEBUILD_START_TIME={}", view.started_at.as_millisecond()),
    ] {
        assert!(output.lines().any(|other| other == line), "{line} is not in {output}");
    }
    setup.stop().await;
}

#[tokio::test]
async fn a_failed_command_skips_the_rest_of_its_phase() {
    let setup = start(|_| {}).await;
    let buildspec = r#"
version: 0.2
phases:
  build:
    commands:
      - echo one
      - sh -c 'exit 3'
      - echo never
    finally:
      - echo finally
  post_build:
    commands:
      - echo "post $CODEBUILD_BUILD_SUCCEEDING"
"#;
    let build = launch(&setup, buildspec).await;
    let view = ended(&setup, &build, "FAILED").await;
    let expected = "BUILD FAILED COMMAND_EXECUTION_ERROR: Error while executing command: sh -c 'exit 3'. Reason: exit status 3";
    assert_eq!(unsuccessful(&view), [expected, "COMPLETED"]);
    assert_eq!(setup.codebuild().stdout(&build).unwrap(), "one\nfinally\npost 0\n");

    // A command that ends the shell itself, and one that is killed.
    for (command, code) in [("exit 4", 4), ("kill -KILL $$", 137), ("set -e; false; echo never", 1)] {
        let buildspec = format!(
            "version: 0.2\nphases:\n  pre_build:\n    commands:\n      - echo a\n      - {command}\n      - echo never\n  build:\n    commands: [echo never]\n"
        );
        let build = launch(&setup, &buildspec).await;
        let view = ended(&setup, &build, "FAILED").await;
        let expected =
            format!("PRE_BUILD FAILED COMMAND_EXECUTION_ERROR: Error while executing command: {command}. Reason: exit status {code}");
        assert_eq!(unsuccessful(&view), [expected.as_str(), "COMPLETED"]);
        let phases: Vec<_> = view.phases.iter().map(|phase| phase.phase).collect();
        assert!(!phases.contains(&BuildPhase::Build) && phases.contains(&BuildPhase::Finalizing));
        assert_eq!(setup.codebuild().stdout(&build).unwrap(), "a\n");
    }
    setup.stop().await;
}

#[tokio::test]
async fn the_source_is_the_repository_at_the_version() {
    let setup = start(|_| {}).await;
    let clone = clone(&setup).await;
    std::fs::create_dir(clone.join("ci")).unwrap();
    let buildspec = "version: 0.2\nphases:\n  build:\n    commands: [\"cat word; echo $CODEBUILD_RESOLVED_SOURCE_VERSION $CODEBUILD_SOURCE_VERSION\"]\n";
    std::fs::write(clone.join("ci/build.yaml"), buildspec).unwrap();
    std::fs::write(clone.join("word"), "first\n").unwrap();
    let first = commit(&clone, "First");
    std::fs::write(clone.join("word"), "second\n").unwrap();
    let second = commit(&clone, "Second");
    git(&clone, &["push", "--quiet", "origin", "main"]);

    let request = |version: &str, buildspec: &str| {
        json!({
            "projectName": "ci-docker", "sourceVersion": version, "buildspecOverride": buildspec,
            "sourceTypeOverride": "CODECOMMIT",
            "sourceLocationOverride": "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/shop",
        })
    };
    for (version, commit, word) in [(first.as_str(), &first, "first"), ("main", &second, "second")] {
        let build = setup.start_build(&request(version, "ci/build.yaml")).await;
        let view = ended(&setup, &build, "SUCCEEDED").await;
        assert_eq!(view.resolved_source_version.as_ref(), Some(commit));
        assert_eq!(setup.codebuild().stdout(&build).unwrap(), format!("{word}\n{commit} {version}\n"));
    }

    let cases = [
        ("other", "ci/build.yaml", "CLIENT_ERROR: reference not found"),
        ("main", "", "YAML_FILE_ERROR: stat"),
        ("main", "word", "YAML_FILE_ERROR: "),
        (
            "main",
            "version: 0.1\nphases: {}\n",
            "YAML_FILE_ERROR: unknown buildspec version 0.1",
        ),
        (
            "main",
            "version: 0.2\nphases: { test: {} }\n",
            "YAML_FILE_ERROR: unknown phase test",
        ),
    ];
    for (version, buildspec, context) in cases {
        let build = setup.start_build(&request(version, buildspec)).await;
        let view = ended(&setup, &build, "FAILED").await;
        let told = unsuccessful(&view);
        assert!(told[0].starts_with(&format!("DOWNLOAD_SOURCE CLIENT_ERROR {context}")), "{told:?}");
        assert_eq!(view.phases[4].phase, BuildPhase::Finalizing);
    }
    setup.stop().await;
}

#[tokio::test]
async fn artifacts_are_stored() {
    let (sender, mut stored) = mpsc::unbounded_channel();
    let app = Router::new().fallback(async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let authorization = headers["authorization"].to_str().unwrap().to_owned();
        sender.send((format!("{method} {uri}"), authorization, body)).unwrap();
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let setup = start(|options| options.upstream = Some(upstream)).await;

    let buildspec = |base: &str, files: &str| {
        format!(
            "version: 0.2\nphases:\n  build:\n    commands:\n      - mkdir -p out/deep && echo 1 > 'out/a b.xml' && echo 2 > out/deep/c.xml && echo 3 > out/d.txt\nartifacts:\n  base-directory: {base}\n  files: {files}\n"
        )
    };
    let request = |buildspec: String| {
        json!({
            "projectName": "ci-docker", "buildspecOverride": buildspec,
            "artifactsOverride": { "type": "S3", "location": "results", "path": "runs/7", "name": "/", "packaging": "NONE" },
        })
    };
    let build = setup.start_build(&request(buildspec("out", "['**/*.xml']"))).await;
    ended(&setup, &build, "SUCCEEDED").await;

    for (line, content) in [("PUT /results/runs/7/a%20b.xml", "1\n"), ("PUT /results/runs/7/deep/c.xml", "2\n")] {
        let (told, authorization, body) = stored.recv().await.unwrap();
        assert_eq!((told.as_str(), &body[..]), (line, content.as_bytes()));
        assert!(authorization.contains("/s3/aws4_request"), "{authorization}");
    }
    let copy = setup.codebuild().artifact_folder(&build).unwrap().join("results/runs/7/deep/c.xml");
    assert_eq!(std::fs::read_to_string(copy).unwrap(), "2\n");

    for (base, files, context) in [
        ("out", "['*.css']", "CLIENT_ERROR: no matching artifact paths found"),
        ("gone", "['*.xml']", "CLIENT_ERROR: no matching base directory path found for build"),
    ] {
        let build = setup.start_build(&request(buildspec(base, files))).await;
        let view = ended(&setup, &build, "FAILED").await;
        assert_eq!(unsuccessful(&view)[0], format!("UPLOAD_ARTIFACTS CLIENT_ERROR {context}"));
    }
    // Only the folder itself: no pattern goes into folders that it does not name.
    let build = setup.start_build(&request(buildspec("out", "['*']"))).await;
    ended(&setup, &build, "SUCCEEDED").await;
    let first = stored.recv().await.unwrap().0;
    assert_eq!(
        [first, stored.recv().await.unwrap().0],
        ["PUT /results/runs/7/a%20b.xml", "PUT /results/runs/7/d.txt"]
    );
    let mut zip = request(buildspec("out", "['*']"));
    zip["artifactsOverride"]["packaging"] = "ZIP".into();
    assert_eq!(setup.codebuild_call("StartBuild", &zip).await.0, 400);
    setup.stop().await;
}

#[tokio::test]
async fn exported_variables_have_the_values_that_the_last_command_has_left() {
    let setup = start(|_| {}).await;
    let exports = "version: 0.2\nenv:\n  variables: { STEP: \"1\" }\n  exported-variables: [STEP, NOTE, INNER, MISSING, AWS_REGION]\nphases:\n  build:\n    commands:\n";
    let exported = async |commands: &str, status: &str| {
        let build = launch(&setup, &format!("{exports}{commands}")).await;
        ended(&setup, &build, status).await;
        let (_, body) = setup.codebuild_call("BatchGetBuilds", &json!({ "ids": [build] })).await;
        let answered = body["builds"][0]["exportedEnvironmentVariables"].clone();
        let event = setup.codebuild().events_of(&build).pop().unwrap();
        assert_eq!(
            event["detail"]["additional-information"]["exported-environment-variables"],
            answered
        );
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let pairs = answered
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| (text(&variable["name"]), text(&variable["value"])));
        pairs.collect::<BTreeMap<_, _>>()
    };
    let pairs = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };

    let succeeded = "      - INNER=x; export NOTE='a \"b\" $c'\n      - export STEP=2\n";
    assert_eq!(
        exported(succeeded, "SUCCEEDED").await,
        pairs(&[("STEP", "2"), ("NOTE", "a \"b\" $c")])
    );
    let failed = "      - export NOTE=1\n      - export NOTE=2; (exit 3)\n      - export NOTE=3\n";
    assert_eq!(exported(failed, "FAILED").await, pairs(&[("STEP", "1"), ("NOTE", "2")]));
    // What ends the shell leaves no variables behind.
    let ended_shell = "      - export NOTE=1\n      - export NOTE=2; exit 3\n";
    assert_eq!(exported(ended_shell, "FAILED").await, pairs(&[("STEP", "1"), ("NOTE", "1")]));
    setup.stop().await;
}

#[tokio::test]
async fn stop_build_and_timeouts_kill_all_processes() {
    let setup = start(|options| options.timing.build_minute = Duration::from_millis(100)).await;
    let sleeps = "version: 0.2\nphases:\n  build:\n    commands:\n      - sleep 300 & echo $! > ../child; echo ready; wait\n  post_build:\n    commands: [echo never]\n";
    let child = |build: &str| {
        let uuid = build.split_once(':').unwrap().1;
        std::fs::read_to_string(setup.folder.path().join("work").join(uuid).join("child")).unwrap()
    };
    let ready = async |build: &str| until(|| setup.codebuild().stdout(build).is_ok_and(|output| output.contains("ready"))).await;

    let build = launch(&setup, sleeps).await;
    ready(&build).await;
    assert!(is_alive(&child(&build)));
    assert!(setup.codebuild().exit(&build, 0).is_err(), "processes are not scripted");
    let (_, body) = setup.codebuild_call("StopBuild", &json!({ "id": build })).await;
    assert_eq!(body["build"]["buildStatus"], "STOPPED");
    until(|| !is_alive(&child(&build))).await;

    let request = json!({ "projectName": "ci-docker", "buildspecOverride": sleeps, "timeoutInMinutesOverride": 30 });
    let build = setup.start_build(&request).await;
    ready(&build).await;
    let view = ended(&setup, &build, "TIMED_OUT").await;
    assert_eq!(unsuccessful(&view)[0], "BUILD TIMED_OUT BUILD_TIMED_OUT: Build has timed out. ");
    until(|| !is_alive(&child(&build))).await;

    let build = launch(&setup, sleeps).await;
    ready(&build).await;
    setup.stop().await;
    until(|| !is_alive(&child(&build))).await;
    assert_eq!(setup.codebuild().build(&build).unwrap().status, "IN_PROGRESS");
}

#[tokio::test]
async fn builds_wait_for_their_turn() {
    let setup = start(|options| options.timing.build_minute = Duration::from_millis(100)).await;
    setup.codebuild().set_account_limits(1, 10);
    let buildspec = |seconds: &str| format!("version: 0.2\nphases:\n  build:\n    commands: [\"sleep {seconds}\"]\n");
    let first = launch(&setup, &buildspec("0.3")).await;
    let second = launch(&setup, &buildspec("0")).await;
    let phases = |builds: &[BuildView]| {
        let phase = |id: &str| builds.iter().find(|build| build.id == id).map(|build| build.phase);
        phase(&first).filter(|phase| *phase == BuildPhase::Build).and(phase(&second))
    };
    let meanwhile = setup.codebuild().wait_for(SOON, phases).await.unwrap();
    assert_eq!(meanwhile, BuildPhase::Queued);
    ended(&setup, &second, "SUCCEEDED").await;
    assert_eq!(setup.codebuild().build(&first).unwrap().status, "SUCCEEDED");

    setup.codebuild().set_account_limits(0, 10);
    let request = json!({ "projectName": "ci-docker", "buildspecOverride": buildspec("0"), "queuedTimeoutInMinutesOverride": 5 });
    let third = setup.start_build(&request).await;
    let view = ended(&setup, &third, "TIMED_OUT").await;
    assert_eq!(unsuccessful(&view)[0], "QUEUED TIMED_OUT BUILD_TIMED_OUT: Build has timed out. ");
    let request: Value = json!({ "ids": [third] });
    let (_, body) = setup.codebuild_call("BatchGetBuilds", &request).await;
    assert_eq!(body["builds"][0]["buildStatus"], "TIMED_OUT");
    setup.stop().await;
}
