//! Every file of `events/` means what is written here, and nothing lies there that is not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bellhop_domain::Capacity;
use bellhop_domain::ids::{AttemptId, RunId};
use bellhop_domain::observation::{AgentStatus, ContainerEnd, Observation, Stop, StopCause};
use bellhop_domain::trigger::Push;
use bellhop_events::{AgentChange, Event, parse};

const BEFORE: &str = "1f0e9d8c7b6a59483726150413f2e1d0cfbeadbc";
const PUSHED: &str = "2a4c6e8091b3d5f7092b4d6f8193a5c7e9fb0d1e";
const FEATURE: &str = "3b5d7f91a2c4e6081a3c5e709284b6d8fa0c1e2f";
const MERGED: &str = "4c6e80a2b3d5f7192b4d6f8103a5c7e90b1d2f30";
const MAIN: &str = "refs/heads/main";
const PUSH_ID: &str = "7c1f0e52-3b7a-4d0e-9a51-2f6f0f1f8a3d";
/// Made from what the notification tells: its repository, reference, commit and time.
const NOTIFICATION: &str = "notification-80270de81c66e5fcf3f7d9fb82b695584de6ff4fd472f886bace55566210ae77";

const STATE_CHANGE: &str = "aws.codecommit CodeCommit Repository State Change";
const INTERRUPTED: &str = "Your Spot Task was interrupted.";
const EXITED: &str = "Essential container in task exited";

/// A sample, the events it holds, and how what was skipped in it reads.
type Row = (&'static str, Vec<Event>, Vec<String>);

fn table() -> Vec<Row> {
    let first_push = || push(PUSH_ID, MAIN, PUSHED, Some(BEFORE), "dana");
    let trigger_push = || push("c84e8e45-0297-5f80-b9f4-07a0413b44ba", MAIN, PUSHED, None, "dana");
    vec![
        ("codecommit/push.json", vec![first_push()], vec![]),
        ("codecommit/in-sns.json", vec![first_push()], vec![]),
        (
            "codecommit/new-branch.json",
            vec![push(
                "5790d4f6-4b68-5537-950e-f7522dd34ea2",
                "refs/heads/feature/login",
                FEATURE,
                None,
                "sam@example.com",
            )],
            vec![],
        ),
        (
            "codecommit/deleted-branch.json",
            vec![],
            vec![format!("{STATE_CHANGE}: foreign: refs/heads/feature/login was deleted")],
        ),
        (
            "codecommit/new-tag.json",
            vec![push(
                "ca175c90-e1ce-5e33-8bb5-458a6b75c223",
                "refs/tags/v1.4.0",
                MERGED,
                None,
                "dana",
            )],
            vec![],
        ),
        (
            "codecommit/merge.json",
            vec![push(
                "bd637b27-511e-5df5-a052-a3c7fb88a685",
                MAIN,
                MERGED,
                Some(PUSHED),
                "sam@example.com",
            )],
            vec![],
        ),
        (
            "codecommit/unreferenced-merge.json",
            vec![],
            vec![format!(
                "{STATE_CHANGE}: foreign: unreferencedMergeCommitCreated moves no reference"
            )],
        ),
        ("codecommit/trigger.json", vec![trigger_push()], vec![]),
        ("codecommit/trigger-in-sns.json", vec![trigger_push()], vec![]),
        (
            "codecommit/trigger-two-references.json",
            vec![
                push("6e73bb7a-37a7-510c-910e-ce23e68494d9", MAIN, MERGED, None, "dana"),
                push("6e73bb7a-37a7-510c-910e-ce23e68494d9", "refs/tags/v1.4.0", MERGED, None, "dana"),
            ],
            vec![],
        ),
        (
            "codecommit/trigger-test.json",
            vec![],
            vec!["aws:codecommit TriggerEventTest: foreign: the trigger was tested, nothing was pushed".into()],
        ),
        (
            "codecommit/trigger-deleted.json",
            vec![],
            vec!["aws:codecommit ReferenceChanges: foreign: refs/heads/feature/login was deleted".into()],
        ),
        (
            "codecommit/codestar-in-sns.json",
            vec![push(NOTIFICATION, MAIN, PUSHED, Some(BEFORE), "dana")],
            vec![],
        ),
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
        (
            "schedule/sweep.json",
            vec![],
            vec!["aws.events Scheduled Event: foreign: nothing that a push or an agent's change follows from".into()],
        ),
    ]
}

fn push(trigger: &str, reference: &str, commit: &str, previous: Option<&str>, by: &str) -> Event {
    Event::Push(Push {
        trigger: trigger.into(),
        repository: "shop".parse().unwrap(),
        reference: reference.parse().unwrap(),
        commit: commit.parse().unwrap(),
        previous: previous.map(|id| id.parse().unwrap()),
        by: Some(by.into()),
    })
}

/// The one attempt that all samples of ours tell of.
fn attempt() -> AttemptId {
    AttemptId {
        build: format!("{}/test", RunId::derive(PUSH_ID, &MAIN.parse().unwrap())).parse().unwrap(),
        number: 1,
    }
}

fn agent(version: u64, status: AgentStatus) -> Event {
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

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

#[test]
fn every_sample_means_what_the_table_says() {
    let table = table();
    let samples = common::json_files(&folder());
    for (name, input) in &samples {
        let Some((_, events, skipped)) = table.iter().find(|row| row.0 == name) else {
            panic!("events/{name} has no row in the table");
        };
        let parsed = parse(input);
        let reasons: Vec<String> = parsed.skipped.iter().map(ToString::to_string).collect();
        assert_eq!((&parsed.events, &reasons), (events, skipped), "events/{name}");
    }
    assert_eq!(samples.len(), table.len(), "a row of the table has no sample");
}

#[test]
fn the_agents_samples_continue_the_pushs() {
    let (_, first) = common::json_files(&folder())
        .into_iter()
        .find(|(name, _)| name == "codecommit/push.json")
        .unwrap();
    let events = parse(&first).events;
    let [Event::Push(push)] = events.as_slice() else {
        panic!("no push: {events:?}");
    };
    assert_eq!(RunId::derive(&push.trigger, &push.reference), attempt().build.run);
}

#[test]
fn every_sample_is_described() {
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    for (name, _) in common::json_files(&folder()) {
        assert!(
            text.contains(&format!("| `{name}` |")),
            "events/README.md says nothing about {name}"
        );
    }
}
