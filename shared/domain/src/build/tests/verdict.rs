//! How an attempt ended, from its stopped agent.

use super::*;
use crate::build::verdict::LONGEST_COMMAND;

#[test]
fn exit_code_0_succeeds() {
    Story::new(spec())
        .up()
        .stopped("1a", exited(0))
        .expect_finished(Outcome::Succeeded, "")
        .expect_todo(&["announce succeeded by 1", "notify the run succeeded"])
        .expect_live(&[])
        .expect_rest();
}

#[test]
fn any_other_exit_code_fails_at_once() {
    Story::new(spec())
        .up()
        .stopped("1a", exited(2))
        .expect_finished(Outcome::Failed, "the script ended with exit code 2")
        .expect_rest();
}

#[test]
fn the_report_names_the_command() {
    let mut report = script_ended(2);
    (report.command, report.line) = (Some("cargo test \\\n  --locked".to_owned()), Some(7));
    let failed = |report: &Report, cause: &str| {
        Story::new(spec())
            .up()
            .stopped("1a", reporting(exited(2), report.clone()))
            .expect_finished(Outcome::Failed, cause);
    };
    failed(&report, "`cargo test \\ --locked` (line 7) ended with exit code 2");
    report.line = None;
    failed(&report, "`cargo test \\ --locked` ended with exit code 2");
    (report.command, report.line) = (None, Some(7));
    failed(&report, "line 7 of the script ended with exit code 2");
    report.command = Some("x".repeat(5000));
    failed(
        &report,
        &format!("`{}...` (line 7) ended with exit code 2", "x".repeat(LONGEST_COMMAND - 3)),
    );
}

#[test]
fn a_report_makes_no_success_of_another_exit_code() {
    Story::new(spec())
        .up()
        .stopped("1a", reporting(exited(3), script_ended(0)))
        .expect_finished(Outcome::Failed, "the script ended with exit code 3");
    let taken = Story::new(spec()).up().stopped("1a", reporting(taken_back(), script_ended(0)));
    assert_eq!(taken.build.attempts[0].end(), Some(&End::Interrupted));
}

#[test]
fn exit_code_0_is_a_success_even_if_another_process_ran_out_of_memory() {
    let mut stop = exited(0);
    stop.containers[0].reason = out_of_memory().containers[0].reason.clone();
    for stop in [stop.clone(), reporting(stop, script_ended(0))] {
        let story = Story::new(spec()).up().stopped("1a", stop);
        assert_eq!(story.build.attempts[0].end(), Some(&End::Succeeded));
    }
}

#[test]
fn running_out_of_memory_is_the_jobs_own_failure() {
    let mut silent = out_of_memory();
    silent.containers[0].exit_code = None;
    let mut uncoded = silent.clone();
    uncoded.cause = StopCause::Other;
    for stop in [out_of_memory(), silent, uncoded] {
        Story::new(spec())
            .up()
            .stopped("1a", stop)
            .expect_finished(Outcome::Failed, "out of memory");
    }
    let mut report = script_ended(137);
    (report.command, report.line) = (Some("make".to_owned()), Some(1));
    Story::new(spec())
        .up()
        .stopped("1a", reporting(out_of_memory(), report))
        .expect_finished(Outcome::Failed, "out of memory: `make` (line 1) ended with exit code 137");
}

#[test]
fn an_infrastructure_failure_is_retried_after_a_backoff() {
    let cases = [
        (
            failed_to_start(),
            "the agent did not start: CannotPullContainerError: pull access denied",
        ),
        (lost(), "the agent was lost: the service no longer lists the agent"),
        (
            stopped_by_a_person(),
            "the agent was stopped from outside Bellhop: Task stopped by user",
        ),
        (
            stop(StopCause::Exited, "Essential container in task exited", None),
            "the container ended without an exit code: Essential container in task exited",
        ),
    ];
    for (stop, cause) in cases {
        let mut story = Story::new(spec());
        for (attempt, longest) in [(1, 30), (2, 60)] {
            story = story
                .accepted(SPOT, &format!("{attempt}a"))
                .stopped(&format!("{attempt}a"), stop.clone())
                .expect_todo(&[&format!("announce attempt {} on spot", attempt + 1)])
                .performed()
                .expect_wait(longest * 3 / 4 - 1..=longest)
                .tick_when_due();
        }
        story
            .accepted(SPOT, "3a")
            .stopped("3a", stop)
            .expect_finished(Outcome::InfrastructureFailed, cause)
            .expect_retries(&[0, 2])
            .expect_rest();
    }
}

#[test]
fn a_failed_checkout_is_no_fault_of_the_job() {
    let report = Report {
        phase: ReportPhase::Checkout,
        message: Some("fatal: could not read from remote repository\nPlease make sure".to_owned()),
        ..script_ended(90)
    };
    Story::new(never_retried())
        .up()
        .stopped("1a", reporting(exited(90), report))
        .expect_finished(
            Outcome::InfrastructureFailed,
            "the commit could not be checked out: fatal: could not read from remote repository Please make sure",
        );
}

#[test]
fn a_secret_that_is_refused_fails_the_job_and_one_that_cannot_be_fetched_now_does_not() {
    let report = |phase| Report {
        phase,
        message: Some("TOKEN: there is no parameter /bellhop/shop/token".to_owned()),
        ..script_ended(92)
    };
    Story::new(spec())
        .up()
        .stopped("1a", reporting(exited(92), report(ReportPhase::SecretRefused)))
        .expect_finished(Outcome::Failed, "TOKEN: there is no parameter /bellhop/shop/token");
    Story::new(never_retried())
        .up()
        .stopped("1a", reporting(exited(92), report(ReportPhase::Secrets)))
        .expect_finished(
            Outcome::InfrastructureFailed,
            "the secrets could not be fetched: TOKEN: there is no parameter /bellhop/shop/token",
        );
    Story::new(spec())
        .up()
        .stopped("1a", reporting(exited(92), report(ReportPhase::Secrets)))
        .expect_retries(&[0, 1]);
}

#[test]
fn an_artifact_that_is_gone_fails_the_job_and_one_that_cannot_be_fetched_now_does_not() {
    let text = "package: dist/shop.zip is gone: S3 answered 404 NoSuchVersion";
    let report = |phase| Report {
        phase,
        message: Some(text.to_owned()),
        ..script_ended(93)
    };
    let story = Story::new(spec())
        .up()
        .stopped("1a", reporting(exited(93), report(ReportPhase::FetchRefused)))
        .expect_finished(Outcome::Failed, text);
    assert!(matches!(
        story.build.attempts[0].end(),
        Some(End::Failed { exit_code: Some(93), .. })
    ));
    Story::new(never_retried())
        .up()
        .stopped("1a", reporting(exited(93), report(ReportPhase::Fetch)))
        .expect_finished(
            Outcome::InfrastructureFailed,
            &format!("the artifacts of other jobs could not be fetched: {text}"),
        );
    Story::new(spec())
        .up()
        .stopped("1a", reporting(exited(93), report(ReportPhase::Fetch)))
        .expect_retries(&[0, 1]);
}

#[test]
fn a_fetch_cut_off_by_the_loss_of_its_capacity_was_an_interruption() {
    for phase in [ReportPhase::Fetch, ReportPhase::FetchRefused] {
        let report = Report { phase, ..script_ended(93) };
        let story = Story::new(spec()).up().stopped("1a", reporting(taken_back(), report));
        assert_eq!(story.build.attempts[0].end(), Some(&End::Interrupted), "{phase:?}");
    }
}

#[test]
fn a_report_of_something_refused_makes_no_success_of_another_exit_code() {
    for phase in [
        ReportPhase::Secrets,
        ReportPhase::SecretRefused,
        ReportPhase::Fetch,
        ReportPhase::FetchRefused,
        ReportPhase::Unknown,
    ] {
        let report = Report { phase, ..script_ended(0) };
        let story = Story::new(never_retried()).up().stopped("1a", reporting(exited(3), report));
        assert_ne!(story.build.outcome(), Some(Outcome::Succeeded), "{phase:?}");
    }
}

#[test]
fn a_phase_of_a_newer_agent_leaves_the_exit_code_to_decide() {
    let text = r#"{"version":2,"phase":"something-new","exit-code":7}"#;
    let report: Report = serde_json::from_str(text).unwrap();
    assert_eq!(report.phase, ReportPhase::Unknown);
    Story::new(never_retried())
        .up()
        .stopped("1a", reporting(exited(7), report))
        .expect_finished(Outcome::Failed, "the script ended with exit code 7");
}

#[test]
fn a_checkout_cut_off_by_sigterm_on_spot_was_an_interruption() {
    let report = Report {
        phase: ReportPhase::Checkout,
        ..script_gave_up(143)
    };
    Story::new(spec())
        .up()
        .stopped("1a", reporting(exited(143), report))
        .expect_attempts(&[SPOT, ON_DEMAND])
        .expect_retries(&[1, 0]);
}

#[test]
fn sigterm_without_a_warning_is_an_interruption_on_spot_and_an_outside_stop_on_demand() {
    Story::new(spec())
        .up()
        .stopped("1a", reporting(exited(0), script_gave_up(0)))
        .expect_retries(&[1, 0]);
    Story::new(critical())
        .accepted(ON_DEMAND, "1a")
        .stopped("1a", reporting(exited(0), script_gave_up(0)))
        .expect_retries(&[0, 1]);
    Story::new(spec())
        .up()
        .stopped("1a", reporting(stopped_by_a_person(), script_gave_up(143)))
        .expect_retries(&[0, 1]);
}

#[test]
fn the_end_of_the_script_counts_more_than_the_end_of_its_agent() {
    for stop in [stopped_by_a_person(), lost(), taken_back()] {
        let mut unkilled = stop.clone();
        for container in &mut unkilled.containers {
            container.exit_code = Some(0);
        }
        Story::new(spec())
            .up()
            .stopped("1a", reporting(unkilled, script_ended(0)))
            .expect_finished(Outcome::Succeeded, "");
        Story::new(spec())
            .up()
            .stopped("1a", reporting(stop, script_ended(3)))
            .expect_finished(Outcome::Failed, "the script ended with exit code 3");
    }
}

#[test]
fn an_agent_that_vanished_counts_as_lost() {
    Story::new(never_retried())
        .up()
        .stopped("1a", lost())
        .expect_finished(
            Outcome::InfrastructureFailed,
            "the agent was lost: the service no longer lists the agent",
        )
        .expect_rest();
}

#[test]
fn a_container_reason_is_added_to_the_service_reason_unless_they_are_the_same() {
    let lost_with = |reason: &str| {
        let mut stop = lost();
        stop.containers[0].reason = Some(reason.to_owned());
        Story::new(never_retried()).up().stopped("1a", stop)
    };
    let service = "the service no longer lists the agent";
    lost_with(service).expect_finished(Outcome::InfrastructureFailed, &format!("the agent was lost: {service}"));
    lost_with("DockerTimeoutError").expect_finished(
        Outcome::InfrastructureFailed,
        &format!("the agent was lost: {service}; container agent: DockerTimeoutError"),
    );
}

#[test]
fn an_attempt_ends_at_the_time_that_the_service_reports() {
    let ended = |at: Option<i64>| {
        let mut stop = exited(0);
        stop.at = at.map(t);
        let story = Story::new(spec())
            .accepted(SPOT, "1a")
            .at(30)
            .running("1a")
            .performed()
            .at(900)
            .stopped("1a", stop);
        match &story.build.attempts[0].phase {
            Phase::Ended { at, .. } => at.as_second() - t(0).as_second(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ended(Some(600)), 600);
    assert_eq!(ended(None), 900);
    // Clocks differ; nothing ends before it began, or later than now.
    assert_eq!((ended(Some(0)), ended(Some(2000))), (30, 900));
}

#[test]
fn a_missing_commit_fails_the_build_at_once_under_every_retry_policy() {
    let mut stop = exited(90);
    stop.report = Some(Report {
        phase: ReportPhase::CommitGone,
        exit_code: 90,
        signalled: false,
        command: None,
        line: None,
        message: Some("commit 0123456 is not in the repository shop".to_owned()),
    });
    let eager = with_rules(vec![rule(
        &[RetryOn::Failure, RetryOn::Infrastructure, RetryOn::Interrupted, RetryOn::Timeout],
        &[],
        3,
    )]);
    let story = Story::new(eager).up().stopped("1a", stop).expect_finished(
        Outcome::Failed,
        "commit 0123456 is no longer in the repository: its branch was deleted or force-pushed",
    );
    let collects = story.build.outbox.any(|effect| matches!(effect, BuildEffect::Collect { .. }));
    assert!(!collects, "nothing was left by a script that never began: {:?}", story.build.outbox);
}

#[test]
fn a_script_that_survives_a_lack_of_memory_succeeds_with_a_remark() {
    for sidecar in [false, true] {
        let mut stop = exited(0);
        stop.containers[0].reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
        if sidecar {
            let mut proxy = stop.containers[0].clone();
            (proxy.name, proxy.reason) = ("proxy".to_owned(), None);
            stop.containers.push(proxy);
        }
        let story = Story::new(spec()).up().stopped("1a", stop);
        assert_eq!(story.build.outcome(), Some(Outcome::Succeeded));
        assert!(story.build.attempts[0].remark.as_ref().unwrap().contains("memory"));
    }
    assert_eq!(Story::new(spec()).up().stopped("1a", exited(0)).build.attempts[0].remark, None);
}
