//! Pauses of launches.

use super::*;

#[test]
fn starts_are_paused_until_the_alarm_is_ok() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(pause()));
    story.changes(ALARM, 100).remedied(RemedyOutcome::Done(None), 101);
    assert_eq!(story.notified(), ["Changed ALARM done"]);
    assert_eq!(story.alarm.due(), Some(later(t(100), LONGEST_PAUSE)));
    story.changes(FINE, 500);
    assert_eq!(story.notified(), ["Changed OK"]);
    assert_eq!(story.alarm.paused, None);
    assert!(story.alarm.outbox.any(|effect| *effect == AlarmEffect::Resume { until: t(500) }));
}

#[test]
fn a_pause_without_an_event_of_its_end_ends_after_a_day() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(pause()));
    story.changes(ALARM, 100).remedied(RemedyOutcome::Done(None), 101);
    story.notified();
    story.takes(&AlarmEvent::Tick, 100 + 24 * 3600);
    assert_eq!(story.notified(), ["PauseEnded ALARM"]);
    assert_eq!(story.alarm.paused, None);
    assert!(story.alarm.outbox.any(|effect| matches!(effect, AlarmEffect::Resume { .. })));
}

#[test]
fn a_pause_that_could_not_be_had_is_none_and_one_from_before_ends_with_it() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(pause()));
    story.changes(ALARM, 100).remedied(RemedyOutcome::Failed("no".to_owned()), 101);
    assert_eq!(story.alarm.paused, None);
    assert!(story.alarm.outbox.any(|effect| *effect == AlarmEffect::Resume { until: t(101) }));
}

/// The simulation found this: the alarm was OK a moment after it paused launches, and the function that decided this had a clock that was behind. The
/// pause was newer than its end.
#[test]
fn a_pause_ends_although_the_clock_of_its_end_is_behind() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(pause()));
    story.changes(ALARM, 104);
    assert_eq!(story.alarm.paused, Some(t(104)));
    story.receives(change(FINE, 104), 101);
    let until = story.alarm.outbox.pending().iter().find_map(|pending| match pending.effect {
        AlarmEffect::Resume { until } => Some(until),
        _ => None,
    });
    assert_eq!(until, Some(t(104)));
}

#[test]
fn pauses_end_with_their_alarms_in_any_order() {
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
