//! Mistakes with actions of CodePipeline.

use bellhop_domain::ids::PipelineJobId;
use bellhop_domain::request::{PipelineAsks, PipelineJob};
use bellhop_domain::run::pipeline::{PipelineAnswer, PipelineFailure};

use super::kind::Mutant;
use crate::world::World;

mutants! {
    /// An action is answered under the id of its first job.
    FIRST_JOB_ANSWERED: "first-job-answered" within 200,
    /// An action is not kept alive.
    NO_HEARTBEAT: "no-heartbeat" within 200,
    /// An action is not told how its run has ended.
    ANSWERS_DROPPED: "answers-dropped" within 200,
    /// An action that comes back starts another run.
    EVERY_JOB_STARTS: "every-job-starts" within 200,
    /// An action fails for the same reason whatever was wrong.
    EVERY_FAILURE_IS_THE_JOBS: "every-failure-is-the-jobs" within 200,
}

/// An answer as it is sent, and under which id.
pub(crate) fn sent_answer(world: &World, job: &PipelineJobId, answer: &PipelineAnswer) -> (PipelineJobId, PipelineAnswer) {
    let (mut job, mut answer) = (job.clone(), answer.clone());
    match (world.mutant, &mut answer) {
        (Some(Mutant::FIRST_JOB_ANSWERED), _) => job = world.codepipeline.first_job(&job).unwrap_or(&job).clone(),
        (Some(Mutant::NO_HEARTBEAT), PipelineAnswer::Continue { .. })
        | (Some(Mutant::ANSWERS_DROPPED), PipelineAnswer::Success { .. } | PipelineAnswer::Failure { .. }) => {
            job = "00000000-0000-4000-8000-000000000000".parse().expect("it is a job's id");
        }
        (Some(Mutant::EVERY_FAILURE_IS_THE_JOBS), PipelineAnswer::Failure { kind, .. }) => *kind = PipelineFailure::JobFailed,
        _ => {}
    }
    (job, answer)
}

/// A job of CodePipeline as it is delivered.
pub(crate) fn delivered_job(world: &World, job: &PipelineJob) -> PipelineJob {
    let mut job = job.clone();
    if world.is(Mutant::EVERY_JOB_STARTS)
        && let PipelineAsks::Continue(run) = &job.asks
        && let Some(action) = world.codepipeline.action_of(run)
    {
        job.asks = action.asks.clone();
    }
    job
}
