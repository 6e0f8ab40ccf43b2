//! Actions of CodePipeline.

use anyhow::ensure;
use bellhop_stand_in::{Fault, InvokeAction, Times};
use serde_json::json;

use super::inputs::run_of;
use super::table::Table;
use crate::secrets;

impl Table<'_> {
    /// Actions of CodePipeline.
    pub(super) async fn actions(&self) -> anyhow::Result<()> {
        let codepipeline = self.stack.stand_in.codepipeline();
        let begin = |parameters: &str| {
            let action = codepipeline.start(InvokeAction::new("bellhop-pipeline").user_parameters(parameters))?;
            anyhow::Ok((action.id.clone(), codepipeline.event(&action.id)?))
        };
        self.push("For an action").await?;
        let (action, event) = begin(r#"{"repository":"shop","job":"test"}"#)?;
        let started = self
            .row("action", "a job of an action", "pipeline", event.clone(), "\"builds\":1")
            .await?;
        self.row("repeated", "the same job again", "pipeline", event, "\"again\":true")
            .await?;
        self.mended("a run that an action waits for", &run_of(&started)?, "succeeded", 1);
        self.state.borrow_mut().actions.push(action);

        let (action, event) = begin(r#"{"repository":"shop","job":"tset"}"#)?;
        let rejected = self
            .row(
                "action",
                "an action that asks for a job that is not there",
                "pipeline",
                event,
                "tset",
            )
            .await?;
        self.mended("a run that was rejected for an action", &run_of(&rejected)?, "rejected", 0);
        ensure!(codepipeline.action(&action)?.status == "Failed", "the action should have failed");
        for parameters in [
            r#"{"repository":"shop","jop":"test"}"#,
            r#"{"repository":"barn","job":"test"}"#,
            secrets::OF_CODEBUILD,
        ] {
            let (action, event) = begin(parameters)?;
            self.row("action-mistake", "parameters that are wrong", "pipeline", event, "refused")
                .await?;
            ensure!(codepipeline.action(&action)?.status == "Failed", "the action should have failed");
        }
        for (what, input) in secrets::inputs(&json!({}))
            .into_iter()
            .filter(|(_, input)| input.get("CodePipeline.job").is_some())
        {
            self.row("action-mistake", what, "pipeline", input, "refused").await?;
        }
        let (_, event) = begin("what is not valid JSON")?;
        let throttled = self.inject("pipeline", "codepipeline", "*", Fault::Throttle, Times::Always);
        self.failing("action-unanswered", "a throttle of CodePipeline", "pipeline", event, "answer job")
            .await?;
        self.stack.stand_in.faults().remove(throttled);

        let (_, event) = begin(r#"{"repository":"shop","job":"test"}"#)?;
        let throttled = self.inject("pipeline", "codecommit", "*", Fault::Throttle, Times::Always);
        self.failing("action-unstarted", "a throttle of CodeCommit", "pipeline", event, "failed to")
            .await?;
        self.stack.stand_in.faults().remove(throttled);
        Ok(())
    }
}
