//! The artifacts of other jobs: after the checkout and before the script, the agent downloads them to their paths in the checkout.
//!
//! Bellhop notes key, version, size and SHA-256 of each artifact when its job has ended, and the list of those that the script needs when it starts the task.
//! So every attempt gets the same files, even if other objects are written under these keys later. A file gets its name in the checkout when all of it is there.
//!
//! A file that is gone, denied, another one, or has no place in the checkout fails the job: it is the same at the next try. What else fails may pass.

pub mod list;
pub mod place;

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _};

use self::list::{Artifact, List};
use self::place::{Draft, NoPlace};
use crate::address::Address;
use crate::aws::download::{Failure, Noted};
use crate::aws::s3::Store;
use crate::log::say;

/// How many files are downloaded at a time.
const AT_A_TIME: usize = 4;
/// How many files the log names.
const SHOWN: usize = 20;
/// How many paths that may not be written the report names.
const NAMED: usize = 3;

/// Why the files are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whether it is the same at another try.
    pub is_lasting: bool,
    /// More for people.
    pub text: String,
}

impl Trouble {
    /// What may pass.
    #[must_use]
    pub fn passing(text: String) -> Self {
        Self { is_lasting: false, text }
    }
}

/// Downloads the files of a list to their paths in the checkout.
///
/// # Errors
/// Not all are there. Those that are whole stay.
pub async fn fetch(store: &Store<'_>, checkout: &Path, list: &List) -> Result<(), Trouble> {
    let begun = Instant::now();
    let unread =
        |error: &dyn std::error::Error| Trouble::passing(format!("the list of artifacts {} cannot be read: {error}", list.address));
    let content = store.get(&list.address).await.map_err(|error| unread(&error))?;
    let artifacts = list::read(&content, &list.sha256).map_err(|error| unread(&error))?;
    list::check(&artifacts).map_err(|objections| Trouble {
        is_lasting: true,
        text: first_of(&objections),
    })?;
    let root = fs::canonicalize(checkout).map_err(|error| Trouble::passing(format!("the checkout cannot be read: {error}")))?;
    let (root, done) = (root.as_path(), &Cell::new((0, 0)));
    let downloads = artifacts.iter().map(|artifact| async move {
        let Artifact { from, path, size, .. } = artifact;
        download(store, root, &list.address, artifact)
            .await
            .map_err(|(is_lasting, why)| Trouble {
                is_lasting,
                text: format!("{from}: {path} cannot be fetched: {why}"),
            })?;
        let (files, bytes) = done.get();
        done.set((files + 1, bytes + size));
        if files < SHOWN {
            say(&format!("fetch: {from}: {path} ({})", shown(*size)));
        }
        Ok(())
    });
    // The first error ends the others.
    let () = futures::stream::iter(downloads).buffer_unordered(AT_A_TIME).try_collect().await?;
    let (files, bytes) = done.get();
    say(&format!(
        "fetch: {files} files, {}, after {} s",
        shown(bytes),
        begun.elapsed().as_secs()
    ));
    Ok(())
}

/// Downloads one file. An error says whether it lasts, and what is wrong.
async fn download(store: &Store<'_>, root: &Path, list: &Address, artifact: &Artifact) -> Result<(), (bool, String)> {
    let place = place::find(root, &artifact.path).map_err(|error| (matches!(error, NoPlace::Taken(_)), error.to_string()))?;
    let of_file = |error: io::Error| (false, error.to_string());
    let draft = Draft::create(place).map_err(of_file)?;
    let noted = Noted {
        address: Address {
            bucket: list.bucket.clone(),
            key: artifact.key.clone(),
        },
        version: artifact.object_version.as_deref(),
        sha256: &artifact.sha256,
        size: artifact.size,
    };
    let downloaded = store.get_file(&noted, draft.file()).await;
    downloaded.map_err(|failure| (matches!(failure, Failure::Lasting(_)), failure.to_string()))?;
    draft.finish().map_err(of_file)
}

/// The first of several texts, and how many more there are.
fn first_of(texts: &[String]) -> String {
    let mut lines: Vec<String> = texts.iter().take(NAMED).cloned().collect();
    if texts.len() > NAMED {
        lines.push(format!("and {} more", texts.len() - NAMED));
    }
    lines.join("; ")
}

/// A size for people.
fn shown(bytes: u64) -> String {
    let mut tenths = bytes.saturating_mul(10);
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut unit = "";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if tenths < 10 * 1024 {
            break;
        }
        (tenths, unit) = (tenths / 1024, next);
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_258_291, "1.1 MiB"),
            (1_258_292, "1.2 MiB"),
            (50 << 30, "50.0 GiB"),
            (5 << 40, "5.0 TiB"),
            (1 << 60, "1048576.0 TiB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }

    #[test]
    fn a_report_names_some_of_many() {
        let texts: Vec<String> = (1..=5).map(|number| number.to_string()).collect();
        assert_eq!(first_of(&texts), "1; 2; 3; and 2 more");
        assert_eq!(first_of(&texts[..1]), "1");
    }
}
