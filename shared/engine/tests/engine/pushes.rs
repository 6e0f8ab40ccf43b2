//! Pushes: the run that each starts once, and those that start none.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_engine::NothingWhy;
use bellhop_engine::Started::{self, Nothing};
use bellhop_engine::ports::SourceFile;
use futures::future::join_all;

use crate::world::{World, calls, job, nothing, push};

async fn started(world: &World) -> Started {
    world.starter().push(&push("one")).await.unwrap()
}

async fn rejected(world: &World) -> String {
    let Started::Rejected { id, message } = started(world).await else {
        panic!("not rejected")
    };
    assert_eq!(world.told("run"), ["rejected"]);
    assert_eq!(calls(world), nothing());
    assert!(
        world
            .bucket
            .object(&format!("runs/{id}/report.json"))
            .unwrap()
            .contains("\"rejected\"")
    );
    // The message is sent once, however often the push comes.
    assert_eq!(started(world).await, Started::Again(id.clone()));
    assert_eq!(world.told("run"), ["rejected"]);
    assert_eq!(world.run(&id).await.due(), None);
    message
}

#[tokio::test]
async fn a_push_that_comes_five_times_starts_one_run_with_one_agent() {
    let world = World::new();
    let id = world.started("one").await;
    for _ in 0..4 {
        assert_eq!(started(&world).await, Started::Again(id.clone()));
    }
    assert_eq!(calls(&world), ["test/1 on spot"]);
    assert_eq!(world.build(&job(&id, "test")).await.status(), "launching");
}

#[tokio::test]
async fn a_push_that_comes_five_times_at_once_starts_one_run_with_one_agent() {
    let world = World::new();
    let (starter, push) = (world.starter(), push("one"));
    let all = join_all((0..5).map(|_| starter.push(&push))).await;
    let new = all.iter().filter(|started| matches!(started, Ok(Started::Run { .. }))).count();
    let again = all.iter().filter(|started| matches!(started, Ok(Started::Again(_)))).count();
    assert_eq!((new, again), (1, 4));
    assert_eq!(calls(&world), ["test/1 on spot"]);
}

#[tokio::test]
async fn two_branches_at_the_same_trigger_start_two_runs() {
    let world = World::new();
    world.started("one").await;
    let mut other = push("one");
    other.reference = "refs/heads/other".parse().unwrap();
    assert!(matches!(
        world.starter().push(&other).await.unwrap(),
        Started::Run { builds: 1, .. }
    ));
}

#[tokio::test]
async fn a_repository_without_a_pipeline_file_starts_nothing() {
    let world = World::new();
    *world.repository.pipeline.lock().unwrap() = None;
    assert_eq!(started(&world).await, Nothing(NothingWhy::NoPipelineFile));
    assert_eq!(world.told("run"), nothing());
}

#[tokio::test]
async fn a_commit_that_asks_to_be_skipped_starts_nothing_even_with_a_bad_file() {
    let world = World::new();
    world.pipeline("nonsense: [");
    *world.repository.message.lock().unwrap() = "A word [Skip CI]".to_owned();
    assert!(matches!(started(&world).await, Nothing(_)));
    assert_eq!(world.told("run"), nothing());
}

#[tokio::test]
async fn a_tag_on_a_commit_that_asks_to_be_skipped_is_built() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, on: { push: { tags: ['v*'] } } }\n");
    *world.repository.message.lock().unwrap() = "Release 1.2 [skip ci]".to_owned();
    let mut tag = push("tag");
    tag.reference = "refs/tags/v1.2".parse().unwrap();
    assert!(matches!(world.starter().push(&tag).await.unwrap(), Started::Run { builds: 1, .. }));
}

#[tokio::test]
async fn an_annotated_tag_that_is_told_by_its_own_id_is_built_at_its_commit() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, on: { push: { tags: ['v*'] } } }\n");
    let mut tag = push("tag");
    tag.reference = "refs/tags/v1.2".parse().unwrap();
    let of = push("any").commit;
    tag.commit = "a".repeat(40).parse().unwrap();
    *world.repository.tag.lock().unwrap() = Some((tag.commit.clone(), of.clone()));
    let Started::Run { id, .. } = world.starter().push(&tag).await.unwrap() else {
        panic!("not started")
    };
    assert_eq!(world.run(&id).await.commit, of);
    assert_eq!(world.build(&job(&id, "test")).await.spec.commit, of);
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_no_commit_without_a_file() {
    let world = World::new();
    world.repository.gone.store(true, Ordering::SeqCst);
    assert_eq!(started(&world).await, Nothing(NothingWhy::NoCommit));
}

#[tokio::test]
async fn a_pipeline_file_of_nearly_the_right_name_rejects_the_push() {
    for name in [".bellhop.yml", ".Bellhop.yaml", ".BELLHOP.YML"] {
        let world = World::new();
        *world.repository.pipeline.lock().unwrap() = None;
        *world.repository.files.lock().unwrap() = vec!["README.md".to_owned(), name.to_owned()];
        assert_eq!(
            rejected(&world).await,
            format!("{name}: expected .bellhop.yaml as the name of the pipeline file")
        );
        assert_eq!(world.told("run"), ["rejected"]);
    }
    // As the administrators of a suite keep it in a repository of theirs.
    let world = World::new();
    *world.repository.pipeline.lock().unwrap() = None;
    *world.repository.files.lock().unwrap() = vec!["bellhop.yaml".to_owned()];
    assert_eq!(started(&world).await, Nothing(NothingWhy::NoPipelineFile));
}

#[tokio::test]
async fn an_empty_commit_asks_for_a_build() {
    for paths in ["'!docs/**'", "'src/**'"] {
        let world = World::new();
        world.pipeline(&format!(
            "version: 1\njobs:\n  test: {{ agent: small, run: make, on: {{ push: {{ paths: [{paths}] }} }} }}\n"
        ));
        *world.repository.changed.lock().unwrap() = Some(Vec::new());
        let mut empty = push("empty");
        empty.previous = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
        assert!(
            matches!(world.starter().push(&empty).await.unwrap(), Started::Run { .. }),
            "{paths}"
        );
    }
}

#[tokio::test]
async fn a_suite_without_a_configuration_rejects_the_push() {
    let world = World::new();
    *world.bucket.configuration.lock().unwrap() = None;
    let message = rejected(&world).await;
    assert!(message.contains("s3://suite/config/bellhop.yaml does not exist"), "{message}");
}

#[tokio::test]
async fn a_suite_configuration_that_cannot_be_read_rejects_the_push() {
    let world = World::new();
    world.configure_with("notfy: {}");
    let message = rejected(&world).await;
    assert!(message.contains("notfy") && message.contains("notify"), "{message}");
    // The same if earlier versions may not be listed.
    let world = World::new();
    world.configure_with("notfy: {}");
    world.bucket.versions_denied.store(true, Ordering::SeqCst);
    assert_eq!(rejected(&world).await, message);
}

#[tokio::test]
async fn the_last_sound_configuration_serves_while_a_broken_one_is_told_once() {
    let world = World::new();
    let sound = world.bucket.configuration.lock().unwrap().clone().unwrap();
    world.bucket.earlier.lock().unwrap().extend([sound.clone(), "notfy: {}".to_owned()]);
    world.configure_with("notfy: {}");
    let first = world.started("one").await;
    world.exits(&job(&first, "test"), 0).await;
    world.started("two").await;
    assert_eq!(world.told("suite"), ["configuration-broken"]);
    assert_eq!(world.told("run"), nothing());
    world.clock.pass(Duration::from_secs(300));
    world.sweep().await.unwrap();
    assert_eq!(world.told("suite"), ["configuration-broken"], "it is not mended yet");
    world.configure(&sound);
    world.clock.pass(Duration::from_secs(300));
    world.sweep().await.unwrap();
    assert_eq!(world.told("suite"), ["configuration-broken", "configuration-mended"]);
    world.clock.pass(Duration::from_secs(3600));
    world.sweep().await.unwrap();
    assert_eq!(world.told("suite").len(), 2);
}

#[tokio::test]
async fn a_pipeline_file_that_cannot_be_read_rejects_the_push() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agnet: small, run: make }\n");
    let message = rejected(&world).await;
    assert!(
        message.contains(".bellhop.yaml, line 3") && message.contains("`agent`"),
        "{message}"
    );
    for file in [SourceFile::NotText, SourceFile::TooLarge] {
        let world = World::new();
        *world.repository.pipeline.lock().unwrap() = Some(file);
        let message = rejected(&world).await;
        assert!(message.starts_with(".bellhop.yaml: "), "{message}");
    }
}

#[tokio::test]
async fn an_unknown_agent_rejects_the_push() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: smal, run: make }\n");
    let message = rejected(&world).await;
    assert!(
        message.contains("jobs.test.agent") && message.contains("did you mean `small`"),
        "{message}"
    );
}

#[tokio::test]
async fn paths_are_compared_only_where_they_count_and_can_be() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, on: { push: { paths: [\"src/**\"] } } }\n");
    *world.repository.changed.lock().unwrap() = Some(vec!["README.md".to_owned()]);
    let mut later = push("later");
    later.previous = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
    assert!(matches!(world.starter().push(&later).await.unwrap(), Nothing(_)));
    assert_eq!(world.repository.comparisons.load(Ordering::SeqCst), 1);
    // Nothing to compare with: a new branch.
    world.started("new").await;
    assert_eq!(world.repository.comparisons.load(Ordering::SeqCst), 1);
    // Too much to compare.
    *world.repository.changed.lock().unwrap() = None;
    assert!(matches!(world.starter().push(&later).await.unwrap(), Started::Run { .. }));
    *world.repository.changed.lock().unwrap() = Some(vec!["src/main.rs".to_owned()]);
    later.trigger = "another".to_owned();
    assert!(matches!(world.starter().push(&later).await.unwrap(), Started::Run { .. }));
}

#[tokio::test]
async fn a_pipeline_without_paths_compares_nothing() {
    let world = World::new();
    let mut later = push("later");
    later.previous = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
    world.starter().push(&later).await.unwrap();
    assert_eq!(world.repository.comparisons.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_large_script_goes_through_the_bucket() {
    let world = World::new();
    let script = "echo a rather long line of a rather long script\n".repeat(300);
    let indented = script.replace("echo", "        echo");
    world.pipeline(&format!(
        "version: 1\njobs:\n  test:\n    agent: small\n    run: |\n{indented}\n  lint: {{ agent: small, run: make lint }}\n"
    ));
    let id = world.started("one").await;
    let kept: Vec<(String, String)> = world.bucket.objects.lock().unwrap().clone().into_iter().collect();
    let scripts: Vec<_> = kept.iter().filter(|(key, _)| key.starts_with("scripts/shop/")).collect();
    let [(_, stored)] = scripts.as_slice() else { panic!("{scripts:?}") };
    assert_eq!(stored.trim_end(), script.trim_end());
    let record = serde_json::to_string(&world.build(&job(&id, "test")).await).unwrap();
    assert!(!record.contains("a rather long line"), "the record holds the script");
}

#[tokio::test]
async fn a_run_that_is_stored_is_not_started_again_by_the_push_that_comes_again() {
    let world = World::new();
    world.agents.lost_replies.store(1, Ordering::SeqCst);
    assert!(world.starter().push(&push("one")).await.is_err());
    assert!(matches!(started(&world).await, Started::Again(_)));
}
