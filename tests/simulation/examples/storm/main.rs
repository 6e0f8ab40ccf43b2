//! A Spot storm in virtual time: many builds are interrupted within minutes, and all want a replacement of a service that launches so many a second.
//!
//! ```text
//! cargo run --release -p bellhop-simulation --features programs --example storm
//! cargo run --release -p bellhop-simulation --features programs --example storm -- --builds 10000 --within 10 --json storm.json
//! ```
//!
//! Domain and engine are the real ones; AWS is a small model of it. `docs/explanation/performance.md` says what it comes to.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]
#![expect(clippy::expect_used, reason = "what cannot be in a world of its own may stop it")]

mod bucket;
mod cloud;
mod lambda;
mod timers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bellhop_domain::build::Build;
use bellhop_domain::build::{BuildEvent, Phase};
use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::observation::{AgentStatus, Observation, Stop, StopCause};
use bellhop_domain::ids::{AgentId, BuildId};
use bellhop_domain::run::trigger::Push;
use bellhop_engine::Fault;
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use crate::bucket::{Rate, least};
use crate::cloud::{Cloud, Task};
use crate::lambda::{Event, Lambda, SweepTimes};

/// How many builds a run of the storm has.
const JOBS: usize = 20;
/// How long the storm may go on.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// How long it is watched once all replacements are launched: until the last agents' events have come.
const AFTERWARDS: Duration = Duration::from_secs(4 * 60);

/// Interrupts many builds within minutes, and tells how long it takes until all of them have a replacement.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many builds are interrupted; one storm each
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    builds: Vec<usize>,
    /// Within how many seconds they are interrupted
    #[arg(long, default_value_t = 120)]
    within: u64,
    /// How many seconds after the first warning the sweep comes first; one storm each
    #[arg(long, value_delimiter = ',', default_value = "0,20,40")]
    sweep_at: Vec<u64>,
    /// The sweep's time limit in seconds, as in infra/template.yaml
    #[arg(long, default_value_t = 78)]
    sweep_timeout: u64,
    /// What it keeps of that in reserve, as in functions/sweep
    #[arg(long, default_value_t = 20)]
    reserve: u64,
    /// How often the SDK tries a launch that is throttled, as in shared/aws
    #[arg(long, default_value_t = 1)]
    sdk_tries: u32,
    /// How many launches a second the service accepts; one storm each. Fargate accepts 20
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html>)
    #[arg(long, value_delimiter = ',', default_value = "20")]
    per_second: Vec<f64>,
    /// For how many seconds' launches it has tokens at the most
    #[arg(long, default_value_t = 5.0)]
    burst_seconds: f64,
    /// By how much the rate is multiplied, for twenty seconds of every forty
    #[arg(long, default_value_t = 1.0)]
    changes_by: f64,
    /// How many pushes come meanwhile, each with a job for on-demand capacity
    #[arg(long, default_value_t = 60)]
    pushes: usize,
    /// Within how many seconds they come
    #[arg(long, default_value_t = 60)]
    pushes_within: u64,
    /// Decides everything else
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Instead of storms: how late something happens that waits for a time
    #[arg(long)]
    timers: bool,
    /// Where the results go as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What a storm came to.
#[derive(Debug, Serialize)]
struct Storm {
    builds: usize,
    within_seconds: u64,
    sweep_at_seconds: u64,
    per_second: f64,
    burst: f64,
    changes_by: f64,
    seed: u64,
    /// From the first warning until the last replacement was accepted; none if not all were.
    last_seconds: Option<f64>,
    /// The same at the least, as the service's rates allow it.
    least_seconds: f64,
    ratio: Option<f64>,
    /// How long the jobs of pushes waited that came while builds were interrupted, and of those that came after that.
    pushes_during: Waits,
    pushes_after: Waits,
    requests_to_table_per_build: BTreeMap<&'static str, f64>,
    run_task_per_build: f64,
    throttled_per_build: f64,
    invocations_per_build: f64,
    timers_per_build: f64,
    errors: u64,
    billed_ms_per_build: f64,
    billed_sweep_seconds: f64,
    most_at_once: usize,
    lost: usize,
    doubled: usize,
    /// By the clock on the wall.
    took_seconds: f64,
}

/// How long some launches waited, in seconds.
#[derive(Debug, Default, Serialize)]
struct Waits {
    count: usize,
    median: f64,
    worst: f64,
    /// How many waited for no more than two seconds.
    within_two: usize,
}

impl Waits {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self {
            count: seconds.len(),
            median: seconds.get(seconds.len() / 2).copied().unwrap_or_default(),
            worst: seconds.last().copied().unwrap_or_default(),
            within_two: seconds.iter().filter(|wait| **wait <= 2.0).count(),
        }
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            count,
            median,
            worst,
            within_two,
        } = self;
        write!(f, "{median:.1}, {worst:.1} ({within_two} of {count})")
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    if arguments.timers {
        let late = timers::play(arguments.seed)?;
        println!("{}", timers::table(&late));
        return write(arguments.json.as_deref(), &late);
    }
    let mut storms = Vec::new();
    for builds in &arguments.builds {
        for per_second in &arguments.per_second {
            let rate = Rate {
                burst: per_second * arguments.burst_seconds,
                per_second: *per_second,
                changes_by: arguments.changes_by,
            };
            for sweep_at in &arguments.sweep_at {
                let begun = std::time::Instant::now();
                fastrand::seed(arguments.seed);
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()?;
                let local = tokio::task::LocalSet::new();
                let mut storm = local.block_on(&runtime, storm(&arguments, *builds, rate, *sweep_at))?;
                storm.took_seconds = begun.elapsed().as_secs_f64();
                storms.push(storm);
            }
        }
    }
    println!("{}", table(&storms));
    write(arguments.json.as_deref(), &storms)
}

fn write(path: Option<&Path>, results: &impl Serialize) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = path {
        std::fs::write(path, serde_json::to_string_pretty(results)?)?;
    }
    Ok(())
}

/// A build's agent that is to be interrupted.
struct Victim {
    build: BuildId,
    agent: AgentId,
}

async fn storm(arguments: &Arguments, builds: usize, rate: Rate, sweep_at: u64) -> Result<Storm, Fault> {
    let cloud = Cloud::new(arguments.seed, arguments.sdk_tries);
    let lambda = Lambda::new(
        &cloud,
        SweepTimes {
            timeout: Duration::from_secs(arguments.sweep_timeout),
            reserve: Duration::from_secs(arguments.reserve),
        },
    );
    let victims = running(&cloud, &lambda, builds).await?;
    let [within, pushes_within] = [arguments.within, arguments.pushes_within].map(Duration::from_secs);
    cloud.pushes_have(1, true);
    lambda.forget();
    cloud.begin(rate);
    lambda.reads_timers();
    let mut wanted = Vec::with_capacity(builds);
    for victim in &victims {
        let at = within.mul_f64(cloud.dice().f64());
        wanted.push(at);
        interrupt(&cloud, &lambda, victim, at);
    }
    let mut pushed = BTreeMap::new();
    for number in 0..arguments.pushes {
        let (push, at) = (push(&format!("meanwhile-{number}")), pushes_within.mul_f64(cloud.dice().f64()));
        pushed.insert(push.trigger.clone(), at);
        let lambda = lambda.clone();
        after(at, move || lambda.invoke(Event::Push(push)));
    }
    sweeps(&lambda, Duration::from_secs(sweep_at));
    let mut left = victims.len() + arguments.pushes;
    while left > 0 && cloud.now() < LONGEST {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for task in cloud.launched() {
            left = left.saturating_sub(1);
            comes_up(&cloud, &lambda, &task);
        }
    }
    tokio::time::sleep(AFTERWARDS).await;
    let (counts, billed) = (cloud.counts(), lambda.billed());
    let (lost, doubled, replaced) = verify(&cloud, &victims).await?;
    let all = cloud.tasks();
    let of_pushes: Vec<&Task> = all
        .iter()
        .filter(|task| task.capacity == Capacity::OnDemand && task.attempt.number == 1)
        .collect();
    let waits = waited(&of_pushes, &pushed);
    let (during, after): (Vec<_>, Vec<_>) = waits.into_iter().partition(|(at, _)| *at < within);
    let [pushes_during, pushes_after] = [during, after].map(|waits| Waits::of(waits.into_iter().map(|(_, wait)| wait).collect()));
    let per_build = |count: f64| count / builds.max(1) as f64;
    let pushed: Vec<Duration> = pushed.into_values().collect();
    let least = least(rate, &wanted, &pushed);
    Ok(Storm {
        builds,
        within_seconds: arguments.within,
        sweep_at_seconds: sweep_at,
        per_second: rate.per_second,
        burst: rate.burst,
        changes_by: rate.changes_by,
        seed: arguments.seed,
        last_seconds: (lost == 0).then_some(replaced.as_secs_f64()),
        least_seconds: least.as_secs_f64(),
        ratio: (lost == 0).then(|| replaced.as_secs_f64() / least.as_secs_f64()),
        pushes_during,
        pushes_after,
        requests_to_table_per_build: counts
            .by_kind
            .iter()
            .map(|(kind, count)| (*kind, per_build(*count as f64)))
            .collect(),
        run_task_per_build: per_build(counts.run_task as f64),
        throttled_per_build: per_build(counts.throttled as f64),
        invocations_per_build: per_build(billed.invocations as f64),
        timers_per_build: per_build(counts.timers as f64),
        errors: billed.errors,
        billed_ms_per_build: per_build(billed.ms as f64),
        billed_sweep_seconds: billed.sweep_ms as f64 / 1000.0,
        most_at_once: billed.most_at_once,
        lost,
        doubled,
        took_seconds: 0.0,
    })
}

/// When each push came, and how many seconds its job waited for its agent.
fn waited(tasks: &[&Task], pushed: &BTreeMap<String, Duration>) -> Vec<(Duration, f64)> {
    let begun = pushed.iter().map(|(trigger, at)| {
        let push = push(trigger);
        (
            bellhop_domain::ids::RunId::derive(cloud::SUITE, &push.trigger, &push.reference),
            *at,
        )
    });
    let begun: BTreeMap<_, _> = begun.collect();
    let waits = tasks.iter().filter_map(|task| {
        let at = *begun.get(&task.attempt.build.run)?;
        Some((at, task.at.saturating_sub(at).as_secs_f64()))
    });
    waits.collect()
}

/// So many builds whose agents run on Spot.
async fn running(cloud: &Arc<Cloud>, lambda: &Rc<Lambda>, builds: usize) -> Result<Vec<Victim>, Fault> {
    let mut left = builds;
    let mut number = 0;
    while left > 0 {
        let jobs = left.min(JOBS);
        cloud.pushes_have(jobs, false);
        lambda.once(&Event::Push(push(&format!("before-{number}")))).await?;
        (left, number) = (left - jobs, number + 1);
    }
    let tasks = cloud.launched();
    let mut victims = Vec::with_capacity(tasks.len());
    for task in tasks {
        let victim = Victim {
            build: task.attempt.build.clone(),
            agent: task.agent.clone(),
        };
        let status = AgentStatus::Running { since: None };
        cloud.change(&task.agent, &status);
        lambda.once(&seen(&victim, 1, Some(1), status)).await?;
        victims.push(victim);
    }
    Ok(victims)
}

fn push(trigger: &str) -> Push {
    Push {
        trigger: trigger.to_owned(),
        repository: "shop".parse().expect("it is a repository's name"),
        reference: "refs/heads/main".parse().expect("it is a branch"),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().expect("it is a commit"),
        previous: None,
        by: None,
        at: None,
    }
}

fn after(wait: Duration, what: impl FnOnce() + 'static) {
    tokio::task::spawn_local(async move {
        tokio::time::sleep(wait).await;
        what();
    });
}

fn seen(victim: &Victim, attempt: u32, version: Option<u64>, status: AgentStatus) -> Event {
    let observation = Observation {
        agent: victim.agent.clone(),
        version,
        capacity: None,
        status,
    };
    Event::Agent(victim.build.clone(), BuildEvent::Agent { attempt, observation })
}

/// A warning, and two minutes later the task's end, with all of its events.
fn interrupt(cloud: &Arc<Cloud>, lambda: &Rc<Lambda>, victim: &Victim, at: Duration) {
    let stop = Stop {
        cause: StopCause::Interrupted,
        reason: Some("Your Spot Task was interrupted.".to_owned()),
        containers: Vec::new(),
        report: None,
        at: None,
    };
    let steps = [
        (0, AgentStatus::Interrupted),
        (110, AgentStatus::Interrupted),
        (112, AgentStatus::Stopping),
        (120, AgentStatus::Stopped(stop.clone())),
        (130, AgentStatus::Stopped(stop)),
    ];
    for (version, (later, status)) in (2..).zip(steps) {
        let (cloud, lambda, agent) = (cloud.clone(), lambda.clone(), victim.agent.clone());
        let event = seen(victim, 1, Some(version), status.clone());
        after(at + Duration::from_secs(later), move || {
            cloud.change(&agent, &status);
            lambda.invoke(event);
        });
    }
}

/// A replacement comes up within a minute.
fn comes_up(cloud: &Arc<Cloud>, lambda: &Rc<Lambda>, task: &Task) {
    let wait = Duration::from_secs(cloud.dice().u64(30..60));
    let victim = Victim {
        build: task.attempt.build.clone(),
        agent: task.agent.clone(),
    };
    let status = AgentStatus::Running { since: None };
    let event = seen(&victim, task.attempt.number, Some(1), status.clone());
    let (cloud, lambda) = (cloud.clone(), lambda.clone());
    after(wait, move || {
        cloud.change(&victim.agent, &status);
        lambda.invoke(event);
    });
}

/// The sweep comes every minute.
fn sweeps(lambda: &Rc<Lambda>, first: Duration) {
    let lambda = lambda.clone();
    tokio::task::spawn_local(async move {
        tokio::time::sleep(first).await;
        loop {
            lambda.invoke(Event::Sweep);
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    });
}

/// How many builds have no replacement that runs, how many more than one agent beyond the first, and when the last replacement was accepted.
async fn verify(cloud: &Arc<Cloud>, victims: &[Victim]) -> Result<(usize, usize, Duration), Fault> {
    let mut agents: BTreeMap<BuildId, Vec<Task>> = BTreeMap::new();
    for task in cloud.tasks() {
        agents.entry(task.attempt.build.clone()).or_default().push(task);
    }
    let (mut lost, mut doubled, mut last) = (0, 0, Duration::ZERO);
    let engine = cloud.engine();
    for victim in victims {
        let replacements: Vec<&Task> = agents
            .get(&victim.build)
            .into_iter()
            .flatten()
            .filter(|task| task.agent != victim.agent)
            .collect();
        last = replacements.iter().map(|task| task.at).max().unwrap_or_default().max(last);
        doubled += usize::from(replacements.len() > 1);
        let build = engine.ledger.load::<Build>(&victim.build).await?;
        let runs = build.is_some_and(|build| {
            let record = build.record;
            let current = record
                .attempts
                .last()
                .filter(|_| record.attempts.len() == 2 && record.strays.is_empty());
            current.is_some_and(|attempt| {
                attempt.phase == Phase::Running && replacements.iter().any(|task| Some(&task.agent) == attempt.agent.as_ref())
            })
        });
        lost += usize::from(!runs);
    }
    Ok((lost, doubled, last))
}

fn table(storms: &[Storm]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "builds",
        "within s",
        "a second",
        "sweep at s",
        "last launch s",
        "least s",
        "ratio",
        "table/build",
        "Get, Put, Query",
        "RunTask/build",
        "throttled/build",
        "invocations/build",
        "timers/build",
        "ms/build",
        "sweeps s",
        "at once",
        "pushes during it s",
        "pushes after s",
        "errors",
        "lost",
        "doubled",
        "took s",
    ]);
    for storm in storms {
        let of = |kind: &str| storm.requests_to_table_per_build.get(kind).copied().unwrap_or_default();
        let rate = |storm: &Storm| match storm.changes_by {
            1.0 => storm.per_second.to_string(),
            factor => format!("{}, {}", storm.per_second, storm.per_second * factor),
        };
        let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        table.add_row([
            storm.builds.to_string(),
            storm.within_seconds.to_string(),
            rate(storm),
            storm.sweep_at_seconds.to_string(),
            optional(storm.last_seconds),
            format!("{:.2}", storm.least_seconds),
            optional(storm.ratio),
            format!("{:.2}", storm.requests_to_table_per_build.values().sum::<f64>()),
            format!("{:.2}, {:.2}, {:.3}", of("GetItem"), of("PutItem"), of("Query")),
            format!("{:.2}", storm.run_task_per_build),
            format!("{:.2}", storm.throttled_per_build),
            format!("{:.2}", storm.invocations_per_build),
            format!("{:.2}", storm.timers_per_build),
            format!("{:.0}", storm.billed_ms_per_build),
            format!("{:.0}", storm.billed_sweep_seconds),
            storm.most_at_once.to_string(),
            storm.pushes_during.to_string(),
            storm.pushes_after.to_string(),
            storm.errors.to_string(),
            storm.lost.to_string(),
            storm.doubled.to_string(),
            format!("{:.1}", storm.took_seconds),
        ]);
    }
    table
}
