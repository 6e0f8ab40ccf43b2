//! CodePipeline, with every answer.

use std::sync::Mutex;

use async_trait::async_trait;
use bellhop_domain::ids::PipelineJobId;
use bellhop_domain::run::pipeline::PipelineAnswer;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Answered, Pipelines};

/// CodePipeline, with every answer that it was given and under which job's id.
#[derive(Default)]
pub(crate) struct FakePipelines {
    pub(crate) answers: Mutex<Vec<String>>,
}

#[async_trait]
impl Pipelines for FakePipelines {
    async fn answer(&self, job: &PipelineJobId, answer: &PipelineAnswer) -> Result<Answered, Fault> {
        tokio::task::yield_now().await;
        let words = match answer {
            PipelineAnswer::Continue { .. } => "continue".to_owned(),
            PipelineAnswer::Success { build, attempts, .. } => format!("success of {} in {attempts}", build.job),
            PipelineAnswer::Failure { kind, message, .. } => format!("{kind:?}: {message}"),
        };
        self.answers.lock().unwrap().push(format!("{} {words}", &job.as_str()[..2]));
        Ok(Answered::Taken)
    }
}
