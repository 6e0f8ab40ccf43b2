//! Events that start nothing: of others, of unknown builds, and pushes without a job to run.

use serde_json::json;

use super::inputs::{passes, sample};
use super::table::Table;
use crate::secrets;

impl Table<'_> {
    pub(super) async fn nothing_to_do(&self) -> anyhow::Result<()> {
        let task = sample("ecs/running.json")?;
        self.row("unknown", "a text", "push", json!("hello"), "skipped").await?;
        self.row("unknown", "an empty object", "task-state", json!({}), "skipped").await?;
        let mut broken = sample("codecommit/push.json")?;
        broken["detail"]["commitId"] = json!("main");
        self.row("unknown", "a push whose commit is none", "push", broken, "commitId")
            .await?;
        let mut broken = sample("codecommit/push.json")?;
        broken["detail"]["referenceFullName"] = json!("refs/heads/--upload-pack=$(touch x)");
        self.row("unknown", "a push to what is no branch", "push", broken, "refs/heads/NAME")
            .await?;
        for (what, input) in secrets::inputs(&task) {
            for function in ["push", "task-state", "build-state"] {
                // The build is not there either, which is as good.
                self.row("foreign", what, function, input.clone(), "").await?;
            }
        }
        let foreign = sample("codebuild/foreign.json")?;
        self.row("foreign", "a foreign build", "build-state", foreign, "skipped").await?;
        let build = sample("codebuild/succeeded.json")?;
        self.row("unknown-build", "a build's event", "build-state", build, "no such build")
            .await?;
        let state = sample("codepipeline/state-change.json")?;
        self.row("foreign", "a pipeline's change of state", "pipeline", state, "skipped")
            .await?;
        let foreign = sample("ecs/foreign-service.json")?;
        self.row("foreign", "a service's task", "task-state", foreign, "skipped").await?;
        let deleted = sample("codecommit/deleted-branch.json")?;
        self.row("foreign", "a deleted branch", "push", deleted, "skipped").await?;
        let test = sample("codecommit/trigger-test.json")?;
        self.row("foreign", "a test notification", "push", test, "skipped").await?;
        self.row("unknown-build", "a task's event", "task-state", task, "no such build")
            .await?;
        Ok(())
    }

    pub(super) async fn nothing_to_run(&self) -> anyhow::Result<()> {
        self.shop.git(["rm", "--quiet", ".bellhop.yaml"]).await?;
        let push = self.push("Remove the pipeline file").await?;
        self.row("no-file", "a push", "push", push, "no .bellhop.yaml").await?;
        self.write(&passes())?;
        let push = self.push("[skip ci] Add the pipeline file").await?;
        self.row("skip-token", "a push", "push", push, "asks to skip").await?;
        self.write("version: 1\njobs:\n  test: { agent: small, run: 'true', on: { push: { branches: [release/*] } } }\n")?;
        let push = self.push("Only for releases").await?;
        self.row("filtered", "a push to another branch", "push", push, "no job matches")
            .await?;
        self.write("version: 1\njobs:\n  test: { agent: small, run: 'true', on: { push: { paths: [src/**] } } }\n")?;
        self.push("Only for sources").await?;
        let before = self.head().await?;
        std::fs::write(self.shop.folder().join("notes.txt"), "Nothing in src\n")?;
        let mut push = self.push("Nothing in src").await?;
        push["detail"]["oldCommitId"] = json!(before);
        self.row("filtered", "a push of other files", "push", push, "no job matches")
            .await?;
        Ok(())
    }
}
