//! One job of the file, checked key by key.

use std::collections::BTreeMap;
use std::time::Duration;

use super::artifacts::artifacts;
use super::deploy;
use super::filters::push_filter;
use super::images::images;
use super::model::{Job, Work, job_path};
use super::raw::{EnvName, Never, RawEvents, RawJob, RawOn};
use super::retry::retry_policy;
use super::secrets::secrets;
use crate::config::filter::PushFilter;
use crate::ids::JobName;
use crate::spec::{Relaunch, RetryPolicy};
use crate::yaml::Source;
use crate::yaml::{FieldPath, FileError, quoted};
use crate::yaml::{Id, OneOrMany, Timespan, WordOr};

/// The shortest `timeout` and `queue-timeout`.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest `timeout` and `queue-timeout`.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// The most jobs whose files a job fetches.
const MOST_FETCHED: usize = 20;
/// `timeout`, if the file does not set it.
pub(in crate::config) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);
/// `queue-timeout`, if the file does not set it.
pub(in crate::config) const DEFAULT_QUEUE_TIMEOUT: Duration = Duration::from_secs(2 * 3600);

pub(super) fn job(source: &Source, name: JobName, raw: RawJob) -> Result<Job, FileError> {
    let at = job_path(&name);
    let on = match raw.on {
        Some(RawOn::Manual) => PushFilter::never(),
        Some(RawOn::Events(RawEvents { push: Some(push) })) => push_filter(source, &at.clone().key("on").key("push"), push)?,
        Some(RawOn::Events(RawEvents { push: None })) | None => PushFilter::default(),
    };
    match &raw.deploy {
        Some(_) => {
            if let Some(key) = deploy::keys_of_scripts(&raw) {
                let message = "a job with `deploy` runs no script: expected the key in another job, which this one needs";
                return Err(source.error(&at.key(key), message));
            }
        }
        None => {
            if let Some(key) = deploy::keys_of_deploys(&raw) {
                return Err(source.error(&at.key(key), "only a job with `deploy` has this key"));
            }
        }
    }
    let is_deploy = raw.deploy.is_some();
    let work = match (raw.deploy, raw.agent, raw.run, raw.buildspec) {
        (Some(Id(target)), ..) => Work::Deploy {
            target,
            given: deploy::given(source, &at, raw.code, raw.shift)?,
        },
        (None, None, ..) => return Err(source.error(&at, "missing key `agent`")),
        (None, Some(Id(agent)), Some(run), None) => Work::Run {
            agent,
            script: script(source, &at.clone().key("run"), run)?,
        },
        (None, Some(Id(agent)), None, Some(path)) => Work::Buildspec {
            agent,
            path: script(source, &at.clone().key("buildspec"), path)?,
        },
        (None, Some(_), Some(_), Some(_)) => {
            return Err(source.error(&at, "`run` and `buildspec` exclude each other: expected one of them"));
        }
        (None, Some(_), None, None) => {
            return Err(source.error(&at, "missing key `run` (or `buildspec`, for a CodeBuild agent, or `deploy`)"));
        }
    };
    let mut environment = BTreeMap::new();
    for (EnvName(key), value) in raw.environment.0 {
        if value.contains('\0') {
            return Err(source.error(
                &at.clone().key("environment").key(&key),
                "the value has a NUL character, which no variable can hold",
            ));
        }
        environment.insert(key, value);
    }
    let secrets = secrets(source, &at.clone().key("secrets"), raw.secrets, &environment)?;
    let timeout = timeout(source, &at.clone().key("timeout"), raw.timeout, DEFAULT_TIMEOUT)?;
    let queue_timeout = self::timeout(source, &at.clone().key("queue-timeout"), raw.queue_timeout, DEFAULT_QUEUE_TIMEOUT)?;
    let retry = match raw.retry {
        // A deployment that failed is looked at first.
        None if is_deploy => RetryPolicy::never(),
        None => RetryPolicy::default(),
        Some(WordOr::Word(Never)) => RetryPolicy::never(),
        Some(WordOr::List(rules)) => retry_policy(source, &at.clone().key("retry"), rules, raw.critical.0)?,
    };
    let needs = names(source, &at.clone().key("needs"), raw.needs)?;
    let fetch = names(source, &at.clone().key("fetch"), raw.fetch)?;
    if fetch.len() > MOST_FETCHED {
        let message = format!("{} jobs: at most {MOST_FETCHED} are possible", fetch.len());
        return Err(source.error(&at.key("fetch"), message));
    }
    let lock = raw.lock.map(|Id(lock)| lock);
    let relaunch = match (raw.relaunch, &lock) {
        (Some(Relaunch::Warning), Some(_)) => {
            let message = "a job with a `lock` has one agent at a time: expected `stopped`, or remove the key";
            return Err(source.error(&at.key("relaunch"), message));
        }
        (None, Some(_)) => Relaunch::Stopped,
        (relaunch, _) => relaunch.unwrap_or_default(),
    };
    let artifacts = artifacts(source, &at.clone().key("artifacts"), raw.artifacts)?;
    let images = images(source, &at.key("images"), raw.images)?;
    Ok(Job {
        name,
        on,
        work,
        environment,
        secrets,
        critical: raw.critical.0,
        timeout,
        queue_timeout,
        relaunch,
        lock,
        retry,
        needs,
        fetch,
        artifacts,
        images,
    })
}

/// Checks a script or its path: it is not blank and has no NUL character.
pub(in crate::config) fn script(source: &Source, at: &FieldPath, text: String) -> Result<String, FileError> {
    if text.trim().is_empty() {
        return Err(source.error(at, "expected a text that is not empty"));
    }
    if text.contains('\0') {
        return Err(source.error(at, "the text has a NUL character"));
    }
    Ok(text)
}

/// Names of jobs, without duplicates.
fn names(source: &Source, at: &FieldPath, raw: OneOrMany<Id<JobName>>) -> Result<Vec<JobName>, FileError> {
    let mut names: Vec<JobName> = Vec::with_capacity(raw.0.len());
    for (i, Id(name)) in raw.0.into_iter().enumerate() {
        if names.contains(&name) {
            return Err(source.error(&at.clone().index(i), format!("`{name}` appears twice")));
        }
        names.push(name);
    }
    Ok(names)
}

fn timeout(source: &Source, at: &FieldPath, value: Option<Timespan>, default: Duration) -> Result<Duration, FileError> {
    match value {
        None => Ok(default),
        Some(value) if value.span >= SHORTEST_TIMEOUT && value.span <= LONGEST_TIMEOUT => Ok(value.span),
        Some(value) => Err(source.error(at, format!("{} is out of bounds: expected 1s to 24h", quoted(&value.text)))),
    }
}
