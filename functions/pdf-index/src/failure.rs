//! Errors as Lambda reports them.

use std::fmt;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lambda_runtime::Diagnostic;

/// Why an invocation failed. Lambda tries it again twice, and then sends the event to the dead-letter queue.
#[derive(thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// Whether a retry may help: a throttled call, a fault of a service, a lost connection.
    pub is_transient: bool,
    /// What failed and why, in one line.
    pub what: String,
}

impl Failure {
    /// A failure that may pass.
    #[must_use]
    pub fn transient(what: String) -> Self {
        Self { is_transient: true, what }
    }

    /// A failure that stays: the event or the deployment has to change.
    #[must_use]
    pub fn permanent(what: String) -> Self {
        Self { is_transient: false, what }
    }

    /// An error of the SDK. `what` is the failed action, as in "read s3://bucket/key".
    pub(crate) fn of<E: ProvideErrorMetadata + std::error::Error>(what: &str, error: &SdkError<E, Response>) -> Self {
        let (is_transient, message) = match error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or("an error without a code");
                let is_transient = service.raw().status().is_server_error() || THROTTLES.contains(&code);
                (is_transient, format!("{code}: {}", service.err().message().unwrap_or("no message")))
            }
            SdkError::ConstructionFailure(_) => (false, error.to_string()),
            _ => (true, error.to_string()),
        };
        Self {
            is_transient,
            what: format!("failed to {what}: {message}"),
        }
    }
}

/// Codes of refusals that pass, of S3 and DynamoDB (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
const THROTTLES: [&str; 7] = [
    "LimitExceededException",
    "OperationAborted",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "ThrottlingException",
    "TransactionInProgressException",
];

/// As lambda_runtime logs it.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the invocation failed: {}", self.what)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self {
            error_type: if failure.is_transient { "Transient" } else { "Permanent" }.to_owned(),
            error_message: failure.what,
        }
    }
}
