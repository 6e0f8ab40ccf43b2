//! The suite configuration, `config/bellhop.yaml`: the administrators' agents, and what else belongs to the suite.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::agents::{Agent, RawAgent};
use super::error::{FieldPath, FileError, SUITE_FILE, quoted, shown, suggestion};
use super::pipeline::script;
use super::source::Source;
use super::values::{Arn, Document, Entries, Flag, Id, Name, OneOrMany, Timespan, Version};
use crate::alarm::{Remedy, RemedyAction};
use crate::backup::restore::{self, Resource};
use crate::backup::{Definition, RestoreTest};
use crate::ids::{AgentName, JobName, RepositoryName};
use crate::spec::{Executor, Successes};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The shortest time between two remedies, if the file does not say.
const DEFAULT_AT_MOST_EVERY: Duration = Duration::from_secs(30 * 60);

/// A suite configuration that is right in itself: every agent and job that is named in it is defined in it.
#[derive(Debug, Clone)]
pub struct SuiteConfig {
    pub(super) source: Source,
    /// The agent templates.
    pub agents: BTreeMap<AgentName, Agent>,
    /// The repositories that may run jobs, and on which agents. With `None`, every repository may use every agent that is not restricted.
    pub repositories: Option<BTreeMap<RepositoryName, Repository>>,
    /// Jobs of the suite.
    pub jobs: BTreeMap<JobName, SuiteJob>,
    /// Rules for alarms. The first one that matches counts.
    pub alarms: Vec<Alarm>,
    /// Backups to start and to watch, by name.
    pub backups: BTreeMap<String, Definition>,
    /// Which messages are sent.
    pub notify: Notify,
}

/// What a repository may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The agents.
    pub agents: BTreeSet<AgentName>,
}

/// A job of the suite. An alarm, a schedule or a request starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteJob {
    /// The agent template that executes it.
    pub agent: AgentName,
    /// The repository that it checks out.
    pub repository: RepositoryName,
    /// The branch that it checks out.
    pub branch: String,
    /// Its shell script.
    pub run: String,
}

/// What to do about the alarms of a name.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// The names.
    pub name: AlarmPattern,
    /// What to do.
    pub remedy: Remedy,
}

/// Which messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Notify {
    /// Which successes give a message.
    #[serde(default)]
    pub successes: Successes,
}

impl SuiteConfig {
    /// The clusters that agents run in, each once.
    #[must_use]
    pub fn clusters(&self) -> BTreeSet<String> {
        let executors = self.agents.values().filter_map(|agent| match &agent.executor {
            Executor::Ecs(ecs) => Some(ecs),
            Executor::CodeBuild(_) => None,
        });
        executors
            .flat_map(|ecs| ecs.spot_cluster.iter().chain([&ecs.on_demand_cluster]))
            .cloned()
            .collect()
    }

    /// The error for a request of a job that the suite does not have.
    #[must_use]
    pub fn no_job(&self, name: &JobName) -> String {
        let known = suggestion(name.as_str(), self.jobs.keys().map(JobName::as_str));
        format!("{SUITE_FILE}, jobs: there is no job `{name}`{known}")
    }

    /// What to do about an alarm; `None` where no rule matches.
    #[must_use]
    pub fn remedy(&self, alarm: &str) -> Option<&Remedy> {
        self.alarms.iter().find(|rule| rule.name.matches(alarm)).map(|rule| &rule.remedy)
    }

    /// Whether an alarm can pause starts.
    #[must_use]
    pub fn pauses(&self) -> bool {
        self.alarms
            .iter()
            .any(|rule| rule.remedy.action == RemedyAction::PauseStarts && !rule.remedy.dry_run)
    }

    /// Reads and checks the text of a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let source = Source::new(SUITE_FILE, text)?;
        let Document(raw): Document<RawSuite> = source.read()?;
        let mut agents = BTreeMap::new();
        for (Id(name), raw) in raw.agents.0 {
            let agent = raw.read(&source, &FieldPath::top("agents").key(&name))?;
            agents.insert(name, agent);
        }
        let check = Check {
            source: &source,
            agents: &agents,
        };
        let repositories = raw.repositories.map(|raw| check.repositories(raw)).transpose()?;
        let jobs = check.jobs(raw.jobs)?;
        let backups = check.backups(raw.backups)?;
        let alarms = check.alarms(raw.alarms, &jobs, &backups)?;
        Ok(Self {
            source,
            agents,
            repositories,
            jobs,
            alarms,
            backups,
            notify: raw.notify,
        })
    }
}

/// Checks sections that name agents and jobs of the same file.
struct Check<'a> {
    source: &'a Source,
    agents: &'a BTreeMap<AgentName, Agent>,
}

impl Check<'_> {
    fn defined(&self, at: &FieldPath, name: &AgentName) -> Result<(), FileError> {
        if self.agents.contains_key(name) {
            return Ok(());
        }
        let known = suggestion(name.as_str(), self.agents.keys().map(AgentName::as_str));
        Err(self.source.error(at, format!("there is no agent `{name}`{known}")))
    }

    fn repositories(&self, raw: Entries<Id<RepositoryName>, RawRepository>) -> Result<BTreeMap<RepositoryName, Repository>, FileError> {
        let mut repositories = BTreeMap::new();
        for (Id(name), raw) in raw.0 {
            let at = FieldPath::top("repositories").key(&name).key("agents");
            for (i, Id(agent)) in raw.agents.0.iter().enumerate() {
                self.defined(&at.clone().index(i), agent)?;
            }
            let agents = raw.agents.0.into_iter().map(|Id(agent)| agent).collect();
            repositories.insert(name, Repository { agents });
        }
        Ok(repositories)
    }

    fn jobs(&self, raw: Entries<Id<JobName>, RawSuiteJob>) -> Result<BTreeMap<JobName, SuiteJob>, FileError> {
        let mut jobs = BTreeMap::new();
        for (Id(name), raw) in raw.0 {
            let at = FieldPath::top("jobs").key(&name);
            self.defined(&at.clone().key("agent"), &raw.agent.0)?;
            let job = SuiteJob {
                agent: raw.agent.0,
                repository: raw.repository.0,
                branch: raw.branch.0,
                run: script(self.source, &at.key("run"), raw.run)?,
            };
            jobs.insert(name, job);
        }
        Ok(jobs)
    }

    fn alarms(
        &self,
        raw: Vec<RawAlarm>,
        jobs: &BTreeMap<JobName, SuiteJob>,
        backups: &BTreeMap<String, Definition>,
    ) -> Result<Vec<Alarm>, FileError> {
        let mut alarms = Vec::with_capacity(raw.len());
        for (i, raw) in raw.into_iter().enumerate() {
            let at = FieldPath::top("alarms").index(i);
            let name = raw.name.clone();
            let remedy = self.remedy(&at, raw, jobs, backups)?;
            alarms.push(Alarm { name, remedy });
        }
        Ok(alarms)
    }

    fn remedy(
        &self,
        at: &FieldPath,
        raw: RawAlarm,
        jobs: &BTreeMap<JobName, SuiteJob>,
        backups: &BTreeMap<String, Definition>,
    ) -> Result<Remedy, FileError> {
        let mut at_most_every = raw.at_most_every;
        let (action, default) = match (raw.restart_service, raw.run_job, raw.back_up_now, raw.pause_starts) {
            (Some(restart), None, None, None) => {
                if at_most_every.is_some() && restart.at_most_every.is_some() {
                    let message = "`at-most-every` is also in `restart-service`: keep one of them";
                    return Err(self.source.error(&at.clone().key("at-most-every"), message));
                }
                at_most_every = restart.at_most_every.or(at_most_every);
                let action = RemedyAction::RestartService {
                    cluster: restart.cluster.0,
                    service: restart.service.0,
                };
                (action, DEFAULT_AT_MOST_EVERY)
            }
            (None, Some(Id(job)), None, None) => {
                if !jobs.contains_key(&job) {
                    let known = suggestion(job.as_str(), jobs.keys().map(JobName::as_str));
                    let message = format!("there is no job `{job}` in this file{known}");
                    return Err(self.source.error(&at.clone().key("run-job"), message));
                }
                (RemedyAction::RunJob(job), DEFAULT_AT_MOST_EVERY)
            }
            (None, None, Some(Name(name)), None) => {
                if !backups.contains_key(&name) {
                    let known = suggestion(&name, backups.keys().map(String::as_str));
                    let message = format!("there is no backup `{name}` in this file{known}");
                    return Err(self.source.error(&at.clone().key("back-up-now"), message));
                }
                (RemedyAction::BackUp(name), DEFAULT_AT_MOST_EVERY)
            }
            (None, None, None, Some(Flag(true))) if at_most_every.is_some() => {
                let message = "`pause-starts` cannot have `at-most-every`: a pause lasts as long as its alarm";
                return Err(self.source.error(&at.clone().key("at-most-every"), message));
            }
            (None, None, None, Some(Flag(true))) => (RemedyAction::PauseStarts, Duration::ZERO),
            (None, None, None, Some(Flag(false))) => {
                let message = "`pause-starts` can only be true: to pause nothing, remove the rule";
                return Err(self.source.error(&at.clone().key("pause-starts"), message));
            }
            _ => {
                let message = "expected exactly one of `restart-service`, `run-job`, `back-up-now` and `pause-starts`";
                return Err(self.source.error(at, message));
            }
        };
        Ok(Remedy {
            action,
            at_most_every: at_most_every.map_or(default, |span| span.span),
            dry_run: raw.dry_run.0,
        })
    }

    fn backups(&self, raw: Entries<Name, RawBackup>) -> Result<BTreeMap<String, Definition>, FileError> {
        let mut backups = BTreeMap::new();
        for (Name(name), raw) in raw.0 {
            let at = FieldPath::top("backups").key(&name);
            let Arn(resource) = raw.resource;
            // The service counts in these units.
            let whole = |key: &str, value: Option<Timespan>, unit: Duration, expected: &str| match value {
                Some(value) if value.span.is_zero() || value.span.as_nanos() % unit.as_nanos() != 0 => {
                    let message = format!("{} is not valid: expected {expected}", quoted(&value.text));
                    Err(self.source.error(&at.clone().key(key), message))
                }
                value => Ok(value.map(|value| value.span)),
            };
            let minutes = |key: &str, value| whole(key, value, MINUTE, "whole minutes, at least 1m");
            let days = |key: &str, value| whole(key, value, DAY, "whole days, at least 1d");
            let restore_test = raw
                .restore_test
                .map(|raw| self.restore_test(&at.clone().key("restore-test"), &resource, raw))
                .transpose()?;
            let backup = Definition {
                resource,
                vault: raw.vault.0,
                role: raw.role.0,
                start_within: minutes("start-within", raw.start_within)?,
                complete_within: minutes("complete-within", raw.complete_within)?,
                cold_after: days("cold-after", raw.cold_after)?,
                delete_after: days("delete-after", raw.delete_after)?,
                copy_to: raw.copy_to.map(|Arn(arn)| arn),
                newest_at_most: minutes("newest-at-most", raw.newest_at_most)?,
                restore_test,
            };
            // AWS Backup's rules. It would refuse each backup otherwise, and only when the backup is due.
            if backup.start_within.is_some_and(|start| start < HOUR) {
                return Err(self.source.error(&at.key("start-within"), "expected at least 1h"));
            }
            self.windows(&at, &backup)?;
            if let (Some(cold), Some(delete)) = (backup.cold_after, backup.delete_after)
                && delete.saturating_sub(cold) < 90 * DAY
            {
                return Err(self
                    .source
                    .error(&at.key("delete-after"), "expected at least 90 days more than `cold-after`"));
            }
            backups.insert(name, backup);
        }
        Ok(backups)
    }

    /// AWS Backup requires 60 minutes between the end of the start window and the end of the backup window. A window that is left out has its default length.
    fn windows(&self, at: &FieldPath, backup: &Definition) -> Result<(), FileError> {
        let start = backup.start_within.unwrap_or(8 * HOUR);
        let complete = backup.complete_within.unwrap_or(7 * DAY);
        if complete >= start.saturating_add(HOUR) {
            return Ok(());
        }
        let (key, message) = match (backup.start_within, backup.complete_within) {
            (Some(_), Some(_)) => ("complete-within", "expected at least 60 minutes more than `start-within`"),
            (None, _) => (
                "complete-within",
                "expected at least 60 minutes more than `start-within`, which is 8h where it is left out",
            ),
            (_, None) => (
                "start-within",
                "expected at least 60 minutes less than `complete-within`, which is 7d where it is left out",
            ),
        };
        Err(self.source.error(&at.clone().key(key), message))
    }

    fn restore_test(&self, at: &FieldPath, resource: &str, raw: RawRestoreTest) -> Result<RestoreTest, FileError> {
        let Some(Resource { kind, .. }) = Resource::of(resource) else {
            // Bellhop could not remove what the restore creates, and it would cost money.
            let message = format!("restores of this resource cannot be tested: expected {}", restore::TESTABLE);
            return Err(self.source.error(at, message));
        };
        if raw.every.span < HOUR {
            return Err(self.source.error(&at.clone().key("every"), "expected at least 1h"));
        }
        let metadata: BTreeMap<String, String> = raw.metadata.0.into_iter().map(|(Name(key), Name(value))| (key, value)).collect();
        let has = |key: &str| metadata.keys().any(|other| other.eq_ignore_ascii_case(key));
        if let Some(key) = kind.own_keys().iter().find(|key| has(key)) {
            let at = at.clone().key("metadata");
            return Err(self
                .source
                .error(&at, format!("`{key}` is set by Bellhop, so that the restore creates something new")));
        }
        if let Some(key) = kind.required_keys().iter().find(|key| !has(key)) {
            let message = format!("missing key `{key}`: Bellhop cannot determine it");
            return Err(self.source.error(&at.clone().key("metadata"), message));
        }
        Ok(RestoreTest {
            every: raw.every.span,
            role: raw.role.map(|Arn(arn)| arn),
            metadata,
        })
    }
}

/// A pattern for the names of alarms. `*` matches `/` too.
#[derive(Debug, Clone)]
pub struct AlarmPattern(globset::GlobMatcher);

impl AlarmPattern {
    /// Whether the alarm's name fits.
    #[must_use]
    pub fn matches(&self, alarm: &str) -> bool {
        self.0.is_match(alarm)
    }
}

impl<'de> Deserialize<'de> for AlarmPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Name(text) = Name::deserialize(deserializer)?;
        match globset::Glob::new(&text) {
            Ok(glob) => Ok(Self(glob.compile_matcher())),
            Err(error) => Err(serde::de::Error::custom(format!(
                "{} is not a valid pattern: {}",
                quoted(&text),
                shown(&error.kind().to_string(), 100)
            ))),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawSuite {
    #[serde(rename = "version")]
    _version: Version,
    agents: Entries<Id<AgentName>, RawAgent>,
    repositories: Option<Entries<Id<RepositoryName>, RawRepository>>,
    #[serde(default)]
    jobs: Entries<Id<JobName>, RawSuiteJob>,
    #[serde(default)]
    alarms: Vec<RawAlarm>,
    #[serde(default)]
    backups: Entries<Name, RawBackup>,
    #[serde(default)]
    notify: Notify,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRepository {
    agents: OneOrMany<Id<AgentName>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawSuiteJob {
    agent: Id<AgentName>,
    repository: Id<RepositoryName>,
    branch: Name,
    run: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawAlarm {
    name: AlarmPattern,
    restart_service: Option<RawRestart>,
    run_job: Option<Id<JobName>>,
    back_up_now: Option<Name>,
    pause_starts: Option<Flag>,
    at_most_every: Option<Timespan>,
    #[serde(default)]
    dry_run: Flag,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRestart {
    cluster: Name,
    service: Name,
    at_most_every: Option<Timespan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawBackup {
    resource: Arn,
    vault: Name,
    role: Arn,
    start_within: Option<Timespan>,
    complete_within: Option<Timespan>,
    cold_after: Option<Timespan>,
    delete_after: Option<Timespan>,
    copy_to: Option<Arn>,
    newest_at_most: Option<Timespan>,
    restore_test: Option<RawRestoreTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRestoreTest {
    every: Timespan,
    role: Option<Arn>,
    #[serde(default)]
    metadata: Entries<Name, Name>,
}
