//! DynamoDB's limits: pages of 1 MB, items of 400 KB, keys of 1,024 bytes
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).

use std::collections::BTreeSet;

use bellhop_domain::run::Listed;
use bellhop_domain::run::branch::Branch;
use futures::future::join_all;
use jiff::Timestamp;

use super::given::{EVERYTHING, Given, by_id, eventually, only, performed, random_run, read_run, text, versioned};
use crate::FaultKind;
use crate::ports::{Created, Item, Key, Lane, Ledger, Written};
use crate::records::fits_transaction;

/// The largest item, including the attributes' names.
const LARGEST: usize = 400 * 1024;
/// More records than fit on a page, each with 2 KB of keys.
const MANY: usize = 530;
/// How many requests are sent in parallel.
const AT_ONCE: usize = 16;

/// The most bytes of a transaction with few builds.
pub(super) async fn large_builds_are_created_in_one_step(ledger: &dyn Ledger) {
    created_large(ledger, 14, true).await;
}

/// More than fits into a transaction, and onto a page.
pub(super) async fn builds_beyond_a_page_are_all_read(ledger: &dyn Ledger) {
    created_large(ledger, 16, false).await;
}

async fn created_large(ledger: &dyn Ledger, count: usize, at_once: bool) {
    let (run, builds) = Given::new().run_of_large(count, 200_000);
    assert_eq!(fits_transaction(builds.iter().map(|build| &build.spec)), at_once);
    assert_eq!(ledger.create(&run, &builds).await.unwrap(), Created::New);
    assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
    let expected = by_id(builds.iter().map(|build| versioned(1, build)).collect());
    assert!(
        by_id(ledger.builds_of(&run.id).await.unwrap()) == expected,
        "{count} builds are read otherwise"
    );
    assert_eq!(ledger.create(&run, &builds).await.unwrap(), Created::AlreadyExists);
}

/// Runs with many jobs are so large that a page has fewer than requested, although there are more.
pub(super) async fn runs_beyond_a_page_are_all_listed(ledger: &dyn Ledger) {
    let given = Given::new();
    let mut places = Vec::new();
    for second in 0..22 {
        let again = Given {
            run: random_run(),
            ..given.clone()
        };
        let mut run = performed(&again.rejected(given.after(second)));
        run.by = Some("x".repeat(60_000));
        assert_eq!(ledger.create(&run, &[]).await.unwrap(), Created::New);
        places.push(run.listed().place());
    }
    places.reverse();
    let listed = |before: Option<String>, limit: usize| {
        let repository = &given.repository;
        async move {
            let runs = ledger.runs_of(repository, before.as_deref(), limit).await.unwrap();
            runs.iter().map(Listed::place).collect::<Vec<_>>()
        }
    };
    eventually(|| listed(None, 20), &places[..20].to_vec()).await;
    eventually(|| listed(Some(places[1].clone()), 20), &places[2..].to_vec()).await;
    eventually(|| listed(Some(places[19].clone()), 20), &places[20..].to_vec()).await;
}

/// The same for due records.
pub(super) async fn what_is_due_beyond_a_page_is_all_found(ledger: &dyn Ledger) {
    let given = Given::new();
    // Their digits have the same sum, which determines the partition: all of them are in one.
    let name = |index: usize| format!("{index:04}{:04}{}", 9_999 - index, "x".repeat(1_950));
    let waiting: Vec<Item> = (0..MANY)
        .map(|index| given.item("INSTANCE", &name(index), Some(given.created)))
        .collect();
    for some in waiting.chunks(AT_ONCE) {
        for written in join_all(some.iter().map(|document| ledger.put(0, document))).await {
            assert_eq!(written.unwrap(), Written::Stored(1));
        }
    }
    let mine: BTreeSet<Key> = waiting.iter().map(|document| document.key.clone()).collect();
    let due = |at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()).len() }
    };
    eventually(|| due(given.created), &MANY).await;
    assert_eq!(ledger.due(Lane::Rest, given.created, MANY).await.unwrap().len(), MANY);
    let settled = waiting.iter().map(|document| Item {
        due: None,
        ..document.clone()
    });
    for some in settled.collect::<Vec<_>>().chunks(AT_ONCE) {
        for written in join_all(some.iter().map(|document| ledger.put(1, document))).await {
            assert_eq!(written.unwrap(), Written::Stored(2));
        }
    }
    eventually(|| due(given.created), &0).await;
}

/// The length of a key counts bytes, and Git's names may contain any letters.
pub(super) async fn a_branch_may_have_the_longest_name(ledger: &dyn Ledger) {
    let given = Given::new();
    let branch = given.branch(&format!("refs/heads/{}", "\u{1f642}".repeat(225)));
    assert_eq!(ledger.store(0, &branch).await.unwrap(), Written::Stored(1));
    let read = ledger.load::<Branch>((&branch.repository, &branch.reference)).await.unwrap();
    assert_eq!(read, Some(versioned(1, &branch)));
}

/// Every character that a Rust string can hold, in names and contents.
pub(super) async fn a_text_comes_back_as_it_was(ledger: &dyn Ledger) {
    let given = Given::new();
    let odd = "\0\u{1}\t\r\n\"\\/\u{7f}\u{85}\u{2028}\u{feff}\u{fffd}\u{ffff}\u{10ffff} größer 日本語 e\u{301} ";
    let document = Item {
        text: odd.repeat(20),
        ..given.item("ALARM", odd, None)
    };
    assert_eq!(ledger.put(0, &document).await.unwrap(), Written::Stored(1));
    let read = ledger.get(&document.key).await.unwrap();
    assert_eq!(read, Some(text(1, &document)));
}

/// A record of nearly the maximum size. An item has more attributes than the record, and moto counts 405,000 bytes as 400 KB.
pub(super) async fn a_record_that_just_fits_is_stored(ledger: &dyn Ledger) {
    let document = Item {
        text: "x".repeat(LARGEST - 5 * 1024),
        ..Given::new().item("BACKUP", "large", None)
    };
    assert_eq!(ledger.put(0, &document).await.unwrap(), Written::Stored(1));
    let read = ledger.get(&document.key).await.unwrap().unwrap();
    assert!(read == text(1, &document), "it is read otherwise");
}

/// A retry cannot help, and the stored record stays.
pub(super) async fn a_record_that_is_too_large_is_refused_for_good(ledger: &dyn Ledger) {
    let small = Given::new().item("BACKUP", "large", None);
    let large = Item {
        text: "x".repeat(LARGEST),
        ..small.clone()
    };
    assert_eq!(ledger.put(0, &large).await.unwrap_err().kind, FaultKind::Permanent);
    assert_eq!(ledger.get(&large.key).await.unwrap(), None);
    assert_eq!(ledger.put(0, &small).await.unwrap(), Written::Stored(1));
    assert_eq!(ledger.put(1, &large).await.unwrap_err().kind, FaultKind::Permanent);
    assert_eq!(ledger.get(&small.key).await.unwrap(), Some(text(1, &small)));
}
