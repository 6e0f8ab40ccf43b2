//! The line for the slots of an agent template, or for a lock: the builds that wait for one. Each is a record of its own in the ledger, so that the record of the slots
//! stays small and a build costs the same, however many others wait.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{BuildId, PoolName, RepositoryName};

/// A build that waits for a slot, or for its lock: the record in the ledger. It never changes. A build that requests another slot later has another turn, and another
/// record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Waiting {
    /// The slots that it waits for: those of an agent template, or a lock.
    #[serde(rename = "agent")]
    pub pool: PoolName,
    /// The build's repository. Repositories take turns.
    pub repository: RepositoryName,
    /// Since when it has been waiting. Within a repository, the first one is next.
    pub since: Timestamp,
    /// The build.
    pub build: BuildId,
    /// How often it had released a slot before.
    pub turn: u32,
}

/// The builds that are next in line, as they were read after the record of the slots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// The builds, in the order in which they get slots.
    pub next: Vec<Waiting>,
    /// Whether nothing else waits.
    pub is_all: bool,
}
