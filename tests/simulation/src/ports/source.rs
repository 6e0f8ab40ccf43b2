//! CodeCommit: files, commits and branches.

use async_trait::async_trait;
use bellhop_domain::ids::{CommitId, RepositoryName};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Ancestry, FileAt, Revision, Root, Source, SourceFile};

use super::fate::Service;
use super::port::Port;
use crate::mutant::Mutant;
use crate::world::Subject;

#[async_trait]
impl Source for Port {
    async fn file(&self, _: &RepositoryName, commit: &CommitId, _: &str) -> Result<Option<FileAt>, Fault> {
        let commit = commit.clone();
        self.call(Service::Other, "GetFile", Subject::World, move |world| {
            let content = world.repository.commits.get(commit.as_str())?.file.clone();
            content.map(SourceFile::Text).map(|content| FileAt {
                commit: commit.clone(),
                content,
            })
        })
        .await
    }

    async fn root(&self, _: &RepositoryName, at: &Revision) -> Result<Option<Root>, Fault> {
        let Revision::Commit(commit) = at.clone() else {
            return Err(Fault::permanent("no push here is of a tag"));
        };
        self.call(Service::Other, "GetFolder", Subject::World, move |world| {
            world.repository.commits.get(commit.as_str())?;
            let (commit, files) = (commit.clone(), Vec::new());
            Some(Root { commit, files })
        })
        .await
    }

    async fn message(&self, _: &RepositoryName, commit: &CommitId) -> Result<Option<String>, Fault> {
        let commit = commit.clone();
        self.call(Service::Other, "GetCommit", Subject::World, move |world| {
            world.repository.commits.get(commit.as_str()).map(|commit| commit.message.clone())
        })
        .await
    }

    async fn changed(&self, _: &RepositoryName, _: &CommitId, _: &CommitId) -> Result<Option<Vec<String>>, Fault> {
        Err(Fault::permanent("no job here asks what changed"))
    }

    async fn default_branch(&self, repository: &RepositoryName) -> Result<Option<String>, Fault> {
        let repository = repository.clone();
        self.call(Service::Other, "GetRepository", Subject::World, move |world| {
            world.repository.default_branch(&repository).map(str::to_owned)
        })
        .await
    }

    async fn ancestry(&self, repository: &RepositoryName, commit: &CommitId, tip: &CommitId) -> Result<Ancestry, Fault> {
        let (repository, commit, tip) = (repository.clone(), commit.clone(), tip.clone());
        self.call(Service::Other, "GetMergeOptions", Subject::World, move |world| {
            if world.is(Mutant::ANCESTRY_UNASKED) {
                return Ancestry::Ancestor;
            }
            world.repository.ancestry(&repository, &commit, &tip)
        })
        .await
    }

    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault> {
        let (repository, branch) = (repository.clone(), branch.to_owned());
        self.call(Service::Other, "GetBranch", Subject::World, move |world| {
            world.repository.tip(&repository, &branch, world.now)
        })
        .await
    }
}
