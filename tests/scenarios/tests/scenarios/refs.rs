//! An agent that serves only some branches and tags, and commits of a real Git repository.

use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, InvokeAction, JobResult, Rule, Times};
use serde_json::{Value, json};

const FILE: &str = r"
version: 1
jobs:
  test: { agent: small, run: make test }
  deploy: { agent: deploy, run: make deploy, on: { push: { branches: [main], tags: ['v*'] } } }
";

/// The same on a branch of somebody who wants to deploy from it.
const GREEDY: &str = r"
version: 1
jobs:
  deploy: { agent: deploy, run: make deploy, on: { push: { branches: ['**'], tags: ['**'] } } }
";

const AGENTS: &str = r"
version: 1
agents:
  small: { ecs: { cluster: ci, task-definition: bellhop-agent-small, subnets: [subnet-0a] } }
  deploy:
    ecs: { cluster: ci, task-definition: bellhop-agent-small, subnets: [subnet-0a] }
    refs: [refs/heads/main, 'refs/tags/v*']
jobs:
  clean: { agent: deploy, repository: shop, branch: next, run: ./clean.sh }
";

async fn world() -> World {
    let world = World::with_pipeline(FILE).await;
    world.configure(AGENTS).await;
    world
}

fn jobs(world: &World) -> Vec<String> {
    let tasks = world.tasks();
    let mut jobs: Vec<String> = tasks.iter().map(|task| task.environment["BELLHOP_JOB"].clone()).collect();
    jobs.sort();
    jobs
}

/// What CodeCommit was asked about branches since the last time.
fn asked(world: &World) -> Vec<String> {
    let requests = World::requests(&world.journal().entries());
    world.journal().clear();
    let questions = ["GetBranch", "GetMergeOptions", "GetFolder"];
    requests
        .into_iter()
        .filter(|request| questions.iter().any(|question| request.contains(question)))
        .collect()
}

/// The message that the newest run was rejected with.
async fn rejection(world: &World) -> String {
    let report = world.report().await;
    assert_eq!(report["status"], "rejected", "{report}");
    report.to_string()
}

async fn ask(world: &World, request: Value) -> Value {
    world.control(&request).await.unwrap()
}

#[tokio::test]
async fn a_branch_deploys_only_if_it_is_named() {
    let world = world().await;
    world.push(&world.push_event()).await.unwrap();
    assert_eq!(jobs(&world), ["deploy", "test"]);

    // A branch whose file has the job, but does not want it.
    world.repository.commit(&[("a", "1")], "Next").await;
    let next = world.push_to("refs/heads/next").await;
    world.push(&next).await.unwrap();
    assert_eq!(jobs(&world), ["deploy", "test", "test"]);

    // A branch that changes its own file.
    world.repository.commit(&[(".bellhop.yaml", GREEDY)], "Deploy from here").await;
    for reference in ["refs/heads/next", "refs/heads/v1", "refs/tags/main"] {
        let event = world.push_to(reference).await;
        world.push(&event).await.unwrap();
        let message = rejection(&world).await;
        let expected = format!(
            "the agent `deploy` does not serve runs on `{reference}`: `refs` in config/bellhop.yaml allows `refs/heads/main`, `refs/tags/v*`"
        );
        assert!(message.contains(&expected), "{message}");
    }
    let answer = ask(&world, json!({ "start": { "job": "clean" } })).await;
    assert!(answer.to_string().contains("does not serve runs on `refs/heads/next`"), "{answer}");
    assert_eq!(jobs(&world), ["deploy", "test", "test"]);

    // The tag of a version is for whoever may push one.
    let tag = world.push_to("refs/tags/v1").await;
    world.push(&tag).await.unwrap();
    assert_eq!(jobs(&world), ["deploy", "deploy", "test", "test"]);
}

#[tokio::test]
async fn a_request_cannot_claim_a_branch_for_a_commit_of_another() {
    let world = world().await;
    let first = world.push_event()["detail"]["commitId"].clone();
    let second = world.commit(&[("a", "1")], "Second").await["detail"]["commitId"].clone();
    world.repository.commit(&[(".bellhop.yaml", GREEDY)], "Not reviewed").await;
    let aside = world.push_to("refs/heads/aside").await["detail"]["commitId"].clone();
    let start = |commit: &Value| json!({ "start": { "repository": "shop", "commit": commit, "job": "deploy" } });

    asked(&world);
    let answer = ask(&world, start(&aside)).await;
    let expected = format!("commit {} is not on `refs/heads/main`", &aside.as_str().unwrap()[..7]);
    assert!(answer.to_string().contains(&expected), "{answer}");
    assert_eq!(asked(&world).len(), 2, "the tip and the merge base");
    assert_eq!(jobs(&world), Vec::<String>::new());

    // The tip and what comes before it are on the branch.
    assert_eq!(ask(&world, start(&second)).await["status"], "open");
    assert_eq!(asked(&world).len(), 1, "the tip");
    assert_eq!(ask(&world, start(&first)).await["status"], "open");
    assert_eq!(asked(&world).len(), 2);
    // Other agents do not ask.
    let test = json!({ "start": { "repository": "shop", "branch": "main", "job": "test" } });
    assert_eq!(ask(&world, test).await["status"], "open");
    assert_eq!(asked(&world).len(), 1, "the tip, which the request is for");
    assert_eq!(jobs(&world), ["deploy", "deploy", "test"]);

    // Neither can an action of CodePipeline.
    for work in [json!({ "job": "deploy" }), json!({ "agent": "deploy", "run": "make" })] {
        let mut parameters = json!({ "repository": "shop", "branch": "main", "commit": aside });
        parameters.as_object_mut().unwrap().extend(work.as_object().unwrap().clone());
        let action = InvokeAction::new("bellhop-pipeline").user_parameters(parameters.to_string());
        let action = world.codepipeline().start(action).unwrap();
        world.pipeline(&world.codepipeline().event(&action.id).unwrap()).await.unwrap();
        match world.codepipeline().action(&action.id).unwrap().result {
            Some(JobResult::Failed { message, .. }) => assert!(message.contains(&expected), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    // A merge makes it a commit of the branch.
    world.push_to("refs/heads/main").await;
    assert_eq!(ask(&world, start(&aside)).await["status"], "open");
}

#[tokio::test]
async fn a_push_that_is_no_longer_on_its_branch_does_not_deploy() {
    let world = world().await;
    let event = world.push_event();
    // An event may come late: the branch has grown meanwhile, or was made to point elsewhere.
    world.commit(&[("a", "1")], "Second").await;
    let silent = Rule::new("codecommit", "GetMergeOptions", Fault::ServerError).times(Times::Always);
    let silent = world.faults().inject(silent);
    world.push(&event).await.unwrap_err();
    assert_eq!(jobs(&world), Vec::<String>::new(), "without an answer, nothing starts");
    assert!(world.faults().remove(silent));
    world.push(&event).await.unwrap();
    assert_eq!(jobs(&world), ["deploy", "test"]);
}
