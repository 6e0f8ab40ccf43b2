//! The suite's storage: records under versions, an index of what is due, and a list.
//!
//! A ledger stores text and knows no kind of record. [`Stored`](crate::records::Stored) makes records of it.

use async_trait::async_trait;
use bellhop_domain::record::Key;
use jiff::Timestamp;

use crate::Fault;

/// A part of the due records that is read and processed separately, so that it does not wait for the other part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Builds that are due for a launch. The rate limits of a service determine their pace.
    Launches,
    /// Records that are due to the second. The sweep reads them ahead of their time, and sets timers.
    Timers,
    /// Everything else.
    Rest,
}

/// A record to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: Key,
    /// The record as JSON.
    pub text: String,
    /// When it is due next, and in which lane.
    pub due: Option<(Lane, Timestamp)>,
    /// When the ledger may delete it.
    pub expires: Option<Timestamp>,
    /// The lists that it is in.
    pub listed: Option<Listing>,
    /// Its status in a word, for people who read the table.
    pub status: Option<&'static str>,
}

/// Where lists have a record, and what they show of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The list of its owner, such as a repository.
    pub of: String,
    /// The list of its class, over all owners.
    pub class: &'static str,
    /// Its place in both: the greatest comes first.
    pub place: String,
    /// What they show of it, as JSON.
    pub shown: String,
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub place: String,
    /// What the list shows of the record, as JSON.
    pub shown: String,
}

/// A list of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// Of one owner.
    Of(String),
    /// Of one class, over all owners.
    Class(&'static str),
}

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its key.
    pub key: Key,
    /// Grows by one with each write; a new record has version 1.
    pub version: u64,
    /// The record as JSON.
    pub text: String,
}

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was stored with this version.
    Stored(u64),
    /// Another writer was faster: load and decide again.
    Conflict,
}

/// The result of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The record is new.
    New,
    /// A record with its key existed already, and was not changed.
    AlreadyExists,
}

/// The suite's storage. Reads are strongly consistent, except those of [`Ledger::due`], [`Ledger::newest_due`] and
/// [`Ledger::list`].
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Reads a record.
    async fn get(&self, key: &Key) -> Result<Option<Text>, Fault>;

    /// Replaces a record, if it still has the version; creates it if the version is 0 and there is none.
    async fn put(&self, expected: u64, item: &Item) -> Result<Written, Fault>;

    /// Creates up to [`TRANSACTION`] records, all or none: none if one of them exists.
    async fn put_together(&self, items: &[Item]) -> Result<Created, Fault>;

    /// Reads all records of a partition whose sort keys begin so, in no particular order.
    async fn in_partition(&self, partition: &str, beginning: &str) -> Result<Vec<Text>, Fault>;

    /// Reads up to `limit` records of a partition whose sort keys are greater than `after`, the smallest first. Sort keys are compared
    /// byte by byte, and `after` is not empty.
    async fn next_in_partition(&self, partition: &str, after: &str, limit: usize) -> Result<Vec<Text>, Fault>;

    /// Removes a record, whichever version it has. A record that is not there is no fault.
    async fn remove(&self, key: &Key) -> Result<(), Fault>;

    /// The keys of up to `limit` records of a lane that are due, the most overdue first, each with the time since which it is due. May miss very
    /// recent writes.
    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault>;

    /// The same, the least overdue first.
    async fn newest_due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault>;

    /// What a list shows of up to `limit` records, the greatest place first: of those before a place, if given. May miss very recent writes. Of a
    /// record that an earlier version stored, without what lists show, the list of its owner gives the record itself.
    async fn list(&self, list: &List, before: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault>;
}

/// The most records that [`Ledger::put_together`] creates: the limit of a DynamoDB transaction.
pub const TRANSACTION: usize = 100;
