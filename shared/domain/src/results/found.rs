//! The results of a build in the bucket: its artifacts, and the tests in its JUnit reports.

use serde::{Deserialize, Serialize};

use crate::text::shown;

/// The most artifacts listed by name. The bucket keeps all of them; the limit only bounds the size of records and reports.
pub const MOST_ARTIFACTS: usize = 100;
/// The most failed tests listed by name.
pub const MOST_FAILED: usize = 10;
/// The most reports listed as not, or not fully, counted.
pub const MOST_UNREAD: usize = 5;
/// The most characters of a report's path in messages.
const LONGEST_PATH: usize = 120;

/// The files of the deciding attempt in the bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Results {
    /// The first [`MOST_ARTIFACTS`] of them, by path.
    pub artifacts: Vec<Artifact>,
    /// The total number of artifacts.
    pub count: u64,
    /// The beginning of their keys in the bucket, which their paths follow; it ends in a slash. `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The images that the job says it pushes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The counts of the JUnit reports; `None` if there are none.
    #[serde(default)]
    pub tests: Option<Tests>,
}

/// A file of a build in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Artifact {
    /// Its path in the checkout.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its identity when the attempt had ended.
    #[serde(flatten)]
    pub seal: Seal,
}

/// An image that a job pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// `REPOSITORY:TAG`
    pub image: String,
    /// Its digest when the attempt had ended, `sha256:…`; `None` if there was no such image. A tag may be moved later, a digest may not.
    pub digest: Option<String>,
}

/// What names the content of a file for good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seal {
    /// The version of the object in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The SHA-256 of its content, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Test counts from JUnit reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tests {
    /// The number of tests, including failed and skipped ones.
    pub run: u64,
    /// The number of tests that failed or ended with an error.
    pub failed: u64,
    /// How many were skipped.
    pub skipped: u64,
    /// The names of the first [`MOST_FAILED`] failed tests, each once: some tools report every try of a test.
    pub failures: Vec<String>,
    /// The number of reports that were not, or not fully, counted: there may be more tests.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unread: u64,
    /// The first [`MOST_UNREAD`] of these, each as `PATH: reason`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_because: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Tests {
    /// Records a report that was not, or not fully, counted.
    pub fn note_unread(&mut self, path: &str, why: &str) {
        self.unread = self.unread.saturating_add(1);
        if self.unread_because.len() < MOST_UNREAD {
            self.unread_because.push(format!("{}: {why}", shown(path, LONGEST_PATH)));
        }
    }

    /// Adds the counts of another report. Of the names, the first [`MOST_FAILED`] and [`MOST_UNREAD`] remain.
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
