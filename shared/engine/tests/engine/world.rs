//! A small world around the engine: every port is there, remembers what was asked of it, and can be made to fail.
//!
//! One file holds one port; a new fault of a port is a field there, which says how many calls to come it takes. This file only puts them together, in
//! [`World`].

mod agents;
mod backups;
mod bucket;
mod clock;
mod images;
mod inbox;
mod instances;
mod ledger;
mod meter;
mod pipelines;
mod repository;
mod services;
mod timer;
mod values;
mod waker;

use std::sync::Arc;
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::executor::{
    self, Placement,
    observation::{AgentStatus, Observation},
};
use bellhop_domain::ids::{AgentId, BuildId, RunId};
use bellhop_domain::run::Run;
use bellhop_engine::ports::{Executor, Executors, Ledger, SourceFile};
use bellhop_engine::{BuildPorts, Engine, Fault, Handled, Performs, Recent, RemedyPorts, RunStarter, Started, Swept};
use jiff::Timestamp;

use agents::FakeAgents;
use backups::FakeBackups;
use bucket::FakeBucket;
use clock::SteppedClock;
use images::Registry;
use inbox::Inbox;
use instances::FakeInstances;
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
    /// The agents of all executors except ECS.
    pub(crate) other_agents: Arc<FakeAgents>,
    pub(crate) bucket: Arc<FakeBucket>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) repository: Arc<FakeRepository>,
    pub(crate) pipelines: Arc<FakePipelines>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) instances: Arc<FakeInstances>,
    pub(crate) services: Arc<FakeServices>,
    pub(crate) backups: Arc<FakeBackups>,
    pub(crate) meter: Arc<Counted>,
    pub(crate) bell: Arc<waker::Bell>,
    pub(crate) timers: Arc<timer::Timers>,
    /// What the functions have met lately, as if they were one.
    pub(crate) recent: Arc<Recent>,
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
            recent: own.recent,
            ..self.clone()
        }
    }

    /// The same world for another function, which has met nothing yet.
    pub(crate) fn of_another_function(&self) -> Self {
        Self {
            recent: Arc::default(),
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

    /// The engine of a function that performs everything.
    pub(crate) fn engine(&self) -> Engine {
        self.performing(Performs {
            builds: self.builds().builds,
            remedies: Some(RemedyPorts {
                services: self.services.clone(),
                source: self.repository.clone(),
            }),
            instances: Some(self.instances.clone()),
            backups: Some(self.backups.clone()),
        })
    }

    /// What a function performs that carries builds.
    pub(crate) fn builds(&self) -> Performs {
        let of = |name| {
            if name == executor::ecs::NAME {
                &self.agents
            } else {
                &self.other_agents
            }
        };
        let executors = executor::NAMES.map(|name| (name, of(name).clone() as Arc<dyn Executor>));
        Performs {
            builds: Some(BuildPorts {
                executors: Executors::new(executors),
                pipelines: self.pipelines.clone(),
                images: self.registry.clone(),
            }),
            ..Performs::default()
        }
    }

    /// The engine of a function that performs only this.
    pub(crate) fn performing(&self, performs: Performs) -> Engine {
        Engine {
            suite: self.suite.clone(),
            ledger: self.ledger.clone(),
            store: self.bucket.clone(),
            notifier: self.inbox.clone(),
            waker: self.bell.clone(),
            timer: self.timers.clone(),
            meter: self.meter.clone(),
            clock: self.clock.clone(),
            performs,
            reading: Arc::default(),
            recent: self.recent.clone(),
            depth: 0,
            pace: None,
        }
    }

    pub(crate) fn starter(&self) -> RunStarter {
        RunStarter {
            engine: self.engine(),
            source: self.repository.clone(),
        }
    }

    /// The ledger with its records.
    pub(crate) fn records(&self) -> &dyn Ledger {
        &*self.ledger
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
        self.records().load::<Build>(id).await.unwrap().unwrap().record
    }

    pub(crate) async fn run(&self, id: &RunId) -> Run {
        self.records().load::<Run>(id).await.unwrap().unwrap().record
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
        let placement = Placement {
            account: Some("123456789012".to_owned()),
            ..Placement::default()
        };
        let event = BuildEvent::Reported {
            attempt,
            observation,
            placement,
        };
        self.engine().build(id, event).await
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
