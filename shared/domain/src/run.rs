//! A run: all builds that one trigger starts, the order among them, and its one closing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Ignored};
use crate::ids::{CommitId, JobName, Reference, RepositoryName, RunId};
use crate::outbox::{EffectId, Outbox};
use crate::outcome::Outcome;
use crate::spec::{BuildSpec, Successes};
use crate::trigger::Push;

/// A run and everything known about it: the record in the ledger. Its builds have records of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The run.
    pub id: RunId,
    /// What started it: the trigger's own id.
    pub trigger: String,
    /// The repository.
    pub repository: RepositoryName,
    /// The branch or tag.
    pub reference: Reference,
    /// The commit.
    pub commit: CommitId,
    /// Who pushed, where that is known.
    pub by: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// Its jobs, those that are needed before those that need them.
    pub jobs: Vec<RunJob>,
    /// Where it stands.
    pub state: RunState,
    /// Whether a success is told.
    pub successes: Successes,
    /// What is still to be done.
    pub outbox: Outbox<RunEffect>,
}

/// A job of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJob {
    /// Its name.
    pub name: JobName,
    /// The jobs that must succeed before it starts.
    pub needs: Vec<JobName>,
    /// Where it stands, as the run knows it.
    pub state: JobState,
}

/// Where a job stands, as its run knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It waits for jobs that it needs.
    Blocked,
    /// It may run; its build tells when it is over.
    Released,
    /// It is over.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// Why, for people.
        cause: Option<String>,
    },
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// A job is not over.
    Open,
    /// Every job is over.
    Finished {
        /// The worst of its jobs' outcomes; never changes.
        outcome: Outcome,
        /// When that was decided.
        at: Timestamp,
    },
    /// No job was started, because a file of a user's is wrong.
    Rejected {
        /// What is wrong, in one line: file, line, field, and what was expected.
        message: String,
        /// When that was decided.
        at: Timestamp,
    },
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// A build is over.
    BuildFinished {
        /// Its job.
        job: JobName,
        /// How it ended.
        outcome: Outcome,
        /// Why, for people.
        cause: Option<String>,
    },
    /// An effect has taken place.
    Performed(EffectId),
    /// An effect was tried in vain; it stays in the outbox.
    Deferred(EffectId),
}

/// What is to be done for a run. Every one of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEffect {
    /// Let a blocked build start.
    Release {
        /// Its job.
        job: JobName,
    },
    /// End a blocked build that can never start.
    Skip {
        /// Its job.
        job: JobName,
        /// The job it needs that did not succeed.
        because: JobName,
    },
    /// Tell people that the run is over.
    Announce,
    /// Write the run's report to the bucket.
    Report,
}

impl Run {
    /// A run of these builds, and the builds themselves.
    ///
    /// With `at_once`, builds that need nothing have their launch in their outbox already, which saves a round trip for each; the caller must then
    /// store the run and all builds in one transaction. Without, every build is blocked, and the run's own outbox releases the first ones: the builds
    /// may be stored before it in any number of writes.
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
            });
            builds.push(if ready && at_once {
                Build::ready(spec, now)
            } else {
                Build::blocked(spec, now)
            });
        }
        (run, builds)
    }

    /// A run that ends before it begins, because a file of a user's is wrong. `message` says what, in one line.
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
            outbox: Outbox::default(),
        }
    }

    /// Where it stands, in one word for records and people: `open`, `rejected`, or the outcome.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match &self.state {
            RunState::Open => "open",
            RunState::Finished { outcome, .. } => outcome.as_str(),
            RunState::Rejected { .. } => "rejected",
        }
    }

    /// When it was decided how it ended.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        match &self.state {
            RunState::Open => None,
            RunState::Finished { at, .. } | RunState::Rejected { at, .. } => Some(*at),
        }
    }

    /// When the sweep should look at this run next; `None` when nothing is left to do. Its builds are due by themselves.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox.due()
    }

    /// What an event makes of this run at a moment.
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
            RunEvent::Deferred(id) => {
                if self.outbox.defer(*id, now) {
                    Ok(())
                } else {
                    Err(Ignored::NothingNew)
                }
            }
            RunEvent::Performed(id) => {
                if self.outbox.remove(*id) {
                    Ok(())
                } else {
                    Err(Ignored::NothingNew)
                }
            }
            RunEvent::BuildFinished { job, outcome, cause } => {
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
                };
                self.unblock(now);
                self.finish_if_over(now);
                Ok(())
            }
        }
    }

    /// Releases and skips what the finished jobs decide. One pass does: a job stands behind those it needs.
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
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::testing::{push, spec_needing, t};

    fn diamond() -> Run {
        let specs = vec![
            spec_needing("build", &[]),
            spec_needing("lint", &["build"]),
            spec_needing("test", &["build"]),
            spec_needing("image", &["lint", "test"]),
        ];
        Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0)).0
    }

    fn finish(run: &Run, job: &str, outcome: Outcome) -> Run {
        let event = RunEvent::BuildFinished {
            job: job.parse().unwrap(),
            outcome,
            cause: None,
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
                RunEffect::Announce => "announce".to_owned(),
                RunEffect::Report => "report".to_owned(),
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
        };
        assert_eq!(run.decide(&again, t(61)), Decision::Ignored(Ignored::NothingNew));
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
        let Decision::Next(deferred) = run.decide(&RunEvent::Deferred(id), t(90)) else {
            panic!("it was pending")
        };
        assert_eq!((deferred.outbox.pending()[0].since, deferred.due()), (t(90), Some(t(120))));
        let Decision::Next(done) = run.decide(&RunEvent::Performed(id), t(90)) else {
            panic!("it was pending")
        };
        for gone in [RunEvent::Performed(id), RunEvent::Deferred(id)] {
            assert_eq!(done.decide(&gone, t(91)), Decision::Ignored(Ignored::NothingNew));
        }
    }
}
