//! Reports alarms, and applies the remedies of the suite configuration.
//!
//! An alarm may arrive as an EventBridge event, an SNS message, a direct invocation, or several of them.

use bellhop_domain::alarm::AlarmChange;
use bellhop_engine::{Engine, Fault, Handled};
use bellhop_events::Event;
use serde_json::{Value, json};

/// Passes state changes in an input to their alarms, and returns the result of each part.
///
/// # Errors
/// The first fault, after every event of the input was tried. Retrying the input reports nothing twice and applies no remedy twice.
pub async fn handle(engine: &Engine, input: &Value) -> Result<Value, Fault> {
    bellhop_runtime::each_event(&*engine.meter, input, async |event| match event {
        Event::Alarm(change) => Some(take(engine, *change).await),
        Event::WakeUp(records) => Some(bellhop_runtime::take_wake_up(engine, records).await),
        _ => None,
    })
    .await
}

async fn take(engine: &Engine, change: AlarmChange) -> Result<Value, Fault> {
    let (alarm, state, quiet) = (change.id.name.clone(), change.state, change.quiet.clone());
    let result = match engine.alarm(change).await? {
        Handled::Done => quiet.map_or_else(|| "done".to_owned(), |why| format!("done, without a message: {why}")),
        Handled::Ignored(reason) => format!("ignored: {reason}"),
        Handled::Unknown => "ignored: no such alarm".to_owned(),
    };
    tracing::info!(alarm, %state, result, "alarm event");
    Ok(json!({ "alarm": alarm, "state": state, "result": result }))
}
