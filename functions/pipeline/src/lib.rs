//! Starts a run for a CodePipeline action, which waits for its result.
//!
//! The event contains the pipeline's credentials: only the job's id is logged.

use bellhop_domain::request::PipelineJob;
use bellhop_engine::{Fault, Refused, RunStarter, Started};
use bellhop_events::Event;
use serde_json::{Value, json};

/// Starts the run that an action requests, or continues with the run of an earlier job, and returns the result. Errors in the action's configuration
/// are sent to CodePipeline.
///
/// # Errors
/// If a service cannot be reached now. The action then has no result yet; retrying the input starts nothing twice.
pub async fn handle(starter: &RunStarter, input: &Value) -> Result<Value, Fault> {
    bellhop_runtime::each_event(&*starter.engine.meter, input, async |event| match event {
        Event::Pipeline(job) => Some(take(starter, &job).await),
        _ => None,
    })
    .await
}

async fn take(starter: &RunStarter, job: &PipelineJob) -> Result<Value, Fault> {
    let id = job.id.as_str();
    Ok(match starter.pipeline(job).await? {
        Ok(Started::Run { id: run, builds }) => {
            tracing::info!(job = id, %run, builds, "run started for a pipeline");
            json!({ "job": id, "run": run, "builds": builds })
        }
        Ok(Started::Rejected { id: run, message }) => {
            tracing::warn!(job = id, %run, why = message, "run rejected for a pipeline");
            json!({ "job": id, "run": run, "rejected": message })
        }
        Ok(Started::Again(run)) => {
            tracing::info!(job = id, %run, "run of a pipeline continues");
            json!({ "job": id, "run": run, "again": true })
        }
        Ok(Started::Nothing(why)) => json!({ "job": id, "refused": why.to_string() }),
        Err(Refused(message)) => {
            tracing::warn!(job = id, why = message, "a pipeline action's request cannot be fulfilled");
            json!({ "job": id, "refused": message })
        }
    })
}
