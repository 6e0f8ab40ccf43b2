//! The artifacts. When the script has ended, with any result, the agent uploads the regular files of the checkout that match the patterns, under their paths
//! in it.
//!
//! The agent skips files in a `.git` folder, links to outside the checkout, and names that S3 or its listings cannot hold. A pattern that matches nothing is
//! only logged: test reports may be missing because the tests did not run.
//!
//! If artifacts cannot be uploaded, a build whose script succeeded fails. Other jobs and people expect the artifacts of a successful build; without them
//! the loss would be noticed only later, when the agent and its disk are gone. A failure is noticed at once, has a cause, and can be retried, also by a
//! retry rule for its exit code. Short faults do not cause it: each request is retried. What remains is a missing permission or bucket, which people must
//! fix before any build has artifacts, or an outage of S3, in which no build gets its script or uploads its report either. A script that failed keeps its
//! exit code.

pub mod find;
pub mod key;
pub mod pattern;

use std::cell::Cell;
use std::path::Path;

use futures::StreamExt as _;

use crate::address::Address;
use crate::aws::s3::Store;
use crate::log::say;

/// How many files are uploaded at a time.
const AT_A_TIME: usize = 8;
/// After so many files that could not be uploaded the rest is not tried: the fault is not in the files.
const MOST_FAILURES: usize = 20;
/// How many failures the report names.
const NAMED: usize = 3;

/// Uploads the files that match.
///
/// # Errors
/// Some could not be uploaded. The errors are for people, one for each file.
pub async fn upload(store: &Store<'_>, checkout: &Path, patterns: &[String], to: &Address) -> Result<(), Vec<String>> {
    let (folder, wanted, prefix) = (checkout.to_owned(), patterns.to_vec(), to.key.clone());
    let found = tokio::task::spawn_blocking(move || find::find(&folder, &wanted, &prefix)).await;
    let found = found.map_err(std::io::Error::other).flatten();
    let found = found.map_err(|error| vec![format!("the checkout cannot be read: {error}")])?;
    found.remarks.iter().for_each(|remark| say(remark));
    for (why, count) in &found.left_out {
        say(&format!("artifacts: {count} left out: {why}"));
    }
    if found.kept.is_empty() {
        say("artifacts: no files");
        return Ok(());
    }
    let failed = &Cell::new(0);
    let uploads = found.kept.iter().map(|path| async move {
        if failed.get() >= MOST_FAILURES {
            return None;
        }
        let file = checkout.join(path);
        let error = store.put_file(&to.join(path), &file, key::media_type(path)).await.err()?;
        failed.set(failed.get() + 1);
        Some(format!("{path}: {error}"))
    });
    let errors: Vec<String> = futures::stream::iter(uploads)
        .buffer_unordered(AT_A_TIME)
        .filter_map(|error| async { error })
        .collect()
        .await;
    if errors.is_empty() {
        say(&format!("artifacts: {} files uploaded", found.kept.len()));
        Ok(())
    } else {
        Err(errors)
    }
}

/// The errors as the report has them.
#[must_use]
pub fn summary(errors: &[String]) -> String {
    let mut lines: Vec<String> = errors.iter().take(NAMED).cloned().collect();
    if errors.len() > NAMED {
        lines.push(format!("and {} more", errors.len() - NAMED));
    }
    lines.join("\n")
}
