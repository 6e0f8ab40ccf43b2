//! Runs and their builds.

use bellhop_domain::build::Build;
use bellhop_domain::executor::Script;
use bellhop_domain::ids::RunId;
use bellhop_domain::run::{Run, RunClass};
use futures::future::join_all;

use super::given::{EVERYTHING, Given, by_id, cancelled, eventually, now, performed, random_run, read_build, read_run, skip, versioned};
use crate::ports::{Created, Ledger, TRANSACTION, Written};

/// After its creation, a run and its builds can be read unchanged, with version 1.
pub(super) async fn what_was_created_is_there_with_version_1(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["lint", "test"]);
    assert_eq!(ledger.create(&run, &builds).await.unwrap(), Created::New);
    assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
    for build in &builds {
        assert_eq!(read_build(ledger, &build.spec.id).await, versioned(1, build));
    }
}

/// A record that was never created is not found, without an error.
pub(super) async fn what_was_never_created_is_not_there(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    assert_eq!(ledger.load::<Run>(&run.id).await.unwrap(), None);
    assert_eq!(ledger.load::<Build>(&builds[0].spec.id).await.unwrap(), None);
    assert_eq!(ledger.builds_of(&run.id).await.unwrap(), Vec::new());
    assert_eq!(ledger.runs_of(&run.repository, None, 10).await.unwrap(), Vec::new());
}

/// A rejected run has no builds.
pub(super) async fn a_run_without_builds_can_be_created(ledger: &dyn Ledger) {
    let run = Given::new().rejected(now());
    assert_eq!(ledger.create(&run, &[]).await.unwrap(), Created::New);
    assert_eq!(ledger.create(&run, &[]).await.unwrap(), Created::AlreadyExists);
    assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
    let idle = performed(&run);
    assert_eq!(ledger.store(1, &idle).await.unwrap(), Written::Stored(2));
}

/// Creating a run again changes neither it nor its builds, even with different builds.
pub(super) async fn a_run_that_exists_is_left_as_it_is(ledger: &dyn Ledger) {
    let given = Given::new();
    let (run, builds) = given.run(&["lint", "test"]);
    assert_eq!(ledger.create(&run, &builds).await.unwrap(), Created::New);
    let skipped = skip(&builds[0]);
    assert_eq!(ledger.store(1, &skipped).await.unwrap(), Written::Stored(2));
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

/// One run with the most builds of a transaction.
pub(super) async fn a_run_that_fills_a_transaction_is_created_whole(ledger: &dyn Ledger) {
    created_whole(ledger, TRANSACTION - 2).await;
}

/// More builds than fit into a transaction.
pub(super) async fn a_run_larger_than_a_transaction_is_created_whole(ledger: &dyn Ledger) {
    created_whole(ledger, TRANSACTION).await;
    created_whole(ledger, TRANSACTION + 1).await;
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

/// A push that is delivered several times in parallel creates one run, with each of its builds once.
pub(super) async fn one_of_many_creators_wins(ledger: &dyn Ledger) {
    one_creator_wins(ledger, 2).await;
}

/// The same with more builds than fit into a transaction.
pub(super) async fn one_of_many_creators_of_a_large_run_wins(ledger: &dyn Ledger) {
    one_creator_wins(ledger, TRANSACTION).await;
}

async fn one_creator_wins(ledger: &dyn Ledger, count: usize) {
    let (run, builds) = Given::new().run_of(count);
    let created = join_all((0..4).map(|_| ledger.create(&run, &builds))).await;
    let new = created.iter().filter(|created| *created.as_ref().unwrap() == Created::New).count();
    assert_eq!(new, 1, "creators of one run of {count} builds");
    assert_eq!(read_run(ledger, &run.id).await, versioned(1, &run));
    assert_eq!(by_id(ledger.builds_of(&run.id).await.unwrap()).len(), count);
}

/// Each write of a record increments its version, also to one with more digits.
pub(super) async fn versions_grow_by_one(ledger: &dyn Ledger) {
    let (mut run, mut builds) = Given::new().run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let build = &mut builds[0];
    for version in 1..12 {
        run.by = Some(format!("writer {version}"));
        assert_eq!(ledger.store(version, &run).await.unwrap(), Written::Stored(version + 1));
        assert_eq!(read_run(ledger, &run.id).await, versioned(version + 1, &run));
    }
    for version in 1..4 {
        build.spec.script = Script::Inline(format!("exit {version}"));
        assert_eq!(ledger.store(version, build).await.unwrap(), Written::Stored(version + 1));
        assert_eq!(read_build(ledger, &build.spec.id).await, versioned(version + 1, build));
    }
}

/// A write that expects another version, older or newer, is refused and changes nothing.
pub(super) async fn a_stale_version_changes_nothing(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let (mut second, mut lost) = (run.clone(), run.clone());
    second.by = Some("the second".to_owned());
    lost.by = Some("who is lost".to_owned());
    assert_eq!(ledger.store(1, &second).await.unwrap(), Written::Stored(2));
    let skipped = skip(&builds[0]);
    assert_eq!(ledger.store(1, &skipped).await.unwrap(), Written::Stored(2));
    for version in [0, 1, 3, 99] {
        assert_eq!(ledger.store(version, &lost).await.unwrap(), Written::Conflict, "version {version}");
        assert_eq!(
            ledger.store(version, &builds[0]).await.unwrap(),
            Written::Conflict,
            "version {version}"
        );
    }
    assert_eq!(read_run(ledger, &run.id).await, versioned(2, &second));
    assert_eq!(read_build(ledger, &skipped.spec.id).await, versioned(2, &skipped));
}

/// A write that expects a version never creates.
pub(super) async fn what_is_not_there_cannot_be_updated(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    for version in [1, 2] {
        assert_eq!(ledger.store(version, &run).await.unwrap(), Written::Conflict);
        assert_eq!(ledger.store(version, &builds[0]).await.unwrap(), Written::Conflict);
    }
    assert_eq!(ledger.load::<Run>(&run.id).await.unwrap(), None);
    assert_eq!(ledger.load::<Build>(&builds[0].spec.id).await.unwrap(), None);
}

/// If several writers have read the same version, one succeeds, and its record is stored.
pub(super) async fn one_of_many_writers_wins(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let versions: Vec<Build> = (0..8)
        .map(|writer| {
            let mut build = builds[0].clone();
            build.spec.script = Script::Inline(format!("exit {writer}"));
            build
        })
        .collect();
    let written = join_all(versions.iter().map(|build| ledger.store(1, build))).await;
    let mut winners = versions
        .iter()
        .zip(written)
        .filter(|(_, written)| *written.as_ref().unwrap() == Written::Stored(2));
    let (winner, _) = winners.next().unwrap();
    assert_eq!(winners.count(), 0, "a second writer got through");
    assert_eq!(read_build(ledger, &winner.spec.id).await, versioned(2, winner));
}

/// The builds of a run are complete, and contain no others.
pub(super) async fn builds_belong_to_their_run(ledger: &dyn Ledger) {
    let (one, of_one) = Given::new().run(&["lint", "test", "test-slow"]);
    let (two, of_two) = Given::new().run(&["test"]);
    ledger.create(&one, &of_one).await.unwrap();
    ledger.create(&two, &of_two).await.unwrap();
    for (run, builds) in [(one, of_one), (two, of_two)] {
        let stored = by_id(ledger.builds_of(&run.id).await.unwrap());
        assert_eq!(stored, by_id(builds.iter().map(|build| versioned(1, build)).collect()));
    }
}

/// A repository's runs are listed newest first, at most as many as requested, and no others.
pub(super) async fn the_newest_runs_come_first(ledger: &dyn Ledger) {
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
            runs.into_iter().map(|run| run.run).collect::<Vec<RunId>>()
        }
    };
    let in_order = vec![ids[0].clone(), ids[2].clone(), ids[1].clone()];
    eventually(|| newest(None, 10), &in_order).await;
    eventually(|| newest(None, 2), &in_order[..2].to_vec()).await;
    let second = read_run(ledger, &in_order[1]).await.record.listed().place();
    eventually(|| newest(Some(second.clone()), 10), &in_order[2..].to_vec()).await;
}

/// The list over all repositories has a run in the class in which it was last written, and in no other.
pub(super) async fn a_run_is_listed_in_its_class(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run_of(30);
    ledger.create(&run, &builds).await.unwrap();
    let classes = || async {
        let mut classes = Vec::new();
        for class in RunClass::ALL {
            let runs = ledger.runs_of_all(&[class], None, EVERYTHING).await.unwrap();
            let mine = runs.into_iter().filter(|listed| listed.run == run.id);
            classes.extend(mine.map(|listed| (class.as_str(), listed.shown.status, listed.shown.jobs)));
        }
        classes
    };
    eventually(classes, &vec![("running", "open".to_owned(), 30)]).await;
    let cancelled = cancelled(&run);
    assert_eq!(ledger.store(1, &cancelled).await.unwrap(), Written::Stored(2));
    assert_eq!(read_run(ledger, &run.id).await, versioned(2, &cancelled), "its plan stays");
    eventually(classes, &vec![("cancelled", "cancelled".to_owned(), 30)]).await;
}
