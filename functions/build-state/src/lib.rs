//! What happens to an agent on CodeBuild is taken to its build: it is up, or it has ended.

use bellhop_engine::{Engine, Fault};
use bellhop_events::{AgentChange, Event};
use serde_json::{Value, json};

/// Takes what an input tells of agents to their builds, and answers what became of each part of it. Where an event does not tell whose agent it is about,
/// CodeBuild is asked.
///
/// # Errors
/// The first fault, after every event of the input was tried. Trying the input again changes nothing twice.
pub async fn handle(engine: &Engine, input: &Value) -> Result<Value, Fault> {
    bellhop_runtime::each_event(&*engine.meter, input, async |event| match event {
        Event::Agent(change) => Some(bellhop_runtime::take_agent_change(engine, change).await),
        Event::Unnamed(agent) => Some(match engine.agents.identify(&agent).await {
            Ok(Some((attempt, observation))) => bellhop_runtime::take_agent_change(engine, AgentChange { attempt, observation }).await,
            Ok(None) => Ok(json!({ "skipped": "not an agent of this suite" })),
            Err(fault) => Err(fault),
        }),
        _ => None,
    })
    .await
}
