use bellhop_domain::build::{Build, BuildState};
use bellhop_domain::executor::Script;
use bellhop_domain::run::Run;
use bellhop_domain::run::trigger::Push;
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::FaultKind;
use bellhop_engine::ports::TRANSACTION;
use bellhop_engine::records::fits_transaction;
use serde_json::json;

use super::*;
use crate::Aws;
use crate::testing::{self, Wire, ok};

fn ledger(aws: &Aws) -> Box<dyn Ledger> {
    Box::new(aws.ledger("suite"))
}

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
    assert_eq!(ledger(&aws).create(run, builds).await.unwrap(), Created::New);
    wire.operations()
}

#[tokio::test]
async fn a_run_is_created_at_once_where_a_transaction_can_hold_it() {
    for (count, script) in [(1, 100), (TRANSACTION - 2, 20_000), (14, 200_000)] {
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
        let (last, before) = asked.split_last().unwrap();
        assert!(before.len() == count && before.iter().all(|operation| operation == "PutItem"));
        let of_run = if run.plan.is_apart() { "TransactWriteItems" } else { "PutItem" };
        assert_eq!(last, of_run, "the run, and its plan if that is long, {count} of {script}");
    }
}

/// DynamoDB's answer to a transaction that it cancels for these reasons.
fn cancelled(codes: &[&str]) -> testing::Reply {
    let reasons: Vec<_> = codes.iter().map(|code| json!({ "Code": code })).collect();
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", ")),
        "CancellationReasons": reasons,
    });
    (400, body.to_string())
}

/// The codes are those of <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>.
#[tokio::test(start_paused = true)]
async fn a_transaction_is_tried_again_where_every_reason_passes() {
    let (run, builds) = run(2, 10);
    for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
        let (aws, wire) = Wire::replying([cancelled(&["None", code, "None"]), ok(&json!({}))]);
        assert_eq!(ledger(&aws).create(&run, &builds).await.unwrap(), Created::New, "{code}");
        assert_eq!(wire.operations().len(), 2, "{code}");

        let tries = TRANSACTION_TRIES as usize;
        let (aws, wire) = Wire::replying(vec![cancelled(&[code, "None", "None"]); tries]);
        let fault = ledger(&aws).create(&run, &builds).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Transient, "{code}");
        assert_eq!(wire.operations().len(), tries, "{code}");
    }
}

#[tokio::test]
async fn a_transaction_whose_run_is_there_is_not_tried_again() {
    let (run, builds) = run(2, 10);
    for codes in [
        ["ConditionalCheckFailed", "ConditionalCheckFailed", "ConditionalCheckFailed"],
        ["None", "None", "ConditionalCheckFailed"],
        ["ConditionalCheckFailed", "TransactionConflict", "ThrottlingError"],
    ] {
        let (aws, wire) = Wire::replying([cancelled(&codes)]);
        let created = ledger(&aws).create(&run, &builds).await.unwrap();
        assert_eq!(created, Created::AlreadyExists, "{codes:?}");
        assert_eq!(wire.operations().len(), 1);
    }
}

#[tokio::test]
async fn a_transaction_that_can_never_succeed_is_a_permanent_fault() {
    let (run, builds) = run(2, 10);
    for code in ["ValidationError", "ItemCollectionSizeLimitExceeded", "AccessDenied"] {
        let (aws, wire) = Wire::replying([cancelled(&["None", code, "TransactionConflict"])]);
        let fault = ledger(&aws).create(&run, &builds).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Permanent, "{code}");
        assert_eq!(wire.operations().len(), 1, "{code}");
    }
}

/// The ways in which DynamoDB refuses a single write
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>).
#[tokio::test]
async fn a_refused_write_passes_or_lasts() {
    let (run, _) = run(1, 10);
    for (code, kind) in [
        (
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            FaultKind::Transient,
        ),
        ("com.amazonaws.dynamodb.v20120810#RequestLimitExceeded", FaultKind::Transient),
        (
            "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
            FaultKind::Transient,
        ),
        ("com.amazonaws.dynamodb.v20120810#InternalServerError", FaultKind::Transient),
        ("com.amazon.coral.availability#ThrottlingException", FaultKind::Transient),
        ("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", FaultKind::Permanent),
        ("com.amazon.coral.validate#ValidationException", FaultKind::Permanent),
        ("com.amazon.coral.service#AccessDeniedException", FaultKind::Permanent),
    ] {
        let (aws, _) = Wire::replying([testing::refused(code, "because")]);
        let fault = ledger(&aws).store(1, &run).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{code}");
    }
    let refused = testing::refused(
        "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "The conditional request failed",
    );
    let (aws, _) = Wire::replying([refused]);
    assert_eq!(ledger(&aws).store(1, &run).await.unwrap(), Written::Conflict);
}

/// A page of the index `due`.
fn page(items: std::ops::Range<usize>, more: bool) -> testing::Reply {
    let key = |index: usize| json!({ "pk": { "S": format!("POOL#small-{index}") }, "sk": { "S": "POOL" }, "due_shard": { "S": "launch" }, "due_at": { "N": "1" } });
    let mut body = json!({ "Items": items.clone().map(key).collect::<Vec<_>>() });
    if more {
        body["LastEvaluatedKey"] = key(items.end);
    }
    ok(&body)
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html>
#[tokio::test]
async fn pages_are_read_until_there_is_enough_or_no_more() {
    for (pages, limit, found) in [
        (vec![page(0..3, false)], 5, 3),
        (vec![page(0..0, false)], 5, 0),
        (vec![page(0..3, true), page(3..4, false)], 5, 4),
        // A page may be empty and not the last one.
        (vec![page(0..3, true), page(9..9, true), page(3..4, false)], 5, 4),
        // There is more, and nobody asks for it.
        (vec![page(0..5, true)], 5, 5),
        (vec![page(0..3, true), page(3..8, true)], 5, 5),
    ] {
        let requests = pages.len();
        let (aws, wire) = Wire::replying(pages);
        let due = aws.ledger("suite").due(Lane::Launches, Timestamp::UNIX_EPOCH, limit).await.unwrap();
        assert_eq!((due.len(), wire.operations().len()), (found, requests));
    }
}
