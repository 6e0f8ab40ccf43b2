//! The ledger in memory keeps what every ledger has to keep, and the suite that says so finds each mistake of a ledger.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod mistaken;

use bellhop_engine::conformance::{self, CASES, Without};
use bellhop_engine::memory::MemoryLedger;

use mistaken::{MISTAKES, Mistaken};

/// What memory cannot keep.
const WITHOUT: [Without; 1] = [Without {
    name: "a_record_that_is_too_large_is_refused_for_good",
    why: "memory holds records of any size",
    words: "unwrap_err",
}];

#[tokio::test]
async fn the_ledger_in_memory_conforms() {
    let outcome = conformance::all_but(&MemoryLedger::default(), &WITHOUT).await;
    assert_eq!(outcome.wrong, Vec::<String>::new());
    assert_eq!(outcome.passed, CASES.len() - WITHOUT.len());
}

/// Time passes only for those who wait: a property waits seconds for what never comes.
#[tokio::test(start_paused = true)]
async fn every_mistake_is_found() {
    let mut all = Vec::new();
    for (mistake, _) in MISTAKES {
        let mut found = Vec::new();
        for case in CASES.iter().filter(|case| case.name != WITHOUT[0].name) {
            if case.check(&Mistaken::new(mistake)).await.is_err() {
                found.push(case.name);
            }
        }
        all.push((mistake, found));
    }
    assert_eq!(all, MISTAKES.map(|(mistake, found_by)| (mistake, found_by.to_vec())));
}

#[tokio::test]
async fn what_is_left_out_for_nothing_is_found() {
    let known = |name, words| Without {
        name,
        why: "it is so",
        words,
    };
    let without = [
        known("versions_grow_by_one", ""),
        known("a_record_that_is_too_large_is_refused_for_good", "fire"),
        known("there_is_more", ""),
    ];
    let outcome = conformance::all_but(&MemoryLedger::default(), &without).await;
    let [holds, otherwise, unknown] = &outcome.wrong[..] else {
        panic!("{:?}", outcome.wrong)
    };
    assert_eq!(holds, "versions_grow_by_one holds although it is so");
    assert!(
        otherwise.starts_with("a_record_that_is_too_large_is_refused_for_good fails for another reason: "),
        "{otherwise}"
    );
    assert_eq!(unknown, "there is no property there_is_more");
    let outcome = conformance::all_but(&MemoryLedger::default(), &[]).await;
    let [wrong] = &outcome.wrong[..] else {
        panic!("{:?}", outcome.wrong)
    };
    assert!(wrong.starts_with("a_record_that_is_too_large_is_refused_for_good: "), "{wrong}");
}
