//! Converts SDK errors to faults and to refusals of a launch. One table, [`bellhop_events::aws_errors`], classifies them.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::build::Refusal;
use bellhop_engine::{Fault, FaultKind};
use bellhop_events::aws_errors::Class;

/// An SDK error as a fault. `what` is the failed action, as in "read build x".
pub(crate) fn fault<E>(what: impl std::fmt::Display, error: SdkError<E, Response>) -> Fault
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let kind = if passes(&error) {
        FaultKind::Transient
    } else {
        FaultKind::Permanent
    };
    let message = match error.as_service_error() {
        Some(service) => match (service.code(), service.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => "an error without a code".to_owned(),
        },
        None => error.to_string(),
    };
    Fault {
        kind,
        what: format!("failed to {what}: {message}"),
        source: Some(Box::new(error)),
    }
}

fn passes<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(service) => {
            let class = class_of(service.err());
            service.raw().status().is_server_error() || matches!(class, Class::Throttled | Class::Transient)
        }
        _ => false,
    }
}

/// The class of a service's error.
pub(crate) fn class_of(error: &impl ProvideErrorMetadata) -> Class {
    Class::of_error(error.code().unwrap_or_default(), error.message().unwrap_or_default())
}

/// The refusal of a launch, if the error proves that no agent was started. `None` if that is unknown: a timeout, a fault of the service.
pub(crate) fn refusal_of<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> Option<Refusal> {
    let SdkError::ServiceError(answer) = error else { return None };
    let service = answer.err();
    let is_open = answer.raw().status().is_server_error();
    let code = service.code().unwrap_or_default();
    let text = format!("{code}: {}", service.message().unwrap_or_default());
    match class_of(service) {
        Class::Throttled => Some(Refusal::Throttled(text)),
        Class::AccountLimit => Some(Refusal::AccountLimit(text)),
        Class::NoCapacity => Some(Refusal::NoCapacity(text)),
        Class::Permanent => Some(Refusal::Invalid(text)),
        Class::Transient | Class::Unknown if is_open => None,
        Class::Transient => Some(Refusal::Transient(text)),
        Class::Unknown => Some(Refusal::Unknown(text)),
    }
}

/// The code of a service's error; `None` without a response, or without a code.
pub(crate) fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}
