//! Every file of `events/` means what is written here, and nothing lies there that is not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bellhop_domain::Capacity;
use bellhop_domain::alarm::{AlarmChange, AlarmFacts, AlarmId, AlarmState, Comparison};
use bellhop_domain::backup::{BackupRequest, JobKind, JobSeen, JobState};
use bellhop_domain::ids::{AttemptId, BuildId, RunId};
use bellhop_domain::instance::{Action, What};
use bellhop_domain::observation::{AgentStatus, ContainerEnd, Observation, Report, ReportPhase, Stop, StopCause};
use bellhop_domain::request::{At, PipelineAsks, PipelineJob, PipelineStart, PipelineWork, Request, Retry, RetryWhat, Start, StartWhat};
use bellhop_domain::trigger::Push;
use bellhop_events::{AgentChange, Event, InstanceNotice, parse};

const BEFORE: &str = "1f0e9d8c7b6a59483726150413f2e1d0cfbeadbc";
const PUSHED: &str = "2a4c6e8091b3d5f7092b4d6f8193a5c7e9fb0d1e";
const FEATURE: &str = "3b5d7f91a2c4e6081a3c5e709284b6d8fa0c1e2f";
const MERGED: &str = "4c6e80a2b3d5f7192b4d6f8103a5c7e90b1d2f30";
const MAIN: &str = "refs/heads/main";
/// The name of the suite whose runs the samples are about, which is the local one's.
const SUITE: &str = "bellhop";
const PUSH_ID: &str = "7c1f0e52-3b7a-4d0e-9a51-2f6f0f1f8a3d";
const PUSHED_AT: &str = "2026-03-02T09:14:03Z";
/// Made from what the notification tells: its repository, reference, commit and time.
const NOTIFICATION: &str = "notification-80270de81c66e5fcf3f7d9fb82b695584de6ff4fd472f886bace55566210ae77";

const STATE_CHANGE: &str = "aws.codecommit CodeCommit Repository State Change";
const BUILD: &str = "arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:5d7f9b1c-3e50-4c72-8a94-b6d8f0a2c4e6";
const INTERRUPTED: &str = "Your Spot Task was interrupted.";
const EXITED: &str = "Essential container in task exited";

/// A sample, the events it holds, and how what was skipped in it reads.
type Row = (&'static str, Vec<Event>, Vec<String>);

fn table() -> Vec<Row> {
    let first_push = || push(PUSH_ID, MAIN, PUSHED, Some(BEFORE), "dana", PUSHED_AT);
    let trigger_push = || {
        push(
            "c84e8e45-0297-5f80-b9f4-07a0413b44ba",
            MAIN,
            PUSHED,
            None,
            "dana",
            "2026-03-02T09:14:03.418Z",
        )
    };
    let (two, two_at) = ("6e73bb7a-37a7-510c-910e-ce23e68494d9", "2026-03-02T17:30:00.207Z");
    let mut table = vec![
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
                "2026-03-02T08:40:51Z",
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
                "2026-03-02T17:30:00Z",
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
                "2026-03-02T16:01:44Z",
            )],
            vec![],
        ),
        (
            "codecommit/unreferenced-merge.json",
            vec![],
            vec![format!(
                "{STATE_CHANGE}: foreign: unreferencedMergeCommitCreated changes no reference"
            )],
        ),
        ("codecommit/trigger.json", vec![trigger_push()], vec![]),
        ("codecommit/trigger-in-sns.json", vec![trigger_push()], vec![]),
        (
            "codecommit/trigger-two-references.json",
            vec![
                push(two, MAIN, MERGED, None, "dana", two_at),
                push(two, "refs/tags/v1.4.0", MERGED, None, "dana", two_at),
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
            vec![push(NOTIFICATION, MAIN, PUSHED, Some(BEFORE), "dana", PUSHED_AT)],
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
            vec![Event::Schedule(Some("2026-03-02T09:15:00Z".parse().unwrap()))],
            vec![],
        ),
    ];
    table.extend(builds());
    table.extend(instances());
    table.extend(pipelines());
    table.extend(requests());
    table.extend(alarms());
    table.extend(backups());
    table
}

/// One build of CodeBuild and its possible ends.
fn builds() -> Vec<Row> {
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
    let unnamed = |name| (name, vec![Event::Unnamed(BUILD.parse().unwrap())], vec![]);
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

fn backups() -> Vec<Row> {
    let (own, copied, restored) = (
        "c2a9e4f7-1d83-4b56-9e70-6f3b8d5a1c92",
        "71D4B8E2-0C95-4F3A-8B67-E9A15D2C40F3",
        "A6F03C9E-52B1-47D8-9C4E-1B7E8D0F3A25",
    );
    let files = |id: &str| format!("arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/{id}");
    let point = |region: &str, id: &str| format!("arn:aws:backup:{region}:123456789012:recovery-point:{id}");
    let first = point("us-east-1", "5e1c9a72-4b60-4d38-9f15-c7a3e0b2d486");
    let row = |name, kind, id: &str, state, message: Option<&str>, ended: Option<&str>, point: Option<&str>| {
        let seen = JobSeen {
            kind,
            id: id.to_owned(),
            state,
            message: message.map(Into::into),
            point: point.map(Into::into),
            created: (kind == JobKind::Restore && state == JobState::Completed).then(|| files("fs-0f9e8d7c6b5a49382")),
            resource: (kind != JobKind::Restore).then(|| files("fs-0a1b2c3d4e5f60718")),
            ended: ended.map(|at| at.parse().unwrap()),
        };
        (name, vec![Event::BackupJob(seen)], vec![])
    };
    let backup = |name, state, message, ended, point| row(name, JobKind::Backup, own, state, message, ended, point);
    let copy = |name, state, message, ended, point| row(name, JobKind::Copy, copied, state, message, ended, point);
    let restore = |name, state, message, ended| row(name, JobKind::Restore, restored, state, message, ended, None);
    let (end, point) = (Some("2026-03-02T03:21:40.882Z"), Some(first.as_str()));
    let slot: jiff::Timestamp = "2026-03-02T03:00:00Z".parse().unwrap();
    let start = |slot| {
        Ok(BackupRequest::Start {
            name: "jenkins-home".to_owned(),
            slot,
        })
    };
    let request = |name, request| (name, vec![Event::BackupRequest(request)], vec![]);
    vec![
        backup("backup/running.json", JobState::Underway, None, None, None),
        backup("backup/completed.json", JobState::Completed, None, end, point),
        backup(
            "backup/completed-with-issues.json",
            JobState::Completed,
            Some("3 files could not be read and were left out."),
            end,
            point,
        ),
        backup(
            "backup/failed.json",
            JobState::Failed,
            Some("\"Backup job failed because backup vault arn:aws:backup:us-east-1:123456789012:backup-vault:ci does not exist.\""),
            None,
            None,
        ),
        backup(
            "backup/aborted.json",
            JobState::Aborted,
            Some("\"Backup job was stopped by user.\""),
            Some("2026-03-02T03:09:21.004Z"),
            None,
        ),
        backup(
            "backup/expired.json",
            JobState::Expired,
            Some("Backup job expired before completion."),
            Some("2026-03-02T05:00:04.117Z"),
            None,
        ),
        backup("backup/partial.json", JobState::Partial, None, end, None),
        (
            "backup/copy-created.json",
            vec![],
            vec!["aws.backup Copy Job State Change: foreign: a copy job without an id, as it was just created".into()],
        ),
        copy(
            "backup/copy-completed.json",
            JobState::Completed,
            None,
            Some("2026-03-02T03:40:48.377Z"),
            Some("arn:aws:backup:eu-west-1:123456789012:recovery-point:8b2f6d10-73c5-4e9a-a641-0d5f9c3b7e28"),
        ),
        copy(
            "backup/copy-failed.json",
            JobState::Failed,
            Some("Access Denied trying to call AWS Backup service"),
            Some("2026-03-02T03:23:20.019Z"),
            None,
        ),
        restore("backup/restore-created.json", JobState::Underway, None, None),
        restore("backup/restore-running.json", JobState::Underway, None, None),
        restore(
            "backup/restore-completed.json",
            JobState::Completed,
            None,
            Some("2026-03-02T09:31:02.580Z"),
        ),
        restore(
            "backup/restore-failed.json",
            JobState::Failed,
            Some("The specified KMS key does not exist."),
            Some("2026-03-02T09:02:01.733Z"),
        ),
        request("backup/start.json", start(None)),
        request("backup/scheduler.json", start(Some(slot))),
        request("backup/check.json", Ok(BackupRequest::Check)),
        request(
            "backup/misspelt.json",
            Err("tiem: unknown key; did you mean time? (known: backup, check, time)".to_owned()),
        ),
        ("schedule/backups.json", vec![Event::Schedule(Some(slot))], vec![]),
        ("schedule/backups-scheduler.json", vec![Event::Schedule(Some(slot))], vec![]),
    ]
}

fn pipelines() -> Vec<Row> {
    let row = |name, id: &str, asks| {
        let id = id.parse().unwrap();
        (name, vec![Event::Pipeline(PipelineJob { id, asks })], vec![])
    };
    let start = |branch: Option<&str>, commit: Option<&str>, work| {
        PipelineAsks::Start(PipelineStart {
            repository: "shop".parse().unwrap(),
            branch: branch.map(Into::into),
            commit: commit.map(|id| id.parse().unwrap()),
            work,
        })
    };
    let test = || PipelineWork::Job("test".parse().unwrap());
    let wrong = |text: &str| PipelineAsks::Wrong(text.into());
    vec![
        row(
            "codepipeline/job.json",
            "3f5a7c91-b2d4-4e60-8f13-a5c7e9fb0d12",
            start(None, Some(PUSHED), test()),
        ),
        row(
            "codepipeline/branch.json",
            "4a6c8e02-d3f5-4718-9a2b-4c6d8e0f1a23",
            start(Some("release/1.4"), None, test()),
        ),
        row(
            "codepipeline/continued.json",
            "5b7d9f13-e406-4829-8b3c-5d7e9f1a2b34",
            PipelineAsks::Continue(first_run()),
        ),
        row(
            "codepipeline/script.json",
            "6c8e0a24-f517-493a-9c4d-6e8f0a1b3c45",
            start(
                None,
                Some(PUSHED),
                PipelineWork::Script {
                    run: "make smoke-test".into(),
                    agent: "small".parse().unwrap(),
                },
            ),
        ),
        row(
            "codepipeline/no-parameters.json",
            "7d9f1b35-0628-4a4b-8d5e-7f9a1b2c4d56",
            wrong(r#"UserParameters: expected JSON such as {"repository":"shop","job":"test"}, but the action has none"#),
        ),
        row(
            "codepipeline/plain-text.json",
            "8e0a2c46-1739-4b5c-9e6f-8a0b2c3d5e67",
            wrong(r#"UserParameters: expected JSON such as {"repository":"shop","job":"test"}, but found plain text"#),
        ),
        row(
            "codepipeline/misspelt.json",
            "9f1b3d57-284a-4c6d-8f70-9b1c3d4e6f78",
            wrong("UserParameters.jop: unknown key; did you mean job? (known: repository, job, branch, commit, run, agent)"),
        ),
        row(
            "codepipeline/job-and-script.json",
            "a02c4e68-395b-4d7e-9081-ac2d4e5f7089",
            wrong("UserParameters.run: expected either job or run, but found both"),
        ),
        row(
            "codepipeline/foreign-token.json",
            "b13d5f79-4a6c-4e8f-8192-bd3e5f608192",
            wrong("continuationToken: expected a run id, the only token that this function issues"),
        ),
        (
            "codepipeline/state-change.json",
            vec![],
            vec![
                "aws.codepipeline CodePipeline Pipeline Execution State Change: foreign: \
                 an event that Bellhop does not handle"
                    .into(),
            ],
        ),
    ]
}

fn alarms() -> Vec<Row> {
    let row = |name, change| (name, vec![change], vec![]);
    let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let some = |text: &str| Some(text.to_owned());
    let queue = || of(&[("QueueName", "ci-push-dead-letters")]);
    let jenkins = |reason: &str, value: Option<&str>| AlarmFacts {
        reason: some(reason),
        description: some("The Jenkins controller does not answer"),
        measure: some("UnHealthyHostCount"),
        namespace: some("AWS/ApplicationELB"),
        dimensions: of(&[
            ("LoadBalancer", "app/ci/50dc6c495c0c9188"),
            ("TargetGroup", "targetgroup/jenkins/73e2d6bc24d8a067"),
        ]),
        value: value.map(Into::into),
        threshold: some("1"),
        ..AlarmFacts::default()
    };
    let unhealthy = || {
        let reason = "Threshold Crossed: 2 out of the last 2 datapoints [2.0 (02/03/26 14:02:00), 2.0 (02/03/26 14:01:00)] were greater than the threshold (1.0) (minimum 2 datapoints for OK -> ALARM transition).";
        let facts = AlarmFacts {
            comparison: Some(Comparison::Above),
            ..jenkins(reason, Some("2"))
        };
        alarm(
            "jenkins-unhealthy",
            AlarmState::Alarm,
            "2026-03-02T14:03:22.107Z",
            Some(AlarmState::Ok),
            facts,
        )
    };
    let healthy = "Threshold Crossed: 1 out of the last 2 datapoints [0.0 (02/03/26 14:09:00)] was not greater than the threshold (1.0) (minimum 1 datapoint for ALARM -> OK transition).";
    let down = |at: &str, previous, quiet: Option<&str>| {
        let facts = AlarmFacts {
            reason: some(
                "arn:aws:cloudwatch:us-east-1:123456789012:alarm:jenkins-unhealthy transitioned to ALARM at Monday 02 March, 2026 14:03:22 UTC",
            ),
            rule: some(r#"ALARM("jenkins-unhealthy") OR ALARM("workspace-disk-usage")"#),
            because: vec!["jenkins-unhealthy".into()],
            ..AlarmFacts::default()
        };
        let mut event = alarm("ci-down", AlarmState::Alarm, at, Some(previous), facts);
        if let Event::Alarm(change) = &mut event {
            change.quiet = quiet.map(Into::into);
        }
        event
    };
    let letters = |description: Option<&str>, measure: Option<&str>, previous| {
        let facts = AlarmFacts {
            reason: some(
                "Threshold Crossed: 1 datapoint was greater than the threshold (0.0). The most recent datapoint which crossed the threshold: [180.0 (02/03/26 19:30:00)].",
            ),
            description: description.map(Into::into),
            measure: measure.map(Into::into),
            dimensions: queue(),
            value: some("180"),
            threshold: some("0"),
            comparison: Some(Comparison::Above),
            ..AlarmFacts::default()
        };
        let mut event = alarm("dead-letters", AlarmState::Alarm, "2026-03-02T19:31:12.7Z", previous, facts);
        if let Event::Alarm(change) = &mut event {
            change.id.contributor = some("7e1d5c3b9a0f2468");
        }
        event
    };
    vec![
        row("alarm/alarm.json", unhealthy()),
        row(
            "alarm/own.json",
            alarm(
                "bellhop-own-push-dead-letters",
                AlarmState::Alarm,
                "2026-03-04T09:41:07.313Z",
                Some(AlarmState::Ok),
                AlarmFacts {
                    reason: some("Threshold Crossed: 1 datapoint [1.0 (04/03/26 09:40:00)] was greater than the threshold (0.0)."),
                    description: some(
                        "A push could not be processed, and its run may be missing. Redrive the dead-letter queue, see docs/reference/alarms.md.",
                    ),
                    measure: some("ApproximateNumberOfMessagesVisible"),
                    namespace: some("AWS/SQS"),
                    dimensions: of(&[("QueueName", "bellhop-PushDeadLetterQueue-4QXK1M2R7ZT3")]),
                    value: some("1"),
                    threshold: some("0"),
                    comparison: Some(Comparison::Above),
                    ..AlarmFacts::default()
                },
            ),
        ),
        row("alarm/action.json", unhealthy()),
        row("alarm/in-sns.json", unhealthy()),
        row(
            "alarm/ok.json",
            alarm(
                "jenkins-unhealthy",
                AlarmState::Ok,
                "2026-03-02T14:10:22.108Z",
                Some(AlarmState::Alarm),
                AlarmFacts {
                    comparison: Some(Comparison::Above),
                    ..jenkins(healthy, Some("0"))
                },
            ),
        ),
        row(
            "alarm/insufficient-data.json",
            alarm(
                "jenkins-unhealthy",
                AlarmState::InsufficientData,
                "2026-03-02T14:20:22.103Z",
                Some(AlarmState::Ok),
                jenkins("Insufficient Data: 2 datapoints were unknown.", None),
            ),
        ),
        row(
            "alarm/action-set-by-hand.json",
            alarm(
                "workspace-disk-usage",
                AlarmState::Alarm,
                "2026-03-02T15:00:00.25Z",
                Some(AlarmState::InsufficientData),
                AlarmFacts {
                    reason: some("a drill"),
                    measure: some("PercentIOLimit"),
                    namespace: some("AWS/EFS"),
                    ..AlarmFacts::default()
                },
            ),
        ),
        row(
            "alarm/math.json",
            alarm(
                "queue-error-rate",
                AlarmState::Alarm,
                "2026-03-02T16:06:41.453Z",
                Some(AlarmState::Ok),
                AlarmFacts {
                    reason: some(
                        "Threshold Crossed: 1 out of the last 1 datapoints [7.142857142857143 (02/03/26 16:05:00)] was greater than or equal to the threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition).",
                    ),
                    measure: some("Errors in percent"),
                    value: some("7.1429"),
                    threshold: some("5"),
                    comparison: Some(Comparison::AtLeast),
                    ..AlarmFacts::default()
                },
            ),
        ),
        row(
            "alarm/anomaly-in-sns.json",
            alarm(
                "builds-per-hour-unusual",
                AlarmState::Alarm,
                "2026-03-02T18:00:30Z",
                Some(AlarmState::Ok),
                AlarmFacts {
                    reason: some(
                        "Thresholds Crossed: 1 out of the last 1 datapoints [4.0 (02/03/26 17:00:00)] was less than the lower thresholds [21.40625] or greater than the upper thresholds [58.75] (minimum 1 datapoint for OK -> ALARM transition).",
                    ),
                    measure: some("Builds"),
                    namespace: some("AWS/CodeBuild"),
                    dimensions: of(&[("ProjectName", "ci-docker")]),
                    value: some("4"),
                    threshold: some("21.406 to 58.75"),
                    comparison: Some(Comparison::Outside),
                    ..AlarmFacts::default()
                },
            ),
        ),
        row(
            "alarm/composite-suppressed.json",
            down(
                "2026-03-02T14:03:22.502Z",
                AlarmState::Ok,
                Some("its actions are suppressed by WaitPeriod"),
            ),
        ),
        row("alarm/composite.json", down("2026-03-02T14:05:22.502Z", AlarmState::Alarm, None)),
        row(
            "alarm/contributor.json",
            letters(
                Some("A dead letter waits"),
                Some(r#"SELECT MAX(ApproximateAgeOfOldestMessage) FROM "AWS/SQS" GROUP BY QueueName"#),
                None,
            ),
        ),
        row("alarm/contributor-in-sns.json", letters(None, None, Some(AlarmState::Ok))),
        row(
            "alarm/old-in-sns.json",
            alarm(
                "builds-failing",
                AlarmState::Alarm,
                "2026-03-02T20:15:00.042Z",
                Some(AlarmState::Ok),
                AlarmFacts {
                    reason: some("Threshold Crossed"),
                    ..AlarmFacts::default()
                },
            ),
        ),
    ]
}

fn alarm(name: &str, state: AlarmState, at: &str, previous: Option<AlarmState>, facts: AlarmFacts) -> Event {
    Event::Alarm(Box::new(AlarmChange {
        id: AlarmId {
            region: Some("us-east-1".into()),
            account: Some("123456789012".into()),
            name: name.into(),
            contributor: None,
        },
        state,
        at: Some(at.parse().unwrap()),
        previous,
        quiet: None,
        facts,
    }))
}

fn requests() -> Vec<Row> {
    let row = |name, request| (name, vec![Event::Request(Ok(request))], vec![]);
    let wrong = |name, text: &str| (name, vec![Event::Request(Err(text.into()))], vec![]);
    let start = |name, at, job: Option<&str>, id: Option<&str>| {
        let what = StartWhat::Pipeline {
            repository: "shop".parse().unwrap(),
            at,
            job: job.map(|job| job.parse().unwrap()),
        };
        let id = id.map(Into::into);
        row(name, Request::Start(Start { what, id }))
    };
    let main = || At::Branch("main".into());
    let build = || BuildId {
        run: first_run(),
        job: "test".parse().unwrap(),
    };
    vec![
        start("control/start.json", main(), None, None),
        start("control/start-job.json", main(), Some("test"), None),
        start("control/start-commit.json", At::Commit(PUSHED.parse().unwrap()), Some("test"), None),
        start("control/nightly.json", At::Default, Some("test"), Some("nightly-2026-03-02")),
        row(
            "control/start-suite-job.json",
            Request::Start(Start {
                what: StartWhat::Suite("clean-workspaces".parse().unwrap()),
                id: None,
            }),
        ),
        row("control/cancel-run.json", Request::CancelRun(first_run())),
        row("control/cancel-build.json", Request::CancelBuild(build())),
        row(
            "control/retry.json",
            Request::Retry(Retry {
                what: RetryWhat::Build(build()),
                id: None,
            }),
        ),
        row("control/show.json", Request::Show(first_run())),
        row(
            "control/list.json",
            Request::List {
                repository: "shop".parse().unwrap(),
                before: None,
            },
        ),
        wrong(
            "control/misspelt.json",
            "start.repositry: unknown key; did you mean repository? (known: repository, branch, commit, job, id)",
        ),
        wrong(
            "control/branch-and-commit.json",
            "start.commit: expected either branch or commit, but found both",
        ),
        wrong(
            "control/two-verbs.json",
            "expected exactly one of the keys start, cancel, retry, show, list",
        ),
    ]
}

fn instances() -> Vec<Row> {
    let row = |name, what| {
        let notice = InstanceNotice {
            instance: "i-0c52f3a9b41d7e680".parse().unwrap(),
            what,
            at: Some("2026-03-02T09:31:07Z".parse().unwrap()),
        };
        (name, vec![Event::Instance(notice)], vec![])
    };
    vec![
        row("ec2/spot-warning.json", What::Interruption(Action::Terminate)),
        row("ec2/spot-warning-stop.json", What::Interruption(Action::Stop)),
        row("ec2/spot-warning-hibernate.json", What::Interruption(Action::Hibernate)),
        row("ec2/rebalance.json", What::Rebalance),
        (
            "ec2/state-change.json",
            vec![],
            vec!["aws.ec2 EC2 Instance State-change Notification: foreign: an event that Bellhop does not handle".into()],
        ),
    ]
}

fn push(trigger: &str, reference: &str, commit: &str, previous: Option<&str>, by: &str, at: &str) -> Event {
    Event::Push(Push {
        trigger: trigger.into(),
        repository: "shop".parse().unwrap(),
        reference: reference.parse().unwrap(),
        commit: commit.parse().unwrap(),
        previous: previous.map(|id| id.parse().unwrap()),
        by: Some(by.into()),
        at: Some(at.parse().unwrap()),
    })
}

/// The run that the first push starts.
fn first_run() -> RunId {
    RunId::derive(SUITE, PUSH_ID, &MAIN.parse().unwrap())
}

/// The one attempt that all samples of ECS tasks of ours tell of.
fn attempt() -> AttemptId {
    AttemptId {
        build: format!("{}/test", first_run()).parse().unwrap(),
        number: 1,
    }
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
            capacity: Some(Capacity::CodeBuild),
            status,
        },
    })
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
    assert_eq!(RunId::derive(SUITE, &push.trigger, &push.reference), attempt().build.run);
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
