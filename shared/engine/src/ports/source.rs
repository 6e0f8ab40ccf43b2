//! The repositories with the source code.

use async_trait::async_trait;
use bellhop_domain::ids::{CommitId, Reference, RepositoryName};

use crate::Fault;

/// The repositories with the source code.
#[async_trait]
pub trait Source: Send + Sync {
    /// A file at a commit; `None` if the file, the commit or the repository does not exist.
    async fn file(&self, repository: &RepositoryName, commit: &CommitId, path: &str) -> Result<Option<FileAt>, Fault>;

    /// The top folder at a commit, a branch or a tag; `None` if that or the repository does not exist.
    async fn root(&self, repository: &RepositoryName, at: &Revision) -> Result<Option<Root>, Fault>;

    /// A commit's message; `None` if the commit or the repository does not exist.
    async fn message(&self, repository: &RepositoryName, commit: &CommitId) -> Result<Option<String>, Fault>;

    /// The paths that differ between two commits; `None` if there are too many, or one of the commits no longer exists.
    async fn changed(&self, repository: &RepositoryName, before: &CommitId, after: &CommitId) -> Result<Option<Vec<String>>, Fault>;

    /// The default branch of a repository; `None` if the repository does not exist or is empty.
    async fn default_branch(&self, repository: &RepositoryName) -> Result<Option<String>, Fault>;

    /// Whether a commit can be reached from the tip of a branch: whether it is the tip, or comes before it.
    async fn ancestry(&self, repository: &RepositoryName, commit: &CommitId, tip: &CommitId) -> Result<Ancestry, Fault>;

    /// The commit at the tip of a branch; `None` if there is no such branch or repository.
    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault>;
}

/// Where a commit is, seen from the tip of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// It is the tip, or comes before it.
    Ancestor,
    /// It is not among the commits of the branch, or one of the two does not exist.
    Elsewhere,
    /// The service refuses to compare the two, because they differ too much.
    Incomparable,
}

/// A revision in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// A commit.
    Commit(CommitId),
    /// The commit of a branch or tag.
    Reference(Reference),
}

/// A file and its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAt {
    /// The commit: another one than requested if the requested id was that of an annotated tag.
    pub commit: CommitId,
    /// Its content.
    pub content: SourceFile,
}

/// The top folder of a repository at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The commit.
    pub commit: CommitId,
    /// The names of the files in it.
    pub files: Vec<String>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFile {
    /// Its text.
    Text(String),
    /// It is not UTF-8 text.
    NotText,
    /// It is larger than the service allows.
    TooLarge,
}
