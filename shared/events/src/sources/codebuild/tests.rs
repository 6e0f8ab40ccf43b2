#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use super::*;

const FAILED_COMMAND: &str = "COMMAND_EXECUTION_ERROR: Error while executing command: make test. Reason: exit status 3";

fn phase(kind: &str, status: &str, context: &str) -> PhaseFacts {
    PhaseFacts {
        kind: kind.into(),
        status: (!status.is_empty()).then(|| status.into()),
        ended_at: None,
        contexts: vec![PhaseContext::read(context)],
    }
}

fn build(status: &str, phases: &[PhaseFacts]) -> BuildFacts {
    BuildFacts {
        arn: "arn:aws:codebuild:us-east-1:123456789012:build/ci:0f1e2d3c".into(),
        status: status.into(),
        current_phase: Some("COMPLETED".into()),
        ended_at: Some("2026-03-02T09:14:41Z".parse().unwrap()),
        phases: phases.to_vec(),
        failed: None,
    }
}

fn status(facts: &BuildFacts) -> AgentStatus {
    facts.observation().unwrap().status
}

fn stop(status: &str, phases: &[PhaseFacts]) -> Stop {
    match self::status(&build(status, phases)) {
        AgentStatus::Stopped(stop) => stop,
        other => panic!("not stopped: {other:?}"),
    }
}

#[test]
fn what_keeps_a_build_from_starting_and_passes_uses_up_no_retry() {
    for (status, context, expected) in [
        (
            "CLIENT_ERROR",
            "VPC_CLIENT_ERROR: Unexpected EC2 error: RequestLimitExceeded",
            StopCause::NotNow,
        ),
        (
            "FAILED",
            "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: CannotPullContainerError: toomanyrequests: Too Many Requests",
            StopCause::NotNow,
        ),
        (
            "CLIENT_ERROR",
            "ACCESS_DENIED: Service role does not allow AWS CodeBuild to create log streams",
            StopCause::FailedToStart,
        ),
    ] {
        let stop = stop(
            "FAILED",
            &[phase("SUBMITTED", "SUCCEEDED", ""), phase("PROVISIONING", status, context)],
        );
        assert_eq!(stop.cause, expected, "{context}");
        assert_eq!(stop.reason.unwrap(), format!("PROVISIONING: {context}"));
    }
}

/// As on ECS: it would end the same way on the next machine.
#[test]
fn a_build_that_runs_out_of_memory_has_failed() {
    let words = "SINGLE_BUILD_CONTAINER_DEAD: Build container found dead before completing the build. Build container died because it was out of \
                 memory, or the Docker image is not supported.";
    let stop = stop("FAILED", &[phase("BUILD", "FAILED", words)]);
    assert_eq!(stop.cause, StopCause::Exited);
    assert!(stop.report.unwrap().message.unwrap().contains("out of memory"));
}

#[test]
fn a_build_is_up_once_its_machine_is_there() {
    let at = |current: Option<&str>, phases: &[PhaseFacts]| {
        status(&BuildFacts {
            current_phase: current.map(Into::into),
            ..build("IN_PROGRESS", phases)
        })
    };
    for early in [None, Some("SUBMITTED"), Some("QUEUED"), Some("PROVISIONING"), Some("DREAMING")] {
        assert_eq!(at(early, &[]), AgentStatus::Starting, "{early:?}");
    }
    for late in ["DOWNLOAD_SOURCE", "INSTALL", "BUILD", "FINALIZING", "COMPLETED"] {
        assert_eq!(at(Some(late), &[]), AgentStatus::Running { since: None }, "{late}");
    }
    let mut provisioning = phase("PROVISIONING", "", "");
    assert_eq!(at(Some("PROVISIONING"), &[provisioning.clone()]), AgentStatus::Starting);
    provisioning.status = Some("SUCCEEDED".into());
    provisioning.ended_at = Some("2026-03-02T09:14:20Z".parse().unwrap());
    let since = provisioning.ended_at;
    assert_eq!(at(Some("BUILD"), &[provisioning.clone()]), AgentStatus::Running { since });
    assert_eq!(at(None, &[provisioning]), AgentStatus::Running { since });
}

#[test]
fn an_observation_names_build_and_capacity() {
    let seen = build("SUCCEEDED", &[]).observation().unwrap();
    assert_eq!(seen.agent.as_str(), "arn:aws:codebuild:us-east-1:123456789012:build/ci:0f1e2d3c");
    assert_eq!((seen.version, seen.capacity), (None, Some(CAPACITY)));
    assert_eq!(
        seen.status,
        AgentStatus::Stopped(Stop {
            cause: StopCause::Exited,
            reason: None,
            containers: vec![],
            report: Some(script(0, None)),
            at: Some("2026-03-02T09:14:41Z".parse().unwrap()),
        })
    );
}

#[test]
fn every_status_and_failed_phase_has_its_cause() {
    for (status, phase_of_it, phase_status, context, expected) in [
        ("FAILED", "SUBMITTED", "FAILED", "", StopCause::FailedToStart),
        ("FAILED", "QUEUED", "FAILED", "", StopCause::FailedToStart),
        (
            "FAILED",
            "PROVISIONING",
            "FAILED",
            "VPC_CLIENT_ERROR: Unexpected EC2 error: UnauthorizedOperation",
            StopCause::FailedToStart,
        ),
        ("FAILED", "PROVISIONING", "FAULT", "", StopCause::FailedToStart),
        (
            "FAILED",
            "DOWNLOAD_SOURCE",
            "FAILED",
            "YAML_FILE_ERROR: YAML file does not exist",
            StopCause::Definition,
        ),
        (
            "FAILED",
            "INSTALL",
            "FAILED",
            "YAML_FILE_ERROR: Unknown runtime named 'cobol'",
            StopCause::Definition,
        ),
        (
            "FAILED",
            "BUILD",
            "FAILED",
            "INTERNAL_SERVICE_ERROR: Internal Service Error",
            StopCause::Other,
        ),
        (
            "FAILED",
            "BUILD",
            "FAILED",
            "CLIENT_ERROR: something of the account's",
            StopCause::Other,
        ),
        ("FAILED", "BUILD", "FAULT", FAILED_COMMAND, StopCause::Other),
        (
            "FAILED",
            "UPLOAD_ARTIFACTS",
            "FAILED",
            "CLIENT_ERROR: no matching artifact paths found",
            StopCause::Definition,
        ),
        ("FAILED", "UPLOAD_ARTIFACTS", "FAILED", "INTERNAL_SERVICE_ERROR: ", StopCause::Other),
        ("FAILED", "FINALIZING", "FAILED", "", StopCause::Other),
        ("FAILED", "DREAMING", "FAILED", "", StopCause::Other),
        ("FAILED", "BUILD", "SUCCEEDED", "", StopCause::Other),
        ("FAULT", "BUILD", "FAULT", "", StopCause::Other),
        ("STOPPED", "BUILD", "STOPPED", "", StopCause::Requested),
        ("TIMED_OUT", "QUEUED", "TIMED_OUT", "", StopCause::FailedToStart),
        ("TIMED_OUT", "PROVISIONING", "TIMED_OUT", "", StopCause::FailedToStart),
        (
            "TIMED_OUT",
            "BUILD",
            "TIMED_OUT",
            "BUILD_TIMED_OUT: Build has timed out. ",
            StopCause::TimedOut,
        ),
        ("TIMED_OUT", "BUILD", "SUCCEEDED", "", StopCause::TimedOut),
    ] {
        let stop = stop(status, &[phase(phase_of_it, phase_status, context)]);
        assert_eq!(
            (stop.cause, stop.report),
            (expected, None),
            "{status} {phase_of_it} {phase_status} {context}"
        );
    }
}

#[test]
fn a_failed_command_is_the_scripts_own_end() {
    let long = format!("echo {}", "x".repeat(5000));
    for (context, command, exit_code) in [
        (FAILED_COMMAND, Some("make test"), 3),
        ("", None, 1),
        (": ", None, 1),
        ("COMMAND_EXECUTION_ERROR: ", None, 1),
        ("COMMAND_EXECUTION_ERROR: Error while executing command: make", Some("make"), 1),
        (
            "COMMAND_EXECUTION_ERROR: Error while executing command: echo \". Reason: exit status 9\". Reason: exit status 2.",
            Some("echo \". Reason: exit status 9\""),
            2,
        ),
        (
            "COMMAND_EXECUTION_ERROR: Error while executing command: a\n  b. Reason: exit status 0",
            Some("a   b"),
            1,
        ),
        (
            "COMMAND_EXECUTION_ERROR: Error while executing command: a. Reason: exit status 99999999999",
            Some("a"),
            1,
        ),
        (
            "COMMAND_EXECUTION_ERROR: Error while executing command: a. Reason: signal: killed",
            Some("a"),
            1,
        ),
        (
            "COMMAND_EXECUTION_ERROR: Error while executing command: sh /tmp/bellhop-script. Reason: exit status 75",
            None,
            75,
        ),
    ] {
        for kind in ["INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"] {
            let stop = stop("FAILED", &[phase(kind, "FAILED", context)]);
            assert_eq!(stop.cause, StopCause::Exited, "{context}");
            assert_eq!(stop.report, Some(script(exit_code, command.map(Into::into))), "{context}");
        }
    }
    let stop = stop("FAILED", &[phase("BUILD", "FAILED", &FAILED_COMMAND.replace("make test", &long))]);
    assert!(stop.report.unwrap().command.unwrap().len() < 1010 && stop.reason.unwrap().len() < 1010);
}

#[test]
fn a_source_that_cannot_be_had_is_a_failed_checkout() {
    let stop = stop(
        "FAILED",
        &[phase(
            "DOWNLOAD_SOURCE",
            "FAILED",
            "CLIENT_ERROR: reference not found for primary source",
        )],
    );
    let report = stop.report.unwrap();
    assert_eq!((stop.cause, report.phase), (StopCause::Exited, ReportPhase::CommitGone));
    assert_ne!(report.exit_code, 0);
    assert_eq!(
        report.message.unwrap(),
        "DOWNLOAD_SOURCE: CLIENT_ERROR: reference not found for primary source"
    );
}

#[test]
fn a_secret_that_codebuild_cannot_fetch_is_no_failed_checkout() {
    for (context, expected) in [
        (
            "Decrypted Variables Error: AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/ci/AWSCodeBuild-1 is not authorized to perform: ssm:GetParameters",
            ReportPhase::SecretRefused,
        ),
        (
            "Decrypted Variables Error: parameter does not exist: /bellhop/shop/token",
            ReportPhase::SecretRefused,
        ),
        (
            "Secrets Manager Error: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
            ReportPhase::SecretRefused,
        ),
        (
            "Decrypted Variables Error: ThrottlingException: Rate exceeded",
            ReportPhase::Secrets,
        ),
    ] {
        let stop = stop("FAILED", &[phase("DOWNLOAD_SOURCE", "FAILED", context)]);
        let report = stop.report.unwrap();
        assert_eq!((stop.cause, report.phase), (StopCause::Exited, expected), "{context}");
        assert_eq!(report.message.unwrap(), format!("DOWNLOAD_SOURCE: {context}"));
        assert_ne!(report.exit_code, 0);
    }
}

#[test]
fn what_fails_first_counts_in_whatever_order_it_is_told() {
    let mut phases = [
        phase("PROVISIONING", "SUCCEEDED", ": "),
        phase("BUILD", "FAILED", FAILED_COMMAND),
        phase("POST_BUILD", "FAILED", &FAILED_COMMAND.replace('3', "4")),
        phase("UPLOAD_ARTIFACTS", "FAILED", "CLIENT_ERROR: no matching artifact paths found"),
        phase("COMPLETED", "", ""),
    ];
    assert_eq!(stop("FAILED", &phases).report.unwrap().exit_code, 3);
    phases.reverse();
    assert_eq!(stop("FAILED", &phases).report.unwrap().exit_code, 3);
}

#[test]
fn the_reason_names_phase_and_words() {
    let reason = |status: &str, phases: &[PhaseFacts]| stop(status, phases).reason;
    assert_eq!(reason("STOPPED", &[]), None);
    assert_eq!(
        reason("STOPPED", &[phase("BUILD", "STOPPED", ": ")]).unwrap(),
        "STOPPED in phase BUILD"
    );
    assert_eq!(
        reason("FAILED", &[phase("INSTALL", "FAILED", "no code\nat all")]).unwrap(),
        "INSTALL: no code at all"
    );
    assert_eq!(
        reason("FAILED", &[phase("BUILD", "FAILED", FAILED_COMMAND)]).unwrap(),
        format!("BUILD: {FAILED_COMMAND}")
    );
}

#[test]
fn only_a_failure_without_a_failed_phase_has_to_be_asked_about() {
    let silent = |status: &str, phases: &[PhaseFacts]| build(status, phases).fails_without_a_word();
    assert!(silent("FAILED", &[]));
    assert!(silent("FAILED", &[phase("BUILD", "SUCCEEDED", ": ")]));
    assert!(!silent("FAILED", &[phase("BUILD", "FAILED", ": ")]));
    assert!(!silent("STOPPED", &[]));
}

/// What a job's script, ended by a command with exit code 3, looks like from outside.
const SCRIPT: &str = "COMMAND_EXECUTION_ERROR: Error while executing command: BELLHOP_BASH_ENV=${BASH_ENV-} \
                      BASH_ENV=/tmp/bellhop-abcdefghij-image-1/bellhop-script.prelude bash -eo pipefail \
                      /tmp/bellhop-abcdefghij-image-1/bellhop-script || { export BELLHOP_FAILED=\"$? $(head -c 1000 \
                      /tmp/bellhop-abcdefghij-image-1/bellhop-script.failed 2>/dev/null)\"; (exit \"${BELLHOP_FAILED%% *}\"); }. \
                      Reason: exit status 3";

fn noted(context: &str, note: &str) -> BuildFacts {
    BuildFacts {
        failed: Some(note.to_owned()),
        ..build("FAILED", &[phase("BUILD", "FAILED", context)])
    }
}

fn report(facts: &BuildFacts) -> Report {
    match status(facts) {
        AgentStatus::Stopped(Stop {
            cause: StopCause::Exited,
            report: Some(report),
            ..
        }) => report,
        other => panic!("no report: {other:?}"),
    }
}

#[test]
fn the_command_that_ended_a_script_is_named() {
    assert_eq!(
        report(&noted(SCRIPT, "3 3 12 make %22test%22%0A\n")),
        Report {
            line: Some(12),
            ..script(3, Some("make \"test\"".to_owned()))
        }
    );
}

#[test]
fn a_note_explains_and_decides_nothing() {
    for (context, note) in [
        (SCRIPT, ""),
        (SCRIPT, "3"),
        (SCRIPT, "3 4 12 make"),
        (SCRIPT, "0 0 12 make"),
        (SCRIPT, "4 4 12 make"),
        (SCRIPT, "make test"),
        // A buildspec of the repository, whose variable is its own.
        (FAILED_COMMAND, "3 3 12 make"),
    ] {
        let without = report(&noted(context, ""));
        assert_eq!(report(&noted(context, note)), without, "{note}");
        assert_eq!((without.exit_code, without.line), (3, None));
    }
    let words = report(&noted(SCRIPT, &format!("3 3 12 a%1B%0Ab{}", "%E2%80%A8".repeat(500))))
        .command
        .unwrap();
    assert!(words.starts_with("a  b") && words.chars().count() < 1010, "{words}");
    for status in ["SUCCEEDED", "STOPPED", "TIMED_OUT", "FAULT", "IN_PROGRESS"] {
        let facts = |failed: Option<&str>| BuildFacts {
            status: status.to_owned(),
            ..noted(SCRIPT, failed.unwrap_or_default())
        };
        assert_eq!(self::status(&facts(Some("3 3 12 make"))), self::status(&facts(None)), "{status}");
    }
}

#[test]
fn a_script_that_fails_without_a_note_has_to_be_asked_about() {
    let silent = |context: &str, note: &str| noted(context, note).fails_without_a_word();
    assert!(build("FAILED", &[phase("BUILD", "FAILED", SCRIPT)]).fails_without_a_word());
    assert!(silent(SCRIPT, "") && silent(SCRIPT, " "));
    // `exit 3` of the script: nothing else is known of it.
    assert!(!silent(SCRIPT, "3 "));
    assert!(!silent(SCRIPT, "3 3 12 make"));
    assert!(!silent(FAILED_COMMAND, ""));
    let interpreted =
        "COMMAND_EXECUTION_ERROR: Error while executing command: /tmp/bellhop-abcdefghij-image-1/bellhop-script. Reason: exit status 3";
    assert!(!silent(interpreted, ""));
    assert!(!build("STOPPED", &[phase("BUILD", "FAILED", SCRIPT)]).fails_without_a_word());
}

#[test]
fn an_attempts_build_is_known_by_its_environment() {
    let named = [("A", "b"), ("BELLHOP_BUILD", "abcdefghij/image"), ("BELLHOP_ATTEMPT", "2")];
    let on = |capacity| named.into_iter().chain([("BELLHOP_CAPACITY", capacity)]);
    assert_eq!(attempt(named).unwrap().to_string(), "abcdefghij/image/2");
    assert_eq!(attempt(on("codebuild")).unwrap().to_string(), "abcdefghij/image/2");
    assert_eq!(attempt(on("spot")), None);
    assert_eq!(attempt(named.into_iter().take(2)), None);
    assert_eq!(attempt([]), None);
}

#[test]
fn a_build_that_cannot_be_told_is_an_error() {
    assert_eq!(build("RESTING", &[]).observation(), Err(BuildError::Status("RESTING".into())));
    let mut nameless = build("FAILED", &[]);
    nameless.arn = "ci:0f1e2d3c".into();
    assert!(matches!(nameless.observation(), Err(BuildError::Arn(_))));
}
