//! Agents with `refs`: which runs and which commits they serve, however the run starts.

use std::sync::atomic::Ordering;

use bellhop_domain::caller::Caller;
use bellhop_domain::ids::CommitId;
use bellhop_domain::request::{At, PipelineAsks, PipelineJob, PipelineStart, PipelineWork, RetryWhat, Start, StartWhat};
use bellhop_engine::{Refused, Started};

use crate::world::{World, calls, job, nothing, push};

/// What a message says first about a commit that is not on its branch or tag.
const OFF: &str = "job `test`: the agent `small` has `refs` in config/bellhop.yaml and serves only commits on the run's branch or tag: ";

/// A suite whose one agent serves `main` and tags of versions.
fn world() -> World {
    let world = World::new();
    world.configure_with("    refs: [refs/heads/main, 'refs/tags/v*']");
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, on: { push: { branches: ['**'], tags: ['**'] } } }\n");
    world
}

fn other_commit() -> CommitId {
    "f".repeat(40).parse().unwrap()
}

fn asked(world: &World) -> Vec<String> {
    std::mem::take(&mut *world.repository.asked.lock().unwrap())
}

fn rejected(started: Started) -> String {
    match started {
        Started::Rejected { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

async fn pushed(world: &World, reference: &str, commit: CommitId) -> Started {
    let mut push = push(reference);
    push.reference = reference.parse().unwrap();
    push.commit = commit;
    world.starter().push(&push).await.unwrap()
}

async fn started_at(world: &World, at: At) -> Started {
    let what = StartWhat::Pipeline {
        repository: "shop".parse().unwrap(),
        at,
        job: Some("test".parse().unwrap()),
    };
    let trigger = format!("control/{what:?}");
    world
        .starter()
        .request(&Start { what, id: None }, &trigger, &Caller::Unverified)
        .await
        .unwrap()
        .unwrap()
}

fn action(branch: Option<&str>, commit: Option<CommitId>, work: PipelineWork) -> PipelineJob {
    let start = PipelineStart {
        repository: "shop".parse().unwrap(),
        branch: branch.map(str::to_owned),
        commit,
        work,
    };
    PipelineJob {
        id: "a1000000-0000-4000-8000-000000000000".parse().unwrap(),
        asks: PipelineAsks::Start(start),
    }
}

fn works() -> [PipelineWork; 2] {
    let script = PipelineWork::Script {
        run: "make release".to_owned(),
        agent: "small".parse().unwrap(),
    };
    [PipelineWork::Job("test".parse().unwrap()), script]
}

#[tokio::test]
async fn without_refs_nothing_is_asked_about_the_commit() {
    let world = World::new();
    world.started("one").await;
    assert_eq!(asked(&world), nothing());
    assert!(matches!(
        started_at(&world, At::Branch("main".to_owned())).await,
        Started::Run { .. }
    ));
    assert_eq!(asked(&world), ["tip of main"]);
}

#[tokio::test]
async fn a_push_to_another_branch_is_rejected_without_a_question() {
    let world = world();
    let message = rejected(pushed(&world, "refs/heads/next", push("any").commit).await);
    assert!(
        message.starts_with(
            ".bellhop.yaml, line 3, jobs.test.agent: the agent `small` does not serve runs on `refs/heads/next`: \
             `refs` in config/bellhop.yaml allows `refs/heads/main`, `refs/tags/v*`;"
        ),
        "{message}"
    );
    assert_eq!((asked(&world), calls(&world)), (Vec::new(), Vec::new()));
    assert_eq!(world.told("run"), ["rejected"]);
}

#[tokio::test]
async fn a_push_of_the_tip_asks_for_the_tip_alone() {
    let world = world();
    let started = pushed(&world, "refs/heads/main", push("any").commit).await;
    assert!(matches!(started, Started::Run { builds: 1, .. }));
    assert_eq!(asked(&world), ["tip of main"]);
}

#[tokio::test]
async fn a_push_that_is_no_longer_the_tip_has_to_be_on_the_branch() {
    let world = world();
    let message = rejected(pushed(&world, "refs/heads/main", other_commit()).await);
    assert_eq!(message, format!("{OFF}commit fffffff is not on `refs/heads/main`"));
    assert_eq!(asked(&world), ["tip of main", "ancestry of fffffff"]);
    assert_eq!(calls(&world), nothing());

    let world = self::world();
    world.repository.merged.lock().unwrap().push(other_commit());
    let started = pushed(&world, "refs/heads/main", other_commit()).await;
    assert!(matches!(started, Started::Run { builds: 1, .. }));
}

#[tokio::test]
async fn a_silent_repository_is_asked_again_and_allows_nothing_meanwhile() {
    let world = world();
    world.repository.merged.lock().unwrap().push(other_commit());
    world.repository.silent.store(true, Ordering::SeqCst);
    let mut late = push("one");
    late.commit = other_commit();
    world.starter().push(&late).await.unwrap_err();
    assert_eq!(calls(&world), nothing());
    world.repository.silent.store(false, Ordering::SeqCst);
    assert!(matches!(world.starter().push(&late).await.unwrap(), Started::Run { .. }));
    assert_eq!(calls(&world), ["test/1 on spot"]);
}

#[tokio::test]
async fn a_commit_that_cannot_be_compared_is_not_allowed() {
    let world = world();
    world.repository.incomparable.store(true, Ordering::SeqCst);
    let message = rejected(pushed(&world, "refs/heads/main", other_commit()).await);
    assert_eq!(
        message,
        format!(
            "{OFF}CodeCommit cannot tell whether commit fffffff is on `refs/heads/main`, because they differ too much: start a newer commit"
        )
    );
}

#[tokio::test]
async fn a_branch_that_is_gone_has_no_commits() {
    let world = world();
    world.configure_with("    refs: '**'");
    let message = rejected(pushed(&world, "refs/heads/next", push("any").commit).await);
    assert_eq!(
        message,
        format!("{OFF}`refs/heads/next` does not exist, so commit 0123456 is not on it")
    );
}

#[tokio::test]
async fn a_tag_stands_for_its_own_commit() {
    let world = world();
    *world.repository.tag.lock().unwrap() = Some(("a".repeat(40).parse().unwrap(), push("any").commit));
    // The commits before it do not count.
    world.repository.merged.lock().unwrap().push(other_commit());
    let message = rejected(pushed(&world, "refs/tags/v1", other_commit()).await);
    assert_eq!(message, format!("{OFF}commit fffffff is not on `refs/tags/v1`"));
    assert_eq!(asked(&world), ["commit of refs/tags/v1"]);
    assert!(matches!(
        pushed(&world, "refs/tags/v2", push("any").commit).await,
        Started::Run { .. }
    ));
    *world.repository.tag.lock().unwrap() = None;
    let message = rejected(pushed(&world, "refs/tags/v3", push("any").commit).await);
    assert_eq!(
        message,
        format!("{OFF}`refs/tags/v3` does not exist, so commit 0123456 is not on it")
    );
    assert!(rejected(pushed(&world, "refs/tags/main", push("any").commit).await).contains("does not serve runs on `refs/tags/main`"));
}

#[tokio::test]
async fn a_request_for_a_branch_reads_the_tip_once() {
    let world = world();
    assert!(matches!(
        started_at(&world, At::Branch("main".to_owned())).await,
        Started::Run { .. }
    ));
    assert!(matches!(started_at(&world, At::Default).await, Started::Run { .. }));
    assert_eq!(asked(&world), ["tip of main", "tip of main"]);
}

#[tokio::test]
async fn a_request_for_a_commit_has_to_name_one_of_the_branch() {
    let world = world();
    let message = rejected(started_at(&world, At::Commit(other_commit())).await);
    assert_eq!(message, format!("{OFF}commit fffffff is not on `refs/heads/main`"));
    assert_eq!(asked(&world), ["tip of main", "ancestry of fffffff"]);
    assert!(matches!(
        started_at(&world, At::Commit(push("any").commit)).await,
        Started::Run { .. }
    ));
    assert_eq!(asked(&world), ["tip of main"]);

    let world = self::world();
    world.repository.merged.lock().unwrap().push(other_commit());
    let Started::Run { id, .. } = started_at(&world, At::Commit(other_commit())).await else {
        panic!("not started")
    };
    assert!(world.run(&id).await.off_tip);
}

#[tokio::test]
async fn a_job_of_the_suite_is_for_branches_that_its_agent_serves() {
    let world = world();
    let start = Start {
        what: StartWhat::Suite("clean".parse().unwrap()),
        id: None,
    };
    let of_the_suite = "jobs:\n  clean: { agent: small, repository: shop, branch: main, run: ./clean.sh }";
    world.configure_with(&format!("    refs: release\n{of_the_suite}"));
    let message = rejected(
        world
            .starter()
            .request(&start, "schedule/one", &Caller::Unverified)
            .await
            .unwrap()
            .unwrap(),
    );
    assert_eq!(
        message,
        "config/bellhop.yaml, agent: the agent `small` does not serve runs on `refs/heads/main`: `refs` in config/bellhop.yaml allows `release`"
    );
    asked(&world);
    world.configure_with(&format!("    refs: [main, release]\n{of_the_suite}"));
    let started = world
        .starter()
        .request(&start, "schedule/two", &Caller::Unverified)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(started, Started::Run { .. }));
    assert_eq!(asked(&world), ["tip of main"]);
}

#[tokio::test]
async fn an_action_of_codepipeline_cannot_claim_a_branch_for_a_commit() {
    for work in works() {
        let world = world();
        let stranger = action(Some("main"), Some(other_commit()), work.clone());
        let message = rejected(world.starter().pipeline(&stranger).await.unwrap().unwrap());
        assert!(message.ends_with("commit fffffff is not on `refs/heads/main`"), "{message}");
        assert_eq!(asked(&world), ["tip of main", "ancestry of fffffff"]);
        assert_eq!(calls(&world), nothing());
        let answers = world.pipelines.answers.lock().unwrap().clone();
        assert_eq!(answers.len(), 1);
        assert!(answers[0].contains("commit fffffff is not on `refs/heads/main`"), "{answers:?}");

        let world = self::world();
        world.repository.merged.lock().unwrap().push(other_commit());
        let merged = action(Some("main"), Some(other_commit()), work.clone());
        let started = world.starter().pipeline(&merged).await.unwrap().unwrap();
        assert!(matches!(started, Started::Run { .. }));
        let tip = PipelineJob {
            id: "a2000000-0000-4000-8000-000000000000".parse().unwrap(),
            ..action(None, None, work)
        };
        asked(&world);
        assert!(matches!(
            world.starter().pipeline(&tip).await.unwrap().unwrap(),
            Started::Run { .. }
        ));
        assert_eq!(asked(&world), ["tip of main"]);
    }
}

#[tokio::test]
async fn a_retry_is_checked_by_the_refs_of_today() {
    let world = world();
    world.configure_with("");
    let Started::Run { id, .. } = pushed(&world, "refs/heads/main", other_commit()).await else {
        panic!("not started")
    };
    let build = job(&id, "test");
    world.exits(&build, 1).await;
    let retry = async |trigger: &str| {
        world
            .starter()
            .retry(&RetryWhat::Build(build.clone()), trigger, &Caller::Unverified)
            .await
            .unwrap()
    };
    let refused = async |trigger: &str| match retry(trigger).await {
        Err(Refused(why)) => why,
        Ok(retried) => panic!("{retried:?}"),
    };
    world.configure_with("    refs: release");
    let why = refused("one").await;
    assert!(why.contains("the agent `small` does not serve runs on `refs/heads/main`"), "{why}");
    world.configure_with("    refs: main");
    let why = refused("two").await;
    assert!(
        why.contains(&format!("{OFF}commit fffffff is not on `refs/heads/main`. A retry uses")),
        "{why}"
    );
    world.repository.merged.lock().unwrap().push(other_commit());
    assert!(matches!(retry("three").await.unwrap().started, Started::Run { .. }));
}

#[tokio::test]
async fn a_large_run_of_an_earlier_tip_has_to_be_on_the_branch_still() {
    let world = world();
    world.ledger.torn.store(1, Ordering::SeqCst);
    let start = Start {
        what: StartWhat::Pipeline {
            repository: "shop".parse().unwrap(),
            at: At::Default,
            job: None,
        },
        id: None,
    };
    assert!(world.starter().request(&start, "by hand", &Caller::Unverified).await.is_err());
    // Its branch is made to point elsewhere before Lambda tries again.
    *world.repository.tip.lock().unwrap() = Some(other_commit());
    asked(&world);
    let message = rejected(
        world
            .starter()
            .request(&start, "by hand", &Caller::Unverified)
            .await
            .unwrap()
            .unwrap(),
    );
    assert_eq!(message, format!("{OFF}commit 0123456 is not on `refs/heads/main`"));
    assert_eq!(asked(&world), ["tip of main", "ancestry of 0123456"]);
}
