//! Every file of `events/` means what is written here, and nothing lies there that is not.
//!
//! One file holds the rows of one source, which is a folder of `events/`: a sample, the events that it holds, and how what was skipped in it reads. A new
//! sample is a row there and a line in `events/README.md`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod alarm;
mod backup;
mod codebuild;
mod codecommit;
mod codepipeline;
#[path = "../common/mod.rs"]
mod common;
mod control;
mod ec2;
mod ecs;
mod s3;
mod schedule;
mod step_functions;
mod story;

use std::fs;
use std::path::{Path, PathBuf};

use bellhop_domain::ids::RunId;
use bellhop_events::{Event, parse};

use ecs::attempt;
use story::{Row, SUITE};

fn table() -> Vec<Row> {
    [
        alarm::rows(),
        backup::rows(),
        codebuild::rows(),
        codecommit::rows(),
        codepipeline::rows(),
        control::rows(),
        ec2::rows(),
        ecs::rows(),
        s3::rows(),
        schedule::rows(),
        step_functions::rows(),
    ]
    .concat()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

#[test]
fn every_sample_means_what_the_table_says() {
    let table = table();
    let samples = common::json_files(&folder());
    for (name, input) in &samples {
        let Some((_, events, skipped)) = table.iter().find(|row| row.0 == name) else {
            panic!("events/{name} has no row in the table");
        };
        let parsed = parse(input);
        let reasons: Vec<String> = parsed.skipped.iter().map(ToString::to_string).collect();
        assert_eq!((&parsed.events, &reasons), (events, skipped), "events/{name}");
    }
    assert_eq!(samples.len(), table.len(), "a row of the table has no sample");
}

#[test]
fn the_agents_samples_continue_the_pushs() {
    let (_, first) = common::json_files(&folder())
        .into_iter()
        .find(|(name, _)| name == "codecommit/push.json")
        .unwrap();
    let events = parse(&first).events;
    let [Event::Push(push)] = events.as_slice() else {
        panic!("no push: {events:?}");
    };
    assert_eq!(RunId::derive(SUITE, &push.trigger, &push.reference), attempt().build.run);
}

#[test]
fn every_sample_is_described() {
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    for (name, _) in common::json_files(&folder()) {
        assert!(
            text.contains(&format!("| `{name}` |")),
            "events/README.md says nothing about {name}"
        );
    }
}
