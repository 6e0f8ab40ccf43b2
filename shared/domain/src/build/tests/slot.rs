//! Slots of agent templates with a limit.

use super::*;

fn limited() -> BuildSpec {
    BuildSpec { limit: Some(2), ..spec() }
}

#[test]
fn a_build_acquires_a_slot_before_its_launch_and_releases_it_when_nothing_runs() {
    Story::new(limited())
        .expect_todo(&["acquire a slot"])
        .expect_status("queued")
        .performed()
        .happens(&BuildEvent::Granted { turn: 0 })
        .expect_todo(&["launch 1 on spot"])
        .happens(&BuildEvent::Granted { turn: 0 })
        .expect_ignored(Ignored::NothingNew)
        .accepted(SPOT, "1a")
        .running("1a")
        .stopped("1a", exited(0))
        .expect_todo(&["announce succeeded by 1", "notify the run succeeded", "release its slot"])
        .performed()
        .expect_rest()
        // The build had requested a slot twice, and the second request arrived late.
        .happens(&BuildEvent::Granted { turn: 0 })
        .expect_todo(&["release its slot"]);
}

#[test]
fn the_slot_is_held_while_the_interrupted_attempt_and_its_replacement_run() {
    Story::new(limited())
        .happens(&BuildEvent::Granted { turn: 0 })
        .accepted(SPOT, "1a")
        .running("1a")
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .running("2a")
        .performed()
        .stopped("1a", exited(0))
        .expect_live(&["2a"])
        .stopped("2a", exited(0))
        .expect_live(&[]);
    let story = Story::new(limited())
        .happens(&BuildEvent::Granted { turn: 0 })
        .accepted(SPOT, "1a")
        .running("1a")
        .happens(cancelled(Outcome::Cancelled))
        .expect_todo(&[
            "stop 1a: bellhop: the build is over",
            "announce cancelled by 1",
            "notify the run cancelled",
        ]);
    assert_eq!(story.build.slot, Slot::Held);
    let story = story.stopped("1a", stopped_by_a_person());
    assert_eq!(story.build.slot, Slot::Released);
}

#[test]
fn a_build_that_waits_for_a_slot_can_be_cancelled() {
    Story::new(limited())
        .happens(cancelled(Outcome::Superseded))
        .expect_finished(Outcome::Superseded, "not wanted")
        .expect_todo(&["announce superseded by 1", "notify the run superseded", "release its slot"])
        .performed()
        .expect_rest();
}

/// The build requested a slot twice, and was cancelled while the second request was in progress. The release arrived, then the second request, and
/// the build got the grant before it had recorded the release.
#[test]
fn a_slot_granted_between_a_release_and_its_record_is_released_too() {
    let mut build = Build::ready(limited(), t(0));
    let Decision::Next(left) = build.decide(&cancelled(Outcome::Cancelled), t(1)) else {
        panic!("it was not cancelled");
    };
    build = *left;
    let pending: Vec<EffectId> = build.outbox.pending().iter().map(|pending| pending.id).collect();
    let Decision::Next(granted) = build.decide(&BuildEvent::Granted { turn: 0 }, t(2)) else {
        panic!("the grant was ignored");
    };
    build = *granted;
    for id in pending {
        if let Decision::Next(next) = build.take(&Step::Performed(id), t(3)) {
            build = *next;
        }
    }
    let todo: Vec<&BuildEffect> = build.outbox.pending().iter().map(|pending| &pending.effect).collect();
    // Cancelled while it was in line, which it may still be.
    let waited = Some(t(0));
    assert_eq!(todo, [&BuildEffect::ReleaseSlot { turn: 0, waited }]);
}

#[test]
fn a_build_that_waits_for_a_permission_releases_its_slot_and_acquires_another() {
    let limited = BuildSpec { limit: Some(1), ..spec() };
    let story = Story::new(limited)
        .expect_todo(&["acquire a slot"])
        .happens(&BuildEvent::Granted { turn: 0 })
        .expect_todo(&["launch 1 on spot"])
        .refused(1, SPOT, unknown())
        .expect_todo(&["release its slot", "announce that 1 is refused"])
        .performed()
        .tick_when_due()
        .expect_todo(&["acquire a slot"])
        .expect_status("queued")
        // A late grant of its first turn.
        .happens(&BuildEvent::Granted { turn: 0 })
        .expect_ignored(Ignored::Stale)
        .happens(&BuildEvent::Granted { turn: 1 })
        .expect_todo(&["launch 1 on spot"])
        .accepted(SPOT, "1a")
        .running("1a")
        .stopped("1a", exited(0))
        .expect_status("succeeded");
    assert!(
        story
            .build
            .outbox
            .any(|effect| *effect == BuildEffect::ReleaseSlot { turn: 1, waited: None })
    );
}

#[test]
fn an_agent_that_started_although_denied_acquires_a_slot() {
    Story::new(BuildSpec { limit: Some(1), ..spec() })
        .happens(&BuildEvent::Granted { turn: 0 })
        .refused(1, SPOT, unknown())
        .performed()
        .running("1a")
        .expect_status("running")
        .expect_todo(&["acquire a slot"])
        .happens(&BuildEvent::Granted { turn: 1 })
        .stopped("1a", exited(0))
        .expect_todo(&["announce succeeded by 1", "notify the run succeeded", "release its slot"]);
}

#[test]
fn an_agent_that_found_no_capacity_although_denied_is_replaced_in_another_slot() {
    Story::new(BuildSpec { limit: Some(1), ..spec() })
        .happens(&BuildEvent::Granted { turn: 0 })
        .refused(1, SPOT, unknown())
        .performed()
        .stopped("1a", without_capacity())
        .expect_status("queued")
        .expect_todo(&["acquire a slot"])
        .happens(&BuildEvent::Granted { turn: 1 })
        .expect_todo(&["launch 1 on on-demand"]);
}

#[test]
fn a_denied_build_waits_for_a_slot_no_longer_than_for_the_permission() {
    let story = Story::new(BuildSpec { limit: Some(1), ..spec() })
        .happens(&BuildEvent::Granted { turn: 0 })
        .refused(1, SPOT, unknown())
        .performed()
        .tick_when_due()
        .performed();
    story
        .tick(14 * MINUTE)
        .expect_status("queued")
        .tick(15 * MINUTE)
        .expect_finished(Outcome::InfrastructureFailed, &format!("the agent cannot be launched: {DENIED}"));
}

#[test]
fn a_denied_build_that_is_processed_late_ends_at_once() {
    Story::new(BuildSpec { limit: Some(1), ..spec() })
        .happens(&BuildEvent::Granted { turn: 0 })
        .refused(1, SPOT, unknown())
        .performed()
        .tick(16 * MINUTE)
        .expect_finished(Outcome::InfrastructureFailed, &format!("the agent cannot be launched: {DENIED}"));
}
