//! Tests of runs, one file for each subject.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod abandoned;
mod action;
mod create;
mod jobs;
mod retry;

use super::*;
use crate::decision::{Decision, Ignored};
use crate::ids::{JobName, PipelineJobId};
use crate::outcome::Outcome;
use crate::record::{Decides, Step};
use crate::testing::{push, spec_needing, t};

fn diamond() -> Run {
    let specs = vec![
        spec_needing("build", &[]),
        spec_needing("lint", &["build"]),
        spec_needing("test", &["build"]),
        spec_needing("image", &["lint", "test"]),
    ];
    Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0)).0
}

fn finish(run: &Run, job: &str, outcome: Outcome) -> Run {
    let event = RunEvent::BuildFinished {
        job: job.parse().unwrap(),
        outcome,
    };
    match run.decide(&event, t(60)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{job}: {reason}"),
    }
}

fn effects(run: &Run) -> Vec<String> {
    run.outbox
        .pending()
        .iter()
        .map(|pending| match &pending.effect {
            RunEffect::Release { job } => format!("release {job}"),
            RunEffect::Skip { job, because } => format!("skip {job} because of {because}"),
            RunEffect::Cancel { job, outcome, .. } => format!("cancel {job} as {outcome}"),
            RunEffect::EnterBranch(pushed) => format!("enter {}", pushed.run),
            RunEffect::Continue { job } => format!("continue {}", &job.as_str()[..2]),
            RunEffect::ReportToPipeline { job } => format!("answer {}", &job.as_str()[..2]),
            RunEffect::Announce => "announce".to_owned(),
            RunEffect::Report => "report".to_owned(),
            RunEffect::AnnounceAbandoned { what, .. } => format!("announce: could not {}", what.what),
        })
        .collect()
}

fn decide(run: &Run, event: impl Into<Step<RunEvent>>, at: i64) -> Run {
    let step = event.into();
    match run.take(&step, t(at)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{step:?}: {reason}"),
    }
}

fn cancel(job: Option<&str>) -> RunEvent {
    RunEvent::Cancel {
        job: job.map(|job| job.parse().unwrap()),
        outcome: Outcome::Cancelled,
        cause: "somebody asked for it".to_owned(),
    }
}

fn id(digits: &str) -> PipelineJobId {
    format!("{digits}000000-0000-4000-8000-000000000000").parse().unwrap()
}

fn waited_for() -> Run {
    let specs = vec![spec_needing("build", &[])];
    let run = Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0)).0;
    run.for_action(id("a1"), "build".parse().unwrap(), t(0))
}
