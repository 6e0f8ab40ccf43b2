//! What the sweeps, and the functions that they wake, repair after all rows: every build ends as its row says, and dead letters are handed back as an operator
//! would.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use xtask::functions::{FUNCTIONS, dead_letter_output};

use super::alarms::SERVICE;
use super::inputs::{carries, is_of};
use super::table::Table;

/// How long the sweeps may take to mend everything: what was left is taken up after a minute, and an agent is asked for a minute later.
const MENDED: Duration = Duration::from_secs(8 * 60);

/// How far the clock is turned between two sweeps, and how long agents have then for what they do.
const TURN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

impl Table<'_> {
    /// Sweeps until everything is mended, beside a record that no sweep can read; and then that one, once it is whole again.
    pub(super) async fn mend(&self, unreadable: Value) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut left = self.state.borrow().mending.len();
        println!("  ... sweeping until {left} builds are as the last column of the table says");
        loop {
            // Beside the unreadable record this is an error each time, and does its work all the same.
            let (_, answer) = self.stack.aws.invoke("bellhop-sweep", &json!({})).await?;
            self.state.borrow_mut().answers.push(answer.to_string());
            let told = self.stack.aws.receive(&self.queue).await?;
            for document in told.iter().filter(|document| document["kind"] == "run") {
                let run = document["run"].as_str().unwrap_or_default().to_owned();
                *self.state.borrow_mut().told.entry(run).or_default() += 1;
            }
            let open = self.open().await?;
            if open.is_empty() && told.is_empty() {
                break;
            }
            left = open.len();
            ensure!(
                begun.elapsed() < MENDED,
                "after {} s of sweeps {left} builds are not as expected:\n{}",
                MENDED.as_secs(),
                open.join("\n")
            );
            self.clock.borrow_mut().turn(TURN)?;
            tokio::time::sleep(PAUSE).await;
        }
        println!("  sweeps repaired what was left ({:.0} s)", begun.elapsed().as_secs_f64());
        self.stack.aws.put_item(self.stack.output("TableName")?, &unreadable).await?;
        self.row("clock", "a sweep, once the record is whole", "sweep", json!({}), "\"due\"")
            .await?;
        Ok(())
    }

    /// The builds that are not yet as they should be, and how they are.
    async fn open(&self) -> anyhow::Result<Vec<String>> {
        let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
        let tasks = self.stack.stand_in.ecs().tasks();
        let builds = self.stack.stand_in.codebuild().builds();
        let executions = self.stack.stand_in.step_functions().executions();
        let state = self.state.borrow();
        let mut open = Vec::new();
        for mending in &state.mending {
            let of_run: Vec<&Value> = items
                .iter()
                .filter(|item| item["pk"]["S"] == format!("RUN#{}", mending.run))
                .collect();
            let waits = of_run.iter().any(|item| item.get("due_shard").is_some());
            let status = of_run.iter().find(|item| item["sk"]["S"] == "RUN").map(|item| &item["status"]["S"]);
            let mine = format!("bellhop/{}/", mending.run);
            let agents = tasks
                .iter()
                .filter(|task| task.started_by.as_ref().is_some_and(|name| name.starts_with(&mine)));
            let agents = agents.count()
                + builds.iter().filter(|build| is_of(build, &mending.run)).count()
                + executions.iter().filter(|execution| carries(execution, &mending.run)).count();
            let (agents, told) = (agents, state.told.get(&mending.run).copied().unwrap_or_default());
            ensure!(
                agents <= mending.agents && told <= 1,
                "{}: {agents} agents instead of {}, told {told} times",
                mending.what,
                mending.agents
            );
            let as_it_should = !waits && status.is_some_and(|status| status == mending.status) && agents == mending.agents && told == 1;
            if !as_it_should {
                open.push(format!(
                    "{} (run {}): {status:?} instead of {}, {agents} agents instead of {}, told {told} times, waits: {waits}",
                    mending.what, mending.run, mending.status, mending.agents
                ));
            }
        }
        let backups = self.stack.stand_in.backup().jobs().len();
        ensure!(
            backups <= state.backups,
            "{backups} backup jobs instead of {}: one was started twice",
            state.backups
        );
        if backups < state.backups {
            open.push(format!("{backups} backup jobs instead of {}", state.backups));
        }
        let restarts = self.stack.stand_in.ecs().deployments("ci-main", SERVICE).saturating_sub(1);
        ensure!(
            restarts <= 1,
            "{SERVICE} was restarted {restarts} times for the alarm that it could not be restarted for at first"
        );
        if restarts == 0 {
            open.push(format!("{SERVICE} was not restarted for its alarm"));
        }
        for instance in self.stack.stand_in.ecs().instances() {
            if state.drained.contains(&instance.id) && instance.status != "DRAINING" {
                open.push(format!("instance {}: {} instead of DRAINING", instance.id, instance.status));
            }
        }
        for action in &state.actions {
            let action = self.stack.stand_in.codepipeline().action(action)?;
            if action.status != "Succeeded" {
                open.push(format!("an action of CodePipeline: {} instead of Succeeded", action.status));
            }
        }
        Ok(open)
    }

    /// Hands back what is in the dead-letter queues, as an operator would: every push starts its run, and everything else is known by then.
    pub(super) async fn hand_back(&self) -> anyhow::Result<()> {
        for function in FUNCTIONS {
            let letters = self
                .stack
                .aws
                .take_letters(self.stack.output(&dead_letter_output(function))?)
                .await?;
            // The clock goes on while a record is broken, and each sweep says so.
            let more: Vec<&Value> = letters
                .iter()
                .filter(|letter| !(function == "sweep" && letter.to_string().contains("a record cannot be read")))
                .collect();
            ensure!(more.is_empty(), "{function} left more dead letters than the table says: {more:?}");
        }
        let dead = std::mem::take(&mut self.state.borrow_mut().dead);
        for (function, event) in dead {
            let (key, expected) = match function {
                "push" => ("push", "\"builds\":1"),
                "pipeline" if event.to_string().contains("what is not valid JSON") => ("action-mistake", "refused"),
                "pipeline" => ("action", "\"builds\":1"),
                "alarm" => ("alarm", "done"),
                "backup" => ("backup", "\"suite-table\":\"started\""),
                _ => ("repeated", "result"),
            };
            self.row(key, "a dead letter, handed back", function, event, expected).await?;
        }
        Ok(())
    }
}
