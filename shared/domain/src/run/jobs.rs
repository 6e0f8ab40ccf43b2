//! The jobs of a run: which of them start, are skipped, cancelled or superseded, and when the run has finished.

use jiff::Timestamp;

use super::effect::RunEffect;
use super::plan::JobState;
use super::record::{Run, RunState};
use crate::build::{Build, BuildState, because_of};
use crate::decision::Ignored;
use crate::ids::JobName;
use crate::outcome::Outcome;

impl Run {
    /// A build has finished.
    pub(super) fn build_finished(&mut self, job: &JobName, outcome: Outcome, now: Timestamp) -> Result<(), Ignored> {
        if self.state != RunState::Open {
            return Err(Ignored::Over);
        }
        let Some(index) = self.plan.position(job) else {
            return Err(Ignored::UnknownJob);
        };
        if matches!(self.states.get(index), Some(JobState::Finished(_))) {
            return Err(Ignored::NothingNew);
        }
        self.states.set(index, JobState::Finished(outcome));
        self.unblock(now);
        self.finish_if_over(now);
        Ok(())
    }

    /// Cancels or supersedes the unfinished jobs that are wanted.
    pub(super) fn cancel(
        &mut self,
        wanted: impl Fn(&JobName) -> bool,
        outcome: Outcome,
        cause: &str,
        now: Timestamp,
    ) -> Result<(), Ignored> {
        if self.state != RunState::Open {
            return Err(Ignored::Over);
        }
        let mut cancelled = Vec::new();
        for (index, job) in self.jobs().enumerate().filter(|(_, job)| wanted(job.name)) {
            let next = match job.state {
                JobState::Blocked => JobState::Finished(outcome),
                // A running build reports its own end, and may have succeeded by then.
                JobState::Released => JobState::Cancelling,
                JobState::Cancelling | JobState::Finished(_) => continue,
            };
            cancelled.push((index, next, job.name.clone()));
        }
        if cancelled.is_empty() {
            return Err(Ignored::NothingNew);
        }
        for (index, next, job) in cancelled {
            self.states.set(index, next);
            let cause = cause.to_owned();
            self.outbox.push(RunEffect::Cancel { job, outcome, cause }, now);
        }
        self.unblock(now);
        self.finish_if_over(now);
        Ok(())
    }

    /// The jobs that continue when a newer run has these jobs: jobs that the newer run does not have, because its push changed none of their files,
    /// and the jobs that they need. No other run would test their change.
    pub(super) fn jobs_to_keep(&self, jobs: &[JobName]) -> Vec<JobName> {
        let mut kept: Vec<JobName> = Vec::new();
        // In reverse order, so that a job comes before the jobs that it needs.
        for job in self.jobs().rev() {
            let is_needed = self.jobs().any(|other| kept.contains(other.name) && other.needs.contains(job.name));
            let continues = job.state.outcome().is_none();
            if continues && (is_needed || !jobs.contains(job.name)) {
                kept.push(job.name.clone());
            }
        }
        kept
    }

    /// Releases or skips jobs after others have finished. One pass is enough, because a job comes after the jobs that it needs.
    fn unblock(&mut self, now: Timestamp) {
        for index in 0..self.plan.jobs().len() {
            let Some(job) = self.jobs().nth(index).filter(|job| job.state == JobState::Blocked) else {
                continue;
            };
            let outcome_of = |need: &JobName| self.job(need).and_then(|needed| needed.state.outcome());
            let unsuccessful = |need: &&JobName| outcome_of(need).is_some_and(|outcome| outcome != Outcome::Succeeded);
            let name = job.name.clone();
            let (state, effect) = if let Some(because) = job.needs.iter().find(unsuccessful).cloned() {
                (JobState::Finished(Outcome::Skipped), RunEffect::Skip { job: name, because })
            } else if job.needs.iter().all(|need| outcome_of(need).is_some()) {
                (JobState::Released, RunEffect::Release { job: name })
            } else {
                continue;
            };
            self.states.set(index, state);
            self.outbox.push(effect, now);
        }
    }

    /// Finishes the run with its worst outcome once every job has finished.
    fn finish_if_over(&mut self, now: Timestamp) {
        let outcomes: Option<Vec<Outcome>> = self.states.all().iter().map(|state| state.outcome()).collect();
        let Some(outcomes) = outcomes else { return };
        let outcome = outcomes.into_iter().max().unwrap_or(Outcome::Succeeded);
        self.state = RunState::Finished { outcome, at: now };
        self.close(now);
    }

    /// Why a job ended as it did, for people: what its build says, or the notification that its build is about to get.
    #[must_use]
    pub fn cause_of(&self, job: &JobName, build: Option<&Build>) -> Option<String> {
        if let Some(BuildState::Finished { cause, .. }) = build.map(|build| &build.state) {
            return cause.clone();
        }
        self.outbox.pending().iter().find_map(|pending| match &pending.effect {
            RunEffect::Skip { job: of, because } if of == job => Some(because_of(because)),
            RunEffect::Cancel { job: of, cause, .. } if of == job => Some(cause.clone()),
            _ => None,
        })
    }

    /// Reports the end of the run.
    pub(super) fn close(&mut self, now: Timestamp) {
        self.outbox.push(RunEffect::Announce, now);
        self.outbox.push(RunEffect::Report, now);
        self.answer_if_over(now);
    }
}
