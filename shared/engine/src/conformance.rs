//! The contract of every ledger, as a test suite: for the ledger in memory, and for the real table, which may contain other records.
//!
//! Every property works on its own runs and repositories, with random names, and leaves nothing behind that is due. Meanwhile some of its records are
//! due, so no sweep may run on the table. Reads of indexes are repeated for some seconds, because the real ones are eventually consistent.

#![expect(clippy::unwrap_used, reason = "a suite of tests stops at what should not be")]

mod due;
mod given;
mod limits;
mod others;
mod runs;

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use crate::ports::Ledger;

/// A property. It panics if a ledger does not have it.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    check: for<'a> fn(&'a dyn Ledger) -> LocalBoxFuture<'a, ()>,
}

/// A property that a ledger is known to lack.
#[derive(Debug, Clone, Copy)]
pub struct Without {
    /// Its name.
    pub name: &'static str,
    /// The reason.
    pub why: &'static str,
    /// A part of its panic message.
    pub words: &'static str,
}

/// The result of the suite.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The number of properties that the ledger has.
    pub passed: usize,
    /// Unexpected results: a missing property, a property that should be missing, and names of unknown properties.
    pub wrong: Vec<String>,
}

macro_rules! cases {
    ($($module:ident { $($name:ident),+ $(,)? })+) => {
        &[$($(Case { name: stringify!($name), check: |ledger| $module::$name(ledger).boxed_local() }),+),+]
    };
}

/// Every property.
pub const CASES: &[Case] = cases! {
    runs {
        what_was_created_is_there_with_version_1,
        what_was_never_created_is_not_there,
        a_run_without_builds_can_be_created,
        a_run_that_exists_is_left_as_it_is,
        a_run_that_fills_a_transaction_is_created_whole,
        a_run_larger_than_a_transaction_is_created_whole,
        one_of_many_creators_wins,
        one_of_many_creators_of_a_large_run_wins,
        versions_grow_by_one,
        a_stale_version_changes_nothing,
        what_is_not_there_cannot_be_updated,
        one_of_many_writers_wins,
        builds_belong_to_their_run,
        the_newest_runs_come_first,
        a_run_is_listed_in_its_class,
    }
    due {
        what_is_due_comes_in_its_order,
        what_has_nothing_to_do_is_never_due,
        a_build_is_due_when_it_says_so,
        what_is_due_is_in_one_lane,
    }
    others {
        a_pool_begins_with_version_0,
        one_of_many_writers_of_a_pool_wins,
        a_pool_is_due_while_somebody_waits,
        the_next_in_a_partition_come_in_order,
        a_removed_record_is_gone,
        a_branch_begins_with_version_0,
        branches_do_not_mix,
        a_branch_is_due_when_it_says_so,
        a_record_is_kept_under_its_key,
        a_record_is_due_when_it_says_so,
    }
    limits {
        large_builds_are_created_in_one_step,
        builds_beyond_a_page_are_all_read,
        runs_beyond_a_page_are_all_listed,
        what_is_due_beyond_a_page_is_all_found,
        a_branch_may_have_the_longest_name,
        a_text_comes_back_as_it_was,
        a_record_that_just_fits_is_stored,
        a_record_that_is_too_large_is_refused_for_good,
    }
};

/// Properties that send one request at a time. They hold even if replies are lost, unless a request loses all of them.
pub const THOUGH_REPLIES_ARE_LOST: [&str; 10] = [
    "what_was_created_is_there_with_version_1",
    "a_run_without_builds_can_be_created",
    "a_run_that_exists_is_left_as_it_is",
    "versions_grow_by_one",
    "a_stale_version_changes_nothing",
    "what_is_not_there_cannot_be_updated",
    "builds_belong_to_their_run",
    "large_builds_are_created_in_one_step",
    "a_branch_may_have_the_longest_name",
    "a_record_that_just_fits_is_stored",
];

impl Case {
    /// The property of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.name == name)
    }

    /// Checks it. The error is its panic message.
    ///
    /// # Errors
    /// If the ledger does not have it.
    pub async fn check(&self, ledger: &dyn Ledger) -> Result<(), String> {
        let checked = AssertUnwindSafe((self.check)(ledger)).catch_unwind().await;
        checked.map_err(|panic| words(panic.as_ref()))
    }
}

impl Without {
    /// Compares the check of a property with whether it is known to be missing.
    ///
    /// # Errors
    /// If it is missing unexpectedly, present unexpectedly, or fails differently.
    pub fn judge(known: Option<&Self>, name: &str, outcome: Result<(), String>) -> Result<(), String> {
        match (outcome, known) {
            (outcome, None) => outcome.map_err(|words| format!("{name}: {words}")),
            (Err(words), Some(known)) if words.contains(known.words) => Ok(()),
            (Err(words), Some(_)) => Err(format!("{name} fails for another reason: {words}")),
            (Ok(()), Some(known)) => Err(format!("{name} holds although {}", known.why)),
        }
    }
}

/// Checks every property, one after the other. Those that the ledger is known to lack must fail as expected.
pub async fn all_but(ledger: &dyn Ledger, without: &[Without]) -> Outcome {
    let mut outcome = Outcome::default();
    for case in CASES {
        let known = without.iter().find(|known| known.name == case.name);
        match Without::judge(known, case.name, case.check(ledger).await) {
            Ok(()) => outcome.passed += usize::from(known.is_none()),
            Err(wrong) => outcome.wrong.push(wrong),
        }
    }
    let unknown = without.iter().filter(|known| Case::named(known.name).is_none());
    outcome
        .wrong
        .extend(unknown.map(|known| format!("there is no property {}", known.name)));
    outcome
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}
