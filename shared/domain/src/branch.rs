//! The newest run of a branch whose pushes supersede each other, so that a newer push cancels the older one's unfinished run, and an older push that
//! arrives late cancels its own.
//!
//! One run at a time is remembered: every other one was the newest once and was cancelled when it was replaced, or was older from the start.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Ignored};
use crate::ids::{CommitId, Reference, RepositoryName, RunId};
use crate::outbox::{EffectId, Outbox};

/// A branch and its newest run: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The repository.
    pub repository: RepositoryName,
    /// The branch.
    pub reference: Reference,
    /// The run of the newest push that is known.
    pub newest: Option<Pushed>,
    /// What is still to be done.
    pub outbox: Outbox<BranchEffect>,
}

/// A run and the push that it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The run.
    pub run: RunId,
    /// When it was pushed; when the run was created, where the event did not tell.
    pub at: Timestamp,
    /// The commit.
    pub commit: CommitId,
    /// The branch's commit before.
    pub previous: Option<CommitId>,
}

/// What can happen to a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchEvent {
    /// A run was created that supersedes older ones.
    Entered(Pushed),
    /// An effect has taken place.
    Performed(EffectId),
    /// An effect was tried in vain; it stays in the outbox.
    Deferred(EffectId),
}

/// What is to be done for a branch. May be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchEffect {
    /// Cancel what is unfinished of a run.
    Supersede {
        /// The older run.
        run: RunId,
        /// The newer one.
        by: RunId,
    },
}

impl Pushed {
    /// Whether this push came after another one. Events tell the time in whole seconds: within one, the commits before tell.
    fn is_newer_than(&self, other: &Self) -> bool {
        if self.at != other.at {
            return self.at > other.at;
        }
        // Pushes of unknown order: whoever is here later counts as the newer one.
        other.previous.as_ref() != Some(&self.commit)
    }
}

impl Branch {
    /// A branch without a run.
    #[must_use]
    pub fn new(repository: RepositoryName, reference: Reference) -> Self {
        Self {
            repository,
            reference,
            newest: None,
            outbox: Outbox::default(),
        }
    }

    /// When the sweep should look at this branch next; `None` when nothing is left to do.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox.due()
    }

    /// What an event makes of this branch at a moment.
    #[must_use]
    pub fn decide(&self, event: &BranchEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        let changed = match event {
            BranchEvent::Entered(pushed) => next.entered(pushed, now),
            BranchEvent::Performed(id) => next.outbox.remove(*id),
            BranchEvent::Deferred(id) => next.outbox.defer(*id, now),
        };
        if changed {
            Decision::Next(Box::new(next))
        } else {
            Decision::Ignored(Ignored::NothingNew)
        }
    }

    fn entered(&mut self, pushed: &Pushed, now: Timestamp) -> bool {
        let (run, by) = match &self.newest {
            Some(newest) if newest.run == pushed.run => return false,
            Some(newest) if pushed.is_newer_than(newest) => (newest.run.clone(), pushed.run.clone()),
            Some(newest) => (pushed.run.clone(), newest.run.clone()),
            None => {
                self.newest = Some(pushed.clone());
                return true;
            }
        };
        if by == pushed.run {
            self.newest = Some(pushed.clone());
        }
        self.outbox.push(BranchEffect::Supersede { run, by }, now);
        true
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::testing::{push, t};

    fn commit(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn pushed(run: &str, at: i64, commit_digit: char, previous: Option<char>) -> Pushed {
        Pushed {
            run: run.parse().unwrap(),
            at: t(at),
            commit: commit(commit_digit),
            previous: previous.map(commit),
        }
    }

    fn enter(branch: &Branch, pushed: Pushed) -> Branch {
        match branch.decide(&BranchEvent::Entered(pushed), t(9)) {
            Decision::Next(next) => *next,
            Decision::Ignored(_) => branch.clone(),
        }
    }

    fn superseded(branch: &Branch) -> Vec<String> {
        branch
            .outbox
            .pending()
            .iter()
            .map(|pending| match &pending.effect {
                BranchEffect::Supersede { run, by } => format!("{run} by {by}"),
            })
            .collect()
    }

    fn branch() -> Branch {
        Branch::new(push().repository, push().reference)
    }

    #[test]
    fn a_newer_push_supersedes_and_an_older_one_that_comes_late_is_superseded() {
        let first = enter(&branch(), pushed("aaaaaaaaaa", 10, '1', None));
        assert_eq!(superseded(&first), [""; 0]);
        let newer = enter(&first, pushed("cccccccccc", 12, '3', Some('2')));
        assert_eq!(superseded(&newer), ["aaaaaaaaaa by cccccccccc"]);
        let late = enter(&newer, pushed("bbbbbbbbbb", 11, '2', Some('1')));
        assert_eq!(superseded(&late), ["aaaaaaaaaa by cccccccccc", "bbbbbbbbbb by cccccccccc"]);
        assert_eq!(late.newest.unwrap().run.as_str(), "cccccccccc");
    }

    #[test]
    fn within_a_second_the_commits_tell_the_order() {
        let second = pushed("bbbbbbbbbb", 10, '2', Some('1'));
        let first = pushed("aaaaaaaaaa", 10, '1', None);
        let in_order = enter(&enter(&branch(), first.clone()), second.clone());
        let swapped = enter(&enter(&branch(), second), first);
        assert_eq!(superseded(&in_order), ["aaaaaaaaaa by bbbbbbbbbb"]);
        assert_eq!(superseded(&swapped), superseded(&in_order));
    }

    #[test]
    fn entering_twice_changes_nothing() {
        let once = enter(&branch(), pushed("aaaaaaaaaa", 10, '1', None));
        assert_eq!(enter(&once, pushed("aaaaaaaaaa", 10, '1', None)), once);
    }
}
