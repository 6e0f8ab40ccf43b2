//! Actions of CodePipeline that wait for a run.

use std::sync::{Arc, Mutex};

use bellhop_scenarios::World;
use bellhop_stand_in::{ARTIFACT_CREDENTIALS, ActionView, Fault, InvokeAction, JobResult, Rule, Times};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::words::MINUTE;

/// As often as the SDK tries a request.
const ALL_TRIES: Times = Times::Next(3);

const FILE: &str = r"
version: 1
jobs:
  build: { agent: small, run: make }
  test: { agent: small, run: make test, needs: [build], timeout: 2h }
  other: { agent: small, run: make other }
";

/// An action with these parameters.
fn begin(world: &World, parameters: &Value) -> ActionView {
    let text = match parameters {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let action = InvokeAction::new("bellhop-pipeline").user_parameters(text);
    world.codepipeline().start(action).unwrap()
}

/// The same, and its first job is taken.
async fn begun(world: &World, parameters: &Value) -> ActionView {
    let action = begin(world, parameters);
    world.pipeline(&world.codepipeline().event(&action.id).unwrap()).await.unwrap();
    world.codepipeline().action(&action.id).unwrap()
}

fn now(world: &World, action: &ActionView) -> ActionView {
    world.codepipeline().action(&action.id).unwrap()
}

fn build_job() -> Value {
    json!({ "repository": "shop", "job": "build" })
}

/// A task runs and ends by itself.
async fn ends(world: &World, place: usize, exit_code: i32) {
    let task = world.task(place);
    world.runs(&task).await;
    world.exits(&task, exit_code).await;
}

fn failure(action: &ActionView) -> (String, String) {
    match &action.result {
        Some(JobResult::Failed { kind, message }) => (kind.clone(), message.clone()),
        other => panic!("the action has not failed: {other:?}"),
    }
}

#[tokio::test]
async fn an_action_succeeds_with_its_run() {
    let world = World::with_pipeline(FILE).await;
    let action = begun(&world, &json!({ "repository": "shop", "job": "test", "branch": "main" })).await;
    let run = world.newest_run();
    assert_eq!(now(&world, &action).status, "InProgress");
    assert_eq!(world.run().await.jobs().len(), 2, "the job and the one that it needs");
    let job = &action.jobs[0].id;
    let shown = world.control(&json!({ "show": { "run": run } })).await.unwrap();
    assert_eq!(shown["started-by"], json!({ "kind": "pipeline-job", "name": job, "arn": null }));

    ends(&world, 0, 0).await;
    assert_eq!(now(&world, &action).status, "InProgress");
    ends(&world, 1, 0).await;

    let action = now(&world, &action);
    assert_eq!((action.status.as_str(), action.jobs.len()), ("Succeeded", 1));
    let variables: Vec<_> = action
        .output_variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        variables,
        [
            "Attempts=1".to_owned(),
            format!("BuildId={run}/test"),
            "Outcome=succeeded".to_owned()
        ]
    );
}

#[tokio::test]
async fn an_action_runs_a_script_of_its_own_at_a_commit_of_its_own() {
    let world = World::with_pipeline(FILE).await;
    let commit = world.push_event()["detail"]["commitId"].clone();
    world.commit(&[("later", "x")], "Later").await;
    let action = begun(
        &world,
        &json!({ "repository": "shop", "commit": commit, "run": "make deploy", "agent": "small" }),
    )
    .await;
    let tasks = world.tasks();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].environment["BELLHOP_COMMIT"], commit);
    ends(&world, 0, 0).await;
    assert_eq!(now(&world, &action).status, "Succeeded");
}

#[tokio::test]
async fn a_failed_job_fails_its_action_and_says_how() {
    let world = World::with_pipeline(FILE).await;
    let action = begun(&world, &build_job()).await;
    ends(&world, 0, 3).await;
    let (kind, message) = failure(&now(&world, &action));
    assert_eq!(kind, "JobFailed");
    assert!(message.contains("build: the script ended with exit code 3"), "{message}");
}

#[tokio::test]
async fn an_agent_that_cannot_be_launched_is_not_the_actions_fault() {
    let world = World::with_pipeline(FILE).await;
    world.ecs().deny_task_definition("bellhop-agent-small");
    let action = begun(&world, &build_job()).await;
    let (kind, message) = failure(&now(&world, &action));
    assert_eq!(kind, "SystemUnavailable");
    assert!(message.contains("TaskDefinition not found"), "{message}");
}

#[tokio::test]
async fn what_is_wrong_with_an_action_is_told_to_its_owner() {
    let world = World::with_pipeline(FILE).await;
    for (parameters, words) in [
        (
            json!("make test"),
            "UserParameters: expected JSON such as {\"repository\":\"shop\",\"job\":\"test\"}",
        ),
        (json!(""), "UserParameters: expected JSON"),
        (json!("{\"repository\":"), "invalid at line 1"),
        (
            json!({ "repository": "shop" }),
            "UserParameters.job: required, unless run and agent are given",
        ),
        (
            json!({ "repository": "shop", "jbo": "test" }),
            "UserParameters.jbo: unknown key; did you mean job?",
        ),
        (json!({ "job": "test" }), "UserParameters.repository: required, but missing"),
        (
            json!({ "repository": "shop", "run": "make" }),
            "UserParameters.agent: required with run, but missing",
        ),
        (json!({ "repository": "shop", "job": "tset" }), "there is no job `tset`"),
        (
            json!({ "repository": "shop", "job": "test", "branch": "none" }),
            "repository shop has no branch none",
        ),
        (json!({ "repository": "none", "job": "test" }), "there is no repository none"),
        (json!({ "repository": "shop", "run": "make", "agent": "large" }), "large"),
        (
            json!({ "repository": "shop", "job": "test", "commit": "0123456789012345678901234567890123456789" }),
            "nothing was started",
        ),
    ] {
        let action = begun(&world, &parameters).await;
        let (kind, message) = failure(&action);
        assert_eq!(kind, "ConfigurationError", "{parameters}: {message}");
        assert!(message.contains(words), "{parameters}: {message}");
    }
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_repeated_event_starts_one_run_and_gives_one_result() {
    let world = World::with_pipeline(FILE).await;
    let action = begin(&world, &build_job());
    let event = world.codepipeline().event(&action.id).unwrap();
    let (one, other) = tokio::join!(world.pipeline(&event), world.pipeline(&event));
    assert_eq!(one.unwrap()[0]["run"], other.unwrap()[0]["run"]);
    world.pipeline(&event).await.unwrap();
    assert_eq!((world.run_ids().await.len(), world.tasks().len()), (1, 1));

    ends(&world, 0, 0).await;
    world.pipeline(&event).await.unwrap();
    assert_eq!(world.journal().of("codepipeline", "PutJobSuccessResult").len(), 1);
    assert_eq!(now(&world, &action).status, "Succeeded");
    assert_eq!((world.run_ids().await.len(), world.tasks().len()), (1, 1));
}

#[tokio::test]
async fn an_answer_that_is_lost_is_given_again() {
    let world = World::with_pipeline(FILE).await;
    let action = begun(&world, &build_job()).await;
    let task = world.task(0);
    world.runs(&task).await;
    let rule = Rule::new("codepipeline", "PutJobSuccessResult", Fault::ServerError).times(ALL_TRIES);
    world.faults().inject(rule);
    for event in world.ecs().exit(&task, 0).unwrap() {
        // The one that ends the build meets the fault.
        let _ = world.task_event(&event).await;
    }
    assert_eq!(now(&world, &action).status, "InProgress");
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(now(&world, &action).status, "Succeeded");
}

#[tokio::test]
async fn an_answer_whose_reply_is_lost_is_no_trouble() {
    let world = World::with_pipeline(FILE).await;
    let action = begun(&world, &build_job()).await;
    world
        .faults()
        .inject(Rule::new("codepipeline", "PutJobSuccessResult", Fault::LoseReply));
    ends(&world, 0, 0).await;
    assert_eq!(now(&world, &action).status, "Succeeded");
    world.sweep_after(3 * MINUTE).await.unwrap();
    assert!(world.run().await.outbox.pending().is_empty());
}

#[tokio::test]
async fn a_build_that_takes_longer_than_a_job_may_is_kept_alive_and_answered_on_the_newest_job() {
    let world = World::with_pipeline("version: 1\njobs:\n  build: { agent: small, run: make, timeout: 2h }\n").await;
    let action = begun(&world, &build_job()).await;
    let task = world.task(0);
    world.runs(&task).await;
    let mut age = 0;
    for _ in 0..45 {
        world.sweep_after(MINUTE).await.unwrap();
        age += 1;
        assert!(age < 20, "the job was left without an answer for {age} minutes");
        let standing = now(&world, &action);
        if let Some(JobResult::Continued { token }) = &standing.jobs.last().unwrap().result {
            assert_eq!(*token, world.newest_run().to_string());
            let standing = world.codepipeline().go_on(&action.id).unwrap();
            let event = world.codepipeline().event(&standing.jobs.last().unwrap().id).unwrap();
            // The second time is the asynchronous invocation's own repetition.
            world.pipeline(&event).await.unwrap();
            world.pipeline(&event).await.unwrap();
            age = 0;
        }
    }
    assert!(now(&world, &action).jobs.len() > 5, "{:?}", now(&world, &action).jobs.len());
    // The event of the first job, once more: it must not become the current one again.
    let first = now(&world, &action).jobs[0].id.clone();
    world.pipeline(&world.codepipeline().event(&first).unwrap()).await.unwrap();

    world.exits(&task, 0).await;

    let action = now(&world, &action);
    assert_eq!(action.status, "Succeeded");
    assert_eq!(action.jobs.last().unwrap().result, Some(JobResult::Succeeded));
    assert_eq!((world.run_ids().await.len(), world.tasks().len()), (1, 1));
}

#[tokio::test]
async fn a_run_that_ends_between_two_jobs_answers_the_next_one() {
    let world = World::with_pipeline(FILE).await;
    let action = begun(&world, &build_job()).await;
    let task = world.task(0);
    world.runs(&task).await;
    world.sweep_after(7 * MINUTE).await.unwrap();
    assert!(matches!(now(&world, &action).jobs[0].result, Some(JobResult::Continued { .. })));
    world.exits(&task, 0).await;
    assert_eq!(now(&world, &action).status, "InProgress");

    world.codepipeline().go_on(&action.id).unwrap();
    world.pipeline(&world.codepipeline().event(&action.id).unwrap()).await.unwrap();
    assert_eq!(now(&world, &action).status, "Succeeded");
}

#[tokio::test]
async fn a_pipeline_that_is_stopped_cancels_its_run_and_stops_its_agent() {
    let world = World::with_pipeline("version: 1\njobs:\n  build: { agent: small, run: make, timeout: 3h }\n").await;
    let action = begun(&world, &build_job()).await;
    let task = world.task(0);
    world.runs(&task).await;
    world.codepipeline().stop(&action.id).unwrap();
    world.ecs().set_stop_at_once(143);
    for _ in 0..30 {
        world.sweep_after(MINUTE).await.unwrap();
    }
    assert_eq!(world.journal().of("ecs", "StopTask").len(), 1);
    assert_eq!(world.build("build").await.status(), "cancelled");
    assert_eq!(world.run().await.status(), "cancelled");
    assert_eq!(now(&world, &action).status, "Abandoned");
}

/// What is logged, kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything is told, from the suite's own words to the SDK's: the engine runs in this test's thread.
#[tokio::test]
async fn the_credentials_of_an_action_are_nowhere() {
    let world = World::with_pipeline(FILE).await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let parameters = json!({ "repository": "shop", "run": "exit 1", "agent": "small" });
    let action = begun(&world, &parameters).await;
    begun(&world, &json!("plain text")).await;
    // An input that is no job any more is shown in part, for whoever looks for the reason.
    let mut broken = world.codepipeline().event(&action.id).unwrap();
    broken["CodePipeline.job"].as_object_mut().unwrap().remove("id");
    let _ = world.pipeline(&broken).await;
    ends(&world, 0, 1).await;
    drop(guard);

    let event = world.codepipeline().event(&action.id).unwrap().to_string();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("run started for a pipeline"), "{log}");
    let messages = world.messages().await;
    assert!(!messages.is_empty());
    let told = format!(
        "{messages:?} {:?} {} {:?}",
        world.items().await,
        world.report().await,
        world.tasks()
    );
    let journal = serde_json::to_string(&world.journal().entries()).unwrap();
    for credential in ARTIFACT_CREDENTIALS {
        assert!(event.contains(credential));
        for (place, text) in [
            ("the log", &log),
            ("what is told and kept", &told),
            ("what AWS was asked", &journal),
        ] {
            assert!(!text.contains(credential), "{credential} is in {place}");
        }
    }
}
