//! [CodeBuild's events](https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications-ref.html), as EventBridge delivers them: at
//! least once, and in any order.

use bellhop_domain::executor::Placement;
use bellhop_domain::executor::codebuild::NAME;
use bellhop_domain::executor::codebuild::buildspec::FAILED;
use bellhop_domain::ids::AttemptId;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{BuildFacts, PROVISIONING, PhaseContext, PhaseFacts, SUCCEEDED};
use crate::decode::{self, clean, expected};
use crate::{AgentChange, Event, Parser, Reason};

/// The events of this source.
pub(crate) const EVENTS: &[Parser] = &[
    Parser::of(SOURCE, STATE_CHANGE, state_change),
    Parser::of(SOURCE, PHASE_CHANGE, phase_change),
];

/// `source` of the events.
const SOURCE: &str = "aws.codebuild";
/// `detail-type` of the event about a build.
const STATE_CHANGE: &str = "CodeBuild Build State Change";
/// `detail-type` of the event about a phase of a build.
const PHASE_CHANGE: &str = "CodeBuild Build Phase Change";

/// The location of the environment that a build was started with.
const ENVIRONMENT: &str = "/additional-information/environment/environment-variables";

/// The location of the variables that a build exported. Published programs read them here. AWS documents them only for `BatchGetBuilds`
/// (<https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html>), so an event may lack them.
const EXPORTED: &str = "/additional-information/exported-environment-variables";

/// `detail` of the event about a build. `additional-information` may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StateChange {
    build_id: String,
    build_status: String,
    #[serde(default, deserialize_with = "decode::text")]
    current_phase: Option<String>,
    additional_information: Option<AdditionalInformation>,
}

/// `detail` of the event about a phase.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PhaseChange {
    build_id: String,
    #[serde(default, deserialize_with = "decode::time")]
    completed_phase_end: Option<Timestamp>,
    additional_information: Option<AdditionalInformation>,
}

/// The parsed part of a build's data. It excludes the environment, which may contain secrets: only the few values needed are read from it.
#[derive(Deserialize, Default)]
struct AdditionalInformation {
    phases: Option<Vec<Phase>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Phase {
    phase_type: String,
    #[serde(default, deserialize_with = "decode::text")]
    phase_status: Option<String>,
    #[serde(default, deserialize_with = "decode::time")]
    start_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "decode::time")]
    end_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "contexts")]
    phase_context: Vec<PhaseContext>,
}

/// Parses an event of type [`STATE_CHANGE`]. It first checks who started the build, because errors in other builds do not matter.
fn state_change(event: &Value) -> Result<Event, Reason> {
    let detail = detail(event)?;
    let Some(attempt) = attempt(detail)? else {
        return unnamed(event, detail);
    };
    let change: StateChange = decode::object(detail, "detail")?;
    let phases = change.additional_information.unwrap_or_default().phases.unwrap_or_default();
    // The build's last phase begins after everything has ended, and has no end.
    let completed = phases
        .iter()
        .find(|phase| phase.phase_type == "COMPLETED")
        .and_then(|phase| phase.start_time);
    let facts = BuildFacts {
        arn: change.build_id,
        status: change.build_status,
        current_phase: change.current_phase,
        ended_at: completed.or_else(|| event.get("time").and_then(Value::as_str).and_then(decode::timestamp)),
        phases: phases.into_iter().map(PhaseFacts::from).collect(),
        failed: failed(detail),
    };
    if facts.fails_without_a_word() {
        return unnamed(event, detail);
    }
    agent(event, attempt, &facts)
}

/// Parses an event of type [`PHASE_CHANGE`]. One phase of a build shows something that no [`STATE_CHANGE`] does: that the build runs.
fn phase_change(event: &Value) -> Result<Event, Reason> {
    let detail = detail(event)?;
    let word = |key: &str| detail.get(key).and_then(Value::as_str).unwrap_or("(no text)");
    let (phase, status) = (word("completed-phase"), word("completed-phase-status"));
    if (phase, status) != (PROVISIONING, SUCCEEDED) {
        return Err(Reason::Foreign(format!(
            "{} of phase {} does not show that a build has started",
            clean(status, 50),
            clean(phase, 50)
        )));
    }
    let Some(attempt) = attempt(detail)? else {
        return unnamed(event, detail);
    };
    let change: PhaseChange = decode::object(detail, "detail")?;
    let listed = change.additional_information.unwrap_or_default().phases.unwrap_or_default();
    let listed_end = listed
        .iter()
        .find(|listed| listed.phase_type == PROVISIONING)
        .and_then(|listed| listed.end_time);
    let facts = BuildFacts {
        arn: change.build_id,
        status: "IN_PROGRESS".to_owned(),
        phases: vec![PhaseFacts {
            kind: phase.to_owned(),
            status: Some(status.to_owned()),
            ended_at: change.completed_phase_end.or(listed_end),
            contexts: Vec::new(),
        }],
        ..BuildFacts::default()
    };
    agent(event, attempt, &facts)
}

fn detail(event: &Value) -> Result<&Value, Reason> {
    event
        .get("detail")
        .filter(|detail| detail.is_object())
        .ok_or_else(|| expected("detail", "an object"))
}

fn agent(event: &Value, attempt: AttemptId, facts: &BuildFacts) -> Result<Event, Reason> {
    let observation = facts.observation().map_err(|error| Reason::Malformed(format!("detail.{error}")))?;
    Ok(Event::Agent(AgentChange {
        attempt,
        observation,
        placement: placement(event),
    }))
}

fn placement(event: &Value) -> Placement {
    let project = event.pointer("/detail/project-name").and_then(Value::as_str);
    Placement {
        account: decode::account(event),
        place: project.map(ToOwned::to_owned),
        definition: None,
    }
}

/// The attempt of the build; `None` if the event does not contain the environment that the build was started with.
fn attempt(detail: &Value) -> Result<Option<AttemptId>, Reason> {
    let Some(variables) = detail.pointer(ENVIRONMENT).and_then(Value::as_array) else {
        return Ok(None);
    };
    // With another type than plain text, the value is the name of a parameter or secret.
    let plain = |variable: &&Value| variable.get("type").is_none_or(|kind| kind.is_null() || kind == "PLAINTEXT");
    let pairs = variables
        .iter()
        .filter(plain)
        .filter_map(|variable| Some((variable.get("name")?.as_str()?, variable.get("value")?.as_str()?)));
    match super::attempt(pairs) {
        Some(attempt) => Ok(Some(attempt)),
        None => Err(Reason::Foreign(match build_id(detail) {
            Some(arn) => format!("{} was not started for an attempt", clean(arn, 300)),
            None => "a build without ARN was not started for an attempt".to_owned(),
        })),
    }
}

/// The value of the exported variable about the failed command of a script.
fn failed(detail: &Value) -> Option<String> {
    let variables = detail.pointer(EXPORTED)?.as_array()?;
    let failed = variables
        .iter()
        .find(|variable| variable.get("name").is_some_and(|name| name == FAILED))?;
    failed.get("value")?.as_str().map(ToOwned::to_owned)
}

fn unnamed(event: &Value, detail: &Value) -> Result<Event, Reason> {
    let arn = build_id(detail).ok_or_else(|| expected("detail.build-id", "the ARN of a build"))?;
    Ok(Event::Unnamed {
        executor: NAME,
        agent: decode::id(arn, "detail.build-id")?,
        placement: placement(event),
    })
}

fn build_id(detail: &Value) -> Option<&str> {
    detail.get("build-id").and_then(Value::as_str)
}

impl From<Phase> for PhaseFacts {
    fn from(phase: Phase) -> Self {
        Self {
            kind: phase.phase_type,
            status: phase.phase_status,
            ended_at: phase.end_time,
            contexts: phase.phase_context,
        }
    }
}

/// Parses a phase's context, a list of strings: other values count as missing.
fn contexts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PhaseContext>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(texts.map(PhaseContext::read).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::executor::observation::AgentStatus;
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:codebuild:us-east-1:123456789012:build/ci:0f1e2d3c";

    fn ours() -> Value {
        json!([
            { "name": "TOKEN", "type": "PLAINTEXT", "value": "s3cret" },
            { "name": "BELLHOP_BUILD", "type": "PLAINTEXT", "value": "abcdefghij/image" },
            { "name": "BELLHOP_ATTEMPT", "value": "1" },
            { "name": "BELLHOP_CAPACITY", "type": null, "value": "codebuild" },
        ])
    }

    fn event(detail: Value) -> Value {
        let mut event = json!({ "time": "2026-03-02T09:30:00Z", "detail": {
            "build-id": ARN, "build-status": "IN_PROGRESS", "completed-phase": "PROVISIONING", "completed-phase-status": "SUCCEEDED",
            "additional-information": { "environment": { "environment-variables": ours() } },
        } });
        let Value::Object(changes) = detail else { panic!("no object") };
        event["detail"].as_object_mut().unwrap().extend(changes);
        event
    }

    fn environment(variables: Value) -> Value {
        json!({ "additional-information": { "environment": { "environment-variables": variables } } })
    }

    fn status(result: Result<Event, Reason>) -> AgentStatus {
        match result {
            Ok(Event::Agent(change)) => {
                assert_eq!(change.attempt.to_string(), "abcdefghij/image/1");
                assert_eq!(change.observation.agent.as_str(), ARN);
                change.observation.status
            }
            other => panic!("no agent: {other:?}"),
        }
    }

    fn unnamed_build() -> Event {
        Event::Unnamed {
            executor: NAME,
            agent: ARN.parse().unwrap(),
            placement: Placement::default(),
        }
    }

    #[test]
    fn little_has_to_be_told() {
        assert_eq!(status(state_change(&event(json!({})))), AgentStatus::Starting);
        assert_eq!(status(phase_change(&event(json!({})))), AgentStatus::Running { since: None });
        let ended = status(state_change(&event(json!({ "build-status": "STOPPED" }))));
        let AgentStatus::Stopped(stop) = ended else { panic!("not stopped") };
        assert_eq!(stop.at.unwrap().to_string(), "2026-03-02T09:30:00Z");
    }

    #[test]
    fn a_build_is_up_since_the_end_of_its_provisioning() {
        let since = Some("2026-03-02T09:14:20Z".parse().unwrap());
        let end = "Mar 2, 2026 9:14:20 AM";
        let mut listed = environment(ours());
        listed["additional-information"]["phases"] = json!([
            { "phase-type": "PROVISIONING", "phase-status": "SUCCEEDED", "end-time": end, "phase-context": null },
            { "phase-type": "DOWNLOAD_SOURCE", "phase-status": 5, "start-time": end, "phase-context": [5, ": "] },
        ]);
        for detail in [json!({ "completed-phase-end": end }), listed.clone()] {
            assert_eq!(status(phase_change(&event(detail))), AgentStatus::Running { since });
        }
        assert_eq!(status(state_change(&event(listed))), AgentStatus::Running { since });
    }

    #[test]
    fn whose_build_it_is_may_have_to_be_asked() {
        let asked = |result: Result<Event, Reason>| assert_eq!(result, Ok(unnamed_build()));
        for missing in [
            json!({ "additional-information": null }),
            json!({ "additional-information": {} }),
            environment(json!(null)),
            environment(json!("none")),
        ] {
            asked(state_change(&event(missing.clone())));
            asked(phase_change(&event(missing)));
        }
        // Ours, and nothing tells why it failed.
        asked(state_change(&event(json!({ "build-status": "FAILED" }))));
    }

    #[test]
    fn which_command_failed_may_have_to_be_asked() {
        let with = |variables: Value| {
            let mut failed = environment(ours());
            failed["build-status"] = json!("FAILED");
            failed["additional-information"]["phases"] = json!([{
                "phase-type": "BUILD", "phase-status": "FAILED",
                "phase-context": ["COMMAND_EXECUTION_ERROR: Error while executing command: bash /tmp/bellhop-script || \
                                   export BELLHOP_FAILED=x. Reason: exit status 3"],
            }]);
            failed["additional-information"]["exported-environment-variables"] = variables;
            state_change(&event(failed))
        };
        let named = |value: &str| json!([{ "name": "OTHER", "value": "3 3 1 x" }, { "name": "BELLHOP_FAILED", "value": value }]);
        for unknown in [
            json!(null),
            json!([]),
            json!([5, { "name": "BELLHOP_FAILED" }]),
            json!([{ "name": "OTHER", "value": "3 3 1 x" }]),
            json!({ "BELLHOP_FAILED": "3 3 1 x" }),
            named(""),
        ] {
            assert_eq!(with(unknown), Ok(unnamed_build()));
        }
        let AgentStatus::Stopped(stop) = status(with(named("3 3 12 make test"))) else {
            panic!("not stopped")
        };
        let report = stop.report.unwrap();
        assert_eq!(
            (report.exit_code, report.line, report.command.as_deref()),
            (3, Some(12), Some("make test"))
        );
    }

    #[test]
    fn the_builds_of_others_are_not_found_fault_with() {
        let secret = json!([
            { "name": "BELLHOP_BUILD", "type": "PARAMETER_STORE", "value": "abcdefghij/image" },
            { "name": "BELLHOP_ATTEMPT", "type": "PLAINTEXT", "value": "1" },
        ]);
        for variables in [json!([]), json!([5]), json!([{ "name": "TOKEN", "value": "s3cret" }]), secret] {
            let mut foreign = environment(variables);
            foreign["build-status"] = json!(5);
            for result in [state_change(&event(foreign.clone())), phase_change(&event(foreign))] {
                assert_eq!(
                    result.unwrap_err().to_string(),
                    format!("foreign: {ARN} was not started for an attempt")
                );
            }
        }
        let mut nameless = environment(json!([]));
        nameless["build-id"] = json!(null);
        assert_eq!(
            state_change(&event(nameless)).unwrap_err().to_string(),
            "foreign: a build without ARN was not started for an attempt"
        );
    }

    #[test]
    fn the_other_phases_tell_nothing_new() {
        for (phase, status) in [("BUILD", "SUCCEEDED"), ("PROVISIONING", "FAILED"), ("COMPLETED", "SUCCEEDED")] {
            let detail = json!({ "completed-phase": phase, "completed-phase-status": status, "additional-information": null });
            assert_eq!(
                phase_change(&event(detail)).unwrap_err().to_string(),
                format!("foreign: {status} of phase {phase} does not show that a build has started")
            );
        }
    }

    #[test]
    fn what_is_broken_is_named_with_what_was_expected() {
        let mut phases = environment(ours());
        phases["additional-information"]["phases"] = json!([{ "phase-type": "SUBMITTED" }, { "phase-type": 5 }]);
        for (detail, words) in [
            (
                json!({ "build-id": "ci:0f1e2d3c" }),
                "detail.build-id: \"ci:0f1e2d3c\" is not a valid agent id",
            ),
            (
                json!({ "build-id": "ci:0f1e2d3c", "additional-information": null }),
                "detail.build-id: \"ci:0f1e2d3c\" is not a valid agent id",
            ),
            (
                json!({ "build-id": null, "additional-information": null }),
                "detail.build-id: expected the ARN of a build",
            ),
            (
                json!({ "build-status": "RESTING" }),
                "detail.build-status: \"RESTING\" is not a build status",
            ),
            (json!({ "build-status": 5 }), "detail.build-status: expected a string"),
            (phases, "detail.additional-information.phases[1].phase-type: expected a string"),
        ] {
            let refused = state_change(&event(detail)).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("malformed: {words}")), "{refused}");
        }
        for broken in [json!({}), json!({ "detail": "{}" })] {
            assert_eq!(
                phase_change(&broken).unwrap_err().to_string(),
                "malformed: detail: expected an object"
            );
        }
    }
}
