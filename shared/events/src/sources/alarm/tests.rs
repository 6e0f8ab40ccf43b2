#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use serde_json::json;

use super::*;
use crate::parse;

fn read(input: &Value) -> AlarmChange {
    let parsed = parse(input);
    match parsed.events.as_slice() {
        [Event::Alarm(change)] => (**change).clone(),
        _ => panic!("no alarm: {parsed:?}"),
    }
}

fn skipped(input: &Value) -> String {
    let parsed = parse(input);
    assert_eq!(parsed.events, []);
    parsed.skipped[0].to_string()
}

fn event(detail: &Value) -> Value {
    json!({
        "source": SOURCE, "detail-type": STATE_CHANGE, "account": "123456789012", "region": "eu-west-1", "time": "2026-03-02T09:14:05Z",
        "resources": ["arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a"], "detail": detail,
    })
}

#[test]
fn name_and_state_are_all_it_takes() {
    let change = read(&event(&json!({ "alarmName": "a", "state": { "value": "ALARM" } })));
    assert_eq!(change.id.key(), "eu-west-1/123456789012/a");
    assert_eq!((change.state, change.previous, change.quiet), (AlarmState::Alarm, None, None));
    assert_eq!(change.at.unwrap().to_string(), "2026-03-02T09:14:05Z", "the envelope's time");
    assert_eq!(change.facts, AlarmFacts::default());
    let change = read(&json!({ "AlarmName": "a", "NewStateValue": "OK", "AlarmDescription": null, "Trigger": null }));
    assert_eq!(change.id.key(), "-/-/a");
    assert_eq!((change.state, change.at), (AlarmState::Ok, None));
}

#[test]
fn what_is_broken_is_named_with_what_was_expected() {
    for (input, words) in [
        (event(&json!("ALARM")), "malformed: detail: expected an object"),
        (
            event(&json!({ "state": { "value": "OK" } })),
            "malformed: detail.alarmName: expected a name of at most 255 characters in one line",
        ),
        (
            event(&json!({ "alarmName": "x".repeat(256), "state": { "value": "OK" } })),
            "malformed: detail.alarmName: expected a name of at most",
        ),
        (
            event(&json!({ "alarmName": "a\nb", "state": { "value": "OK" } })),
            "malformed: detail.alarmName: expected a name of at most",
        ),
        (
            event(&json!({ "alarmName": "a", "state": { "value": "s3cret" } })),
            "malformed: detail.state.value: expected OK, ALARM or INSUFFICIENT_DATA",
        ),
        (
            json!({ "alarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a", "alarmData": { "alarmName": "a" } }),
            "malformed: alarmData.state.value: expected OK, ALARM",
        ),
        (
            json!({ "AlarmName": 5, "NewStateValue": "OK" }),
            "malformed: AlarmName: expected a name",
        ),
        (
            json!({ "source": SOURCE, "detail-type": CONTRIBUTOR_STATE_CHANGE, "detail": { "alarmName": "a", "state": { "value": "OK" } } }),
            "malformed: detail.alarmContributor.id: expected a string",
        ),
    ] {
        let line = skipped(&input);
        assert!(line.contains(words) && !line.contains("s3cret"), "{line}");
    }
}

#[test]
fn region_and_account_are_the_alarms_or_its_topics() {
    let message = |arn: Value| json!({ "AlarmName": "a", "NewStateValue": "OK", "AlarmArn": arn, "Region": "EU (Ireland)" }).to_string();
    let of = |text: String, topic: &str| {
        let record = json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "TopicArn": topic, "Message": text } }] });
        read(&record).id.key()
    };
    let topic = "arn:aws:sns:eu-central-1:111122223333:alarms";
    let arn = json!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a");
    assert_eq!(of(message(arn), topic), "eu-west-1/123456789012/a");
    assert_eq!(of(message(json!(null)), topic), "eu-central-1/111122223333/a");
    assert_eq!(
        of(message(json!("arn:aws:cloudwatch:REGION:ACCOUNT:alarm:a")), topic),
        "eu-central-1/111122223333/a"
    );
    assert_eq!(of(message(json!(null)), "alarms"), "-/-/a");
    let envelope = json!({ "Type": "Notification", "TopicArn": topic, "Message": message(json!(null)) });
    assert_eq!(read(&envelope).id.key(), "eu-central-1/111122223333/a");
    let queued = json!({ "Records": [{ "eventSource": "aws:sqs", "body": envelope.to_string() }] });
    assert_eq!(read(&queued).id.key(), "eu-central-1/111122223333/a");
}

#[test]
fn a_reason_tells_value_threshold_and_comparison() {
    for (reason, value, threshold, comparison) in [
        (
            "Threshold Crossed: 1 out of the last 1 datapoints [99.50160229693434 (02/10/19 16:59:00)] was greater than the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition).",
            Some("99.502"),
            Some("50"),
            Some(Comparison::Above),
        ),
        (
            "Threshold Crossed: 1 datapoint (10.0) was greater than or equal to the threshold (10.0).",
            Some("10"),
            Some("10"),
            Some(Comparison::AtLeast),
        ),
        (
            "Threshold Crossed: 1 datapoint [0.5 (12/02/19 15:44:00)] was not less than the threshold (1.0E-5).",
            Some("0.5"),
            Some("0.00001"),
            Some(Comparison::Below),
        ),
        (
            "Thresholds Crossed: 1 out of the last 1 datapoints [0.0 (03/10/19 15:58:00)] was less than the lower thresholds [-0.25] or greater than the upper thresholds [0.5]",
            Some("0"),
            Some("-0.25 to 0.5"),
            Some(Comparison::Outside),
        ),
        (
            "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching].",
            None,
            None,
            None,
        ),
        ("Unchecked: Initial alarm creation", None, None, None),
        ("", None, None, None),
    ] {
        let facts = read(&event(
            &json!({ "alarmName": "a", "state": { "value": "ALARM", "reason": reason } }),
        ))
        .facts;
        assert_eq!(
            (facts.value.as_deref(), facts.threshold.as_deref(), facts.comparison),
            (value, threshold, comparison),
            "{reason}"
        );
    }
}

#[test]
fn the_newest_of_several_values_counts() {
    let data = json!({
        "recentDatapoints": [1.0, 2.0], "threshold": 1.5,
        "evaluatedDatapoints": [
            { "timestamp": "2026-03-02T09:13:00.000+0000", "value": 3.0 },
            { "timestamp": "2026-03-02T09:14:00.000+0000", "value": 4.0 },
            { "timestamp": "2026-03-02T09:15:00.000+0000" },
        ],
    });
    let with = |data: &Value| {
        let state = json!({ "value": "ALARM", "reason": "by hand", "reasonData": data.to_string() });
        read(&event(&json!({ "alarmName": "a", "state": state }))).facts.value
    };
    assert_eq!(with(&data).as_deref(), Some("4"));
    assert_eq!(with(&json!({ "recentDatapoints": [1.0, 2.0] })).as_deref(), Some("2"));
    assert_eq!(with(&json!({ "recentDatapoints": [] })), None);
}

#[test]
fn numbers_are_short() {
    for (value, text) in [
        (0.0, "0"),
        (-3.0, "-3"),
        (1_234_567.0, "1234567"),
        (7.142_857, "7.1429"),
        (1_234.56, "1234.6"),
        (123_456.7, "123457"),
        (0.020_599_4, "0.020599"),
        (0.1 + 0.2, "0.3"),
        (1.5e-9, "1.5000e-9"),
        (1e20, "1.0000e20"),
    ] {
        assert_eq!(number(value).unwrap(), text);
    }
    assert_eq!(number(f64::NAN), None);
}

#[test]
fn a_mute_rule_counts_while_its_window_is_open() {
    let muted = |from: &str, to: &str| {
        let rule = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm-mute-rule:nightly";
        read(&event(&json!({
            "alarmName": "a", "state": { "value": "ALARM", "timestamp": "2026-03-02T09:14:05.000+0000" },
            "muteDetail": { "mutedByArn": rule, "muteWindowStart": from, "muteWindowEnd": to },
        })))
        .quiet
    };
    let (before, after) = ("2026-03-02T09:00:00.000+0000", "2026-03-02T10:00:00.000+0000");
    assert_eq!(muted(before, after).as_deref(), Some("it is muted by nightly"));
    assert_eq!(muted(after, "2026-03-02T11:00:00.000+0000"), None);
    assert_eq!(muted("2026-03-01T09:00:00.000+0000", before), None);
}

#[test]
fn foreign_text_is_cut_and_cleaned() {
    let facts = read(&event(&json!({
        "alarmName": "a", "state": { "value": "ALARM", "reason": "line\none \u{1b}[31mred" },
        "configuration": {
            "description": "x".repeat(5000),
            "metrics": [{ "metricStat": { "metric": { "name": "M", "dimensions": (0..40).map(|i| (format!("d{i}"), json!("v"))).collect::<serde_json::Map<_, _>>() } } }],
        },
    })))
    .facts;
    assert_eq!(facts.reason.as_deref(), Some("line one  [31mred"));
    assert_eq!(facts.description.unwrap().chars().count(), 503);
    assert_eq!(facts.dimensions.len(), 10);
}

#[test]
fn times_may_have_blanks_in_them() {
    let change = read(&event(
        &json!({ "alarmName": "a", "state": { "value": "OK", "timestamp": "2026-03-02T09: 14: 03.250+0000" } }),
    ));
    assert_eq!(change.at.unwrap().to_string(), "2026-03-02T09:14:03.25Z");
}
