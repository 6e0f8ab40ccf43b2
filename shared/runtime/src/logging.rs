//! What functions log, as Lambda's logging controls ask for it (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>).

use std::env;

use tracing_subscriber::EnvFilter;

/// What the libraries may log at the most. Further down they print whole events and requests, with credentials and environment values in them.
const LIBRARIES: [&str; 6] = [
    "aws=info",
    "h2=info",
    "hyper=info",
    "lambda_runtime=info",
    "rustls=info",
    "tower=info",
];

/// Starts logging to standard output: of the level that `AWS_LAMBDA_LOG_LEVEL` names, `INFO` without it, as JSON if `AWS_LAMBDA_LOG_FORMAT` is `JSON`.
pub(crate) fn start() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default();
    let lines = tracing_subscriber::fmt().with_target(false).with_env_filter(filter(&level));
    if env::var("AWS_LAMBDA_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json")) {
        // Lambda takes a line without a time for one of level INFO, and drops it where only warnings are wanted.
        lines.json().init();
    } else {
        lines.without_time().init();
    }
}

fn filter(level: &str) -> EnvFilter {
    let level = match level.to_ascii_lowercase().as_str() {
        "fatal" => "error".to_owned(),
        known @ ("trace" | "debug" | "warn" | "error") => known.to_owned(),
        _ => "info".to_owned(),
    };
    let directives: Vec<&str> = std::iter::once(level.as_str()).chain(LIBRARIES).collect();
    EnvFilter::builder().parse_lossy(directives.join(","))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter(level))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "bellhop_push", "ours");
            tracing::trace!(target: "bellhop_push", "ours in detail");
            tracing::trace!(target: "lambda_runtime::layers::api_response", "an event");
            tracing::debug!(target: "aws_smithy_runtime::client", "a request");
        });
        let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn no_level_makes_libraries_print_events_or_requests() {
        for level in ["TRACE", "DEBUG", "INFO", "nonsense", ""] {
            let lines = logged(level);
            assert!(lines.contains("ours"), "{level}: {lines}");
            assert!(!lines.contains("an event") && !lines.contains("a request"), "{level}: {lines}");
        }
        assert!(logged("TRACE").contains("in detail"));
        assert!(!logged("INFO").contains("in detail"));
    }
}
