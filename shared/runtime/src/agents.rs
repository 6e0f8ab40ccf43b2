//! The common part of the functions for agents' events.

use bellhop_domain::build::BuildEvent;
use bellhop_domain::decision::Ignored;
use bellhop_domain::executor::observation::AgentStatus;
use bellhop_domain::measure::Measure;
use bellhop_engine::{Engine, Fault, Handled};
use bellhop_events::AgentChange;
use serde_json::{Value, json};

/// Passes the event of an agent to its build, and returns the result. An event that the build does not believe is acknowledged and
/// logged as a warning; one that does not fit is also counted as dropped.
///
/// # Errors
/// As [`Engine::build`].
pub async fn take_agent_change(engine: &Engine, change: AgentChange) -> Result<Value, Fault> {
    let (build, attempt) = (change.attempt.build, change.attempt.number);
    let seen = word(&change.observation.status);
    let agent = change.observation.agent.clone();
    let event = BuildEvent::Reported {
        attempt,
        observation: change.observation,
        placement: change.placement,
    };
    let result = match engine.build(&build, event).await? {
        Handled::Done => "done".to_owned(),
        Handled::Ignored(reason) => {
            if reason.is_suspicious() {
                tracing::warn!(%build, attempt, seen, %agent, %reason, "an agent event was not believed");
            }
            // An event that is only early looks unproven, too.
            if let Ignored::Misfit(_) = reason {
                engine.meter.count(None, &[Measure::Dropped]);
            }
            format!("ignored: {reason}")
        }
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
