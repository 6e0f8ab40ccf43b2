//! What a build left behind: its artifacts, and the tests that its reports among them count.

use serde::{Deserialize, Serialize};

/// The most artifacts that are listed by name. All are kept; this only bounds the records and reports that name them.
pub const MOST_ARTIFACTS: usize = 100;
/// The most failed tests that are named.
pub const MOST_FAILED: usize = 10;

/// What the deciding attempt of a build left in the bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// The first [`MOST_ARTIFACTS`] of them, by path.
    pub artifacts: Vec<Artifact>,
    /// How many there are in all.
    pub count: u64,
    /// What the JUnit reports among them say; `None` where there is none.
    #[serde(default)]
    pub tests: Option<Tests>,
}

/// A file that a build left in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Artifact {
    /// Its path in the checkout.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Tests, as JUnit reports count them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tests {
    /// How many there are, with those that failed or were skipped.
    pub run: u64,
    /// How many failed, or ended in an error.
    pub failed: u64,
    /// How many were skipped.
    pub skipped: u64,
    /// The names of the first [`MOST_FAILED`] that failed.
    pub failures: Vec<String>,
}

impl Tests {
    /// Counts another report's tests as well. Of the names, the first [`MOST_FAILED`] stay.
    pub fn add(&mut self, other: Self) {
        self.run = self.run.saturating_add(other.run);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        let room = MOST_FAILED.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
    }
}
