//! Every object of interest in a payload, with what it must come to: one function for each source.

use serde_json::Value;

use super::agents::{build, phase, task};
use super::codecommit::{state_change, trigger};
use super::expected::{Expected, text};
use super::notices::{alarm, alarm_message, instance, job, pipeline};

/// Every object in a value, those in texts as well.
pub(super) fn objects(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            found.push(value.clone());
            map.values().for_each(|inner| objects(inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| objects(inner, found)),
        Value::String(text) => {
            if let Ok(inner @ Value::Object(_)) = serde_json::from_str(text) {
                objects(&inner, found);
            }
        }
        _ => {}
    }
}

pub(super) fn expectations(payload: &Value) -> Vec<Expected> {
    let mut found = Vec::new();
    objects(payload, &mut found);
    let topic = found.iter().find_map(|object| text(object, "/TopicArn"));
    found.iter().flat_map(|object| expect(object, topic.as_deref())).collect()
}

pub(super) fn expect(object: &Value, topic: Option<&str>) -> Vec<Expected> {
    let kind = text(object, "/detail-type").or_else(|| text(object, "/detailType"));
    match (text(object, "/source").as_deref(), kind.as_deref()) {
        (Some("aws.codecommit"), Some("CodeCommit Repository State Change")) => vec![state_change(object)],
        (Some("aws.ecs"), Some("ECS Task State Change")) => vec![task(&object["detail"])],
        (Some("aws.codebuild"), Some("CodeBuild Build State Change")) => vec![build(object)],
        (Some("aws.codebuild"), Some("CodeBuild Build Phase Change")) => vec![phase(&object["detail"])],
        (Some("aws.ec2"), Some("EC2 Spot Instance Interruption Warning")) => vec![instance(object, "/detail/instance-action")],
        (Some("aws.ec2"), Some("EC2 Instance Rebalance Recommendation")) => vec![instance(object, "/no-action")],
        (Some("aws.cloudwatch"), Some(kind)) if kind.starts_with("CloudWatch Alarm") => {
            let arn = text(object, "/resources/0").unwrap();
            vec![alarm(&object["detail"], &arn, text(object, "/time"))]
        }
        (Some("aws.cloudwatch"), None) => vec![alarm(
            &object["alarmData"],
            &text(object, "/alarmArn").unwrap(),
            text(object, "/time"),
        )],
        _ if object.get("AlarmName").is_some() => vec![alarm_message(object, topic)],
        (Some("aws.backup"), Some(kind)) => vec![job(kind.split(' ').next().unwrap(), object)],
        (Some("aws.events" | "aws.scheduler"), Some("Scheduled Event")) => {
            // Recordings mask times with words.
            let time = text(object, "/time").filter(|time| time.ends_with('Z')).unwrap_or_default();
            vec![Expected::Schedule(time)]
        }
        _ if object["eventSource"] == "aws:codecommit" => trigger(object),
        _ if object.get("CodePipeline.job").is_some() => vec![pipeline(&object["CodePipeline.job"])],
        _ => vec![],
    }
}
