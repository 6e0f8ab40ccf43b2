//! In which order a commit is looked for: decisions, without Git.
//!
//! CodeCommit serves only what a reference points to, not any commit by its id. So a little history of the pushed reference is fetched first, which
//! contains the commit unless many pushes have followed. Then everything is fetched, which also helps if the reference was deleted.

use std::time::Duration;

/// How often the fetch is tried.
pub const FETCH_TRIES: u32 = 3;

/// What to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// The newest commits of the pushed reference.
    Reference,
    /// All branches and tags.
    Everything,
}

/// What became of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Fetched {
        /// Whether the commit is there now.
        has_commit: bool,
    },
    /// It failed.
    Failed,
    /// The server sent nothing for so long that it was ended.
    Silent,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Fetch.
    Fetch(Fetch),
    /// Begin again after this time.
    Retry(Duration),
    /// The commit is there.
    Found,
    /// The commit is nowhere.
    Gone,
    /// The repository cannot be fetched.
    Failed,
}

/// The tries so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries(u32);

impl Tries {
    /// What a try begins with.
    pub const FIRST: Next = Next::Fetch(Fetch::Reference);

    /// What comes after a fetch.
    pub fn after(&mut self, fetch: Fetch, outcome: Outcome) -> Next {
        match (fetch, outcome) {
            (_, Outcome::Fetched { has_commit: true }) => Next::Found,
            (Fetch::Everything, Outcome::Fetched { has_commit: false }) => Next::Gone,
            // A server that is silent about one reference would be silent about everything as well.
            (Fetch::Everything, _) | (_, Outcome::Silent) => self.retry(),
            (Fetch::Reference, _) => Next::Fetch(Fetch::Everything),
        }
    }

    fn retry(&mut self) -> Next {
        self.0 += 1;
        if self.0 >= FETCH_TRIES {
            Next::Failed
        } else {
            Next::Retry(pause(self.0))
        }
    }
}

/// The pause after the given number of failed tries.
#[must_use]
pub fn pause(tries: u32) -> Duration {
    Duration::from_secs(2) * tries
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Outcome = Outcome::Fetched { has_commit: true };
    const ELSEWHERE: Outcome = Outcome::Fetched { has_commit: false };

    /// What is done, given what becomes of each fetch.
    fn steps(outcomes: &[Outcome]) -> Vec<Next> {
        let (mut tries, mut next, mut steps) = (Tries::default(), Tries::FIRST, Vec::new());
        let mut outcomes = outcomes.iter();
        loop {
            steps.push(next);
            next = match next {
                Next::Fetch(fetch) => match outcomes.next() {
                    Some(outcome) => tries.after(fetch, *outcome),
                    None => return steps,
                },
                Next::Retry(_) => Tries::FIRST,
                Next::Found | Next::Gone | Next::Failed => return steps,
            };
        }
    }

    const REFERENCE: Next = Next::Fetch(Fetch::Reference);
    const EVERYTHING: Next = Next::Fetch(Fetch::Everything);

    #[test]
    fn most_commits_are_near_the_tip() {
        assert_eq!(steps(&[HERE]), [REFERENCE, Next::Found]);
    }

    #[test]
    fn older_commits_and_deleted_references() {
        assert_eq!(steps(&[ELSEWHERE, HERE]), [REFERENCE, EVERYTHING, Next::Found]);
        assert_eq!(steps(&[Outcome::Failed, HERE]), [REFERENCE, EVERYTHING, Next::Found]);
        assert_eq!(steps(&[ELSEWHERE, ELSEWHERE]), [REFERENCE, EVERYTHING, Next::Gone]);
    }

    #[test]
    fn failures_are_tried_again_with_growing_pauses() {
        let (first, second) = (Next::Retry(Duration::from_secs(2)), Next::Retry(Duration::from_secs(4)));
        assert_eq!(
            steps(&[Outcome::Failed; 6]),
            [
                REFERENCE,
                EVERYTHING,
                first,
                REFERENCE,
                EVERYTHING,
                second,
                REFERENCE,
                EVERYTHING,
                Next::Failed
            ]
        );
        assert_eq!(
            steps(&[Outcome::Silent; 3]),
            [REFERENCE, first, REFERENCE, second, REFERENCE, Next::Failed]
        );
        assert_eq!(steps(&[Outcome::Silent, HERE]), [REFERENCE, first, REFERENCE, Next::Found]);
    }
}
