//! The table "what is acknowledged, and what is retried" of docs/explanation/architecture.md, row by row, on the real binaries: each row's input is given to the
//! deployed function through Lambda's API, with the row's fault in the way.
//!
//! The table itself says what every row is answered with, whether its event comes into a dead-letter queue, and what a later sweep mends; here stands
//! only what is given. A row that one side alone has is an error.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bellhop_stand_in::{BuildView, Fault, InvokeAction, Rule, RuleId, TaskView, Times};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::requests;
use crate::secrets;
use crate::shop::Shop;
use crate::stack::{CONFIG_KEY, CONFIGURATION, Stack};
use xtask::functions::{FUNCTIONS, dead_letter_output};
use xtask::workspace::root;

/// The table's heading.
const HEADING: &str = "## What is acknowledged, and what is retried";

/// A service that an alarm restarts.
const SERVICE: &str = "jenkins";
/// What to do about alarms.
const ALARMS: &str = r#"
jobs:
  clean: { agent: small, repository: shop, branch: main, run: "true" }
alarms:
  - { name: "jenkins-*", run-job: clean }
  - { name: controller, restart-service: { cluster: ci-main, service: jenkins } }
"#;

/// How long what was invoked asynchronously may take through its retries into the dead-letter queue.
const DEAD_LETTER: Duration = Duration::from_secs(60);

/// How long the sweeps may take to mend everything: what was left is taken up after a minute, and an agent is asked for a minute later.
const MENDED: Duration = Duration::from_secs(8 * 60);

/// How far the clock is turned between two sweeps, and how long agents have then for what they do.
const TURN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// Longer than a function waits for any service.
const TOO_LONG: Duration = Duration::from_secs(25);

/// Tries every row.
///
/// # Errors
/// A row does not hold; it is named. Or a secret came out.
pub(crate) async fn run() -> anyhow::Result<()> {
    let clock = RefCell::new(Clock::start()?);
    // At the most talkative level: no secret may be in what the functions log.
    let stack = &Stack::start("TRACE").await?;
    let text =
        std::fs::read_to_string(root().join("docs/explanation/architecture.md")).context("cannot read docs/explanation/architecture.md")?;
    let rows = rows_of(&text)?;
    // Only what is invoked here reaches the functions.
    stack.stand_in.events().set_publishing(false);
    stack.stand_in.codepipeline().set_invoking(false);
    let table = Table {
        stack,
        clock,
        shop: Shop::create(stack).await?,
        queue: stack.aws.subscribe_queue(stack.output("TopicArn")?, "bellhop-acknowledged").await?,
        rows,
        state: RefCell::default(),
    };
    let done = table.all().await;
    stack.stand_in.faults().clear();
    stack.stand_in.events().set_publishing(true);
    stack.stand_in.codepipeline().set_invoking(true);
    done?;
    let calls = requests::record(stack, "acknowledged").await?;
    println!("  {calls} different requests are recorded for the step policies");
    Ok(())
}

/// A row of the table, as the document has it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// The type of the error; none for a success.
    error: Option<String>,
    /// Whether the event comes into the dead-letter queue.
    dead_letter: bool,
}

/// A build that is to be at its end once the sweeps have mended what was left of it.
struct Mending {
    what: String,
    run: String,
    status: &'static str,
    /// How many agents it is to have had.
    agents: usize,
}

#[derive(Default)]
struct State {
    tried: BTreeSet<String>,
    answers: Vec<String>,
    /// What is known to be in dead-letter queues: the function and the event.
    dead: Vec<(&'static str, Value)>,
    mending: Vec<Mending>,
    /// How often each run's end was told.
    told: BTreeMap<String, usize>,
    /// Actions of CodePipeline that are to succeed once their runs have.
    actions: Vec<String>,
    /// How many backup jobs there are to be.
    backups: usize,
}

struct Table<'a> {
    stack: &'a Stack,
    clock: RefCell<Clock>,
    shop: Shop,
    queue: String,
    rows: BTreeMap<String, Row>,
    state: RefCell<State>,
}

impl Table<'_> {
    async fn all(&self) -> anyhow::Result<()> {
        self.nothing_to_do().await?;
        self.nothing_to_run().await?;
        self.refused_files().await?;
        self.ordinary().await?;
        self.on_codebuild().await?;
        self.instances().await?;
        self.actions().await?;
        self.requests().await?;
        self.alarms().await?;
        self.backups().await?;
        self.conflicts().await?;
        self.launches().await?;
        self.faults_of_a_push().await?;
        self.faults_of_an_event().await?;
        self.faults_of_an_effect().await?;
        self.time_outs().await?;
        let unreadable = self.unreadable().await?;
        self.mend(unreadable).await?;
        ensure!(
            self.stack.stand_in.ecs().deployments("ci-main", SERVICE) == 2,
            "the service was not restarted once for the alarm that it could not be restarted for at first"
        );
        self.hand_back().await?;

        let state = self.state.take();
        let untried: Vec<_> = self.rows.keys().filter(|key| !state.tried.contains(*key)).collect();
        ensure!(
            untried.is_empty(),
            "rows of the table in docs/explanation/architecture.md without a test: {untried:?}"
        );
        println!("  every row of the table was tested: {}", state.tried.len());
        secrets::are_given(self.stack)?;
        secrets::are_nowhere(self.stack, &state.answers).await
    }

    async fn nothing_to_do(&self) -> anyhow::Result<()> {
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

    async fn nothing_to_run(&self) -> anyhow::Result<()> {
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

    async fn refused_files(&self) -> anyhow::Result<()> {
        self.write("version: 1\njobs:\n  test: { agent: smal, run: 'true' }\n")?;
        self.rejected("mistake", "did you mean `small`?").await?;
        self.write("version: 1\njobs:\n  'a;id': { agent: small, run: 'true' }\n")?;
        self.rejected("mistake", "is not a valid job name").await?;
        self.write("version: 1\njobs:\n  test: { agent: small, run: 'true', task-role: admin }\n")?;
        self.rejected("mistake", "unknown key `task-role`").await?;

        self.write(&passes())?;
        let bucket = self.stack.output("BucketName")?;
        self.stack.aws.delete_object(bucket, CONFIG_KEY).await?;
        self.rejected("no-configuration", "does not exist: an administrator").await?;
        for (key, rest, expected) in [
            (
                "not-allowed",
                "repositories:\n  other: { agents: [small] }\n",
                "is not listed in `repositories`",
            ),
            (
                "not-allowed",
                "repositories:\n  shop: { agents: [] }\n",
                "does not let `shop` use the agent `small`",
            ),
        ] {
            self.configure_with(rest).await?;
            self.rejected(key, expected).await?;
        }
        self.stack.configure(CONFIGURATION).await?;
        self.configure_with("repos: {}\n").await?;
        self.write(&passes())?;
        let push = self.push("The version before serves").await?;
        let started = self.row("bad-configuration", "a push", "push", push, "\"builds\":1").await?;
        self.mended("the version before serves", &run_of(&started)?, "succeeded", 1);
        self.stack.configure(CONFIGURATION).await
    }

    async fn ordinary(&self) -> anyhow::Result<()> {
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

        self.write(&fails())?;
        let run = self.start("A failing job").await?;
        for event in self.events_of(&run).await? {
            self.row("agent", "an event of its task", "task-state", event, "result").await?;
        }
        self.mended("a failed build", &run, "failed", 1);

        self.write(&passes())?;
        // The replacement is done before anything is heard of the first agent's end.
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

        self.row("clock", "a sweep", "sweep", sample("schedule/sweep.json")?, "\"due\"")
            .await?;
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

        // Of an agent that was killed there is no report, and what is told hangs on how the last run ended.
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

    /// Agents on CodeBuild.
    async fn on_codebuild(&self) -> anyhow::Result<()> {
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

    /// Actions of CodePipeline.
    async fn actions(&self) -> anyhow::Result<()> {
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

    /// Requests of people, schedules and programs.
    async fn requests(&self) -> anyhow::Result<()> {
        let start = sample("control/start.json")?;
        let started = self.row("request", "a start", "control", start, "\"status\":\"open\"").await?;
        let run = started["run"].as_str().context("no run in what control answered")?.to_owned();
        self.mended("a run that was asked for", &run, "succeeded", 1);
        for request in [json!({ "show": { "run": run } }), json!({ "list": { "repository": "shop" } })] {
            self.row("request", "a question", "control", request, &run).await?;
        }
        let started = self
            .row("request", "another start", "control", sample("control/start.json")?, "run")
            .await?;
        let run = started["run"].as_str().context("no run in what control answered")?.to_owned();
        self.row(
            "request",
            "a cancellation",
            "control",
            json!({ "cancel": { "run": run } }),
            "cancelled",
        )
        .await?;
        self.mended("a run that was cancelled", &run, "cancelled", 1);
        for (request, part) in [
            (sample("control/misspelt.json")?, "did you mean repository?"),
            (json!({ "restart": {} }), "did you mean start?"),
            (json!({ "show": { "run": "zzzzzzzzzz" } }), "there is no run"),
            (json!({ "start": { "repository": "barn" } }), "there is no repository barn"),
        ] {
            let answer = self.row("request-mistake", part, "control", request, part).await?;
            ensure!(answer["error"].is_string(), "the answer should say what was wrong: {answer}");
        }
        Ok(())
    }

    /// Alarms, and what goes wrong on the way to people and to what is done about them.
    async fn alarms(&self) -> anyhow::Result<()> {
        self.stack.stand_in.ecs().add_service("ci-main", SERVICE, Timestamp::UNIX_EPOCH);
        self.configure_with(ALARMS).await?;
        for (key, event, part) in [
            ("alarm", "alarm", "done"),
            ("repeated", "in-sns", "ignored: a duplicate"),
            ("repeated", "action", "ignored: a duplicate"),
            ("alarm", "contributor", "done"),
            ("alarm", "insufficient-data", "done"),
        ] {
            let event = sample(&format!("alarm/{event}.json"))?;
            self.row(key, "an alarm", "alarm", event, part).await?;
        }
        let mut broken = sample("alarm/alarm.json")?;
        broken["detail"]["state"]["value"] = json!("RED");
        self.row("unknown", "an alarm in no known state", "alarm", broken, "state.value")
            .await?;
        let push = sample("codecommit/push.json")?;
        self.row("foreign", "a push", "alarm", push, "another function").await?;

        let named = |name: &str| -> anyhow::Result<Value> {
            let mut event = sample("alarm/alarm.json")?;
            event["detail"]["alarmName"] = json!(name);
            Ok(event)
        };
        for (key, service, operation, part) in [
            ("alarm-ledger", "dynamodb", "GetItem", "failed to read"),
            ("alarm-bucket", "s3", "GetObject", "failed to read"),
            ("alarm-remedy", "ecs", "UpdateService", "failed to restart"),
            ("alarm-tell", "sns", "Publish", "failed to publish"),
        ] {
            let rule = self.inject("alarm", service, operation, Fault::ServerError, Times::Always);
            let name = if key == "alarm-remedy" { "controller" } else { key };
            let what = format!("{service}: a 5xx");
            self.failing(key, &what, "alarm", named(name)?, part).await?;
            self.stack.stand_in.faults().remove(rule);
        }
        self.configure_with("alarms: [{ name: x }]\n").await?;
        self.row("alarm", "one beside a bad configuration", "alarm", named("unconfigured")?, "done")
            .await?;
        self.stack.configure(CONFIGURATION).await
    }

    /// Schedules, requests and events for backups: of the suite's own table, which every stack has.
    async fn backups(&self) -> anyhow::Result<()> {
        let jobs = || self.stack.stand_in.backup().jobs();
        let at = |time: &str| -> anyhow::Result<Value> {
            let mut schedule = sample("schedule/backups.json")?;
            schedule["time"] = json!(time);
            Ok(schedule)
        };
        let before = jobs().len();
        let throttled = self.inject("backup", "dynamodb", "*", Fault::Throttle, Times::Always);
        let schedule = at("2026-03-02T03:00:00Z")?;
        self.failing("backup-ledger", "a throttle of the ledger", "backup", schedule, "failed to")
            .await?;
        self.stack.stand_in.faults().remove(throttled);

        let started = "\"suite-table\":\"started\"";
        for (row, what, input, part) in [
            ("backup", "a schedule", at("2026-03-03T03:00:00Z")?, started),
            ("repeated", "the schedule again", at("2026-03-03T03:00:00Z")?, "already known"),
            ("backup", "a check", sample("backup/check.json")?, "\"suite-table\":{"),
            (
                "backup-mistake",
                "a backup that there is not",
                sample("backup/start.json")?,
                "there is no backup with that name",
            ),
            (
                "backup-mistake",
                "a misspelt key",
                sample("backup/misspelt.json")?,
                "did you mean time?",
            ),
            (
                "unknown-build",
                "a job of somebody else's",
                sample("backup/failed.json")?,
                "this suite did not start the job",
            ),
        ] {
            self.row(row, what, "backup", input, part).await?;
        }
        let all = jobs();
        ensure!(
            all.len() == before + 1,
            "a schedule that was delivered twice should have started one job: {all:?}"
        );
        let job = all.last().context("no job")?;
        let event = self.stack.stand_in.backup().ends(&job.id, "FAILED", Some("Access denied"))?;
        self.row("backup", "a job that failed", "backup", event.clone(), "done").await?;
        self.row("repeated", "its event again", "backup", event, "already over").await?;

        let refused = Fault::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: "not allowed to pass the role".to_owned(),
        };
        let rule = self.inject("backup", "backup", "StartBackupJob", refused, Times::Always);
        self.row(
            "backup-refused",
            "a missing permission",
            "backup",
            at("2026-03-04T03:00:00Z")?,
            started,
        )
        .await?;
        self.stack.stand_in.faults().remove(rule);

        for (what, time, fault) in [
            ("a throttle of AWS Backup", "2026-03-05T03:00:00Z", Fault::Throttle),
            ("a 5xx of AWS Backup", "2026-03-06T03:00:00Z", Fault::ServerError),
            ("a lost reply of AWS Backup", "2026-03-07T03:00:00Z", Fault::LoseReply),
        ] {
            let rule = self.inject("backup", "backup", "StartBackupJob", fault, Times::Always);
            self.failing("backup-start", what, "backup", at(time)?, "failed to").await?;
            self.stack.stand_in.faults().remove(rule);
        }
        self.state.borrow_mut().backups = before + 4;
        Ok(())
    }

    async fn conflicts(&self) -> anyhow::Result<()> {
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

    async fn launches(&self) -> anyhow::Result<()> {
        for (what, fault) in [
            ("no capacity", Fault::NoCapacity),
            ("a throttle of RunTask", Fault::Throttle),
            ("a throttle of RunTask in disguise", Fault::DisguisedThrottle),
            ("an account limit", Fault::AccountLimit),
            (
                "a missing permission",
                Fault::Error {
                    status: 400,
                    code: "AccessDeniedException".to_owned(),
                    message: "This launch is not allowed.".to_owned(),
                },
            ),
        ] {
            let run = self.launch("no-launch-now", what, fault, "queued").await?;
            self.mended(what, &run, "succeeded", 1);
        }
        self.configure_with("notify: { successes: changes }\n").await?;
        for code in ["ClusterNotFoundException", "InvalidParameterException"] {
            let fault = Fault::Error {
                status: 400,
                code: code.to_owned(),
                message: "This launch is wrong.".to_owned(),
            };
            let run = self.launch("no-launch-ever", code, fault, "infrastructure-failed").await?;
            self.mended(code, &run, "infrastructure-failed", 0);
        }
        self.stack.configure(CONFIGURATION).await?;
        // On Spot alone: on-demand takes its place within the same invocation.
        let push = self.push("No Spot capacity").await?;
        let rule = Rule::new("ecs", "RunTask", Fault::NoCapacity).capacity("FARGATE_SPOT");
        self.stack.stand_in.faults().inject(rule);
        let started = self.row("push", "no Spot capacity", "push", push, "\"builds\":1").await?;
        self.mended("a build without Spot capacity", &run_of(&started)?, "succeeded", 1);
        Ok(())
    }

    /// Before a run is stored, nothing is there for the sweep to mend: the dead letter is all there is of the push.
    async fn faults_of_a_push(&self) -> anyhow::Result<()> {
        for (key, service) in [
            ("push-ledger", "dynamodb"),
            ("push-bucket", "s3"),
            ("push-codecommit", "codecommit"),
        ] {
            for (what, fault) in passing() {
                let push = self.push(what).await?;
                let rule = self.inject("push", service, "*", fault, Times::Always);
                let what = format!("{service}: {what}");
                if what.ends_with("5xx") {
                    self.failing(key, &what, "push", push, "failed to").await?;
                } else {
                    self.row(key, &what, "push", push, "failed to").await?;
                }
                self.stack.stand_in.faults().remove(rule);
            }
        }
        for (service, code) in [
            ("dynamodb", "AccessDeniedException"),
            ("dynamodb", "ResourceNotFoundException"),
            ("s3", "AccessDenied"),
            ("s3", "NoSuchBucket"),
            ("codecommit", "AccessDeniedException"),
        ] {
            let push = self.push(code).await?;
            let rule = self.inject("push", service, "*", lasting(code), Times::Always);
            let what = format!("{service}: {code}");
            if code == "ResourceNotFoundException" {
                self.failing("push-lasting", &what, "push", push, code).await?;
            } else {
                self.row("push-lasting", &what, "push", push, code).await?;
            }
            self.stack.stand_in.faults().remove(rule);
        }
        Ok(())
    }

    /// An instance with somebody else's task on it. What it means for builds is told by the scenarios; here the calls and their faults count.
    async fn instances(&self) -> anyhow::Result<()> {
        let ecs = self.stack.stand_in.ecs();
        let foreign = ecs.only_warn("i-0fedcba9876543210");
        self.row(
            "foreign-instance",
            "a warning",
            "spot-interruption",
            foreign,
            "in none of the suite's clusters",
        )
        .await?;
        let other = sample("ec2/state-change.json")?;
        self.row("foreign", "an instance's change of state", "spot-interruption", other, "skipped")
            .await?;

        let spare = ecs.add_instance("ci-main", "ci-ec2-spot");
        let advice = ecs.recommend_rebalance(&spare)?;
        self.row("instance", "a recommendation", "spot-interruption", advice, "done")
            .await?;

        let instance = ecs.add_instance("ci-main", "ci-ec2-spot");
        ecs.place_foreign_task(&instance, "jenkins-agent")?;
        let warning = ecs.only_warn(&instance);
        let rule = self.inject(
            "spot-interruption",
            "ecs",
            "ListContainerInstances",
            Fault::ServerError,
            Times::Always,
        );
        self.failing(
            "instance-unasked",
            "ecs: a 5xx",
            "spot-interruption",
            warning.clone(),
            "failed to look for",
        )
        .await?;
        self.stack.stand_in.faults().remove(rule);
        let rule = self.inject(
            "spot-interruption",
            "ecs",
            "UpdateContainerInstancesState",
            Fault::ServerError,
            Times::Always,
        );
        self.failing(
            "instance-effect",
            "ecs: a 5xx",
            "spot-interruption",
            warning.clone(),
            "failed to drain",
        )
        .await?;
        self.stack.stand_in.faults().remove(rule);
        self.row("repeated", "the same warning again", "spot-interruption", warning, "ignored")
            .await?;
        Ok(())
    }

    /// Before anything is decided about an agent's event, the sweep asks ECS for what the event would have told.
    async fn faults_of_an_event(&self) -> anyhow::Result<()> {
        for (what, fault) in passing() {
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
        let rule = self.inject("task-state", "dynamodb", "GetItem", lasting("AccessDeniedException"), Times::Always);
        self.failing(
            "agent-lasting",
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
    async fn faults_of_an_effect(&self) -> anyhow::Result<()> {
        for (what, fault) in passing() {
            // A throttle of RunTask is an answer, not a fault.
            if what != "a throttle" {
                self.lost_launch(what, fault).await?;
            }
        }
        self.lost_launch("every reply lost", Fault::LoseReply).await?;

        let denied = ("AuthorizationError", lasting("AuthorizationError"));
        let lasting_first = passing().into_iter().map(|fault| ("tell", fault)).chain([("tell-lasting", denied)]);
        for (key, (what, fault)) in lasting_first {
            let (run, event) = self.ended_build(what).await?;
            let rule = self.inject("task-state", "sns", "Publish", fault, Times::Always);
            let what = format!("sns: {what}");
            self.failing(key, &what, "task-state", event, "failed to publish").await?;
            self.stack.stand_in.faults().remove(rule);
            self.mended(&what, &run, "succeeded", 1);
        }
        for (what, fault) in passing() {
            let (run, event) = self.ended_build(what).await?;
            let rule = self.inject("task-state", "s3", "PutObject", fault, Times::Always);
            let what = format!("s3: {what}");
            self.failing("report", &what, "task-state", event, "failed to write").await?;
            self.stack.stand_in.faults().remove(rule);
            self.mended(&what, &run, "succeeded", 1);
        }
        Ok(())
    }

    /// A push whose launch leaves open what came of it.
    async fn lost_launch(&self, what: &str, fault: Fault) -> anyhow::Result<()> {
        let push = self.push(what).await?;
        let rule = self.inject("push", "ecs", "RunTask", fault, Times::Always);
        let what = format!("ecs: {what}");
        self.failing("launch", &what, "push", push, "failed to launch").await?;
        self.stack.stand_in.faults().remove(rule);
        let run = self.newest_run().await?;
        self.mended(&what, &run, "succeeded", 1);
        Ok(())
    }

    /// Time-outs, which take their time: two functions are kept waiting at once.
    async fn time_outs(&self) -> anyhow::Result<()> {
        let slow = || Fault::Delay(TOO_LONG);
        for (of_push, of_agent) in [
            (
                ("push-codecommit", "codecommit", "*"),
                Some(("agent-ledger", "dynamodb", "GetItem")),
            ),
            (("push-bucket", "s3", "*"), Some(("tell", "sns", "Publish"))),
            (("push-ledger", "dynamodb", "*"), None),
            (("launch", "ecs", "RunTask"), None),
        ] {
            let mut rules = Vec::new();
            let (key, service, operation) = of_push;
            let of_agent = match of_agent {
                Some(of_agent) => Some((of_agent, self.ended_build("Slow services").await?)),
                None => None,
            };
            let push = self.push("A slow service").await?;
            rules.push(self.inject("push", service, operation, slow(), Times::Always));
            let what = format!("{service}: a time-out");
            let pushed = self.row(key, &what, "push", push, "timed out");
            if let Some(((key, service, operation), (run, event))) = of_agent {
                rules.push(self.inject("task-state", service, operation, slow(), Times::Always));
                let what = format!("{service}: a time-out");
                let taken = self.row(key, &what, "task-state", event, "timed out");
                let (pushed, taken) = tokio::join!(pushed, taken);
                pushed.and(taken)?;
                // What SNS was asked is worked on late, more than once, as it may.
                if service != "sns" {
                    self.mended(&what, &run, "succeeded", 1);
                }
            } else {
                pushed.await?;
            }
            for rule in rules {
                self.stack.stand_in.faults().remove(rule);
            }
            if service == "ecs" {
                // The first launch is worked on when nobody waits any more, and the sweep's comes under the same token.
                self.mended(&what, &self.newest_run().await?, "succeeded", 1);
            }
        }
        Ok(())
    }

    /// A record that cannot be read. Gives the item as it was.
    async fn unreadable(&self) -> anyhow::Result<Value> {
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

    /// Sweeps until everything is mended, beside a record that no sweep can read; and then that one, once it is whole again.
    async fn mend(&self, unreadable: Value) -> anyhow::Result<()> {
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
            let agents = agents.count() + builds.iter().filter(|build| is_of(build, &mending.run)).count();
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
        for action in &state.actions {
            let action = self.stack.stand_in.codepipeline().action(action)?;
            if action.status != "Succeeded" {
                open.push(format!("an action of CodePipeline: {} instead of Succeeded", action.status));
            }
        }
        Ok(open)
    }

    /// Hands back what is in the dead-letter queues, as an operator would: every push starts its run, and everything else is known by then.
    async fn hand_back(&self) -> anyhow::Result<()> {
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

    /// Gives an input to a function, and holds its answer against the row in the document. `part` is what the answer has to hold.
    async fn row(&self, key: &str, what: &str, function: &str, input: Value, part: &str) -> anyhow::Result<Value> {
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
    async fn failing(&self, key: &str, what: &str, function: &'static str, input: Value, part: &str) -> anyhow::Result<()> {
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
    fn mended(&self, what: &str, run: &str, status: &'static str, agents: usize) {
        self.state.borrow_mut().mending.push(Mending {
            what: what.to_owned(),
            run: run.to_owned(),
            status,
            agents,
        });
    }

    fn inject(&self, function: &str, service: &str, operation: &str, fault: Fault, times: Times) -> RuleId {
        let rule = Rule::new(service, operation, fault)
            .times(times)
            .caller(&format!("bellhop-{function}"));
        self.stack.stand_in.faults().inject(rule)
    }

    /// Replaces the suite configuration by one with these sections beside its agent.
    async fn configure_with(&self, sections: &str) -> anyhow::Result<()> {
        let agent = "small: { ecs: { cluster: ci-main, task-definition: bellhop-agent-small, subnets: [s] } }";
        let text = format!("version: 1\nagents:\n  {agent}\n{sections}");
        self.stack.aws.put_object(self.stack.output("BucketName")?, CONFIG_KEY, text).await
    }

    /// A push whose files are refused: a run that is told of once, and no agent.
    async fn rejected(&self, key: &str, part: &str) -> anyhow::Result<()> {
        let push = self.push(part).await?;
        let answer = self.row(key, "a push", "push", push, part).await?;
        let run = run_of(&answer)?;
        ensure!(answer[0]["rejected"].is_string(), "row {key}: {answer}");
        self.mended(part, &run, "rejected", 0);
        Ok(())
    }

    /// A push that starts a run, whose id is given.
    async fn start(&self, message: &str) -> anyhow::Result<String> {
        let push = self.push(message).await?;
        run_of(&self.row("push", message, "push", push, "\"builds\":1").await?)
    }

    /// A run whose agent has come to its end, which no function was told of yet. Gives the run and the last event.
    async fn ended_build(&self, message: &str) -> anyhow::Result<(String, Value)> {
        let run = self.start(message).await?;
        let event = self.events_of(&run).await?.pop().context("a task without events")?;
        Ok((run, event))
    }

    /// A push whose launch meets a fault: the function succeeds, and the build's record says the rest. Gives the run.
    async fn launch(&self, key: &str, what: &str, fault: Fault, status: &str) -> anyhow::Result<String> {
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

    /// A run's build, as the table has it.
    async fn build(&self, run: &str) -> anyhow::Result<Value> {
        let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
        let mut items = items.into_iter();
        let build = items.find(|item| item["pk"]["S"] == format!("RUN#{run}") && item["sk"]["S"] == "BUILD#test");
        build.with_context(|| format!("the build of run {run} is not in the ledger"))
    }

    /// The run that was stored last.
    async fn newest_run(&self) -> anyhow::Result<String> {
        let items = self.stack.aws.scan(self.stack.output("TableName")?).await?;
        let runs = items.iter().filter(|item| item["sk"]["S"] == "RUN");
        let newest = runs.max_by_key(|item| item["list_at"]["S"].as_str().unwrap_or_default().to_owned());
        let key = newest.and_then(|item| item["pk"]["S"].as_str()?.strip_prefix("RUN#").map(ToOwned::to_owned));
        key.context("there is no run")
    }

    /// The task of an attempt, once it is like this.
    async fn task_of(&self, run: &str, attempt: u32, like_this: impl Fn(&TaskView) -> bool) -> anyhow::Result<String> {
        let name = format!("bellhop/{run}/test/{attempt}");
        let fits = |task: &&TaskView| task.started_by.as_deref() == Some(&name) && like_this(task);
        let find = |tasks: &[TaskView]| tasks.iter().find(fits).map(|task| task.arn.clone());
        self.stack.stand_in.ecs().wait_for(Duration::from_secs(30), find).await
    }

    /// The events of a run's first task, from up to ended, once it has ended.
    async fn events_of(&self, run: &str) -> anyhow::Result<Vec<Value>> {
        let task = self.task_of(run, 1, |task| task.last_status == "STOPPED").await?;
        let wanted = |event: &Value| {
            ["RUNNING", "DEPROVISIONING", "STOPPED"]
                .iter()
                .any(|status| event["detail"]["lastStatus"] == *status)
        };
        Ok(self.stack.stand_in.ecs().events_of(&task).into_iter().filter(wanted).collect())
    }

    /// The events of a run's build on CodeBuild that a rule lets through, once it has ended.
    async fn build_events_of(&self, run: &str) -> anyhow::Result<Vec<Value>> {
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

    /// The event that says first that a task has this status.
    fn event_of(&self, task: &str, status: &str) -> anyhow::Result<Value> {
        let mut events = self.stack.stand_in.ecs().events_of(task).into_iter();
        let event = events.find(|event| event["detail"]["lastStatus"] == status);
        event.with_context(|| format!("no event of {task} being {status}"))
    }

    fn last_event(&self, task: &str) -> anyhow::Result<Value> {
        self.stack.stand_in.ecs().events_of(task).pop().context("a task without events")
    }

    fn write(&self, pipeline: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.shop.folder().join(".bellhop.yaml"), pipeline)?)
    }

    async fn head(&self) -> anyhow::Result<String> {
        Ok(self.shop.git(["rev-parse", "HEAD"]).await?.trim().to_owned())
    }

    /// Commits and pushes what stands in the clone. Gives the event that tells of it.
    async fn push(&self, message: &str) -> anyhow::Result<Value> {
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

/// A job that passes.
fn passes() -> String {
    job("'true'")
}

/// A job that fails with the command that is looked for in everything that is printed and sent.
fn fails() -> String {
    job(secrets::CANARY)
}

/// The same on CodeBuild.
fn on_codebuild() -> String {
    passes().replace("agent: small", "agent: docker")
}

/// Whether a build of CodeBuild's was started for a run.
fn is_of(build: &BuildView, run: &str) -> bool {
    build.environment.get("BELLHOP_RUN").is_some_and(|of| of == run)
}

/// A pipeline file with a job that has a variable which nobody but its agent is to see.
fn job(run: &str) -> String {
    format!(
        "version: 1\njobs:\n  test:\n    agent: small\n    run: {run}\n    environment: {{ TOKEN: {} }}\n",
        secrets::OF_THE_JOB
    )
}

/// Faults that pass.
fn passing() -> [(&'static str, Fault); 3] {
    [
        ("a throttle", Fault::Throttle),
        ("a cut connection", Fault::Refuse),
        ("a 5xx", Fault::ServerError),
    ]
}

/// A fault that somebody has to mend.
fn lasting(code: &str) -> Fault {
    Fault::Error {
        status: if code == "NoSuchBucket" { 404 } else { 403 },
        code: code.to_owned(),
        message: "not authorized, or not there".to_owned(),
    }
}

fn run_of(answer: &Value) -> anyhow::Result<String> {
    let run = answer[0]["run"].as_str();
    Ok(run.with_context(|| format!("no run in {answer}"))?.to_owned())
}

/// The rows of the table in the document, by their keys.
fn rows_of(text: &str) -> anyhow::Result<BTreeMap<String, Row>> {
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
            "error `Passing`" => Some("Passing".to_owned()),
            "error `Lasting`" => Some("Lasting".to_owned()),
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

fn sample(name: &str) -> anyhow::Result<Value> {
    let file = root().join("events").join(name);
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not valid JSON", file.display()))
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
        let rows = table("| `a` | x | success | no | nothing |\n| `b-c` | x | error `Passing` | yes | it |").unwrap();
        let passing = Row {
            error: Some("Passing".to_owned()),
            dead_letter: true,
        };
        assert_eq!(rows.keys().collect::<Vec<_>>(), ["a", "b-c"]);
        assert_eq!(rows.get("b-c"), Some(&passing));
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
