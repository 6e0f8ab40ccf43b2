//! Builds: one job of one run, with its attempts.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::agent;
use bellhop_domain::build::{Build, BuildEffect, BuildEvent, BuildNews, BuildState, LOCK_LIMIT, ONCE_MORE_AFTER, Phase, Refusal};
use bellhop_domain::decision::Ignored;
use bellhop_domain::executor::LaunchId;
use bellhop_domain::executor::observation::{AgentStatus, Observation, StopCause};
use bellhop_domain::ids::BuildId;
use bellhop_domain::measure::{self, Measure};
use bellhop_domain::message;
use bellhop_domain::outbox::{Pending, RETRY_FOR};
use bellhop_domain::outcome::Outcome as BuildOutcome;
use bellhop_domain::queue::line::Waiting;
use bellhop_domain::queue::pool::{Pool, PoolChange};
use bellhop_domain::record::Performer;
use bellhop_domain::results::found::Results;
use bellhop_domain::run::{Run, RunEvent};
use bellhop_domain::spec::Successes;
use jiff::{SignedDuration, Timestamp};
use tracing::Span;

use super::run::KEEP;
use super::{Outcome, Record, Stored, Versioned};
use crate::ports::{Key, Launch, Meter};
use crate::{Engine, Fault, Handled};

/// The beginning of the sort keys of builds.
pub(crate) const BUILD: &str = "BUILD#";

/// How long a build that waits for others is kept, from its creation. It is not written while it waits, and a long chain of jobs of a day each, with
/// as much time to wait for an agent, may take longer than finished builds are kept.
const KEEP_BLOCKED: SignedDuration = SignedDuration::from_hours(400 * 24);

/// What a build waits for while the launch queue is worked off.
const QUEUED: &str = "the service throttles launches: this one waits for its turn in the launch queue";

/// How long a read of an agent's report from the bucket may take.
const REPORT: Duration = Duration::from_secs(8);

impl Stored for Build {
    type Id<'a> = &'a BuildId;

    fn key_of(id: &BuildId) -> Key {
        Key::new(format!("RUN#{}", id.run), format!("{BUILD}{}", id.job))
    }

    fn id(&self) -> &BuildId {
        &self.spec.id
    }

    fn cut(&self) -> Option<Self> {
        Build::cut(self)
    }

    fn due(&self) -> Option<Timestamp> {
        Build::due(self)
    }

    fn timer(&self) -> Option<Timestamp> {
        Build::timer(self)
    }

    fn launches(&self) -> bool {
        self.is_due_for_paced_launch()
    }

    fn expires(&self) -> Option<Timestamp> {
        match &self.state {
            BuildState::Finished { at, .. } => at.checked_add(KEEP).ok(),
            // The builds of a large run are stored before their run. If the start fails in between for good, nothing ever processes these builds.
            BuildState::Blocked => self.created.checked_add(KEEP_BLOCKED).ok(),
            BuildState::Waiting | BuildState::Queued { .. } | BuildState::Active => None,
        }
    }

    fn status(&self) -> Option<&'static str> {
        Some(Build::status(self))
    }
}

#[async_trait]
impl Record for Build {
    fn name(&self) -> String {
        format!("build {}", self.spec.id)
    }

    fn span(&self) -> Span {
        tracing::info_span!("build", run = %self.spec.id.run, build = %self.spec.id)
    }

    fn performer(&self, effect: &BuildEffect) -> Performer {
        match effect {
            BuildEffect::Launch { .. } | BuildEffect::SearchOrphan { .. } | BuildEffect::Stop { .. } => {
                self.spec.executor.kind().performer()
            }
            _ => Performer::Builds,
        }
    }

    fn count(&self, previous: Option<&Self>, meter: &dyn Meter) {
        let measures = measure::of_build(previous, self);
        if !measures.is_empty() {
            meter.count(Some(&self.spec.repository), &measures);
        }
    }

    fn keep(stored: &Versioned<Self>, engine: &Engine) {
        engine.recent.keep_build(stored.clone(), engine.clock.now());
    }

    /// Asks for proof that Bellhop launched an agent of which the record only has an event, and adds a stopped agent's report from the bucket. The report is read only if the exit code is not conclusive, and only once: not for an attempt that has
    /// already ended. Exit code 0 is conclusive if the only container ended by itself; with a second container, or after a warning, it may be a
    /// script's response to SIGTERM.
    async fn complete(&self, engine: &Engine, event: &mut BuildEvent) -> Result<(), Fault> {
        prove(self, engine, event).await?;
        let is_reported = matches!(event, BuildEvent::Reported { .. });
        let (BuildEvent::Agent { attempt, observation } | BuildEvent::Reported { attempt, observation, .. }) = event else {
            return Ok(());
        };
        let Observation {
            agent,
            status: AgentStatus::Stopped(stop),
            ..
        } = observation
        else {
            return Ok(());
        };
        let open = self.attempts.iter().find(|candidate| {
            let is_own = candidate.agent.as_ref().map_or(!is_reported, |known| known == agent);
            candidate.number == *attempt && candidate.end().is_none() && is_own
        });
        let Some(open) = open.filter(|_| self.outcome().is_none()) else {
            return Ok(());
        };
        let says_all = match stop.cause {
            StopCause::Exited => {
                let clean = matches!(stop.containers.as_slice(), [only] if only.exit_code == Some(0));
                clean && !matches!(open.phase, Phase::Interrupted { .. })
            }
            StopCause::FailedToStart | StopCause::NoCapacity | StopCause::NotNow | StopCause::Definition => true,
            StopCause::Interrupted | StopCause::Requested | StopCause::TimedOut | StopCause::Other => false,
        };
        if self.spec.executor.kind().leaves_report() && stop.report.is_none() && !says_all {
            let since = stop.at.unwrap_or(open.polled_at);
            let id = self.attempt_id(*attempt);
            let place = agent::place(&self.spec, &id);
            let report = async {
                match engine.store.folder(&place, agent).await? {
                    Some(folder) => engine.store.agent_report(&folder).await,
                    None => Ok(None),
                }
            };
            let read = engine.within(REPORT, report).await;
            match read.unwrap_or_else(|| {
                Err(Fault::transient(format!(
                    "failed to read the report of {id}: timed out after {} s",
                    REPORT.as_secs()
                )))
            }) {
                Ok(report) => {
                    if report.is_none() {
                        tracing::warn!(build = %self.spec.id, attempt, "the agent left no report: the exit code decides");
                    }
                    stop.report = report;
                }
                // Without a report, the exit code and the service's message decide.
                Err(fault) if measure::between(since, engine.clock.now()) >= RETRY_FOR => {
                    tracing::error!(build = %self.spec.id, attempt, error = %fault, "the agent's report cannot be read: the exit code decides");
                    engine.meter.count(None, &[Measure::Abandoned(1)]);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<BuildEffect>) -> Result<Outcome<BuildEvent>, Fault> {
        let id = &self.spec.id;
        match &pending.effect {
            BuildEffect::Launch { attempt, capacity, round } => {
                let (attempt, capacity, round) = (*attempt, *capacity, *round);
                let again = self.may_have_been_tried(pending, attempt, engine.clock.now());
                if self.spec.pausable
                    && let Some(why) = engine.paused().await?
                {
                    // A launch that may already have succeeded is not a new one.
                    if again
                        && let Some(observation) = engine
                            .executor(&self.spec)?
                            .find(&self.spec, &self.attempt_id(attempt))
                            .await?
                            .pop()
                    {
                        return Ok(Outcome::Event(BuildEvent::Agent { attempt, observation }));
                    }
                    tracing::info!(build = %id, attempt, why, "launch postponed");
                    let refusal = Refusal::Paused(why);
                    return Ok(Outcome::Event(BuildEvent::LaunchRefused {
                        attempt,
                        capacity,
                        round,
                        refusal,
                        spent: false,
                    }));
                }
                // Others wait for their turn, and this one would take it from them. A launch that may already have succeeded is not a new one.
                if !again && engine.pace.is_none() && engine.launches_queue().await {
                    tracing::info!(build = %id, attempt, "launch queued");
                    return Ok(Outcome::Event(BuildEvent::LaunchRefused {
                        attempt,
                        capacity,
                        round,
                        refusal: Refusal::Throttled(QUEUED.to_owned()),
                        spent: false,
                    }));
                }
                let launch = LaunchId {
                    attempt: self.attempt_id(attempt),
                    capacity,
                    round,
                };
                Ok(Outcome::Event(match self::launch(self, engine, &launch, again).await? {
                    Launch::Accepted(agent) => {
                        tracing::info!(build = %id, attempt, %capacity, agent = agent.as_str(), "agent launched");
                        BuildEvent::LaunchAccepted { attempt, capacity, agent }
                    }
                    Launch::Refused { refusal, spent } => {
                        tracing::warn!(build = %id, attempt, %capacity, ?refusal, "launch refused");
                        BuildEvent::LaunchRefused {
                            attempt,
                            capacity,
                            round,
                            refusal,
                            spent,
                        }
                    }
                }))
            }
            BuildEffect::SearchOrphan { attempt } => {
                let found = engine.executor(&self.spec)?.find(&self.spec, &self.attempt_id(*attempt)).await?;
                let attempt = *attempt;
                Ok(Outcome::Event(BuildEvent::Searched { attempt, found }))
            }
            BuildEffect::Stop { agent, reason } => {
                engine.executor(&self.spec)?.stop(agent, reason).await?;
                tracing::info!(build = %id, agent = agent.as_str(), reason, "agent asked to stop");
                Ok(Outcome::done())
            }
            BuildEffect::Announce(news) => {
                if is_worth_telling(engine, self, news).await? {
                    engine.notifier.publish(&message::about_build(self, news)).await?;
                }
                Ok(Outcome::done())
            }
            BuildEffect::FindInputs => Ok(Outcome::Event(BuildEvent::InputsFound(engine.find_inputs(&self.spec).await?))),
            BuildEffect::AcquireSlot => {
                let Some(limit) = self.spec.limit else { return Ok(Outcome::done()) };
                queue_up(engine, self.in_line(self.turn), limit, pending).await
            }
            BuildEffect::ReleaseSlot { turn, waited } => leave(engine, self.in_line(*turn), *waited).await,
            BuildEffect::AcquireLock => match self.in_line_for_lock() {
                Some(waiting) => queue_up(engine, waiting, LOCK_LIMIT, pending).await,
                None => Ok(Outcome::done()),
            },
            BuildEffect::ReleaseLock { waited } => match self.in_line_for_lock() {
                Some(waiting) => leave(engine, waiting, *waited).await,
                None => Ok(Outcome::done()),
            },
            BuildEffect::Collect { attempt, .. } => {
                let attempt = *attempt;
                let agent = self.attempts.iter().find(|candidate| candidate.number == attempt);
                let results = match agent.and_then(|attempt| attempt.agent.as_ref()) {
                    Some(agent) => {
                        let id = self.attempt_id(attempt);
                        crate::results::collect(engine, &self.spec, &id, agent).await?
                    }
                    None => Results::default(),
                };
                Ok(Outcome::Event(BuildEvent::Collected { attempt, results }))
            }
            BuildEffect::NotifyRun { outcome } => {
                tracing::info!(build = %id, outcome = outcome.as_str(), cause = self.cause(), "build finished");
                let event = RunEvent::BuildFinished {
                    job: id.job.clone(),
                    outcome: *outcome,
                };
                match engine.notify::<Run>(&id.run, event).await? {
                    notified @ (None | Some(Handled::Done | Handled::Ignored(_))) => Ok(Outcome::notified(notified)),
                    Some(Handled::Unknown) => Err(Fault::permanent(format!("the ledger has build {id}, but not its run"))),
                }
            }
        }
    }
}

/// Replaces an event about an agent that the record does not have by the service's description, if that proves that Bellhop launched the agent. Otherwise
/// the event stays, and is ignored.
async fn prove(build: &Build, engine: &Engine, event: &mut BuildEvent) -> Result<(), Fault> {
    let BuildEvent::Reported {
        attempt,
        observation,
        placement,
    } = event
    else {
        return Ok(());
    };
    if !build.needs_proof(*attempt, observation, placement) {
        return Ok(());
    }
    let (attempt, executor) = (*attempt, engine.executor(&build.spec)?);
    let proven = executor.prove(&build.spec, &build.attempt_id(attempt), &observation.agent).await?;
    if let Some(mut described) = proven {
        tracing::info!(build = %build.spec.id, attempt, agent = observation.agent.as_str(), "agent proven to be launched for this attempt");
        if observation.status == AgentStatus::Interrupted && described.is_open() {
            // The interruption of an instance does not show in its tasks.
            (described.version, described.status) = (None, AgentStatus::Interrupted);
        }
        *event = BuildEvent::Agent {
            attempt,
            observation: described,
        };
    }
    Ok(())
}

/// Requests a slot or a lock for a build, and puts the build in line if none is free.
async fn queue_up(engine: &Engine, waiting: Waiting, limit: u32, pending: &Pending<BuildEffect>) -> Result<Outcome<BuildEvent>, Fault> {
    let slots = || Pool::new(waiting.pool.clone(), engine.clock.now());
    let acquire = PoolChange::Acquire {
        waiting: waiting.clone(),
        limit,
        again: pending.tries > 0 || pending.due() <= engine.clock.now(),
    };
    match engine.notify_or_create(slots(), acquire.into()).await? {
        Some(Handled::Ignored(Ignored::Full)) => {}
        notified => return Ok(Outcome::notified(notified)),
    }
    // It queues up first and notifies the pool afterwards: the pool's next event that finds a slot free finds the build in line. One that has looked before
    // meets a conflict.
    engine.ledger.store(0, &waiting).await?;
    let queued = PoolChange::Queued { limit };
    Ok(Outcome::notified(engine.notify_or_create(slots(), queued.into()).await?))
}

/// Releases a slot or a lock of a build, and takes the build out of the line if it may be there.
async fn leave(engine: &Engine, place: Waiting, waited: Option<Timestamp>) -> Result<Outcome<BuildEvent>, Fault> {
    let (build, turn) = (place.build.clone(), place.turn);
    let slots = Pool::new(place.pool.clone(), engine.clock.now());
    if let Some(since) = waited {
        engine.ledger.remove(&Waiting { since, ..place }.key()).await?;
    }
    let release = PoolChange::Release { build, turn };
    Ok(Outcome::notified(engine.notify_or_create(slots, release.into()).await?))
}

async fn launch(build: &Build, engine: &Engine, launch: &LaunchId, again: bool) -> Result<Launch, Fault> {
    let executor = engine.executor(&build.spec)?;
    let mut launched = executor.launch(&build.spec, launch, again).await?;
    if let Launch::Refused {
        refusal: Refusal::Invalid(_),
        spent: false,
    } = launched
    {
        engine.clock.pause(ONCE_MORE_AFTER).await;
        launched = executor.launch(&build.spec, launch, again).await?;
    }
    let now = engine.clock.now();
    if let Some(pace) = &engine.pace {
        pace.note(&launched, now);
    }
    if matches!(
        launched,
        Launch::Refused {
            refusal: Refusal::Throttled(_),
            ..
        }
    ) {
        engine.recent.throttled(now);
    }
    Ok(launched)
}

/// Whether a message is sent. Everything except a success is reported; the configuration decides about successes.
async fn is_worth_telling(engine: &Engine, build: &Build, news: &BuildNews) -> Result<bool, Fault> {
    let BuildNews::Finished {
        outcome: BuildOutcome::Succeeded,
        ..
    } = news
    else {
        return Ok(true);
    };
    match build.spec.successes {
        Successes::All => Ok(true),
        Successes::None => Ok(false),
        Successes::Changes => engine.is_recovery(build).await,
    }
}
