//! The types of `aws_lambda_events`, with which most functions in Rust read their events, as a judge of our samples; and why the functions read JSON
//! with types of their own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a check may stop at what should not be")]

use std::env;
use std::fs;
use std::path::Path;

use aws_lambda_events::cloudwatch_alarms::CloudWatchAlarm;
use aws_lambda_events::code_commit::CodeCommitEvent;
use aws_lambda_events::codebuild::CodeBuildEvent;
use aws_lambda_events::codepipeline_job::CodePipelineJobEvent;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use aws_lambda_events::sns::{SnsEvent, SnsMessage};
use aws_lambda_events::sqs::SqsEvent;
use bellhop_events::parse;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What the crate makes of a payload: the type, and why it does not fit.
type Judgement = (&'static str, Result<(), String>);

fn read<T: DeserializeOwned>(kind: &'static str, value: &Value) -> Judgement {
    let read = T::deserialize(value).map(drop).map_err(|error| error.to_string());
    (kind, read)
}

/// What the crate's types make of a payload, and of what is written as a text inside it.
fn judge(value: &Value, judgements: &mut Vec<Judgement>) {
    let source = |record: &Value| record["eventSource"].as_str().or(record["EventSource"].as_str()).map(str::to_owned);
    let mut texts = Vec::new();
    if let Some(records) = value["Records"].as_array() {
        match records.first().and_then(source).as_deref() {
            Some("aws:sns") => {
                judgements.push(read::<SnsEvent>("SnsEvent", value));
                texts.extend(records.iter().map(|record| &record["Sns"]["Message"]));
            }
            Some("aws:sqs") => {
                judgements.push(read::<SqsEvent>("SqsEvent", value));
                texts.extend(records.iter().map(|record| &record["body"]));
            }
            Some("aws:codecommit") => judgements.push(read::<CodeCommitEvent>("CodeCommitEvent", value)),
            _ => {}
        }
    } else if value.get("CodePipeline.job").is_some() {
        judgements.push(read::<CodePipelineJobEvent>("CodePipelineJobEvent", value));
    } else if value.get("alarmArn").is_some() {
        judgements.push(read::<CloudWatchAlarm>("CloudWatchAlarm", value));
    } else if value.get("detail-type").is_some() {
        judgements.push(read::<EventBridgeEvent>("EventBridgeEvent", value));
        if value["source"] == "aws.codebuild" {
            judgements.push(read::<CodeBuildEvent>("CodeBuildEvent", value));
        }
    } else if value.get("requestContext").is_some() {
        judgements.push(read::<LambdaFunctionUrlRequest>("LambdaFunctionUrlRequest", value));
    } else if value["Type"] == "Notification" {
        judgements.push(read::<SnsMessage>("SnsMessage", value));
        texts.push(&value["Message"]);
    }
    for text in texts.into_iter().filter_map(Value::as_str) {
        if let Ok(inner) = serde_json::from_str(text) {
            judge(&inner, judgements);
        }
    }
}

/// Every JSON file under a folder, by its path inside it.
fn json_files(folder: &Path) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                found.push((path.strip_prefix(folder).unwrap().display().to_string(), value));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// What the crate refuses of the files of a folder, in a line each; and how many judgements there were.
fn refused_of(folder: &Path) -> (Vec<String>, usize) {
    let mut refused = Vec::new();
    let mut count = 0;
    for (file, value) in json_files(folder) {
        let mut judgements = Vec::new();
        judge(&value, &mut judgements);
        count += judgements.len();
        for (kind, read) in judgements {
            refused.extend(read.err().map(|why| format!("{file}: {kind}: {why}")));
        }
    }
    (refused, count)
}

/// AWS's console shows events of CodeBuild without these fields, and each is one that the crate cannot do without.
const REFUSED_SAMPLES: [&str; 3] = [
    "codebuild/in-progress.json: CodeBuildEvent: missing field `phases`",
    "codebuild/without-particulars.json: CodeBuildEvent: missing field `additional-information`",
    "codebuild/without-phases.json: CodeBuildEvent: missing field `phases`",
];

#[test]
fn our_samples_are_what_the_crate_expects_too() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
    let (refused, count) = refused_of(Path::new(folder));
    assert_eq!(refused, REFUSED_SAMPLES);
    assert!(count >= 100, "only {count} payloads were looked at");
}

/// The same of real payloads. Three are of tests and have placeholders in place of times; the others came so from AWS, or through a program that left
/// something out.
const REFUSED_PAYLOADS: [&str; 10] = [
    "alarm-lambda-action/localstack-snapshot-no-reasonData.json: CloudWatchAlarm: input contains invalid characters",
    "codebuild-build-state-change/console-sample-failed.json: CodeBuildEvent: missing field `additional-information`",
    "codebuild-build-state-change/console-sample-in-progress.json: CodeBuildEvent: missing field `additional-information`",
    "codebuild-build-state-change/console-sample-succeeded.json: CodeBuildEvent: missing field `additional-information`",
    "codebuild-build-state-change/synthetic-stopped.json: CodeBuildEvent: missing field `phases`",
    "scheduled-event/localstack-snapshot.json: EventBridgeEvent: input contains invalid characters",
    "sns-lambda-event/alarm-2016-no-signature.json: SnsEvent: missing field `SignatureVersion`",
    "sns-lambda-event/codedeploy-trigger-native.json: SnsEvent: missing field `SignatureVersion`",
    "sns-lambda-event/codepipeline-stage-failed.json: SnsEvent: missing field `SignatureVersion`",
    "sqs-lambda-event/powertools-sns-fifo.json: SnsMessage: missing field `SignatureVersion`",
];

/// `BELLHOP_CORPUS` names a folder of real payloads, relative to the workspace's root; without it nothing is checked.
#[test]
fn real_payloads_are_what_the_crate_expects_but_for_some() {
    let Some(corpus) = env::var_os("BELLHOP_CORPUS") else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(corpus);
    let (refused, count) = refused_of(&folder);
    assert_eq!(refused, REFUSED_PAYLOADS);
    assert!(count >= 130, "only {count} payloads were looked at");
}

/// A sample with one thing changed, or taken away.
fn changed(sample: &str, at: &str, to: Option<Value>) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(sample);
    let mut value: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let (parent, name) = at.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap();
    match to {
        Some(to) => parent[name] = to,
        None => drop(parent.as_object_mut().unwrap().remove(name).unwrap()),
    }
    value
}

/// Why production has types of its own: what the functions take, and have to take, and the crate refuses. Where a newer version takes it, this fails.
#[test]
fn the_functions_take_what_the_crate_refuses() {
    let push = changed("codecommit/push.json", "/detail/nothing", Some(Value::Null)).to_string();
    let sqs = |record: Value| json!({ "Records": [record, { "eventSource": "aws:sqs", "body": push }] });
    let payloads = [
        // A time only tells more.
        (
            "EventBridgeEvent",
            changed("codecommit/push.json", "/time", Some(json!("some day"))),
        ),
        (
            "EventBridgeEvent",
            changed("codecommit/push.json", "/resources", Some(json!("none"))),
        ),
        // Nothing here depends on a signature, and programs that pass messages on leave it out.
        ("SnsEvent", changed("codecommit/in-sns.json", "/Records/0/Sns/Signature", None)),
        (
            "SnsEvent",
            changed("codecommit/in-sns.json", "/Records/0/EventSubscriptionArn", None),
        ),
        // A broken record costs nothing but itself, and what nobody reads costs nothing.
        ("SqsEvent", sqs(json!({ "eventSource": "aws:sqs", "body": 5 }))),
        (
            "SqsEvent",
            sqs(json!({ "eventSource": "aws:sqs", "body": push, "messageAttributes": { "a": { "stringListValues": null } } })),
        ),
        (
            "CodeCommitEvent",
            changed("codecommit/trigger.json", "/Records/0/eventPartNumber", None),
        ),
        // An action that gets no answer hangs.
        (
            "CodePipelineJobEvent",
            changed("codepipeline/job.json", "/CodePipeline.job/data/inputArtifacts", None),
        ),
        (
            "CodePipelineJobEvent",
            changed(
                "codepipeline/job.json",
                "/CodePipeline.job/data/actionConfiguration/configuration/UserParameters",
                Some(json!({ "job": "test" })),
            ),
        ),
        ("CloudWatchAlarm", changed("alarm/action.json", "/time", None)),
    ];
    for (kind, payload) in payloads {
        let mut judgements = Vec::new();
        judge(&payload, &mut judgements);
        let read = judgements.iter().find(|(judged, _)| *judged == kind);
        assert!(matches!(read, Some((_, Err(_)))), "{kind} takes {payload}: {judgements:?}");
        assert!(!parse(&payload).events.is_empty(), "the functions do not take {payload}");
    }
}

/// A trigger of CodeCommit says of a branch that it was deleted, and names its last commit. To the crate that is a push.
#[test]
fn the_crate_does_not_know_a_deleted_branch() {
    let trigger = changed("codecommit/trigger-deleted.json", "/nothing", Some(Value::Null));
    let reference = "/Records/0/codecommit/references/0/deleted";
    assert_eq!(trigger.pointer(reference), Some(&json!(true)));
    let read: CodeCommitEvent = serde_json::from_value(trigger.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap().pointer(reference), None);
    assert!(parse(&trigger).events.is_empty());
}

#[test]
fn the_crate_finds_the_caller_of_an_http_request_where_the_functions_find_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/control");
    let (_, event) = json_files(Path::new(folder))
        .into_iter()
        .find(|(file, _)| file == "function-url.json")
        .unwrap();
    let read = LambdaFunctionUrlRequest::deserialize(&event).unwrap();
    let context = read.request_context;
    let caller = context.authorizer.unwrap().iam.unwrap().user_arn.unwrap();
    let call = bellhop_events::function_url::call(&event, &context.request_id.unwrap()).unwrap();
    assert_eq!(call.caller.as_str(), caller);
}
