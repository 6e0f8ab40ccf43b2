//! Jobs that need each other.

use bellhop_scenarios::World;
use serde_json::json;

const TWO: &str = r"
version: 1
jobs:
  build: { agent: small, run: make }
  test: { agent: small, run: make test, needs: [build] }
";

const DIAMOND: &str = r"
version: 1
jobs:
  build: { agent: small, run: make }
  lint: { agent: small, run: make lint, needs: [build] }
  test: { agent: small, run: make test, needs: [build] }
  image: { agent: small, run: make image, needs: [lint, test] }
";

/// The jobs of the tasks, in the order of their launch.
fn launched(world: &World) -> Vec<String> {
    let tasks = world.tasks();
    tasks.iter().map(|task| task.environment["BELLHOP_JOB"].clone()).collect()
}

async fn ends(world: &World, job: &str, exit_code: i32) {
    let tasks = world.tasks();
    let task = tasks.iter().find(|task| task.environment["BELLHOP_JOB"] == job).unwrap();
    world.runs(&task.arn).await;
    world.exits(&task.arn, exit_code).await;
}

#[tokio::test]
async fn a_job_starts_when_the_one_it_needs_has_succeeded() {
    let world = World::with_pipeline(TWO).await;
    let answer = world.push(&world.push_event()).await.unwrap();
    assert_eq!(answer[0]["builds"], 2);
    assert_eq!(launched(&world), ["build"]);
    assert_eq!(world.build("test").await.status(), "blocked");

    ends(&world, "build", 0).await;
    assert_eq!(launched(&world), ["build", "test"]);
    assert_eq!(world.run().await.status(), "open");
    assert_eq!(world.told().await, ["build build succeeded"]);

    ends(&world, "test", 0).await;
    assert_eq!(world.run().await.status(), "succeeded");
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);
}

#[tokio::test]
async fn a_job_is_skipped_when_the_one_it_needs_has_failed() {
    let world = World::with_pipeline(TWO).await;
    world.start().await;

    ends(&world, "build", 1).await;

    assert_eq!(launched(&world), ["build"]);
    assert_eq!(world.build("test").await.status(), "skipped");
    assert_eq!(world.run().await.status(), "failed");
    let messages = world.messages().await;
    assert_eq!(messages.len(), 2);
    let of_run = messages.iter().find(|message| message.line() == "run failed").unwrap();
    assert_eq!(of_run.document["cause"], "build: the script ended with exit code 1");
    assert_eq!(
        of_run.document["jobs"],
        json!([
            { "job": "build", "status": "failed", "cause": "the script ended with exit code 1" },
            { "job": "test", "status": "skipped", "cause": "needs build, which did not succeed" },
        ])
    );
    let report = world.report().await;
    assert_eq!(report["builds"][1]["status"], "skipped");
    assert_eq!(report["builds"][1]["attempts"], json!([]));
}

#[tokio::test]
async fn a_job_that_needs_two_starts_after_both() {
    let world = World::with_pipeline(DIAMOND).await;
    world.start().await;
    ends(&world, "build", 0).await;
    let mut both = launched(&world).split_off(1);
    both.sort();
    assert_eq!(both, ["lint", "test"]);

    ends(&world, "test", 0).await;
    assert_eq!(world.tasks().len(), 3);
    ends(&world, "lint", 0).await;
    assert_eq!(launched(&world).last().unwrap(), "image");
    ends(&world, "image", 0).await;
    assert_eq!(world.run().await.status(), "succeeded");
}

#[tokio::test]
async fn two_jobs_that_end_at_the_same_moment_release_the_third_once() {
    let world = World::with_pipeline(DIAMOND).await;
    world.start().await;
    ends(&world, "build", 0).await;

    tokio::join!(ends(&world, "lint", 0), ends(&world, "test", 0));

    assert_eq!(world.tasks().len(), 4);
    ends(&world, "image", 0).await;
    assert_eq!(world.run().await.status(), "succeeded");
    assert_eq!(
        world.told().await,
        [
            "build build succeeded",
            "build image succeeded",
            "build lint succeeded",
            "build test succeeded",
            "run succeeded"
        ]
    );
}

#[tokio::test]
async fn a_run_may_have_more_jobs_than_a_transaction_takes() {
    let mut pipeline = "version: 1\njobs:\n".to_owned();
    for number in 0..120 {
        pipeline.push_str(&format!("  job-{number}: {{ agent: small, run: make }}\n"));
    }
    let world = World::with_pipeline(&pipeline).await;
    let push = world.push_event();

    let answer = world.push(&push).await.unwrap();

    assert_eq!(answer[0]["builds"], 120);
    assert_eq!(world.tasks().len(), 120);
    let again = world.push(&push).await.unwrap();
    assert_eq!(again[0]["again"], true);
    assert_eq!(world.tasks().len(), 120);
}
