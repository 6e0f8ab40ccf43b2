//! Holds the ledger against other implementations of DynamoDB than the local AWS's, each with habits of its own. The step `ledgers` of `cargo xtask test`
//! starts them and runs this.
#![expect(
    clippy::print_stdout,
    clippy::panic,
    clippy::expect_used,
    reason = "a program for people at a terminal, which ends with what is wrong"
)]

mod units;

use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bellhop_aws::{Aws, DynamoLedger, Endpoint};
use bellhop_engine::conformance::{self, CASES, Case, THOUGH_REPLIES_ARE_LOST, Without};
use bellhop_scenarios::{ACCOUNT, LocalAws, REGION};
use bellhop_stand_in::{Fault, Options, Rule, RuleId, StandIn, Times};
use futures::future::join_all;
use serde_json::Value;

/// An implementation, and what it is known not to do.
struct Implementation {
    name: &'static str,
    /// The variable with its address.
    variable: &'static str,
    /// What the ledger does not keep there.
    without: &'static [Without],
    /// What it does not keep there besides, where replies are lost.
    without_replies: &'static [Without],
    /// It counts the units that a request takes from the table as AWS does.
    counts_units: bool,
}

/// dynalite has no transactions (<https://github.com/architect/dynalite/issues/151>).
const fn without_transactions(name: &'static str) -> Without {
    Without {
        name,
        why: "it has no transactions",
        words: "UnknownOperationException",
    }
}

/// moto does not look at the token of a transaction. On AWS one that is repeated under its token succeeds once more
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>).
const fn without_tokens(name: &'static str) -> Without {
    Without {
        name,
        why: "it does not know a transaction by its token",
        words: "AlreadyExists",
    }
}

const IMPLEMENTATIONS: [Implementation; 2] = [
    Implementation {
        name: "moto",
        variable: "BELLHOP_MOTO",
        without: &[],
        without_replies: &[
            without_tokens("what_was_created_is_there_with_version_1"),
            without_tokens("a_run_that_exists_is_left_as_it_is"),
            without_tokens("large_builds_are_created_in_one_step"),
        ],
        counts_units: false,
    },
    Implementation {
        name: "dynalite",
        variable: "BELLHOP_DYNALITE",
        without: &[
            without_transactions("what_was_created_is_there_with_version_1"),
            without_transactions("a_run_that_exists_is_left_as_it_is"),
            without_transactions("a_run_that_fills_a_transaction_is_created_whole"),
            without_transactions("a_run_larger_than_a_transaction_is_created_whole"),
            without_transactions("one_of_many_creators_wins"),
            without_transactions("one_of_many_creators_of_a_large_run_wins"),
            without_transactions("versions_grow_by_one"),
            without_transactions("a_stale_version_changes_nothing"),
            without_transactions("one_of_many_writers_wins"),
            without_transactions("builds_belong_to_their_run"),
            without_transactions("the_newest_runs_come_first"),
            without_transactions("a_run_is_listed_in_its_class"),
            without_transactions("what_has_nothing_to_do_is_never_due"),
            without_transactions("a_build_is_due_when_it_says_so"),
            without_transactions("what_is_due_is_in_one_lane"),
            without_transactions("large_builds_are_created_in_one_step"),
            without_transactions("builds_beyond_a_page_are_all_read"),
        ],
        without_replies: &[],
        counts_units: true,
    },
];

#[tokio::main]
async fn main() -> ExitCode {
    let definition = variable("BELLHOP_TABLE_DEFINITION");
    let definition: Value = serde_json::from_str(&definition).expect("the table's definition is JSON");
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if CHECKING.load(Ordering::Relaxed) == 0 {
            hook(panic);
        }
    }));
    let held = join_all(IMPLEMENTATIONS.iter().map(|implementation| hold(implementation, &definition))).await;
    if held.into_iter().all(|all_is_well| all_is_well) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How many properties are being looked at: what one panics with is a part of what is printed in the end.
static CHECKING: AtomicUsize = AtomicUsize::new(0);

async fn silently<T>(properties: impl Future<Output = T>) -> T {
    CHECKING.fetch_add(1, Ordering::Relaxed);
    let outcome = properties.await;
    CHECKING.fetch_sub(1, Ordering::Relaxed);
    outcome
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `cargo xtask test --only ledgers` sets it"))
}

/// Holds the ledger against an implementation, prints what came of it, and gives whether all is well.
async fn hold(implementation: &Implementation, definition: &Value) -> bool {
    let begun = Instant::now();
    let url = variable(implementation.variable);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut options = Options::new(folder.path());
    options.upstream = Some(url.clone());
    let proxy = StandIn::start(options).await.expect("a stand-in");
    let direct = LocalAws::at(&url);

    let ledger = table(&direct, &proxy, definition).await;
    let outcome = silently(conformance::all_but(&ledger, implementation.without)).await;
    let mut wrong = outcome.wrong;
    let mut line = format!(
        "{}: {} of {} properties hold, {} skipped",
        implementation.name,
        outcome.passed,
        CASES.len(),
        implementation.without.len()
    );
    for without in implementation.without {
        println!("{}: skipped {}: {}", implementation.name, without.name, without.why);
    }
    if implementation.counts_units {
        let counted = units::compare(&direct, &proxy.journal().entries(), definition).await;
        line += &format!("; {} requests take as many units as ours are said to", counted.alike);
        wrong.extend(counted.wrong);
    }

    let ledger = table(&direct, &proxy, definition).await;
    let mut held = 0;
    for name in THOUGH_REPLIES_ARE_LOST {
        let known = implementation.without.iter().chain(implementation.without_replies);
        let known = known.into_iter().find(|without| without.name == name);
        let case = Case::named(name).expect("a property of that name");
        let rules = lose_first_replies(&proxy);
        let outcome = silently(case.check(&ledger)).await;
        if outcome.is_ok() && rules.into_iter().any(|rule| proxy.faults().fired(rule) == 0) {
            wrong.push(format!("{name}: too few replies were lost"));
        }
        match Without::judge(known, name, outcome) {
            Ok(()) => held += usize::from(known.is_none()),
            Err(why) => wrong.push(format!("with first replies lost, {why}")),
        }
        proxy.faults().clear();
    }
    line += &format!("; {held} of {} although replies are lost", THOUGH_REPLIES_ARE_LOST.len());
    proxy.stop().await;
    println!("{line} ({:.1} s)", begun.elapsed().as_secs_f64());
    for wrong in &wrong {
        println!("{}: WRONG: {wrong}", implementation.name);
    }
    wrong.is_empty()
}

/// Has the first reply to each request be lost, where there is one request at a time, and not that to its repetition.
fn lose_first_replies(proxy: &StandIn) -> [RuleId; 2] {
    let lose = || Rule::new("dynamodb", "*", Fault::LoseReply);
    [lose().times(Times::Next(1)), lose().times(Times::Every(2))].map(|rule| proxy.faults().inject(rule))
}

/// The ledger in a table of its own, which it reaches through the proxy.
async fn table(direct: &LocalAws, proxy: &StandIn, definition: &Value) -> DynamoLedger {
    let name = format!("bellhop-{:016x}", fastrand::u64(..));
    direct.create_table(definition.clone(), &name).await;
    let endpoint = Endpoint {
        url: proxy.endpoint(),
        region: REGION.to_owned(),
        access_key_id: ACCOUNT.to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    Aws::at(&endpoint).ledger(&name)
}
