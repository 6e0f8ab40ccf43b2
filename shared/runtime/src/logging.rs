//! Logging according to Lambda's logging controls (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>).

use std::env;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Libraries whose logs are limited to INFO. Their lower levels print whole events and requests, with credentials and values of environment
/// variables.
const LIBRARIES: [&str; 6] = ["aws", "h2", "hyper", "lambda_runtime", "rustls", "tower"];

/// Starts logging to standard output, at the level in `AWS_LAMBDA_LOG_LEVEL`, by default `INFO`, and as JSON if `AWS_LAMBDA_LOG_FORMAT` is `JSON`.
pub(crate) fn start() {
    let filter = filter(&env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default());
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    let lines = if env::var("AWS_LAMBDA_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json")) {
        // Lambda treats a line without a time as level INFO, and drops it if only warnings are wanted.
        lines.json().boxed()
    } else {
        lines.without_time().boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

fn filter(level: &str) -> Targets {
    let level = match level.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let libraries = LIBRARIES.map(|library| (library, level.min(LevelFilter::INFO)));
    Targets::new().with_default(level).with_targets(libraries)
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
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter(level)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "bellhop_push", "ours");
            tracing::trace!(target: "bellhop_push", "ours in detail");
            tracing::trace!(target: "lambda_runtime::layers::api_response", "an event");
            tracing::debug!(target: "aws_smithy_runtime::client", "a request");
            tracing::info!(target: "hyper_util::client", "news of a library");
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

    #[test]
    fn no_library_says_more_than_is_wanted() {
        assert!(logged("INFO").contains("news of a library"));
        for level in ["WARN", "ERROR", "FATAL"] {
            assert_eq!(logged(level), "", "{level}");
        }
    }
}
