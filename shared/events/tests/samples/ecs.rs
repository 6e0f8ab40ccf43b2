//! Tasks of ECS, all of one attempt.

use bellhop_domain::executor::observation::{AgentStatus, ContainerEnd, Observation, Stop, StopCause};
use bellhop_domain::executor::{Capacity, Placement};
use bellhop_domain::ids::AttemptId;
use bellhop_events::{AgentChange, Event};

use super::story::{Row, first_run};

const INTERRUPTED: &str = "Your Spot Task was interrupted.";
const EXITED: &str = "Essential container in task exited";

pub(super) fn rows() -> Vec<Row> {
    vec![
        ("ecs/provisioning.json", vec![agent(1, AgentStatus::Starting)], vec![]),
        (
            "ecs/running.json",
            vec![agent(
                4,
                AgentStatus::Running {
                    since: Some("2026-03-02T09:14:41.263Z".parse().unwrap()),
                },
            )],
            vec![],
        ),
        ("ecs/spot-warning.json", vec![agent(5, AgentStatus::Interrupted)], vec![]),
        ("ecs/spot-warning-old-code.json", vec![agent(5, AgentStatus::Interrupted)], vec![]),
        ("ecs/spot-warning-no-code.json", vec![agent(5, AgentStatus::Interrupted)], vec![]),
        ("ecs/stopping.json", vec![agent(5, AgentStatus::Stopping)], vec![]),
        (
            "ecs/deprovisioning.json",
            vec![stopped(6, StopCause::Exited, EXITED, Some(0), None, "2026-03-02T09:19:31.907Z")],
            vec![],
        ),
        (
            "ecs/stopped-success.json",
            vec![stopped(7, StopCause::Exited, EXITED, Some(0), None, "2026-03-02T09:19:55.376Z")],
            vec![],
        ),
        (
            "ecs/stopped-failure.json",
            vec![stopped(7, StopCause::Exited, EXITED, Some(1), None, "2026-03-02T09:19:55.376Z")],
            vec![],
        ),
        (
            "ecs/stopped-out-of-memory.json",
            vec![stopped(
                7,
                StopCause::Exited,
                EXITED,
                None,
                Some("OutOfMemoryError: Container killed due to memory usage"),
                "2026-03-02T09:19:55.376Z",
            )],
            vec![],
        ),
        (
            "ecs/stopped-interrupted.json",
            vec![stopped(
                8,
                StopCause::Interrupted,
                INTERRUPTED,
                Some(137),
                None,
                "2026-03-02T09:23:49.655Z",
            )],
            vec![],
        ),
        (
            "ecs/stopped-interrupted-exit-0.json",
            vec![stopped(
                8,
                StopCause::Interrupted,
                INTERRUPTED,
                Some(0),
                None,
                "2026-03-02T09:23:49.655Z",
            )],
            vec![],
        ),
        (
            "ecs/stopped-by-user.json",
            vec![stopped(
                8,
                StopCause::Requested,
                "Bellhop: superseded by a newer push",
                Some(143),
                None,
                "2026-03-02T09:17:24.871Z",
            )],
            vec![],
        ),
        (
            "ecs/failed-to-start.json",
            vec![stopped(
                4,
                StopCause::FailedToStart,
                "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref \
                 123456789012.dkr.ecr.us-east-1.amazonaws.com/bellhop-agent:1: not found",
                None,
                None,
                "2026-03-02T09:15:58.330Z",
            )],
            vec![],
        ),
        (
            "ecs/no-capacity.json",
            vec![stopped(
                2,
                StopCause::NoCapacity,
                "Capacity is unavailable at this time. Please try again later or in a different availability zone",
                None,
                None,
                "2026-03-02T09:14:09.481Z",
            )],
            vec![],
        ),
        (
            "ecs/foreign-service.json",
            vec![],
            vec![
                "aws.ecs ECS Task State Change: foreign: \
                 arn:aws:ecs:us-east-1:123456789012:task/ci-main/d1f3b5970c2e4a6880a2c4e6f8192b3d was started by \
                 ecs-svc/4207913586120947736"
                    .into(),
            ],
        ),
    ]
}

/// The one attempt that all samples of ECS tasks of ours tell of.
pub(super) fn attempt() -> AttemptId {
    AttemptId {
        build: format!("{}/test", first_run()).parse().unwrap(),
        number: 1,
    }
}

pub(super) fn agent(version: u64, status: AgentStatus) -> Event {
    Event::Agent(AgentChange {
        attempt: attempt(),
        observation: Observation {
            agent: "arn:aws:ecs:us-east-1:123456789012:task/ci-spot/8c2e4a6f0b1d4c3e9a5b7d9f1e3c5a70"
                .parse()
                .unwrap(),
            version: Some(version),
            capacity: Some(Capacity::Spot),
            status,
        },
        placement: Placement {
            account: Some("123456789012".to_owned()),
            place: Some("arn:aws:ecs:us-east-1:123456789012:cluster/ci-spot".to_owned()),
            definition: Some("arn:aws:ecs:us-east-1:123456789012:task-definition/bellhop-agent-small:3".to_owned()),
        },
    })
}

fn stopped(version: u64, cause: StopCause, reason: &str, exit_code: Option<i32>, container: Option<&str>, at: &str) -> Event {
    agent(
        version,
        AgentStatus::Stopped(Stop {
            cause,
            reason: Some(reason.into()),
            containers: vec![ContainerEnd {
                name: "agent".into(),
                exit_code,
                reason: container.map(Into::into),
            }],
            report: None,
            at: Some(at.parse().unwrap()),
        }),
    )
}
