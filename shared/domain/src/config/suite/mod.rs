//! The suite configuration, `config/bellhop.yaml`: the administrators' agents, and what else belongs to the suite.
//!
//! Here is the file as a whole: its sections, and the checks of repositories and jobs. `alarms` has the rules for alarms and `backups` the backups;
//! both add their checks to `defined::Check`. The keys and values of an agent template are in `executor`, those of a remedy in `alarm::remedy`.
//! Types that begin with `Raw` are the file's text as serde reads it; the others are checked.
//!
//! A mistake is a [`FileError`] with its field. Nothing here reads the bucket or a pipeline file. Look first at [`SuiteConfig::parse`].

mod alarms;
mod backups;
mod defined;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::pipeline::{EnvName, RawSecret, script, secrets};
use crate::alarm::Remedy;
use crate::backup::Definition;
use crate::executor::target::{RawTarget, Target};
use crate::executor::{AgentTemplate, Demand, RawTemplate, Script, Unmet};
use crate::ids::{AgentName, JobName, Reference, RepositoryName, RoleArn, TargetName};
use crate::patterns::{RefPattern, Refs};
use crate::secret::{self, Secrets};
use crate::spec::Successes;
use crate::yaml::Source;
use crate::yaml::{Document, Entries, Id, Name, OneOrMany, Version};
use crate::yaml::{FieldPath, FileError, SUITE_FILE, suggestion};
pub use alarms::Alarm;
use alarms::RawAlarm;
use backups::RawBackup;
use defined::Check;

/// A suite configuration that is right in itself: every agent and job that is named in it is defined in it.
#[derive(Debug, Clone)]
pub struct SuiteConfig {
    pub(super) source: Source,
    /// The agent templates.
    pub agents: BTreeMap<AgentName, AgentTemplate>,
    /// The repositories that may run jobs, and on which agents. With `None`, every repository may use every agent that is not restricted.
    pub repositories: Option<BTreeMap<RepositoryName, Repository>>,
    /// The targets of deployments.
    pub targets: BTreeMap<TargetName, Target>,
    /// Jobs of the suite.
    pub jobs: BTreeMap<JobName, SuiteJob>,
    /// Rules for alarms. The first one that matches counts.
    pub alarms: Vec<Alarm>,
    /// Backups to start and to watch, by name.
    pub backups: BTreeMap<String, Definition>,
    /// Which messages are sent.
    pub notify: Notify,
}

/// What jobs of a repository may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The agents.
    pub agents: BTreeSet<AgentName>,
    /// The role of its jobs' agents; `None` for that of each agent template.
    pub role: Option<RoleArn>,
    /// Its protected branches and tags.
    pub protected: Option<Protected>,
}

impl Repository {
    /// The role of jobs on a branch or tag, if the commit is known to be on it, or else on no particular one.
    #[must_use]
    pub fn role_on(&self, reference: Option<&Reference>) -> Option<&RoleArn> {
        let protected = self.protected.as_ref();
        let protected = protected.filter(|protected| reference.is_some_and(|reference| protected.refs.include(reference)));
        protected.map(|protected| &protected.role).or(self.role.as_ref())
    }
}

/// Branches and tags whose jobs have a role of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// The branches and tags.
    pub refs: Refs,
    /// The role of their jobs' agents.
    pub role: RoleArn,
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
    /// Secrets of the repository for its script.
    pub secrets: Secrets,
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
        let executors = self.agents.values().map(|agent| agent.executor.kind());
        executors.flat_map(|kind| kind.clusters()).map(ToOwned::to_owned).collect()
    }

    /// The error for a request of a job that the suite does not have.
    #[must_use]
    pub fn no_job(&self, name: &JobName) -> String {
        let known = suggestion(name.as_str(), self.jobs.keys().map(JobName::as_str));
        format!("{SUITE_FILE}, jobs: there is no job `{name}`{known}")
    }

    /// The role of a repository's jobs on a branch or tag, or else on no particular one; `None` for that of each agent template.
    #[must_use]
    pub fn role(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<&RoleArn> {
        self.repositories.as_ref()?.get(repository)?.role_on(reference)
    }

    /// The remedy for an alarm; `None` if no rule matches.
    #[must_use]
    pub fn remedy(&self, alarm: &str) -> Option<&Remedy> {
        self.alarms.iter().find(|rule| rule.name.matches(alarm)).map(|rule| &rule.remedy)
    }

    /// Whether an alarm can pause launches.
    #[must_use]
    pub fn pauses(&self) -> bool {
        self.alarms.iter().any(|rule| rule.remedy.is_pause() && !rule.remedy.dry_run)
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
        let mut targets = BTreeMap::new();
        for (Id(name), raw) in raw.targets.0 {
            let target = raw.read(&source, &FieldPath::top("targets").key(&name))?;
            targets.insert(name, target);
        }
        let jobs = check.jobs(raw.jobs)?;
        let backups = check.backups(raw.backups)?;
        let names_of_jobs: Vec<&str> = jobs.keys().map(JobName::as_str).collect();
        let names_of_backups: Vec<&str> = backups.keys().map(String::as_str).collect();
        let alarms = check.alarms(raw.alarms, &names_of_jobs, &names_of_backups)?;
        Ok(Self {
            source,
            agents,
            repositories,
            targets,
            jobs,
            alarms,
            backups,
            notify: raw.notify,
        })
    }
}

impl Check<'_> {
    fn repositories(&self, raw: Entries<Id<RepositoryName>, RawRepository>) -> Result<BTreeMap<RepositoryName, Repository>, FileError> {
        let mut repositories = BTreeMap::new();
        for (Id(name), raw) in raw.0 {
            let at = FieldPath::top("repositories").key(&name).key("agents");
            for (i, Id(agent)) in raw.agents.0.iter().enumerate() {
                self.defined(&at.clone().index(i), agent)?;
            }
            let at = FieldPath::top("repositories").key(&name).key("protected").key("refs");
            let protected = raw.protected.map(|raw| {
                Ok(Protected {
                    refs: Refs::read(self.source, &at, raw.refs)?,
                    role: raw.role.0,
                })
            });
            let repository = Repository {
                agents: raw.agents.0.into_iter().map(|Id(agent)| agent).collect(),
                role: raw.role.map(|Id(role)| role),
                protected: protected.transpose()?,
            };
            repositories.insert(name, repository);
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
                run: script(self.source, &at.clone().key("run"), raw.run)?,
                secrets: secrets(self.source, &at.clone().key("secrets"), raw.secrets, &BTreeMap::new())?,
            };
            self.possible(&at, &job)?;
            jobs.insert(name, job);
        }
        Ok(jobs)
    }

    /// Checks that the job's agent can do what it asks for.
    fn possible(&self, at: &FieldPath, job: &SuiteJob) -> Result<(), FileError> {
        let Some(template) = self.agents.get(&job.agent) else {
            return Ok(());
        };
        let demand = Demand {
            agent: job.agent.as_str(),
            script: &Script::Inline(job.run.clone()),
            environment: &BTreeMap::new(),
            secrets: &secret::lines(&job.secrets, &job.repository),
            artifacts: &[],
            fetches: false,
        };
        let checked = template.executor.kind().check(&demand);
        checked.map_err(|Unmet { key, message }| self.source.error(&at.clone().key(key), message))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawSuite {
    #[serde(rename = "version")]
    _version: Version,
    agents: Entries<Id<AgentName>, RawTemplate>,
    repositories: Option<Entries<Id<RepositoryName>, RawRepository>>,
    #[serde(default)]
    targets: Entries<Id<TargetName>, RawTarget>,
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
    role: Option<Id<RoleArn>>,
    protected: Option<RawProtected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawProtected {
    refs: OneOrMany<RefPattern>,
    role: Id<RoleArn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawSuiteJob {
    agent: Id<AgentName>,
    repository: Id<RepositoryName>,
    branch: Name,
    run: String,
    #[serde(default)]
    secrets: Entries<EnvName, RawSecret>,
}
