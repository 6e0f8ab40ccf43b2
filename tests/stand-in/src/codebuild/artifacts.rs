//! The files that a build leaves behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::builds::Context;
use super::buildspec::Artifacts;

/// A file to be stored: where it is, and its path in the artifact.
pub(super) struct Found {
    pub(super) file: PathBuf,
    pub(super) path: String,
}

/// The files that a buildspec names, in the order of their paths.
pub(super) fn collect(source: &Path, artifacts: &Artifacts) -> Result<Vec<Found>, Context> {
    let base = match &artifacts.base_directory {
        Some(base) => source.join(base),
        None => source.to_owned(),
    };
    if !base.is_dir() {
        return Err(client_error("no matching base directory path found for build"));
    }
    let patterns = patterns(&artifacts.files).map_err(|error| client_error(format!("invalid artifact path: {error}")))?;
    let mut files = Vec::new();
    walk(&base, &mut files).map_err(|error| client_error(format!("cannot read the artifacts: {error}")))?;
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let Some(path) = file.strip_prefix(&base).ok().and_then(Path::to_str) else {
            continue;
        };
        if !patterns.is_match(path) {
            continue;
        }
        let name = Path::new(path).file_name().and_then(|name| name.to_str());
        let kept = if artifacts.discards_paths() { name.unwrap_or(path) } else { path };
        found.push(Found {
            path: kept.to_owned(),
            file,
        });
    }
    if found.is_empty() {
        return Err(client_error("no matching artifact paths found"));
    }
    Ok(found)
}

fn client_error(message: impl Into<String>) -> Context {
    Context::new("CLIENT_ERROR", message)
}

fn patterns(files: &[String]) -> Result<GlobSet, globset::Error> {
    let mut patterns = GlobSetBuilder::new();
    for file in files {
        let file = file.trim_start_matches("./");
        patterns.add(GlobBuilder::new(file).literal_separator(true).build()?);
    }
    patterns.build()
}

/// All files in a folder and in the folders in it, without the repository's own.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == ".git" {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
