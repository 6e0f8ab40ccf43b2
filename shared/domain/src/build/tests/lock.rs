//! Locks of jobs, across runs.

use super::*;

fn locked() -> BuildSpec {
    BuildSpec {
        lock: Some("lock/shop/staging".parse().unwrap()),
        relaunch: Relaunch::Stopped,
        ..spec()
    }
}

#[test]
fn a_build_acquires_its_lock_before_its_launch_and_releases_it_when_its_agent_has_stopped() {
    Story::new(locked())
        .expect_todo(&["acquire its lock"])
        .expect_status("queued")
        .performed()
        .happens(&BuildEvent::LockGranted)
        .expect_todo(&["launch 1 on spot"])
        .happens(&BuildEvent::LockGranted)
        .expect_ignored(Ignored::NothingNew)
        .up()
        .stopped("1a", exited(0))
        .expect_todo(&["announce succeeded by 1", "notify the run succeeded", "release its lock"])
        .performed()
        .expect_rest()
        // It had requested the lock twice, and the second request arrived late.
        .happens(&BuildEvent::LockGranted)
        .expect_todo(&["release its lock"]);
}

#[test]
fn a_build_takes_its_lock_before_a_slot_and_waits_for_both_in_one_queue_timeout() {
    let spec = BuildSpec {
        limit: Some(2),
        queue_timeout: Duration::from_secs(600),
        ..locked()
    };
    Story::new(spec)
        .expect_todo(&["acquire its lock"])
        .performed()
        .at(300)
        .happens(&BuildEvent::LockGranted)
        .expect_todo(&["acquire a slot"])
        .performed()
        .tick(601)
        .expect_finished(
            Outcome::TimedOut,
            "no agent within its queue-timeout of 10m: all 2 slots of the agent `small` were in use",
        )
        .expect_todo(&[
            "announce timed-out by 1",
            "notify the run timed-out",
            "release its slot",
            "release its lock",
        ]);
}

#[test]
fn a_build_that_waits_for_its_lock_says_so_and_leaves_the_line_when_it_is_cancelled() {
    let story = Story::new(locked()).performed();
    assert_eq!(
        story.build.waits_because().as_deref(),
        Some("another build holds the lock `staging`")
    );
    let story = story.at(5).happens(cancelled(Outcome::Superseded));
    let waited = Some(t(0));
    assert!(story.build.outbox.any(|effect| *effect == BuildEffect::ReleaseLock { waited }));
}

#[test]
fn the_lock_is_held_through_all_attempts() {
    let story = Story::new(locked())
        .happens(&BuildEvent::LockGranted)
        .up()
        .warned("1a")
        .stopped("1a", taken_back())
        .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
    assert_eq!(story.build.lock, Slot::Held);
}

#[test]
fn a_cancelled_build_holds_its_lock_until_its_agent_has_stopped() {
    let story = Story::new(locked())
        .happens(&BuildEvent::LockGranted)
        .up()
        .happens(cancelled(Outcome::Cancelled));
    assert_eq!(story.build.lock, Slot::Held);
    let story = story.stopped("1a", stopped_by_a_person());
    assert_eq!(story.build.lock, Slot::Released);
}

#[test]
fn an_agent_that_counts_as_lost_keeps_the_lock_until_a_poll_proves_that_it_has_stopped() {
    let mut story = Story::new(locked())
        .happens(&BuildEvent::LockGranted)
        .up()
        .happens(cancelled(Outcome::Cancelled))
        .performed();
    while story.build.attempts[0].is_live() {
        story = story.tick_when_due().performed();
    }
    assert!(story.build.attempts[0].lost);
    assert_eq!(story.build.lock, Slot::Held);
    assert_eq!(
        story.build.waits_because().as_deref(),
        Some("it keeps the lock `staging` until its agent, which counts as lost, has stopped")
    );
    // It is polled every five minutes, and stopped again if it still runs.
    let due = story.build.due().unwrap();
    let lost = story.build.attempts[0].agent.clone().unwrap();
    assert_eq!(story.build.agents_to_check(due), [(1, lost)]);
    let second = due.as_second() - t(0).as_second();
    let story = story
        .at(second)
        .running("1a@5")
        .expect_todo(&["stop 1a: bellhop: the build is over"])
        .performed();
    let story = story.tick(second);
    assert!(story.build.due().unwrap() > t(second));
    let story = story.stopped("1a@6", stopped_by_a_person());
    assert_eq!(story.build.lock, Slot::Released);
    story.performed().expect_rest();
}

/// The reply to the launch was lost, and its repetition was refused for good: an agent may run, and is searched for a minute later.
#[test]
fn a_launch_that_may_have_left_an_agent_keeps_the_lock_until_that_was_searched_for() {
    let story = Story::new(locked())
        .happens(&BuildEvent::LockGranted)
        .refused(1, SPOT, Refusal::Invalid("no such cluster".to_owned()))
        .performed();
    assert_eq!((story.build.status(), story.build.lock), ("infrastructure-failed", Slot::Held));
    let story = story.tick_when_due().expect_todo(&["find 1"]);
    let found = |found: Vec<Observation>| BuildEvent::Searched { attempt: 1, found };
    let nothing = story.clone().happens(found(Vec::new()));
    assert_eq!(nothing.build.lock, Slot::Released);
    let orphan = Observation {
        agent: arn("1a"),
        version: None,
        capacity: Some(SPOT),
        status: AgentStatus::Running { since: None },
    };
    let story = story.happens(found(vec![orphan]));
    assert_eq!(story.build.lock, Slot::Held, "the orphan runs");
    let story = story.performed().stopped("1a", stopped_by_a_person());
    assert_eq!(story.build.lock, Slot::Released);
}
