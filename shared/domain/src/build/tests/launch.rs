//! Launches: on which capacity, when, and once.

use super::*;

#[test]
fn a_new_build_starts_on_spot() {
    Story::new(spec())
        .expect_status("launching")
        .expect_todo(&["launch 1 on spot"])
        .expect_live(&["1?"]);
}

#[test]
fn a_critical_build_never_sees_spot() {
    let mut often = critical();
    often.retry.rules = vec![RetryRule {
        capacity: Some(SPOT),
        ..rule(&[RetryOn::Failure], &[], 1)
    }];
    Story::new(often)
        .expect_todo(&["launch 1 on on-demand"])
        .accepted(ON_DEMAND, "1a")
        .stopped("1a", exited(1))
        .expect_attempts(&[ON_DEMAND, ON_DEMAND]);
}

#[test]
fn an_agent_without_spot_starts_on_demand() {
    let mut spec = spec();
    let Executor::Ecs(ecs) = &mut spec.executor else {
        panic!("the tests' builds run on ECS")
    };
    ecs.spot_cluster = None;
    Story::new(spec).expect_todo(&["launch 1 on on-demand"]);
}

#[test]
fn a_blocked_build_starts_when_it_is_released_and_only_once() {
    Story::of(Build::blocked(spec(), t(0)))
        .expect_status("blocked")
        .expect_todo(&[])
        .at(HOUR)
        .happens(&BuildEvent::Released)
        .expect_todo(&["launch 1 on spot"])
        .happens(&BuildEvent::Released)
        .expect_ignored(Ignored::NothingNew)
        .expect_todo(&["launch 1 on spot"]);
}

#[test]
fn an_accepted_launch_is_no_longer_pending() {
    Story::new(spec())
        .accepted(SPOT, "1a")
        .expect_todo(&[])
        .expect_live(&["1a"])
        .expect_status("launching")
        .accepted(SPOT, "1a")
        .expect_ignored(Ignored::NothingNew)
        .running("1a")
        .expect_status("running");
}

#[test]
fn a_short_queue_timeout_does_not_swallow_a_retry_that_waits_for_its_backoff() {
    let mut impatient = spec();
    impatient.queue_timeout = Duration::from_secs(20);
    Story::new(impatient)
        .up()
        .at(HOUR / 2)
        .stopped("1a", lost())
        .expect_wait(22..=30)
        .tick_when_due()
        .expect_todo(&["announce attempt 2 on spot", "launch 2 on spot"]);
}

#[test]
fn a_late_sweep_launches_what_was_never_tried_before_giving_up() {
    let mut impatient = spec();
    impatient.queue_timeout = Duration::from_secs(20);
    Story::new(impatient)
        .up()
        .stopped("1a", lost())
        .performed()
        .tick(HOUR)
        .expect_todo(&["launch 2 on spot"])
        .refused(2, SPOT, throttled())
        .tick_when_due()
        .expect_finished(Outcome::TimedOut, "no agent within its queue-timeout of 20s: Rate exceeded");
}

#[test]
fn an_accepted_launch_is_no_longer_pending_even_if_its_agent_is_known() {
    let mut build = Build::ready(spec(), t(0));
    build.attempts[0].agent = Some(arn("1a"));
    let accepted = BuildEvent::LaunchAccepted {
        attempt: 1,
        capacity: SPOT,
        agent: arn("1a"),
    };
    let Decision::Next(next) = build.decide(&accepted, t(1)) else {
        panic!("the launch stays in the outbox");
    };
    assert_eq!(todo(&next), [""; 0]);
    assert_eq!(next.decide(&accepted, t(2)), Decision::Ignored(Ignored::NothingNew));
}
