//! From an input to its events.

use bellhop_engine::Fault;
use bellhop_events::Event;
use serde_json::{Value, json};

/// Takes every event of an input to `each`, one after the other, and answers what became of each part. `each` gives `None` for an event that is another
/// function's. That, and what is not understood, is logged and acknowledged: trying again would not help.
///
/// # Errors
/// The first fault, after every event was tried.
pub async fn each_event<Each, Answer>(input: &Value, each: Each) -> Result<Value, Fault>
where
    Each: Fn(Event) -> Answer,
    Answer: Future<Output = Option<Result<Value, Fault>>>,
{
    let parsed = bellhop_events::parse(input);
    let mut answers = Vec::new();
    let mut fault = None;
    for skipped in &parsed.skipped {
        tracing::info!(what = skipped.what, why = %skipped.why, "acknowledged");
        answers.push(json!({ "skipped": skipped.to_string() }));
    }
    for event in parsed.events {
        match each(event).await {
            Some(Ok(answer)) => answers.push(answer),
            Some(Err(other)) => {
                tracing::error!(error = %other, "an event could not be taken to its end");
                fault.get_or_insert(other);
            }
            None => {
                tracing::info!("acknowledged: an event that is another function's");
                answers.push(json!({ "skipped": "an event that is another function's" }));
            }
        }
    }
    fault.map_or(Ok(Value::Array(answers)), Err)
}
