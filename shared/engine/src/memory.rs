//! A ledger in memory, with the semantics of the real one: versions, conditional writes, and an index of due records.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bellhop_domain::branch::Branch;
use bellhop_domain::build::Build;
use bellhop_domain::ids::{AgentName, BuildId, Reference, RepositoryName, RunId};
use bellhop_domain::pool::Pool;
use bellhop_domain::run::Run;
use jiff::Timestamp;

use crate::Fault;
use crate::ports::{Created, Document, DocumentKey, DueItem, Lane, Ledger, Versioned, Written};

/// The ledger.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    runs: BTreeMap<RunId, Versioned<Run>>,
    builds: BTreeMap<BuildId, Versioned<Build>>,
    pools: BTreeMap<AgentName, Versioned<Pool>>,
    branches: BTreeMap<(RepositoryName, Reference), Versioned<Branch>>,
    documents: BTreeMap<DocumentKey, Versioned<Document>>,
}

impl MemoryLedger {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault> {
        let mut tables = self.tables();
        if tables.runs.contains_key(&run.id) {
            return Ok(Created::AlreadyExists);
        }
        for build in builds {
            let record = build.clone();
            tables.builds.insert(build.spec.id.clone(), Versioned { version: 1, record });
        }
        let record = run.clone();
        tables.runs.insert(run.id.clone(), Versioned { version: 1, record });
        Ok(Created::New)
    }

    async fn run(&self, id: &RunId) -> Result<Option<Versioned<Run>>, Fault> {
        Ok(self.tables().runs.get(id).cloned())
    }

    async fn build(&self, id: &BuildId) -> Result<Option<Versioned<Build>>, Fault> {
        Ok(self.tables().builds.get(id).cloned())
    }

    async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault> {
        let tables = self.tables();
        Ok(tables
            .builds
            .values()
            .filter(|build| build.record.spec.id.run == *run)
            .cloned()
            .collect())
    }

    async fn update_run(&self, expected: u64, next: &Run) -> Result<Written, Fault> {
        Ok(replace(self.tables().runs.get_mut(&next.id), expected, next))
    }

    async fn update_build(&self, expected: u64, next: &Build) -> Result<Written, Fault> {
        Ok(replace(self.tables().builds.get_mut(&next.spec.id), expected, next))
    }

    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault> {
        Ok(self.tables().pools.get(agent).cloned())
    }

    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault> {
        Ok(put(&mut self.tables().pools, next.agent.clone(), expected, next))
    }

    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault> {
        Ok(self.tables().branches.get(&(repository.clone(), reference.clone())).cloned())
    }

    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault> {
        let key = (next.repository.clone(), next.reference.clone());
        Ok(put(&mut self.tables().branches, key, expected, next))
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault> {
        Ok(self.tables().documents.get(key).map(|stored| Versioned {
            version: stored.version,
            record: stored.record.text.clone(),
        }))
    }

    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault> {
        Ok(put(&mut self.tables().documents, next.key.clone(), expected, next))
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault> {
        let tables = self.tables();
        let runs = tables.runs.iter().map(|(id, run)| (run.record.due(), DueItem::Run(id.clone())));
        let builds = tables
            .builds
            .iter()
            .filter(|(_, build)| Lane::of(&build.record) == lane)
            .map(|(id, build)| (build.record.due(), DueItem::Build(id.clone())));
        let pools = tables.pools.iter().map(|(id, pool)| (pool.record.due(), DueItem::Pool(id.clone())));
        let branches = tables
            .branches
            .values()
            .map(|Versioned { record, .. }| (record.due(), DueItem::Branch(record.repository.clone(), record.reference.clone())));
        let documents = tables
            .documents
            .values()
            .map(|Versioned { record, .. }| (record.due, DueItem::Document(record.key.clone())));
        let others = runs.chain(pools).chain(branches).chain(documents);
        let mut due: Vec<(Timestamp, DueItem)> = builds
            .chain(others.filter(|_| lane == Lane::Rest))
            .filter_map(|(at, item)| Some((at.filter(|at| *at <= now)?, item)))
            .collect();
        due.sort();
        due.truncate(limit);
        Ok(due)
    }

    async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Versioned<Run>>, Fault> {
        let tables = self.tables();
        let mut runs: Vec<_> = tables
            .runs
            .values()
            .filter(|run| run.record.repository == *repository)
            .filter(|run| before.is_none_or(|before| run.record.place_in_list().as_str() < before))
            .cloned()
            .collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.record.place_in_list()));
        runs.truncate(limit);
        Ok(runs)
    }
}

/// Replaces a record, or creates it if version 0 is expected.
fn put<K: Ord, T: Clone>(table: &mut BTreeMap<K, Versioned<T>>, key: K, expected: u64, next: &T) -> Written {
    if expected == 0 && !table.contains_key(&key) {
        let record = next.clone();
        table.insert(key, Versioned { version: 1, record });
        return Written::Stored(1);
    }
    replace(table.get_mut(&key), expected, next)
}

fn replace<T: Clone>(stored: Option<&mut Versioned<T>>, expected: u64, next: &T) -> Written {
    match stored {
        Some(stored) if stored.version == expected => {
            stored.version += 1;
            stored.record = next.clone();
            Written::Stored(stored.version)
        }
        _ => Written::Conflict,
    }
}
