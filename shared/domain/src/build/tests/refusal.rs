//! Refused launches, and accepted ones whose agent never ran.

use super::*;

#[test]
fn without_spot_capacity_the_same_attempt_goes_on_demand_at_once() {
    Story::new(spec())
        .refused(1, SPOT, no_capacity())
        .expect_attempts(&[ON_DEMAND])
        .expect_todo(&["launch 1 on on-demand"])
        .expect_retries(&[0, 0]);
}

#[test]
fn without_any_capacity_the_build_waits_longer_each_time() {
    let mut story = Story::new(spec()).refused(1, SPOT, no_capacity());
    // Otherwise that message would make the build due in between.
    story.build.waiting_announced = true;
    for longest in [15, 30, 60, 120, 240, 300, 300] {
        story = story
            .refused(1, ON_DEMAND, no_capacity())
            .expect_status("queued")
            .expect_live(&[])
            .expect_todo(&[])
            .expect_wait(longest * 3 / 4 - 1..=longest)
            .tick_when_due()
            .expect_todo(&["launch 1 on on-demand"]);
    }
    story.expect_attempts(&[ON_DEMAND]).expect_retries(&[0, 0]);
}

#[test]
fn a_throttle_or_an_account_limit_keeps_the_attempt_on_spot() {
    for (refusal, wait) in [(throttled(), 0..=0), (account_limit(), 11..=15)] {
        Story::new(spec())
            .refused(1, SPOT, refusal)
            .expect_status("queued")
            .expect_wait(wait)
            .tick_when_due()
            .expect_todo(&["launch 1 on spot"]);
    }
    let limited = Story::new(spec()).refused(1, SPOT, account_limit());
    limited.tick(1).expect_ignored(Ignored::NotDue);
}

#[test]
fn a_throttle_costs_no_place_in_the_queue_and_makes_no_other_wait_longer() {
    let mut story = Story::new(spec());
    for second in 0..20 {
        story = story.at(second).refused(1, SPOT, throttled()).expect_wait(-second..=-second);
        assert_eq!((story.build.due(), story.build.next_try()), (Some(t(0)), None));
        story = story.tick_when_due();
    }
    story
        .expect_attempts(&[SPOT])
        .expect_retries(&[0, 0])
        .refused(1, SPOT, account_limit())
        .expect_wait(11..=15);
}

#[test]
fn a_further_attempt_is_ahead_of_every_first_one_in_the_queue() {
    let first = Story::new(spec()).refused(1, SPOT, throttled());
    let replaced = Story::new(spec()).up().at(3600).warned("1a").refused(2, ON_DEMAND, throttled());
    assert!(replaced.build.is_due_for_paced_launch() && replaced.build.next_try().is_none());
    let ahead = first.build.due().unwrap().duration_since(replaced.build.due().unwrap());
    assert_eq!(ahead.as_hours(), 47, "more than the longest queue-timeout");
    // A pause holds both back, and then they take their places.
    let paused = || Refusal::Paused("an alarm".to_owned());
    let waits = replaced.tick_when_due().refused(2, ON_DEMAND, paused());
    assert_eq!(waits.build.next_try(), waits.build.due());
    let again = waits.tick_when_due().refused(2, ON_DEMAND, throttled());
    assert_eq!(first.build.due().unwrap().duration_since(again.build.due().unwrap()).as_hours(), 47);
}

#[test]
fn throttles_do_not_outlast_the_queue_timeout() {
    let mut story = Story::new(spec());
    while story.build.outcome().is_none() {
        assert!(story.second <= 2 * HOUR, "still waiting");
        story = if todo(&story.build).is_empty() {
            // Its turn comes every other second.
            let second = story.second + 2;
            story.tick(second)
        } else {
            story.refused(1, SPOT, throttled()).performed()
        };
    }
    assert!(story.second >= 2 * HOUR - 1, "given up after {} s", story.second);
    story.expect_finished(Outcome::TimedOut, "no agent within its queue-timeout of 2h: Rate exceeded");
}

#[test]
fn a_launch_that_can_never_succeed_ends_the_build() {
    Story::new(spec())
        .refused(1, SPOT, Refusal::Invalid("MISSING".to_owned()))
        .expect_finished(Outcome::InfrastructureFailed, "the agent cannot be launched: MISSING")
        .expect_todo(&["announce infrastructure-failed by 1", "notify the run infrastructure-failed"])
        .performed()
        .tick_when_due()
        .expect_todo(&["find 1"])
        .performed()
        .expect_rest();
}

#[test]
fn a_refusal_that_comes_twice_or_late_changes_nothing() {
    Story::new(spec())
        .refused(1, SPOT, throttled())
        .refused(1, SPOT, throttled())
        .expect_ignored(Ignored::Stale)
        .refused(7, SPOT, throttled())
        .expect_ignored(Ignored::Stale);
    Story::new(spec())
        .refused(1, SPOT, no_capacity())
        .refused(1, SPOT, no_capacity())
        .expect_ignored(Ignored::Stale)
        .accepted(ON_DEMAND, "1a")
        .refused(1, ON_DEMAND, throttled())
        .expect_ignored(Ignored::Stale)
        .expect_live(&["1a"]);
}

#[test]
fn the_queue_timeout_ends_a_build_that_gets_no_agent() {
    let mut story = Story::new(spec());
    while story.build.outcome().is_none() {
        assert!(story.second <= 2 * HOUR + 5 * MINUTE, "still waiting");
        story = if todo(&story.build).is_empty() {
            story.tick_when_due()
        } else {
            story.refused(1, SPOT, account_limit()).performed()
        };
    }
    assert!(story.second >= 2 * HOUR);
    story
        .expect_finished(
            Outcome::TimedOut,
            "no agent within its queue-timeout of 2h: You've reached the limit on the number of vCPUs",
        )
        .expect_live(&["1?"])
        .performed()
        .tick(2 * HOUR + 15 * MINUTE)
        .performed()
        .tick(2 * HOUR + 16 * MINUTE)
        .expect_rest();
}

/// RunTask repeats a refusal that it gave with status 200 for the same token, for hours.
#[test]
fn a_refusal_that_spends_the_token_is_followed_by_another_round() {
    let refused = |round, spent| BuildEvent::LaunchRefused {
        attempt: 1,
        capacity: Capacity::Spot,
        round,
        refusal: Refusal::AccountLimit("You've reached the limit on the number of tasks".to_owned()),
        spent,
    };
    let next = |build: &Build, event: &BuildEvent, second| match build.decide(event, t(second)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("ignored: {reason}"),
    };
    let tried = |build: &Build, second| next(build, &BuildEvent::Tick { polled_at: t(second) }, second);
    let rounds = |build: &Build| -> Vec<u32> {
        let launches = build.outbox.pending().iter().filter_map(|pending| match pending.effect {
            BuildEffect::Launch { round, .. } => Some(round),
            _ => None,
        });
        launches.collect()
    };
    let ready = Build::ready(spec(), t(0));
    assert_eq!(rounds(&ready), [0]);
    let again = tried(&next(&ready, &refused(0, false), 1), 60);
    assert_eq!(rounds(&again), [0], "an error may have been no answer to the launch itself");
    let other = tried(&next(&again, &refused(0, true), 61), 200);
    assert_eq!(rounds(&other), [1]);
    // A second function called at the same moment, got the same answer, and reports it late.
    assert_eq!(other.decide(&refused(0, true), t(201)), Decision::Ignored(Ignored::Stale));
    assert_eq!(rounds(&tried(&next(&other, &refused(1, true), 202), 900)), [2]);
}

#[test]
fn no_capacity_after_the_launch_sends_the_same_attempt_on_demand() {
    Story::new(spec())
        .accepted(SPOT, "1a")
        .stopped("1a@2", without_capacity())
        .expect_attempts(&[ON_DEMAND])
        .expect_todo(&["launch 1 on on-demand"])
        .expect_retries(&[0, 0])
        .starting("1a@1")
        .expect_ignored(Ignored::OtherAgent)
        .accepted(ON_DEMAND, "1b")
        .running("1b@1")
        .stopped("1b@2", exited(0))
        .expect_finished(Outcome::Succeeded, "")
        .expect_rest();
}

#[test]
fn no_capacity_after_the_launch_on_demand_queues_another_attempt_and_uses_no_retry() {
    let mut story = Story::new(critical());
    for (attempt, longest) in [(1, 15), (2, 30), (3, 60)] {
        story = story
            .accepted(ON_DEMAND, &format!("{attempt}a"))
            .stopped(&format!("{attempt}a"), without_capacity())
            .expect_todo(&[])
            .expect_live(&[])
            .expect_wait(longest * 3 / 4 - 1..=longest)
            .tick_when_due()
            .expect_todo(&[&format!("launch {} on on-demand", attempt + 1)]);
    }
    story.expect_retries(&[0, 0]).tick(2 * HOUR).expect_status("timed-out");
}

#[test]
fn an_unknown_refusal_is_reported_at_once_and_retried_for_a_quarter_of_an_hour() {
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
        .expect_todo(&["announce infrastructure-failed by 1", "notify the run infrastructure-failed"]);
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
fn another_refusal_begins_the_quarter_of_an_hour_anew() {
    let story = Story::new(spec()).refused(1, SPOT, unknown()).performed().tick_when_due();
    let mut story = story.refused(1, SPOT, account_limit());
    while story.second < 20 * MINUTE {
        story = story.tick_when_due().refused(1, SPOT, account_limit()).performed();
    }
    story.tick_when_due().refused(1, SPOT, unknown()).expect_status("queued");
}

#[test]
fn an_unknown_refusal_is_tried_no_longer_than_the_queue_timeout() {
    let impatient = BuildSpec {
        queue_timeout: Duration::from_secs(40),
        ..spec()
    };
    let mut story = Story::new(impatient).refused(1, SPOT, unknown()).performed();
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

/// A request of it may have had an effect before launches were paused: on CodeBuild, its token is forgotten by the time that it is sent again.
#[test]
fn a_postponed_launch_may_have_been_tried() {
    let story = Story::new(spec()).refused(1, SPOT, Refusal::Paused("quota".to_owned()));
    assert!(story.build.attempts[0].was_refused());
    assert!(!Story::new(spec()).build.attempts[0].was_refused());
}
