//! What the builds of a repeated run take from jobs that the run does not repeat: the files of the earlier run, as they were noted there.

use std::collections::BTreeMap;

use bellhop_domain::build::Build;
use bellhop_domain::ids::{BuildId, JobName, RoleArn, RunId};
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

/// The builds whose files are still there, each with the role of its agents; `None` for those whose files are not.
type Known = BTreeMap<BuildId, Option<Option<RoleArn>>>;

impl RunStarter {
    /// Plans jobs of an earlier run again, with the jobs whose files they take, if these have expired. Returns why that is impossible, and what helps.
    pub(crate) async fn plan_with_inputs(
        &self,
        id: &RunId,
        push: &Push,
        before: &Run,
        jobs: &[JobName],
    ) -> Result<Result<PlannedAgain, String>, Fault> {
        let (mut also, mut known) = (Vec::new(), Known::new());
        loop {
            let all: Vec<JobName> = jobs.iter().chain(also.iter()).cloned().collect();
            let (push, mut plan) = match self.plan_again(id, push, before, &all).await? {
                Ok(planned) => planned,
                Err(why) => return Ok(Err(why)),
            };
            let missing = match &mut plan {
                Plan::Builds { specs, .. } => self.inherit(specs, before, &mut known).await?,
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
    async fn inherit(&self, specs: &mut [BuildSpec], before: &Run, known: &mut Known) -> Result<Vec<JobName>, Fault> {
        let repeated: Vec<JobName> = specs.iter().map(|spec| spec.id.job.clone()).collect();
        let mut missing: Vec<JobName> = Vec::new();
        for spec in specs {
            let elsewhere: Vec<JobName> = spec.inputs.jobs().filter(|job| !repeated.contains(job)).cloned().collect();
            for job in elsewhere {
                match self.keeper(before, spec, &job, known).await? {
                    Some(run) => {
                        spec.inputs.inherited.insert(job, run);
                    }
                    None if missing.contains(&job) => {}
                    None => missing.push(job),
                }
            }
        }
        Ok(missing)
    }

    /// The run that has the files of a job which a build takes: they are still there, and agents with the same role have made them.
    async fn keeper(&self, before: &Run, taker: &BuildSpec, job: &JobName, known: &mut Known) -> Result<Option<RunId>, Fault> {
        let ledger = &self.engine.ledger;
        let run = match before.job(job) {
            Some(own) if own.state.outcome() == Some(Outcome::Succeeded) => before.id.clone(),
            Some(_) => return Ok(None),
            None => {
                let taker = BuildId {
                    run: before.id.clone(),
                    job: taker.id.job.clone(),
                };
                let taker = ledger.load::<Build>(&taker).await?;
                match taker.and_then(|build| build.record.spec.inputs.inherited.get(job).cloned()) {
                    Some(run) => run,
                    None => return Ok(None),
                }
            }
        };
        let (source, job) = (run.clone(), job.clone());
        let source = BuildId { run: source, job };
        let kept = match known.get(&source) {
            Some(kept) => kept.clone(),
            None => {
                let kept = match ledger.load::<Build>(&source).await? {
                    Some(build) if !self.engine.lacks_files(&source, &build.record).await? => Some(build.record.spec.role),
                    _ => None,
                };
                known.insert(source, kept.clone());
                kept
            }
        };
        Ok(kept.filter(|role| *role == taker.role).map(|_| run))
    }
}
