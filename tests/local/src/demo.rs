//! The demo: a push is built, loses its Spot agent half-way, is built again on on-demand capacity at once, and its owner is told. Then a push that
//! fails.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use jiff::Timestamp;
use serde_json::Value;

use crate::local;
use crate::requests;
use crate::shop::Shop;
use crate::stack::Stack;
use crate::story::Story;

/// How long a run of the demo may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long after the tests began Spot is taken back. They take seven seconds.
const HALF_WAY: Duration = Duration::from_millis(2500);

/// Tells the story.
///
/// # Errors
/// Something could not be set up, or the story did not go as it should.
pub(crate) async fn run(keep: bool) -> anyhow::Result<()> {
    let demo = Demo::begin().await?;

    println!("A push. Its agent loses its Spot capacity half-way:\n");
    let run = demo.push("Sell bread", true).await?;
    demo.show(&run).await?;
    ensure!(run["status"] == "succeeded", "the first run should have succeeded");
    let report = demo.report(&run).await?;
    let ends = ends_of(&report["builds"][0]);
    ensure!(
        ends == [("spot", "interrupted"), ("on-demand", "succeeded")],
        "the first run should have been interrupted on Spot and succeeded on on-demand: {ends:?}"
    );

    println!("\nA push with a failing test:\n");
    demo.shop.break_it()?;
    demo.shop.commit("Ship everything free").await?;
    let run = demo.push("Ship everything free", false).await?;
    demo.show(&run).await?;
    let cause = run["cause"].as_str().unwrap_or_default();
    ensure!(run["status"] == "failed", "the second run should have failed");
    ensure!(
        cause.contains("`python3 -m unittest"),
        "its cause should name the failed command: {cause}"
    );
    let report = demo.report(&run).await?;
    let ends = ends_of(&report["builds"][0]);
    ensure!(
        ends == [("spot", "failed")],
        "the second run should have had one attempt, which failed: {ends:?}"
    );

    demo.end("push", keep).await
}

/// A stack, a project, and somebody who listens to what is told.
pub(crate) struct Demo {
    begun: Instant,
    pub(crate) stack: Stack,
    queue: String,
    pub(crate) shop: Shop,
}

impl Demo {
    /// Brings everything up that a story takes place in.
    pub(crate) async fn begin() -> anyhow::Result<Self> {
        let begun = Instant::now();
        let stack = Stack::start("INFO").await?;
        println!(
            "The local AWS is up, with infra/template.yaml deployed ({:.1} s).\n",
            begun.elapsed().as_secs_f64()
        );
        let queue = stack.aws.subscribe_queue(stack.output("TopicArn")?, "bellhop-demo").await?;
        let shop = Shop::create(&stack).await?;
        Ok(Self { begun, stack, queue, shop })
    }

    /// Writes down, under the story's name, what the functions called, which ends it, and keeps everything up where that is wanted.
    pub(crate) async fn end(&self, story: &str, keep: bool) -> anyhow::Result<()> {
        requests::record(&self.stack, story).await?;
        println!("\nDone in {:.1} s.", self.begun.elapsed().as_secs_f64());
        if keep {
            println!("\nEverything stays up.");
            local::stay(&self.stack, &self.shop).await?;
        }
        Ok(())
    }

    /// Pushes the shop's last commit, and follows the run to its end. Gives the run's message.
    async fn push(&self, message: &str, interrupt: bool) -> anyhow::Result<Value> {
        let mut spot = interrupt.then_some(Spot::Kept);
        self.push_and(message, async |story| {
            if let Some(state) = &mut spot
                && let Some(task) = state.half_way(&self.stack)?
            {
                story.tell("EC2", "reclaims the Spot capacity");
                self.stack.stand_in.ecs().reclaim_spot(&task)?;
                spot = None;
            }
            Ok(true)
        })
        .await
    }

    /// The same, with something that is done again and again meanwhile: see [`Demo::follow`].
    pub(crate) async fn push_and(
        &self,
        message: &str,
        meanwhile: impl AsyncFnMut(&mut Story) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Value> {
        let mut story = Story::begin(&self.stack);
        story.tell("ada", &format!("git push (\"{message}\")"));
        self.shop.push().await?;
        self.follow(story, meanwhile).await
    }

    /// Tells what happens until a run has ended and `meanwhile`, which is done again and again, says that it waits for nothing. Gives the run's message.
    pub(crate) async fn follow(
        &self,
        mut story: Story,
        mut meanwhile: impl AsyncFnMut(&mut Story) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Value> {
        let begun = Instant::now();
        let mut ended = None;
        loop {
            story.go_on().await?;
            let rests = meanwhile(&mut story).await?;
            for document in self.stack.aws.receive(&self.queue).await? {
                if document["kind"] == "run" {
                    ended = Some(document);
                }
            }
            if rests && let Some(document) = ended.take() {
                story.end().await?;
                return Ok(document);
            }
            if begun.elapsed() > PATIENCE {
                story.end().await?;
                bail!(
                    "the run did not end within {} s; ministack's last lines:\n{}",
                    PATIENCE.as_secs(),
                    self.stack.log_tail(40)
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What people were told since the last look.
    pub(crate) async fn told(&self) -> anyhow::Result<Vec<Value>> {
        self.stack.aws.receive(&self.queue).await
    }

    pub(crate) async fn report(&self, run: &Value) -> anyhow::Result<Value> {
        let run = run["run"].as_str().context("the run's message does not name the run")?;
        let key = format!("runs/{run}/report.json");
        let begun = Instant::now();
        loop {
            if let Some(text) = self.stack.aws.get_object(self.stack.output("BucketName")?, &key).await? {
                return serde_json::from_str(&text).context("the run's report is not valid JSON");
            }
            ensure!(begun.elapsed() < Duration::from_secs(5), "the run has no report at {key}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The run as a table, and what its owner reads.
    pub(crate) async fn show(&self, run: &Value) -> anyhow::Result<()> {
        let report = self.report(run).await?;
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(["build", "attempt", "capacity", "until up", "ran", "end"]);
        for build in report["builds"].as_array().into_iter().flatten() {
            for attempt in build["attempts"].as_array().into_iter().flatten() {
                table.add_row([
                    text(&build["build"]),
                    text(&attempt["attempt"]),
                    text(&attempt["capacity"]),
                    between(&attempt["launched"], &attempt["started"]),
                    between(&attempt["started"], &attempt["ended"]),
                    text(&attempt["end"]),
                ]);
            }
        }
        println!("\n{table}\n");
        let email = self.email().context("no message was published")?;
        println!("The message, as e-mail:\n");
        for line in email.lines() {
            println!("    {line}");
        }
        Ok(())
    }

    /// The text for e-mail of the last message about a run.
    fn email(&self) -> Option<String> {
        let published = self.stack.stand_in.journal().of("sns", "Publish");
        published.iter().rev().find_map(|entry| {
            let message = entry.request.as_ref()?["Message"].as_str()?;
            let texts: Value = serde_json::from_str(message).ok()?;
            let document: Value = serde_json::from_str(texts["default"].as_str()?).ok()?;
            (document["kind"] == "run").then(|| texts["email"].as_str().map(ToOwned::to_owned))?
        })
    }
}

/// When Spot is taken back.
enum Spot {
    /// The tests have not begun.
    Kept,
    /// They have, at this moment.
    AtWork(Instant, String),
}

impl Spot {
    /// The task whose tests are half through, once they are.
    fn half_way(&mut self, stack: &Stack) -> anyhow::Result<Option<String>> {
        match self {
            Self::Kept => {
                let running = stack.stand_in.ecs().tasks().into_iter().find(|task| task.last_status == "RUNNING");
                if let Some(task) = running
                    && stack.stand_in.ecs().stdout(&task.arn)?.contains("test_")
                {
                    *self = Self::AtWork(Instant::now(), task.arn);
                }
                Ok(None)
            }
            Self::AtWork(since, task) => Ok((since.elapsed() >= HALF_WAY).then(|| task.clone())),
        }
    }
}

/// On which capacity each attempt of a build ended, and how.
pub(crate) fn ends_of(build: &Value) -> Vec<(&str, &str)> {
    build["attempts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|attempt| (attempt["capacity"].as_str().unwrap_or("?"), attempt["end"].as_str().unwrap_or("?")))
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn between(from: &Value, to: &Value) -> String {
    let moment = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    match (moment(from), moment(to)) {
        // CodeBuild tells whole seconds, so that a build may have come up before it was launched.
        (Some(from), Some(to)) if to < from => "< 1 s".to_owned(),
        (Some(from), Some(to)) => format!("{:.1} s", to.duration_since(from).as_secs_f64()),
        _ => "-".to_owned(),
    }
}
