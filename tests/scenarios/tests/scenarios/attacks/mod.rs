//! Attacks on the suite, each a test that says what the attacker tries. `cargo xtask test --only attacks` runs them, and with them the attacks on roles and
//! on the agent's program, which are in `tests/local/test_attacks.py`. docs/explanation/security.md has the positions of the attackers.

mod calls;
mod events;
mod files;
mod protected;
mod reports;
mod restricted;
mod texts;

use bellhop_scenarios::World;
use bellhop_stand_in::{InvokeAction, JobResult};
use serde_json::{Value, json};

/// A job that deploys from every branch and tag, as somebody writes it who may only push to a branch of their own.
const GREEDY: &str = r"
version: 1
jobs:
  deploy: { agent: deploy, run: ./steal.sh, on: { push: { branches: ['**'], tags: ['**'] } } }
";

/// A suite whose repository has a commit on `main` and another one on the attacker's branch, `aside`, with the pipeline file [`GREEDY`] on both.
struct Target {
    world: World,
    /// The tip of `main`.
    main: String,
    /// EventBridge's event of the push to `aside`.
    aside: Value,
}

impl Target {
    async fn with(configuration: &str) -> Self {
        let world = World::with_pipeline(GREEDY).await;
        world.configure(configuration).await;
        let main = commit_of(&world.push_event());
        world.repository.commit(&[("steal.sh", "exit 0")], "Not reviewed").await;
        let aside = world.push_to("refs/heads/aside").await;
        Self { world, main, aside }
    }

    /// The attacker's commit.
    fn commit(&self) -> String {
        commit_of(&self.aside)
    }

    /// An event which says that the attacker's commit was pushed to a branch or tag, where it is not.
    fn pretending(&self, reference: &str) -> Value {
        let mut event = self.aside.clone();
        let detail = &mut event["detail"];
        let (kind, name) = match reference.strip_prefix("refs/tags/") {
            Some(name) => ("tag", name),
            None => ("branch", reference.trim_start_matches("refs/heads/")),
        };
        detail["referenceType"] = json!(kind);
        detail["referenceName"] = json!(name);
        detail["referenceFullName"] = json!(reference);
        event["id"] = json!("0a1b2c3d-0000-4000-8000-000000000000");
        event
    }

    /// What `control` answers.
    async fn asks(&self, request: Value) -> Value {
        self.world.control(&request).await.unwrap()
    }

    /// An action of CodePipeline begins; the result is why it failed, if it did.
    async fn acts(&self, parameters: &Value) -> Option<String> {
        let action = InvokeAction::new("bellhop-pipeline").user_parameters(parameters.to_string());
        let action = self.world.codepipeline().start(action).unwrap();
        self.world
            .pipeline(&self.world.codepipeline().event(&action.id).unwrap())
            .await
            .unwrap();
        match self.world.codepipeline().action(&action.id).unwrap().result {
            Some(JobResult::Failed { message, .. }) => Some(message),
            _ => None,
        }
    }

    /// The roles with which agents were started, in order; `none` for that of the task definition.
    fn roles(&self) -> Vec<String> {
        let launches = self.world.journal().of("ecs", "RunTask");
        let role = |request: Option<Value>| match &request.unwrap()["overrides"]["taskRoleArn"] {
            Value::String(role) => role.clone(),
            _ => "none".to_owned(),
        };
        launches.into_iter().map(|launch| role(launch.request)).collect()
    }
}

fn commit_of(event: &Value) -> String {
    event["detail"]["commitId"].as_str().unwrap().to_owned()
}

/// The one task of a new suite, which runs the job `test`.
async fn running() -> (World, String) {
    let world = World::with_pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, artifacts: ['*.xml'] }\n").await;
    world.start().await;
    let task = world.task(0);
    world.runs(&task).await;
    (world, task)
}
