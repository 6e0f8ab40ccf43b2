//! Repositories.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use crate::support::{SOON, Setup, start};

/// A clone of a new repository.
pub(crate) async fn clone(setup: &Setup) -> PathBuf {
    setup.codecommit().create("shop").await.unwrap();
    let folder = setup.folder.path().join("clone");
    let url = setup.codecommit().clone_url("shop");
    git(setup.folder.path(), &["clone", "--quiet", &url, "clone"]);
    git(&folder, &["checkout", "--quiet", "-B", "main"]);
    folder
}

/// Runs git without the configuration and the environment of whoever runs the tests.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GIT_")) {
        command.env_remove(name);
    }
    let output = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits everything and returns the commit's id.
pub(crate) fn commit(folder: &Path, message: &str) -> String {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message", message]);
    git(folder, &["rev-parse", "HEAD"])
}

async fn next(events: &mut Receiver<Value>) -> Value {
    let event = tokio::time::timeout(SOON, events.recv()).await;
    event.unwrap().unwrap()
}

async fn call(setup: &Setup, operation: &str, body: &Value) -> (u16, Value) {
    let target = format!("CodeCommit_20150413.{operation}");
    setup.call("codecommit", &target, body).await
}

#[tokio::test]
async fn pushes_become_events() {
    let setup = start().await;
    let clone = clone(&setup).await;
    let mut events = setup.events().subscribe();
    std::fs::write(clone.join("a"), "1").unwrap();
    let first = commit(&clone, "First");
    git(&clone, &["push", "--quiet", "origin", "main"]);

    let created = next(&mut events).await;
    assert_eq!(created["source"], "aws.codecommit");
    assert_eq!(created["detail-type"], "CodeCommit Repository State Change");
    let arn = "arn:aws:codecommit:us-east-1:000000000000:shop";
    assert_eq!(created["resources"], json!([arn]));
    let mut expected = json!({
        "event": "referenceCreated",
        "repositoryName": "shop",
        "repositoryId": created["detail"]["repositoryId"],
        "referenceType": "branch",
        "referenceName": "main",
        "referenceFullName": "refs/heads/main",
        "callerUserArn": "arn:aws:iam::000000000000:user/developer",
        "commitId": first,
    });
    assert_eq!(created["detail"], expected);

    std::fs::write(clone.join("a"), "2").unwrap();
    let second = commit(&clone, "Second");
    git(&clone, &["push", "--quiet", "origin", "main"]);
    expected["event"] = "referenceUpdated".into();
    expected["commitId"] = second.as_str().into();
    expected["oldCommitId"] = first.into();
    assert_eq!(next(&mut events).await["detail"], expected);

    git(&clone, &["tag", "--annotate", "--message", "Release", "v1"]);
    git(&clone, &["push", "--quiet", "origin", "v1"]);
    let tagged = next(&mut events).await;
    assert_eq!(tagged["detail"]["referenceType"], "tag");
    assert_eq!(tagged["detail"]["referenceName"], "v1");
    assert_eq!(tagged["detail"]["commitId"], second);

    git(&clone, &["push", "--quiet", "origin", "--delete", "v1"]);
    let deleted = next(&mut events).await;
    assert_eq!(deleted["detail"]["event"], "referenceDeleted");
    assert!(deleted["detail"]["commitId"].is_null());
    assert_eq!(deleted["detail"]["oldCommitId"], second);
}

#[tokio::test]
async fn folders_are_listed_at_a_commit_and_at_an_annotated_tag() {
    let setup = start().await;
    let clone = clone(&setup).await;
    std::fs::create_dir(clone.join("ci")).unwrap();
    std::fs::write(clone.join("ci/a.yaml"), "version: 1\n").unwrap();
    std::fs::write(clone.join(".bellhop.yml"), "version: 1\n").unwrap();
    std::os::unix::fs::symlink("ci/a.yaml", clone.join("link.yaml")).unwrap();
    let first = commit(&clone, "First");
    git(&clone, &["tag", "--annotate", "--message", "one", "v1"]);
    git(&clone, &["push", "--quiet", "origin", "main", "v1"]);
    for specifier in [first.as_str(), "refs/heads/main", "refs/tags/v1"] {
        let request = json!({ "repositoryName": "shop", "commitSpecifier": specifier, "folderPath": "/" });
        let (status, body) = call(&setup, "GetFolder", &request).await;
        assert_eq!((status, &body["commitId"]), (200, &json!(first)), "{body}");
        let names = ["files", "symbolicLinks", "subModules"].map(|list| body[list].as_array().unwrap().len());
        assert_eq!(names, [1, 1, 0], "{body}");
        assert_eq!(body["files"][0]["relativePath"], ".bellhop.yml");
        let link = &body["symbolicLinks"][0];
        assert_eq!([&link["relativePath"], &link["fileMode"]], ["link.yaml", "SYMLINK"]);
        assert_eq!(body["subFolders"][0]["absolutePath"], "ci");
    }
    let inner = json!({ "repositoryName": "shop", "commitSpecifier": first, "folderPath": "/ci" });
    let (_, body) = call(&setup, "GetFolder", &inner).await;
    assert_eq!(body["files"][0]["absolutePath"], "ci/a.yaml");
    assert_eq!(body["files"][0]["relativePath"], "a.yaml");
    for (specifier, folder, code) in [
        (first.as_str(), "/no", "FolderDoesNotExistException"),
        ("refs/tags/v2", "/", "CommitDoesNotExistException"),
    ] {
        let request = json!({ "repositoryName": "shop", "commitSpecifier": specifier, "folderPath": folder });
        let (status, body) = call(&setup, "GetFolder", &request).await;
        assert_eq!((status, &body["__type"]), (400, &json!(code)), "{request}");
    }
}

#[tokio::test]
async fn files_are_read_at_a_commit() {
    let setup = start().await;
    let clone = clone(&setup).await;
    std::fs::create_dir(clone.join("ci")).unwrap();
    std::fs::write(clone.join("ci/[a].yaml"), "version: 1\n").unwrap();
    let first = commit(&clone, "First");
    std::fs::write(clone.join("ci/[a].yaml"), "version: 2\n").unwrap();
    let second = commit(&clone, "Second");
    git(&clone, &["push", "--quiet", "origin", "main", "main:refs/tags/v2"]);

    let specifiers = [&first, "main", "v2", "refs/heads/main", &second];
    for specifier in specifiers {
        let request = json!({
            "repositoryName": "shop", "commitSpecifier": specifier, "filePath": "ci/[a].yaml",
        });
        let (status, body) = call(&setup, "GetFile", &request).await;
        let commit = if specifier == first { &first } else { &second };
        assert_eq!((status, &body["commitId"]), (200, &json!(commit)), "{specifier}");
        let content = if specifier == first {
            "dmVyc2lvbjogMQo="
        } else {
            "dmVyc2lvbjogMgo="
        };
        assert_eq!(body["fileContent"], content);
        assert_eq!(body["fileSize"], 11);
        assert_eq!(body["fileMode"], "NORMAL");
        assert_eq!(body["blobId"].as_str().unwrap().len(), 40);
    }

    let cases = [
        ("other", "main", "a", "RepositoryDoesNotExistException"),
        ("../shop", "main", "a", "InvalidRepositoryNameException"),
        ("shop", "other", "a", "CommitDoesNotExistException"),
        ("shop", "main~1", "a", "CommitDoesNotExistException"),
        ("shop", "main", "ci/b", "FileDoesNotExistException"),
        ("shop", "main", "ci", "FileDoesNotExistException"),
    ];
    for (repository, specifier, path, code) in cases {
        let request = json!({
            "repositoryName": repository, "commitSpecifier": specifier, "filePath": path,
        });
        let (status, body) = call(&setup, "GetFile", &request).await;
        assert_eq!((status, &body["__type"]), (400, &json!(code)), "{request}");
    }
}

#[tokio::test]
async fn commits_and_branches_are_described() {
    let setup = start().await;
    let clone = clone(&setup).await;
    std::fs::write(clone.join("a"), "1").unwrap();
    let first = commit(&clone, "First");
    std::fs::write(clone.join("a"), "2").unwrap();
    let second = commit(&clone, "Second\n\nWith a body [skip ci]");
    git(&clone, &["push", "--quiet", "origin", "main"]);

    let request = json!({ "repositoryName": "shop", "commitId": second });
    let (_, body) = call(&setup, "GetCommit", &request).await;
    let described = &body["commit"];
    assert_eq!(described["commitId"], second);
    assert_eq!(described["parents"], json!([first]));
    assert_eq!(described["message"], "Second\n\nWith a body [skip ci]\n");
    assert_eq!(described["author"]["name"], "Ada");
    assert_eq!(described["committer"]["email"], "ada@example.com");
    let date = described["author"]["date"].as_str().unwrap();
    assert_eq!(date.split(' ').count(), 2, "{date}");

    let request = json!({ "repositoryName": "shop", "branchName": "main" });
    let (_, body) = call(&setup, "GetBranch", &request).await;
    assert_eq!(body["branch"], json!({ "branchName": "main", "commitId": second }));
    let (_, body) = call(&setup, "GetRepository", &json!({ "repositoryName": "shop" })).await;
    assert_eq!(body["repositoryMetadata"]["defaultBranch"], "main");
    setup.stand_in.codecommit().create("empty").await.unwrap();
    let (_, body) = call(&setup, "GetRepository", &json!({ "repositoryName": "empty" })).await;
    assert_eq!(body["repositoryMetadata"]["repositoryName"], "empty");
    assert_eq!(body["repositoryMetadata"].get("defaultBranch"), None);

    let tree = described["treeId"].as_str().unwrap();
    let nothing = "0123456789012345678901234567890123456789";
    for (commit, code) in [
        (nothing, "CommitIdDoesNotExistException"),
        (tree, "CommitIdDoesNotExistException"),
        ("main", "InvalidCommitIdException"),
    ] {
        let request = json!({ "repositoryName": "shop", "commitId": commit });
        let (status, body) = call(&setup, "GetCommit", &request).await;
        assert_eq!((status, &body["__type"]), (400, &json!(code)));
    }
    let request = json!({ "repositoryName": "shop", "branchName": "other" });
    let (_, body) = call(&setup, "GetBranch", &request).await;
    assert_eq!(body["__type"], "BranchDoesNotExistException");
}

#[tokio::test]
async fn a_repository_is_created_once() {
    let setup = start().await;
    let request = json!({ "repositoryName": "shop" });
    let (status, body) = call(&setup, "CreateRepository", &request).await;
    assert_eq!(status, 200, "{body}");
    let url = "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/shop";
    assert_eq!(body["repositoryMetadata"]["cloneUrlHttp"], url);
    assert_eq!(call(&setup, "GetRepository", &request).await.1, body);

    let mut events = setup.events().subscribe();
    git(
        setup.folder.path(),
        &["clone", "--quiet", &setup.codecommit().clone_url("shop"), "clone"],
    );
    let clone = setup.folder.path().join("clone");
    std::fs::write(clone.join("a"), "1").unwrap();
    let id = commit(&clone, "First");
    git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
    assert_eq!(next(&mut events).await["detail"]["commitId"], id);

    for (request, code) in [
        (request, "RepositoryNameExistsException"),
        (json!({ "repositoryName": "shop.git" }), "InvalidRepositoryNameException"),
        (json!({}), "RepositoryNameRequiredException"),
    ] {
        let (status, body) = call(&setup, "CreateRepository", &request).await;
        assert_eq!((status, &body["__type"]), (400, &json!(code)));
    }
}

#[tokio::test]
async fn differences_come_in_pages() {
    let setup = start().await;
    let clone = clone(&setup).await;
    std::fs::write(clone.join("changed"), "1").unwrap();
    std::fs::write(clone.join("deleted"), "1").unwrap();
    let first = commit(&clone, "First");
    std::fs::write(clone.join("changed"), "2").unwrap();
    std::fs::remove_file(clone.join("deleted")).unwrap();
    std::fs::create_dir(clone.join("src")).unwrap();
    for number in 0..450 {
        std::fs::write(clone.join(format!("src/{number:03}")), "x").unwrap();
    }
    let second = commit(&clone, "Second");
    git(&clone, &["push", "--quiet", "origin", "main"]);

    let mut request = json!({
        "repositoryName": "shop", "beforeCommitSpecifier": first, "afterCommitSpecifier": second,
    });
    let (_, page) = call(&setup, "GetDifferences", &request).await;
    let mut differences = page["differences"].as_array().unwrap().clone();
    assert_eq!(differences.len(), 400);
    request["NextToken"] = page["NextToken"].clone();
    let (_, page) = call(&setup, "GetDifferences", &request).await;
    assert!(page["NextToken"].is_null());
    differences.extend(page["differences"].as_array().unwrap().clone());
    assert_eq!(differences.len(), 452);

    assert_eq!(differences[0]["changeType"], "M");
    assert_eq!(differences[0]["beforeBlob"]["path"], "changed");
    assert_ne!(differences[0]["beforeBlob"]["blobId"], differences[0]["afterBlob"]["blobId"]);
    assert_eq!(differences[1]["changeType"], "D");
    assert!(differences[1]["afterBlob"].is_null());
    assert_eq!(differences[2]["changeType"], "A");
    assert!(differences[2]["beforeBlob"].is_null());
    assert_eq!(differences[451]["afterBlob"]["path"], "src/449");
    assert_eq!(differences[451]["afterBlob"]["mode"], "100644");

    // Without a commit before, every file is added; and a page may be smaller.
    let all = json!({ "repositoryName": "shop", "afterCommitSpecifier": "main", "MaxResults": 1 });
    let (_, page) = call(&setup, "GetDifferences", &all).await;
    assert_eq!(page["differences"][0]["changeType"], "A");
    assert_eq!(page["differences"].as_array().unwrap().len(), 1);
    let folder = json!({
        "repositoryName": "shop", "beforeCommitSpecifier": first,
        "afterCommitSpecifier": "main", "afterPath": "src",
    });
    let (_, page) = call(&setup, "GetDifferences", &folder).await;
    assert_eq!(page["differences"][0]["afterBlob"]["path"], "src/000");
    let too_many = json!({ "repositoryName": "shop", "afterCommitSpecifier": "main", "MaxResults": 401 });
    let (_, body) = call(&setup, "GetDifferences", &too_many).await;
    assert_eq!(body["__type"], "InvalidMaxResultsException");
}

#[tokio::test]
async fn two_commits_have_a_merge_base() {
    let setup = start().await;
    let clone = clone(&setup).await;
    std::fs::write(clone.join("a"), "1").unwrap();
    let first = commit(&clone, "First");
    std::fs::write(clone.join("a"), "2").unwrap();
    let second = commit(&clone, "Second");
    git(&clone, &["push", "--quiet", "origin", "main"]);
    git(&clone, &["checkout", "--quiet", "-b", "other", &first]);
    std::fs::write(clone.join("b"), "1").unwrap();
    let aside = commit(&clone, "Aside");
    git(&clone, &["push", "--quiet", "origin", "other"]);
    git(&clone, &["checkout", "--quiet", "--orphan", "alone"]);
    let alone = commit(&clone, "Alone");
    git(&clone, &["push", "--quiet", "origin", "alone"]);

    let options = async |source: &str, destination: &str| {
        let request = json!({ "repositoryName": "shop", "sourceCommitSpecifier": source, "destinationCommitSpecifier": destination });
        call(&setup, "GetMergeOptions", &request).await
    };
    for (source, destination, base) in [
        (&first, &second, &first),
        (&second, &second, &second),
        (&second, &first, &first),
        (&aside, &second, &first),
    ] {
        let (status, body) = options(source, destination).await;
        assert_eq!(status, 200, "{body}");
        let ids = ["sourceCommitId", "destinationCommitId", "baseCommitId"].map(|id| body[id].as_str().unwrap());
        assert_eq!(ids, [source.as_str(), destination.as_str(), base.as_str()]);
        let can_fast_forward = body["mergeOptions"].as_array().unwrap().contains(&json!("FAST_FORWARD_MERGE"));
        assert_eq!(can_fast_forward, base == destination);
    }
    let (_, body) = options("refs/heads/other", "main").await;
    assert_eq!(body["sourceCommitId"], aside);
    let nothing = "0123456789012345678901234567890123456789";
    for (source, destination, code) in [
        (nothing, second.as_str(), "CommitDoesNotExistException"),
        (second.as_str(), nothing, "CommitDoesNotExistException"),
        (alone.as_str(), second.as_str(), "TipsDivergenceExceededException"),
    ] {
        let (status, body) = options(source, destination).await;
        assert_eq!((status, &body["__type"]), (400, &json!(code)));
    }
    let (_, body) = call(
        &setup,
        "GetMergeOptions",
        &json!({ "repositoryName": "shop", "sourceCommitSpecifier": first }),
    )
    .await;
    assert_eq!(body["__type"], "CommitRequiredException");
}

#[tokio::test]
async fn a_git_that_does_not_work_is_an_error_and_no_missing_commit_or_file() {
    let setup = start().await;
    let clone = clone(&setup).await;
    std::fs::write(clone.join("a"), "1").unwrap();
    let commit = commit(&clone, "one");
    git(&clone, &["push", "--quiet", "origin", "main"]);
    let repository = PathBuf::from(setup.codecommit().clone_url("shop"));
    let get = json!({ "repositoryName": "shop", "commitSpecifier": commit, "filePath": "a" });
    assert_eq!(call(&setup, "GetFile", &get).await.0, 200);

    std::fs::rename(repository.join("objects"), repository.join("away")).unwrap();
    for (operation, request) in [
        ("GetFile", get),
        ("GetCommit", json!({ "repositoryName": "shop", "commitId": commit })),
        ("GetBranch", json!({ "repositoryName": "shop", "branchName": "main" })),
    ] {
        let (status, answer) = call(&setup, operation, &request).await;
        assert_eq!(status, 500, "{operation}: {answer}");
    }
}
