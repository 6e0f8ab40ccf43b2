//! The engine's interfaces to external services, in domain types. `bellhop-aws` implements these ports with AWS, tests and the simulation with
//! stateful fakes.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::backup::{Definition, JobKind, JobSeen, Point, RemovalSeen};
use bellhop_domain::branch::Branch;
use bellhop_domain::build::{Build, Refusal};
use bellhop_domain::found::Artifact;
use bellhop_domain::ids::{
    AgentId, AgentName, AttemptId, BuildId, CommitId, InstanceId, LaunchId, PipelineJobId, Reference, RepositoryName, RunId,
};
use bellhop_domain::instance::{ForeignTask, Host};
use bellhop_domain::measure::Measure;
use bellhop_domain::message::Message;
use bellhop_domain::observation::{Observation, Report};
use bellhop_domain::pipeline::PipelineAnswer;
use bellhop_domain::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_domain::spec::BuildSpec;
use jiff::Timestamp;

use crate::Fault;

/// A record with its version, which must be unchanged at the next write.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// Grows by one with each write; a new record has version 1.
    pub version: u64,
    /// The record.
    pub record: T,
}

/// The result of [`Ledger::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The run is new.
    New,
    /// A run with this id existed already, and was not changed.
    AlreadyExists,
}

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was stored with this version.
    Stored(u64),
    /// Another writer was faster: load and decide again.
    Conflict,
}

/// A part of the due records that is read and processed separately, so that it does not wait for the other part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Builds that are due for a launch ([`Build::is_due_for_launch`]). The rate limits of a service determine their pace.
    Launches,
    /// Everything else.
    Rest,
}

impl Lane {
    /// The lane of a build.
    #[must_use]
    pub fn of(build: &Build) -> Self {
        if build.is_due_for_launch() { Self::Launches } else { Self::Rest }
    }
}

/// A record that is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DueItem {
    /// A run.
    Run(RunId),
    /// A build.
    Build(BuildId),
    /// The slots of an agent template.
    Pool(AgentName),
    /// A branch whose pushes supersede each other.
    Branch(RepositoryName, Reference),
    /// Another record than a run or a build.
    Document(DocumentKey),
}

/// The kind of another record than a run or a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A container instance that EC2 interrupts.
    Instance,
    /// An alarm.
    Alarm,
    /// A backup.
    Backup,
    /// The newest remedy of a target.
    Claim,
    /// The alarms that pause launches.
    Pause,
    /// The results of a branch's or tag's jobs.
    Standing,
    /// The suite configuration, if it is invalid.
    Configuration,
}

/// The key of another record than a run or a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentKey {
    /// Its kind.
    pub kind: DocumentKind,
    /// Its name within that kind.
    pub name: String,
}

/// Another record than a run or a build, as the ledger stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its key.
    pub key: DocumentKey,
    /// The record as JSON.
    pub text: String,
    /// When it is due next.
    pub due: Option<Timestamp>,
    /// When DynamoDB may delete it.
    pub expires: Option<Timestamp>,
}

impl std::fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            DocumentKind::Instance => "instance",
            DocumentKind::Alarm => "alarm",
            DocumentKind::Backup => "backup",
            DocumentKind::Claim => "claim",
            DocumentKind::Pause => "pause",
            DocumentKind::Standing => "standing",
            DocumentKind::Configuration => "configuration",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// The suite's storage. Reads are strongly consistent, except those of [`Ledger::due`].
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Stores a new run and its builds, unless a run with its id exists. The run is never visible without all of its builds. Builds within
    /// [`fits_transaction`] are stored together with the run; otherwise the builds are stored first, and must therefore be blocked.
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

    /// Reads the slots of an agent template.
    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault>;

    /// Replaces the slots of an agent template, if they still have the version; creates them if the version is 0 and there are none.
    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault>;

    /// Reads a branch.
    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault>;

    /// Replaces a branch, if it still has the version; creates it if the version is 0 and there is none.
    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault>;

    /// Reads another record than a run or a build, as JSON.
    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault>;

    /// Replaces such a record, if it still has the version; creates it if the version is 0 and there is none.
    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault>;

    /// Up to `limit` records of a lane that are due, the most overdue first, each with the time since which it is due. May miss very recent writes.
    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault>;

    /// The newest runs of a repository, newest first: those before a [place in the list](Run::place_in_list), if given.
    async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Versioned<Run>>, Fault>;
}

/// The most records that [`Ledger::create`] stores in one step: the limit of a DynamoDB transaction.
pub const TRANSACTION: usize = 100;
/// The most bytes of the builds' specifications in one step. The limit of a DynamoDB transaction is 4 MB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>); the rest is left for the run and other data of the
/// records.
const TRANSACTION_BYTES: usize = 3_000_000;

/// Whether a run of these builds is created in one step.
pub fn fits_transaction<'a>(specs: impl ExactSizeIterator<Item = &'a BuildSpec>) -> bool {
    // A value that cannot be written as JSON cannot be stored; storing it returns the error.
    let length = |spec| serde_json::to_vec(spec).map_or(0, |json| json.len());
    specs.len() < TRANSACTION && specs.map(length).sum::<usize>() <= TRANSACTION_BYTES
}

/// The result of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// There is an agent, new or from an earlier try with the same token.
    Accepted(AgentId),
    /// There is no agent.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Whether the service answers the launch's token with this refusal from now on: the next try then needs another token.
        spent: bool,
    },
}

impl Launch {
    /// A refusal after which the launch's token can be used again.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self::Refused { refusal, spent: false }
    }
}

/// A service that runs agents.
#[async_trait]
pub trait Agents: Send + Sync {
    /// Launches an agent under the launch's token: repeated calls start one agent. `again` says that it may have been called before: CodeBuild
    /// remembers a token for only five minutes, and must then be queried first.
    ///
    /// # Errors
    /// If it is unknown whether an agent was started. The effect then stays in the outbox.
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault>;

    /// Stops an agent. If the agent has stopped, or no longer exists, that is not an error.
    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault>;

    /// The agents with an attempt's name that have not stopped, as far as known.
    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault>;

    /// The states of agents. An agent that no longer exists has no observation; one whose description cannot be parsed is left out.
    ///
    /// If only some of them can be described, their states are returned together with the first fault.
    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>);

    /// The attempt and state of an agent whose event does not identify it; `None` if it is foreign, or no longer exists.
    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault>;
}

/// A running task on an instance that was not asked to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// An attempt's agent, and its state.
    Agent(AttemptId, Observation),
    /// A foreign task.
    Foreign(ForeignTask),
}

/// The container instances of ECS.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// The place of an instance in these clusters; `None` if it belongs to none of them. Takes one call per cluster.
    async fn find(&self, instance: &InstanceId, clusters: &[String]) -> Result<Option<Host>, Fault>;

    /// The tasks on an instance. None if it no longer exists.
    async fn occupants(&self, host: &Host) -> Result<Vec<Occupant>, Fault>;

    /// Drains an instance. If it no longer exists, that is not an error.
    async fn drain(&self, host: &Host) -> Result<(), Fault>;

    /// Whether an instance exists and is drained.
    async fn is_draining(&self, instance: &InstanceId, host: &Host) -> Result<bool, Fault>;

    /// Reactivates an instance; returns whether it still exists.
    async fn activate(&self, host: &Host) -> Result<bool, Fault>;
}

/// The repositories with the source code.
#[async_trait]
pub trait Source: Send + Sync {
    /// A file at a commit; `None` if the file, the commit or the repository does not exist.
    async fn file(&self, repository: &RepositoryName, commit: &CommitId, path: &str) -> Result<Option<FileAt>, Fault>;

    /// The top folder at a commit, a branch or a tag; `None` if that or the repository does not exist.
    async fn root(&self, repository: &RepositoryName, at: &Place) -> Result<Option<Root>, Fault>;

    /// A commit's message; `None` if the commit or the repository does not exist.
    async fn message(&self, repository: &RepositoryName, commit: &CommitId) -> Result<Option<String>, Fault>;

    /// The paths that differ between two commits; `None` if there are too many, or one of the commits no longer exists.
    async fn changed(&self, repository: &RepositoryName, before: &CommitId, after: &CommitId) -> Result<Option<Vec<String>>, Fault>;

    /// The default branch of a repository; `None` if the repository does not exist or is empty.
    async fn default_branch(&self, repository: &RepositoryName) -> Result<Option<String>, Fault>;

    /// The commit at the tip of a branch; `None` if there is no such branch or repository.
    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault>;
}

/// A revision in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A commit.
    Commit(CommitId),
    /// The commit of a branch or tag.
    Reference(Reference),
}

/// A file and its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAt {
    /// The commit: another one than requested if the requested id was that of an annotated tag.
    pub commit: CommitId,
    /// Its content.
    pub content: SourceFile,
}

/// The top folder of a repository at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The commit.
    pub commit: CommitId,
    /// The names of the files in it.
    pub files: Vec<String>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFile {
    /// Its text.
    Text(String),
    /// It is not UTF-8 text.
    NotText,
    /// It is larger than the service allows.
    TooLarge,
}

/// The suite's bucket.
#[async_trait]
pub trait Store: Send + Sync {
    /// The bucket's name, for the agents' environment.
    fn bucket(&self) -> &str;

    /// The location of the suite configuration, for people: `s3://…`.
    fn configuration_place(&self) -> String;

    /// The text of the suite configuration; `None` if it does not exist. It is only read again after a change.
    async fn configuration(&self) -> Result<Option<String>, Fault>;

    /// The previous versions of the suite configuration, newest first, each with the time when it was stored, and its id. Only the newest of them;
    /// none if the bucket has no versioning.
    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault>;

    /// The text of such a version; `None` if it no longer exists.
    async fn earlier_configuration(&self, id: &str) -> Result<Option<String>, Fault>;

    /// Stores a text under a key.
    async fn put(&self, key: &str, content_type: &str, text: String) -> Result<(), Fault>;

    /// The report of an attempt's agent, if it exists and can be parsed.
    async fn agent_report(&self, attempt: &AttemptId) -> Result<Option<Report>, Fault>;

    /// The artifacts of an attempt: up to `limit` of them by path, and their total number (counted up to 10,000).
    async fn artifacts(&self, attempt: &AttemptId, limit: usize) -> Result<(Vec<Artifact>, u64), Fault>;

    /// The first `limit` bytes of an artifact; `None` if it does not exist.
    async fn artifact(&self, attempt: &AttemptId, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault>;
}

/// The response to a result for a CodePipeline job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// CodePipeline accepted it.
    Taken,
    /// The job is not open: it has a result, timed out, or its pipeline was stopped.
    NotOpen,
}

/// The pipelines that wait for runs: CodePipeline.
#[async_trait]
pub trait Pipelines: Send + Sync {
    /// Sends a job's result.
    async fn answer(&self, job: &PipelineJobId, answer: &PipelineAnswer) -> Result<Answered, Fault>;
}

/// The result of restarting a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restarted {
    /// New tasks are being started to replace the old ones, by this request or an earlier one.
    Yes,
    /// The service cannot be restarted. The text has the reason.
    No(String),
}

/// Long-running ECS services, such as a Jenkins controller.
#[async_trait]
pub trait Services: Send + Sync {
    /// Restarts a service with new tasks, unless that has begun since a moment: repeated calls for that moment restart it once.
    async fn restart(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Restarted, Fault>;
}

/// The result of starting an AWS Backup job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The job has this id; it is new or from an earlier try with the same token.
    Started(String),
    /// AWS Backup refused it, and a retry would not help: the reason.
    Refused(String),
}

/// AWS Backup, and Cloud Control, which deletes resources that restore tests created.
#[async_trait]
pub trait Backups: Send + Sync {
    /// Starts a backup job. Repeated calls with one token start one job.
    async fn back_up(&self, definition: &Definition, token: &str) -> Result<Begun, Fault>;

    /// Starts the copy of a recovery point, likewise.
    async fn copy(&self, definition: &Definition, point: &str, token: &str) -> Result<Begun, Fault>;

    /// Starts the restore of a recovery point to a new resource, with this name if its kind has names; likewise.
    async fn restore(&self, definition: &Definition, point: &str, name: &str, token: &str) -> Result<Begun, Fault>;

    /// The state of a job; `None` if AWS Backup does not have it.
    async fn job(&self, kind: JobKind, id: &str) -> Result<Option<JobSeen>, Fault>;

    /// The newest complete recovery point of a resource in a vault; `None` if it or the vault does not exist.
    async fn newest(&self, resource: &str, vault: &str) -> Result<Option<Point>, Fault>;

    /// Deletes a resource that a restore test created. Repeated calls with one token are one request.
    async fn remove(&self, resource: &str, token: &str) -> Result<RemovalSeen, Fault>;

    /// The state of such a request.
    async fn removal(&self, request: &str) -> Result<RemovalSeen, Fault>;
}

/// The topic for messages.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Publishes a message. Subscribers may get it more than once.
    async fn publish(&self, message: &Message) -> Result<(), Fault>;
}

/// The metrics.
pub trait Meter: Send + Sync {
    /// Records metrics of a repository's builds, or of the suite. It cannot fail: nothing depends on it.
    fn count(&self, repository: Option<&RepositoryName>, measures: &[Measure]);
}

/// The clock, and waiting.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// Waits about this long.
    async fn pause(&self, about: Duration);
}
