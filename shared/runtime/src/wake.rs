//! The common part of the functions that others wake.

use std::time::Duration;

use bellhop_domain::record::Key;
use bellhop_engine::{Engine, Fault};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How long after a wake-up the last record is begun: the rest of the function's time, 30 seconds or more, is for the records in progress.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);

/// Processes the records of a wake-up, and returns counts.
///
/// # Errors
/// As [`Engine::woken`].
pub async fn take_wake_up(engine: &Engine, records: Vec<Key>) -> Result<Value, Fault> {
    let until = engine.clock.now().checked_add(BEGIN_WITHIN).unwrap_or(Timestamp::MAX);
    let swept = engine.woken(records, until).await?;
    tracing::info!(due = swept.due, advanced = swept.advanced, left = swept.left, "woken");
    Ok(json!({ "due": swept.due, "advanced": swept.advanced, "left": swept.left }))
}
