//! Finds the files that match.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::key::{self, LeftOut};
use super::pattern::{self, Part};

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Paths in the checkout of files to upload, which are keys below their prefix as well.
    pub kept: Vec<String>,
    /// How many files are left out, and why.
    pub left_out: BTreeMap<LeftOut, usize>,
    /// What the log says about patterns.
    pub remarks: Vec<String>,
}

/// Looks for files in a checkout that match the patterns.
///
/// # Errors
/// The checkout is not there.
pub fn find(checkout: &Path, patterns: &[String], prefix: &str) -> io::Result<Found> {
    let root = fs::canonicalize(checkout)?;
    let (mut found, mut seen) = (Found::default(), HashSet::new());
    for pattern in patterns {
        let Some(parts) = pattern::parts(pattern) else {
            found
                .remarks
                .push(format!("artifacts: {pattern} is not a path from the top of the checkout"));
            continue;
        };
        let mut matched = false;
        let mut each = |path: PathBuf| {
            matched = true;
            if seen.contains(&path) {
                return;
            }
            match judge(&root, &path, prefix) {
                Ok(_) if found.kept.len() == key::MOST => *found.left_out.entry(LeftOut::TooMany).or_default() += 1,
                Ok(key) => found.kept.push(key),
                Err(why) => *found.left_out.entry(why).or_default() += 1,
            }
            seen.insert(path);
        };
        expand(&root, Path::new(""), &parts, &mut each);
        if !matched {
            found.remarks.push(format!("artifacts: nothing matches {pattern}"));
        }
    }
    Ok(found)
}

/// The key of a file, or why it has none.
fn judge(root: &Path, path: &Path, prefix: &str) -> Result<String, LeftOut> {
    let bytes = path.as_os_str().as_bytes();
    if key::is_in_git(bytes) {
        return Err(LeftOut::InGit);
    }
    let file = root.join(path);
    if File::open(&file).is_err() {
        return Err(LeftOut::NotReadable);
    }
    let key = key::of_path(prefix, bytes).ok_or(LeftOut::Name)?;
    let real = fs::canonicalize(&file).map_err(|_| LeftOut::NotReadable)?;
    let real = real.strip_prefix(root).map_err(|_| LeftOut::Outside)?;
    if key::is_in_git(real.as_os_str().as_bytes()) {
        return Err(LeftOut::InGit);
    }
    Ok(key.to_owned())
}

/// Calls `each` with every regular file below `at` that the parts match. Links are followed where a part names them, but not by `**`.
fn expand(root: &Path, at: &Path, parts: &[Part], each: &mut impl FnMut(PathBuf)) {
    let Some((part, rest)) = parts.split_first() else { return };
    let mut step = |name: &OsString| {
        let path = at.join(name);
        let Ok(kind) = fs::metadata(root.join(&path)) else { return };
        if rest.is_empty() && kind.is_file() {
            each(path);
        } else if !rest.is_empty() && kind.is_dir() {
            expand(root, &path, rest, each);
        }
    };
    match part {
        Part::Name(name) => step(&OsString::from(name)),
        Part::Names(_) => {
            let matches = |(name, _): &(OsString, bool)| part.matches(&name.to_string_lossy());
            entries(&root.join(at))
                .iter()
                .filter(|entry| matches(entry))
                .for_each(|(name, _)| step(name));
        }
        Part::Folders => {
            // No folder.
            if rest.is_empty() {
                let entries = entries(&root.join(at));
                entries
                    .iter()
                    .filter(|(name, _)| part.matches(&name.to_string_lossy()))
                    .for_each(|(name, _)| step(name));
            } else {
                expand(root, at, rest, each);
            }
            // One, and any number below it.
            for (name, is_folder) in entries(&root.join(at)) {
                if is_folder && part.matches(&name.to_string_lossy()) {
                    expand(root, &at.join(name), parts, each);
                }
            }
        }
    }
}

/// The names in a folder, in order, and whether each is a folder and not a link to one. Empty where it cannot be read.
fn entries(folder: &Path) -> Vec<(OsString, bool)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut entries: Vec<_> = entries.map(|entry| (entry.file_name(), is_folder(&entry))).collect();
    entries.sort_unstable();
    entries
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn checkout(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    fn kept(folder: &Path, patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        find(folder, &patterns, "p/").unwrap().kept
    }

    #[test]
    fn globstar() {
        let folder = checkout(&["a", "d/b", "d/e/c", "d/.h", ".hidden/x", "d/.k/y", ".keep", "d/.keep"]);
        let at = folder.path();
        assert_eq!(kept(at, &["**"]), ["a", "d/b", "d/e/c"]);
        assert_eq!(kept(at, &["d/**"]), ["d/b", "d/e/c"]);
        assert_eq!(kept(at, &["**/c"]), ["d/e/c"]);
        assert_eq!(kept(at, &["**/.keep"]), [".keep", "d/.keep"]);
        assert_eq!(kept(at, &["*/*"]), ["d/b"]);
        assert_eq!(kept(at, &["d/**/*", "a"]), ["d/b", "d/e/c", "a"]);
        assert_eq!(kept(at, &[".hidden/**", "d"]), [".hidden/x"]);
    }

    #[test]
    fn links() {
        let folder = checkout(&["in/a", ".git/config"]);
        let at = folder.path();
        symlink("in", at.join("linked")).unwrap();
        symlink("in/a", at.join("one")).unwrap();
        symlink("/etc/hostname", at.join("outside")).unwrap();
        symlink(".git/config", at.join("config")).unwrap();
        symlink(".", at.join("in/loop")).unwrap();
        assert_eq!(kept(at, &["linked/*"]), ["linked/a"]);
        assert_eq!(kept(at, &["**"]), ["one", "in/a"]);
        let found = find(at, &["*".to_owned(), ".git/*".to_owned()], "").unwrap();
        assert_eq!(found.kept, ["one"]);
        assert_eq!(found.left_out[&LeftOut::InGit], 2);
        assert_eq!(
            found.left_out.get(&LeftOut::Outside),
            Path::new("/etc/hostname").is_file().then_some(&1)
        );
    }

    #[test]
    fn remarks() {
        let folder = checkout(&["a"]);
        let found = find(folder.path(), &["/a".to_owned(), "b*".to_owned(), "a".to_owned()], "").unwrap();
        assert_eq!(
            found.remarks,
            [
                "artifacts: /a is not a path from the top of the checkout",
                "artifacts: nothing matches b*"
            ]
        );
        assert!(find(&folder.path().join("gone"), &[], "").is_err());
    }
}
