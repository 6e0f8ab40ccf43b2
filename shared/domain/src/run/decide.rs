//! The decision about an event, and when the sweep must process a run.

use jiff::Timestamp;

use super::effect::RunEffect;
use super::event::RunEvent;
use super::pipeline::Action;
use super::record::{Run, RunState};
use crate::decision::Ignored;
use crate::outbox::Outbox;
use crate::outcome::Outcome;
use crate::record::Decides;

impl Run {
    /// When the sweep should process this run next; `None` if nothing is pending. Its builds are due separately.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let action = self.action.as_ref().filter(|_| self.state == RunState::Open).and_then(Action::due);
        self.outbox.due().into_iter().chain(action).min()
    }
}

impl Decides for Run {
    type Event = RunEvent;
    type Effect = RunEffect;

    fn outbox(&self) -> &Outbox<RunEffect> {
        &self.outbox
    }

    fn outbox_mut(&mut self) -> &mut Outbox<RunEffect> {
        &mut self.outbox
    }

    fn abandoned(&mut self, effect: RunEffect, why: &str, now: Timestamp) {
        self.effect_abandoned(&effect, why, now);
    }

    fn apply(&mut self, event: &RunEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            RunEvent::Cancel { job, outcome, cause } => match job {
                Some(job) if self.job(job).is_none() => Err(Ignored::UnknownJob),
                Some(job) => self.cancel(|name| name == job, *outcome, cause, now),
                None => self.cancel(|_| true, *outcome, cause, now),
            },
            RunEvent::Superseded { by, jobs } => {
                let kept = jobs.as_ref().map(|jobs| self.jobs_to_keep(jobs)).unwrap_or_default();
                let cause = format!("superseded by run {by}");
                self.cancel(|name| !kept.contains(name), Outcome::Superseded, &cause, now)
            }
            RunEvent::ActionJob(job) => self.action_job(job, now),
            RunEvent::ActionContinued(job) => self.action_continued(job, now),
            RunEvent::ActionAnswered(job) => self.action_answered(job),
            RunEvent::Tick => self.tick(now),
            RunEvent::BuildFinished { job, outcome } => self.build_finished(job, *outcome, now),
        }
    }
}
