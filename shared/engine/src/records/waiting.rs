//! Builds in line for a slot, and who of them is next.

use std::collections::VecDeque;

use bellhop_domain::ids::RepositoryName;
use bellhop_domain::queue::line::{Line, Waiting};
use bellhop_domain::queue::pool::Pool;
use jiff::Timestamp;

use super::run::KEEP;
use super::{Stored, read};
use crate::ports::{Key, Text};
use crate::{Engine, Fault};

/// The beginning of the keys.
const WAITING: &str = "WAITING#";
/// How many builds are read at a time. As many cost no more than one.
const READ_AHEAD: usize = 8;

impl Stored for Waiting {
    type Id<'a> = &'a Self;

    /// Builds are ordered by repository, and then by their time. No `#` occurs in a name.
    fn key_of(
        Self {
            pool,
            repository,
            since,
            build,
            turn,
        }: &Self,
    ) -> Key {
        // Nine decimals: each time has the same width.
        let sort = format!("{WAITING}{repository}#{since:.9}#{build}#{turn}");
        Key::new(format!("{WAITING}{pool}"), sort)
    }

    fn id(&self) -> &Self {
        self
    }

    /// A build leaves the line when it gets a slot or needs none any more. This is for one that comes back by a request that was under way meanwhile.
    fn expires(&self) -> Option<Timestamp> {
        self.since.checked_add(KEEP).ok()
    }
}

/// The builds that get the next slots: one of each repository in turn, beginning after the repository that was served last, and within a repository
/// those first that have been waiting longest.
pub(super) async fn next_in_line(engine: &Engine, pool: &Pool, wanted: usize) -> Result<Line, Fault> {
    let mut line = Line::default();
    let mut repositories = Vec::new();
    // The first round finds the repositories: those after the last one, and then the others.
    let (mut after, mut is_wrapped) = match &pool.last {
        Some(last) => (behind(last), false),
        None => (WAITING.to_owned(), true),
    };
    while line.next.len() < wanted {
        let found = after_in_line(engine, pool, &after).await?;
        let in_round = |first: &&Waiting| !is_wrapped || pool.last.as_ref().is_none_or(|last| first.repository <= *last);
        let Some(repository) = found.front().filter(in_round).map(|first| first.repository.clone()) else {
            if is_wrapped {
                break;
            }
            (after, is_wrapped) = (WAITING.to_owned(), true);
            continue;
        };
        after = behind(&repository);
        let mut repository = Repository::new(repository, found);
        if let Some(next) = repository.next(engine, pool).await? {
            line.next.push(next);
            repositories.push(repository);
        }
    }
    while line.next.len() < wanted && !repositories.is_empty() {
        let mut others = Vec::new();
        for mut repository in repositories {
            if line.next.len() < wanted
                && let Some(next) = repository.next(engine, pool).await?
            {
                line.next.push(next);
                others.push(repository);
            }
        }
        repositories = others;
    }
    line.is_all = line.next.len() < wanted;
    Ok(line)
}

/// The builds of a repository that wait for a slot.
struct Repository {
    name: RepositoryName,
    /// Those that were read, and are not in the line yet.
    read: VecDeque<Waiting>,
    /// The sort key of the last one that was read; none if there are no more.
    last_read: Option<String>,
}

impl Repository {
    fn new(name: RepositoryName, found: VecDeque<Waiting>) -> Self {
        let (read, last_read) = (VecDeque::new(), None);
        let mut new = Self { name, read, last_read };
        new.add(found);
        new
    }

    fn add(&mut self, found: VecDeque<Waiting>) {
        let is_full = found.len() == READ_AHEAD;
        self.read = found.into_iter().take_while(|waiting| waiting.repository == self.name).collect();
        let may_be_more = is_full && self.read.len() == READ_AHEAD;
        self.last_read = self.read.back().filter(|_| may_be_more).map(|last| last.key().sort);
    }

    /// The next one of them.
    async fn next(&mut self, engine: &Engine, pool: &Pool) -> Result<Option<Waiting>, Fault> {
        loop {
            while let Some(waiting) = self.read.pop_front() {
                if !pool.serves(&waiting) {
                    return Ok(Some(waiting));
                }
                // It has its slot, and nothing is left that would take it out of the line: it was put in line once more by a request that was under way
                // when it got the slot.
                if !pool.takes_out(&waiting) {
                    engine.ledger.remove(&waiting.key()).await?;
                }
            }
            let Some(last) = self.last_read.take() else { return Ok(None) };
            let found = after_in_line(engine, pool, &last).await?;
            self.add(found);
        }
    }
}

/// The first builds in line after a sort key.
async fn after_in_line(engine: &Engine, pool: &Pool, after: &str) -> Result<VecDeque<Waiting>, Fault> {
    let found = engine
        .ledger
        .next_in_partition(&format!("{WAITING}{}", pool.name), after, READ_AHEAD)
        .await?;
    let record = |text: &Text| read::<Waiting>(text).map(|stored| stored.record);
    found.iter().map(record).collect()
}

/// What all sort keys of a repository are smaller than, and those of the repositories after it are not: the character after `#` is smaller than those of
/// names.
fn behind(repository: &RepositoryName) -> String {
    format!("{WAITING}{repository}$")
}
