//! The list of the artifacts to fetch: what it says, and whether each has a path that may be written. Decisions, without requests and files.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::address::Address;
use crate::artifacts::key::is_in_git;

/// The form of `BELLHOP_FETCH_URI`.
pub const FORM: &str = "s3://BUCKET/scripts/REPOSITORY/SHA256, the hash in hexadecimal digits";
/// The version of lists that this agent reads.
const VERSION: u64 = 1;
/// How many digits a SHA-256 has in hexadecimal.
const DIGITS: usize = 64;

/// Where a list is. The end of its key is the hash of its content, so that the list cannot be another one than the task was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The object. The artifacts are in the same bucket.
    pub address: Address,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

impl List {
    /// The list at this address. None if the key does not end with a hash.
    #[must_use]
    pub fn at(address: Address) -> Option<Self> {
        let sha256 = address.key.rsplit('/').next().filter(|end| is_hash(end))?.to_owned();
        Some(Self { address, sha256 })
    }
}

/// A file that another job has left.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Artifact {
    /// The job.
    pub from: String,
    /// The path in the checkout of that job, and in this one.
    pub path: String,
    /// The key in the bucket.
    pub key: String,
    /// Its version. A bucket without versions has none.
    pub object_version: Option<String>,
    /// The SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// The size in bytes.
    pub size: u64,
}

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is another list.
    #[error("the SHA-256 of its content is {0}: expected the end of its key")]
    Other(String),
    /// It is of a later form.
    #[error("version {0}: expected {VERSION}; build the agent's image from the version of Bellhop that the functions have")]
    Version(u64),
    /// It is no list.
    #[error("{0}")]
    Form(String),
}

/// Reads the content of a list with this hash.
///
/// # Errors
/// The content has another hash, or is not a list of version 1.
pub fn read(content: &[u8], sha256: &str) -> Result<Vec<Artifact>, Unusable> {
    let found = HEXLOWER.encode(&Sha256::digest(content));
    if found == sha256 {
        parse(content)
    } else {
        Err(Unusable::Other(found))
    }
}

/// Reads the content of a list. Keys that are not known are ignored: a later version may have more.
///
/// # Errors
/// The content is not a list of version 1.
pub fn parse(content: &[u8]) -> Result<Vec<Artifact>, Unusable> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    #[derive(Deserialize)]
    struct Files {
        files: Vec<Artifact>,
    }
    let form = |error: serde_json::Error| Unusable::Form(error.to_string());
    let Versioned { version } = serde_json::from_slice(content).map_err(form)?;
    if version != VERSION {
        return Err(Unusable::Version(version));
    }
    let Files { files } = serde_json::from_slice(content).map_err(form)?;
    match files.iter().find(|artifact| !is_hash(&artifact.sha256)) {
        Some(Artifact { path, sha256, .. }) => Err(Unusable::Form(format!(
            "sha256 of {path:?} is {sha256:?}: expected {DIGITS} hexadecimal digits"
        ))),
        None => Ok(files),
    }
}

/// Checks that each file of a list has a path of its own that may be written.
///
/// # Errors
/// Some paths may not be written. The texts are for people, one for each file.
pub fn check(artifacts: &[Artifact]) -> Result<(), Vec<String>> {
    let mut first: BTreeMap<&str, &Artifact> = BTreeMap::new();
    for artifact in artifacts {
        first.entry(&artifact.path).or_insert(artifact);
    }
    let objections: Vec<String> = artifacts
        .iter()
        .filter_map(|artifact| {
            let why = objection(&artifact.path).map(ToOwned::to_owned).or_else(|| {
                let same = first.get(artifact.path.as_str()).filter(|same| !std::ptr::eq(**same, artifact));
                let file = same.or_else(|| folders(&artifact.path).find_map(|folder| first.get(folder)))?;
                Some(format!("{} is a file of {}", file.path, file.from))
            })?;
            Some(format!("{}: {} cannot be fetched: {why}", artifact.from, artifact.path))
        })
        .collect();
    if objections.is_empty() { Ok(()) } else { Err(objections) }
}

/// Why a path may not be written, if so.
fn objection(path: &str) -> Option<&'static str> {
    if path.contains('\0') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("it is not a path from the top of the checkout")
    } else if is_in_git(path.as_bytes()) {
        Some("it is in a .git folder")
    } else {
        None
    }
}

/// The folders that a path leads through.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(end, _)| path.get(..end))
}

/// Whether this is a SHA-256 in hexadecimal.
fn is_hash(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn artifact(from: &str, path: &str) -> Artifact {
        Artifact {
            from: from.to_owned(),
            path: path.to_owned(),
            key: format!("runs/abcdefghij/{from}/{path}"),
            object_version: None,
            sha256: "0a".repeat(32),
            size: 1,
        }
    }

    fn read_value(list: &Value) -> Result<Vec<Artifact>, String> {
        let content = list.to_string();
        let hash = HEXLOWER.encode(&Sha256::digest(&content));
        read(content.as_bytes(), &hash).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_of_a_later_agent_is_read() {
        let hash = "0a".repeat(32);
        let files = json!([
            { "from": "package", "path": "a", "key": "runs/a", "object-version": "v1", "sha256": hash, "size": 53_687_091_200_u64, "mode": 493 },
            { "from": "package", "path": "b", "key": "runs/b", "sha256": hash, "size": 0 },
        ]);
        let read = read_value(&json!({ "version": 1, "files": files, "more": {} })).unwrap();
        assert_eq!((read[0].object_version.as_deref(), read[0].size), (Some("v1"), 53_687_091_200));
        assert_eq!((read[1].object_version.as_deref(), read[1].path.as_str()), (None, "b"));
        assert_eq!(read_value(&json!({ "version": 1, "files": [] })), Ok(Vec::new()));
    }

    #[test]
    fn a_list_that_cannot_be_used_says_why() {
        let error = read_value(&json!({ "version": 2, "entries": [] })).unwrap_err();
        assert!(error.starts_with("version 2: expected 1; build the agent's image"), "{error}");
        let file = |sha256: &str| json!({ "version": 1, "files": [{ "from": "p", "path": "a", "key": "k", "sha256": sha256, "size": 1 }] });
        for short in ["0a", &"0A".repeat(32)] {
            let expected = format!("sha256 of \"a\" is {short:?}: expected 64 hexadecimal digits");
            assert_eq!(read_value(&file(short)).unwrap_err(), expected);
        }
        let missing = read_value(&json!({ "version": 1, "files": [{ "from": "p", "path": "a", "key": "k" }] })).unwrap_err();
        assert!(missing.contains("missing field `sha256`"), "{missing}");
        assert_eq!(
            read(b"{}", &"0".repeat(64)).unwrap_err(),
            Unusable::Other("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".to_owned())
        );
    }

    #[test]
    fn paths_that_may_not_be_written() {
        let outside = "it is not a path from the top of the checkout";
        for (path, why) in [
            ("/etc/passwd", outside),
            ("../secret", outside),
            ("a/../../secret", outside),
            ("a//b", outside),
            ("./a", outside),
            ("a/", outside),
            ("", outside),
            ("a\0b", outside),
            (".git/hooks/post-checkout", "it is in a .git folder"),
            ("sub/.git/config", "it is in a .git folder"),
        ] {
            let refused = check(&[artifact("package", "fine"), artifact("package", path)]).unwrap_err();
            assert_eq!(refused, [format!("package: {path} cannot be fetched: {why}")]);
        }
    }

    #[test]
    fn two_files_with_one_path_are_refused() {
        let refused = check(&[artifact("a", "x"), artifact("a", "y"), artifact("b", "x")]).unwrap_err();
        assert_eq!(refused, ["b: x cannot be fetched: x is a file of a"]);
    }

    #[test]
    fn no_file_is_also_a_folder() {
        let refused = check(&[artifact("a", "dist/x/y"), artifact("b", "dist"), artifact("a", "dist2/x")]).unwrap_err();
        assert_eq!(refused, ["a: dist/x/y cannot be fetched: dist is a file of b"]);
    }

    proptest! {
        #[test]
        fn what_is_planned_stays_in_the_checkout(path in "[a./\0é]{0,9}") {
            if check(&[artifact("a", &path)]).is_ok() {
                let parts = std::path::Path::new(&path).components().count();
                prop_assert_eq!(parts, path.split('/').count());
                let is_name = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(std::path::Path::new(&path).components().all(is_name));
            }
        }

        #[test]
        fn any_list_is_read(content in "\\{\"(version|files)\":[\\[\\]{}\":,0-2a-z]{0,30}\\}?") {
            let _ = parse(content.as_bytes());
        }
    }
}
