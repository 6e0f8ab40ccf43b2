//! Bare Git repositories, by the `git` command.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// A `git` command that takes nothing from the environment it is called in: a stand-in that is started from a Git hook
/// must not work on the hook's repository.
fn git(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// One bare repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    folder: PathBuf,
}

/// A file in a commit.
pub(crate) struct Blob {
    pub(crate) mode: String,
    pub(crate) id: String,
    pub(crate) content: Vec<u8>,
}

/// What a commit says about itself.
pub(crate) struct Commit {
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) message: String,
    pub(crate) author: Signature,
    pub(crate) committer: Signature,
}

/// Who did it, and when: seconds since 1970 and the offset of the time zone.
pub(crate) struct Signature {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) date: String,
}

/// A file that differs between two commits.
pub(crate) struct Difference {
    pub(crate) kind: char,
    pub(crate) path: String,
    pub(crate) before: Option<Side>,
    pub(crate) after: Option<Side>,
}

/// One side of a difference.
pub(crate) struct Side {
    pub(crate) mode: String,
    pub(crate) blob: String,
}

/// An entry of a folder.
pub(crate) struct Entry {
    pub(crate) mode: String,
    /// `blob`, `tree` or `commit` (a submodule).
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) name: String,
}

/// The tree without any file, which Git knows in every repository.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

impl Repository {
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the repository, without the sample hooks.
    pub(crate) async fn create(&self) -> anyhow::Result<()> {
        let output = git(["init", "--quiet", "--bare", "--initial-branch=main", "--template="])
            .arg(&self.folder)
            .output()
            .await
            .context("cannot run git")?;
        if !output.status.success() {
            bail!("git init: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// The commit that a branch, a tag, a full reference or a full commit id names; HEAD's without a name.
    pub(crate) async fn resolve(&self, name: Option<&str>) -> anyhow::Result<Option<String>> {
        let candidates = match name {
            None => vec!["HEAD".to_owned()],
            Some(id) if is_object_id(id) => vec![id.to_owned()],
            Some(name) if !is_reference_name(name) => Vec::new(),
            Some(name) if name.starts_with("refs/") => vec![name.to_owned()],
            Some(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        };
        for candidate in candidates {
            let commit = format!("{candidate}^{{commit}}");
            let output = self.run(["rev-parse", "--verify", "--quiet", &commit]).await?;
            if let Some(output) = output {
                return Ok(Some(text(&output).trim_end().to_owned()));
            }
        }
        Ok(None)
    }

    /// The file of this path in a commit; None where there is no such path, or it is a folder.
    pub(crate) async fn file(&self, commit: &str, path: &str) -> anyhow::Result<Option<Blob>> {
        let entries = self.entries(commit, path).await?;
        let Some(entry) = entries.into_iter().find(|entry| entry.kind == "blob" && entry.name == path) else {
            return Ok(None);
        };
        let content = self.run(["cat-file", "blob", &entry.id]).await?;
        let content = content.context("the blob is missing")?;
        Ok(Some(Blob {
            mode: entry.mode,
            id: entry.id,
            content,
        }))
    }

    /// What is in a folder of a commit, the top one for an empty path; None where there is nothing.
    pub(crate) async fn folder_at(&self, commit: &str, path: &str) -> anyhow::Result<Option<Vec<Entry>>> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let entries = self.entries(commit, if path.is_empty() { "." } else { &prefix }).await?;
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|entry| Entry {
                name: entry.name.strip_prefix(&prefix).unwrap_or(&entry.name).to_owned(),
                ..entry
            })
            .collect();
        Ok((!entries.is_empty()).then_some(entries))
    }

    /// The entries of a commit's tree that a path names.
    async fn entries(&self, commit: &str, path: &str) -> anyhow::Result<Vec<Entry>> {
        let listing = self
            .run(["--literal-pathspecs", "ls-tree", "--full-tree", "-z", commit, "--", path])
            .await?
            // A path that is not there is an empty listing.
            .with_context(|| format!("commit {commit} cannot be listed"))?;
        let entry = |line: &str| {
            let (entry, name) = line.split_once('\t')?;
            let mut fields = entry.split(' ').map(str::to_owned);
            let (mode, kind, id) = (fields.next()?, fields.next()?, fields.next()?);
            let name = name.to_owned();
            Some(Entry { mode, kind, id, name })
        };
        Ok(text(&listing).split('\0').filter_map(entry).collect())
    }

    /// The commit of a full id; None where there is none.
    pub(crate) async fn commit(&self, id: &str) -> anyhow::Result<Option<Commit>> {
        const FORMAT: &str = "--format=%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B";
        let Some(id) = self.resolve(Some(id)).await? else {
            return Ok(None);
        };
        let output = self.run(["log", "-1", "--date=raw", FORMAT, &id, "--"]).await?;
        let output = text(&output.with_context(|| format!("commit {id} has no log"))?);
        // Git ends the message with a line break of its own.
        let output = output.strip_suffix('\n').unwrap_or(&output);
        let mut fields = output.splitn(9, '\0').map(str::to_owned);
        let mut next = || fields.next().unwrap_or_default();
        let (tree, parents) = (next(), next());
        let mut signature = || Signature {
            name: next(),
            email: next(),
            date: next(),
        };
        let (author, committer) = (signature(), signature());
        Ok(Some(Commit {
            tree,
            parents: parents.split_whitespace().map(str::to_owned).collect(),
            author,
            committer,
            message: next(),
        }))
    }

    /// The files that differ between two commits, in the order of their paths; all files of the second one without the
    /// first.
    pub(crate) async fn differences(&self, before: Option<&str>, after: &str) -> anyhow::Result<Vec<Difference>> {
        let before = before.unwrap_or(EMPTY_TREE);
        let output = self
            .run(["diff-tree", "-r", "-z", "--raw", "--no-renames", before, after])
            .await?
            .context("the commits cannot be compared")?;
        let output = text(&output);
        let mut fields = output.split_terminator('\0');
        let mut differences = Vec::new();
        while let (Some(change), Some(path)) = (fields.next(), fields.next()) {
            differences.push(difference(change, path).context("git diff-tree is not understood")?);
        }
        Ok(differences)
    }

    /// The best common ancestor of two commits; None where they have none.
    pub(crate) async fn merge_base(&self, one: &str, other: &str) -> anyhow::Result<Option<String>> {
        let output = self.run(["merge-base", one, other]).await?;
        Ok(output.map(|output| text(&output).trim_end().to_owned()))
    }

    /// The branch that HEAD names; None before anything has been pushed to it.
    pub(crate) async fn default_branch(&self) -> anyhow::Result<Option<String>> {
        if self.resolve(None).await?.is_none() {
            return Ok(None);
        }
        let name = self.run(["symbolic-ref", "--short", "HEAD"]).await?;
        Ok(name.map(|name| text(&name).trim().to_owned()))
    }

    /// Checks a commit out into a new folder, as a clone.
    pub(crate) async fn check_out(&self, commit: &str, into: &Path) -> anyhow::Result<()> {
        let clone = [OsStr::new("clone"), OsStr::new("--quiet"), OsStr::new("--no-checkout")];
        let places = [self.folder.as_os_str(), into.as_os_str()];
        let checkout = [OsStr::new("-C"), into.as_os_str(), OsStr::new("checkout")];
        let what = ["--quiet", "--detach", commit].map(OsStr::new);
        let commands = [
            clone.into_iter().chain(places).collect::<Vec<_>>(),
            checkout.into_iter().chain(what).collect(),
        ];
        for arguments in commands {
            let output = git(arguments).output().await.context("cannot run git")?;
            if !output.status.success() {
                bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim_end());
            }
        }
        Ok(())
    }

    /// What a command says, or None where it says no, which Git does by the exit code 1. Everything else is an error: a Git that is killed, finds no
    /// memory or no repository has said nothing about what it was asked.
    async fn run<const N: usize>(&self, arguments: [&str; N]) -> anyhow::Result<Option<Vec<u8>>> {
        let folder = [OsStr::new("--git-dir"), self.folder.as_os_str()];
        let arguments = arguments.iter().map(OsStr::new);
        let output = git(folder.into_iter().chain(arguments)).output().await;
        let output = output.context("cannot run git")?;
        match output.status.code() {
            Some(0) => Ok(Some(output.stdout)),
            Some(1) => Ok(None),
            _ => bail!(
                "git ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim_end()
            ),
        }
    }
}

/// One line of `git diff-tree --raw`: `:MODE MODE BLOB BLOB KIND`.
fn difference(change: &str, path: &str) -> Option<Difference> {
    let mut fields = change.strip_prefix(':')?.split(' ');
    let mut next = || fields.next().map(str::to_owned);
    let (before_mode, after_mode) = (next()?, next()?);
    let (before_blob, after_blob) = (next()?, next()?);
    let kind = match next()?.chars().next()? {
        kind @ ('A' | 'D') => kind,
        // CodeCommit has no other kinds, such as the change of a file to a symbolic link.
        _ => 'M',
    };
    let side = |mode, blob| Side { mode, blob };
    Some(Difference {
        kind,
        path: path.to_owned(),
        before: (kind != 'A').then(|| side(before_mode, before_blob)),
        after: (kind != 'D').then(|| side(after_mode, after_blob)),
    })
}

/// Whether it is a full object id.
pub(crate) fn is_object_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether it can only be a reference's name, and not an expression such as `main~2`.
fn is_reference_name(text: &str) -> bool {
    let special = |byte: u8| byte <= b' ' || b"~^:?*[\\\x7f".contains(&byte);
    !text.is_empty() && !text.bytes().any(special) && !text.contains("..") && !text.contains("@{")
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}
