//! [Events of AWS Backup](https://docs.aws.amazon.com/aws-backup/latest/devguide/eventbridge.html), schedules, and requests for backups.
//!
//! The state of backup and copy jobs is in `state`, that of restore jobs in `status`, except in their first event. AWS Backup sends events with best
//! effort, so nothing relies on them.

use bellhop_domain::backup::{BackupRequest, JobKind, JobObservation, JobState};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::decode::{self, clean, expected};
use crate::fields::Fields;
use crate::{Event, Parser, Reason};

/// The events of AWS Backup and of schedules: EventBridge rules and EventBridge Scheduler.
pub(crate) const EVENTS: &[Parser] = &[
    Parser::of(SOURCE, "Backup Job State Change", |event| state_change(JobKind::Backup, event)),
    Parser::of(SOURCE, "Copy Job State Change", |event| state_change(JobKind::Copy, event)),
    Parser::of(SOURCE, "Restore Job State Change", |event| state_change(JobKind::Restore, event)),
    Parser::of("aws.events", SCHEDULED, schedule),
    Parser::of("aws.scheduler", SCHEDULED, schedule),
];

/// `source` of the events of AWS Backup.
const SOURCE: &str = "aws.backup";
/// `detail-type` of a schedule's events.
const SCHEDULED: &str = "Scheduled Event";

/// The only value of `check`.
const BACKUPS: &str = "backups";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    #[serde(default, deserialize_with = "decode::text")]
    backup_job_id: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    copy_job_id: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    restore_job_id: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    state: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    status_message: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    resource_arn: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    source_resource_arn: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    destination_recovery_point_arn: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    created_resource_arn: Option<String>,
    #[serde(default, deserialize_with = "decode::time")]
    completion_date: Option<jiff::Timestamp>,
}

/// Parses an event about a job.
fn state_change(kind: JobKind, event: &Value) -> Result<Event, Reason> {
    let change: Change = decode::object(event.get("detail").unwrap_or(&Value::Null), "detail")?;
    let (word, field) = match kind {
        JobKind::Restore if change.status.is_some() => (change.status, "detail.status"),
        _ => (change.state, "detail.state"),
    };
    let word = word.ok_or_else(|| expected(field, "the state of a job"))?;
    let state = state(&word).ok_or_else(|| expected(field, "a state of a job that AWS Backup documents"))?;
    let (id, field) = match kind {
        JobKind::Backup => (change.backup_job_id, "detail.backupJobId"),
        JobKind::Copy => (change.copy_job_id, "detail.copyJobId"),
        JobKind::Restore => (change.restore_job_id, "detail.restoreJobId"),
    };
    let id = match id.filter(|id| !id.is_empty()) {
        Some(id) => id,
        // A copy job's first event has no id.
        None if state == JobState::Underway => {
            return Err(Reason::Foreign(format!(
                "a {} job without an id, as it was just created",
                kind.as_str()
            )));
        }
        None => return Err(expected(field, "the id of a job")),
    };
    let first = || {
        event
            .pointer("/resources/0")
            .and_then(Value::as_str)
            .filter(|arn| arn.starts_with("arn:"))
    };
    Ok(Event::BackupJob(JobObservation {
        kind,
        id,
        state,
        message: change.status_message,
        point: match kind {
            JobKind::Backup if state == JobState::Completed => first().map(str::to_owned),
            JobKind::Copy => change.destination_recovery_point_arn,
            JobKind::Backup | JobKind::Restore => None,
        },
        created: change.created_resource_arn,
        resource: change.resource_arn.or(change.source_resource_arn),
        ended: change.completion_date,
    }))
}

/// The state of a job, from its name in events and in the API of AWS Backup; `None` for an unknown name.
#[must_use]
pub fn state(word: &str) -> Option<JobState> {
    Some(match word {
        "CREATED" | "PENDING" | "RUNNING" | "ABORTING" => JobState::Underway,
        "COMPLETED" => JobState::Completed,
        "FAILED" => JobState::Failed,
        "ABORTED" => JobState::Aborted,
        "EXPIRED" => JobState::Expired,
        "PARTIAL" => JobState::Partial,
        _ => return None,
    })
}

/// Parses a schedule. Its `detail` is ignored; it arrives as an object or as a string.
#[expect(clippy::unnecessary_wraps, reason = "every parser may refuse an event")]
fn schedule(event: &Value) -> Result<Event, Reason> {
    Ok(Event::Schedule(
        event.get("time").and_then(Value::as_str).and_then(decode::timestamp),
    ))
}

/// The name that stands for all backups.
pub const ALL: &str = "*";

/// Whether an object is a request for backups, valid or not.
pub(crate) fn is_request(object: &Map<String, Value>) -> bool {
    object.contains_key("backup") || object.contains_key("check")
}

/// Parses a request.
///
/// # Errors
/// One line that names the field, the expected value, and for an unknown key the nearest known one.
pub fn request(input: &Value) -> Result<BackupRequest, String> {
    let fields = Fields::of(input, "", &["backup", "check", "time"])?;
    let time = fields.text("time")?;
    let slot = time
        .map(|time| decode::timestamp(time).ok_or_else(|| "time: expected a time such as 2026-03-02T09:14:00Z".to_owned()))
        .transpose()?;
    match (fields.text("backup")?, fields.text("check")?) {
        (Some(_), Some(_)) => Err("expected either backup or check, but found both".to_owned()),
        (Some(name), None) => Ok(BackupRequest::Start {
            name: name.to_owned(),
            slot,
        }),
        (None, Some(BACKUPS)) if slot.is_none() => Ok(BackupRequest::Check),
        (None, Some(BACKUPS)) => Err("time: allowed only with backup".to_owned()),
        (None, Some(other)) => Err(format!("check: expected {BACKUPS}, but found {}", clean(other, 50))),
        (None, None) => Err(format!(
            "expected {{\"backup\":NAME}}, {{\"backup\":\"{ALL}\"}} for all, {{\"check\":\"{BACKUPS}\"}} or a scheduled event, which starts all backups"
        )),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::parse;

    const POINT: &str = "arn:aws:backup:eu-west-1:123456789012:recovery-point:7d0c1f3e";
    const TABLE: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/suite";

    fn event(kind: &str, detail: Value) -> Value {
        json!({
            "source": "aws.backup", "detail-type": format!("{kind} Job State Change"), "time": "2026-03-02T09:14:00Z",
            "resources": [POINT], "detail": detail,
        })
    }

    fn job(input: &Value) -> JobObservation {
        match parse(input).events.as_slice() {
            [Event::BackupJob(seen)] => seen.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn skipped(input: &Value) -> String {
        let parsed = parse(input);
        assert_eq!(parsed.events, []);
        parsed.skipped[0].to_string()
    }

    #[test]
    fn a_backup_job_tells_its_recovery_point_once_there_is_one() {
        let detail = |state: &str| {
            json!({
                "backupJobId": "b-1", "state": state, "resourceArn": TABLE, "statusMessage": "", "backupSizeInBytes": "36048",
                "percentDone": 100, "completionDate": "2026-03-02T09:13:58.2Z",
            })
        };
        let done = job(&event("Backup", detail("COMPLETED")));
        assert_eq!(
            done,
            JobObservation {
                kind: JobKind::Backup,
                id: "b-1".to_owned(),
                state: JobState::Completed,
                message: Some(String::new()),
                point: Some(POINT.to_owned()),
                created: None,
                resource: Some(TABLE.to_owned()),
                ended: Some("2026-03-02T09:13:58.2Z".parse().unwrap()),
            }
        );
        for (word, state) in [
            ("CREATED", JobState::Underway),
            ("PENDING", JobState::Underway),
            ("RUNNING", JobState::Underway),
            ("ABORTING", JobState::Underway),
            ("ABORTED", JobState::Aborted),
            ("FAILED", JobState::Failed),
            ("EXPIRED", JobState::Expired),
            ("PARTIAL", JobState::Partial),
        ] {
            let seen = job(&event("Backup", detail(word)));
            assert_eq!((seen.state, seen.point), (state, None), "{word}");
        }
    }

    #[test]
    fn a_restore_job_has_two_words_for_its_state() {
        let created = job(&event("Restore", json!({ "restoreJobId": "r-1", "state": "CREATED" })));
        assert_eq!((created.kind, created.state), (JobKind::Restore, JobState::Underway));
        let done = job(&event(
            "Restore",
            json!({ "restoreJobId": "r-1", "status": "COMPLETED", "state": "CREATED", "createdResourceArn": TABLE, "sourceResourceArn": POINT }),
        ));
        assert_eq!(
            (done.state, done.created.as_deref(), done.point),
            (JobState::Completed, Some(TABLE), None)
        );
        assert_eq!(done.resource.as_deref(), Some(POINT));
    }

    #[test]
    fn a_copy_job_may_have_neither_id_nor_copy() {
        assert_eq!(
            skipped(&event("Copy", json!({ "state": "CREATED" }))),
            "aws.backup Copy Job State Change: foreign: a copy job without an id, as it was just created"
        );
        let failed = job(&event(
            "Copy",
            json!({ "copyJobId": "c-1", "state": "FAILED", "destinationRecoveryPointArn": {} }),
        ));
        assert_eq!((failed.kind, failed.state, failed.point), (JobKind::Copy, JobState::Failed, None));
        let done = job(&event(
            "Copy",
            json!({ "copyJobId": "c-1", "state": "COMPLETED", "destinationRecoveryPointArn": POINT }),
        ));
        assert_eq!(done.point.as_deref(), Some(POINT));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (kind, detail, words) in [
            (
                "Backup",
                json!({ "state": "FAILED" }),
                "detail.backupJobId: expected the id of a job",
            ),
            ("Copy", json!({ "state": "FAILED" }), "detail.copyJobId: expected the id of a job"),
            (
                "Restore",
                json!({ "status": "FAILED", "restoreJobId": "" }),
                "detail.restoreJobId: expected",
            ),
            ("Backup", json!({ "backupJobId": "b" }), "detail.state: expected the state of a job"),
            (
                "Restore",
                json!({ "status": "s3cret" }),
                "detail.status: expected a state of a job that AWS Backup",
            ),
            ("Backup", json!([]), "detail: expected an object"),
        ] {
            let line = skipped(&event(kind, detail));
            assert!(line.contains(&format!("malformed: {words}")), "{line}");
            assert!(!line.contains("s3cret"));
        }
        assert!(skipped(&event("Recovery Point", json!({}))).contains("foreign"));
    }

    #[test]
    fn a_schedule_is_known_by_its_source_and_type() {
        for (source, detail) in [("aws.events", json!({})), ("aws.scheduler", json!("{}"))] {
            let input = json!({ "source": source, "detail-type": "Scheduled Event", "time": "2026-03-02T09:14:07Z", "detail": detail });
            assert_eq!(
                parse(&input).events,
                [Event::Schedule(Some("2026-03-02T09:14:07Z".parse().unwrap()))]
            );
        }
        let timeless = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": "soon" });
        assert_eq!(parse(&timeless).events, [Event::Schedule(None)]);
        assert!(skipped(&json!({ "source": "someone.else", "detail-type": "Scheduled Event" })).contains("foreign"));
    }

    #[test]
    fn requests_are_two_and_may_be_wrong() {
        assert_eq!(
            request(&json!({ "backup": "jenkins-home" })),
            Ok(BackupRequest::Start {
                name: "jenkins-home".to_owned(),
                slot: None
            })
        );
        assert_eq!(
            request(&json!({ "backup": "jenkins-home", "time": "2026-03-02T09:14:00Z" })),
            Ok(BackupRequest::Start {
                name: "jenkins-home".to_owned(),
                slot: Some("2026-03-02T09:14:00Z".parse().unwrap())
            })
        );
        assert_eq!(request(&json!({ "check": "backups" })), Ok(BackupRequest::Check));
        for (input, words) in [
            (
                json!({}),
                "expected {\"backup\":NAME}, {\"backup\":\"*\"} for all, {\"check\":\"backups\"} or a scheduled event",
            ),
            (
                json!({ "backup": "a", "check": "backups" }),
                "expected either backup or check, but found both",
            ),
            (json!({ "backup": 5 }), "backup: expected a non-empty string"),
            (json!({ "check": "all" }), "check: expected backups, but found all"),
            (
                json!({ "check": "backups", "time": "2026-03-02T09:14:00Z" }),
                "time: allowed only with backup",
            ),
            (json!({ "backup": "a", "time": "now" }), "time: expected a time such as"),
            (
                json!({ "backups": "a" }),
                "backups: unknown key; did you mean backup? (known: backup, check, time)",
            ),
        ] {
            let error = request(&input).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
        for input in [json!({ "backup": 5 }), json!({ "check": "backups" })] {
            assert!(matches!(parse(&input).events.as_slice(), [Event::BackupRequest(_)]), "{input}");
        }
    }
}
