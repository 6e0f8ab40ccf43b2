//! A push in CodeCommit starts a run.
//!
//! The event may be EventBridge's, a repository trigger's or a notification rule's, each also inside SNS or SQS, and several in one input.

use bellhop_engine::{Fault, Started, Starter};
use bellhop_events::Event;
use serde_json::{Value, json};

/// Starts what an input asks for, and answers what became of each part of it. What is not understood, or not for this function, is logged and
/// acknowledged: trying again would not help.
///
/// # Errors
/// The first fault, after every push of the input was tried. Trying the input again starts nothing twice.
pub async fn handle(starter: &Starter, input: &Value) -> Result<Value, Fault> {
    let parsed = bellhop_events::parse(input);
    let mut answers = Vec::new();
    let mut fault = None;
    for skipped in &parsed.skipped {
        tracing::info!(what = skipped.what, why = %skipped.why, "acknowledged");
        answers.push(json!({ "skipped": skipped.to_string() }));
    }
    for event in &parsed.events {
        let Event::Push(push) = event else {
            tracing::info!("acknowledged: an event that is another function's");
            answers.push(json!({ "skipped": "an event that is another function's" }));
            continue;
        };
        let (repository, reference, commit) = (push.repository.as_str(), push.reference.full(), push.commit.as_str());
        match starter.push(push).await {
            Ok(Started::Run { id, builds }) => {
                tracing::info!(run = %id, repository, reference, commit, builds, "run started");
                answers.push(json!({ "run": id, "builds": builds }));
            }
            Ok(Started::Rejected { id, message }) => {
                tracing::warn!(run = %id, repository, reference, commit, message, "run rejected");
                answers.push(json!({ "run": id, "rejected": message }));
            }
            Ok(Started::Again(id)) => {
                tracing::info!(run = %id, repository, reference, commit, "run started before");
                answers.push(json!({ "run": id, "again": true }));
            }
            Ok(Started::Nothing(why)) => {
                tracing::info!(repository, reference, commit, why = %why, "nothing to run");
                answers.push(json!({ "nothing": why.to_string() }));
            }
            Err(other) => {
                tracing::error!(repository, reference, commit, error = %other, "the run could not be started or finished starting");
                fault.get_or_insert(other);
            }
        }
    }
    fault.map_or(Ok(Value::Array(answers)), Err)
}
