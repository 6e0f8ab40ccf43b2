//! Pushes, from CodeCommit's events and triggers.

use serde_json::Value;

use super::expected::{Expected, is_commit, last_part, seconds, text};

pub(super) fn state_change(event: &Value) -> Expected {
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

pub(super) fn trigger(record: &Value) -> Vec<Expected> {
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
