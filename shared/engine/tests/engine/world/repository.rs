//! A repository that has the same files at every commit.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bellhop_domain::ids::{CommitId, RepositoryName};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Ancestry, FileAt, Revision, Root, Source, SourceFile};

use super::values::push;

/// A repository that has the same files at every commit.
#[derive(Default)]
pub(crate) struct FakeRepository {
    pub(crate) pipeline: Mutex<Option<SourceFile>>,
    pub(crate) message: Mutex<String>,
    /// What differs between any two commits.
    pub(crate) changed: Mutex<Option<Vec<String>>>,
    /// What its one branch points to, where that is not the commit of every push.
    pub(crate) tip: Mutex<Option<CommitId>>,
    /// The commits that come before the tip of its branch.
    pub(crate) merged: Mutex<Vec<CommitId>>,
    /// What was asked about tips, tags and merge bases, in this order.
    pub(crate) asked: Mutex<Vec<String>>,
    /// Nothing is said about ancestry.
    pub(crate) silent: AtomicBool,
    /// Commits are too different to be compared.
    pub(crate) incomparable: AtomicBool,
    /// How often commits were compared.
    pub(crate) comparisons: AtomicUsize,
    /// It is there no more.
    pub(crate) gone: AtomicBool,
    /// An annotated tag: its own id, and the commit that it is of.
    pub(crate) tag: Mutex<Option<(CommitId, CommitId)>>,
    /// What lies beside the pipeline file, or in its place.
    pub(crate) files: Mutex<Vec<String>>,
}

#[async_trait]
impl Source for FakeRepository {
    async fn file(&self, _: &RepositoryName, commit: &CommitId, path: &str) -> Result<Option<FileAt>, Fault> {
        tokio::task::yield_now().await;
        assert_eq!(path, ".bellhop.yaml");
        let is_tag = self.tag.lock().unwrap().as_ref().is_some_and(|(tag, _)| tag == commit);
        let content = self.pipeline.lock().unwrap().clone();
        let is_there = !is_tag && !self.gone.load(Ordering::SeqCst);
        Ok(content.filter(|_| is_there).map(|content| FileAt {
            commit: commit.clone(),
            content,
        }))
    }

    async fn root(&self, _: &RepositoryName, at: &Revision) -> Result<Option<Root>, Fault> {
        if let Revision::Reference(reference) = at {
            self.asked.lock().unwrap().push(format!("commit of {reference}"));
        }
        let tag = self.tag.lock().unwrap().clone();
        let commit = match (at, tag) {
            (Revision::Commit(commit), Some((tag, _))) if *commit == tag => return Ok(None),
            (Revision::Commit(commit), _) => commit.clone(),
            (Revision::Reference(_), Some((_, of))) => of,
            (Revision::Reference(_), None) => return Ok(None),
        };
        let files = self.files.lock().unwrap().clone();
        Ok((!self.gone.load(Ordering::SeqCst)).then_some(Root { commit, files }))
    }

    async fn message(&self, _: &RepositoryName, _: &CommitId) -> Result<Option<String>, Fault> {
        tokio::task::yield_now().await;
        Ok(Some(self.message.lock().unwrap().clone()))
    }

    async fn changed(&self, _: &RepositoryName, _: &CommitId, _: &CommitId) -> Result<Option<Vec<String>>, Fault> {
        tokio::task::yield_now().await;
        self.comparisons.fetch_add(1, Ordering::SeqCst);
        Ok(self.changed.lock().unwrap().clone())
    }

    async fn default_branch(&self, repository: &RepositoryName) -> Result<Option<String>, Fault> {
        let is_there = repository.as_str() == "shop" && !self.gone.load(Ordering::SeqCst);
        Ok(is_there.then(|| "main".to_owned()))
    }

    async fn ancestry(&self, _: &RepositoryName, commit: &CommitId, _: &CommitId) -> Result<Ancestry, Fault> {
        self.asked.lock().unwrap().push(format!("ancestry of {}", commit.short()));
        if self.silent.load(Ordering::SeqCst) {
            return Err(Fault::transient("CodeCommit does not answer"));
        }
        if self.incomparable.load(Ordering::SeqCst) {
            return Ok(Ancestry::Incomparable);
        }
        let is_merged = self.merged.lock().unwrap().contains(commit);
        Ok(if is_merged { Ancestry::Ancestor } else { Ancestry::Elsewhere })
    }

    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault> {
        self.asked.lock().unwrap().push(format!("tip of {branch}"));
        let is_there = repository.as_str() == "shop" && branch == "main";
        let tip = self.tip.lock().unwrap().clone();
        Ok(is_there.then(|| tip.unwrap_or_else(|| push("any").commit)))
    }
}
