//! The place of a fetched file in the checkout. A checkout holds what people push: there may be a link where a file or its folder belongs.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::artifacts::key::is_in_git;

/// The permissions of a fetched file, before the umask: S3 knows nothing of them.
const MODE: u32 = 0o644;

/// Why a file has no place.
#[derive(Debug, thiserror::Error)]
pub enum NoPlace {
    /// The checkout has something else there. The text is for people.
    #[error("{0}")]
    Taken(String),
    /// The system refuses.
    #[error("{0}")]
    Failed(#[from] io::Error),
}

/// The place of a path in a checkout, whose real path is `root`. Folders that are missing are made. A link on the way is followed if it leads to a folder of the
/// checkout. A link at the end is not followed.
///
/// Nothing else writes in the checkout meanwhile, so what is looked at stays as it is.
///
/// # Errors
/// A folder of the path is a file or a link to elsewhere, or there is a folder in the place of the file.
pub fn find(root: &Path, path: &str) -> Result<PathBuf, NoPlace> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut at = root.to_owned();
    for part in folders.split('/').filter(|part| !part.is_empty()) {
        let folder = at.join(part);
        at = match fs::create_dir(&folder) {
            Ok(()) => folder,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => follow(root, &folder)?,
            Err(error) => return Err(failed(error)),
        };
    }
    let file = at.join(name);
    match fs::symlink_metadata(&file) {
        Ok(there) if there.is_dir() => Err(NoPlace::Taken("it is a folder in the checkout".to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(file),
    }
}

/// The folder that stands there, or to which a link leads.
fn follow(root: &Path, folder: &Path) -> Result<PathBuf, NoPlace> {
    let shown = folder.strip_prefix(root).unwrap_or(folder).display();
    let taken = |what: &str| NoPlace::Taken(format!("{shown} is {what}"));
    let real = match fs::canonicalize(folder) {
        Ok(real) => real,
        Err(error) => {
            let leads_nowhere = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
                || error.raw_os_error() == Some(Errno::ELOOP as i32);
            return Err(if leads_nowhere {
                taken("a link that leads nowhere")
            } else {
                failed(error)
            });
        }
    };
    match real.strip_prefix(root) {
        Err(_) => Err(taken("a link that leads out of the checkout")),
        Ok(inside) if is_in_git(inside.as_os_str().as_bytes()) => Err(taken("a link to a .git folder")),
        Ok(_) if !real.is_dir() => Err(taken("a file in the checkout")),
        Ok(_) => Ok(real),
    }
}

fn failed(error: io::Error) -> NoPlace {
    match error.kind() {
        io::ErrorKind::InvalidFilename => NoPlace::Taken("the system takes no name that is so long".to_owned()),
        _ => NoPlace::Failed(error),
    }
}

/// A file that is being written. It gets its name when it is finished, and is removed if it never is.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// An empty one, in the folder where the file belongs. Its name cannot be known before, and is no link: another file cannot be in its way.
    ///
    /// # Errors
    /// It cannot be written there.
    pub fn create(place: PathBuf) -> io::Result<Self> {
        let random = RandomState::new().build_hasher().finish();
        let path = place.with_file_name(format!(".bellhop-fetch-{random:016x}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path)?;
        Ok(Self { file, path, place })
    }

    /// The file, to write to.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name. A file or a link of that name is replaced.
    ///
    /// # Errors
    /// The system refuses.
    pub fn finish(self) -> io::Result<()> {
        fs::rename(&self.path, &self.place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it has its name, there is none of this one.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A checkout beside a folder `outside`.
    fn checkout() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap().join("checkout");
        for inner in ["checkout/.git/hooks", "checkout/src/deep", "outside"] {
            fs::create_dir_all(folder.path().join(inner)).unwrap();
        }
        fs::write(root.join("file"), "old").unwrap();
        (folder, root)
    }

    fn write(root: &Path, path: &str) -> Result<(), String> {
        let place = find(root, path).map_err(|error| error.to_string())?;
        let mut draft = Draft::create(place).unwrap();
        draft.file.write_all(b"new").unwrap();
        draft.finish().unwrap();
        Ok(())
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn folders_are_made_and_files_replaced() {
        let (_folder, root) = checkout();
        for path in ["file", "dist/a/b", "dist/a/c", "src/deep/x"] {
            assert_eq!(write(&root, path), Ok(()), "{path}");
            assert_eq!(fs::read_to_string(root.join(path)).unwrap(), "new");
        }
        assert_eq!(names(&root), [".git", "dist", "file", "src"]);
        assert_eq!(names(&root.join("dist/a")), ["b", "c"]);
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_what_it_leads_to_stays() {
        let (folder, root) = checkout();
        let outside = folder.path().join("outside/secret");
        fs::write(&outside, "secret").unwrap();
        symlink("../outside/secret", root.join("linked")).unwrap();
        symlink("../outside/new", root.join("nowhere")).unwrap();
        symlink("src", root.join("to-folder")).unwrap();
        for path in ["linked", "nowhere", "to-folder"] {
            assert_eq!(write(&root, path), Ok(()), "{path}");
            assert!(fs::symlink_metadata(root.join(path)).unwrap().is_file(), "{path}");
        }
        assert_eq!(fs::read_to_string(outside).unwrap(), "secret");
        assert_eq!(names(&folder.path().join("outside")), ["secret"]);
    }

    #[test]
    fn links_on_the_way_stay_in_the_checkout() {
        let (folder, root) = checkout();
        symlink("src/deep", root.join("inside")).unwrap();
        symlink("../../outside", root.join("src/out")).unwrap();
        symlink(folder.path().join("outside"), root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("nothing", root.join("nowhere")).unwrap();
        symlink(".git/hooks", root.join("hooks")).unwrap();
        symlink("file", root.join("to-file")).unwrap();
        assert_eq!(write(&root, "inside/more/x"), Ok(()));
        assert!(root.join("src/deep/more/x").is_file());
        for (path, why) in [
            ("src/out/x", "src/out is a link that leads out of the checkout"),
            ("absolute/x", "absolute is a link that leads out of the checkout"),
            ("up/outside/x", "up is a link that leads out of the checkout"),
            ("loop/x", "loop is a link that leads nowhere"),
            ("nowhere/x", "nowhere is a link that leads nowhere"),
            ("hooks/x", "hooks is a link to a .git folder"),
            ("to-file/x", "to-file is a file in the checkout"),
            ("file/x", "file is a file in the checkout"),
            ("src", "it is a folder in the checkout"),
        ] {
            assert_eq!(write(&root, path), Err(why.to_owned()), "{path}");
        }
        assert_eq!(names(&folder.path().join("outside")), [""; 0]);
        assert_eq!(names(&root.join(".git/hooks")), [""; 0]);
        let long = "x".repeat(300);
        for path in [long.clone(), format!("{long}/x")] {
            assert_eq!(write(&root, &path), Err("the system takes no name that is so long".to_owned()));
        }
    }

    #[test]
    fn a_draft_that_is_not_finished_leaves_nothing() {
        let (_folder, root) = checkout();
        let draft = Draft::create(root.join("file")).unwrap();
        assert_eq!(names(&root).len(), 4);
        drop(draft);
        assert_eq!(names(&root), [".git", "file", "src"]);
        assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "old");
    }
}
