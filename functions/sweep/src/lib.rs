//! Processes everything that is due, once a minute: the only timer, and the only repair.

use std::time::Duration;

use bellhop_engine::{Engine, Fault};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The part of the function's time that is reserved to finish work in progress: as long as a request with all its tries may take. The template's time
/// limit exceeds the schedule's minute by so much that the pause between two sweeps is shorter than a launch.
const RESERVE: Duration = Duration::from_secs(20);

/// Sweeps until shortly before Lambda ends the function at `deadline`, and returns counts. The invocation's event is ignored.
///
/// # Errors
/// The first fault, after all due records were tried. They stay due.
pub async fn handle(engine: &Engine, deadline: Timestamp) -> Result<Value, Fault> {
    let until = deadline.checked_sub(RESERVE).unwrap_or(Timestamp::MIN);
    let swept = engine.sweep(until).await?;
    Ok(json!({ "due": swept.due, "advanced": swept.advanced, "left": swept.left }))
}
