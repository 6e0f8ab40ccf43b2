//! When a remedy is applied, and what is reported about it.

use super::*;

fn releases(alarm: &Alarm) -> bool {
    alarm
        .outbox
        .any(|effect| matches!(effect, AlarmEffect::Release { at, .. } if *at == t(100)))
}

#[test]
fn people_are_told_once_it_is_known_what_was_done() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    story.changes(ALARM, 100);
    assert_eq!(story.notified(), [""; 0]);
    story.remedied(RemedyOutcome::Done(None), 101);
    assert_eq!(story.notified(), ["Changed ALARM done"]);
    let since = t(101);
    story
        .changes(FINE, 200)
        .changes(ALARM, 300)
        .remedied(RemedyOutcome::CoolingDown { since }, 301);
    assert_eq!(story.notified(), ["Changed OK", "Changed ALARM held"]);
    assert_eq!(story.alarm.due(), None);
}

#[test]
fn what_cannot_be_done_at_once_is_told_and_tried_again_and_given_up() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    story.changes(ALARM, 100);
    let [effect] = story.remedies()[..] else { panic!("one remedy") };
    story.takes(Step::Deferred(effect, "no".to_owned()), 101);
    assert_eq!(story.notified(), ["Changed ALARM Retrying"]);
    let mut late = Story {
        alarm: story.alarm.clone(),
        remedy: story.remedy.clone(),
        notified: Vec::new(),
    };
    late.remedied(RemedyOutcome::Done(None), 161);
    assert_eq!(late.notified(), ["Remedied ALARM done"]);
    for second in [200, 1000, 1001] {
        story.takes(Step::Deferred(effect, "AccessDeniedException: no".to_owned()), second);
    }
    assert_eq!(story.notified(), ["Remedied ALARM failed"]);
    assert_eq!(story.remedies(), []);
    assert!(releases(&story.alarm));
}

#[test]
fn nothing_is_done_for_an_alarm_that_is_over() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    story.changes(ALARM, 100);
    let [effect] = story.remedies()[..] else { panic!("one remedy") };
    story.changes(FINE, 110);
    assert_eq!(story.notified(), ["Changed ALARM NotNeeded", "Changed OK"]);
    assert_eq!(story.remedies(), []);
    // Its result arrives late and changes nothing.
    let late = AlarmEvent::Remedied {
        effect,
        outcome: RemedyOutcome::Done(None),
    };
    assert_eq!(story.alarm.decide(&late, t(111)), Decision::Ignored(Ignored::NothingNew));
}

#[test]
fn a_dry_run_only_tells_and_so_does_a_bad_configuration() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(Remedy {
        dry_run: true,
        ..restart()
    }));
    story.changes(ALARM, 100);
    assert_eq!(
        (story.notified(), story.remedies()),
        (vec!["Changed ALARM DryRun".to_owned()], vec![])
    );
    let mut story = Story::new(ConfiguredRemedy::Unknown("line 3 is wrong".to_owned()));
    story.changes(ALARM, 100);
    assert_eq!(story.notified(), ["Changed ALARM"]);
    assert_eq!(story.alarm.unconfigured.as_deref(), Some("line 3 is wrong"));
}

#[test]
fn a_contributor_is_told_and_left_alone() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    story.alarm.id.contributor = Some("6d44".to_owned());
    assert_eq!(story.alarm.id.key(), "us-east-1/123456789012/jenkins-unhealthy#6d44");
    story.changes(ALARM, 100);
    assert_eq!((story.notified(), story.remedies()), (vec!["Changed ALARM".to_owned()], vec![]));
}

#[test]
fn what_was_done_while_it_flaps_is_told() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    for flap in 0..3 {
        story
            .changes(ALARM, flap * 60)
            .remedied(RemedyOutcome::CoolingDown { since: t(-60) }, flap * 60);
        if flap < 2 {
            story.changes(FINE, flap * 60 + 30);
        }
    }
    story.notified();
    story
        .changes(FINE, 150)
        .changes(ALARM, 180)
        .remedied(RemedyOutcome::Done(None), 181);
    assert_eq!(story.notified(), ["Remedied ALARM done"]);
}

#[test]
fn what_waits_for_another_alarm_stays_configured_and_is_reported_at_once() {
    let mut story = Story::new(ConfiguredRemedy::Remedy(restart()));
    story.changes(ALARM, 100);
    let [effect] = story.remedies()[..] else { panic!("one remedy") };
    let waits = AlarmEvent::Waits { effect, since: t(90) };
    story.takes(&waits, 101);
    assert_eq!(story.notified(), ["Changed ALARM WaitingForOther { since: 2026-09-21T14:14:50Z }"]);
    assert_eq!((story.remedies(), story.alarm.due()), (vec![effect], Some(t(161))));
    // Waiting does not count as a failed try.
    for minute in 1..100 {
        story.takes(&waits, 101 + minute * 60);
    }
    assert_eq!((story.notified(), story.remedies()), (vec![], vec![effect]));
    let mut held = Story {
        alarm: story.alarm.clone(),
        remedy: story.remedy.clone(),
        notified: Vec::new(),
    };
    held.remedied(RemedyOutcome::CoolingDown { since: t(6100) }, 6161);
    assert_eq!((held.notified(), held.alarm.due()), (vec![], None));
    let mut over = Story {
        alarm: story.alarm.clone(),
        remedy: story.remedy.clone(),
        notified: Vec::new(),
    };
    over.changes(FINE, 6161);
    assert_eq!((over.notified(), over.remedies()), (vec!["Changed OK".to_owned()], vec![]));
    story.remedied(RemedyOutcome::Done(None), 6161);
    assert_eq!(
        (story.notified(), story.alarm.due()),
        (vec!["Remedied ALARM done".to_owned()], None)
    );
}

#[test]
fn what_failed_lets_go_of_its_target() {
    let mut refused = Story::new(ConfiguredRemedy::Remedy(restart()));
    refused.changes(ALARM, 100).remedied(RemedyOutcome::Failed("no".to_owned()), 101);
    assert!(releases(&refused.alarm));
    let mut given_up = Story::new(ConfiguredRemedy::Remedy(restart()));
    given_up.changes(ALARM, 100);
    let [effect] = given_up.remedies()[..] else { panic!("one remedy") };
    for second in [101, 161, 221, 341, 581, 1001] {
        assert!(!releases(&given_up.alarm));
        given_up.takes(Step::Deferred(effect, "no".to_owned()), second);
    }
    assert!(releases(&given_up.alarm));
    let mut done = Story::new(ConfiguredRemedy::Remedy(restart()));
    done.changes(ALARM, 100).remedied(RemedyOutcome::Done(None), 101);
    assert!(!releases(&done.alarm));
}

#[test]
fn every_remedy_is_read_under_its_key_and_names_it_in_its_target() {
    let actions = [
        restart().action,
        RemedyAction::RunJob("clean-workspaces".parse().unwrap()),
        RemedyAction::BackUp("jenkins-home".to_owned()),
        pause().action,
    ];
    let keys: Vec<&str> = actions.iter().map(|action| action.kind().key()).collect();
    assert_eq!(keys, remedy::REMEDIES);
    for action in actions {
        assert!(action.target().starts_with(action.kind().key()), "{}", action.target());
    }
}
