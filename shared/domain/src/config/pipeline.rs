//! The pipeline file, `.bellhop.yaml`: a repository's jobs.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::{FieldPath, FileError, PIPELINE_FILE, quoted, suggestion};
use super::filter::{Globs, Pattern, PushFilter};
use super::plan::Select;
use super::source::Source;
use super::values::{Document, Entries, Flag, Id, OneOrMany, Timespan, Version, Whole, Word, WordOr};
use crate::Capacity;
use crate::ids::{AgentName, JobName, Reference};
use crate::spec::{Relaunch, RetryOn, RetryPolicy, RetryRule};

/// The most jobs of a file.
const MOST_JOBS: usize = 200;
/// The most patterns of one list.
const MOST_PATTERNS: usize = 50;
/// The most patterns of a file: each becomes a small automaton.
const MOST_PATTERNS_IN_ALL: usize = 1_000;
/// The most patterns of a job's artifacts. Together with [`LONGEST_ARTIFACT`] it keeps them small enough for the overrides of a task.
const MOST_ARTIFACTS: usize = 20;
/// The longest pattern of a job's artifacts, in characters.
const LONGEST_ARTIFACT: usize = 200;
/// The most rules of a retry policy.
const MOST_RULES: usize = 20;
/// The highest `limit` of a retry rule.
const MOST_RETRIES: u32 = 10;
/// The shortest `timeout` and `queue-timeout`.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest `timeout` and `queue-timeout`.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// The longest first wait of a retry rule.
const LONGEST_BACKOFF: Duration = Duration::from_secs(3600);
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);
pub(super) const DEFAULT_QUEUE_TIMEOUT: Duration = Duration::from_secs(2 * 3600);

/// A valid pipeline file: every name fits, every job in `needs` exists, and no jobs wait for each other.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    pub(super) source: Source,
    /// In the file's order.
    jobs: Vec<Job>,
    /// Indexes into `jobs`, each after those of the jobs that it needs, and otherwise in the file's order.
    order: Vec<usize>,
    concurrency: Concurrency,
}

/// A job as the file defines it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    on: PushFilter,
    /// The agent template that executes it.
    pub agent: AgentName,
    /// What it does.
    pub work: Work,
    /// Variables for its script.
    pub environment: BTreeMap<String, String>,
    /// Never on Spot.
    pub critical: bool,
    /// How long one attempt may run.
    pub timeout: Duration,
    /// How long it may wait for an agent.
    pub queue_timeout: Duration,
    /// When an interrupted attempt is replaced.
    pub relaunch: Relaunch,
    /// Which ends of an attempt are retried.
    pub retry: RetryPolicy,
    /// Jobs that must succeed first.
    pub needs: Vec<JobName>,
    /// Which files are kept after the script has ended: globs of bash with `globstar`, relative to the checkout's root, without duplicates.
    pub artifacts: Vec<String>,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Runs this shell script.
    Run(String),
    /// Follows the buildspec at this path of the repository; only on a CodeBuild agent.
    Buildspec(String),
}

/// What a newer push does to the unfinished runs of older ones to the same branch.
#[derive(Debug, Clone, Default)]
pub struct Concurrency {
    supersede: bool,
    except: Option<Globs>,
}

impl Concurrency {
    /// Whether a push to the branch cancels its older unfinished runs.
    #[must_use]
    pub fn supersedes(&self, branch: &str) -> bool {
        self.supersede && !self.except.as_ref().is_some_and(|except| except.matches(branch))
    }
}

impl Job {
    /// Whether the push starts the job by itself. `changed` holds the paths of the files that differ from the commit before; `None` where they are
    /// not known.
    #[must_use]
    pub fn wanted_by(&self, reference: &Reference, changed: Option<&[String]>) -> bool {
        self.on.wants(reference) && self.on.wants_changes(reference, changed)
    }

    /// Where the job stands in the file.
    pub(super) fn path(&self) -> FieldPath {
        job_path(&self.name)
    }
}

impl PipelineFile {
    /// Reads and checks the text of a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let source = Source::new(PIPELINE_FILE, text)?;
        let Document(raw): Document<RawFile> = source.read()?;
        check_size(&source, &raw)?;
        let concurrency = match raw.concurrency {
            Some(raw) => Concurrency {
                supersede: raw.supersede.0,
                except: globs(&source, &FieldPath::top("concurrency").key("except"), raw.except)?,
            },
            None => Concurrency::default(),
        };
        let mut jobs = Vec::with_capacity(raw.jobs.0.len());
        for (Id(name), raw) in raw.jobs.0 {
            jobs.push(job(&source, name, raw)?);
        }
        let order = order(&source, &jobs)?;
        Ok(Self {
            source,
            jobs,
            order,
            concurrency,
        })
    }

    /// The jobs, in the file's order.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// What a newer push does to older runs.
    #[must_use]
    pub fn concurrency(&self) -> &Concurrency {
        &self.concurrency
    }

    /// Whether the list of changed files decides which jobs a push to the reference starts. If not, the caller need not fetch it.
    #[must_use]
    pub fn needs_changes(&self, reference: &Reference) -> bool {
        self.jobs
            .iter()
            .any(|job| job.on.wants(reference) && job.on.asks_for_changes(reference))
    }

    /// The jobs of the run that a push starts, each after the jobs that it needs. A job that another one of the run needs is part of the run whether
    /// or not its own filter wants the push: without it the other could not start.
    ///
    /// # Errors
    /// When a job that is selected is not in the file.
    pub(super) fn wanted(&self, reference: &Reference, select: Select<'_>) -> Result<Vec<&Job>, FileError> {
        let index: HashMap<&JobName, usize> = self.jobs.iter().enumerate().map(|(i, job)| (&job.name, i)).collect();
        let named = match select {
            Select::ByFilters(_) => &[],
            Select::Job(name) => std::slice::from_ref(name),
            Select::Exactly(names) => names,
        };
        if let Some(name) = named.iter().find(|name| !index.contains_key(name)) {
            let known = suggestion(name.as_str(), self.jobs.iter().map(|job| job.name.as_str()));
            let message = format!("there is no job `{name}`{known}");
            return Err(self.source.error(&FieldPath::top("jobs"), message));
        }
        let mut wanted: Vec<bool> = match select {
            Select::ByFilters(changed) => self.jobs.iter().map(|job| job.wanted_by(reference, changed)).collect(),
            Select::Job(_) | Select::Exactly(_) => self.jobs.iter().map(|job| named.contains(&job.name)).collect(),
        };
        let with_needs = !matches!(select, Select::Exactly(_));
        // Against the order, so that a job comes up before the jobs that it needs.
        for &i in self.order.iter().rev() {
            if wanted[i] && with_needs {
                for need in &self.jobs[i].needs {
                    if let Some(&needed) = index.get(need) {
                        wanted[needed] = true;
                    }
                }
            }
        }
        Ok(self.order.iter().filter(|i| wanted[**i]).map(|i| &self.jobs[*i]).collect())
    }
}

fn job_path(name: &JobName) -> FieldPath {
    FieldPath::top("jobs").key(name)
}

/// Checks the limits on numbers before anything is compiled.
fn check_size(source: &Source, raw: &RawFile) -> Result<(), FileError> {
    let jobs = &raw.jobs.0;
    if jobs.is_empty() {
        return Err(source.error(&FieldPath::top("jobs"), "there are no jobs: expected at least one"));
    }
    if jobs.len() > MOST_JOBS {
        return Err(source.error(
            &FieldPath::top("jobs"),
            format!("there are {} jobs: at most {MOST_JOBS} are possible", jobs.len()),
        ));
    }
    let patterns: usize = jobs
        .iter()
        .filter_map(|(_, job)| match job.on.as_ref()? {
            RawOn::Events(events) => events.push.as_ref(),
            RawOn::Manual => None,
        })
        .flat_map(|push| [&push.branches, &push.tags, &push.paths])
        .map(|list| list.as_ref().map_or(0, |list| list.0.len()))
        .sum();
    if patterns > MOST_PATTERNS_IN_ALL {
        return Err(source.error(
            &FieldPath::top("jobs"),
            format!("the filters have {patterns} patterns in all: at most {MOST_PATTERNS_IN_ALL} are possible"),
        ));
    }
    Ok(())
}

fn job(source: &Source, name: JobName, raw: RawJob) -> Result<Job, FileError> {
    let at = job_path(&name);
    let on = match raw.on {
        Some(RawOn::Manual) => PushFilter::never(),
        Some(RawOn::Events(RawEvents { push: Some(push) })) => push_filter(source, &at.clone().key("on").key("push"), push)?,
        Some(RawOn::Events(RawEvents { push: None })) | None => PushFilter::default(),
    };
    let work = match (raw.run, raw.buildspec) {
        (Some(run), None) => Work::Run(script(source, &at.clone().key("run"), run)?),
        (None, Some(path)) => Work::Buildspec(script(source, &at.clone().key("buildspec"), path)?),
        (Some(_), Some(_)) => return Err(source.error(&at, "`run` and `buildspec` exclude each other: expected one of them")),
        (None, None) => return Err(source.error(&at, "missing key `run` (or `buildspec`, for a CodeBuild agent)")),
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
    let timeout = timeout(source, &at.clone().key("timeout"), raw.timeout, DEFAULT_TIMEOUT)?;
    let queue_timeout = self::timeout(source, &at.clone().key("queue-timeout"), raw.queue_timeout, DEFAULT_QUEUE_TIMEOUT)?;
    let retry = match raw.retry {
        None => RetryPolicy::default(),
        Some(WordOr::Word(Never)) => RetryPolicy::never(),
        Some(WordOr::List(rules)) => retry_policy(source, &at.clone().key("retry"), rules, raw.critical.0)?,
    };
    let mut needs: Vec<JobName> = Vec::with_capacity(raw.needs.0.len());
    for (i, Id(need)) in raw.needs.0.into_iter().enumerate() {
        if needs.contains(&need) {
            return Err(source.error(&at.clone().key("needs").index(i), format!("`{need}` appears twice")));
        }
        needs.push(need);
    }
    let artifacts = artifacts(source, &at.key("artifacts"), raw.artifacts)?;
    Ok(Job {
        name,
        on,
        agent: raw.agent.0,
        work,
        environment,
        critical: raw.critical.0,
        timeout,
        queue_timeout,
        relaunch: raw.relaunch,
        retry,
        needs,
        artifacts,
    })
}

/// The patterns of a job's artifacts. The agent expands them; this refuses only what no glob of bash can mean.
fn artifacts(source: &Source, at: &FieldPath, patterns: Option<OneOrMany<String>>) -> Result<Vec<String>, FileError> {
    let Some(OneOrMany(patterns)) = patterns else {
        return Ok(Vec::new());
    };
    if patterns.is_empty() {
        return Err(source.error(at, "an empty list: expected at least one pattern; to have none, remove the key"));
    }
    if patterns.len() > MOST_ARTIFACTS {
        return Err(source.error(at, format!("{} patterns: at most {MOST_ARTIFACTS} are possible", patterns.len())));
    }
    for (i, pattern) in patterns.iter().enumerate() {
        if let Err(message) = artifact(pattern) {
            return Err(source.error(&at.clone().index(i), message));
        }
        if patterns.iter().take(i).any(|other| other == pattern) {
            return Err(source.error(&at.clone().index(i), format!("{} appears twice", quoted(pattern))));
        }
    }
    Ok(patterns)
}

/// Whether it is a pattern of artifacts, and what is wrong with it otherwise.
fn artifact(pattern: &str) -> Result<(), String> {
    if pattern.is_empty() {
        return Err("an empty pattern: expected one such as target/report.xml or dist/**".to_owned());
    }
    if pattern.chars().count() > LONGEST_ARTIFACT {
        return Err(format!("{} is longer than {LONGEST_ARTIFACT} characters", quoted(pattern)));
    }
    if pattern.chars().any(char::is_control) {
        return Err(format!(
            "{} has a line break or another control character, which no artifact's name may have",
            quoted(pattern)
        ));
    }
    // In the filters of a push, `!` excludes. Here it would be part of a name, and match nothing without an error.
    if pattern.contains('!') {
        return Err(format!("{} has a `!`: artifacts can only be listed, not left out", quoted(pattern)));
    }
    if pattern.contains(['{', '}']) {
        return Err(format!("{} has a brace: write one pattern for each alternative", quoted(pattern)));
    }
    if pattern.starts_with('/') {
        return Err(format!(
            "{} begins with a slash: expected a path from the repository's root, such as dist/**",
            quoted(pattern)
        ));
    }
    if pattern.ends_with('/') {
        return Err(format!(
            "{} names a directory: expected files, such as {}",
            quoted(pattern),
            quoted(&format!("{pattern}**"))
        ));
    }
    if pattern.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!(
            "{} has an empty, `.` or `..` part: expected a path from the repository's root, such as dist/**",
            quoted(pattern)
        ));
    }
    Ok(())
}

fn push_filter(source: &Source, at: &FieldPath, raw: RawPush) -> Result<PushFilter, FileError> {
    // These two match no file's path: the job would never start, without an error.
    for (i, pattern) in raw.paths.iter().flat_map(|paths| &paths.0).enumerate() {
        let body = pattern.text.trim_start_matches('!');
        let path = || at.clone().key("paths").index(i);
        if body.starts_with('/') {
            return Err(source.error(
                &path(),
                format!(
                    "{} begins with a slash: expected a path from the repository's root, such as src/**",
                    quoted(&pattern.text)
                ),
            ));
        }
        if body.ends_with('/') {
            return Err(source.error(
                &path(),
                format!(
                    "{} names a directory: expected files, such as {}",
                    quoted(&pattern.text),
                    quoted(&format!("{}**", pattern.text))
                ),
            ));
        }
    }
    Ok(PushFilter {
        never: false,
        branches: globs(source, &at.clone().key("branches"), raw.branches)?,
        tags: globs(source, &at.clone().key("tags"), raw.tags)?,
        paths: globs(source, &at.clone().key("paths"), raw.paths)?,
    })
}

fn globs(source: &Source, at: &FieldPath, patterns: Option<OneOrMany<Pattern>>) -> Result<Option<Globs>, FileError> {
    let Some(OneOrMany(patterns)) = patterns else {
        return Ok(None);
    };
    if patterns.is_empty() {
        return Err(source.error(at, "an empty list: expected at least one pattern; to have none, remove the key"));
    }
    if patterns.len() > MOST_PATTERNS {
        return Err(source.error(at, format!("{} patterns: at most {MOST_PATTERNS} are possible", patterns.len())));
    }
    Globs::new(patterns).map(Some).map_err(|message| source.error(at, message))
}

/// A script, or a path of one: not blank, and without the character that ends texts of the system.
pub(super) fn script(source: &Source, at: &FieldPath, text: String) -> Result<String, FileError> {
    if text.trim().is_empty() {
        return Err(source.error(at, "expected a text that is not empty"));
    }
    if text.contains('\0') {
        return Err(source.error(at, "the text has a NUL character"));
    }
    Ok(text)
}

fn timeout(source: &Source, at: &FieldPath, value: Option<Timespan>, default: Duration) -> Result<Duration, FileError> {
    match value {
        None => Ok(default),
        Some(value) if value.span >= SHORTEST_TIMEOUT && value.span <= LONGEST_TIMEOUT => Ok(value.span),
        Some(value) => Err(source.error(at, format!("{} is out of bounds: expected 1s to 24h", quoted(&value.text)))),
    }
}

fn retry_policy(source: &Source, at: &FieldPath, raw: Vec<RawRule>, critical: bool) -> Result<RetryPolicy, FileError> {
    if raw.is_empty() {
        return Err(source.error(at, "an empty list: expected at least one rule, or the word `never`"));
    }
    if raw.len() > MOST_RULES {
        return Err(source.error(at, format!("{} rules: at most {MOST_RULES} are possible", raw.len())));
    }
    let mut rules = Vec::with_capacity(raw.len());
    for (i, raw) in raw.into_iter().enumerate() {
        let at = at.clone().index(i);
        let on = match raw.on {
            None => Vec::new(),
            Some(WordOr::Word(on)) => vec![on],
            Some(WordOr::List(on)) => on,
        };
        if on.is_empty() && raw.exit_codes.0.is_empty() {
            return Err(source.error(&at, "the rule matches nothing: expected `on`, `exit-codes` or both"));
        }
        if let Some(Whole(code)) = raw.exit_codes.0.iter().find(|Whole(code)| !(1..=255).contains(code)) {
            return Err(source.error(
                &at.key("exit-codes"),
                format!("`{code}` is not the exit code of a failure: expected 1 to 255"),
            ));
        }
        let limit = raw.limit.map_or(1, |Whole(limit)| limit);
        if limit > MOST_RETRIES {
            return Err(source.error(
                &at.key("limit"),
                format!("`{limit}` is out of bounds: expected 0 to {MOST_RETRIES}"),
            ));
        }
        if let Some(backoff) = raw.backoff.as_ref().filter(|backoff| backoff.span > LONGEST_BACKOFF) {
            let message = format!("{} is out of bounds: expected at most 1h", quoted(&backoff.text));
            return Err(source.error(&at.key("backoff"), message));
        }
        if critical && raw.capacity == Some(RawCapacity::Spot) {
            return Err(source.error(
                &at.key("capacity"),
                "a critical job is never on Spot: expected on-demand, or remove the key",
            ));
        }
        rules.push(RetryRule {
            on,
            exit_codes: raw.exit_codes.0.into_iter().map(|Whole(code)| code.cast_signed()).collect(),
            limit,
            backoff: raw.backoff.map_or(Duration::ZERO, |backoff| backoff.span),
            capacity: raw.capacity.map(|capacity| match capacity {
                RawCapacity::Spot => Capacity::Spot,
                RawCapacity::OnDemand => Capacity::OnDemand,
            }),
        });
    }
    Ok(RetryPolicy { rules })
}

/// Sorts the jobs so that each comes after the jobs that it needs.
fn order(source: &Source, jobs: &[Job]) -> Result<Vec<usize>, FileError> {
    let index: HashMap<&JobName, usize> = jobs.iter().enumerate().map(|(i, job)| (&job.name, i)).collect();
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut needed = Vec::with_capacity(job.needs.len());
        for (i, need) in job.needs.iter().enumerate() {
            match index.get(need) {
                Some(&found) => needed.push(found),
                None => {
                    let known = suggestion(need.as_str(), jobs.iter().map(|job| job.name.as_str()));
                    return Err(source.error(&job.path().key("needs").index(i), format!("there is no job `{need}`{known}")));
                }
            }
        }
        needs.push(needed);
    }

    let mut order = Vec::with_capacity(jobs.len());
    let mut done = vec![false; jobs.len()];
    for start in 0..jobs.len() {
        // The way down from `start`: each entry is a job and how many of its needs have been seen to.
        let mut way: Vec<(usize, usize)> = if done[start] { Vec::new() } else { vec![(start, 0)] };
        while let Some((job, seen)) = way.last_mut() {
            let job = *job;
            let Some(&need) = needs[job].get(*seen) else {
                done[job] = true;
                order.push(job);
                way.pop();
                continue;
            };
            *seen += 1;
            if let Some(begin) = way.iter().position(|(on_way, _)| *on_way == need) {
                return Err(cycle(source, jobs, way[begin..].iter().map(|(job, _)| *job)));
            }
            if !done[need] {
                way.push((need, 0));
            }
        }
    }
    Ok(order)
}

fn cycle(source: &Source, jobs: &[Job], members: impl Iterator<Item = usize>) -> FileError {
    let mut names: Vec<&str> = members.map(|i| jobs[i].name.as_str()).collect();
    let first = names.first().copied().unwrap_or_default();
    let at = FieldPath::top("jobs").key(first).key("needs");
    if names.len() == 1 {
        return source.error(&at, "the job waits for itself");
    }
    // A cycle of two hundred jobs would fill a notification without saying more.
    if names.len() > 20 {
        names.truncate(20);
        names.push("…");
    }
    names.push(first);
    source.error(&at, format!("the jobs wait for each other: {}", names.join(" → ")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawFile {
    #[serde(rename = "version")]
    _version: Version,
    jobs: Entries<Id<JobName>, RawJob>,
    concurrency: Option<RawConcurrency>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawJob {
    on: Option<RawOn>,
    agent: Id<AgentName>,
    run: Option<String>,
    buildspec: Option<String>,
    #[serde(default)]
    environment: Entries<EnvName, String>,
    #[serde(default)]
    critical: Flag,
    timeout: Option<Timespan>,
    queue_timeout: Option<Timespan>,
    #[serde(default)]
    relaunch: Relaunch,
    retry: Option<WordOr<Never, RawRule>>,
    #[serde(default)]
    needs: OneOrMany<Id<JobName>>,
    artifacts: Option<OneOrMany<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawEvents {
    push: Option<RawPush>,
}

/// What starts a job: events, or the word `manual`, for which `never` is the older name.
enum RawOn {
    Manual,
    Events(RawEvents),
}

impl<'de> Deserialize<'de> for RawOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = RawOn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping such as `push: { branches: [main] }`, or the word `manual`")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<RawOn, E> {
                match word {
                    "manual" | "never" => Ok(RawOn::Manual),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawOn, A::Error> {
                RawEvents::deserialize(MapAccessDeserializer::new(map)).map(RawOn::Events)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawPush {
    branches: Option<OneOrMany<Pattern>>,
    tags: Option<OneOrMany<Pattern>>,
    paths: Option<OneOrMany<Pattern>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawConcurrency {
    #[serde(default)]
    supersede: Flag,
    except: Option<OneOrMany<Pattern>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRule {
    on: Option<WordOr<RetryOn, RetryOn>>,
    #[serde(default)]
    exit_codes: OneOrMany<Whole>,
    limit: Option<Whole>,
    backoff: Option<Timespan>,
    capacity: Option<RawCapacity>,
}

/// The capacities to choose from. A CodeBuild agent has only one.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawCapacity {
    Spot,
    OnDemand,
}

/// The word `never` in place of retry rules.
struct Never;

impl Word for Never {
    const EXPECTED: &'static str = "a list of rules, or the word `never`";
}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "never" {
            Ok(Self)
        } else {
            Err(serde::de::Error::custom(format!(
                "{} is not a valid retry policy: expected {}",
                quoted(&text),
                Self::EXPECTED
            )))
        }
    }
}

impl Word for RetryOn {
    const EXPECTED: &'static str = "interrupted, infrastructure, failure or timeout, or a list of these";
}

/// The name of a variable that the file sets.
struct EnvName(String);

impl<'de> Deserialize<'de> for EnvName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let fits = !name.starts_with(|c: char| c.is_ascii_digit())
            && (1..=255).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits {
            return Err(serde::de::Error::custom(format!(
                "{} is not a valid name of a variable: expected letters, digits and _, not beginning with a digit",
                quoted(&name)
            )));
        }
        // CodeBuild refuses its own prefix in the overrides of a build.
        if name == "CI" || ["BELLHOP_", "AWS_", "CODEBUILD_"].iter().any(|prefix| name.starts_with(prefix)) {
            return Err(serde::de::Error::custom(format!(
                "{} is set for the job: expected another name than CI, BELLHOP_…, AWS_… and CODEBUILD_…",
                quoted(&name)
            )));
        }
        Ok(Self(name))
    }
}
