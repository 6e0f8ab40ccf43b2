//! Measuring on a local AWS: what the functions do for builds, and what they do without any.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bellhop_stand_in::request_units::Table;
use bellhop_stand_in::{Entry, Mark};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aws::LocalAws;
use crate::cost::input::{Left, Measured, Phase, Work};
use crate::cost::processes::{Used, Watch, start_ms};
use crate::requests;
use crate::shop::Shop;
use crate::stack::Stack;
use xtask::functions::{FUNCTIONS, Functions};
use xtask::workspace::{root, spinner};

/// How many builds there are at a time: so few that the machine keeps up, as it has to do with agents and all.
const AT_A_TIME: u32 = 5;
/// Every so manieth attempt loses its Spot capacity.
const RECLAIM_ONE_IN: u32 = 10;
/// Every so manieth build fails. The next but [`AT_A_TIME`] is of the same branch and repairs it.
const FAIL_ONE_IN: u32 = 2 * AT_A_TIME;
/// The script of each build. Longer than Spot's shortened two minutes, so that a build whose capacity is taken back is interrupted.
const SCRIPT: &str = "sleep 8";
/// The script of a build that fails.
const FAILING_SCRIPT: &str = "sleep 8 && false";
/// The suite configuration: nothing but agents, and so the defaults of everything else.
const CONFIGURATION: &str = "bellhop-with-defaults.yaml";
/// How long so many builds may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often what happens without builds is done.
const SWEEPS: u32 = 30;
const CHECKS: u32 = 5;
/// What FilterLogEvents gives at the most.
const LOG_LIMIT: usize = 10_000;

/// Measures so many builds, and what there is without builds.
///
/// # Errors
/// Something could not be set up, or a build did not go as it should.
pub(super) async fn measure(builds: u32) -> anyhow::Result<Measured> {
    ensure!(cfg!(target_os = "linux"), "reading the processor time needs Linux");
    ensure!(
        builds > 0 && builds.is_multiple_of(FAIL_ONE_IN),
        "builds are measured by {FAIL_ONE_IN}, one of which fails"
    );
    let functions = Functions::release();
    let stack = Stack::with(&functions, "INFO").await?;
    stack.configure(CONFIGURATION).await?;
    let mut init_cpu_ms = BTreeMap::new();
    for name in FUNCTIONS {
        init_cpu_ms.insert(name.to_owned(), rounded(start_ms(&stack, &functions.binaries.join(name), name)?));
    }
    let mut meter = Meter::begin(&stack);

    let interrupted = build(&stack, builds).await?;
    let failed = (0..builds).filter(|number| Push::of(*number).fails).count();
    let build = meter.phase(builds, true).await?;
    let left = Left {
        table_bytes: meter.table.stored(),
        build_item_bytes: rounded(meter.table.mean("BUILD#")),
        ..left(&stack).await?
    };
    let sample =
        |path: &str| -> anyhow::Result<Value> { Ok(serde_json::from_str(&std::fs::read_to_string(root().join("events").join(path))?)?) };
    for _ in 0..SWEEPS {
        invoke(&stack.aws, "sweep", &sample("schedule/sweep.json")?).await?;
    }
    let sweep = meter.phase(SWEEPS, false).await?;
    backup(&stack).await?;
    let backup = meter.phase(1, false).await?;
    for _ in 0..CHECKS {
        invoke(&stack.aws, "backup", &sample("backup/check.json")?).await?;
    }
    let check = meter.phase(CHECKS, false).await?;
    requests::record(&stack, "cost").await?;
    Ok(Measured {
        date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
        machine: machine(),
        profile: "release".to_owned(),
        builds,
        interrupted,
        failed: u32::try_from(failed)?,
        repaired: u32::try_from(failed)?,
        script: SCRIPT.to_owned(),
        init_cpu_ms,
        build,
        // The minute's own sweep may have come between: what there is, is of as many as there were.
        sweep: Phase {
            times: invocations(&sweep, "sweep"),
            ..sweep
        },
        check,
        backup,
        left,
    })
}

/// What is pushed for a build.
struct Push {
    branch: u32,
    fails: bool,
}

impl Push {
    /// The build of this number, from 0.
    fn of(number: u32) -> Self {
        match number % FAIL_ONE_IN {
            0 => Self {
                branch: number,
                fails: true,
            },
            AT_A_TIME => Self {
                branch: number - AT_A_TIME,
                fails: false,
            },
            _ => Self {
                branch: number,
                fails: false,
            },
        }
    }
}

/// Pushes for so many builds, a few at a time, and takes the Spot capacity of some back. Gives how many were interrupted.
async fn build(stack: &Stack, builds: u32) -> anyhow::Result<u32> {
    let queue = stack.aws.subscribe_queue(stack.output("TopicArn")?, "bellhop-cost").await?;
    let shop = Shop::create(stack).await?;
    // The commit that succeeds comes after the one that fails: it can be pushed to the same branch.
    let failing = commit(&shop, FAILING_SCRIPT).await?;
    let succeeding = commit(&shop, SCRIPT).await?;
    let bar = spinner(&format!("{builds} builds"));
    let (mut pushed, mut seen, mut reclaimed) = (0, BTreeSet::new(), BTreeSet::new());
    let mut notified = BTreeMap::new();
    while pushed < builds {
        let pushes = (pushed..pushed + AT_A_TIME).map(Push::of);
        shop.push_all(pushes.map(|push| {
            let commit = if push.fails { &failing } else { &succeeding };
            (commit.clone(), format!("branch-{}", push.branch))
        }))
        .await?;
        pushed += AT_A_TIME;
        // One of these builds has a message: the one that fails, or the one that repairs it.
        let expected = usize::try_from(pushed / AT_A_TIME)?;
        let begun = Instant::now();
        let mut agents = 0;
        while agents < usize::try_from(pushed)? + reclaimed.len() || notified.len() < expected || !stack.is_at_rest().await? {
            ensure!(
                begun.elapsed() < PATIENCE,
                "{agents} agents for {pushed} builds, {} messages about runs; ministack's last lines:\n{}",
                notified.len(),
                stack.log_tail(40)
            );
            let tasks = stack.stand_in.ecs().tasks();
            agents = tasks.len();
            for task in tasks {
                let runs_on_spot = task.last_status == "RUNNING" && task.desired_status == "RUNNING" && task.capacity == "FARGATE_SPOT";
                if runs_on_spot && seen.insert(task.arn.clone()) && seen.len() % usize::try_from(RECLAIM_ONE_IN)? == 0 {
                    stack.stand_in.ecs().reclaim_spot(&task.arn)?;
                    reclaimed.insert(task.arn);
                }
            }
            for document in stack.aws.receive(&queue).await? {
                if let (Some("run"), Some(run)) = (document["kind"].as_str(), document["run"].as_str()) {
                    notified.insert(run.to_owned(), document["status"].clone());
                }
            }
            bar.set_message(format!("{pushed} pushed, {} interrupted", reclaimed.len()));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    bar.finish_and_clear();
    let failed = notified.values().filter(|status| *status == "failed").count();
    let succeeded = notified.values().filter(|status| *status == "succeeded").count();
    let expected = usize::try_from(builds / FAIL_ONE_IN)?;
    ensure!(
        (failed, succeeded, notified.len()) == (expected, expected, 2 * expected),
        "not {expected} failures and as many successes had messages: {notified:?}"
    );
    let tasks = stack.stand_in.ecs().tasks().len();
    ensure!(
        tasks == usize::try_from(builds)? + reclaimed.len(),
        "{tasks} agents for {builds} builds and {} interruptions",
        reclaimed.len()
    );
    Ok(u32::try_from(reclaimed.len())?)
}

/// Commits a pipeline file with one job. Gives the commit.
async fn commit(shop: &Shop, script: &str) -> anyhow::Result<String> {
    let pipeline = format!("version: 1\njobs:\n  test:\n    agent: small\n    run: {script}\n");
    std::fs::write(shop.folder().join(".bellhop.yaml"), pipeline)?;
    shop.commit(script).await?;
    Ok(shop.git(["rev-parse", "HEAD"]).await?.trim().to_owned())
}

/// The daily backup of the table, to the end of its job.
async fn backup(stack: &Stack) -> anyhow::Result<()> {
    let schedule = json!({
        "version": "0", "id": "e7480b7f-3a1c-4965-970e-5bfc2d694a13", "detail-type": "Scheduled Event", "source": "aws.events",
        "account": "000000000000", "region": "us-east-1", "resources": [], "time": format!("{:.0}", Timestamp::now()), "detail": {},
    });
    invoke(&stack.aws, "backup", &schedule).await?;
    let job = stack.stand_in.backup().jobs().pop().context("no backup was started")?;
    stack.stand_in.backup().ends(&job.id, "COMPLETED", None)?;
    // Long enough for its event to come.
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(stack.is_at_rest().await?, "the end of the backup was not processed");
    Ok(())
}

async fn invoke(aws: &LocalAws, function: &str, event: &Value) -> anyhow::Result<()> {
    let (error, answer) = aws.invoke(&format!("bellhop-{function}"), event).await?;
    ensure!(!error, "{function} failed: {answer}");
    Ok(())
}

/// What the builds left in the bucket, and the largest message.
async fn left(stack: &Stack) -> anyhow::Result<Left> {
    let bucket = stack.output("BucketName")?.to_owned();
    let listed = stack
        .cli("Reading the bucket", |cli| {
            cli.args(["s3api", "list-objects-v2", "--output", "json", "--bucket", &bucket])
        })
        .await?;
    let listed: Value = serde_json::from_str(&listed).context("the bucket's list is not valid JSON")?;
    let sizes: Vec<u64> = listed["Contents"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|object| object["Key"].as_str().is_some_and(|key| !key.starts_with("config/")))
        .filter_map(|object| object["Size"].as_u64())
        .collect();
    let published = stack.stand_in.journal().of("sns", "Publish");
    let largest = published
        .iter()
        .filter_map(|entry| entry.request.as_ref())
        .map(|request| request.to_string().len());
    Ok(Left {
        objects: u64::try_from(sizes.len())?,
        object_bytes: sizes.iter().sum(),
        largest_message_bytes: u64::try_from(largest.max().unwrap_or_default())?,
        ..Left::default()
    })
}

fn invocations(phase: &Phase, function: &str) -> u32 {
    let count = phase.functions.get(function).map_or(0, |work| work.invocations);
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Counts what happens from one moment to another.
struct Meter<'a> {
    stack: &'a Stack,
    watch: Watch,
    table: Table,
    mark: Mark,
    logs: BTreeMap<&'static str, Logged>,
    used: BTreeMap<String, Used>,
}

/// What a function has logged, and how often it was called.
#[derive(Debug, Clone, Copy, Default)]
struct Logged {
    invocations: u64,
    lines: u64,
    bytes: u64,
}

impl<'a> Meter<'a> {
    fn begin(stack: &'a Stack) -> Self {
        Self {
            stack,
            watch: Watch::begin(stack),
            table: Table::default(),
            mark: stack.stand_in.journal().mark(),
            logs: BTreeMap::new(),
            used: BTreeMap::new(),
        }
    }

    /// What has happened since the last time that this was asked. Without the sweep's own part, which is its calls, time and logs, except what it did
    /// for records that were due, where `without_sweep` is given.
    async fn phase(&mut self, times: u32, without_sweep: bool) -> anyhow::Result<Phase> {
        // The local Lambda writes its logs, and processes are looked at, a little later.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut phase = Phase { times, ..Phase::default() };
        let mark = self.stack.stand_in.journal().mark();
        for entry in self.stack.stand_in.journal().since(self.mark) {
            let units = self.table.take(&entry)?;
            let function = function_of(&entry);
            if without_sweep && function == Some("sweep") && asks_what_is_due(&entry) {
                continue;
            }
            phase.write_units += units.write;
            phase.read_units += units.read;
            let calls = match function {
                Some(function) => &mut phase.functions.entry(function.to_owned()).or_default().calls,
                None => &mut phase.agents,
            };
            *calls.entry(format!("{} {}", entry.service, entry.operation)).or_default() += 1;
        }
        self.mark = mark;
        let used = self.watch.used();
        for name in FUNCTIONS {
            let logged = self.logged(name).await?;
            let logged_before = self.logs.insert(name, logged).unwrap_or_default();
            let [now, before] = [&used, &self.used].map(|used| used.get(name).copied().unwrap_or_default());
            if (without_sweep && name == "sweep") || logged.invocations == logged_before.invocations {
                continue;
            }
            let work = phase.functions.entry(name.to_owned()).or_default();
            *work = Work {
                invocations: logged.invocations - logged_before.invocations,
                processes: now.processes - before.processes,
                cpu_ms: rounded((now.nanoseconds - before.nanoseconds) as f64 / 1e6),
                log_lines: logged.lines - logged_before.lines,
                log_bytes: logged.bytes - logged_before.bytes,
                calls: std::mem::take(&mut work.calls),
            };
        }
        self.used = used;
        Ok(phase)
    }

    /// What a function has logged since the stack is there, without the lines that the local Lambda adds.
    async fn logged(&self, function: &str) -> anyhow::Result<Logged> {
        let lines = self.stack.aws.log_lines(&format!("/aws/lambda/bellhop-{function}"), 0).await?;
        ensure!(
            lines.len() < LOG_LIMIT,
            "{function} logged more lines than can be read: measure fewer builds"
        );
        let mut logged = Logged::default();
        for (_, line) in lines {
            if line.starts_with("REPORT RequestId: ") {
                logged.invocations += 1;
            } else if !["START RequestId: ", "END RequestId: "].iter().any(|begin| line.starts_with(begin)) {
                logged.lines += 1;
                logged.bytes += u64::try_from(line.len())?;
            }
        }
        Ok(logged)
    }
}

/// Which function made a request.
fn function_of(entry: &Entry) -> Option<&str> {
    entry.caller.as_deref()?.strip_prefix("bellhop-")
}

fn asks_what_is_due(entry: &Entry) -> bool {
    entry.operation == "Query" && entry.request.as_ref().is_some_and(|request| request["IndexName"] == "due")
}

/// To a thousandth: what is beyond is noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Processor, cores and architecture.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, {}", std::env::consts::ARCH)
}
