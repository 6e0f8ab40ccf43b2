//! Tasks of ECS and builds of CodeBuild.

use serde_json::Value;

use super::expected::{Expected, by_hand, seconds, text};
use super::expecting::objects;

pub(super) fn task(detail: &Value) -> Expected {
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
pub(super) fn build(event: &Value) -> Expected {
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

pub(super) fn phase(detail: &Value) -> Expected {
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

/// Whose a build is: unknown, foreign, or an attempt's.
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
