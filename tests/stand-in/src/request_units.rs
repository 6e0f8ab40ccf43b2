//! What recorded requests to DynamoDB cost in request units, as AWS counts them
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html> and, for indexes,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html>).
//!
//! The local AWS counts a query of any size as half a unit. So the requests are played through a table of sizes, in the order in which they came.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::Entry;

/// A write unit is so many bytes, a read unit four times as many.
const WRITE: u64 = 1024;
const READ: u64 = 4 * WRITE;
/// What DynamoDB adds to each item and index entry that it stores.
const STORED_OVERHEAD: u64 = 100;

/// Request units.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Write request units, those of the indexes among them.
    pub write: f64,
    /// Read request units: half of one for an eventually consistent read of up to 4 KB.
    pub read: f64,
}

impl Units {
    fn write(units: u64) -> Self {
        Self {
            write: units as f64,
            read: 0.0,
        }
    }

    fn read(bytes: u64, consistent: bool) -> Self {
        let units = bytes.div_ceil(READ).max(1) as f64;
        Self {
            write: 0.0,
            read: if consistent { units } else { units / 2.0 },
        }
    }
}

/// The ledger's table as far as sizes go.
#[derive(Debug, Clone, Default)]
pub struct Table {
    items: BTreeMap<(String, String), Kept>,
}

/// What is known of an item.
#[derive(Debug, Clone, Default)]
struct Kept {
    bytes: u64,
    /// The item's place in the index `due`, which it leaves when it waits for nothing, and its entry's size there.
    due: Option<(String, String, u64)>,
    /// The item's place in the index `by-repository`, where all of it is kept.
    listed: Option<(String, String)>,
    /// The item's place in the index `by-class`, with what is kept of it there, and its entry's size.
    class: Option<(String, String, u64)>,
}

impl Kept {
    fn of(item: &Value) -> Self {
        let text = |name: &str| item[name]["S"].as_str().or(item[name]["N"].as_str()).map(ToOwned::to_owned);
        let size = |names: &[&str]| -> u64 {
            let sizes = names
                .iter()
                .filter_map(|name| Some(name.len() as u64 + value_bytes(item.get(*name)?)));
            sizes.sum()
        };
        let due = size(&["pk", "sk", "due_shard", "due_at"]);
        let class = size(&["pk", "sk", "list_class", "list_at", "shown"]);
        Self {
            bytes: item_bytes(item),
            due: text("due_shard").zip(text("due_at")).map(|(shard, at)| (shard, at, due)),
            listed: text("list_key").zip(text("list_at")),
            class: text("list_class").zip(text("shown")).map(|(of, shown)| (of, shown, class)),
        }
    }

    /// The write units of putting this in the place of `before`: the table's, and those of each index that it changes.
    fn put_over(&self, before: Option<&Self>) -> u64 {
        let larger = units(self.bytes.max(before.map_or(0, |before| before.bytes)));
        let due = match (before.and_then(|before| before.due.as_ref()), self.due.as_ref()) {
            (None, None) => 0,
            (Some((_, _, old)), None) => units(*old),
            (None, Some((_, _, new))) => units(*new),
            (Some((shard, at, _)), Some((new_shard, new_at, _))) if shard == new_shard && at == new_at => 0,
            // An index entry's key does not change: the old one is deleted and another one is put.
            (Some((_, _, old)), Some((_, _, new))) => units(*old) + units(*new),
        };
        let listed = match (before.and_then(|before| before.listed.as_ref()), self.listed.as_ref()) {
            (None, None) => 0,
            // Each write changes something of the item, if only its version, and all of it is in the index.
            (old, new) if old == new => larger,
            (old, new) => {
                let old = old.map_or(0, |_| units(before.map_or(0, |before| before.bytes)));
                old + new.map_or(0, |_| units(self.bytes))
            }
        };
        let class = match (before.and_then(|before| before.class.as_ref()), self.class.as_ref()) {
            (old, new) if old == new => 0,
            (Some((of, _, old)), Some((new_of, _, new))) if of == new_of => units(*old.max(new)),
            (old, new) => old.map_or(0, |(.., old)| units(*old)) + new.map_or(0, |(.., new)| units(*new)),
        };
        larger + due + listed + class
    }
}

impl Table {
    /// What a recorded request cost. Requests of other services cost nothing here.
    ///
    /// # Errors
    /// A request that is not known: it would be counted as nothing.
    pub fn take(&mut self, entry: &Entry) -> anyhow::Result<Units> {
        if entry.service != "dynamodb" {
            return Ok(Units::default());
        }
        let request = entry
            .request
            .as_ref()
            .context("a request to DynamoDB was recorded without its body")?;
        self.take_request(&entry.operation, request, entry.status == Some(400))
    }

    /// What a request to DynamoDB cost; `refused` is one whose condition did not hold.
    ///
    /// # Errors
    /// A request that is not known: it would be counted as nothing.
    pub fn take_request(&mut self, operation: &str, request: &Value, refused: bool) -> anyhow::Result<Units> {
        Ok(match operation {
            "PutItem" => Units::write(self.put(&request["Item"], refused)?),
            // As much as what is there, and what the indexes have of it.
            "DeleteItem" => {
                let removed = self.items.remove(&key(&request["Key"])?).unwrap_or_default();
                let due = removed.due.map_or(0, |(_, _, bytes)| units(bytes));
                let listed = removed.listed.map_or(0, |_| units(removed.bytes));
                Units::write(units(removed.bytes) + due + listed)
            }
            "TransactWriteItems" => {
                let mut all = 0;
                for part in request["TransactItems"].as_array().into_iter().flatten() {
                    let item = part.pointer("/Put/Item").context("a transaction that does more than put")?;
                    // Each item is written twice, once to prepare. Whether an index's part is doubled is not documented: it is here.
                    all += 2 * self.put(item, refused)?;
                }
                Units::write(all)
            }
            "GetItem" => {
                let bytes = self.items.get(&key(&request["Key"])?).map_or(0, |kept| kept.bytes);
                Units::read(bytes, request["ConsistentRead"] == true)
            }
            "Query" => self.query(request)?,
            other => bail!("the request units of {other} are not known"),
        })
    }

    /// A write whose condition does not hold costs what the item that is there would.
    fn put(&mut self, item: &Value, refused: bool) -> anyhow::Result<u64> {
        let key = key(item)?;
        if refused {
            return Ok(units(self.items.get(&key).map_or(0, |kept| kept.bytes)));
        }
        let after = Kept::of(item);
        let cost = after.put_over(self.items.get(&key));
        self.items.insert(key, after);
        Ok(cost)
    }

    fn query(&self, request: &Value) -> anyhow::Result<Units> {
        let values = &request["ExpressionAttributeValues"];
        let text = |name: &str| values[name]["S"].as_str().or(values[name]["N"].as_str());
        let bytes = match request["IndexName"].as_str() {
            Some("due") => {
                let shard = text(":shard").context("a query of what is due without a shard")?;
                let now: u64 = text(":now").context("a query of what is due without a time")?.parse()?;
                let entries = self.items.values().filter_map(|kept| kept.due.as_ref());
                entries
                    .filter(|(of, at, _)| of == shard && at.parse::<u64>().is_ok_and(|at| at <= now))
                    .map(|(_, _, bytes)| bytes)
                    .sum()
            }
            None => {
                let partition = text(":pk").context("a query of the table without a partition")?;
                let of_partition = self.items.iter().filter(|((pk, _), _)| pk == partition);
                match (text(":beginning"), text(":after")) {
                    (Some(beginning), _) => {
                        let found = of_partition.filter(|((_, sk), _)| sk.starts_with(beginning));
                        found.map(|(_, kept)| kept.bytes).sum()
                    }
                    (None, Some(after)) => {
                        let limit = request["Limit"].as_u64().context("a query of what comes next without a limit")?;
                        let found = of_partition.filter(|((_, sk), _)| sk.as_str() > after);
                        found.take(usize::try_from(limit)?).map(|(_, kept)| kept.bytes).sum()
                    }
                    (None, None) => bail!("a query of a partition without a part of its sort keys"),
                }
            }
            Some(other) => bail!("the request units of a query of {other} are not known"),
        };
        Ok(Units::read(bytes, request["ConsistentRead"] == true))
    }

    /// The bytes that are stored and billed by the month: items, their copies in the indexes, and what DynamoDB adds to each.
    pub fn stored(&self) -> u64 {
        let of = |kept: &Kept| {
            let due = kept.due.as_ref().map_or(0, |(_, _, bytes)| bytes + STORED_OVERHEAD);
            let listed = kept.listed.as_ref().map_or(0, |_| kept.bytes + STORED_OVERHEAD);
            let class = kept.class.as_ref().map_or(0, |(.., bytes)| bytes + STORED_OVERHEAD);
            kept.bytes + STORED_OVERHEAD + due + listed + class
        };
        self.items.values().map(of).sum()
    }

    /// The largest item that is there now: its sort key and its bytes.
    pub fn largest(&self) -> Option<(&str, u64)> {
        let sizes = self.items.iter().map(|((_, sk), kept)| (sk.as_str(), kept.bytes));
        sizes.max_by_key(|(_, bytes)| *bytes)
    }

    /// The mean size of the items whose sort key begins so, in bytes.
    pub fn mean(&self, prefix: &str) -> f64 {
        let sizes: Vec<u64> = self
            .items
            .iter()
            .filter(|((_, sk), _)| sk.starts_with(prefix))
            .map(|(_, kept)| kept.bytes)
            .collect();
        sizes.iter().sum::<u64>() as f64 / sizes.len().max(1) as f64
    }
}

fn units(bytes: u64) -> u64 {
    bytes.div_ceil(WRITE).max(1)
}

fn key(item: &Value) -> anyhow::Result<(String, String)> {
    let part = |name: &str| item[name]["S"].as_str().map(ToOwned::to_owned);
    part("pk").zip(part("sk")).with_context(|| format!("no key in {item}"))
}

/// The size of an item: names and values
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
fn item_bytes(item: &Value) -> u64 {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() as u64 + value_bytes(value)).sum()
}

/// A text's bytes, or a whole number's.
fn value_bytes(value: &Value) -> u64 {
    if let Some(text) = value["S"].as_str() {
        return text.len() as u64;
    }
    value["N"].as_str().map_or(1, number_bytes)
}

/// One byte, and one for each pair of significant digits: zeros at either end do not count. Pairs begin at the point, so that an even number of digits
/// may take part in one pair more.
fn number_bytes(digits: &str) -> u64 {
    let whole = digits.trim_start_matches('0');
    let significant = whole.trim_end_matches('0').len();
    let is_shifted = significant > 0 && significant.is_multiple_of(2) && !whole.len().is_multiple_of(2);
    (1 + significant.div_ceil(2) + usize::from(is_shifted)) as u64
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(operation: &str, status: u16, request: Value) -> Entry {
        Entry {
            seq: 0,
            at: jiff::Timestamp::UNIX_EPOCH,
            service: "dynamodb".to_owned(),
            operation: operation.to_owned(),
            caller: None,
            status: Some(status),
            fault: None,
            summary: String::new(),
            request: Some(request),
        }
    }

    /// A build's item whose document has so many bytes.
    fn build(document: usize, due_at: Option<u64>) -> Value {
        let mut item = json!({ "pk": { "S": "RUN#r" }, "sk": { "S": "BUILD#j" }, "doc": { "S": "x".repeat(document) } });
        if let Some(at) = due_at {
            item["due_shard"] = json!({ "S": "due#1" });
            item["due_at"] = json!({ "N": at.to_string() });
        }
        item
    }

    fn run(document: usize) -> Value {
        json!({
            "pk": { "S": "RUN#r" }, "sk": { "S": "RUN" }, "doc": { "S": "x".repeat(document) },
            "list_key": { "S": "shop" }, "list_at": { "S": "2026#r" },
        })
    }

    fn put(table: &mut Table, item: Value) -> f64 {
        table.take(&entry("PutItem", 200, json!({ "Item": item }))).unwrap().write
    }

    #[test]
    fn a_write_costs_its_kilobytes_and_those_of_the_indexes_it_changes() {
        let mut table = Table::default();
        // pk, RUN#r, sk, BUILD#j, doc: 19 bytes; with 1,005 more it is 1,024.
        assert_eq!(put(&mut table, build(1005, None)), 1.0);
        assert_eq!(put(&mut table, build(1006, None)), 2.0);
        // Due now, due later, due at the same time, due no more.
        assert_eq!(put(&mut table, build(10, Some(5))), 2.0 + 1.0);
        assert_eq!(put(&mut table, build(10, Some(6))), 1.0 + 2.0);
        assert_eq!(put(&mut table, build(20, Some(6))), 1.0);
        assert_eq!(put(&mut table, build(20, None)), 1.0 + 1.0);
    }

    #[test]
    fn a_number_takes_a_byte_for_two_significant_digits_and_one_more() {
        for (digits, bytes) in [("0", 1), ("7", 2), ("10", 2), ("12", 2), ("120", 3), ("123", 3), ("1200", 2)] {
            assert_eq!(number_bytes(digits), bytes, "{digits}");
        }
        assert_eq!(number_bytes("1795941411000"), 7);
        assert_eq!(number_bytes("1795941411917"), 8);
    }

    #[test]
    fn a_run_is_written_to_its_list_too() {
        let mut table = Table::default();
        assert_eq!(put(&mut table, run(1500)), 2.0 + 2.0);
        assert_eq!(put(&mut table, run(100)), 2.0 + 2.0);
        assert_eq!(put(&mut table, run(100)), 1.0 + 1.0);
    }

    #[test]
    fn a_runs_class_costs_when_it_changes_or_what_is_shown_does() {
        let mut table = Table::default();
        let listed = |class: &str, shown: &str| {
            let mut run = run(100);
            run["list_class"] = json!({ "S": class });
            run["shown"] = json!({ "S": shown });
            run
        };
        assert_eq!(put(&mut table, listed("running", "a")), 2.0 + 1.0);
        assert_eq!(put(&mut table, listed("running", "a")), 2.0);
        assert_eq!(put(&mut table, listed("running", "b")), 2.0 + 1.0);
        assert_eq!(put(&mut table, listed("failed", "b")), 2.0 + 2.0);
    }

    #[test]
    fn a_transaction_costs_twice() {
        let mut table = Table::default();
        let items = json!({ "TransactItems": [{ "Put": { "Item": run(100) } }, { "Put": { "Item": build(100, Some(5)) } }] });
        let units = table.take(&entry("TransactWriteItems", 200, items)).unwrap();
        assert_eq!(units.write, 2.0 * (2.0 + 2.0));
    }

    #[test]
    fn a_refused_write_costs_the_item_that_is_there_and_changes_nothing() {
        let mut table = Table::default();
        put(&mut table, build(2000, None));
        let refused = entry("PutItem", 400, json!({ "Item": build(10, None) }));
        assert_eq!(table.take(&refused).unwrap().write, 2.0);
        assert_eq!(table.take(&refused).unwrap().write, 2.0);
    }

    #[test]
    fn a_read_costs_what_it_finds() {
        let mut table = Table::default();
        let get = |consistent: bool| {
            let key = json!({ "pk": { "S": "RUN#r" }, "sk": { "S": "BUILD#j" } });
            entry("GetItem", 200, json!({ "Key": key, "ConsistentRead": consistent }))
        };
        assert_eq!(table.take(&get(true)).unwrap().read, 1.0);
        put(&mut table, build(4100, Some(5)));
        assert_eq!(table.take(&get(true)).unwrap().read, 2.0);
        assert_eq!(table.take(&get(false)).unwrap().read, 1.0);
        let due = |now: u64| {
            let values = json!({ ":shard": { "S": "due#1" }, ":now": { "N": now.to_string() } });
            entry("Query", 200, json!({ "IndexName": "due", "ExpressionAttributeValues": values }))
        };
        assert_eq!(table.take(&due(4)).unwrap().read, 0.5);
        assert_eq!(table.take(&due(5)).unwrap().read, 0.5);
        let builds =
            json!({ "ConsistentRead": true, "ExpressionAttributeValues": { ":pk": { "S": "RUN#r" }, ":beginning": { "S": "BUILD#" } } });
        assert_eq!(table.take(&entry("Query", 200, builds)).unwrap().read, 2.0);
    }

    #[test]
    fn what_is_not_known_is_not_counted_as_nothing() {
        let mut table = Table::default();
        assert!(table.take(&entry("Scan", 200, json!({}))).is_err());
        let list = json!({ "IndexName": "by-repository", "ExpressionAttributeValues": {} });
        assert!(table.take(&entry("Query", 200, list)).is_err());
    }

    #[test]
    fn an_item_is_stored_once_more_in_each_index() {
        let mut table = Table::default();
        put(&mut table, run(100));
        let alone = item_bytes(&run(100)) + STORED_OVERHEAD;
        assert_eq!(table.stored(), 2 * alone);
        put(&mut table, build(100, None));
        assert_eq!(table.stored(), 2 * alone + item_bytes(&build(100, None)) + STORED_OVERHEAD);
        assert_eq!(table.largest(), Some(("RUN", item_bytes(&run(100)))));
        assert_eq!(table.mean("BUILD#"), item_bytes(&build(100, None)) as f64);
    }
}
