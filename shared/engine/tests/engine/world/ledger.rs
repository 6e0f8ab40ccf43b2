//! A ledger at which writers meet, and which can be made to fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bellhop_domain::ids::BuildId;
use bellhop_domain::record::Key;
use bellhop_engine::Fault;
use bellhop_engine::memory::MemoryLedger;
use bellhop_engine::ports::{Created, Entry, Item, Lane, Ledger, List, Text, Written};
use jiff::Timestamp;

use super::values::take;

/// A ledger at which writers meet: every call gives way to the others before it is served.
#[derive(Default)]
pub(crate) struct FaultyLedger {
    inner: MemoryLedger,
    /// So many writes of runs and builds to come conflict, and are not stored.
    pub(crate) conflicts: AtomicUsize,
    /// So many writes to come are stored, and said to conflict.
    pub(crate) lost_replies: AtomicUsize,
    /// So many runs to come get no further than their builds, as only large ones can.
    pub(crate) torn: AtomicUsize,
    /// The builds of such runs.
    torn_builds: Mutex<Vec<Item>>,
    /// How often records were read, by their keys or by their partition.
    pub(crate) reads: AtomicUsize,
    /// A build that cannot be read.
    pub(crate) unreadable: Mutex<Option<BuildId>>,
}

#[async_trait]
impl Ledger for FaultyLedger {
    async fn get(&self, key: &Key) -> Result<Option<Text>, Fault> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let unreadable = self.unreadable.lock().unwrap().clone();
        if unreadable.is_some_and(|id| key.partition == format!("RUN#{}", id.run) && key.sort == format!("BUILD#{}", id.job)) {
            return Err(Fault::permanent(format!("{key} cannot be read")));
        }
        self.inner.get(key).await
    }

    async fn put(&self, expected: u64, item: &Item) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        if item.key.partition.starts_with("RUN#") && expected > 0 && take(&self.conflicts) {
            return Ok(Written::Conflict);
        }
        let written = self.inner.put(expected, item).await?;
        Ok(if take(&self.lost_replies) { Written::Conflict } else { written })
    }

    async fn put_together(&self, items: &[Item]) -> Result<Created, Fault> {
        tokio::task::yield_now().await;
        if take(&self.torn) {
            let builds = items.iter().filter(|item| item.key.sort != "RUN").cloned();
            self.torn_builds.lock().unwrap().extend(builds);
            return Err(Fault::transient("create a run: no reply"));
        }
        self.inner.put_together(items).await
    }

    async fn in_partition(&self, partition: &str, beginning: &str) -> Result<Vec<Text>, Fault> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let found = self.inner.in_partition(partition, beginning).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        let torn = self.torn_builds.lock().unwrap();
        let of_run = torn.iter().filter(|item| item.key.partition == partition);
        Ok(of_run
            .map(|item| Text {
                key: item.key.clone(),
                version: 1,
                text: item.text.clone(),
            })
            .collect())
    }

    async fn next_in_partition(&self, partition: &str, after: &str, limit: usize) -> Result<Vec<Text>, Fault> {
        tokio::task::yield_now().await;
        self.inner.next_in_partition(partition, after, limit).await
    }

    async fn remove(&self, key: &Key) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.inner.remove(key).await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        tokio::task::yield_now().await;
        self.inner.due(lane, now, limit).await
    }

    async fn newest_due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        tokio::task::yield_now().await;
        self.inner.newest_due(lane, now, limit).await
    }

    async fn list(&self, list: &List, before: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        tokio::task::yield_now().await;
        self.inner.list(list, before, limit).await
    }
}
