//! What a build left behind: its artifacts, and the tests that its reports among them count.

use serde::{Deserialize, Serialize};

use crate::config::shown;

/// The most artifacts that are listed by name. All are kept; this only bounds the records and reports that name them.
pub const MOST_ARTIFACTS: usize = 100;
/// The most failed tests that are named.
pub const MOST_FAILED: usize = 10;
/// The most reports that are named because they were not read to their end.
pub const MOST_UNREAD: usize = 5;
/// The most characters of a report's path that are told.
const LONGEST_PATH: usize = 120;

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
    /// The names of the first [`MOST_FAILED`] that failed, each once: some tools write every try of a test.
    pub failures: Vec<String>,
    /// How many reports were not read, or not to their end: there may be more tests than these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unread: u64,
    /// The first [`MOST_UNREAD`] of them, each as `PATH: why`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_because: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Tests {
    /// Takes note of a report that was not read, or not to its end.
    pub fn note_unread(&mut self, path: &str, why: &str) {
        self.unread = self.unread.saturating_add(1);
        if self.unread_because.len() < MOST_UNREAD {
            self.unread_because.push(format!("{}: {why}", shown(path, LONGEST_PATH)));
        }
    }

    /// Counts another report's tests as well. Of the names, the first [`MOST_FAILED`] and [`MOST_UNREAD`] stay.
    pub fn add(&mut self, other: Self) {
        self.run = self.run.saturating_add(other.run);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        for name in other.failures {
            if self.failures.len() < MOST_FAILED && !self.failures.contains(&name) {
                self.failures.push(name);
            }
        }
        self.unread = self.unread.saturating_add(other.unread);
        let room = MOST_UNREAD.saturating_sub(self.unread_because.len());
        self.unread_because.extend(other.unread_because.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_failed_in_several_reports_is_named_once() {
        let report = || Tests {
            run: 2,
            failed: 1,
            failures: vec!["t".to_owned()],
            ..Tests::default()
        };
        let mut all = report();
        all.add(report());
        assert_eq!((all.run, all.failed, all.failures), (4, 2, vec!["t".to_owned()]));
    }
}
