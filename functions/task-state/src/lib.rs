//! What happens to an agent on ECS is taken to its build: it is up, it is being taken away, it has ended.

use bellhop_engine::{Engine, Fault};
use bellhop_events::Event;
use serde_json::Value;

/// Takes what an input tells of agents to their builds, and answers what became of each part of it.
///
/// # Errors
/// The first fault, after every event of the input was tried. Trying the input again changes nothing twice.
pub async fn handle(engine: &Engine, input: &Value) -> Result<Value, Fault> {
    bellhop_runtime::each_event(&*engine.meter, input, async |event| match event {
        Event::Agent(change) => Some(bellhop_runtime::take_agent_change(engine, change).await),
        _ => None,
    })
    .await
}
