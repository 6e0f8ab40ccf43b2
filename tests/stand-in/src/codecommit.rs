//! CodeCommit over bare Git repositories.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::http::StatusCode;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::Options;
use crate::calls::Call;
use crate::events::Events;
use crate::git::{Blob, Difference, Entry, Repository, Side, Signature, is_object_id};
use crate::replies::{Answer, AwsError};
use crate::support::{grouped, lock};

/// The file in a repository to which its hook appends a line per pushed reference: old commit, new commit, reference.
const PUSHES: &str = "pushes.log";
/// The commit of a reference that is not there.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";
/// How often the repositories are looked at for pushes.
const POLL: Duration = Duration::from_millis(50);
/// Most differences on a page.
const PAGE: usize = 400;
/// Git's mode of a symbolic link.
const LINK: &str = "120000";
/// The largest file that GetFile returns, in bytes.
const FILE_LIMIT: usize = 6 * 1024 * 1024;

/// The repositories of the stand-in. Clones are handles to the same ones.
#[derive(Clone)]
pub struct CodeCommit {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    account: String,
    folder: PathBuf,
    events: Events,
    /// How much of each repository's file of pushes has been read, in bytes.
    read: Mutex<HashMap<String, usize>>,
}

impl CodeCommit {
    pub(crate) fn new(options: &Options, events: Events) -> anyhow::Result<Self> {
        let codecommit = Self {
            inner: Arc::new(Inner {
                region: options.region.clone(),
                account: options.account.clone(),
                folder: options.repositories.clone(),
                events,
                read: Mutex::default(),
            }),
        };
        // What was pushed before the start is no news.
        for name in codecommit.names()? {
            let length = codecommit.pushes(&name).map_or(0, |pushes| pushes.len());
            lock(&codecommit.inner.read).insert(name, length);
        }
        Ok(codecommit)
    }

    /// Makes an empty bare repository whose pushes become events, and returns its folder.
    ///
    /// # Errors
    /// The name is not one that CodeCommit allows, there is such a repository already, or Git fails.
    pub async fn create(&self, name: &str) -> anyhow::Result<PathBuf> {
        if !is_repository_name(name) {
            bail!("{name:?} is not a valid repository name");
        }
        let repository = self.repository(name);
        if repository.folder().exists() {
            bail!("repository {name} already exists");
        }
        repository.create().await?;
        let hook = repository.folder().join("hooks/post-receive");
        let script = format!("#!/bin/sh\nexec cat >> {PUSHES}\n");
        std::fs::create_dir_all(repository.folder().join("hooks"))?;
        std::fs::write(&hook, script).context("cannot write the hook")?;
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))?;
        Ok(repository.folder().to_owned())
    }

    /// Where to clone from and to push to: a path.
    pub fn clone_url(&self, name: &str) -> String {
        self.repository(name).folder().display().to_string()
    }

    /// Checks a branch, a tag or a commit of a repository out into a new folder, HEAD without a version, and returns
    /// the commit.
    pub(crate) async fn check_out(&self, name: &str, version: Option<&str>, into: &Path) -> anyhow::Result<String> {
        let repository = self.repository(name);
        if !is_repository_name(name) || !repository.folder().is_dir() {
            bail!("repository not found");
        }
        let commit = repository.resolve(version).await?;
        let commit = commit.with_context(|| format!("reference not found: source version {}", version.unwrap_or("HEAD")))?;
        repository.check_out(&commit, into).await?;
        Ok(commit)
    }

    fn repository(&self, name: &str) -> Repository {
        Repository::at(self.inner.folder.join(format!("{name}.git")))
    }

    fn names(&self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.inner.folder)? {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".git"));
            names.extend(name.map(str::to_owned));
        }
        Ok(names)
    }

    /// The whole file of pushes; None before the first one.
    fn pushes(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.repository(name).folder().join(PUSHES)).ok()
    }

    /// Publishes the events of the pushes since the last time.
    async fn announce_pushes(&self) -> anyhow::Result<()> {
        for name in self.names()? {
            let Some(pushes) = self.pushes(&name) else {
                continue;
            };
            let start = lock(&self.inner.read).get(&name).copied().unwrap_or(0);
            let mut end = start;
            let news = pushes.get(start..).unwrap_or_default();
            // The last line may not be complete yet.
            for line in news.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                end += line.len();
                // Before it is announced: a line that cannot be read must not be tried for ever.
                lock(&self.inner.read).insert(name.clone(), end);
                self.announce(&name, line.trim_end()).await?;
            }
        }
        Ok(())
    }

    async fn announce(&self, name: &str, push: &str) -> anyhow::Result<()> {
        let mut fields = push.split(' ');
        let (Some(old), Some(new), Some(reference)) = (fields.next(), fields.next(), fields.next()) else {
            bail!("the hook of {name} wrote {push:?}");
        };
        let Some((kind, short)) = ["branch", "tag"]
            .into_iter()
            .zip(["refs/heads/", "refs/tags/"])
            .find_map(|(kind, prefix)| Some((kind, reference.strip_prefix(prefix)?)))
        else {
            // CodeCommit says nothing about other references.
            return Ok(());
        };
        let event = if old == NO_COMMIT {
            "referenceCreated"
        } else if new == NO_COMMIT {
            "referenceDeleted"
        } else {
            "referenceUpdated"
        };
        let (region, account) = (&self.inner.region, &self.inner.account);
        let mut detail = json!({
            "event": event,
            "repositoryName": name,
            "repositoryId": repository_id(name),
            "referenceType": kind,
            "referenceName": short,
            "referenceFullName": reference,
            "callerUserArn": format!("arn:aws:iam::{account}:user/developer"),
        });
        let repository = self.repository(name);
        for (member, id) in [("commitId", new), ("oldCommitId", old)] {
            if id != NO_COMMIT {
                // An annotated tag stands for its commit.
                let commit = repository.resolve(Some(id)).await?;
                detail[member] = commit.unwrap_or_else(|| id.to_owned()).into();
            }
        }
        self.inner.events.publish(
            "aws.codecommit",
            "CodeCommit Repository State Change",
            &[&format!("arn:aws:codecommit:{region}:{account}:{name}")],
            detail,
        );
        Ok(())
    }

    pub(crate) async fn answer(&self, call: &Call) -> Result<Answer, AwsError> {
        let request = call.json()?;
        if call.operation == "CreateRepository" {
            return Ok(self.create_repository(request).await?.into());
        }
        let repository = self.find(request)?;
        let body = match call.operation.as_str() {
            "GetFile" => get_file(&repository, request).await?,
            "GetFolder" => get_folder(&repository, request).await?,
            "GetCommit" => get_commit(&repository, request).await?,
            "GetRepository" => self.get_repository(&repository, request).await?,
            "GetBranch" => get_branch(&repository, request).await?,
            "GetDifferences" => get_differences(&repository, request).await?,
            "GetMergeOptions" => get_merge_options(&repository, request).await?,
            _ => return Err(AwsError::unknown_operation(call)),
        };
        Ok(body.into())
    }

    /// Its errors: <https://docs.aws.amazon.com/codecommit/latest/APIReference/API_CreateRepository.html>.
    async fn create_repository(&self, request: &Value) -> Result<Value, AwsError> {
        let name = name_in(request)?;
        if self.repository(name).folder().exists() {
            let message = format!("Repository named {name} already exists");
            return Err(AwsError::client("RepositoryNameExistsException", message));
        }
        self.create(name).await.map_err(broken)?;
        Ok(json!({ "repositoryMetadata": self.metadata(name) }))
    }

    async fn get_repository(&self, repository: &Repository, request: &Value) -> Result<Value, AwsError> {
        let mut metadata = self.metadata(request["repositoryName"].as_str().unwrap_or_default());
        // An empty repository has none.
        if let Some(branch) = repository.default_branch().await.map_err(broken)? {
            metadata["defaultBranch"] = branch.into();
        }
        Ok(json!({ "repositoryMetadata": metadata }))
    }

    /// What is known of a repository by its name. The address is AWS's: Git is led from there to [`CodeCommit::clone_url`] by a setting of its own.
    fn metadata(&self, name: &str) -> Value {
        let (region, account) = (&self.inner.region, &self.inner.account);
        json!({
            "accountId": account,
            "repositoryId": repository_id(name),
            "repositoryName": name,
            "cloneUrlHttp": format!("https://git-codecommit.{region}.amazonaws.com/v1/repos/{name}"),
            "Arn": format!("arn:aws:codecommit:{region}:{account}:{name}"),
        })
    }

    fn find(&self, request: &Value) -> Result<Repository, AwsError> {
        let name = name_in(request)?;
        let repository = self.repository(name);
        if !repository.folder().is_dir() {
            return Err(AwsError::client(
                "RepositoryDoesNotExistException",
                format!("{name} does not exist"),
            ));
        }
        Ok(repository)
    }
}

/// The name of a repository that a request is about.
fn name_in(request: &Value) -> Result<&str, AwsError> {
    let Some(name) = request["repositoryName"].as_str() else {
        return Err(AwsError::client(
            "RepositoryNameRequiredException",
            "A repository name is required.",
        ));
    };
    if !is_repository_name(name) {
        return Err(AwsError::client(
            "InvalidRepositoryNameException",
            "The repository name contains characters that are not allowed.",
        ));
    }
    Ok(name)
}

/// Looks for pushes until it is dropped.
pub(crate) async fn watch(codecommit: CodeCommit) {
    loop {
        tokio::time::sleep(POLL).await;
        if let Err(error) = codecommit.announce_pushes().await {
            tracing::warn!("cannot look for pushes: {error:#}");
        }
    }
}

async fn get_file(repository: &Repository, request: &Value) -> Result<Value, AwsError> {
    let Some(path) = request["filePath"].as_str() else {
        return Err(AwsError::client("PathRequiredException", "A file path is required."));
    };
    let path = path.trim_start_matches('/');
    let commit = resolve(repository, &request["commitSpecifier"]).await?;
    let file = repository.file(&commit, path).await.map_err(broken)?;
    let Some(Blob { mode, id, content }) = file else {
        return Err(AwsError::client("FileDoesNotExistException", format!("Could not find path {path}")));
    };
    if content.len() > FILE_LIMIT {
        return Err(AwsError::client("FileTooLargeException", "The file exceeds the limit of 6 MB."));
    }
    Ok(json!({
        "commitId": commit,
        "blobId": id,
        "filePath": path,
        "fileMode": file_mode(&mode),
        "fileSize": content.len(),
        "fileContent": BASE64.encode(&content),
    }))
}

async fn get_folder(repository: &Repository, request: &Value) -> Result<Value, AwsError> {
    let Some(path) = request["folderPath"].as_str() else {
        return Err(AwsError::client("PathRequiredException", "A folder path is required."));
    };
    let commit = resolve(repository, &request["commitSpecifier"]).await?;
    let folder = path.trim_matches('/');
    let entries = repository.folder_at(&commit, folder).await.map_err(broken)?;
    let Some(entries) = entries else {
        return Err(AwsError::client(
            "FolderDoesNotExistException",
            format!("Could not find folder {path}"),
        ));
    };
    let absolute = |name: &str| {
        if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        }
    };
    let listed = |fits: fn(&Entry) -> bool, id: &str, with_mode: bool| -> Vec<Value> {
        let of_kind = entries.iter().filter(|entry| fits(entry));
        of_kind
            .map(|entry| {
                let mut item = json!({ "absolutePath": absolute(&entry.name), "relativePath": entry.name, id: entry.id });
                if with_mode {
                    item["fileMode"] = file_mode(&entry.mode).into();
                }
                item
            })
            .collect()
    };
    Ok(json!({
        "commitId": commit,
        "folderPath": folder,
        "files": listed(|entry| entry.kind == "blob" && entry.mode != LINK, "blobId", true),
        "symbolicLinks": listed(|entry| entry.kind == "blob" && entry.mode == LINK, "blobId", true),
        "subFolders": listed(|entry| entry.kind == "tree", "treeId", false),
        "subModules": listed(|entry| entry.kind == "commit", "commitId", false),
    }))
}

fn file_mode(mode: &str) -> &'static str {
    match mode {
        "100755" => "EXECUTABLE",
        LINK => "SYMLINK",
        _ => "NORMAL",
    }
}

async fn get_commit(repository: &Repository, request: &Value) -> Result<Value, AwsError> {
    let Some(id) = request["commitId"].as_str() else {
        return Err(AwsError::client("CommitIdRequiredException", "A commit ID is required."));
    };
    if !is_object_id(id) {
        let message = "The commit ID is not a full SHA ID.";
        return Err(AwsError::client("InvalidCommitIdException", message));
    }
    let Some(commit) = repository.commit(id).await.map_err(broken)? else {
        return Err(AwsError::client(
            "CommitIdDoesNotExistException",
            format!("Could not find commit {id}"),
        ));
    };
    let signature = |signature: Signature| json!({ "name": signature.name, "email": signature.email, "date": signature.date });
    Ok(json!({
        "commit": {
            "commitId": id,
            "treeId": commit.tree,
            "parents": commit.parents,
            "message": commit.message,
            "author": signature(commit.author),
            "committer": signature(commit.committer),
            "additionalData": "",
        },
    }))
}

async fn get_branch(repository: &Repository, request: &Value) -> Result<Value, AwsError> {
    let Some(name) = request["branchName"].as_str() else {
        return Err(AwsError::client("BranchNameRequiredException", "A branch name is required."));
    };
    let reference = format!("refs/heads/{name}");
    let commit = repository.resolve(Some(&reference)).await.map_err(broken)?;
    let Some(commit) = commit else {
        return Err(AwsError::client("BranchDoesNotExistException", format!("{name} does not exist")));
    };
    Ok(json!({ "branch": { "branchName": name, "commitId": commit } }))
}

/// The default branch is the one that Git's HEAD names, once there is such a branch.
async fn get_differences(repository: &Repository, request: &Value) -> Result<Value, AwsError> {
    if !request["afterCommitSpecifier"].is_string() {
        return Err(AwsError::client("CommitRequiredException", "A commit is required."));
    }
    let limit = match &request["MaxResults"] {
        Value::Null => PAGE,
        number => number
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| (1..=PAGE).contains(number))
            .ok_or_else(|| AwsError::client("InvalidMaxResultsException", "MaxResults must be 1 to 400."))?,
    };
    let start = match request["NextToken"].as_str() {
        None => 0,
        Some(token) => page_start(token).ok_or_else(|| AwsError::client("InvalidContinuationTokenException", "The token is not valid."))?,
    };
    let after = resolve(repository, &request["afterCommitSpecifier"]).await?;
    let before = match &request["beforeCommitSpecifier"] {
        Value::Null => None,
        before => Some(resolve(repository, before).await?),
    };
    let differences = repository.differences(before.as_deref(), &after).await;
    let differences: Vec<_> = differences
        .map_err(broken)?
        .into_iter()
        .filter(|difference| {
            let sides = [
                (&request["beforePath"], &difference.before),
                (&request["afterPath"], &difference.after),
            ];
            sides.iter().all(|(folder, side)| {
                folder
                    .as_str()
                    .is_none_or(|folder| side.is_some() && Path::new(&difference.path).starts_with(folder))
            })
        })
        .collect();
    let page: Vec<_> = differences.iter().skip(start).take(limit).map(render).collect();
    let end = start + page.len();
    let mut body = json!({ "differences": page });
    if end < differences.len() {
        body["NextToken"] = BASE64.encode(end.to_string().as_bytes()).into();
    }
    Ok(body)
}

/// The merge base of two commits. Which merges would work is not worked out, beyond what the base says: everything here is for a client that asks for
/// the base. Two commits without a common one are refused, since the answer always has a base
/// (<https://docs.aws.amazon.com/codecommit/latest/APIReference/API_GetMergeOptions.html>).
async fn get_merge_options(repository: &Repository, request: &Value) -> Result<Value, AwsError> {
    let specifiers = [&request["sourceCommitSpecifier"], &request["destinationCommitSpecifier"]];
    if specifiers.iter().any(|specifier| !specifier.is_string()) {
        return Err(AwsError::client("CommitRequiredException", "A commit is required."));
    }
    let source = resolve(repository, specifiers[0]).await?;
    let destination = resolve(repository, specifiers[1]).await?;
    let Some(base) = repository.merge_base(&source, &destination).await.map_err(broken)? else {
        let message = "The tips of the specified branches have no common commit.";
        return Err(AwsError::client("TipsDivergenceExceededException", message));
    };
    let options = if base == destination {
        json!(["FAST_FORWARD_MERGE", "SQUASH_MERGE", "THREE_WAY_MERGE"])
    } else {
        json!(["SQUASH_MERGE", "THREE_WAY_MERGE"])
    };
    Ok(json!({ "mergeOptions": options, "sourceCommitId": source, "destinationCommitId": destination, "baseCommitId": base }))
}

fn page_start(token: &str) -> Option<usize> {
    let token = BASE64.decode(token.as_bytes()).ok()?;
    std::str::from_utf8(&token).ok()?.parse().ok()
}

fn render(difference: &Difference) -> Value {
    let mut body = json!({ "changeType": difference.kind });
    let sides = [("beforeBlob", &difference.before), ("afterBlob", &difference.after)];
    for (name, side) in sides {
        if let Some(Side { mode, blob }) = side {
            body[name] = json!({ "blobId": blob, "path": difference.path, "mode": mode });
        }
    }
    body
}

async fn resolve(repository: &Repository, specifier: &Value) -> Result<String, AwsError> {
    let specifier = specifier.as_str();
    let commit = repository.resolve(specifier).await.map_err(broken)?;
    commit.ok_or_else(|| {
        let message = format!("Could not find commit {}", specifier.unwrap_or("HEAD"));
        AwsError::client("CommitDoesNotExistException", message)
    })
}

/// Git does not work.
fn broken(error: anyhow::Error) -> AwsError {
    let message = format!("{error:#}");
    AwsError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message)
}

fn is_repository_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !matches!(name, "" | "." | "..") && name.len() <= 100 && !name.ends_with(".git") && name.bytes().all(allowed)
}

/// The same id for the same name, always.
fn repository_id(name: &str) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, name).hash(&mut hasher);
        hasher.finish()
    };
    grouped(&format!("{:016x}{:016x}", half(0), half(1)))
}
