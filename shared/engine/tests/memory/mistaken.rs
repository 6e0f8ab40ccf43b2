//! A ledger with one mistake, such as a store's habits invite.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use bellhop_domain::record::Key;
use bellhop_engine::Fault;
use bellhop_engine::memory::MemoryLedger;
use bellhop_engine::ports::{Created, Entry, Item, Lane, Ledger, List, Text, Written};
use jiff::Timestamp;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The first page of a run's builds is taken for all of them.
    FirstPageOfBuilds,
    /// The first page of the list of runs is taken for all that was asked for.
    FirstPageOfRuns,
    /// The first page of what is due is taken for all of it.
    FirstPageOfDue,
    /// Versions are compared as texts of one digit.
    OneDigit,
    /// A condition that does not hold is taken for a success.
    Unconditional,
    /// A run that exists is said to be new.
    AlwaysNew,
    /// Names are cut at 255 bytes.
    ShortNames,
    /// A text ends at its first NUL.
    TextsOfC,
    /// Everything is due in both lanes.
    OneLane,
    /// What is due comes newest first.
    NewestDue,
    /// The newest of what is due are sought among the oldest.
    OldestOfTheFirst,
    /// What is due is found a minute early.
    EarlyDue,
    /// A run is stored, and its builds are not.
    RunsAlone,
    /// A run has the builds of every run that came before.
    ForeignBuilds,
    /// A list of runs begins with the oldest.
    OldestRuns,
    /// Names are compared without regard to their case.
    NoCase,
    /// A record is cut at 64 KB.
    SmallRecords,
    /// What comes next in a partition comes with the last one.
    LastAgain,
    /// What comes next in a partition comes in any order.
    AnyOrder,
    /// A record that is removed stays.
    RemovedStays,
}

/// The mistakes, and the properties that find each.
pub(crate) const MISTAKES: [(Mistake, &[&str]); 20] = [
    (
        Mistake::FirstPageOfBuilds,
        &["large_builds_are_created_in_one_step", "builds_beyond_a_page_are_all_read"],
    ),
    (Mistake::FirstPageOfRuns, &["runs_beyond_a_page_are_all_listed"]),
    (Mistake::FirstPageOfDue, &["what_is_due_beyond_a_page_is_all_found"]),
    (Mistake::OneDigit, &["versions_grow_by_one"]),
    (
        Mistake::Unconditional,
        &[
            "a_run_without_builds_can_be_created",
            "a_stale_version_changes_nothing",
            "what_is_not_there_cannot_be_updated",
            "one_of_many_writers_wins",
            "a_pool_begins_with_version_0",
            "one_of_many_writers_of_a_pool_wins",
            "a_removed_record_is_gone",
            "a_branch_begins_with_version_0",
            "a_record_is_kept_under_its_key",
        ],
    ),
    (
        Mistake::AlwaysNew,
        &[
            "a_run_without_builds_can_be_created",
            "a_run_that_exists_is_left_as_it_is",
            "a_run_that_fills_a_transaction_is_created_whole",
            "a_run_larger_than_a_transaction_is_created_whole",
            "one_of_many_creators_wins",
            "one_of_many_creators_of_a_large_run_wins",
            "a_stale_version_changes_nothing",
            "large_builds_are_created_in_one_step",
            "builds_beyond_a_page_are_all_read",
        ],
    ),
    (Mistake::ShortNames, &["a_branch_may_have_the_longest_name"]),
    (Mistake::TextsOfC, &["a_text_comes_back_as_it_was"]),
    (Mistake::OneLane, &["what_is_due_is_in_one_lane"]),
    (Mistake::NewestDue, &["what_is_due_comes_in_its_order"]),
    (Mistake::OldestOfTheFirst, &["what_is_due_comes_in_its_order"]),
    (
        Mistake::EarlyDue,
        &[
            "what_is_due_comes_in_its_order",
            "a_build_is_due_when_it_says_so",
            "what_is_due_is_in_one_lane",
            "a_pool_is_due_while_somebody_waits",
            "a_branch_is_due_when_it_says_so",
            "a_record_is_due_when_it_says_so",
        ],
    ),
    (
        Mistake::RunsAlone,
        &[
            "what_was_created_is_there_with_version_1",
            "a_run_that_exists_is_left_as_it_is",
            "a_run_that_fills_a_transaction_is_created_whole",
            "a_run_larger_than_a_transaction_is_created_whole",
            "one_of_many_creators_wins",
            "one_of_many_creators_of_a_large_run_wins",
            "versions_grow_by_one",
            "a_stale_version_changes_nothing",
            "one_of_many_writers_wins",
            "builds_belong_to_their_run",
            "a_run_is_listed_in_its_class",
            "a_build_is_due_when_it_says_so",
            "what_is_due_is_in_one_lane",
            "large_builds_are_created_in_one_step",
            "builds_beyond_a_page_are_all_read",
        ],
    ),
    (
        Mistake::ForeignBuilds,
        &["a_run_larger_than_a_transaction_is_created_whole", "builds_belong_to_their_run"],
    ),
    (
        Mistake::OldestRuns,
        &["the_newest_runs_come_first", "runs_beyond_a_page_are_all_listed"],
    ),
    (Mistake::NoCase, &["the_next_in_a_partition_come_in_order", "branches_do_not_mix"]),
    (
        Mistake::SmallRecords,
        &[
            "large_builds_are_created_in_one_step",
            "builds_beyond_a_page_are_all_read",
            "a_record_that_just_fits_is_stored",
        ],
    ),
    (Mistake::LastAgain, &["the_next_in_a_partition_come_in_order"]),
    (Mistake::AnyOrder, &["the_next_in_a_partition_come_in_order"]),
    (
        Mistake::RemovedStays,
        &["the_next_in_a_partition_come_in_order", "a_removed_record_is_gone"],
    ),
];

/// How large a page is.
const PAGE: usize = 1024 * 1024;

/// A ledger with a mistake.
#[derive(Debug)]
pub(crate) struct Mistaken {
    mistake: Mistake,
    inner: MemoryLedger,
    runs: Mutex<BTreeSet<String>>,
}

impl Mistaken {
    pub(crate) fn new(mistake: Mistake) -> Self {
        Self {
            mistake,
            inner: MemoryLedger::default(),
            runs: Mutex::default(),
        }
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn key(&self, key: &Key) -> Key {
        let mut key = key.clone();
        if self.has(Mistake::NoCase) {
            let names = key.sort.find('#').unwrap_or(key.sort.len());
            key.sort = format!("{}{}", &key.sort[..names], key.sort[names..].to_lowercase());
        }
        key
    }

    fn item(&self, item: &Item) -> Item {
        let mut item = Item {
            key: self.key(&item.key),
            ..item.clone()
        };
        if self.has(Mistake::TextsOfC) {
            item.text.truncate(item.text.find('\0').unwrap_or(item.text.len()));
        }
        if self.has(Mistake::SmallRecords) {
            item.text.truncate(64 * 1024);
        }
        item
    }

    /// As much of a list as has room in a page, where this is a mistake of the ledger's.
    fn page<T>(&self, mistake: Mistake, list: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
        let mut left = if self.has(mistake) { PAGE } else { usize::MAX };
        let fits = |item: &T| {
            let taken = left.checked_sub(bytes(item));
            left = taken.unwrap_or(0);
            taken.is_some()
        };
        list.into_iter().take_while(fits).collect()
    }
}

#[async_trait]
impl Ledger for Mistaken {
    async fn get(&self, key: &Key) -> Result<Option<Text>, Fault> {
        if self.has(Mistake::ShortNames) && key.sort.len() > 255 {
            return Ok(None);
        }
        let found = self.inner.get(&self.key(key)).await?;
        Ok(found.map(|text| Text { key: key.clone(), ..text }))
    }

    async fn put(&self, expected: u64, item: &Item) -> Result<Written, Fault> {
        if self.has(Mistake::RunsAlone) && expected == 0 && item.key.sort.starts_with("BUILD#") {
            return Ok(Written::Stored(1));
        }
        let written = self.inner.put(expected, &self.item(item)).await?;
        let is_new_run = expected == 0 && item.key.sort == "RUN";
        if is_new_run {
            self.runs.lock().unwrap().insert(item.key.partition.clone());
        }
        Ok(match written {
            Written::Conflict if self.has(Mistake::Unconditional) => Written::Stored(expected + 1),
            Written::Conflict if self.has(Mistake::AlwaysNew) && is_new_run => Written::Stored(1),
            Written::Stored(version) if self.has(Mistake::OneDigit) && version > 9 => Written::Conflict,
            other => other,
        })
    }

    async fn put_together(&self, items: &[Item]) -> Result<Created, Fault> {
        let items = if self.has(Mistake::RunsAlone) { &items[..1] } else { items };
        let items: Vec<Item> = items.iter().map(|item| self.item(item)).collect();
        let created = self.inner.put_together(&items).await?;
        self.runs.lock().unwrap().extend(items.first().map(|run| run.key.partition.clone()));
        Ok(if self.has(Mistake::AlwaysNew) { Created::New } else { created })
    }

    async fn in_partition(&self, partition: &str, beginning: &str) -> Result<Vec<Text>, Fault> {
        let mut found = self.inner.in_partition(partition, beginning).await?;
        if self.has(Mistake::ForeignBuilds) {
            let runs = self.runs.lock().unwrap().clone();
            for other in runs.iter().filter(|other| *other != partition) {
                found.extend(self.inner.in_partition(other, beginning).await?);
            }
        }
        Ok(self.page(Mistake::FirstPageOfBuilds, found, |text| text.text.len()))
    }

    async fn next_in_partition(&self, partition: &str, after: &str, limit: usize) -> Result<Vec<Text>, Fault> {
        let mut next = self.inner.next_in_partition(partition, after, limit).await?;
        if self.has(Mistake::LastAgain) {
            next.splice(0..0, self.inner.get(&Key::new(partition, after)).await?);
        }
        if self.has(Mistake::AnyOrder) {
            next.reverse();
        }
        Ok(next)
    }

    async fn remove(&self, key: &Key) -> Result<(), Fault> {
        if self.has(Mistake::RemovedStays) {
            return Ok(());
        }
        self.inner.remove(&self.key(key)).await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        let early = std::time::Duration::from_secs(if self.has(Mistake::EarlyDue) { 60 } else { 0 });
        let mut due = self.inner.due(lane, now + early, limit).await?;
        if self.has(Mistake::OneLane) {
            let other = if lane == Lane::Rest { Lane::Launches } else { Lane::Rest };
            due.extend(self.inner.due(other, now, limit).await?);
        }
        if self.has(Mistake::NewestDue) {
            due.reverse();
        }
        Ok(self.page(Mistake::FirstPageOfDue, due, |(_, key)| key.to_string().len()))
    }

    async fn newest_due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        if self.has(Mistake::OldestOfTheFirst) {
            let mut due = self.inner.due(lane, now, limit).await?;
            due.reverse();
            return Ok(due);
        }
        self.inner.newest_due(lane, now, limit).await
    }

    async fn list(&self, list: &List, before: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        let mut listed = self.inner.list(list, before, limit).await?;
        if self.has(Mistake::OldestRuns) {
            listed.reverse();
        }
        Ok(self.page(Mistake::FirstPageOfRuns, listed, |entry: &Entry| entry.shown.len()))
    }
}
