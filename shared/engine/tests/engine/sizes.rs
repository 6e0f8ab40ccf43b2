//! Records of the largest inputs that the two files allow.

use std::fmt::Write as _;

use bellhop_domain::build::Build;
use bellhop_domain::executor::Script;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::results::found::{Artifact, MOST_ARTIFACTS, MOST_FAILED, MOST_UNREAD, Results, Seal, Tests};
use bellhop_domain::run::{Run, RunState};
use bellhop_engine::Started;
use bellhop_engine::records::{LARGEST, Stored as _};

use crate::world::{World, job, push};

/// The most jobs of a file.
const JOBS: usize = 200;
/// The most attempts of a build: twenty rules that each allow ten retries.
const ATTEMPTS: u32 = 201;

/// A name of a job with the most characters.
fn longest(number: usize) -> String {
    format!("{number:0>63}")
}

/// A report with so many failed tests, whose names have more characters than are stored.
fn report(tests: usize) -> String {
    let mut report = "<testsuite>".to_owned();
    for number in 0..tests {
        let name = "在庫の数が正しく更新されること".repeat(10);
        // Writing to a String cannot fail.
        let _ = write!(report, "<testcase name='{number} {name}'><failure/></testcase>");
    }
    report + "</testsuite>"
}

/// All jobs need the first, and fail. Three of them leave reports, and more artifacts than are listed, with the longest paths.
#[tokio::test]
async fn the_largest_run_ends() {
    let world = World::new();
    let mut file = "version: 1\njobs:\n".to_owned();
    for number in 0..JOBS {
        let needs = if number == 0 {
            String::new()
        } else {
            format!("needs: [\"{}\"], ", longest(0))
        };
        let artifacts = if number < 3 { ", artifacts: ['**']" } else { "" };
        let _ = writeln!(file, "  \"{}\": {{ {needs}agent: small, run: make{artifacts} }}", longest(number));
    }
    world.pipeline(&file);
    let path = |number: usize| format!("{}{number}", "結果/".repeat(250));
    let artifacts = (0..=MOST_ARTIFACTS).map(|number| (path(number), String::new()));
    world.bucket.artifacts.lock().unwrap().extend(artifacts);
    world
        .bucket
        .artifacts
        .lock()
        .unwrap()
        .insert("report.xml".to_owned(), report(10_000));
    let run = world.started("one").await;
    let plan = world.run(&run).await.frozen().unwrap().unwrap();
    assert!(plan.text.len() < 40_000, "{} bytes", plan.text.len());
    world.exits(&job(&run, &longest(0)), 0).await;
    // The largest record of the run: it releases all other jobs.
    world.sweep().await.unwrap();
    for number in 1..JOBS {
        world.exits(&job(&run, &longest(number)), 1).await;
        let record = world.run(&run).await.item().unwrap();
        assert!(record.text.len() < 1_000, "{} bytes: {}", record.text.len(), record.text);
    }
    let ended = world.run(&run).await;
    assert!(matches!(
        ended.state,
        RunState::Finished {
            outcome: Outcome::Failed,
            ..
        }
    ));
    let tested = world.build(&job(&run, &longest(1))).await;
    let tests = tested.results.as_ref().unwrap().tests.as_ref().unwrap();
    assert_eq!((tests.failed, tests.failures.len()), (10_000, MOST_FAILED));
    assert!(tested.item().unwrap().text.len() < LARGEST);
    let message = world.inbox.messages.lock().unwrap().last().unwrap().document.to_string();
    assert!(message.len() < 256 * 1024, "{} bytes", message.len());
}

/// A build that was tried as often as possible, and each time in vain.
fn largest_build(mut build: Build) -> Build {
    build.spec.script = Script::Inline("x".repeat(LARGEST / 2 - 2_000));
    let text = || Some("容".repeat(300));
    let first = build.attempts[0].clone();
    build.attempts = (1..=ATTEMPTS)
        .map(|number| {
            let mut attempt = first.clone();
            (attempt.number, attempt.last_refusal, attempt.advice, attempt.remark) = (number, text(), text(), text());
            attempt
        })
        .collect();
    let artifact = Artifact {
        path: "結".repeat(341),
        size: u64::MAX,
        seal: Seal {
            version: Some("v".repeat(1024)),
            sha256: Some("0".repeat(64)),
        },
    };
    build.results = Some(Results {
        artifacts: vec![artifact; MOST_ARTIFACTS],
        count: 10_000,
        folder: Some("f".repeat(200)),
        images: Vec::new(),
        tests: Some(Tests {
            failures: vec!["容".repeat(250); MOST_FAILED],
            unread_because: vec!["容".repeat(250); MOST_UNREAD],
            failed: 10_000,
            ..Tests::default()
        }),
    });
    build
}

#[tokio::test]
async fn the_largest_build_is_stored_without_what_it_keeps_for_people() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make }\n");
    let run = world.started("one").await;
    let build = largest_build(world.build(&job(&run, "test")).await);
    assert!(serde_json::to_string(&build).unwrap().len() > 2 * LARGEST);
    let item = build.item().unwrap();
    assert!(item.text.len() <= LARGEST, "{} bytes", item.text.len());
    let stored: Build = serde_json::from_str(&item.text).unwrap();
    assert_eq!(
        (stored.attempts.len(), stored.retries),
        (build.attempts.len(), build.retries.clone())
    );
    assert_eq!(stored.results.unwrap().count, 10_000);
    // What decides is never cut.
    let mut larger = build;
    larger.spec.script = Script::Inline("x".repeat(4 * LARGEST / 3));
    let error = larger.item().unwrap_err();
    assert!(error.what.contains("bytes, and at most 390000 are stored"), "{error}");
}

#[tokio::test]
async fn a_job_that_has_no_room_in_a_record_is_rejected() {
    let world = World::new();
    let script = "\"\\\\".repeat(LARGEST / 6);
    world.configure_with("  bare: { codebuild: { project: ci-docker } }");
    world.pipeline(&format!("version: 1\njobs:\n  test: {{ agent: bare, run: '{script}' }}\n"));
    let Started::Rejected { message, .. } = world.starter().push(&push("one")).await.unwrap() else {
        panic!("the run was not rejected")
    };
    assert_eq!(
        message,
        "jobs.test: 300573 bytes of JSON, with its script and its variables; expected at most 150000"
    );
}

#[tokio::test]
async fn a_run_of_few_jobs_is_one_item() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make }\n");
    let run = world.started("one").await;
    let record: Run = world.run(&run).await;
    assert_eq!(record.frozen().unwrap(), None);
}
