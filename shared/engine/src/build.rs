//! The processing of builds: storage and effects.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::build::{Build, BuildEffect, BuildEvent, BuildNews, Phase, Refusal};
use bellhop_domain::decision::{Decision, Ignored};
use bellhop_domain::ids::LaunchId;
use bellhop_domain::measure::{self, Measure};
use bellhop_domain::message;
use bellhop_domain::observation::{AgentStatus, Observation, StopCause};
use bellhop_domain::outbox::{EffectId, Outbox, PERFORM_WITHIN, Pending, TRY_FOR};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::pool::PoolEvent;
use bellhop_domain::run::RunEvent;
use bellhop_domain::spec::{Executor, Successes};
use jiff::Timestamp;
use tracing::Span;

use crate::engine::Record;
use crate::ports::{Launch, Meter, Versioned, Written};
use crate::{Engine, Fault, Handled};

/// How long a read of an agent's report from the bucket may take.
const REPORT: Duration = Duration::from_secs(8);

#[async_trait]
impl Record for Build {
    type Event = BuildEvent;
    type Effect = BuildEffect;

    fn name(&self) -> String {
        format!("build {}", self.spec.id)
    }

    fn span(&self) -> Span {
        tracing::info_span!("build", run = %self.spec.id.run, build = %self.spec.id)
    }

    fn count(&self, previous: Option<&Self>, meter: &dyn Meter) {
        let measures = measure::of_build(previous, self);
        if !measures.is_empty() {
            meter.count(Some(&self.spec.repository), &measures);
        }
    }

    fn decide(&self, event: &BuildEvent, now: Timestamp) -> Decision<Self> {
        Build::decide(self, event, now)
    }

    fn deferred(effect: EffectId, why: String) -> BuildEvent {
        BuildEvent::Deferred(effect, why)
    }

    fn outbox(&self) -> &Outbox<BuildEffect> {
        &self.outbox
    }

    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault> {
        engine.ledger.build(&self.spec.id).await
    }

    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault> {
        engine.ledger.update_build(expected, self).await
    }

    /// Adds a stopped agent's report from the bucket. It is read only if the exit code is not conclusive, and only once: not for an attempt that has
    /// already ended. Exit code 0 is conclusive if the only container ended by itself; with a second container, or after a warning, it may be a
    /// script's response to SIGTERM.
    async fn complete(&self, engine: &Engine, event: &mut BuildEvent) -> Result<(), Fault> {
        let BuildEvent::Agent {
            attempt,
            observation:
                Observation {
                    agent,
                    status: AgentStatus::Stopped(stop),
                    ..
                },
        } = event
        else {
            return Ok(());
        };
        let open = self.attempts.iter().find(|candidate| {
            candidate.number == *attempt && candidate.end().is_none() && candidate.agent.as_ref().is_none_or(|known| known == agent)
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
        let on_ecs = matches!(self.spec.executor, Executor::Ecs(_));
        if on_ecs && stop.report.is_none() && !says_all {
            let since = stop.at.unwrap_or(open.checked);
            let id = self.attempt_id(*attempt);
            let read = engine.within(REPORT, engine.store.agent_report(&id)).await;
            match read.unwrap_or_else(|| {
                Err(Fault::passing(format!(
                    "failed to read the report of {id}: timed out after {} s",
                    REPORT.as_secs()
                )))
            }) {
                Ok(report) => stop.report = report,
                // Without a report, the exit code and the service's message decide.
                Err(fault) if measure::between(since, engine.clock.now()) >= TRY_FOR => {
                    tracing::error!(build = %self.spec.id, attempt, error = %fault, "the agent's report cannot be read: the exit code decides");
                    engine.meter.count(None, &[Measure::Abandoned(1)]);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<BuildEffect>) -> Result<Vec<BuildEvent>, Fault> {
        let id = &self.spec.id;
        let performed = BuildEvent::Performed(pending.id);
        match &pending.effect {
            BuildEffect::Launch { attempt, capacity, round } => {
                let (attempt, capacity, round) = (*attempt, *capacity, *round);
                let again = may_have_been_tried(self, pending, attempt, engine.clock.now());
                if self.spec.pausable
                    && let Some(why) = engine.paused().await?
                {
                    // A launch that may already have succeeded is not a new one.
                    if again && let Some(observation) = engine.agents.find(&self.spec, &self.attempt_id(attempt)).await?.pop() {
                        return Ok(vec![BuildEvent::Agent { attempt, observation }]);
                    }
                    tracing::info!(build = %id, attempt, why, "launch postponed");
                    let refusal = Refusal::Paused(why);
                    return Ok(vec![BuildEvent::LaunchRefused {
                        attempt,
                        capacity,
                        round,
                        refusal,
                        spent: false,
                    }]);
                }
                let launch = LaunchId {
                    attempt: self.attempt_id(attempt),
                    capacity,
                    round,
                };
                Ok(vec![match engine.agents.launch(&self.spec, &launch, again).await? {
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
                }])
            }
            BuildEffect::Find { attempt } => {
                let found = engine.agents.find(&self.spec, &self.attempt_id(*attempt)).await?;
                let seen = found.into_iter().map(|observation| BuildEvent::Agent {
                    attempt: *attempt,
                    observation,
                });
                Ok(std::iter::once(performed).chain(seen).collect())
            }
            BuildEffect::Stop { agent, reason } => {
                engine.agents.stop(agent, reason).await?;
                tracing::info!(build = %id, agent = agent.as_str(), reason, "agent asked to stop");
                Ok(vec![performed])
            }
            BuildEffect::Announce(news) => {
                if is_worth_telling(engine, self, news).await? {
                    engine.notifier.publish(&message::about_build(self, news)).await?;
                }
                Ok(vec![performed])
            }
            BuildEffect::Ask => {
                let Some(limit) = self.spec.limit else { return Ok(vec![performed]) };
                let event = PoolEvent::Ask {
                    build: id.clone(),
                    since: self.attempts.last().map_or(self.created, |attempt| attempt.queued),
                    limit,
                    turn: self.turn,
                };
                match engine.tell_pool(&self.spec.agent, event).await? {
                    None => Ok(Vec::new()),
                    Some(Handled::Ignored(Ignored::Full)) => {
                        tracing::warn!(build = %id, agent = %self.spec.agent, "too many builds wait for this agent: the build asks again later");
                        let why = "too many builds wait for this agent".to_owned();
                        Ok(vec![BuildEvent::Deferred(pending.id, why)])
                    }
                    Some(_) => Ok(vec![performed]),
                }
            }
            BuildEffect::Leave { turn } => {
                let event = PoolEvent::Leave {
                    build: id.clone(),
                    turn: *turn,
                };
                let told = engine.tell_pool(&self.spec.agent, event).await?;
                Ok(told.map(|_| performed).into_iter().collect())
            }
            BuildEffect::Collect { attempt, .. } => {
                let found = crate::found::collect(engine, &self.attempt_id(*attempt)).await?;
                let attempt = *attempt;
                Ok(vec![BuildEvent::Collected { attempt, found }])
            }
            BuildEffect::TellRun { outcome, cause, tests } => {
                tracing::info!(build = %id, outcome = outcome.as_str(), cause, "build finished");
                let event = RunEvent::BuildFinished {
                    job: id.job.clone(),
                    outcome: *outcome,
                    cause: cause.clone(),
                    tests: tests.clone(),
                };
                match engine.tell_run(&id.run, event).await? {
                    None => Ok(Vec::new()),
                    Some(Handled::Done | Handled::Ignored(_)) => Ok(vec![performed]),
                    Some(Handled::Unknown) => Err(Fault::lasting(format!("the ledger has build {id}, but not its run"))),
                }
            }
        }
    }
}

/// Whether a request of a launch may have been sent before. A refusal does not prove that it had no effect.
fn may_have_been_tried(build: &Build, launch: &Pending<BuildEffect>, attempt: u32, now: Timestamp) -> bool {
    let refused = build
        .attempts
        .iter()
        .any(|candidate| candidate.number == attempt && candidate.was_refused());
    refused || launch.tries > 0 || launch.since.checked_add(PERFORM_WITHIN).is_ok_and(|overdue| overdue <= now)
}

/// Whether a message is sent. Everything except a success is reported; the configuration decides about successes.
async fn is_worth_telling(engine: &Engine, build: &Build, news: &BuildNews) -> Result<bool, Fault> {
    let BuildNews::Finished {
        outcome: Outcome::Succeeded,
        ..
    } = news
    else {
        return Ok(true);
    };
    match build.spec.successes {
        Successes::All => Ok(true),
        Successes::None => Ok(false),
        Successes::Changes => match engine.ledger.run(&build.spec.id.run).await? {
            Some(run) => engine.is_recovery(&build.spec.id.job, &run.record).await,
            None => Ok(false),
        },
    }
}
