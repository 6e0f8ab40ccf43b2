//! Passes state changes of agents on ECS to their builds: the agent has started, is being interrupted, or has ended.

use bellhop_engine::{Engine, Fault};
use bellhop_events::Event;
use serde_json::Value;

/// Passes state changes in an input to their builds, and returns the result of each part.
///
/// # Errors
/// The first fault, after every event of the input was tried. Retrying the input changes nothing twice.
pub async fn handle(engine: &Engine, input: &Value) -> Result<Value, Fault> {
    bellhop_runtime::each_event(&*engine.meter, input, async |event| match event {
        Event::Agent(change) => Some(bellhop_runtime::take_agent_change(engine, change).await),
        _ => None,
    })
    .await
}
