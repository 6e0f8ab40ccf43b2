//! How an instance answers each event.

use std::time::Duration;

use jiff::Timestamp;

use super::effect::{AfterAdvice, InstanceEffect};
use super::event::{InstanceEvent, Reactivation};
use super::notice::{Ec2Notice, InterruptionNotice};
use super::record::{Instance, ONE_INTERRUPTION, is_past};
use crate::decision::{Ignored, Misfit};
use crate::outbox::{Abandoned, Outbox};
use crate::record::Decides;
use crate::time::later;

/// How long an instance stays drained after a rebalance recommendation without an interruption. Most recommendations have none, and the Auto Scaling
/// group decides whether the instance is replaced (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html>).
pub const ADVICE_FOR: Duration = Duration::from_secs(60 * 60);
/// How long tasks on it may delay its reactivation. Another recommendation within this time after the reactivation does not drain it again.
const ADVICE_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);

impl Decides for Instance {
    type Event = InstanceEvent;
    type Effect = InstanceEffect;

    fn outbox(&self) -> &Outbox<InstanceEffect> {
        &self.outbox
    }

    fn outbox_mut(&mut self) -> &mut Outbox<InstanceEffect> {
        &mut self.outbox
    }

    fn apply(&mut self, event: &InstanceEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            InstanceEvent::NoticeReceived {
                what,
                at,
                account,
                draining,
            } => {
                if account.as_deref().is_some_and(|account| self.host.account() != Some(account)) {
                    return Err(Ignored::Misfit(Misfit::Account));
                }
                let known = |notice: Option<Timestamp>| notice.is_some_and(|notice| *at < later(notice, ONE_INTERRUPTION));
                let drained = known(self.last_notice());
                match what {
                    // A stopped or hibernated instance may have returned meanwhile, with other tasks.
                    Ec2Notice::Interruption(_) if is_past(*at, now) => return Err(Ignored::Stale),
                    Ec2Notice::Rebalance if drained || self.was_reopened_shortly_before(*at) => return Err(Ignored::NothingNew),
                    Ec2Notice::Interruption(_) if known(self.warned.map(|warned| warned.at)) => return Err(Ignored::NothingNew),
                    Ec2Notice::Rebalance => {
                        self.advised = Some(*at);
                        // If another program drained the instance, that program must reactivate it.
                        let is_ours = self.check_at.is_some()
                            || self
                                .outbox
                                .any(|effect| matches!(effect, InstanceEffect::Drain | InstanceEffect::Reactivate));
                        self.check_at = (is_ours || !draining).then(|| later(*at, ADVICE_FOR));
                    }
                    Ec2Notice::Interruption(action) => {
                        self.check_at = None;
                        self.outbox.remove_where(|pending| pending.effect == InstanceEffect::Reactivate);
                        self.warned = Some(InterruptionNotice { action: *action, at: *at });
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
                    self.outbox.push(InstanceEffect::Notify { warned, builds, foreign }, now);
                }
            }
            InstanceEvent::Tick => {
                if self.check_at.is_none_or(|look| look > now) {
                    return Err(Ignored::NotDue);
                }
                self.check_at = None;
                self.outbox.push(InstanceEffect::Reactivate, now);
            }
            InstanceEvent::Reactivated { effect, what } => {
                if !self.outbox.remove(*effect) {
                    return Err(Ignored::NothingNew);
                }
                self.reopened(*what, now);
            }
        }
        Ok(())
    }

    fn abandoned(&mut self, effect: InstanceEffect, why: &str, at: Timestamp) {
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
            InstanceEffect::Reactivate => (
                "reactivate it after a rebalance recommendation without an interruption",
                "it stays drained and takes no tasks",
                "set it to ACTIVE in ECS or terminate it, and check the functions' permissions",
            ),
            // A failed message cannot be reported by another message, so it is only counted.
            InstanceEffect::NotifyAfterAdvice { .. } | InstanceEffect::Notify { .. } | InstanceEffect::NotifyAbandoned { .. } => return,
        };
        let what = Abandoned {
            what: what.to_owned(),
            why: why.to_owned(),
            now: now.to_owned(),
            advice: advice.to_owned(),
            at,
        };
        let number = self.outbox.pushed();
        self.outbox.push(InstanceEffect::NotifyAbandoned { number, what }, at);
    }
}

impl Instance {
    fn was_reopened_shortly_before(&self, at: Timestamp) -> bool {
        self.reactivated_at.is_some_and(|reopened| at < later(reopened, ADVICE_AT_MOST))
    }

    fn reopened(&mut self, what: Reactivation, at: Timestamp) {
        let Some(advised) = self.advised else { return };
        let what = match what {
            Reactivation::NotDraining => return,
            Reactivation::Busy if at < later(advised, ADVICE_AT_MOST) => {
                self.check_at = Some(later(at, ADVICE_FOR));
                return;
            }
            Reactivation::Busy => AfterAdvice::StillBusy,
            Reactivation::Yes => {
                self.reactivated_at = Some(at);
                AfterAdvice::Reopened
            }
        };
        self.outbox.push(InstanceEffect::NotifyAfterAdvice { advised, what, at }, at);
    }
}
