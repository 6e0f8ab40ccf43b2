//! Instances of EC2, alarms, jobs of AWS Backup and of CodePipeline.

use serde_json::Value;

use super::expected::{Expected, between, seconds, text, without_blanks};

pub(super) fn instance(event: &Value, action: &str) -> Expected {
    Expected::Instance {
        id: text(event, "/detail/instance-id").unwrap(),
        what: text(event, action).unwrap_or_else(|| "rebalance".to_owned()),
    }
}

/// An alarm, whose account and region are its ARN's.
pub(super) fn alarm(detail: &Value, arn: &str, time: Option<String>) -> Expected {
    let (region, account) = whence(arn);
    let evidence: Value = text(detail, "/state/reasonData").map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    let reason = text(detail, "/state/reason").unwrap();
    Expected::Alarm {
        name: text(detail, "/alarmName").unwrap(),
        region,
        account,
        contributor: text(detail, "/alarmContributor/id"),
        change: (text(detail, "/previousState/value"), text(detail, "/state/value").unwrap()),
        at: text(detail, "/state/timestamp").or(time).and_then(|at| without_blanks(&at)),
        threshold: evidence["threshold"].as_f64().or_else(|| between(&reason, "the threshold (", ")")),
        value: evidence["recentDatapoints"][0].as_f64().or_else(|| between(&reason, "[", " (")),
    }
}

pub(super) fn alarm_message(message: &Value, topic: Option<&str>) -> Expected {
    let arn = text(message, "/AlarmArn");
    let reason = text(message, "/NewStateReason").unwrap();
    let (region, account) = match arn.as_deref().map(whence) {
        Some((Some(region), account)) => (Some(region), account),
        _ => topic.map_or((None, None), whence),
    };
    Expected::Alarm {
        name: text(message, "/AlarmName").unwrap(),
        region,
        account: text(message, "/AWSAccountId").or(account),
        contributor: text(message, "/AlarmContributorId"),
        change: (text(message, "/OldStateValue"), text(message, "/NewStateValue").unwrap()),
        at: text(message, "/StateChangeTime").and_then(|at| without_blanks(&at)),
        threshold: message["Trigger"]["Threshold"]
            .as_f64()
            .or_else(|| between(&reason, "the threshold (", ")")),
        value: between(&reason, "[", " (").or_else(|| between(&reason, "1 datapoint (", ")")),
    }
}

/// Region and account of an ARN; placeholders are none.
fn whence(arn: &str) -> (Option<String>, Option<String>) {
    let parts: Vec<&str> = arn.split(':').collect();
    let with_digit = |at: usize| {
        let part = parts.get(at)?.trim();
        part.chars().any(|c| c.is_ascii_digit()).then(|| part.to_owned())
    };
    (with_digit(3), with_digit(4))
}

/// What a job of AWS Backup must come to: its kind, id, state and message in one line.
pub(super) fn job(kind: &str, event: &Value) -> Expected {
    let detail = &event["detail"];
    let field = |name: &str| text(detail, &format!("/{name}"));
    let state = field("status").or(field("state")).unwrap();
    let Some(id) = field(&format!("{}JobId", kind.to_lowercase())) else {
        assert_eq!(state, "CREATED");
        return Expected::Foreign("without an id".into());
    };
    let far = match state.as_str() {
        "CREATED" | "PENDING" | "RUNNING" | "ABORTING" => "underway".into(),
        other => other.to_lowercase(),
    };
    Expected::Job {
        words: format!("{} {id} {far} {}", kind.to_lowercase(), field("statusMessage").unwrap_or_default()),
        resource: field("resourceArn"),
        result: match kind {
            "Backup" if far == "completed" => text(event, "/resources/0"),
            "Copy" => field("destinationRecoveryPointArn"),
            _ => field("createdResourceArn"),
        },
        ended: seconds(&field("completionDate").unwrap_or_default()),
    }
}

pub(super) fn pipeline(job: &Value) -> Expected {
    let id = text(job, "/id").unwrap();
    // Documentation masks ids with letters that no id has; everything of that form is answered.
    if id.len() != 36 {
        return Expected::Malformed("id: ".into());
    }
    let asks = match (
        text(job, "/data/continuationToken"),
        text(job, "/data/actionConfiguration/configuration/UserParameters"),
    ) {
        (Some(_), _) => "continuationToken".into(),
        // No parameters in the corpus are ours.
        (None, Some(text)) if text.starts_with('{') => format!("UserParameters.{}", text.split('"').nth(1).unwrap()),
        (None, _) => "UserParameters".into(),
    };
    Expected::Pipeline { id, asks }
}
