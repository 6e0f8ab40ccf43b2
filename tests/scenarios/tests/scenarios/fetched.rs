//! Files that one job keeps and another one fetches, and locks of jobs.

use bellhop_domain::outcome::Outcome;
use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::{Value, json};

const FETCHING: &str = r"
version: 1
jobs:
  package: { agent: small, run: ./build.sh, artifacts: ['dist/**'] }
  test: { agent: small, run: ./test.sh, needs: [package], fetch: [package] }
";

const LOCKED: &str = "version: 1\njobs:\n  staging: { agent: small, run: ./staging.sh, lock: staging }\n";

/// The list of files that the newest task of a job got.
async fn list(world: &World, job: &str) -> Value {
    let tasks = world.tasks();
    let task = tasks.iter().rfind(|task| task.environment["BELLHOP_JOB"] == job).unwrap();
    let address = task.environment["BELLHOP_FETCH_URI"].clone();
    let key = address.strip_prefix(&format!("s3://{}/", world.bucket())).unwrap();
    serde_json::from_str(&world.object(key).await.unwrap()).unwrap()
}

/// The newest task of a job ends.
async fn ends(world: &World, job: &str, exit_code: i32) {
    let tasks = world.tasks();
    let task = tasks.iter().rfind(|task| task.environment["BELLHOP_JOB"] == job).unwrap();
    world.runs(&task.arn).await;
    world.exits(&task.arn, exit_code).await;
}

/// The tasks that have not stopped.
fn live(world: &World) -> Vec<String> {
    let tasks = world.tasks().into_iter();
    let live = tasks.filter(|task| task.last_status != "STOPPED");
    live.map(|task| task.environment["BELLHOP_RUN"].clone()).collect()
}

#[tokio::test]
async fn an_agent_is_given_the_files_by_key_version_and_hash() {
    let world = World::with_pipeline(FETCHING).await;
    world.start().await;
    world.leaves("package", 1, "dist/notes.txt", "twelve bytes").await;
    ends(&world, "package", 0).await;
    let files = list(&world, "test").await;
    let file = &files["files"][0];
    let folder = world.ecs().tasks()[0].user_id.clone();
    let key = format!("runs/{}/{folder}/package/1/artifacts/dist/notes.txt", world.newest_run());
    let sha256 = "d4ce2c527afe674c7a086bd74e256019e3d5dcdb31eeb6eaadef5ada8c4383b9";
    assert_eq!(
        json!([
            files["version"],
            file["from"],
            file["path"],
            file["key"],
            file["sha256"],
            file["size"]
        ]),
        json!([1, "package", "dist/notes.txt", key, sha256, 12])
    );
    ends(&world, "test", 0).await;
    assert_eq!(world.run().await.status(), "succeeded");
}

#[tokio::test]
async fn a_list_that_could_not_be_stored_is_stored_by_the_sweep() {
    let world = World::with_pipeline(FETCHING).await;
    world.start().await;
    world.leaves("package", 1, "dist/notes.txt", "twelve bytes").await;
    let rule = Rule::new("s3", "PutObject", Fault::ServerError).times(Times::Always);
    world.faults().inject(rule);
    let task = world.task(0);
    world.runs(&task).await;
    for event in &world.ecs().exit(&task, 0).unwrap() {
        // The end of the task cannot be worked off to its end.
        let _ = world.task_event(event).await;
    }
    assert_eq!(world.tasks().len(), 1);
    world.faults().clear();
    world.sweep_after(crate::words::MINUTE).await.unwrap();
    assert_eq!(list(&world, "test").await["files"][0]["path"], "dist/notes.txt");
}

#[tokio::test]
async fn a_job_that_kept_nothing_fails_the_one_that_fetches() {
    let world = World::with_pipeline(FETCHING).await;
    let run = world.start().await;
    ends(&world, "package", 0).await;
    let test = world.build("test").await;
    let cause = format!("its files of other jobs cannot be had: job `package` of run {run} kept no files");
    assert_eq!((test.outcome(), test.cause()), (Some(Outcome::Failed), Some(cause.as_str())));
    assert_eq!(world.tasks().len(), 1);
    let told = world.told().await;
    assert!(
        told.ends_with(&["build test failed".to_owned(), "run failed".to_owned()]),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_retry_fetches_from_the_run_that_has_the_files() {
    let world = World::with_pipeline(FETCHING).await;
    let run = world.start().await;
    world.leaves("package", 1, "dist/notes.txt", "twelve bytes").await;
    ends(&world, "package", 0).await;
    let files = list(&world, "test").await;
    ends(&world, "test", 1).await;
    let answer = world.control(&json!({ "retry": { "run": run } })).await.unwrap();
    assert_eq!(answer["also-repeated"], Value::Null);
    assert_eq!(world.tasks().len(), 3);
    assert_eq!(list(&world, "test").await, files);
}

#[tokio::test]
async fn a_lock_keeps_another_run_out_until_the_agent_has_stopped() {
    let world = World::with_pipeline(LOCKED).await;
    let first = world.start().await;
    let mut others = Vec::new();
    for text in ["two", "three"] {
        let push = world.commit(&[("notes.txt", text)], text).await;
        others.push(world.start_by(&push).await);
    }
    let [second, third] = others.as_slice() else { panic!("{others:?}") };
    assert_eq!(live(&world), [first.to_string()]);
    world.runs(&world.task(0)).await;
    world.control(&json!({ "cancel": { "run": first } })).await.unwrap();
    assert_eq!(
        live(&world),
        [first.to_string()],
        "the agent of the cancelled build has not stopped"
    );
    world.exits(&world.task(0), 143).await;
    assert_eq!(live(&world), [second.to_string()]);
    ends(&world, "staging", 0).await;
    assert_eq!(live(&world), [third.to_string()]);
    ends(&world, "staging", 0).await;
    assert_eq!(live(&world), [""; 0]);
}
