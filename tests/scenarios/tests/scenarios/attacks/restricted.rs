//! An agent with `refs`, from a branch that is not among them, by each way to start a run.

use serde_json::{Value, json};

use super::Target;

const AGENTS: &str = r"
version: 1
agents:
  deploy:
    ecs: { cluster: ci, task-definition: bellhop-agent-small, subnets: [subnet-0a] }
    refs: [refs/heads/main, 'refs/tags/v*']
jobs:
  clean: { agent: deploy, repository: shop, branch: aside, run: ./clean.sh }
";
const UNSERVED: &str = "the agent `deploy` does not serve runs on `refs/heads/aside`";

async fn target() -> Target {
    Target::with(AGENTS).await
}

impl Target {
    /// No agent was started, and somebody was told why.
    fn is_refused(&self, answer: impl ToString, why: &str) {
        let answer = answer.to_string();
        assert!(answer.contains(why), "{answer}");
        assert_eq!(self.roles(), Vec::<String>::new());
    }

    fn not_on_main(&self) -> String {
        format!("commit {} is not on `refs/heads/main`", &self.commit()[..7])
    }
}

#[tokio::test]
async fn a_restricted_agent_by_a_push_to_another_branch() {
    let target = target().await;
    let answer = target.world.push(&target.aside).await.unwrap();
    target.is_refused(answer, UNSERVED);
}

#[tokio::test]
async fn a_restricted_agent_by_a_tag_with_the_name_of_the_branch() {
    let target = target().await;
    let tag = target.world.push_to("refs/tags/main").await;
    let answer = target.world.push(&tag).await.unwrap();
    target.is_refused(answer, "does not serve runs on `refs/tags/main`");
}

#[tokio::test]
async fn a_restricted_agent_by_an_event_that_claims_a_commit_of_another_branch() {
    let target = target().await;
    let answer = target.world.push(&target.pretending("refs/heads/main")).await.unwrap();
    target.is_refused(answer, &target.not_on_main());
}

#[tokio::test]
async fn a_restricted_agent_by_an_event_of_a_tag_that_does_not_exist() {
    let target = target().await;
    let answer = target.world.push(&target.pretending("refs/tags/v1")).await.unwrap();
    target.is_refused(answer, "`refs/tags/v1` does not exist");
}

#[tokio::test]
async fn a_restricted_agent_by_a_request_for_another_branch() {
    let target = target().await;
    let answer = target
        .asks(json!({ "start": { "repository": "shop", "branch": "aside", "job": "deploy" } }))
        .await;
    target.is_refused(answer, UNSERVED);
}

#[tokio::test]
async fn a_restricted_agent_by_a_request_for_a_commit_that_is_elsewhere() {
    let target = target().await;
    let answer = target
        .asks(json!({ "start": { "repository": "shop", "commit": target.commit(), "job": "deploy" } }))
        .await;
    target.is_refused(answer, &target.not_on_main());
}

#[tokio::test]
async fn a_restricted_agent_by_a_job_of_the_suite_on_another_branch() {
    let target = target().await;
    let answer = target.asks(json!({ "start": { "job": "clean" } })).await;
    target.is_refused(answer, UNSERVED);
}

/// What an action may name as its work.
fn works() -> [Value; 2] {
    [json!({ "job": "deploy" }), json!({ "agent": "deploy", "run": "./steal.sh" })]
}

fn action(place: &Value, work: &Value) -> Value {
    let mut all = json!({ "repository": "shop" });
    for part in [place, work] {
        all.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
    }
    all
}

#[tokio::test]
async fn a_restricted_agent_by_an_action_of_a_pipeline_on_another_branch() {
    let target = target().await;
    for work in works() {
        let failed = target.acts(&action(&json!({ "branch": "aside" }), &work)).await;
        target.is_refused(failed.unwrap(), UNSERVED);
    }
}

#[tokio::test]
async fn a_restricted_agent_by_an_action_of_a_pipeline_for_a_commit_that_is_elsewhere() {
    let target = target().await;
    let commit = target.commit();
    for place in [json!({ "commit": commit }), json!({ "branch": "main", "commit": commit })] {
        for work in works() {
            let failed = target.acts(&action(&place, &work)).await;
            target.is_refused(failed.unwrap(), &target.not_on_main());
        }
    }
}

#[tokio::test]
async fn a_restricted_agent_by_a_retry_of_a_run_from_before_the_restriction() {
    let target = target().await;
    let world = &target.world;
    let open: String = AGENTS
        .lines()
        .filter(|line| !line.contains("refs:"))
        .map(|line| format!("{line}\n"))
        .collect();
    world.configure(&open).await;
    let run = world.start_by(&target.aside).await;
    let task = world.task(0);
    world.runs(&task).await;
    world.exits(&task, 1).await;

    world.configure(AGENTS).await;
    for what in [
        json!({ "run": run }),
        json!({ "run": run, "all": true }),
        json!({ "build": format!("{run}/deploy") }),
    ] {
        let answer = target.asks(json!({ "retry": what })).await;
        assert!(answer.to_string().contains(UNSERVED), "{answer}");
    }
    assert_eq!(target.roles().len(), 1, "the agent from before");
}
