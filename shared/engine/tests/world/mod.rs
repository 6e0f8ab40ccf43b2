//! A small world around the engine: every port is there, remembers what was asked of it, and can be told to fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::Capacity;
use bellhop_domain::backup::{Definition, JobKind, JobSeen, Point, RemovalSeen};
use bellhop_domain::branch::Branch;
use bellhop_domain::build::{Build, BuildEvent, Refusal};
use bellhop_domain::found::Artifact;
use bellhop_domain::ids::{
    AgentId, AgentName, AttemptId, BuildId, CommitId, InstanceId, LaunchId, PipelineJobId, Reference, RepositoryName, RunId,
};
use bellhop_domain::instance::Host;
use bellhop_domain::measure::Measure;
use bellhop_domain::message::Message;
use bellhop_domain::observation::{AgentStatus, ContainerEnd, Observation, Report, ReportPhase, Stop, StopCause};
use bellhop_domain::pipeline::PipelineAnswer;
use bellhop_domain::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_domain::spec::BuildSpec;
use bellhop_domain::trigger::Push;
use bellhop_engine::memory::MemoryLedger;
use bellhop_engine::ports::{
    Agents, Answered, Backups, Begun, Clock, Created, Document, DocumentKey, DueItem, FileAt, Hosts, Lane, Launch, Ledger, Meter, Notifier,
    Occupant, Pipelines, Place, Restarted, Root, Services, Source, SourceFile, Store, Versioned, Written,
};
use bellhop_engine::{Engine, Fault, Handled, Started, Starter, Swept};
use jiff::Timestamp;

/// The suite's name.
pub(crate) const SUITE: &str = "ci";

const CONFIG: &str = "
version: 1
agents:
  small:
    ecs:
      clusters: { spot: ci-spot, on-demand: ci-main }
      task-definition: bellhop-agent-small
      container: agent
      subnets: [subnet-0a]
      security-groups: [sg-0a]
";

const PIPELINE: &str = "
version: 1
jobs:
  test: { agent: small, run: make test }
";

/// The world.
#[derive(Clone, Default)]
pub(crate) struct World {
    /// The suite's name.
    pub(crate) suite: Arc<str>,
    pub(crate) clock: Arc<SteppedClock>,
    pub(crate) ledger: Arc<FaultyLedger>,
    pub(crate) agents: Arc<FakeAgents>,
    pub(crate) bucket: Arc<FakeBucket>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) repository: Arc<FakeRepository>,
    pub(crate) pipelines: Arc<FakePipelines>,
    pub(crate) hosts: Arc<FakeHosts>,
    pub(crate) services: Arc<FakeServices>,
    pub(crate) backups: Arc<FakeBackups>,
    pub(crate) meter: Arc<Counted>,
}

/// What was counted.
#[derive(Default)]
pub(crate) struct Counted(pub(crate) Mutex<Vec<Measure>>);

impl Meter for Counted {
    fn count(&self, _: Option<&RepositoryName>, measures: &[Measure]) {
        self.0.lock().unwrap().extend(measures);
    }
}

impl World {
    /// A suite with one agent template, and a repository with one job.
    pub(crate) fn new() -> Self {
        let world = Self {
            suite: SUITE.into(),
            ..Self::default()
        };
        world.configure(CONFIG);
        world.pipeline(PIPELINE);
        world
    }

    /// Another suite in the same account: with a table, a bucket and a topic of its own, on the same cluster, and with the same repository.
    pub(crate) fn other_suite(&self, name: &str) -> Self {
        let own = Self::new();
        Self {
            suite: name.into(),
            ledger: own.ledger,
            bucket: own.bucket,
            inbox: own.inbox,
            ..self.clone()
        }
    }

    pub(crate) fn configure(&self, text: &str) {
        *self.bucket.configuration.lock().unwrap() = Some(text.to_owned());
    }

    /// The standard configuration with one more line.
    pub(crate) fn configure_with(&self, line: &str) {
        self.configure(&format!("{CONFIG}{line}\n"));
    }

    pub(crate) fn pipeline(&self, text: &str) {
        *self.repository.pipeline.lock().unwrap() = Some(SourceFile::Text(text.to_owned()));
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine {
            suite: self.suite.clone(),
            ledger: self.ledger.clone(),
            agents: self.agents.clone(),
            store: self.bucket.clone(),
            notifier: self.inbox.clone(),
            pipelines: self.pipelines.clone(),
            hosts: self.hosts.clone(),
            source: self.repository.clone(),
            services: self.services.clone(),
            backups: self.backups.clone(),
            meter: self.meter.clone(),
            clock: self.clock.clone(),
            reading: Arc::default(),
            depth: 0,
        }
    }

    pub(crate) fn starter(&self) -> Starter {
        Starter { engine: self.engine() }
    }

    /// The run that a push with this trigger starts, with everything there is to do.
    pub(crate) async fn started(&self, trigger: &str) -> RunId {
        match self.starter().push(&push(trigger)).await.unwrap() {
            Started::Run { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    /// A minute and a bit later, the sweep comes by.
    pub(crate) async fn sweep(&self) -> Result<Swept, Fault> {
        self.clock.pass(Duration::from_secs(61));
        self.engine().sweep(Timestamp::MAX).await
    }

    pub(crate) async fn build(&self, id: &BuildId) -> Build {
        self.ledger.build(id).await.unwrap().unwrap().record
    }

    pub(crate) async fn run(&self, id: &RunId) -> Run {
        self.ledger.run(id).await.unwrap().unwrap().record
    }

    /// Something is seen of the newest agent of a build.
    pub(crate) async fn seen(&self, id: &BuildId, status: AgentStatus) -> Result<Handled, Fault> {
        let build = self.build(id).await;
        let attempt = build.attempts.last().unwrap();
        self.seen_of(id, attempt.number, attempt.agent.clone().unwrap(), status).await
    }

    pub(crate) async fn seen_of(&self, id: &BuildId, attempt: u32, agent: AgentId, status: AgentStatus) -> Result<Handled, Fault> {
        if matches!(status, AgentStatus::Stopped(_)) {
            self.agents.end(&agent, status.clone());
        }
        let observation = Observation {
            agent,
            version: None,
            capacity: None,
            status,
        };
        self.engine().build(id, BuildEvent::Agent { attempt, observation }).await
    }

    /// The newest agent of a build ends with this exit code.
    pub(crate) async fn exits(&self, id: &BuildId, code: i32) {
        self.seen(id, AgentStatus::Stopped(exited(code))).await.unwrap();
    }

    /// The statuses of all messages about this kind, in the order of their sending.
    pub(crate) fn told(&self, kind: &str) -> Vec<String> {
        let messages = self.inbox.messages.lock().unwrap();
        let of_kind = messages.iter().filter(|message| message.document["kind"] == kind);
        of_kind
            .map(|message| message.document["status"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(crate) fn push(trigger: &str) -> Push {
    Push {
        trigger: trigger.to_owned(),
        repository: "shop".parse().unwrap(),
        reference: "refs/heads/main".parse().unwrap(),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        previous: None,
        by: None,
        at: None,
    }
}

pub(crate) fn job(run: &RunId, job: &str) -> BuildId {
    BuildId {
        run: run.clone(),
        job: job.parse().unwrap(),
    }
}

pub(crate) fn exited(code: i32) -> Stop {
    Stop {
        cause: StopCause::Exited,
        reason: Some("Essential container in task exited".to_owned()),
        containers: vec![ContainerEnd {
            name: "agent".to_owned(),
            exit_code: Some(code),
            reason: None,
        }],
        report: None,
        at: None,
    }
}

pub(crate) fn taken_back() -> Stop {
    Stop {
        cause: StopCause::Interrupted,
        reason: Some("Your Spot Task was interrupted.".to_owned()),
        ..exited(0)
    }
}

pub(crate) fn script_ended(exit_code: i32) -> Report {
    Report {
        phase: ReportPhase::Script,
        exit_code,
        signalled: false,
        command: None,
        line: None,
        message: None,
    }
}

/// Every look at it shows another millisecond.
#[derive(Default)]
pub(crate) struct SteppedClock(AtomicI64);

impl SteppedClock {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + self.0.fetch_add(1, Ordering::SeqCst)).unwrap()
    }

    async fn pause(&self, about: Duration) {
        if about <= Duration::from_secs(1) {
            self.pass(about);
            tokio::task::yield_now().await;
        } else {
            // A time limit of something: with Tokio's clock paused, it is over when nothing else goes on.
            let over = self.0.load(Ordering::SeqCst) + i64::try_from(about.as_millis()).unwrap();
            tokio::time::sleep(about).await;
            self.0.fetch_max(over, Ordering::SeqCst);
        }
    }
}

/// Takes one from a counter, if there is one to take.
fn take(counter: &AtomicUsize) -> bool {
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

/// A ledger at which writers meet: every call gives way to the others before it is served.
#[derive(Default)]
pub(crate) struct FaultyLedger {
    inner: MemoryLedger,
    /// So many writes to come conflict, and are not stored.
    pub(crate) conflicts: AtomicUsize,
    /// So many writes to come are stored, and said to conflict.
    pub(crate) lost_replies: AtomicUsize,
    /// So many runs to come get no further than their builds, as only large ones can.
    pub(crate) torn: AtomicUsize,
    /// The builds of such runs.
    torn_builds: Mutex<Vec<Build>>,
    /// A build that cannot be read.
    pub(crate) unreadable: Mutex<Option<BuildId>>,
}

impl FaultyLedger {
    fn reply(&self, written: Written) -> Written {
        if take(&self.lost_replies) { Written::Conflict } else { written }
    }
}

#[async_trait]
impl Ledger for FaultyLedger {
    async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault> {
        tokio::task::yield_now().await;
        if take(&self.torn) {
            self.torn_builds.lock().unwrap().extend(builds.iter().cloned());
            return Err(Fault::passing(format!("create run {}: no reply", run.id)));
        }
        self.inner.create(run, builds).await
    }

    async fn run(&self, id: &RunId) -> Result<Option<Versioned<Run>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.run(id).await
    }

    async fn build(&self, id: &BuildId) -> Result<Option<Versioned<Build>>, Fault> {
        tokio::task::yield_now().await;
        if self.unreadable.lock().unwrap().as_ref() == Some(id) {
            return Err(Fault::lasting(format!("build {id} cannot be read")));
        }
        self.inner.build(id).await
    }

    async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault> {
        tokio::task::yield_now().await;
        let builds = self.inner.builds_of(run).await?;
        if !builds.is_empty() {
            return Ok(builds);
        }
        let torn = self.torn_builds.lock().unwrap();
        let of_run = torn.iter().filter(|build| build.spec.id.run == *run);
        Ok(of_run
            .map(|build| Versioned {
                version: 1,
                record: build.clone(),
            })
            .collect())
    }

    async fn update_run(&self, expected: u64, next: &Run) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        if take(&self.conflicts) {
            return Ok(Written::Conflict);
        }
        Ok(self.reply(self.inner.update_run(expected, next).await?))
    }

    async fn update_build(&self, expected: u64, next: &Build) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        if take(&self.conflicts) {
            return Ok(Written::Conflict);
        }
        Ok(self.reply(self.inner.update_build(expected, next).await?))
    }

    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.pool(agent).await
    }

    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        Ok(self.reply(self.inner.update_pool(expected, next).await?))
    }

    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.branch(repository, reference).await
    }

    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        Ok(self.reply(self.inner.update_branch(expected, next).await?))
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.document(key).await
    }

    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        Ok(self.reply(self.inner.update_document(expected, next).await?))
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault> {
        tokio::task::yield_now().await;
        self.inner.due(lane, now, limit).await
    }

    async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Versioned<Run>>, Fault> {
        tokio::task::yield_now().await;
        self.inner.runs_of(repository, before, limit).await
    }
}

/// A service that honours tokens.
#[derive(Default)]
pub(crate) struct FakeAgents {
    known: Mutex<BTreeMap<String, Known>>,
    /// Every call to launch, by attempt and capacity.
    pub(crate) calls: Mutex<Vec<String>>,
    /// Every agent told to stop.
    pub(crate) stops: Mutex<Vec<AgentId>>,
    /// The answers to the launches to come.
    pub(crate) refusals: Mutex<VecDeque<Refusal>>,
    /// So many launches to come take place, and whoever asked does not learn of it.
    pub(crate) lost_replies: AtomicUsize,
    /// So many questions to come get no answer.
    pub(crate) silent: AtomicUsize,
    /// So many questions to come are never over.
    pub(crate) hanging: AtomicUsize,
}

#[derive(Clone)]
struct Known {
    agent: AgentId,
    attempt: AttemptId,
    capacity: Capacity,
    status: AgentStatus,
}

impl Known {
    fn observation(&self) -> Observation {
        Observation {
            agent: self.agent.clone(),
            version: None,
            capacity: Some(self.capacity),
            status: self.status.clone(),
        }
    }
}

impl FakeAgents {
    pub(crate) fn end(&self, agent: &AgentId, status: AgentStatus) {
        self.change(agent, |known| known.status = status);
    }

    fn change(&self, agent: &AgentId, how: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock().unwrap();
        if let Some(known) = known.values_mut().find(|known| known.agent == *agent) {
            how(known);
        }
    }

    /// The service forgets an agent.
    pub(crate) fn forget(&self, agent: &AgentId) {
        self.known.lock().unwrap().retain(|_, known| known.agent != *agent);
    }

    /// The agents that have not stopped, each by its attempt and capacity.
    pub(crate) fn live(&self) -> Vec<String> {
        let known = self.known.lock().unwrap();
        let mut live: Vec<String> = known
            .values()
            .filter(|known| !matches!(known.status, AgentStatus::Stopped(_)))
            .map(|known| format!("{}/{} on {}", known.attempt.build.job, known.attempt.number, known.capacity))
            .collect();
        live.sort();
        live
    }

    pub(crate) fn all(&self) -> Vec<AgentId> {
        self.known.lock().unwrap().values().map(|known| known.agent.clone()).collect()
    }
}

#[async_trait]
impl Agents for FakeAgents {
    async fn launch(&self, _: &BuildSpec, launch: &LaunchId, _: bool) -> Result<Launch, Fault> {
        let (attempt, capacity) = (&launch.attempt, launch.capacity);
        tokio::task::yield_now().await;
        let call = format!("{}/{} on {capacity}", attempt.build.job, attempt.number);
        self.calls.lock().unwrap().push(call);
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return Ok(Launch::refused(refusal));
        }
        let token = launch.token();
        let agent: AgentId = format!("arn:aws:ecs:us-east-1:123456789012:task/ci/{token}").parse().unwrap();
        self.known.lock().unwrap().entry(token).or_insert_with(|| Known {
            agent: agent.clone(),
            attempt: attempt.clone(),
            capacity,
            status: AgentStatus::Running { since: None },
        });
        if take(&self.lost_replies) {
            return Err(Fault::passing(format!("launch {attempt}: no reply")));
        }
        Ok(Launch::Accepted(agent))
    }

    async fn stop(&self, agent: &AgentId, _: &str) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.stops.lock().unwrap().push(agent.clone());
        Ok(())
    }

    async fn find(&self, _: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        tokio::task::yield_now().await;
        let known = self.known.lock().unwrap();
        let live = known
            .values()
            .filter(|known| known.attempt == *attempt && !matches!(known.status, AgentStatus::Stopped(_)));
        Ok(live.map(Known::observation).collect())
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        tokio::task::yield_now().await;
        if take(&self.silent) {
            return (Vec::new(), Some(Fault::passing("describe agents: no reply")));
        }
        if take(&self.hanging) {
            std::future::pending::<()>().await;
        }
        let known = self.known.lock().unwrap();
        let look = |agent: &AgentId| known.values().find(|known| known.agent == *agent).map(Known::observation);
        (agents.iter().map(|agent| (agent.clone(), look(agent))).collect(), None)
    }

    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        let known = self.known.lock().unwrap();
        let found = known.values().find(|known| known.agent == *agent);
        Ok(found.map(|known| (known.attempt.clone(), known.observation())))
    }
}

/// The suite's bucket.
#[derive(Default)]
pub(crate) struct FakeBucket {
    pub(crate) configuration: Mutex<Option<String>>,
    pub(crate) objects: Mutex<BTreeMap<String, String>>,
    /// What every agent leaves.
    pub(crate) report: Mutex<Option<Report>>,
    /// How often a report was asked for.
    pub(crate) reports_read: AtomicUsize,
    /// The versions of the configuration before the one that is there, oldest first.
    pub(crate) earlier: Mutex<Vec<String>>,
    /// What every agent leaves as artifacts.
    pub(crate) artifacts: Mutex<BTreeMap<String, String>>,
    /// So many looks at artifacts to come fail.
    pub(crate) unlistable: AtomicUsize,
    /// What is listed as the size of each artifact, where that is not its text's.
    pub(crate) listed_size: Mutex<Option<u64>>,
    /// Nobody may list versions of the configuration.
    pub(crate) versions_denied: AtomicBool,
}

impl FakeBucket {
    pub(crate) fn object(&self, key: &str) -> Option<String> {
        self.objects.lock().unwrap().get(key).cloned()
    }
}

#[async_trait]
impl Store for FakeBucket {
    fn bucket(&self) -> &'static str {
        "suite"
    }

    fn configuration_place(&self) -> String {
        "s3://suite/config/bellhop.yaml".to_owned()
    }

    async fn configuration(&self) -> Result<Option<String>, Fault> {
        tokio::task::yield_now().await;
        Ok(self.configuration.lock().unwrap().clone())
    }

    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault> {
        tokio::task::yield_now().await;
        if self.versions_denied.load(Ordering::SeqCst) {
            return Err(Fault::lasting("AccessDenied: not authorized to perform: s3:ListBucketVersions"));
        }
        let earlier = self.earlier.lock().unwrap().len();
        let since = |version: usize| Timestamp::from_second(i64::try_from(version).unwrap()).unwrap();
        Ok((0..earlier).rev().map(|version| (since(version), version.to_string())).collect())
    }

    async fn earlier_configuration(&self, id: &str) -> Result<Option<String>, Fault> {
        tokio::task::yield_now().await;
        Ok(self.earlier.lock().unwrap().get(id.parse::<usize>().unwrap()).cloned())
    }

    async fn put(&self, key: &str, _: &str, text: String) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.objects.lock().unwrap().insert(key.to_owned(), text);
        Ok(())
    }

    async fn agent_report(&self, _: &AttemptId) -> Result<Option<Report>, Fault> {
        tokio::task::yield_now().await;
        self.reports_read.fetch_add(1, Ordering::SeqCst);
        Ok(self.report.lock().unwrap().clone())
    }

    async fn artifacts(&self, _: &AttemptId, limit: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        tokio::task::yield_now().await;
        if take(&self.unlistable) {
            return Err(Fault::passing("list artifacts: no reply"));
        }
        let artifacts = self.artifacts.lock().unwrap();
        let listed = *self.listed_size.lock().unwrap();
        let all = artifacts.iter().map(|(path, text)| Artifact {
            path: path.clone(),
            size: listed.unwrap_or_else(|| u64::try_from(text.len()).unwrap()),
        });
        Ok((all.take(limit).collect(), u64::try_from(artifacts.len()).unwrap()))
    }

    async fn artifact(&self, _: &AttemptId, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        tokio::task::yield_now().await;
        let limit = usize::try_from(limit).unwrap();
        let text = self.artifacts.lock().unwrap().get(path).cloned();
        Ok(text.map(|text| text.into_bytes().into_iter().take(limit).collect()))
    }
}

/// CodePipeline, with every answer that it was given and under which job's id.
#[derive(Default)]
pub(crate) struct FakePipelines {
    pub(crate) answers: Mutex<Vec<String>>,
}

#[async_trait]
impl Pipelines for FakePipelines {
    async fn answer(&self, job: &PipelineJobId, answer: &PipelineAnswer) -> Result<Answered, Fault> {
        tokio::task::yield_now().await;
        let words = match answer {
            PipelineAnswer::Continue { .. } => "continue".to_owned(),
            PipelineAnswer::Success { build, attempts, .. } => format!("success of {} in {attempts}", build.job),
            PipelineAnswer::Failure { kind, message, .. } => format!("{kind:?}: {message}"),
        };
        self.answers.lock().unwrap().push(format!("{} {words}", &job.as_str()[..2]));
        Ok(Answered::Taken)
    }
}

/// Instances, each in cluster `ci`, and what runs on them.
#[derive(Default)]
pub(crate) struct FakeHosts {
    pub(crate) occupants: Mutex<BTreeMap<InstanceId, Vec<Occupant>>>,
    /// Those that nothing is placed on.
    pub(crate) draining: Mutex<BTreeSet<String>>,
    /// What was asked, one line each.
    pub(crate) asked: Mutex<Vec<String>>,
    /// So many questions to come get no answer.
    pub(crate) silent: AtomicUsize,
}

impl FakeHosts {
    async fn ask(&self, what: String) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        if take(&self.silent) {
            return Err(Fault::passing(format!("{what} got no answer")));
        }
        self.asked.lock().unwrap().push(what);
        Ok(())
    }

    /// What was asked so far, and not given yet.
    pub(crate) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Hosts for FakeHosts {
    async fn find(&self, instance: &InstanceId, clusters: &[String]) -> Result<Option<Host>, Fault> {
        self.ask(format!("find in {clusters:?}")).await?;
        let here = clusters.iter().any(|cluster| cluster == "ci") && self.occupants.lock().unwrap().contains_key(instance);
        Ok(here.then(|| Host {
            cluster: "ci".to_owned(),
            container_instance: instance.to_string(),
        }))
    }

    async fn occupants(&self, host: &Host) -> Result<Vec<Occupant>, Fault> {
        self.ask("occupants".to_owned()).await?;
        let instance: InstanceId = host.container_instance.parse().unwrap();
        Ok(self.occupants.lock().unwrap().get(&instance).cloned().unwrap_or_default())
    }

    async fn drain(&self, host: &Host) -> Result<(), Fault> {
        self.ask(format!("drain {}", host.container_instance)).await?;
        self.draining.lock().unwrap().insert(host.container_instance.clone());
        Ok(())
    }

    async fn is_draining(&self, instance: &InstanceId, _: &Host) -> Result<bool, Fault> {
        self.ask(format!("is {instance} drained")).await?;
        Ok(self.draining.lock().unwrap().contains(instance.as_str()))
    }

    async fn activate(&self, host: &Host) -> Result<bool, Fault> {
        self.ask(format!("activate {}", host.container_instance)).await?;
        Ok(self.draining.lock().unwrap().remove(&host.container_instance))
    }
}

/// Services that are restarted, with every request for it.
#[derive(Default)]
pub(crate) struct FakeServices {
    pub(crate) restarts: Mutex<Vec<(String, Timestamp)>>,
    /// So many requests to come take place and get no reply.
    pub(crate) lost: AtomicUsize,
    /// So many requests to come get no reply, and nothing comes of them.
    pub(crate) refused: AtomicUsize,
}

#[async_trait]
impl Services for FakeServices {
    async fn restart(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Restarted, Fault> {
        tokio::task::yield_now().await;
        if service != "jenkins" {
            return Ok(Restarted::No(format!("there is no service {service} in cluster {cluster}")));
        }
        if take(&self.refused) {
            return Err(Fault::passing("restart: the service is not available"));
        }
        let restart = (format!("{cluster}/{service}"), since);
        let mut restarts = self.restarts.lock().unwrap();
        if !restarts.contains(&restart) {
            restarts.push(restart);
        }
        if take(&self.lost) {
            return Err(Fault::passing("restart: no reply"));
        }
        Ok(Restarted::Yes)
    }
}

/// AWS Backup and Cloud Control, with every call.
#[derive(Default)]
pub(crate) struct FakeBackups {
    pub(crate) calls: Mutex<Vec<String>>,
    /// So many calls to come fail.
    failing: AtomicUsize,
    started: AtomicUsize,
    jobs: Mutex<Vec<JobSeen>>,
    /// The answer to whoever wants a job, in place of a new one.
    pub(crate) answer: Mutex<Option<Begun>>,
    pub(crate) newest: Mutex<Option<Point>>,
    /// How removals go; they are underway where nothing else is said.
    pub(crate) removal: Mutex<Option<RemovalSeen>>,
}

impl FakeBackups {
    pub(crate) fn fail(&self, calls: usize) {
        self.failing.store(calls, Ordering::SeqCst);
    }

    pub(crate) fn show(&self, job: JobSeen) {
        self.jobs.lock().unwrap().push(job);
    }

    async fn call(&self, words: String) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.calls.lock().unwrap().push(words);
        if take(&self.failing) {
            return Err(Fault::passing("a throttle"));
        }
        Ok(())
    }

    async fn begin(&self, kind: &str, words: String) -> Result<Begun, Fault> {
        self.call(words).await?;
        let answer = self.answer.lock().unwrap().clone();
        let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(answer.unwrap_or_else(|| Begun::Started(format!("{kind}-{number}"))))
    }

    fn removing(&self) -> RemovalSeen {
        let request = "request".to_owned();
        self.removal.lock().unwrap().clone().unwrap_or(RemovalSeen::Underway { request })
    }
}

#[async_trait]
impl Backups for FakeBackups {
    async fn back_up(&self, definition: &Definition, token: &str) -> Result<Begun, Fault> {
        self.begin("backup", format!("back up {} under {token}", definition.resource)).await
    }

    async fn copy(&self, _: &Definition, point: &str, _: &str) -> Result<Begun, Fault> {
        self.begin("copy", format!("copy {point}")).await
    }

    async fn restore(&self, _: &Definition, point: &str, name: &str, _: &str) -> Result<Begun, Fault> {
        self.begin("restore", format!("restore {point} to {name}")).await
    }

    async fn job(&self, _: JobKind, id: &str) -> Result<Option<JobSeen>, Fault> {
        self.call(format!("job {id}")).await?;
        Ok(self.jobs.lock().unwrap().iter().find(|job| job.id == id).cloned())
    }

    async fn newest(&self, resource: &str, _: &str) -> Result<Option<Point>, Fault> {
        self.call(format!("newest of {resource}")).await?;
        Ok(self.newest.lock().unwrap().clone())
    }

    async fn remove(&self, resource: &str, _: &str) -> Result<RemovalSeen, Fault> {
        self.call(format!("remove {resource}")).await?;
        Ok(self.removing())
    }

    async fn removal(&self, request: &str) -> Result<RemovalSeen, Fault> {
        self.call(format!("removal {request}")).await?;
        Ok(self.removing())
    }
}

/// Everything that people were told.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) messages: Mutex<Vec<Message>>,
    /// So many messages to come cannot be sent.
    pub(crate) closed: AtomicUsize,
    /// The runs whose messages, and those of their builds, never come to an answer.
    pub(crate) hangs: Mutex<BTreeSet<RunId>>,
}

#[async_trait]
impl Notifier for Inbox {
    async fn publish(&self, message: &Message) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        if take(&self.closed) {
            return Err(Fault::passing("publish: no reply"));
        }
        let of = message.document["run"].as_str().and_then(|run| run.parse().ok());
        if of.is_some_and(|run| self.hangs.lock().unwrap().contains(&run)) {
            std::future::pending::<()>().await;
        }
        self.messages.lock().unwrap().push(message.clone());
        Ok(())
    }
}

/// A repository that has the same files at every commit.
#[derive(Default)]
pub(crate) struct FakeRepository {
    pub(crate) pipeline: Mutex<Option<SourceFile>>,
    pub(crate) message: Mutex<String>,
    /// What differs between any two commits.
    pub(crate) changed: Mutex<Option<Vec<String>>>,
    /// What its one branch points to, where that is not the commit of every push.
    pub(crate) tip: Mutex<Option<CommitId>>,
    /// How often commits were compared.
    pub(crate) comparisons: AtomicUsize,
    /// It is there no more.
    pub(crate) gone: AtomicBool,
    /// An annotated tag: its own id, and the commit that it is of.
    pub(crate) tag: Mutex<Option<(CommitId, CommitId)>>,
    /// What lies beside the pipeline file, or in its place.
    pub(crate) files: Mutex<Vec<String>>,
}

#[async_trait]
impl Source for FakeRepository {
    async fn file(&self, _: &RepositoryName, commit: &CommitId, path: &str) -> Result<Option<FileAt>, Fault> {
        tokio::task::yield_now().await;
        assert_eq!(path, ".bellhop.yaml");
        let is_tag = self.tag.lock().unwrap().as_ref().is_some_and(|(tag, _)| tag == commit);
        let content = self.pipeline.lock().unwrap().clone();
        let is_there = !is_tag && !self.gone.load(Ordering::SeqCst);
        Ok(content.filter(|_| is_there).map(|content| FileAt {
            commit: commit.clone(),
            content,
        }))
    }

    async fn root(&self, _: &RepositoryName, at: &Place) -> Result<Option<Root>, Fault> {
        let tag = self.tag.lock().unwrap().clone();
        let commit = match (at, tag) {
            (Place::Commit(commit), Some((tag, _))) if *commit == tag => return Ok(None),
            (Place::Commit(commit), _) => commit.clone(),
            (Place::Reference(_), Some((_, of))) => of,
            (Place::Reference(_), None) => return Ok(None),
        };
        let files = self.files.lock().unwrap().clone();
        Ok((!self.gone.load(Ordering::SeqCst)).then_some(Root { commit, files }))
    }

    async fn message(&self, _: &RepositoryName, _: &CommitId) -> Result<Option<String>, Fault> {
        tokio::task::yield_now().await;
        Ok(Some(self.message.lock().unwrap().clone()))
    }

    async fn changed(&self, _: &RepositoryName, _: &CommitId, _: &CommitId) -> Result<Option<Vec<String>>, Fault> {
        tokio::task::yield_now().await;
        self.comparisons.fetch_add(1, Ordering::SeqCst);
        Ok(self.changed.lock().unwrap().clone())
    }

    async fn default_branch(&self, repository: &RepositoryName) -> Result<Option<String>, Fault> {
        let is_there = repository.as_str() == "shop" && !self.gone.load(Ordering::SeqCst);
        Ok(is_there.then(|| "main".to_owned()))
    }

    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault> {
        let is_there = repository.as_str() == "shop" && branch == "main";
        let tip = self.tip.lock().unwrap().clone();
        Ok(is_there.then(|| tip.unwrap_or_else(|| push("any").commit)))
    }
}
