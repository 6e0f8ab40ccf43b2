use bellhop_domain::run::Run;
use bellhop_domain::spec::{BuildSpec, Script};
use bellhop_domain::trigger::Push;
use serde_json::json;

use super::*;
use crate::testing::{self, Wire, ok};

/// A run of as many builds with scripts of this length, as the engine makes it.
fn run(count: usize, script: usize) -> (Run, Vec<Build>) {
    let spec = testing::spec();
    let push = Push {
        trigger: "push".to_owned(),
        repository: spec.repository.clone(),
        reference: spec.reference.clone(),
        commit: spec.commit.clone(),
        previous: None,
        by: None,
        at: None,
    };
    let specs: Vec<_> = (0..count)
        .map(|number| {
            let mut spec = BuildSpec {
                script: Script::Inline("x".repeat(script)),
                ..spec.clone()
            };
            spec.id.job = format!("job-{number}").parse().unwrap();
            spec
        })
        .collect();
    let at_once = fits_transaction(specs.iter());
    Run::create(spec.id.run, &push, specs, at_once, Timestamp::UNIX_EPOCH)
}

/// The requests that create a run.
async fn requests(run: &Run, builds: &[Build], count: usize) -> Vec<String> {
    let (aws, wire) = Wire::replying((0..count).map(|_| ok(&json!({}))));
    assert_eq!(aws.ledger("suite").create(run, builds).await.unwrap(), Created::New);
    wire.operations()
}

#[tokio::test]
async fn a_run_is_created_at_once_where_a_transaction_can_hold_it() {
    for (count, script) in [(1, 100), (TRANSACTION - 1, 20_000), (14, 200_000)] {
        let (run, builds) = run(count, script);
        assert!(
            builds.iter().all(|build| !matches!(build.state, BuildState::Blocked)),
            "{count} of {script}"
        );
        assert_eq!(requests(&run, &builds, 1).await, ["TransactWriteItems"], "{count} of {script}");
    }
}

/// A transaction of more than 4 MB is refused for good, and nothing would ever be built.
#[tokio::test]
async fn a_run_of_few_large_builds_is_created_piece_by_piece() {
    for (count, script) in [(TRANSACTION, 100), (TRANSACTION - 1, 45_000), (16, 200_000)] {
        let (run, builds) = run(count, script);
        assert!(
            builds.iter().all(|build| matches!(build.state, BuildState::Blocked)),
            "{count} of {script}"
        );
        let asked = requests(&run, &builds, count + 1).await;
        assert!(
            asked.len() == count + 1 && asked.iter().all(|operation| operation == "PutItem"),
            "{count} of {script}"
        );
    }
}
