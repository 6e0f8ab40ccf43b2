//! The loop that processes every record, and its entry points.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::branch::{Branch, BranchEvent};
use bellhop_domain::build::BuildEvent;
use bellhop_domain::decision::{Decision, Ignored};
use bellhop_domain::ids::{AgentName, BuildId, Reference, RepositoryName, RunId};
use bellhop_domain::measure::Measure;
use bellhop_domain::outbox::{Effect, EffectId, Outbox, Pending};
use bellhop_domain::pool::{Pool, PoolEvent};
use bellhop_domain::run::RunEvent;
use futures::future::{BoxFuture, FutureExt};
use futures::lock::Mutex;
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use tracing::{Instrument, Span};

use crate::Fault;
use crate::ports::{Agents, Backups, Clock, Hosts, Ledger, Meter, Notifier, Pipelines, Services, Source, Store, Versioned, Written};

/// How many records may notify each other within one invocation. A job that cannot be launched releases its slot at once, so that the next one is
/// launched, and so on through a whole queue: notifications beyond this limit are left to the sweep.
const DEEPEST: u8 = 16;

/// Decides about builds and runs, and performs their effects.
#[derive(Clone)]
pub struct Engine {
    /// The suite's name, which is part of its runs' ids and tokens.
    pub suite: Arc<str>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The services of the agents.
    pub agents: Arc<dyn Agents>,
    /// The instances of the agents.
    pub hosts: Arc<dyn Hosts>,
    /// The bucket.
    pub store: Arc<dyn Store>,
    /// The topic for messages.
    pub notifier: Arc<dyn Notifier>,
    /// CodePipeline.
    pub pipelines: Arc<dyn Pipelines>,
    /// The source code.
    pub source: Arc<dyn Source>,
    /// ECS services that can be restarted.
    pub services: Arc<dyn Services>,
    /// AWS Backup.
    pub backups: Arc<dyn Backups>,
    /// The metrics.
    pub meter: Arc<dyn Meter>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Serializes the reading of test reports: the sweep may process many builds at the same time, and each may need a large part of a function's
    /// memory.
    pub reading: Arc<Mutex<()>>,
    /// How many records were notified on the way to this one; 0 for an event from outside.
    pub depth: u8,
}

/// The result of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It changed something, or overdue effects were performed.
    Done,
    /// It changed nothing, as is normal for a duplicate or late event.
    Ignored(Ignored),
    /// There is no such build or run: it belongs to another suite, or its record has expired.
    Unknown,
}

/// What happens to a record's overdue effects when it gets an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Overdue {
    /// They are performed.
    Perform,
    /// They are left to the record's own processing. A run and its build that notify each other must not perform each other's overdue effects: if
    /// both had notified without recording it, each would trigger the other forever.
    Leave,
}

/// A record of the ledger that decides about events and stores its effects in an outbox.
#[async_trait]
pub(crate) trait Record: Clone + PartialEq + Send + Sync + 'static {
    type Event: Send + Sync + 'static;
    type Effect: Effect + Clone + Send + Sync + 'static;

    /// How often a decision is repeated after a write conflict. Most records have few writers, so more conflicts indicate a fault.
    const CONFLICTS: u32 = 8;

    /// Its name for people.
    fn name(&self) -> String;
    fn decide(&self, event: &Self::Event, now: Timestamp) -> Decision<Self>;
    fn outbox(&self) -> &Outbox<Self::Effect>;
    /// The event that an effect has failed, with the reason.
    fn deferred(effect: EffectId, why: String) -> Self::Event;
    /// Reads the current record from the ledger.
    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault>;
    /// Stores `self` if the stored version is the expected one.
    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault>;
    /// Adds data of external services to an event before the decision.
    async fn complete(&self, engine: &Engine, event: &mut Self::Event) -> Result<(), Fault>;
    /// Counts the metrics of a committed change; `previous` is none for a new record.
    fn count(&self, _previous: Option<&Self>, _meter: &dyn Meter) {}
    /// The tracing span of log lines about the record.
    fn span(&self) -> Span {
        tracing::info_span!("record", record = self.name())
    }
    /// Performs an effect, and returns the resulting events.
    async fn perform(&self, engine: &Engine, pending: &Pending<Self::Effect>) -> Result<Vec<Self::Event>, Fault>;
}

/// How many effects, or new records, are performed in parallel. All effects of a large run may request slots of the same pool: without a limit, their
/// writes would conflict until they failed.
pub(crate) const SIDE_BY_SIDE: usize = 16;

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
        match self.ledger.build(id).await? {
            Some(current) => self.advance(current, vec![event], Overdue::Perform).await,
            None => Ok(Handled::Unknown),
        }
    }

    /// Handles an event for a run.
    ///
    /// # Errors
    /// As [`Engine::build`].
    pub async fn run(&self, id: &RunId, event: RunEvent) -> Result<Handled, Fault> {
        match self.ledger.run(id).await? {
            Some(current) => self.advance(current, vec![event], Overdue::Perform).await,
            None => Ok(Handled::Unknown),
        }
    }

    /// Passes a notification of another record to a build. `None` if that is left to the sweep: the effect stays in the sender's outbox.
    pub(crate) async fn tell_build(&self, id: &BuildId, event: BuildEvent) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        match self.ledger.build(id).await? {
            Some(current) => engine.advance(current, vec![event], Overdue::Leave).await.map(Some),
            None => Ok(Some(Handled::Unknown)),
        }
    }

    /// Passes a notification of another record to a run. `None` as for [`Engine::tell_build`].
    pub(crate) async fn tell_run(&self, id: &RunId, event: RunEvent) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        match self.ledger.run(id).await? {
            Some(current) => engine.advance(current, vec![event], Overdue::Leave).await.map(Some),
            None => Ok(Some(Handled::Unknown)),
        }
    }

    /// Passes a build's notification to the pool of its agent template. `None` as for [`Engine::tell_build`].
    pub(crate) async fn tell_pool(&self, agent: &AgentName, event: PoolEvent) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        let current = engine.load_pool(agent).await?;
        engine.advance(current, vec![event], Overdue::Leave).await.map(Some)
    }

    /// Passes a run's notification to its branch. `None` as for [`Engine::tell_build`].
    pub(crate) async fn tell_branch(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        event: BranchEvent,
    ) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        let current = engine.load_branch(repository, reference).await?;
        engine.advance(current, vec![event], Overdue::Leave).await.map(Some)
    }

    /// Reads a pool from the ledger, or creates a new one.
    pub(crate) async fn load_pool(&self, agent: &AgentName) -> Result<Versioned<Pool>, Fault> {
        let stored = self.ledger.pool(agent).await?;
        Ok(stored.unwrap_or_else(|| Versioned {
            version: 0,
            record: Pool::new(agent.clone(), self.clock.now()),
        }))
    }

    /// Reads a branch from the ledger, or creates a new one.
    pub(crate) async fn load_branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Versioned<Branch>, Fault> {
        let stored = self.ledger.branch(repository, reference).await?;
        Ok(stored.unwrap_or_else(|| Versioned {
            version: 0,
            record: Branch::new(repository.clone(), reference.clone()),
        }))
    }

    fn deeper(&self) -> Option<Self> {
        (self.depth < DEEPEST).then(|| Self {
            depth: self.depth + 1,
            ..self.clone()
        })
    }

    /// Applies events to a record, performs its effects, and applies their results, until there are no more. Without events, it performs overdue
    /// effects.
    pub(crate) fn advance<R: Record>(
        &self,
        current: Versioned<R>,
        events: Vec<R::Event>,
        overdue: Overdue,
    ) -> BoxFuture<'_, Result<Handled, Fault>> {
        let span = current.record.span();
        self.advance_unboxed(current, events, overdue).instrument(span).boxed()
    }

    async fn advance_unboxed<R: Record>(
        &self,
        mut current: Versioned<R>,
        mut events: Vec<R::Event>,
        overdue: Overdue,
    ) -> Result<Handled, Fault> {
        let mut conflicts = 0;
        loop {
            for event in &mut events {
                current.record.complete(self, event).await?;
            }
            let now = self.clock.now();
            let mut next = current.record.clone();
            let mut ignored = None;
            for event in &events {
                match next.decide(event, now) {
                    Decision::Next(decided) => next = *decided,
                    Decision::Ignored(reason) => ignored = Some(reason),
                }
            }
            // The function that committed these effects stopped before it performed them.
            let mut effects: Vec<_> = match overdue {
                Overdue::Perform => overdue_in(next.outbox(), now).collect(),
                Overdue::Leave => Vec::new(),
            };
            if next != current.record {
                let stored = match next.store(self, current.version).await? {
                    Written::Stored(version) => Versioned {
                        version,
                        record: next.clone(),
                    },
                    Written::Conflict => {
                        conflicts += 1;
                        self.after_conflict(&current.record, conflicts).await?
                    }
                };
                // If the reply to a write is lost, the SDK's repetition conflicts with the write itself: the stored record then equals the new one.
                if stored.version != current.version + 1 || stored.record != next {
                    current = stored;
                    continue;
                }
                next.count(Some(&current.record), &*self.meter);
                let abandoned = next.outbox().abandoned().saturating_sub(current.record.outbox().abandoned());
                if abandoned > 0 {
                    tracing::error!(record = next.name(), "an effect failed until its deadline and was abandoned");
                    self.meter.count(None, &[Measure::Abandoned(abandoned)]);
                }
                effects.extend(next.outbox().since(current.record.outbox()).cloned());
                current = stored;
            } else if effects.is_empty() {
                return Ok(ignored.map_or(Handled::Done, Handled::Ignored));
            }
            self.settle(current, effects, overdue).await?;
            return Ok(Handled::Done);
        }
    }

    /// Performs the effects of a newly created record.
    pub(crate) async fn perform_new<R: Record>(&self, record: R) -> Result<(), Fault> {
        let (effects, span) = (record.outbox().pending().to_vec(), record.span());
        record.count(None, &*self.meter);
        let settled = self.settle(Versioned { version: 1, record }, effects, Overdue::Leave);
        settled.instrument(span).await
    }

    /// Performs committed effects, and applies their results to the record. The requests are sent in order (`buffered` polls in turn), at most
    /// [`SIDE_BY_SIDE`] at a time.
    async fn settle<R: Record>(&self, current: Versioned<R>, effects: Vec<Pending<R::Effect>>, overdue: Overdue) -> Result<(), Fault> {
        let mut events = Vec::new();
        let mut fault = None;
        let performing: Vec<_> = effects
            .iter()
            .map(|pending| self.perform_in_time(&current.record, pending))
            .collect();
        let outcomes: Vec<_> = stream::iter(performing).buffered(SIDE_BY_SIDE).collect().await;
        for (pending, outcome) in effects.iter().zip(outcomes) {
            match outcome {
                Ok(more) => events.extend(more),
                Err(other) => {
                    // The effect is retried; the caller gets the first fault as an error.
                    tracing::warn!(record = current.record.name(), error = %other, "an effect could not be performed");
                    events.push(R::deferred(pending.id, other.what.clone()));
                    fault.get_or_insert(other);
                }
            }
        }
        if !events.is_empty() {
            self.advance(current, events, overdue).await?;
        }
        fault.map_or(Ok(()), Err)
    }

    /// Performs an effect within its time limit, so that a service that does not respond is recorded, and the effect ends.
    async fn perform_in_time<R: Record>(&self, record: &R, pending: &Pending<R::Effect>) -> Result<Vec<R::Event>, Fault> {
        let performing = record.perform(self, pending);
        let Some(limit) = pending.effect.time_limit() else {
            return performing.await;
        };
        let answer = self.within(limit, performing).await;
        answer.unwrap_or_else(|| Err(Fault::passing(format!("{}: no answer within {} s", record.name(), limit.as_secs()))))
    }

    async fn after_conflict<R: Record>(&self, record: &R, conflicts: u32) -> Result<Versioned<R>, Fault> {
        let name = record.name();
        if conflicts > R::CONFLICTS {
            return Err(Fault::passing(format!("{name} had {conflicts} write conflicts in a row")));
        }
        let ceiling = 10u64 << conflicts.min(6);
        self.clock.pause(Duration::from_millis(fastrand::u64(ceiling / 2..=ceiling))).await;
        record
            .reload(self)
            .await?
            .ok_or_else(|| Fault::lasting(format!("{name} vanished from the ledger while it was being written")))
    }
}

fn overdue_in<E: Effect + Clone>(outbox: &Outbox<E>, now: Timestamp) -> impl Iterator<Item = Pending<E>> {
    outbox.pending().iter().filter(move |pending| pending.due() <= now).cloned()
}
