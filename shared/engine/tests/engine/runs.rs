//! Runs as a whole: needs, cancelling, and records that several writers want at once.

use std::sync::atomic::Ordering;

use bellhop_domain::outcome::Outcome;

use crate::world::{World, calls, job, push};

const CHAIN: &str = "
version: 1
jobs:
  test: { agent: small, run: make test }
  lint: { agent: small, run: make lint }
  image: { agent: small, run: make image, needs: [test, lint] }
  deploy: { agent: small, run: make deploy, needs: [image] }
";

#[tokio::test]
async fn a_job_is_released_when_all_that_it_needs_has_succeeded() {
    let world = World::new();
    world.pipeline(CHAIN);
    let run = world.started("one").await;
    assert_eq!(calls(&world), ["test/1 on spot", "lint/1 on spot"]);
    world.exits(&job(&run, "test"), 0).await;
    assert_eq!(world.build(&job(&run, "image")).await.status(), "blocked");
    world.exits(&job(&run, "lint"), 0).await;
    assert_eq!(calls(&world)[2..], ["image/1 on spot"]);
    world.exits(&job(&run, "image"), 0).await;
    world.exits(&job(&run, "deploy"), 0).await;
    assert_eq!(world.run(&run).await.status(), "succeeded");
    assert_eq!(world.sweep().await.unwrap().due, 0);
}

#[tokio::test]
async fn both_jobs_that_a_third_needs_may_end_at_the_same_moment() {
    let world = World::new();
    world.pipeline(CHAIN);
    let run = world.started("one").await;
    let (test, lint) = (job(&run, "test"), job(&run, "lint"));
    futures::future::join(world.exits(&test, 0), world.exits(&lint, 0)).await;
    assert_eq!(calls(&world)[2..], ["image/1 on spot"]);
}

#[tokio::test]
async fn a_failure_skips_what_needs_it_and_the_report_says_so() {
    let world = World::new();
    world.pipeline(CHAIN);
    let run = world.started("one").await;
    world.exits(&job(&run, "test"), 1).await;
    assert_eq!(world.run(&run).await.status(), "open");
    world.exits(&job(&run, "lint"), 0).await;
    assert_eq!(world.run(&run).await.status(), "failed");
    for skipped in ["image", "deploy"] {
        assert_eq!(world.build(&job(&run, skipped)).await.outcome(), Some(Outcome::Skipped));
    }
    assert_eq!(calls(&world), ["test/1 on spot", "lint/1 on spot"]);
    assert_eq!(world.told("build"), ["failed"]);
    assert_eq!(world.told("run"), ["failed"]);
    let report = world.bucket.object(&format!("runs/{run}/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let statuses: Vec<&str> = (0..4).map(|index| report["builds"][index]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["failed", "succeeded", "skipped", "skipped"]);
}

/// How several runs of one branch end, one after the other, and what is told of them.
async fn told(world: &World, exit_codes: &[i32]) -> (Vec<String>, Vec<String>) {
    for (index, code) in exit_codes.iter().enumerate() {
        let run = world.started(&format!("push {index}")).await;
        world.exits(&job(&run, "test"), *code).await;
    }
    (world.told("build"), world.told("run"))
}

#[tokio::test]
async fn a_success_is_told_after_a_failure_only() {
    let world = World::new();
    let expected = ["failed", "succeeded", "failed"].map(ToOwned::to_owned).to_vec();
    assert_eq!(told(&world, &[0, 1, 0, 0, 1]).await, (expected.clone(), expected));
}

#[tokio::test]
async fn every_success_is_told_where_the_configuration_says_so() {
    let world = World::new();
    world.configure_with("notify: { successes: all }");
    let expected = ["succeeded", "failed", "succeeded", "succeeded"].map(ToOwned::to_owned).to_vec();
    assert_eq!(told(&world, &[0, 1, 0, 0]).await, (expected.clone(), expected));
}

#[tokio::test]
async fn no_success_is_told_where_the_configuration_says_so() {
    let world = World::new();
    world.configure_with("notify: { successes: none }");
    let expected = ["failed"].map(ToOwned::to_owned).to_vec();
    assert_eq!(told(&world, &[0, 1, 0, 0]).await, (expected.clone(), expected));
}

fn many(count: usize) -> String {
    let jobs: String = (0..count)
        .map(|index| format!("  job-{index}: {{ agent: small, run: make }}\n"))
        .collect();
    format!("version: 1\njobs:\n{jobs}")
}

#[tokio::test]
async fn a_run_with_more_jobs_than_a_transaction_takes_runs_all_of_them() {
    let world = World::new();
    world.pipeline(&many(120));
    let run = world.started("one").await;
    assert_eq!(calls(&world).len(), 120);
    assert_eq!(world.agents.live().len(), 120);
    assert_eq!(world.run(&run).await.due(), None);
    for index in 0..120 {
        world.exits(&job(&run, &format!("job-{index}")), 0).await;
    }
    assert_eq!(world.run(&run).await.status(), "succeeded");
    assert_eq!(world.sweep().await.unwrap().due, 0);
}

#[tokio::test]
async fn a_large_run_whose_creator_dies_after_the_write_is_started_by_the_sweep() {
    let world = World::new();
    world.pipeline(&many(120));
    // Every launch takes place, and none is answered.
    world.agents.lost_replies.store(usize::MAX, Ordering::SeqCst);
    assert!(world.starter().push(&push("one")).await.is_err());
    world.agents.lost_replies.store(0, Ordering::SeqCst);
    assert_eq!(world.agents.live().len(), 120);
    world.sweep().await.unwrap();
    assert_eq!(world.agents.live().len(), 120, "a second agent for an attempt");
    let run = world
        .records()
        .runs_of(&push("one").repository, None, 1)
        .await
        .unwrap()
        .remove(0)
        .run;
    for build in world.records().builds_of(&run).await.unwrap() {
        assert!(build.record.attempts[0].agent.is_some());
    }
    world.sweep().await.unwrap();
    assert_eq!(world.run(&run).await.due(), None);
}
