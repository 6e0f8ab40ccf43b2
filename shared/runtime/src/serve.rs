//! From the Lambda Runtime API to a handler.

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use crate::{Failure, Suite, logging};

/// One invocation of a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The unchanged event.
    pub event: Value,
    /// Lambda's request id: the same for every try of an asynchronous invocation.
    pub request_id: String,
    /// When Lambda ends the function at the latest.
    pub deadline: Timestamp,
}

/// Runs a function until Lambda shuts it down. `make` gets the suite once and returns the handler of all invocations.
///
/// The process exits with a failure, after a log line with the reason, if the environment is incomplete or the runtime API cannot be reached.
pub async fn serve<Made, Handler, Reply>(make: Made) -> ExitCode
where
    Made: FnOnce(Suite) -> Handler,
    Handler: Fn(Invocation) -> Reply,
    Reply: Future<Output = Result<Value, Failure>>,
{
    logging::start();
    let suite = match Suite::from_environment() {
        Ok(suite) => suite,
        Err(error) => {
            tracing::error!(%error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let handler = Arc::new(make(suite));
    let service = service_fn(|LambdaEvent { payload, context }: LambdaEvent<Value>| {
        let handler = Arc::clone(&handler);
        async move {
            let deadline = i64::try_from(context.deadline)
                .ok()
                .and_then(|ms| Timestamp::from_millisecond(ms).ok());
            handler(Invocation {
                event: payload,
                request_id: context.request_id,
                deadline: deadline.unwrap_or(Timestamp::MAX),
            })
            .await
        }
    });
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime failed");
            ExitCode::FAILURE
        }
    }
}
