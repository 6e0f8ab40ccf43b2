//! Interruptions and rebalance recommendations of one instance.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use super::record::KEEP;
use super::*;
use crate::decision::{Decision, Ignored, Misfit};
use crate::outbox::EffectId;
use crate::record::{Decides, Step};
use crate::testing::t;
use crate::time::later;

fn instance() -> Instance {
    let host = Host {
        cluster: "ci".to_owned(),
        container_instance: "arn:aws:ecs:eu-west-1:123456789012:container-instance/ci/0f1e".to_owned(),
    };
    Instance::new("i-0123456789abcdef0".parse().unwrap(), host)
}

fn take(instance: &Instance, event: impl Into<Step<InstanceEvent>>, at: i64) -> Instance {
    let step = event.into();
    match instance.take(&step, t(at)) {
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
        .fold(instance.clone(), |instance, id| take(&instance, Step::Performed(*id), 1))
}

fn warning(at: i64) -> InstanceEvent {
    let what = Ec2Notice::Interruption(Action::Terminate);
    InstanceEvent::NoticeReceived {
        what,
        at: t(at),
        account: None,
        draining: false,
    }
}

fn advice(at: i64) -> InstanceEvent {
    let what = Ec2Notice::Rebalance;
    InstanceEvent::NoticeReceived {
        what,
        at: t(at),
        account: None,
        draining: false,
    }
}

#[test]
fn a_warning_interrupts_and_drains_once() {
    let warned = take(&instance(), warning(0), 0);
    assert_eq!(wants(&warned), [&InstanceEffect::Interrupt, &InstanceEffect::Drain]);
    let done = perform_all(&warned);
    for event in [warning(0), warning(-60), warning(9), advice(9)] {
        assert_eq!(done.decide(&event, t(9)), Decision::Ignored(Ignored::NothingNew), "{event:?}");
    }
    assert_eq!(done.due(), None);
}

#[test]
fn an_instance_that_came_back_can_be_taken_away_again() {
    let once = perform_all(&take(&instance(), warning(0), 0));
    let again = take(&once, warning(3600), 3600);
    assert_eq!(wants(&again), [&InstanceEffect::Interrupt, &InstanceEffect::Drain]);
}

/// The simulation found this: a notice that was redriven from a dead-letter queue interrupted the builds on an instance that had returned from
/// hibernation.
#[test]
fn a_warning_that_comes_long_after_interrupts_no_build() {
    let (last, over) = (instance().decide(&warning(0), t(599)), instance().decide(&warning(0), t(600)));
    assert!(matches!(last, Decision::Next(_)), "{last:?}");
    assert_eq!(over, Decision::Ignored(Ignored::Stale));
    let warned = take(&instance(), warning(0), 0);
    assert_eq!((warned.is_past(t(599)), warned.is_past(t(600))), (false, true));
}

#[test]
fn advice_only_drains_and_the_warning_after_it_drains_no_more() {
    let advised = take(&instance(), advice(0), 0);
    assert_eq!(wants(&advised), [&InstanceEffect::Drain]);
    let warned = take(&perform_all(&advised), warning(60), 61);
    assert_eq!(wants(&warned), [&InstanceEffect::Interrupt]);
    assert_eq!((warned.advised, warned.warned.unwrap().at), (Some(t(0)), t(60)));
}

#[test]
fn what_two_have_seen_is_told_once() {
    let warned = take(&instance(), warning(0), 0);
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
    assert!(matches!(wants(&told)[..], [InstanceEffect::Drain, InstanceEffect::Notify { .. }]));
    assert_eq!(told.decide(&seen, t(2)), Decision::Ignored(Ignored::NothingNew));
}

#[test]
fn an_instance_without_other_tasks_has_no_message() {
    let warned = take(&instance(), warning(0), 0);
    let seen = InstanceEvent::Interrupted {
        effect: warned.outbox.pending()[0].id,
        builds: Vec::new(),
        foreign: Vec::new(),
    };
    assert_eq!(wants(&take(&warned, &seen, 1)), [&InstanceEffect::Drain]);
}

#[test]
fn an_effect_that_failed_is_due_again() {
    let warned = take(&instance(), warning(0), 0);
    let deferred = take(&warned, Step::Deferred(warned.outbox.pending()[0].id, "no".to_owned()), 5);
    assert_eq!(deferred.due(), Some(t(7)));
    assert_eq!(deferred.expires(), Some(later(t(0), KEEP)));
}

#[test]
fn an_instance_that_cannot_be_drained_or_looked_at_is_told_of_once() {
    let mut warned = take(&instance(), warning(0), 0);
    for pending in warned.outbox.pending().to_vec() {
        for second in [0, 60, 299, 300, 900] {
            let deferred = Step::Deferred(pending.id, "failed to ask: AccessDeniedException: no".to_owned());
            if let Decision::Next(next) = warned.take(&deferred, t(second)) {
                warned = *next;
            }
        }
    }
    let [
        InstanceEffect::NotifyAbandoned { what: first, .. },
        InstanceEffect::NotifyAbandoned { number, what },
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

fn reopened(instance: &Instance, what: Reactivation, at: i64) -> Instance {
    let looked = take(instance, &InstanceEvent::Tick, at);
    let [pending] = looked.outbox.pending() else { panic!("{looked:?}") };
    assert_eq!(pending.effect, InstanceEffect::Reactivate);
    take(&looked, &InstanceEvent::Reactivated { effect: pending.id, what }, at)
}

#[test]
fn what_no_interruption_follows_takes_tasks_again_and_people_are_told() {
    let advised = perform_all(&take(&instance(), advice(0), 0));
    assert_eq!(advised.due(), Some(t(3600)));
    assert_eq!(advised.decide(&InstanceEvent::Tick, t(3599)), Decision::Ignored(Ignored::NotDue));
    let open = reopened(&advised, Reactivation::Yes, 3600);
    assert!(matches!(
        wants(&open)[..],
        [InstanceEffect::NotifyAfterAdvice {
            what: AfterAdvice::Reopened,
            ..
        }]
    ));
    // The next recommendation does not drain it again.
    let open = perform_all(&open);
    assert_eq!(open.decide(&advice(7200), t(7200)), Decision::Ignored(Ignored::NothingNew));
    assert_eq!(wants(&take(&open, advice(3600 + 86_400), 90_000)), [&InstanceEffect::Drain]);
}

#[test]
fn a_second_recommendation_finds_it_drained_by_the_first() {
    let again = |first: &Instance, at: i64| {
        let told = InstanceEvent::NoticeReceived {
            what: Ec2Notice::Rebalance,
            at: t(at),
            account: None,
            draining: true,
        };
        take(first, &told, at)
    };
    let advised = take(&instance(), advice(0), 0);
    for first in [advised.clone(), perform_all(&advised)] {
        assert_eq!(again(&first, 660).check_at, Some(t(660 + 3600)));
    }
    let looking = take(&perform_all(&advised), &InstanceEvent::Tick, 3600);
    assert_eq!(again(&looking, 3601).check_at, Some(t(3601 + 3600)));
}

#[test]
fn an_instance_with_tasks_on_it_is_looked_at_for_a_day() {
    let mut busy = perform_all(&take(&instance(), advice(0), 0));
    for hour in 1..24 {
        busy = reopened(&busy, Reactivation::Busy, hour * 3600);
        assert_eq!((busy.due(), wants(&busy).len()), (Some(t((hour + 1) * 3600)), 0));
    }
    let told = reopened(&busy, Reactivation::Busy, 24 * 3600);
    assert!(matches!(
        wants(&told)[..],
        [InstanceEffect::NotifyAfterAdvice {
            what: AfterAdvice::StillBusy,
            ..
        }]
    ));
    assert_eq!(perform_all(&told).due(), None);
}

#[test]
fn what_is_gone_interrupted_or_drained_by_others_is_left_alone() {
    let advised = perform_all(&take(&instance(), advice(0), 0));
    assert_eq!(reopened(&advised, Reactivation::NotDraining, 3600).due(), None);
    let looking = take(&advised, &InstanceEvent::Tick, 3600);
    for before in [&advised, &looking] {
        let warned = take(before, warning(3601), 3601);
        assert!(!wants(&warned).contains(&&InstanceEffect::Reactivate));
        assert_eq!(warned.check_at, None);
    }
    let by_others = InstanceEvent::NoticeReceived {
        what: Ec2Notice::Rebalance,
        at: t(0),
        account: None,
        draining: true,
    };
    assert_eq!(perform_all(&take(&instance(), &by_others, 0)).due(), None);
}

/// The account of the instance is that of its ARN.
#[test]
fn a_notice_of_another_account_is_not_believed() {
    let of = |account: &str| InstanceEvent::NoticeReceived {
        what: Ec2Notice::Interruption(Action::Terminate),
        at: t(0),
        account: Some(account.to_owned()),
        draining: false,
    };
    let own = instance().host.account().unwrap().to_owned();
    assert!(matches!(instance().decide(&of(&own), t(0)), Decision::Next(_)));
    for other in ["210987654321", ""] {
        let ignored = Decision::Ignored(Ignored::Misfit(Misfit::Account));
        assert_eq!(instance().decide(&of(other), t(0)), ignored, "{other}");
    }
}
