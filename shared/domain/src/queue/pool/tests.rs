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

/// A build as it is in line, in a repository that its name begins with.
fn waiting(job: &str, since: i64, turn: u32) -> Waiting {
    Waiting {
        pool: "small".parse().unwrap(),
        repository: job.get(..1).unwrap().parse().unwrap(),
        since: t(since),
        build: id(job),
        turn,
    }
}

fn acquire(job: &str, since: i64, limit: u32, turn: u32, again: bool) -> PoolChange {
    let waiting = waiting(job, since, turn);
    PoolChange::Acquire { waiting, limit, again }
}

fn release(job: &str, turn: u32) -> PoolChange {
    PoolChange::Release { build: id(job), turn }
}

fn with_line(change: PoolChange, jobs: &[&str], is_all: bool) -> PoolEvent {
    let next = jobs.iter().map(|job| waiting(job, 0, 0)).collect();
    let line = Some(Line { next, is_all });
    PoolEvent { change, line }
}

fn take(pool: &Pool, event: impl Into<Step<PoolEvent>>, at: i64) -> Pool {
    let step = event.into();
    match pool.take(&step, t(at)) {
        Decision::Next(next) => *next,
        Decision::Ignored(_) => pool.clone(),
    }
}

fn change(pool: &Pool, change: PoolChange, at: i64) -> Pool {
    take(pool, PoolEvent::from(change), at)
}

fn ask(pool: &Pool, job: &str, since: i64, limit: u32) -> Pool {
    change(pool, acquire(job, since, limit, 0, false), since)
}

fn leave(pool: &Pool, job: &str) -> Pool {
    change(pool, release(job, 0), 100)
}

/// So many builds hold slots, and others have queued up.
fn full(holders: &[&str]) -> Pool {
    let limit = u32::try_from(holders.len()).unwrap();
    let full = holders.iter().fold(pool(), |pool, job| ask(&pool, job, 0, limit));
    change(&perform_all(&full), PoolChange::Queued { limit }, 1)
}

fn grants(pool: &Pool) -> Vec<String> {
    pool.outbox
        .pending()
        .iter()
        .map(|pending| match &pending.effect {
            PoolEffect::Grant { build, waiting: None } => build.job.to_string(),
            PoolEffect::Grant {
                build,
                waiting: Some(place),
            } => {
                assert_eq!(place.build, *build);
                format!("{} in line", build.job)
            }
            PoolEffect::Audit => "audit".to_owned(),
        })
        .collect()
}

fn perform_all(pool: &Pool) -> Pool {
    let done: Vec<EffectId> = pool.outbox.pending().iter().map(|pending| pending.id).collect();
    done.iter().fold(pool.clone(), |pool, id| take(&pool, Step::Performed(*id), 0))
}

#[test]
fn a_free_slot_is_granted_at_once_and_without_one_a_build_must_queue_up() {
    let pool = ask(&ask(&pool(), "a", 0, 2), "b", 1, 2);
    assert_eq!(grants(&pool), ["a", "b"]);
    let full = PoolEvent::from(acquire("c", 3, 2, 0, false));
    assert_eq!(pool.decide(&full, t(3)), Decision::Ignored(Ignored::Full));
    assert_eq!(perform_all(&pool).due(), None);
    let left = leave(&leave(&perform_all(&pool), "a"), "b");
    assert_eq!((left.holders.len(), grants(&left).len(), left.due()), (0, 0, None));
}

#[test]
fn a_slot_that_becomes_free_goes_to_the_next_in_line() {
    let full = full(&["a1", "a2"]);
    assert_eq!((full.queued, full.wants_of_line(&PoolChange::Tick, t(2))), (true, 0));
    assert_eq!(full.wants_of_line(&release("a1", 0), t(2)), 1);
    let served = take(&full, with_line(release("a1", 0), &["b1", "c1"], false), 2);
    assert_eq!((grants(&served), served.holders.len()), (vec!["b1 in line".to_owned()], 2));
    assert_eq!(served.last, Some("b".parse().unwrap()));
    assert!(served.queued, "others may wait");
    let last = take(&served, with_line(release("a2", 0), &["c1"], true), 3);
    assert_eq!(grants(&last), ["b1 in line", "c1 in line"]);
    assert_eq!((last.queued, perform_all(&last).due()), (false, None));
}

/// A function reads the line, a build queues up, and the function releases a slot: its write conflicts, as the pool has changed.
#[test]
fn a_build_that_queues_up_changes_the_pool_each_time() {
    let full = full(&["a"]);
    let again = change(&full, PoolChange::Queued { limit: 1 }, 1);
    assert_ne!(full, again);
    assert_eq!(again.wants_of_line(&PoolChange::Queued { limit: 1 }, t(1)), 0);
    assert_eq!(again.wants_of_line(&PoolChange::Queued { limit: 2 }, t(1)), 1);
}

#[test]
fn a_build_gets_no_slot_before_those_in_line() {
    let full = full(&["a"]);
    let asks = acquire("d", 9, 2, 0, false);
    assert_eq!(full.wants_of_line(&asks, t(9)), 1);
    for event in [asks.clone().into(), with_line(asks.clone(), &["b"], false)] {
        assert_eq!(full.decide(&event, t(9)), Decision::Ignored(Ignored::Full));
    }
    // Those in line were builds that had got slots meanwhile.
    assert_eq!(grants(&take(&full, with_line(asks, &[], true), 9)), ["d"]);
    // It is in line itself.
    let itself = take(&full, with_line(acquire("d", 9, 2, 0, true), &["d"], true), 9);
    assert_eq!((grants(&itself), itself.holders.len()), (vec!["d in line".to_owned()], 2));
}

#[test]
fn asking_twice_takes_one_slot_and_leaving_twice_frees_one() {
    let pool = ask(&ask(&pool(), "a", 0, 1), "a", 0, 1);
    assert_eq!((pool.holders.len(), grants(&pool)), (1, vec!["a".to_owned()]));
    let pool = leave(&perform_all(&pool), "a");
    let again = PoolEvent::from(release("a", 0));
    assert_eq!(pool.decide(&again, t(9)), Decision::Ignored(Ignored::NothingNew));
}

#[test]
fn a_holder_that_asks_again_did_not_hear_of_its_slot() {
    let pool = perform_all(&ask(&pool(), "a", 0, 1));
    assert_eq!(grants(&ask(&pool, "a", 0, 1)), ["a"]);
    // It may have queued up before it got the slot.
    assert_eq!(grants(&change(&pool, acquire("a", 0, 1, 0, true), 1)), ["a in line"]);
}

#[test]
fn a_build_in_line_that_holds_a_slot_gets_no_other_one() {
    let full = full(&["a", "b"]);
    let event = with_line(release("b", 0), &["a", "c"], false);
    let served = take(&full, event, 2);
    assert_eq!((grants(&served), served.holders.len()), (vec!["c in line".to_owned()], 2));
    assert!(served.serves(&waiting("c", 0, 0)) && served.takes_out(&waiting("c", 0, 0)));
    assert!(served.serves(&waiting("a", 0, 0)) && !served.takes_out(&waiting("a", 0, 0)));
    // Its release has arrived before it was taken out of the line.
    let gone = leave(&served, "c");
    assert_eq!((grants(&gone), gone.holders.len()), (vec!["c in line".to_owned()], 1));
    let again = take(&gone, with_line(PoolChange::Tick, &["c"], true), 3);
    assert_eq!((again.holders.len(), again.queued), (1, false));
}

#[test]
fn a_late_release_of_an_earlier_turn_takes_no_slot_away() {
    let first = perform_all(&ask(&pool(), "a", 0, 1));
    let again = acquire("a", 5, 1, 1, false);
    let in_line = || {
        let next = vec![waiting("a", 5, 1)];
        let line = Some(Line { next, is_all: true });
        let change = PoolChange::Queued { limit: 1 };
        take(&first, PoolEvent { change, line }, 5)
    };
    for pool in [
        change(&leave(&first, "a"), again.clone(), 5),
        change(&first, again.clone(), 5),
        change(&ask(&leave(&first, "a"), "a", 0, 1), again, 5),
        in_line(),
    ] {
        assert_eq!((pool.holders.len(), pool.turn(&id("a")), grants(&pool).len()), (1, 1, 1));
        let late = PoolEvent::from(release("a", 0));
        assert_eq!(pool.decide(&late, t(6)), Decision::Ignored(Ignored::Stale));
        let left = change(&pool, release("a", 1), 7);
        assert_eq!((left.holders.len(), left.turns.len()), (0, 0));
    }
}

#[test]
fn a_limit_that_changes_counts_from_the_next_build_on() {
    let pool = ask(&ask(&ask(&pool(), "a", 0, 1), "b", 2, 3), "c", 3, 3);
    assert_eq!(grants(&pool), ["a", "b", "c"]);
    let fewer = change(&perform_all(&pool), PoolChange::Queued { limit: 1 }, 4);
    assert_eq!(fewer.wants_of_line(&release("a", 0), t(5)), 0);
    let one = leave(&leave(&fewer, "a"), "b");
    assert_eq!((one.free(), one.wants_of_line(&release("c", 0), t(5))), (0, 1));
    let most = ask(&one, "d", 6, u32::MAX);
    assert_eq!(most.limit, 1, "it must queue up, and says so");
    assert_eq!(change(&one, PoolChange::Queued { limit: u32::MAX }, 6).limit, MOST_SLOTS);
}

#[test]
fn holders_that_are_gone_are_found_while_builds_wait() {
    let full = full(&["a"]);
    assert_eq!(full.due().unwrap(), later(t(1), AUDIT_EVERY));
    let tick = || PoolEvent::from(PoolChange::Tick);
    assert_eq!(full.decide(&tick(), t(60)), Decision::Ignored(Ignored::NothingNew));
    let audited = take(&full, tick(), 301);
    assert_eq!(grants(&audited), ["audit"]);
    let gone = PoolChange::Gone(vec![id("a")]);
    let freed = take(&perform_all(&audited), with_line(gone, &["b"], true), 400);
    assert_eq!(grants(&freed), ["b in line"]);
}

#[test]
fn slots_are_granted_in_portions() {
    let many = change(&pool(), PoolChange::Queued { limit: 40 }, 0);
    let jobs: Vec<String> = (0..40).map(|number| format!("a{number:02}")).collect();
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    assert_eq!(many.wants_of_line(&PoolChange::Tick, t(1)), AT_ONCE);
    let first = take(&many, with_line(PoolChange::Tick, &jobs, true), 1);
    assert_eq!((grants(&first).len(), first.queued), (AT_ONCE, true));
    assert_eq!(
        first.wants_of_line(&PoolChange::Tick, t(1)),
        0,
        "the others follow when these were notified"
    );
    let second = take(&perform_all(&first), with_line(PoolChange::Tick, &jobs[AT_ONCE..], true), 2);
    let third = take(&perform_all(&second), with_line(PoolChange::Tick, &jobs[2 * AT_ONCE..], true), 3);
    assert_eq!((third.holders.len(), third.queued), (40, false));
}

/// As a version stored it that kept waiting builds in this record.
#[test]
fn builds_that_waited_before_come_first() {
    let stored = r#"{"agent":"small","limit":1,"holders":{"abcdefghij/a":"2026-09-21T14:13:20Z"},"waiting":[{"since":"2026-09-21T14:13:21Z","build":"abcdefghij/b"},
        {"since":"2026-09-21T14:13:22Z","build":"abcdefghij/c"}],"turns":{"abcdefghij/b":1},"audited":"2026-09-21T14:13:21Z","outbox":{"next":1,"abandoned":0,"pending":[]}}"#;
    let before: Pool = serde_json::from_str(stored).unwrap();
    assert!(before.queued, "a function of an earlier version may have stored it");
    let asks = PoolEvent::from(acquire("d", 9, 2, 0, false));
    assert_eq!(before.decide(&asks, t(9)), Decision::Ignored(Ignored::Full));
    assert_eq!(before.wants_of_line(&release("a", 0), t(9)), 0);
    let next = take(&before, with_line(release("a", 0), &["e"], true), 9);
    assert_eq!((grants(&next), next.turn(&id("b"))), (vec!["b".to_owned()], 1));
    assert_eq!(next.due().map(|due| due > t(0)), Some(true));
    // One of them gives up.
    let withdrawn = change(&perform_all(&next), release("c", 0), 10);
    assert!(withdrawn.waiting_before.is_empty());
    let drained = take(&withdrawn, with_line(release("b", 1), &["e"], true), 11);
    assert_eq!((grants(&drained), drained.queued), (vec!["e in line".to_owned()], false));
}

#[test]
fn the_largest_record_fits_an_item() {
    let name: PoolName = "a".repeat(63).parse().unwrap();
    let build = |number: u32| -> BuildId { format!("abcdefghij/{number:063}").parse().unwrap() };
    let at: Timestamp = "2026-09-21T14:13:20.123456789Z".parse().unwrap();
    let mut largest = Pool::new(name.clone(), at);
    largest.queued = true;
    largest.limit = MOST_SLOTS;
    for number in 0..MOST_SLOTS {
        largest.hold(&build(number), 0, at);
    }
    for number in 0..u32::try_from(AT_ONCE).unwrap() {
        let place = Waiting {
            pool: name.clone(),
            repository: "r".repeat(100).parse().unwrap(),
            since: at,
            build: build(number),
            turn: 1_000,
        };
        largest.grant(&place.build, Some(&place), at);
    }
    let length = |pool: &Pool| serde_json::to_string(pool).unwrap().len();
    assert!(length(&largest) < 300_000, "{}", length(&largest));
    // Even if each of them had waited for a permission.
    for number in 0..MOST_SLOTS {
        largest.hold(&build(number), 1_000, at);
    }
    assert!(length(&largest) < 400_000, "{}", length(&largest));
}
