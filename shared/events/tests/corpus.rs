//! Real payloads, where there are some: `BELLHOP_CORPUS` names a folder of them, relative to the workspace's root; without it nothing is checked.
//!
//! What each must come to is worked out here a second time, from the payload alone and in another way than the parser's: every object of interest is
//! looked for anywhere in the payload, inside texts as well, and judged by tables of plain words.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod common;

use std::env;
use std::path::Path;

use bellhop_domain::Capacity;
use bellhop_domain::observation::{AgentStatus, StopCause};
use bellhop_events::{Event, Parsed, Reason, parse};
use serde_json::Value;

/// The kinds of payload (their folders) that hold what Bellhop acts on, or the like of it.
const OURS: [&str; 3] = ["codecommit-repository-state-change", "codecommit-trigger", "ecs-task-state-change"];
/// Something of ours, wrapped; the folder holds other things as well.
const WRAPPED: [&str; 4] = [
    "sns-envelope/codecommit-",
    "sns-lambda-event/codecommit-",
    "sns-lambda-event/ecs-task-state-change-",
    "sqs-api-message/ecs-task-state-change-",
];

/// What one object of interest must come to.
#[derive(Debug, PartialEq)]
enum Expected {
    Push {
        trigger: Option<String>,
        repository: String,
        reference: String,
        commit: String,
        previous: Option<String>,
        by: Option<String>,
    },
    Agent {
        attempt: String,
        arn: String,
        version: Option<u64>,
        capacity: Option<&'static str>,
        status: String,
    },
    Foreign(String),
    Malformed(String),
}

fn text(value: &Value, path: &str) -> Option<String> {
    value.pointer(path).and_then(Value::as_str).map(str::to_owned)
}

/// Every object in a value, those in texts as well.
fn objects(value: &Value, found: &mut Vec<Value>) {
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

fn expectations(payload: &Value) -> Vec<Expected> {
    let mut found = Vec::new();
    objects(payload, &mut found);
    found.iter().flat_map(expect).collect()
}

fn expect(object: &Value) -> Vec<Expected> {
    let kind = text(object, "/detail-type").or_else(|| text(object, "/detailType"));
    match (text(object, "/source").as_deref(), kind.as_deref()) {
        (Some("aws.codecommit"), Some("CodeCommit Repository State Change")) => vec![state_change(object)],
        (Some("aws.ecs"), Some("ECS Task State Change")) => vec![task(&object["detail"])],
        _ if object["eventSource"] == "aws:codecommit" => trigger(object),
        _ => vec![],
    }
}

fn is_commit(id: &str) -> bool {
    [40, 64].contains(&id.len()) && id.chars().all(|c| "0123456789abcdef".contains(c)) && id.chars().any(|c| c != '0')
}

fn last_part(arn: Option<String>) -> Option<String> {
    arn.map(|arn| arn[arn.rfind(['/', ':']).map_or(0, |at| at + 1)..].to_owned())
}

fn state_change(event: &Value) -> Expected {
    let field = |name: &str| text(event, &format!("/detail/{name}"));
    let moved = ["referenceCreated", "referenceUpdated"].contains(&field("event").unwrap().as_str());
    match field("commitId") {
        _ if !moved => Expected::Foreign(field("referenceFullName").or(field("event")).unwrap()),
        Some(commit) if is_commit(&commit) => Expected::Push {
            trigger: text(event, "/id"),
            repository: field("repositoryName").unwrap(),
            reference: field("referenceFullName").unwrap(),
            commit,
            previous: field("oldCommitId").filter(|id| is_commit(id)),
            by: last_part(field("callerUserArn")),
        },
        // Documentation abbreviates ids, to something that no repository can be asked for.
        _ => Expected::Malformed("detail.commitId".into()),
    }
}

fn trigger(record: &Value) -> Vec<Expected> {
    if record["eventName"] == "TriggerEventTest" {
        return vec![Expected::Foreign("tested".into())];
    }
    let references = record["codecommit"]["references"].as_array().unwrap();
    references
        .iter()
        .map(|reference| {
            let name = text(reference, "/ref").unwrap();
            if reference["deleted"] == true {
                return Expected::Foreign(name);
            }
            Expected::Push {
                trigger: text(record, "/eventId"),
                repository: last_part(text(record, "/eventSourceARN")).unwrap(),
                reference: name,
                commit: text(reference, "/commit").unwrap(),
                previous: None,
                by: last_part(text(record, "/userIdentityARN")),
            }
        })
        .collect()
}

fn task(detail: &Value) -> Expected {
    let arn = text(detail, "/taskArn").unwrap();
    match text(detail, "/startedBy").filter(|name| name.starts_with("bellhop/")) {
        None => Expected::Foreign(arn),
        Some(name) => Expected::Agent {
            attempt: name["bellhop/".len()..].to_owned(),
            arn,
            version: detail["version"].as_u64(),
            capacity: match (text(detail, "/capacityProviderName").as_deref(), text(detail, "/launchType")) {
                (Some("FARGATE_SPOT"), _) => Some("spot"),
                (Some("FARGATE"), _) | (None, Some(_)) => Some("on-demand"),
                _ => None,
            },
            status: status(detail),
        },
    }
}

/// A task's status in one line: first how far it is in its life, then what that means with a stop under way.
fn status(detail: &Value) -> String {
    let word = |name: &str| text(detail, &format!("/{name}")).unwrap_or_default();
    let stage = [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ]
    .iter()
    .position(|name| *name == word("lastStatus"))
    .unwrap();
    let told = word("desiredStatus") == "STOPPED";
    let (code, reason) = (word("stopCode"), word("stoppedReason"));
    let spot = code == "SpotInterruption" || code == "TerminationNotice" || reason.starts_with("Your Spot Task was interrupted");
    let none = vec![];
    let containers = detail["containers"].as_array().unwrap_or(&none);
    let ends: Vec<String> = containers
        .iter()
        .map(|c| {
            format!(
                "{}={}",
                c["name"].as_str().unwrap(),
                c["exitCode"].as_i64().map_or("?".into(), |code| code.to_string())
            )
        })
        .collect();
    let over = containers
        .iter()
        .all(|c| c["lastStatus"] == "STOPPED" && (code == "TaskFailedToStart" || c["exitCode"].is_number() || c["reason"].is_string()));
    match (stage, told) {
        (0..=2, false) => "starting".into(),
        (3, false) => format!("running since {}", seconds(&word("startedAt"))),
        (3..=5, _) if spot => "interrupted".into(),
        (0..=5, _) => "stopping".into(),
        (6, _) if !over || containers.is_empty() => "stopping".into(),
        _ => {
            let cause = match code.as_str() {
                _ if spot => "interrupted",
                "EssentialContainerExited" => "exited",
                "TaskFailedToStart" if reason.contains("Capacity is unavailable at this time") => "no capacity",
                "TaskFailedToStart" => "failed to start",
                "UserInitiated" | "ServiceSchedulerInitiated" => "requested",
                "" if reason.starts_with("Essential container in task exited") && ends.iter().any(|end| !end.ends_with('?')) => "exited",
                _ => "other",
            };
            let at = ["stoppedAt", "stoppingAt", "executionStoppedAt"]
                .iter()
                .map(|name| word(name))
                .find(|at| !at.is_empty());
            format!(
                "stopped: {cause} ({reason}) [{}] at {}",
                ends.join(" "),
                seconds(&at.unwrap_or_default())
            )
        }
    }
}

/// A time without its fraction, whose zeros at the end are written or not.
fn seconds(time: &str) -> String {
    time.chars().take("2026-03-02T09:14:05".len()).collect()
}

/// What the parser made of it, in the same words.
fn found(event: &Event) -> Expected {
    match event {
        Event::Push(push) => Expected::Push {
            trigger: Some(push.trigger.clone()),
            repository: push.repository.to_string(),
            reference: push.reference.to_string(),
            commit: push.commit.to_string(),
            previous: push.previous.as_ref().map(ToString::to_string),
            by: push.by.clone(),
        },
        Event::Agent(change) => Expected::Agent {
            attempt: change.attempt.to_string(),
            arn: change.observation.agent.to_string(),
            version: change.observation.version,
            capacity: change.observation.capacity.map(Capacity::as_str),
            status: match &change.observation.status {
                AgentStatus::Starting => "starting".into(),
                AgentStatus::Running { since } => format!("running since {}", seconds(&since.map_or(String::new(), |at| at.to_string()))),
                AgentStatus::Interrupted => "interrupted".into(),
                AgentStatus::Stopping => "stopping".into(),
                AgentStatus::Stopped(stop) => {
                    let cause = match stop.cause {
                        StopCause::Exited => "exited",
                        StopCause::FailedToStart => "failed to start",
                        StopCause::NoCapacity => "no capacity",
                        StopCause::Interrupted => "interrupted",
                        StopCause::Requested => "requested",
                        StopCause::Other => "other",
                    };
                    let ends: Vec<String> = stop
                        .containers
                        .iter()
                        .map(|c| format!("{}={}", c.name, c.exit_code.map_or("?".into(), |code| code.to_string())))
                        .collect();
                    let reason = stop.reason.as_deref().unwrap_or_default();
                    let at = stop.at.map_or(String::new(), |at| at.to_string());
                    format!("stopped: {cause} ({reason}) [{}] at {}", ends.join(" "), seconds(&at))
                }
            },
        },
    }
}

/// Holds what was parsed against what was expected, both in the payload's order.
fn compare(name: &str, parsed: &Parsed, expected: &[Expected]) {
    let (skips, events): (Vec<&Expected>, Vec<&Expected>) = expected
        .iter()
        .partition(|one| matches!(one, Expected::Foreign(_) | Expected::Malformed(_)));
    assert_eq!(parsed.events.len(), events.len(), "{name}: {parsed:?}");
    for (event, expected) in parsed.events.iter().zip(events) {
        let mut seen = found(event);
        if let (Expected::Push { trigger, .. }, Expected::Push { trigger: None, .. }) = (&mut seen, expected) {
            // A notification has no id of its own to compare with the one that was made for it.
            assert!(trigger.take().is_some(), "{name}");
        }
        assert_eq!(&seen, expected, "{name}");
    }
    if expected.is_empty() {
        return;
    }
    assert_eq!(parsed.skipped.len(), skips.len(), "{name}: {parsed:?}");
    for (skipped, expected) in parsed.skipped.iter().zip(skips) {
        match (&skipped.why, expected) {
            (Reason::Foreign(why), Expected::Foreign(part)) | (Reason::Malformed(why), Expected::Malformed(part)) => {
                assert!(why.contains(part.as_str()), "{name}: {skipped}; expected mention of {part}");
            }
            _ => panic!("{name}: {skipped}; expected {expected:?}"),
        }
    }
}

/// Whether some text in a value looks like JSON and is none: a reason to call it malformed, whatever it should have been.
fn holds_broken_json(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(holds_broken_json),
        Value::Array(list) => list.iter().any(holds_broken_json),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner) => inner.is_object() && holds_broken_json(&inner),
            Err(_) => text.trim_start().starts_with('{'),
        },
        _ => false,
    }
}

/// The payload with every task made one of ours, wherever it is.
fn adopted(value: &Value, started_by: &str) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: serde_json::Map<String, Value> =
                map.iter().map(|(key, inner)| (key.clone(), adopted(inner, started_by))).collect();
            if map.contains_key("taskArn") && map.contains_key("lastStatus") && map.contains_key("clusterArn") {
                map.insert("startedBy".into(), started_by.into());
            }
            Value::Object(map)
        }
        Value::Array(list) => list.iter().map(|inner| adopted(inner, started_by)).collect(),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(inner @ Value::Object(_)) => adopted(&inner, started_by).to_string().into(),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "says how much was checked")]
fn real_payloads_are_understood() {
    let Some(folder) = env::var_os("BELLHOP_CORPUS").filter(|folder| !folder.is_empty()) else {
        println!("BELLHOP_CORPUS is not set: no payloads to walk");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let payloads = common::json_files(&root.join(&folder));
    let (mut ours, mut pushes, mut tasks) = (0, 0, 0);
    for (name, payload) in &payloads {
        let parsed = parse(payload);
        let expected = expectations(payload);
        let concerns_us =
            OURS.iter().any(|kind| name.starts_with(&format!("{kind}/"))) || WRAPPED.iter().any(|part| name.starts_with(part));
        if concerns_us {
            ours += 1;
            assert!(!expected.is_empty(), "{name}: nothing of interest found in it");
        }
        compare(name, &parsed, &expected);
        pushes += parsed.events.iter().filter(|event| matches!(event, Event::Push(_))).count();
        if expected.is_empty() {
            assert!(!parsed.skipped.is_empty(), "{name} vanished");
            for skipped in &parsed.skipped {
                assert!(
                    matches!(skipped.why, Reason::Foreign(_)) || holds_broken_json(payload),
                    "{name}: {skipped}"
                );
            }
        }

        let ours_now = adopted(payload, "bellhop/abcdefghij/test/2");
        let expected = expectations(&ours_now);
        compare(name, &parse(&ours_now), &expected);
        tasks += expected.iter().filter(|one| matches!(one, Expected::Agent { .. })).count();
    }
    assert!(!payloads.is_empty(), "no payloads in {}", root.join(&folder).display());
    println!(
        "walked {} payloads: {ours} of our kinds, {pushes} pushes, {tasks} tasks judged as if ours, {} foreign",
        payloads.len(),
        payloads.len() - ours
    );
}
