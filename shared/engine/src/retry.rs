//! Retries: from a finished run to a new one that repeats it, in full or in part.

use bellhop_domain::build::Build;
use bellhop_domain::caller::Caller;
use bellhop_domain::config::{OnBehalf, PIPELINE_FILE};
use bellhop_domain::executor::Script;
use bellhop_domain::ids::{BuildId, JobName, RunId};
use bellhop_domain::request::RetryWhat;
use bellhop_domain::run::trigger::Push;
use bellhop_domain::run::{Origin, RetryPlan, RetryRefused, RetryScope, Run, RunState};

use crate::Fault;
use crate::inherit::PlannedAgain;
use crate::plan::{NothingWhy, Plan, WantedJobs};
use crate::start::{Circumstances, Refused, RunStarter, Started};

/// The result of a request for a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// The new run.
    pub started: Started,
    /// Skipped jobs that depend on the repeated ones, but are not repeated.
    pub left_out: Vec<JobName>,
    /// Jobs that are repeated as well: others take their files, which no longer exist.
    pub also: Vec<JobName>,
}

impl RunStarter {
    /// Repeats finished builds, together with those that were skipped only because of them ([`Run::again`]), as a new run of the same commit.
    /// Requests with the same `trigger` start one run, which records the `caller` of the first one.
    ///
    /// Bellhop plans it like a new run: from the origin of its jobs and the current suite configuration. It refuses what the configuration no longer
    /// allows. A rejected run is planned like a new start of its branch's jobs.
    ///
    /// # Errors
    /// As [`RunStarter::push`].
    pub async fn retry(&self, what: &RetryWhat, trigger: &str, caller: &Caller) -> Result<Result<Retried, Refused>, Fault> {
        let refused = |text: String| Ok(Err(Refused(text)));
        let Some(run) = self.engine.ledger.load::<Run>(what.run()).await? else {
            return refused(format!("there is no run {}", what.run()));
        };
        let run = run.record;
        // Only the requester knows which jobs a rejected request wanted.
        let is_rejected = matches!(run.state, RunState::Rejected { .. }) && !run.trigger.contains('/');
        let RetryPlan { jobs: again, left_out } = match again(&run, what) {
            Ok(again) => again,
            Err(_) if is_rejected && !matches!(what, RetryWhat::Build(_)) => RetryPlan {
                jobs: Vec::new(),
                left_out: Vec::new(),
            },
            Err(_) if matches!(run.state, RunState::Rejected { .. }) => {
                return refused(format!("run {} was rejected and has no jobs: repeat the original request", run.id));
            }
            Err(why) => return refused(why),
        };
        let push = Push {
            trigger: trigger.to_owned(),
            repository: run.repository.clone(),
            reference: run.reference.clone(),
            commit: run.commit.clone(),
            previous: None,
            by: run.by.clone(),
            at: None,
        };
        let id = self.engine.run_id(&push.trigger, &push.reference);
        let mut also_repeated = Vec::new();
        let started = if self.engine.ledger.load::<Run>(&id).await?.is_some() {
            Started::Again(id)
        } else {
            match self.plan_with_inputs(&id, &push, &run, &again).await? {
                Ok(PlannedAgain { push, plan, also }) => {
                    also_repeated = also;
                    let around = Circumstances {
                        origin: run.origin,
                        action: None,
                        started_by: Some(caller.clone()),
                        retry_of: Some(run.as_retried()),
                        off_tip: run.off_tip,
                    };
                    self.carry_out(id, &push, plan, around).await?
                }
                Err(why) => {
                    let what = match what {
                        RetryWhat::Build(build) => format!("build {build}"),
                        RetryWhat::Failed(run) | RetryWhat::All(run) => format!("run {run}"),
                    };
                    return refused(format!("{what} cannot be retried: {why}"));
                }
            }
        };
        Ok(Ok(Retried {
            started,
            left_out,
            also: also_repeated,
        }))
    }

    /// Plans jobs of an earlier run again, or returns why that is impossible and what helps. Without jobs, the run was rejected, and its branch's
    /// jobs are planned.
    pub(crate) async fn plan_again(
        &self,
        id: &RunId,
        push: &Push,
        before: &Run,
        jobs: &[JobName],
    ) -> Result<Result<(Push, Plan), String>, Fault> {
        let repository = &push.repository;
        if self.source.default_branch(repository).await?.is_none() {
            return Ok(Err(format!("repository {repository} no longer exists, or is empty")));
        }
        let (push, plan) = match (before.origin, jobs) {
            (Origin::PipelineFile, []) => self.plan(id, push, &WantedJobs::AllOfBranch, None).await?,
            (Origin::PipelineFile, jobs) => self.plan(id, push, &WantedJobs::Again(jobs), None).await?,
            (Origin::Suite | Origin::Action, []) => {
                return Ok(Err(
                    "it was rejected and has no job: start the job, or retry the action in CodePipeline".to_owned(),
                ));
            }
            (Origin::Suite, [job, ..]) => {
                let suite = match self.suite().await? {
                    Ok(suite) => suite,
                    Err(message) => return Ok(Err(message)),
                };
                let Some(defined) = suite.jobs.get(job) else {
                    return Ok(Err(format!("{}: ask the suite's administrators to restore it", suite.no_job(job))));
                };
                if defined.repository != *repository || push.reference.branch() != Some(defined.branch.as_str()) {
                    return Ok(Err(format!(
                        "job {job} now belongs to branch {} of repository {}: start it instead of retrying",
                        defined.branch, defined.repository
                    )));
                }
                let what = WantedJobs::Script {
                    name: job.clone(),
                    agent: &defined.agent,
                    run: &defined.run,
                    on_behalf: OnBehalf::Suite,
                };
                self.plan(id, push, &what, None).await?
            }
            (Origin::Action, [job, ..]) => {
                let build = BuildId {
                    run: before.id.clone(),
                    job: job.clone(),
                };
                // The script is only in the action's parameters.
                let stored = self.engine.ledger.load::<Build>(&build).await?.map(|stored| stored.record.spec);
                let Some((agent, Script::Inline(run))) = stored.map(|spec| (spec.agent, spec.script)) else {
                    return Ok(Err("its script has expired: retry the action in CodePipeline".to_owned()));
                };
                let what = WantedJobs::Script {
                    name: job.clone(),
                    agent: &agent,
                    run: &run,
                    on_behalf: OnBehalf::Action,
                };
                self.plan(id, push, &what, None).await?
            }
        };
        Ok(match plan {
            Plan::Builds { .. } => Ok((push, plan)),
            Plan::Rejected(message) => Err(format!(
                "{message}. A retry uses the current suite configuration: fix it, or start another commit"
            )),
            Plan::Nothing(NothingWhy::NoCommit) => Err(format!(
                "commit {} no longer exists in {repository}: start another commit",
                push.commit.short()
            )),
            Plan::Nothing(NothingWhy::NoJobWanted) => Err("no job matches".to_owned()),
            Plan::Nothing(_) => Err(format!(
                "there is no {PIPELINE_FILE} at commit {} of {repository}: start another commit",
                push.commit.short()
            )),
        })
    }
}

/// The jobs to repeat, or why that is impossible.
fn again(run: &Run, what: &RetryWhat) -> Result<RetryPlan, String> {
    let (repeat, about) = match what {
        RetryWhat::Build(build) => (RetryScope::Job(&build.job), format!("build {build}")),
        RetryWhat::Failed(run) => (RetryScope::Failed, format!("run {run}")),
        RetryWhat::All(run) => (RetryScope::All, format!("run {run}")),
    };
    run.plan_retry(repeat).map_err(|why| match why {
        RetryRefused::UnknownJob => match what {
            RetryWhat::Build(build) => format!("run {} has no job {}", run.id, build.job),
            RetryWhat::Failed(_) | RetryWhat::All(_) => format!("run {} has no jobs", run.id),
        },
        RetryRefused::NotOver => format!("{about} has not finished: cancel it first"),
        RetryRefused::NothingFailed => format!("no job of run {} failed: \"all\": true repeats all jobs", run.id),
        RetryRefused::Undecided { job, needs } => format!(
            "{job} was skipped because of {} and also needs {needs}, which has not finished: retry later, or cancel {needs} to leave {job} out",
            match what {
                RetryWhat::Build(build) => build.job.as_str(),
                RetryWhat::Failed(_) | RetryWhat::All(_) => "others",
            }
        ),
    })
}
