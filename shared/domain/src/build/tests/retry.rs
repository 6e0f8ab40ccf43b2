//! Rules of the retry policy.

use super::*;

#[test]
fn the_first_rule_that_matches_decides_even_if_it_is_used_up() {
    let rules = vec![rule(&[], &[75], 1), rule(&[RetryOn::Failure], &[], 2)];
    let story = Story::new(with_rules(rules)).up().stopped("1a", exited(75)).expect_retries(&[1, 0]);
    story
        .clone()
        .accepted(SPOT, "2a")
        .stopped("2a", exited(75))
        .expect_finished(Outcome::Failed, "the script ended with exit code 75");
    story
        .accepted(SPOT, "2a")
        .stopped("2a", exited(1))
        .expect_retries(&[1, 1])
        .accepted(SPOT, "3a")
        .stopped("3a", exited(2))
        .expect_retries(&[1, 2])
        .accepted(SPOT, "4a")
        .stopped("4a", exited(2))
        .expect_finished(Outcome::Failed, "the script ended with exit code 2");
}

#[test]
fn exit_codes_match_the_scripts_own_end_only() {
    let coded = || with_rules(vec![rule(&[], &[75, 143], 1)]);
    Story::new(coded()).up().stopped("1a", exited(75)).expect_attempts(&[SPOT, SPOT]);
    Story::new(coded()).up().stopped("1a", exited(1)).expect_status("failed");
    Story::new(coded()).up().stopped("1a", taken_back()).expect_status("interrupted");
    Story::new(coded())
        .up()
        .stopped("1a", stopped_by_a_person())
        .expect_status("infrastructure-failed");
}

#[test]
fn exit_codes_narrow_a_rule_for_failures() {
    let narrow = || with_rules(vec![rule(&[RetryOn::Failure, RetryOn::Interrupted], &[75], 1)]);
    Story::new(narrow()).up().stopped("1a", exited(1)).expect_status("failed");
    Story::new(narrow()).up().stopped("1a", exited(75)).expect_status("launching");
    Story::new(narrow()).up().warned("1a").expect_live(&["1a", "2?"]);
}

#[test]
fn never_means_never() {
    for stop in [exited(1), lost(), failed_to_start(), taken_back(), out_of_memory()] {
        let story = Story::new(never_retried()).up().stopped("1a", stop).expect_attempts(&[SPOT]);
        assert!(story.build.outcome().is_some());
    }
}

#[test]
fn the_backoff_doubles_and_the_capacity_is_the_rules() {
    let patient = RetryRule {
        backoff: Duration::from_secs(60),
        capacity: Some(ON_DEMAND),
        ..rule(&[RetryOn::Failure], &[], 3)
    };
    Story::new(with_rules(vec![patient]))
        .up()
        .stopped("1a", exited(1))
        .expect_wait(44..=60)
        .tick_when_due()
        .accepted(ON_DEMAND, "2a")
        .stopped("2a", exited(1))
        .expect_wait(89..=120)
        .tick_when_due()
        .accepted(ON_DEMAND, "3a")
        .stopped("3a", exited(1))
        .expect_wait(179..=240)
        .expect_attempts(&[SPOT, ON_DEMAND, ON_DEMAND, ON_DEMAND]);
}

#[test]
fn a_refused_launch_in_a_retry_starts_with_the_first_wait_again() {
    Story::new(spec())
        .refused(1, SPOT, account_limit())
        .tick_when_due()
        .refused(1, SPOT, account_limit())
        .tick_when_due()
        .accepted(SPOT, "1a")
        .warned("1a")
        .refused(2, ON_DEMAND, account_limit())
        .expect_wait(11..=15);
}
