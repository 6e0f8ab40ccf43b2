//! What is told of a branch whose runs have a part of its jobs alone.

use bellhop_domain::caller::Caller;
use bellhop_domain::ids::RunId;
use bellhop_domain::request::{At, PipelineAsks, PipelineJob, PipelineStart, PipelineWork, RetryWhat, Start, StartWhat};
use bellhop_engine::Started;
use serde_json::{Value, json};

use crate::world::{World, job, push};

const TWO: &str = "version: 1\njobs:\n  a: { agent: small, run: make a }\n  b: { agent: small, run: make b }\n";

/// A run of these jobs that ends with these exit codes, and what was told of the run.
async fn ran(world: &World, run: &RunId, ends: &[(&str, i32)]) -> Vec<String> {
    world.inbox.messages.lock().unwrap().clear();
    for (name, code) in ends {
        world.exits(&job(run, name), *code).await;
    }
    let messages = world.inbox.messages.lock().unwrap();
    let of_run = messages.iter().filter(|message| message.document["kind"] == "run");
    of_run.map(|message| message.sms.clone()).collect()
}

async fn again(world: &World, what: RetryWhat, trigger: &str) -> RunId {
    match world
        .starter()
        .retry(&what, trigger, &Caller::Unverified)
        .await
        .unwrap()
        .unwrap()
        .started
    {
        Started::Run { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

fn documents(world: &World, kind: &str) -> Vec<Value> {
    let messages = world.inbox.messages.lock().unwrap();
    messages
        .iter()
        .filter(|message| message.document["kind"] == kind)
        .map(|message| message.document.clone())
        .collect()
}

#[tokio::test]
async fn a_retry_of_a_part_says_what_is_still_broken_and_the_next_good_push_is_told() {
    let world = World::new();
    world.pipeline(TWO);
    let bad = world.started("one").await;
    let told = ran(&world, &bad, &[("a", 1), ("b", 1)]).await;
    assert_eq!(told.len(), 1);
    let links = documents(&world, "run").remove(0)["links"].clone();
    assert_eq!(links["report"], json!(format!("s3://suite/runs/{bad}/report.json")));
    assert!(links["logs"].as_str().unwrap().contains("/logs?region="), "{links}");

    let retry = again(&world, RetryWhat::Build(job(&bad, "b")), "control/again").await;
    let told = ran(&world, &retry, &[("b", 0)]).await;
    assert_eq!(told, ["shop main: retry of b of 0123456 succeeded; still broken: a"]);
    let document = documents(&world, "run").remove(0);
    assert_eq!((&document["retry-of"], &document["broken"]), (&json!(bad), &json!(["a"])));
    assert_eq!(documents(&world, "build").len(), 1, "b has recovered");

    let good = world.started("two").await;
    let told = ran(&world, &good, &[("a", 0), ("b", 0)]).await;
    assert_eq!(told, ["shop main: run of 0123456 succeeded"]);
    let jobs: Vec<_> = documents(&world, "build").iter().map(|document| document["job"].clone()).collect();
    assert_eq!(jobs, [json!("a")], "b had recovered before");

    let next = world.started("three").await;
    assert_eq!(ran(&world, &next, &[("a", 0), ("b", 0)]).await, [""; 0]);
}

#[tokio::test]
async fn a_push_that_starts_other_jobs_is_no_all_clear() {
    let world = World::new();
    world.pipeline(
        "version: 1\njobs:\n  src: { agent: small, run: x, on: { push: { paths: ['src/**'] } } }\n  \
         docs: { agent: small, run: x, on: { push: { paths: ['docs/**'] } } }\n",
    );
    let start = async |trigger: &str, path: &str| {
        *world.repository.changed.lock().unwrap() = Some(vec![path.to_owned()]);
        let mut push = push(trigger);
        push.previous = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
        match world.starter().push(&push).await.unwrap() {
            Started::Run { id, .. } => id,
            other => panic!("{other:?}"),
        }
    };
    let src = start("one", "src/main.rs").await;
    ran(&world, &src, &[("src", 1)]).await;
    let docs = start("two", "docs/index.md").await;
    assert_eq!(ran(&world, &docs, &[("docs", 0)]).await, [""; 0]);
    let src = start("three", "src/main.rs").await;
    assert_eq!(ran(&world, &src, &[("src", 0)]).await, ["shop main: run of 0123456 succeeded"]);
}

#[tokio::test]
async fn a_newer_push_of_other_files_leaves_the_jobs_alone_that_it_does_not_start() {
    let world = World::new();
    world.pipeline(
        "version: 1\njobs:\n  src: { agent: small, run: x, on: { push: { paths: ['src/**'] } } }\n  \
         all: { agent: small, run: x }\nconcurrency: { supersede: true }\n",
    );
    let start = async |trigger: &str, path: &str, second: i64| {
        *world.repository.changed.lock().unwrap() = Some(vec![path.to_owned()]);
        let mut push = push(trigger);
        push.previous = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
        push.at = Some(jiff::Timestamp::from_second(1_790_000_000 + second).unwrap());
        match world.starter().push(&push).await.unwrap() {
            Started::Run { id, .. } => id,
            other => panic!("{other:?}"),
        }
    };
    let first = start("one", "src/main.rs", 0).await;
    start("two", "docs/index.md", 10).await;
    assert_eq!(world.build(&job(&first, "all")).await.status(), "superseded");
    assert_ne!(world.build(&job(&first, "src")).await.status(), "superseded");
    // The next one that starts it takes its place.
    start("three", "src/main.rs", 20).await;
    assert_eq!(world.build(&job(&first, "src")).await.status(), "superseded");
}

#[tokio::test]
async fn the_first_success_after_a_rejected_push_is_told() {
    let world = World::new();
    let good = world.started("one").await;
    assert_eq!(ran(&world, &good, &[("test", 0)]).await, [""; 0]);
    world.pipeline("nonsense: [");
    assert!(matches!(
        world.starter().push(&push("two")).await.unwrap(),
        Started::Rejected { .. }
    ));
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make test }\n");
    let mended = world.started("three").await;
    assert_eq!(ran(&world, &mended, &[("test", 0)]).await, ["shop main: run of 0123456 succeeded"]);
}

#[tokio::test]
async fn a_whole_run_is_repeated_and_a_rejected_one_too() {
    let world = World::new();
    world.pipeline(TWO);
    let bad = world.started("one").await;
    ran(&world, &bad, &[("a", 1), ("b", 0)]).await;
    let failed = again(&world, RetryWhat::Failed(bad.clone()), "control/failed").await;
    let names = async |run: &RunId| {
        let run = world.run(run).await;
        run.jobs().map(|job| job.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&failed).await, ["a"]);
    let all = again(&world, RetryWhat::All(bad.clone()), "control/all").await;
    assert_eq!(names(&all).await, ["a", "b"]);
    assert_eq!(
        ran(&world, &all, &[("a", 0), ("b", 0)]).await,
        ["shop main: retry of a, b of 0123456 succeeded"]
    );
    let refused = world
        .starter()
        .retry(&RetryWhat::Failed(all), "control/none", &Caller::Unverified)
        .await
        .unwrap();
    assert!(refused.unwrap_err().0.contains("no job of run"), "nothing has failed");

    world.configure("nonsense: [");
    let Started::Rejected { id: rejected, .. } = world.starter().push(&push("two")).await.unwrap() else {
        panic!("not rejected")
    };
    let refused = world
        .starter()
        .retry(&RetryWhat::Failed(rejected.clone()), "control/early", &Caller::Unverified)
        .await
        .unwrap();
    assert!(refused.is_err(), "it is still broken");
    world.configure_with("");
    let mended = again(&world, RetryWhat::Failed(rejected), "control/late").await;
    assert_eq!(names(&mended).await, ["a", "b"]);
}

#[tokio::test]
async fn a_commit_that_is_asked_for_beside_its_branch_says_nothing_about_the_branch() {
    let world = World::new();
    let bad = world.started("one").await;
    assert_eq!(ran(&world, &bad, &[("test", 1)]).await.len(), 1);
    *world.repository.tip.lock().unwrap() = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
    let what = StartWhat::Pipeline {
        repository: "shop".parse().unwrap(),
        at: At::Commit(push("any").commit),
        job: None,
    };
    let Ok(Started::Run { id, .. }) = world
        .starter()
        .request(&Start { what, id: None }, "control/one", &Caller::Unverified)
        .await
        .unwrap()
    else {
        panic!("not started")
    };
    assert_eq!(ran(&world, &id, &[("test", 0)]).await, [""; 0]);
    let good = world.started("two").await;
    assert_eq!(ran(&world, &good, &[("test", 0)]).await, ["shop main: run of 0123456 succeeded"]);
}

/// Starts an action's own script, at a commit where one is named.
async fn script(world: &World, digits: &str, commit: Option<&str>) -> Result<RunId, String> {
    let start = PipelineStart {
        repository: "shop".parse().unwrap(),
        branch: None,
        commit: commit.map(|commit| commit.parse().unwrap()),
        work: PipelineWork::Script {
            run: "make".to_owned(),
            agent: "small".parse().unwrap(),
        },
    };
    let job = PipelineJob {
        id: format!("{digits}000000-0000-4000-8000-000000000000").parse().unwrap(),
        asks: PipelineAsks::Start(start),
    };
    match world.starter().pipeline(&job).await.unwrap() {
        Ok(Started::Run { id, .. }) => Ok(id),
        Err(refused) => Err(refused.0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_scripts_of_two_actions_say_nothing_about_each_other() {
    let world = World::new();
    let one = script(&world, "a1", None).await.unwrap();
    assert_eq!(ran(&world, &one, &[("script", 1)]).await.len(), 1);
    let other = script(&world, "a2", None).await.unwrap();
    assert_eq!(ran(&world, &other, &[("script", 0)]).await, [""; 0]);
}

#[tokio::test]
async fn an_actions_script_at_a_commit_that_is_not_there_is_refused() {
    let world = World::new();
    let (gone, there) = ("a".repeat(40), push("any").commit);
    *world.repository.tag.lock().unwrap() = Some((gone.parse().unwrap(), there));
    let refused = script(&world, "a1", Some(&gone)).await.unwrap_err();
    assert_eq!(refused, format!("there is no commit {gone} in the repository shop"));
}
