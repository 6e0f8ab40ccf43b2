//! How an instance answers each event.

use std::time::Duration;

use jiff::Timestamp;

use super::effect::{AfterAdvice, InstanceEffect};
use super::event::{InstanceEvent, Reopened};
use super::notice::{Warned, What};
use super::record::{Instance, ONE_INTERRUPTION, is_past};
use crate::decision::{Decision, Ignored};
use crate::outbox::{Abandoned, Deferral, later};

/// How long an instance stays drained after a rebalance recommendation without an interruption. Most recommendations have none, and the Auto Scaling
/// group decides whether the instance is replaced (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html>).
pub const ADVICE_FOR: Duration = Duration::from_secs(60 * 60);
/// How long tasks on it may delay its reactivation. Another recommendation within this time after the reactivation does not drain it again.
const ADVICE_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);

impl Instance {
    /// Decides the next state of this record after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &InstanceEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) => Decision::Next(Box::new(next)),
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &InstanceEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            InstanceEvent::Told { what, at, draining } => {
                let known = |notice: Option<Timestamp>| notice.is_some_and(|notice| *at < later(notice, ONE_INTERRUPTION));
                let drained = known(self.last_notice());
                match what {
                    // A stopped or hibernated instance may have returned meanwhile, with other tasks.
                    What::Interruption(_) if is_past(*at, now) => return Err(Ignored::Stale),
                    What::Rebalance if drained || self.was_reopened_shortly_before(*at) => return Err(Ignored::NothingNew),
                    What::Interruption(_) if known(self.warned.map(|warned| warned.at)) => return Err(Ignored::NothingNew),
                    What::Rebalance => {
                        self.advised = Some(*at);
                        // If another program drained the instance, that program must reactivate it.
                        let is_ours = self.look.is_some()
                            || self
                                .outbox
                                .any(|effect| matches!(effect, InstanceEffect::Drain | InstanceEffect::Reopen));
                        self.look = (is_ours || !draining).then(|| later(*at, ADVICE_FOR));
                    }
                    What::Interruption(action) => {
                        self.look = None;
                        self.outbox.remove_where(|pending| pending.effect == InstanceEffect::Reopen);
                        self.warned = Some(Warned { action: *action, at: *at });
                        // First, because the builds' two minutes count from here.
                        self.outbox.push(InstanceEffect::Interrupt, now);
                    }
                }
                if !drained {
                    self.outbox.push(InstanceEffect::Drain, now);
                }
            }
            InstanceEvent::Interrupted { effect, builds, foreign } => {
                // Another invocation may have polled as well: the first result decides.
                if !self.outbox.remove(*effect) {
                    return Err(Ignored::NothingNew);
                }
                if let Some(warned) = self.warned
                    && !foreign.is_empty()
                {
                    let (builds, foreign) = (builds.clone(), foreign.clone());
                    self.outbox.push(InstanceEffect::Tell { warned, builds, foreign }, now);
                }
            }
            InstanceEvent::Tick => {
                if self.look.is_none_or(|look| look > now) {
                    return Err(Ignored::NotDue);
                }
                self.look = None;
                self.outbox.push(InstanceEffect::Reopen, now);
            }
            InstanceEvent::Reopened { effect, what } => {
                if !self.outbox.remove(*effect) {
                    return Err(Ignored::NothingNew);
                }
                self.reopened(*what, now);
            }
            InstanceEvent::Performed(id) => {
                if !self.outbox.remove(*id) {
                    return Err(Ignored::NothingNew);
                }
            }
            InstanceEvent::Deferred(id, why) => match self.outbox.defer(*id, now) {
                Deferral::Unknown => return Err(Ignored::NothingNew),
                Deferral::Again => {}
                Deferral::Abandoned(effect) => self.abandoned(&effect, why, now),
            },
        }
        Ok(())
    }

    fn was_reopened_shortly_before(&self, at: Timestamp) -> bool {
        self.reopened.is_some_and(|reopened| at < later(reopened, ADVICE_AT_MOST))
    }

    fn reopened(&mut self, what: Reopened, at: Timestamp) {
        let Some(advised) = self.advised else { return };
        let what = match what {
            Reopened::NotDraining => return,
            Reopened::Busy if at < later(advised, ADVICE_AT_MOST) => {
                self.look = Some(later(at, ADVICE_FOR));
                return;
            }
            Reopened::Busy => AfterAdvice::StillBusy,
            Reopened::Yes => {
                self.reopened = Some(at);
                AfterAdvice::Reopened
            }
        };
        self.outbox.push(InstanceEffect::TellAfterAdvice { advised, what, at }, at);
    }

    fn abandoned(&mut self, effect: &InstanceEffect, why: &str, at: Timestamp) {
        let (what, now, advice) = match effect {
            InstanceEffect::Interrupt => (
                "mark the builds on it as interrupted",
                "they are retried when ECS reports that their tasks have stopped; no message names the other tasks on the instance",
                "check the functions' permissions and the status of the AWS service",
            ),
            InstanceEffect::Drain => (
                "drain it",
                "ECS may still place tasks on it",
                "drain the instance by hand if it still exists, and check the functions' permissions",
            ),
            InstanceEffect::Reopen => (
                "reactivate it after a rebalance recommendation without an interruption",
                "it stays drained and takes no tasks",
                "set it to ACTIVE in ECS or terminate it, and check the functions' permissions",
            ),
            // A failed message cannot be reported by another message, so it is only counted.
            InstanceEffect::TellAfterAdvice { .. } | InstanceEffect::Tell { .. } | InstanceEffect::TellAbandoned { .. } => return,
        };
        let what = Abandoned {
            what: what.to_owned(),
            why: why.to_owned(),
            now: now.to_owned(),
            advice: advice.to_owned(),
            at,
        };
        let number = self.outbox.pushed();
        self.outbox.push(InstanceEffect::TellAbandoned { number, what }, at);
    }
}
