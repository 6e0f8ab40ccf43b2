//! State changes of CloudWatch alarms, in their three forms: [events of
//! EventBridge](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html), the alarm's [direct invocation of a
//! function](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html), and its [messages on an SNS
//! topic](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html).
//!
//! Metric, math, anomaly and composite alarms have different fields. The typed events of `aws_lambda_events` fail on several of them, so every field
//! except name and state is optional here. Texts are reduced to one line.

use std::collections::BTreeMap;

use bellhop_domain::alarm::{AlarmChange, AlarmFacts, AlarmId, AlarmState, Comparison};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::decode::{clean, expected, timestamp};
use crate::{Event, Parser, Reason};

/// The events of this source.
pub(crate) const EVENTS: &[Parser] = &[
    Parser::of(SOURCE, STATE_CHANGE, state_change),
    Parser::of(SOURCE, CONTRIBUTOR_STATE_CHANGE, contributor_state_change),
];

/// `source` of the events.
const SOURCE: &str = "aws.cloudwatch";
/// `detail-type` of an alarm's state change.
const STATE_CHANGE: &str = "CloudWatch Alarm State Change";
/// `detail-type` of a state change of one of an alarm's time series.
const CONTRIBUTOR_STATE_CHANGE: &str = "CloudWatch Alarm Contributor State Change";
/// The name of an alarm's SNS message in logs.
pub(crate) const NOTIFICATION: &str = "alarm notification";

/// The longest name that CloudWatch gives an alarm, in characters.
const LONGEST_NAME: usize = 255;
/// The longest reason or description that is stored.
const LONGEST_TEXT: usize = 500;
/// The longest name inside an alarm that is stored.
const LONGEST_WORD: usize = 150;
/// The most dimensions that are stored; CloudWatch allows 30.
const MOST_DIMENSIONS: usize = 10;
/// The most alarms that are stored as the reason of a composite one.
const MOST_CAUSES: usize = 5;

/// Parses an alarm's state change from EventBridge.
fn state_change(event: &Value) -> Result<Event, Reason> {
    let arn = text(event, "/resources/0");
    change(
        event.get("detail").unwrap_or(&Value::Null),
        "detail",
        &Envelope::of(event, arn, "/account"),
    )
}

/// Parses a contributor's state change from EventBridge.
fn contributor_state_change(event: &Value) -> Result<Event, Reason> {
    if text(event, "/detail/alarmContributor/id").is_none() {
        return Err(expected("detail.alarmContributor.id", "a string"));
    }
    state_change(event)
}

/// Parses an alarm's direct invocation.
pub(crate) fn action(input: &Value) -> Result<Event, Reason> {
    let arn = text(input, "/alarmArn");
    change(
        input.get("alarmData").unwrap_or(&Value::Null),
        "alarmData",
        &Envelope::of(input, arn, "/accountId"),
    )
}

/// Whether an object is an alarm's SNS message.
pub(crate) fn is_notification(object: &Map<String, Value>) -> bool {
    object.contains_key("AlarmName") && object.contains_key("NewStateValue")
}

/// Parses an alarm's SNS message. Older ones have only the region's display name; then the region of the topic's ARN applies, which is the same.
pub(crate) fn notification(message: &Value, topic: Option<&str>) -> Result<Event, Reason> {
    let envelope = Envelope {
        region: None,
        account: text(message, "/AWSAccountId"),
        time: None,
        arns: [text(message, "/AlarmArn"), topic],
    };
    let trigger = message.get("Trigger").unwrap_or(&Value::Null);
    let reason = text(message, "/NewStateReason");
    let state = state(message, "/NewStateValue", "NewStateValue")?;
    let mut facts = AlarmFacts {
        description: line(message, "/AlarmDescription", LONGEST_TEXT),
        rule: line(message, "/AlarmRule", LONGEST_TEXT),
        because: names(message.get("TriggeringChildren"), "/Arn"),
        ..AlarmFacts::default()
    };
    match trigger.get("Metrics").and_then(Value::as_array) {
        Some(metrics) => measured(&mut facts, metrics, &SNS_KEYS),
        None => {
            facts.measure = line(trigger, "/MetricName", LONGEST_WORD);
            facts.namespace = line(trigger, "/Namespace", LONGEST_WORD);
            facts.dimensions = dimensions(trigger.get("Dimensions"));
        }
    }
    facts.threshold = trigger.get("Threshold").and_then(Value::as_f64).and_then(number);
    facts.comparison = text(trigger, "/ComparisonOperator").and_then(comparison);
    explain(&mut facts, reason, None);
    let contributor = text(message, "/AlarmContributorId");
    if contributor.is_some() {
        facts.dimensions = dimensions(message.get("AlarmContributorAttributes"));
    }
    Ok(Event::Alarm(Box::new(AlarmChange {
        id: envelope.id(text(message, "/AlarmName"), contributor, "AlarmName")?,
        state,
        at: text(message, "/StateChangeTime").and_then(moment),
        previous: text(message, "/OldStateValue").and_then(word),
        quiet: None,
        facts,
    })))
}

/// The fields around the alarm's data.
struct Envelope<'a> {
    region: Option<&'a str>,
    account: Option<&'a str>,
    time: Option<&'a str>,
    /// ARNs of the alarm's region and account, the most trustworthy first.
    arns: [Option<&'a str>; 2],
}

impl<'a> Envelope<'a> {
    fn of(event: &'a Value, arn: Option<&'a str>, account: &str) -> Self {
        Self {
            region: text(event, "/region"),
            account: text(event, account),
            time: text(event, "/time"),
            arns: [arn, None],
        }
    }

    fn id(&self, name: Option<&str>, contributor: Option<&str>, path: &str) -> Result<AlarmId, Reason> {
        let fits = |name: &&str| (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        let name = name
            .filter(fits)
            .ok_or_else(|| expected(path, "a name of at most 255 characters in one line"))?;
        let region = self.region.into_iter().chain(self.part_of_arn(3)).find(|region| is_region(region));
        let account = self
            .account
            .into_iter()
            .chain(self.part_of_arn(4))
            .find(|account| is_account(account));
        Ok(AlarmId {
            region: region.map(str::to_owned),
            account: account.map(str::to_owned),
            name: name.to_owned(),
            contributor: contributor.map(|id| clean(id, LONGEST_WORD)),
        })
    }

    fn part_of_arn(&self, part: usize) -> impl Iterator<Item = &'a str> {
        self.arns
            .into_iter()
            .flatten()
            .filter_map(move |arn| arn.split(':').nth(part).map(str::trim))
    }
}

fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_account(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit())
}

/// Parses the fields that events and direct invocations have in common.
fn change(data: &Value, path: &str, envelope: &Envelope<'_>) -> Result<Event, Reason> {
    if !data.is_object() {
        return Err(expected(path, "an object"));
    }
    let contributor = text(data, "/alarmContributor/id");
    let id = envelope.id(text(data, "/alarmName"), contributor, &format!("{path}.alarmName"))?;
    let state = state(data, "/state/value", &format!("{path}.state.value"))?;
    let at = text(data, "/state/timestamp").or(envelope.time).and_then(moment);
    let mut facts = AlarmFacts {
        description: line(data, "/configuration/description", LONGEST_TEXT),
        rule: line(data, "/configuration/alarmRule", LONGEST_TEXT),
        ..AlarmFacts::default()
    };
    if let Some(metrics) = data.pointer("/configuration/metrics").and_then(Value::as_array) {
        measured(&mut facts, metrics, &EVENT_KEYS);
    }
    let evidence = text(data, "/state/reasonData").and_then(|text| serde_json::from_str::<Value>(text).ok());
    explain(&mut facts, text(data, "/state/reason"), evidence.as_ref());
    if contributor.is_some() {
        facts.dimensions = dimensions(data.pointer("/alarmContributor/attributes"));
    }
    Ok(Event::Alarm(Box::new(AlarmChange {
        id,
        state,
        at,
        previous: text(data, "/previousState/value").and_then(word),
        quiet: quiet(data, at),
        facts,
    })))
}

/// Why the alarm's actions are disabled: they are suppressed, or a mute rule's window is open.
fn quiet(data: &Value, at: Option<Timestamp>) -> Option<String> {
    if let Some(by) = line(data, "/state/actionsSuppressedBy", LONGEST_WORD) {
        return Some(format!("its actions are suppressed by {by}"));
    }
    let rule = data.get("muteDetail").filter(|detail| detail.is_object())?;
    let time = |path: &str| text(rule, path).and_then(moment);
    let began = time("/muteWindowStart").zip(at).is_none_or(|(start, at)| start <= at);
    let ended = time("/muteWindowEnd").zip(at).is_some_and(|(end, at)| end <= at);
    let name = text(rule, "/mutedByArn").and_then(|arn| arn.rsplit(':').next()).unwrap_or("a rule");
    (began && !ended).then(|| format!("it is muted by {}", clean(name, LONGEST_WORD)))
}

/// The location of the metric data in each form.
struct Keys {
    name: &'static str,
    namespace: &'static str,
    dimensions: &'static str,
    returned: &'static str,
    label: &'static str,
    expression: &'static str,
}

const EVENT_KEYS: Keys = Keys {
    name: "/metricStat/metric/name",
    namespace: "/metricStat/metric/namespace",
    dimensions: "/metricStat/metric/dimensions",
    returned: "/returnData",
    label: "/label",
    expression: "/expression",
};

const SNS_KEYS: Keys = Keys {
    name: "/MetricStat/Metric/MetricName",
    namespace: "/MetricStat/Metric/Namespace",
    dimensions: "/MetricStat/Metric/Dimensions",
    returned: "/ReturnData",
    label: "/Label",
    expression: "/Expression",
};

/// The measure of an alarm: its metric, or, for a math alarm, its expression.
fn measured(facts: &mut AlarmFacts, metrics: &[Value], keys: &Keys) {
    let returned = |metric: &&Value| metric.pointer(keys.returned) != Some(&Value::Bool(false));
    let plain = |metric: &&Value| metric.pointer(keys.name).is_some();
    let chosen = metrics
        .iter()
        .find(|metric| returned(metric) && plain(metric))
        .or_else(|| metrics.iter().find(returned));
    let Some(metric) = chosen.or_else(|| metrics.first()) else { return };
    facts.measure = [keys.name, keys.label, keys.expression]
        .iter()
        .find_map(|path| line(metric, path, LONGEST_WORD));
    facts.namespace = line(metric, keys.namespace, LONGEST_WORD);
    facts.dimensions = dimensions(metric.pointer(keys.dimensions));
}

/// Dimensions: an object in events, a list of pairs in messages.
fn dimensions(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs: Vec<(&str, &str)> = match value {
        Some(Value::Object(map)) => map
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
            .collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|pair| Some((text(pair, "/name")?, text(pair, "/value")?)))
            .collect(),
        _ => Vec::new(),
    };
    let cleaned = pairs
        .into_iter()
        .map(|(name, value)| (clean(name, LONGEST_WORD), clean(value, LONGEST_WORD)));
    cleaned.take(MOST_DIMENSIONS).collect()
}

/// Value and threshold, from the reason's data if present, otherwise from the reason's text.
fn explain(facts: &mut AlarmFacts, reason: Option<&str>, evidence: Option<&Value>) {
    facts.reason = reason.map(|reason| clean(reason, LONGEST_TEXT));
    let reason = reason.unwrap_or_default();
    if let Some(evidence) = evidence {
        facts.threshold = evidence
            .get("threshold")
            .and_then(Value::as_f64)
            .and_then(number)
            .or_else(|| band(last(evidence, "recentLowerThresholds"), last(evidence, "recentUpperThresholds")));
        facts.because = names(evidence.get("triggeringAlarms"), "/arn");
    }
    // The list has no times, so its order is unknown; the reason begins with the newest value.
    facts.value = evidence
        .and_then(newest)
        .or_else(|| value_in(reason))
        .or_else(|| evidence.and_then(|evidence| last(evidence, "recentDatapoints")).and_then(number));
    facts.threshold = facts.threshold.take().or_else(|| threshold_in(reason));
    facts.comparison = facts.comparison.or_else(|| comparison_in(reason));
}

/// The newest of the evaluated values, if they have times.
fn newest(evidence: &Value) -> Option<String> {
    let evaluated = evidence.get("evaluatedDatapoints").and_then(Value::as_array);
    let timed = evaluated
        .into_iter()
        .flatten()
        .filter_map(|point| Some((text(point, "/timestamp").and_then(moment)?, point.get("value")?.as_f64()?)));
    timed.max_by_key(|(at, _)| *at).and_then(|(_, value)| number(value))
}

fn last(evidence: &Value, list: &str) -> Option<f64> {
    evidence.get(list)?.as_array()?.last()?.as_f64()
}

fn band(lower: Option<f64>, upper: Option<f64>) -> Option<String> {
    Some(format!("{} to {}", number(lower?)?, number(upper?)?))
}

/// The names of alarms, from a list of their ARNs.
fn names(list: Option<&Value>, path: &str) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    let arns = list.filter_map(|item| text(item, path));
    arns.map(|arn| clean(arn.split_once(":alarm:").map_or(arn, |(_, name)| name), LONGEST_WORD))
        .take(MOST_CAUSES)
        .collect()
}

/// The first value in a reason such as `Threshold Crossed: 1 datapoint [2.0 (02/03/26 09:14:00)] was …`, which is the newest, or in the form without
/// times: `1 datapoint (2.0) was …`.
fn value_in(reason: &str) -> Option<String> {
    let (_, rest) = reason.split_once('[').or_else(|| reason.split_once("datapoint ("))?;
    number(leading(rest)?)
}

fn threshold_in(reason: &str) -> Option<String> {
    let after = |words: &str| reason.split_once(words).and_then(|(_, rest)| leading(rest));
    match after("the threshold (") {
        Some(threshold) => number(threshold),
        None => band(after("lower thresholds ["), after("upper thresholds [")),
    }
}

fn comparison_in(reason: &str) -> Option<Comparison> {
    if reason.contains("lower thresholds [") {
        return Some(Comparison::Outside);
    }
    let (before, _) = reason.split_once(" the threshold (")?;
    [
        ("greater than or equal to", Comparison::AtLeast),
        ("less than or equal to", Comparison::AtMost),
        ("greater than", Comparison::Above),
        ("less than", Comparison::Below),
    ]
    .iter()
    .find(|(words, _)| before.ends_with(words))
    .map(|(_, comparison)| *comparison)
}

fn comparison(word: &str) -> Option<Comparison> {
    Some(match word {
        "GreaterThanThreshold" => Comparison::Above,
        "GreaterThanOrEqualToThreshold" => Comparison::AtLeast,
        "LessThanThreshold" => Comparison::Below,
        "LessThanOrEqualToThreshold" => Comparison::AtMost,
        "LessThanLowerOrGreaterThanUpperThreshold" | "LessThanLowerThreshold" | "GreaterThanUpperThreshold" => Comparison::Outside,
        _ => return None,
    })
}

/// The number at the beginning of a text.
fn leading(text: &str) -> Option<f64> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E')))
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

/// A number for people, with five significant digits.
fn number(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let magnitude = value.abs();
    if value.fract() == 0.0 && magnitude < 1e15 {
        return Some(format!("{value:.0}"));
    }
    if !(1e-6..1e15).contains(&magnitude) {
        return Some(format!("{value:.4e}"));
    }
    let decimals = (1..=10).rev().find(|digits| magnitude * 10_f64.powi(*digits) < 1e5).unwrap_or(0);
    let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    Some(match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    })
}

fn state(data: &Value, pointer: &str, path: &str) -> Result<AlarmState, Reason> {
    text(data, pointer)
        .and_then(word)
        .ok_or_else(|| expected(path, "OK, ALARM or INSUFFICIENT_DATA"))
}

fn word(word: &str) -> Option<AlarmState> {
    [AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData]
        .into_iter()
        .find(|state| state.as_str() == word)
}

/// A time; some copies of events have a space after each colon.
fn moment(text: &str) -> Option<Timestamp> {
    timestamp(text).or_else(|| timestamp(&text.replace(": ", ":")))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// A text as one line of bounded length; `None` if it is empty.
fn line(value: &Value, pointer: &str, limit: usize) -> Option<String> {
    let text = clean(text(value, pointer)?.trim(), limit);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
