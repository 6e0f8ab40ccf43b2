//! One build of CodeBuild and its possible ends.

use bellhop_domain::executor::Placement;
use bellhop_domain::executor::observation::{AgentStatus, Observation, Report, ReportPhase, Stop, StopCause};
use bellhop_domain::ids::AttemptId;
use bellhop_events::{AgentChange, Event};

use super::story::{Row, first_run};

const BUILD: &str = "arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:5d7f9b1c-3e50-4c72-8a94-b6d8f0a2c4e6";

pub(super) fn rows() -> Vec<Row> {
    let row = |name, status| (name, vec![image(status)], vec![]);
    let end = |name, cause, reason: Option<&str>, report, at: &str| {
        row(
            name,
            AgentStatus::Stopped(Stop {
                cause,
                reason: reason.map(Into::into),
                containers: vec![],
                report,
                at: Some(at.parse().unwrap()),
            }),
        )
    };
    let script = |exit_code, command: Option<&str>| {
        Some(Report {
            phase: ReportPhase::Script,
            exit_code,
            signalled: false,
            command: command.map(Into::into),
            line: None,
            message: None,
        })
    };
    let unnamed = |name| {
        let event = Event::Unnamed {
            executor: bellhop_domain::executor::codebuild::NAME,
            agent: BUILD.parse().unwrap(),
            placement: placement(),
        };
        (name, vec![event], vec![])
    };
    let no_source = "DOWNLOAD_SOURCE: CLIENT_ERROR: authorization failed for primary source and source version \
                     2a4c6e8091b3d5f7092b4d6f8193a5c7e9fb0d1e";
    let checkout = Report {
        phase: ReportPhase::Checkout,
        message: Some(no_source.into()),
        ..script(1, None).unwrap()
    };
    vec![
        row("codebuild/in-progress.json", AgentStatus::Starting),
        row(
            "codebuild/provisioned.json",
            AgentStatus::Running {
                since: Some("2026-03-02T09:20:27Z".parse().unwrap()),
            },
        ),
        (
            "codebuild/other-phase.json",
            vec![],
            vec![
                "aws.codebuild CodeBuild Build Phase Change: foreign: \
                 SUCCEEDED of phase INSTALL does not show that a build has started"
                    .into(),
            ],
        ),
        end(
            "codebuild/succeeded.json",
            StopCause::Exited,
            None,
            script(0, None),
            "2026-03-02T09:23:54Z",
        ),
        end(
            "codebuild/failed-script.json",
            StopCause::Exited,
            Some(
                "BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: BELLHOP_BASH_ENV=${BASH_ENV-} \
                 BASH_ENV=/tmp/bellhop-tntzkamwvn-image-1/bellhop-script.prelude bash -eo pipefail \
                 /tmp/bellhop-tntzkamwvn-image-1/bellhop-script || { export BELLHOP_FAILED=\"$? $(head -c 1000 \
                 /tmp/bellhop-tntzkamwvn-image-1/bellhop-script.failed 2>/dev/null)\"; (exit \"${BELLHOP_FAILED%% *}\"); }. Reason: exit status 2",
            ),
            Some(Report {
                line: Some(3),
                ..script(2, Some("docker build --tag \"shop:$TAG\" .")).unwrap()
            }),
            "2026-03-02T09:23:54Z",
        ),
        end(
            "codebuild/failed-command.json",
            StopCause::Exited,
            Some("BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: docker build --tag shop .. Reason: exit status 1"),
            script(1, Some("docker build --tag shop .")),
            "2026-03-02T09:23:54Z",
        ),
        end(
            "codebuild/no-buildspec.json",
            StopCause::Definition,
            Some("DOWNLOAD_SOURCE: YAML_FILE_ERROR: YAML file does not exist"),
            None,
            "2026-03-02T09:20:35Z",
        ),
        end(
            "codebuild/no-source.json",
            StopCause::Exited,
            Some(no_source),
            Some(checkout),
            "2026-03-02T09:20:35Z",
        ),
        end(
            "codebuild/no-artifacts.json",
            StopCause::Definition,
            Some("UPLOAD_ARTIFACTS: CLIENT_ERROR: no matching artifact paths found"),
            None,
            "2026-03-02T09:23:54Z",
        ),
        end(
            "codebuild/no-network.json",
            StopCause::FailedToStart,
            Some("PROVISIONING: VPC_CLIENT_ERROR: The subnet has no free addresses"),
            None,
            "2026-03-02T09:20:27Z",
        ),
        end(
            "codebuild/fault.json",
            StopCause::Other,
            Some("BUILD: INTERNAL_SERVICE_ERROR: Internal Service Error"),
            None,
            "2026-03-02T09:23:51Z",
        ),
        end(
            "codebuild/stopped.json",
            StopCause::Requested,
            Some("STOPPED in phase BUILD"),
            None,
            "2026-03-02T09:23:51Z",
        ),
        end(
            "codebuild/queued-too-long.json",
            StopCause::FailedToStart,
            Some("TIMED_OUT in phase QUEUED"),
            None,
            "2026-03-02T17:20:02Z",
        ),
        end(
            "codebuild/timed-out.json",
            StopCause::TimedOut,
            Some("BUILD: BUILD_TIMED_OUT: Build has timed out."),
            None,
            "2026-03-02T10:20:36Z",
        ),
        unnamed("codebuild/without-particulars.json"),
        unnamed("codebuild/without-phases.json"),
        (
            "codebuild/foreign.json",
            vec![],
            vec![
                "aws.codebuild CodeBuild Build State Change: foreign: \
                 arn:aws:codebuild:us-east-1:123456789012:build/nightly-docs:9c1e3f50-7294-4b6d-8f0a-1b3c5d7e9f02 \
                 was not started for an attempt"
                    .into(),
            ],
        ),
    ]
}

/// A state of the one build of CodeBuild that is ours.
fn image(status: AgentStatus) -> Event {
    Event::Agent(AgentChange {
        attempt: AttemptId {
            build: format!("{}/image", first_run()).parse().unwrap(),
            number: 1,
        },
        observation: Observation {
            agent: BUILD.parse().unwrap(),
            version: None,
            capacity: Some(bellhop_domain::executor::codebuild::CAPACITY),
            status,
        },
        placement: placement(),
    })
}

fn placement() -> Placement {
    Placement {
        account: Some("123456789012".to_owned()),
        place: Some("ci-docker".to_owned()),
        definition: None,
    }
}
