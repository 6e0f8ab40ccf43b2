//! What becomes of agents: they run, exit, are warned and leave reports.

use serde_json::{Value, json};

use super::World;

// What happens to tasks, told to `task-state` at once.
impl World {
    /// A task starts.
    ///
    /// # Panics
    /// It cannot, or the handler gives an error.
    pub async fn runs(&self, task: &str) {
        self.task_events(&self.ecs().run(task).expect("the task can start")).await;
    }

    /// A task ends by itself.
    ///
    /// # Panics
    /// It cannot, or the handler gives an error.
    pub async fn exits(&self, task: &str, exit_code: i32) {
        self.task_events(&self.ecs().exit(task, exit_code).expect("the task can end")).await;
    }

    /// A task's Spot capacity is to be taken back.
    ///
    /// # Panics
    /// It cannot be, or the handler gives an error.
    pub async fn is_warned(&self, task: &str) {
        self.task_events(&self.ecs().warn(task).expect("the task is on Spot")).await;
    }

    /// A task's Spot capacity is gone.
    ///
    /// # Panics
    /// It cannot be, or the handler gives an error.
    pub async fn is_interrupted(&self, task: &str, exit_code: impl Into<Option<i32>>) {
        let events = self.ecs().interrupt(task, exit_code).expect("the task is not over");
        self.task_events(&events).await;
    }

    /// A build of CodeBuild comes to its commands, told to `build-state`.
    ///
    /// # Panics
    /// It cannot, or the handler gives an error.
    pub async fn build_runs(&self, build: &str) {
        self.build_events(&self.codebuild().run(build).expect("the build can start")).await;
    }

    /// A build of CodeBuild ends by itself, told to `build-state`.
    ///
    /// # Panics
    /// It cannot, or the handler gives an error.
    pub async fn build_exits(&self, build: &str, exit_code: i32) {
        self.build_events(&self.codebuild().exit(build, exit_code).expect("the build can end"))
            .await;
    }

    /// A task leaves a file of its checkout in the bucket, as an artifact of an attempt of the newest run.
    ///
    /// # Panics
    /// The attempt has no task.
    pub async fn leaves(&self, job: &str, attempt: u32, path: &str, text: &str) {
        let run = self.newest_run();
        let started_by = Some(format!("bellhop/{run}/{job}/{attempt}"));
        let task = self.ecs().tasks().into_iter().find(|task| task.started_by == started_by);
        let user = task.expect("the attempt has a task").user_id;
        let key = format!("runs/{run}/{user}/{job}/{attempt}/artifacts/{path}");
        self.local_aws.put(self.bucket(), &key, text).await;
    }

    /// A task's agent leaves its report in the bucket, where the task's environment says.
    ///
    /// # Panics
    /// There is no such task.
    pub async fn reports(&self, task: &str, report: &Value) {
        let task = self.ecs().task(task).expect("the task is there");
        let place = task.environment["BELLHOP_RESULT_URI"].replace("{identity}", &task.user_id);
        let key = place.strip_prefix(&format!("s3://{}/", self.bucket()));
        let key = key.expect("the report goes into the suite's bucket");
        self.local_aws.put(self.bucket(), key, &report.to_string()).await;
    }
}

/// What an agent reports whose script ended by itself.
#[must_use]
pub fn script_report(exit_code: i32) -> Value {
    json!({ "phase": "script", "exit-code": exit_code, "signalled": false })
}
