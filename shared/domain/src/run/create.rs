//! The creation of a run and of its builds.

use jiff::Timestamp;

use super::branch::Pushed;
use super::effect::RunEffect;
use super::pipeline::{Action, ActionState};
use super::plan::{JobState, Plan, Planned, States};
use super::record::{RetryOf, Run, RunState};
use super::trigger::Push;
use crate::build::Build;
use crate::caller::Caller;
use crate::ids::{JobName, PipelineJobId, RunId};
use crate::outbox::Outbox;
use crate::spec::{BuildSpec, Origin, Successes};

impl Run {
    /// A run of these builds, and the builds themselves.
    ///
    /// With `at_once`, the outboxes of builds without needs already contain their launch, which saves a round trip for each; the caller must then
    /// store the run and all builds in one transaction. Otherwise every build is blocked, and the run's outbox releases the first ones: the builds
    /// may be stored before the run in any number of writes.
    #[must_use]
    pub fn create(id: RunId, push: &Push, specs: Vec<BuildSpec>, at_once: bool, now: Timestamp) -> (Self, Vec<Build>) {
        let successes = specs.first().map_or_else(Successes::default, |spec| spec.successes);
        let mut run = Self::new(id, push, successes, RunState::Open, now);
        let mut builds = Vec::with_capacity(specs.len());
        let mut planned = Vec::with_capacity(specs.len());
        let mut states = Vec::with_capacity(specs.len());
        for spec in specs {
            let ready = spec.needs.is_empty();
            let name = spec.id.job.clone();
            if ready && !at_once {
                run.outbox.push(RunEffect::Release { job: name.clone() }, now);
            }
            states.push(if ready { JobState::Released } else { JobState::Blocked });
            planned.push(Planned {
                name,
                needs: spec.needs.clone(),
            });
            builds.push(if ready && at_once {
                Build::ready(spec, now)
            } else {
                Build::blocked(spec, now)
            });
        }
        run.plan = Plan::new(planned, Vec::new());
        run.states = states.into_iter().collect();
        (run, builds)
    }

    /// A run that ends at once, because a user's file is invalid. `message` is the error, in one line.
    #[must_use]
    pub fn rejected(id: RunId, push: &Push, message: String, now: Timestamp) -> Self {
        let mut run = Self::new(id, push, Successes::default(), RunState::Rejected { message, at: now }, now);
        run.close(now);
        run
    }

    fn new(id: RunId, push: &Push, successes: Successes, state: RunState, now: Timestamp) -> Self {
        Self {
            id,
            trigger: push.trigger.clone(),
            repository: push.repository.clone(),
            reference: push.reference.clone(),
            commit: push.commit.clone(),
            by: push.by.clone(),
            started_by: None,
            created: now,
            plan: Plan::default(),
            states: States::default(),
            state,
            successes,
            origin: Origin::default(),
            retry_of: None,
            off_tip: false,
            action: None,
            outbox: Outbox::default(),
        }
    }

    /// The same new run, with this origin of its jobs.
    #[must_use]
    pub fn from_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The same new run, whose pipeline file has these other jobs.
    #[must_use]
    pub fn with_other_jobs(self, others: Vec<JobName>) -> Self {
        let plan = self.plan.with_others(others);
        Self { plan, ..self }
    }

    /// The same new run, for a commit that is, or is not, the tip of its branch.
    #[must_use]
    pub fn off_tip(self, off_tip: bool) -> Self {
        Self { off_tip, ..self }
    }

    /// The same new run, which this caller started; `None` for a push.
    #[must_use]
    pub fn started_by(self, started_by: Option<Caller>) -> Self {
        Self { started_by, ..self }
    }

    /// The same new run, which repeats another one, in full or in part.
    #[must_use]
    pub fn repeating(self, retry_of: Option<RetryOf>) -> Self {
        Self { retry_of, ..self }
    }

    /// The same new run, with a CodePipeline action that waits for it under this job id. `about` is the run's job that the action's output describes.
    #[must_use]
    pub fn for_action(mut self, job: PipelineJobId, about: JobName, now: Timestamp) -> Self {
        self.action = Some(Action {
            about,
            job: job.clone(),
            earlier: Vec::new(),
            state: ActionState::Open { since: now },
        });
        self.answer_if_over(now);
        self
    }

    /// The same new run, which supersedes older runs of its branch.
    #[must_use]
    pub fn superseding(mut self, push: &Push, now: Timestamp) -> Self {
        let pushed = Pushed {
            run: self.id.clone(),
            at: push.at.unwrap_or(now),
            commit: push.commit.clone(),
            previous: push.previous.clone(),
        };
        self.outbox.push(RunEffect::EnterBranch(pushed), now);
        self
    }
}
