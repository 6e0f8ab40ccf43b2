//! The pipelines that wait for runs.

use async_trait::async_trait;
use bellhop_domain::ids::PipelineJobId;
use bellhop_domain::run::pipeline::PipelineAnswer;

use crate::Fault;

/// The response to a result for a CodePipeline job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// CodePipeline accepted it.
    Taken,
    /// The job is not open: it has a result, timed out, or its pipeline was stopped.
    NotOpen,
}

/// The pipelines that wait for runs: CodePipeline.
#[async_trait]
pub trait Pipelines: Send + Sync {
    /// Sends a job's result.
    async fn answer(&self, job: &PipelineJobId, answer: &PipelineAnswer) -> Result<Answered, Fault>;
}
