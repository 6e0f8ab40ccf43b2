//! Builds on CodeBuild.

use super::*;
use crate::executor::CodeBuildExecutor;
use crate::executor::codebuild::CAPACITY as CODEBUILD;

fn started() -> Story {
    Story::new(BuildSpec {
        executor: Executor::CodeBuild(CodeBuildExecutor {
            project: "ci-docker".to_owned(),
            logs: None,
        }),
        ..spec()
    })
    .expect_todo(&["launch 1 on codebuild"])
    .accepted(CODEBUILD, "1a")
}

fn ended(cause: StopCause, reason: &str, report: Option<Report>) -> Stop {
    Stop {
        cause,
        reason: Some(reason.to_owned()),
        containers: Vec::new(),
        report,
        at: None,
    }
}

#[test]
fn the_report_contains_the_result_of_the_script() {
    started()
        .stopped("1a", ended(StopCause::Exited, "", Some(script_ended(0))))
        .expect_finished(Outcome::Succeeded, "");
    let failed = Report {
        command: Some("make test".to_owned()),
        ..script_ended(3)
    };
    started()
        .stopped("1a", ended(StopCause::Exited, "BUILD: COMMAND_EXECUTION_ERROR", Some(failed)))
        .expect_finished(Outcome::Failed, "`make test` ended with exit code 3");
}

#[test]
fn a_definition_that_cannot_succeed_is_the_jobs_own_failure() {
    started()
        .stopped(
            "1a",
            ended(StopCause::Definition, "DOWNLOAD_SOURCE: YAML_FILE_ERROR: no buildspec", None),
        )
        .expect_finished(Outcome::Failed, "DOWNLOAD_SOURCE: YAML_FILE_ERROR: no buildspec");
}

#[test]
fn the_service_ends_it_at_its_timeout() {
    let times_out = |second| {
        started()
            .at(second)
            .stopped("1a", ended(StopCause::TimedOut, "BUILD_TIMED_OUT", None))
    };
    times_out(HOUR + 10).expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h");
    let cause = "its service ended it at a time limit of its own, which is shorter than the job's `timeout` of 1h";
    times_out(10 * MINUTE).expect_finished(Outcome::TimedOut, cause);
}

#[test]
fn a_build_that_cannot_be_provisioned_is_tried_again_on_codebuild() {
    started()
        .stopped("1a", ended(StopCause::FailedToStart, "PROVISIONING: VPC_CLIENT_ERROR", None))
        .expect_attempts(&[CODEBUILD, CODEBUILD]);
}

#[test]
fn waiting_in_the_services_own_queue_counts_against_the_queue_timeout() {
    let hours = 2 * HOUR;
    started()
        .tick(hours)
        .expect_live(&["1a"])
        .tick(hours + 21 * MINUTE)
        .expect_todo(&["stop 1a: bellhop: the agent did not start in time"]);
}
