//! The ledger in one DynamoDB table.
//!
//! | item | `pk` | `sk` | more attributes |
//! |---|---|---|---|
//! | run | `RUN#id` | `RUN` | `version`, `write`, `doc`, `status`, `list_key` and `list_at` (index `by-repository`), `list_class` and `list_at` (index `by-class`), `shown`, `due_shard` and `due_at` (index `due`), `expires` |
//! | plan of a run with many jobs | `RUN#id` | `RUN#plan` | `version`, `write`, `doc`, `expires` |
//! | build | `RUN#id` | `BUILD#job` | `version`, `write`, `doc`, `status`, `due_shard` and `due_at`, `expires` |
//! | pool | `POOL#agent` | `POOL` | `version`, `write`, `doc`, `due_shard` and `due_at` |
//! | waiting build | `WAITING#agent` | `WAITING#repository#since#build#turn` | `version`, `write`, `doc`, `expires` |
//! | branch | `REPO#name` | `BRANCH#ref` | `version`, `write`, `doc`, `due_shard` and `due_at`, `expires` |
//! | instance, alarm, backup, claim, pause, launcher, standing, configuration | `INSTANCE#name`, `ALARM#name`, `BACKUP#name`, `CLAIM#name`, `PAUSE#name`, `LAUNCHER#name`, `STANDING#name`, `CONFIGURATION#name` | as `pk` without the name | `version`, `write`, `doc`, `due_shard` and `due_at`, `expires` |
//!
//! `doc` is the record as JSON, its outbox included, so state and effects are written together. A write whose condition fails has lost a race
//! (`Conflict`); every other error is a fault. The other attributes serve the table: conditions, indexes, expiry, and people who read it. An item has `due_shard` only
//! while it is due for something, which keeps the index small. It is `launch` for a build in the launch queue, where `due_at` is its place, `timer` for a record that is
//! due to the second, and one of `due#0` to `due#3` for everything else.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, Put, TransactWriteItem};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Created, Entry, Item, Key, Lane, Ledger, List, Text, Written};
use bellhop_events::aws_errors::Class;
use futures::future::try_join_all;
use jiff::Timestamp;

use crate::config::Lazy;
use crate::fault::fault;

/// The index of due records.
const DUE_INDEX: &str = "due";
/// The index of lists by owner: the runs of each repository.
const OWNER_INDEX: &str = "by-repository";
/// The index of lists by class, over all owners: the runs of all repositories. A partition of it takes 1,000 writes a second, and a run has three.
const CLASS_INDEX: &str = "by-class";
/// The number of partitions of the index for due records. DynamoDB accepts 1,000 writes per second on each.
const SHARDS: u8 = 4;
/// The partition of builds that are due for a launch. Services launch so few per second that one is enough.
const LAUNCHES: &str = "launch";
/// The partition of records with timers: the few that wait for a backoff, or whose timeout is near.
const TIMERS: &str = "timer";
/// How often a transaction is tried that was throttled, or conflicts with another one on the same items.
const TRANSACTION_TRIES: u32 = 5;

type Attributes = HashMap<String, AttributeValue>;

/// The order in which due records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

/// The ledger.
#[derive(Debug, Clone)]
pub struct DynamoLedger {
    client: Lazy<Client>,
    table: String,
}

impl DynamoLedger {
    pub(crate) fn new(client: Lazy<Client>, table: &str) -> Self {
        Self {
            client,
            table: table.to_owned(),
        }
    }

    /// Writes an item if a condition holds, and returns whether it held.
    ///
    /// If a reply is lost, the SDK repeats the write, and the repetition finds the result of the first. So the item contains an id of its write, like
    /// the token of a transaction.
    async fn put_if(&self, condition: &str, value: Option<(&str, AttributeValue)>, mut item: Attributes) -> Result<bool, Fault> {
        let what = name_of(&item);
        let write = text(format!("{:016x}", fastrand::u64(..)));
        item.insert("write".to_owned(), write.clone());
        let mut request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(format!("{condition} OR #write = :write"))
            // `write` is a reserved word.
            .expression_attribute_names("#write", "write")
            .expression_attribute_values(":write", write);
        if let Some((name, value)) = value {
            request = request.expression_attribute_values(name, value);
        }
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) => Ok(false),
            Err(error) => Err(fault(format_args!("write {what}"), error)),
        }
    }

    async fn due_in(&self, shard: String, now: Timestamp, limit: usize, order: Order) -> Result<Vec<(Timestamp, Key)>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(DUE_INDEX)
            .scan_index_forward(order == Order::OldestFirst)
            .key_condition_expression("due_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":now", number(now.as_millisecond()));
        let items = up_to(limit, query).await.map_err(|error| fault("read what is due", error))?;
        let mut due = Vec::new();
        for item in &items {
            // One item that cannot be parsed must not prevent the sweep of the others.
            let found = number_of(item, "due_at").and_then(|at| {
                let at =
                    Timestamp::from_millisecond(at).map_err(|error| Fault::permanent(format!("due_at is not a valid time: {error}")))?;
                Ok((at, key_of(item)?))
            });
            match found {
                Ok(found) => due.push(found),
                Err(fault) => tracing::error!(item = name_of(item), error = %fault, "the sweep cannot process a due item"),
            }
        }
        Ok(due)
    }

    async fn due_in_order(&self, lane: Lane, now: Timestamp, limit: usize, order: Order) -> Result<Vec<(Timestamp, Key)>, Fault> {
        let shards = match lane {
            Lane::Launches => vec![LAUNCHES.to_owned()],
            Lane::Timers => vec![TIMERS.to_owned()],
            Lane::Rest => (0..SHARDS).map(due_shard).collect(),
        };
        let shards = try_join_all(shards.into_iter().map(|shard| self.due_in(shard, now, limit, order))).await?;
        let mut due: Vec<(Timestamp, Key)> = shards.into_iter().flatten().collect();
        due.sort();
        if order == Order::NewestFirst {
            due.reverse();
        }
        due.truncate(limit);
        Ok(due)
    }
}

#[async_trait]
impl Ledger for DynamoLedger {
    async fn get(&self, key: &Key) -> Result<Option<Text>, Fault> {
        let reply = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(&key.partition))
            .key("sk", text(&key.sort))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| fault(format_args!("read {key}"), error))?;
        reply.item.as_ref().map(stored).transpose()
    }

    async fn put(&self, expected: u64, item: &Item) -> Result<Written, Fault> {
        let item = attributes(item, expected + 1);
        let was_stored = if expected == 0 {
            self.put_if("attribute_not_exists(pk)", None, item).await?
        } else {
            let version = (":expected", number(expected));
            self.put_if("version = :expected", Some(version), item).await?
        };
        Ok(if was_stored {
            Written::Stored(expected + 1)
        } else {
            Written::Conflict
        })
    }

    async fn put_together(&self, items: &[Item]) -> Result<Created, Fault> {
        let what = items.first().map(|item| item.key.to_string()).unwrap_or_default();
        let puts = items
            .iter()
            .map(|item| {
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(attributes(item, 1)))
                    .condition_expression("attribute_not_exists(pk)")
                    .build()
                    .map_err(|error| Fault::permanent(format!("a transaction for {what} could not be built")).caused_by(error))?;
                Ok(TransactWriteItem::builder().put(put).build())
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self
                .client
                .transact_write_items()
                .set_transact_items(Some(puts.clone()))
                .send()
                .await
            {
                Ok(_) => return Ok(Created::New),
                Err(error) => error,
            };
            let reasons = error.as_service_error().map_or(&[][..], cancellation_reasons);
            if reasons.iter().any(|reason| reason.code() == Some("ConditionalCheckFailed")) {
                return Ok(Created::AlreadyExists);
            }
            // Two events of one push may be processed at the same time: the slower one finds the other's run at its next try. Or the call was
            // throttled, which the SDK does not retry if it is only a cancellation reason.
            let passes = !reasons.is_empty() && reasons.iter().all(is_transient);
            if !passes || tries >= TRANSACTION_TRIES {
                let mut fault = fault(format_args!("create {what}"), error);
                if passes {
                    fault.kind = bellhop_engine::FaultKind::Transient;
                }
                return Err(fault);
            }
            let pause = fastrand::u64(20..=50) << tries;
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        }
    }

    async fn in_partition(&self, partition: &str, beginning: &str) -> Result<Vec<Text>, Fault> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :beginning)")
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":beginning", text(beginning))
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| fault(format_args!("read {partition} {beginning}"), error))?;
            found.push(stored(&item)?);
        }
        Ok(found)
    }

    async fn next_in_partition(&self, partition: &str, after: &str, limit: usize) -> Result<Vec<Text>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk > :after")
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":after", text(after));
        let items = up_to(limit, query)
            .await
            .map_err(|error| fault(format_args!("read {partition} after {after}"), error))?;
        items.iter().map(stored).collect()
    }

    async fn remove(&self, key: &Key) -> Result<(), Fault> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(&key.partition))
            .key("sk", text(&key.sort));
        let removed = request.send().await;
        removed.map(drop).map_err(|error| fault(format_args!("remove {key}"), error))
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        self.due_in_order(lane, now, limit, Order::OldestFirst).await
    }

    async fn newest_due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        self.due_in_order(lane, now, limit, Order::NewestFirst).await
    }

    async fn list(&self, list: &List, before: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        let (index, key, list) = match list {
            List::Of(owner) => (OWNER_INDEX, "list_key", owner.as_str()),
            List::Class(class) => (CLASS_INDEX, "list_class", *class),
        };
        let mut condition = format!("{key} = :list");
        let mut values = HashMap::from([(":list".to_owned(), text(list))]);
        if let Some(before) = before {
            condition.push_str(" AND list_at < :before");
            values.insert(":before".to_owned(), text(before));
        }
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .key_condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .scan_index_forward(false);
        let items = up_to(limit, query)
            .await
            .map_err(|error| fault(format_args!("read the list {list}"), error))?;
        // A run that an earlier version stored has no `shown`.
        let entry = |item| {
            let shown = text_of(item, "shown").or_else(|_| text_of(item, "doc"))?;
            Ok(Entry {
                place: text_of(item, "list_at")?.to_owned(),
                shown: shown.to_owned(),
            })
        };
        items.iter().map(entry).collect()
    }
}

/// The items of a query, up to a limit. A page ends at 1 MB: a page with fewer items than requested may not be the last
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html>).
async fn up_to(limit: usize, query: QueryFluentBuilder) -> Result<Vec<Attributes>, SdkError<QueryError, Response>> {
    let mut pages = query.limit(i32::try_from(limit).unwrap_or(i32::MAX)).into_paginator().send();
    let mut items = Vec::new();
    while items.len() < limit {
        let Some(page) = pages.next().await else { break };
        items.extend(page?.items.unwrap_or_default());
    }
    items.truncate(limit);
    Ok(items)
}

/// Why a transaction was cancelled: one reason for each of its parts, in order, with the code `None` for parts without a problem
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>).
fn cancellation_reasons(error: &TransactWriteItemsError) -> &[CancellationReason] {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled.cancellation_reasons(),
        _ => &[],
    }
}

/// Whether to retry a transaction with this reason.
fn is_transient(reason: &CancellationReason) -> bool {
    let code = reason.code().unwrap_or("None");
    let class = Class::of_error(code, reason.message().unwrap_or_default());
    code == "None" || matches!(class, Class::Throttled | Class::Transient)
}

/// A record as an item of the table.
fn attributes(item: &Item, version: u64) -> Attributes {
    let mut all = HashMap::from([
        ("pk".to_owned(), text(&item.key.partition)),
        ("sk".to_owned(), text(&item.key.sort)),
        ("doc".to_owned(), text(&item.text)),
        ("version".to_owned(), number(version)),
    ]);
    let mut set = |name: &str, value: AttributeValue| {
        all.insert(name.to_owned(), value);
    };
    if let Some((lane, at)) = item.due {
        let shard = match lane {
            Lane::Launches => LAUNCHES.to_owned(),
            Lane::Timers => TIMERS.to_owned(),
            Lane::Rest => due_shard(item.key.name().bytes().fold(0, u8::wrapping_add) % SHARDS),
        };
        set("due_shard", text(shard));
        set("due_at", number(at.as_millisecond()));
    }
    if let Some(listing) = &item.listed {
        set("list_key", text(&listing.of));
        set("list_class", text(listing.class));
        set("list_at", text(&listing.place));
        set("shown", text(&listing.shown));
    }
    if let Some(expires) = item.expires {
        set("expires", number(expires.as_second()));
    }
    if let Some(status) = item.status {
        set("status", text(status));
    }
    all
}

fn due_shard(shard: u8) -> String {
    format!("due#{shard}")
}

fn stored(item: &Attributes) -> Result<Text, Fault> {
    Ok(Text {
        key: key_of(item)?,
        version: number_of(item, "version")?,
        text: text_of(item, "doc")?.to_owned(),
    })
}

fn key_of(item: &Attributes) -> Result<Key, Fault> {
    Ok(Key::new(text_of(item, "pk")?, text_of(item, "sk")?))
}

fn name_of(item: &Attributes) -> String {
    format!("{} {}", text_of(item, "pk").unwrap_or("?"), text_of(item, "sk").unwrap_or("?"))
}

fn text_of<'a>(item: &'a Attributes, name: &str) -> Result<&'a str, Fault> {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
        .ok_or_else(|| Fault::permanent(format!("an item of the table has no string attribute {name}")))
}

fn number_of<T: std::str::FromStr>(item: &Attributes, name: &str) -> Result<T, Fault> {
    item.get(name)
        .and_then(|value| value.as_n().ok())
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| Fault::permanent(format!("an item of the table has no number attribute {name}")))
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests;
