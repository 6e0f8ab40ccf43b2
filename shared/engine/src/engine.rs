//! The engine: its ports, and the entry points for events.

use std::sync::Arc;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::decision::Ignored;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{AgentId, AttemptId, BuildId, Reference, RunId};
use bellhop_domain::record::Performer;
use bellhop_domain::run::{Run, RunEvent, RunJob};
use bellhop_domain::spec::BuildSpec;
use futures::lock::Mutex;

use crate::Fault;
use crate::advance::Overdue;
use crate::ports::{
    Backups, Clock, Executor, Executors, Images, Instances, Ledger, Meter, Notifier, Pipelines, Services, Source, Store, Timer, Waker,
};
use crate::recent::Recent;
use crate::records::{Record, Stored, Versioned};
use crate::sweep::Pace;

/// How many records may notify each other within one invocation. A job that cannot be launched releases its slot at once, so that the next one is
/// launched, and so on through a whole queue: notifications beyond this limit are left to the sweep. Each takes about 120 KB of the stack in a debug build.
const DEEPEST: u8 = 12;

/// Decides about records, and performs the effects that are this function's.
#[derive(Clone)]
pub struct Engine {
    /// The suite's name, which is part of its runs' ids and tokens.
    pub suite: Arc<str>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The bucket.
    pub store: Arc<dyn Store>,
    /// The topic for messages.
    pub notifier: Arc<dyn Notifier>,
    /// Wakes the functions that perform what this one does not.
    pub waker: Arc<dyn Waker>,
    /// Wakes the sweep at a time.
    pub timer: Arc<dyn Timer>,
    /// The metrics.
    pub meter: Arc<dyn Meter>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The ports of what this function performs.
    pub performs: Performs,
    /// Serializes the reading of test reports: the sweep may process many builds at the same time, and each may need a large part of a function's
    /// memory.
    pub reading: Arc<Mutex<()>>,
    /// What this function has met lately.
    pub recent: Arc<Recent>,
    /// How many records were notified on the way to this one; 0 for an event from outside.
    pub depth: u8,
    /// The pace of the launch queue, while this function is the launcher.
    pub pace: Option<Arc<Pace>>,
}

/// What a function performs: only for that does it have ports, and permissions. Other effects stay in their outboxes, and their
/// [performer](Performer) is woken.
#[derive(Clone, Default)]
pub struct Performs {
    /// Builds and their runs.
    pub builds: Option<BuildPorts>,
    /// Remedies of alarms.
    pub remedies: Option<RemedyPorts>,
    /// Container instances.
    pub instances: Option<Arc<dyn Instances>>,
    /// Jobs of AWS Backup.
    pub backups: Option<Arc<dyn Backups>>,
}

/// The services of a function that carries builds.
#[derive(Clone)]
pub struct BuildPorts {
    /// The executors.
    pub executors: Executors,
    /// CodePipeline.
    pub pipelines: Arc<dyn Pipelines>,
    /// The registry of images.
    pub images: Arc<dyn Images>,
}

/// The services of a function that applies remedies.
#[derive(Clone)]
pub struct RemedyPorts {
    /// ECS services that can be restarted.
    pub services: Arc<dyn Services>,
    /// The source code.
    pub source: Arc<dyn Source>,
}

/// The result of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It changed something, or overdue effects were performed.
    Done,
    /// It changed nothing, as is normal for a duplicate or late event.
    Ignored(Ignored),
    /// There is no such record: it belongs to another suite, or has expired.
    Unknown,
}

impl Engine {
    /// The id of the run that a trigger starts in this suite for a reference.
    #[must_use]
    pub fn run_id(&self, trigger: &str, reference: &Reference) -> RunId {
        RunId::derive(&self.suite, trigger, reference)
    }

    /// Handles an event for a build.
    ///
    /// # Errors
    /// If the ledger cannot be read or written, or an effect cannot be performed now. Committed changes stay, and the sweep performs pending effects.
    pub async fn build(&self, id: &BuildId, event: BuildEvent) -> Result<Handled, Fault> {
        if let Some(kept) = self.recent.build(id, self.clock.now()) {
            // An event that comes again performs what is overdue, if there is anything.
            let has_nothing_to_do = kept.record.outbox.pending().is_empty();
            if has_nothing_to_do && kept.record.is_past(&event) {
                return Ok(Handled::Ignored(Ignored::AttemptOver));
            }
            return self.advance_remembered(kept, event).await;
        }
        self.handle::<Build>(id, event).await
    }

    /// Handles an event for a run.
    ///
    /// # Errors
    /// As [`Engine::build`].
    pub async fn run(&self, id: &RunId, event: RunEvent) -> Result<Handled, Fault> {
        self.handle::<Run>(id, event).await
    }

    /// The attempt and state of an agent whose event does not identify it; `None` if it is foreign, or no longer exists. `executor` is the name of
    /// its executor.
    ///
    /// # Errors
    /// If this function does not perform the executor, or the service cannot be asked.
    pub async fn identify(&self, executor: &str, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        self.executors()?.named(executor)?.identify(agent).await
    }

    async fn handle<R: Record>(&self, id: R::Id<'_>, event: R::Event) -> Result<Handled, Fault> {
        match self.ledger.load::<R>(id).await? {
            Some(current) => self.advance(current, vec![event], Overdue::Perform).await,
            None => Ok(Handled::Unknown),
        }
    }

    /// Passes a notification of another record to a record. `None` if that is left to the sweep: the effect stays in the sender's outbox.
    pub(crate) async fn notify<R: Record>(&self, id: R::Id<'_>, event: R::Event) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        match self.ledger.load::<R>(id).await? {
            Some(current) => engine.advance(current, vec![event], Overdue::Leave).await.map(Some),
            None => Ok(Some(Handled::Unknown)),
        }
    }

    /// The same for a record that begins to exist with its first notification, as `new`.
    pub(crate) async fn notify_or_create<R: Record>(&self, new: R, event: R::Event) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        let current = self.load_or(new).await?;
        engine.advance(current, vec![event], Overdue::Leave).await.map(Some)
    }

    /// Reads a record, or takes `new` if the ledger does not have it yet.
    pub(crate) async fn load_or<R: Stored>(&self, new: R) -> Result<Versioned<R>, Fault> {
        let stored = self.ledger.load::<R>(new.id()).await?;
        Ok(stored.unwrap_or_else(|| Versioned::new(new)))
    }

    /// The builds of a run that has finished, in no particular order: from memory if nothing of them can change any more that a report shows.
    pub(crate) async fn builds_of(&self, run: &Run) -> Result<Vec<Build>, Fault> {
        let now = self.clock.now();
        let kept = |job: RunJob<'_>| {
            let (run, job) = (run.id.clone(), job.name.clone());
            self.recent.build(&BuildId { run, job }, now).map(|kept| kept.record)
        };
        let at_rest: Option<Vec<Build>> = run.jobs().map(|job| kept(job).filter(Build::is_at_rest)).collect();
        if let Some(builds) = at_rest {
            return Ok(builds);
        }
        let builds = self.ledger.builds_of(&run.id).await?;
        Ok(builds.into_iter().map(|build| build.record).collect())
    }

    fn deeper(&self) -> Option<Self> {
        (self.depth < DEEPEST).then(|| Self {
            depth: self.depth + 1,
            ..self.clone()
        })
    }

    /// Whether this function performs that.
    pub(crate) fn performs(&self, performer: Performer) -> bool {
        match performer {
            Performer::Any => true,
            Performer::Builds => self.performs.builds.is_some(),
            Performer::Alarms => self.performs.remedies.is_some(),
            Performer::Backups => self.performs.backups.is_some(),
            Performer::Instances => self.performs.instances.is_some(),
        }
    }

    pub(crate) fn executor(&self, spec: &BuildSpec) -> Result<&dyn Executor, Fault> {
        self.executors()?.of(spec)
    }

    pub(crate) fn executors(&self) -> Result<&Executors, Fault> {
        Ok(&self.builds()?.executors)
    }

    pub(crate) fn pipelines(&self) -> Result<&dyn Pipelines, Fault> {
        Ok(&*self.builds()?.pipelines)
    }

    pub(crate) fn images(&self) -> Result<&dyn Images, Fault> {
        Ok(&*self.builds()?.images)
    }

    fn builds(&self) -> Result<&BuildPorts, Fault> {
        self.performs.builds.as_ref().ok_or_else(|| elsewhere(Performer::Builds))
    }

    pub(crate) fn remedies(&self) -> Result<&RemedyPorts, Fault> {
        self.performs.remedies.as_ref().ok_or_else(|| elsewhere(Performer::Alarms))
    }

    pub(crate) fn backups(&self) -> Result<&dyn Backups, Fault> {
        let backups = self.performs.backups.as_deref();
        backups.ok_or_else(|| elsewhere(Performer::Backups))
    }

    pub(crate) fn instances(&self) -> Result<&dyn Instances, Fault> {
        let instances = self.performs.instances.as_deref();
        instances.ok_or_else(|| elsewhere(Performer::Instances))
    }
}

/// An effect is only performed by the function that has its ports; this is a fault of the suite.
fn elsewhere(performer: Performer) -> Fault {
    Fault::permanent(format!("this function does not perform {}", performer.name()))
}
