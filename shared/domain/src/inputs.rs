//! What a build takes from other builds: files that a job kept, by key, version and SHA-256 as they were noted when that job ended.
//!
//! The pipeline file names the jobs. What is taken is decided when the build is released: the jobs that it needs have ended then. A build of a repeated run
//! takes from the run that has the job, if its own has not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::executor::target::FileOf;
use crate::ids::{BuildId, JobName, RunId};
use crate::results::found::{Artifact, Results, Seal};

/// The variable with the address of the list of files ([`manifest`]).
pub const VARIABLE: &str = "BELLHOP_FETCH_URI";

/// What a build takes from other builds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The jobs whose files its agent fetches before the script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fetch: Vec<JobName>,
    /// The file that it deploys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileOf>,
    /// That file as it was noted, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
    /// For jobs that the build's own run does not have: the earlier run that has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inherited: BTreeMap<JobName, RunId>,
    /// The key of the list of the files, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

impl Inputs {
    /// Whether nothing is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The jobs that something is taken from.
    pub fn jobs(&self) -> impl Iterator<Item = &JobName> {
        self.fetch.iter().chain(self.file.iter().map(|file| &file.from))
    }

    /// Whether it is still to be found out what is taken.
    #[must_use]
    pub fn are_open(&self) -> bool {
        let lacks_list = !self.fetch.is_empty() && self.manifest.is_none();
        lacks_list || (self.file.is_some() && self.taken.is_none())
    }
}

/// A file that another build kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Taken {
    /// The job that kept it.
    pub from: JobName,
    /// Its path in the checkout.
    pub path: String,
    /// Its key in the suite's bucket.
    pub key: String,
    /// The version of the object; `None` if the bucket keeps no versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_version: Option<String>,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The files that a job kept, as far as they may be taken. `results` are those of its build; `None` if there are none.
///
/// # Errors
/// Why they cannot be taken, for people.
pub fn taken(source: &BuildId, results: Option<&Results>) -> Result<Vec<Taken>, String> {
    let job = &source.job;
    let Some(results) = results else {
        return Err(format!(
            "what job `{job}` of run {} kept was not noted, because the bucket could not be read when it ended",
            source.run
        ));
    };
    if results.count == 0 {
        return Err(format!("job `{job}` of run {} kept no files", source.run));
    }
    let listed = results.artifacts.len();
    if results.count > u64::try_from(listed).unwrap_or(u64::MAX) {
        return Err(format!(
            "job `{job}` kept {} files, of which the first {listed} are noted with their hashes: expected at most as many, for instance as one archive",
            results.count
        ));
    }
    let folder = results.folder.as_deref().unwrap_or_default();
    results.artifacts.iter().map(|artifact| take(job, folder, artifact)).collect()
}

fn take(job: &JobName, folder: &str, artifact: &Artifact) -> Result<Taken, String> {
    let Artifact { path, size, seal } = artifact;
    let Seal {
        version,
        sha256: Some(sha256),
    } = seal
    else {
        return Err(format!(
            "`{path}` of job `{job}` has no SHA-256 in its build's report: it was too large to be hashed, or was gone when the job ended"
        ));
    };
    Ok(Taken {
        from: job.clone(),
        path: path.clone(),
        key: format!("{folder}{path}"),
        object_version: version.clone(),
        sha256: sha256.clone(),
        size: *size,
    })
}

/// The list of files for the agent, as JSON.
///
/// # Errors
/// If two jobs kept a file of the same path, for people.
pub fn manifest(files: &[Taken]) -> Result<String, String> {
    let mut first: BTreeMap<&str, &JobName> = BTreeMap::new();
    for file in files {
        if let Some(other) = first.insert(&file.path, &file.from) {
            return Err(format!(
                "`{}` was kept by the jobs `{other}` and `{}`: one would replace the other",
                file.path, file.from
            ));
        }
    }
    Ok(json!({ "version": 1, "files": files }).to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn artifact(path: &str) -> Artifact {
        Artifact {
            path: path.to_owned(),
            size: 12,
            seal: Seal {
                version: Some("v1".to_owned()),
                sha256: Some(SHA.to_owned()),
            },
        }
    }

    fn results(paths: &[&str]) -> Results {
        Results {
            artifacts: paths.iter().map(|path| artifact(path)).collect(),
            count: u64::try_from(paths.len()).unwrap(),
            folder: Some("runs/abcdefghij/AROA1:0a1b/package/1/artifacts/".to_owned()),
            ..Results::default()
        }
    }

    fn source() -> BuildId {
        "abcdefghij/package".parse().unwrap()
    }

    #[test]
    fn a_kept_file_is_taken_by_key_version_and_hash() {
        let files = taken(&source(), Some(&results(&["dist/shop.zip"]))).unwrap();
        let text: serde_json::Value = serde_json::from_str(&manifest(&files).unwrap()).unwrap();
        let expected = json!({ "version": 1, "files": [{
            "from": "package",
            "path": "dist/shop.zip",
            "key": "runs/abcdefghij/AROA1:0a1b/package/1/artifacts/dist/shop.zip",
            "object-version": "v1",
            "sha256": SHA,
            "size": 12,
        }] });
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_not_noted_whole_is_not_taken() {
        let error = taken(&source(), None).unwrap_err();
        assert!(
            error.starts_with("what job `package` of run abcdefghij kept was not noted, because"),
            "{error}"
        );
        assert_eq!(
            taken(&source(), Some(&Results::default())).unwrap_err(),
            "job `package` of run abcdefghij kept no files"
        );
        let mut many = results(&["a", "b"]);
        many.count = 240;
        let error = taken(&source(), Some(&many)).unwrap_err();
        assert!(
            error.starts_with("job `package` kept 240 files, of which the first 2 are noted with their hashes"),
            "{error}"
        );
        let mut unsealed = results(&["a"]);
        unsealed.artifacts[0].seal = Seal::default();
        let error = taken(&source(), Some(&unsealed)).unwrap_err();
        assert!(error.starts_with("`a` of job `package` has no SHA-256"), "{error}");
    }

    #[test]
    fn two_files_of_one_path_are_refused() {
        let mut files = taken(&source(), Some(&results(&["a", "b"]))).unwrap();
        files[1].path = "a".to_owned();
        files[1].from = "docs".parse().unwrap();
        let error = manifest(&files).unwrap_err();
        assert_eq!(error, "`a` was kept by the jobs `package` and `docs`: one would replace the other");
    }
}
