//! Passes state changes of agents on CodeBuild and Step Functions to their builds: the agent has started, or has ended.

use bellhop_engine::{Engine, Fault};
use bellhop_events::{AgentChange, Event};
use serde_json::{Value, json};

/// Passes state changes in an input to their builds, and returns the result of each part. If an event does not identify the attempt, its service
/// is polled.
///
/// # Errors
/// The first fault, after every event of the input was tried. Retrying the input changes nothing twice.
pub async fn handle(engine: &Engine, input: &Value) -> Result<Value, Fault> {
    bellhop_runtime::each_event(&*engine.meter, input, async |event| match event {
        Event::Agent(change) => Some(bellhop_runtime::take_agent_change(engine, change).await),
        Event::Unnamed {
            executor,
            agent,
            placement,
        } => Some(match engine.identify(executor, &agent).await {
            Ok(Some((attempt, observation))) => {
                let change = AgentChange {
                    attempt,
                    observation,
                    placement,
                };
                bellhop_runtime::take_agent_change(engine, change).await
            }
            Ok(None) => Ok(json!({ "skipped": "not an agent of this suite" })),
            Err(fault) => Err(fault),
        }),
        _ => None,
    })
    .await
}
