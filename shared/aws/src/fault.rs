//! Errors of the SDK as faults: which of them pass, in one place.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_engine::{Fault, FaultKind};

/// Error codes of throttles, over all services.
const THROTTLES: [&str; 8] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "RequestThrottled",
    "SlowDown",
];

/// Error codes of faults of a service's own.
const UNAVAILABLE: [&str; 8] = [
    "InternalFailure",
    "InternalServerError",
    "InternalError",
    "InternalErrorException",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "TransactionInProgressException",
];

/// An error of the SDK as a fault. `what` says what was to be done, as in "read build x".
pub(crate) fn fault<E>(what: impl std::fmt::Display, error: SdkError<E, Response>) -> Fault
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let kind = if passes(&error) { FaultKind::Passing } else { FaultKind::Lasting };
    let words = match error.as_service_error() {
        Some(service) => match (service.code(), service.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => "an error without a code".to_owned(),
        },
        None => error.to_string(),
    };
    Fault {
        kind,
        what: format!("failed to {what}: {words}"),
        source: Some(Box::new(error)),
    }
}

fn passes<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().unwrap_or_default();
            service.raw().status().is_server_error() || is_throttle(code) || is_disguised_throttle(message) || UNAVAILABLE.contains(&code)
        }
        _ => false,
    }
}

/// Whether an error code is a throttle's.
pub(crate) fn is_throttle(code: &str) -> bool {
    THROTTLES.contains(&code)
}

/// Whether the words of an error are a throttle's: ECS also gives them under the codes of the caller's own mistakes.
pub(crate) fn is_disguised_throttle(message: &str) -> bool {
    message.contains("Rate exceeded") || message.contains("Throttling")
}

/// The code of a service's error; `None` where no service answered, or without one.
pub(crate) fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}
