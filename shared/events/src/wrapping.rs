//! Recognizes an input by its form, and opens envelopes: EventBridge events, CodeCommit triggers, CodePipeline jobs, requests, and the
//! [SNS](https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html) and [SQS](https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html) messages
//! that may contain them as text.
//!
//! Only a message's text is read. Typed envelopes require signatures and timestamps that Bellhop does not need, and fail the whole batch if one
//! record lacks them.

use serde_json::{Map, Value};

use crate::decode::{clean, expected};
use crate::{Event, Parsed, Reason, alarm, backup, codecommit, codepipeline, control, function_url, sources, wake};

/// How many nested messages are opened. EventBridge through SNS through SQS, the longest useful way, has two.
const DEEPEST: usize = 4;
/// The longest text that is opened. SQS and SNS carry at most 1 MiB.
const LONGEST_TEXT: usize = 1024 * 1024;
/// The most records that are read of one list. SQS passes at most 10000 to Lambda.
const MOST_RECORDS: usize = 10_000;

/// Parses one input at this depth of nested messages.
pub(crate) fn open(input: &Value, depth: usize, parsed: &mut Parsed) {
    let Some(object) = input.as_object() else {
        return parsed.skip("input", Reason::Foreign(format!("{} is not an event", kind(input))));
    };
    if let Some(list) = object.get("Records") {
        each(list, "Records", parsed, |record, parsed| one_record(record, depth, parsed));
    } else if let Some(job) = object.get(codepipeline::JOB) {
        parsed.add(codepipeline::JOB, codepipeline::job(job));
    } else if object.contains_key("alarmArn") && object.contains_key("alarmData") {
        parsed.add("aws.cloudwatch alarm action", alarm::action(input));
    } else if alarm::is_notification(object) {
        parsed.add(alarm::NOTIFICATION, alarm::notification(input, None));
    } else if let Some(kind) = text(object, "detail-type") {
        event_bridge(input, text(object, "source"), kind, parsed);
    } else if let Some(kind) = text(object, "detailType") {
        notification(input, text(object, "source"), kind, parsed);
    } else if text(object, "Event") == Some("s3:TestEvent") {
        parsed.skip(
            "s3:TestEvent",
            Reason::Foreign("the notification was configured, nothing was stored".into()),
        );
    } else if text(object, "Type") == Some("Notification") && object.contains_key("Message") {
        let topic = text(object, "TopicArn");
        message("SNS message", object.get("Message"), ("Message", topic), depth, parsed);
    } else if let Some(list) = object.get("Messages").filter(|list| list.is_array()) {
        each(list, "Messages", parsed, |item, parsed| {
            message("SQS message", item.get("Body"), ("Body", None), depth, parsed);
        });
    } else if text(object, "Body").is_some() {
        message("SQS message", object.get("Body"), ("Body", None), depth, parsed);
    } else if control::is_request(object) {
        parsed.events.push(Event::Request(control::submitted(input)));
    } else if function_url::is_http(object) {
        parsed.skip(
            "HTTP request",
            Reason::Foreign("only the function behind the function URL reads it".into()),
        );
    } else if wake::is_wake_up(object) {
        parsed.add("wake-up", wake::parse(object));
    } else if backup::is_request(object) {
        parsed.events.push(Event::BackupRequest(backup::request(input)));
    } else {
        parsed.skip("input", Reason::Foreign(unknown(object)));
    }
}

fn event_bridge(event: &Value, source: Option<&str>, kind: &str, parsed: &mut Parsed) {
    add_or_skip(sources::event(source.unwrap_or_default(), kind, event), title(source, kind), parsed);
}

fn notification(event: &Value, source: Option<&str>, kind: &str, parsed: &mut Parsed) {
    add_or_skip(
        sources::notification(source.unwrap_or_default(), kind, event),
        title(source, kind),
        parsed,
    );
}

fn add_or_skip(result: Option<Result<Event, Reason>>, what: String, parsed: &mut Parsed) {
    parsed.add(what, result.unwrap_or_else(|| Err(nothing_to_do())));
}

/// A record of a batch, recognized by its source, or by its content if an intermediary removed the source.
fn one_record(record: &Value, depth: usize, parsed: &mut Parsed) {
    let Some(object) = record.as_object() else {
        return parsed.skip("record", expected("Records[]", "an object"));
    };
    match text(object, "eventSource").or_else(|| text(object, "EventSource")) {
        Some("aws:sns") => sns_record(record, depth, parsed),
        Some("aws:sqs") => message("SQS record", record.get("body"), ("body", None), depth, parsed),
        Some(codecommit::TRIGGER_SOURCE) => codecommit::trigger_record(record, parsed),
        Some(other) => parsed.skip(format!("{} record", clean(other, 50)), nothing_to_do()),
        None if object.contains_key("Sns") => sns_record(record, depth, parsed),
        None if object.contains_key("codecommit") => codecommit::trigger_record(record, parsed),
        None if object.contains_key("body") => message("SQS record", record.get("body"), ("body", None), depth, parsed),
        None => parsed.skip("record", Reason::Foreign(unknown(object))),
    }
}

fn sns_record(record: &Value, depth: usize, parsed: &mut Parsed) {
    let topic = record.pointer("/Sns/TopicArn").and_then(Value::as_str);
    message("SNS record", record.pointer("/Sns/Message"), ("Sns.Message", topic), depth, parsed);
}

/// Opens a message's text, which is JSON or plain text. `topic` is the topic that it was sent to, if known: it may be the only source of an alarm's
/// account and region.
fn message(what: &str, content: Option<&Value>, (path, topic): (&str, Option<&str>), depth: usize, parsed: &mut Parsed) {
    let Some(content) = content.and_then(Value::as_str) else {
        return parsed.skip(what, expected(path, "a string"));
    };
    if depth == DEEPEST {
        return parsed.skip(what, Reason::Excessive(format!("messages are nested more than {DEEPEST} deep")));
    }
    if content.len() > LONGEST_TEXT {
        return parsed.skip(what, Reason::Excessive(format!("{path} is longer than {LONGEST_TEXT} bytes")));
    }
    match read(content) {
        // A JSON string inside a string, as input transformers write it.
        Ok(Value::String(inner)) => message(what, Some(&Value::String(inner)), (path, topic), depth + 1, parsed),
        Ok(inner) if inner.as_object().is_some_and(alarm::is_notification) => {
            parsed.add(alarm::NOTIFICATION, alarm::notification(&inner, topic));
        }
        Ok(inner) => open(&inner, depth + 1, parsed),
        Err(error) if content.trim_start().starts_with('{') => parsed.skip(
            what,
            Reason::Malformed(format!(
                "{path}: expected JSON, but it is invalid at line {}, column {}",
                error.line(),
                error.column()
            )),
        ),
        Err(_) => parsed.skip(
            what,
            Reason::Foreign(format!("plain text of {} characters", content.chars().count())),
        ),
    }
}

/// Parses a text as JSON, without a byte order mark. An unpaired UTF-16 surrogate, which JSON allows and Rust strings cannot hold, becomes the
/// replacement character: such texts are optional details.
fn read(text: &str) -> serde_json::Result<Value> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).or_else(|error| {
        let whole = without_half_pairs(text);
        if whole == text { Err(error) } else { serde_json::from_str(&whole) }
    })
}

/// A JSON text with `\ufffd` in place of every unpaired surrogate escape.
fn without_half_pairs(text: &str) -> String {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut whole = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (kept, length) = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (text.get(at..at + 12), 12),
            (Some(0xd800..=0xdfff), _) => (Some("\\ufffd"), 6),
            // An escaped character cannot begin another escape.
            _ if rest.starts_with('\\') => {
                let length = 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
                (rest.get(..length), length)
            }
            _ => {
                let length = rest.find('\\').unwrap_or(rest.len());
                (rest.get(..length), length)
            }
        };
        whole.push_str(kept.unwrap_or_default());
        at += length;
    }
    whole
}

fn each(list: &Value, path: &str, parsed: &mut Parsed, mut one: impl FnMut(&Value, &mut Parsed)) {
    let Some(items) = list.as_array() else {
        return parsed.skip(path, expected(path, "a list"));
    };
    for item in items.iter().take(MOST_RECORDS) {
        one(item, parsed);
    }
    if items.len() > MOST_RECORDS {
        parsed.skip(
            path,
            Reason::Excessive(format!("{} entries, more than {MOST_RECORDS}", items.len())),
        );
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn title(source: Option<&str>, kind: &str) -> String {
    format!("{} {}", clean(source.unwrap_or("(no source)"), 50), clean(kind, 100))
}

fn nothing_to_do() -> Reason {
    Reason::Foreign("an event that Bellhop does not handle".into())
}

fn unknown(object: &Map<String, Value>) -> String {
    let keys: Vec<String> = object.keys().take(5).map(|key| clean(key, 30)).collect();
    format!(
        "of an unknown kind, with the keys {}",
        if keys.is_empty() { "(none)".into() } else { keys.join(", ") }
    )
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use crate::parse;

    use super::*;

    fn trigger() -> Value {
        json!({ "Records": [{
            "eventSource": "aws:codecommit", "eventId": "1", "eventSourceARN": "arn:aws:codecommit:us-east-1:123456789012:shop",
            "codecommit": { "references": [{ "commit": "ab".repeat(20), "ref": "refs/heads/main" }] },
        }] })
    }

    fn skipped(input: &Value) -> Vec<String> {
        let parsed = parse(input);
        assert_eq!(parsed.events, []);
        parsed.skipped.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn odd_texts_are_read() {
        let body = trigger().to_string();
        let half = body.replacen(
            "\"eventId\"",
            "\"userIdentityARN\":\"arn:aws:iam::1:user/\\\\ud83d\\ud800 \\ud83c\\udf88\",\"eventId\"",
            1,
        );
        for text in [
            format!("\u{feff}{body}"),
            format!("\n {body}\n"),
            Value::String(body.clone()).to_string(),
            half,
        ] {
            let parsed = parse(&json!({ "Type": "Notification", "Message": text }));
            assert_eq!((parsed.events.len(), parsed.skipped.len()), (1, 0), "{text}");
        }
    }

    #[test]
    fn only_half_pairs_are_replaced() {
        for (text, whole) in [
            (r#""\ud83c\udf88""#, r#""\ud83c\udf88""#),
            (r#""\ud83c""#, r#""\ufffd""#),
            (r#""\udf88\ud83c x""#, r#""\ufffd\ufffd x""#),
            (r#""\\ud83c""#, r#""\\ud83c""#),
            (r#""\u0041\n\ü""#, r#""\u0041\n\ü""#),
            (r#""\u""#, r#""\u""#),
            ("\\", "\\"),
        ] {
            assert_eq!(without_half_pairs(text), whole, "{text}");
        }
    }

    #[test]
    fn every_wrapping_is_taken_off() {
        let body = trigger().to_string();
        let envelope = json!({ "Type": "Notification", "Message": body });
        let wrappings = [
            envelope.clone(),
            json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": body } }] }),
            json!({ "Records": [{ "Sns": { "Message": body } }] }),
            json!({ "Records": [{ "eventSource": "aws:sqs", "body": body }] }),
            json!({ "Records": [{ "body": envelope.to_string() }] }),
            json!({ "Messages": [{ "MessageId": "1", "Body": body }] }),
            json!({ "MessageId": "1", "Body": envelope.to_string() }),
        ];
        for wrapped in wrappings {
            let parsed = parse(&wrapped);
            assert!(matches!(parsed.events.as_slice(), [Event::Push(_)]), "{wrapped}: {parsed:?}");
            assert_eq!(parsed.skipped, []);
        }
    }

    #[test]
    fn messages_may_be_prose_or_broken() {
        let message = |text: &str| json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": text } }] });
        assert_eq!(
            skipped(&message("[Disk] is full")),
            ["SNS record: foreign: plain text of 14 characters"]
        );
        assert_eq!(skipped(&message("42")), ["input: foreign: a number is not an event"]);
        let body = trigger().to_string();
        let cut = skipped(&message(&body[..body.len() - 2]));
        assert!(
            cut[0].starts_with("SNS record: malformed: Sns.Message: expected JSON, but it is invalid at line 1"),
            "{cut:?}"
        );
        assert_eq!(
            skipped(&json!({ "Records": [{ "EventSource": "aws:sns", "Sns": {} }, 5] })),
            [
                "SNS record: malformed: Sns.Message: expected a string",
                "record: malformed: Records[]: expected an object"
            ]
        );
        assert_eq!(
            skipped(&json!({ "Records": "none" })),
            ["Records: malformed: Records: expected a list"]
        );
    }

    #[test]
    fn what_is_not_ours_is_foreign_and_not_quoted() {
        let inputs = [
            json!({ "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm Configuration Change", "detail": { "note": "s3cret" } }),
            json!({ "source": "someone.else", "detail-type": "Scheduled Event", "detail": "{}" }),
            json!({ "source": "someone.else", "detail-type": "ECS Task State Change", "detail": { "note": "s3cret" } }),
            json!({ "source": "aws.codecommit", "detailType": "CodeCommit Pull Request State Change", "detail": {} }),
            json!({ "detail-type": "ECS Task State Change", "detail": {} }),
            json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "shop" }),
            json!({ "Type": "SubscriptionConfirmation", "Token": "s3cret", "Message": "You have chosen to subscribe" }),
            json!({ "Records": [{ "eventSource": "aws:s3", "s3": {} }] }),
            json!({ "Records": [{ "kinesis": {} }] }),
            json!({ "begin": { "repository": "s3cret" } }),
            json!({ "source": "aws.codepipeline", "detail-type": "CodePipeline Pipeline Execution State Change", "detail": { "start": {} } }),
            json!({ "Body": { "TOKEN": "s3cret" } }),
            json!({}),
            json!(null),
            json!("s3cret"),
            json!([1]),
        ];
        for input in inputs {
            let lines = skipped(&input);
            assert_eq!(lines.len(), 1, "{input}");
            assert!(lines[0].contains(": foreign: ") && !lines[0].contains("s3cret"), "{lines:?}");
        }
    }

    #[test]
    fn a_job_without_an_id_is_malformed_and_not_quoted() {
        let job = json!({ "CodePipeline.job": { "data": { "artifactCredentials": { "secretAccessKey": "s3cret" } } } });
        assert_eq!(skipped(&job), ["CodePipeline.job: malformed: id: expected the id of the job"]);
    }

    #[test]
    fn a_request_is_known_by_its_verb() {
        for verb in ["start", "cancel", "retry", "show", "list"] {
            let parsed = parse(&json!({ verb: 5, "note": 1 }));
            assert!(matches!(parsed.events.as_slice(), [Event::Request(Err(_))]), "{parsed:?}");
        }
        let parsed = parse(&json!({ "Records": [{ "body": json!({ "show": { "run": "abcdefghij" } }).to_string() }] }));
        assert!(matches!(parsed.events.as_slice(), [Event::Request(Ok(_))]), "{parsed:?}");
    }

    #[test]
    fn a_record_may_be_broken_without_the_next_suffering() {
        let mut input = trigger();
        let good = input["Records"][0].clone();
        input["Records"] = json!([{ "eventSource": "aws:codecommit" }, good, { "eventSource": "aws:sqs", "body": "{" }, good]);
        let parsed = parse(&input);
        assert_eq!((parsed.events.len(), parsed.skipped.len()), (2, 2));
        assert!(parsed.skipped.iter().all(|skipped| matches!(skipped.why, Reason::Malformed(_))));
        assert_eq!(parsed.skipped.first().unwrap().what, "aws:codecommit record");
    }
}
