//! Container instances that EC2 interrupts: the effects for one, performed once, however often EC2 reports it.
//!
//! The builds on it decide for themselves what their interruption means; see [Spot Instance interruption
//! notices](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html) and [container instance
//! draining](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Ignored};
use crate::ids::{BuildId, InstanceId};
use crate::outbox::{Abandoned, Deferral, Effect, EffectId, ONE_TRY, Outbox, TELL_FOR, TRY_FOR, later};

/// How long a record is kept after the last event about its instance: ids of instances are never reused, so it only has to outlive repeated notices.
const KEEP: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Notices of one interruption arrive within this time. A stopped or hibernated instance may return under the same id, and be interrupted again.
const ONE_INTERRUPTION: Duration = Duration::from_secs(10 * 60);
/// How long Bellhop tries to mark the builds on an instance as interrupted.
const INTERRUPT_FOR: Duration = Duration::from_secs(5 * 60);
/// How long an instance stays drained after a rebalance recommendation without an interruption. Most recommendations have none, and the Auto Scaling
/// group decides whether the instance is replaced (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html>).
pub const ADVICE_FOR: Duration = Duration::from_secs(60 * 60);
/// How long tasks on it may delay its reactivation. Another recommendation within this time after the reactivation does not drain it again.
const ADVICE_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// An instance that EC2 sent a notice about: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The instance.
    pub id: InstanceId,
    /// Its place in ECS.
    pub host: Host,
    /// When EC2 sent a rebalance recommendation.
    pub advised: Option<Timestamp>,
    /// The last interruption notice.
    pub warned: Option<Warned>,
    /// If it was drained because of a recommendation only: when to check whether it still exists.
    #[serde(default)]
    pub look: Option<Timestamp>,
    /// When it was reactivated after that.
    #[serde(default)]
    pub reopened: Option<Timestamp>,
    /// Pending effects.
    pub outbox: Outbox<InstanceEffect>,
}

/// An instance in ECS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The cluster that it belongs to, by name.
    pub cluster: String,
    /// The ARN of the container instance.
    pub container_instance: String,
}

/// The first notice of an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warned {
    /// What EC2 will do.
    pub action: Action,
    /// The time of EC2's notice.
    pub at: Timestamp,
}

/// What EC2 does to an instance that it interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// In two minutes.
    Terminate,
    /// In two minutes.
    Stop,
    /// At once.
    Hibernate,
}

impl Action {
    /// The action in the past tense.
    pub(crate) fn past(self) -> &'static str {
        match self {
            Self::Terminate => "terminated",
            Self::Stop => "stopped",
            Self::Hibernate => "hibernated",
        }
    }
}

/// The kinds of EC2 notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// EC2 will interrupt it.
    Interruption(Action),
    /// It has a higher risk of interruption than others.
    Rebalance,
}

/// A task on an instance that Bellhop did not start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ForeignTask {
    /// Its ARN.
    pub arn: String,
    /// Its owner in ECS: its group (`service:web`, `family:jenkins-agent`), or its task definition.
    pub belongs_to: String,
    /// Its `startedBy`, if it has one.
    pub started_by: Option<String>,
}

/// An event for an instance's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceEvent {
    /// EC2 sent a notice.
    Told {
        /// The notice.
        what: What,
        /// Its time.
        at: Timestamp,
        /// Another program had drained the instance before.
        draining: bool,
    },
    /// Bellhop tried to reactivate it.
    Reopened {
        /// The effect.
        effect: EffectId,
        /// The result.
        what: Reopened,
    },
    /// Time has passed.
    Tick,
    /// The builds on it were marked as interrupted, and these other tasks run on it.
    Interrupted {
        /// The effect.
        effect: EffectId,
        /// The builds.
        builds: Vec<BuildId>,
        /// The other tasks.
        foreign: Vec<ForeignTask>,
    },
    /// An effect was performed.
    Performed(EffectId),
    /// An effect failed for this reason. It stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
}

/// The result of a reactivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopened {
    /// It was reactivated.
    Yes,
    /// Tasks run on it. Somebody may wait for their end to terminate it.
    Busy,
    /// It no longer exists, or another program has reactivated it.
    NotDraining,
}

/// The state of an instance some time after it was drained because of a recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterAdvice {
    /// It was reactivated.
    Reopened,
    /// Tasks still ran on it, so it stays drained.
    StillBusy,
}

/// An effect of an instance. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceEffect {
    /// Mark the builds on it as interrupted, and list the other tasks on it.
    Interrupt,
    /// Drain it, so that ECS places no more tasks on it.
    Drain,
    /// Reactivate it in ECS, if it is drained and empty.
    Reopen,
    /// Report its state after a recommendation.
    TellAfterAdvice {
        /// The recommendation.
        advised: Timestamp,
        /// The state.
        what: AfterAdvice,
        /// When that was detected.
        at: Timestamp,
    },
    /// Report the tasks of others on it.
    Tell {
        /// The interruption.
        warned: Warned,
        /// The builds that are retried elsewhere.
        builds: Vec<BuildId>,
        /// The tasks that Bellhop does not manage.
        foreign: Vec<ForeignTask>,
    },
    /// Report an abandoned effect.
    TellAbandoned {
        /// Identifies it.
        number: u64,
        /// The effect.
        what: Abandoned,
    },
}

impl Effect for InstanceEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        Some(match self {
            Self::Interrupt => INTERRUPT_FOR,
            Self::Drain | Self::Reopen => TRY_FOR,
            Self::TellAfterAdvice { .. } | Self::Tell { .. } | Self::TellAbandoned { .. } => TELL_FOR,
        })
    }

    fn time_limit(&self) -> Option<Duration> {
        match self {
            // This effect launches the replacements of all builds on the instance: a slow one must not cut off the others.
            Self::Interrupt => None,
            Self::Drain | Self::Reopen | Self::TellAfterAdvice { .. } | Self::Tell { .. } | Self::TellAbandoned { .. } => Some(ONE_TRY),
        }
    }
}

impl Instance {
    /// An instance without events.
    #[must_use]
    pub fn new(id: InstanceId, host: Host) -> Self {
        Self {
            id,
            host,
            advised: None,
            warned: None,
            look: None,
            reopened: None,
            outbox: Outbox::default(),
        }
    }

    /// When the sweep should process this record next; `None` if nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox.due().into_iter().chain(self.look).min()
    }

    /// When DynamoDB may delete the record.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.heard().map(|at| later(at, KEEP))
    }

    /// The time of the last new notice.
    fn heard(&self) -> Option<Timestamp> {
        self.advised.max(self.warned.map(|warned| warned.at))
    }

    /// Whether the last interruption is so old that it cannot concern what runs on the instance now.
    #[must_use]
    pub fn is_past(&self, now: Timestamp) -> bool {
        self.warned.is_none_or(|warned| is_past(warned.at, now))
    }

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
                let known = |told: Option<Timestamp>| told.is_some_and(|told| *at < later(told, ONE_INTERRUPTION));
                let drained = known(self.heard());
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

fn is_past(told: Timestamp, now: Timestamp) -> bool {
    later(told, ONE_INTERRUPTION) <= now
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::testing::t;

    fn instance() -> Instance {
        let host = Host {
            cluster: "ci".to_owned(),
            container_instance: "arn:aws:ecs:eu-west-1:123456789012:container-instance/ci/0f1e".to_owned(),
        };
        Instance::new("i-0123456789abcdef0".parse().unwrap(), host)
    }

    fn take(instance: &Instance, event: &InstanceEvent, at: i64) -> Instance {
        match instance.decide(event, t(at)) {
            Decision::Next(next) => *next,
            Decision::Ignored(reason) => panic!("ignored: {reason}"),
        }
    }

    fn wants(instance: &Instance) -> Vec<&InstanceEffect> {
        instance.outbox.pending().iter().map(|pending| &pending.effect).collect()
    }

    fn perform_all(instance: &Instance) -> Instance {
        let done: Vec<EffectId> = instance.outbox.pending().iter().map(|pending| pending.id).collect();
        done.iter()
            .fold(instance.clone(), |instance, id| take(&instance, &InstanceEvent::Performed(*id), 1))
    }

    fn warning(at: i64) -> InstanceEvent {
        let what = What::Interruption(Action::Terminate);
        InstanceEvent::Told {
            what,
            at: t(at),
            draining: false,
        }
    }

    fn advice(at: i64) -> InstanceEvent {
        let what = What::Rebalance;
        InstanceEvent::Told {
            what,
            at: t(at),
            draining: false,
        }
    }

    #[test]
    fn a_warning_interrupts_and_drains_once() {
        let warned = take(&instance(), &warning(0), 0);
        assert_eq!(wants(&warned), [&InstanceEffect::Interrupt, &InstanceEffect::Drain]);
        let done = perform_all(&warned);
        for event in [warning(0), warning(-60), warning(9), advice(9)] {
            assert_eq!(done.decide(&event, t(9)), Decision::Ignored(Ignored::NothingNew), "{event:?}");
        }
        assert_eq!(done.due(), None);
    }

    #[test]
    fn an_instance_that_came_back_can_be_taken_away_again() {
        let once = perform_all(&take(&instance(), &warning(0), 0));
        let again = take(&once, &warning(3600), 3600);
        assert_eq!(wants(&again), [&InstanceEffect::Interrupt, &InstanceEffect::Drain]);
    }

    /// Found by the simulation: a notice that was handed back as a dead letter interrupted the builds on an instance that had been hibernated, and was back.
    #[test]
    fn a_warning_that_comes_long_after_interrupts_nobody() {
        let (last, over) = (instance().decide(&warning(0), t(599)), instance().decide(&warning(0), t(600)));
        assert!(matches!(last, Decision::Next(_)), "{last:?}");
        assert_eq!(over, Decision::Ignored(Ignored::Stale));
        let warned = take(&instance(), &warning(0), 0);
        assert_eq!((warned.is_past(t(599)), warned.is_past(t(600))), (false, true));
    }

    #[test]
    fn advice_only_drains_and_the_warning_after_it_drains_no_more() {
        let advised = take(&instance(), &advice(0), 0);
        assert_eq!(wants(&advised), [&InstanceEffect::Drain]);
        let warned = take(&perform_all(&advised), &warning(60), 61);
        assert_eq!(wants(&warned), [&InstanceEffect::Interrupt]);
        assert_eq!((warned.advised, warned.warned.unwrap().at), (Some(t(0)), t(60)));
    }

    #[test]
    fn what_two_have_seen_is_told_once() {
        let warned = take(&instance(), &warning(0), 0);
        let seen = InstanceEvent::Interrupted {
            effect: warned.outbox.pending()[0].id,
            builds: vec!["abcdefghij/test".parse().unwrap()],
            foreign: vec![ForeignTask {
                arn: "arn:aws:ecs:eu-west-1:123456789012:task/ci/feed".to_owned(),
                belongs_to: "service:web".to_owned(),
                started_by: None,
            }],
        };
        let told = take(&warned, &seen, 1);
        assert!(matches!(wants(&told)[..], [InstanceEffect::Drain, InstanceEffect::Tell { .. }]));
        assert_eq!(told.decide(&seen, t(2)), Decision::Ignored(Ignored::NothingNew));
    }

    #[test]
    fn nobody_else_on_it_is_nothing_to_tell() {
        let warned = take(&instance(), &warning(0), 0);
        let seen = InstanceEvent::Interrupted {
            effect: warned.outbox.pending()[0].id,
            builds: Vec::new(),
            foreign: Vec::new(),
        };
        assert_eq!(wants(&take(&warned, &seen, 1)), [&InstanceEffect::Drain]);
    }

    #[test]
    fn an_effect_that_failed_is_due_again() {
        let warned = take(&instance(), &warning(0), 0);
        let deferred = take(&warned, &InstanceEvent::Deferred(warned.outbox.pending()[0].id, "no".to_owned()), 5);
        assert_eq!(deferred.due(), Some(t(60)));
        assert_eq!(deferred.expires(), Some(later(t(0), KEEP)));
    }

    #[test]
    fn an_instance_that_cannot_be_drained_or_looked_at_is_told_of_once() {
        let mut warned = take(&instance(), &warning(0), 0);
        for pending in warned.outbox.pending().to_vec() {
            for second in [0, 60, 299, 300, 900] {
                let deferred = InstanceEvent::Deferred(pending.id, "failed to ask: AccessDeniedException: no".to_owned());
                if let Decision::Next(next) = warned.decide(&deferred, t(second)) {
                    warned = *next;
                }
            }
        }
        let [
            InstanceEffect::TellAbandoned { what: first, .. },
            InstanceEffect::TellAbandoned { number, what },
        ] = &wants(&warned)[..]
        else {
            panic!("{warned:?}")
        };
        assert_eq!((first.what.as_str(), first.at), ("mark the builds on it as interrupted", t(300)));
        assert_eq!((what.what.as_str(), what.at), ("drain it", t(900)));
        let message = crate::message::about_abandoned_of_instance(&warned, *number, what);
        assert_eq!(
            message.sms,
            "i-0123456789abcdef0 of cluster ci: could not drain it: AccessDeniedException: no"
        );
        assert_eq!(
            message.email,
            "i-0123456789abcdef0 of cluster ci: could not drain it: AccessDeniedException: no\n\n\
             Cause:      failed to ask: AccessDeniedException: no\n\
             Bellhop:    ECS may still place tasks on it\n\
             You can:    drain the instance by hand if it still exists, and check the functions' permissions\n"
        );
    }

    fn reopened(instance: &Instance, what: Reopened, at: i64) -> Instance {
        let looked = take(instance, &InstanceEvent::Tick, at);
        let [pending] = looked.outbox.pending() else { panic!("{looked:?}") };
        assert_eq!(pending.effect, InstanceEffect::Reopen);
        take(&looked, &InstanceEvent::Reopened { effect: pending.id, what }, at)
    }

    #[test]
    fn what_no_interruption_follows_takes_tasks_again_and_people_are_told() {
        let advised = perform_all(&take(&instance(), &advice(0), 0));
        assert_eq!(advised.due(), Some(t(3600)));
        assert_eq!(advised.decide(&InstanceEvent::Tick, t(3599)), Decision::Ignored(Ignored::NotDue));
        let open = reopened(&advised, Reopened::Yes, 3600);
        assert!(matches!(
            wants(&open)[..],
            [InstanceEffect::TellAfterAdvice {
                what: AfterAdvice::Reopened,
                ..
            }]
        ));
        // It is not closed again on the next such word.
        let open = perform_all(&open);
        assert_eq!(open.decide(&advice(7200), t(7200)), Decision::Ignored(Ignored::NothingNew));
        assert_eq!(wants(&take(&open, &advice(3600 + 86_400), 90_000)), [&InstanceEffect::Drain]);
    }

    #[test]
    fn a_second_recommendation_finds_it_drained_by_the_first() {
        let again = |first: &Instance, at: i64| {
            let told = InstanceEvent::Told {
                what: What::Rebalance,
                at: t(at),
                draining: true,
            };
            take(first, &told, at)
        };
        let advised = take(&instance(), &advice(0), 0);
        for first in [advised.clone(), perform_all(&advised)] {
            assert_eq!(again(&first, 660).look, Some(t(660 + 3600)));
        }
        let looking = take(&perform_all(&advised), &InstanceEvent::Tick, 3600);
        assert_eq!(again(&looking, 3601).look, Some(t(3601 + 3600)));
    }

    #[test]
    fn an_instance_with_tasks_on_it_is_looked_at_for_a_day() {
        let mut busy = perform_all(&take(&instance(), &advice(0), 0));
        for hour in 1..24 {
            busy = reopened(&busy, Reopened::Busy, hour * 3600);
            assert_eq!((busy.due(), wants(&busy).len()), (Some(t((hour + 1) * 3600)), 0));
        }
        let told = reopened(&busy, Reopened::Busy, 24 * 3600);
        assert!(matches!(
            wants(&told)[..],
            [InstanceEffect::TellAfterAdvice {
                what: AfterAdvice::StillBusy,
                ..
            }]
        ));
        assert_eq!(perform_all(&told).due(), None);
    }

    #[test]
    fn what_is_gone_interrupted_or_drained_by_others_is_left_alone() {
        let advised = perform_all(&take(&instance(), &advice(0), 0));
        assert_eq!(reopened(&advised, Reopened::NotDraining, 3600).due(), None);
        let looking = take(&advised, &InstanceEvent::Tick, 3600);
        for before in [&advised, &looking] {
            let warned = take(before, &warning(3601), 3601);
            assert!(!wants(&warned).contains(&&InstanceEffect::Reopen));
            assert_eq!(warned.look, None);
        }
        let by_others = InstanceEvent::Told {
            what: What::Rebalance,
            at: t(0),
            draining: true,
        };
        assert_eq!(perform_all(&take(&instance(), &by_others, 0)).due(), None);
    }
}
