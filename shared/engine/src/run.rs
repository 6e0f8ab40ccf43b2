//! The processing of runs: storage and effects.

use async_trait::async_trait;
use bellhop_domain::agent::report_key;
use bellhop_domain::branch::BranchEvent;
use bellhop_domain::build::BuildEvent;
use bellhop_domain::decision::Decision;
use bellhop_domain::ids::{BuildId, JobName};
use bellhop_domain::message;
use bellhop_domain::outbox::{EffectId, Outbox, Pending};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::pipeline::{PipelineAnswer, PipelineFailure};
use bellhop_domain::report;
use bellhop_domain::run::{Run, RunEffect, RunEvent, RunState};
use jiff::Timestamp;
use tracing::Span;

use crate::engine::Record;
use crate::ports::{Versioned, Written};
use crate::{Engine, Fault, Handled};

#[async_trait]
impl Record for Run {
    type Event = RunEvent;
    type Effect = RunEffect;

    fn name(&self) -> String {
        format!("run {}", self.id)
    }

    fn span(&self) -> Span {
        tracing::info_span!("run", run = %self.id)
    }

    fn decide(&self, event: &RunEvent, now: Timestamp) -> Decision<Self> {
        Run::decide(self, event, now)
    }

    fn deferred(effect: EffectId, why: String) -> RunEvent {
        RunEvent::Deferred(effect, why)
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
        let performed = RunEvent::Performed(pending.id);
        match &pending.effect {
            RunEffect::Release { job } => return tell(engine, self, job, BuildEvent::Released, performed).await,
            RunEffect::Skip { job, because } => {
                let because = because.clone();
                return tell(engine, self, job, BuildEvent::Skipped { because }, performed).await;
            }
            RunEffect::Cancel { job, outcome, cause } => {
                let (outcome, cause) = (*outcome, cause.clone());
                return tell(engine, self, job, BuildEvent::Cancelled { outcome, cause }, performed).await;
            }
            RunEffect::Enter(pushed) => {
                let event = BranchEvent::Entered(pushed.clone());
                let told = engine.tell_branch(&self.repository, &self.reference, event).await?;
                return Ok(told.map(|_| performed).into_iter().collect());
            }
            RunEffect::Continue { job } => {
                let answer = PipelineAnswer::Continue {
                    run: self.id.clone(),
                    summary: message::progress(self),
                };
                let answered = engine.pipelines.answer(job, &answer).await?;
                tracing::info!(run = %self.id, job = job.as_str(), ?answered, "pipeline action continued");
                return Ok(vec![performed, RunEvent::ActionContinued(job.clone())]);
            }
            RunEffect::Answer { job } => {
                if let Some(answer) = pipeline_answer(engine, self).await? {
                    let answered = engine.pipelines.answer(job, &answer).await?;
                    tracing::info!(run = %self.id, job = job.as_str(), ?answered, "pipeline action answered");
                }
                return Ok(vec![performed, RunEvent::ActionAnswered(job.clone())]);
            }
            RunEffect::Announce => {
                tracing::info!(run = %self.id, repository = %self.repository, status = self.status(), "run finished");
                if let Some(broken) = engine.news_of(self).await?
                    && let Some(message) = message::about_run(self, &broken, &links(engine, self).await?)
                {
                    engine.notifier.publish(&message).await?;
                }
                engine.note(self).await?;
            }
            RunEffect::TellAbandoned { number, what } => {
                engine
                    .notifier
                    .publish(&message::about_abandoned_of_run(self, *number, what))
                    .await?;
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
        Ok(vec![performed])
    }
}

/// Notifies a build of the run, and returns the event that this was done.
async fn tell(engine: &Engine, run: &Run, job: &JobName, event: BuildEvent, done: RunEvent) -> Result<Vec<RunEvent>, Fault> {
    let id = BuildId {
        run: run.id.clone(),
        job: job.clone(),
    };
    match engine.tell_build(&id, event).await? {
        None => Ok(Vec::new()),
        Some(Handled::Done | Handled::Ignored(_)) => Ok(vec![done]),
        Some(Handled::Unknown) => Err(Fault::lasting(format!("the ledger has run {}, but not its build {id}", run.id))),
    }
}

/// The result for the action that waits for the run; `None` while the run has not finished.
async fn pipeline_answer(engine: &Engine, run: &Run) -> Result<Option<PipelineAnswer>, Fault> {
    let (Some(action), Some(summary)) = (&run.action, message::summary(run)) else {
        return Ok(None);
    };
    let build = BuildId {
        run: run.id.clone(),
        job: action.about.clone(),
    };
    Ok(match &run.state {
        RunState::Open => None,
        RunState::Rejected { .. } => Some(PipelineAnswer::Failure {
            kind: PipelineFailure::Configuration,
            message: summary,
            build: None,
        }),
        RunState::Finished {
            outcome: Outcome::Succeeded,
            ..
        } => {
            let record = engine.ledger.build(&build).await?;
            Some(PipelineAnswer::Success {
                attempts: record.map_or(0, |build| build.record.attempts.len()),
                outcome: Outcome::Succeeded,
                build,
                summary,
            })
        }
        RunState::Finished { outcome, .. } => Some(PipelineAnswer::Failure {
            kind: PipelineFailure::of(*outcome),
            message: summary,
            build: Some(build),
        }),
    })
}

/// Links for people: the run's report, and the agent and the log of the job that decided the run's outcome.
async fn links(engine: &Engine, run: &Run) -> Result<Vec<(&'static str, String)>, Fault> {
    let mut links = vec![("report", format!("s3://{}/{}", engine.store.bucket(), report_key(&run.id)))];
    if let Some(job) = message::decisive_job(run) {
        let build = BuildId {
            run: run.id.clone(),
            job: job.clone(),
        };
        if let Some(Versioned { record: build, .. }) = engine.ledger.build(&build).await? {
            let newest = build.attempts.iter().rev().find(|attempt| attempt.agent.is_some());
            links.extend(
                newest
                    .map(|attempt| bellhop_domain::links::links(&build.spec, attempt))
                    .unwrap_or_default(),
            );
        }
    }
    Ok(links)
}
