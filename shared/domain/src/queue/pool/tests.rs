//! Builds that acquire a slot, wait for one and release it.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use super::*;
use crate::decision::Decision;
use crate::outbox::EffectId;
use crate::record::Step;
use crate::testing::t;

fn id(job: &str) -> BuildId {
    format!("abcdefghij/{job}").parse().unwrap()
}

fn pool() -> Pool {
    Pool::new("small".parse().unwrap(), t(0))
}

fn take(pool: &Pool, event: impl Into<Step<PoolEvent>>, at: i64) -> Pool {
    let step = event.into();
    match pool.take(&step, t(at)) {
        Decision::Next(next) => *next,
        Decision::Ignored(_) => pool.clone(),
    }
}

fn ask(pool: &Pool, job: &str, since: i64, limit: u32) -> Pool {
    let event = PoolEvent::Acquire {
        build: id(job),
        since: t(since),
        limit,
        turn: 0,
    };
    take(pool, &event, since)
}

fn leave(pool: &Pool, job: &str) -> Pool {
    take(pool, &PoolEvent::Release { build: id(job), turn: 0 }, 100)
}

fn grants(pool: &Pool) -> Vec<String> {
    pool.outbox
        .pending()
        .iter()
        .map(|pending| match &pending.effect {
            PoolEffect::Grant { build } => build.job.to_string(),
            PoolEffect::Audit => "audit".to_owned(),
        })
        .collect()
}

fn perform_all(pool: &Pool) -> Pool {
    let done: Vec<EffectId> = pool.outbox.pending().iter().map(|pending| pending.id).collect();
    done.iter().fold(pool.clone(), |pool, id| take(&pool, Step::Performed(*id), 0))
}

#[test]
fn places_go_to_the_first_and_then_to_those_who_wait_longest() {
    let pool = ask(&ask(&ask(&ask(&pool(), "a", 0, 2), "b", 1, 2), "d", 4, 2), "c", 3, 2);
    assert_eq!(grants(&pool), ["a", "b"]);
    let pool = leave(&perform_all(&pool), "b");
    assert_eq!(grants(&pool), ["c"]);
    let pool = leave(&leave(&perform_all(&pool), "a"), "c");
    assert_eq!(grants(&pool), ["d"]);
    let pool = leave(&pool, "d");
    assert_eq!((pool.holders.len(), pool.waiting.len(), grants(&pool).len()), (0, 0, 0));
    assert_eq!(pool.due(), None);
}

#[test]
fn asking_twice_takes_one_place_and_leaving_twice_frees_one() {
    let pool = ask(&ask(&ask(&ask(&pool(), "a", 0, 1), "a", 0, 1), "b", 1, 1), "b", 1, 1);
    assert_eq!((pool.holders.len(), pool.waiting.len()), (1, 1));
    assert_eq!(grants(&pool), ["a"]);
    let pool = leave(&leave(&perform_all(&pool), "a"), "a");
    assert_eq!(grants(&pool), ["b"]);
    assert_eq!(
        pool.decide(&PoolEvent::Release { build: id("a"), turn: 0 }, t(9)),
        Decision::Ignored(Ignored::NothingNew)
    );
}

#[test]
fn a_holder_that_asks_again_did_not_hear_of_its_place() {
    let pool = perform_all(&ask(&pool(), "a", 0, 1));
    assert_eq!(grants(&ask(&pool, "a", 0, 1)), ["a"]);
}

#[test]
fn what_is_heard_late_of_an_earlier_turn_takes_no_place_away() {
    let again = |pool: &Pool, turn| {
        let (build, since, limit) = (id("a"), t(5), 1);
        take(pool, &PoolEvent::Acquire { build, since, limit, turn }, 5)
    };
    let first = perform_all(&ask(&pool(), "a", 0, 1));
    let late = PoolEvent::Release { build: id("a"), turn: 0 };
    for pool in [
        again(&leave(&first, "a"), 1),
        again(&first, 1),
        again(&ask(&leave(&first, "a"), "a", 0, 1), 1),
    ] {
        assert_eq!((pool.holders.len(), pool.turn(&id("a"))), (1, 1));
        assert_eq!(grants(&pool), ["a"]);
        assert_eq!(pool.decide(&late, t(6)), Decision::Ignored(Ignored::Stale));
        let left = take(&pool, &PoolEvent::Release { build: id("a"), turn: 1 }, 7);
        assert_eq!((left.holders.len(), left.turns.len()), (0, 0));
    }
}

#[test]
fn a_limit_that_changes_counts_from_the_next_build_on() {
    let pool = ask(&ask(&ask(&pool(), "a", 0, 1), "b", 1, 1), "c", 2, 3);
    assert_eq!(grants(&pool), ["a", "b", "c"]);
    let pool = ask(&perform_all(&pool), "d", 3, 1);
    assert_eq!(grants(&pool), [""; 0]);
    let pool = leave(&leave(&pool, "a"), "b");
    assert_eq!(grants(&pool), [""; 0], "one of three is still there, and one is the limit");
    assert_eq!(grants(&leave(&pool, "c")), ["d"]);
}

#[test]
fn those_who_are_gone_are_found_out_while_somebody_waits() {
    let pool = perform_all(&ask(&ask(&pool(), "a", 0, 1), "b", 1, 1));
    let due = pool.due().unwrap();
    assert_eq!(due, later(t(1), AUDIT_EVERY));
    assert_eq!(pool.decide(&PoolEvent::Tick, t(60)), Decision::Ignored(Ignored::NothingNew));
    let audited = take(&pool, &PoolEvent::Tick, 301);
    assert_eq!(grants(&audited), ["audit"]);
    let freed = take(&perform_all(&audited), PoolEvent::Gone(vec![id("a")]), 400);
    assert_eq!(grants(&freed), ["b"]);
}

#[test]
fn a_full_pool_refuses_and_forgets_no_build() {
    let mut full = ask(&pool(), "a", 0, 1);
    for index in 0..MOST_WAITING {
        full = ask(&full, &format!("w{index}"), 1, 1);
    }
    let late = PoolEvent::Acquire {
        build: id("late"),
        since: t(5),
        limit: 1,
        turn: 0,
    };
    assert_eq!(full.decide(&late, t(5)), Decision::Ignored(Ignored::Full));
    assert!(serde_json::to_string(&full).unwrap().len() < 390_000);
    let freed = leave(&full, "a");
    assert!(matches!(freed.decide(&late, t(6)), Decision::Next(_)));
}
