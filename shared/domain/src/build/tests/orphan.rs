//! Launches that may have left an orphan: lost replies, wrong refusals, late agents, strays.

use super::*;

/// The first request got no reply and was still in progress when its repetition was denied, because a permission had been removed in between. No
/// event of the orphan may arrive, so Bellhop searches for it.
#[test]
fn an_orphan_of_a_launch_refused_for_good_is_found_and_stopped() {
    Story::new(spec())
        .refused(1, SPOT, Refusal::Invalid("AccessDeniedException".to_owned()))
        .performed()
        .tick(MINUTE - 1)
        .expect_ignored(Ignored::NotDue)
        .tick(MINUTE)
        .expect_todo(&["find 1"])
        .seen("1a@2", Some(SPOT), AgentStatus::Running { since: None })
        .performed()
        .stopped("1a@3", stopped_by_a_person())
        .expect_status("infrastructure-failed")
        .expect_rest();
}

/// Found by the simulation: the launch succeeded and its reply was lost, its repetition was throttled, and the queue-timeout ended before the next
/// try. The agent continued after its build.
#[test]
fn a_wrong_refusal_leaves_no_orphan_behind_a_build_that_timed_out() {
    let mut impatient = spec();
    impatient.queue_timeout = Duration::from_secs(1);
    Story::new(impatient)
        .refused(1, SPOT, throttled())
        .tick_when_due()
        .expect_finished(Outcome::TimedOut, "no agent within its queue-timeout of 1s: Rate exceeded")
        .expect_todo(&["find 1", "announce timed-out by 1", "notify the run timed-out"])
        .performed()
        .tick(3 * MINUTE)
        .expect_todo(&["find 1"])
        .running("1a")
        .expect_todo(&["stop 1a: bellhop: the build is over"])
        .stopped("1a", exited(143))
        .expect_rest();
}

#[test]
fn a_launch_without_an_answer_ends_with_the_queue_timeout_and_a_search() {
    Story::new(spec())
        .tick(HOUR)
        .expect_status("launching")
        .expect_todo(&["launch 1 on spot"])
        .tick(2 * HOUR)
        .expect_finished(
            Outcome::TimedOut,
            "no agent within its queue-timeout of 2h: the launch call got no answer",
        )
        .expect_live(&["1?"])
        .expect_todo(&["find 1", "announce timed-out by 1", "notify the run timed-out"]);
}

#[test]
fn an_event_brings_the_agent_whose_launch_was_never_answered() {
    Story::new(spec())
        .running("1a@2")
        .expect_live(&["1a"])
        .expect_todo(&[])
        .expect_status("running")
        .accepted(SPOT, "1a")
        .expect_ignored(Ignored::NothingNew);
}

#[test]
fn an_attempt_can_end_before_its_launch_is_answered() {
    Story::new(spec())
        .stopped("1a@9", exited(0))
        .expect_finished(Outcome::Succeeded, "")
        .accepted(SPOT, "1a")
        .expect_ignored(Ignored::AttemptOver)
        .expect_rest();
}

#[test]
fn a_warning_before_the_reply_launches_the_replacement() {
    Story::new(spec())
        .warned("1a@4")
        .expect_live(&["1a", "2?"])
        .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
}

#[test]
fn an_agent_that_found_no_spot_capacity_before_the_reply_is_followed_on_demand() {
    Story::new(spec())
        .stopped("1a@3", without_capacity())
        .expect_todo(&["launch 1 on on-demand"])
        .expect_live(&["1?"])
        .accepted(SPOT, "1a")
        .expect_ignored(Ignored::OtherAgent)
        .accepted(ON_DEMAND, "1b")
        .running("1b@2")
        .expect_live(&["1b"]);
}

#[test]
fn a_wrong_refusal_is_corrected_by_the_agent_itself() {
    Story::new(spec())
        .refused(1, SPOT, throttled())
        .running("1a@3")
        .expect_status("running")
        .expect_live(&["1a"])
        .tick(MINUTE)
        .expect_todo(&[]);
}

#[test]
fn a_wrong_refusal_on_spot_leaves_no_second_agent_next_to_the_one_on_demand() {
    Story::new(spec())
        .refused(1, SPOT, no_capacity())
        .seen("1a@3", Some(SPOT), AgentStatus::Running { since: None })
        .expect_todo(&["launch 1 on on-demand", "stop 1a: bellhop: a second agent for abcdefghij/test/1"])
        .accepted(ON_DEMAND, "1b")
        .performed()
        .expect_live(&["1b", "1a"])
        .stopped("1a@5", stopped_by_a_person())
        .expect_live(&["1b"]);
}

#[test]
fn an_agent_that_turns_up_after_its_build_is_over_is_stopped() {
    Story::new(spec())
        .tick(2 * HOUR)
        .performed()
        .starting("1a@1")
        .expect_todo(&["stop 1a: bellhop: the build is over"])
        .expect_live(&["1a"])
        .stopped("1a@4", stopped_by_a_person())
        .expect_live(&[])
        .expect_rest();
}

#[test]
fn an_orphan_is_searched_for_every_minute_and_then_no_more() {
    let mut story = Story::new(spec()).tick(2 * HOUR).performed();
    for minute in 1..=5 {
        story = story
            .tick(2 * HOUR + minute * MINUTE)
            .expect_todo(&["find 1"])
            .performed()
            .expect_live(&["1?"]);
    }
    story
        .tick(2 * HOUR + 6 * MINUTE)
        .expect_live(&[])
        .expect_rest()
        // An event still shows it.
        .running("1a@2")
        .expect_todo(&["stop 1a: bellhop: a second agent for abcdefghij/test/1"])
        .stopped("1a@3", stopped_by_a_person())
        .expect_rest();
}

/// Found by the simulation: the time of the search passed while every search failed, and the agent continued after its build.
#[test]
fn a_search_without_an_answer_does_not_end() {
    Story::new(spec())
        .tick(2 * HOUR)
        .expect_todo(&["find 1", "announce timed-out by 1", "notify the run timed-out"])
        .tick(3 * HOUR)
        .expect_live(&["1?"])
        .performed()
        .tick(3 * HOUR + MINUTE)
        .expect_live(&[])
        .expect_rest();
    // No sweep ran in all that time: a search before its end proves nothing.
    Story::new(spec())
        .tick(2 * HOUR)
        .performed()
        .tick(3 * HOUR)
        .expect_live(&["1?"])
        .expect_todo(&["find 1"]);
}

/// Found by the simulation: a request for Spot capacity was delayed, its repetition was refused, the build fell back to on-demand capacity, and then
/// the request succeeded. Every event of that agent was lost.
#[test]
fn an_orphan_of_a_refused_launch_is_found_and_stopped() {
    let twin = || {
        Story::new(spec())
            .refused(1, SPOT, no_capacity())
            .accepted(ON_DEMAND, "1a")
            .expect_todo(&[])
    };
    twin()
        .running("1a")
        .expect_todo(&["find 1"])
        .performed()
        .seen("1a@2", Some(ON_DEMAND), AgentStatus::Running { since: None })
        .seen("1b@2", Some(SPOT), AgentStatus::Running { since: None })
        .expect_todo(&["stop 1b: bellhop: a second agent for abcdefghij/test/1"]);
    twin()
        .stopped("1a", exited(1))
        .expect_todo(&["find 1", "announce failed by 1", "notify the run failed"])
        .seen("1b@2", Some(SPOT), AgentStatus::Running { since: None })
        .performed()
        .stopped("1b@3", stopped_by_a_person())
        .expect_rest();
}

/// Found by the simulation: requests of both launches succeeded late. The attempt adopted the Spot agent, and the on-demand agent was stopped as a
/// stray. Then Spot had no capacity, and the on-demand launch returned the agent that had been stopped.
#[test]
fn a_launch_whose_token_is_spent_on_a_stray_gets_another_attempt() {
    let both = || {
        Story::new(spec())
            .refused(1, SPOT, no_capacity())
            .refused(1, ON_DEMAND, throttled())
            .seen("1a", Some(SPOT), AgentStatus::Starting)
            .seen("1b", Some(ON_DEMAND), AgentStatus::Starting)
            .performed()
            .stopped("1a", without_capacity())
            .expect_todo(&["launch 1 on on-demand"])
    };
    // Not next to the stray.
    both()
        .accepted(ON_DEMAND, "1b")
        .expect_ignored(Ignored::OtherAgent)
        .expect_todo(&["launch 1 on on-demand"])
        .stopped("1b", stopped_by_a_person())
        .accepted(ON_DEMAND, "1b")
        .expect_todo(&["find 1", "launch 2 on on-demand"])
        .expect_live(&["2?"])
        .accepted(ON_DEMAND, "2a")
        .running("2a")
        .stopped("2a", exited(0))
        .expect_finished(Outcome::Succeeded, "")
        .expect_rest();
}

#[test]
fn every_orphan_that_is_found_is_stopped() {
    Story::new(spec())
        .tick(2 * HOUR)
        .performed()
        .seen("1a@2", Some(SPOT), AgentStatus::Running { since: None })
        .seen("1b@2", Some(ON_DEMAND), AgentStatus::Starting)
        .expect_todo(&[
            "stop 1a: bellhop: the build is over",
            "stop 1b: bellhop: a second agent for abcdefghij/test/1",
        ])
        .stopped("1a@3", stopped_by_a_person())
        .stopped("1b@3", stopped_by_a_person())
        .expect_rest();
}

#[test]
fn the_reply_that_comes_after_the_build_is_over_has_its_agent_stopped() {
    Story::new(spec())
        .up()
        .warned("1a")
        .stopped("1a", reporting(finished_in_time(), script_ended(0)))
        .performed()
        .expect_live(&["2?"])
        .accepted(ON_DEMAND, "2a")
        .expect_todo(&["stop 2a: bellhop: the build is over"])
        .stopped("2a", stopped_by_a_person())
        .expect_finished(Outcome::Succeeded, "")
        .expect_rest();
}

#[test]
fn the_refusal_that_comes_after_the_build_is_over_is_no_news() {
    Story::new(spec())
        .up()
        .warned("1a")
        .stopped("1a", reporting(finished_in_time(), script_ended(0)))
        .refused(2, ON_DEMAND, throttled())
        .expect_ignored(Ignored::Stale)
        .expect_finished(Outcome::Succeeded, "");
}

#[test]
fn a_second_agent_of_an_attempt_is_stopped_and_then_over() {
    Story::new(spec())
        .up()
        .running("1b@2")
        .expect_todo(&["stop 1b: bellhop: a second agent for abcdefghij/test/1"])
        .expect_live(&["1a", "1b"])
        .running("1b@3")
        .expect_ignored(Ignored::OtherAgent)
        .performed()
        .stopped("1b@5", exited(0))
        .expect_live(&["1a"])
        .expect_status("running")
        .running("1b@3")
        .expect_ignored(Ignored::OtherAgent)
        .stopped("1b@5", exited(0))
        .expect_ignored(Ignored::OtherAgent)
        .expect_todo(&[]);
}

#[test]
fn a_stray_that_does_not_stop_is_stopped_again() {
    Story::new(spec())
        .up()
        .starting("1b")
        .performed()
        .tick(MINUTE)
        .expect_todo(&["stop 1b: bellhop: the build is over"]);
}

#[test]
fn agents_of_attempts_that_do_not_exist_are_stopped() {
    Story::new(spec())
        .up()
        .running("2a")
        .expect_todo(&["stop 2a: bellhop: a second agent for abcdefghij/test/2"])
        .running("0a")
        .performed()
        .expect_live(&["1a", "2a", "0a"]);
}

#[test]
fn an_attempts_agent_is_no_stray_under_another_name() {
    let observation = Observation {
        agent: arn("1a"),
        version: None,
        capacity: None,
        status: AgentStatus::Running { since: None },
    };
    Story::new(spec())
        .up()
        .happens(&BuildEvent::Agent { attempt: 2, observation })
        .expect_ignored(Ignored::OtherAgent)
        .expect_live(&["1a"])
        .expect_todo(&[]);
}

#[test]
fn a_second_agent_that_has_stopped_already_is_no_news() {
    Story::new(spec())
        .up()
        .stopped("1b", exited(1))
        .expect_ignored(Ignored::OtherAgent)
        .expect_live(&["1a"]);
}

#[test]
fn a_stray_keeps_a_finished_build_due_until_it_has_stopped() {
    let story = Story::new(spec()).up().stopped("1a", exited(0)).running("1b").performed();
    assert!(story.build.due().is_some());
    story.stopped("1b", stopped_by_a_person()).expect_rest();
}

#[test]
fn one_search_at_a_time_is_pending() {
    let mut hasty = never_retried();
    hasty.queue_timeout = Duration::from_secs(60);
    let story = Story::new(hasty).tick(60).expect_status("timed-out").performed().expect_todo(&[]);
    // The search found nothing, and the next one is due.
    let searching = story.clone().tick(60 + MINUTE).expect_todo(&["find 1"]);
    // It stays in the outbox: no second search joins it.
    searching.tick(60 + 3 * MINUTE).expect_todo(&["find 1"]);
}

#[test]
fn a_search_that_is_denied_is_abandoned_and_an_orphan_that_shows_up_later_is_stopped() {
    let story = Story::new(spec())
        .happens(cancelled(Outcome::Cancelled))
        .expect_todo(&["find 1", "announce cancelled by 1", "notify the run cancelled"])
        .fails_with("failed to list the tasks: ClusterNotFoundException: no", is_find);
    assert_eq!(story.abandoned().len(), 1, "{:?}", story.abandoned());
    story
        .performed()
        .expect_rest()
        .running("1a")
        .expect_todo(&["stop 1a: bellhop: a second agent for abcdefghij/test/1"]);
}
