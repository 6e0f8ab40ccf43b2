//! The kill test: functions are killed with SIGKILL at random moments while they carry builds, and nothing may be lost or doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bellhop_stand_in::TaskView;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::Command;

use crate::clock::Clock;
use crate::requests;
use crate::shop::Shop;
use crate::stack::Stack;
use xtask::functions::{FUNCTIONS, dead_letter_output};
use xtask::workspace::{root, run_silently, spinner};

/// How long everything may take: the sweep comes once a minute, and takes up what was left a minute before.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The longest pause between two kills: long enough for a function to come to its work on a busy machine.
const PAUSE_MS: u64 = 500;
/// How far the clock is turned in each round after the killing.
const TURN: Duration = Duration::from_secs(2);
/// Every so many tasks on Spot one is taken back.
const RECLAIM_ONE_IN: u32 = 4;

/// Pushes to so many branches at once, one build each, kills so many function processes at random moments, and waits until everything is at rest.
///
/// # Errors
/// A build was lost or doubled, or something is still pending at the end.
pub(crate) async fn run(builds: usize, kills: u32) -> anyhow::Result<()> {
    let mut clock = Clock::start()?;
    let stack = Stack::start("INFO").await?;
    let queue = stack.aws.subscribe_queue(stack.output("TopicArn")?, "bellhop-kill").await?;
    let shop = Shop::create(&stack).await?;
    let pipeline = "version: 1\njobs:\n  test:\n    agent: small\n    run: sleep $((RANDOM % 16 + 2))\n    queue-timeout: 30m\n";
    std::fs::write(shop.folder().join(".bellhop.yaml"), pipeline)?;
    shop.commit("Sleep a little").await?;
    shop.push_to_branches(builds).await?;

    let begun = Instant::now();
    let bar = spinner(&format!("{builds} builds, {kills} kills"));
    let mut world = World {
        stack: &stack,
        killed: 0,
        considered: BTreeSet::new(),
        reclaimed: 0,
        redriven: 0,
        told: BTreeMap::new(),
    };
    loop {
        world.reclaim_some()?;
        if world.killed < kills {
            world.kill_one().await?;
        }
        world.take_messages(&queue).await?;
        let told = world.told.len();
        bar.set_message(format!(
            "{told} runs with messages, {} kills, {} redriven",
            world.killed, world.redriven
        ));
        if told == builds && world.killed >= kills && stack.is_at_rest().await? {
            break;
        }
        // After the killing the operator redrives what Lambda gave up, and nobody waits for the sweep's minutes.
        if world.killed >= kills {
            world.redrive().await?;
            clock.turn(TURN)?;
        }
        if begun.elapsed() > PATIENCE {
            let records = world.records().await?;
            bail!(
                "after {} s {told} of {builds} runs had messages, with {} kills; the ledger:\n{}\nministack:\n{}",
                PATIENCE.as_secs(),
                world.killed,
                records.join("\n"),
                stack.log_tail(60)
            );
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(PAUSE_MS / 10..=PAUSE_MS))).await;
    }
    bar.finish_and_clear();
    world.judge(builds).await?;
    requests::record(&stack, "kill").await?;
    println!(
        "{builds} builds, {} kills, {} Spot reclaims, {} events redriven from dead-letter queues: nothing lost, nothing doubled ({:.0} s).",
        world.killed,
        world.reclaimed,
        world.redriven,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

struct World<'a> {
    stack: &'a Stack,
    killed: u32,
    /// Spot tasks that were considered for a reclaim.
    considered: BTreeSet<String>,
    reclaimed: u32,
    redriven: u32,
    /// The final statuses told of each run.
    told: BTreeMap<String, BTreeSet<String>>,
}

impl World<'_> {
    /// Kills a function process of ministack's, whichever, if there is one.
    async fn kill_one(&mut self) -> anyhow::Result<()> {
        let output = Command::new("ps").args(["-A", "-o", "pid=,ppid=,comm="]).output().await;
        let output = output.context("ps is needed to find the functions' processes")?;
        let ministack = self.stack.ministack_id().to_string();
        let table = String::from_utf8_lossy(&output.stdout);
        let functions: Vec<i32> = table
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (id, parent, name) = (words.next()?, words.next()?, words.next()?);
                (parent == ministack && name.ends_with("bootstrap")).then(|| id.parse().ok())?
            })
            .collect();
        if let Some(id) = functions.get(fastrand::usize(0..functions.len().max(1))) {
            // An error says that it has just ended by itself.
            if kill(Pid::from_raw(*id), Signal::SIGKILL).is_ok() {
                self.killed += 1;
            }
        }
        Ok(())
    }

    /// Takes back the capacity of some running Spot tasks.
    fn reclaim_some(&mut self) -> anyhow::Result<()> {
        for task in self.stack.stand_in.ecs().tasks() {
            let runs_on_spot = task.last_status == "RUNNING" && task.desired_status == "RUNNING" && task.capacity == "FARGATE_SPOT";
            if runs_on_spot && self.considered.insert(task.arn.clone()) && fastrand::u32(0..RECLAIM_ONE_IN) == 0 {
                self.stack.stand_in.ecs().reclaim_spot(&task.arn)?;
                self.reclaimed += 1;
            }
        }
        Ok(())
    }

    async fn take_messages(&mut self, queue: &str) -> anyhow::Result<()> {
        for document in self.stack.aws.receive(queue).await? {
            if let (Some("run"), Some(run), Some(status)) =
                (document["kind"].as_str(), document["run"].as_str(), document["status"].as_str())
            {
                self.told.entry(run.to_owned()).or_default().insert(status.to_owned());
            }
        }
        Ok(())
    }

    /// Hands back what Lambda gave up, as an operator would.
    async fn redrive(&mut self) -> anyhow::Result<()> {
        for function in FUNCTIONS {
            let queue = self.stack.output(&dead_letter_output(function))?;
            if self.stack.aws.is_empty(queue).await? {
                continue;
            }
            let mut redrive = Command::new(root().join("infra/redrive"));
            redrive
                .arg(format!("bellhop-{function}"))
                .arg(queue)
                .envs(self.stack.client_environment()?);
            let said = run_silently("infra/redrive", &mut redrive, |_| {}).await?;
            let count: u32 = said
                .split_whitespace()
                .next()
                .and_then(|count| count.parse().ok())
                .unwrap_or_default();
            self.redriven += count;
        }
        Ok(())
    }

    /// Every record of the ledger: its keys, its status, and when it is due.
    async fn records(&self) -> anyhow::Result<Vec<String>> {
        let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
        let line = |item: &Value| {
            format!(
                "{} {} {} {}",
                item["pk"]["S"], item["sk"]["S"], item["status"]["S"], item["due_at"]["N"]
            )
        };
        Ok(items.iter().map(line).collect())
    }

    async fn judge(&self, builds: usize) -> anyhow::Result<()> {
        let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
        let of_kind = |prefix: &str| {
            let fits = |item: &&Value| item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with(prefix));
            items.iter().filter(fits).collect::<Vec<_>>()
        };
        for (kind, prefix) in [("runs", "RUN"), ("builds", "BUILD#")] {
            let records = of_kind(prefix);
            ensure!(
                records.len() == builds,
                "{} {kind} in the ledger instead of {builds}",
                records.len()
            );
            for record in records {
                ensure!(
                    record["status"]["S"] == "succeeded",
                    "{} {} is {}",
                    record["pk"]["S"],
                    record["sk"]["S"],
                    record["status"]["S"]
                );
            }
        }
        for (run, statuses) in &self.told {
            ensure!(
                statuses.len() == 1 && statuses.contains("succeeded"),
                "the messages about run {run} say {statuses:?}"
            );
        }
        let mut by_build: BTreeMap<String, Vec<TaskView>> = BTreeMap::new();
        for task in self.stack.stand_in.ecs().tasks() {
            let started_by = task.started_by.clone().unwrap_or_default();
            let (build, _) = started_by.rsplit_once('/').context("a task without an attempt's name")?;
            by_build.entry(build.to_owned()).or_default().push(task);
        }
        ensure!(by_build.len() == builds, "{} builds had tasks instead of {builds}", by_build.len());
        for (build, tasks) in &mut by_build {
            tasks.sort_by_key(|task| task.created_at);
            let launches: BTreeSet<_> = tasks.iter().map(|task| (&task.started_by, &task.capacity)).collect();
            ensure!(
                launches.len() == tasks.len(),
                "{build} had an attempt launched twice on one capacity: {tasks:#?}"
            );
            for pair in tasks.windows(2) {
                if let [earlier, later] = pair {
                    let overlap = earlier.stopped_at.is_none_or(|stopped| stopped > later.created_at);
                    ensure!(
                        !overlap || earlier.stop_code.as_deref() == Some("SpotInterruption"),
                        "{build} had two live tasks outside a Spot warning: {tasks:#?}"
                    );
                }
            }
        }
        Ok(())
    }
}
