//! Source code in AWS CodeCommit (<https://docs.aws.amazon.com/codecommit/latest/APIReference/>).

use async_trait::async_trait;
use aws_sdk_codecommit::Client;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::ids::{CommitId, RepositoryName};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Ancestry, FileAt, Revision, Root, Source, SourceFile};

use crate::config::Lazy;
use crate::fault::{code_of, fault};

/// Beyond this many changed paths a comparison is abandoned, and every path counts as changed. The page size is not documented
/// (<https://docs.aws.amazon.com/codecommit/latest/APIReference/API_GetDifferences.html>), so CodeCommit chooses it.
const CHANGED_LIMIT: usize = 2000;

/// CodeCommit's error codes for missing resources. A branch or repository may be deleted before its push is processed.
const MISSING: [&str; 9] = [
    "RepositoryDoesNotExistException",
    "BranchDoesNotExistException",
    // Git and CodeCommit have different rules for names; an invalid name cannot be a branch.
    "InvalidBranchNameException",
    "CommitDoesNotExistException",
    // Also returned for the id of an object that is not a commit, such as an annotated tag.
    "InvalidCommitException",
    "CommitIdDoesNotExistException",
    "FileDoesNotExistException",
    "FolderDoesNotExistException",
    "PathDoesNotExistException",
];

/// CodeCommit's error codes of a comparison that it will never make (<https://docs.aws.amazon.com/codecommit/latest/APIReference/API_GetMergeOptions.html>).
const INCOMPARABLE: [&str; 3] = [
    "TipsDivergenceExceededException",
    "MaximumItemsToCompareExceededException",
    "MaximumFileContentToLoadExceededException",
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
    async fn file(&self, repository: &RepositoryName, commit: &CommitId, path: &str) -> Result<Option<FileAt>, Fault> {
        let at = |commit: &str, content| {
            let commit = commit.parse();
            let commit = commit.map_err(|error| {
                Fault::permanent(format!("CodeCommit returned an invalid commit id for {path} of {repository}")).caused_by(error)
            })?;
            Ok(Some(FileAt { commit, content }))
        };
        let reply = self
            .client
            .get_file()
            .repository_name(repository.as_str())
            .commit_specifier(commit.as_str())
            .file_path(path)
            .send()
            .await;
        match reply {
            Ok(file) => {
                let text = String::from_utf8(file.file_content.into_inner());
                at(&file.commit_id, text.map_or(SourceFile::NotText, SourceFile::Text))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) if code_of(&error) == Some("FileTooLargeException") => at(commit.as_str(), SourceFile::TooLarge),
            Err(error) => Err(fault(format_args!("read {path} of {repository} at {commit}"), error)),
        }
    }

    async fn root(&self, repository: &RepositoryName, at: &Revision) -> Result<Option<Root>, Fault> {
        let specifier = match at {
            Revision::Commit(commit) => commit.to_string(),
            Revision::Reference(reference) => reference.full(),
        };
        let reply = self
            .client
            .get_folder()
            .repository_name(repository.as_str())
            .commit_specifier(&specifier)
            .folder_path("/")
            .send()
            .await;
        let folder = match (reply, at) {
            (Ok(folder), _) => folder,
            // The commit exists, but has no files.
            (Err(error), Revision::Commit(commit)) if code_of(&error) == Some("FolderDoesNotExistException") => {
                let (commit, files) = (commit.clone(), Vec::new());
                return Ok(Some(Root { commit, files }));
            }
            (Err(error), _) if is_missing(&error) => return Ok(None),
            (Err(error), _) => return Err(fault(format_args!("list {repository} at {specifier}"), error)),
        };
        let commit = folder.commit_id.parse();
        let commit = commit.map_err(|error| {
            Fault::permanent(format!("CodeCommit returned an invalid commit id for {specifier} of {repository}")).caused_by(error)
        })?;
        let files = folder.files.unwrap_or_default().into_iter().filter_map(|file| file.relative_path);
        // CodeCommit lists links separately, and a file may be one.
        let links = folder.symbolic_links.unwrap_or_default().into_iter();
        Ok(Some(Root {
            commit,
            files: files.chain(links.filter_map(|link| link.relative_path)).collect(),
        }))
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
                // A force-pushed branch: its previous commit may no longer exist.
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

    /// CodeCommit has no operation for this question. `GetMergeOptions` returns the merge base of two commits
    /// (<https://docs.aws.amazon.com/codecommit/latest/APIReference/API_GetMergeOptions.html>), and a commit is the merge base of itself and another one
    /// exactly if it comes before the other one (<https://git-scm.com/docs/git-merge-base>). Both are given as full ids, and compared with what CodeCommit
    /// says that it used: a branch can have a name that looks like the id of a commit.
    async fn ancestry(&self, repository: &RepositoryName, commit: &CommitId, tip: &CommitId) -> Result<Ancestry, Fault> {
        let reply = self
            .client
            .get_merge_options()
            .repository_name(repository.as_str())
            .source_commit_specifier(commit.as_str())
            .destination_commit_specifier(tip.as_str())
            .send()
            .await;
        match reply {
            Ok(reply) => {
                let compared = [reply.source_commit_id(), reply.destination_commit_id()];
                let is_ancestor = compared == [commit.as_str(), tip.as_str()] && reply.base_commit_id() == commit.as_str();
                Ok(if is_ancestor { Ancestry::Ancestor } else { Ancestry::Elsewhere })
            }
            Err(error) if is_missing(&error) => Ok(Ancestry::Elsewhere),
            Err(error) if code_of(&error).is_some_and(|code| INCOMPARABLE.contains(&code)) => Ok(Ancestry::Incomparable),
            Err(error) => Err(fault(format_args!("compare {commit} and {tip} of {repository}"), error)),
        }
    }

    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault> {
        let request = self.client.get_branch().repository_name(repository.as_str()).branch_name(branch);
        let tip = match request.send().await {
            Ok(reply) => reply.branch.and_then(|branch| branch.commit_id),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(fault(format_args!("read branch {branch} of {repository}"), error)),
        };
        tip.map(|commit| commit.parse()).transpose().map_err(|error| {
            Fault::permanent(format!(
                "CodeCommit returned an invalid commit id for branch {branch} of {repository}"
            ))
            .caused_by(error)
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::ids::Reference;
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
        assert_eq!(closed.unwrap_err().kind, FaultKind::Permanent);
    }

    #[tokio::test]
    async fn symbolic_links_stand_in_a_folder_beside_its_files() {
        let (aws, _) = Wire::replying([ok(&json!({
            "commitId": COMMIT, "folderPath": "", "files": [{ "relativePath": "Makefile" }], "symbolicLinks": [{ "relativePath": ".bellhop.yml" }],
        }))]);
        let root = aws
            .codecommit()
            .root(&shop(), &Revision::Commit(COMMIT.parse().unwrap()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(root.files, ["Makefile", ".bellhop.yml"]);
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
    async fn the_top_folder_tells_the_commit_and_the_files() {
        let tag: Reference = "refs/tags/v1".parse().unwrap();
        let at = |place: &Revision, reply: Reply| {
            let (aws, wire) = Wire::replying([reply]);
            let place = place.clone();
            async move {
                let root = aws.codecommit().root(&shop(), &place).await;
                let (operation, request) = wire.asked().remove(0);
                assert_eq!((operation.as_str(), &request["folderPath"]), ("GetFolder", &json!("/")));
                (root, request["commitSpecifier"].as_str().unwrap().to_owned())
            }
        };
        let commit = Revision::Commit("1".repeat(40).parse().unwrap());
        let found =
            json!({ "commitId": COMMIT, "folderPath": "", "files": [{ "relativePath": ".bellhop.yml", "absolutePath": ".bellhop.yml" }] });
        let (root, asked) = at(&Revision::Reference(tag.clone()), ok(&found)).await;
        assert_eq!(asked, "refs/tags/v1");
        let root = root.unwrap().unwrap();
        assert_eq!((root.commit.as_str(), root.files), (COMMIT, vec![".bellhop.yml".to_owned()]));
        let (empty, asked) = at(&commit, refused("FolderDoesNotExistException", "no")).await;
        assert_eq!((empty.unwrap().unwrap().files.len(), asked), (0, "1".repeat(40)));
        for code in [
            "CommitDoesNotExistException",
            "InvalidCommitException",
            "RepositoryDoesNotExistException",
        ] {
            assert_eq!(at(&commit, refused(code, "no")).await.0.unwrap(), None, "{code}");
        }
        assert!(at(&commit, refused("ThrottlingException", "no")).await.0.is_err());
    }

    #[tokio::test]
    async fn a_file_tells_the_commit_that_it_was_found_at() {
        let reply =
            ok(&json!({ "commitId": COMMIT, "blobId": "b", "filePath": "a", "fileMode": "NORMAL", "fileSize": 2, "fileContent": "aGk=" }));
        let (aws, _) = Wire::replying([reply]);
        let tag: CommitId = "2".repeat(40).parse().unwrap();
        let file = aws.codecommit().file(&shop(), &tag, "a").await.unwrap().unwrap();
        assert_eq!((file.commit.as_str(), file.content), (COMMIT, SourceFile::Text("hi".to_owned())));
    }

    #[tokio::test]
    async fn a_commit_is_on_a_branch_if_it_is_the_merge_base_of_itself_and_the_tip() {
        let (commit, tip, other) = ("1".repeat(40), "2".repeat(40), "3".repeat(40));
        let ancestry = async |reply: Reply| {
            let (aws, wire) = Wire::replying([reply]);
            let (source, destination) = (commit.parse().unwrap(), tip.parse().unwrap());
            let ancestry = aws.codecommit().ancestry(&shop(), &source, &destination).await;
            let asked = json!({ "repositoryName": "shop", "sourceCommitSpecifier": commit, "destinationCommitSpecifier": tip });
            assert_eq!(wire.asked(), [("GetMergeOptions".to_owned(), asked)]);
            ancestry
        };
        let options = |source: &str, destination: &str, base: &str| {
            ok(&json!({
                "mergeOptions": ["FAST_FORWARD_MERGE"], "sourceCommitId": source, "destinationCommitId": destination, "baseCommitId": base,
            }))
        };
        assert_eq!(ancestry(options(&commit, &tip, &commit)).await.unwrap(), Ancestry::Ancestor);
        assert_eq!(ancestry(options(&commit, &tip, &other)).await.unwrap(), Ancestry::Elsewhere);
        // The tip comes before the commit: the branch has not got it yet.
        assert_eq!(ancestry(options(&commit, &tip, &tip)).await.unwrap(), Ancestry::Elsewhere);
        // Other commits were compared than were named.
        assert_eq!(ancestry(options(&other, &tip, &commit)).await.unwrap(), Ancestry::Elsewhere);
        assert_eq!(ancestry(options(&commit, &other, &commit)).await.unwrap(), Ancestry::Elsewhere);
        for code in [
            "CommitDoesNotExistException",
            "InvalidCommitException",
            "RepositoryDoesNotExistException",
        ] {
            assert_eq!(ancestry(refused(code, "no")).await.unwrap(), Ancestry::Elsewhere, "{code}");
        }
        for code in INCOMPARABLE {
            assert_eq!(ancestry(refused(code, "no")).await.unwrap(), Ancestry::Incomparable, "{code}");
        }
        for (code, kind) in [
            ("ThrottlingException", FaultKind::Transient),
            ("AccessDeniedException", FaultKind::Permanent),
            ("EncryptionKeyUnavailableException", FaultKind::Permanent),
        ] {
            assert_eq!(ancestry(refused(code, "no")).await.unwrap_err().kind, kind, "{code}");
        }
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
        assert_eq!(tip(branch("main")).await.unwrap_err().kind, FaultKind::Permanent);
        assert_eq!(
            tip(refused("ThrottlingException", "no")).await.unwrap_err().kind,
            FaultKind::Transient
        );
    }
}
