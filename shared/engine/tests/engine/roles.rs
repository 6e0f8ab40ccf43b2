//! Roles of repositories: the role of protected branches and tags is only for commits that are on them, however the run starts.

use std::sync::atomic::Ordering;

use bellhop_domain::caller::Caller;
use bellhop_domain::ids::CommitId;
use bellhop_domain::request::{At, Start, StartWhat};
use bellhop_engine::Started;

use crate::world::{World, job, push};

const ORDINARY: &str = "arn:aws:iam::123456789012:role/bellhop-agent/shop";
const PROTECTED: &str = "arn:aws:iam::123456789012:role/bellhop-agent/shop-protected";

fn world() -> World {
    let world = World::new();
    world.configure_with(&format!(
        "repositories:\n  shop:\n    agents: [small]\n    role: {ORDINARY}\n    protected: {{ refs: [main, 'v*'], role: {PROTECTED} }}"
    ));
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, on: { push: { branches: ['**'], tags: ['**'] } } }\n");
    world
}

fn other_commit() -> CommitId {
    "f".repeat(40).parse().unwrap()
}

/// The role of the build that a run has.
async fn role_of(world: &World, started: Started) -> String {
    let Started::Run { id, .. } = started else { panic!("{started:?}") };
    let role = world.build(&job(&id, "test")).await.spec.role;
    role.map_or_else(|| "none".to_owned(), |role| role.to_string())
}

async fn pushed(world: &World, reference: &str, commit: CommitId) -> Started {
    let mut push = push(&format!("{reference}/{commit}"));
    push.reference = reference.parse().unwrap();
    push.commit = commit;
    world.starter().push(&push).await.unwrap()
}

async fn requested(world: &World, at: At) -> Started {
    let what = StartWhat::Pipeline {
        repository: "shop".parse().unwrap(),
        at,
        job: None,
    };
    let trigger = format!("control/{what:?}");
    world
        .starter()
        .request(&Start { what, id: None }, &trigger, &Caller::Unverified)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn the_tip_of_a_protected_branch_has_the_protected_role() {
    let world = world();
    let started = pushed(&world, "refs/heads/main", push("any").commit).await;
    assert_eq!(role_of(&world, started).await, PROTECTED);
    assert_eq!(
        role_of(&world, requested(&world, At::Branch("main".to_owned())).await).await,
        PROTECTED
    );
}

#[tokio::test]
async fn another_branch_has_the_ordinary_role_without_a_question() {
    let world = world();
    let started = pushed(&world, "refs/heads/next", push("any").commit).await;
    assert_eq!(role_of(&world, started).await, ORDINARY);
    assert_eq!(*world.repository.asked.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_commit_that_is_elsewhere_has_the_ordinary_role_by_every_way_in() {
    let world = world();
    let started = pushed(&world, "refs/heads/main", other_commit()).await;
    assert_eq!(role_of(&world, started).await, ORDINARY);
    let started = requested(&world, At::Commit(other_commit())).await;
    assert_eq!(role_of(&world, started).await, ORDINARY);
    world.repository.incomparable.store(true, Ordering::SeqCst);
    let started = pushed(&world, "refs/heads/main", "e".repeat(40).parse().unwrap()).await;
    assert_eq!(
        role_of(&world, started).await,
        ORDINARY,
        "what cannot be compared is not on the branch"
    );
}

#[tokio::test]
async fn an_older_commit_of_the_branch_has_the_protected_role() {
    let world = world();
    world.repository.merged.lock().unwrap().push(other_commit());
    let started = requested(&world, At::Commit(other_commit())).await;
    assert_eq!(role_of(&world, started).await, PROTECTED);
}

#[tokio::test]
async fn a_tag_with_a_protected_name_counts_only_for_its_own_commit() {
    let world = world();
    *world.repository.tag.lock().unwrap() = Some(("a".repeat(40).parse().unwrap(), push("any").commit));
    let started = pushed(&world, "refs/tags/v1", push("any").commit).await;
    assert_eq!(role_of(&world, started).await, PROTECTED);
    let started = pushed(&world, "refs/tags/v1", other_commit()).await;
    assert_eq!(role_of(&world, started).await, ORDINARY);
}

#[tokio::test]
async fn without_an_answer_nothing_starts() {
    let world = world();
    world.repository.silent.store(true, Ordering::SeqCst);
    let mut late = push("one");
    late.commit = other_commit();
    world.starter().push(&late).await.unwrap_err();
}

#[tokio::test]
async fn without_roles_the_templates_own_is_used_and_nothing_is_asked() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make }\n");
    let started = pushed(&world, "refs/heads/main", push("any").commit).await;
    assert_eq!(role_of(&world, started).await, "none");
    assert_eq!(*world.repository.asked.lock().unwrap(), Vec::<String>::new());
}
