//! Real payloads, where there are some: `BELLHOP_CORPUS` names a folder of them, relative to the workspace's root; without it nothing is checked.
//!
//! What each must come to is worked out here a second time, from the payload alone and in another way than the parser's: every object of interest is
//! looked for anywhere in the payload, inside texts as well, and judged by tables of plain words.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod common;

use std::env;
use std::path::Path;

use bellhop_domain::Capacity;
use bellhop_domain::instance::{Action, What};
use bellhop_domain::observation::{AgentStatus, StopCause};
use bellhop_domain::request::PipelineAsks;
use bellhop_events::{Event, Parsed, Reason, parse};
use serde_json::{Value, json};

/// The kinds of payload (their folders) that hold what Bellhop acts on, or the like of it.
const OURS: [&str; 16] = [
    "alarm-contributor-eventbridge",
    "alarm-eventbridge",
    "alarm-lambda-action",
    "alarm-sns-message",
    "backup-job-state-change",
    "codebuild-build-phase-change",
    "codebuild-build-state-change",
    "codecommit-repository-state-change",
    "codecommit-trigger",
    "codepipeline-job",
    "ec2-rebalance-recommendation",
    "ec2-spot-interruption-warning",
    "copy-job-state-change",
    "ecs-task-state-change",
    "restore-job-state-change",
    "scheduled-event",
];
/// Something of ours, wrapped; the folder holds other things as well.
const WRAPPED: [&str; 6] = [
    "sns-envelope/alarm-",
    "sns-lambda-event/alarm-",
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
        at: Option<String>,
    },
    Agent {
        attempt: String,
        arn: String,
        version: Option<u64>,
        capacity: Option<&'static str>,
        status: String,
    },
    Unnamed(String),
    Instance {
        id: String,
        what: String,
    },
    Alarm {
        name: String,
        region: Option<String>,
        account: Option<String>,
        contributor: Option<String>,
        change: (Option<String>, String),
        at: Option<String>,
        threshold: Option<f64>,
        value: Option<f64>,
    },
    Job {
        words: String,
        resource: Option<String>,
        result: Option<String>,
        ended: String,
    },
    Schedule(String),
    Pipeline {
        id: String,
        asks: String,
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
    let topic = found.iter().find_map(|object| text(object, "/TopicArn"));
    found.iter().flat_map(|object| expect(object, topic.as_deref())).collect()
}

fn expect(object: &Value, topic: Option<&str>) -> Vec<Expected> {
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
            at: text(event, "/time").map(|at| seconds(&at)),
        },
        // Documentation abbreviates ids, to something that no repository can be asked for.
        _ => Expected::Malformed("detail.commitId".into()),
    }
}

fn instance(event: &Value, action: &str) -> Expected {
    Expected::Instance {
        id: text(event, "/detail/instance-id").unwrap(),
        what: text(event, action).unwrap_or_else(|| "rebalance".to_owned()),
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
                at: text(record, "/eventTime").map(|at| seconds(&at)),
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
            // While it is taken down, the later of two: it begins to stop before its containers have stopped.
            let at = match word("stoppedAt") {
                none if none.is_empty() => [word("stoppingAt"), word("executionStoppedAt")].into_iter().max().unwrap(),
                at => at,
            };
            format!("stopped: {cause} ({reason}) [{}] at {}", ends.join(" "), seconds(&at))
        }
    }
}

/// What must become of a build, by the words of its environment and phases.
fn build(event: &Value) -> Expected {
    let detail = &event["detail"];
    let arn = text(detail, "/build-id").unwrap();
    let status = text(detail, "/build-status").unwrap();
    let whose = whose(detail);
    let none = vec![];
    let phases = detail["additional-information"]["phases"].as_array().unwrap_or(&none);
    let failed = phases.iter().find(|phase| {
        phase["phase-status"]
            .as_str()
            .is_some_and(|word| word != "SUCCEEDED" && word != "IN_PROGRESS")
    });
    let attempt = match whose {
        None => return Expected::Unnamed(arn),
        Some(None) => return Expected::Foreign(arn),
        Some(Some(_)) if status == "FAILED" && failed.is_none() => return Expected::Unnamed(arn),
        Some(Some(attempt)) => attempt,
    };
    let at = match phases.last().and_then(|last| text(last, "/start-time")) {
        Some(at) => by_hand(&at),
        None => seconds(&text(event, "/time").unwrap()),
    };
    let status = match (status.as_str(), failed) {
        ("IN_PROGRESS", _) => "starting".into(),
        ("SUCCEEDED", None) => format!("stopped: exited () [Script=0 ] at {at}"),
        ("STOPPED", None) => format!("stopped: requested () [] at {at}"),
        ("FAILED", Some(phase)) => {
            let words = text(phase, "/phase-context/0").unwrap();
            let middle = &words[words.find("command: ").unwrap() + "command: ".len()..words.find(". Reason").unwrap()];
            let code = words.split(' ').next_back().unwrap();
            let place = text(phase, "/phase-type").unwrap();
            format!("stopped: exited ({place}: {words}) [Script={code} {middle}] at {at}")
        }
        other => panic!("another end than those that were seen: {other:?}"),
    };
    Expected::Agent {
        attempt,
        arn,
        version: None,
        capacity: Some("codebuild"),
        status,
    }
}

fn phase(detail: &Value) -> Expected {
    if (&detail["completed-phase"], &detail["completed-phase-status"]) != (&"PROVISIONING".into(), &"SUCCEEDED".into()) {
        return Expected::Foreign(text(detail, "/completed-phase").unwrap());
    }
    let arn = text(detail, "/build-id").unwrap();
    match whose(detail) {
        None => Expected::Unnamed(arn),
        Some(None) => Expected::Foreign(arn),
        Some(Some(attempt)) => Expected::Agent {
            attempt,
            arn,
            version: None,
            capacity: Some("codebuild"),
            status: format!(
                "running since {}",
                by_hand(&text(detail, "/completed-phase-end").unwrap_or_default())
            ),
        },
    }
}

/// Whose a build is: nobody can tell, somebody else's, or an attempt's.
fn whose(detail: &Value) -> Option<Option<String>> {
    let mut found = Vec::new();
    objects(&detail["additional-information"]["environment"], &mut found);
    found
        .first()
        .filter(|environment| environment["environment-variables"].is_array())?;
    let value = |name: &str| found.iter().find(|one| one["name"] == name).and_then(|one| text(one, "/value"));
    Some(
        value("BELLHOP_BUILD")
            .zip(value("BELLHOP_ATTEMPT"))
            .map(|(build, number)| format!("{build}/{number}")),
    )
}

/// An alarm, whose account and region are its ARN's.
fn alarm(detail: &Value, arn: &str, time: Option<String>) -> Expected {
    let (region, account) = whence(arn);
    let evidence: Value = text(detail, "/state/reasonData").map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    let reason = text(detail, "/state/reason").unwrap();
    Expected::Alarm {
        name: text(detail, "/alarmName").unwrap(),
        region,
        account,
        contributor: text(detail, "/alarmContributor/id"),
        change: (text(detail, "/previousState/value"), text(detail, "/state/value").unwrap()),
        at: text(detail, "/state/timestamp").or(time).and_then(|at| without_blanks(&at)),
        threshold: evidence["threshold"].as_f64().or_else(|| between(&reason, "the threshold (", ")")),
        value: evidence["recentDatapoints"][0].as_f64().or_else(|| between(&reason, "[", " (")),
    }
}

fn alarm_message(message: &Value, topic: Option<&str>) -> Expected {
    let arn = text(message, "/AlarmArn");
    let reason = text(message, "/NewStateReason").unwrap();
    let (region, account) = match arn.as_deref().map(whence) {
        Some((Some(region), account)) => (Some(region), account),
        _ => topic.map_or((None, None), whence),
    };
    Expected::Alarm {
        name: text(message, "/AlarmName").unwrap(),
        region,
        account: text(message, "/AWSAccountId").or(account),
        contributor: text(message, "/AlarmContributorId"),
        change: (text(message, "/OldStateValue"), text(message, "/NewStateValue").unwrap()),
        at: text(message, "/StateChangeTime").and_then(|at| without_blanks(&at)),
        threshold: message["Trigger"]["Threshold"]
            .as_f64()
            .or_else(|| between(&reason, "the threshold (", ")")),
        value: between(&reason, "[", " (").or_else(|| between(&reason, "1 datapoint (", ")")),
    }
}

/// Region and account of an ARN; placeholders are none.
fn whence(arn: &str) -> (Option<String>, Option<String>) {
    let parts: Vec<&str> = arn.split(':').collect();
    let with_digit = |at: usize| {
        let part = parts.get(at)?.trim();
        part.chars().any(|c| c.is_ascii_digit()).then(|| part.to_owned())
    };
    (with_digit(3), with_digit(4))
}

/// The number between two texts.
fn between(text: &str, before: &str, after: &str) -> Option<f64> {
    let rest = &text[text.find(before)? + before.len()..];
    rest[..rest.find(after)?].parse().ok()
}

fn without_blanks(at: &str) -> Option<String> {
    let at = seconds(&at.replace(' ', ""));
    (at.len() == 19).then_some(at)
}

/// Whether two numbers are the same, but for the digits that do not count.
fn alike(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= other.abs() / 1000.0,
        (one, other) => one == other,
    }
}

/// What a job of AWS Backup must come to: its kind, id, state and message in one line.
fn job(kind: &str, event: &Value) -> Expected {
    let detail = &event["detail"];
    let field = |name: &str| text(detail, &format!("/{name}"));
    let state = field("status").or(field("state")).unwrap();
    let Some(id) = field(&format!("{}JobId", kind.to_lowercase())) else {
        assert_eq!(state, "CREATED");
        return Expected::Foreign("without an id".into());
    };
    let far = match state.as_str() {
        "CREATED" | "PENDING" | "RUNNING" | "ABORTING" => "underway".into(),
        other => other.to_lowercase(),
    };
    Expected::Job {
        words: format!("{} {id} {far} {}", kind.to_lowercase(), field("statusMessage").unwrap_or_default()),
        resource: field("resourceArn"),
        result: match kind {
            "Backup" if far == "completed" => text(event, "/resources/0"),
            "Copy" => field("destinationRecoveryPointArn"),
            _ => field("createdResourceArn"),
        },
        ended: seconds(&field("completionDate").unwrap_or_default()),
    }
}

fn pipeline(job: &Value) -> Expected {
    let id = text(job, "/id").unwrap();
    // Documentation masks ids with letters that none has; whatever has the shape of one is answered.
    if id.len() != 36 {
        return Expected::Malformed("id: ".into());
    }
    let asks = match (
        text(job, "/data/continuationToken"),
        text(job, "/data/actionConfiguration/configuration/UserParameters"),
    ) {
        (Some(_), _) => "continuationToken".into(),
        // Nobody's parameters in a corpus are ours.
        (None, Some(text)) if text.starts_with('{') => format!("UserParameters.{}", text.split('"').nth(1).unwrap()),
        (None, _) => "UserParameters".into(),
    };
    Expected::Pipeline { id, asks }
}

/// A time as CodeBuild writes it, as the parser's are compared: `Jun 15, 2020 10:41:41 AM`.
fn by_hand(time: &str) -> String {
    let words: Vec<&str> = time.split([' ', ',', ':']).filter(|word| !word.is_empty()).collect();
    let [month, day, year, hour, minute, second, half] = words.as_slice() else {
        return String::new();
    };
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap() / 3 + 1;
    let hour = hour.parse::<u32>().unwrap() % 12 + if *half == "PM" { 12 } else { 0 };
    format!("{year}-{month:02}-{day:0>2}T{hour:02}:{minute}:{second}")
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
            at: push.at.map(|at| seconds(&at.to_string())),
        },
        Event::Unnamed(arn) => Expected::Unnamed(arn.to_string()),
        Event::Instance(notice) => Expected::Instance {
            id: notice.instance.to_string(),
            what: match notice.what {
                What::Interruption(Action::Terminate) => "terminate".to_owned(),
                What::Interruption(Action::Stop) => "stop".to_owned(),
                What::Interruption(Action::Hibernate) => "hibernate".to_owned(),
                What::Rebalance => "rebalance".to_owned(),
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

/// The payload with every task and build made one of ours, wherever it is.
fn adopted(value: &Value, started_by: &str) -> Value {
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

#[test]
#[expect(clippy::print_stdout, reason = "says how much was checked")]
fn real_payloads_are_understood() {
    let Some(folder) = env::var_os("BELLHOP_CORPUS").filter(|folder| !folder.is_empty()) else {
        println!("BELLHOP_CORPUS is not set: no payloads to walk");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let payloads = common::json_files(&root.join(&folder));
    let (mut ours, mut pushes, mut jobs, mut agents, mut alarms) = (0, 0, 0, 0, 0);
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
        alarms += parsed.events.iter().filter(|event| matches!(event, Event::Alarm(_))).count();
        jobs += parsed.events.iter().filter(|event| matches!(event, Event::Pipeline(_))).count();
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
        agents += expected.iter().filter(|one| matches!(one, Expected::Agent { .. })).count();
    }
    assert!(!payloads.is_empty(), "no payloads in {}", root.join(&folder).display());
    println!(
        "walked {} payloads: {ours} of our kinds, {pushes} pushes, {jobs} jobs of pipelines, {alarms} alarms, {agents} agents judged as if ours, {} foreign",
        payloads.len(),
        payloads.len() - ours
    );
}
