//! What the engine needs of the world, in the words of the domain. `bellhop-aws` fulfils these ports with AWS; tests and the simulation with
//! stateful stand-ins.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::Capacity;
use bellhop_domain::build::{Build, Refusal};
use bellhop_domain::ids::{AgentId, AttemptId, BuildId, CommitId, JobName, Reference, RepositoryName, RunId};
use bellhop_domain::message::Message;
use bellhop_domain::observation::{Observation, Report};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::Run;
use bellhop_domain::spec::BuildSpec;
use jiff::Timestamp;

use crate::Fault;

/// A record as it was read, with the version that the next write must find unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// Grows by one with each write; a new record has version 1.
    pub version: u64,
    /// The record.
    pub record: T,
}

/// What [`Ledger::create`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The run is new.
    New,
    /// A run of this id was there already, and was left as it is.
    AlreadyExists,
}

/// What a conditional write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is stored, under this version.
    Stored(u64),
    /// Somebody else was faster: load again and decide again.
    Conflict,
}

/// A record that is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DueItem {
    /// A run.
    Run(RunId),
    /// A build.
    Build(BuildId),
}

/// The memory of the suite. Reads are strongly consistent, except those of [`Ledger::due`].
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Stores a new run and its builds, unless a run of its id exists. The run is never visible without all of its builds. Up to
    /// [`TRANSACTION`] records are stored in one step; beyond that, the builds are stored first and must therefore be blocked.
    async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault>;

    /// Reads a run.
    async fn run(&self, id: &RunId) -> Result<Option<Versioned<Run>>, Fault>;

    /// Reads a build.
    async fn build(&self, id: &BuildId) -> Result<Option<Versioned<Build>>, Fault>;

    /// Reads all builds of a run, in no particular order.
    async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault>;

    /// Replaces a run, if it still has the version.
    async fn update_run(&self, expected: u64, next: &Run) -> Result<Written, Fault>;

    /// Replaces a build, if it still has the version.
    async fn update_build(&self, expected: u64, next: &Build) -> Result<Written, Fault>;

    /// Up to `limit` records that are due by now, those due longest first. May miss what was written in the last moments.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<DueItem>, Fault>;

    /// Notes how a run (or one job of it) on a branch or tag ended, and gives how the one before it ended. Noting the same run again gives the same
    /// answer. `None` if there is none before it, or a newer one has been noted already.
    async fn note_outcome(&self, of: &Lineage, run: &RunId, created: Timestamp, outcome: Outcome) -> Result<Option<Outcome>, Fault>;

    /// The newest runs of a repository, newest first.
    async fn runs_of(&self, repository: &RepositoryName, limit: usize) -> Result<Vec<Versioned<Run>>, Fault>;
}

/// The most records that [`Ledger::create`] stores in one step: the limit of a DynamoDB transaction.
pub const TRANSACTION: usize = 100;

/// What follows what: the runs of a branch or tag, or the builds of one job on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lineage {
    /// The repository.
    pub repository: RepositoryName,
    /// The branch or tag.
    pub reference: Reference,
    /// The job; none for whole runs.
    pub job: Option<JobName>,
}

/// What came of asking for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// There is one, new or from an earlier try with the same token.
    Accepted(AgentId),
    /// There is none.
    Refused(Refusal),
}

/// Where agents come from: an executor's service.
#[async_trait]
pub trait Agents: Send + Sync {
    /// Launches an agent for an attempt, under the attempt's and capacity's token: however often it is called, there is one agent.
    ///
    /// # Errors
    /// When it is not known whether an agent came of it. The effect stays in the outbox then.
    async fn launch(&self, spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity) -> Result<Launch, Fault>;

    /// Asks an agent to stop. An agent that has stopped, or is not known any more, is no error.
    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault>;

    /// The agents that carry an attempt's name and are not known to have stopped.
    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault>;

    /// How agents are. An agent that the service does not know any more comes without an observation; one that it
    /// describes in a way that is not understood does not come at all.
    ///
    /// Where only a part of them can be asked for, the others are answered all the same, and the first fault comes beside the answers.
    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>);
}

/// Where the pushed code is.
#[async_trait]
pub trait Source: Send + Sync {
    /// A file's text at a commit; `None` if the file, the commit or the repository is not there.
    async fn file(&self, repository: &RepositoryName, commit: &CommitId, path: &str) -> Result<Option<SourceFile>, Fault>;

    /// A commit's message; `None` if the commit or the repository is not there.
    async fn message(&self, repository: &RepositoryName, commit: &CommitId) -> Result<Option<String>, Fault>;

    /// The paths that differ between two commits; `None` if there are more than the comparison is good for, or one of the commits is gone.
    async fn changed(&self, repository: &RepositoryName, before: &CommitId, after: &CommitId) -> Result<Option<Vec<String>>, Fault>;
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFile {
    /// Its text.
    Text(String),
    /// It is no UTF-8 text.
    NotText,
    /// The service does not hand out files of its size.
    TooLarge,
}

/// The suite's bucket.
#[async_trait]
pub trait Store: Send + Sync {
    /// The bucket's name, which agents are told.
    fn bucket(&self) -> &str;

    /// Where the suite configuration is, for people: `s3://…`.
    fn configuration_place(&self) -> String;

    /// The text of the suite configuration; `None` if it is not there. Read again only when it changed.
    async fn configuration(&self) -> Result<Option<String>, Fault>;

    /// Keeps a text under a key.
    async fn put(&self, key: &str, content_type: &str, text: String) -> Result<(), Fault>;

    /// What an attempt's agent left about its script, if it left anything that can be read.
    async fn agent_report(&self, attempt: &AttemptId) -> Result<Option<Report>, Fault>;
}

/// Who tells people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends a message. It may reach its readers more than once.
    async fn publish(&self, message: &Message) -> Result<(), Fault>;
}

/// The time, and waiting for it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits about this long.
    async fn pause(&self, about: Duration);
}
