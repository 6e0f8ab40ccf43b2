//! The common part of the functions for agents' events.

use bellhop_domain::build::BuildEvent;
use bellhop_domain::executor::observation::AgentStatus;
use bellhop_engine::{Engine, Fault, Handled};
use bellhop_events::AgentChange;
use serde_json::{Value, json};

/// Passes the observation of an agent to its build, and returns the result.
///
/// # Errors
/// As [`Engine::build`].
pub async fn take_agent_change(engine: &Engine, change: AgentChange) -> Result<Value, Fault> {
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
