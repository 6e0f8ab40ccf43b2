//! What the engine needs of the world, in the words of the domain. `bellhop-aws` fulfils these ports with AWS; tests and the simulation with
//! stateful stand-ins.

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

/// A part of what is due, which is read and worked off by itself, so that nothing of it waits behind the other part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Builds that are due for a launch ([`Build::is_due_for_launch`]). How fast these go is up to the rates of a service.
    Launches,
    /// Everything else.
    Rest,
}

impl Lane {
    /// Where a build belongs.
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
    /// The places of an agent template.
    Pool(AgentName),
    /// A branch whose pushes supersede each other.
    Branch(RepositoryName, Reference),
    /// A record beside runs and builds.
    Document(DocumentKey),
}

/// What a record beside runs and builds is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A container instance that is taken away.
    Instance,
    /// An alarm.
    Alarm,
    /// A backup.
    Backup,
    /// Who had something done about an alarm last.
    Claim,
    /// Which alarms keep agents from being launched.
    Pause,
    /// How the jobs of a branch or tag stand.
    Standing,
    /// The suite configuration, where it is broken.
    Configuration,
}

/// The name of a record beside runs and builds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentKey {
    /// What it is about.
    pub kind: DocumentKind,
    /// Which of them.
    pub name: String,
}

/// A record beside runs and builds, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub key: DocumentKey,
    /// The record as JSON.
    pub text: String,
    /// When it needs attention next.
    pub due: Option<Timestamp>,
    /// When it may be forgotten.
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

/// The memory of the suite. Reads are strongly consistent, except those of [`Ledger::due`].
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Stores a new run and its builds, unless a run of its id exists. The run is never visible without all of its builds. What
    /// [`fits_transaction`] is stored in one step; beyond that, the builds are stored first and must therefore be blocked.
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

    /// Reads the places of an agent template.
    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault>;

    /// Replaces the places of an agent template, if they still have the version; creates them if the version is 0 and there are none.
    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault>;

    /// Reads a branch.
    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault>;

    /// Replaces a branch, if it still has the version; creates it if the version is 0 and there is none.
    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault>;

    /// Reads a record beside runs and builds, as JSON.
    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault>;

    /// Replaces such a record, if it still has the version; creates it if the version is 0 and there is none.
    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault>;

    /// Up to `limit` records of a lane that are due by now, those due longest first. May miss what was written in the last moments.
    /// Each comes with the moment from which on it has been due.
    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault>;

    /// The newest runs of a repository, newest first: those before a [place in the list](Run::place_in_list), where one is given.
    async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Versioned<Run>>, Fault>;
}

/// The most records that [`Ledger::create`] stores in one step: the limit of a DynamoDB transaction.
pub const TRANSACTION: usize = 100;
/// The most bytes that the builds' specifications may have for one step. The limit of a DynamoDB transaction is 4 MB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>); the rest is left to the run and to what else a record holds.
const TRANSACTION_BYTES: usize = 3_000_000;

/// Whether a run of these builds is created in one step.
pub fn fits_transaction<'a>(specs: impl ExactSizeIterator<Item = &'a BuildSpec>) -> bool {
    // What cannot be written as JSON cannot be stored either, and storing it says so.
    let length = |spec| serde_json::to_vec(spec).map_or(0, |json| json.len());
    specs.len() < TRANSACTION && specs.map(length).sum::<usize>() <= TRANSACTION_BYTES
}

/// What came of asking for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// There is one, new or from an earlier try with the same token.
    Accepted(AgentId),
    /// There is none.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The launch's token is answered with this refusal from now on, whatever has changed: the next try needs another.
        spent: bool,
    },
}

impl Launch {
    /// A refusal that leaves the launch's token as it was.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self::Refused { refusal, spent: false }
    }
}

/// Where agents come from: an executor's service.
#[async_trait]
pub trait Agents: Send + Sync {
    /// Launches an agent under the launch's token: however often it is called, there is one agent. `again` says that it may have been called before:
    /// CodeBuild remembers a token for five minutes only, and then has to be asked first.
    ///
    /// # Errors
    /// When it is not known whether an agent came of it. The effect stays in the outbox then.
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault>;

    /// Asks an agent to stop. An agent that has stopped, or is not known any more, is no error.
    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault>;

    /// The agents that carry an attempt's name and are not known to have stopped.
    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault>;

    /// How agents are. An agent that the service does not know any more comes without an observation; one that it
    /// describes in a way that is not understood does not come at all.
    ///
    /// Where only a part of them can be asked for, the others are answered all the same, and the first fault comes beside the answers.
    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>);

    /// Whose agent it is, and how it is, where its event does not tell; `None` if it is none of ours, or not known any more.
    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault>;
}

/// A task on an instance, which has not stopped and was not told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// An attempt's agent, and how it is.
    Agent(AttemptId, Observation),
    /// Somebody else's.
    Foreign(ForeignTask),
}

/// Where agents run on instances: container instances of ECS.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// Where an instance belongs to, among these clusters; `None` if to none of them. Takes one call a cluster.
    async fn find(&self, instance: &InstanceId, clusters: &[String]) -> Result<Option<Host>, Fault>;

    /// What runs on an instance. Nothing, if it is gone.
    async fn occupants(&self, host: &Host) -> Result<Vec<Occupant>, Fault>;

    /// Has nothing more placed on an instance. One that is gone is no error.
    async fn drain(&self, host: &Host) -> Result<(), Fault>;

    /// Whether an instance is there, and has nothing placed on it.
    async fn is_draining(&self, instance: &InstanceId, host: &Host) -> Result<bool, Fault>;

    /// Has tasks placed on an instance again; whether it is still there.
    async fn activate(&self, host: &Host) -> Result<bool, Fault>;
}

/// Where the pushed code is.
#[async_trait]
pub trait Source: Send + Sync {
    /// A file at a commit; `None` if the file, the commit or the repository is not there.
    async fn file(&self, repository: &RepositoryName, commit: &CommitId, path: &str) -> Result<Option<FileAt>, Fault>;

    /// The top folder at a commit, a branch or a tag; `None` if that or the repository is not there.
    async fn root(&self, repository: &RepositoryName, at: &Place) -> Result<Option<Root>, Fault>;

    /// A commit's message; `None` if the commit or the repository is not there.
    async fn message(&self, repository: &RepositoryName, commit: &CommitId) -> Result<Option<String>, Fault>;

    /// The paths that differ between two commits; `None` if there are more than the comparison is good for, or one of the commits is gone.
    async fn changed(&self, repository: &RepositoryName, before: &CommitId, after: &CommitId) -> Result<Option<Vec<String>>, Fault>;

    /// The default branch of a repository; `None` if there is no such repository, or nothing in it.
    async fn default_branch(&self, repository: &RepositoryName) -> Result<Option<String>, Fault>;

    /// The commit at the tip of a branch; `None` if there is no such branch or repository.
    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault>;
}

/// A place in the history of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A commit.
    Commit(CommitId),
    /// The commit that a branch or tag points to now.
    Reference(Reference),
}

/// A file, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAt {
    /// The commit: not the one that was asked for where that is the id of an annotated tag.
    pub commit: CommitId,
    /// What it holds.
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

    /// The versions of the suite configuration before the one that is there, newest first, each with the moment since when it was there, and its id. The
    /// newest of them; none where the bucket keeps no versions.
    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault>;

    /// The text of such a version; `None` if it is not there any more.
    async fn earlier_configuration(&self, id: &str) -> Result<Option<String>, Fault>;

    /// Keeps a text under a key.
    async fn put(&self, key: &str, content_type: &str, text: String) -> Result<(), Fault>;

    /// What an attempt's agent left about its script, if it left anything that can be read.
    async fn agent_report(&self, attempt: &AttemptId) -> Result<Option<Report>, Fault>;

    /// What an attempt's agent left as artifacts: up to `limit` of them by path, and how many there are in all (counted up to 10,000).
    async fn artifacts(&self, attempt: &AttemptId, limit: usize) -> Result<(Vec<Artifact>, u64), Fault>;

    /// The first `limit` bytes of one of these; `None` if it is not there.
    async fn artifact(&self, attempt: &AttemptId, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault>;
}

/// What came of answering a job of CodePipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It was taken.
    Taken,
    /// The job is not open: it was answered before, timed out, or its pipeline was stopped.
    NotOpen,
}

/// Whoever runs pipelines that wait for runs: CodePipeline.
#[async_trait]
pub trait Pipelines: Send + Sync {
    /// Answers a job.
    async fn answer(&self, job: &PipelineJobId, answer: &PipelineAnswer) -> Result<Answered, Fault>;
}

/// What came of restarting a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restarted {
    /// New tasks are being started in place of its old ones, by this request or by an earlier one.
    Yes,
    /// That cannot be done. The text says why.
    No(String),
}

/// Long-running services, such as a Jenkins controller: those of Amazon ECS.
#[async_trait]
pub trait Services: Send + Sync {
    /// Starts new tasks of a service in place of the ones that run, unless that has begun since a moment: however often it is called for that moment,
    /// it is done once.
    async fn restart(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Restarted, Fault>;
}

/// What came of asking for a job of AWS Backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// There is one of this id, new or from an earlier try with the same token.
    Started(String),
    /// There is none, and trying again would not help: why.
    Refused(String),
}

/// Who makes backups: AWS Backup; and who removes what a restore test created: Cloud Control.
#[async_trait]
pub trait Backups: Send + Sync {
    /// Starts a backup job. However often it is called with one token, there is one job.
    async fn back_up(&self, definition: &Definition, token: &str) -> Result<Begun, Fault>;

    /// Starts the copy of a recovery point, likewise.
    async fn copy(&self, definition: &Definition, point: &str, token: &str) -> Result<Begun, Fault>;

    /// Starts the restore of a recovery point to a new resource, of this name where its kind has names; likewise.
    async fn restore(&self, definition: &Definition, point: &str, name: &str, token: &str) -> Result<Begun, Fault>;

    /// How a job is; `None` if the service does not know it.
    async fn job(&self, kind: JobKind, id: &str) -> Result<Option<JobSeen>, Fault>;

    /// The newest complete recovery point of a resource in a vault; `None` if there is none, or no such vault.
    async fn newest(&self, resource: &str, vault: &str) -> Result<Option<Point>, Fault>;

    /// Removes a resource that a restore test created. However often it is called with one token, it is one request.
    async fn remove(&self, resource: &str, token: &str) -> Result<RemovalSeen, Fault>;

    /// How such a request goes.
    async fn removal(&self, request: &str) -> Result<RemovalSeen, Fault>;
}

/// Who tells people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends a message. It may reach its readers more than once.
    async fn publish(&self, message: &Message) -> Result<(), Fault>;
}

/// Who keeps what is counted.
pub trait Meter: Send + Sync {
    /// Takes note of measurements of a repository's builds, or of the suite. It cannot fail: nothing depends on it.
    fn count(&self, repository: Option<&RepositoryName>, measures: &[Measure]);
}

/// The time, and waiting for it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits about this long.
    async fn pause(&self, about: Duration);
}
