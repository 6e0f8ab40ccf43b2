//! Code in AWS CodeCommit (<https://docs.aws.amazon.com/codecommit/latest/APIReference/>).

use async_trait::async_trait;
use aws_sdk_codecommit::Client;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::ids::{CommitId, RepositoryName};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Source, SourceFile};

use crate::config::Lazy;
use crate::fault::{code_of, fault};

/// Past this many changed paths a comparison is given up, and every path counts as changed. How large a page may be is documented nowhere
/// (<https://docs.aws.amazon.com/codecommit/latest/APIReference/API_GetDifferences.html>), so that CodeCommit chooses it.
const CHANGED_LIMIT: usize = 2000;

/// What CodeCommit says of something that is not there. A push may be overtaken by the deletion of its branch or repository.
const MISSING: [&str; 8] = [
    "RepositoryDoesNotExistException",
    "BranchDoesNotExistException",
    // Git and CodeCommit do not agree on every name; what cannot be a branch there is none there.
    "InvalidBranchNameException",
    "CommitDoesNotExistException",
    "CommitIdDoesNotExistException",
    "FileDoesNotExistException",
    "FolderDoesNotExistException",
    "PathDoesNotExistException",
];

/// CodeCommit.
#[derive(Debug, Clone)]
pub struct CodeCommit {
    client: Lazy<Client>,
}

impl CodeCommit {
    pub(crate) fn new(client: Lazy<Client>) -> Self {
        Self { client }
    }
}

fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> bool {
    code_of(error).is_some_and(|code| MISSING.contains(&code))
}

#[async_trait]
impl Source for CodeCommit {
    async fn file(&self, repository: &RepositoryName, commit: &CommitId, path: &str) -> Result<Option<SourceFile>, Fault> {
        let reply = self
            .client
            .get_file()
            .repository_name(repository.as_str())
            .commit_specifier(commit.as_str())
            .file_path(path)
            .send()
            .await;
        match reply {
            Ok(file) => Ok(Some(match String::from_utf8(file.file_content.into_inner()) {
                Ok(text) => SourceFile::Text(text),
                Err(_) => SourceFile::NotText,
            })),
            Err(error) if is_missing(&error) => {
                if code_of(&error) != Some("FileDoesNotExistException") {
                    tracing::warn!(%repository, %commit, code = code_of(&error), "what was pushed is not there any more, or not in this region");
                }
                Ok(None)
            }
            Err(error) if code_of(&error) == Some("FileTooLargeException") => Ok(Some(SourceFile::TooLarge)),
            Err(error) => Err(fault(format_args!("read {path} of {repository} at {commit}"), error)),
        }
    }

    async fn message(&self, repository: &RepositoryName, commit: &CommitId) -> Result<Option<String>, Fault> {
        let reply = self
            .client
            .get_commit()
            .repository_name(repository.as_str())
            .commit_id(commit.as_str())
            .send()
            .await;
        match reply {
            Ok(reply) => Ok(reply.commit.and_then(|commit| commit.message)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(fault(format_args!("read commit {commit} of {repository}"), error)),
        }
    }

    async fn changed(&self, repository: &RepositoryName, before: &CommitId, after: &CommitId) -> Result<Option<Vec<String>>, Fault> {
        let mut pages = self
            .client
            .get_differences()
            .repository_name(repository.as_str())
            .before_commit_specifier(before.as_str())
            .after_commit_specifier(after.as_str())
            .into_paginator()
            .send();
        let mut paths = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                // A rewritten branch: where it pointed before may be gone.
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(fault(format_args!("compare {before} and {after} of {repository}"), error)),
            };
            for difference in page.differences.unwrap_or_default() {
                let blobs = [difference.before_blob, difference.after_blob];
                paths.extend(blobs.into_iter().flatten().filter_map(|blob| blob.path));
            }
            if paths.len() > CHANGED_LIMIT {
                return Ok(None);
            }
        }
        paths.sort();
        paths.dedup();
        Ok(Some(paths))
    }

    async fn default_branch(&self, repository: &RepositoryName) -> Result<Option<String>, Fault> {
        let reply = self.client.get_repository().repository_name(repository.as_str()).send().await;
        match reply {
            Ok(reply) => Ok(reply.repository_metadata.and_then(|repository| repository.default_branch)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(fault(format_args!("read the default branch of {repository}"), error)),
        }
    }

    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault> {
        let request = self.client.get_branch().repository_name(repository.as_str()).branch_name(branch);
        let tip = match request.send().await {
            Ok(reply) => reply.branch.and_then(|branch| branch.commit_id),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(fault(format_args!("read branch {branch} of {repository}"), error)),
        };
        tip.map(|commit| commit.parse())
            .transpose()
            .map_err(|error| Fault::lasting(format!("branch {branch} of {repository} is at no commit")).caused_by(error))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_engine::FaultKind;
    use serde_json::json;

    use super::*;
    use crate::testing::{Reply, Wire, ok, refused};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn shop() -> RepositoryName {
        "shop".parse().unwrap()
    }

    async fn default_branch(reply: Reply) -> Result<Option<String>, Fault> {
        let (aws, wire) = Wire::replying([reply]);
        let branch = aws.codecommit().default_branch(&shop()).await;
        assert_eq!(wire.asked(), [("GetRepository".to_owned(), json!({ "repositoryName": "shop" }))]);
        branch
    }

    async fn tip(reply: Reply) -> Result<Option<CommitId>, Fault> {
        let (aws, wire) = Wire::replying([reply]);
        let tip = aws.codecommit().tip(&shop(), "release/1").await;
        let asked = json!({ "repositoryName": "shop", "branchName": "release/1" });
        assert_eq!(wire.asked(), [("GetBranch".to_owned(), asked)]);
        tip
    }

    #[tokio::test]
    async fn a_repository_has_a_default_branch_or_is_empty_or_gone() {
        let metadata = |metadata| ok(&json!({ "repositoryMetadata": metadata }));
        let found = default_branch(metadata(json!({ "repositoryName": "shop", "defaultBranch": "main" }))).await;
        assert_eq!(found.unwrap().as_deref(), Some("main"));
        let empty = default_branch(metadata(json!({ "repositoryName": "shop" }))).await;
        assert_eq!(empty.unwrap(), None);
        let gone = default_branch(refused("RepositoryDoesNotExistException", "shop does not exist")).await;
        assert_eq!(gone.unwrap(), None);
        let closed = default_branch(refused("EncryptionKeyAccessDeniedException", "no")).await;
        assert_eq!(closed.unwrap_err().kind, FaultKind::Lasting);
    }

    /// No maximum of `MaxResults` is documented, so that a number that works today may be refused tomorrow.
    #[tokio::test]
    async fn changed_paths_are_counted_here_and_pages_are_as_large_as_codecommit_makes_them() {
        let page = |from: usize, to: usize, next: Option<&str>| {
            let differences: Vec<_> = (from..to)
                .map(|number| json!({ "afterBlob": { "path": format!("{number:04}") } }))
                .collect();
            ok(&json!({ "differences": differences, "NextToken": next }))
        };
        let compared = async |replies: Vec<Reply>| {
            let (aws, wire) = Wire::replying(replies);
            let commit = COMMIT.parse().unwrap();
            let changed = aws.codecommit().changed(&shop(), &commit, &commit).await.unwrap();
            (changed.map(|paths| paths.len()), wire.asked())
        };
        let request = |token: Option<&str>| {
            let mut request = json!({ "repositoryName": "shop", "beforeCommitSpecifier": COMMIT, "afterCommitSpecifier": COMMIT });
            if let Some(token) = token {
                request["NextToken"] = json!(token);
            }
            ("GetDifferences".to_owned(), request)
        };
        let (paths, asked) = compared(vec![page(0, 1500, Some("more")), page(1500, 2000, None)]).await;
        assert_eq!((paths, asked), (Some(2000), vec![request(None), request(Some("more"))]));
        // Past the limit no further page is asked for.
        let (paths, asked) = compared(vec![page(0, 1500, Some("more")), page(1500, 2001, Some("yet more"))]).await;
        assert_eq!((paths, asked), (None, vec![request(None), request(Some("more"))]));
    }

    #[tokio::test]
    async fn a_branch_has_a_tip_or_is_not_there() {
        let branch = |commit: &str| ok(&json!({ "branch": { "branchName": "release/1", "commitId": commit } }));
        assert_eq!(tip(branch(COMMIT)).await.unwrap(), Some(COMMIT.parse().unwrap()));
        for code in [
            "BranchDoesNotExistException",
            "RepositoryDoesNotExistException",
            "InvalidBranchNameException",
        ] {
            assert_eq!(tip(refused(code, "no")).await.unwrap(), None, "{code}");
        }
        assert_eq!(tip(branch("main")).await.unwrap_err().kind, FaultKind::Lasting);
        assert_eq!(
            tip(refused("ThrottlingException", "no")).await.unwrap_err().kind,
            FaultKind::Passing
        );
    }
}
