//! A small world around the engine: every port is there, remembers what was asked of it, and can be made to fail.
//!
//! One file holds one port; a new fault of a port is a field there, which says how many calls to come it takes. This file only puts them together, in
//! [`World`].

mod agents;
mod backups;
mod bucket;
mod clock;
mod hosts;
mod inbox;
mod ledger;
mod meter;
mod pipelines;
mod repository;
mod services;
mod values;

use std::sync::Arc;
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::ids::{AgentId, BuildId, RunId};
use bellhop_domain::observation::{AgentStatus, Observation};
use bellhop_domain::run::Run;
use bellhop_engine::ports::{Ledger, SourceFile};
use bellhop_engine::{Engine, Fault, Handled, Started, Starter, Swept};
use jiff::Timestamp;

use agents::FakeAgents;
use backups::FakeBackups;
use bucket::FakeBucket;
use clock::SteppedClock;
use hosts::FakeHosts;
use inbox::Inbox;
use ledger::FaultyLedger;
use meter::Counted;
use pipelines::FakePipelines;
use repository::FakeRepository;
use services::FakeServices;
pub(crate) use values::{RUNNING, exited, job, nothing, push, script_ended, stopped, taken_back};

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

/// Every launch so far, by attempt and capacity.
pub(crate) fn calls(world: &World) -> Vec<String> {
    world.agents.calls.lock().unwrap().clone()
}
