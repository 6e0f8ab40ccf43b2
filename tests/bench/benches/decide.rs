//! What happens in memory alone: decisions, and reading what comes in. No process, no HTTP.
//!
//! `cargo xtask bench --only decide` runs this and puts the estimates into its table.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark may stop at what should not be")]

use std::hint::black_box;
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::config::{PipelineFile, Select, SuiteConfig, plan};
use bellhop_domain::decision::Decision;
use bellhop_domain::executor::Capacity;
use bellhop_domain::ids::RunId;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::record::Decides as _;
use bellhop_domain::run::trigger::Push;
use bellhop_domain::run::{Run, RunEvent};
use bellhop_events::{Event, parse};
use criterion::Criterion;
use jiff::Timestamp;
use serde_json::Value;

/// The run of the samples.
const RUN: &str = "tntzkamwvn";
const CONFIGURATION: &str = "
version: 1
agents:
  small:
    ecs:
      clusters: { spot: ci-spot, on-demand: ci-main }
      task-definition: bellhop-agent-small
      subnets: [subnet-0a]
";

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(800))
        .sample_size(50)
        .configure_from_args();
    decisions(&mut criterion);
    events(&mut criterion);
    files(&mut criterion);
    criterion.final_summary();
}

fn sample(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../events/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn event(path: &str) -> Event {
    let parsed = parse(&serde_json::from_str(&sample(path)).unwrap());
    let [event] = parsed.events.try_into().unwrap_or_else(|events| panic!("{path} holds {events:?}"));
    event
}

fn push() -> Push {
    match event("codecommit/push.json") {
        Event::Push(push) => push,
        other => panic!("a push is read as {other:?}"),
    }
}

/// What a sample of ECS tells the build `test` of the run.
fn of_task(path: &str) -> BuildEvent {
    match event(path) {
        Event::Agent(change) => BuildEvent::Agent {
            attempt: change.attempt.number,
            observation: change.observation,
        },
        other => panic!("{path} is read as {other:?}"),
    }
}

/// A pipeline file of so many jobs.
fn pipeline(jobs: usize) -> String {
    let mut text = "version: 1\njobs:\n".to_owned();
    for job in 0..jobs {
        let name = if job == 0 { "test".to_owned() } else { format!("job-{job}") };
        text += &format!(
            "  {name}:\n    on: {{ push: {{ branches: [main, \"release/*\"], paths: [\"src/**\", \"!**/*.md\"] }} }}\n    agent: small\n    \
             run: |\n      cargo test --locked\n      cargo build --release\n    environment: {{ RUST_BACKTRACE: \"1\" }}\n    timeout: 30m\n"
        );
    }
    text
}

/// A run of so many jobs, and its builds.
fn created(jobs: usize, now: Timestamp) -> (Run, Vec<Build>) {
    let (push, file) = (push(), PipelineFile::parse(&pipeline(jobs)).unwrap());
    let run: RunId = RUN.parse().unwrap();
    let specs = plan(
        &run,
        &push,
        &file,
        &SuiteConfig::parse(CONFIGURATION).unwrap(),
        Select::ByFilters(None),
    )
    .unwrap();
    assert_eq!(specs.len(), jobs);
    Run::create(run, &push, specs, true, now)
}

fn decided<T>(decision: Decision<T>) -> T {
    match decision {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("nothing is decided: {reason}"),
    }
}

fn decisions(criterion: &mut Criterion) {
    let now: Timestamp = "2026-03-02T09:14:05Z".parse().unwrap();
    let launched = {
        let BuildEvent::Agent { observation, .. } = of_task("ecs/running.json") else {
            panic!("no agent")
        };
        let capacity = Capacity::Spot;
        let agent = observation.agent;
        BuildEvent::LaunchAccepted {
            attempt: 1,
            capacity,
            agent,
        }
    };
    let (_, mut builds) = created(1, now);
    let ready = builds.remove(0);
    let launching = decided(ready.decide(&launched, now));
    let running = decided(launching.decide(&of_task("ecs/running.json"), now));
    let warned = decided(running.decide(&of_task("ecs/spot-warning.json"), now));
    let later = "2026-03-02T09:25:00Z".parse().unwrap();

    let mut group = criterion.benchmark_group("decide");
    for (name, build, event, at) in [
        ("build: launch accepted", &ready, launched, now),
        ("build: task running", &launching, of_task("ecs/running.json"), now),
        ("build: the same again, ignored", &running, of_task("ecs/running.json"), now),
        ("build: Spot warning", &running, of_task("ecs/spot-warning.json"), now),
        (
            "build: stopped after a warning",
            &warned,
            of_task("ecs/stopped-interrupted.json"),
            now,
        ),
        ("build: succeeded", &running, of_task("ecs/stopped-success.json"), now),
        (
            "build: looked at by the sweep",
            &running,
            BuildEvent::Tick { polled_at: later },
            later,
        ),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| black_box(build).decide(black_box(&event), at)));
    }
    for jobs in [1, 100] {
        let (run, _) = created(jobs, now);
        let finished = RunEvent::BuildFinished {
            job: "test".parse().unwrap(),
            outcome: Outcome::Succeeded,
        };
        decided(run.decide(&finished, now));
        group.bench_function(format!("run of {jobs}: a build succeeded"), |bencher| {
            bencher.iter(|| black_box(&run).decide(black_box(&finished), now));
        });
        // What a record is in the ledger.
        let text = serde_json::to_string(&run).unwrap();
        let plan = run.plan.is_apart().then(|| serde_json::to_string(&run.plan).unwrap());
        group.bench_function(format!("run of {jobs}: written as JSON"), |bencher| {
            bencher.iter(|| serde_json::to_string(black_box(&run)).unwrap());
        });
        group.bench_function(format!("run of {jobs}: read from JSON"), |bencher| {
            bencher.iter(|| Run::from_parts(black_box(&text), plan.as_deref()).unwrap());
        });
    }
    group.finish();
}

/// From the text of an event to what it means.
fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for path in [
        "codecommit/push.json",
        "ecs/running.json",
        "ecs/spot-warning.json",
        "ec2/spot-warning.json",
        "alarm/alarm.json",
        "codebuild/provisioned.json",
        "codepipeline/job.json",
    ] {
        let text = sample(path);
        // It has to mean something.
        event(path);
        group.bench_function(path, |bencher| {
            bencher.iter(|| parse(&serde_json::from_str::<Value>(black_box(&text)).unwrap()));
        });
    }
    group.finish();
}

fn files(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("file");
    for jobs in [1, 100] {
        let text = pipeline(jobs);
        group.bench_function(format!(".bellhop.yaml, {jobs} jobs"), |bencher| {
            bencher.iter(|| PipelineFile::parse(black_box(&text)).unwrap());
        });
    }
    group.finish();
}
