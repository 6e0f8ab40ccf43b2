//! What is to be seen afterwards: records, objects, messages, tasks and requests.

use bellhop_domain::build::Build;
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::run::Run;
use bellhop_stand_in::{BuildView, Entry, TaskView};
use serde_json::Value;

use super::World;
use super::message::{Message, message};
use crate::local_aws::{ACCOUNT, REGION};

// What became of it.
impl World {
    /// The run of the push that was handled last, whether or not that went well.
    ///
    /// # Panics
    /// None was handled.
    #[must_use]
    pub fn newest_run(&self) -> RunId {
        let run = self.newest_run.lock().expect("no test panics while it holds the lock");
        run.clone().expect("a run was started")
    }

    /// That run, as it is in the ledger.
    ///
    /// # Panics
    /// It is not there.
    pub async fn run(&self) -> Run {
        let run = self
            .engine()
            .ledger
            .load::<Run>(&self.newest_run())
            .await
            .expect("the ledger can be read");
        run.expect("the run is in the ledger").record
    }

    /// A build of that run, as it is in the ledger.
    ///
    /// # Panics
    /// It is not there.
    pub async fn build(&self, job: &str) -> Build {
        let id = BuildId {
            run: self.newest_run(),
            job: job.parse().expect("a job's name"),
        };
        let build = self.engine().ledger.load::<Build>(&id).await.expect("the ledger can be read");
        build.expect("the build is in the ledger").record
    }

    /// Everything in the ledger's table.
    pub async fn items(&self) -> Vec<Value> {
        self.local_aws.items(&self.settings.table).await
    }

    /// Puts an item into the ledger's table, past the ledger.
    pub async fn put_item(&self, item: &Value) {
        self.local_aws.put_item(&self.settings.table, item).await;
    }

    /// The ids of all runs in the ledger, in order of their keys.
    pub async fn run_ids(&self) -> Vec<String> {
        let items = self.items().await;
        let runs = items.iter().filter(|item| item["sk"]["S"] == "RUN");
        let ids = runs.filter_map(|item| item["pk"]["S"].as_str()?.strip_prefix("RUN#"));
        ids.map(str::to_owned).collect()
    }

    /// The report of that run.
    ///
    /// # Panics
    /// It is not there.
    pub async fn report(&self) -> Value {
        let key = format!("runs/{}/report.json", self.newest_run());
        let text = self.object(&key).await.expect("the report is in the bucket");
        serde_json::from_str(&text).expect("the report is JSON")
    }

    /// An object in the suite's bucket.
    pub async fn object(&self, key: &str) -> Option<String> {
        self.local_aws.get(self.bucket(), key).await
    }

    /// The messages that have been published since this was asked last.
    pub async fn messages(&self) -> Vec<Message> {
        let bodies = self.local_aws.receive_all(&self.queue).await;
        bodies.iter().map(message).collect()
    }

    /// The same in a few words each, in the alphabet's order: nobody is promised another one.
    pub async fn told(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.messages().await.iter().map(Message::line).collect();
        lines.sort();
        lines
    }

    /// Every task, in the order of creation.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskView> {
        self.stand_in.ecs().tasks()
    }

    /// The ARN of a task, by its place in the order of creation.
    ///
    /// # Panics
    /// There are not so many.
    #[must_use]
    pub fn task(&self, place: usize) -> String {
        let tasks = self.tasks();
        let task = tasks.get(place).unwrap_or_else(|| panic!("there is no task {place}: {tasks:?}"));
        task.arn.clone()
    }

    /// Every build of CodeBuild, in the order of creation.
    #[must_use]
    pub fn builds(&self) -> Vec<BuildView> {
        self.stand_in.codebuild().builds()
    }

    /// The ARN of a build of CodeBuild, by its place in the order of creation.
    ///
    /// # Panics
    /// There are not so many.
    #[must_use]
    pub fn agent_build(&self, place: usize) -> String {
        let builds = self.builds();
        let build = builds.get(place).unwrap_or_else(|| panic!("there is no build {place}: {builds:?}"));
        build.arn.clone()
    }

    /// The ARN of an execution of Step Functions, by its place in the order of starts.
    ///
    /// # Panics
    /// There are not so many.
    #[must_use]
    pub fn execution(&self, place: usize) -> String {
        let executions = self.stand_in.step_functions().executions();
        let execution = executions
            .get(place)
            .unwrap_or_else(|| panic!("there is no execution {place}: {executions:?}"));
        execution.arn.clone()
    }

    /// What AWS was asked, as `service Operation`.
    #[must_use]
    pub fn requests(entries: &[Entry]) -> Vec<String> {
        let names = entries.iter().map(|entry| format!("{} {}", entry.service, entry.operation));
        names.collect()
    }

    /// The environment in which a function's own process serves this suite.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("AWS_ACCESS_KEY_ID", ACCOUNT.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT_URL", self.stand_in.endpoint()),
            ("BELLHOP_TABLE", self.settings.table.clone()),
            ("BELLHOP_BUCKET", self.settings.bucket.clone()),
            ("BELLHOP_TOPIC_ARN", self.settings.topic_arn.clone()),
        ];
        let optional = [
            ("BELLHOP_WAKE_TOPIC_ARN", &self.settings.wake_topic_arn),
            ("BELLHOP_TIMER_QUEUE_URL", &self.settings.timer_queue_url),
        ];
        all.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        all
    }

    /// The suite's bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.settings.bucket
    }
}
