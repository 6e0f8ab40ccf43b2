//! The CodePipeline action that waits for a run: its jobs, its continuations, and its result.

use jiff::Timestamp;

use super::effect::RunEffect;
use super::pipeline::{Action, ActionState, GONE_AFTER};
use super::record::{Run, RunState};
use crate::decision::Ignored;
use crate::ids::PipelineJobId;
use crate::outcome::Outcome;

/// The most previous jobs of an action that are remembered: those of its 24 hours.
const MOST_EARLIER: usize = 300;

impl Run {
    /// The action has a new job.
    pub(super) fn action_job(&mut self, job: &PipelineJobId, now: Timestamp) -> Result<(), Ignored> {
        let Some(action) = &mut self.action else {
            return Err(Ignored::NothingNew);
        };
        if action.job == *job {
            return Err(Ignored::NothingNew);
        }
        if action.earlier.contains(job) {
            return Err(Ignored::Stale);
        }
        let before = std::mem::replace(&mut action.job, job.clone());
        action.earlier.push(before);
        if action.earlier.len() > MOST_EARLIER {
            action.earlier.remove(0);
        }
        action.state = ActionState::Open { since: now };
        // A pending result must go to the job that is open now.
        self.outbox
            .remove_where(|pending| matches!(pending.effect, RunEffect::Continue { .. } | RunEffect::ReportToPipeline { .. }));
        self.answer_if_over(now);
        Ok(())
    }

    /// A job of the action got a continuation.
    pub(super) fn action_continued(&mut self, job: &PipelineJobId, now: Timestamp) -> Result<(), Ignored> {
        match &mut self.action {
            Some(action) if action.job == *job && matches!(action.state, ActionState::Continued { .. }) => {
                action.state = ActionState::Continued { at: now };
                Ok(())
            }
            _ => Err(Ignored::Stale),
        }
    }

    /// A job of the action got the run's result.
    pub(super) fn action_answered(&mut self, job: &PipelineJobId) -> Result<(), Ignored> {
        match &mut self.action {
            Some(action) if action.job == *job && action.state != ActionState::Over => {
                action.state = ActionState::Over;
                Ok(())
            }
            _ => Err(Ignored::Stale),
        }
    }

    /// Sends the result of a finished run to the action's open job.
    pub(super) fn answer_if_over(&mut self, now: Timestamp) {
        if self.state == RunState::Open {
            return;
        }
        // While a continuation is in progress, its job accepts no other result; the next job gets it as soon as it arrives.
        if let Some(Action {
            job,
            state: ActionState::Open { .. },
            ..
        }) = &self.action
        {
            let job = job.clone();
            self.outbox.push(RunEffect::ReportToPipeline { job }, now);
        }
    }

    /// Time has passed: continues the action, or concludes that it was stopped.
    pub(super) fn tick(&mut self, now: Timestamp) -> Result<(), Ignored> {
        let Some(action) = &mut self.action else {
            return Err(Ignored::NotDue);
        };
        if self.state != RunState::Open || action.due().is_none_or(|due| due > now) {
            return Err(Ignored::NotDue);
        }
        match action.state {
            ActionState::Open { .. } => {
                let job = action.job.clone();
                action.state = ActionState::Continued { at: now };
                self.outbox.push(RunEffect::Continue { job }, now);
                Ok(())
            }
            // It was never sent, so the next job cannot have arrived.
            ActionState::Continued { .. } if self.outbox.any(|effect| matches!(effect, RunEffect::Continue { .. })) => {
                action.state = ActionState::Continued { at: now };
                Ok(())
            }
            ActionState::Continued { .. } => {
                action.state = ActionState::Over;
                let minutes = GONE_AFTER.as_secs() / 60;
                let cause = format!("CodePipeline did not poll the run for {minutes} minutes: the pipeline was stopped or gave up");
                // If nothing is left to cancel, forgetting the action is enough.
                let _ = self.cancel(|_| true, Outcome::Cancelled, &cause, now);
                Ok(())
            }
            ActionState::Over => Err(Ignored::NotDue),
        }
    }
}
