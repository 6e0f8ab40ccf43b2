//! What happens to an agent on ECS is taken to its build: it is up, it is being taken away, it has ended.

use bellhop_domain::build::BuildEvent;
use bellhop_domain::observation::AgentStatus;
use bellhop_engine::{Engine, Fault, Handled};
use bellhop_events::Event;
use serde_json::{Value, json};

/// Takes what an input tells of agents to their builds, and answers what became of each part of it. What is not understood, or not for this function,
/// is logged and acknowledged: trying again would not help.
///
/// # Errors
/// The first fault, after every event of the input was tried. Trying the input again changes nothing twice.
pub async fn handle(engine: &Engine, input: &Value) -> Result<Value, Fault> {
    let parsed = bellhop_events::parse(input);
    let mut answers = Vec::new();
    let mut fault = None;
    for skipped in &parsed.skipped {
        tracing::info!(what = skipped.what, why = %skipped.why, "acknowledged");
        answers.push(json!({ "skipped": skipped.to_string() }));
    }
    for event in parsed.events {
        let Event::Agent(change) = event else {
            tracing::info!("acknowledged: an event that is another function's");
            answers.push(json!({ "skipped": "an event that is another function's" }));
            continue;
        };
        let build = change.attempt.build.clone();
        let attempt = change.attempt.number;
        let seen = word(&change.observation.status);
        let event = BuildEvent::Agent {
            attempt,
            observation: change.observation,
        };
        match engine.build(&build, event).await {
            Ok(handled) => {
                let result = match handled {
                    Handled::Done => "done".to_owned(),
                    Handled::Ignored(reason) => format!("ignored: {reason}"),
                    Handled::Unknown => "ignored: no such build".to_owned(),
                };
                tracing::info!(%build, attempt, seen, result, "agent event");
                answers.push(json!({ "build": build, "attempt": attempt, "seen": seen, "result": result }));
            }
            Err(other) => {
                tracing::error!(%build, attempt, seen, error = %other, "the event could not be taken to its end");
                fault.get_or_insert(other);
            }
        }
    }
    fault.map_or(Ok(Value::Array(answers)), Err)
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
