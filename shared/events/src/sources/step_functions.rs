//! Executions of AWS Step Functions: [events of EventBridge](https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html), which
//! come with best effort, and the evaluation of an execution from an event or from `DescribeExecution`.

use bellhop_domain::executor::Placement;
use bellhop_domain::executor::observation::{AgentStatus, Observation, Report, ReportPhase, Stop, StopCause};
use bellhop_domain::executor::step_functions::{CAPACITY, ENVIRONMENT, NAME, name_of};
use bellhop_domain::ids::{AttemptId, InvalidId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::decode::{self, clean, expected};
use crate::task;
use crate::{AgentChange, Event, Parser, Reason};

/// The events of this source.
pub(crate) const EVENTS: &[Parser] = &[Parser::of("aws.states", "Step Functions Execution Status Change", status_change)];

/// The most characters stored of an execution's error and cause.
const LONGEST_REASON: usize = 1000;

/// An execution, with field names as in the API of Step Functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionFacts {
    /// `executionArn`
    pub arn: String,
    /// `status`
    pub status: String,
    /// `startDate`
    pub started_at: Option<Timestamp>,
    /// `stopDate`
    pub stopped_at: Option<Timestamp>,
    /// `error`
    pub error: Option<String>,
    /// `cause`
    pub cause: Option<String>,
}

/// Why an execution cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// The ARN is invalid.
    #[error("executionArn: {0}")]
    Arn(InvalidId),
    /// Step Functions does not document the status.
    #[error("status: {0:?} is not a status of an execution: expected RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED or PENDING_REDRIVE")]
    Status(String),
}

impl ExecutionFacts {
    /// The current state. It has no version, because Step Functions does not number changes.
    ///
    /// # Errors
    /// If the ARN or the status is invalid.
    pub fn observation(&self) -> Result<Observation, ExecutionError> {
        Ok(Observation {
            agent: self.arn.parse().map_err(ExecutionError::Arn)?,
            version: None,
            capacity: Some(CAPACITY),
            status: self.status()?,
        })
    }

    fn status(&self) -> Result<AgentStatus, ExecutionError> {
        let stopped = |cause, report| {
            AgentStatus::Stopped(Stop {
                cause,
                reason: self.reason(),
                containers: Vec::new(),
                report,
                at: self.stopped_at,
            })
        };
        Ok(match self.status.as_str() {
            "RUNNING" => AgentStatus::Running { since: self.started_at },
            "SUCCEEDED" => stopped(StopCause::Exited, Some(success())),
            // One that waits for a redrive has failed: it may never be redriven.
            "FAILED" | "PENDING_REDRIVE" => stopped(StopCause::Definition, None),
            "TIMED_OUT" => stopped(StopCause::TimedOut, None),
            "ABORTED" => stopped(StopCause::Requested, None),
            other => return Err(ExecutionError::Status(clean(other, 50))),
        })
    }

    /// Whether the execution failed and neither error nor cause are known: a minimal event has none, `DescribeExecution` may.
    fn fails_without_a_word(&self) -> bool {
        self.status == "FAILED" && self.reason().is_none()
    }

    fn reason(&self) -> Option<String> {
        let parts = [self.error.as_deref(), self.cause.as_deref()];
        let text = parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ");
        (!text.is_empty()).then(|| clean(&text, LONGEST_REASON))
    }
}

fn success() -> Report {
    Report {
        phase: ReportPhase::Script,
        exit_code: 0,
        signalled: false,
        command: None,
        line: None,
        message: None,
    }
}

/// The attempt that an execution with this name and input can belong to; `None` for executions that Bellhop did not start. An execution of another state
/// machine may have both: `bellhop_domain` compares the ARN.
#[must_use]
pub fn attempt(name: &str, input: &str) -> Option<AttemptId> {
    let input: Value = serde_json::from_str(input).ok()?;
    let environment = input.get(ENVIRONMENT)?.as_object()?;
    let pairs = environment
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    task::from_environment(pairs).filter(|attempt| name_of(attempt) == name)
}

/// `detail` of the event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    execution_arn: String,
    #[serde(default, deserialize_with = "decode::text")]
    state_machine_arn: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    name: Option<String>,
    status: String,
    #[serde(default, deserialize_with = "decode::text")]
    input: Option<String>,
    #[serde(default, deserialize_with = "decode::whole")]
    start_date: Option<i64>,
    #[serde(default, deserialize_with = "decode::whole")]
    stop_date: Option<i64>,
    #[serde(default, deserialize_with = "decode::text")]
    error: Option<String>,
    #[serde(default, deserialize_with = "decode::text")]
    cause: Option<String>,
}

fn status_change(event: &Value) -> Result<Event, Reason> {
    let detail: Detail = decode::object(event.get("detail").unwrap_or(&Value::Null), "detail")?;
    let moment = |ms: Option<i64>| ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let facts = ExecutionFacts {
        status: detail.status,
        started_at: moment(detail.start_date),
        stopped_at: moment(detail.stop_date),
        error: detail.error,
        cause: detail.cause,
        arn: detail.execution_arn,
    };
    let placement = Placement {
        account: decode::account(event),
        place: detail.state_machine_arn,
        definition: None,
    };
    let unnamed = |placement| {
        Ok(Event::Unnamed {
            executor: NAME,
            agent: decode::id(&facts.arn, "detail.executionArn")?,
            placement,
        })
    };
    // The event leaves out an input that is too large or encrypted.
    let Some(input) = detail.input else {
        return unnamed(placement);
    };
    let Some(attempt) = attempt(detail.name.as_deref().unwrap_or_default(), &input) else {
        return Err(Reason::Foreign("an execution that was not started for an attempt".into()));
    };
    if facts.fails_without_a_word() {
        return unnamed(placement);
    }
    match facts.observation() {
        Ok(observation) => Ok(Event::Agent(AgentChange {
            attempt,
            observation,
            placement,
        })),
        Err(ExecutionError::Status(_)) => Err(expected("detail.status", "a status of an execution that Step Functions documents")),
        Err(ExecutionError::Arn(error)) => Err(Reason::Malformed(format!("detail.executionArn: {error}"))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::executor::step_functions::input;
    use serde_json::json;

    use super::*;

    const STARTED: i64 = 1_772_443_500_000;
    const STOPPED: i64 = 1_772_443_800_000;

    fn of_tests() -> AttemptId {
        AttemptId {
            build: "abcdefghij/release".parse().unwrap(),
            number: 2,
        }
    }

    fn arn(name: &str) -> String {
        format!("arn:aws:states:us-east-1:123456789012:execution:release:{name}")
    }

    /// The input of the tests' attempt.
    fn own_input() -> String {
        let environment = [("BELLHOP_BUILD", "abcdefghij/release"), ("BELLHOP_ATTEMPT", "2"), ("TOKEN", "7")];
        input(&environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).to_string()
    }

    /// An event about the execution of the tests' attempt.
    fn event(status: &str) -> Value {
        let name = name_of(&of_tests());
        let stopped = (status != "RUNNING").then_some(STOPPED);
        json!({ "detail": {
            "executionArn": arn(&name), "name": name, "status": status, "startDate": STARTED, "stopDate": stopped,
            "input": own_input(), "inputDetails": { "included": true }, "output": null, "outputDetails": null,
        } })
    }

    fn with(mut event: Value, field: &str, value: Value) -> Value {
        event["detail"][field] = value;
        event
    }

    fn status(event: &Value) -> AgentStatus {
        match status_change(event) {
            Ok(Event::Agent(change)) => {
                assert_eq!(change.attempt, of_tests());
                assert_eq!(change.observation.capacity, Some(CAPACITY));
                assert_eq!(change.observation.version, None);
                change.observation.status
            }
            other => panic!("{other:?}"),
        }
    }

    fn stop(event: &Value) -> Stop {
        match status(event) {
            AgentStatus::Stopped(stop) => stop,
            other => panic!("not stopped: {other:?}"),
        }
    }

    fn is_unnamed(event: &Value) -> bool {
        let own: bellhop_domain::ids::AgentId = arn(&name_of(&of_tests())).parse().unwrap();
        matches!(status_change(event), Ok(Event::Unnamed { executor: NAME, agent, .. }) if agent == own)
    }

    #[test]
    fn a_running_execution_is_up_since_its_start() {
        let since = Timestamp::from_millisecond(STARTED).ok();
        assert_eq!(status(&event("RUNNING")), AgentStatus::Running { since });
    }

    #[test]
    fn every_end_has_its_cause() {
        let failed = with(with(event("FAILED"), "error", json!("Tests")), "cause", json!("3 of 7\nfailed"));
        for (event, cause, reason) in [
            (event("SUCCEEDED"), StopCause::Exited, None),
            (failed.clone(), StopCause::Definition, Some("Tests: 3 of 7 failed")),
            (
                with(failed, "status", json!("PENDING_REDRIVE")),
                StopCause::Definition,
                Some("Tests: 3 of 7 failed"),
            ),
            (
                with(event("FAILED"), "cause", json!("no disk")),
                StopCause::Definition,
                Some("no disk"),
            ),
            (event("TIMED_OUT"), StopCause::TimedOut, None),
            (
                with(event("ABORTED"), "error", json!("Bellhop")),
                StopCause::Requested,
                Some("Bellhop"),
            ),
        ] {
            let stop = stop(&event);
            assert_eq!((stop.cause, stop.reason.as_deref()), (cause, reason), "{event}");
            assert_eq!(stop.at, Timestamp::from_millisecond(STOPPED).ok());
            assert_eq!(
                stop.report.is_some(),
                cause == StopCause::Exited,
                "only a success is the script's end"
            );
        }
    }

    #[test]
    fn a_long_cause_is_cut() {
        let long = with(event("FAILED"), "cause", json!("x".repeat(32_768)));
        assert!(stop(&long).reason.unwrap().chars().count() <= LONGEST_REASON + "...".len());
    }

    #[test]
    fn an_event_that_does_not_say_enough_leads_to_a_question() {
        for field in [Value::Null, json!({ "included": false })] {
            let without = with(with(event("SUCCEEDED"), "input", Value::Null), "inputDetails", field);
            assert!(is_unnamed(&without), "{without}");
        }
        assert!(is_unnamed(&event("FAILED")), "neither error nor cause");
    }

    #[test]
    fn executions_of_others_are_foreign() {
        let foreign = |event: Value| matches!(status_change(&event), Err(Reason::Foreign(_)));
        for input in [
            "{}",
            "[]",
            "7",
            "no JSON",
            r#"{"environment":{"BELLHOP_BUILD":"abcdefghij/release"}}"#,
        ] {
            assert!(foreign(with(event("SUCCEEDED"), "input", json!(input))), "{input}");
        }
        // A child execution that a state machine started with its own input.
        let child = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        let child = with(with(event("FAILED"), "executionArn", json!(arn(child))), "name", json!(child));
        assert!(foreign(child));
        assert!(foreign(with(event("SUCCEEDED"), "name", Value::Null)));
    }

    #[test]
    fn a_malformed_event_names_the_field() {
        let malformed = |event: &Value| match status_change(event) {
            Err(Reason::Malformed(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(malformed(&with(event("RUNNING"), "status", json!("DREAMING"))).contains("detail.status"));
        assert!(malformed(&with(event("RUNNING"), "executionArn", json!(7))).contains("executionArn"));
        assert!(malformed(&with(event("RUNNING"), "executionArn", json!(""))).contains("detail.executionArn"));
        let nameless = with(with(event("RUNNING"), "executionArn", json!("")), "input", Value::Null);
        assert!(malformed(&nameless).contains("detail.executionArn"));
        assert!(malformed(&json!({})).contains("detail"));
    }
}
