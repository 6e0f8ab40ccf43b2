//! Runs at the edges: how they are stored, and how their effects are performed.

use async_trait::async_trait;
use bellhop_domain::agent::report_key;
use bellhop_domain::build::BuildEvent;
use bellhop_domain::decision::Decision;
use bellhop_domain::ids::{BuildId, JobName, RunId};
use bellhop_domain::message;
use bellhop_domain::outbox::{EffectId, Outbox, Pending};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::report;
use bellhop_domain::run::{Run, RunEffect, RunEvent, RunState};
use bellhop_domain::spec::Successes;
use jiff::Timestamp;

use crate::engine::Record;
use crate::ports::{Lineage, Versioned, Written};
use crate::{Engine, Fault, Handled};

#[async_trait]
impl Record for Run {
    type Event = RunEvent;
    type Effect = RunEffect;

    fn name(&self) -> String {
        format!("run {}", self.id)
    }

    fn decide(&self, event: &RunEvent, now: Timestamp) -> Decision<Self> {
        Run::decide(self, event, now)
    }

    fn deferred(effect: EffectId) -> RunEvent {
        RunEvent::Deferred(effect)
    }

    fn outbox(&self) -> &Outbox<RunEffect> {
        &self.outbox
    }

    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault> {
        engine.ledger.run(&self.id).await
    }

    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault> {
        engine.ledger.update_run(expected, self).await
    }

    async fn complete(&self, _: &Engine, _: &mut RunEvent) -> Result<(), Fault> {
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<RunEffect>) -> Result<Vec<RunEvent>, Fault> {
        match &pending.effect {
            RunEffect::Release { job } => tell_build(engine, &self.id, job, BuildEvent::Released).await?,
            RunEffect::Skip { job, because } => {
                let because = because.clone();
                tell_build(engine, &self.id, job, BuildEvent::Skipped { because }).await?;
            }
            RunEffect::Announce => {
                tracing::info!(run = %self.id, repository = %self.repository, status = self.status(), "run finished");
                if is_worth_telling(engine, self).await?
                    && let Some(message) = message::about_run(self)
                {
                    engine.notifier.publish(&message).await?;
                }
            }
            RunEffect::Report => {
                let builds = engine.ledger.builds_of(&self.id).await?;
                let report = report::of_run(self, builds.iter().map(|build| &build.record));
                engine
                    .store
                    .put(&report_key(&self.id), "application/json", format!("{report:#}\n"))
                    .await?;
            }
        }
        Ok(vec![RunEvent::Performed(pending.id)])
    }
}

async fn tell_build(engine: &Engine, run: &RunId, job: &JobName, event: BuildEvent) -> Result<(), Fault> {
    let id = BuildId {
        run: run.clone(),
        job: job.clone(),
    };
    match engine.tell_build(&id, event).await? {
        Handled::Done | Handled::Ignored(_) => Ok(()),
        Handled::Unknown => Err(Fault::lasting(format!("the ledger has run {run} and not its build {id}"))),
    }
}

async fn is_worth_telling(engine: &Engine, run: &Run) -> Result<bool, Fault> {
    let RunState::Finished { outcome, .. } = run.state else {
        return Ok(true);
    };
    let lineage = Lineage {
        repository: run.repository.clone(),
        reference: run.reference.clone(),
        job: None,
    };
    engine.is_news(&lineage, &run.id, run.created, outcome, run.successes).await
}

impl Engine {
    /// Whether an outcome is told. Everything but a success is; a success as the configuration says.
    pub(crate) async fn is_news(
        &self,
        of: &Lineage,
        run: &RunId,
        created: Timestamp,
        outcome: Outcome,
        successes: Successes,
    ) -> Result<bool, Fault> {
        let is_verdict = !matches!(outcome, Outcome::Skipped | Outcome::Superseded | Outcome::Cancelled);
        match (outcome, successes) {
            (Outcome::Succeeded, Successes::All) => Ok(true),
            (Outcome::Succeeded, Successes::None) => Ok(false),
            (_, Successes::Changes) if is_verdict => {
                let before = self.ledger.note_outcome(of, run, created, outcome).await?;
                Ok(outcome != Outcome::Succeeded || before.is_some_and(|before| before != Outcome::Succeeded))
            }
            _ => Ok(true),
        }
    }
}
