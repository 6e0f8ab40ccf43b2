//! Claims on the targets of remedies.

use super::*;

const EVERY: Duration = Duration::from_secs(1800);

fn claim(present: Option<&Claim>, by: &str, at: i64) -> Claimed {
    Claim::acquire(present, "restart-service/c/s", by, EVERY, t(at))
}

fn claimed(present: Option<&Claim>, by: &str, at: i64) -> Claim {
    match claim(present, by, at) {
        Claimed::Yes(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_target_is_claimed_once_in_a_while_and_by_one_occasion() {
    let first = claimed(None, "a", 0);
    let again = claimed(Some(&first), "a", 5000);
    assert_eq!((again.by.as_str(), again.at), ("a", t(0)), "however late it is repeated");
    let done = first.end("a", true, t(10)).unwrap();
    assert_eq!(claim(Some(&done), "a", 5000), Claimed::Yes(done.clone()));
    assert_eq!(
        (done.end("a", true, t(11)), done.end("a", false, t(11)), done.end("b", true, t(11))),
        (None, None, None)
    );
    assert_eq!(claim(Some(&done), "b", 1809), Claimed::Done(t(10)));
    let second = claimed(Some(&done), "b", 1810);
    assert_eq!((second.by.as_str(), second.at, second.done), ("b", t(1810), false));
}

#[test]
fn a_claim_that_is_not_done_keeps_others_away_while_somebody_may_be_at_it() {
    let first = claimed(None, "a", 0);
    assert_eq!(claim(Some(&first), "b", 59), Claimed::Busy(t(0)));
    // The first try may have succeeded without a confirmation: what was started since then counts.
    let second = claimed(Some(&first), "b", 60);
    assert_eq!((second.by.as_str(), second.at), ("b", t(0)));
    // Each try extends the time.
    let again = claimed(Some(&first), "a", 50);
    assert_eq!(claim(Some(&again), "b", 109), Claimed::Busy(t(0)));
    assert_eq!(claimed(Some(&again), "b", 110).at, t(0));
    let late = claimed(Some(&first), "a", 1790);
    assert_eq!(claim(Some(&late), "b", 1810), Claimed::Busy(t(0)));
    assert_eq!(claimed(Some(&first), "b", 1800).at, t(1800));
    let at_any_time = Claim::acquire(Some(&first), "restart-service/c/s", "b", Duration::ZERO, t(0));
    assert!(matches!(at_any_time, Claimed::Yes(_)), "{at_any_time:?}");
}

#[test]
fn a_claim_whose_remedy_failed_is_anothers_at_once() {
    let failed = claimed(None, "a", 0).end("a", false, t(10)).unwrap();
    assert_eq!(failed.end("a", false, t(11)), None);
    let second = claimed(Some(&failed), "b", 10);
    assert_eq!((second.by.as_str(), second.at, second.over), ("b", t(0), None));
    assert_eq!(failed.end("b", true, t(11)), None);
    // A late retry for the first occasion also keeps others away.
    let again = claimed(Some(&failed), "a", 20);
    assert_eq!(claim(Some(&again), "b", 21), Claimed::Busy(t(0)));
}

#[test]
fn the_time_between_two_counts_from_when_it_was_done() {
    let second = claimed(Some(&claimed(None, "a", 0)), "b", 1500);
    let done = second.end("b", true, t(1500)).unwrap();
    assert_eq!(claim(Some(&done), "c", 1800), Claimed::Done(t(1500)));
    assert_eq!(claimed(Some(&done), "c", 3300).at, t(3300));
}

#[test]
fn claims_from_before_are_understood() {
    let stored = r#"{"target":"restart-service/c/s","by":"a","at":"2026-09-21T14:13:20Z","until":"2026-09-22T14:13:20Z","done":true}"#;
    let stored: Claim = serde_json::from_str(stored).unwrap();
    let at = stored.at;
    assert_eq!(
        Claim::acquire(Some(&stored), "restart-service/c/s", "b", EVERY, later(at, EVERY / 2)),
        Claimed::Done(at)
    );
}
