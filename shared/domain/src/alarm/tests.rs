#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use super::*;
use crate::testing::t;

fn id() -> AlarmId {
    AlarmId {
        region: Some("us-east-1".to_owned()),
        account: Some("123456789012".to_owned()),
        name: "jenkins-unhealthy".to_owned(),
        contributor: None,
    }
}

fn change(state: AlarmState, at: i64) -> AlarmChange {
    AlarmChange {
        id: id(),
        state,
        at: Some(t(at)),
        previous: None,
        quiet: None,
        facts: AlarmFacts::default(),
    }
}

fn changed(change: AlarmChange, wanted: Wanted) -> AlarmEvent {
    let change = Box::new(change);
    AlarmEvent::Changed { change, wanted }
}

fn restart() -> Remedy {
    Remedy {
        action: RemedyAction::RestartService {
            cluster: "ci-main".to_owned(),
            service: "jenkins".to_owned(),
        },
        at_most_every: Duration::from_secs(1800),
        dry_run: false,
    }
}

fn pause() -> Remedy {
    Remedy {
        action: RemedyAction::PauseStarts,
        at_most_every: Duration::ZERO,
        dry_run: false,
    }
}

fn take(alarm: &Alarm, event: &AlarmEvent, at: i64) -> Alarm {
    match alarm.decide(event, t(at)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{event:?}: {reason}"),
    }
}

/// An alarm that changes, with what is told performed at once.
struct Story {
    alarm: Alarm,
    remedy: Wanted,
    told: Vec<String>,
}

impl Story {
    fn new(remedy: Wanted) -> Self {
        Self {
            alarm: Alarm::new(id()),
            remedy,
            told: Vec::new(),
        }
    }

    fn changes(&mut self, state: AlarmState, at: i64) -> &mut Self {
        self.hears(change(state, at), at)
    }

    fn hears(&mut self, change: AlarmChange, at: i64) -> &mut Self {
        let wanted = self.remedy.clone();
        self.takes(&changed(change, wanted), at)
    }

    fn takes(&mut self, event: &AlarmEvent, at: i64) -> &mut Self {
        self.alarm = take(&self.alarm, event, at);
        self.tells(at)
    }

    fn ignores(&mut self, change: AlarmChange, at: i64) -> &mut Self {
        let wanted = self.remedy.clone();
        let decision = self.alarm.decide(&changed(change, wanted), t(at));
        assert_eq!(decision, Decision::Ignored(Ignored::Stale));
        self
    }

    fn tells(&mut self, at: i64) -> &mut Self {
        while let Some((id, news)) = self.alarm.outbox.pending().iter().find_map(|pending| match &pending.effect {
            AlarmEffect::Tell(news) => Some((pending.id, news.clone())),
            _ => None,
        }) {
            let remedy = match news.remedy.map(|news| news.outcome) {
                None => String::new(),
                Some(Remedied::Done(_)) => " done".to_owned(),
                Some(Remedied::Held { .. }) => " held".to_owned(),
                Some(Remedied::Failed(_)) => " failed".to_owned(),
                Some(other) => format!(" {other:?}"),
            };
            self.told.push(format!("{:?} {}{remedy}", news.what, news.transition.state));
            self.alarm = take(&self.alarm, &AlarmEvent::Performed(id), at);
        }
        self
    }

    fn remedies(&self) -> Vec<EffectId> {
        let pending = self.alarm.outbox.pending().iter();
        pending
            .filter(|pending| matches!(pending.effect, AlarmEffect::Remedy { .. }))
            .map(|pending| pending.id)
            .collect()
    }

    fn remedied(&mut self, outcome: Remedied, at: i64) -> &mut Self {
        let [effect] = self.remedies()[..] else {
            panic!("not one remedy: {:?}", self.alarm.outbox)
        };
        self.takes(&AlarmEvent::Remedied { effect, outcome }, at)
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

use AlarmState::{Alarm as ALARM, InsufficientData as UNCLEAR, Ok as FINE};

#[test]
fn the_forms_of_one_transition_are_one() {
    let mut story = Story::new(Wanted::Nothing);
    story.changes(ALARM, 100);
    story.ignores(change(ALARM, 100), 101).ignores(change(ALARM, 101), 101);
    let undated = AlarmChange {
        at: None,
        ..change(ALARM, 0)
    };
    story.ignores(undated, 500);
    assert_eq!(story.told(), ["Changed ALARM"]);
    story
        .changes(FINE, 400)
        .ignores(change(FINE, 400), 401)
        .ignores(change(ALARM, 100), 402);
    assert_eq!(story.told(), ["Changed OK"]);
    assert_eq!((story.alarm.open, story.alarm.due()), (None, None));
    assert!(story.alarm.expires().is_some());
}

#[test]
fn the_same_state_with_a_later_time_is_a_transition_whose_predecessor_was_lost() {
    let mut story = Story::new(Wanted::Nothing);
    story.changes(ALARM, 100).changes(ALARM, 4000);
    assert_eq!(story.told(), ["Changed ALARM", "Changed ALARM"]);
    assert_eq!(story.alarm.open, Some(t(100)), "since when it was not heard to be OK");
}

#[test]
fn an_ok_alone_is_told_only_if_it_ended_something() {
    let mut story = Story::new(Wanted::Nothing);
    story.changes(FINE, 100);
    assert_eq!(story.told(), [""; 0]);
    let mut story = Story::new(Wanted::Nothing);
    let after = AlarmChange {
        previous: Some(ALARM),
        ..change(FINE, 100)
    };
    story.hears(after, 100);
    assert_eq!(story.told(), ["Changed OK"]);
}

#[test]
fn insufficient_data_opens_and_closes_nothing() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    story.changes(UNCLEAR, 100);
    assert_eq!(story.told(), [""; 0]);
    assert_eq!(story.remedies(), []);
    story.changes(ALARM, 200).remedied(Remedied::Done(None), 201).changes(UNCLEAR, 300);
    assert_eq!(story.told(), ["Changed ALARM done", "Changed INSUFFICIENT_DATA"]);
    assert_eq!(story.alarm.open, Some(t(200)));
    story.changes(FINE, 400);
    assert_eq!(story.told(), ["Changed OK"]);
}

#[test]
fn people_are_told_once_it_is_known_what_was_done() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    story.changes(ALARM, 100);
    assert_eq!(story.told(), [""; 0]);
    story.remedied(Remedied::Done(None), 101);
    assert_eq!(story.told(), ["Changed ALARM done"]);
    let since = t(101);
    story.changes(FINE, 200).changes(ALARM, 300).remedied(Remedied::Held { since }, 301);
    assert_eq!(story.told(), ["Changed OK", "Changed ALARM held"]);
    assert_eq!(story.alarm.due(), None);
}

#[test]
fn what_cannot_be_done_at_once_is_told_and_tried_again_and_given_up() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    story.changes(ALARM, 100);
    let [effect] = story.remedies()[..] else { panic!("one remedy") };
    story.takes(&AlarmEvent::Deferred(effect, "no".to_owned()), 101);
    assert_eq!(story.told(), ["Changed ALARM TriedAgain"]);
    let mut late = Story {
        alarm: story.alarm.clone(),
        remedy: story.remedy.clone(),
        told: Vec::new(),
    };
    late.remedied(Remedied::Done(None), 161);
    assert_eq!(late.told(), ["Remedied ALARM done"]);
    for second in [200, 1000, 1001] {
        story.takes(&AlarmEvent::Deferred(effect, "AccessDeniedException: no".to_owned()), second);
    }
    assert_eq!(story.told(), ["Remedied ALARM failed"]);
    assert_eq!((story.remedies(), story.alarm.due()), (vec![], None));
}

#[test]
fn nothing_is_done_for_an_alarm_that_is_over() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    story.changes(ALARM, 100);
    let [effect] = story.remedies()[..] else { panic!("one remedy") };
    story.changes(FINE, 110);
    assert_eq!(story.told(), ["Changed ALARM NotNeeded", "Changed OK"]);
    assert_eq!(story.remedies(), []);
    // It was on its way, and is over as well.
    let late = AlarmEvent::Remedied {
        effect,
        outcome: Remedied::Done(None),
    };
    assert_eq!(story.alarm.decide(&late, t(111)), Decision::Ignored(Ignored::NothingNew));
}

#[test]
fn a_dry_run_only_tells_and_so_does_a_bad_configuration() {
    let mut story = Story::new(Wanted::Remedy(Remedy {
        dry_run: true,
        ..restart()
    }));
    story.changes(ALARM, 100);
    assert_eq!((story.told(), story.remedies()), (vec!["Changed ALARM DryRun".to_owned()], vec![]));
    let mut story = Story::new(Wanted::Unknown("line 3 is wrong".to_owned()));
    story.changes(ALARM, 100);
    assert_eq!(story.told(), ["Changed ALARM"]);
    assert_eq!(story.alarm.unconfigured.as_deref(), Some("line 3 is wrong"));
}

#[test]
fn a_contributor_is_told_and_left_alone() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    story.alarm.id.contributor = Some("6d44".to_owned());
    assert_eq!(story.alarm.id.key(), "us-east-1/123456789012/jenkins-unhealthy#6d44");
    story.changes(ALARM, 100);
    assert_eq!((story.told(), story.remedies()), (vec!["Changed ALARM".to_owned()], vec![]));
}

#[test]
fn what_nobody_wants_to_hear_is_kept_until_somebody_does() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    let muted = AlarmChange {
        quiet: Some("it is muted".to_owned()),
        ..change(ALARM, 100)
    };
    story.hears(muted.clone(), 100).ignores(muted, 101);
    assert_eq!((story.told(), story.remedies().len()), (vec![], 0));
    story.changes(ALARM, 100).remedied(Remedied::Done(None), 700);
    assert_eq!(story.told(), ["Changed ALARM done"]);
    let muted = AlarmChange {
        quiet: Some("it is muted".to_owned()),
        ..change(FINE, 900)
    };
    story.hears(muted, 900);
    assert_eq!((story.told(), story.alarm.open), (vec![], None));
}

#[test]
fn an_alarm_that_flaps_is_told_once_and_again_when_it_has_settled() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    for flap in 0..10 {
        let at = flap * 6;
        story.changes(ALARM, at);
        let outcome = match flap {
            0 => Remedied::Done(None),
            _ => Remedied::Held { since: t(0) },
        };
        story.remedied(outcome, at).changes(FINE, at + 3);
    }
    assert_eq!(
        story.told(),
        [
            "Changed ALARM done",
            "Changed OK",
            "Changed ALARM held",
            "Changed OK",
            "Flapping ALARM"
        ]
    );
    let due = story.alarm.due().unwrap();
    assert_eq!(due, later(t(57), SETTLED_AFTER));
    assert_eq!(
        story.alarm.decide(&AlarmEvent::Tick, t(600)),
        Decision::Ignored(Ignored::NothingNew)
    );
    story.takes(&AlarmEvent::Tick, 660);
    assert_eq!(story.told(), ["Settled OK"]);
    story.changes(ALARM, 700).remedied(Remedied::Held { since: t(0) }, 701);
    assert_eq!(story.told(), ["Changed ALARM held"]);
}

#[test]
fn what_was_done_while_it_flaps_is_told() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    for flap in 0..3 {
        story
            .changes(ALARM, flap * 60)
            .remedied(Remedied::Held { since: t(-60) }, flap * 60);
        if flap < 2 {
            story.changes(FINE, flap * 60 + 30);
        }
    }
    story.told();
    story.changes(FINE, 150).changes(ALARM, 180).remedied(Remedied::Done(None), 181);
    assert_eq!(story.told(), ["Remedied ALARM done"]);
}

#[test]
fn changes_that_are_far_apart_are_no_flapping() {
    let mut story = Story::new(Wanted::Nothing);
    for round in 0..10 {
        story.changes(ALARM, round * 600).changes(FINE, round * 600 + 300);
    }
    assert_eq!(story.told().len(), 20);
}

#[test]
fn starts_are_paused_until_the_alarm_is_ok() {
    let mut story = Story::new(Wanted::Remedy(pause()));
    story.changes(ALARM, 100).remedied(Remedied::Done(None), 101);
    assert_eq!(story.told(), ["Changed ALARM done"]);
    assert_eq!(story.alarm.due(), Some(later(t(100), LONGEST_PAUSE)));
    story.changes(FINE, 500);
    assert_eq!(story.told(), ["Changed OK"]);
    assert_eq!(story.alarm.paused, None);
    assert!(story.alarm.outbox.any(|effect| *effect == AlarmEffect::Resume { until: t(500) }));
}

#[test]
fn a_pause_whose_end_nobody_hears_of_ends_after_a_day() {
    let mut story = Story::new(Wanted::Remedy(pause()));
    story.changes(ALARM, 100).remedied(Remedied::Done(None), 101);
    story.told();
    story.takes(&AlarmEvent::Tick, 100 + 24 * 3600);
    assert_eq!(story.told(), ["PauseEnded ALARM"]);
    assert_eq!(story.alarm.paused, None);
    assert!(story.alarm.outbox.any(|effect| matches!(effect, AlarmEffect::Resume { .. })));
}

#[test]
fn a_pause_that_could_not_be_had_is_none_and_one_from_before_ends_with_it() {
    let mut story = Story::new(Wanted::Remedy(pause()));
    story.changes(ALARM, 100).remedied(Remedied::Failed("no".to_owned()), 101);
    assert_eq!(story.alarm.paused, None);
    assert!(story.alarm.outbox.any(|effect| *effect == AlarmEffect::Resume { until: t(101) }));
}

#[test]
fn a_target_is_claimed_once_in_a_while_and_by_one_occasion() {
    let every = Duration::from_secs(1800);
    let claim = |present: Option<&Claim>, by: &str, at: i64| Claim::take(present, "restart-service/c/s", by, every, t(at));
    let Claimed::Yes(first) = claim(None, "a", 0) else {
        panic!("nobody has it")
    };
    assert_eq!(
        claim(Some(&first), "a", 5000),
        Claimed::Yes(first.clone()),
        "however late it is repeated"
    );
    let done = Claim {
        done: true,
        ..first.clone()
    };
    assert_eq!(claim(Some(&done), "b", 1799), Claimed::No(t(0)));
    let Claimed::Yes(second) = claim(Some(&done), "b", 1800) else {
        panic!("the time is over")
    };
    assert_eq!((second.by.as_str(), second.at, second.done), ("b", t(1800), false));

    // What was not done is another's to do, once nobody can be at it any more. It may have been done all the same, since the first one's moment.
    assert_eq!(claim(Some(&first), "b", 59), Claimed::No(t(0)));
    let Claimed::Yes(third) = claim(Some(&first), "b", 60) else {
        panic!("nobody is at it")
    };
    assert_eq!((third.by.as_str(), third.at), ("b", t(0)));
    let Claimed::Yes(late) = claim(Some(&first), "b", 1800) else {
        panic!("nobody is at it")
    };
    assert_eq!(late.at, t(1800));
}

#[test]
fn pauses_end_with_their_alarms_whatever_the_order() {
    let other = AlarmId {
        name: "other".to_owned(),
        ..id()
    };
    let mut pauses = Pauses::default();
    assert_eq!(pauses.now(t(0)), [""; 0]);
    assert!(pauses.pause(&id(), t(0)) && !pauses.pause(&id(), t(0)) && pauses.pause(&other, t(10)));
    assert_eq!(pauses.now(t(20)), ["jenkins-unhealthy", "other"]);
    assert!(pauses.resume(&id(), t(30)) && !pauses.resume(&id(), t(30)));
    assert_eq!(pauses.now(t(30)), ["other"]);
    assert!(!pauses.pause(&id(), t(0)), "late");
    assert!(pauses.pause(&id(), t(40)));
    assert!(!pauses.resume(&id(), t(20)), "late as well");
    assert_eq!(pauses.now(t(40)), ["jenkins-unhealthy", "other"]);
    assert_eq!(pauses.now(later(t(40), LONGEST_PAUSE)), [""; 0]);
    pauses.forget(t(3 * 24 * 3600));
    assert_eq!(pauses, Pauses::default());
}

#[test]
fn an_end_whose_beginning_comes_later_is_told() {
    let mut story = Story::new(Wanted::Nothing);
    story.changes(FINE, 0);
    story.told();
    let end = AlarmChange {
        previous: Some(ALARM),
        ..change(FINE, 200)
    };
    story.hears(end, 200);
    assert_eq!(story.told(), ["Changed OK"]);
}
