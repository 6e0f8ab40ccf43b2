//! CloudWatch's alarms, as DescribeAlarms describes them. The test says which state each is in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bellhop_domain::alarm::AlarmState;
use bellhop_model::cloudwatch::{Alarm, AlarmType};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::Options;
use crate::calls::{Call, Protocol};
use crate::proxy::Upstream;
use crate::replies::{Answer, AwsError};
use crate::support::{epoch, lock, page};

/// The most names in a request, and the most alarms in an answer
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>).
const MOST: usize = 100;
/// The alarms in an answer, unless a request says how many.
const PAGE: usize = 50;

/// The alarms of the stand-in. Clones are handles to the same ones.
///
/// Before the first one is set, DescribeAlarms is the upstream's to answer, if there is one.
#[derive(Clone)]
pub struct CloudWatch {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    account: String,
    /// By type and name, which is the order of the answer's lists.
    alarms: Mutex<BTreeMap<(AlarmType, String), Alarm<Timestamp>>>,
}

/// An alarm as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmView {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub alarm_type: AlarmType,
    /// Its state.
    pub state: AlarmState,
    /// When the state was set last.
    pub updated: Timestamp,
}

// The test's side.
impl CloudWatch {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            inner: Arc::new(Inner {
                region: options.region.clone(),
                account: options.account.clone(),
                alarms: Mutex::default(),
            }),
        }
    }

    /// Sets the state of an alarm, and creates it if it is new. One of another type with this name is gone then.
    pub fn set_alarm(&self, looks_at: AlarmType, name: &str, state: AlarmState) {
        let now = Timestamp::now();
        let mut alarms = lock(&self.inner.alarms);
        alarms.retain(|(other, one), _| one != name || *other == looks_at);
        let alarm = alarms.entry((looks_at, name.to_owned()));
        alarm.or_insert_with(|| Alarm::new(looks_at, &now)).set(state, &now);
    }

    /// Deletes an alarm, and says whether there was one.
    pub fn delete_alarm(&self, name: &str) -> bool {
        let mut alarms = lock(&self.inner.alarms);
        let before = alarms.len();
        alarms.retain(|(_, other), _| other != name);
        alarms.len() < before
    }

    /// All alarms, those on metrics first.
    pub fn alarms(&self) -> Vec<AlarmView> {
        let alarms = lock(&self.inner.alarms);
        let views = alarms.iter().map(|((looks_at, name), alarm)| AlarmView {
            name: name.clone(),
            alarm_type: *looks_at,
            state: alarm.state,
            updated: alarm.updated,
        });
        views.collect()
    }
}

// The operation.
impl CloudWatch {
    /// Whether a request is answered here, and not by the upstream. The query protocol is the upstream's.
    pub(crate) fn answers(&self, call: &Call, upstream: &Upstream) -> bool {
        let is_known = call.operation == "DescribeAlarms" && matches!(call.protocol, Protocol::Cbor | Protocol::Json(_));
        is_known && (!upstream.is_there() || !lock(&self.inner.alarms).is_empty())
    }

    /// DescribeAlarms (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>). A name that no alarm has is no error.
    pub(crate) fn answer(&self, call: &Call) -> Result<Answer, AwsError> {
        let request = call.json()?;
        let texts = |name: &str| -> Option<Vec<&str>> { Some(request[name].as_array()?.iter().filter_map(Value::as_str).collect()) };
        let (names, types) = (texts("AlarmNames"), texts("AlarmTypes").unwrap_or_default());
        let prefix = request["AlarmNamePrefix"].as_str();
        let state = request["StateValue"].as_str();
        if names.as_ref().is_some_and(|names| names.len() > MOST) {
            return Err(invalid("AlarmNames: at most 100"));
        }
        if names.is_some() && prefix.is_some() {
            return Err(invalid("AlarmNames and AlarmNamePrefix cannot be used together"));
        }
        let limit = match &request["MaxRecords"] {
            Value::Null => PAGE,
            limit => match limit.as_u64().map(usize::try_from) {
                Some(Ok(limit @ 1..=MOST)) => limit,
                _ => return Err(invalid("MaxRecords: from 1 to 100")),
            },
        };
        let alarms = lock(&self.inner.alarms);
        let found: Vec<_> = alarms
            .iter()
            .filter(|((looks_at, name), alarm)| {
                looks_at.is_among(&types)
                    && names.as_ref().is_none_or(|names| names.contains(&name.as_str()))
                    && prefix.is_none_or(|prefix| name.starts_with(prefix))
                    && state.is_none_or(|state| alarm.state.as_str() == state)
            })
            .collect();
        let token = request["NextToken"].as_str();
        let (page, next) = page(&found, token, limit).ok_or_else(|| AwsError::client("InvalidNextToken", "The next token is not valid"))?;
        let of_type = |wanted: AlarmType| -> Vec<Value> {
            let alarms = page.iter().filter(|((looks_at, _), _)| *looks_at == wanted);
            alarms.map(|((_, name), alarm)| self.describe(name, alarm)).collect()
        };
        let mut body = json!({
            "MetricAlarms": of_type(AlarmType::Metric), "CompositeAlarms": of_type(AlarmType::Composite), "LogAlarms": of_type(AlarmType::Log),
        });
        if let Some(next) = next {
            body["NextToken"] = next.into();
        }
        Ok(body.into())
    }

    fn describe(&self, name: &str, alarm: &Alarm<Timestamp>) -> Value {
        let Inner { region, account, .. } = &*self.inner;
        let mut body = json!({
            "AlarmName": name, "AlarmArn": format!("arn:aws:cloudwatch:{region}:{account}:alarm:{name}"),
            "ActionsEnabled": true, "OKActions": [], "AlarmActions": [], "InsufficientDataActions": [],
            "StateValue": alarm.state.as_str(), "StateReason": "set by the test",
            "StateUpdatedTimestamp": epoch(alarm.updated), "StateTransitionedTimestamp": epoch(alarm.transitioned),
        });
        let more = match alarm.looks_at {
            AlarmType::Composite => json!({ "AlarmRule": "FALSE" }),
            AlarmType::Log => json!({ "QueryResultsToEvaluate": 1, "QueryResultsToAlarm": 1 }),
            AlarmType::Metric => json!({
                "Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": [], "Statistic": "Sum", "Period": 60,
                "EvaluationPeriods": 1, "Threshold": 0.0, "ComparisonOperator": "GreaterThanThreshold",
            }),
        };
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    }
}

fn invalid(message: &str) -> AwsError {
    AwsError::client("ValidationError", message)
}
