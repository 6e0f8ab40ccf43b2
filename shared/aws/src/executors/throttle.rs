//! Launches that a service throttles: the SDK does not try them again.

use std::fmt;
use std::marker::PhantomData;

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_events::aws_errors::Class;

use crate::fault::class_of;

/// Leaves throttled launches to the launch queue, which has an order and a pace: builds that try again beside it take the tokens of those that have
/// waited longer. `E` is the operation's error.
pub(super) struct LeftToQueue<E>(PhantomData<fn(E)>);

impl<E> LeftToQueue<E> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> fmt::Debug for LeftToQueue<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeftToQueue")
    }
}

impl<E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static> ClassifyRetry for LeftToQueue<E> {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let of_service = error.and_then(|error| error.as_operation_error()?.downcast_ref::<E>());
        match of_service.map(class_of) {
            Some(Class::Throttled) => RetryAction::RetryForbidden,
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "left to the launch queue"
    }
}
