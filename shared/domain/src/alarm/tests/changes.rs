//! Which transitions are reported.

use super::*;

#[test]
fn the_forms_of_one_transition_are_one() {
    let mut story = Story::new(ConfiguredRemedy::Nothing);
    story.changes(ALARM, 100);
    story.ignores(change(ALARM, 100), 101).ignores(change(ALARM, 101), 101);
    let undated = AlarmChange {
        at: None,
        ..change(ALARM, 0)
    };
    story.ignores(undated, 500);
    assert_eq!(story.notified(), ["Changed ALARM"]);
    story
        .changes(FINE, 400)
        .ignores(change(FINE, 400), 401)
        .ignores(change(ALARM, 100), 402);
    assert_eq!(story.notified(), ["Changed OK"]);
    assert_eq!((story.alarm.open, story.alarm.due()), (None, None));
    assert!(story.alarm.expires().is_some());
}

#[test]
fn the_same_state_with_a_later_time_is_a_transition_whose_predecessor_was_lost() {
    let mut story = Story::new(ConfiguredRemedy::Nothing);
    story.changes(ALARM, 100).changes(ALARM, 4000);
    assert_eq!(story.notified(), ["Changed ALARM", "Changed ALARM"]);
    assert_eq!(story.alarm.open, Some(t(100)), "since when it was not heard to be OK");
}

#[test]
fn an_ok_alone_is_told_only_if_it_ended_something() {
    let mut story = Story::new(ConfiguredRemedy::Nothing);
    story.changes(FINE, 100);
    assert_eq!(story.notified(), [""; 0]);
    let mut story = Story::new(ConfiguredRemedy::Nothing);
    let after = AlarmChange {
        previous: Some(ALARM),
        ..change(FINE, 100)
    };
    story.receives(after, 100);
    assert_eq!(story.notified(), ["Changed OK"]);
}

#[test]
fn insufficient_data_opens_and_closes_nothing() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    story.changes(UNCLEAR, 100);
    assert_eq!(story.notified(), [""; 0]);
    assert_eq!(story.remedies(), []);
    story
        .changes(ALARM, 200)
        .remedied(RemedyOutcome::Done(None), 201)
        .changes(UNCLEAR, 300);
    assert_eq!(story.notified(), ["Changed ALARM done", "Changed INSUFFICIENT_DATA"]);
    assert_eq!(story.alarm.open, Some(t(200)));
    story.changes(FINE, 400);
    assert_eq!(story.notified(), ["Changed OK"]);
}

#[test]
fn a_message_that_is_not_wanted_is_kept_until_it_is() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    let muted = AlarmChange {
        quiet: Some("it is muted".to_owned()),
        ..change(ALARM, 100)
    };
    story.receives(muted.clone(), 100).ignores(muted, 101);
    assert_eq!((story.notified(), story.remedies().len()), (vec![], 0));
    story.changes(ALARM, 100).remedied(RemedyOutcome::Done(None), 700);
    assert_eq!(story.notified(), ["Changed ALARM done"]);
    let muted = AlarmChange {
        quiet: Some("it is muted".to_owned()),
        ..change(FINE, 900)
    };
    story.receives(muted, 900);
    assert_eq!((story.notified(), story.alarm.open), (vec![], None));
}

#[test]
fn an_alarm_that_flaps_is_told_once_and_again_when_it_has_settled() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    for flap in 0..10 {
        let at = flap * 6;
        story.changes(ALARM, at);
        let outcome = match flap {
            0 => RemedyOutcome::Done(None),
            _ => RemedyOutcome::CoolingDown { since: t(0) },
        };
        story.remedied(outcome, at).changes(FINE, at + 3);
    }
    assert_eq!(
        story.notified(),
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
    assert_eq!(story.notified(), ["Settled OK"]);
    story.changes(ALARM, 700).remedied(RemedyOutcome::CoolingDown { since: t(0) }, 701);
    assert_eq!(story.notified(), ["Changed ALARM held"]);
}

#[test]
fn changes_that_are_far_apart_are_no_flapping() {
    let mut story = Story::new(ConfiguredRemedy::Nothing);
    for round in 0..10 {
        story.changes(ALARM, round * 600).changes(FINE, round * 600 + 300);
    }
    assert_eq!(story.notified().len(), 20);
}

#[test]
fn an_end_whose_beginning_comes_later_is_told() {
    let mut story = Story::new(ConfiguredRemedy::Nothing);
    story.changes(FINE, 0);
    story.notified();
    let end = AlarmChange {
        previous: Some(ALARM),
        ..change(FINE, 200)
    };
    story.receives(end, 200);
    assert_eq!(story.notified(), ["Changed OK"]);
}
