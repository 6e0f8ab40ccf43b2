//! What every ledger has to keep, as a suite to run against one: the ledger in memory, and the real table, which may hold anybody's records besides.
//!
//! Every property works on runs and repositories of its own, under names drawn at random, and leaves nothing behind that is due. In the meantime
//! some of its records are, so no sweep may work on the table. Indexes are given some seconds to follow, as the real ones need them.

#![expect(clippy::unwrap_used, reason = "a suite of tests stops at what should not be")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use bellhop_domain::branch::{Branch, BranchEvent, Pushed};
use bellhop_domain::build::{Build, BuildEvent, Refusal};
use bellhop_domain::decision::Decision;
use bellhop_domain::ids::{AgentName, BuildId, RepositoryName, RunId};
use bellhop_domain::outbox::PERFORM_WITHIN;
use bellhop_domain::pool::{Pool, PoolEvent};
use bellhop_domain::run::{Run, RunEvent};
use bellhop_domain::spec::{BuildSpec, EcsExecutor, Executor, Relaunch, RetryPolicy, Script, Successes};
use bellhop_domain::trigger::Push;
use futures::future::join_all;
use jiff::Timestamp;

use crate::ports::{Created, Document, DocumentKey, DocumentKind, DueItem, Lane, Ledger, TRANSACTION, Versioned, Written};

/// How long an index may take to follow the table.
const SETTLE: Duration = Duration::from_secs(10);
/// More than any table that this suite runs on has due.
const EVERYTHING: usize = 10_000;

/// Every property, one after the other.
pub async fn all(ledger: &dyn Ledger) {
    what_was_created_is_there_with_version_1(ledger).await;
    what_was_never_created_is_not_there(ledger).await;
    a_run_without_builds_can_be_created(ledger).await;
    a_run_that_exists_is_left_as_it_is(ledger).await;
    a_run_that_fills_a_transaction_is_created_whole(ledger).await;
    a_run_larger_than_a_transaction_is_created_whole(ledger).await;
    one_of_many_creators_wins(ledger).await;
    versions_grow_by_one(ledger).await;
    a_stale_version_changes_nothing(ledger).await;
    what_is_not_there_cannot_be_updated(ledger).await;
    one_of_many_writers_wins(ledger).await;
    builds_belong_to_their_run(ledger).await;
    what_is_due_comes_in_its_order(ledger).await;
    what_has_nothing_to_do_is_never_due(ledger).await;
    a_build_is_due_when_it_says_so(ledger).await;
    launches_are_due_by_themselves(ledger).await;
    the_newest_runs_come_first(ledger).await;
    a_pool_begins_with_version_0(ledger).await;
    one_of_many_writers_of_a_pool_wins(ledger).await;
    a_pool_is_due_while_somebody_waits(ledger).await;
    a_branch_begins_with_version_0(ledger).await;
    branches_do_not_mix(ledger).await;
    a_branch_is_due_when_it_says_so(ledger).await;
    a_document_is_kept_under_its_kind_and_name(ledger).await;
    a_document_is_due_when_it_says_so(ledger).await;
}

/// A run and its builds are there after their creation, as they were given, with version 1.
pub async fn what_was_created_is_there_with_version_1(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["lint", "test"]);
    assert_eq!(ledger.create(&run, &builds).await.unwrap(), Created::New);
    assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
    for build in &builds {
        assert_eq!(read_build(ledger, &build.spec.id).await, versioned(1, build));
    }
}

/// What was never created is not found, which is no error.
pub async fn what_was_never_created_is_not_there(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    assert_eq!(ledger.run(&run.id).await.unwrap(), None);
    assert_eq!(ledger.build(&builds[0].spec.id).await.unwrap(), None);
    assert_eq!(ledger.builds_of(&run.id).await.unwrap(), Vec::new());
    assert_eq!(ledger.runs_of(&run.repository, None, 10).await.unwrap(), Vec::new());
}

/// A rejected run has no builds.
pub async fn a_run_without_builds_can_be_created(ledger: &dyn Ledger) {
    let run = Given::new().rejected(now());
    assert_eq!(ledger.create(&run, &[]).await.unwrap(), Created::New);
    assert_eq!(ledger.create(&run, &[]).await.unwrap(), Created::AlreadyExists);
    assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
    let idle = performed(&run);
    assert_eq!(ledger.update_run(1, &idle).await.unwrap(), Written::Stored(2));
}

/// Creating a run again changes neither it nor its builds, even if they would be others now.
pub async fn a_run_that_exists_is_left_as_it_is(ledger: &dyn Ledger) {
    let given = Given::new();
    let (run, builds) = given.run(&["lint", "test"]);
    assert_eq!(ledger.create(&run, &builds).await.unwrap(), Created::New);
    let skipped = skip(&builds[0]);
    assert_eq!(ledger.update_build(1, &skipped).await.unwrap(), Written::Stored(2));
    let (mut other, mut others) = given.run(&["lint", "test"]);
    other.by = Some("somebody else".to_owned());
    for build in &mut others {
        build.spec.script = Script::Inline("exit 1".to_owned());
    }
    assert_eq!(ledger.create(&other, &others).await.unwrap(), Created::AlreadyExists);
    assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
    assert_eq!(read_build(ledger, &builds[0].spec.id).await, versioned(2, &skipped));
    assert_eq!(read_build(ledger, &builds[1].spec.id).await, versioned(1, &builds[1]));
}

/// One run and as many builds as a transaction has room for.
pub async fn a_run_that_fills_a_transaction_is_created_whole(ledger: &dyn Ledger) {
    created_whole(ledger, TRANSACTION - 1).await;
}

/// More builds than a transaction has room for.
pub async fn a_run_larger_than_a_transaction_is_created_whole(ledger: &dyn Ledger) {
    created_whole(ledger, TRANSACTION).await;
    created_whole(ledger, 150).await;
}

async fn created_whole(ledger: &dyn Ledger, count: usize) {
    let given = Given::new();
    let (run, builds) = given.run_of(count);
    assert_eq!(ledger.create(&run, &builds).await.unwrap(), Created::New, "{count} builds");
    assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
    let stored = by_id(ledger.builds_of(&run.id).await.unwrap());
    let expected = by_id(builds.iter().map(|build| versioned(1, build)).collect());
    assert_eq!(stored, expected, "{count} builds");
    assert_eq!(
        ledger.create(&run, &builds).await.unwrap(),
        Created::AlreadyExists,
        "{count} builds"
    );
}

/// A push that is delivered several times at once creates one run, small or large, with each of its builds once.
pub async fn one_of_many_creators_wins(ledger: &dyn Ledger) {
    for count in [2, TRANSACTION + 20] {
        let (run, builds) = Given::new().run_of(count);
        let created = join_all((0..4).map(|_| ledger.create(&run, &builds))).await;
        let new = created.iter().filter(|created| *created.as_ref().unwrap() == Created::New).count();
        assert_eq!(new, 1, "creators of one run of {count} builds");
        assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
        assert_eq!(by_id(ledger.builds_of(&run.id).await.unwrap()).len(), count);
    }
}

/// Each write of a record gives it the next version.
pub async fn versions_grow_by_one(ledger: &dyn Ledger) {
    let (mut run, mut builds) = Given::new().run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let build = &mut builds[0];
    for version in 1..5 {
        run.by = Some(format!("writer {version}"));
        assert_eq!(ledger.update_run(version, &run).await.unwrap(), Written::Stored(version + 1));
        assert_eq!(read_run(ledger, &run.id).await, versioned(version + 1, &run));
        build.spec.script = Script::Inline(format!("exit {version}"));
        assert_eq!(ledger.update_build(version, build).await.unwrap(), Written::Stored(version + 1));
        assert_eq!(read_build(ledger, &build.spec.id).await, versioned(version + 1, build));
    }
}

/// A write that expects another version than there is, older or newer, is refused and changes nothing.
pub async fn a_stale_version_changes_nothing(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let (mut second, mut lost) = (run.clone(), run.clone());
    second.by = Some("the second".to_owned());
    lost.by = Some("who is lost".to_owned());
    assert_eq!(ledger.update_run(1, &second).await.unwrap(), Written::Stored(2));
    let skipped = skip(&builds[0]);
    assert_eq!(ledger.update_build(1, &skipped).await.unwrap(), Written::Stored(2));
    for version in [0, 1, 3, 99] {
        assert_eq!(
            ledger.update_run(version, &lost).await.unwrap(),
            Written::Conflict,
            "version {version}"
        );
        assert_eq!(
            ledger.update_build(version, &builds[0]).await.unwrap(),
            Written::Conflict,
            "version {version}"
        );
    }
    assert_eq!(read_run(ledger, &run.id).await, versioned(2, &second));
    assert_eq!(read_build(ledger, &skipped.spec.id).await, versioned(2, &skipped));
}

/// Updating never creates.
pub async fn what_is_not_there_cannot_be_updated(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    for version in [0, 1] {
        assert_eq!(ledger.update_run(version, &run).await.unwrap(), Written::Conflict);
        assert_eq!(ledger.update_build(version, &builds[0]).await.unwrap(), Written::Conflict);
    }
    assert_eq!(ledger.run(&run.id).await.unwrap(), None);
    assert_eq!(ledger.build(&builds[0].spec.id).await.unwrap(), None);
}

/// Of several writers that have read the same version, one gets through, and what it wrote is there.
pub async fn one_of_many_writers_wins(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let versions: Vec<Build> = (0..8)
        .map(|writer| {
            let mut build = builds[0].clone();
            build.spec.script = Script::Inline(format!("exit {writer}"));
            build
        })
        .collect();
    let written = join_all(versions.iter().map(|build| ledger.update_build(1, build))).await;
    let mut winners = versions
        .iter()
        .zip(written)
        .filter(|(_, written)| *written.as_ref().unwrap() == Written::Stored(2));
    let (winner, _) = winners.next().unwrap();
    assert_eq!(winners.count(), 0, "a second writer got through");
    assert_eq!(read_build(ledger, &winner.spec.id).await, versioned(2, winner));
}

/// The builds of a run are its own, and all of them.
pub async fn builds_belong_to_their_run(ledger: &dyn Ledger) {
    let (one, of_one) = Given::new().run(&["lint", "test", "test-slow"]);
    let (two, of_two) = Given::new().run(&["test"]);
    ledger.create(&one, &of_one).await.unwrap();
    ledger.create(&two, &of_two).await.unwrap();
    for (run, builds) in [(one, of_one), (two, of_two)] {
        let stored = by_id(ledger.builds_of(&run.id).await.unwrap());
        assert_eq!(stored, by_id(builds.iter().map(|build| versioned(1, build)).collect()));
    }
}

/// What is due is given in the order in which it became due, no more of it than asked for, and none of it early or after it was done.
pub async fn what_is_due_comes_in_its_order(ledger: &dyn Ledger) {
    // Long ago, so that nobody else's records come first.
    let first = now().checked_sub(Duration::from_secs(86_400 * 30)).unwrap();
    let after = |seconds: u64| first.checked_add(Duration::from_secs(seconds)).unwrap();
    let runs: Vec<Run> = [2, 0, 1].map(|minutes| Given::new().rejected(after(minutes * 60))).into();
    for run in &runs {
        ledger.create(run, &[]).await.unwrap();
    }
    let mine: BTreeSet<DueItem> = runs.iter().map(|run| DueItem::Run(run.id.clone())).collect();
    let due = |seconds: u64| {
        let (mine, at) = (&mine, later(after(seconds), PERFORM_WITHIN));
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
    };
    let item = |index: usize| DueItem::Run(runs[index].id.clone());
    eventually(|| due(120), &vec![item(1), item(2), item(0)]).await;
    eventually(|| due(60), &vec![item(1), item(2)]).await;
    eventually(|| due(59), &vec![item(1)]).await;
    let early = first.checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(only(&mine, ledger.due(Lane::Rest, early, EVERYTHING).await.unwrap()), Vec::new());
    for limit in [1, 2] {
        assert_eq!(
            ledger
                .due(Lane::Rest, later(after(120), PERFORM_WITHIN), limit)
                .await
                .unwrap()
                .len(),
            limit
        );
    }
    for (left, index) in [(vec![item(2), item(0)], 1), (vec![item(0)], 2), (Vec::new(), 0)] {
        let written = ledger.update_run(1, &performed(&runs[index])).await.unwrap();
        assert_eq!(written, Written::Stored(2));
        eventually(|| due(120), &left).await;
    }
}

/// A blocked build and its run wait for nothing that time could bring.
pub async fn what_has_nothing_to_do_is_never_due(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let mine = BTreeSet::from([DueItem::Run(run.id.clone()), DueItem::Build(builds[0].spec.id.clone())]);
    let in_a_year = now().checked_add(Duration::from_secs(86_400 * 365)).unwrap();
    for lane in [Lane::Launches, Lane::Rest] {
        assert_eq!(only(&mine, ledger.due(lane, in_a_year, EVERYTHING).await.unwrap()), Vec::new());
    }
}

/// A build's moment moves with its state.
pub async fn a_build_is_due_when_it_says_so(ledger: &dyn Ledger) {
    let given = Given::new();
    let (run, builds) = given.run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let mine = BTreeSet::from([DueItem::Build(builds[0].spec.id.clone())]);
    let released = decide(&builds[0], &BuildEvent::Released, given.created);
    let at = released.due().unwrap();
    let just_before = at.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(ledger.update_build(1, &released).await.unwrap(), Written::Stored(2));
    let due = |at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
    };
    let found: Vec<DueItem> = mine.iter().cloned().collect();
    eventually(|| due(at), &found).await;
    assert_eq!(due(just_before).await, Vec::new());
    let all = ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap();
    let since = all
        .iter()
        .find(|(_, item)| mine.contains(item))
        .map(|(since, _)| since.as_millisecond());
    assert_eq!(since, Some(at.as_millisecond()));
    assert_eq!(ledger.update_build(2, &skip(&builds[0])).await.unwrap(), Written::Stored(3));
    eventually(|| due(at), &Vec::new()).await;
}

/// A build that waits to be launched is due among the launches, and there alone, until it waits for something else.
pub async fn launches_are_due_by_themselves(ledger: &dyn Ledger) {
    let given = Given::new();
    let (run, builds) = given.run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let mine = BTreeSet::from([DueItem::Build(builds[0].spec.id.clone())]);
    let found: Vec<DueItem> = mine.iter().cloned().collect();
    let released = decide(&builds[0], &BuildEvent::Released, given.created);
    let refused = BuildEvent::LaunchRefused {
        attempt: 1,
        capacity: released.attempts[0].capacity,
        round: 0,
        refusal: Refusal::Throttled("Rate exceeded".to_owned()),
        spent: false,
    };
    let queued = decide(&released, &refused, given.created);
    let at = queued.due().unwrap();
    let tried = decide(&queued, &BuildEvent::Tick { looked: at }, at);
    let due = |lane: Lane, at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(lane, at, EVERYTHING).await.unwrap()) }
    };
    let in_a_year = now().checked_add(Duration::from_secs(86_400 * 365)).unwrap();
    for (version, next, lane, other) in [
        (1, &released, Lane::Rest, Lane::Launches),
        (2, &queued, Lane::Launches, Lane::Rest),
        (3, &tried, Lane::Rest, Lane::Launches),
        (4, &queued, Lane::Launches, Lane::Rest),
    ] {
        assert_eq!(ledger.update_build(version, next).await.unwrap(), Written::Stored(version + 1));
        eventually(|| due(lane, in_a_year), &found).await;
        eventually(|| due(other, in_a_year), &Vec::new()).await;
    }
    let just_before = at.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(due(Lane::Launches, just_before).await, Vec::new());
    eventually(|| due(Lane::Launches, at), &found).await;
    assert_eq!(ledger.update_build(5, &skip(&builds[0])).await.unwrap(), Written::Stored(6));
    eventually(|| due(Lane::Launches, in_a_year), &Vec::new()).await;
}

/// A repository's runs are listed newest first, no more of them than asked for, and nobody else's.
pub async fn the_newest_runs_come_first(ledger: &dyn Ledger) {
    let given = Given::new();
    let mut ids = Vec::new();
    for second in [3, 1, 2] {
        let again = Given {
            run: random_run(),
            created: given.after(second),
            ..given.clone()
        };
        let (run, builds) = again.run(&["test"]);
        ledger.create(&run, &builds).await.unwrap();
        ids.push(run.id);
    }
    let (other, builds) = Given::new().run(&["test"]);
    ledger.create(&other, &builds).await.unwrap();
    let newest = |before: Option<String>, limit: usize| {
        let repository = &given.repository;
        async move {
            let runs = ledger.runs_of(repository, before.as_deref(), limit).await.unwrap();
            runs.into_iter().map(|run| run.record.id).collect::<Vec<RunId>>()
        }
    };
    let in_order = vec![ids[0].clone(), ids[2].clone(), ids[1].clone()];
    eventually(|| newest(None, 10), &in_order).await;
    eventually(|| newest(None, 2), &in_order[..2].to_vec()).await;
    let second = ledger.run(&in_order[1]).await.unwrap().unwrap().record.place_in_list();
    eventually(|| newest(Some(second.clone()), 10), &in_order[2..].to_vec()).await;
}

/// A pool is created by the first write that expects none, and after that is a record like any other.
pub async fn a_pool_begins_with_version_0(ledger: &dyn Ledger) {
    let given = Given::new();
    let empty = given.pool();
    assert_eq!(ledger.pool(&empty.agent).await.unwrap(), None);
    assert_eq!(ledger.update_pool(1, &empty).await.unwrap(), Written::Conflict);
    assert_eq!(ledger.pool(&empty.agent).await.unwrap(), None);
    let held = ask(&empty, &given, "held");
    assert_eq!(ledger.update_pool(0, &held).await.unwrap(), Written::Stored(1));
    assert_eq!(ledger.pool(&empty.agent).await.unwrap(), Some(versioned(1, &held)));
    let waiting = ask(&held, &given, "waiting");
    for version in [0, 2, 99] {
        let written = ledger.update_pool(version, &waiting).await.unwrap();
        assert_eq!(written, Written::Conflict, "version {version}");
    }
    assert_eq!(ledger.pool(&empty.agent).await.unwrap(), Some(versioned(1, &held)));
    assert_eq!(ledger.update_pool(1, &waiting).await.unwrap(), Written::Stored(2));
    assert_eq!(ledger.pool(&empty.agent).await.unwrap(), Some(versioned(2, &waiting)));
    assert_eq!(ledger.update_pool(2, &empty).await.unwrap(), Written::Stored(3));
    assert_eq!(ledger.pool(&given.pool_named("b")).await.unwrap(), None);
}

/// Of several writers that have read the same version of a pool, or that there is none, one gets through.
pub async fn one_of_many_writers_of_a_pool_wins(ledger: &dyn Ledger) {
    let given = Given::new();
    let versions: Vec<Pool> = (0..8).map(|writer| ask(&given.pool(), &given, &format!("job-{writer}"))).collect();
    for expected in [0, 1] {
        let written = join_all(versions.iter().map(|pool| ledger.update_pool(expected, pool))).await;
        let stored = Written::Stored(expected + 1);
        let mut winners = versions
            .iter()
            .zip(written)
            .filter(|(_, written)| *written.as_ref().unwrap() == stored);
        let (winner, _) = winners.next().unwrap();
        assert_eq!(winners.count(), 0, "a second writer got through");
        assert_eq!(ledger.pool(&winner.agent).await.unwrap(), Some(versioned(expected + 1, winner)));
    }
    assert_eq!(ledger.update_pool(2, &given.pool()).await.unwrap(), Written::Stored(3));
}

/// A pool's moment moves with those who wait in it, and goes with the last of them.
pub async fn a_pool_is_due_while_somebody_waits(ledger: &dyn Ledger) {
    let given = Given::new();
    let empty = given.pool();
    let waiting = ask(&ask(&empty, &given, "held"), &given, "waiting");
    let at = waiting.due().unwrap();
    let mine = BTreeSet::from([DueItem::Pool(empty.agent.clone())]);
    let due = |at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
    };
    assert_eq!(ledger.update_pool(0, &waiting).await.unwrap(), Written::Stored(1));
    eventually(|| due(at), &mine.iter().cloned().collect()).await;
    assert_eq!(due(at.checked_sub(Duration::from_millis(1)).unwrap()).await, Vec::new());
    assert_eq!(ledger.update_pool(1, &empty).await.unwrap(), Written::Stored(2));
    eventually(|| due(at), &Vec::new()).await;
}

/// A branch is created by the first write that expects none, and after that is a record like any other.
pub async fn a_branch_begins_with_version_0(ledger: &dyn Ledger) {
    let given = Given::new();
    let first = given.branch("refs/heads/main");
    let read = || ledger.branch(&first.repository, &first.reference);
    assert_eq!(read().await.unwrap(), None);
    assert_eq!(ledger.update_branch(1, &first).await.unwrap(), Written::Conflict);
    assert_eq!(read().await.unwrap(), None);
    let created = join_all((0..4).map(|_| ledger.update_branch(0, &first))).await;
    let new = created
        .iter()
        .filter(|written| *written.as_ref().unwrap() == Written::Stored(1))
        .count();
    assert_eq!(new, 1, "creators of one branch");
    assert_eq!(read().await.unwrap(), Some(versioned(1, &first)));
    let second = given.entered(&first, 1);
    for version in [0, 2] {
        let written = ledger.update_branch(version, &second).await.unwrap();
        assert_eq!(written, Written::Conflict, "version {version}");
    }
    assert_eq!(ledger.update_branch(1, &second).await.unwrap(), Written::Stored(2));
    assert_eq!(read().await.unwrap(), Some(versioned(2, &second)));
    assert_eq!(ledger.update_branch(2, &first).await.unwrap(), Written::Stored(3));
}

/// Every branch of every repository is one for itself, whatever its name.
pub async fn branches_do_not_mix(ledger: &dyn Ledger) {
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
        assert_eq!(ledger.update_branch(0, branch).await.unwrap(), Written::Stored(1), "{branch:?}");
    }
    for branch in &branches {
        let read = ledger.branch(&branch.repository, &branch.reference).await.unwrap();
        assert_eq!(read, Some(versioned(1, branch)));
    }
}

/// A branch's moment is that of what it still has to do.
pub async fn a_branch_is_due_when_it_says_so(ledger: &dyn Ledger) {
    let given = Given::new();
    let first = given.branch("refs/heads/a#b");
    let superseding = given.entered(&first, 1);
    let at = superseding.due().unwrap();
    let mine = BTreeSet::from([DueItem::Branch(first.repository.clone(), first.reference.clone())]);
    let due = |at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
    };
    assert_eq!(ledger.update_branch(0, &superseding).await.unwrap(), Written::Stored(1));
    eventually(|| due(at), &mine.iter().cloned().collect()).await;
    assert_eq!(due(at.checked_sub(Duration::from_millis(1)).unwrap()).await, Vec::new());
    assert_eq!(ledger.update_branch(1, &first).await.unwrap(), Written::Stored(2));
    eventually(|| due(at), &Vec::new()).await;
}

/// A document is created by the first write that expects none, and after that is a record like any other; every kind has names of its own.
pub async fn a_document_is_kept_under_its_kind_and_name(ledger: &dyn Ledger) {
    let given = Given::new();
    let [first, other, third] = [
        (DocumentKind::Instance, "a#b/c"),
        (DocumentKind::Alarm, "a#b/c"),
        (DocumentKind::Backup, "größer"),
    ]
    .map(|(kind, name)| given.document(kind, name, None));
    assert_eq!(ledger.document(&first.key).await.unwrap(), None);
    assert_eq!(ledger.update_document(1, &first).await.unwrap(), Written::Conflict);
    let created = join_all((0..4).map(|_| ledger.update_document(0, &first))).await;
    let new = created
        .iter()
        .filter(|written| *written.as_ref().unwrap() == Written::Stored(1))
        .count();
    assert_eq!(new, 1, "creators of one document");
    for document in [&other, &third] {
        assert_eq!(ledger.update_document(0, document).await.unwrap(), Written::Stored(1));
    }
    let second = Document {
        text: "{}".to_owned(),
        ..first.clone()
    };
    assert_eq!(ledger.update_document(1, &second).await.unwrap(), Written::Stored(2));
    assert_eq!(ledger.update_document(1, &first).await.unwrap(), Written::Conflict);
    let read = |key| async move { ledger.document(key).await.unwrap().unwrap() };
    assert_eq!(read(&first.key).await, versioned(2, &second.text));
    assert_eq!(read(&other.key).await, versioned(1, &other.text));
    assert_eq!(read(&third.key).await, versioned(1, &third.text));
}

/// A document's moment is the one that it came with.
pub async fn a_document_is_due_when_it_says_so(ledger: &dyn Ledger) {
    let given = Given::new();
    for kind in [DocumentKind::Instance, DocumentKind::Alarm, DocumentKind::Backup] {
        let at = given.created;
        let (waiting, settled) = (given.document(kind, "a#b", Some(at)), given.document(kind, "a#b", None));
        let mine = BTreeSet::from([DueItem::Document(waiting.key.clone())]);
        let due = |at: Timestamp| {
            let mine = &mine;
            async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
        };
        assert_eq!(ledger.update_document(0, &waiting).await.unwrap(), Written::Stored(1));
        eventually(|| due(at), &mine.iter().cloned().collect()).await;
        assert_eq!(due(at.checked_sub(Duration::from_millis(1)).unwrap()).await, Vec::new());
        assert_eq!(ledger.update_document(1, &settled).await.unwrap(), Written::Stored(2));
        eventually(|| due(at), &Vec::new()).await;
    }
}

/// What a property works on: a run of its own, in a repository of its own.
#[derive(Debug, Clone)]
struct Given {
    run: RunId,
    repository: RepositoryName,
    created: Timestamp,
}

impl Given {
    fn new() -> Self {
        Self {
            run: random_run(),
            repository: format!("conformance-{:016x}", fastrand::u64(..)).parse().unwrap(),
            created: now(),
        }
    }

    fn after(&self, seconds: u64) -> Timestamp {
        later(self.created, Duration::from_secs(seconds))
    }

    /// A pool of the property's own with one place, and nobody in it.
    fn pool(&self) -> Pool {
        Pool::new(self.pool_named("a"), self.created)
    }

    fn pool_named(&self, suffix: &str) -> AgentName {
        format!("{}-{suffix}", self.repository).parse().unwrap()
    }

    /// A branch with one run, and nothing to do.
    fn branch(&self, reference: &str) -> Branch {
        self.entered(&Branch::new(self.repository.clone(), reference.parse().unwrap()), 0)
    }

    fn document(&self, kind: DocumentKind, name: &str, due: Option<Timestamp>) -> Document {
        Document {
            key: DocumentKey {
                kind,
                name: format!("{}/{name}", self.run),
            },
            text: format!("{{\"kind\":\"{kind:?}\"}}"),
            due,
            expires: None,
        }
    }

    /// The branch after another run has entered it.
    fn entered(&self, branch: &Branch, second: u64) -> Branch {
        let pushed = Pushed {
            run: random_run(),
            at: self.after(second),
            commit: self.push().commit,
            previous: None,
        };
        match branch.decide(&BranchEvent::Entered(pushed), self.created) {
            Decision::Next(next) => *next,
            Decision::Ignored(_) => branch.clone(),
        }
    }

    fn push(&self) -> Push {
        Push {
            trigger: format!("conformance-{}", self.run),
            repository: self.repository.clone(),
            reference: "refs/heads/main".parse().unwrap(),
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            previous: None,
            at: None,
            by: None,
        }
    }

    /// A run of blocked builds, in which nothing is due.
    fn run(&self, jobs: &[&str]) -> (Run, Vec<Build>) {
        let specs = jobs.iter().map(|job| self.spec(job)).collect();
        Run::create(self.run.clone(), &self.push(), specs, true, self.created)
    }

    fn run_of(&self, count: usize) -> (Run, Vec<Build>) {
        let jobs: Vec<String> = (0..count).map(|index| format!("job-{index}")).collect();
        self.run(&jobs.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A run with something to perform, which is due [`PERFORM_WITHIN`] after its creation.
    fn rejected(&self, created: Timestamp) -> Run {
        Run::rejected(self.run.clone(), &self.push(), "no".to_owned(), created)
    }

    fn spec(&self, job: &str) -> BuildSpec {
        let Push {
            repository,
            reference,
            commit,
            ..
        } = self.push();
        BuildSpec {
            id: BuildId {
                run: self.run.clone(),
                job: job.parse().unwrap(),
            },
            repository,
            reference,
            commit,
            agent: "small".parse().unwrap(),
            executor: Executor::Ecs(EcsExecutor {
                spot_cluster: Some("ci-spot".to_owned()),
                on_demand_cluster: "ci-main".to_owned(),
                task_definition: "bellhop-agent-small".to_owned(),
                container: "agent".to_owned(),
                subnets: vec!["subnet-0a".to_owned()],
                security_groups: Vec::new(),
                assign_public_ip: false,
                providers: None,
            }),
            script: Script::Inline("make test\n# größer: 日本語 \" \\ \u{1f642}".to_owned()),
            environment: BTreeMap::from([("EMPTY".to_owned(), String::new())]),
            critical: false,
            timeout: Duration::from_secs(5400),
            queue_timeout: Duration::from_secs(90),
            relaunch: Relaunch::Stopped,
            retry: RetryPolicy::default(),
            // A job that the run does not have: nothing ever releases the build.
            needs: vec!["never".parse().unwrap()],
            successes: Successes::Changes,
            artifacts: Vec::new(),
            limit: None,
            pausable: false,
        }
    }
}

/// The present, no more precisely than every ledger keeps it.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn random_run() -> RunId {
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    let id: String = (0..10).map(|_| char::from(alphabet[fastrand::usize(..alphabet.len())])).collect();
    id.parse().unwrap()
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap()
}

fn versioned<T: Clone>(version: u64, record: &T) -> Versioned<T> {
    let record = record.clone();
    Versioned { version, record }
}

async fn read_run(ledger: &dyn Ledger, id: &RunId) -> Versioned<Run> {
    ledger.run(id).await.unwrap().unwrap()
}

async fn read_build(ledger: &dyn Ledger, id: &BuildId) -> Versioned<Build> {
    ledger.build(id).await.unwrap().unwrap()
}

fn by_id(builds: Vec<Versioned<Build>>) -> BTreeMap<BuildId, (u64, Build)> {
    let count = builds.len();
    let map: BTreeMap<_, _> = builds
        .into_iter()
        .map(|build| (build.record.spec.id.clone(), (build.version, build.record)))
        .collect();
    assert_eq!(map.len(), count, "a build is there twice");
    map
}

fn decide(build: &Build, event: &BuildEvent, now: Timestamp) -> Build {
    let decision = build.decide(event, now);
    assert!(matches!(decision, Decision::Next(_)), "{event:?}: {decision:?}");
    match decision {
        Decision::Next(next) => *next,
        Decision::Ignored(_) => build.clone(),
    }
}

/// The pool, of one place, after another build has asked.
fn ask(pool: &Pool, given: &Given, job: &str) -> Pool {
    let event = PoolEvent::Ask {
        build: given.spec(job).id,
        since: given.created,
        limit: 1,
        turn: 0,
    };
    match pool.decide(&event, given.created) {
        Decision::Next(next) => *next,
        Decision::Ignored(_) => pool.clone(),
    }
}

fn skip(build: &Build) -> Build {
    let because = "never".parse().unwrap();
    decide(build, &BuildEvent::Skipped { because }, build.created)
}

/// The run once everything it had to do is done.
fn performed(run: &Run) -> Run {
    let mut run = run.clone();
    while let Some(pending) = run.outbox.pending().first() {
        let decision = run.decide(&RunEvent::Performed(pending.id), run.created);
        match decision {
            Decision::Next(next) => run = *next,
            Decision::Ignored(_) => break,
        }
    }
    assert_eq!(run.due(), None);
    run
}

fn only(mine: &BTreeSet<DueItem>, due: Vec<(Timestamp, DueItem)>) -> Vec<DueItem> {
    due.into_iter().map(|(_, item)| item).filter(|item| mine.contains(item)).collect()
}

/// Asks until the answer is the one expected, or the time for it is up.
async fn eventually<T, F>(ask: impl Fn() -> F, expected: &T)
where
    T: PartialEq + std::fmt::Debug,
    F: Future<Output = T>,
{
    let pause = Duration::from_millis(200);
    let mut waited = Duration::ZERO;
    loop {
        let answer = ask().await;
        if answer == *expected || waited >= SETTLE {
            assert_eq!(answer, *expected, "after {waited:?}");
            return;
        }
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}
