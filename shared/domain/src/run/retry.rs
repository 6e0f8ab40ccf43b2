//! The jobs of a new run that repeats another one, in full or in part.

use super::record::{Run, RunState};
use crate::ids::JobName;
use crate::outcome::Outcome;

/// The part of a run that is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryScope<'a> {
    /// One job.
    Job(&'a JobName),
    /// The jobs that did not succeed.
    Failed,
    /// Every job.
    All,
}

/// The content of a new run that repeats jobs of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPlan {
    /// Its jobs. Each comes after the jobs that it needs.
    pub jobs: Vec<JobName>,
    /// Skipped jobs that depend on repeated ones and are left out: they would run without something that they need.
    pub left_out: Vec<JobName>,
}

/// Why jobs cannot be repeated now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryRefused {
    /// The run has no such job.
    UnknownJob,
    /// The job, or the run, has not finished.
    NotOver,
    /// A job that was skipped because of it also needs another one, which has not finished, so it is not known whether to repeat it.
    Undecided {
        /// The skipped job.
        job: JobName,
        /// The other job that it needs.
        needs: JobName,
    },
    /// No job of the run was unsuccessful.
    NothingFailed,
}

impl Run {
    /// The jobs of a new run that repeats this one: the requested jobs, and the jobs that were skipped only because of them. A job that another one
    /// also caused to be skipped is left out, because it would run without what it needs. For the same reason a skipped job is repeated without its
    /// dependents: what caused its skipping also applies to them.
    ///
    /// # Errors
    /// [`RetryRefused`], if that cannot be decided yet, or if there is nothing to repeat.
    pub fn plan_retry(&self, what: RetryScope<'_>) -> Result<RetryPlan, RetryRefused> {
        if let RetryScope::Job(job) = what {
            let leave_dependents_out = match self.outcome_of(job) {
                None => return Err(RetryRefused::UnknownJob),
                Some(None) => return Err(RetryRefused::NotOver),
                Some(Some(outcome)) => outcome == Outcome::Skipped,
            };
            return self.with_skipped(vec![job.clone()], leave_dependents_out);
        }
        if self.state == RunState::Open {
            return Err(RetryRefused::NotOver);
        }
        let wanted = |outcome: Option<Option<Outcome>>| match what {
            RetryScope::All => true,
            _ => !matches!(outcome.flatten(), Some(Outcome::Succeeded | Outcome::Skipped)),
        };
        let names = self.jobs().map(|job| job.name);
        let jobs: Vec<JobName> = names.filter(|name| wanted(self.outcome_of(name))).cloned().collect();
        if jobs.is_empty() {
            return Err(RetryRefused::NothingFailed);
        }
        self.with_skipped(jobs, false)
    }

    /// The outcome of a job: `None` if there is no such job, `Some(None)` if it has not finished.
    fn outcome_of(&self, name: &JobName) -> Option<Option<Outcome>> {
        self.job(name).map(|job| job.state.outcome())
    }

    fn with_skipped(&self, jobs: Vec<JobName>, leave_dependents_out: bool) -> Result<RetryPlan, RetryRefused> {
        let mut again = RetryPlan {
            jobs,
            left_out: Vec::new(),
        };
        for other in self.jobs() {
            let skipped = self.outcome_of(other.name) == Some(Some(Outcome::Skipped));
            let depends_on_it = |need: &JobName| again.jobs.contains(need) || again.left_out.contains(need);
            if !skipped || again.jobs.contains(other.name) || !other.needs.iter().any(depends_on_it) {
                continue;
            }
            let mut open = None;
            let mut missing = leave_dependents_out;
            for need in other.needs.iter().filter(|need| !again.jobs.contains(need)) {
                match self.outcome_of(need).flatten() {
                    Some(outcome) => missing |= outcome != Outcome::Succeeded,
                    None => open = open.or(Some(need)),
                }
            }
            match open {
                _ if missing => again.left_out.push(other.name.clone()),
                Some(needs) => {
                    return Err(RetryRefused::Undecided {
                        job: other.name.clone(),
                        needs: needs.clone(),
                    });
                }
                None => again.jobs.push(other.name.clone()),
            }
        }
        // In the run's order: a job comes after the jobs that it needs.
        again.jobs.sort_by_key(|name| self.plan.position(name));
        Ok(again)
    }
}
