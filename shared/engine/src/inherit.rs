//! What the builds of a repeated run take from jobs that the run does not repeat: the files of the earlier run, as they were noted there.

use bellhop_domain::build::Build;
use bellhop_domain::ids::{BuildId, JobName, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::Run;
use bellhop_domain::run::trigger::Push;
use bellhop_domain::spec::BuildSpec;

use crate::Fault;
use crate::plan::Plan;
use crate::start::RunStarter;

/// A planned run that repeats another one.
pub(crate) struct PlannedAgain {
    pub(crate) push: Push,
    pub(crate) plan: Plan,
    /// Jobs that are repeated as well, because others take their files and these no longer exist.
    pub(crate) also: Vec<JobName>,
}

impl RunStarter {
    /// Plans jobs of an earlier run again, with the jobs whose files they take, if these have expired. Returns why that is impossible, and what helps.
    pub(crate) async fn plan_with_inputs(
        &self,
        id: &RunId,
        push: &Push,
        before: &Run,
        jobs: &[JobName],
    ) -> Result<Result<PlannedAgain, String>, Fault> {
        let mut also: Vec<JobName> = Vec::new();
        loop {
            let all: Vec<JobName> = jobs.iter().chain(&also).cloned().collect();
            let (push, mut plan) = match self.plan_again(id, push, before, &all).await? {
                Ok(planned) => planned,
                Err(why) => return Ok(Err(why)),
            };
            let missing = match &mut plan {
                Plan::Builds { specs, .. } => self.inherit(specs, before).await?,
                Plan::Rejected(_) | Plan::Nothing(_) => Vec::new(),
            };
            if missing.is_empty() {
                return Ok(Ok(PlannedAgain { push, plan, also }));
            }
            tracing::info!(run = %before.id, jobs = ?missing, "files that others take have expired: their jobs are repeated as well");
            also.extend(missing);
        }
    }

    /// Names the earlier run for each job that something is taken from and that is not repeated. Returns the jobs of which nothing can be taken any more.
    async fn inherit(&self, specs: &mut [BuildSpec], before: &Run) -> Result<Vec<JobName>, Fault> {
        let repeated: Vec<JobName> = specs.iter().map(|spec| spec.id.job.clone()).collect();
        let mut missing: Vec<JobName> = Vec::new();
        for spec in specs {
            let elsewhere: Vec<JobName> = spec.inputs.jobs().filter(|job| !repeated.contains(job)).cloned().collect();
            for job in &elsewhere {
                if let Some(run) = self.keeper(before, &spec.id.job, job).await? {
                    spec.inputs.inherited.insert(job.clone(), run);
                }
            }
            let known = |job: &&JobName| spec.inputs.inherited.contains_key(*job);
            let lacks = if elsewhere.iter().all(|job| known(&job)) && !elsewhere.is_empty() {
                self.engine.lacks(spec, &elsewhere).await?
            } else {
                None
            };
            let gone = elsewhere.into_iter().filter(|job| lacks.is_some() || !known(&job));
            for job in gone.collect::<Vec<_>>() {
                if !missing.contains(&job) {
                    missing.push(job);
                }
            }
        }
        Ok(missing)
    }

    /// The run that has the files of a job which a job of an earlier run took, or would have taken.
    async fn keeper(&self, before: &Run, taker: &JobName, job: &JobName) -> Result<Option<RunId>, Fault> {
        if let Some(known) = before.job(job) {
            return Ok((known.state.outcome() == Some(Outcome::Succeeded)).then(|| before.id.clone()));
        }
        let taker = BuildId {
            run: before.id.clone(),
            job: taker.clone(),
        };
        let taker = self.engine.ledger.load::<Build>(&taker).await?;
        Ok(taker.and_then(|build| build.record.spec.inputs.inherited.get(job).cloned()))
    }
}
