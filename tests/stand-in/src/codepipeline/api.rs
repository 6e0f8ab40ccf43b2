//! The operations of CodePipeline that a function reports with.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::CodePipeline;
use super::actions::{Action, Details, JobResult, Status};
use crate::calls::Call;
use crate::replies::{Answer, AwsError};
use crate::support::lock;

const TOKEN_LIMIT: usize = 2048;
const SUMMARY_LIMIT: usize = 2048;
const EXECUTION_ID_LIMIT: usize = 1500;
const MESSAGE_LIMIT: usize = 5000;
/// The characters of all names and values of output variables together.
const VARIABLES_LIMIT: usize = 122_880;
const FAILURE_TYPES: [&str; 6] = [
    "JobFailed",
    "ConfigurationError",
    "PermissionError",
    "RevisionOutOfSync",
    "RevisionUnavailable",
    "SystemUnavailable",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Success {
    job_id: Option<String>,
    continuation_token: Option<String>,
    execution_details: Option<Details>,
    output_variables: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    job_id: Option<String>,
    failure_details: Option<FailureDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureDetails {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    external_execution_id: Option<String>,
}

impl CodePipeline {
    pub(crate) fn answer(&self, call: &Call) -> Result<Answer, AwsError> {
        let request = call.json()?;
        match call.operation.as_str() {
            "PutJobSuccessResult" => self.put_job_success_result(request),
            "PutJobFailureResult" => self.put_job_failure_result(request),
            _ => Err(AwsError::unknown_operation(call)),
        }
    }

    fn put_job_success_result(&self, request: &Value) -> Result<Answer, AwsError> {
        let request: Success = read(request)?;
        let job = job_id(request.job_id.as_deref())?;
        let token = request.continuation_token;
        let details = request.execution_details.unwrap_or_default();
        let variables = request.output_variables.unwrap_or_default();
        within("continuationToken", token.as_deref(), TOKEN_LIMIT)?;
        within("executionDetails.summary", details.summary.as_deref(), SUMMARY_LIMIT)?;
        let execution = details.external_execution_id.as_deref();
        within("executionDetails.externalExecutionId", execution, EXECUTION_ID_LIMIT)?;
        if details.percent_complete.is_some_and(|percent| !(0..=100).contains(&percent)) {
            return Err(violated("executionDetails.percentComplete", "Member must be between 0 and 100"));
        }
        check_variables(&variables)?;
        if token.is_some() && !variables.is_empty() {
            return Err(AwsError::client(
                "ValidationException",
                "Output variables cannot be specified together with a continuation token",
            ));
        }

        let after = self.inner.timing.job_continuation;
        let note = token.as_ref().map_or("(over)", |_| "(continues)");
        self.settle(job, |action| {
            action.note(details, variables);
            match token {
                Some(token) => action.go_on(token, after),
                None => action.end(Status::Succeeded, JobResult::Succeeded),
            }
        })?;
        Ok(Answer {
            body: json!({}),
            note: Some(note.to_owned()),
        })
    }

    fn put_job_failure_result(&self, request: &Value) -> Result<Answer, AwsError> {
        let request: Failure = read(request)?;
        let job = job_id(request.job_id.as_deref())?;
        let Some(failure) = request.failure_details else {
            return Err(violated("failureDetails", "Member must not be null"));
        };
        let kind = failure.kind.filter(|kind| FAILURE_TYPES.contains(&kind.as_str()));
        let Some(kind) = kind else {
            let allowed = FAILURE_TYPES.join(", ");
            let constraint = format!("Member must satisfy enum value set: [{allowed}]");
            return Err(violated("failureDetails.type", &constraint));
        };
        let Some(message) = failure.message else {
            return Err(violated("failureDetails.message", "Member must not be null"));
        };
        within("failureDetails.message", Some(&message), MESSAGE_LIMIT)?;
        let execution = failure.external_execution_id.as_deref();
        within("failureDetails.externalExecutionId", execution, EXECUTION_ID_LIMIT)?;

        let note = format!("({kind})");
        let details = Details {
            external_execution_id: failure.external_execution_id,
            ..Details::default()
        };
        self.settle(job, |action| {
            action.note(details, BTreeMap::new());
            action.end(Status::Failed, JobResult::Failed { kind, message });
        })?;
        Ok(Answer {
            body: json!({}),
            note: Some(note),
        })
    }

    /// Lets a result take effect on the action whose open job this is.
    fn settle(&self, job: &str, result: impl FnOnce(&mut Action)) -> Result<(), AwsError> {
        {
            let mut state = lock(&self.inner.state);
            let action = state
                .actions
                .iter_mut()
                .find(|action| action.jobs.iter().any(|known| known.id == job));
            let Some(action) = action else {
                let message = format!("Job {job} could not be found");
                return Err(AwsError::client("JobNotFoundException", message));
            };
            if !action.waits_for(job) {
                let message = format!("Job {job} is not in progress any more");
                return Err(AwsError::client("InvalidJobStateException", message));
            }
            result(action);
        }
        self.changed();
        Ok(())
    }
}

fn read<T: DeserializeOwned>(request: &Value) -> Result<T, AwsError> {
    serde_json::from_value(request.clone()).map_err(|error| AwsError::client("SerializationException", error.to_string()))
}

/// A job's id: a UUID of lower-case digits.
fn job_id(id: Option<&str>) -> Result<&str, AwsError> {
    let id = id.ok_or_else(|| violated("jobId", "Member must not be null"))?;
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-';
    if groups == [8, 4, 4, 4, 12] && id.bytes().all(digit) {
        Ok(id)
    } else {
        Err(violated(
            "jobId",
            "Member must satisfy regular expression pattern: [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        ))
    }
}

/// Refuses a text that is empty or longer than the limit, in characters.
fn within(member: &str, text: Option<&str>, limit: usize) -> Result<(), AwsError> {
    let Some(text) = text else {
        return Ok(());
    };
    if text.is_empty() {
        return Err(violated(member, "Member must have length greater than or equal to 1"));
    }
    if text.chars().count() > limit {
        return Err(violated(member, &format!("Member must have length less than or equal to {limit}")));
    }
    Ok(())
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), AwsError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@-_".contains(&byte);
    if variables.keys().any(|name| name.is_empty() || !name.bytes().all(allowed)) {
        let constraint = "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [A-Za-z0-9@\\-_]+]";
        return Err(violated("outputVariables", constraint));
    }
    let size: usize = variables
        .iter()
        .map(|(name, value)| name.chars().count() + value.chars().count())
        .sum();
    if size > VARIABLES_LIMIT {
        return Err(AwsError::client(
            "OutputVariablesSizeExceededException",
            "Exceeded the total size limit for all variables in the pipeline",
        ));
    }
    Ok(())
}

fn violated(member: &str, constraint: &str) -> AwsError {
    AwsError::client(
        "ValidationException",
        format!("1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}"),
    )
}
