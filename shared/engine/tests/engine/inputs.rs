//! Files of other jobs: which ones an agent fetches, also in a run that repeats only some of the jobs.

use bellhop_domain::caller::Caller;
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::request::RetryWhat;
use bellhop_engine::{Retried, Started};
use serde_json::{Value, json};

use crate::world::{World, calls, job};

const FILE: &str = "version: 1
jobs:
  package: { agent: small, run: ./build.sh, artifacts: dist/** }
  test: { needs: package, agent: small, fetch: package, run: ./test.sh }
";

fn world() -> World {
    let world = World::new();
    world.pipeline(FILE);
    let zip = ("dist/shop.zip".to_owned(), "zip".to_owned());
    world.bucket.artifacts.lock().unwrap().extend([zip]);
    world
}

/// The list of files of a build, from the bucket.
async fn manifest(world: &World, build: &BuildId) -> Value {
    let key = world.build(build).await.spec.inputs.manifest.unwrap();
    serde_json::from_str(&world.bucket.object(&key).unwrap()).unwrap()
}

async fn retried(world: &World, what: RetryWhat, trigger: &str) -> (RunId, Vec<String>) {
    let Retried { started, also, .. } = world.starter().retry(&what, trigger, &Caller::Unverified).await.unwrap().unwrap();
    let Started::Run { id, .. } = started else { panic!("{started:?}") };
    (id, also.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn an_agent_fetches_what_was_noted_when_the_other_job_ended() {
    let world = world();
    let run = world.started("one").await;
    assert_eq!(calls(&world), ["package/1 on spot"]);
    world.exits(&job(&run, "package"), 0).await;
    let test = job(&run, "test");
    assert_eq!(calls(&world), ["package/1 on spot", "test/1 on spot"]);
    let list = manifest(&world, &test).await;
    let Some(key) = list["files"][0]["key"].as_str() else {
        panic!("{list}")
    };
    assert!(
        key.starts_with(&format!("runs/{run}/")) && key.ends_with("/artifacts/dist/shop.zip"),
        "{key}"
    );
    let expected = json!({ "version": 1, "files": [{
        "from": "package",
        "path": "dist/shop.zip",
        "key": key,
        "object-version": format!("version of {key}"),
        "sha256": "hash of 3 bytes",
        "size": 3,
    }] });
    assert_eq!(list, expected);
}

#[tokio::test]
async fn a_job_whose_files_are_missing_fails_in_words_and_launches_nothing() {
    let world = world();
    world.bucket.artifacts.lock().unwrap().clear();
    let run = world.started("one").await;
    world.exits(&job(&run, "package"), 0).await;
    let test = world.build(&job(&run, "test")).await;
    assert_eq!(test.outcome(), Some(Outcome::Failed));
    let cause = format!("its files of other jobs cannot be had: job `package` of run {run} kept no files");
    assert_eq!(test.cause(), Some(cause.as_str()));
    assert_eq!(calls(&world), ["package/1 on spot"]);
}

#[tokio::test]
async fn a_repeated_job_takes_the_files_of_the_run_that_has_them() {
    let world = world();
    let first = world.started("one").await;
    world.exits(&job(&first, "package"), 0).await;
    world.exits(&job(&first, "test"), 1).await;
    let expected = manifest(&world, &job(&first, "test")).await;
    let (second, also) = retried(&world, RetryWhat::Failed(first.clone()), "again").await;
    assert_eq!(also, [""; 0]);
    assert_eq!(manifest(&world, &job(&second, "test")).await, expected);
    // Once more: the second run does not have the job either.
    world.exits(&job(&second, "test"), 1).await;
    let (third, _) = retried(&world, RetryWhat::Build(job(&second, "test")), "once-more").await;
    assert_eq!(manifest(&world, &job(&third, "test")).await, expected);
    assert_eq!(
        world.build(&job(&third, "test")).await.spec.inputs.inherited.values().next(),
        Some(&first)
    );
}

/// Jobs of agents with another role made the files: for instance before the commit was on the protected branch.
#[tokio::test]
async fn files_of_agents_with_another_role_are_made_again() {
    let world = world();
    let first = world.started("one").await;
    world.exits(&job(&first, "package"), 0).await;
    world.exits(&job(&first, "test"), 1).await;
    world.configure_with("repositories:\n  shop: { agents: [small], role: 'arn:aws:iam::123456789012:role/bellhop-agent/shop' }");
    let (second, also) = retried(&world, RetryWhat::Failed(first), "again").await;
    assert_eq!(also, ["package"]);
    assert!(world.build(&job(&second, "package")).await.spec.role.is_some());
}

#[tokio::test]
async fn only_the_job_whose_files_have_expired_is_repeated() {
    let world = world();
    world.pipeline(
        "version: 1
jobs:
  package: { agent: small, run: ./build.sh, artifacts: dist/** }
  docs: { agent: small, run: ./docs.sh, artifacts: docs/** }
  test: { needs: [package, docs], agent: small, fetch: [package, docs], run: ./test.sh }
",
    );
    let zip = world.bucket.artifacts.lock().unwrap().pop_first().unwrap();
    let manual = ("docs/manual.pdf".to_owned(), "pdf".to_owned());
    let first = world.started("one").await;
    *world.bucket.artifacts.lock().unwrap() = [manual.clone()].into();
    world.exits(&job(&first, "docs"), 0).await;
    *world.bucket.artifacts.lock().unwrap() = [zip].into();
    world.exits(&job(&first, "package"), 0).await;
    world.exits(&job(&first, "test"), 1).await;
    let (_, also) = retried(&world, RetryWhat::Failed(first.clone()), "again").await;
    assert_eq!(also, ["docs"], "the manual is gone");
    world.bucket.artifacts.lock().unwrap().extend([manual]);
    let (_, also) = retried(&world, RetryWhat::Failed(first), "once-more").await;
    assert_eq!(also, [""; 0]);
}

#[tokio::test]
async fn files_that_have_expired_are_made_again_and_the_answer_says_so() {
    let world = world();
    let first = world.started("one").await;
    world.exits(&job(&first, "package"), 0).await;
    world.exits(&job(&first, "test"), 1).await;
    let kept = std::mem::take(&mut *world.bucket.artifacts.lock().unwrap());
    let (second, also) = retried(&world, RetryWhat::Failed(first), "again").await;
    assert_eq!(also, ["package"]);
    assert_eq!(world.build(&job(&second, "test")).await.status(), "blocked");
    *world.bucket.artifacts.lock().unwrap() = kept;
    world.exits(&job(&second, "package"), 0).await;
    let list = manifest(&world, &job(&second, "test")).await;
    assert!(list.to_string().contains(&format!("runs/{second}/")), "{list}");
}
