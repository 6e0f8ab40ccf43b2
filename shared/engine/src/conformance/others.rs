//! Other records than runs and builds.

use std::collections::BTreeSet;
use std::time::Duration;

use bellhop_domain::queue::line::Waiting;
use bellhop_domain::queue::pool::Pool;
use bellhop_domain::run::branch::Branch;
use futures::future::join_all;
use jiff::Timestamp;

use super::given::{EVERYTHING, Given, ask, eventually, later, only, text, versioned};
use crate::ports::{Item, Lane, Ledger, Text, Written};
use crate::records::Stored as _;

/// The first write that expects no pool creates it; after that it is an ordinary record.
pub(super) async fn a_pool_begins_with_version_0(ledger: &dyn Ledger) {
    let given = Given::new();
    let empty = given.pool();
    assert_eq!(ledger.load::<Pool>(&empty.name).await.unwrap(), None);
    assert_eq!(ledger.store(1, &empty).await.unwrap(), Written::Conflict);
    assert_eq!(ledger.load::<Pool>(&empty.name).await.unwrap(), None);
    let held = ask(&empty, &given, "held");
    assert_eq!(ledger.store(0, &held).await.unwrap(), Written::Stored(1));
    assert_eq!(ledger.load::<Pool>(&empty.name).await.unwrap(), Some(versioned(1, &held)));
    let waiting = ask(&held, &given, "waiting");
    for version in [0, 2, 99] {
        let written = ledger.store(version, &waiting).await.unwrap();
        assert_eq!(written, Written::Conflict, "version {version}");
    }
    assert_eq!(ledger.load::<Pool>(&empty.name).await.unwrap(), Some(versioned(1, &held)));
    assert_eq!(ledger.store(1, &waiting).await.unwrap(), Written::Stored(2));
    assert_eq!(ledger.load::<Pool>(&empty.name).await.unwrap(), Some(versioned(2, &waiting)));
    assert_eq!(ledger.store(2, &empty).await.unwrap(), Written::Stored(3));
    assert_eq!(ledger.load::<Pool>(&given.pool_named("b")).await.unwrap(), None);
}

/// If several writers have read the same version of a pool, or that there is none, one succeeds.
pub(super) async fn one_of_many_writers_of_a_pool_wins(ledger: &dyn Ledger) {
    let given = Given::new();
    let versions: Vec<Pool> = (0..8).map(|writer| ask(&given.pool(), &given, &format!("job-{writer}"))).collect();
    for expected in [0, 1] {
        let written = join_all(versions.iter().map(|pool| ledger.store(expected, pool))).await;
        let stored = Written::Stored(expected + 1);
        let mut winners = versions
            .iter()
            .zip(written)
            .filter(|(_, written)| *written.as_ref().unwrap() == stored);
        let (winner, _) = winners.next().unwrap();
        assert_eq!(winners.count(), 0, "a second writer got through");
        assert_eq!(
            ledger.load::<Pool>(&winner.name).await.unwrap(),
            Some(versioned(expected + 1, winner))
        );
    }
    assert_eq!(ledger.store(2, &given.pool()).await.unwrap(), Written::Stored(3));
}

/// A pool is due while builds wait in it, and not after the last one.
pub(super) async fn a_pool_is_due_while_somebody_waits(ledger: &dyn Ledger) {
    let given = Given::new();
    let empty = given.pool();
    let waiting = ask(&ask(&empty, &given, "held"), &given, "waiting");
    let at = waiting.due().unwrap();
    let mine = BTreeSet::from([empty.key()]);
    let due = |at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
    };
    assert_eq!(ledger.store(0, &waiting).await.unwrap(), Written::Stored(1));
    eventually(|| due(at), &mine.iter().cloned().collect()).await;
    assert_eq!(due(at.checked_sub(Duration::from_millis(1)).unwrap()).await, Vec::new());
    assert_eq!(ledger.store(1, &empty).await.unwrap(), Written::Stored(2));
    eventually(|| due(at), &Vec::new()).await;
}

/// The records of a partition are read in the order of their sort keys, from any of them on, and as many as are asked for.
pub(super) async fn the_next_in_a_partition_come_in_order(ledger: &dyn Ledger) {
    let given = Given::new();
    let [agent, other] = ["a", "b"].map(|suffix| given.pool_named(suffix));
    // Times within a second are as wide as others.
    let mut line: Vec<Waiting> = (0..12).map(|second| given.waiting(&agent, "job", second)).collect();
    line[3].since = later(line[3].since, Duration::from_millis(500));
    for (name, waiting) in ["shop-b", "shop", "Shop", "shop.b", "shop_b", "shop2"].iter().zip(&mut line) {
        waiting.repository = name.parse().unwrap();
    }
    for waiting in line.iter().chain([&given.waiting(&other, "job", 0)]) {
        assert_eq!(ledger.store(0, waiting).await.unwrap(), Written::Stored(1), "{waiting:?}");
    }
    line.sort_by_key(Waiting::key);
    let partition = line[0].key().partition;
    let next = |after: String, limit: usize| {
        let partition = &partition;
        async move { ledger.next_in_partition(partition, &after, limit).await.unwrap() }
    };
    let all: Vec<Text> = line.iter().map(|waiting| text(1, &waiting.item().unwrap())).collect();
    for limit in [1, 5, 12, 20] {
        assert_eq!(next("WAITING#".to_owned(), limit).await, all[..limit.min(12)], "{limit}");
    }
    for (index, last) in line.iter().enumerate() {
        let expected: Vec<Text> = all.iter().skip(index + 1).take(2).cloned().collect();
        assert_eq!(next(last.key().sort, 2).await, expected, "after {last:?}");
    }
    for waiting in &line {
        ledger.remove(&waiting.key()).await.unwrap();
    }
    assert_eq!(next("WAITING#".to_owned(), 20).await, []);
    ledger.remove(&given.waiting(&other, "job", 0).key()).await.unwrap();
}

/// A record that was removed is as one that never was. Others stay, and it may be removed once more.
pub(super) async fn a_removed_record_is_gone(ledger: &dyn Ledger) {
    let given = Given::new();
    let agent = given.pool_named("a");
    let [first, second] = [0, 1].map(|second| given.waiting(&agent, "job", second));
    ledger.remove(&first.key()).await.unwrap();
    for waiting in [&first, &second] {
        assert_eq!(ledger.store(0, waiting).await.unwrap(), Written::Stored(1));
    }
    for _ in 0..2 {
        ledger.remove(&first.key()).await.unwrap();
        assert_eq!(ledger.load::<Waiting>(&first).await.unwrap(), None);
        assert_eq!(ledger.load::<Waiting>(&second).await.unwrap(), Some(versioned(1, &second)));
    }
    assert_eq!(ledger.store(1, &first).await.unwrap(), Written::Conflict);
    assert_eq!(ledger.store(0, &first).await.unwrap(), Written::Stored(1));
    for waiting in [&first, &second] {
        ledger.remove(&waiting.key()).await.unwrap();
    }
}

/// The first write that expects no branch creates it; after that it is an ordinary record.
pub(super) async fn a_branch_begins_with_version_0(ledger: &dyn Ledger) {
    let given = Given::new();
    let first = given.branch("refs/heads/main");
    let read = || ledger.load::<Branch>((&first.repository, &first.reference));
    assert_eq!(read().await.unwrap(), None);
    assert_eq!(ledger.store(1, &first).await.unwrap(), Written::Conflict);
    assert_eq!(read().await.unwrap(), None);
    let created = join_all((0..4).map(|_| ledger.store(0, &first))).await;
    let new = created
        .iter()
        .filter(|written| *written.as_ref().unwrap() == Written::Stored(1))
        .count();
    assert_eq!(new, 1, "creators of one branch");
    assert_eq!(read().await.unwrap(), Some(versioned(1, &first)));
    let second = given.entered(&first, 1);
    for version in [0, 2] {
        let written = ledger.store(version, &second).await.unwrap();
        assert_eq!(written, Written::Conflict, "version {version}");
    }
    assert_eq!(ledger.store(1, &second).await.unwrap(), Written::Stored(2));
    assert_eq!(read().await.unwrap(), Some(versioned(2, &second)));
    assert_eq!(ledger.store(2, &first).await.unwrap(), Written::Stored(3));
}

/// Branches of different repositories are independent, also with equal names.
pub(super) async fn branches_do_not_mix(ledger: &dyn Ledger) {
    let given = Given::new();
    let branches = [
        given.branch("refs/heads/main"),
        given.branch("refs/heads/Main"),
        given.branch("refs/heads/main#1"),
        given.branch("refs/heads/main/größer"),
        given.branch("refs/tags/main"),
        Given::new().branch("refs/heads/main"),
    ];
    for branch in &branches {
        assert_eq!(ledger.store(0, branch).await.unwrap(), Written::Stored(1), "{branch:?}");
    }
    for branch in &branches {
        let read = ledger.load::<Branch>((&branch.repository, &branch.reference)).await.unwrap();
        assert_eq!(read, Some(versioned(1, branch)));
    }
}

/// The due time of a branch is that of its pending effects.
pub(super) async fn a_branch_is_due_when_it_says_so(ledger: &dyn Ledger) {
    let given = Given::new();
    let first = given.branch("refs/heads/a#b");
    let superseding = given.entered(&first, 1);
    let at = superseding.due().unwrap();
    let mine = BTreeSet::from([first.key()]);
    let due = |at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
    };
    assert_eq!(ledger.store(0, &superseding).await.unwrap(), Written::Stored(1));
    eventually(|| due(at), &mine.iter().cloned().collect()).await;
    assert_eq!(due(at.checked_sub(Duration::from_millis(1)).unwrap()).await, Vec::new());
    assert_eq!(ledger.store(1, &first).await.unwrap(), Written::Stored(2));
    eventually(|| due(at), &Vec::new()).await;
}

/// The first write that expects no record creates it; after that it is an ordinary record. Every kind has separate names.
pub(super) async fn a_record_is_kept_under_its_key(ledger: &dyn Ledger) {
    let given = Given::new();
    let [first, other, third] =
        [("INSTANCE", "a#b/c"), ("ALARM", "a#b/c"), ("BACKUP", "größer")].map(|(kind, name)| given.item(kind, name, None));
    assert_eq!(ledger.get(&first.key).await.unwrap(), None);
    assert_eq!(ledger.put(1, &first).await.unwrap(), Written::Conflict);
    let created = join_all((0..4).map(|_| ledger.put(0, &first))).await;
    let new = created
        .iter()
        .filter(|written| *written.as_ref().unwrap() == Written::Stored(1))
        .count();
    assert_eq!(new, 1, "creators of one record");
    for document in [&other, &third] {
        assert_eq!(ledger.put(0, document).await.unwrap(), Written::Stored(1));
    }
    let second = Item {
        text: "{}".to_owned(),
        ..first.clone()
    };
    assert_eq!(ledger.put(1, &second).await.unwrap(), Written::Stored(2));
    assert_eq!(ledger.put(1, &first).await.unwrap(), Written::Conflict);
    let read = |key| async move { ledger.get(key).await.unwrap().unwrap() };
    assert_eq!(read(&first.key).await, text(2, &second));
    assert_eq!(read(&other.key).await, text(1, &other));
    assert_eq!(read(&third.key).await, text(1, &third));
}

/// The due time of a record is the stored one.
pub(super) async fn a_record_is_due_when_it_says_so(ledger: &dyn Ledger) {
    let given = Given::new();
    for kind in ["INSTANCE", "ALARM", "BACKUP"] {
        let at = given.created;
        let (waiting, settled) = (given.item(kind, "a#b", Some(at)), given.item(kind, "a#b", None));
        let mine = BTreeSet::from([waiting.key.clone()]);
        let due = |at: Timestamp| {
            let mine = &mine;
            async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
        };
        assert_eq!(ledger.put(0, &waiting).await.unwrap(), Written::Stored(1));
        eventually(|| due(at), &mine.iter().cloned().collect()).await;
        assert_eq!(due(at.checked_sub(Duration::from_millis(1)).unwrap()).await, Vec::new());
        assert_eq!(ledger.put(1, &settled).await.unwrap(), Written::Stored(2));
        eventually(|| due(at), &Vec::new()).await;
    }
}
