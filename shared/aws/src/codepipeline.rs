//! Results for AWS CodePipeline (<https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PutJobSuccessResult.html>,
//! <https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PutJobFailureResult.html>).

use async_trait::async_trait;
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::types::{ExecutionDetails, FailureDetails, FailureType};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::ids::PipelineJobId;
use bellhop_domain::run::pipeline::{PipelineAnswer, PipelineFailure};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Answered, Pipelines};

use crate::config::Lazy;
use crate::fault::{code_of, fault};

/// The most characters of a failure's message.
const MESSAGE_LIMIT: usize = 5000;
/// The most characters of a summary.
const SUMMARY_LIMIT: usize = 2048;

/// CodePipeline's error codes for a job that accepts no result any more.
const NOT_OPEN: [&str; 3] = ["InvalidClientTokenException", "InvalidJobStateException", "JobNotFoundException"];

/// AWS CodePipeline.
#[derive(Debug, Clone)]
pub struct CodePipeline {
    client: Lazy<Client>,
}

impl CodePipeline {
    pub(crate) fn new(client: Lazy<Client>) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Pipelines for CodePipeline {
    /// If a reply is lost, the SDK repeats the call, which then finds the job with a result: [`Answered::NotOpen`] does not prove that another caller
    /// sent it.
    async fn answer(&self, job: &PipelineJobId, answer: &PipelineAnswer) -> Result<Answered, Fault> {
        match answer {
            PipelineAnswer::Continue { run, summary } => {
                let request = self
                    .client
                    .put_job_success_result()
                    .job_id(job.as_str())
                    .continuation_token(run.as_str())
                    .execution_details(details(summary, run.as_str()));
                answered(job, request.send().await)
            }
            PipelineAnswer::Success {
                build,
                outcome,
                attempts,
                summary,
            } => {
                let request = self
                    .client
                    .put_job_success_result()
                    .job_id(job.as_str())
                    .execution_details(details(summary, &build.to_string()))
                    .output_variables("BuildId", build.to_string())
                    .output_variables("Outcome", outcome.as_str())
                    .output_variables("Attempts", attempts.to_string());
                answered(job, request.send().await)
            }
            PipelineAnswer::Failure { kind, message, build } => {
                let details = FailureDetails::builder()
                    .r#type(failure_type(*kind))
                    .message(message_of(message))
                    .set_external_execution_id(build.as_ref().map(ToString::to_string))
                    .build()
                    .map_err(|error| Fault::permanent("the details of a failure could not be built").caused_by(error))?;
                let request = self.client.put_job_failure_result().job_id(job.as_str()).failure_details(details);
                answered(job, request.send().await)
            }
        }
    }
}

/// `id` is Bellhop's, and much shorter than the 1,500 characters of an external execution id.
fn details(summary: &str, id: &str) -> ExecutionDetails {
    ExecutionDetails::builder()
        .summary(cut(summary, SUMMARY_LIMIT))
        .external_execution_id(id)
        .build()
}

/// CodePipeline refuses an empty message.
fn message_of(message: &str) -> String {
    if message.trim().is_empty() {
        "the run failed; nothing more is known".to_owned()
    } else {
        cut(message, MESSAGE_LIMIT)
    }
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

fn failure_type(kind: PipelineFailure) -> FailureType {
    match kind {
        PipelineFailure::JobFailed => FailureType::JobFailed,
        PipelineFailure::Configuration => FailureType::ConfigurationError,
        PipelineFailure::SystemUnavailable => FailureType::SystemUnavailable,
    }
}

fn answered<T, E>(job: &PipelineJobId, reply: Result<T, SdkError<E, Response>>) -> Result<Answered, Fault>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match reply {
        Ok(_) => Ok(Answered::Taken),
        Err(error) if code_of(&error).is_some_and(|code| NOT_OPEN.contains(&code)) => Ok(Answered::NotOpen),
        Err(error) => Err(fault(format_args!("answer job {job} of CodePipeline"), error)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::outcome::Outcome;
    use bellhop_engine::FaultKind;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Reply, Wire, broken, ok, refused};

    const JOB: &str = "11111111-2222-3333-4444-555555555555";

    async fn answer(reply: Reply, answer: &PipelineAnswer) -> (Result<Answered, Fault>, (String, Value)) {
        let (aws, wire) = Wire::replying([reply]);
        let answered = aws.pipelines().answer(&JOB.parse().unwrap(), answer).await;
        let [asked]: [(String, Value); 1] = wire.asked().try_into().unwrap();
        (answered, asked)
    }

    fn failure(kind: PipelineFailure, message: &str) -> PipelineAnswer {
        PipelineAnswer::Failure {
            kind,
            message: message.to_owned(),
            build: None,
        }
    }

    #[tokio::test]
    async fn a_run_that_goes_on_asks_to_come_back() {
        let going_on = PipelineAnswer::Continue {
            run: "abcdefghij".parse().unwrap(),
            summary: "x".repeat(3000),
        };
        let (answered, (operation, body)) = answer(ok(&json!({})), &going_on).await;
        assert_eq!((answered.unwrap(), operation.as_str()), (Answered::Taken, "PutJobSuccessResult"));
        let expected = json!({
            "jobId": JOB,
            "continuationToken": "abcdefghij",
            "executionDetails": { "summary": "x".repeat(2048), "externalExecutionId": "abcdefghij" },
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_success_comes_with_the_output_variables() {
        let success = PipelineAnswer::Success {
            build: "abcdefghij/image".parse().unwrap(),
            outcome: Outcome::Succeeded,
            attempts: 2,
            summary: "all well".to_owned(),
        };
        let (answered, (operation, body)) = answer(ok(&json!({})), &success).await;
        assert_eq!((answered.unwrap(), operation.as_str()), (Answered::Taken, "PutJobSuccessResult"));
        let expected = json!({
            "jobId": JOB,
            "executionDetails": { "summary": "all well", "externalExecutionId": "abcdefghij/image" },
            "outputVariables": { "BuildId": "abcdefghij/image", "Outcome": "succeeded", "Attempts": "2" },
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_failure_says_whose_it_is_and_is_never_without_words() {
        for (kind, name) in [
            (PipelineFailure::JobFailed, "JobFailed"),
            (PipelineFailure::Configuration, "ConfigurationError"),
            (PipelineFailure::SystemUnavailable, "SystemUnavailable"),
        ] {
            let (_, (operation, body)) = answer(ok(&json!({})), &failure(kind, "no agent `x`")).await;
            assert_eq!(operation, "PutJobFailureResult");
            let expected = json!({ "jobId": JOB, "failureDetails": { "type": name, "message": "no agent `x`" } });
            assert_eq!(body, expected);
        }
        let build = PipelineAnswer::Failure {
            kind: PipelineFailure::JobFailed,
            message: "ü".repeat(6000),
            build: Some("abcdefghij/image".parse().unwrap()),
        };
        let (_, (_, body)) = answer(ok(&json!({})), &build).await;
        assert_eq!(body["failureDetails"]["message"], "ü".repeat(5000));
        assert_eq!(body["failureDetails"]["externalExecutionId"], "abcdefghij/image");
        let (_, (_, body)) = answer(ok(&json!({})), &failure(PipelineFailure::JobFailed, " \n")).await;
        assert_eq!(body["failureDetails"]["message"], "the run failed; nothing more is known");
    }

    #[tokio::test]
    async fn a_job_that_is_not_open_is_no_fault() {
        for code in ["JobNotFoundException", "InvalidJobStateException", "InvalidClientTokenException"] {
            let (answered, _) = answer(refused(code, "no"), &failure(PipelineFailure::JobFailed, "x")).await;
            assert_eq!(answered.unwrap(), Answered::NotOpen, "{code}");
        }
        for (reply, kind) in [
            (refused("ThrottlingException", "Rate exceeded"), FaultKind::Transient),
            (broken(), FaultKind::Transient),
            (refused("ValidationException", "no"), FaultKind::Permanent),
            (refused("AccessDeniedException", "no"), FaultKind::Permanent),
        ] {
            let (answered, _) = answer(reply.clone(), &failure(PipelineFailure::JobFailed, "x")).await;
            assert_eq!(answered.unwrap_err().kind, kind, "{reply:?}");
        }
    }
}
