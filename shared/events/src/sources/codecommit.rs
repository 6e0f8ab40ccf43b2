//! CodeCommit's three notifications of a push: the [EventBridge
//! event](https://docs.aws.amazon.com/codecommit/latest/userguide/monitoring-events.html), the [repository
//! trigger](https://docs.aws.amazon.com/codecommit/latest/userguide/how-to-notify-lambda.html), and the [notification
//! rule](https://docs.aws.amazon.com/codestar-notifications/latest/userguide/concepts.html), whose messages have another form.
//!
//! None of them contains the commit's message or the changed files.

use bellhop_domain::ids::{CommitId, Reference, RepositoryName};
use bellhop_domain::run::trigger::Push;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::decode::{self, clean, expected};
use crate::{Event, Parsed, Parser, Reason};

/// The events of this source.
pub(crate) const EVENTS: &[Parser] = &[Parser::of(SOURCE, STATE_CHANGE, state_change)];
/// The notifications of this source.
pub(crate) const NOTIFICATIONS: &[Parser] = &[Parser::of(SOURCE, STATE_CHANGE, notification)];

/// `source` of the EventBridge event and of the notification.
const SOURCE: &str = "aws.codecommit";
/// `detail-type` of the EventBridge event, `detailType` of the notification.
const STATE_CHANGE: &str = "CodeCommit Repository State Change";
/// `eventSource` of a trigger's record.
pub(crate) const TRIGGER_SOURCE: &str = "aws:codecommit";

/// The longest id of a trigger. AWS's ids are much shorter; the ledger stores it.
const LONGEST_TRIGGER: usize = 256;

/// `detail` of the EventBridge event and of the notification.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateChange {
    repository_name: String,
    reference_type: Option<String>,
    reference_name: Option<String>,
    reference_full_name: Option<String>,
    commit_id: String,
    #[serde(default, deserialize_with = "decode::text")]
    old_commit_id: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    caller_user_arn: Option<String>,
}

/// A repository trigger's record without its references, which are parsed one by one.
#[derive(Deserialize)]
struct TriggerRecord {
    #[serde(rename = "eventId")]
    id: String,
    #[serde(rename = "eventSourceARN")]
    source_arn: String,
    #[serde(rename = "userIdentityARN", default, deserialize_with = "decode::text")]
    user_arn: Option<String>,
    #[serde(rename = "eventTime", default, deserialize_with = "decode::time")]
    time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct TriggerReference {
    #[serde(rename = "ref")]
    name: String,
    commit: Option<String>,
    /// Only set for deletions, which otherwise look like a push of the branch's last commit.
    deleted: Option<bool>,
}

/// Parses the EventBridge event. Its `id` is the trigger: EventBridge repeats an event under the same id.
fn state_change(event: &Value) -> Result<Event, Reason> {
    push(event, |_, _, _| trigger(event.get("id").and_then(Value::as_str), "id"))
}

/// Parses the notification rule's message. It has no id, so its content and time replace one: a repetition has the same content and time, and a later
/// push of the same commit to the same branch has not.
fn notification(event: &Value) -> Result<Event, Reason> {
    push(event, |repository, reference, commit| {
        let time = trigger(event.get("time").and_then(Value::as_str), "time")?;
        let mut hash = Sha256::new();
        for part in [repository.as_str(), &reference.full(), commit.as_str(), &time] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        Ok(format!("notification-{}", HEXLOWER.encode(&hash.finalize())))
    })
}

/// Parses a repository trigger's record, which may contain several references.
pub(crate) fn trigger_record(record: &Value, parsed: &mut Parsed) {
    let name = record.get("eventName").and_then(Value::as_str);
    let what = format!("{TRIGGER_SOURCE} {}", clean(name.unwrap_or("record"), 50));
    match name {
        // Real events have the former, the documentation has the latter.
        Some("ReferenceChanges" | "ReferenceChange") | None => {}
        Some("TriggerEventTest") => return parsed.skip(what, Reason::Foreign("the trigger was tested, nothing was pushed".into())),
        Some(_) => return parsed.skip(what, Reason::Foreign("not a change of references".into())),
    }
    let references = match record.pointer("/codecommit/references") {
        Some(Value::Array(references)) => references,
        _ => return parsed.skip(what, expected("codecommit.references", "a list")),
    };
    if references.is_empty() {
        return parsed.skip(what, Reason::Foreign("no reference changed".into()));
    }
    for (index, reference) in references.iter().enumerate() {
        parsed.add(what.as_str(), trigger_push(record, reference, index));
    }
}

fn trigger_push(record: &Value, reference: &Value, index: usize) -> Result<Event, Reason> {
    let path = format!("codecommit.references[{index}]");
    let changed: TriggerReference = decode::object(reference, &path)?;
    if changed.deleted == Some(true) {
        return Err(deleted(&changed.name));
    }
    let name = branch_or_tag(&changed.name, &format!("{path}.ref"))?;
    let path = format!("{path}.commit");
    let commit = commit(&changed.commit.ok_or_else(|| expected(&path, "a commit id"))?, &name, &path)?;
    let facts: TriggerRecord = decode::object(record, "record")?;
    let repository = facts.source_arn.rsplit(':').next().unwrap_or_default();
    Ok(Event::Push(Push {
        trigger: trigger(Some(&facts.id), "record.eventId")?,
        repository: decode::id(repository, "record.eventSourceARN")?,
        reference: name,
        commit,
        previous: None,
        by: facts.user_arn.as_deref().and_then(caller),
        at: facts.time,
    }))
}

fn push(event: &Value, trigger: impl FnOnce(&RepositoryName, &Reference, &CommitId) -> Result<String, Reason>) -> Result<Event, Reason> {
    let detail = event
        .get("detail")
        .filter(|detail| detail.is_object())
        .ok_or_else(|| expected("detail", "an object"))?;
    match detail.get("event").and_then(Value::as_str) {
        Some("referenceCreated" | "referenceUpdated") => {}
        Some("referenceDeleted") => {
            let name = detail.get("referenceFullName").and_then(Value::as_str);
            return Err(deleted(name.unwrap_or("a reference")));
        }
        Some(other) => return Err(Reason::Foreign(format!("{} changes no reference", clean(other, 50)))),
        None => return Err(expected("detail.event", "a string such as referenceUpdated")),
    }
    let change: StateChange = decode::object(detail, "detail")?;
    let repository = decode::id(&change.repository_name, "detail.repositoryName")?;
    let reference = change.reference()?;
    let commit = commit(&change.commit_id, &reference, "detail.commitId")?;
    Ok(Event::Push(Push {
        trigger: trigger(&repository, &reference, &commit)?,
        previous: change.old_commit_id.as_deref().and_then(previous),
        by: change.caller_user_arn.as_deref().and_then(caller),
        at: event.get("time").and_then(Value::as_str).and_then(decode::timestamp),
        repository,
        reference,
        commit,
    }))
}

impl StateChange {
    fn reference(&self) -> Result<Reference, Reason> {
        if let Some(full) = &self.reference_full_name {
            return branch_or_tag(full, "detail.referenceFullName");
        }
        match (self.reference_type.as_deref(), &self.reference_name) {
            (Some("branch"), Some(name)) => branch_or_tag(&format!("refs/heads/{name}"), "detail.referenceName"),
            (Some("tag"), Some(name)) => branch_or_tag(&format!("refs/tags/{name}"), "detail.referenceName"),
            _ => Err(expected("detail.referenceFullName", "the full name of a branch or tag")),
        }
    }
}

/// Git has further references, such as notes. A push to them does not change code that can be built.
fn branch_or_tag(text: &str, path: &str) -> Result<Reference, Reason> {
    if text.starts_with("refs/") && !text.starts_with("refs/heads/") && !text.starts_with("refs/tags/") {
        return Err(Reason::Foreign(format!("{} is neither a branch nor a tag", clean(text, 256))));
    }
    decode::id(text, path)
}

fn commit(text: &str, reference: &Reference, path: &str) -> Result<CommitId, Reason> {
    if no_commit(text) {
        return Err(deleted(&reference.full()));
    }
    decode::id(text, path)
}

/// The previous commit of the reference. It is only used for a comparison: if it cannot be parsed, it counts as missing, and every file counts as
/// changed.
fn previous(text: &str) -> Option<CommitId> {
    if no_commit(text) { None } else { text.parse().ok() }
}

/// Whether a text is Git's null commit id.
fn no_commit(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'0')
}

fn deleted(name: &str) -> Reason {
    Reason::Foreign(format!("{} was deleted", clean(name, 256)))
}

fn trigger(text: Option<&str>, path: &str) -> Result<String, Reason> {
    match text {
        Some(text) if (1..=LONGEST_TRIGGER).contains(&text.len()) => Ok(text.to_owned()),
        _ => Err(expected(path, "a string of 1 to 256 bytes, from which the run's id is derived")),
    }
}

/// The last part of the caller's ARN: the user's name, the name of an assumed role's session, or `root`.
fn caller(arn: &str) -> Option<String> {
    let name = arn.rsplit(['/', ':']).next().unwrap_or_default();
    (!name.is_empty()).then(|| clean(name, 100))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({ "id": "e-1", "time": "2026-03-02T09:14:03Z", "detail": {
            "event": "referenceUpdated", "repositoryName": "shop", "referenceType": "branch", "referenceName": "main",
            "referenceFullName": "refs/heads/main", "commitId": "ab".repeat(20), "oldCommitId": "cd".repeat(20),
            "callerUserArn": "arn:aws:sts::123456789012:assumed-role/developer/sam",
        } })
    }

    fn with(path: &str, value: Value) -> Value {
        let mut event = event();
        let (parent, key) = path.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[key] = value;
        event
    }

    fn pushed(result: Result<Event, Reason>) -> Push {
        match result {
            Ok(Event::Push(push)) => push,
            other => panic!("no push: {other:?}"),
        }
    }

    fn refused(event: &Value) -> String {
        state_change(event).unwrap_err().to_string()
    }

    #[test]
    fn the_commit_before_is_told_or_not() {
        assert_eq!(pushed(state_change(&event())).previous.unwrap().as_str(), "cd".repeat(20));
        for none in [json!(null), json!(""), json!("0".repeat(40)), json!("abbreviated"), json!(5)] {
            assert_eq!(pushed(state_change(&with("/detail/oldCommitId", none))).previous, None);
        }
    }

    #[test]
    fn the_time_is_told_or_not() {
        assert_eq!(pushed(state_change(&event())).at.unwrap().to_string(), "2026-03-02T09:14:03Z");
        for none in [json!(null), json!("some day"), json!(5)] {
            assert_eq!(pushed(state_change(&with("/time", none))).at, None);
        }
    }

    #[test]
    fn the_caller_is_the_last_part_of_the_arn() {
        assert_eq!(pushed(state_change(&event())).by.unwrap(), "sam");
        for (arn, by) in [
            ("arn:aws:iam::123456789012:user/team/dana", Some("dana")),
            ("arn:aws:iam::123456789012:root", Some("root")),
            ("arn:aws:iam::123456789012:user/", None),
            ("", None),
        ] {
            assert_eq!(pushed(state_change(&with("/detail/callerUserArn", json!(arn)))).by.as_deref(), by);
        }
    }

    #[test]
    fn a_reference_is_named_in_full_or_in_parts() {
        let mut parts = with("/detail/referenceFullName", json!(null));
        assert_eq!(pushed(state_change(&parts)).reference.full(), "refs/heads/main");
        parts["detail"]["referenceType"] = json!("tag");
        assert_eq!(pushed(state_change(&parts)).reference.full(), "refs/tags/main");
        parts["detail"]["referenceType"] = json!(null);
        assert_eq!(
            refused(&parts),
            "malformed: detail.referenceFullName: expected the full name of a branch or tag"
        );
    }

    #[test]
    fn what_moves_no_branch_or_tag_is_foreign() {
        assert_eq!(
            refused(&with("/detail/referenceFullName", json!("refs/notes/commits"))),
            "foreign: refs/notes/commits is neither a branch nor a tag"
        );
        assert_eq!(
            refused(&with("/detail/commitId", json!("0".repeat(40)))),
            "foreign: refs/heads/main was deleted"
        );
        assert_eq!(
            refused(&with("/detail/event", json!("referenceDeleted"))),
            "foreign: refs/heads/main was deleted"
        );
        assert_eq!(
            refused(&with("/detail/event", json!("some\nthing"))),
            "foreign: some thing changes no reference"
        );
    }

    #[test]
    fn what_is_broken_is_named_with_what_was_expected() {
        for (path, value, words) in [
            ("/id", json!(null), "id: expected a string of 1 to 256 bytes"),
            ("/id", json!(""), "id: expected a string of 1 to 256 bytes"),
            ("/id", json!("x".repeat(257)), "id: expected a string of 1 to 256 bytes"),
            ("/detail", json!("{}"), "detail: expected an object"),
            (
                "/detail/event",
                json!(null),
                "detail.event: expected a string such as referenceUpdated",
            ),
            ("/detail/repositoryName", json!(7), "detail.repositoryName: expected a string"),
            (
                "/detail/repositoryName",
                json!("a/b"),
                "detail.repositoryName: \"a/b\" is not a valid repository name: expected",
            ),
            (
                "/detail/referenceFullName",
                json!("refs/heads/a b"),
                "detail.referenceFullName: \"refs/heads/a b\" is not a valid reference",
            ),
            (
                "/detail/commitId",
                json!("26a8f2"),
                "detail.commitId: \"26a8f2\" is not a valid commit id: expected 40 or 64",
            ),
        ] {
            let refused = refused(&with(path, value));
            assert!(refused.starts_with(&format!("malformed: {words}")), "{path}: {refused}");
        }
        let mut event = event();
        event["detail"].as_object_mut().unwrap().remove("commitId");
        assert_eq!(refused(&event), "malformed: detail.commitId: required, but missing");
    }

    #[test]
    fn a_notification_is_known_again_by_its_content() {
        let trigger = |event: &Value| pushed(notification(event)).trigger;
        let first = trigger(&event());
        assert_eq!(first, trigger(&with("/id", json!("another delivery"))));
        assert_ne!(first, trigger(&with("/time", json!("2026-03-02T10:00:00Z"))));
        assert_ne!(first, trigger(&with("/detail/commitId", json!("ef".repeat(20)))));
        assert_ne!(first, trigger(&with("/detail/repositoryName", json!("shop2"))));
        assert!(first.len() <= LONGEST_TRIGGER);
        assert!(
            notification(&with("/time", json!(null)))
                .unwrap_err()
                .to_string()
                .starts_with("malformed: time: expected")
        );
    }

    #[test]
    fn a_triggers_references_stand_or_fall_alone() {
        let record = json!({ "eventId": "t-1", "eventName": "ReferenceChange", "eventTime": "2026-03-02T09:14:03.482+0000",
            "eventSourceARN": "arn:aws:codecommit:us-east-1:123456789012:shop", "customData": "",
            "codecommit": { "references": [
                { "ref": "refs/heads/a", "commit": "short" },
                { "ref": "refs/heads/b", "commit": "ab".repeat(20), "deleted": false },
                { "ref": "refs/heads/c", "commit": "0".repeat(40) },
                { "ref": "refs/heads/d", "commit": "ab".repeat(20), "deleted": "yes" },
                { "ref": "refs/heads/e" },
                { "ref": "refs/tags/f", "commit": "ab".repeat(20), "created": true },
                "refs/heads/g",
            ] } });
        let mut parsed = Parsed::default();
        trigger_record(&record, &mut parsed);
        let pushes: Vec<Push> = parsed.events.into_iter().map(|event| pushed(Ok(event))).collect();
        let names: Vec<String> = pushes.iter().map(|push| push.reference.full()).collect();
        assert_eq!(names, ["refs/heads/b", "refs/tags/f"]);
        let at = Some("2026-03-02T09:14:03.482Z".parse().unwrap());
        assert!(
            pushes
                .iter()
                .all(|push| push.trigger == "t-1" && push.repository.as_str() == "shop" && push.by.is_none() && push.at == at)
        );
        let reasons: Vec<String> = parsed.skipped.iter().map(|skipped| skipped.why.to_string()).collect();
        assert_eq!(
            reasons,
            [
                "malformed: codecommit.references[0].commit: \"short\" is not a valid commit id: expected 40 or 64 lower-case hexadecimal digits",
                "foreign: refs/heads/c was deleted",
                "malformed: codecommit.references[3].deleted: expected a boolean",
                "malformed: codecommit.references[4].commit: expected a commit id",
                "malformed: codecommit.references[6]: expected an object",
            ]
        );
    }

    #[test]
    fn a_trigger_without_references_or_id_builds_nothing() {
        let reason = |record: Value| {
            let mut parsed = Parsed::default();
            trigger_record(&record, &mut parsed);
            assert_eq!(parsed.events, []);
            parsed.skipped.remove(0).why.to_string()
        };
        let references = json!({ "references": [{ "ref": "refs/heads/a", "commit": "ab".repeat(20) }] });
        assert_eq!(reason(json!({})), "malformed: codecommit.references: expected a list");
        assert_eq!(
            reason(json!({ "codecommit": { "references": [] } })),
            "foreign: no reference changed"
        );
        assert_eq!(
            reason(json!({ "eventName": "Other", "codecommit": references })),
            "foreign: not a change of references"
        );
        assert_eq!(
            reason(json!({ "codecommit": references })),
            "malformed: record.eventId: required, but missing"
        );
        assert!(
            reason(json!({ "eventId": "t-1", "eventSourceARN": "arn:aws:codecommit:us-east-1:123456789012:", "codecommit": references }))
                .starts_with("malformed: record.eventSourceARN: \"\" is not a valid repository name")
        );
    }
}
