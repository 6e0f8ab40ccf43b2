//! A ledger in memory, with the semantics of the real one: versions, conditional writes, an index of due records, and lists.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::Fault;
use crate::ports::{Created, Entry, Item, Key, Lane, Ledger, List, Listing, Text, Written};

/// The ledger.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    items: Mutex<BTreeMap<Key, (u64, Item)>>,
}

impl MemoryLedger {
    fn items(&self) -> MutexGuard<'_, BTreeMap<Key, (u64, Item)>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is due in a lane, the most overdue first.
    fn all_due(&self, lane: Lane, now: Timestamp) -> Vec<(Timestamp, Key)> {
        let items = self.items();
        let due = items.iter().filter_map(|(key, (_, item))| {
            let (_, at) = item.due.filter(|(of, at)| *of == lane && *at <= now)?;
            Some((at, key.clone()))
        });
        let mut due: Vec<_> = due.collect();
        due.sort();
        due
    }
}

fn text((key, (version, item)): (&Key, &(u64, Item))) -> Text {
    Text {
        key: key.clone(),
        version: *version,
        text: item.text.clone(),
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn get(&self, key: &Key) -> Result<Option<Text>, Fault> {
        Ok(self.items().get_key_value(key).map(text))
    }

    async fn put(&self, expected: u64, item: &Item) -> Result<Written, Fault> {
        let mut items = self.items();
        let version = items.get(&item.key).map_or(0, |(version, _)| *version);
        if version != expected {
            return Ok(Written::Conflict);
        }
        items.insert(item.key.clone(), (version + 1, item.clone()));
        Ok(Written::Stored(version + 1))
    }

    async fn put_together(&self, new: &[Item]) -> Result<Created, Fault> {
        let mut items = self.items();
        if new.iter().any(|item| items.contains_key(&item.key)) {
            return Ok(Created::AlreadyExists);
        }
        items.extend(new.iter().map(|item| (item.key.clone(), (1, item.clone()))));
        Ok(Created::New)
    }

    async fn in_partition(&self, partition: &str, beginning: &str) -> Result<Vec<Text>, Fault> {
        let items = self.items();
        let inside = items
            .iter()
            .filter(|(key, _)| key.partition == partition && key.sort.starts_with(beginning));
        Ok(inside.map(text).collect())
    }

    async fn next_in_partition(&self, partition: &str, after: &str, limit: usize) -> Result<Vec<Text>, Fault> {
        let items = self.items();
        let from = (Bound::Excluded(Key::new(partition, after)), Bound::Unbounded);
        let next = items.range(from).take_while(|(key, _)| key.partition == partition);
        Ok(next.take(limit).map(text).collect())
    }

    async fn remove(&self, key: &Key) -> Result<(), Fault> {
        self.items().remove(key);
        Ok(())
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        let mut due = self.all_due(lane, now);
        due.truncate(limit);
        Ok(due)
    }

    async fn newest_due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        Ok(self.all_due(lane, now).into_iter().rev().take(limit).collect())
    }

    async fn list(&self, list: &List, before: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        let items = self.items();
        let is_in = |listing: &&Listing| match list {
            List::Of(owner) => listing.of == *owner,
            List::Class(class) => listing.class == *class,
        };
        let listed = items.values().filter_map(|(_, item)| item.listed.as_ref()).filter(is_in);
        let mut listed: Vec<_> = listed
            .filter(|listing| before.is_none_or(|before| listing.place.as_str() < before))
            .collect();
        listed.sort_by_key(|listing| Reverse(&listing.place));
        listed.truncate(limit);
        let entry = |listing: &Listing| Entry {
            place: listing.place.clone(),
            shown: listing.shown.clone(),
        };
        Ok(listed.into_iter().map(entry).collect())
    }
}
