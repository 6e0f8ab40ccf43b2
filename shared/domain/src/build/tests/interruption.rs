//! Interruptions: the warning, the replacement, and the attempt that decides.

use super::*;

#[test]
fn a_warning_launches_the_replacement_at_once_on_demand() {
    Story::new(spec())
        .up()
        .warned("1a")
        .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"])
        .expect_live(&["1a", "2?"])
        .expect_attempts(&[SPOT, ON_DEMAND])
        .expect_retries(&[1, 0]);
}

#[test]
fn five_warnings_launch_one_replacement() {
    let mut story = Story::new(spec()).up();
    for _ in 0..5 {
        story = story.warned("1a@4");
    }
    story
        .expect_ignored(Ignored::Stale)
        .expect_attempts(&[SPOT, ON_DEMAND])
        .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
    let mut story = Story::new(spec()).up();
    for _ in 0..5 {
        story = story.warned("1a");
    }
    story
        .expect_ignored(Ignored::NothingNew)
        .expect_attempts(&[SPOT, ON_DEMAND])
        .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
}

#[test]
fn the_usual_course_of_an_interruption() {
    Story::new(spec())
        .up()
        .warned("1a@4")
        .accepted(ON_DEMAND, "2a")
        .stopping("1a@5")
        .running("2a@3")
        .expect_live(&["1a", "2a"])
        .stopped("1a@7", taken_back())
        .expect_live(&["2a"])
        .expect_status("running")
        .stopped("2a@5", exited(0))
        .expect_finished(Outcome::Succeeded, "")
        .expect_rest();
}

#[test]
fn the_first_attempts_success_inside_its_window_counts_and_the_replacement_is_stopped() {
    Story::new(spec())
        .up()
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .running("2a")
        .performed()
        .stopped("1a", reporting(finished_in_time(), script_ended(0)))
        .expect_finished(Outcome::Succeeded, "")
        .expect_todo(&[
            "stop 2a: bellhop: the build is over",
            "announce succeeded by 1",
            "notify the run succeeded",
        ])
        .expect_live(&["2a"])
        .stopped("2a", reporting(stopped_by_a_person(), script_gave_up(143)))
        .expect_live(&[])
        .expect_rest();
}

#[test]
fn a_replacement_whose_launch_is_in_progress_is_searched_for_when_the_first_attempt_succeeds() {
    Story::new(spec())
        .up()
        .warned("1a")
        .stopped("1a", reporting(finished_in_time(), script_ended(0)))
        .expect_todo(&[
            "announce attempt 2 on on-demand",
            "find 2",
            "announce succeeded by 1",
            "notify the run succeeded",
        ])
        .expect_live(&["2?"]);
}

#[test]
fn a_replacement_that_waits_for_capacity_is_dropped_when_the_first_attempt_succeeds() {
    Story::new(spec())
        .up()
        .warned("1a")
        .refused(2, ON_DEMAND, no_capacity())
        .performed()
        .stopped("1a", reporting(finished_in_time(), script_ended(0)))
        .expect_finished(Outcome::Succeeded, "")
        // The refusal may have been wrong.
        .expect_todo(&["find 2", "announce succeeded by 1", "notify the run succeeded"])
        .performed()
        .tick(10 * MINUTE)
        .performed()
        .tick(11 * MINUTE)
        .expect_rest();
}

#[test]
fn exit_code_0_proves_nothing_under_a_warning() {
    let zero = stop(StopCause::Interrupted, "Your Spot Task was interrupted.", Some(0));
    for stop in [zero.clone(), exited(0), reporting(zero, script_gave_up(0))] {
        Story::new(spec())
            .up()
            .warned("1a")
            .stopped("1a", stop)
            .expect_status("launching")
            .expect_live(&["2?"]);
    }
}

#[test]
fn a_stop_replaces_a_lost_warning() {
    Story::new(spec())
        .up()
        .stopped("1a", taken_back())
        .expect_live(&["2?"])
        .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"])
        .warned("1a")
        .expect_ignored(Ignored::AttemptOver);
}

#[test]
fn a_job_with_side_effects_is_relaunched_when_the_first_attempt_has_stopped() {
    Story::new(relaunched_when_stopped())
        .up()
        .warned("1a")
        .expect_news()
        .expect_live(&["1a"])
        .expect_todo(&[])
        .stopped("1a", taken_back())
        .expect_live(&["2?"])
        .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
}

#[test]
fn a_job_with_side_effects_that_finishes_in_its_window_is_not_relaunched() {
    Story::new(relaunched_when_stopped())
        .up()
        .warned("1a")
        .stopped("1a", reporting(finished_in_time(), script_ended(0)))
        .expect_finished(Outcome::Succeeded, "")
        .expect_attempts(&[SPOT])
        .expect_rest();
}

#[test]
fn three_agents_never_run_at_once() {
    Story::new(spec())
        .up()
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .running("2a")
        .warned("2a")
        .expect_live(&["1a", "2a"])
        .performed()
        .expect_todo(&[])
        .stopped("1a", taken_back())
        .expect_todo(&["launch 3 on on-demand", "announce attempt 3 on on-demand"])
        .expect_live(&["2a", "3?"]);
}

#[test]
fn a_second_interruption_that_is_over_first_is_replaced_beside_the_first() {
    Story::new(spec())
        .up()
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .warned("2a")
        .stopped("2a", taken_back())
        .expect_live(&["1a", "3?"])
        .expect_retries(&[2, 0]);
}

#[test]
fn without_a_retry_left_the_last_attempt_still_has_its_window() {
    let twice = Story::new(spec())
        .up()
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .stopped("1a", taken_back())
        .warned("2a")
        .accepted(ON_DEMAND, "3a")
        .stopped("2a", taken_back())
        .performed()
        .warned("3a")
        .expect_news()
        .expect_live(&["3a"])
        .expect_todo(&[]);
    twice
        .clone()
        .stopped("3a", taken_back())
        .expect_finished(Outcome::Interrupted, "AWS reclaimed its agent")
        .expect_rest();
    twice
        .stopped("3a", reporting(finished_in_time(), script_ended(0)))
        .expect_finished(Outcome::Succeeded, "");
}

#[test]
fn a_build_that_is_never_retried_is_interrupted() {
    Story::new(never_retried())
        .up()
        .warned("1a")
        .expect_live(&["1a"])
        .stopped("1a", taken_back())
        .expect_finished(Outcome::Interrupted, "AWS reclaimed its Spot capacity")
        .expect_todo(&["announce interrupted by 1", "notify the run interrupted"])
        .expect_rest();
}

/// Found by the simulation: the agent counted as running since the warning, so the build timed out. Only on EC2 an agent can be interrupted before it
/// runs.
#[test]
fn the_timeout_does_not_apply_to_an_agent_interrupted_before_it_runs() {
    let short = BuildSpec {
        timeout: Duration::from_secs(30),
        ..never_retried()
    };
    let warned = Story::new(short).accepted(SPOT, "1a").starting("1a").warned("1a").performed();
    warned
        .clone()
        .tick(MINUTE)
        .stopped("1a", taken_back())
        .expect_finished(Outcome::Interrupted, "AWS reclaimed its Spot capacity");
    // It starts nevertheless.
    warned
        .clone()
        .at(40)
        .running("1a")
        .tick(71)
        .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 30s");
    // It neither starts nor ends.
    let minutes = i64::try_from(LAUNCH_TIMEOUT.as_secs()).unwrap() / MINUTE;
    (1..minutes)
        .fold(warned, |story, minute| story.tick(minute * MINUTE).expect_todo(&[]))
        .tick(minutes * MINUTE)
        .expect_todo(&["stop 1a: bellhop: the agent did not start in time"]);
}

#[test]
fn the_replacements_failure_decides_and_stops_the_first_attempt() {
    Story::new(spec())
        .up()
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .performed()
        .stopped("2a", exited(1))
        .expect_finished(Outcome::Failed, "the script ended with exit code 1")
        .expect_todo(&[
            "stop 1a: bellhop: the build is over",
            "announce failed by 2",
            "notify the run failed",
        ])
        .stopped("1a", taken_back())
        .expect_rest();
}

#[test]
fn the_first_attempts_failure_in_its_window_leaves_the_decision_to_the_replacement() {
    Story::new(spec())
        .up()
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .stopped("1a", reporting(taken_back(), script_ended(1)))
        .expect_status("launching")
        .expect_live(&["2a"]);
}

#[test]
fn a_rule_can_ask_for_spot_again_and_for_a_pause() {
    let patient = RetryRule {
        backoff: Duration::from_secs(60),
        capacity: Some(SPOT),
        ..rule(&[RetryOn::Interrupted], &[], 1)
    };
    Story::new(with_rules(vec![patient]))
        .up()
        .warned("1a")
        .expect_status("queued")
        .expect_live(&["1a"])
        .expect_wait(44..=60)
        .stopped("1a", taken_back())
        .performed()
        .tick(MINUTE)
        .expect_todo(&["launch 2 on spot"]);
}

#[test]
fn late_events_of_a_finished_build_only_complete_its_record() {
    let story = Story::new(spec())
        .up()
        .warned("1a")
        .accepted(ON_DEMAND, "2a")
        .stopped("2a", exited(0));
    story
        .performed()
        .running("2a")
        .expect_ignored(Ignored::AttemptOver)
        .warned("1a")
        .expect_ignored(Ignored::NothingNew)
        .stopped("1a", reporting(taken_back(), script_ended(1)))
        .expect_news()
        .expect_finished(Outcome::Succeeded, "")
        .expect_todo(&[])
        .stopped("1a", exited(1))
        .expect_ignored(Ignored::AttemptOver)
        .expect_rest();
}

#[test]
fn a_build_fails_with_its_interrupted_attempt_if_the_replacement_cannot_be_launched() {
    Story::new(spec())
        .up()
        .warned("1a")
        .refused(2, ON_DEMAND, Refusal::Invalid("TaskDefinition not found.".to_owned()))
        .expect_status("running")
        .stopped("1a", taken_back())
        .expect_finished(
            Outcome::InfrastructureFailed,
            "the agent cannot be launched: TaskDefinition not found.",
        )
        .performed()
        .tick(MINUTE)
        .performed()
        .expect_rest();
}
