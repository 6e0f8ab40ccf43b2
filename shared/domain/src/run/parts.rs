//! The parts of a run in the ledger: its record, its plan if that is long, and what lists show of it.

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Result;

use super::plan::{JobState, Plan, Planned, States};
use super::record::{Run, RunState};
use crate::caller::Caller;
use crate::ids::{CommitId, JobName, Reference, RepositoryName, RunId};
use crate::outcome::Outcome;

/// What a list of runs shows of a run. It changes when the run finishes, and not with each job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The run.
    pub run: RunId,
    /// When it was created.
    pub created: Timestamp,
    /// The rest.
    pub shown: Shown,
}

/// What a list shows of a run beside its [place](Listed::place), which says which run it is and when it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its repository.
    pub repository: RepositoryName,
    /// The branch or tag.
    pub reference: Reference,
    /// The commit.
    pub commit: CommitId,
    /// The trigger's id.
    pub trigger: String,
    /// Who pushed, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Who started it; `None` for a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Caller>,
    /// The run that it repeats, in full or in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<RunId>,
    /// Its status in one word.
    pub status: String,
    /// When it finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// The number of its jobs.
    pub jobs: usize,
}

/// A class of runs. Each is listed separately over all repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunClass {
    /// Those that have not finished.
    Running,
    /// Those that succeeded.
    Succeeded,
    /// Those that failed in any way, or were rejected.
    Failed,
    /// Those that were cancelled or superseded.
    Cancelled,
}

impl RunClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Its name in requests and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The class of runs with this [status](Run::status).
    fn of(status: &str) -> Self {
        match status {
            "open" => Self::Running,
            "succeeded" => Self::Succeeded,
            "skipped" | "superseded" | "cancelled" => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

impl Run {
    /// The run from its record, and from its plan if that is kept apart. An earlier version stored the jobs in another form.
    ///
    /// # Errors
    /// If one of them is no such JSON, or they do not fit together.
    pub fn from_parts(record: &str, plan: Option<&str>) -> Result<Self> {
        let mut run: Self = serde_json::from_str(record)?;
        if let Some(plan) = plan {
            run.plan = serde_json::from_str::<Plan>(plan)?.kept_apart();
        } else if run.states.all().is_empty() {
            (run.plan, run.states) = serde_json::from_str::<Before>(record)?.renewed();
        }
        if run.plan.jobs().len() == run.states.all().len() {
            Ok(run)
        } else {
            Err(serde_json::Error::custom(
                "the run's plan and the states of its jobs differ in length",
            ))
        }
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> RunClass {
        let outcome = match self.state {
            RunState::Open => return RunClass::Running,
            RunState::Rejected { .. } => return RunClass::Failed,
            RunState::Finished { outcome, .. } => outcome,
        };
        match outcome {
            Outcome::Succeeded => RunClass::Succeeded,
            Outcome::Skipped | Outcome::Superseded | Outcome::Cancelled => RunClass::Cancelled,
            Outcome::Interrupted | Outcome::InfrastructureFailed | Outcome::TimedOut | Outcome::Failed => RunClass::Failed,
        }
    }

    /// What lists show of it.
    #[must_use]
    pub fn listed(&self) -> Listed {
        Listed {
            run: self.id.clone(),
            created: self.created,
            shown: Shown {
                repository: self.repository.clone(),
                reference: self.reference.clone(),
                commit: self.commit.clone(),
                trigger: self.trigger.clone(),
                by: self.by.clone(),
                started_by: self.started_by.clone(),
                retry_of: self.retry_of.as_ref().map(|retried| retried.run.clone()),
                status: self.status().to_owned(),
                finished: self.finished_at(),
                jobs: self.states.all().len(),
            },
        }
    }
}

impl Listed {
    /// The sort key in a list: a later run has a greater one.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}#{}", self.created.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"), self.run)
    }

    /// What a list shows of the run at this place.
    ///
    /// # Errors
    /// If the place is none of a run.
    pub fn at(place: &str, shown: Shown) -> Result<Self> {
        let parts = place.split_once('#');
        let parts = parts.and_then(|(created, run)| Some((created.parse().ok()?, run.parse().ok()?)));
        let Some((created, run)) = parts else {
            return Err(serde_json::Error::custom("the place in the list is none of a run"));
        };
        Ok(Self { run, created, shown })
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> RunClass {
        RunClass::of(&self.shown.status)
    }
}

/// The jobs of a run as an earlier version stored them: names, needs and states together.
#[derive(Deserialize)]
struct Before {
    #[serde(default)]
    jobs: Vec<JobBefore>,
    #[serde(default)]
    others: Vec<JobName>,
}

#[derive(Deserialize)]
struct JobBefore {
    name: JobName,
    needs: Vec<JobName>,
    state: StateBefore,
    #[serde(default)]
    cancelled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StateBefore {
    Blocked,
    Released,
    Finished { outcome: Outcome },
}

impl Before {
    fn renewed(self) -> (Plan, States) {
        let state = |job: &JobBefore| match job.state {
            StateBefore::Blocked => JobState::Blocked,
            StateBefore::Released if job.cancelled => JobState::Cancelling,
            StateBefore::Released => JobState::Released,
            StateBefore::Finished { outcome } => JobState::Finished(outcome),
        };
        let states = self.jobs.iter().map(state).collect();
        let planned = self.jobs.into_iter().map(|JobBefore { name, needs, .. }| Planned { name, needs });
        (Plan::inside(planned.collect(), self.others), states)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{push, spec_needing, t};

    #[test]
    fn a_place_says_which_run_it_is_and_since_when() {
        let listed = run(2).listed();
        assert_eq!(Listed::at(&listed.place(), listed.shown.clone()).unwrap(), listed);
        for place in ["", "abcdefghij", "yesterday#abcdefghij", "2026-03-02T09:14:10.390Z#no run"] {
            Listed::at(place, listed.shown.clone()).unwrap_err();
        }
    }

    #[test]
    fn a_status_says_the_class() {
        let mut of_state = run(1);
        let message = String::new();
        let mut states = vec![RunState::Open, RunState::Rejected { message, at: t(0) }];
        let outcomes = [
            Outcome::Succeeded,
            Outcome::Skipped,
            Outcome::Superseded,
            Outcome::Cancelled,
            Outcome::Interrupted,
            Outcome::InfrastructureFailed,
            Outcome::TimedOut,
            Outcome::Failed,
        ];
        states.extend(outcomes.map(|outcome| RunState::Finished { outcome, at: t(0) }));
        for state in states {
            of_state.state = state;
            let listed = of_state.listed();
            assert_eq!(listed.class(), of_state.class(), "{}", listed.shown.status);
        }
    }

    #[test]
    fn what_an_earlier_version_showed_in_lists_is_read() {
        let listed = run(1).listed();
        let mut shown = serde_json::to_value(&listed.shown).unwrap();
        for (name, value) in [
            ("run", "abcdefghij"),
            ("created", "2026-03-02T09:14:10.390123456Z"),
            ("class", "running"),
        ] {
            shown[name] = json!(value);
        }
        let read = serde_json::from_value(shown).unwrap();
        assert_eq!(Listed::at(&listed.place(), read).unwrap(), listed);
    }

    fn run(jobs: usize) -> Run {
        let names: Vec<String> = (0..jobs).map(|number| format!("job-{number:03}")).collect();
        let specs = names.iter().map(|name| spec_needing(name, &[])).collect();
        Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0)).0
    }

    #[test]
    fn the_parts_make_the_run_again() {
        for run in [run(1), run(200)] {
            let record = serde_json::to_string(&run).unwrap();
            let plan = run.plan.is_apart().then(|| serde_json::to_string(&run.plan).unwrap());
            assert_eq!(Run::from_parts(&record, plan.as_deref()).unwrap(), run);
            assert_eq!(plan.is_some(), run.jobs().len() == 200);
        }
        let record = serde_json::to_string(&run(200)).unwrap();
        assert!(record.len() < 1_000, "{} bytes: {record}", record.len());
        let error = Run::from_parts(&record, None).unwrap_err();
        assert!(error.to_string().contains("differ in length"), "its plan is missing: {error}");
        let other = serde_json::to_string(&run(100).plan).unwrap();
        let error = Run::from_parts(&record, Some(&other)).unwrap_err();
        assert!(error.to_string().contains("differ in length"), "{error}");
    }

    #[test]
    fn a_record_of_an_earlier_version_keeps_its_jobs() {
        let run = run(1);
        let mut record: Value = serde_json::to_value(&run).unwrap();
        record.as_object_mut().unwrap().retain(|name, _| name != "plan" && name != "states");
        record["others"] = json!(["docs"]);
        let job = |name: &str, needs: &[&str], state: Value, cancelled: bool| json!({ "name": name, "needs": needs, "state": state, "cancelled": cancelled });
        let tests = json!({ "run": 5, "failed": 1, "skipped": 0, "failures": ["a"] });
        record["jobs"] = json!([
            job(
                "lint",
                &[],
                json!({ "finished": { "outcome": "failed", "cause": "exit code 2", "tests": tests } }),
                false
            ),
            job("test", &[], json!("released"), true),
            job("unit", &[], json!("released"), false),
            job("image", &["test"], json!("blocked"), false),
        ]);
        let read = Run::from_parts(&record.to_string(), None).unwrap();
        assert_eq!(serde_json::to_value(&read.states).unwrap(), "Fcrb");
        assert_eq!(
            read.jobs().map(|job| job.name.as_str()).collect::<Vec<_>>(),
            ["lint", "test", "unit", "image"]
        );
        assert_eq!(
            read.plan.jobs()[3].needs,
            read.plan.jobs()[1..2].iter().map(|job| job.name.clone()).collect::<Vec<_>>()
        );
        assert_eq!(read.plan.others(), ["docs".parse().unwrap()]);
        // Its plan stays in its record.
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(Run::from_parts(&again, None).unwrap(), read);
    }
}
