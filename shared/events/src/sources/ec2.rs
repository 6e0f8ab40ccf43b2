//! EC2's notices about an instance's Spot capacity, as EventBridge delivers them for every instance of the account: [interruption
//! warnings](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html#ec2-spot-instance-interruption-warning-event)
//! and [rebalance recommendations](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-rebalance-recommendations.html).
//!
//! `resources` is ignored: some events have an ARN with an Availability Zone in place of the region.

use bellhop_domain::instance::{Action, Ec2Notice};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::decode::{self, expected};
use crate::{Event, InstanceNotice, Parser, Reason};

/// The events of this source.
pub(crate) const EVENTS: &[Parser] = &[
    Parser::of(SOURCE, INTERRUPTION_WARNING, interruption_warning),
    Parser::of(SOURCE, REBALANCE_RECOMMENDATION, rebalance_recommendation),
];

/// `source` of the events.
const SOURCE: &str = "aws.ec2";
/// `detail-type` of a warning.
const INTERRUPTION_WARNING: &str = "EC2 Spot Instance Interruption Warning";
/// `detail-type` of a recommendation.
const REBALANCE_RECOMMENDATION: &str = "EC2 Instance Rebalance Recommendation";

#[derive(Deserialize)]
struct Envelope {
    #[serde(default, deserialize_with = "decode::time")]
    time: Option<Timestamp>,
    #[serde(default, deserialize_with = "decode::text")]
    account: Option<String>,
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    instance_id: String,
    #[serde(default, deserialize_with = "decode::text")]
    instance_action: Option<String>,
}

/// Parses an event of type [`INTERRUPTION_WARNING`].
fn interruption_warning(event: &Value) -> Result<Event, Reason> {
    let Envelope { time, account, detail } = decode::object(event, "event")?;
    let action = match detail.instance_action.as_deref() {
        // The default action, and the safe assumption, because it leaves nothing behind.
        None | Some("terminate") => Action::Terminate,
        Some("stop") => Action::Stop,
        Some("hibernate") => Action::Hibernate,
        Some(_) => return Err(expected("detail.instance-action", "terminate, stop or hibernate")),
    };
    notice(&detail, Ec2Notice::Interruption(action), (time, account))
}

/// Parses an event of type [`REBALANCE_RECOMMENDATION`].
fn rebalance_recommendation(event: &Value) -> Result<Event, Reason> {
    let Envelope { time, account, detail } = decode::object(event, "event")?;
    notice(&detail, Ec2Notice::Rebalance, (time, account))
}

fn notice(detail: &Detail, what: Ec2Notice, (at, account): (Option<Timestamp>, Option<String>)) -> Result<Event, Reason> {
    let instance = decode::id(&detail.instance_id, "detail.instance-id")?;
    Ok(Event::Instance(InstanceNotice {
        instance,
        what,
        at,
        account,
    }))
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::parse;

    fn event(kind: &str, detail: &Value) -> Value {
        json!({
            "version": "0", "id": "1", "detail-type": kind, "source": "aws.ec2", "time": "2026-11-02T09:14:03Z",
            "resources": ["arn:aws:ec2:eu-west-1b:instance/i-0123456789abcdef0"], "detail": detail,
        })
    }

    fn read(kind: &str, detail: &Value) -> InstanceNotice {
        let parsed = parse(&event(kind, detail));
        match parsed.events.as_slice() {
            [Event::Instance(notice)] => notice.clone(),
            _ => panic!("{parsed:?}"),
        }
    }

    fn refused(kind: &str, detail: &Value) -> String {
        let parsed = parse(&event(kind, detail));
        match parsed.skipped.as_slice() {
            [skipped] => skipped.why.to_string(),
            _ => panic!("{parsed:?}"),
        }
    }

    #[test]
    fn every_action_is_read_and_a_missing_one_is_the_usual_one() {
        for (word, action) in [
            (json!("terminate"), Action::Terminate),
            (json!("stop"), Action::Stop),
            (json!("hibernate"), Action::Hibernate),
            (json!(null), Action::Terminate),
        ] {
            let notice = read(
                INTERRUPTION_WARNING,
                &json!({ "instance-id": "i-0123456789abcdef0", "instance-action": word }),
            );
            assert_eq!(notice.what, Ec2Notice::Interruption(action));
            assert_eq!(notice.instance.as_str(), "i-0123456789abcdef0");
            assert_eq!(notice.at, "2026-11-02T09:14:03Z".parse().ok());
        }
    }

    #[test]
    fn a_recommendation_has_an_instance_and_no_more() {
        let notice = read(REBALANCE_RECOMMENDATION, &json!({ "instance-id": "i-0123456789abcdef0" }));
        assert_eq!(notice.what, Ec2Notice::Rebalance);
    }

    #[test]
    fn what_is_odd_is_named() {
        for (detail, why) in [
            (json!({}), "malformed: event.detail.instance-id: required, but missing"),
            (
                json!({ "instance-id": "web-1" }),
                "malformed: detail.instance-id: \"web-1\" is not a valid instance id: expected i- and 8 to 32 lower-case hexadecimal digits",
            ),
            (
                json!({ "instance-id": "i-0123456789abcdef0", "instance-action": "evaporate" }),
                "malformed: detail.instance-action: expected terminate, stop or hibernate",
            ),
        ] {
            assert_eq!(refused(INTERRUPTION_WARNING, &detail), why);
        }
    }
}
