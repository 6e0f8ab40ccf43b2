//! Runs: all jobs that one trigger started.

use std::cmp::Reverse;

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
use bellhop_domain::run::{Listed, Run, RunClass, RunEffect, RunEvent, RunState};
use bellhop_domain::spec::BuildSpec;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tracing::Span;

use super::build::BUILD;
use super::{Outcome, Record, Stored, Versioned, json, read};
use crate::ports::{Created, Entry, Item, Key, Ledger, List, Listing, TRANSACTION, Written};
use crate::{Engine, Fault, Handled};

/// How long finished runs and builds are kept, and a branch after the last push whose run it names.
pub(crate) const KEEP: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The most bytes of the builds' specifications in one step. The limit of a DynamoDB transaction is 4 MB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>); the rest is left for the run and other data of the
/// records.
const TRANSACTION_BYTES: usize = 3_000_000;

/// The sort key of a run's plan.
const PLAN: &str = "RUN#plan";
/// How long a plan is kept that has an item of its own, from the run's creation: longer than any run, and than the run is kept after its end.
const KEEP_PLAN: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);
/// How many items of a transaction a run takes without its builds.
const OF_RUN: usize = 2;

/// Whether a run of these builds is created in one step.
pub fn fits_transaction<'a>(specs: impl ExactSizeIterator<Item = &'a BuildSpec>) -> bool {
    // A value that cannot be written as JSON cannot be stored; storing it returns the error.
    let length = |spec| serde_json::to_vec(spec).map_or(0, |json| json.len());
    specs.len() + OF_RUN <= TRANSACTION && specs.map(length).sum::<usize>() <= TRANSACTION_BYTES
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

    const FROZEN: Option<&'static str> = Some(PLAN);

    fn frozen(&self) -> Result<Option<Item>, Fault> {
        if !self.plan.is_apart() {
            return Ok(None);
        }
        let key = Key::new(self.key().partition, PLAN);
        Ok(Some(Item {
            text: json(&key, &self.plan)?,
            due: None,
            expires: self.created.checked_add(KEEP_PLAN).ok(),
            listed: None,
            status: None,
            key,
        }))
    }

    fn from_parts(text: &str, frozen: Option<&str>) -> serde_json::Result<Self> {
        Run::from_parts(text, frozen)
    }

    fn listed(&self) -> serde_json::Result<Option<Listing>> {
        let listed = Run::listed(self);
        Ok(Some(Listing {
            of: self.repository.to_string(),
            class: self.class().as_str(),
            place: listed.place(),
            shown: serde_json::to_string(&listed.shown)?,
        }))
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
        let at_once = fits_transaction(builds.iter().map(|build| &build.spec));
        let items = builds.iter().map(Stored::item).collect::<Result<Vec<_>, _>>()?;
        if at_once && !items.is_empty() {
            let mut all = vec![run.item()?];
            all.extend(run.frozen()?);
            all.extend(items);
            return self.put_together(&all).await;
        }
        // The builds are blocked, so nothing processes them before their run exists, which is written last. Builds of an earlier, interrupted try are
        // identical.
        for portion in items.chunks(TRANSACTION) {
            try_join_all(portion.iter().map(|build| self.put(0, build))).await?;
        }
        Ok(match self.store(0, run).await? {
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

    /// The newest runs of a repository, newest first: those before a [place in the list](Listed::place), if given.
    ///
    /// # Errors
    /// If the ledger cannot be read, or a run in it.
    pub async fn runs_of(&self, repository: &RepositoryName, before: Option<&str>, limit: usize) -> Result<Vec<Listed>, Fault> {
        self.runs_in(&List::Of(repository.to_string()), before, limit).await
    }

    /// The newest runs of some classes over all repositories, newest first: those before a [place in the list](Listed::place), if given.
    ///
    /// # Errors
    /// If the ledger cannot be read, or a run in it.
    pub async fn runs_of_all(&self, classes: &[RunClass], before: Option<&str>, limit: usize) -> Result<Vec<Listed>, Fault> {
        let lists: Vec<List> = classes.iter().map(|class| List::Class(class.as_str())).collect();
        let of_classes = try_join_all(lists.iter().map(|list| self.runs_in(list, before, limit))).await?;
        let mut runs: Vec<Listed> = of_classes.into_iter().flatten().collect();
        runs.sort_by_cached_key(|run| Reverse(run.place()));
        // A run that finished in between may be in two of them.
        runs.dedup_by(|one, other| one.run == other.run);
        runs.truncate(limit);
        Ok(runs)
    }

    async fn runs_in(&self, list: &List, before: Option<&str>, limit: usize) -> Result<Vec<Listed>, Fault> {
        let entries = self.list(list, before, limit).await?;
        let listed = |entry: &Entry| match serde_json::from_str(&entry.shown).and_then(|shown| Listed::at(&entry.place, shown)) {
            Ok(listed) => Ok(listed),
            // An earlier version stored nothing else.
            Err(error) => match Run::from_parts(&entry.shown, None) {
                Ok(run) => Ok(Run::listed(&run)),
                Err(_) => Err(Fault::permanent(format!("{list:?}: a run in the list cannot be read")).caused_by(error)),
            },
        };
        entries.iter().map(listed).collect()
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
                engine.announce(self).await?;
            }
            RunEffect::AnnounceAbandoned { number, what } => {
                engine
                    .notifier
                    .publish(&message::about_abandoned_of_run(self, *number, what))
                    .await?;
            }
            RunEffect::Report => {
                let builds = engine.builds_of(self).await?;
                let report = report::of_run(self, builds.iter());
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
    let Some(action) = &run.action else {
        return Ok(None);
    };
    let id_of = |job: &JobName| BuildId {
        run: run.id.clone(),
        job: job.clone(),
    };
    // A success says how often its own job was tried, and everything else what decided the run's outcome.
    let job = message::decisive_job(run).unwrap_or(&action.about);
    let record = match run.state {
        RunState::Finished { .. } => engine.ledger.load::<Build>(&id_of(job)).await?.map(|build| build.record),
        RunState::Open | RunState::Rejected { .. } => None,
    };
    let Some(summary) = message::summary(run, record.as_ref()) else {
        return Ok(None);
    };
    let build = id_of(&action.about);
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
        } => Some(PipelineAnswer::Success {
            attempts: record.map_or(0, |build| build.attempts.len()),
            outcome: RunOutcome::Succeeded,
            build,
            summary,
        }),
        RunState::Finished { outcome, .. } => Some(PipelineAnswer::Failure {
            kind: PipelineFailure::of(*outcome),
            message: summary,
            build: Some(build),
        }),
    })
}
