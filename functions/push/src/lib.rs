//! Starts a run for a push to CodeCommit.
//!
//! The event may come from EventBridge, a repository trigger or a notification rule, each also inside SNS or SQS, and an input may contain several.

use bellhop_domain::measure::Measure;
use bellhop_domain::run::trigger::Push;
use bellhop_engine::{Fault, NothingWhy, RunStarter, Started};
use bellhop_events::Event;
use serde_json::{Value, json};

/// Starts the runs of an input, and returns the result of each part.
///
/// # Errors
/// The first fault, after every push of the input was tried. Retrying the input starts nothing twice.
pub async fn handle(starter: &RunStarter, input: &Value) -> Result<Value, Fault> {
    bellhop_runtime::each_event(&*starter.engine.meter, input, async |event| match event {
        Event::Push(push) => Some(start(starter, &push).await),
        _ => None,
    })
    .await
}

async fn start(starter: &RunStarter, push: &Push) -> Result<Value, Fault> {
    let (repository, reference, commit) = (push.repository.as_str(), push.reference.full(), push.commit.as_str());
    Ok(match starter.push(push).await? {
        Started::Run { id, builds } => {
            tracing::info!(run = %id, repository, reference, commit, builds, "run started");
            json!({ "run": id, "builds": builds })
        }
        Started::Rejected { id, message } => {
            tracing::warn!(run = %id, repository, reference, commit, why = message, "run rejected");
            json!({ "run": id, "rejected": message })
        }
        Started::Again(id) => {
            tracing::info!(run = %id, repository, reference, commit, "run already started");
            json!({ "run": id, "again": true })
        }
        Started::Nothing(why @ NothingWhy::NoCommit) => {
            tracing::warn!(repository, reference, commit, why = %why, "nothing to run");
            starter.engine.meter.count(Some(&push.repository), &[Measure::Dropped]);
            json!({ "nothing": why.to_string() })
        }
        Started::Nothing(why) => {
            tracing::info!(repository, reference, commit, why = %why, "nothing to run");
            json!({ "nothing": why.to_string() })
        }
    })
}
