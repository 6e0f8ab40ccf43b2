//! What people read, and what programs rely on.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::*;
use crate::Capacity;
use crate::build::{BuildEffect, BuildEvent, Refusal};
use crate::decision::Decision;
use crate::ids::AgentId;
use crate::observation::{AgentStatus, Observation, Report, ReportPhase, Stop, StopCause};
use crate::run::RunEvent;
use crate::spec::RetryPolicy;
use crate::testing::{push, spec, spec_needing, t};

#[test]
fn names_from_outside_do_nothing_to_the_lines_that_they_stand_in() {
    let mut spec = spec();
    spec.reference = "refs/heads/a\u{85}b\u{202e}c\u{2028}d\u{3000}e".parse().unwrap();
    let failed = stopped(1, "0a1b", StopCause::Other, None);
    let message = about_build(
        &after(&running(spec), &failed, 60),
        &BuildNews::Finished {
            outcome: Outcome::Failed,
            attempt: Some(1),
            capacity: None,
            cause: Some("a\u{1b}[31mb".to_owned()),
            at: t(60),
        },
    );
    assert_eq!(message.sms, "shop a b c d\u{3000}e: test failed: a [31mb");
    assert!(
        message.email.contains("Ref:        refs/heads/a b c d\u{3000}e\n"),
        "{}",
        message.email
    );
    assert!(message.email.lines().all(|line| !line.contains(is_unfit)), "{}", message.email);
}

fn agent(name: &str) -> AgentId {
    format!("arn:aws:ecs:us-east-1:123456789012:task/ci-spot/{name}").parse().unwrap()
}

fn after(build: &Build, event: &BuildEvent, second: i64) -> Build {
    match build.decide(event, t(second)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{event:?}: {reason}"),
    }
}

fn seen(attempt: u32, name: &str, status: AgentStatus) -> BuildEvent {
    BuildEvent::Agent {
        attempt,
        observation: Observation {
            agent: agent(name),
            version: None,
            capacity: None,
            status,
        },
    }
}

fn stopped(attempt: u32, name: &str, cause: StopCause, report: Option<Report>) -> BuildEvent {
    let stop = Stop {
        cause,
        reason: Some("Essential container in task exited".to_owned()),
        containers: Vec::new(),
        report,
        at: None,
    };
    seen(attempt, name, AgentStatus::Stopped(stop))
}

fn script(exit_code: i32, command: Option<&str>, line: Option<u32>) -> Option<Report> {
    Some(Report {
        phase: ReportPhase::Script,
        exit_code,
        signalled: false,
        command: command.map(ToOwned::to_owned),
        line,
        message: None,
    })
}

fn running(spec: crate::spec::BuildSpec) -> Build {
    let agent = agent("0a1b");
    let accepted = BuildEvent::LaunchAccepted {
        attempt: 1,
        capacity: Capacity::Spot,
        agent,
    };
    let build = after(&Build::ready(spec, t(0)), &accepted, 1);
    after(&build, &seen(1, "0a1b", AgentStatus::Running { since: None }), 30)
}

/// What is told of a build at this moment.
fn told(build: &Build) -> Message {
    let news = build.outbox.pending().iter().find_map(|pending| match &pending.effect {
        BuildEffect::Announce(news) => Some(news),
        _ => None,
    });
    check(about_build(build, news.unwrap()))
}

fn told_of_run(run: &Run) -> Message {
    let report = format!("s3://suite/runs/{}/report.json", run.id);
    check(about_run(run, &[], &[("report", report)]).unwrap())
}

/// What holds for every message.
fn check(message: Message) -> Message {
    let text = |name: &str| message.document[name].as_str().map(ToOwned::to_owned);
    assert!((1..=SUBJECT_LIMIT).contains(&message.subject.len()), "{}", message.subject);
    assert!(message.subject.bytes().all(|b| (b' '..=b'~').contains(&b)), "{}", message.subject);
    assert!((1..=SMS_LIMIT).contains(&message.sms.chars().count()), "{}", message.sms);
    assert!(!message.sms.contains(['\n', '\r']), "{}", message.sms);
    let title = text("title").unwrap();
    assert!(!title.contains(['\n', '\r']), "{title}");
    assert!(message.email.starts_with(&title), "{}", message.email);
    assert_eq!(message.document["version"], 1);
    for name in ["id", "kind", "severity", "status", "repository", "ref", "commit", "run", "time"] {
        assert!(text(name).is_some_and(|text| !text.is_empty()), "{name} of {}", message.document);
    }
    let attributes: BTreeMap<_, _> = message.attributes.iter().map(|(name, value)| (*name, value.clone())).collect();
    assert_eq!(attributes.len(), message.attributes.len(), "{:?}", message.attributes);
    for (name, value) in &attributes {
        // SNS refuses a message with an empty attribute.
        assert!(!value.is_empty(), "{name}");
        if *name != "branch" {
            assert_eq!(Some(value), text(name).as_ref(), "{name}");
        }
    }
    let is_build = attributes["kind"] == "build";
    assert_eq!(attributes.contains_key("job"), is_build);
    for (name, expected) in [
        ("job", is_build),
        ("attempt", is_build),
        ("capacity", is_build),
        ("cause", true),
        ("links", true),
        ("broken", !is_build),
        ("retry-of", !is_build),
    ] {
        assert_eq!(message.document.get(name).is_some(), expected, "{name} of {}", message.document);
    }
    message
}

fn document(message: &Message) -> String {
    format!("{:#}", message.document)
}

fn retrying() -> Message {
    let interrupted = after(&running(spec()), &seen(1, "0a1b", AgentStatus::Interrupted), 90);
    told(&interrupted)
}

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
    let failed = after(&running(spec()), &stopped(1, "0a1b", StopCause::Exited, report), 90);
    let message = told(&failed);
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
    let interrupted = after(&running(spec()), &stopped(1, "0a1b", StopCause::Interrupted, None), 90);
    let accepted = BuildEvent::LaunchAccepted {
        attempt: 2,
        capacity: Capacity::OnDemand,
        agent: agent("2c3d"),
    };
    let mut build = after(&interrupted, &accepted, 91);
    let announced = build.outbox.pending()[0].id;
    build = after(&build, &BuildEvent::Performed(announced), 92);
    let message = told(&after(&build, &stopped(2, "2c3d", StopCause::Exited, script(0, None, None)), 200));
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
    let message = told(&waiting);
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
        over = after(&over, &BuildEvent::Performed(pending.id), 101);
    }
    let message = told(&after(&over, &BuildEvent::Tick { looked: t(1000) }, 1000));
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
    let title = |build: &Build| told(build).sms;
    assert_snapshot!(title(&after(&up, &stopped(1, "0a1b", StopCause::Interrupted, None), 90)), @"shop main: test was interrupted: AWS reclaimed its Spot capacity");
    assert_snapshot!(title(&after(&up, &stopped(1, "0a1b", StopCause::FailedToStart, None), 90)), @"shop main: test had an infrastructure failure: the agent did not start: Essential container in task exited");
    assert_snapshot!(title(&after(&up, &stopped(1, "0a1b", StopCause::Exited, script(1, None, None)), 90)), @"shop main: test failed: the script ended with exit code 1");
    assert_snapshot!(title(&after(&up, &BuildEvent::Tick { looked: t(3700) }, 3700)), @"shop main: test timed out: it ran longer than its timeout of 1h");
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
    let tried = after(&waiting, &BuildEvent::Tick { looked: t(20) }, 20);
    let waiting = after(&tried, &throttled, 7100);
    assert_snapshot!(title(&after(&waiting, &BuildEvent::Tick { looked: t(7300) }, 7300)), @"shop main: test timed out: no agent within its queue-timeout of 2h: You've reached the limit on the number of vCPUs");
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
        &stopped(1, "0a1b", StopCause::Exited, script(75, None, None)),
        90,
    );
    assert_snapshot!(title(&failed), @"shop main: test is retried (attempt 2, spot): the script ended with exit code 75");
}

fn finish(run: &Run, job: &str, outcome: Outcome, cause: Option<&str>) -> Run {
    let event = RunEvent::BuildFinished {
        job: job.parse().unwrap(),
        outcome,
        cause: cause.map(ToOwned::to_owned),
        tests: None,
    };
    match run.decide(&event, t(125)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{job}: {reason}"),
    }
}

fn run(jobs: &[(&str, &[&str])]) -> Run {
    let specs = jobs.iter().map(|(job, needs)| spec_needing(job, needs)).collect();
    Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0)).0
}

#[test]
fn a_run_with_failed_and_skipped_jobs() {
    let open = run(&[("lint", &[]), ("test", &[]), ("docs", &[]), ("image", &["test"])]);
    assert_eq!(about_run(&open, &[], &[]), None);
    let cause = Some("AWS reclaimed its Spot capacity");
    let half = finish(&open, "lint", Outcome::Interrupted, cause);
    let half = finish(&half, "docs", Outcome::Succeeded, None);
    let over = finish(&half, "test", Outcome::Failed, Some("`make test` (line 3) ended with exit code 2"));
    let message = told_of_run(&over);
    assert_snapshot!(message.subject, @"shop main: run of 0123456 failed: test: `make test` (line 3) ended with exit code 2 (and 1 more)");
    assert_snapshot!(message.sms, @"shop main: run of 0123456 failed: test: `make test` (line 3) ended with exit code 2 (and 1 more)");
    assert_snapshot!(message.email, @r"
    shop main: run of 0123456 failed: test: `make test` (line 3) ended with exit code 2 (and 1 more)

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Pushed by:  ada
    Run:        abcdefghij
    Took:       2m 5s

    Jobs:
      lint interrupted: AWS reclaimed its Spot capacity
      test failed: `make test` (line 3) ended with exit code 2
      docs succeeded
      image skipped: needs test, which did not succeed

    Report:     s3://suite/runs/abcdefghij/report.json
    ");
    assert_snapshot!(document(&message), @r#"
    {
      "broken": [],
      "by": "ada",
      "cause": "test: `make test` (line 3) ended with exit code 2 (and 1 more)",
      "commit": "0123456789abcdef0123456789abcdef01234567",
      "id": "abcdefghij/failed",
      "jobs": [
        {
          "cause": "AWS reclaimed its Spot capacity",
          "job": "lint",
          "status": "interrupted"
        },
        {
          "cause": "`make test` (line 3) ended with exit code 2",
          "job": "test",
          "status": "failed"
        },
        {
          "cause": null,
          "job": "docs",
          "status": "succeeded"
        },
        {
          "cause": "needs test, which did not succeed",
          "job": "image",
          "status": "skipped"
        }
      ],
      "kind": "run",
      "links": {
        "report": "s3://suite/runs/abcdefghij/report.json"
      },
      "ref": "refs/heads/main",
      "repository": "shop",
      "retry-of": null,
      "run": "abcdefghij",
      "severity": "error",
      "status": "failed",
      "time": "2026-09-21T14:15:25Z",
      "title": "shop main: run of 0123456 failed: test: `make test` (line 3) ended with exit code 2 (and 1 more)",
      "version": 1
    }
    "#);
    assert_snapshot!(format!("{:?}", message.attributes), @r#"[("kind", "run"), ("severity", "error"), ("status", "failed"), ("repository", "shop"), ("branch", "main")]"#);
}

#[test]
fn a_run_that_succeeded() {
    let message = told_of_run(&finish(&run(&[("test", &[])]), "test", Outcome::Succeeded, None));
    assert_snapshot!(message.subject, @"shop main: run of 0123456 succeeded");
    assert_snapshot!(message.email, @r"
    shop main: run of 0123456 succeeded

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Pushed by:  ada
    Run:        abcdefghij
    Took:       2m 5s

    Jobs:
      test succeeded

    Report:     s3://suite/runs/abcdefghij/report.json
    ");
}

#[test]
fn a_retry_says_what_it_repeats_and_what_is_still_broken() {
    let specs = vec![spec_needing("lint", &[]), spec_needing("test", &[])];
    let (run, _) = Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0));
    let retry_of = Some(crate::run::RetryOf {
        run: "zyxwvutsrq".parse().unwrap(),
        since: t(-60),
    });
    let mut run = run.repeating(retry_of);
    for job in ["lint", "test"] {
        let event = RunEvent::BuildFinished {
            job: job.parse().unwrap(),
            outcome: Outcome::Succeeded,
            cause: None,
            tests: None,
        };
        let Decision::Next(next) = run.decide(&event, t(60)) else {
            panic!("{job}")
        };
        run = *next;
    }
    let broken: Vec<JobName> = ["docs", "image"].map(|job| job.parse().unwrap()).into();
    let message = check(about_run(&run, &broken, &[]).unwrap());
    assert_eq!(
        message.sms,
        "shop main: retry of lint, test of 0123456 succeeded; still broken: docs, image"
    );
    assert!(
        message.email.contains("Retry of:   zyxwvutsrq\nBroken:     docs, image\n"),
        "{}",
        message.email
    );
    let many: Vec<JobName> = (0..4).map(|number| format!("job-{number}").parse().unwrap()).collect();
    assert!(about_run(&run, &many, &[]).unwrap().sms.ends_with("; still broken: 4 jobs"));
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
    let mut waiting = after(&waiting, &BuildEvent::Tick { looked: t(60) }, 60);
    waiting = after(&waiting, &refused, 61);
    let waiting = after(&waiting, &BuildEvent::Tick { looked: t(600) }, 600);
    assert_snapshot!(told(&waiting).email, @r"
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
    assert_eq!(told(&waiting).document["status"], "waiting");

    let cancelled = BuildEvent::Cancelled {
        outcome: Outcome::Cancelled,
        cause: "cancelled by hand".to_owned(),
    };
    let mut over = after(&running(spec()), &cancelled, 100);
    assert_snapshot!(told(&over).email, @r"
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
        over = after(&over, &BuildEvent::Performed(pending.id), 101);
    }
    let stopped = after(&over, &stopped(1, "0a1b", StopCause::Requested, None), 190);
    let message = told(&stopped);
    assert_snapshot!(message.sms, @"shop main: test has stopped; it was cancelled 1m 30s earlier");
    assert_eq!(message.document["id"], "abcdefghij/test/stopped");
}

#[test]
fn a_rejected_run() {
    let wrong = ".bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small, docker)";
    let message = told_of_run(&Run::rejected("abcdefghij".parse().unwrap(), &push(), wrong.to_owned(), t(0)));
    assert_snapshot!(message.subject, @"shop main: run rejected: .bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in con...");
    assert_snapshot!(message.sms, @"shop main: run rejected: .bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (...");
    assert_snapshot!(message.email, @r"
    shop main: run rejected: .bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small, docker)

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Pushed by:  ada
    Run:        abcdefghij

    Report:     s3://suite/runs/abcdefghij/report.json
    ");
    assert_snapshot!(document(&message), @r#"
    {
      "broken": [],
      "by": "ada",
      "cause": ".bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small, docker)",
      "commit": "0123456789abcdef0123456789abcdef01234567",
      "id": "abcdefghij/rejected",
      "jobs": [],
      "kind": "run",
      "links": {
        "report": "s3://suite/runs/abcdefghij/report.json"
      },
      "ref": "refs/heads/main",
      "repository": "shop",
      "retry-of": null,
      "run": "abcdefghij",
      "severity": "error",
      "status": "rejected",
      "time": "2026-09-21T14:13:20Z",
      "title": "shop main: run rejected: .bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small, docker)",
      "version": 1
    }
    "#);
}

#[test]
fn any_branch_and_any_cause_fit() {
    let references = [
        "refs/heads/größe-ändern-日本語-🙂".to_owned(),
        format!("refs/heads/{}", "x".repeat(256)),
        format!("refs/tags/{}", "é".repeat(128)),
    ];
    let causes = ["", "line one\nline two\r\nline three", &"long ".repeat(400), "日本語…"];
    for reference in references {
        for cause in causes {
            let mut spec = spec();
            spec.reference = reference.parse().unwrap();
            let refused = BuildEvent::LaunchRefused {
                attempt: 1,
                capacity: Capacity::Spot,
                round: 0,
                refusal: Refusal::Invalid(cause.to_owned()),
                spent: false,
            };
            let message = told(&after(&Build::ready(spec, t(0)), &refused, 1));
            assert!(message.subject.contains("had an infrastructure failure"), "{}", message.subject);
            assert_eq!(message.document["ref"], reference);
            let branch = message.attributes.iter().find(|(name, _)| *name == "branch");
            assert_eq!(
                branch.map(|(_, value)| format!("refs/heads/{value}")),
                reference.starts_with("refs/heads/").then(|| reference.clone())
            );
            let mut push = push();
            push.reference = reference.parse().unwrap();
            let id = || "abcdefghij".parse().unwrap();
            let _ = told_of_run(&Run::rejected(id(), &push, cause.replace(['\n', '\r'], " "), t(0)));
        }
    }
}

#[test]
fn a_message_keeps_its_id_however_often_and_late_it_is_sent() {
    assert_eq!(retrying().document["id"], "abcdefghij/test/retrying/2");
    let failed = after(&running(spec()), &stopped(1, "0a1b", StopCause::Exited, script(2, None, None)), 90);
    let first = told(&failed);
    assert_eq!(first.document["id"], "abcdefghij/test/failed");
    assert_eq!(told(&failed), first);
    let run = finish(&run(&[("test", &[])]), "test", Outcome::Failed, None);
    assert_eq!(told_of_run(&run).document["id"], "abcdefghij/failed");
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

#[test]
fn many_jobs_tell_their_causes_in_short() {
    let long = "long ".repeat(40);
    let body = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("job-{number}")).collect();
        let jobs: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        let run = names
            .iter()
            .fold(run(&jobs), |run, name| finish(&run, name, Outcome::Failed, Some(&long)));
        told_of_run(&run).email
    };
    assert!(body(20).contains(&format!("  job-7 failed: {long}\n")));
    let many = body(21);
    assert!(many.contains("  job-7 failed: long long") && !many.contains(&format!("  job-7 failed: {long}")));
}

#[test]
fn a_text_for_ascii_keeps_its_spaces_and_ellipses() {
    assert_eq!(printable_ascii("a…b\u{a0}c\td é~"), "a...b c d ?~");
}
