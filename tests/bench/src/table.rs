//! The one table: items by their keys, and the index of what is due.
//!
//! The index is ordered by time, as DynamoDB's is, so that asking what is due costs what is found and not what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// An item as DynamoDB's JSON has it.
pub(crate) type Item = Map<String, Value>;
/// `pk` and `sk`.
pub(crate) type Key = (String, String);

/// The items. A clone shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    items: BTreeMap<Key, Arc<Item>>,
    /// `due_shard`, `due_at` and the item's key.
    due: BTreeSet<(String, i64, Key)>,
}

impl Table {
    pub(crate) fn get(&self, key: &Key) -> Option<&Item> {
        self.items.get(key).map(Arc::as_ref)
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values().map(Arc::as_ref)
    }

    pub(crate) fn insert(&mut self, item: Item) {
        let key = key_of(&item);
        if let Some(place) = place(&item, &key) {
            self.due.insert(place);
        }
        let new_place = place(&item, &key);
        if let Some(old) = self.items.insert(key.clone(), Arc::new(item)) {
            let old = place(&old, &key).filter(|old| Some(old) != new_place.as_ref());
            old.map(|old| self.due.remove(&old));
        }
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        let place = self.items.remove(key).and_then(|item| place(&item, key));
        place.map(|place| self.due.remove(&place));
    }

    /// Puts an item if its condition holds: that there is none, or that it has a version.
    pub(crate) fn put(&mut self, request: &Value) -> bool {
        let Some(item) = request["Item"].as_object() else { return false };
        let stored = self.get(&key_of(item)).and_then(|stored| stored.get("version"));
        let holds = stored == request["ExpressionAttributeValues"].get(":expected");
        if holds {
            self.insert(item.clone());
        }
        holds
    }

    /// The entries of the index `due` in a shard up to a moment, the earliest first. They hold keys alone, as the template has it.
    pub(crate) fn due(&self, shard: &str, now: i64, limit: usize) -> Vec<Value> {
        let from = (shard.to_owned(), i64::MIN, Key::default());
        let entries = self.due.range(from..).take_while(|(of, at, _)| of == shard && *at <= now);
        entries
            .take(limit)
            .map(|(shard, at, (pk, sk))| {
                json!({ "pk": { "S": pk }, "sk": { "S": sk }, "due_shard": { "S": shard }, "due_at": { "N": at.to_string() } })
            })
            .collect()
    }

    /// The items of a partition after a sort key, the smallest first.
    pub(crate) fn after(&self, pk: &str, sk: &str) -> impl Iterator<Item = &Item> {
        let from = (Bound::Excluded((pk.to_owned(), sk.to_owned())), Bound::Unbounded);
        let items = self.items.range(from);
        items.take_while(move |((of, _), _)| of == pk).map(|(_, item)| item.as_ref())
    }

    /// The items of a partition whose sort keys begin so.
    pub(crate) fn beginning(&self, pk: &str, sk: &str) -> impl Iterator<Item = &Item> {
        let from = (pk.to_owned(), sk.to_owned());
        let items = self.items.range(from..);
        items
            .take_while(move |((of, key), _)| of == pk && key.starts_with(sk))
            .map(|(_, item)| item.as_ref())
    }
}

/// The key in an item or in the key of a request.
pub(crate) fn key_of(item: &Item) -> Key {
    let part = |name: &str| item.get(name).and_then(|value| value["S"].as_str()).unwrap_or_default().to_owned();
    (part("pk"), part("sk"))
}

fn place(item: &Item, key: &Key) -> Option<(String, i64, Key)> {
    let shard = item.get("due_shard")?["S"].as_str()?.to_owned();
    let at = item.get("due_at")?["N"].as_str()?.parse().ok()?;
    Some((shard, at, key.clone()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn build(job: &str, due_at: Option<i64>) -> Item {
        let mut item = json!({ "pk": { "S": "RUN#r" }, "sk": { "S": format!("BUILD#{job}") } });
        if let Some(at) = due_at {
            item["due_shard"] = json!({ "S": "due#1" });
            item["due_at"] = json!({ "N": at.to_string() });
        }
        item.as_object().cloned().unwrap()
    }

    #[test]
    fn the_index_follows_its_items() {
        let mut table = Table::default();
        let due = |table: &Table, now, limit| -> Vec<String> {
            let found = table.due("due#1", now, limit);
            found.iter().map(|entry| entry["sk"]["S"].as_str().unwrap().to_owned()).collect()
        };
        for (job, at) in [("a", Some(30)), ("b", Some(20)), ("c", None)] {
            table.insert(build(job, at));
        }
        assert_eq!(due(&table, 19, 10), Vec::<String>::new());
        assert_eq!(due(&table, 30, 10), ["BUILD#b", "BUILD#a"]);
        assert_eq!(due(&table, 30, 1), ["BUILD#b"]);
        assert_eq!(table.due("due#2", 30, 10), Vec::<Value>::new());
        // Later, at the same time, and not at all.
        table.insert(build("b", Some(40)));
        assert_eq!(due(&table, 40, 10), ["BUILD#a", "BUILD#b"]);
        table.insert(build("b", Some(40)));
        assert_eq!(due(&table, 40, 10), ["BUILD#a", "BUILD#b"]);
        table.insert(build("a", None));
        assert_eq!(due(&table, 40, 10), ["BUILD#b"]);
    }

    #[test]
    fn a_partition_is_read_from_a_sort_key_on() {
        let mut table = Table::default();
        for (job, at) in [("b", None), ("a", Some(30)), ("c", None)] {
            table.insert(build(job, at));
        }
        let run = json!({ "pk": { "S": "RUN#s" }, "sk": { "S": "RUN" } });
        table.insert(run.as_object().cloned().unwrap());
        let after = |table: &Table, key| -> Vec<String> {
            let items = table.after("RUN#r", key);
            items.map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(after(&table, "BUILD#a"), ["BUILD#b", "BUILD#c"]);
        table.remove(&("RUN#r".to_owned(), "BUILD#a".to_owned()));
        assert_eq!(after(&table, ""), ["BUILD#b", "BUILD#c"]);
        assert_eq!(table.due("due#1", 30, 10), Vec::<Value>::new());
    }

    #[test]
    fn a_partition_is_read_by_the_beginning_of_the_sort_key() {
        let mut table = Table::default();
        table.insert(build("a", None));
        table.insert(build("b", None));
        let run = json!({ "pk": { "S": "RUN#r" }, "sk": { "S": "RUN" } });
        table.insert(run.as_object().cloned().unwrap());
        let other = json!({ "pk": { "S": "RUN#s" }, "sk": { "S": "BUILD#a" } });
        table.insert(other.as_object().cloned().unwrap());
        assert_eq!(table.beginning("RUN#r", "BUILD#").count(), 2);
        assert_eq!(table.items().count(), 4);
    }

    #[test]
    fn a_version_is_a_condition() {
        let mut table = Table::default();
        let put = |version: i32, expected: Option<i32>| {
            let mut item = build("a", None);
            item.insert("version".to_owned(), json!({ "N": version.to_string() }));
            let mut values = json!({ ":write": { "S": "w" } });
            if let Some(expected) = expected {
                values[":expected"] = json!({ "N": expected.to_string() });
            }
            json!({ "Item": item, "ExpressionAttributeValues": values })
        };
        assert!(table.put(&put(1, None)));
        assert!(!table.put(&put(1, None)));
        assert!(table.put(&put(2, Some(1))));
        assert!(!table.put(&put(2, Some(1))));
    }
}
