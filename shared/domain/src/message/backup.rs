//! Messages about backups.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::notice::{Message, Notice, Severity};
use super::text::{NAME_LIMIT, truncate};
use crate::backup::{Backup, BackupNews, BackupNewsKind, End, EndKind};

/// The parts of a message.
struct Facts {
    id: String,
    severity: Severity,
    status: &'static str,
    title: String,
    time: Timestamp,
    rows: Vec<(&'static str, &'static str, String)>,
    links: Map<String, Value>,
}

impl Facts {
    /// Each row is in the e-mail under the first of its names, and in the document under the second.
    fn message(self) -> Message {
        let mut email = format!("{}\n\n", self.title);
        let mut more = Vec::with_capacity(self.rows.len() + 1);
        for (label, name, value) in self.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(email, "{:<11} {value}", format!("{label}:"));
            more.push((name, Value::String(value)));
        }
        for (_, link) in &self.links {
            let _ = writeln!(email, "{:<11} {}", "Console:", link.as_str().unwrap_or_default());
        }
        more.push(("links", Value::Object(self.links)));
        Notice {
            id: self.id,
            kind: "backup",
            severity: self.severity,
            status: self.status,
            title: self.title,
            time: self.time,
            more,
            body: email,
        }
        .message()
    }
}

/// The message about a backup.
#[must_use]
pub fn about_backup(backup: &Backup, news: &BackupNews) -> Message {
    let name = truncate(&backup.name, NAME_LIMIT);
    let (status, severity, title, cause) = summarise(&name, news, &backup.definition.vault);
    let definition = match &news.what {
        BackupNewsKind::Ended(_) | BackupNewsKind::CopyEnded(_) => backup.job(news.slot).map(|job| &job.definition),
        _ => None,
    }
    .unwrap_or(&backup.definition);
    let mut rows = vec![
        ("Backup", "backup", backup.name.clone()),
        ("Resource", "resource", definition.resource.clone()),
        ("Vault", "vault", definition.vault.clone()),
    ];
    let job = match &news.what {
        BackupNewsKind::Ended(_) => backup.job(news.slot).and_then(|job| job.work.id.clone()),
        BackupNewsKind::CopyEnded(_) => {
            rows.extend(definition.copy_to.clone().map(|to| ("Copy to", "copy_to", to)));
            backup.job(news.slot).and_then(|job| job.copy.as_ref()?.id.clone())
        }
        BackupNewsKind::RestoreTested { point, .. } | BackupNewsKind::RestoreFailed { point, .. } => {
            rows.push(("Point", "recovery_point", point.clone()));
            backup
                .test
                .as_ref()
                .filter(|test| test.slot == news.slot)
                .and_then(|test| test.work.id.clone())
        }
        BackupNewsKind::LeftOver { resource, .. } => {
            rows.push(("Left over", "left_over", resource.clone()));
            None
        }
        BackupNewsKind::Stale { newest, .. } => {
            rows.push(("Newest", "newest", newest.to_string()));
            None
        }
        BackupNewsKind::Abandoned(what) => {
            rows.extend([("Bellhop", "now", what.now.clone()), ("You can", "advice", what.advice.clone())]);
            None
        }
        BackupNewsKind::Missing | BackupNewsKind::Recovered { .. } => None,
    };
    rows.extend(job.map(|job| ("Job", "job_id", job)));
    rows.extend(cause.map(|cause| ("Cause", "cause", cause)));
    Facts {
        id: format!("backup/{}/{status}/{}", backup.name, news.at),
        severity,
        status,
        title,
        time: news.at,
        rows,
        links: links(&definition.resource),
    }
    .message()
}

/// The message after a schedule that started nothing, because the suite configuration cannot be used. `slot` is the schedule's time.
#[must_use]
pub fn about_no_backups(why: &str, slot: Timestamp, now: Timestamp) -> Message {
    Facts {
        id: format!("backup/rejected/{slot}"),
        severity: Severity::Error,
        status: "rejected",
        title: format!("no backup was started: {why}"),
        time: now,
        rows: vec![("Cause", "cause", why.to_owned())],
        links: Map::new(),
    }
    .message()
}

/// Status, severity, title and cause.
type Summary = (&'static str, Severity, String, Option<String>);

fn summarise(name: &str, news: &BackupNews, vault: &str) -> Summary {
    match &news.what {
        BackupNewsKind::Ended(end) => {
            let ending = match end.how {
                EndKind::Completed => "completed",
                EndKind::WithIssues => "completed with issues",
                EndKind::Failed | EndKind::Vanished => "failed",
                EndKind::Aborted => "was aborted",
                EndKind::Expired => "expired: it did not start or end within its window",
                EndKind::Partial => "is only partial",
                EndKind::Refused => "could not be started",
            };
            let severity = if end.how.is_good() { Severity::Warning } else { Severity::Error };
            (
                end.how.status(),
                severity,
                format!("backup {name} {ending}{}", why(end)),
                end.message.clone(),
            )
        }
        BackupNewsKind::CopyEnded(end) if end.how.is_good() => (
            end.how.status(),
            Severity::Warning,
            format!("the copy of backup {name} completed with issues{}", why(end)),
            end.message.clone(),
        ),
        BackupNewsKind::CopyEnded(end) => (
            "copy-failed",
            Severity::Error,
            format!("backup {name} could not be copied{}", why(end)),
            end.message.clone(),
        ),
        BackupNewsKind::Stale { newest, limit } => {
            let age = rounded(*newest, news.at);
            let limit = humantime::format_duration(*limit);
            let title = format!("backup {name}: the newest recovery point is {age} old; the limit is {limit}");
            ("stale", Severity::Error, title, None)
        }
        BackupNewsKind::Missing => {
            let title = format!(
                "backup {name}: there is no recovery point in the vault {}",
                truncate(vault, NAME_LIMIT)
            );
            ("missing", Severity::Error, title, None)
        }
        BackupNewsKind::Recovered { from, since, copy } => {
            let what = if *copy { "the copy of backup" } else { "backup" };
            let lasted = rounded(*since, news.at);
            let title = format!("{what} {name} has recovered after {lasted} ({from})");
            ("recovered", Severity::Info, title, None)
        }
        BackupNewsKind::RestoreTested { took, .. } => {
            let took = humantime::format_duration(*took);
            let title = format!("backup {name}: the newest recovery point was restored in {took}");
            ("restore-tested", Severity::Info, title, None)
        }
        BackupNewsKind::RestoreFailed { end, .. } => {
            let title = format!("backup {name}: the newest recovery point could not be restored{}", why(end));
            ("restore-failed", Severity::Error, title, end.message.clone())
        }
        BackupNewsKind::Abandoned(what) => {
            let title = format!("backup {name}: {}", what.title());
            ("abandoned", Severity::Error, title, Some(what.why.clone()))
        }
        BackupNewsKind::LeftOver { why, .. } => {
            let title = format!("backup {name}: the resource that a restore test created was not removed: {why}");
            ("restore-left-over", Severity::Error, title, Some(why.clone()))
        }
    }
}

fn why(end: &End) -> String {
    end.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default()
}

/// The time between two moments, rounded for people.
fn rounded(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0).unsigned_abs();
    let unit = if seconds < 120 { 1 } else { 60 };
    humantime::format_duration(Duration::from_secs(seconds / unit * unit)).to_string()
}

/// The console page of the jobs, if the resource's ARN has a region.
fn links(resource: &str) -> Map<String, Value> {
    let mut parts = resource.split(':');
    let (Some(_), Some(partition), Some(_), Some(region)) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Map::new();
    };
    if region.is_empty() {
        return Map::new();
    }
    let console = crate::console::console(partition);
    let page = format!("https://{region}.{console}/backup/home?region={region}#/jobs");
    Map::from_iter([("jobs".to_owned(), Value::String(page))])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::{SMS_LIMIT, SUBJECT_LIMIT};
    use super::*;
    use crate::backup::Definition;
    use crate::testing::t;

    const TABLE: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/suite";

    fn definition() -> Definition {
        Definition {
            copy_to: Some("arn:aws:backup:us-east-1:123456789012:backup-vault:far".to_owned()),
            ..Definition::of_suite_table(TABLE, "ci", "arn:aws:iam::123456789012:role/backup")
        }
    }

    fn end(how: EndKind, message: Option<&str>) -> End {
        End {
            how,
            message: message.map(str::to_owned),
            at: t(60),
        }
    }

    fn message(what: BackupNewsKind) -> Message {
        let backup = Backup::new("ci", "suite-table", definition(), t(0));
        about_backup(
            &backup,
            &BackupNews {
                slot: t(0),
                at: t(120),
                what,
            },
        )
    }

    #[test]
    fn every_kind_of_news_has_its_words() {
        let failed = end(EndKind::Failed, Some("Access denied"));
        let point = "arn:aws:backup:eu-west-1:123456789012:recovery-point:1".to_owned();
        let all = [
            BackupNewsKind::Ended(failed.clone()),
            BackupNewsKind::Ended(end(EndKind::Failed, None)),
            BackupNewsKind::Ended(end(EndKind::Vanished, Some("AWS Backup no longer has the job"))),
            BackupNewsKind::Ended(end(EndKind::Aborted, Some("Backup job was stopped by user."))),
            BackupNewsKind::Ended(end(EndKind::Expired, None)),
            BackupNewsKind::Ended(end(EndKind::Partial, None)),
            BackupNewsKind::Ended(end(EndKind::Refused, Some("AccessDeniedException: no"))),
            BackupNewsKind::Ended(end(EndKind::WithIssues, Some("12 objects were skipped"))),
            BackupNewsKind::CopyEnded(failed.clone()),
            BackupNewsKind::CopyEnded(end(EndKind::WithIssues, Some("tags were lost"))),
            BackupNewsKind::Stale {
                newest: t(-31 * 3600),
                limit: Duration::from_secs(26 * 3600),
            },
            BackupNewsKind::Missing,
            BackupNewsKind::Recovered {
                from: "failed".to_owned(),
                since: t(-7200),
                copy: false,
            },
            BackupNewsKind::Recovered {
                from: "failed".to_owned(),
                since: t(60),
                copy: true,
            },
            BackupNewsKind::RestoreTested {
                point: point.clone(),
                took: Duration::from_secs(723),
            },
            BackupNewsKind::RestoreFailed { point, end: failed },
            BackupNewsKind::LeftOver {
                resource: "arn:aws:dynamodb:eu-west-1:123456789012:table/x".to_owned(),
                why: "AccessDenied".to_owned(),
            },
        ];
        let lines: Vec<String> = all
            .into_iter()
            .map(|what| {
                let message = message(what);
                assert!(message.sms.chars().count() <= SMS_LIMIT && message.subject.len() <= SUBJECT_LIMIT);
                format!(
                    "{} {}: {}",
                    message.document["severity"].as_str().unwrap_or_default(),
                    message.document["status"].as_str().unwrap_or_default(),
                    message.document["title"].as_str().unwrap_or_default()
                )
            })
            .collect();
        assert_snapshot!(lines.join("\n"), @r"
        error failed: backup suite-table failed: Access denied
        error failed: backup suite-table failed
        error failed: backup suite-table failed: AWS Backup no longer has the job
        error aborted: backup suite-table was aborted: Backup job was stopped by user.
        error expired: backup suite-table expired: it did not start or end within its window
        error partial: backup suite-table is only partial
        error failed: backup suite-table could not be started: AccessDeniedException: no
        warning completed-with-issues: backup suite-table completed with issues: 12 objects were skipped
        error copy-failed: backup suite-table could not be copied: Access denied
        warning completed-with-issues: the copy of backup suite-table completed with issues: tags were lost
        error stale: backup suite-table: the newest recovery point is 1day 7h 2m old; the limit is 1day 2h
        error missing: backup suite-table: there is no recovery point in the vault ci
        info recovered: backup suite-table has recovered after 2h 2m (failed)
        info recovered: the copy of backup suite-table has recovered after 1m (failed)
        info restore-tested: backup suite-table: the newest recovery point was restored in 12m 3s
        error restore-failed: backup suite-table: the newest recovery point could not be restored: Access denied
        error restore-left-over: backup suite-table: the resource that a restore test created was not removed: AccessDenied
        ");
    }

    #[test]
    fn a_message_in_all_its_forms() {
        let message = message(BackupNewsKind::CopyEnded(end(EndKind::Failed, Some("Access denied while copying"))));
        assert_snapshot!(message.subject, @"backup suite-table could not be copied: Access denied while copying");
        assert_snapshot!(message.email, @r"
        backup suite-table could not be copied: Access denied while copying

        Backup:     suite-table
        Resource:   arn:aws:dynamodb:eu-west-1:123456789012:table/suite
        Vault:      ci
        Copy to:    arn:aws:backup:us-east-1:123456789012:backup-vault:far
        Cause:      Access denied while copying
        Console:    https://eu-west-1.console.aws.amazon.com/backup/home?region=eu-west-1#/jobs
        ");
        assert_snapshot!(format!("{:#}", message.document), @r#"
        {
          "backup": "suite-table",
          "cause": "Access denied while copying",
          "copy_to": "arn:aws:backup:us-east-1:123456789012:backup-vault:far",
          "id": "backup/suite-table/copy-failed/2026-09-21T14:15:20Z",
          "kind": "backup",
          "links": {
            "jobs": "https://eu-west-1.console.aws.amazon.com/backup/home?region=eu-west-1#/jobs"
          },
          "resource": "arn:aws:dynamodb:eu-west-1:123456789012:table/suite",
          "severity": "error",
          "status": "copy-failed",
          "time": "2026-09-21T14:15:20Z",
          "title": "backup suite-table could not be copied: Access denied while copying",
          "vault": "ci",
          "version": 1
        }
        "#);
        assert_eq!(
            message.attributes,
            [("kind", "backup"), ("severity", "error"), ("status", "copy-failed")].map(|(name, value)| (name, value.to_owned()))
        );
    }

    #[test]
    fn a_configuration_that_cannot_be_used_is_told_once_a_schedule() {
        let message = about_no_backups("config/bellhop.yaml, line 3: unknown key `x`", t(0), t(5));
        assert_eq!(
            message,
            about_no_backups("config/bellhop.yaml, line 3: unknown key `x`", t(0), t(5))
        );
        assert_snapshot!(message.email, @r"
        no backup was started: config/bellhop.yaml, line 3: unknown key `x`

        Cause:      config/bellhop.yaml, line 3: unknown key `x`
        ");
    }
}
