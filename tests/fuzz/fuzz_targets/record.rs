//! Any text in place of a record of the ledger or an agent's report: it is read or refused. What was read reads the same when it is written again, and can
//! be decided upon and told of.
#![no_main]

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::decision::Decision;
use bellhop_domain::executor::observation::{AgentStatus, Observation, Report, Stop, StopCause};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::record::{Decides, Step};
use bellhop_domain::report;
use bellhop_domain::run::{Run, RunEvent};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|text: &str| {
    let now = "2026-09-21T16:13:20Z".parse().expect("a fixed time");
    if let Ok(read) = serde_json::from_str::<Report>(text) {
        written_again(&read);
    }
    if let Ok(run) = Run::from_parts(text, None) {
        written_again(&run);
        run_goes_on(&run, now);
    }
    if let Ok(build) = serde_json::from_str::<Build>(text) {
        written_again(&build);
        build_goes_on(&build, now);
    }
});

fn written_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(read: &T) {
    let text = serde_json::to_string(read).expect("a record can be written");
    assert_eq!(serde_json::from_str::<T>(&text).expect("what was written can be read"), *read);
}

fn run_goes_on(run: &Run, now: Timestamp) {
    run.due();
    report::of_run(run, std::iter::empty());
    for job in run.jobs() {
        for outcome in [Outcome::Succeeded, Outcome::Failed] {
            let event = RunEvent::BuildFinished {
                job: job.name.clone(),
                outcome,
            };
            if let Decision::Next(next) = run.decide(&event, now) {
                written_again(&*next);
            }
        }
    }
}

fn build_goes_on(build: &Build, now: Timestamp) {
    build.due();
    build.agents_to_check(now);
    let mut steps = vec![Step::Event(BuildEvent::Tick { polled_at: now }), Step::Event(BuildEvent::Released)];
    for pending in build.outbox.pending() {
        steps.extend([Step::Performed(pending.id), Step::Deferred(pending.id, String::new())]);
    }
    for attempt in &build.attempts {
        let Some(agent) = &attempt.agent else { continue };
        for cause in [StopCause::Exited, StopCause::Interrupted, StopCause::NoCapacity] {
            let stop = Stop {
                cause,
                reason: None,
                containers: Vec::new(),
                report: None,
                at: None,
            };
            let observation = Observation {
                agent: agent.clone(),
                version: None,
                capacity: None,
                status: AgentStatus::Stopped(stop),
            };
            let attempt = attempt.number;
            steps.push(Step::Event(BuildEvent::Agent { attempt, observation }));
        }
    }
    for step in steps {
        if let Decision::Next(next) = build.take(&step, now) {
            written_again(&*next);
            next.due();
        }
    }
}
