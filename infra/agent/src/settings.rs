//! What the agent is asked to do, as its environment says it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::Address;
use crate::fetch::list::{self, List};
use crate::secrets::{self, Wanted};

/// The variables that the agent takes for itself: it removes them from the environment of the script.
pub const TAKEN: [&str; 11] = [
    "BELLHOP_SCRIPT",
    "BELLHOP_SCRIPT_URI",
    "BELLHOP_RESULT_URI",
    "BELLHOP_SECRETS",
    "BELLHOP_FETCH_URI",
    "BELLHOP_ARTIFACTS",
    "BELLHOP_ARTIFACTS_URI",
    "BELLHOP_STOP_TIMEOUT",
    "BELLHOP_FETCH_SILENCE",
    "BELLHOP_LFS_TIMEOUT",
    "BELLHOP_HEARTBEAT",
];

/// The container's `stopTimeout` if nothing names another, in seconds: ECS's default.
const STOP_TIMEOUT: u32 = 30;
/// How long a server may send nothing, in seconds.
const FETCH_SILENCE: u32 = 300;
/// How long the fetch of the files of Git LFS may take, in seconds.
const LFS_TIMEOUT: u32 = 1800;
/// How long a script may print nothing until a line of the log says that it still runs, in seconds.
const HEARTBEAT: u32 = 300;
/// The most seconds that a setting may have.
const MOST_SECONDS: u32 = 9999;

/// An environment: values by name. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self(std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect())
    }

    /// The value of a variable; an empty one counts as missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It is not there, or empty.
    #[error("{name} is not set: expected {expected}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What its value should be.
        expected: &'static str,
    },
    /// Neither of two is there.
    #[error("neither {first} nor {second} is set: expected the job's script in one of them")]
    Neither {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Its value is not of the expected form, and is not to be shown.
    #[error("{name} cannot be read: expected {expected}")]
    Unread {
        /// The variable.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Its value is not of the expected form.
    #[error("{name} is {value:?}: expected {expected}")]
    Wrong {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// Where the script is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// In the environment.
    Text(String),
    /// In a bucket, because a long one does not fit into the overrides of a task.
    At(Address),
}

/// What to check out and to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The repository in CodeCommit.
    pub repository: String,
    /// The reference that was pushed, such as `refs/heads/main`.
    pub reference: String,
    /// The commit's id.
    pub commit: String,
    /// The region of repository and bucket.
    pub region: String,
    /// What to run.
    pub script: Script,
}

/// What the log says about the attempt. What is not set is a question mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `BELLHOP_REPOSITORY`
    pub repository: String,
    /// `BELLHOP_COMMIT`
    pub commit: String,
    /// `BELLHOP_REF`
    pub reference: String,
    /// `BELLHOP_JOB`
    pub job: String,
    /// `BELLHOP_ATTEMPT`
    pub attempt: String,
    /// `BELLHOP_CAPACITY`
    pub capacity: String,
}

/// Everything that the environment says about one attempt.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Names for the log.
    pub names: Names,
    /// What to check out and to run. An error of it is reported like that of a checkout.
    pub task: Result<Task, SettingError>,
    /// The region, if it is known.
    pub region: Option<String>,
    /// The variables that are to hold secrets.
    pub secrets: Result<Vec<Wanted>, SettingError>,
    /// Where the list of the artifacts is that the script needs of other jobs, if it needs any.
    pub fetch: Result<Option<List>, SettingError>,
    /// Where the report goes.
    pub report_to: Result<Address, SettingError>,
    /// Patterns of files to upload after the script.
    pub artifacts: Vec<String>,
    /// Below which key they go; it ends with a slash.
    pub artifacts_to: Result<Address, SettingError>,
    /// Whether the capacity is Spot, on which a job may use its two minutes.
    pub on_spot: bool,
    /// The time between SIGTERM and SIGKILL of ECS.
    pub stop_timeout: Duration,
    /// How long a Git server may send nothing.
    pub fetch_silence: Duration,
    /// How long the fetch of the files of Git LFS may take.
    pub lfs_timeout: Duration,
    /// How long the script may print nothing until the log says that it still runs.
    pub heartbeat: Duration,
    /// What is to be logged about settings that are not used.
    pub remarks: Vec<String>,
}

impl Settings {
    /// Reads them.
    #[must_use]
    pub fn read(variables: &Variables) -> Self {
        let mut remarks = Vec::new();
        let mut seconds = |name, default| match number(variables.get(name)) {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => {
                if let Some(value) = variables.get(name) {
                    remarks.push(format!(
                        "{name} is {value:?}: expected a number of seconds from 1 to {MOST_SECONDS}; {default} is used"
                    ));
                }
                Duration::from_secs(u64::from(default))
            }
        };
        let (stop_timeout, fetch_silence) = (
            seconds("BELLHOP_STOP_TIMEOUT", STOP_TIMEOUT),
            seconds("BELLHOP_FETCH_SILENCE", FETCH_SILENCE),
        );
        let lfs_timeout = seconds("BELLHOP_LFS_TIMEOUT", LFS_TIMEOUT);
        let heartbeat = seconds("BELLHOP_HEARTBEAT", HEARTBEAT);
        let named = |name| variables.get(name).unwrap_or("?").to_owned();
        Self {
            names: Names {
                repository: named("BELLHOP_REPOSITORY"),
                commit: named("BELLHOP_COMMIT"),
                reference: named("BELLHOP_REF"),
                job: named("BELLHOP_JOB"),
                attempt: named("BELLHOP_ATTEMPT"),
                capacity: named("BELLHOP_CAPACITY"),
            },
            task: task(variables),
            region: region(variables).map(ToOwned::to_owned),
            secrets: secrets(variables),
            fetch: fetch(variables),
            report_to: address(variables, "BELLHOP_RESULT_URI", KEY),
            artifacts: variables
                .get("BELLHOP_ARTIFACTS")
                .unwrap_or_default()
                .split('\n')
                .filter(|pattern| !pattern.is_empty())
                .map(ToOwned::to_owned)
                .collect(),
            artifacts_to: address(variables, "BELLHOP_ARTIFACTS_URI", "s3://BUCKET/PREFIX/").map(Address::as_folder),
            on_spot: variables.get("BELLHOP_CAPACITY") == Some("spot"),
            stop_timeout,
            fetch_silence,
            lfs_timeout,
            heartbeat,
            remarks,
        }
    }
}

/// The form of a variable with an object in S3.
const KEY: &str = "s3://BUCKET/KEY";

/// The region that the environment names.
#[must_use]
pub fn region(variables: &Variables) -> Option<&str> {
    variables.get("AWS_REGION").or_else(|| variables.get("AWS_DEFAULT_REGION"))
}

/// A number of seconds: decimal, without a sign, without leading zeros.
fn number(value: Option<&str>) -> Option<u32> {
    let value = value.filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0'))?;
    value.parse().ok().filter(|seconds| (1..=MOST_SECONDS).contains(seconds))
}

fn task(variables: &Variables) -> Result<Task, SettingError> {
    let required = |name, expected| {
        let value = variables.get(name).map(ToOwned::to_owned);
        value.ok_or(SettingError::Missing { name, expected })
    };
    let repository = required("BELLHOP_REPOSITORY", "the name of a repository in CodeCommit")?;
    let reference = required("BELLHOP_REF", "the pushed reference, such as refs/heads/main")?;
    let expected = "the commit's id, in hexadecimal digits";
    let commit = required("BELLHOP_COMMIT", expected)?;
    if commit.len() > 64 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(SettingError::Wrong {
            name: "BELLHOP_COMMIT",
            value: commit,
            expected,
        });
    }
    let region = region(variables).map(ToOwned::to_owned).ok_or(SettingError::Missing {
        name: "AWS_REGION",
        expected: "the region of the repository, such as eu-west-1",
    })?;
    let script = if variables.get("BELLHOP_SCRIPT_URI").is_some() {
        Script::At(address(variables, "BELLHOP_SCRIPT_URI", KEY)?)
    } else if let Some(text) = variables.get("BELLHOP_SCRIPT") {
        Script::Text(format!("{text}\n"))
    } else {
        return Err(SettingError::Neither {
            first: "BELLHOP_SCRIPT",
            second: "BELLHOP_SCRIPT_URI",
        });
    };
    Ok(Task {
        repository,
        reference,
        commit,
        region,
        script,
    })
}

/// What is wrong is said without the value: a name may be a secret by mistake.
fn secrets(variables: &Variables) -> Result<Vec<Wanted>, SettingError> {
    let name = "BELLHOP_SECRETS";
    let Some(text) = variables.get(name) else {
        return Ok(Vec::new());
    };
    secrets::parse(text).ok_or(SettingError::Unread {
        name,
        expected: secrets::LINE,
    })
}

fn fetch(variables: &Variables) -> Result<Option<List>, SettingError> {
    let name = "BELLHOP_FETCH_URI";
    let Some(value) = variables.get(name) else {
        return Ok(None);
    };
    let list = Address::parse(value).and_then(List::at).ok_or_else(|| SettingError::Wrong {
        name,
        value: value.to_owned(),
        expected: list::FORM,
    })?;
    Ok(Some(list))
}

fn address(variables: &Variables, name: &'static str, expected: &'static str) -> Result<Address, SettingError> {
    let value = variables.get(name).ok_or(SettingError::Missing { name, expected })?;
    Address::parse(value).ok_or_else(|| SettingError::Wrong {
        name,
        value: value.to_owned(),
        expected,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn with(pairs: &[(&str, &str)]) -> Settings {
        let mut all: BTreeMap<&str, &str> = BTreeMap::from([
            ("AWS_REGION", "eu-west-1"),
            ("BELLHOP_REPOSITORY", "shop"),
            ("BELLHOP_REF", "refs/heads/main"),
            ("BELLHOP_COMMIT", COMMIT),
            ("BELLHOP_SCRIPT", "true"),
        ]);
        all.extend(pairs.iter().copied());
        Settings::read(&all.into_iter().collect())
    }

    fn error(pairs: &[(&str, &str)]) -> String {
        with(pairs).task.unwrap_err().to_string()
    }

    #[test]
    fn a_whole_environment() {
        let settings = with(&[
            ("BELLHOP_CAPACITY", "spot"),
            ("BELLHOP_STOP_TIMEOUT", "120"),
            ("BELLHOP_RESULT_URI", "s3://bucket/runs/a/result.json"),
            ("BELLHOP_ARTIFACTS", "dist/**\n\nreport.xml"),
            ("BELLHOP_ARTIFACTS_URI", "s3://bucket/runs/a/artifacts"),
        ]);
        let task = settings.task.unwrap();
        assert_eq!((task.repository.as_str(), task.region.as_str()), ("shop", "eu-west-1"));
        assert_eq!(task.script, Script::Text("true\n".to_owned()));
        assert!(settings.on_spot);
        assert_eq!(settings.stop_timeout, Duration::from_secs(120));
        assert_eq!(settings.artifacts, ["dist/**", "report.xml"]);
        assert_eq!(settings.artifacts_to.unwrap().to_string(), "s3://bucket/runs/a/artifacts/");
        assert_eq!(settings.remarks, [""; 0]);
    }

    #[test]
    fn an_error_names_the_variable_and_what_was_expected() {
        assert_eq!(
            error(&[("BELLHOP_REPOSITORY", "")]),
            "BELLHOP_REPOSITORY is not set: expected the name of a repository in CodeCommit"
        );
        assert_eq!(
            error(&[("AWS_REGION", "")]),
            "AWS_REGION is not set: expected the region of the repository, such as eu-west-1"
        );
        assert_eq!(
            error(&[("BELLHOP_COMMIT", "--output=x")]),
            "BELLHOP_COMMIT is \"--output=x\": expected the commit's id, in hexadecimal digits"
        );
        assert_eq!(
            error(&[("BELLHOP_SCRIPT", "")]),
            "neither BELLHOP_SCRIPT nor BELLHOP_SCRIPT_URI is set: expected the job's script in one of them"
        );
        assert_eq!(
            error(&[("BELLHOP_SCRIPT_URI", "bucket/key")]),
            "BELLHOP_SCRIPT_URI is \"bucket/key\": expected s3://BUCKET/KEY"
        );
        assert_eq!(
            with(&[]).report_to.unwrap_err().to_string(),
            "BELLHOP_RESULT_URI is not set: expected s3://BUCKET/KEY"
        );
    }

    #[test]
    fn a_list_of_artifacts_is_named_by_its_hash() {
        assert_eq!(with(&[]).fetch, Ok(None));
        let hash = "0a".repeat(32);
        let list = with(&[("BELLHOP_FETCH_URI", &format!("s3://bucket/scripts/shop/{hash}"))])
            .fetch
            .unwrap()
            .unwrap();
        assert_eq!((list.address.key, list.sha256), (format!("scripts/shop/{hash}"), hash));
        for value in [
            "scripts/shop",
            "s3://bucket/scripts/shop/x",
            &format!("s3://bucket/{}", "0A".repeat(32)),
        ] {
            let error = with(&[("BELLHOP_FETCH_URI", value)]).fetch.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("BELLHOP_FETCH_URI is \"{value}\": expected s3://BUCKET/scripts/REPOSITORY/SHA256, the hash in hexadecimal digits")
            );
        }
    }

    #[test]
    fn a_time_that_is_not_one_is_a_remark() {
        for value in ["0", "-1", "012", "1e3", "10000", "a[$(touch pwned)]", "5 "] {
            let settings = with(&[("BELLHOP_STOP_TIMEOUT", value)]);
            assert_eq!(settings.stop_timeout, Duration::from_secs(30), "{value}");
            assert!(
                settings.remarks.iter().any(|remark| remark.starts_with("BELLHOP_STOP_TIMEOUT is ")),
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_environment_is_read(pairs in prop::collection::btree_map("BELLHOP_(SCRIPT|COMMIT|REF|STOP_TIMEOUT|RESULT_URI|FETCH_URI|ARTIFACTS_URI)", ".*", 0..6)) {
            let settings = Settings::read(&pairs.into_iter().collect());
            prop_assert!(settings.stop_timeout >= Duration::from_secs(1));
        }
    }
}
