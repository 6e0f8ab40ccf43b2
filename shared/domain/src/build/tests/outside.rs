//! What becomes of a build where a service refuses what it is asked, or never says what it should.

use super::*;
use crate::outbox::EffectId;

const DENIED: &str = "AccessDeniedException: not authorized to perform: ecs:RunTask";

fn unknown() -> Refusal {
    Refusal::Unknown(DENIED.to_owned())
}

fn not_now() -> Stop {
    stop(
        StopCause::NotNow,
        "Unexpected EC2 error while attempting to Create Network Interface: InsufficientFreeAddressesInSubnet",
        None,
    )
}

fn patient() -> BuildSpec {
    BuildSpec {
        relaunch: Relaunch::Stopped,
        ..spec()
    }
}

impl Story {
    fn effect(&self, fits: fn(&BuildEffect) -> bool) -> EffectId {
        self.build.outbox.pending().iter().find(|pending| fits(&pending.effect)).unwrap().id
    }

    /// What fits is tried in vain from now on for a quarter of an hour.
    fn in_vain(mut self, why: &str, fits: fn(&BuildEffect) -> bool) -> Self {
        let (id, begun) = (self.effect(fits), self.second);
        for second in [0, 60, 180, 420, 900] {
            self = self.at(begun + second).happens(&BuildEvent::Deferred(id, why.to_owned()));
        }
        self
    }

    fn told(&self) -> Vec<Abandoned> {
        let news = self.build.outbox.pending().iter().filter_map(|pending| match &pending.effect {
            BuildEffect::Announce(BuildNews::Abandoned { what, .. }) => Some(what.clone()),
            _ => None,
        });
        news.collect()
    }
}

fn is_stop(effect: &BuildEffect) -> bool {
    matches!(effect, BuildEffect::Stop { .. })
}

fn is_find(effect: &BuildEffect) -> bool {
    matches!(effect, BuildEffect::Find { .. })
}

#[test]
fn a_refusal_that_nobody_knows_is_told_at_once_and_tried_for_a_quarter_of_an_hour() {
    let mut story = Story::new(spec())
        .refused(1, SPOT, unknown())
        .expect_status("queued")
        .expect_todo(&["announce that 1 is refused"])
        .performed();
    let mut tries = 1;
    while story.build.outcome().is_none() {
        story = story.tick_when_due().expect_todo(&["launch 1 on spot"]).refused(1, SPOT, unknown());
        tries += 1;
    }
    assert!((900..960).contains(&story.second), "{}", story.second);
    assert!((6..9).contains(&tries), "{tries}");
    story
        .expect_finished(Outcome::InfrastructureFailed, &format!("the agent cannot be launched: {DENIED}"))
        .expect_todo(&["announce infrastructure-failed by 1", "tell the run infrastructure-failed"]);
}

#[test]
fn a_permission_that_comes_within_the_quarter_of_an_hour_loses_nothing() {
    Story::new(spec())
        .refused(1, SPOT, unknown())
        .tick_when_due()
        .refused(1, SPOT, unknown())
        .tick_when_due()
        .accepted(SPOT, "1a")
        .running("1a")
        .stopped("1a", exited(0))
        .expect_retries(&[0, 0])
        .expect_status("succeeded");
}

#[test]
fn a_build_that_waits_for_a_permission_gives_its_place_to_others_and_asks_again() {
    let limited = BuildSpec { limit: Some(1), ..spec() };
    let story = Story::new(limited)
        .expect_todo(&["ask for a place"])
        .happens(&BuildEvent::Granted { turn: 0 })
        .expect_todo(&["launch 1 on spot"])
        .refused(1, SPOT, unknown())
        .expect_todo(&["leave its place", "announce that 1 is refused"])
        .performed()
        .tick_when_due()
        .expect_todo(&["ask for a place"])
        .expect_status("queued")
        // Its first place, heard of late.
        .happens(&BuildEvent::Granted { turn: 0 })
        .expect_ignored(Ignored::Stale)
        .happens(&BuildEvent::Granted { turn: 1 })
        .expect_todo(&["launch 1 on spot"])
        .accepted(SPOT, "1a")
        .running("1a")
        .stopped("1a", exited(0))
        .expect_status("succeeded");
    assert!(story.build.outbox.any(|effect| *effect == BuildEffect::Leave { turn: 1 }));
}

#[test]
fn an_agent_that_came_through_although_denied_asks_for_its_place() {
    Story::new(BuildSpec { limit: Some(1), ..spec() })
        .happens(&BuildEvent::Granted { turn: 0 })
        .refused(1, SPOT, unknown())
        .performed()
        .running("1a")
        .expect_status("running")
        .expect_todo(&["ask for a place"])
        .happens(&BuildEvent::Granted { turn: 1 })
        .stopped("1a", exited(0))
        .expect_todo(&["announce succeeded by 1", "tell the run succeeded", "leave its place"]);
}

#[test]
fn another_refusal_begins_the_quarter_of_an_hour_anew() {
    let story = Story::new(spec()).refused(1, SPOT, unknown()).performed().tick_when_due();
    let mut story = story.refused(1, SPOT, account_limit());
    while story.second < 20 * MINUTE {
        story = story.tick_when_due().refused(1, SPOT, account_limit()).performed();
    }
    story.tick_when_due().refused(1, SPOT, unknown()).expect_status("queued");
}

#[test]
fn a_build_that_was_denied_waits_for_a_place_no_longer_than_for_the_permission() {
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
fn a_denied_build_that_is_looked_at_when_its_time_is_over_is_given_up_at_that_look() {
    Story::new(BuildSpec { limit: Some(1), ..spec() })
        .happens(&BuildEvent::Granted { turn: 0 })
        .refused(1, SPOT, unknown())
        .performed()
        .tick(16 * MINUTE)
        .expect_finished(Outcome::InfrastructureFailed, &format!("the agent cannot be launched: {DENIED}"));
}

#[test]
fn an_agent_that_counted_as_lost_is_stopped_again_when_it_is_seen() {
    let story = Story::new(spec())
        .accepted(SPOT, "1a")
        .tick(20 * MINUTE)
        .performed()
        .tick(35 * MINUTE)
        .expect_attempts(&[SPOT, ON_DEMAND])
        .expect_retries(&[0, 0])
        .performed();
    story
        .running("1a@9")
        .expect_todo(&["launch 2 on on-demand", "stop 1a: bellhop: the build is over"])
        .running("1a@9")
        .expect_ignored(Ignored::NothingNew)
        .performed()
        .stopped("1a@10", stopped_by_a_person())
        .expect_ignored(Ignored::AttemptOver);
}

#[test]
fn an_unknown_refusal_is_tried_no_longer_than_the_queue_timeout() {
    let brief = BuildSpec {
        queue_timeout: Duration::from_secs(40),
        ..spec()
    };
    let mut story = Story::new(brief).refused(1, SPOT, unknown()).performed();
    while story.build.outcome().is_none() {
        story = story.tick_when_due();
        if story.build.outbox.any(|effect| matches!(effect, BuildEffect::Launch { .. })) {
            story = story.refused(1, SPOT, unknown());
        }
    }
    assert!(story.second <= 42, "{}", story.second);
    assert_eq!(story.build.outcome(), Some(Outcome::InfrastructureFailed));
    let BuildState::Finished { cause: Some(cause), .. } = &story.build.state else {
        panic!()
    };
    assert!(cause.contains(DENIED), "{cause}");
}

#[test]
fn an_agent_that_found_no_address_waits_on_its_capacity_and_uses_up_no_retry() {
    for capacity in [SPOT, ON_DEMAND] {
        let spec = BuildSpec {
            critical: capacity == ON_DEMAND,
            ..spec()
        };
        Story::new(spec)
            .accepted(capacity, "1a")
            .stopped("1a", not_now())
            .expect_wait(11..=15)
            .expect_retries(&[0, 0])
            .tick_when_due()
            .expect_todo(&[&format!("launch 2 on {capacity}")]);
    }
}

#[test]
fn a_spot_agent_that_never_comes_up_is_followed_by_on_demand_without_a_retry() {
    Story::new(spec())
        .accepted(SPOT, "1a")
        .tick(20 * MINUTE)
        .expect_todo(&["stop 1a: bellhop: the agent did not start in time"])
        .performed()
        .stopped("1a", stopped_by_a_person())
        .expect_attempts(&[ON_DEMAND])
        .expect_todo(&["launch 1 on on-demand"])
        .expect_retries(&[0, 0]);
}

#[test]
fn an_agent_on_demand_gets_the_half_hour_that_an_instance_may_take() {
    let critical = BuildSpec { critical: true, ..spec() };
    Story::new(critical)
        .accepted(ON_DEMAND, "1a")
        .tick(34 * MINUTE)
        .expect_todo(&[])
        .tick(35 * MINUTE)
        .expect_todo(&["stop 1a: bellhop: the agent did not start in time"]);
}

#[test]
fn an_agent_that_never_says_that_it_has_stopped_counts_as_lost() {
    let mut story = Story::new(BuildSpec { limit: Some(1), ..spec() })
        .happens(&BuildEvent::Granted { turn: 0 })
        .up()
        .happens(&cancelled(Outcome::Cancelled))
        .performed();
    while story.build.outcome().is_none() || story.build.attempts[0].is_live() {
        story = story.tick_when_due();
        assert!(story.second < HOUR, "it keeps its place");
        if !story.build.outbox.any(|effect| matches!(effect, BuildEffect::Leave { .. })) {
            story = story.expect_todo(&["stop 1a: bellhop: the build is over"]).performed();
        }
    }
    assert!((15 * MINUTE..17 * MINUTE).contains(&story.second), "{}", story.second);
    assert_eq!(story.told()[0].why, "AWS has not confirmed that it stopped");
    story
        .expect_todo(&["announce: could not stop the agent of attempt 1", "leave its place"])
        .performed()
        .expect_rest();
}

#[test]
fn a_stop_that_is_denied_is_given_up_and_told_once() {
    let story = Story::new(spec())
        .up()
        .happens(&cancelled(Outcome::Cancelled))
        .in_vain("failed to stop 1a: AccessDeniedException: no", is_stop);
    assert_eq!(story.told().len(), 1, "{:?}", story.told());
    assert_eq!(story.told()[0].why, "failed to stop 1a: AccessDeniedException: no");
    story.performed().expect_live(&[]).expect_rest();
}

#[test]
fn a_look_that_is_denied_is_given_up_and_an_agent_that_shows_up_later_is_stopped() {
    let story = Story::new(spec())
        .happens(&cancelled(Outcome::Cancelled))
        .expect_todo(&["find 1", "announce cancelled by 1", "tell the run cancelled"])
        .in_vain("failed to list the tasks: ClusterNotFoundException: no", is_find);
    assert_eq!(story.told().len(), 1, "{:?}", story.told());
    story
        .performed()
        .expect_rest()
        .running("1a")
        .expect_todo(&["stop 1a: bellhop: a second agent for abcdefghij/test/1"]);
}

#[test]
fn a_lost_agent_is_followed_by_another_only_where_two_may_run() {
    let lost = |spec: BuildSpec| {
        let retried = BuildSpec {
            retry: RetryPolicy {
                rules: vec![RetryRule {
                    on: vec![RetryOn::Timeout],
                    exit_codes: Vec::new(),
                    limit: 1,
                    backoff: Duration::ZERO,
                    capacity: None,
                }],
            },
            timeout: Duration::from_secs(60),
            ..spec
        };
        let mut story = Story::new(retried)
            .up()
            .tick(61)
            .expect_todo(&["stop 1a: bellhop: the build ran longer than its timeout"]);
        while story.build.attempts[0].is_live() {
            story = story.performed().tick_when_due();
        }
        story
    };
    lost(spec()).expect_attempts(&[SPOT, SPOT]);
    lost(patient()).expect_attempts(&[SPOT]).expect_finished(
        Outcome::TimedOut,
        "it ran longer than its timeout of 1m; the build is not retried, because its agent may still be running (`relaunch: stopped`)",
    );
}

#[test]
fn a_stray_that_is_never_stopped_does_not_keep_the_build_from_its_rest() {
    let mut story = Story::new(spec()).up().running("1b").stopped("1a", exited(0)).performed();
    for _ in 0..40 {
        if story.build.due().is_none() {
            break;
        }
        story = story.tick_when_due().performed();
    }
    story.expect_rest();
}

#[test]
fn time_is_held_against_agents_that_nobody_can_be_asked_about_for_half_an_hour() {
    let unseen = |story: Story, second| story.at(second).happens(&BuildEvent::Tick { looked: Timestamp::MIN });
    let up = Story::new(spec()).up();
    // One look in vain long after the last one proves nothing.
    let up = unseen(up, HOUR + 10 * MINUTE).expect_todo(&[]).expect_status("running");
    let up = unseen(up, HOUR + 39 * MINUTE).expect_todo(&[]).expect_status("running");
    let story = unseen(up, HOUR + 40 * MINUTE).expect_todo(&[
        "announce: could not poll its agents",
        "stop 1a: bellhop: the build ran longer than its timeout",
        "announce timed-out by 1",
        "tell the run timed-out",
    ]);
    let story = unseen(story.performed(), HOUR + 54 * MINUTE).performed().expect_live(&["1a"]);
    unseen(story, HOUR + 55 * MINUTE).expect_live(&[]).expect_rest();
}

#[test]
fn a_launch_that_is_never_answered_ends_in_the_words_of_the_service() {
    let brief = BuildSpec {
        queue_timeout: Duration::from_secs(60),
        ..spec()
    };
    let story = Story::new(brief);
    let id = story.effect(|effect| matches!(effect, BuildEffect::Launch { .. }));
    story
        .happens(&BuildEvent::Deferred(
            id,
            "failed to launch it: ServerException: Service Unavailable".to_owned(),
        ))
        .tick(60)
        .expect_finished(
            Outcome::TimedOut,
            "no agent within its queue-timeout of 1m: failed to launch it: ServerException: Service Unavailable",
        );
}
