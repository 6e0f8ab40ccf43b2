//! One execution of Step Functions and its possible ends.

use bellhop_domain::executor::Placement;
use bellhop_domain::executor::observation::{AgentStatus, Observation, Report, ReportPhase, Stop, StopCause};
use bellhop_domain::executor::step_functions::{CAPACITY, NAME};
use bellhop_domain::ids::AttemptId;
use bellhop_events::{AgentChange, Event};

use super::story::{Row, first_run};

const EXECUTION: &str = "arn:aws:states:us-east-1:123456789012:execution:bellhop-agent-release:e9d0f12cf7c5c87bad8a70308aff5ecdbd38b443";

pub(super) fn rows() -> Vec<Row> {
    let row = |name, status| (name, vec![release(status)], vec![]);
    let end = |name, cause, reason: Option<&str>, report| {
        row(
            name,
            AgentStatus::Stopped(Stop {
                cause,
                reason: reason.map(Into::into),
                containers: vec![],
                report,
                at: Some("2026-03-02T09:23:54.816Z".parse().unwrap()),
            }),
        )
    };
    let success = Report {
        phase: ReportPhase::Script,
        exit_code: 0,
        signalled: false,
        command: None,
        line: None,
        message: None,
    };
    let unnamed = |name| {
        let event = Event::Unnamed {
            executor: NAME,
            agent: EXECUTION.parse().unwrap(),
            placement: placement(),
        };
        (name, vec![event], vec![])
    };
    let foreign = |name| {
        let reason = "aws.states Step Functions Execution Status Change: foreign: an execution that was not started for an attempt";
        (name, vec![], vec![reason.into()])
    };
    let refused = "Release.Refused: version 1.4.0 is already published";
    vec![
        row(
            "step-functions/running.json",
            AgentStatus::Running {
                since: Some("2026-03-02T09:20:22.104Z".parse().unwrap()),
            },
        ),
        end("step-functions/succeeded.json", StopCause::Exited, None, Some(success)),
        end("step-functions/failed.json", StopCause::Definition, Some(refused), None),
        end("step-functions/timed-out.json", StopCause::TimedOut, None, None),
        end(
            "step-functions/aborted.json",
            StopCause::Requested,
            Some("Bellhop: cancelled by hand"),
            None,
        ),
        unnamed("step-functions/without-cause.json"),
        unnamed("step-functions/without-input.json"),
        foreign("step-functions/child.json"),
        foreign("step-functions/foreign.json"),
    ]
}

/// A state of the one execution that is ours.
fn release(status: AgentStatus) -> Event {
    Event::Agent(AgentChange {
        attempt: AttemptId {
            build: format!("{}/release", first_run()).parse().unwrap(),
            number: 1,
        },
        observation: Observation {
            agent: EXECUTION.parse().unwrap(),
            version: None,
            capacity: Some(CAPACITY),
            status,
        },
        placement: placement(),
    })
}

fn placement() -> Placement {
    Placement {
        account: Some("123456789012".to_owned()),
        place: Some("arn:aws:states:us-east-1:123456789012:stateMachine:bellhop-agent-release".to_owned()),
        definition: None,
    }
}
