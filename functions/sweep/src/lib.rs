//! Processes everything that is due, once a minute, and single records at their time. It is the only repair.

use std::time::Duration;

use bellhop_engine::{Engine, Fault};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The part of the function's time that is reserved to finish work in progress: as long as a request with all its tries may take. The template's time
/// limit exceeds the schedule's minute by so much that the pause between two sweeps is shorter than a launch.
const RESERVE: Duration = Duration::from_secs(20);

/// Processes the records whose timers have gone off, if the input consists of messages of the timer queue, and else everything that is due, until
/// shortly before Lambda ends the function at `deadline`. Returns counts.
///
/// # Errors
/// The first fault, after all records were tried. They stay due.
pub async fn handle(engine: &Engine, input: &Value, deadline: Timestamp) -> Result<Value, Fault> {
    let until = deadline.checked_sub(RESERVE).unwrap_or(Timestamp::MIN);
    let swept = match bellhop_events::timers(input) {
        Some(records) => engine.timed(records, until).await?,
        None => engine.sweep(until).await?,
    };
    Ok(json!({ "due": swept.due, "advanced": swept.advanced, "left": swept.left }))
}
