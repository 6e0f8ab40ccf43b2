//! The loop that every record goes through, and its way in.

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

/// How many records may tell each other something within one invocation. A job that cannot be launched lets go of its place at once, so that the next
/// one is launched, and so on through a whole queue: what is told beyond this is left to the sweep.
const DEEPEST: u8 = 16;

/// Everything that decides and acts on builds and runs.
#[derive(Clone)]
pub struct Engine {
    /// The suite's name, by which its runs and tokens differ from those of other suites in the account.
    pub suite: Arc<str>,
    /// The memory.
    pub ledger: Arc<dyn Ledger>,
    /// Where agents come from.
    pub agents: Arc<dyn Agents>,
    /// The instances that agents run on.
    pub hosts: Arc<dyn Hosts>,
    /// The bucket.
    pub store: Arc<dyn Store>,
    /// Who tells people.
    pub notifier: Arc<dyn Notifier>,
    /// Who runs pipelines that wait for runs.
    pub pipelines: Arc<dyn Pipelines>,
    /// Where the pushed code is.
    pub source: Arc<dyn Source>,
    /// Services that can be restarted.
    pub services: Arc<dyn Services>,
    /// Who makes backups.
    pub backups: Arc<dyn Backups>,
    /// Who keeps what is counted.
    pub meter: Arc<dyn Meter>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whose turn it is to read test reports, one build after the other: the sweep may come to many at once, and each may fill a good part of a
    /// function's memory.
    pub reading: Arc<Mutex<()>>,
    /// How many records have told each other something on the way to this one; 0 for what comes from outside.
    pub depth: u8,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It changed something, or something overdue was performed on its occasion.
    Done,
    /// It changed nothing, as is normal for what comes twice or late.
    Ignored(Ignored),
    /// There is no such build or run: it is another suite's, or its record has expired.
    Unknown,
}

/// What happens to overdue effects of a record on the occasion of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Overdue {
    /// They are performed.
    Perform,
    /// They are left to whoever comes to the record itself. A run and its build that tell each other something must not perform each other's
    /// overdue effects: where both have told and not struck it out, each would send the other back, without end.
    Leave,
}

/// A record of the ledger that decides about events and keeps its effects in an outbox.
#[async_trait]
pub(crate) trait Record: Clone + PartialEq + Send + Sync + 'static {
    type Event: Send + Sync + 'static;
    type Effect: Effect + Clone + Send + Sync + 'static;

    /// How often a decision is made anew because somebody else wrote the record first. Most records have few writers, so more than this is a fault of
    /// its own.
    const CONFLICTS: u32 = 8;

    /// Its name for people.
    fn name(&self) -> String;
    fn decide(&self, event: &Self::Event, now: Timestamp) -> Decision<Self>;
    fn outbox(&self) -> &Outbox<Self::Effect>;
    /// The event that an effect was tried in vain, and why.
    fn deferred(effect: EffectId, why: String) -> Self::Event;
    /// The record as it is in the ledger now.
    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault>;
    /// Stores `self` in place of the version expected.
    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault>;
    /// Adds to an event what only the edges know, before it is decided.
    async fn complete(&self, engine: &Engine, event: &mut Self::Event) -> Result<(), Fault>;
    /// Has it counted what a change says that was committed; `previous` is none for a new record.
    fn count(&self, _previous: Option<&Self>, _meter: &dyn Meter) {}
    /// What the lines are about that are logged while something is done with it.
    fn span(&self) -> Span {
        tracing::info_span!("record", record = self.name())
    }
    /// Performs an effect, and gives what came of it.
    async fn perform(&self, engine: &Engine, pending: &Pending<Self::Effect>) -> Result<Vec<Self::Event>, Fault>;
}

/// How many effects, or new records, are performed side by side. Those of a large run all ask the same pool for a place: all at once, they would write
/// its record against each other until they gave up.
pub(crate) const SIDE_BY_SIDE: usize = 16;

impl Engine {
    /// The run that a trigger starts here for a reference.
    #[must_use]
    pub fn run_id(&self, trigger: &str, reference: &Reference) -> RunId {
        RunId::derive(&self.suite, trigger, reference)
    }

    /// Takes an event to a build.
    ///
    /// # Errors
    /// When the ledger cannot be read or written, or an effect cannot be performed now. What was committed stays, and the sweep performs what is left.
    pub async fn build(&self, id: &BuildId, event: BuildEvent) -> Result<Handled, Fault> {
        match self.ledger.build(id).await? {
            Some(current) => self.advance(current, vec![event], Overdue::Perform).await,
            None => Ok(Handled::Unknown),
        }
    }

    /// Takes an event to a run.
    ///
    /// # Errors
    /// As [`Engine::build`].
    pub async fn run(&self, id: &RunId, event: RunEvent) -> Result<Handled, Fault> {
        match self.ledger.run(id).await? {
            Some(current) => self.advance(current, vec![event], Overdue::Perform).await,
            None => Ok(Handled::Unknown),
        }
    }

    /// Takes what another record has to tell to a build. `None` if that is left to the sweep: the effect stays in the teller's outbox.
    pub(crate) async fn tell_build(&self, id: &BuildId, event: BuildEvent) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        match self.ledger.build(id).await? {
            Some(current) => engine.advance(current, vec![event], Overdue::Leave).await.map(Some),
            None => Ok(Some(Handled::Unknown)),
        }
    }

    /// Takes what another record has to tell to a run. `None` as for [`Engine::tell_build`].
    pub(crate) async fn tell_run(&self, id: &RunId, event: RunEvent) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        match self.ledger.run(id).await? {
            Some(current) => engine.advance(current, vec![event], Overdue::Leave).await.map(Some),
            None => Ok(Some(Handled::Unknown)),
        }
    }

    /// Takes what a build has to tell to the pool of its agent template. `None` as for [`Engine::tell_build`].
    pub(crate) async fn tell_pool(&self, agent: &AgentName, event: PoolEvent) -> Result<Option<Handled>, Fault> {
        let Some(engine) = self.deeper() else { return Ok(None) };
        let current = engine.load_pool(agent).await?;
        engine.advance(current, vec![event], Overdue::Leave).await.map(Some)
    }

    /// Takes what a run has to tell to its branch. `None` as for [`Engine::tell_build`].
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

    /// A pool as it is in the ledger, or a new one.
    pub(crate) async fn load_pool(&self, agent: &AgentName) -> Result<Versioned<Pool>, Fault> {
        let stored = self.ledger.pool(agent).await?;
        Ok(stored.unwrap_or_else(|| Versioned {
            version: 0,
            record: Pool::new(agent.clone(), self.clock.now()),
        }))
    }

    /// A branch as it is in the ledger, or a new one.
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

    /// Takes events to a record as it was read, and goes on with what comes of its effects until nothing more does. Without events, it performs what
    /// is overdue.
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
            // Whoever committed these did not live to perform them.
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
                // A write whose reply was lost conflicts with itself when the SDK repeats it: what is there then is what was to be written.
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

    /// Performs the effects of a new record, as it was just created.
    pub(crate) async fn perform_new<R: Record>(&self, record: R) -> Result<(), Fault> {
        let (effects, span) = (record.outbox().pending().to_vec(), record.span());
        record.count(None, &*self.meter);
        let settled = self.settle(Versioned { version: 1, record }, effects, Overdue::Leave);
        settled.instrument(span).await
    }

    /// Performs effects that were committed, and takes what comes of them back to the record. They go onto the wire in their order (`buffered` polls
    /// in turn), at most [`SIDE_BY_SIDE`] at a time.
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
                    // It is tried again; who has called is given the first of them as an error.
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

    /// Performs an effect within its time, so that a service that does not answer is noted as one, and the effect ends.
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
