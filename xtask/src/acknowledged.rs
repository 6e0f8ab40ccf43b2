//! The table "what is acknowledged, and what is retried" of docs/ARCHITECTURE.md, row by row, on the real binaries: each row's input is given to the
//! deployed function through Lambda's API, with the row's fault in the way.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bellhop_stand_in::{Fault, Rule, Times};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stack::Stack;
use crate::workspace::root;

/// How long what was invoked asynchronously may take through its retries into the dead-letter queue.
const DEAD_LETTER: Duration = Duration::from_secs(60);

/// What a row expects.
enum Answer {
    /// Success, with this text in the answer.
    Success(&'static str),
    /// An error of this type.
    Error(&'static str),
}

/// Tries every row. The demo's repository must not have been pushed to this stack before.
///
/// # Errors
/// A row does not hold; it is named.
pub(crate) async fn run(stack: &Stack) -> anyhow::Result<()> {
    // Only what is invoked here reaches the functions.
    stack.stand_in.events().set_publishing(false);
    let table = Table {
        stack,
        shop: Shop::create(stack).await?,
    };
    let done = table.rows().await;
    stack.stand_in.faults().clear();
    stack.stand_in.events().set_publishing(true);
    done
}

struct Table<'a> {
    stack: &'a Stack,
    shop: Shop,
}

impl Table<'_> {
    async fn rows(&self) -> anyhow::Result<()> {
        use Answer::{Error, Success};
        let task = sample("ecs/running.json")?;

        self.row("a text, which is no shape we know", "push", json!("hello"), Success("skipped"))
            .await?;
        self.row("an empty object", "task-state", json!({}), Success("skipped")).await?;
        let mut broken = sample("codecommit/push.json")?;
        broken["detail"]["commitId"] = json!("main");
        self.row("a push whose commit is none", "push", broken, Success("commitId")).await?;
        let foreign = sample("ecs/foreign-service.json")?;
        self.row("a service's task", "task-state", foreign, Success("skipped")).await?;
        let deleted = sample("codecommit/deleted-branch.json")?;
        self.row("a deleted branch", "push", deleted, Success("skipped")).await?;
        let test = sample("codecommit/trigger-test.json")?;
        self.row("a test notification", "push", test, Success("skipped")).await?;
        self.row(
            "a build that the ledger does not have",
            "task-state",
            task,
            Success("no such build"),
        )
        .await?;

        self.remove(".bellhop.yaml").await?;
        let push = self.push("Remove the pipeline file").await?;
        self.row("no .bellhop.yaml", "push", push, Success("no .bellhop.yaml")).await?;
        self.write(PIPELINE)?;
        let push = self.push("[skip ci] Add the pipeline file").await?;
        self.row("a skip token", "push", push, Success("asks to skip")).await?;
        self.write("version: 1\njobs:\n  test: { agent: smal, run: 'true' }\n")?;
        let push = self.push("Misspell the agent").await?;
        self.row("a file with a mistake", "push", push, Success("did you mean `small`?"))
            .await?;

        self.write(PIPELINE)?;
        let push = self.push("Build").await?;
        let started = self.row("a push", "push", push.clone(), Success("\"builds\":1")).await?;
        self.row("the same push again", "push", push, Success("\"again\":true")).await?;
        let run = started[0]["run"].as_str().context("a started run without an id")?.to_owned();
        let events = self.events_of(&run).await?;
        for event in &events {
            self.row("an event of its task", "task-state", event.clone(), Success("result"))
                .await?;
        }
        let last = events.last().context("a task without events")?.clone();
        self.row("the same event again", "task-state", last, Success("ignored")).await?;

        let conflict = || Fault::Error {
            status: 400,
            code: "ConditionalCheckFailedException".to_owned(),
            message: "The conditional request failed".to_owned(),
        };
        self.faulty(
            "a record written by somebody else meanwhile",
            ("dynamodb", "PutItem", conflict(), Times::Next(2)),
            Success("done"),
        )
        .await?;
        self.faulty(
            "a record that others keep writing",
            ("dynamodb", "PutItem", conflict(), Times::Always),
            Error("Passing"),
        )
        .await?;
        self.faulty(
            "a throttled ledger",
            ("dynamodb", "GetItem", Fault::Throttle, Times::Always),
            Error("Passing"),
        )
        .await?;
        self.faulty(
            "a ledger in trouble",
            ("dynamodb", "GetItem", Fault::ServerError, Times::Always),
            Error("Passing"),
        )
        .await?;
        let denied = Fault::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: "not authorized".to_owned(),
        };
        self.faulty(
            "a missing permission",
            ("dynamodb", "GetItem", denied, Times::Always),
            Error("Lasting"),
        )
        .await?;

        for (what, fault) in [
            ("no capacity", Fault::NoCapacity),
            ("a throttle of RunTask", Fault::Throttle),
            ("a throttle of RunTask in disguise", Fault::DisguisedThrottle),
            ("an account limit", Fault::AccountLimit),
        ] {
            self.launch(what, fault, "queued").await?;
        }
        let unknown = Fault::Error {
            status: 400,
            code: "ClusterNotFoundException".to_owned(),
            message: "Cluster not found.".to_owned(),
        };
        self.launch("a launch that can never succeed", unknown, "infrastructure-failed")
            .await?;
        self.dead_letter().await
    }

    /// Gives an input to a function, and holds its answer against what the row expects.
    async fn row(&self, what: &str, function: &str, input: Value, expected: Answer) -> anyhow::Result<Value> {
        let (error, answer) = self.stack.aws.invoke(&format!("bellhop-{function}"), &input).await?;
        let text = answer.to_string();
        let (holds, wanted) = match expected {
            Answer::Success(part) => (!error && text.contains(part), format!("a success with {part}")),
            Answer::Error(kind) => (error && answer["errorType"] == kind, format!("an error of type {kind}")),
        };
        ensure!(holds, "{what}: {function} should have answered with {wanted}, and answered {text}");
        println!("  {what}: {wanted}");
        Ok(answer)
    }

    /// A push is built; then its task's event comes with a fault in the way.
    async fn faulty(
        &self,
        what: &str,
        (service, operation, fault, times): (&str, &str, Fault, Times),
        expected: Answer,
    ) -> anyhow::Result<()> {
        let push = self.push(what).await?;
        let started = self.row("  a push", "push", push, Answer::Success("\"builds\":1")).await?;
        let run = started[0]["run"].as_str().context("a started run without an id")?.to_owned();
        let event = self.events_of(&run).await?.into_iter().last().context("a task without events")?;
        let rule = self
            .stack
            .stand_in
            .faults()
            .inject(Rule::new(service, operation, fault).times(times).caller("bellhop-task-state"));
        self.row(what, "task-state", event.clone(), expected).await?;
        self.stack.stand_in.faults().remove(rule);
        // Trying again, as Lambda does, ends it.
        self.row(
            "  the same event once the fault is over",
            "task-state",
            event,
            Answer::Success("result"),
        )
        .await?;
        Ok(())
    }

    /// A push whose launch meets a fault: the function succeeds, and the build's record says the rest.
    async fn launch(&self, what: &str, fault: Fault, status: &str) -> anyhow::Result<()> {
        let push = self.push(what).await?;
        let rule = self
            .stack
            .stand_in
            .faults()
            .inject(Rule::new("ecs", "RunTask", fault).times(Times::Always));
        let started = self.row(what, "push", push, Answer::Success("\"builds\":1")).await?;
        self.stack.stand_in.faults().remove(rule);
        let run = started[0]["run"].as_str().context("a started run without an id")?;
        let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
        let build = items
            .iter()
            .find(|item| item["pk"]["S"] == format!("RUN#{run}") && item["sk"]["S"] == "BUILD#test")
            .context("the build is not in the ledger")?;
        ensure!(
            build["status"]["S"] == status,
            "{what}: the build should be {status}, and is {}",
            build["status"]["S"]
        );
        Ok(())
    }

    /// A push that fails for good lands in the dead-letter queue, with the whole event in it.
    async fn dead_letter(&self) -> anyhow::Result<()> {
        let push = self.push("Too early").await?;
        let rule = self.stack.stand_in.faults().inject(
            Rule::new("dynamodb", "*", Fault::ServerError)
                .times(Times::Always)
                .caller("bellhop-push"),
        );
        self.stack.aws.invoke_later("bellhop-push", &push).await?;
        let queue = self.stack.output("PushDeadLetterQueueUrl")?;
        let begun = Instant::now();
        while self.stack.aws.is_empty(queue).await? {
            if begun.elapsed() > DEAD_LETTER {
                bail!("a push that failed for good did not come to its dead-letter queue");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.stack.stand_in.faults().remove(rule);
        println!("  a push that fails for good: its dead-letter queue");
        Ok(())
    }

    /// The events of a run's first task, from up to ended, once it has ended.
    async fn events_of(&self, run: &str) -> anyhow::Result<Vec<Value>> {
        let ecs = self.stack.stand_in.ecs();
        let name = format!("bellhop/{run}/test/1");
        let ended = |task: &bellhop_stand_in::TaskView| task.started_by.as_deref() == Some(&name) && task.last_status == "STOPPED";
        let find = |tasks: &[bellhop_stand_in::TaskView]| tasks.iter().find(|task| ended(task)).map(|task| task.arn.clone());
        let task = ecs.wait_for(Duration::from_secs(30), find).await?;
        let wanted = |event: &Value| {
            ["RUNNING", "DEPROVISIONING", "STOPPED"]
                .iter()
                .any(|status| event["detail"]["lastStatus"] == *status)
        };
        Ok(ecs.events_of(&task).into_iter().filter(wanted).collect())
    }

    fn write(&self, pipeline: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.shop.folder().join(".bellhop.yaml"), pipeline)?)
    }

    async fn remove(&self, file: &str) -> anyhow::Result<()> {
        self.shop.git(["rm", "--quiet", file]).await?;
        Ok(())
    }

    /// Commits and pushes what stands in the clone. Gives the event that tells of it.
    async fn push(&self, message: &str) -> anyhow::Result<Value> {
        self.shop.git(["add", "--all"]).await?;
        self.shop.git(["commit", "--quiet", "--allow-empty", "--message", message]).await?;
        self.shop.push().await?;
        let commit = self.shop.git(["rev-parse", "HEAD"]).await?;
        let mut event = sample("codecommit/push.json")?;
        event["id"] = json!(format!("{}-{}", Timestamp::now().as_nanosecond(), message.len()));
        event["detail"]["commitId"] = json!(commit.trim());
        event["detail"]["referenceName"] = json!("main");
        event["detail"]["referenceFullName"] = json!("refs/heads/main");
        Ok(event)
    }
}

const PIPELINE: &str = "version: 1\njobs:\n  test: { agent: small, run: 'true' }\n";

fn sample(name: &str) -> anyhow::Result<Value> {
    let file = root().join("events").join(name);
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}
