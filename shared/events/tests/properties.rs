//! Whatever comes in, an answer comes out, and no log line of it holds what it should not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod common;

use std::path::Path;
use std::sync::LazyLock;

use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::observation::AgentStatus;
use bellhop_domain::request::PipelineAsks;
use bellhop_events::{Event, Reason, function_url, parse};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

static SAMPLES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    common::json_files(&folder).into_iter().map(|(_, value)| value).collect()
});

/// Names that mean something to the parser, so that arbitrary input gets past its first look.
const KEYS: [&str; 62] = [
    "AlarmName",
    "NewStateValue",
    "alarmArn",
    "alarmData",
    "alarmName",
    "state",
    "Records",
    "eventSource",
    "EventSource",
    "Sns",
    "Message",
    "Messages",
    "Body",
    "body",
    "Type",
    "detail-type",
    "detailType",
    "source",
    "detail",
    "id",
    "time",
    "event",
    "codecommit",
    "references",
    "ref",
    "commit",
    "eventId",
    "startedBy",
    "taskArn",
    "lastStatus",
    "containers",
    "version",
    "overrides",
    "build-id",
    "build-status",
    "current-phase",
    "completed-phase",
    "completed-phase-status",
    "additional-information",
    "environment",
    "environment-variables",
    "phases",
    "phase-type",
    "phase-status",
    "phase-context",
    "name",
    "value",
    "CodePipeline.job",
    "data",
    "actionConfiguration",
    "configuration",
    "UserParameters",
    "continuationToken",
    "start",
    "cancel",
    "show",
    "schedule",
    "requestContext",
    "repository",
    "branch",
    "job",
    "run",
];
const TEXTS: [&str; 32] = [
    "aws.cloudwatch",
    "CloudWatch Alarm State Change",
    "ALARM",
    "aws:sns",
    "aws:sqs",
    "aws:codecommit",
    "Notification",
    "aws.ecs",
    "aws.codecommit",
    "ECS Task State Change",
    "CodeCommit Repository State Change",
    "referenceUpdated",
    "bellhop/abcdefghij/test/1",
    "RUNNING",
    "STOPPED",
    "refs/heads/main",
    "{}",
    "aws.codebuild",
    "CodeBuild Build State Change",
    "CodeBuild Build Phase Change",
    "FAILED",
    "PROVISIONING",
    "SUCCEEDED",
    "BUILD",
    "COMMAND_EXECUTION_ERROR: Error while executing command: make. Reason: exit status 2",
    "arn:aws:codebuild:us-east-1:123456789012:build/ci:1",
    "aws.states",
    "Step Functions Execution Status Change",
    "arn:aws:states:us-east-1:123456789012:execution:release:1",
    "{\"environment\":{\"BELLHOP_BUILD\":\"abcdefghij/test\",\"BELLHOP_ATTEMPT\":\"1\"}}",
    "11111111-abcd-1111-abcd-111111abcdef",
    "abcdefghij",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(&TEXTS[..]).prop_map(Value::from),
    ];
    let key = prop_oneof![select(&KEYS[..]).prop_map(str::to_owned), any::<String>()];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner.clone(), 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
            inner.prop_map(|value| Value::String(value.to_string())),
        ]
    })
}

#[derive(Debug, Clone)]
enum Mutation {
    Remove,
    Replace(Value),
    Wrap,
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        3 => Just(Mutation::Remove),
        3 => any_json().prop_map(Mutation::Replace),
        1 => Just(Mutation::Wrap),
    ]
}

/// The paths of everything in a value, as JSON pointers.
fn paths(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                paths(inner, &format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                paths(inner, &format!("{here}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn mutate(value: &mut Value, at: Index, mutation: Mutation) {
    let mut found = Vec::new();
    paths(value, "", &mut found);
    let path = at.get(&found);
    let Some(target) = value.pointer_mut(path) else {
        panic!("{path} was just found");
    };
    match mutation {
        Mutation::Replace(other) => *target = other,
        Mutation::Wrap => *target = Value::String(target.to_string()),
        Mutation::Remove => {
            let Some((parent, key)) = path.rsplit_once('/') else {
                *target = Value::Null;
                return;
            };
            match value.pointer_mut(parent) {
                Some(Value::Object(map)) => drop(map.remove(&key.replace("~1", "/").replace("~0", "~"))),
                Some(Value::Array(list)) => drop(list.remove(key.parse().unwrap())),
                _ => {}
            }
        }
    }
}

/// Puts a secret into every environment variable but Bellhop's own, and beside them; and into a pipeline's credentials.
fn plant(value: &mut Value, secret: &str) {
    if let Some(credentials) = value.pointer_mut("/CodePipeline.job/data/artifactCredentials") {
        *credentials = json!({ "accessKeyId": secret, "secretAccessKey": secret, "sessionToken": [secret] });
    }
    let variables = value.pointer_mut("/detail/additional-information/environment/environment-variables");
    if let Some(list) = variables.and_then(Value::as_array_mut) {
        list.insert(0, json!({ "name": "TOKEN", "type": "PLAINTEXT", "value": secret }));
        list.push(json!({ "name": "BELLHOP_RUN", "type": "PLAINTEXT", "value": secret }));
        list.push(json!({ "name": "KEY", "value": { "not": secret } }));
    }
    let Some(overrides) = value.pointer_mut("/detail/overrides/containerOverrides/0") else {
        return;
    };
    overrides["command"] = json!(["deploy", secret]);
    if let Some(list) = overrides.get_mut("environment").and_then(Value::as_array_mut) {
        list.insert(0, json!({ "name": "TOKEN", "value": secret }));
        list.push(json!({ "name": "KEY", "value": { "not": secret } }));
    }
}

/// What is told to people and logs is one line of bounded length.
fn check_lines(input: &Value) {
    let parsed = parse(input);
    let mut lines: Vec<String> = parsed.skipped.iter().map(ToString::to_string).collect();
    for event in parsed.events {
        match event {
            Event::Request(Err(text)) => lines.push(text),
            Event::Pipeline(job) => {
                if let PipelineAsks::Wrong(text) = job.asks {
                    lines.push(text);
                }
            }
            Event::Agent(change) if !matches!(change.observation.capacity, None | Some(Capacity::Spot | Capacity::OnDemand)) => {
                if let AgentStatus::Stopped(stop) = change.observation.status {
                    let report = stop.report.map(|report| (report.command, report.message));
                    let (command, message) = report.unwrap_or_default();
                    lines.extend([stop.reason, command, message].into_iter().flatten());
                }
            }
            _ => {}
        }
    }
    for line in lines {
        assert!(
            !line.chars().any(|c| c.is_control() || c == '\u{2028}' || c == '\u{2029}'),
            "{line:?}"
        );
        assert!(!line.is_empty() && line.chars().count() < 2500, "{} bytes: {line}", line.len());
    }
}

proptest! {
    // Seeds of failures are printed; there is no file to keep them in.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_json_gives_an_answer(input in any_json()) {
        check_lines(&input);
    }

    #[test]
    fn a_damaged_sample_gives_an_answer(
        which in any::<Index>(),
        mutations in prop::collection::vec((any::<Index>(), any_mutation()), 1..6),
    ) {
        let mut input = which.get(&SAMPLES).clone();
        for (at, mutation) in mutations {
            mutate(&mut input, at, mutation);
        }
        check_lines(&input);
    }

    #[test]
    fn no_environment_value_reaches_a_log_line(
        which in any::<Index>(),
        mutations in prop::collection::vec((any::<Index>(), prop_oneof![Just(Mutation::Remove), Just(Mutation::Wrap)]), 0..6),
    ) {
        let mut input = which.get(&SAMPLES).clone();
        plant(&mut input, "hunter2");
        for (at, mutation) in mutations {
            mutate(&mut input, at, mutation);
        }
        let message = json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": input.to_string() } }] });
        for input in [input, message] {
            let parsed = parse(&input);
            prop_assert!(!format!("{parsed:?}").contains("hunter2"), "{parsed:?}");
        }
    }

    #[test]
    fn what_follows_a_verb_is_a_request_or_says_what_is_wrong(verb in select(&["start", "cancel", "retry", "show", "list"][..]), what in any_json()) {
        let input = json!({ verb: what });
        check_lines(&input);
        let parsed = parse(&input);
        prop_assert!(matches!(parsed.events.as_slice(), [Event::Request(_)]), "{:?}", parsed);
    }

    #[test]
    fn an_http_request_is_believed_with_the_id_of_its_invocation_alone(
        method in select(&["POST", "GET"][..]),
        body in prop_oneof![any_json().prop_map(|value| value.to_string()), any::<String>()],
        encoded in any_json(),
        iam in prop_oneof![Just(json!({ "userArn": "arn:aws:iam::123456789012:user/ada" })), any_json()],
        id in prop_oneof![Just("an-id".to_owned()), any::<String>()],
    ) {
        let context = json!({ "http": { "method": method }, "requestId": id, "authorizer": { "iam": iam } });
        let event = json!({ "version": "2.0", "requestContext": context, "body": body, "isBase64Encoded": encoded });
        match function_url::call(&event, "an-id") {
            Ok(call) => {
                prop_assert_eq!((method, id.as_str()), ("POST", "an-id"));
                prop_assert_eq!(Some(call.caller.as_str()), iam["userArn"].as_str());
            }
            Err(rejection) => {
                prop_assert!([400, 403, 405, 413].contains(&rejection.status), "{:?}", rejection);
                prop_assert!(!rejection.message.contains(char::is_control), "{:?}", rejection);
            }
        }
        // Without the URL, it is nothing.
        prop_assert!(parse(&event).events.is_empty());
    }

    #[test]
    fn a_damaged_http_request_is_refused_or_names_the_same_caller(
        mutations in prop::collection::vec((any::<Index>(), any_mutation()), 1..4),
    ) {
        let sample = SAMPLES.iter().find(|sample| sample.get("requestContext").is_some()).unwrap();
        let id = sample["requestContext"]["requestId"].as_str().unwrap();
        let mut event = sample.clone();
        for (at, mutation) in mutations {
            mutate(&mut event, at, mutation);
        }
        if let Ok(call) = function_url::call(&event, id) {
            let written = event.pointer("/requestContext/authorizer/iam/userArn").and_then(Value::as_str);
            prop_assert_eq!(Some(call.caller.as_str()), written);
        }
    }

    #[test]
    fn a_pipelines_job_gets_an_answer_whatever_it_asks(parameters in prop_oneof![any_json(), any_json().prop_map(|value| value.to_string().into())], token in any_json()) {
        let data = json!({ "actionConfiguration": { "configuration": { "UserParameters": parameters } }, "continuationToken": token });
        let input = json!({ "CodePipeline.job": { "id": "11111111-abcd-1111-abcd-111111abcdef", "data": data } });
        check_lines(&input);
        let parsed = parse(&input);
        prop_assert!(matches!(parsed.events.as_slice(), [Event::Pipeline(_)]), "{:?}", parsed);
    }

    #[test]
    fn a_broken_record_costs_nothing_but_itself(
        broken in any_json(),
        before in prop::collection::vec(any::<bool>(), 0..5),
    ) {
        let two_references = SAMPLES.iter().find(|sample| sample.pointer("/Records/0/codecommit/references/1").is_some());
        let good = two_references.unwrap()["Records"][0].clone();
        let mut records: Vec<Value> = before.iter().map(|is_good| if *is_good { good.clone() } else { broken.clone() }).collect();
        records.push(good.clone());
        let alone = parse(&json!({ "Records": [good] })).events;
        let events = parse(&json!({ "Records": records })).events;
        prop_assert_eq!(alone.len(), 2);
        prop_assert!(events.ends_with(&alone));
    }
}

/// The sample in as many SNS messages as asked for.
fn wrapped(input: &Value, times: usize) -> Value {
    (0..times).fold(
        input.clone(),
        |inner, _| json!({ "Type": "Notification", "Message": inner.to_string() }),
    )
}

#[test]
fn messages_in_messages_are_opened_to_a_bound() {
    let push = SAMPLES
        .iter()
        .find(|sample| sample["detail"]["event"] == "referenceUpdated")
        .unwrap();
    for times in 0..=4 {
        let parsed = parse(&wrapped(push, times));
        assert!(matches!(parsed.events.as_slice(), [Event::Push(_)]), "{times}: {parsed:?}");
    }
    for times in 5..=8 {
        let parsed = parse(&wrapped(push, times));
        assert!(parsed.events.is_empty());
        assert!(matches!(parsed.skipped[0].why, Reason::Excessive(_)), "{parsed:?}");
    }
}

#[test]
fn an_input_beyond_any_bound_of_aws_is_not_looked_into() {
    let long = json!({ "Type": "Notification", "Message": " ".repeat(1024 * 1024 + 1) });
    assert!(matches!(parse(&long).skipped[0].why, Reason::Excessive(_)));

    let many = json!({ "Records": vec![json!({}); 10_001] });
    let parsed = parse(&many);
    assert_eq!(parsed.skipped.len(), 10_001);
    assert!(matches!(parsed.skipped[10_000].why, Reason::Excessive(_)));

    let deep = (0..100).fold(json!({}), |inner, _| json!({ "Records": [inner] }));
    assert!(parse(&deep).events.is_empty());
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&json!({ "Body": text })).events.is_empty());
}
