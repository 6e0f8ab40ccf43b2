//! A ledger at which writers meet, and which can be made to fail.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

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

use super::values::take;

/// A ledger at which writers meet: every call gives way to the others before it is served.
#[derive(Default)]
pub(crate) struct FaultyLedger {
    inner: MemoryLedger,
    /// So many writes to come conflict, and are not stored.
    pub(crate) conflicts: AtomicUsize,
    /// So many writes to come are stored, and said to conflict.
    pub(crate) lost_replies: AtomicUsize,
    /// So many runs to come get no further than their builds, as only large ones can.
    pub(crate) torn: AtomicUsize,
    /// The builds of such runs.
    torn_builds: Mutex<Vec<Build>>,
    /// A build that cannot be read.
    pub(crate) unreadable: Mutex<Option<BuildId>>,
}

impl FaultyLedger {
    fn reply(&self, written: Written) -> Written {
        if take(&self.lost_replies) { Written::Conflict } else { written }
    }
}

#[async_trait]
impl Ledger for FaultyLedger {
    async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault> {
        tokio::task::yield_now().await;
        if take(&self.torn) {
            self.torn_builds.lock().unwrap().extend(builds.iter().cloned());
            return Err(Fault::passing(format!("create run {}: no reply", run.id)));
        }
        self.inner.create(run, builds).await
    }

    async fn run(&self, id: &RunId) -> Result<Option<Versioned<Run>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.run(id).await
    }

    async fn build(&self, id: &BuildId) -> Result<Option<Versioned<Build>>, Fault> {
        tokio::task::yield_now().await;
        if self.unreadable.lock().unwrap().as_ref() == Some(id) {
            return Err(Fault::lasting(format!("build {id} cannot be read")));
        }
        self.inner.build(id).await
    }

    async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault> {
        tokio::task::yield_now().await;
        let builds = self.inner.builds_of(run).await?;
        if !builds.is_empty() {
            return Ok(builds);
        }
        let torn = self.torn_builds.lock().unwrap();
        let of_run = torn.iter().filter(|build| build.spec.id.run == *run);
        Ok(of_run
            .map(|build| Versioned {
                version: 1,
                record: build.clone(),
            })
            .collect())
    }

    async fn update_run(&self, expected: u64, next: &Run) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        if take(&self.conflicts) {
            return Ok(Written::Conflict);
        }
        Ok(self.reply(self.inner.update_run(expected, next).await?))
    }

    async fn update_build(&self, expected: u64, next: &Build) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        if take(&self.conflicts) {
            return Ok(Written::Conflict);
        }
        Ok(self.reply(self.inner.update_build(expected, next).await?))
    }

    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.pool(agent).await
    }

    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        Ok(self.reply(self.inner.update_pool(expected, next).await?))
    }

    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.branch(repository, reference).await
    }

    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        Ok(self.reply(self.inner.update_branch(expected, next).await?))
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.document(key).await
    }

    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        Ok(self.reply(self.inner.update_document(expected, next).await?))
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault> {
        tokio::task::yield_now().await;
        self.inner.due(lane, now, limit).await
    }

    async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Versioned<Run>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.runs_of(repository, before, limit).await
    }
}
