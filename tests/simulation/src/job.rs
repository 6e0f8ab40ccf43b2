//! What invocations are for, in the words of the story.

use bellhop_domain::ids::RunId;
use bellhop_domain::request::PipelineAsks;

use crate::codepipeline;
use crate::world::{Job, Subject};

impl Job {
    /// What an invocation concerns.
    pub(crate) fn about(&self) -> Subject {
        match self {
            Self::Push(push) => Subject::Run(RunId::derive(crate::SUITE, &push.trigger, &push.reference)),
            Self::Agent(attempt, _) | Self::Unnamed(attempt, _) => Subject::from(&attempt.build),
            Self::Forged(forged) => forged.about(),
            Self::Cancel(run, _) => Subject::from(run),
            Self::Request(request) => Subject::Run(request.run()),
            Self::Pipeline(job) => match &job.asks {
                PipelineAsks::Start(start) => Subject::Run(codepipeline::run_of(&job.id, start)),
                PipelineAsks::Continue(run) => Subject::from(run),
                PipelineAsks::Wrong(_) => Subject::World,
            },
            Self::Instance(_) | Self::Alarm(_) | Self::Backup(_) | Self::WakeUp(..) | Self::Timed(_) | Self::Sweep => Subject::World,
        }
    }

    /// What it is about, in a few words for the story.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Push(push) => format!("push of {}", push.commit.short()),
            Self::Agent(attempt, observation) => format!(
                "attempt {}, {} v{:?}: {:?}",
                attempt.number,
                crate::ecs::short(&observation.agent),
                observation.version,
                observation.status
            ),
            Self::Unnamed(_, agent) => format!("of {}", crate::ecs::short(agent)),
            Self::Forged(forged) => forged.words(),
            Self::Cancel(_, job) => job.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string),
            Self::Request(request) => format!("{:?}", request.asks),
            Self::Pipeline(job) => format!("job {}: {:?}", codepipeline::short(&job.id), job.asks),
            Self::Instance(notice) => notice.words(),
            Self::Alarm(form) => form.words(),
            Self::Backup(input) => input.words(),
            Self::WakeUp(_, records) | Self::Timed(records) => format!("{records:?}"),
            Self::Sweep => String::new(),
        }
    }
}
