//! A run: all builds of one trigger, their order, and the run's result.

mod again;

pub use again::{Again, NotAgain, Repeat};

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::branch::Pushed;
use crate::decision::{Decision, Ignored};
use crate::found::Tests;
use crate::ids::{CommitId, JobName, PipelineJobId, Reference, RepositoryName, RunId};
use crate::outbox::{Abandoned, Deferral, Effect, EffectId, Outbox, TELL_FOR};
use crate::outcome::Outcome;
use crate::pipeline::{Action, ActionState, GONE_AFTER};
use crate::spec::{BuildSpec, Successes};
use crate::standing::Order;
use crate::trigger::Push;

/// A run with all its data: the record in the ledger. Its builds have separate records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The run.
    pub id: RunId,
    /// The trigger's id.
    pub trigger: String,
    /// The repository.
    pub repository: RepositoryName,
    /// The branch or tag.
    pub reference: Reference,
    /// The commit.
    pub commit: CommitId,
    /// Who pushed, if known.
    pub by: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// Its jobs; a job comes after the jobs that it needs.
    pub jobs: Vec<RunJob>,
    /// The state.
    pub state: RunState,
    /// Whether a success is reported.
    pub successes: Successes,
    /// The origin of its jobs.
    #[serde(default, skip_serializing_if = "Origin::is_pipeline_file")]
    pub origin: Origin,
    /// The run that it repeats, in full or in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<RetryOf>,
    /// The other jobs of its pipeline file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<JobName>,
    /// Whether it was requested for a commit that is not the tip of its branch: its result then says nothing about the branch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aside: bool,
    /// The CodePipeline action that waits for it, if there is one.
    #[serde(default)]
    pub action: Option<Action>,
    /// Pending effects.
    pub outbox: Outbox<RunEffect>,
}

/// A run that another one repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryOf {
    /// The run.
    pub run: RunId,
    /// When the first run in its chain of repetitions was created.
    pub since: Timestamp,
}

/// The origin of a run's jobs; a repeated run plans them from there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The pipeline file at the commit.
    #[default]
    PipelineFile,
    /// The jobs of the suite configuration.
    Suite,
    /// A CodePipeline action with a script and an agent.
    Action,
}

impl Origin {
    fn is_pipeline_file(&self) -> bool {
        *self == Self::PipelineFile
    }
}

/// How long Bellhop tries to send a result to an action. CodePipeline gives up a job of a Lambda function after 20 minutes without a result
/// (<https://docs.aws.amazon.com/codepipeline/latest/userguide/limits.html>).
const ANSWER_FOR: Duration = Duration::from_secs(20 * 60);
/// The most previous jobs of an action that are remembered: those of its 24 hours.
const MOST_EARLIER: usize = 300;

/// A job of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJob {
    /// Its name.
    pub name: JobName,
    /// The jobs that must succeed before it starts.
    pub needs: Vec<JobName>,
    /// Its state in the run's record.
    pub state: JobState,
    /// Whether its build was cancelled or superseded.
    #[serde(default)]
    pub cancelled: bool,
}

/// The state of a job in its run's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It waits for jobs that it needs.
    Blocked,
    /// It may run; its build reports its end.
    Released,
    /// It has finished.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// The cause, for people.
        cause: Option<String>,
        /// The counts of its test reports.
        #[serde(default)]
        tests: Option<Tests>,
    },
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// A job has not finished.
    Open,
    /// Every job has finished.
    Finished {
        /// The worst of its jobs' outcomes; never changes.
        outcome: Outcome,
        /// When that was decided.
        at: Timestamp,
    },
    /// No job was started, because a user's file is invalid.
    Rejected {
        /// The error, in one line: file, line, field, and what was expected.
        message: String,
        /// When that was decided.
        at: Timestamp,
    },
}

/// An event for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// A build has finished.
    BuildFinished {
        /// Its job.
        job: JobName,
        /// How it ended.
        outcome: Outcome,
        /// The cause, for people.
        cause: Option<String>,
        /// The counts of its test reports.
        tests: Option<Tests>,
    },
    /// Unfinished builds are cancelled or superseded.
    Cancel {
        /// Only this job and the jobs that need it; `None` for all.
        job: Option<JobName>,
        /// [`Outcome::Cancelled`] or [`Outcome::Superseded`].
        outcome: Outcome,
        /// The cause, for people.
        cause: String,
    },
    /// A newer run of its branch has these jobs and supersedes unfinished builds of them.
    Superseded {
        /// The newer run.
        by: RunId,
        /// Its jobs; `None` if they are no longer known.
        jobs: Option<Vec<JobName>>,
    },
    /// The CodePipeline action that waits for this run has a new job.
    ActionJob(PipelineJobId),
    /// A job of that action got a continuation.
    ActionContinued(PipelineJobId),
    /// A job of that action got the run's result.
    ActionAnswered(PipelineJobId),
    /// Time has passed.
    Tick,
    /// An effect was performed.
    Performed(EffectId),
    /// An effect failed for this reason. It stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
}

/// An effect of a run. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEffect {
    /// Release a blocked build.
    Release {
        /// Its job.
        job: JobName,
    },
    /// Skip a blocked build that can never start.
    Skip {
        /// Its job.
        job: JobName,
        /// The job it needs that did not succeed.
        because: JobName,
    },
    /// End a build that was cancelled or superseded.
    Cancel {
        /// Its job.
        job: JobName,
        /// Its outcome.
        outcome: Outcome,
        /// The cause, for people.
        cause: String,
    },
    /// Become the newest run of the branch, if its pushes supersede each other.
    Enter(Pushed),
    /// Keep the CodePipeline action that waits for this run in progress.
    Continue {
        /// Its current job.
        job: PipelineJobId,
    },
    /// Send the run's result to that action.
    Answer {
        /// Its current job.
        job: PipelineJobId,
    },
    /// Publish the message that the run has finished.
    Announce,
    /// Write the run's report to the bucket.
    Report,
    /// Report an abandoned effect.
    TellAbandoned {
        /// Identifies it.
        number: u64,
        /// The effect.
        what: Abandoned,
    },
}

impl Effect for RunEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        match self {
            Self::Release { .. } | Self::Skip { .. } | Self::Cancel { .. } | Self::Enter(_) => None,
            Self::Continue { .. } | Self::Answer { .. } => Some(ANSWER_FOR),
            Self::Announce | Self::Report | Self::TellAbandoned { .. } => Some(TELL_FOR),
        }
    }
}

impl Run {
    /// A run of these builds, and the builds themselves.
    ///
    /// With `at_once`, the outboxes of builds without needs already contain their launch, which saves a round trip for each; the caller must then
    /// store the run and all builds in one transaction. Otherwise every build is blocked, and the run's outbox releases the first ones: the builds
    /// may be stored before the run in any number of writes.
    #[must_use]
    pub fn create(id: RunId, push: &Push, specs: Vec<BuildSpec>, at_once: bool, now: Timestamp) -> (Self, Vec<crate::build::Build>) {
        use crate::build::Build;
        let successes = specs.first().map_or_else(Successes::default, |spec| spec.successes);
        let mut run = Self::new(id, push, successes, RunState::Open, now);
        let mut builds = Vec::with_capacity(specs.len());
        for spec in specs {
            let ready = spec.needs.is_empty();
            let name = spec.id.job.clone();
            if ready && !at_once {
                run.outbox.push(RunEffect::Release { job: name.clone() }, now);
            }
            run.jobs.push(RunJob {
                name,
                needs: spec.needs.clone(),
                state: if ready { JobState::Released } else { JobState::Blocked },
                cancelled: false,
            });
            builds.push(if ready && at_once {
                Build::ready(spec, now)
            } else {
                Build::blocked(spec, now)
            });
        }
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
            created: now,
            jobs: Vec::new(),
            state,
            successes,
            origin: Origin::default(),
            retry_of: None,
            others: Vec::new(),
            aside: false,
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
    pub fn beside(self, others: Vec<JobName>) -> Self {
        Self { others, ..self }
    }

    /// The same new run, for a commit that is, or is not, the tip of its branch.
    #[must_use]
    pub fn aside(self, aside: bool) -> Self {
        Self { aside, ..self }
    }

    /// The same new run, which repeats another one, in full or in part.
    #[must_use]
    pub fn repeating(self, retry_of: Option<RetryOf>) -> Self {
        Self { retry_of, ..self }
    }

    /// The data of this run for a run that repeats it.
    #[must_use]
    pub fn as_retried(&self) -> RetryOf {
        RetryOf {
            run: self.id.clone(),
            since: self.order().since,
        }
    }

    /// Its sort key in the list of its repository's runs: a later run has a greater one.
    #[must_use]
    pub fn place_in_list(&self) -> String {
        format!("{}#{}", self.created.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"), self.id)
    }

    /// Its place in the order of its branch's or tag's runs.
    #[must_use]
    pub fn order(&self) -> Order {
        Order {
            since: self.retry_of.as_ref().map_or(self.created, |retried| retried.since),
            created: self.created,
        }
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
        self.outbox.push(RunEffect::Enter(pushed), now);
        self
    }

    /// Its status, in one word for records and people: `open`, `rejected`, or the outcome.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match &self.state {
            RunState::Open => "open",
            RunState::Finished { outcome, .. } => outcome.as_str(),
            RunState::Rejected { .. } => "rejected",
        }
    }

    /// When its outcome was decided.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        match &self.state {
            RunState::Open => None,
            RunState::Finished { at, .. } | RunState::Rejected { at, .. } => Some(*at),
        }
    }

    /// When the sweep should process this run next; `None` if nothing is pending. Its builds are due separately.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let action = self.action.as_ref().filter(|_| self.state == RunState::Open).and_then(Action::due);
        self.outbox.due().into_iter().chain(action).min()
    }

    /// Decides the next state of this run after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &RunEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) => Decision::Next(Box::new(next)),
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &RunEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            RunEvent::Deferred(id, why) => match self.outbox.defer(*id, now) {
                Deferral::Unknown => Err(Ignored::NothingNew),
                Deferral::Again => Ok(()),
                Deferral::Abandoned(effect) => {
                    self.abandoned(&effect, why, now);
                    Ok(())
                }
            },
            RunEvent::Performed(id) => {
                if self.outbox.remove(*id) {
                    Ok(())
                } else {
                    Err(Ignored::NothingNew)
                }
            }
            RunEvent::Cancel { job, outcome, cause } => match job {
                Some(job) if self.jobs.iter().all(|known| known.name != *job) => Err(Ignored::UnknownJob),
                Some(job) => self.cancel(|name| name == job, *outcome, cause, now),
                None => self.cancel(|_| true, *outcome, cause, now),
            },
            RunEvent::Superseded { by, jobs } => {
                let kept = jobs.as_ref().map(|jobs| self.kept_beside(jobs)).unwrap_or_default();
                let cause = format!("superseded by run {by}");
                self.cancel(|name| !kept.contains(name), Outcome::Superseded, &cause, now)
            }
            RunEvent::ActionJob(job) => self.action_job(job, now),
            RunEvent::ActionContinued(job) => match &mut self.action {
                Some(action) if action.job == *job && matches!(action.state, ActionState::Continued { .. }) => {
                    action.state = ActionState::Continued { at: now };
                    Ok(())
                }
                _ => Err(Ignored::Stale),
            },
            RunEvent::ActionAnswered(job) => match &mut self.action {
                Some(action) if action.job == *job && action.state != ActionState::Over => {
                    action.state = ActionState::Over;
                    Ok(())
                }
                _ => Err(Ignored::Stale),
            },
            RunEvent::Tick => self.tick(now),
            RunEvent::BuildFinished {
                job,
                outcome,
                cause,
                tests,
            } => {
                if self.state != RunState::Open {
                    return Err(Ignored::Over);
                }
                let Some(entry) = self.jobs.iter_mut().find(|entry| entry.name == *job) else {
                    return Err(Ignored::UnknownJob);
                };
                if matches!(entry.state, JobState::Finished { .. }) {
                    return Err(Ignored::NothingNew);
                }
                entry.state = JobState::Finished {
                    outcome: *outcome,
                    cause: cause.clone(),
                    tests: tests.clone(),
                };
                self.unblock(now);
                self.finish_if_over(now);
                Ok(())
            }
        }
    }

    /// The jobs that continue when a newer run has these jobs: jobs that the newer run does not have, because its push changed none of their files,
    /// and the jobs that they need. No other run would test their change.
    fn kept_beside(&self, jobs: &[JobName]) -> Vec<JobName> {
        let mut kept: Vec<JobName> = Vec::new();
        // In reverse order, so that a job comes before the jobs that it needs.
        for job in self.jobs.iter().rev() {
            let is_needed = self
                .jobs
                .iter()
                .any(|other| kept.contains(&other.name) && other.needs.contains(&job.name));
            let goes_on = !matches!(job.state, JobState::Finished { .. });
            if goes_on && (is_needed || !jobs.contains(&job.name)) {
                kept.push(job.name.clone());
            }
        }
        kept
    }

    fn cancel(&mut self, wanted: impl Fn(&JobName) -> bool, outcome: Outcome, cause: &str, now: Timestamp) -> Result<(), Ignored> {
        if self.state != RunState::Open {
            return Err(Ignored::Over);
        }
        let mut changed = false;
        for job in &mut self.jobs {
            if !wanted(&job.name) || job.cancelled || matches!(job.state, JobState::Finished { .. }) {
                continue;
            }
            changed = true;
            job.cancelled = true;
            // A running build reports its own end, and may have succeeded by then.
            if job.state == JobState::Blocked {
                job.state = JobState::Finished {
                    outcome,
                    cause: Some(cause.to_owned()),
                    tests: None,
                };
            }
            let effect = RunEffect::Cancel {
                job: job.name.clone(),
                outcome,
                cause: cause.to_owned(),
            };
            self.outbox.push(effect, now);
        }
        if !changed {
            return Err(Ignored::NothingNew);
        }
        self.unblock(now);
        self.finish_if_over(now);
        Ok(())
    }

    fn action_job(&mut self, job: &PipelineJobId, now: Timestamp) -> Result<(), Ignored> {
        let Some(action) = &mut self.action else {
            return Err(Ignored::NothingNew);
        };
        if action.job == *job {
            return Err(Ignored::NothingNew);
        }
        if action.earlier.contains(job) {
            return Err(Ignored::Stale);
        }
        let before = std::mem::replace(&mut action.job, job.clone());
        action.earlier.push(before);
        if action.earlier.len() > MOST_EARLIER {
            action.earlier.remove(0);
        }
        action.state = ActionState::Open { since: now };
        // A pending result must go to the job that is open now.
        self.outbox
            .remove_where(|pending| matches!(pending.effect, RunEffect::Continue { .. } | RunEffect::Answer { .. }));
        self.answer_if_over(now);
        Ok(())
    }

    fn abandoned(&mut self, effect: &RunEffect, why: &str, at: Timestamp) {
        let action = "CodePipeline";
        let (what, now, advice) = match effect {
            RunEffect::Continue { job } | RunEffect::Answer { job } => {
                if let Some(action) = self.action.as_mut().filter(|action| action.job == *job) {
                    action.state = ActionState::Over;
                }
                let is_over = self.state != RunState::Open;
                (
                    if is_over {
                        format!("report the run's outcome to {action}")
                    } else {
                        format!("report to {action} that the run is still in progress")
                    },
                    "the action fails at CodePipeline's own time limit; the run is not affected",
                    "check the functions' permissions, and retry the stage",
                )
            }
            RunEffect::Report => (
                "write the run's report".to_owned(),
                "the run has no report in the bucket",
                "check the functions' permissions; `show` returns the same facts",
            ),
            // A failed message cannot be reported by another message, so it is only counted.
            RunEffect::Announce | RunEffect::TellAbandoned { .. } => return,
            RunEffect::Release { .. } | RunEffect::Skip { .. } | RunEffect::Cancel { .. } | RunEffect::Enter(_) => return,
        };
        let what = Abandoned {
            what,
            why: why.to_owned(),
            now: now.to_owned(),
            advice: advice.to_owned(),
            at,
        };
        let number = self.outbox.pushed();
        self.outbox.push(RunEffect::TellAbandoned { number, what }, at);
    }

    fn answer_if_over(&mut self, now: Timestamp) {
        if self.state == RunState::Open {
            return;
        }
        // While a continuation is in progress, its job accepts no other result; the next job gets it as soon as it arrives.
        if let Some(Action {
            job,
            state: ActionState::Open { .. },
            ..
        }) = &self.action
        {
            let job = job.clone();
            self.outbox.push(RunEffect::Answer { job }, now);
        }
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), Ignored> {
        let Some(action) = &mut self.action else {
            return Err(Ignored::NotDue);
        };
        if self.state != RunState::Open || action.due().is_none_or(|due| due > now) {
            return Err(Ignored::NotDue);
        }
        match action.state {
            ActionState::Open { .. } => {
                let job = action.job.clone();
                action.state = ActionState::Continued { at: now };
                self.outbox.push(RunEffect::Continue { job }, now);
                Ok(())
            }
            // It was never sent, so the next job cannot have arrived.
            ActionState::Continued { .. } if self.outbox.any(|effect| matches!(effect, RunEffect::Continue { .. })) => {
                action.state = ActionState::Continued { at: now };
                Ok(())
            }
            ActionState::Continued { .. } => {
                action.state = ActionState::Over;
                let minutes = GONE_AFTER.as_secs() / 60;
                let cause = format!("CodePipeline did not poll the run for {minutes} minutes: the pipeline was stopped or gave up");
                // If nothing is left to cancel, forgetting the action is enough.
                let _ = self.cancel(|_| true, Outcome::Cancelled, &cause, now);
                Ok(())
            }
            ActionState::Over => Err(Ignored::NotDue),
        }
    }

    /// Releases or skips jobs after others have finished. One pass is enough, because a job comes after the jobs that it needs.
    fn unblock(&mut self, now: Timestamp) {
        for index in 0..self.jobs.len() {
            let Some(job) = self.jobs.get(index) else { continue };
            if job.state != JobState::Blocked {
                continue;
            }
            let name = job.name.clone();
            let needed = |need: &JobName| self.jobs.iter().find(|other| other.name == *need).map(|other| &other.state);
            let unsuccessful = job
                .needs
                .iter()
                .find(|need| matches!(needed(need), Some(JobState::Finished { outcome, .. }) if *outcome != Outcome::Succeeded));
            let (state, effect) = if let Some(because) = unsuccessful.cloned() {
                (
                    JobState::Finished {
                        outcome: Outcome::Skipped,
                        cause: Some(format!("needs {because}, which did not succeed")),
                        tests: None,
                    },
                    RunEffect::Skip { job: name, because },
                )
            } else if job.needs.iter().all(|need| matches!(needed(need), Some(JobState::Finished { .. }))) {
                (JobState::Released, RunEffect::Release { job: name })
            } else {
                continue;
            };
            if let Some(job) = self.jobs.get_mut(index) {
                job.state = state;
            }
            self.outbox.push(effect, now);
        }
    }

    fn finish_if_over(&mut self, now: Timestamp) {
        let mut worst = Outcome::Succeeded;
        for job in &self.jobs {
            match job.state {
                JobState::Finished { outcome, .. } => worst = worst.max(outcome),
                JobState::Blocked | JobState::Released => return,
            }
        }
        self.state = RunState::Finished { outcome: worst, at: now };
        self.close(now);
    }

    fn close(&mut self, now: Timestamp) {
        self.outbox.push(RunEffect::Announce, now);
        self.outbox.push(RunEffect::Report, now);
        self.answer_if_over(now);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::testing::{push, spec_needing, t};

    pub(super) fn diamond() -> Run {
        let specs = vec![
            spec_needing("build", &[]),
            spec_needing("lint", &["build"]),
            spec_needing("test", &["build"]),
            spec_needing("image", &["lint", "test"]),
        ];
        Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0)).0
    }

    pub(super) fn finish(run: &Run, job: &str, outcome: Outcome) -> Run {
        let event = RunEvent::BuildFinished {
            job: job.parse().unwrap(),
            outcome,
            cause: None,
            tests: None,
        };
        match run.decide(&event, t(60)) {
            Decision::Next(next) => *next,
            Decision::Ignored(reason) => panic!("{job}: {reason}"),
        }
    }

    fn effects(run: &Run) -> Vec<String> {
        run.outbox
            .pending()
            .iter()
            .map(|pending| match &pending.effect {
                RunEffect::Release { job } => format!("release {job}"),
                RunEffect::Skip { job, because } => format!("skip {job} because of {because}"),
                RunEffect::Cancel { job, outcome, .. } => format!("cancel {job} as {outcome}"),
                RunEffect::Enter(pushed) => format!("enter {}", pushed.run),
                RunEffect::Continue { job } => format!("continue {}", &job.as_str()[..2]),
                RunEffect::Answer { job } => format!("answer {}", &job.as_str()[..2]),
                RunEffect::Announce => "announce".to_owned(),
                RunEffect::Report => "report".to_owned(),
                RunEffect::TellAbandoned { what, .. } => format!("tell that it could not {}", what.what),
            })
            .collect()
    }

    #[test]
    fn a_diamond_is_released_in_order() {
        let run = finish(&diamond(), "build", Outcome::Succeeded);
        assert_eq!(effects(&run), ["release lint", "release test"]);
        let run = finish(&run, "test", Outcome::Succeeded);
        assert_eq!(effects(&run), ["release lint", "release test"]);
        let run = finish(&run, "lint", Outcome::Succeeded);
        assert_eq!(effects(&run).last().unwrap(), "release image");
        let run = finish(&run, "image", Outcome::Succeeded);
        assert_eq!(run.status(), "succeeded");
        assert_eq!(effects(&run)[3..], ["announce", "report"]);
    }

    #[test]
    fn a_failure_skips_what_needs_it_and_nothing_else() {
        let run = finish(&diamond(), "build", Outcome::Succeeded);
        let run = finish(&run, "lint", Outcome::Failed);
        assert_eq!(effects(&run), ["release lint", "release test", "skip image because of lint"]);
        assert_eq!(run.status(), "open");
        let run = finish(&run, "test", Outcome::Succeeded);
        assert_eq!(run.status(), "failed");
    }

    #[test]
    fn a_skip_goes_down_the_whole_chain() {
        let run = finish(&diamond(), "build", Outcome::InfrastructureFailed);
        assert_eq!(run.status(), "infrastructure-failed");
        assert_eq!(
            effects(&run),
            [
                "skip lint because of build",
                "skip test because of build",
                "skip image because of lint",
                "announce",
                "report"
            ]
        );
    }

    #[test]
    fn a_build_that_tells_twice_changes_nothing() {
        let run = finish(&diamond(), "build", Outcome::Succeeded);
        let again = RunEvent::BuildFinished {
            job: "build".parse().unwrap(),
            outcome: Outcome::Failed,
            cause: None,
            tests: None,
        };
        assert_eq!(run.decide(&again, t(61)), Decision::Ignored(Ignored::NothingNew));
    }

    fn decide(run: &Run, event: &RunEvent, at: i64) -> Run {
        match run.decide(event, t(at)) {
            Decision::Next(next) => *next,
            Decision::Ignored(reason) => panic!("{event:?}: {reason}"),
        }
    }

    fn cancel(job: Option<&str>) -> RunEvent {
        RunEvent::Cancel {
            job: job.map(|job| job.parse().unwrap()),
            outcome: Outcome::Cancelled,
            cause: "somebody asked for it".to_owned(),
        }
    }

    #[test]
    fn a_cancelled_run_ends_when_its_running_builds_have() {
        let run = decide(&finish(&diamond(), "build", Outcome::Succeeded), &cancel(None), 61);
        assert_eq!(
            effects(&run),
            [
                "release lint",
                "release test",
                "cancel lint as cancelled",
                "cancel test as cancelled",
                "cancel image as cancelled"
            ]
        );
        assert_eq!(run.status(), "open");
        assert_eq!(run.decide(&cancel(None), t(62)), Decision::Ignored(Ignored::NothingNew));
        // One of them was faster than its cancellation.
        let run = finish(&finish(&run, "lint", Outcome::Succeeded), "test", Outcome::Cancelled);
        assert_eq!(run.status(), "cancelled");
        assert_eq!(run.decide(&cancel(None), t(63)), Decision::Ignored(Ignored::Over));
    }

    #[test]
    fn a_newer_run_takes_the_place_of_the_jobs_that_it_has_and_of_no_others() {
        let superseded = |jobs: Option<&[&str]>| {
            let run = finish(&diamond(), "build", Outcome::Succeeded);
            let jobs = jobs.map(|jobs| jobs.iter().map(|job| job.parse().unwrap()).collect());
            let by = "bbbbbbbbbb".parse().unwrap();
            let run = match run.decide(&RunEvent::Superseded { by, jobs }, t(90)) {
                Decision::Next(next) => *next,
                Decision::Ignored(_) => run,
            };
            let cancelled = |job: &&RunJob| job.cancelled;
            run.jobs
                .iter()
                .filter(cancelled)
                .map(|job| job.name.to_string())
                .collect::<Vec<_>>()
        };
        let all = ["lint", "test", "image"];
        assert_eq!(superseded(None), all);
        assert_eq!(superseded(Some(&["build", "lint", "test", "image"])), all);
        // What the newer push does not start would be tested by nobody, nor could it be without what it needs.
        assert_eq!(superseded(Some(&["build", "lint", "image"])), ["lint", "image"]);
        assert_eq!(superseded(Some(&["build", "lint", "test"])), [""; 0]);
        assert_eq!(superseded(Some(&["docs"])), [""; 0]);
    }

    #[test]
    fn a_cancelled_job_skips_what_needs_it_and_nothing_else() {
        let run = decide(&finish(&diamond(), "build", Outcome::Succeeded), &cancel(Some("lint")), 61);
        assert_eq!(effects(&run)[2..], ["cancel lint as cancelled"]);
        let run = finish(&finish(&run, "lint", Outcome::Cancelled), "test", Outcome::Succeeded);
        assert_eq!(run.status(), "cancelled");
        assert_eq!(effects(&run)[3..], ["skip image because of lint", "announce", "report"]);
        let unknown = diamond().decide(&cancel(Some("deploy")), t(1));
        assert_eq!(unknown, Decision::Ignored(Ignored::UnknownJob));
        // A blocked one ends at once.
        let run = decide(&diamond(), &cancel(Some("lint")), 1);
        assert_eq!(effects(&run), ["cancel lint as cancelled", "skip image because of lint"]);
    }

    fn id(digits: &str) -> PipelineJobId {
        format!("{digits}000000-0000-4000-8000-000000000000").parse().unwrap()
    }

    fn waited_for() -> Run {
        let specs = vec![spec_needing("build", &[])];
        let run = Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0)).0;
        run.for_action(id("a1"), "build".parse().unwrap(), t(0))
    }

    #[test]
    fn an_action_is_kept_alive_and_told_under_its_newest_job() {
        let run = waited_for();
        assert_eq!(run.due(), Some(t(360)));
        assert_eq!(run.decide(&RunEvent::Tick, t(359)), Decision::Ignored(Ignored::NotDue));
        let run = decide(&run, &RunEvent::Tick, 360);
        assert_eq!(effects(&run), ["continue a1"]);
        // The run ends before the next job is there: nobody would listen to an answer to the last one.
        let over = finish(&run, "build", Outcome::Succeeded);
        assert_eq!(effects(&over), ["continue a1", "announce", "report"]);
        let told = decide(&over, &RunEvent::ActionJob(id("b2")), 400);
        assert_eq!(effects(&told), ["announce", "report", "answer b2"]);
        for repeated in ["a1", "b2"] {
            assert!(matches!(
                told.decide(&RunEvent::ActionJob(id(repeated)), t(401)),
                Decision::Ignored(_)
            ));
        }
        // Or the next job comes first.
        let open = decide(&run, &RunEvent::ActionJob(id("b2")), 390);
        assert_eq!(
            effects(&finish(&open, "build", Outcome::Failed)),
            ["announce", "report", "answer b2"]
        );
        assert_eq!(open.due(), Some(t(750)));
    }

    #[test]
    fn a_continuation_that_could_not_be_sent_is_no_reason_to_give_the_action_up() {
        let run = decide(&waited_for(), &RunEvent::Tick, 360);
        let again = decide(&run, &RunEvent::Tick, 360 + 900);
        assert_eq!((effects(&again), again.status()), (vec!["continue a1".to_owned()], "open"));
    }

    #[test]
    fn a_run_whose_action_never_comes_back_is_cancelled() {
        let run = decide(&waited_for(), &RunEvent::Tick, 360);
        let sent = run.outbox.pending()[0].id;
        let run = decide(&run, &RunEvent::Performed(sent), 361);
        let run = decide(&run, &RunEvent::ActionContinued(id("a1")), 361);
        assert_eq!(run.decide(&RunEvent::Tick, t(361 + 899)), Decision::Ignored(Ignored::NotDue));
        let run = decide(&run, &RunEvent::Tick, 361 + 900);
        assert_eq!(effects(&run), ["cancel build as cancelled"]);
        // It comes back after all, and is told.
        let run = finish(&run, "build", Outcome::Cancelled);
        let run = decide(&run, &RunEvent::ActionJob(id("b2")), 2000);
        assert_eq!(effects(&run).last().unwrap(), "answer b2");
    }

    /// What fits is tried in vain at these seconds.
    fn in_vain(run: &Run, fits: fn(&RunEffect) -> bool, seconds: &[i64]) -> Run {
        let id = run.outbox.pending().iter().find(|pending| fits(&pending.effect)).unwrap().id;
        seconds.iter().fold(run.clone(), |run, second| {
            decide(
                &run,
                &RunEvent::Deferred(id, "failed to ask: AccessDeniedException: no".to_owned()),
                *second,
            )
        })
    }

    #[test]
    fn an_action_that_cannot_be_told_anything_is_given_up_and_that_is_told_once() {
        let told = "tell that it could not report";
        let open = decide(&waited_for(), &RunEvent::Tick, 360);
        let is_continue = |effect: &RunEffect| matches!(effect, RunEffect::Continue { .. });
        let given_up = in_vain(&open, is_continue, &[360, 960, 1560]);
        assert_eq!(
            effects(&given_up),
            [format!("{told} to CodePipeline that the run is still in progress")]
        );
        assert_eq!((given_up.status(), given_up.action.as_ref().unwrap().due()), ("open", None));
        // Its end has nobody to be told to.
        assert_eq!(
            effects(&finish(&given_up, "build", Outcome::Succeeded))[1..],
            ["announce", "report"]
        );
        let over = finish(&waited_for(), "build", Outcome::Succeeded);
        let given_up = in_vain(&over, |effect| matches!(effect, RunEffect::Answer { .. }), &[0, 1199, 1200]);
        assert_eq!(effects(&given_up)[2..], [format!("{told} the run's outcome to CodePipeline")]);
    }

    #[test]
    fn a_report_that_cannot_be_written_is_given_up_and_what_a_record_tells_another_is_not() {
        let over = finish(&waited_for(), "build", Outcome::Succeeded);
        let given_up = in_vain(&over, |effect| *effect == RunEffect::Report, &[0, 7199, 7200]);
        assert_eq!(effects(&given_up).last().unwrap(), "tell that it could not write the run's report");
        let silent = in_vain(&over, |effect| *effect == RunEffect::Announce, &[0, 7200]);
        assert_eq!(
            (effects(&silent), silent.outbox.abandoned()),
            (vec!["report".to_owned(), "answer a1".to_owned()], 1)
        );
        let failed = finish(&diamond(), "build", Outcome::Failed);
        let release = |effect: &RunEffect| matches!(effect, RunEffect::Skip { .. } | RunEffect::Release { .. });
        let told = in_vain(&failed, release, &[0, 7200, 90 * 86_400]);
        assert_eq!(effects(&told), effects(&failed));
    }

    #[test]
    fn a_rejected_run_is_answered_at_once() {
        let run = Run::rejected("abcdefghij".parse().unwrap(), &push(), "no".to_owned(), t(0));
        let run = run.for_action(id("a1"), "test".parse().unwrap(), t(0));
        assert_eq!(effects(&run), ["announce", "report", "answer a1"]);
    }

    #[test]
    fn a_run_created_in_parts_releases_its_first_builds_itself() {
        let specs = vec![spec_needing("build", &[]), spec_needing("test", &["build"])];
        let (run, builds) = Run::create("abcdefghij".parse().unwrap(), &push(), specs, false, t(0));
        assert_eq!(effects(&run), ["release build"]);
        assert!(builds.iter().all(|build| build.status() == "blocked" && build.due().is_none()));
    }

    #[test]
    fn a_rejected_run_is_told_and_reported() {
        let run = Run::rejected("abcdefghij".parse().unwrap(), &push(), "no".to_owned(), t(0));
        assert_eq!(effects(&run), ["announce", "report"]);
        assert_eq!(run.status(), "rejected");
    }

    #[test]
    fn a_run_is_due_while_something_is_left_to_do() {
        assert_eq!(diamond().due(), None);
        let run = finish(&diamond(), "build", Outcome::Succeeded);
        assert_eq!(run.due(), Some(t(120)));
        let id = run.outbox.pending()[0].id;
        let Decision::Next(deferred) = run.decide(&RunEvent::Deferred(id, String::new()), t(90)) else {
            panic!("it was pending")
        };
        assert_eq!((deferred.outbox.pending()[0].since, deferred.due()), (t(90), Some(t(120))));
        let Decision::Next(done) = run.decide(&RunEvent::Performed(id), t(90)) else {
            panic!("it was pending")
        };
        for gone in [RunEvent::Performed(id), RunEvent::Deferred(id, String::new())] {
            assert_eq!(done.decide(&gone, t(91)), Decision::Ignored(Ignored::NothingNew));
        }
    }
}
