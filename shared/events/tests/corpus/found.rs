//! What the parser made of a payload, in the words of what was expected.

use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::observation::{AgentStatus, StopCause};
use bellhop_domain::instance::{Action, Ec2Notice};
use bellhop_domain::request::PipelineAsks;
use bellhop_events::{Event, Parsed, Reason};
use serde_json::{Value, json};

use super::expected::{Expected, alike, seconds};

/// What the parser made of it, in the same words.
pub(super) fn found(event: &Event) -> Expected {
    match event {
        Event::Push(push) => Expected::Push {
            trigger: Some(push.trigger.clone()),
            repository: push.repository.to_string(),
            reference: push.reference.to_string(),
            commit: push.commit.to_string(),
            previous: push.previous.as_ref().map(ToString::to_string),
            by: push.by.clone(),
            at: push.at.map(|at| seconds(&at.to_string())),
        },
        Event::Unnamed { agent, .. } => Expected::Unnamed(agent.to_string()),
        Event::WakeUp(_) => unreachable!("no payload of AWS is a wake-up"),
        Event::Instance(notice) => Expected::Instance {
            id: notice.instance.to_string(),
            what: match notice.what {
                Ec2Notice::Interruption(Action::Terminate) => "terminate".to_owned(),
                Ec2Notice::Interruption(Action::Stop) => "stop".to_owned(),
                Ec2Notice::Interruption(Action::Hibernate) => "hibernate".to_owned(),
                Ec2Notice::Rebalance => "rebalance".to_owned(),
            },
        },
        Event::Alarm(change) => Expected::Alarm {
            name: change.id.name.clone(),
            region: change.id.region.clone(),
            account: change.id.account.clone(),
            contributor: change.id.contributor.clone(),
            change: (change.previous.map(|state| state.to_string()), change.state.to_string()),
            at: change.at.map(|at| seconds(&at.to_string())),
            threshold: change.facts.threshold.as_ref().and_then(|text| text.parse().ok()),
            value: change.facts.value.as_ref().and_then(|text| text.parse().ok()),
        },
        Event::Pipeline(job) => Expected::Pipeline {
            id: job.id.to_string(),
            asks: match &job.asks {
                PipelineAsks::Start(_) => "start".into(),
                PipelineAsks::Continue(run) => format!("continue {run}"),
                PipelineAsks::Wrong(text) => text[..text.find(':').unwrap_or(text.len())].into(),
            },
        },
        Event::BackupJob(seen) => Expected::Job {
            words: format!(
                "{} {} {} {}",
                seen.kind.as_str(),
                seen.id,
                format!("{:?}", seen.state).to_lowercase(),
                seen.message.clone().unwrap_or_default()
            ),
            resource: seen.resource.clone(),
            result: seen.point.clone().or(seen.created.clone()),
            ended: seen.ended.map_or(String::new(), |at| seconds(&at.to_string())),
        },
        Event::Schedule(time) => Expected::Schedule(time.map_or(String::new(), |time| time.to_string())),
        Event::BackupRequest(request) => panic!("nobody asked: {request:?}"),
        Event::Request(request) => panic!("nobody asked: {request:?}"),
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
                        StopCause::NotNow => "not now",
                        StopCause::Interrupted => "interrupted",
                        StopCause::Requested => "requested",
                        StopCause::TimedOut => "timed out",
                        StopCause::Definition => "definition",
                        StopCause::Other => "other",
                    };
                    let mut ends: Vec<String> = stop
                        .containers
                        .iter()
                        .map(|c| format!("{}={}", c.name, c.exit_code.map_or("?".into(), |code| code.to_string())))
                        .collect();
                    ends.extend(stop.report.iter().map(|report| {
                        format!(
                            "{:?}={} {}",
                            report.phase,
                            report.exit_code,
                            report.command.as_deref().unwrap_or_default()
                        )
                    }));
                    let reason = stop.reason.as_deref().unwrap_or_default();
                    let at = stop.at.map_or(String::new(), |at| at.to_string());
                    format!("stopped: {cause} ({reason}) [{}] at {}", ends.join(" "), seconds(&at))
                }
            },
        },
    }
}

/// Holds what was parsed against what was expected, both in the payload's order.
pub(super) fn compare(name: &str, parsed: &Parsed, expected: &[Expected]) {
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
        if let (
            Expected::Alarm { threshold, value, .. },
            Expected::Alarm {
                threshold: of_threshold,
                value: of_value,
                ..
            },
        ) = (&mut seen, expected)
        {
            assert!(alike(*threshold, *of_threshold) && alike(*value, *of_value), "{name}: {event:?}");
            (*threshold, *value) = (*of_threshold, *of_value);
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
pub(super) fn holds_broken_json(value: &Value) -> bool {
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

/// The payload with every task and build made one of ours, wherever it is.
pub(super) fn adopted(value: &Value, started_by: &str) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: serde_json::Map<String, Value> =
                map.iter().map(|(key, inner)| (key.clone(), adopted(inner, started_by))).collect();
            if map.contains_key("taskArn") && map.contains_key("lastStatus") && map.contains_key("clusterArn") {
                map.insert("startedBy".into(), started_by.into());
            }
            if let Some(Value::Array(variables)) = map.get_mut("environment-variables") {
                let (build, number) = started_by["bellhop/".len()..].rsplit_once('/').unwrap();
                for (name, value) in [
                    ("BELLHOP_BUILD", build),
                    ("BELLHOP_ATTEMPT", number),
                    ("BELLHOP_CAPACITY", "codebuild"),
                ] {
                    variables.push(json!({ "name": name, "value": value, "type": "PLAINTEXT" }));
                }
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
