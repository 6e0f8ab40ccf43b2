//! Every other end of a build, and builds that cannot be launched.

use super::*;

#[test]
fn a_refusal_and_what_is_given_up_say_what_happens_now_and_what_a_person_can_do() {
    let denied = BuildEvent::LaunchRefused {
        attempt: 1,
        capacity: Capacity::Spot,
        round: 0,
        refusal: Refusal::Unknown("AccessDeniedException: not authorized to perform: ecs:RunTask".to_owned()),
        spent: false,
    };
    let waiting = after(&Build::ready(spec(), t(0)), &denied, 1);
    let message = notified(&waiting);
    assert_snapshot!(message.sms, @"shop main: test cannot be launched; retrying until 14:28 UTC: AccessDeniedException: not authorized to perform: ecs:RunTask");
    assert_snapshot!(message.email, @r"
    shop main: test cannot be launched; retrying until 14:28 UTC: AccessDeniedException: not authorized to perform: ecs:RunTask

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Build:      abcdefghij/test
    Cause:      AccessDeniedException: not authorized to perform: ecs:RunTask
    Bellhop:    the launch is retried until 14:28 UTC; then the build fails
    You can:    check the functions' permissions and the AWS resources that the agent `small` names
    Attempt 1:  spot, waiting
    ");
    assert_eq!(message.document["status"], "retrying");

    let up = running(spec());
    let cancelled = BuildEvent::Cancelled {
        outcome: Outcome::Cancelled,
        cause: "cancelled by hand".to_owned(),
    };
    let mut over = after(&up, &cancelled, 100);
    for pending in over.outbox.pending().to_vec() {
        over = after(&over, Step::Performed(pending.id), 101);
    }
    let message = notified(&after(&over, &BuildEvent::Tick { polled_at: t(1000) }, 1000));
    assert_snapshot!(message.email, @r"
    shop main: test: could not stop the agent of attempt 1: AWS has not confirmed that it stopped

    Build:      abcdefghij/test
    Cause:      AWS has not confirmed that it stopped
    Bellhop:    the agent counts as lost and may still be running: arn:aws:ecs:us-east-1:123456789012:task/ci-spot/0a1b
    You can:    check the agent, and stop it by hand if it is running
    Agent:      https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/ci-spot/tasks/0a1b/configuration?region=us-east-1
    Logs:       https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b
    ");
    assert_eq!(
        (message.document["kind"].as_str(), message.document["status"].as_str()),
        (Some("build"), Some("abandoned"))
    );
    assert!(message.sms.chars().count() <= SMS_LIMIT && message.subject.len() <= SUBJECT_LIMIT);
}

#[test]
fn how_every_other_end_is_told() {
    let mut patient = spec();
    patient.retry = RetryPolicy::never();
    let up = running(patient.clone());
    let title = |build: &Build| notified(build).sms;
    assert_snapshot!(title(&after(&up, stopped(1, "0a1b", StopCause::Interrupted, None), 90)), @"shop main: test was interrupted: AWS reclaimed its Spot capacity");
    assert_snapshot!(title(&after(&up, stopped(1, "0a1b", StopCause::FailedToStart, None), 90)), @"shop main: test had an infrastructure failure: the agent did not start: Essential container in task exited");
    assert_snapshot!(title(&after(&up, stopped(1, "0a1b", StopCause::Exited, script(1, None, None)), 90)), @"shop main: test failed: the script ended with exit code 1");
    assert_snapshot!(title(&after(&up, &BuildEvent::Tick { polled_at: t(3700) }, 3700)), @"shop main: test timed out: it ran longer than its timeout of 1h");
    let refused = BuildEvent::LaunchRefused {
        attempt: 1,
        capacity: Capacity::Spot,
        round: 0,
        refusal: Refusal::Invalid("ClusterNotFoundException: Cluster not found.".to_owned()),
        spent: false,
    };
    assert_snapshot!(title(&after(&Build::ready(patient.clone(), t(0)), &refused, 1)), @"shop main: test had an infrastructure failure: the agent cannot be launched: ClusterNotFoundException: Cluster not found.");
    let throttled = BuildEvent::LaunchRefused {
        attempt: 1,
        capacity: Capacity::Spot,
        round: 0,
        refusal: Refusal::AccountLimit("You've reached the limit on the number of vCPUs".to_owned()),
        spent: false,
    };
    let waiting = after(&Build::ready(patient, t(0)), &throttled, 1);
    let tried = after(&waiting, &BuildEvent::Tick { polled_at: t(20) }, 20);
    let waiting = after(&tried, &throttled, 7100);
    assert_snapshot!(title(&after(&waiting, &BuildEvent::Tick { polled_at: t(7300) }, 7300)), @"shop main: test timed out: no agent within its queue-timeout of 2h: You've reached the limit on the number of vCPUs");
    let failing = crate::spec::RetryRule {
        on: vec![crate::spec::RetryOn::Failure],
        exit_codes: Vec::new(),
        limit: 1,
        backoff: Duration::from_secs(60),
        capacity: None,
    };
    let mut stubborn = spec();
    stubborn.retry.rules = vec![failing];
    let failed = after(
        &running(stubborn),
        stopped(1, "0a1b", StopCause::Exited, script(75, None, None)),
        90,
    );
    assert_snapshot!(title(&failed), @"shop main: test is retried (attempt 2, spot): the script ended with exit code 75");
}

#[test]
fn a_build_that_waits_says_until_when_and_one_that_has_stopped_how_long_that_took() {
    let limit = Refusal::AccountLimit("You've reached the limit on the number of vCPUs".to_owned());
    let refused = BuildEvent::LaunchRefused {
        attempt: 1,
        capacity: Capacity::Spot,
        round: 0,
        refusal: limit,
        spent: false,
    };
    let waiting = after(&Build::ready(spec(), t(0)), &refused, 1);
    let mut waiting = after(&waiting, &BuildEvent::Tick { polled_at: t(60) }, 60);
    waiting = after(&waiting, &refused, 61);
    let waiting = after(&waiting, &BuildEvent::Tick { polled_at: t(600) }, 600);
    assert_snapshot!(notified(&waiting).email, @r"
    shop main: test has waited for an agent since 14:13 UTC: You've reached the limit on the number of vCPUs

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Build:      abcdefghij/test
    Cause:      You've reached the limit on the number of vCPUs
    Bellhop:    the build waits until 16:13 UTC, then times out
    You can:    raise the limit in Service Quotas, or lower `max-concurrent` of the agent `small`
    Attempt 1:  spot, starting
    ");
    assert_eq!(notified(&waiting).document["status"], "waiting");

    let cancelled = BuildEvent::Cancelled {
        outcome: Outcome::Cancelled,
        cause: "cancelled by hand".to_owned(),
    };
    let mut over = after(&running(spec()), &cancelled, 100);
    assert_snapshot!(notified(&over).email, @r"
    shop main: test was cancelled: cancelled by hand

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Build:      abcdefghij/test
    Cause:      cancelled by hand
    Bellhop:    the agent has been asked to stop; the script may keep running for some minutes
    You can:    wait for the message that it has stopped before you start anything that must not run at the same time
    Attempt 1:  spot, being stopped
    Agent:      https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/ci-spot/tasks/0a1b/configuration?region=us-east-1
    Logs:       https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b
    ");
    for pending in over.outbox.pending().to_vec() {
        over = after(&over, Step::Performed(pending.id), 101);
    }
    let stopped = after(&over, stopped(1, "0a1b", StopCause::Requested, None), 190);
    let message = notified(&stopped);
    assert_snapshot!(message.sms, @"shop main: test has stopped; it was cancelled 1m 30s earlier");
    assert_eq!(message.document["id"], "abcdefghij/test/stopped");
}

#[test]
fn an_end_without_an_attempt_is_told_as_well() {
    let news = BuildNews::Finished {
        outcome: Outcome::Cancelled,
        attempt: None,
        capacity: None,
        cause: None,
        at: t(0),
    };
    let message = check(about_build(&Build::blocked(spec(), t(0)), &news));
    assert_eq!(message.document["attempt"], Value::Null);
    assert_snapshot!(message.sms, @"shop main: test was cancelled");
}
