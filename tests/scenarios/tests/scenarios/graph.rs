//! Jobs that need each other, on both kinds of agent, and what they leave behind.

use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::{Value, json};

use crate::words::MINUTE;

const FIVE: &str = r"
version: 1
jobs:
  docs: { agent: small, run: make docs }
  build: { agent: small, run: make }
  test: { agent: small, run: make test, needs: [build], artifacts: ['out/**'] }
  image: { agent: docker, run: make image, needs: [build] }
  publish: { agent: docker, run: make publish, needs: [test, image] }
";

const JUNIT: &str = r#"<?xml version="1.0"?>
<testsuites><testsuite name="shop" tests="3" failures="1" errors="1">
<testcase classname="cart" name="adds"/>
<testcase classname="cart" name="removes"><failure message="2 != 1">left</failure></testcase>
<testcase classname="till" name="sums"><error message="overflow"/></testcase>
</testsuite></testsuites>"#;

/// The jobs in the order in which agents were launched for them.
fn launched(world: &World) -> Vec<String> {
    let entries = world.journal().entries();
    let launches = entries
        .iter()
        .filter(|entry| ["RunTask", "StartBuild"].contains(&entry.operation.as_str()));
    launches.map(|entry| job_of(entry.request.as_ref().unwrap())).collect()
}

fn job_of(request: &Value) -> String {
    let of_task = &request["overrides"]["containerOverrides"][0]["environment"];
    let of_build = &request["environmentVariablesOverride"];
    let variables = of_task.as_array().or(of_build.as_array()).unwrap();
    let job = variables.iter().find(|variable| variable["name"] == "BELLHOP_JOB").unwrap();
    job["value"].as_str().unwrap().to_owned()
}

/// A job's agent, of whichever service, runs and ends by itself.
async fn ends(world: &World, job: &str, exit_code: i32) {
    let tasks = world.tasks();
    if let Some(task) = tasks.iter().find(|task| task.environment["BELLHOP_JOB"] == job) {
        world.runs(&task.arn).await;
        return world.exits(&task.arn, exit_code).await;
    }
    let builds = world.builds();
    let build = builds.iter().find(|build| build.environment["BELLHOP_JOB"] == job).unwrap();
    world.build_exits(&build.arn, exit_code).await;
}

fn sorted(mut jobs: Vec<String>) -> Vec<String> {
    jobs.sort();
    jobs
}

#[tokio::test]
async fn jobs_on_both_kinds_of_agent_run_in_the_order_of_their_needs() {
    let world = World::with_both_agents(FIVE).await;
    world.start().await;
    assert_eq!(sorted(launched(&world)), ["build", "docs"]);

    ends(&world, "build", 0).await;
    assert_eq!(sorted(launched(&world).split_off(2)), ["image", "test"]);
    ends(&world, "image", 0).await;
    assert_eq!(launched(&world).len(), 4);
    ends(&world, "test", 0).await;
    assert_eq!(launched(&world).split_off(4), ["publish"]);
    ends(&world, "publish", 0).await;
    assert_eq!(world.run().await.status(), "open");
    ends(&world, "docs", 0).await;

    assert_eq!(world.run().await.status(), "succeeded");
    let kinds: Vec<_> = ["RunTask", "StartBuild"]
        .iter()
        .zip(["ecs", "codebuild"])
        .map(|(operation, service)| world.journal().of(service, operation).len())
        .collect();
    assert_eq!(kinds, [3, 2]);
}

#[tokio::test]
async fn a_job_that_fails_skips_what_needs_it_and_nothing_else() {
    let world = World::with_both_agents(FIVE).await;
    world.start().await;
    ends(&world, "build", 0).await;
    world.leaves("test", 1, "out/junit.xml", JUNIT).await;
    world.leaves("test", 1, "out/notes.txt", "nothing").await;
    ends(&world, "test", 1).await;
    ends(&world, "image", 0).await;
    assert_eq!(world.build("publish").await.status(), "skipped");
    assert_eq!(world.run().await.status(), "open");
    ends(&world, "docs", 0).await;

    assert_eq!(world.run().await.status(), "failed");
    assert_eq!(sorted(launched(&world)), ["build", "docs", "image", "test"]);
    for job in ["docs", "build", "image"] {
        assert_eq!(world.build(job).await.status(), "succeeded", "{job}");
    }
    let messages = world.messages().await;
    let run = messages.iter().find(|message| message.line() == "run failed").unwrap();
    let cause = "the script ended with exit code 1";
    let jobs = run.document["jobs"].as_array().unwrap();
    let of = |name: &str| jobs.iter().find(|job| job["job"] == name).unwrap();
    assert!(
        run.document["cause"].as_str().unwrap().starts_with(&format!("test: {cause}")),
        "{run:?}"
    );
    let failed = of("test");
    assert_eq!((&failed["status"], &failed["cause"]), (&json!("failed"), &json!(cause)));
    assert_eq!(
        failed["tests"],
        json!({ "run": 3, "failed": 2, "skipped": 0, "failures": ["cart.removes", "till.sums"] }),
        "{run:?}"
    );
    assert_eq!(of("publish")["status"], "skipped");
    assert_eq!(of("publish")["cause"], "needs test, which did not succeed");
}

#[tokio::test]
async fn what_an_attempt_leaves_is_in_its_message_and_in_the_report() {
    let file = "version: 1\njobs:\n  test: { agent: small, run: make test, artifacts: ['out/**'] }\n";
    let world = World::with_pipeline(file).await;
    world.start().await;
    world.leaves("test", 1, "out/junit.xml", JUNIT).await;
    world.leaves("test", 1, "out/big.xml", "<not a report").await;
    world.leaves("test", 1, "out/a/notes.txt", "twelve bytes").await;
    ends(&world, "test", 0).await;

    let report = world.report().await;
    let build = &report["builds"][0];
    assert_eq!(build["artifacts"]["count"], 3);
    let file = &build["artifacts"]["files"][0];
    let folder = world.ecs().tasks()[0].user_id.clone();
    let key = format!("runs/{}/{folder}/test/1/artifacts/out/a/notes.txt", world.newest_run());
    let sha256 = "d4ce2c527afe674c7a086bd74e256019e3d5dcdb31eeb6eaadef5ada8c4383b9";
    assert_eq!(
        json!([file["path"], file["size"], file["key"], file["sha256"]]),
        json!(["out/a/notes.txt", 12, key, sha256])
    );
    assert_eq!(build["tests"]["failures"], json!(["cart.removes", "till.sums"]));
    let messages = world.messages().await;
    let message = messages.iter().find(|message| message.line() == "build test succeeded").unwrap();
    assert_eq!(
        message.document["artifacts"],
        json!({ "count": 3, "files": ["out/a/notes.txt", "out/big.xml", "out/junit.xml"] })
    );
}

#[tokio::test]
async fn a_bucket_that_cannot_be_listed_delays_the_message_and_no_outcome() {
    let file = "version: 1\njobs:\n  test: { agent: small, run: make test, artifacts: ['out/**'] }\n";
    let world = World::with_pipeline(file).await;
    world.start().await;
    let task = world.task(0);
    world.runs(&task).await;
    world.leaves("test", 1, "out/junit.xml", JUNIT).await;
    let rule = Rule::new("s3", "*", Fault::ServerError).times(Times::Always);
    world.faults().inject(rule);
    let events = world.ecs().exit(&task, 1).unwrap();
    for event in &events {
        // Some of them have nothing to do with the bucket.
        let _ = world.task_event(event).await;
    }
    assert!(world.told().await.is_empty());

    world.faults().clear();
    for _ in 0..3 {
        world.sweep_after(3 * MINUTE).await.unwrap();
    }
    assert_eq!(world.told().await, ["build test failed", "run failed"]);
    let found = world.build("test").await.results.unwrap();
    assert_eq!(found.tests.unwrap().failed, 2);
}
