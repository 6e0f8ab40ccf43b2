//! Due records.

use std::collections::BTreeSet;
use std::time::Duration;

use bellhop_domain::build::{BuildEvent, Refusal};
use bellhop_domain::outbox::PERFORM_WITHIN;
use bellhop_domain::run::Run;
use jiff::Timestamp;

use super::given::{EVERYTHING, Given, decide, eventually, later, now, only, performed, skip};
use crate::ports::{Key, Lane, Ledger, Written};
use crate::records::Stored as _;

/// Due records are returned in the order in which they became due, or in the opposite one, at most as many as requested, none early and none after it was
/// done.
pub(super) async fn what_is_due_comes_in_its_order(ledger: &dyn Ledger) {
    // Long ago, so that other records do not come first.
    let first = now().checked_sub(Duration::from_secs(86_400 * 30)).unwrap();
    let after = |seconds: u64| first.checked_add(Duration::from_secs(seconds)).unwrap();
    let runs: Vec<Run> = [2, 0, 1].map(|minutes| Given::new().rejected(after(minutes * 60))).into();
    for run in &runs {
        ledger.create(run, &[]).await.unwrap();
    }
    let mine: BTreeSet<Key> = runs.iter().map(|run| run.key()).collect();
    let due = |seconds: u64| {
        let (mine, at) = (&mine, later(after(seconds), PERFORM_WITHIN));
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
    };
    let item = |index: usize| runs[index].key();
    eventually(|| due(120), &vec![item(1), item(2), item(0)]).await;
    eventually(|| due(60), &vec![item(1), item(2)]).await;
    eventually(|| due(59), &vec![item(1)]).await;
    let early = first.checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(only(&mine, ledger.due(Lane::Rest, early, EVERYTHING).await.unwrap()), Vec::new());
    let newest = ledger
        .newest_due(Lane::Rest, later(after(120), PERFORM_WITHIN), EVERYTHING)
        .await
        .unwrap();
    assert_eq!(only(&mine, newest), vec![item(0), item(2), item(1)]);
    let newest = ledger.newest_due(Lane::Rest, later(after(120), PERFORM_WITHIN), 1).await.unwrap();
    assert_eq!(only(&mine, newest), vec![item(0)]);
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
        let written = ledger.store(1, &performed(&runs[index])).await.unwrap();
        assert_eq!(written, Written::Stored(2));
        eventually(|| due(120), &left).await;
    }
}

/// A blocked build and its run are never due.
pub(super) async fn what_has_nothing_to_do_is_never_due(ledger: &dyn Ledger) {
    let (run, builds) = Given::new().run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let mine = BTreeSet::from([run.key(), builds[0].key()]);
    let in_a_year = now().checked_add(Duration::from_secs(86_400 * 365)).unwrap();
    for lane in [Lane::Launches, Lane::Timers, Lane::Rest] {
        assert_eq!(only(&mine, ledger.due(lane, in_a_year, EVERYTHING).await.unwrap()), Vec::new());
    }
}

/// The due time of a build changes with its state.
pub(super) async fn a_build_is_due_when_it_says_so(ledger: &dyn Ledger) {
    let given = Given::new();
    let (run, builds) = given.run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let mine = BTreeSet::from([builds[0].key()]);
    let released = decide(&builds[0], &BuildEvent::Released, given.created);
    let at = released.due().unwrap();
    let just_before = at.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(ledger.store(1, &released).await.unwrap(), Written::Stored(2));
    let due = |at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap()) }
    };
    let found: Vec<Key> = mine.iter().cloned().collect();
    eventually(|| due(at), &found).await;
    assert_eq!(due(just_before).await, Vec::new());
    let all = ledger.due(Lane::Rest, at, EVERYTHING).await.unwrap();
    let since = all
        .iter()
        .find(|(_, item)| mine.contains(item))
        .map(|(since, _)| since.as_millisecond());
    assert_eq!(since, Some(at.as_millisecond()));
    assert_eq!(ledger.store(2, &skip(&builds[0])).await.unwrap(), Written::Stored(3));
    eventually(|| due(at), &Vec::new()).await;
}

/// A build is due in one lane: among the launches while it waits for its turn, among the timers while it waits for a time of its own.
pub(super) async fn what_is_due_is_in_one_lane(ledger: &dyn Ledger) {
    let given = Given::new();
    let (run, builds) = given.run(&["test"]);
    ledger.create(&run, &builds).await.unwrap();
    let mine = BTreeSet::from([builds[0].key()]);
    let found: Vec<Key> = mine.iter().cloned().collect();
    let released = decide(&builds[0], &BuildEvent::Released, given.created);
    let refused = |refusal: Refusal| BuildEvent::LaunchRefused {
        attempt: 1,
        capacity: released.attempts[0].capacity,
        round: 0,
        refusal,
        spent: false,
    };
    let queued = decide(&released, &refused(Refusal::Throttled("Rate exceeded".to_owned())), given.created);
    let backing_off = decide(
        &released,
        &refused(Refusal::AccountLimit("no more vCPUs".to_owned())),
        given.created,
    );
    let at = queued.due().unwrap();
    let tried = decide(&queued, &BuildEvent::Tick { polled_at: at }, at);
    let due = |lane: Lane, at: Timestamp| {
        let mine = &mine;
        async move { only(mine, ledger.due(lane, at, EVERYTHING).await.unwrap()) }
    };
    let in_a_year = now().checked_add(Duration::from_secs(86_400 * 365)).unwrap();
    for (version, next, lane) in [
        (1, &released, Lane::Rest),
        (2, &queued, Lane::Launches),
        (3, &tried, Lane::Rest),
        (4, &backing_off, Lane::Timers),
        (5, &queued, Lane::Launches),
    ] {
        assert_eq!(ledger.store(version, next).await.unwrap(), Written::Stored(version + 1));
        for other in [Lane::Rest, Lane::Launches, Lane::Timers] {
            let expected = if other == lane { found.clone() } else { Vec::new() };
            eventually(|| due(other, in_a_year), &expected).await;
        }
    }
    let just_before = at.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(due(Lane::Launches, just_before).await, Vec::new());
    eventually(|| due(Lane::Launches, at), &found).await;
    assert_eq!(ledger.store(6, &skip(&builds[0])).await.unwrap(), Written::Stored(7));
    eventually(|| due(Lane::Launches, in_a_year), &Vec::new()).await;
}
