//! Jobs of AWS Backup, and requests for backups.

use bellhop_domain::backup::{BackupRequest, JobKind, JobObservation, JobState};
use bellhop_events::Event;

use super::story::Row;

pub(super) fn rows() -> Vec<Row> {
    let (own, copied, restored) = (
        "c2a9e4f7-1d83-4b56-9e70-6f3b8d5a1c92",
        "71D4B8E2-0C95-4F3A-8B67-E9A15D2C40F3",
        "A6F03C9E-52B1-47D8-9C4E-1B7E8D0F3A25",
    );
    let files = |id: &str| format!("arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/{id}");
    let point = |region: &str, id: &str| format!("arn:aws:backup:{region}:123456789012:recovery-point:{id}");
    let first = point("us-east-1", "5e1c9a72-4b60-4d38-9f15-c7a3e0b2d486");
    let row = |name, kind, id: &str, state, message: Option<&str>, ended: Option<&str>, point: Option<&str>| {
        let seen = JobObservation {
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
    ]
}
