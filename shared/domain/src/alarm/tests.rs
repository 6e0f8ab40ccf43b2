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
    assert_eq!(story.remedies(), []);
    assert!(releases(&story.alarm));
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
fn what_waits_for_another_alarm_stays_wanted_and_is_told_at_once() {
    let mut story = Story::new(Wanted::Remedy(restart()));
    story.changes(ALARM, 100);
    let [effect] = story.remedies()[..] else { panic!("one remedy") };
    let waits = AlarmEvent::Waits { effect, since: t(90) };
    story.takes(&waits, 101);
    assert_eq!(story.told(), ["Changed ALARM Waits { since: 2026-09-21T14:14:50Z }"]);
    assert_eq!((story.remedies(), story.alarm.due()), (vec![effect], Some(t(161))));
    // However often it waits, that is no try in vain.
    for minute in 1..100 {
        story.takes(&waits, 101 + minute * 60);
    }
    assert_eq!((story.told(), story.remedies()), (vec![], vec![effect]));
    let mut held = Story {
        alarm: story.alarm.clone(),
        remedy: story.remedy.clone(),
        told: Vec::new(),
    };
    held.remedied(Remedied::Held { since: t(6100) }, 6161);
    assert_eq!((held.told(), held.alarm.due()), (vec![], None));
    let mut over = Story {
        alarm: story.alarm.clone(),
        remedy: story.remedy.clone(),
        told: Vec::new(),
    };
    over.changes(FINE, 6161);
    assert_eq!((over.told(), over.remedies()), (vec!["Changed OK".to_owned()], vec![]));
    story.remedied(Remedied::Done(None), 6161);
    assert_eq!((story.told(), story.alarm.due()), (vec!["Remedied ALARM done".to_owned()], None));
}

/// Found by the simulation: the alarm was OK a moment after it had paused starts, and a clock that was behind decided so. The pause was newer than its end.
#[test]
fn a_pause_ends_although_the_clock_of_its_end_is_behind() {
    let mut story = Story::new(Wanted::Remedy(pause()));
    story.changes(ALARM, 104);
    assert_eq!(story.alarm.paused, Some(t(104)));
    story.hears(change(FINE, 104), 101);
    let until = story.alarm.outbox.pending().iter().find_map(|pending| match pending.effect {
        AlarmEffect::Resume { until } => Some(until),
        _ => None,
    });
    assert_eq!(until, Some(t(104)));
}

fn releases(alarm: &Alarm) -> bool {
    alarm
        .outbox
        .any(|effect| matches!(effect, AlarmEffect::Release { at, .. } if *at == t(100)))
}

#[test]
fn what_failed_lets_go_of_its_target() {
    let mut refused = Story::new(Wanted::Remedy(restart()));
    refused.changes(ALARM, 100).remedied(Remedied::Failed("no".to_owned()), 101);
    assert!(releases(&refused.alarm));
    let mut given_up = Story::new(Wanted::Remedy(restart()));
    given_up.changes(ALARM, 100);
    let [effect] = given_up.remedies()[..] else { panic!("one remedy") };
    for second in [101, 161, 221, 341, 581, 1001] {
        assert!(!releases(&given_up.alarm));
        given_up.takes(&AlarmEvent::Deferred(effect, "no".to_owned()), second);
    }
    assert!(releases(&given_up.alarm));
    let mut done = Story::new(Wanted::Remedy(restart()));
    done.changes(ALARM, 100).remedied(Remedied::Done(None), 101);
    assert!(!releases(&done.alarm));
}

const EVERY: Duration = Duration::from_secs(1800);

fn claim(present: Option<&Claim>, by: &str, at: i64) -> Claimed {
    Claim::take(present, "restart-service/c/s", by, EVERY, t(at))
}

fn claimed(present: Option<&Claim>, by: &str, at: i64) -> Claim {
    match claim(present, by, at) {
        Claimed::Yes(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_target_is_claimed_once_in_a_while_and_by_one_occasion() {
    let first = claimed(None, "a", 0);
    let again = claimed(Some(&first), "a", 5000);
    assert_eq!((again.by.as_str(), again.at), ("a", t(0)), "however late it is repeated");
    let done = first.end("a", true, t(10)).unwrap();
    assert_eq!(claim(Some(&done), "a", 5000), Claimed::Yes(done.clone()));
    assert_eq!(
        (done.end("a", true, t(11)), done.end("a", false, t(11)), done.end("b", true, t(11))),
        (None, None, None)
    );
    assert_eq!(claim(Some(&done), "b", 1809), Claimed::Done(t(10)));
    let second = claimed(Some(&done), "b", 1810);
    assert_eq!((second.by.as_str(), second.at, second.done), ("b", t(1810), false));
}

#[test]
fn a_claim_that_is_not_done_keeps_others_away_while_somebody_may_be_at_it() {
    let first = claimed(None, "a", 0);
    assert_eq!(claim(Some(&first), "b", 59), Claimed::Busy(t(0)));
    // It may have been done all the same, since the first one's moment.
    let second = claimed(Some(&first), "b", 60);
    assert_eq!((second.by.as_str(), second.at), ("b", t(0)));
    // Each try counts.
    let again = claimed(Some(&first), "a", 50);
    assert_eq!(claim(Some(&again), "b", 109), Claimed::Busy(t(0)));
    assert_eq!(claimed(Some(&again), "b", 110).at, t(0));
    let late = claimed(Some(&first), "a", 1790);
    assert_eq!(claim(Some(&late), "b", 1810), Claimed::Busy(t(0)));
    assert_eq!(claimed(Some(&first), "b", 1800).at, t(1800));
    let at_any_time = Claim::take(Some(&first), "restart-service/c/s", "b", Duration::ZERO, t(0));
    assert!(matches!(at_any_time, Claimed::Yes(_)), "{at_any_time:?}");
}

#[test]
fn a_claim_whose_remedy_failed_is_anothers_at_once() {
    let failed = claimed(None, "a", 0).end("a", false, t(10)).unwrap();
    assert_eq!(failed.end("a", false, t(11)), None);
    let second = claimed(Some(&failed), "b", 10);
    assert_eq!((second.by.as_str(), second.at, second.over), ("b", t(0), None));
    assert_eq!(failed.end("b", true, t(11)), None);
    // The late repetition of the first one's try is a try.
    let again = claimed(Some(&failed), "a", 20);
    assert_eq!(claim(Some(&again), "b", 21), Claimed::Busy(t(0)));
}

#[test]
fn the_time_between_two_counts_from_when_it_was_done() {
    let second = claimed(Some(&claimed(None, "a", 0)), "b", 1500);
    let done = second.end("b", true, t(1500)).unwrap();
    assert_eq!(claim(Some(&done), "c", 1800), Claimed::Done(t(1500)));
    assert_eq!(claimed(Some(&done), "c", 3300).at, t(3300));
}

#[test]
fn claims_from_before_are_understood() {
    let stored = r#"{"target":"restart-service/c/s","by":"a","at":"2026-09-21T14:13:20Z","until":"2026-09-22T14:13:20Z","done":true}"#;
    let stored: Claim = serde_json::from_str(stored).unwrap();
    let at = stored.at;
    assert_eq!(
        Claim::take(Some(&stored), "restart-service/c/s", "b", EVERY, later(at, EVERY / 2)),
        Claimed::Done(at)
    );
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
