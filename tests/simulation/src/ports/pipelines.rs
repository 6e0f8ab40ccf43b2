//! CodePipeline: answers to jobs.

use async_trait::async_trait;
use bellhop_domain::ids::PipelineJobId;
use bellhop_domain::run::pipeline::PipelineAnswer;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Answered, Pipelines};

use super::fate::Service;
use super::port::Port;
use crate::world::lock;
use crate::{codepipeline, mutant};

#[async_trait]
impl Pipelines for Port {
    async fn answer(&self, job: &PipelineJobId, answer: &PipelineAnswer) -> Result<Answered, Fault> {
        let (job, answer) = mutant::sent_answer(&lock(&self.world), job, answer);
        let about = lock(&self.world).codepipeline.about(&job);
        let what = match answer {
            PipelineAnswer::Continue { .. } | PipelineAnswer::Success { .. } => "PutJobSuccessResult",
            PipelineAnswer::Failure { .. } => "PutJobFailureResult",
        };
        let asked = job.clone();
        let answered = self
            .call(Service::Other, what, about, move |world| {
                codepipeline::answer(world, &asked, &answer)
            })
            .await;
        if answered.is_err() {
            codepipeline::answer_failed(&mut lock(&self.world), &job);
        }
        answered
    }
}
