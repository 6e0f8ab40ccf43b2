//! How late something happens that waits for a time: with timers, and if only the minute's sweep looks.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::executor::observation::{AgentStatus, ContainerEnd, Observation, Stop, StopCause};
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_engine::Fault;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use crate::bucket::Rate;
use crate::cloud::{self, Cloud, Trouble};
use crate::lambda::{Event, Lambda, SweepTimes};
use crate::{Waits, after, push, sweeps};

/// How many seconds after the beginning the sweep comes first; one story each.
const SWEEPS_AT: std::ops::Range<u64> = 0..60;
/// How long a story may take.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// How often it is looked whether it is over, and what the build waits for.
const LOOK: Duration = Duration::from_millis(20);
/// Rates that no story reaches.
const FAST: Rate = Rate {
    burst: 1000.0,
    per_second: 1000.0,
    changes_by: 1.0,
};

/// What a build waits for.
#[derive(Debug, Clone, Copy)]
enum Story {
    Backoff,
    Timeout,
    NoAnswer,
    NoCapacity,
}

const STORIES: [(Story, &str); 4] = [
    (Story::Backoff, "retry after `backoff: 5s`"),
    (Story::Timeout, "stop at `timeout: 1m`"),
    (Story::NoAnswer, "launch, after RunTask has not answered for 5 s"),
    (Story::NoCapacity, "launch, after there was no capacity for 12 s"),
];

/// How late the stories were, in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Late {
    what: &'static str,
    /// After the time at which the build was due for it.
    timers: Waits,
    sweeps_only: Waits,
    /// After the service was back.
    since_back: Option<Waits>,
}

/// Plays each story with each start of the sweep.
pub(crate) fn play(seed: u64) -> Result<Vec<Late>, Box<dyn std::error::Error>> {
    let mut late = Vec::new();
    for (story, what) in STORIES {
        let (mut timers, mut sweeps_only, mut since_back) = (Vec::new(), Vec::new(), Vec::new());
        for sweep_at in SWEEPS_AT {
            let [with, without] = [true, false].map(|with_timers| told(story, seed + sweep_at, sweep_at, with_timers));
            let (with, without) = (with?, without?);
            timers.push(with.after_its_time);
            sweeps_only.push(without.after_its_time);
            since_back.extend(with.since_back);
        }
        late.push(Late {
            what,
            timers: Waits::of(timers),
            sweeps_only: Waits::of(sweeps_only),
            since_back: (!since_back.is_empty()).then(|| Waits::of(since_back)),
        });
    }
    Ok(late)
}

/// How late a story ended, in seconds.
struct Ended {
    after_its_time: f64,
    since_back: Option<f64>,
}

fn told(story: Story, seed: u64, sweep_at: u64, with_timers: bool) -> Result<Ended, Box<dyn std::error::Error>> {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let local = tokio::task::LocalSet::new();
    Ok(local.block_on(&runtime, tell(story, seed, sweep_at, with_timers))?)
}

async fn tell(story: Story, seed: u64, sweep_at: u64, with_timers: bool) -> Result<Ended, Fault> {
    let cloud = Cloud::new(seed, 1);
    let times = SweepTimes {
        timeout: Duration::from_secs(78),
        reserve: Duration::from_secs(20),
    };
    let lambda = Lambda::new(&cloud, times);
    let job = match story {
        Story::Backoff => "{ agent: small, run: make, retry: [{ exit-codes: 1, limit: 1, backoff: 5s }] }",
        Story::Timeout => "{ agent: small, run: make, timeout: 1m }",
        Story::NoAnswer | Story::NoCapacity => "{ agent: small, run: make }",
    };
    cloud.pushes_run(format!("version: 1\njobs:\n  test: {job}\n"));
    let back = match story {
        Story::NoAnswer => Some((Trouble::NoAnswer, Duration::from_secs(5))),
        Story::NoCapacity => Some((Trouble::NoCapacity, Duration::from_secs(12))),
        Story::Backoff | Story::Timeout => None,
    };
    cloud.begin(FAST);
    if let Some((trouble, until)) = back {
        cloud.has_trouble(trouble, until);
    }
    if with_timers {
        lambda.reads_timers();
    }
    sweeps(&lambda, Duration::from_secs(sweep_at));
    let pushed = push("timed");
    let run = RunId::derive(cloud::SUITE, &pushed.trigger, &pushed.reference);
    let job = "test".parse().map_err(|_| Fault::permanent("it is a job's name"))?;
    let build = BuildId { run, job };
    lambda.invoke(Event::Push(pushed));
    if back.is_none() {
        runs(&cloud, &lambda, &build, matches!(story, Story::Backoff));
    }
    let mut due = None;
    let wanted = if matches!(story, Story::Backoff) { 2 } else { 1 };
    while cloud.now() < LONGEST {
        let over = match story {
            Story::Timeout => cloud.stopped_at(),
            _ => cloud.tasks().get(wanted - 1).map(|task| task.at),
        };
        if let (Some(at), Some(due)) = (over, due) {
            let late = |since: Duration| at.as_secs_f64() - since.as_secs_f64();
            return Ok(Ended {
                after_its_time: late(due),
                since_back: back.map(|(_, until)| late(until)),
            });
        }
        let record = cloud.ledger().load::<Build>(&build).await?;
        if let Some(timer) = record.and_then(|build| build.record.timer()) {
            due = Some(cloud.since_beginning(timer));
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Fault::permanent(format!("{story:?} does not end")))
}

/// The first agent comes up, and its script may fail ten seconds later.
fn runs(cloud: &Arc<Cloud>, lambda: &Rc<Lambda>, build: &BuildId, fails: bool) {
    let stop = Stop {
        cause: StopCause::Exited,
        reason: None,
        containers: vec![ContainerEnd {
            name: "agent".to_owned(),
            exit_code: Some(1),
            reason: None,
        }],
        report: None,
        at: None,
    };
    let steps = [(10, AgentStatus::Running { since: None }), (20, AgentStatus::Stopped(stop))];
    let most = if fails { 2 } else { 1 };
    for (version, (at, status)) in (1..).zip(steps.into_iter().take(most)) {
        let (cloud, lambda, build) = (cloud.clone(), lambda.clone(), build.clone());
        after(Duration::from_secs(at), move || {
            let Some(task) = cloud.tasks().into_iter().next() else { return };
            cloud.change(&task.agent, &status);
            let observation = Observation {
                agent: task.agent,
                version: Some(version),
                capacity: None,
                status,
            };
            lambda.invoke(Event::Agent(build, BuildEvent::Agent { attempt: 1, observation }));
        });
    }
}

pub(crate) fn table(late: &[Late]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "median, longest s (within 2 s)",
        "with timers, after its time",
        "sweeps only, after its time",
        "with timers, after the service is back",
    ]);
    for one in late {
        let back = one.since_back.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        table.add_row([one.what.to_owned(), one.timers.to_string(), one.sweeps_only.to_string(), back]);
    }
    table
}
