//! The table as the document has it, and what every row is tried with: [`Table::row`] gives an input to a function and compares the answer with its row,
//! [`Table::failing`] does the same with an input that comes into a dead-letter queue. Helpers that write the shop's files and wait for its events are here too.
//! A file for a source of events adds rows; none of its rows belongs here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bellhop_stand_in::{BuildView, ExecutionView, Fault, Rule, RuleId, TaskView, Times};
use jiff::Timestamp;
use serde_json::{Value, json};
use xtask::functions::dead_letter_output;

use super::inputs::{carries, is_of, run_of, sample};
use crate::clock::Clock;
use crate::shop::Shop;
use crate::stack::{CONFIG_KEY, Stack};

/// The table's heading.
const HEADING: &str = "## What is acknowledged, and what is retried";

/// How long what was invoked asynchronously may take through its retries into the dead-letter queue.
const DEAD_LETTER: Duration = Duration::from_secs(60);

/// How long the launch queue may be worked off: all of it is launched after seconds, and a function's turn ends with its minute.
const LAUNCHED: Duration = Duration::from_secs(75);

/// A row of the table, as the document has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The type of the error; none for a success.
    pub(super) error: Option<String>,
    /// Whether the event comes into the dead-letter queue.
    pub(super) dead_letter: bool,
}

/// A build that is to be at its end once the sweeps have mended what was left of it.
pub(super) struct Mending {
    pub(super) what: String,
    pub(super) run: String,
    pub(super) status: &'static str,
    /// How many agents it is to have had.
    pub(super) agents: usize,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) tried: BTreeSet<String>,
    pub(super) answers: Vec<String>,
    /// What is known to be in dead-letter queues: the function and the event.
    pub(super) dead: Vec<(&'static str, Value)>,
    pub(super) mending: Vec<Mending>,
    /// How often each run's end was told.
    pub(super) told: BTreeMap<String, usize>,
    /// Actions of CodePipeline that are to succeed once their runs have.
    pub(super) actions: Vec<String>,
    /// How many backup jobs there are to be.
    pub(super) backups: usize,
    /// Instances that are to be drained.
    pub(super) drained: Vec<String>,
}

pub(super) struct Table<'a> {
    pub(super) stack: &'a Stack,
    pub(super) clock: RefCell<Clock>,
    pub(super) shop: Shop,
    pub(super) queue: String,
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) state: RefCell<State>,
}

impl Table<'_> {
    /// Gives an input to a function, and holds its answer against the row in the document. `part` is what the answer has to hold.
    pub(super) async fn row(&self, key: &str, what: &str, function: &str, input: Value, part: &str) -> anyhow::Result<Value> {
        let row = self.documented(key)?;
        let (error, answer) = self.stack.aws.invoke(&format!("bellhop-{function}"), &input).await?;
        let text = answer.to_string();
        let kind = error.then(|| answer["errorType"].as_str().unwrap_or_default());
        ensure!(
            kind == row.error.as_deref() && text.contains(part),
            "row {key}, {what}: expected {function} to return {} with {part:?}, got {text}",
            row.error.as_deref().unwrap_or("success")
        );
        println!("  {key:<17} {what}: {}", row.error.as_deref().unwrap_or("success"));
        let mut state = self.state.borrow_mut();
        state.tried.insert(key.to_owned());
        state.answers.push(text);
        Ok(answer)
    }

    /// The same for an input that fails; and then what Lambda's further tries, with the fault still there, lead to: the dead-letter queue, or success.
    pub(super) async fn failing(&self, key: &str, what: &str, function: &'static str, input: Value, part: &str) -> anyhow::Result<()> {
        self.row(key, what, function, input.clone(), part).await?;
        if !self.documented(key)?.dead_letter {
            let (error, answer) = self.stack.aws.invoke(&format!("bellhop-{function}"), &input).await?;
            ensure!(!error, "row {key}, {what}: the second try should have been acknowledged: {answer}");
            println!("  {key:<17} {what}, the second try: success");
            return Ok(());
        }
        self.stack.aws.invoke_later(&format!("bellhop-{function}"), &input).await?;
        let queue = self.stack.output(&dead_letter_output(function))?;
        let begun = Instant::now();
        let letter = loop {
            let mut letters = self.stack.aws.take_letters(queue).await?;
            if let Some(letter) = letters.pop() {
                ensure!(letters.is_empty(), "row {key}, {what}: more than one dead letter");
                break letter;
            }
            if begun.elapsed() > DEAD_LETTER {
                bail!("row {key}, {what}: the event did not reach the dead-letter queue of {function}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        ensure!(
            letter["requestPayload"] == input,
            "row {key}, {what}: the dead letter has another event: {letter}"
        );
        println!("  {key:<17} {what}: its dead-letter queue");
        let mut state = self.state.borrow_mut();
        state.answers.push(letter["responsePayload"].to_string());
        state.dead.push((function, input));
        Ok(())
    }

    fn documented(&self, key: &str) -> anyhow::Result<&Row> {
        self.rows
            .get(key)
            .with_context(|| format!("the table in docs/explanation/architecture.md has no row {key}"))
    }

    /// A run that is to have ended like this once the sweeps are done.
    pub(super) fn mended(&self, what: &str, run: &str, status: &'static str, agents: usize) {
        self.state.borrow_mut().mending.push(Mending {
            what: what.to_owned(),
            run: run.to_owned(),
            status,
            agents,
        });
    }

    pub(super) fn inject(&self, function: &str, service: &str, operation: &str, fault: Fault, times: Times) -> RuleId {
        let rule = Rule::new(service, operation, fault)
            .times(times)
            .caller(&format!("bellhop-{function}"));
        self.stack.stand_in.faults().inject(rule)
    }

    /// Replaces the suite configuration by one with these sections beside its agent.
    pub(super) async fn configure_with(&self, sections: &str) -> anyhow::Result<()> {
        let agent = "small: { ecs: { cluster: ci-main, task-definition: bellhop-agent-small, subnets: [s] } }";
        let text = format!("version: 1\nagents:\n  {agent}\n{sections}");
        self.stack.aws.put_object(self.stack.output("BucketName")?, CONFIG_KEY, text).await
    }

    /// A push whose files are refused: a run that is told of once, and no agent.
    pub(super) async fn rejected(&self, key: &str, part: &str) -> anyhow::Result<()> {
        let push = self.push(part).await?;
        let answer = self.row(key, "a push", "push", push, part).await?;
        let run = run_of(&answer)?;
        ensure!(answer[0]["rejected"].is_string(), "row {key}: {answer}");
        self.mended(part, &run, "rejected", 0);
        Ok(())
    }

    /// A push that starts a run, whose id is given.
    pub(super) async fn start(&self, message: &str) -> anyhow::Result<String> {
        let push = self.push(message).await?;
        run_of(&self.row("push", message, "push", push, "\"builds\":1").await?)
    }

    /// A run whose agent has come to its end, which no function was told of yet. Gives the run and the last event.
    pub(super) async fn ended_build(&self, message: &str) -> anyhow::Result<(String, Value)> {
        let run = self.start(message).await?;
        let event = self.events_of(&run).await?.pop().context("a task without events")?;
        Ok((run, event))
    }

    /// A push whose launch meets a fault: the function succeeds, and the build's record says the rest. Gives the run.
    pub(super) async fn launch(&self, key: &str, what: &str, fault: Fault, status: &str) -> anyhow::Result<String> {
        self.launch_queue_is_free().await?;
        let push = self.push(what).await?;
        let rule = self.inject("push", "ecs", "RunTask", fault, Times::Always);
        let started = self.row(key, what, "push", push, "\"builds\":1").await?;
        self.stack.stand_in.faults().remove(rule);
        let run = run_of(&started)?;
        let build = self.build(&run).await?;
        ensure!(
            build["status"]["S"] == status,
            "{what}: the build should be {status}, but is {}",
            build["status"]["S"]
        );
        Ok(run)
    }

    /// Waits until what was throttled in an earlier row has left the launch queue, and no function has its turn any more: a launch would join it.
    async fn launch_queue_is_free(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
            let queued = items.iter().filter(|item| item["due_shard"]["S"] == "launch").count();
            let launcher = items.iter().find(|item| item["sk"]["S"] == "LAUNCHER");
            let turn = launcher.and_then(|item| item["doc"]["S"].as_str());
            if queued == 0 && turn.is_none_or(|turn| turn.contains("\"until\":\"1970-01-01")) {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < LAUNCHED,
                "the launch queue is still worked off: {turn:?}, with {queued} builds"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A run's build, as the table has it.
    pub(super) async fn build(&self, run: &str) -> anyhow::Result<Value> {
        let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
        let mut items = items.into_iter();
        let build = items.find(|item| item["pk"]["S"] == format!("RUN#{run}") && item["sk"]["S"] == "BUILD#test");
        build.with_context(|| format!("the build of run {run} is not in the ledger"))
    }

    /// The run that was stored last.
    pub(super) async fn newest_run(&self) -> anyhow::Result<String> {
        let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
        let runs = items.iter().filter(|item| item["sk"]["S"] == "RUN");
        let newest = runs.max_by_key(|item| item["list_at"]["S"].as_str().unwrap_or_default().to_owned());
        let key = newest.and_then(|item| item["pk"]["S"].as_str()?.strip_prefix("RUN#").map(ToOwned::to_owned));
        key.context("there is no run")
    }

    /// The task of an attempt, once it is like this.
    pub(super) async fn task_of(&self, run: &str, attempt: u32, like_this: impl Fn(&TaskView) -> bool) -> anyhow::Result<String> {
        let name = format!("bellhop/{run}/test/{attempt}");
        let fits = |task: &&TaskView| task.started_by.as_deref() == Some(&name) && like_this(task);
        let find = |tasks: &[TaskView]| tasks.iter().find(fits).map(|task| task.arn.clone());
        self.stack.stand_in.ecs().wait_for(Duration::from_secs(30), find).await
    }

    /// The events of a run's first task, from up to ended, once it has ended.
    pub(super) async fn events_of(&self, run: &str) -> anyhow::Result<Vec<Value>> {
        let task = self.task_of(run, 1, |task| task.last_status == "STOPPED").await?;
        let wanted = |event: &Value| {
            ["RUNNING", "DEPROVISIONING", "STOPPED"]
                .iter()
                .any(|status| event["detail"]["lastStatus"] == *status)
        };
        Ok(self.stack.stand_in.ecs().events_of(&task).into_iter().filter(wanted).collect())
    }

    /// The events of a run's build on CodeBuild that a rule lets through, once it has ended.
    pub(super) async fn build_events_of(&self, run: &str) -> anyhow::Result<Vec<Value>> {
        let codebuild = self.stack.stand_in.codebuild();
        let fits = |build: &&BuildView| is_of(build, run) && build.ended_at.is_some();
        let find = |builds: &[BuildView]| builds.iter().find(fits).map(|build| build.id.clone());
        let build = codebuild.wait_for(Duration::from_secs(30), find).await?;
        let wanted = |event: &Value| match event["detail"]["completed-phase"].as_str() {
            Some(phase) => phase == "PROVISIONING",
            None => true,
        };
        Ok(codebuild.events_of(&build).into_iter().filter(wanted).collect())
    }

    /// The ARN of a run's execution on Step Functions, once it was started.
    pub(super) async fn execution_of(&self, run: &str) -> anyhow::Result<String> {
        let fits = |execution: &&ExecutionView| carries(execution, run);
        let find = |executions: &[ExecutionView]| executions.iter().find(fits).map(|execution| execution.arn.clone());
        let step_functions = self.stack.stand_in.step_functions();
        step_functions.wait_for(Duration::from_secs(30), find).await
    }

    /// The event that says first that a task has this status.
    pub(super) fn event_of(&self, task: &str, status: &str) -> anyhow::Result<Value> {
        let mut events = self.stack.stand_in.ecs().events_of(task).into_iter();
        let event = events.find(|event| event["detail"]["lastStatus"] == status);
        event.with_context(|| format!("no event of {task} being {status}"))
    }

    pub(super) fn last_event(&self, task: &str) -> anyhow::Result<Value> {
        self.stack.stand_in.ecs().events_of(task).pop().context("a task without events")
    }

    pub(super) fn write(&self, pipeline: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.shop.folder().join(".bellhop.yaml"), pipeline)?)
    }

    pub(super) async fn head(&self) -> anyhow::Result<String> {
        Ok(self.shop.git(["rev-parse", "HEAD"]).await?.trim().to_owned())
    }

    /// Commits and pushes what stands in the clone. Gives the event that tells of it.
    pub(super) async fn push(&self, message: &str) -> anyhow::Result<Value> {
        self.shop.git(["add", "--all"]).await?;
        self.shop.git(["commit", "--quiet", "--allow-empty", "--message", message]).await?;
        self.shop.push().await?;
        let mut event = sample("codecommit/push.json")?;
        event["id"] = json!(format!("{}-{}", Timestamp::now().as_nanosecond(), message.len()));
        event["detail"]["commitId"] = json!(self.head().await?);
        event["detail"]["referenceName"] = json!("main");
        event["detail"]["referenceFullName"] = json!("refs/heads/main");
        Ok(event)
    }
}

/// The rows of the table in the document, by their keys.
pub(super) fn rows_of(text: &str) -> anyhow::Result<BTreeMap<String, Row>> {
    let (_, section) = text.split_once(HEADING).with_context(|| format!("no heading {HEADING:?}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [key, _, answer, dead_letter, _] = cells.as_slice() else {
            bail!("a row with the wrong number of columns: {line}");
        };
        let error = match *answer {
            "success" => None,
            "error `Transient`" => Some("Transient".to_owned()),
            "error `Permanent`" => Some("Permanent".to_owned()),
            other => bail!("a row has the unknown answer {other:?}: {line}"),
        };
        let dead_letter = match *dead_letter {
            "yes" => true,
            "no" => false,
            other => bail!("a row's dead letter is {other:?}: {line}"),
        };
        ensure!(error.is_some() || !dead_letter, "a success cannot have a dead letter: {line}");
        let key = key.trim_matches('`').to_owned();
        ensure!(
            rows.insert(key, Row { error, dead_letter }).is_none(),
            "a row is there twice: {line}"
        );
    }
    ensure!(!rows.is_empty(), "the table has no rows");
    Ok(rows)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn table(rows: &str) -> anyhow::Result<BTreeMap<String, Row>> {
        rows_of(&format!(
            "# A\n\n{HEADING}\n\n| row | input | answer | dead letter | sweep |\n|---|---|---|---|---|\n{rows}\n\n## B\n\n| `z` | |\n"
        ))
    }

    #[test]
    fn the_tables_rows_are_read() {
        let rows = table("| `a` | x | success | no | nothing |\n| `b-c` | x | error `Transient` | yes | it |").unwrap();
        let transient = Row {
            error: Some("Transient".to_owned()),
            dead_letter: true,
        };
        assert_eq!(rows.keys().collect::<Vec<_>>(), ["a", "b-c"]);
        assert_eq!(rows.get("b-c"), Some(&transient));
    }

    #[test]
    fn a_table_that_is_not_understood_is_an_error() {
        for rows in [
            "",
            "| `a` | x | success | no |",
            "| `a` | x | well | no | y |",
            "| `a` | x | success | maybe | y |",
            "| `a` | x | success | yes | y |",
            "| `a` | x | success | no | y |\n| `a` | x | success | no | y |",
        ] {
            assert!(table(rows).is_err(), "{rows}");
        }
        assert!(rows_of("# no such heading").is_err());
    }
}
