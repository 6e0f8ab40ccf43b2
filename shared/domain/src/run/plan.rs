//! The jobs of a run: the plan, which never changes, and the states, which do.
//!
//! They are separate, because a run's record is written once for each job that ends. The plan has the names, which take the space. The states take a
//! letter for each job.

use serde::{Deserialize, Serialize};

use crate::ids::JobName;
use crate::outcome::Outcome;

/// The longest plan, in bytes of JSON, that is kept in the run's record: with it, the record of a run of a few jobs still takes one write unit.
const LONGEST_INSIDE: usize = 300;

/// The part of a run that never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its jobs; a job comes after the jobs that it needs.
    jobs: Vec<Planned>,
    /// The other jobs of its pipeline file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<JobName>,
    /// Whether it is kept apart from the run's record.
    #[serde(skip)]
    apart: bool,
}

/// A job in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Its name.
    pub name: JobName,
    /// The jobs that must succeed before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<JobName>,
}

/// The state of a job in its run's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits for jobs that it needs.
    Blocked,
    /// It may run; its build reports its end.
    Released,
    /// The same, and it was cancelled or superseded: its build was notified, or is about to be.
    Cancelling,
    /// It has finished. The cause is in its build.
    Finished(Outcome),
}

/// The states of a run's jobs, in the order of its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct States(Vec<JobState>);

/// A job of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunJob<'a> {
    /// Its name.
    pub name: &'a JobName,
    /// The jobs that must succeed before it starts.
    pub needs: &'a [JobName],
    /// Its state in the run's record.
    pub state: JobState,
}

impl Plan {
    /// A plan of a new run.
    #[must_use]
    pub fn new(jobs: Vec<Planned>, others: Vec<JobName>) -> Self {
        let plan = Self {
            jobs,
            others,
            apart: false,
        };
        // What cannot be written cannot be stored, and storing it returns the error.
        let length = serde_json::to_string(&plan).map_or(0, |json| json.len());
        Self {
            apart: length > LONGEST_INSIDE,
            ..plan
        }
    }

    /// The plan of a run that an earlier version stored: it stays in the run's record.
    pub(super) fn inside(jobs: Vec<Planned>, others: Vec<JobName>) -> Self {
        Self {
            jobs,
            others,
            apart: false,
        }
    }

    /// The same plan, which is kept apart from the run's record.
    pub(super) fn kept_apart(self) -> Self {
        Self { apart: true, ..self }
    }

    /// Whether it is kept apart from the run's record.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.apart
    }

    /// Its jobs; a job comes after the jobs that it needs.
    #[must_use]
    pub fn jobs(&self) -> &[Planned] {
        &self.jobs
    }

    /// The other jobs of its pipeline file.
    #[must_use]
    pub fn others(&self) -> &[JobName] {
        &self.others
    }

    /// The same new plan, whose pipeline file has these other jobs.
    pub(super) fn with_others(self, others: Vec<JobName>) -> Self {
        Self::new(self.jobs, others)
    }

    pub(super) fn position(&self, job: &JobName) -> Option<usize> {
        self.jobs.iter().position(|planned| planned.name == *job)
    }
}

impl States {
    /// The states, in the order of the plan.
    #[must_use]
    pub fn all(&self) -> &[JobState] {
        &self.0
    }

    pub(super) fn get(&self, index: usize) -> Option<JobState> {
        self.0.get(index).copied()
    }

    /// Sets the state of the job at a place in the plan.
    pub fn set(&mut self, index: usize, state: JobState) {
        if let Some(known) = self.0.get_mut(index) {
            *known = state;
        }
    }
}

impl FromIterator<JobState> for States {
    fn from_iter<I: IntoIterator<Item = JobState>>(states: I) -> Self {
        Self(states.into_iter().collect())
    }
}

/// Every state, with its letter in records: lower case while the job has not finished.
const LETTERS: [(char, JobState); 11] = [
    ('b', JobState::Blocked),
    ('r', JobState::Released),
    ('c', JobState::Cancelling),
    ('S', JobState::Finished(Outcome::Succeeded)),
    ('K', JobState::Finished(Outcome::Skipped)),
    ('P', JobState::Finished(Outcome::Superseded)),
    ('C', JobState::Finished(Outcome::Cancelled)),
    ('I', JobState::Finished(Outcome::Interrupted)),
    ('N', JobState::Finished(Outcome::InfrastructureFailed)),
    ('T', JobState::Finished(Outcome::TimedOut)),
    ('F', JobState::Finished(Outcome::Failed)),
];

impl From<States> for String {
    fn from(states: States) -> Self {
        let letter = |state| LETTERS.iter().find(|(_, known)| *known == state).map(|(letter, _)| *letter);
        states.0.into_iter().filter_map(letter).collect()
    }
}

impl TryFrom<String> for States {
    type Error = String;

    fn try_from(letters: String) -> Result<Self, String> {
        let state = |letter| LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, state)| *state);
        let states = letters
            .chars()
            .map(|letter| state(letter).ok_or_else(|| format!("`{letter}` is not a state of a job")));
        states.collect::<Result<_, _>>().map(Self)
    }
}

impl JobState {
    /// How it ended, if it has.
    #[must_use]
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Finished(outcome) => Some(outcome),
            Self::Blocked | Self::Released | Self::Cancelling => None,
        }
    }

    /// In one word, for people: `blocked`, `running`, or the outcome.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Released | Self::Cancelling => "running",
            Self::Finished(outcome) => outcome.as_str(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_letter() {
        let states: States = LETTERS.iter().map(|(_, state)| *state).collect();
        let json = serde_json::to_string(&states).unwrap();
        assert_eq!(json, r#""brcSKPCINTF""#);
        assert_eq!(serde_json::from_str::<States>(&json).unwrap(), states);
        let outcomes: Vec<Outcome> = states.all().iter().filter_map(|state| state.outcome()).collect();
        assert_eq!(outcomes.len(), 8, "a new outcome needs a letter");
        let error = serde_json::from_str::<States>(r#""bX""#).unwrap_err();
        assert!(error.to_string().starts_with("`X` is not a state of a job"), "{error}");
    }

    #[test]
    fn a_long_plan_is_kept_apart() {
        let plan = |count: usize| {
            let job = |number| Planned {
                name: format!("job-{number}").parse().unwrap(),
                needs: Vec::new(),
            };
            Plan::new((0..count).map(job).collect(), Vec::new())
        };
        assert!(!plan(10).is_apart());
        assert!(plan(30).is_apart());
        let others = (0..40).map(|number| format!("other-{number}").parse().unwrap()).collect();
        assert!(plan(1).with_others(others).is_apart());
    }
}
