//! Timeouts, and repeated stops.

use super::*;

#[test]
fn an_agent_that_never_comes_up_is_stopped_and_replaced_when_it_has_stopped() {
    let critical = BuildSpec { critical: true, ..spec() };
    Story::new(critical)
        .accepted(ON_DEMAND, "1a")
        .tick(34 * MINUTE)
        .expect_live(&["1a"])
        .expect_todo(&[])
        .tick(35 * MINUTE)
        .expect_todo(&["stop 1a: bellhop: the agent did not start in time"])
        .expect_live(&["1a"])
        .stopped("1a", stopped_by_a_person())
        .performed()
        .expect_wait(22..=30)
        .expect_live(&[]);
}

#[test]
fn the_launch_timeout_starts_when_the_launch_is_accepted() {
    Story::new(spec())
        .tick(19 * MINUTE)
        .accepted(SPOT, "1a")
        .tick(21 * MINUTE)
        .expect_live(&["1a"])
        .expect_todo(&[])
        .tick(39 * MINUTE)
        .expect_todo(&["stop 1a: bellhop: the agent did not start in time"]);
}

/// Found by the simulation: the sweep had polled the agents a moment before the timeout, and decided a moment after. The agent had ended in time, and
/// only its events were late.
#[test]
fn a_timeout_that_ends_after_the_poll_does_not_apply_yet() {
    Story::new(spec())
        .up()
        .tick(HOUR - 1)
        .at(HOUR)
        .happens(&BuildEvent::Tick { polled_at: t(HOUR - 1) })
        .expect_ignored(Ignored::NotDue)
        .stopped("1a", exited(0))
        .expect_status("succeeded");
}

#[test]
fn an_attempt_that_runs_too_long_ends_the_build_and_is_stopped() {
    Story::new(spec())
        .at(MINUTE)
        .up()
        .tick(HOUR)
        .expect_status("running")
        .tick(HOUR + MINUTE)
        .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h")
        .expect_todo(&[
            "stop 1a: bellhop: the build ran longer than its timeout",
            "announce timed-out by 1",
            "notify the run timed-out",
        ])
        .performed()
        .expect_live(&["1a"])
        .stopped("1a", reporting(exited(0), script_ended(0)))
        .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h")
        .expect_rest();
}

#[test]
fn an_attempt_that_may_be_retried_for_time_is_proven_stopped_first() {
    Story::new(with_rules(vec![rule(&[RetryOn::Timeout], &[], 1)]))
        .up()
        .tick(HOUR)
        .expect_status("running")
        .expect_live(&["1a"])
        .expect_todo(&["stop 1a: bellhop: the build ran longer than its timeout"])
        .performed()
        .stopped("1a", exited(0))
        .expect_live(&["2?"])
        .accepted(SPOT, "2a")
        .running("2a")
        .performed()
        .tick(2 * HOUR)
        .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h")
        .stopped("2a", stopped_by_a_person())
        .expect_rest();
}

#[test]
fn the_timeout_counts_from_when_the_agent_was_up() {
    let since = Some(t(-10 * MINUTE));
    Story::new(spec())
        .accepted(SPOT, "1a")
        .seen("1a", None, AgentStatus::Running { since })
        .tick(50 * MINUTE - 1)
        .expect_status("running")
        .tick(50 * MINUTE)
        .expect_status("timed-out");
}

#[test]
fn a_clock_that_is_ahead_gives_no_extra_time() {
    let since = Some(t(HOUR));
    Story::new(spec())
        .accepted(SPOT, "1a")
        .seen("1a", None, AgentStatus::Running { since })
        .tick(HOUR)
        .expect_status("timed-out");
}

#[test]
fn a_warning_that_nothing_follows_does_not_lift_the_timeout() {
    Story::new(relaunched_when_stopped())
        .up()
        .warned("1a")
        .tick(HOUR)
        .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h")
        .stopped("1a", taken_back())
        .expect_rest();
    Story::new(spec())
        .up()
        .at(59 * MINUTE)
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .running("2a")
        .performed()
        .tick(HOUR)
        .expect_todo(&["stop 1a: bellhop: the build ran longer than its timeout"])
        .expect_status("running")
        .stopped("1a", taken_back())
        .expect_live(&["2a"]);
}

#[test]
fn an_agent_that_does_not_stop_is_stopped_again_every_minute() {
    let stop = "stop 1a: bellhop: the build ran longer than its timeout";
    let mut story = Story::new(spec()).up().tick(HOUR).performed();
    for minute in 1..4 {
        story = story.tick(HOUR + minute * MINUTE).expect_todo(&[stop]).performed();
    }
    story.expect_live(&["1a"]);
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
fn timeouts_apply_after_half_an_hour_of_failing_polls() {
    let unseen = |story: Story, second| story.at(second).happens(&BuildEvent::Tick { polled_at: Timestamp::MIN });
    let up = Story::new(spec()).up();
    // One failed poll long after the last one proves nothing.
    let up = unseen(up, HOUR + 10 * MINUTE).expect_todo(&[]).expect_status("running");
    let up = unseen(up, HOUR + 39 * MINUTE).expect_todo(&[]).expect_status("running");
    let story = unseen(up, HOUR + 40 * MINUTE).expect_todo(&[
        "announce: could not poll its agents",
        "stop 1a: bellhop: the build ran longer than its timeout",
        "announce timed-out by 1",
        "notify the run timed-out",
    ]);
    let story = unseen(story.performed(), HOUR + 54 * MINUTE).performed().expect_live(&["1a"]);
    unseen(story, HOUR + 55 * MINUTE).expect_live(&[]).expect_rest();
}
