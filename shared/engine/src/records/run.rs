//! Runs: all jobs that one trigger started.

use async_trait::async_trait;
use bellhop_domain::agent::report_key;
use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::ids::{BuildId, JobName, RepositoryName, RunId};
use bellhop_domain::message;
use bellhop_domain::outbox::Pending;
use bellhop_domain::outcome::Outcome as RunOutcome;
use bellhop_domain::report;
use bellhop_domain::run::branch::{Branch, BranchEvent};
use bellhop_domain::run::pipeline::{PipelineAnswer, PipelineFailure};
use bellhop_domain::run::{Run, RunEffect, RunEvent, RunState};
use bellhop_domain::spec::BuildSpec;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tracing::Span;

use super::build::BUILD;
use super::{Outcome, Record, Stored, Versioned, read};
use crate::ports::{Created, Key, Ledger, TRANSACTION, Written};
use crate::{Engine, Fault, Handled};

/// How long finished runs and builds are kept, and a branch after the last push whose run it names.
pub(crate) const KEEP: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The most bytes of the builds' specifications in one step. The limit of a DynamoDB transaction is 4 MB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>); the rest is left for the run and other data of the
/// records.
const TRANSACTION_BYTES: usize = 3_000_000;

/// Whether a run of these builds is created in one step.
pub fn fits_transaction<'a>(specs: impl ExactSizeIterator<Item = &'a BuildSpec>) -> bool {
    // A value that cannot be written as JSON cannot be stored; storing it returns the error.
    let length = |spec| serde_json::to_vec(spec).map_or(0, |json| json.len());
    specs.len() < TRANSACTION && specs.map(length).sum::<usize>() <= TRANSACTION_BYTES
}

impl Stored for Run {
    type Id<'a> = &'a RunId;

    fn key_of(id: &RunId) -> Key {
        Key::new(format!("RUN#{id}"), "RUN")
    }

    fn id(&self) -> &RunId {
        &self.id
    }

    fn due(&self) -> Option<Timestamp> {
        Run::due(self)
    }

    fn timer(&self) -> Option<Timestamp> {
        self.outbox.retry()
    }

    fn expires(&self) -> Option<Timestamp> {
        self.finished_at().and_then(|at| at.checked_add(KEEP).ok())
    }

    fn listed(&self) -> Option<(String, String)> {
        Some((self.repository.to_string(), self.place_in_list()))
    }

    fn status(&self) -> Option<&'static str> {
        Some(Run::status(self))
    }
}

impl dyn Ledger + '_ {
    /// Stores a new run and its builds, unless a run with its id exists. The run is never visible without all of its builds. Builds within
    /// [`fits_transaction`] are stored together with the run; otherwise the builds are stored first, and must therefore be blocked.
    ///
    /// # Errors
    /// If the ledger cannot be written. What was stored of a large run by then is blocked builds, which nothing processes.
    pub async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault> {
        let run = run.item()?;
        let at_once = fits_transaction(builds.iter().map(|build| &build.spec));
        let mut items = builds.iter().map(Stored::item).collect::<Result<Vec<_>, _>>()?;
        if at_once && !items.is_empty() {
            items.insert(0, run);
            return self.put_together(&items).await;
        }
        // The builds are blocked, so nothing processes them before their run exists, which is written last. Builds of an earlier, interrupted try are
        // identical.
        for portion in items.chunks(TRANSACTION) {
            try_join_all(portion.iter().map(|build| self.put(0, build))).await?;
        }
        Ok(match self.put(0, &run).await? {
            Written::Stored(_) => Created::New,
            Written::Conflict => Created::AlreadyExists,
        })
    }

    /// Reads all builds of a run, in no particular order.
    ///
    /// # Errors
    /// If the ledger cannot be read, or a build in it.
    pub async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault> {
        let stored = self.in_partition(&Run::key_of(run).partition, BUILD).await?;
        stored.iter().map(read).collect()
    }

    /// The newest runs of a repository, newest first: those before a [place in the list](Run::place_in_list), if given.
    ///
    /// # Errors
    /// If the ledger cannot be read, or a run in it.
    pub async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Versioned<Run>>, Fault> {
        let stored = self.list(repository.as_str(), before, limit).await?;
        stored.iter().map(read).collect()
    }
}

#[async_trait]
impl Record for Run {
    fn name(&self) -> String {
        format!("run {}", self.id)
    }

    fn span(&self) -> Span {
        tracing::info_span!("run", run = %self.id)
    }

    async fn when_due(&self, _: &Engine) -> Result<Vec<RunEvent>, Fault> {
        Ok(vec![RunEvent::Tick])
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<RunEffect>) -> Result<Outcome<RunEvent>, Fault> {
        match &pending.effect {
            RunEffect::Release { job } => return notify(engine, self, job, BuildEvent::Released).await,
            RunEffect::Skip { job, because } => {
                let because = because.clone();
                return notify(engine, self, job, BuildEvent::Skipped { because }).await;
            }
            RunEffect::Cancel { job, outcome, cause } => {
                let (outcome, cause) = (*outcome, cause.clone());
                return notify(engine, self, job, BuildEvent::Cancelled { outcome, cause }).await;
            }
            RunEffect::EnterBranch(pushed) => {
                let event = BranchEvent::Entered(pushed.clone());
                let new = Branch::new(self.repository.clone(), self.reference.clone());
                return Ok(Outcome::notified(engine.notify_or_create(new, event).await?));
            }
            RunEffect::Continue { job } => {
                let answer = PipelineAnswer::Continue {
                    run: self.id.clone(),
                    summary: message::progress(self),
                };
                let answered = engine.pipelines()?.answer(job, &answer).await?;
                tracing::info!(run = %self.id, job = job.as_str(), ?answered, "pipeline action continued");
                return Ok(Outcome::Done(vec![RunEvent::ActionContinued(job.clone())]));
            }
            RunEffect::ReportToPipeline { job } => {
                if let Some(answer) = pipeline_answer(engine, self).await? {
                    let answered = engine.pipelines()?.answer(job, &answer).await?;
                    tracing::info!(run = %self.id, job = job.as_str(), ?answered, "pipeline action answered");
                }
                return Ok(Outcome::Done(vec![RunEvent::ActionAnswered(job.clone())]));
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
            RunEffect::AnnounceAbandoned { number, what } => {
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
        Ok(Outcome::done())
    }
}

/// Notifies a build of the run.
async fn notify(engine: &Engine, run: &Run, job: &JobName, event: BuildEvent) -> Result<Outcome<RunEvent>, Fault> {
    let id = BuildId {
        run: run.id.clone(),
        job: job.clone(),
    };
    match engine.notify::<Build>(&id, event).await? {
        Some(Handled::Unknown) => Err(Fault::permanent(format!("the ledger has run {}, but not its build {id}", run.id))),
        notified => Ok(Outcome::notified(notified)),
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
            outcome: RunOutcome::Succeeded,
            ..
        } => {
            let record = engine.ledger.load::<Build>(&build).await?;
            Some(PipelineAnswer::Success {
                attempts: record.map_or(0, |build| build.record.attempts.len()),
                outcome: RunOutcome::Succeeded,
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
        if let Some(Versioned { record: build, .. }) = engine.ledger.load::<Build>(&build).await? {
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
