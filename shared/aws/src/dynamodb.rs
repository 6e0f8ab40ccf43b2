//! The ledger in one DynamoDB table.
//!
//! | item | `pk` | `sk` | more attributes |
//! |---|---|---|---|
//! | run | `RUN#id` | `RUN` | `version`, `write`, `doc`, `status`, `list_key` and `list_at` (index `by-repository`), `due_shard` and `due_at` (index `due`), `expires` |
//! | build | `RUN#id` | `BUILD#job` | `version`, `write`, `doc`, `status`, `due_shard` and `due_at`, `expires` |
//! | pool | `POOL#agent` | `POOL` | `version`, `write`, `doc`, `due_shard` and `due_at` |
//! | branch | `REPO#name` | `BRANCH#ref` | `version`, `write`, `doc`, `due_shard` and `due_at`, `expires` |
//! | instance, alarm, backup, claim, pause, standing, configuration | `INSTANCE#name`, `ALARM#name`, `BACKUP#name`, `CLAIM#name`, `PAUSE#name`, `STANDING#name`, `CONFIGURATION#name` | as `pk` without the name | `version`, `write`, `doc`, `due_shard` and `due_at`, `expires` |
//!
//! `doc` is the record as JSON. The other attributes serve the table: conditions, indexes, expiry, and people who read it. An item has `due_shard` only
//! while it is due for something, which keeps the index small. It is `launch` for a build that is due for a launch, and one of `due#0` to `due#3` for
//! everything else.

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
use bellhop_domain::branch::Branch;
use bellhop_domain::build::{Build, BuildState};
use bellhop_domain::ids::{AgentName, BuildId, Reference, RepositoryName, RunId};
use bellhop_domain::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_engine::Fault;
use bellhop_engine::ports::{
    Created, Document, DocumentKey, DocumentKind, DueItem, Lane, Ledger, TRANSACTION, Versioned, Written, fits_transaction,
};
use bellhop_events::refusal::Class;
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::config::Lazy;
use crate::fault::fault;

/// The index of due records.
const DUE_INDEX: &str = "due";
/// The index of a repository's runs.
const LIST_INDEX: &str = "by-repository";
/// The sort key of a pool, and the beginning of its partition key.
const POOL: &str = "POOL";
/// The number of partitions of the index for due records. DynamoDB accepts 1,000 writes per second on each.
const SHARDS: u8 = 4;
/// The partition of builds that are due for a launch. Services launch so few per second that one is enough.
const LAUNCHES: &str = "launch";
/// How long finished runs and builds are kept, and a branch after the last push whose run it names.
const KEEP_SECONDS: i64 = 90 * 24 * 60 * 60;
/// How long a build that waits for others is kept, from its creation. It is not written while it waits, and a long chain of jobs of a day each, with
/// as much time to wait for an agent, may take longer than [`KEEP_SECONDS`].
const KEEP_BLOCKED_SECONDS: i64 = 400 * 24 * 60 * 60;
/// How often a transaction is tried that was throttled, or conflicts with another one on the same items.
const TRANSACTION_TRIES: u32 = 5;

type Item = HashMap<String, AttributeValue>;

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

    async fn get<T: DeserializeOwned>(&self, pk: String, sk: String) -> Result<Option<Versioned<T>>, Fault> {
        self.get_item(pk, sk).await?.map(|item| read(&item)).transpose()
    }

    async fn get_item(&self, pk: String, sk: String) -> Result<Option<Item>, Fault> {
        let what = format!("{pk} {sk}");
        let reply = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| fault(format_args!("read {what}"), error))?;
        Ok(reply.item)
    }

    async fn put_if_version(&self, expected: u64, item: Item) -> Result<Written, Fault> {
        let expected_version = (":expected", number(expected));
        let stored = self
            .put_if("version = :expected", Some(expected_version), with_version(item, expected + 1))
            .await?;
        Ok(if stored { Written::Stored(expected + 1) } else { Written::Conflict })
    }

    /// As `put_if_version`, but version 0 means that the record does not exist yet.
    async fn put_or_create(&self, expected: u64, item: Item) -> Result<Written, Fault> {
        if expected > 0 {
            return self.put_if_version(expected, item).await;
        }
        Ok(match self.put_if_absent(item).await? {
            Created::New => Written::Stored(1),
            Created::AlreadyExists => Written::Conflict,
        })
    }

    async fn put_if_absent(&self, item: Item) -> Result<Created, Fault> {
        let stored = self.put_if("attribute_not_exists(pk)", None, with_version(item, 1)).await?;
        Ok(if stored { Created::New } else { Created::AlreadyExists })
    }

    /// Writes an item if a condition holds, and returns whether it held.
    ///
    /// If a reply is lost, the SDK repeats the write, and the repetition finds the result of the first. So the item contains an id of its write, like
    /// the token of a transaction.
    async fn put_if(&self, condition: &str, value: Option<(&str, AttributeValue)>, mut item: Item) -> Result<bool, Fault> {
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

    /// Creates all items or none. `AlreadyExists` if one of them exists.
    async fn create_together(&self, items: Vec<Item>) -> Result<Created, Fault> {
        let what = items.first().map(name_of).unwrap_or_default();
        let puts = items
            .into_iter()
            .map(|item| {
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(with_version(item, 1)))
                    .condition_expression("attribute_not_exists(pk)")
                    .build()
                    .map_err(|error| Fault::lasting(format!("a transaction for {what} could not be built")).caused_by(error))?;
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
            let passes = !reasons.is_empty() && reasons.iter().all(is_passing);
            if !passes || tries >= TRANSACTION_TRIES {
                let mut fault = fault(format_args!("create {what}"), error);
                if passes {
                    fault.kind = bellhop_engine::FaultKind::Passing;
                }
                return Err(fault);
            }
            let pause = fastrand::u64(20..=50) << tries;
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        }
    }

    async fn due_in(&self, shard: String, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(DUE_INDEX)
            .key_condition_expression("due_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":now", number(now.as_millisecond()));
        let items = up_to(limit, query).await.map_err(|error| fault("read what is due", error))?;
        let mut due = Vec::new();
        for item in &items {
            // One item that cannot be parsed, such as one of a newer version, must not prevent the sweep of the others.
            let found = number_of(item, "due_at").and_then(|at| {
                let at = Timestamp::from_millisecond(at).map_err(|error| Fault::lasting(format!("due_at is not a valid time: {error}")))?;
                Ok((at, due_item(item)?))
            });
            match found {
                Ok(found) => due.push(found),
                Err(fault) => tracing::error!(item = name_of(item), error = %fault, "the sweep cannot process a due item"),
            }
        }
        Ok(due)
    }
}

#[async_trait]
impl Ledger for DynamoLedger {
    async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault> {
        let at_once = fits_transaction(builds.iter().map(|build| &build.spec));
        let run = run_item(run)?;
        let builds = builds.iter().map(build_item).collect::<Result<Vec<_>, _>>()?;
        if builds.is_empty() {
            return self.put_if_absent(run).await;
        }
        if at_once {
            return self.create_together(std::iter::once(run).chain(builds).collect()).await;
        }
        // The builds are blocked, so nothing processes them before their run exists, which is written last. Builds of an earlier, interrupted try are
        // identical.
        for portion in builds.chunks(TRANSACTION) {
            try_join_all(portion.iter().map(|build| self.put_if_absent(build.clone()))).await?;
        }
        self.put_if_absent(run).await
    }

    async fn run(&self, id: &RunId) -> Result<Option<Versioned<Run>>, Fault> {
        self.get(run_pk(id), "RUN".to_owned()).await
    }

    async fn build(&self, id: &BuildId) -> Result<Option<Versioned<Build>>, Fault> {
        self.get(run_pk(&id.run), format!("BUILD#{}", id.job)).await
    }

    async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :run AND begins_with(sk, :build)")
            .expression_attribute_values(":run", text(run_pk(run)))
            .expression_attribute_values(":build", text("BUILD#"))
            .into_paginator()
            .items()
            .send();
        let mut builds = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| fault(format_args!("read the builds of run {run}"), error))?;
            builds.push(read(&item)?);
        }
        Ok(builds)
    }

    async fn update_run(&self, expected: u64, next: &Run) -> Result<Written, Fault> {
        self.put_if_version(expected, run_item(next)?).await
    }

    async fn update_build(&self, expected: u64, next: &Build) -> Result<Written, Fault> {
        self.put_if_version(expected, build_item(next)?).await
    }

    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault> {
        self.get(pool_pk(agent), POOL.to_owned()).await
    }

    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault> {
        self.put_or_create(expected, pool_item(next)?).await
    }

    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault> {
        self.get(repository_pk(repository), branch_sk(reference)).await
    }

    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault> {
        self.put_or_create(expected, branch_item(next)?).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault> {
        let sk = document_sk(key.kind);
        let item = self.get_item(format!("{sk}#{}", key.name), sk.to_owned()).await?;
        item.map(|item| {
            Ok(Versioned {
                version: number_of(&item, "version")?,
                record: text_of(&item, "doc")?.to_owned(),
            })
        })
        .transpose()
    }

    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault> {
        self.put_or_create(expected, document_item(next)).await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault> {
        let shards = match lane {
            Lane::Launches => vec![LAUNCHES.to_owned()],
            Lane::Rest => (0..SHARDS).map(due_shard).collect(),
        };
        let shards = try_join_all(shards.into_iter().map(|shard| self.due_in(shard, now, limit))).await?;
        let mut due: Vec<(Timestamp, DueItem)> = shards.into_iter().flatten().collect();
        due.sort();
        due.truncate(limit);
        Ok(due)
    }

    async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Versioned<Run>>, Fault> {
        let condition = match before {
            Some(_) => "list_key = :repository AND list_at < :before",
            None => "list_key = :repository",
        };
        let mut values = HashMap::from([(":repository".to_owned(), text(repository.as_str()))]);
        values.extend(before.map(|before| (":before".to_owned(), text(before))));
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LIST_INDEX)
            .key_condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .scan_index_forward(false);
        let items = up_to(limit, query)
            .await
            .map_err(|error| fault(format_args!("list the runs of {repository}"), error))?;
        items.iter().map(read).collect()
    }
}

/// The items of a query, up to a limit. A page ends at 1 MB: a page with fewer items than requested may not be the last
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html>).
async fn up_to(limit: usize, query: QueryFluentBuilder) -> Result<Vec<Item>, SdkError<QueryError, Response>> {
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
fn is_passing(reason: &CancellationReason) -> bool {
    let code = reason.code().unwrap_or("None");
    let class = Class::of_error(code, reason.message().unwrap_or_default());
    code == "None" || matches!(class, Class::Throttled | Class::Transient)
}

fn run_pk(id: &RunId) -> String {
    format!("RUN#{id}")
}

fn pool_pk(agent: &AgentName) -> String {
    format!("POOL#{agent}")
}

fn repository_pk(repository: &RepositoryName) -> String {
    format!("REPO#{repository}")
}

fn branch_sk(reference: &Reference) -> String {
    format!("BRANCH#{reference}")
}

fn run_item(run: &Run) -> Result<Item, Fault> {
    let mut item = record_item(run_pk(&run.id), "RUN".to_owned(), run)?;
    item.insert("status".to_owned(), text(run.status()));
    item.insert("list_key".to_owned(), text(run.repository.as_str()));
    item.insert("list_at".to_owned(), text(run.place_in_list()));
    add_due(&mut item, run.id.as_str(), run.due());
    add_expiry(&mut item, run.finished_at(), KEEP_SECONDS);
    Ok(item)
}

fn build_item(build: &Build) -> Result<Item, Fault> {
    let id = &build.spec.id;
    let mut item = record_item(run_pk(&id.run), format!("BUILD#{}", id.job), build)?;
    item.insert("status".to_owned(), text(build.status()));
    match Lane::of(build) {
        Lane::Launches => add_due_in(&mut item, LAUNCHES.to_owned(), build.due()),
        Lane::Rest => add_due(&mut item, id.run.as_str(), build.due()),
    }
    match &build.state {
        BuildState::Finished { at, .. } => add_expiry(&mut item, Some(*at), KEEP_SECONDS),
        // The builds of a large run are stored before their run. If the start fails in between for good, nothing ever processes these builds.
        BuildState::Blocked => add_expiry(&mut item, Some(build.created), KEEP_BLOCKED_SECONDS),
        BuildState::Waiting | BuildState::Queued { .. } | BuildState::Active => {}
    }
    Ok(item)
}

fn pool_item(pool: &Pool) -> Result<Item, Fault> {
    let mut item = record_item(pool_pk(&pool.agent), POOL.to_owned(), pool)?;
    add_due(&mut item, pool.agent.as_str(), pool.due());
    Ok(item)
}

fn branch_item(branch: &Branch) -> Result<Item, Fault> {
    let mut item = record_item(repository_pk(&branch.repository), branch_sk(&branch.reference), branch)?;
    // The repository determines the partition, because many branches share a name.
    add_due(&mut item, branch.repository.as_str(), branch.due());
    add_expiry(&mut item, branch.newest.as_ref().map(|newest| newest.at), KEEP_SECONDS);
    Ok(item)
}

fn document_sk(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Instance => "INSTANCE",
        DocumentKind::Alarm => "ALARM",
        DocumentKind::Backup => "BACKUP",
        DocumentKind::Claim => "CLAIM",
        DocumentKind::Pause => "PAUSE",
        DocumentKind::Standing => "STANDING",
        DocumentKind::Configuration => "CONFIGURATION",
    }
}

fn document_item(document: &Document) -> Item {
    let sk = document_sk(document.key.kind);
    let mut item = HashMap::from([
        ("pk".to_owned(), text(format!("{sk}#{}", document.key.name))),
        ("sk".to_owned(), text(sk)),
        ("doc".to_owned(), text(document.text.clone())),
    ]);
    add_due(&mut item, &document.key.name, document.due);
    if let Some(expires) = document.expires {
        item.insert("expires".to_owned(), number(expires.as_second()));
    }
    item
}

fn record_item<T: Serialize>(pk: String, sk: String, record: &T) -> Result<Item, Fault> {
    let doc =
        serde_json::to_string(record).map_err(|error| Fault::lasting(format!("{pk} {sk} cannot be written as JSON")).caused_by(error))?;
    Ok(HashMap::from([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(sk)),
        ("doc".to_owned(), text(doc)),
    ]))
}

/// `name` determines the partition of the index.
fn add_due(item: &mut Item, name: &str, due: Option<Timestamp>) {
    let shard = name.bytes().fold(0, u8::wrapping_add) % SHARDS;
    add_due_in(item, due_shard(shard), due);
}

fn due_shard(shard: u8) -> String {
    format!("due#{shard}")
}

fn add_due_in(item: &mut Item, shard: String, due: Option<Timestamp>) {
    if let Some(due) = due {
        item.insert("due_shard".to_owned(), text(shard));
        item.insert("due_at".to_owned(), number(due.as_millisecond()));
    }
}

fn add_expiry(item: &mut Item, from: Option<Timestamp>, seconds: i64) {
    if let Some(from) = from {
        item.insert("expires".to_owned(), number(from.as_second() + seconds));
    }
}

fn with_version(mut item: Item, version: u64) -> Item {
    item.insert("version".to_owned(), number(version));
    item
}

fn read<T: DeserializeOwned>(item: &Item) -> Result<Versioned<T>, Fault> {
    Ok(Versioned {
        version: number_of(item, "version")?,
        record: parse(text_of(item, "doc")?).map_err(|fault| Fault {
            what: format!("{}: {}", name_of(item), fault.what),
            ..fault
        })?,
    })
}

/// Parses JSON. The error has the column but not the content, which may be the value of a job's variable and must not be logged. Naming the fields
/// would take code for each type of record, in every function.
fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Fault> {
    serde_json::from_str(json).map_err(|error| {
        let what = match error.classify() {
            Category::Data => "it has an unexpected value",
            Category::Io | Category::Syntax | Category::Eof => "it is not valid JSON",
        };
        Fault::lasting(format!("a record cannot be read: {what}, at column {}", error.column()))
    })
}

fn due_item(item: &Item) -> Result<DueItem, Fault> {
    let (pk, sk) = (text_of(item, "pk")?, text_of(item, "sk")?);
    named(pk, sk).ok_or_else(|| Fault::lasting(format!("item {pk} {sk} should not be in the index of due items")))
}

fn named(pk: &str, sk: &str) -> Option<DueItem> {
    match pk.split_once('#')? {
        ("RUN", run) if sk == "RUN" => Some(DueItem::Run(run.parse().ok()?)),
        ("RUN", run) => Some(DueItem::Build(BuildId {
            run: run.parse().ok()?,
            job: sk.strip_prefix("BUILD#")?.parse().ok()?,
        })),
        (POOL, agent) if sk == POOL => Some(DueItem::Pool(agent.parse().ok()?)),
        ("REPO", repository) => Some(DueItem::Branch(repository.parse().ok()?, sk.strip_prefix("BRANCH#")?.parse().ok()?)),
        (_, name) => {
            let kind = [
                DocumentKind::Instance,
                DocumentKind::Alarm,
                DocumentKind::Backup,
                DocumentKind::Configuration,
            ]
            .into_iter()
            .find(|kind| document_sk(*kind) == sk)?;
            Some(DueItem::Document(DocumentKey {
                kind,
                name: name.to_owned(),
            }))
        }
    }
}

fn name_of(item: &Item) -> String {
    format!("{} {}", text_of(item, "pk").unwrap_or("?"), text_of(item, "sk").unwrap_or("?"))
}

fn text_of<'a>(item: &'a Item, name: &str) -> Result<&'a str, Fault> {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
        .ok_or_else(|| Fault::lasting(format!("an item of the table has no string attribute {name}")))
}

fn number_of<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, Fault> {
    item.get(name)
        .and_then(|value| value.as_n().ok())
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| Fault::lasting(format!("an item of the table has no number attribute {name}")))
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
