//! The role of protected branches and tags, for a commit that is on none of them, by each way to start a run.

use serde_json::json;

use super::Target;

const ORDINARY: &str = "arn:aws:iam::123456789012:role/bellhop-agent/shop";
const PROTECTED: &str = "arn:aws:iam::123456789012:role/bellhop-agent/shop-protected";
const ROLES: &str = r"
version: 1
agents:
  deploy: { ecs: { cluster: ci, task-definition: bellhop-agent-small, subnets: [subnet-0a] } }
jobs:
  clean: { agent: deploy, repository: shop, branch: aside, run: ./clean.sh }
repositories:
  shop:
    agents: [deploy]
    role: arn:aws:iam::123456789012:role/bellhop-agent/shop
    protected: { refs: [refs/heads/main, 'refs/tags/v*'], role: arn:aws:iam::123456789012:role/bellhop-agent/shop-protected }
";

async fn target() -> Target {
    Target::with(ROLES).await
}

#[tokio::test]
async fn the_protected_role_by_a_push_to_another_branch() {
    let target = target().await;
    target.world.push(&target.aside).await.unwrap();
    assert_eq!(target.roles(), [ORDINARY]);
    // The attack is one: what is on the branch has the role.
    target.world.push(&target.world.push_event()).await.unwrap();
    assert_eq!(target.roles(), [ORDINARY, PROTECTED]);
}

#[tokio::test]
async fn the_protected_role_by_an_event_that_claims_a_commit_of_another_branch() {
    let target = target().await;
    target.world.push(&target.pretending("refs/heads/main")).await.unwrap();
    assert_eq!(target.roles(), [ORDINARY]);
}

#[tokio::test]
async fn the_protected_role_by_a_protected_tag_that_is_at_another_commit() {
    let target = target().await;
    // Somebody who may has made the tag, and it is not at the attacker's commit.
    target.world.repository.commit(&[("release", "1")], "Release").await;
    let tag = target.world.push_to("refs/tags/v1").await;
    target.world.push(&target.pretending("refs/tags/v1")).await.unwrap();
    assert_eq!(target.roles(), [ORDINARY]);
    target.world.push(&tag).await.unwrap();
    assert_eq!(target.roles(), [ORDINARY, PROTECTED]);
}

#[tokio::test]
async fn the_protected_role_by_a_request_for_another_branch_or_a_commit_that_is_elsewhere() {
    let target = target().await;
    for at in [json!({ "branch": "aside" }), json!({ "commit": target.commit() })] {
        let mut start = json!({ "repository": "shop", "job": "deploy" });
        start.as_object_mut().unwrap().extend(at.as_object().unwrap().clone());
        target.asks(json!({ "start": start })).await;
    }
    assert_eq!(target.roles(), [ORDINARY, ORDINARY]);
    let start = json!({ "repository": "shop", "commit": target.main, "job": "deploy" });
    target.asks(json!({ "start": start })).await;
    assert_eq!(target.roles()[2], PROTECTED);
}

#[tokio::test]
async fn the_protected_role_by_a_job_of_the_suite_on_another_branch() {
    let target = target().await;
    target.asks(json!({ "start": { "job": "clean" } })).await;
    assert_eq!(target.roles(), [ORDINARY]);
}

#[tokio::test]
async fn the_protected_role_by_an_action_of_a_pipeline_for_a_commit_that_is_elsewhere() {
    let target = target().await;
    for parameters in [
        json!({ "repository": "shop", "branch": "main", "commit": target.commit(), "job": "deploy" }),
        json!({ "repository": "shop", "commit": target.commit(), "agent": "deploy", "run": "./steal.sh" }),
        json!({ "repository": "shop", "branch": "aside", "agent": "deploy", "run": "./steal.sh" }),
    ] {
        assert_eq!(target.acts(&parameters).await, None);
    }
    assert_eq!(target.roles(), [ORDINARY; 3]);
}

#[tokio::test]
async fn the_protected_role_by_a_retry_after_the_commit_has_left_the_branch() {
    let target = target().await;
    let world = &target.world;
    world.push_to("refs/heads/main").await;
    let run = world.start_by(&target.pretending("refs/heads/main")).await;
    assert_eq!(target.roles(), [PROTECTED]);
    let task = world.task(0);
    world.runs(&task).await;
    world.exits(&task, 1).await;

    // The branch is made to point elsewhere, because the commit should never have come there.
    world.repository.commit(&[("steal.sh", "")], "Reviewed").await;
    world.rewind("refs/heads/main", &target.main).await;
    target.asks(json!({ "retry": { "run": run } })).await;
    assert_eq!(target.roles(), [PROTECTED, ORDINARY]);
}
