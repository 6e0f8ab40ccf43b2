//! A ledger with one mistake, such as a store's habits invite.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use bellhop_domain::branch::Branch;
use bellhop_domain::build::Build;
use bellhop_domain::ids::{AgentName, BuildId, Reference, RepositoryName, RunId};
use bellhop_domain::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_engine::Fault;
use bellhop_engine::memory::MemoryLedger;
use bellhop_engine::ports::{Created, Document, DocumentKey, DueItem, Lane, Ledger, Versioned, Written};
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
}

/// The mistakes, and the properties that find each.
pub(crate) const MISTAKES: [(Mistake, &[&str]); 16] = [
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
            "a_stale_version_changes_nothing",
            "what_is_not_there_cannot_be_updated",
            "one_of_many_writers_wins",
            "a_pool_begins_with_version_0",
            "one_of_many_writers_of_a_pool_wins",
            "a_branch_begins_with_version_0",
            "a_document_is_kept_under_its_kind_and_name",
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
            "large_builds_are_created_in_one_step",
            "builds_beyond_a_page_are_all_read",
        ],
    ),
    (Mistake::ShortNames, &["a_branch_may_have_the_longest_name"]),
    (Mistake::TextsOfC, &["a_text_comes_back_as_it_was"]),
    (Mistake::OneLane, &["launches_are_due_by_themselves"]),
    (Mistake::NewestDue, &["what_is_due_comes_in_its_order"]),
    (
        Mistake::EarlyDue,
        &[
            "what_is_due_comes_in_its_order",
            "a_build_is_due_when_it_says_so",
            "launches_are_due_by_themselves",
            "a_pool_is_due_while_somebody_waits",
            "a_branch_is_due_when_it_says_so",
            "a_document_is_due_when_it_says_so",
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
            "a_build_is_due_when_it_says_so",
            "launches_are_due_by_themselves",
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
    (Mistake::NoCase, &["branches_do_not_mix"]),
    (Mistake::SmallRecords, &["a_record_that_just_fits_is_stored"]),
];

/// How large a page is.
const PAGE: usize = 1024 * 1024;

/// A ledger with a mistake.
#[derive(Debug)]
pub(crate) struct Mistaken {
    mistake: Mistake,
    inner: MemoryLedger,
    runs: Mutex<BTreeSet<RunId>>,
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

    fn written(&self, expected: u64, written: Written) -> Written {
        match written {
            Written::Conflict if self.has(Mistake::Unconditional) => Written::Stored(expected + 1),
            Written::Stored(version) if self.has(Mistake::OneDigit) && version > 9 => Written::Conflict,
            other => other,
        }
    }

    fn document(&self, document: &Document) -> Document {
        let mut document = document.clone();
        if self.has(Mistake::TextsOfC) {
            document.text.truncate(document.text.find('\0').unwrap_or(document.text.len()));
        }
        if self.has(Mistake::SmallRecords) && document.text.len() > 64 * 1024 {
            document.text.truncate(64 * 1024);
        }
        document
    }

    fn reference(&self, reference: &Reference) -> Reference {
        if self.has(Mistake::NoCase) {
            reference.full().to_lowercase().parse().unwrap()
        } else {
            reference.clone()
        }
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

fn json<T: serde::Serialize>(record: &Versioned<T>) -> usize {
    serde_json::to_vec(&record.record).unwrap().len()
}

#[async_trait]
impl Ledger for Mistaken {
    async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault> {
        let builds = if self.has(Mistake::RunsAlone) { &[] } else { builds };
        let created = self.inner.create(run, builds).await?;
        self.runs.lock().unwrap().insert(run.id.clone());
        Ok(if self.has(Mistake::AlwaysNew) { Created::New } else { created })
    }

    async fn run(&self, id: &RunId) -> Result<Option<Versioned<Run>>, Fault> {
        self.inner.run(id).await
    }

    async fn build(&self, id: &BuildId) -> Result<Option<Versioned<Build>>, Fault> {
        self.inner.build(id).await
    }

    async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault> {
        let mut builds = self.inner.builds_of(run).await?;
        if self.has(Mistake::ForeignBuilds) {
            let runs = self.runs.lock().unwrap().clone();
            for other in runs.iter().filter(|other| *other != run) {
                builds.extend(self.inner.builds_of(other).await?);
            }
        }
        Ok(self.page(Mistake::FirstPageOfBuilds, builds, json))
    }

    async fn update_run(&self, expected: u64, next: &Run) -> Result<Written, Fault> {
        Ok(self.written(expected, self.inner.update_run(expected, next).await?))
    }

    async fn update_build(&self, expected: u64, next: &Build) -> Result<Written, Fault> {
        Ok(self.written(expected, self.inner.update_build(expected, next).await?))
    }

    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault> {
        self.inner.pool(agent).await
    }

    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault> {
        Ok(self.written(expected, self.inner.update_pool(expected, next).await?))
    }

    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault> {
        if self.has(Mistake::ShortNames) && reference.full().len() > 255 {
            return Ok(None);
        }
        self.inner.branch(repository, &self.reference(reference)).await
    }

    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault> {
        let mut next = next.clone();
        next.reference = self.reference(&next.reference);
        Ok(self.written(expected, self.inner.update_branch(expected, &next).await?))
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault> {
        self.inner.document(key).await
    }

    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault> {
        let next = self.document(next);
        Ok(self.written(expected, self.inner.update_document(expected, &next).await?))
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault> {
        let early = std::time::Duration::from_secs(if self.has(Mistake::EarlyDue) { 60 } else { 0 });
        let mut due = self.inner.due(lane, now + early, limit).await?;
        if self.has(Mistake::OneLane) {
            let other = if lane == Lane::Rest { Lane::Launches } else { Lane::Rest };
            due.extend(self.inner.due(other, now, limit).await?);
        }
        if self.has(Mistake::NewestDue) {
            due.reverse();
        }
        Ok(self.page(Mistake::FirstPageOfDue, due, |(_, item)| format!("{item:?}").len()))
    }

    async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Versioned<Run>>, Fault> {
        let mut runs = self.inner.runs_of(repository, before, limit).await?;
        if self.has(Mistake::OldestRuns) {
            runs.reverse();
        }
        Ok(self.page(Mistake::FirstPageOfRuns, runs, json))
    }
}
