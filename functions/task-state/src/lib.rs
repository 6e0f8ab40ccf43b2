//! What happens to an agent on ECS is taken to its build: it is up, it is being taken away, it has ended.

use bellhop_domain::build::BuildEvent;
use bellhop_domain::observation::AgentStatus;
use bellhop_engine::{Engine, Fault, Handled};
use bellhop_events::{AgentChange, Event};
use serde_json::{Value, json};

/// Takes what an input tells of agents to their builds, and answers what became of each part of it.
///
/// # Errors
/// The first fault, after every event of the input was tried. Trying the input again changes nothing twice.
pub async fn handle(engine: &Engine, input: &Value) -> Result<Value, Fault> {
    bellhop_runtime::each_event(input, async |event| match event {
        Event::Agent(change) => Some(take(engine, change).await),
        Event::Push(_) => None,
    })
    .await
}

async fn take(engine: &Engine, change: AgentChange) -> Result<Value, Fault> {
    let (build, attempt) = (change.attempt.build, change.attempt.number);
    let seen = word(&change.observation.status);
    let event = BuildEvent::Agent {
        attempt,
        observation: change.observation,
    };
    let result = match engine.build(&build, event).await? {
        Handled::Done => "done".to_owned(),
        Handled::Ignored(reason) => format!("ignored: {reason}"),
        Handled::Unknown => "ignored: no such build".to_owned(),
    };
    tracing::info!(%build, attempt, seen, result, "agent event");
    Ok(json!({ "build": build, "attempt": attempt, "seen": seen, "result": result }))
}

fn word(status: &AgentStatus) -> &'static str {
    match status {
        AgentStatus::Starting => "starting",
        AgentStatus::Running { .. } => "running",
        AgentStatus::Interrupted => "interrupted",
        AgentStatus::Stopping => "stopping",
        AgentStatus::Stopped(_) => "stopped",
    }
}
