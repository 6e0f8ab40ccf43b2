//! Builds that are retried, that fail and that succeed.

use super::*;

#[test]
fn an_attempt_that_is_being_replaced() {
    let message = retrying();
    assert_snapshot!(message.subject, @"shop main: test is retried (attempt 2, on-demand): AWS reclaimed its Spot capacity");
    assert_snapshot!(message.sms, @"shop main: test is retried (attempt 2, on-demand): AWS reclaimed its Spot capacity");
    assert_snapshot!(message.email, @r"
    shop main: test is retried (attempt 2, on-demand): AWS reclaimed its Spot capacity

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Build:      abcdefghij/test
    Cause:      AWS reclaimed its Spot capacity
    Attempt 1:  spot, being interrupted
    Attempt 2:  on-demand, starting
    Agent:      https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/ci-spot/tasks/0a1b/configuration?region=us-east-1
    Logs:       https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b
    ");
    assert_snapshot!(document(&message), @r#"
    {
      "attempt": 2,
      "capacity": "on-demand",
      "cause": "AWS reclaimed its Spot capacity",
      "commit": "0123456789abcdef0123456789abcdef01234567",
      "id": "abcdefghij/test/retrying/2",
      "job": "test",
      "kind": "build",
      "links": {
        "agent": "https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/ci-spot/tasks/0a1b/configuration?region=us-east-1",
        "logs": "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b"
      },
      "ref": "refs/heads/main",
      "repository": "shop",
      "run": "abcdefghij",
      "severity": "warning",
      "status": "retrying",
      "time": "2026-09-21T14:14:50Z",
      "title": "shop main: test is retried (attempt 2, on-demand): AWS reclaimed its Spot capacity",
      "version": 1
    }
    "#);
    assert_snapshot!(format!("{:?}", message.attributes), @r#"[("kind", "build"), ("severity", "warning"), ("status", "retrying"), ("repository", "shop"), ("branch", "main"), ("job", "test")]"#);
}

#[test]
fn a_build_that_failed() {
    let report = script(2, Some("make test"), Some(3));
    let failed = after(&running(spec()), stopped(1, "0a1b", StopCause::Exited, report), 90);
    let message = notified(&failed);
    assert_snapshot!(message.subject, @"shop main: test failed: `make test` (line 3) ended with exit code 2");
    assert_snapshot!(message.email, @r"
    shop main: test failed: `make test` (line 3) ended with exit code 2

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Build:      abcdefghij/test
    Cause:      `make test` (line 3) ended with exit code 2
    Attempt 1:  spot, failed with exit code 2
    Agent:      https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/ci-spot/tasks/0a1b/configuration?region=us-east-1
    Logs:       https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b
    ");
    assert_snapshot!(document(&message), @r#"
    {
      "attempt": 1,
      "capacity": "spot",
      "cause": "`make test` (line 3) ended with exit code 2",
      "commit": "0123456789abcdef0123456789abcdef01234567",
      "id": "abcdefghij/test/failed",
      "job": "test",
      "kind": "build",
      "links": {
        "agent": "https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/ci-spot/tasks/0a1b/configuration?region=us-east-1",
        "logs": "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b"
      },
      "ref": "refs/heads/main",
      "repository": "shop",
      "run": "abcdefghij",
      "severity": "error",
      "status": "failed",
      "time": "2026-09-21T14:14:50Z",
      "title": "shop main: test failed: `make test` (line 3) ended with exit code 2",
      "version": 1
    }
    "#);
}

#[test]
fn a_build_that_succeeded_at_its_second_attempt() {
    let interrupted = after(&running(spec()), stopped(1, "0a1b", StopCause::Interrupted, None), 90);
    let accepted = BuildEvent::LaunchAccepted {
        attempt: 2,
        capacity: Capacity::OnDemand,
        agent: agent("2c3d"),
    };
    let mut build = after(&interrupted, &accepted, 91);
    let announced = build.outbox.pending()[0].id;
    build = after(&build, Step::Performed(announced), 92);
    let message = notified(&after(&build, stopped(2, "2c3d", StopCause::Exited, script(0, None, None)), 200));
    assert_snapshot!(message.subject, @"shop main: test succeeded");
    assert_snapshot!(message.email, @r"
    shop main: test succeeded

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Build:      abcdefghij/test
    Attempt 1:  spot, interrupted
    Attempt 2:  on-demand, succeeded
    Agent:      https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/ci-spot/tasks/2c3d/configuration?region=us-east-1
    Logs:       https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F2c3d
    ");
    assert_snapshot!(document(&message), @r#"
    {
      "attempt": 2,
      "capacity": "on-demand",
      "cause": null,
      "commit": "0123456789abcdef0123456789abcdef01234567",
      "id": "abcdefghij/test/succeeded",
      "job": "test",
      "kind": "build",
      "links": {
        "agent": "https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/ci-spot/tasks/2c3d/configuration?region=us-east-1",
        "logs": "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F2c3d"
      },
      "ref": "refs/heads/main",
      "repository": "shop",
      "run": "abcdefghij",
      "severity": "info",
      "status": "succeeded",
      "time": "2026-09-21T14:16:40Z",
      "title": "shop main: test succeeded",
      "version": 1
    }
    "#);
}
