//! Effects of a run that were abandoned, and the messages about them.

use jiff::Timestamp;

use super::effect::RunEffect;
use super::pipeline::ActionState;
use super::record::{Run, RunState};
use crate::outbox::Abandoned;

impl Run {
    /// An effect was abandoned: people get one message about it.
    pub(super) fn effect_abandoned(&mut self, effect: &RunEffect, why: &str, at: Timestamp) {
        let (what, now, advice) = match effect {
            RunEffect::Continue { job } | RunEffect::ReportToPipeline { job } => {
                if let Some(action) = self.action.as_mut().filter(|action| action.job == *job) {
                    action.state = ActionState::Over;
                }
                let is_over = self.state != RunState::Open;
                (
                    if is_over {
                        "report the run's outcome to CodePipeline".to_owned()
                    } else {
                        "report to CodePipeline that the run is still in progress".to_owned()
                    },
                    "the action fails at CodePipeline's own time limit; the run is not affected",
                    "check the functions' permissions, and retry the stage",
                )
            }
            RunEffect::Report => (
                "write the run's report".to_owned(),
                "the run has no report in the bucket",
                "check the functions' permissions; `show` returns the same facts",
            ),
            // A failed message cannot be reported by another message, so it is only counted.
            RunEffect::Announce | RunEffect::AnnounceAbandoned { .. } => return,
            RunEffect::Release { .. } | RunEffect::Skip { .. } | RunEffect::Cancel { .. } | RunEffect::EnterBranch(_) => return,
        };
        let what = Abandoned {
            what,
            why: why.to_owned(),
            now: now.to_owned(),
            advice: advice.to_owned(),
            at,
        };
        let number = self.outbox.pushed();
        self.outbox.push(RunEffect::AnnounceAbandoned { number, what }, at);
    }
}
