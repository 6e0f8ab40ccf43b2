//! Events of agents, which are tasks of ECS, builds of CodeBuild and executions of Step Functions, and faults between an event and what follows from it.

use anyhow::{Context as _, ensure};
use bellhop_stand_in::{Fault, Times};
use serde_json::{Value, json};

use super::inputs::{fails, on_codebuild, on_step_functions, passes, permanent, run_of, sample, transient};
use super::table::Table;
use crate::secrets;
use crate::stack::CONFIGURATION;

impl Table<'_> {
    pub(super) async fn ordinary(&self) -> anyhow::Result<()> {
        self.write(&passes())?;
        let push = self.push("Build").await?;
        let started = self.row("push", "a push", "push", push.clone(), "\"builds\":1").await?;
        self.row("repeated", "the same push again", "push", push, "\"again\":true").await?;
        let run = run_of(&started)?;
        let events = self.events_of(&run).await?;
        for event in &events {
            self.row("agent", "an event of its task", "task-state", event.clone(), "result")
                .await?;
        }
        let last = events.last().context("a task without events")?.clone();
        self.row("repeated", "the same event again", "task-state", last, "ignored").await?;
        self.mended("an ordinary build", &run, "succeeded", 1);
        self.not_believed(&run).await?;

        self.write(&fails())?;
        let run = self.start("A failing job").await?;
        for event in self.events_of(&run).await? {
            self.row("agent", "an event of its task", "task-state", event, "result").await?;
        }
        self.mended("a failed build", &run, "failed", 1);

        self.write(&passes())?;
        // The replacement is done before the first agent's end is known.
        let run = self.start("Interrupted").await?;
        let first = self.task_of(&run, 1, |task| task.last_status == "STOPPED").await?;
        let warning = sample("ecs/spot-warning.json")?;
        let mut event = self.event_of(&first, "RUNNING")?;
        for field in ["desiredStatus", "stopCode", "stoppedReason"] {
            event["detail"][field] = warning["detail"][field].clone();
        }
        self.row("agent", "a Spot warning", "task-state", event, "interrupted").await?;
        let second = self.task_of(&run, 2, |task| task.last_status == "STOPPED").await?;
        self.row(
            "agent",
            "the end of the replacement",
            "task-state",
            self.last_event(&second)?,
            "done",
        )
        .await?;
        let stops = self.stack.stand_in.journal().of("ecs", "StopTask");
        ensure!(!stops.is_empty(), "the first agent should have been stopped");
        self.mended("an interrupted build", &run, "succeeded", 2);

        for (what, event) in [("a sweep", "schedule/sweep.json"), ("a timer", "schedule/timers.json")] {
            self.row("clock", what, "sweep", sample(event)?, "\"due\"").await?;
        }
        self.write("version: 1\njobs:\n  test: { agent: small, run: sleep 100, timeout: 1s }\n")?;
        let run = self.start("Too slow").await?;
        let task = self.task_of(&run, 1, |task| task.last_status == "RUNNING").await?;
        self.row("agent", "an event of its task", "task-state", self.last_event(&task)?, "running")
            .await?;
        self.mended("a build that takes too long", &run, "timed-out", 1);

        self.write(&format!(
            "version: 1\njobs:\n  test: {{ agent: small, run: 'true # {}' }}\n",
            "x".repeat(8000)
        ))?;
        let run = self.start("A script that is too long for ECS").await?;
        self.mended("a build of a long script", &run, "succeeded", 1);

        // An agent that was killed leaves no report, and the message depends on how the last run ended.
        self.write("version: 1\njobs:\n  test: { agent: small, run: 'kill -KILL $PPID' }\n")?;
        self.configure_with("notify: { successes: changes }\n").await?;
        let (run, event) = self.ended_build("Killed").await?;
        self.row("agent", "the end of an agent without a report", "task-state", event, "done")
            .await?;
        self.mended("a build without a report", &run, "failed", 1);
        let run = self.start("Killed and unheard of").await?;
        self.mended("a build without a report whose every event is lost", &run, "failed", 1);
        self.stack.configure(CONFIGURATION).await?;

        self.write(&passes())?;
        let run = self.start("Unheard of").await?;
        self.mended("a build whose every event is lost", &run, "succeeded", 1);
        Ok(())
    }

    /// Events that are none about an agent of the suite's.
    async fn not_believed(&self, run: &str) -> anyhow::Result<()> {
        let task = self.task_of(run, 1, |task| task.last_status == "STOPPED").await?;
        let mut event = self.event_of(&task, "RUNNING")?;
        event["detail"]["taskArn"] = json!(format!("{task}0"));
        let mut from_elsewhere = event.clone();
        from_elsewhere["account"] = json!("210987654321");
        self.row(
            "agent-misfit",
            "from another account",
            "task-state",
            from_elsewhere,
            "another account",
        )
        .await?;
        let throttled = self.inject("task-state", "ecs", "DescribeTasks", Fault::Throttle, Times::Always);
        self.failing(
            "agent-unasked",
            "a throttle of ECS, asked for a task that the build does not know",
            "task-state",
            event.clone(),
            "describe tasks",
        )
        .await?;
        self.stack.stand_in.faults().remove(throttled);
        self.row("agent-unproven", "of a task that does not exist", "task-state", event, "not proven")
            .await?;
        Ok(())
    }

    /// Agents on CodeBuild.
    pub(super) async fn on_codebuild(&self) -> anyhow::Result<()> {
        self.write(&on_codebuild())?;
        let run = self.start("On CodeBuild").await?;
        for event in self.build_events_of(&run).await? {
            self.row("agent", "an event of its build on CodeBuild", "build-state", event, "result")
                .await?;
        }
        self.mended("a build on CodeBuild", &run, "succeeded", 1);

        let run = self.start("Without its environment").await?;
        let mut event = self.build_events_of(&run).await?.pop().context("a build without events")?;
        if let Some(detail) = event["detail"].as_object_mut() {
            detail.remove("additional-information");
        }
        let throttled = self.inject("build-state", "codebuild", "BatchGetBuilds", Fault::Throttle, Times::Always);
        self.failing(
            "unnamed-unasked",
            "a throttle of CodeBuild",
            "build-state",
            event.clone(),
            "describe builds",
        )
        .await?;
        self.stack.stand_in.faults().remove(throttled);
        self.row("unnamed", "an event without its environment", "build-state", event, "done")
            .await?;
        self.mended("a build that was looked up", &run, "succeeded", 1);

        let run = self.start("Unheard of on CodeBuild").await?;
        self.mended("a build on CodeBuild whose every event is lost", &run, "succeeded", 1);
        self.write(&passes())
    }

    /// Agents on Step Functions, whose state machine does nothing by itself.
    pub(super) async fn on_step_functions(&self) -> anyhow::Result<()> {
        let step_functions = self.stack.stand_in.step_functions();
        let machine = step_functions.create_state_machine("bellhop-agent-release");
        let agent = format!("  release: {{ step-functions: {{ state-machine: {machine} }} }}\n");
        self.configure_with(&format!("{agent}notify: {{ successes: all }}\n")).await?;
        self.write(&on_step_functions())?;
        let run = self.start("On Step Functions").await?;
        let execution = self.execution_of(&run).await?;
        step_functions.succeed(&execution)?;
        for event in step_functions.events_of(&execution) {
            self.row("agent", "an event of its execution", "build-state", event, "result")
                .await?;
        }
        self.mended("a build on Step Functions", &run, "succeeded", 1);

        // A failure without its cause is looked up.
        let run = self.start("Failed on Step Functions").await?;
        let execution = self.execution_of(&run).await?;
        let mut event = step_functions
            .fail(&execution, "Release.Refused", "no")?
            .pop()
            .context("an execution without events")?;
        for field in ["error", "cause"] {
            event["detail"][field].take();
        }
        let throttled = self.inject("build-state", "states", "DescribeExecution", Fault::Throttle, Times::Always);
        self.failing(
            "unnamed-unasked",
            "a throttle of Step Functions",
            "build-state",
            event.clone(),
            "describe execution",
        )
        .await?;
        self.stack.stand_in.faults().remove(throttled);
        self.row("unnamed", "a failure without its cause", "build-state", event, "done")
            .await?;
        self.mended("an execution that was looked up", &run, "failed", 1);

        let run = self.start("Without its events on Step Functions").await?;
        step_functions.succeed(&self.execution_of(&run).await?)?;
        self.mended("a build on Step Functions whose every event is lost", &run, "succeeded", 1);
        self.write(&passes())?;
        self.stack.configure(CONFIGURATION).await
    }

    pub(super) async fn conflicts(&self) -> anyhow::Result<()> {
        let conflict = || Fault::Error {
            status: 400,
            code: "ConditionalCheckFailedException".to_owned(),
            message: "The conditional request failed".to_owned(),
        };
        let (run, event) = self.ended_build("Written by somebody else meanwhile").await?;
        let rule = self.inject("task-state", "dynamodb", "PutItem", conflict(), Times::Next(2));
        self.row("conflict", "two conflicts", "task-state", event, "done").await?;
        ensure!(
            self.stack.stand_in.faults().fired(rule) == 2,
            "there should have been two conflicts"
        );
        self.mended("a build decided again", &run, "succeeded", 1);

        let (run, event) = self.ended_build("Written by others all the time").await?;
        let rule = self.inject("task-state", "dynamodb", "PutItem", conflict(), Times::Always);
        self.failing(
            "conflicts",
            "nothing but conflicts",
            "task-state",
            event,
            "write conflicts in a row",
        )
        .await?;
        self.stack.stand_in.faults().remove(rule);
        self.mended("a build that others kept writing", &run, "succeeded", 1);
        Ok(())
    }

    /// Before anything is decided about an agent's event, the sweep asks ECS for what the event would have told.
    pub(super) async fn faults_of_an_event(&self) -> anyhow::Result<()> {
        for (what, fault) in transient() {
            let (run, event) = self.ended_build(what).await?;
            let rule = self.inject("task-state", "dynamodb", "GetItem", fault, Times::Always);
            let what = format!("dynamodb: {what}");
            if what.ends_with("5xx") {
                self.failing("agent-ledger", &what, "task-state", event, "failed to").await?;
            } else {
                self.row("agent-ledger", &what, "task-state", event, "failed to").await?;
            }
            self.stack.stand_in.faults().remove(rule);
            self.mended(&what, &run, "succeeded", 1);
        }
        self.write(&fails())?;
        let (run, event) = self.ended_build("The agent's report cannot be read").await?;
        let rule = self.inject("task-state", "s3", "GetObject", Fault::ServerError, Times::Always);
        self.failing("agent-bucket", "s3: a 5xx", "task-state", event, "failed to read")
            .await?;
        self.stack.stand_in.faults().remove(rule);
        self.mended("a report that could not be read", &run, "failed", 1);
        self.write(&passes())?;

        let (run, event) = self.ended_build("No permission to read").await?;
        let rule = self.inject(
            "task-state",
            "dynamodb",
            "GetItem",
            permanent("AccessDeniedException"),
            Times::Always,
        );
        self.failing(
            "agent-permanent",
            "dynamodb: AccessDeniedException",
            "task-state",
            event,
            "AccessDenied",
        )
        .await?;
        self.stack.stand_in.faults().remove(rule);
        self.mended("a missing permission that was given", &run, "succeeded", 1);
        Ok(())
    }

    /// What was decided is stored with its effects: Lambda's next try finds nothing new, and the sweep performs them.
    pub(super) async fn faults_of_an_effect(&self) -> anyhow::Result<()> {
        for (what, fault) in transient() {
            // A throttle of RunTask is an answer, not a fault.
            if what != "a throttle" {
                self.lost_launch(what, fault).await?;
            }
        }
        self.lost_launch("every reply lost", Fault::LoseReply).await?;

        let denied = ("AuthorizationError", permanent("AuthorizationError"));
        let permanent_first = transient()
            .into_iter()
            .map(|fault| ("tell", fault))
            .chain([("tell-permanent", denied)]);
        for (key, (what, fault)) in permanent_first {
            let (run, event) = self.ended_build(what).await?;
            let rule = self.inject("task-state", "sns", "Publish", fault, Times::Always);
            let what = format!("sns: {what}");
            self.failing(key, &what, "task-state", event, "failed to publish").await?;
            self.stack.stand_in.faults().remove(rule);
            self.mended(&what, &run, "succeeded", 1);
        }
        for (what, fault) in transient() {
            let (run, event) = self.ended_build(what).await?;
            let rule = self.inject("task-state", "s3", "PutObject", fault, Times::Always);
            let what = format!("s3: {what}");
            self.failing("report", &what, "task-state", event, "failed to write").await?;
            self.stack.stand_in.faults().remove(rule);
            self.mended(&what, &run, "succeeded", 1);
        }
        Ok(())
    }

    /// A record that cannot be read. Gives the item as it was.
    pub(super) async fn unreadable(&self) -> anyhow::Result<Value> {
        let (run, event) = self.ended_build("A record that is broken").await?;
        let item = self.build(&run).await?;
        let mut broken = item.clone();
        // With a secret where no text should be: the error must not repeat it.
        let mut document: Value = serde_json::from_str(item["doc"]["S"].as_str().unwrap_or_default())?;
        document["spec"]["environment"] = json!(secrets::OF_THE_JOB);
        broken["doc"]["S"] = json!(document.to_string());
        broken["due_at"]["N"] = json!("1");
        self.stack.aws.put_item(self.stack.output("TableName")?, &broken).await?;
        self.failing("unreadable", "an event of its agent", "task-state", event, "cannot be read")
            .await?;
        self.row("unreadable", "a sweep", "sweep", sample("schedule/sweep.json")?, "cannot be read")
            .await?;
        Ok(item)
    }
}
