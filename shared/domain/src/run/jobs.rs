//! The jobs of a run: which of them start, are skipped, cancelled or superseded, and when the run has finished.

use jiff::Timestamp;

use super::effect::RunEffect;
use super::record::{JobState, Run, RunState};
use crate::decision::Ignored;
use crate::ids::JobName;
use crate::outcome::Outcome;
use crate::results::found::Tests;

impl Run {
    /// A build has finished.
    pub(super) fn build_finished(
        &mut self,
        job: &JobName,
        outcome: Outcome,
        cause: Option<&String>,
        tests: Option<&Tests>,
        now: Timestamp,
    ) -> Result<(), Ignored> {
        if self.state != RunState::Open {
            return Err(Ignored::Over);
        }
        let Some(entry) = self.jobs.iter_mut().find(|entry| entry.name == *job) else {
            return Err(Ignored::UnknownJob);
        };
        if matches!(entry.state, JobState::Finished { .. }) {
            return Err(Ignored::NothingNew);
        }
        entry.state = JobState::Finished {
            outcome,
            cause: cause.cloned(),
            tests: tests.cloned(),
        };
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
        let mut changed = false;
        for job in &mut self.jobs {
            if !wanted(&job.name) || job.cancelled || matches!(job.state, JobState::Finished { .. }) {
                continue;
            }
            changed = true;
            job.cancelled = true;
            // A running build reports its own end, and may have succeeded by then.
            if job.state == JobState::Blocked {
                job.state = JobState::Finished {
                    outcome,
                    cause: Some(cause.to_owned()),
                    tests: None,
                };
            }
            let effect = RunEffect::Cancel {
                job: job.name.clone(),
                outcome,
                cause: cause.to_owned(),
            };
            self.outbox.push(effect, now);
        }
        if !changed {
            return Err(Ignored::NothingNew);
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
        for job in self.jobs.iter().rev() {
            let is_needed = self
                .jobs
                .iter()
                .any(|other| kept.contains(&other.name) && other.needs.contains(&job.name));
            let continues = !matches!(job.state, JobState::Finished { .. });
            if continues && (is_needed || !jobs.contains(&job.name)) {
                kept.push(job.name.clone());
            }
        }
        kept
    }

    /// Releases or skips jobs after others have finished. One pass is enough, because a job comes after the jobs that it needs.
    fn unblock(&mut self, now: Timestamp) {
        for index in 0..self.jobs.len() {
            let Some(job) = self.jobs.get(index) else { continue };
            if job.state != JobState::Blocked {
                continue;
            }
            let name = job.name.clone();
            let needed = |need: &JobName| self.jobs.iter().find(|other| other.name == *need).map(|other| &other.state);
            let unsuccessful = job
                .needs
                .iter()
                .find(|need| matches!(needed(need), Some(JobState::Finished { outcome, .. }) if *outcome != Outcome::Succeeded));
            let (state, effect) = if let Some(because) = unsuccessful.cloned() {
                (
                    JobState::Finished {
                        outcome: Outcome::Skipped,
                        cause: Some(format!("needs {because}, which did not succeed")),
                        tests: None,
                    },
                    RunEffect::Skip { job: name, because },
                )
            } else if job.needs.iter().all(|need| matches!(needed(need), Some(JobState::Finished { .. }))) {
                (JobState::Released, RunEffect::Release { job: name })
            } else {
                continue;
            };
            if let Some(job) = self.jobs.get_mut(index) {
                job.state = state;
            }
            self.outbox.push(effect, now);
        }
    }

    /// Finishes the run with its worst outcome once every job has finished.
    fn finish_if_over(&mut self, now: Timestamp) {
        let mut worst = Outcome::Succeeded;
        for job in &self.jobs {
            match job.state {
                JobState::Finished { outcome, .. } => worst = worst.max(outcome),
                JobState::Blocked | JobState::Released => return,
            }
        }
        self.state = RunState::Finished { outcome: worst, at: now };
        self.close(now);
    }

    /// Reports the end of the run.
    pub(super) fn close(&mut self, now: Timestamp) {
        self.outbox.push(RunEffect::Announce, now);
        self.outbox.push(RunEffect::Report, now);
        self.answer_if_over(now);
    }
}
