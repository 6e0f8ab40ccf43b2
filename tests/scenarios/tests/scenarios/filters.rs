//! Which pushes start which jobs.

use bellhop_scenarios::World;
use serde_json::{Value, json};

const PATHS: &str = r#"
version: 1
jobs:
  app: { agent: small, run: make app, on: { push: { paths: ["src/**", "!**/*.md"] } } }
  docs: { agent: small, run: make docs, on: { push: { paths: ["docs/**"] } } }
"#;

const REFERENCES: &str = r#"
version: 1
jobs:
  every: { agent: small, run: make }
  release: { agent: small, run: make, on: { push: { branches: ["release/*"] } } }
  publish: { agent: small, run: make, on: { push: { tags: ["v*"] } } }
"#;

/// The jobs that a push starts.
async fn started(world: &World, push: &Value) -> Vec<String> {
    let before = world.tasks().len();
    let answer = world.push(push).await.unwrap();
    let tasks = world.tasks();
    let mut jobs: Vec<String> = tasks[before..].iter().map(|task| task.environment["BELLHOP_JOB"].clone()).collect();
    jobs.sort();
    if jobs.is_empty() {
        assert_eq!(answer, json!([{ "nothing": "no job matches" }]));
    }
    jobs
}

#[tokio::test]
async fn a_push_starts_the_jobs_whose_files_it_changes() {
    let world = World::with_files(&[(".bellhop.yaml", PATHS), ("docs/old.md", "Old")], "First").await;
    let nothing: [&str; 0] = [];
    assert_eq!(
        started(&world, &world.push_event()).await,
        ["app", "docs"],
        "a new branch has nothing to be compared with"
    );

    let push = world.commit(&[("src/main.c", "int main;")], "Code").await;
    assert_eq!(started(&world, &push).await, ["app"]);
    let push = world.commit(&[("docs/new.md", "New")], "Words").await;
    assert_eq!(started(&world, &push).await, ["docs"]);
    let push = world.commit(&[("README.md", "Shop"), ("src/notes.md", "Notes")], "Neither").await;
    assert_eq!(started(&world, &push).await, nothing);
    world.repository.remove("docs/old.md");
    let push = world.commit(&[], "Fewer words").await;
    assert_eq!(started(&world, &push).await, ["docs"]);

    world.repository.commit(&[("src/main.c", "int main();")], "Code").await;
    let push = world.commit(&[("docs/new.md", "Newer")], "Words").await;
    assert_eq!(started(&world, &push).await, ["app", "docs"], "two commits in one push");
    let push = world.push_to("refs/heads/feature").await;
    assert_eq!(started(&world, &push).await, ["app", "docs"], "a new branch");
}

#[tokio::test]
async fn past_the_limit_of_a_comparison_every_job_starts() {
    let world = World::with_pipeline(PATHS).await;
    for number in 0..2001 {
        world.repository.write(&format!("assets/{number}"), b"");
    }
    let push = world.commit(&[], "Many").await;
    assert_eq!(started(&world, &push).await, ["app", "docs"]);
    assert!(world.journal().of("codecommit", "GetDifferences").len() >= 5);
}

#[tokio::test]
async fn a_commit_that_is_gone_cannot_be_compared_with() {
    let world = World::with_pipeline(PATHS).await;
    let mut push = world.commit(&[("README.md", "Shop")], "Neither").await;
    push["detail"]["oldCommitId"] = "0123456789abcdef0123456789abcdef01234567".into();
    assert_eq!(started(&world, &push).await, ["app", "docs"]);
}

#[tokio::test]
async fn without_a_filter_on_paths_nothing_is_compared() {
    let world = World::new().await;
    let push = world.commit(&[("README.md", "Shop")], "Neither").await;
    assert_eq!(started(&world, &push).await, ["test"]);
    assert!(world.journal().of("codecommit", "GetDifferences").is_empty());
}

#[tokio::test]
async fn branches_and_tags_have_jobs_of_their_own() {
    let world = World::with_pipeline(REFERENCES).await;
    assert_eq!(started(&world, &world.push_event()).await, ["every"]);
    let push = world.push_to("refs/heads/release/1.0").await;
    assert_eq!(started(&world, &push).await, ["every", "release"]);
    let push = world.push_to("refs/tags/v1.0").await;
    assert_eq!(started(&world, &push).await, ["publish"]);
    assert_eq!(world.tasks().last().unwrap().environment["BELLHOP_REF"], "refs/tags/v1.0");
    let push = world.push_to("refs/tags/latest").await;
    assert!(started(&world, &push).await.is_empty());
}
