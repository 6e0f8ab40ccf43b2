//! One JSON line for each log record, on standard output, where Lambda takes it
//! (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>).

use std::env;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Libraries whose logs are limited to INFO: their lower levels print whole events and requests, with credentials.
const LIBRARIES: [&str; 6] = ["aws", "h2", "hyper", "lambda_runtime", "rustls", "tower"];

/// Starts logging, at the level in `AWS_LAMBDA_LOG_LEVEL`, by default `INFO`.
pub(crate) fn start() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").ok();
    // What Lambda calls FATAL is ERROR here.
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let libraries = LIBRARIES.map(|library| (library, level.min(LevelFilter::INFO)));
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .json()
        .flatten_event(true)
        .with_span_list(false);
    let filter = Targets::new().with_default(level).with_targets(libraries);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
