//! Real payloads, where there are some: `BELLHOP_CORPUS` names a folder of them, relative to the workspace's root; without it nothing is checked.
//!
//! What each must come to is worked out here a second time, from the payload alone and in another way than the parser's: every object of interest is
//! looked for anywhere in the payload, inside texts as well, and judged by tables of plain words. One file judges the objects of related sources, [`found`] says
//! in the same words what the parser made of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod agents;
mod codecommit;
#[path = "../common/mod.rs"]
mod common;
mod expected;
mod expecting;
mod found;
mod notices;

use std::env;
use std::path::Path;

use bellhop_events::{Event, Reason, parse};

use expected::Expected;
use expecting::expectations;
use found::{adopted, compare, holds_broken_json};

/// The kinds of payload (their folders) that hold what Bellhop acts on, or the like of it.
const OURS: [&str; 16] = [
    "alarm-contributor-eventbridge",
    "alarm-eventbridge",
    "alarm-lambda-action",
    "alarm-sns-message",
    "backup-job-state-change",
    "codebuild-build-phase-change",
    "codebuild-build-state-change",
    "codecommit-repository-state-change",
    "codecommit-trigger",
    "codepipeline-job",
    "ec2-rebalance-recommendation",
    "ec2-spot-interruption-warning",
    "copy-job-state-change",
    "ecs-task-state-change",
    "restore-job-state-change",
    "scheduled-event",
];
/// Something of ours, wrapped; the folder holds other things as well.
const WRAPPED: [&str; 6] = [
    "sns-envelope/alarm-",
    "sns-lambda-event/alarm-",
    "sns-envelope/codecommit-",
    "sns-lambda-event/codecommit-",
    "sns-lambda-event/ecs-task-state-change-",
    "sqs-api-message/ecs-task-state-change-",
];

#[test]
#[expect(clippy::print_stdout, reason = "says how much was checked")]
fn real_payloads_are_understood() {
    let Some(folder) = env::var_os("BELLHOP_CORPUS").filter(|folder| !folder.is_empty()) else {
        println!("BELLHOP_CORPUS is not set: no payloads to walk");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let payloads = common::json_files(&root.join(&folder));
    let (mut ours, mut pushes, mut jobs, mut agents, mut alarms) = (0, 0, 0, 0, 0);
    for (name, payload) in &payloads {
        let parsed = parse(payload);
        let expected = expectations(payload);
        let concerns_us =
            OURS.iter().any(|kind| name.starts_with(&format!("{kind}/"))) || WRAPPED.iter().any(|part| name.starts_with(part));
        if concerns_us {
            ours += 1;
            assert!(!expected.is_empty(), "{name}: nothing of interest found in it");
        }
        compare(name, &parsed, &expected);
        pushes += parsed.events.iter().filter(|event| matches!(event, Event::Push(_))).count();
        alarms += parsed.events.iter().filter(|event| matches!(event, Event::Alarm(_))).count();
        jobs += parsed.events.iter().filter(|event| matches!(event, Event::Pipeline(_))).count();
        if expected.is_empty() {
            assert!(!parsed.skipped.is_empty(), "{name} vanished");
            for skipped in &parsed.skipped {
                assert!(
                    matches!(skipped.why, Reason::Foreign(_)) || holds_broken_json(payload),
                    "{name}: {skipped}"
                );
            }
        }

        let ours_now = adopted(payload, "bellhop/abcdefghij/test/2");
        let expected = expectations(&ours_now);
        compare(name, &parse(&ours_now), &expected);
        agents += expected.iter().filter(|one| matches!(one, Expected::Agent { .. })).count();
    }
    assert!(!payloads.is_empty(), "no payloads in {}", root.join(&folder).display());
    println!(
        "walked {} payloads: {ours} of our kinds, {pushes} pushes, {jobs} jobs of pipelines, {alarms} alarms, {agents} agents judged as if ours, {} foreign",
        payloads.len(),
        payloads.len() - ours
    );
}
