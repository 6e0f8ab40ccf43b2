//! Once a minute, everything that is due: the one timer and the one repairer.

use std::time::Duration;

use bellhop_engine::{Engine, Fault};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What is kept of the function's time for finishing what was begun: as long as a request with all its tries may take. The template gives it so much more
/// than the schedule's minute that hardly a launch's time passes between two sweeps.
const RESERVE: Duration = Duration::from_secs(20);

/// Sweeps until shortly before Lambda ends the function at `deadline`, and answers what was done. What the invocation's event says does not matter.
///
/// # Errors
/// The first fault, after everything that was due was tried. It stays due.
pub async fn handle(engine: &Engine, deadline: Timestamp) -> Result<Value, Fault> {
    let until = deadline.checked_sub(RESERVE).unwrap_or(Timestamp::MIN);
    let swept = engine.sweep(until).await?;
    Ok(json!({ "due": swept.due, "advanced": swept.advanced, "left": swept.left }))
}
