//! The last results of a branch's or tag's jobs. A run may have only some of the jobs, because its push changed only some files, or because somebody
//! requested one job again. Such a run says nothing about the other jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::order::Order;
use super::record::{Run, RunState};
use crate::ids::{BuildId, JobName, Reference, RepositoryName, RunId};
use crate::outcome::Outcome;
use crate::spec::{Bearing, Origin};
use crate::time::later;

/// How long the results of a branch or tag are stored, counted from the newest run with a result.
const KEEP: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The results of a branch or tag: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The repository.
    pub repository: RepositoryName,
    /// The branch or tag.
    pub reference: Reference,
    /// The origin of its jobs: jobs of different origins may have the same names.
    pub origin: Origin,
    /// Its jobs.
    pub jobs: BTreeMap<JobName, Verdict>,
    /// The newest run, if it was rejected.
    pub rejected: Option<Rejected>,
    /// The run that came after a rejected one.
    pub mended: Option<RunId>,
}

/// The newest result of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The run.
    pub run: RunId,
    /// Its place.
    pub at: Order,
    /// Whether the job succeeded.
    pub succeeded: bool,
    /// Whether it succeeded after it had not.
    pub recovered: bool,
}

/// A run that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The run.
    pub run: RunId,
    /// Its place.
    pub at: Order,
}

impl Standing {
    /// The results of a run's branch or tag before the first run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        Self {
            repository: run.repository.clone(),
            reference: run.reference.clone(),
            origin: run.origin,
            jobs: BTreeMap::new(),
            rejected: None,
            mended: None,
        }
    }

    /// Records the results of a finished run. Recording the same run twice changes nothing; the result of a newer run stays.
    pub fn note(&mut self, run: &Run) {
        let at = run.order();
        let newest = self.newest();
        match &run.state {
            RunState::Open => {}
            RunState::Rejected { .. } => {
                if newest.is_none_or(|newest| newest < at) {
                    self.rejected = Some(Rejected { run: run.id.clone(), at });
                }
            }
            RunState::Finished { .. } => {
                let mut says_something = false;
                for job in run.jobs() {
                    if let Some(succeeded) = job.state.outcome().and_then(verdict) {
                        says_something = true;
                        self.note_job(job.name, succeeded, &run.id, at);
                    }
                }
                // A cancelled or superseded run repairs nothing; the next one may.
                if !says_something {
                    return;
                }
                if self.rejected.as_ref().is_some_and(|rejected| rejected.at < at) {
                    self.rejected = None;
                    self.mended = Some(run.id.clone());
                }
                // A job that is no longer in the pipeline file does not matter.
                let knows_all = self.origin == Origin::PipelineFile && newest.is_none_or(|newest| newest <= at);
                if knows_all {
                    self.jobs
                        .retain(|name, _| run.plan.others().contains(name) || run.job(name).is_some());
                }
            }
        }
    }

    fn note_job(&mut self, name: &JobName, succeeded: bool, run: &RunId, at: Order) {
        let before = self.jobs.get(name);
        if before.is_some_and(|before| before.at >= at) {
            return;
        }
        let verdict = Verdict {
            run: run.clone(),
            at,
            succeeded,
            recovered: succeeded && before.is_some_and(|before| !before.succeeded),
        };
        self.jobs.insert(name.clone(), verdict);
    }

    fn newest(&self) -> Option<Order> {
        let of_jobs = self.jobs.values().map(|verdict| verdict.at);
        of_jobs.chain(self.rejected.as_ref().map(|rejected| rejected.at)).max()
    }

    /// Whether a recorded run repaired something: one of its jobs succeeded for the first time after it had not, or it is the first run after a
    /// rejected one.
    #[must_use]
    pub fn is_mended_by(&self, run: &RunId) -> bool {
        self.mended.as_ref() == Some(run) || self.jobs.values().any(|verdict| verdict.run == *run && verdict.recovered)
    }

    /// Whether the success of a build, recorded or not, is the first after its job had not succeeded. `created` is when its run was created.
    #[must_use]
    pub fn is_recovery(&self, build: &BuildId, bearing: &Bearing, created: Timestamp) -> bool {
        let since = bearing.since.unwrap_or(created);
        self.jobs.get(&build.job).is_some_and(|verdict| {
            if verdict.run == build.run {
                verdict.recovered
            } else {
                verdict.at < Order { since, created } && !verdict.succeeded
            }
        })
    }

    /// The jobs of the pipeline file whose last result was not a success. Suite jobs are independent of each other.
    pub fn broken(&self) -> impl Iterator<Item = &JobName> {
        let of_one_file = self.origin == Origin::PipelineFile;
        let broken = self.jobs.iter().filter(move |(_, verdict)| of_one_file && !verdict.succeeded);
        broken.map(|(name, _)| name)
    }

    /// When DynamoDB may delete the record.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.newest().map(|newest| later(newest.created, KEEP))
    }
}

/// Whether an outcome counts as a success or a failure of the job; `None` if it says nothing about the job.
fn verdict(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Succeeded => Some(true),
        Outcome::Failed | Outcome::TimedOut | Outcome::InfrastructureFailed | Outcome::Interrupted => Some(false),
        Outcome::Skipped | Outcome::Superseded | Outcome::Cancelled => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::run::plan::{JobState, Plan, Planned};
    use crate::run::record::RetryOf;
    use crate::testing::{push, t};

    /// A finished run that was created at a second.
    fn run(id: &str, second: i64, jobs: &[(&str, Outcome)]) -> Run {
        let mut run = Run::create(id.parse().unwrap(), &push(), Vec::new(), true, t(second)).0;
        let planned = |(name, _): &(&str, Outcome)| Planned {
            name: name.parse().unwrap(),
            needs: Vec::new(),
        };
        run.plan = Plan::new(jobs.iter().map(planned).collect(), Vec::new());
        run.states = jobs.iter().map(|(_, outcome)| JobState::Finished(*outcome)).collect();
        let outcome = jobs.iter().map(|(_, outcome)| *outcome).max().unwrap();
        run.state = RunState::Finished { outcome, at: t(second) };
        run
    }

    fn beside(run: Run, others: &[&str]) -> Run {
        run.with_other_jobs(others.iter().map(|name| name.parse().unwrap()).collect())
    }

    fn noted(runs: &[&Run]) -> Standing {
        let mut standing = Standing::of(runs[0]);
        for run in runs {
            standing.note(run);
            let once = standing.clone();
            standing.note(run);
            assert_eq!(standing, once, "noting twice changes nothing");
        }
        standing
    }

    fn broken(standing: &Standing) -> Vec<String> {
        standing.broken().map(ToString::to_string).collect()
    }

    use Outcome::{Cancelled, Failed, Skipped, Succeeded, TimedOut};

    #[test]
    fn a_part_says_nothing_about_the_whole() {
        let bad = run("aaaaaaaaaa", 10, &[("a", Failed), ("b", TimedOut)]);
        let again = run("bbbbbbbbbb", 20, &[("b", Succeeded)]).repeating(Some(bad.as_retried()));
        let again = beside(again, &["a"]);
        let standing = noted(&[&bad, &again]);
        assert!(standing.is_mended_by(&again.id));
        assert_eq!(broken(&standing), ["a"]);
        let good = run("cccccccccc", 30, &[("a", Succeeded), ("b", Succeeded)]);
        let standing = noted(&[&bad, &again, &good]);
        assert!(standing.is_mended_by(&good.id));
        assert!(!standing.is_mended_by(&again.id), "b was noted anew");
        assert_eq!(broken(&standing), [""; 0]);
        let next = run("dddddddddd", 40, &[("a", Succeeded), ("b", Succeeded)]);
        assert!(!noted(&[&bad, &again, &good, &next]).is_mended_by(&next.id));
    }

    #[test]
    fn a_push_of_other_files_mends_nothing() {
        let bad = run("aaaaaaaaaa", 10, &[("src", Failed)]);
        let docs = beside(run("bbbbbbbbbb", 20, &[("docs", Succeeded)]), &["src"]);
        let standing = noted(&[&bad, &docs]);
        assert!(!standing.is_mended_by(&docs.id));
        assert_eq!(broken(&standing), ["src"]);
    }

    #[test]
    fn a_repetition_of_an_old_commit_says_nothing_about_a_newer_one() {
        let old = run("aaaaaaaaaa", 10, &[("a", Failed)]);
        let new = run("bbbbbbbbbb", 20, &[("a", Failed)]);
        let again = run("cccccccccc", 30, &[("a", Succeeded)]).repeating(Some(old.as_retried()));
        let twice = run("dddddddddd", 40, &[("a", Succeeded)]).repeating(Some(again.as_retried()));
        let standing = noted(&[&old, &new, &again, &twice]);
        assert!(!standing.is_mended_by(&again.id) && !standing.is_mended_by(&twice.id));
        assert_eq!(broken(&standing), ["a"]);
        assert_eq!(
            twice.retry_of,
            Some(RetryOf {
                run: again.id,
                since: t(10)
            })
        );
    }

    #[test]
    fn of_runs_that_overlap_each_job_keeps_its_newest_verdict() {
        let slow = beside(run("aaaaaaaaaa", 10, &[("src", Failed)]), &["docs"]);
        let fast = beside(run("bbbbbbbbbb", 20, &[("docs", Succeeded)]), &["src"]);
        assert_eq!(broken(&noted(&[&fast, &slow])), ["src"]);
        let later = run("cccccccccc", 30, &[("src", Succeeded), ("docs", Succeeded)]);
        assert_eq!(broken(&noted(&[&later, &slow])), [""; 0]);
    }

    #[test]
    fn jobs_that_did_not_run_have_no_result() {
        let bad = run("aaaaaaaaaa", 10, &[("a", Failed), ("b", Skipped)]);
        let cancelled = run("bbbbbbbbbb", 20, &[("a", Cancelled), ("b", Cancelled)]);
        assert_eq!(broken(&noted(&[&bad, &cancelled])), ["a"]);
    }

    #[test]
    fn a_removed_job_is_forgotten() {
        let bad = run("aaaaaaaaaa", 10, &[("a", Failed), ("b", Succeeded)]);
        let without = run("bbbbbbbbbb", 20, &[("b", Succeeded)]);
        assert_eq!(broken(&noted(&[&bad, &without])), [""; 0]);
        // An older run knows an older file.
        let old = run("cccccccccc", 5, &[("b", Succeeded)]);
        assert_eq!(broken(&noted(&[&bad, &old])), ["a"]);
    }

    #[test]
    fn the_first_run_after_a_rejected_one_mends_it() {
        let rejected = Run::rejected("aaaaaaaaaa".parse().unwrap(), &push(), "no".to_owned(), t(10));
        let good = run("bbbbbbbbbb", 20, &[("a", Succeeded)]);
        let next = run("cccccccccc", 30, &[("a", Succeeded)]);
        let standing = noted(&[&rejected, &good]);
        assert!(standing.is_mended_by(&good.id));
        assert!(!noted(&[&rejected, &good, &next]).is_mended_by(&next.id));
        assert!(noted(&[&next, &rejected]).rejected.is_none(), "a newer run has been noted");
        let superseded = run("bbbbbbbbbb", 20, &[("a", Outcome::Superseded)]);
        assert!(
            noted(&[&rejected, &superseded, &next]).is_mended_by(&next.id),
            "nothing has run before"
        );
    }

    #[test]
    fn a_jobs_recovery_is_seen_before_and_after_its_run_is_noted() {
        let bad = run("aaaaaaaaaa", 10, &[("a", Failed)]);
        let good = run("bbbbbbbbbb", 20, &[("a", Succeeded)]);
        let is_recovery = |standing: &Standing, job: &str, run: &Run| {
            let build = BuildId {
                run: run.id.clone(),
                job: job.parse().unwrap(),
            };
            standing.is_recovery(&build, &run.bearing(), run.created)
        };
        for standing in [noted(&[&bad]), noted(&[&bad, &good])] {
            assert!(is_recovery(&standing, "a", &good));
            assert!(!is_recovery(&standing, "b", &good));
        }
        let newer = run("cccccccccc", 30, &[("a", Failed)]);
        assert!(!is_recovery(&noted(&[&bad, &newer]), "a", &good));
        assert!(!is_recovery(&noted(&[&good]), "a", &newer));
    }
}
