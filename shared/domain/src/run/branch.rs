//! The newest run of a branch on which newer pushes supersede older ones: a newer push cancels the unfinished run of an older one, and an older push
//! that arrives late cancels its own run.
//!
//! Events give the time of a push in whole seconds. Within one second, the order follows from the previous commit that each push names, in every
//! order of the events. If a push in between is still missing, both runs continue until it arrives, so the newest run is never cancelled by
//! mistake. The same holds if the commits do not determine the order, because the branch returned to an earlier commit within the second.

use std::cmp::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Ignored;
use crate::ids::{CommitId, Reference, RepositoryName, RunId};
use crate::outbox::{Effect, Outbox};
use crate::record::Decides;

/// A branch and its newest run: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The repository.
    pub repository: RepositoryName,
    /// The branch.
    pub reference: Reference,
    /// The run of the newest known push.
    pub newest: Option<Pushed>,
    /// Runs of the same second that may be newer.
    #[serde(default)]
    pub beside: Vec<Pushed>,
    /// Runs of the same second that were superseded; at most [`MOST_PASSED`].
    #[serde(default)]
    pub passed: Vec<Pushed>,
    /// Runs that were superseded before the newest one: their jobs that the next run does not have continue. At most [`MOST_EARLIER`].
    #[serde(default)]
    pub earlier: Vec<Pushed>,
    /// Pending effects.
    pub outbox: Outbox<BranchEffect>,
}

/// A run and its push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The run.
    pub run: RunId,
    /// When the push happened, or, if the event does not say, when the run was created.
    pub at: Timestamp,
    /// The commit.
    pub commit: CommitId,
    /// The branch's previous commit.
    pub previous: Option<CommitId>,
}

/// An event for a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchEvent {
    /// A run was created that supersedes older ones.
    Entered(Pushed),
}

/// An effect of a branch. It may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchEffect {
    /// Cancel the unfinished builds of a run.
    Supersede {
        /// The older run.
        run: RunId,
        /// The newer one.
        by: RunId,
    },
}

impl Effect for BranchEffect {
    /// Never: one record notifies another.
    fn abandoned_after(&self) -> Option<Duration> {
        None
    }
}

/// How many superseded pushes of one second are remembered.
pub const MOST_PASSED: usize = 50;
/// How many superseded runs the next push supersedes again. Each costs it three reads.
pub const MOST_EARLIER: usize = 3;

impl Pushed {
    /// Whether this push directly followed another one of the same second.
    fn follows(&self, other: &Self) -> bool {
        self.previous.as_ref() == Some(&other.commit)
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
            beside: Vec::new(),
            passed: Vec::new(),
            earlier: Vec::new(),
            outbox: Outbox::default(),
        }
    }

    /// When the sweep should process this branch next; `None` if nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox.due()
    }

    fn entered(&mut self, pushed: &Pushed, now: Timestamp) -> bool {
        let Some(newest) = self.newest.clone() else {
            self.newest = Some(pushed.clone());
            return true;
        };
        if self.of_the_second().any(|known| known.run == pushed.run) {
            return false;
        }
        match pushed.at.cmp(&newest.at) {
            Ordering::Less => {
                self.supersede(pushed, &newest, now);
                // Jobs that the newest run does not have may be in this run, or in one between them.
                for known in self.earlier.clone() {
                    match pushed.at.cmp(&known.at) {
                        Ordering::Less => self.supersede(pushed, &known, now),
                        Ordering::Greater => self.supersede(&known, pushed, now),
                        Ordering::Equal => {}
                    }
                }
                self.remember(pushed.clone());
            }
            Ordering::Greater => {
                for older in self.earlier.clone() {
                    self.supersede(&older, pushed, now);
                }
                let passed = std::mem::take(&mut self.passed);
                let beside = std::mem::take(&mut self.beside);
                for older in passed.into_iter().chain([newest]).chain(beside) {
                    self.supersede(&older, pushed, now);
                    self.remember(older);
                }
                self.newest = Some(pushed.clone());
            }
            Ordering::Equal => self.entered_in_the_same_second(pushed, now),
        }
        true
    }

    /// Remembers a superseded run for the next push.
    fn remember(&mut self, older: Pushed) {
        if self.earlier.iter().any(|known| known.run == older.run) {
            return;
        }
        self.earlier.push(older);
        self.earlier.sort_by_key(|known| known.at);
        let most = self.earlier.len().saturating_sub(MOST_EARLIER);
        self.earlier.drain(..most);
    }

    fn entered_in_the_same_second(&mut self, pushed: &Pushed, now: Timestamp) {
        // If a branch returns to an earlier commit, that commit's successor is not this push's successor.
        let before = self.before(pushed);
        let follower = self
            .of_the_second()
            .find(|known| known.follows(pushed) && !before.contains(&known.run))
            .cloned();
        let candidates = self.newest.iter().chain(&self.beside).filter(|known| pushed.follows(known)).count();
        // Each of two pushes may name the other's commit as its previous one. Then the push that also follows a third one was first.
        let proven: Vec<RunId> = self
            .of_the_second()
            .filter(|known| {
                let follows_another = self.of_the_second().any(|other| other.run != known.run && known.follows(other));
                pushed.follows(known) && (!known.follows(pushed) || candidates == 1 && follows_another)
            })
            .map(|known| known.run.clone())
            .collect();
        let newest = self.newest.take().into_iter().chain(std::mem::take(&mut self.beside));
        let (followed, mut left): (Vec<Pushed>, Vec<Pushed>) = newest.partition(|known| proven.contains(&known.run));
        for older in followed {
            self.supersede(&older, pushed, now);
            self.passed.push(older);
        }
        match follower.filter(|_| !left.is_empty()) {
            Some(newer) => {
                self.supersede(pushed, &newer, now);
                self.passed.push(pushed.clone());
            }
            None => left.push(pushed.clone()),
        }
        let most = self.passed.len().saturating_sub(MOST_PASSED);
        self.passed.drain(..most);
        self.newest = left.pop();
        self.beside = left;
    }

    /// The runs of the pushes that led to this one, as far as known.
    fn before(&self, pushed: &Pushed) -> Vec<RunId> {
        let (mut all, mut last) = (Vec::new(), pushed);
        while let Some(earlier) = self.of_the_second().find(|known| last.follows(known) && !all.contains(&known.run)) {
            all.push(earlier.run.clone());
            last = earlier;
        }
        all
    }

    /// All known pushes of the newest push's second.
    fn of_the_second(&self) -> impl Iterator<Item = &Pushed> {
        self.newest.iter().chain(&self.beside).chain(&self.passed)
    }

    fn supersede(&mut self, older: &Pushed, by: &Pushed, now: Timestamp) {
        let (run, by) = (older.run.clone(), by.run.clone());
        self.outbox.push(BranchEffect::Supersede { run, by }, now);
    }
}

impl Decides for Branch {
    type Event = BranchEvent;
    type Effect = BranchEffect;

    fn outbox(&self) -> &Outbox<BranchEffect> {
        &self.outbox
    }

    fn outbox_mut(&mut self) -> &mut Outbox<BranchEffect> {
        &mut self.outbox
    }

    fn apply(&mut self, event: &BranchEvent, now: Timestamp) -> Result<(), Ignored> {
        let BranchEvent::Entered(pushed) = event;
        if self.entered(pushed, now) {
            Ok(())
        } else {
            Err(Ignored::NothingNew)
        }
    }

    /// Never: notifications of records are not abandoned.
    fn abandoned(&mut self, _: BranchEffect, _: &str, _: Timestamp) {}
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::decision::Decision;
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
        // An older run also supersedes the runs before it.
        let expected = ["aaaaaaaaaa by cccccccccc", "bbbbbbbbbb by cccccccccc", "aaaaaaaaaa by bbbbbbbbbb"];
        assert_eq!(superseded(&late), expected);
        let last = enter(&newer, pushed("bbbbbbbbbb", 9, '2', Some('1')));
        let expected = ["aaaaaaaaaa by cccccccccc", "bbbbbbbbbb by cccccccccc", "bbbbbbbbbb by aaaaaaaaaa"];
        assert_eq!(superseded(&last), expected);
        assert_eq!(late.newest.unwrap().run.as_str(), "cccccccccc");
    }

    /// The next run that has their unfinished jobs cancels these jobs.
    #[test]
    fn the_last_superseded_runs_are_superseded_by_the_next_push_as_well() {
        let runs = ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc", "dddddddddd", "eeeeeeeeee"];
        let mut branch = branch();
        for (at, run) in (10..).zip(runs) {
            branch = enter(&branch, pushed(run, at, '1', None));
        }
        let by_last: Vec<String> = superseded(&branch)
            .into_iter()
            .filter(|pair| pair.ends_with("by eeeeeeeeee"))
            .collect();
        assert_eq!(
            by_last,
            [
                "aaaaaaaaaa by eeeeeeeeee",
                "bbbbbbbbbb by eeeeeeeeee",
                "cccccccccc by eeeeeeeeee",
                "dddddddddd by eeeeeeeeee"
            ]
        );
        assert_eq!(branch.earlier.len(), MOST_EARLIER);
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
    fn three_pushes_of_one_second_leave_the_last_in_every_order() {
        let pushes = [
            pushed("aaaaaaaaaa", 10, '1', Some('0')),
            pushed("bbbbbbbbbb", 10, '2', Some('1')),
            pushed("cccccccccc", 10, '3', Some('2')),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let branch = order.iter().fold(branch(), |branch, index| enter(&branch, pushes[*index].clone()));
            let mut cancelled: Vec<String> = superseded(&branch).iter().map(|pair| pair[..10].to_owned()).collect();
            cancelled.sort();
            assert_eq!(cancelled, ["aaaaaaaaaa", "bbbbbbbbbb"], "{order:?}");
            assert_eq!(branch.newest.as_ref().unwrap().run.as_str(), "cccccccccc", "{order:?}");
            assert_eq!(branch.beside, [], "{order:?}");
            let later = enter(&branch, pushed("dddddddddd", 11, '4', Some('3')));
            assert!(superseded(&later).contains(&"cccccccccc by dddddddddd".to_owned()), "{order:?}");
        }
    }

    #[test]
    fn pushes_of_one_second_with_one_missing_between_them_are_not_cancelled_before_it_comes() {
        let third = enter(&branch(), pushed("cccccccccc", 10, '3', Some('2')));
        let beside = enter(&third, pushed("aaaaaaaaaa", 10, '1', Some('0')));
        assert_eq!(superseded(&beside), [""; 0]);
        let later = enter(&beside, pushed("dddddddddd", 12, '5', None));
        assert_eq!(superseded(&later), ["aaaaaaaaaa by dddddddddd", "cccccccccc by dddddddddd"]);
    }

    #[test]
    fn a_branch_that_goes_back_within_a_second_keeps_the_last_push() {
        let there = enter(
            &enter(&branch(), pushed("aaaaaaaaaa", 10, '1', None)),
            pushed("bbbbbbbbbb", 10, '2', Some('1')),
        );
        let back = enter(&there, pushed("cccccccccc", 10, '1', Some('2')));
        assert_eq!(superseded(&back), ["aaaaaaaaaa by bbbbbbbbbb", "bbbbbbbbbb by cccccccccc"]);
        assert_eq!(back.newest.unwrap().run.as_str(), "cccccccccc");
    }

    #[test]
    fn the_last_of_a_second_is_not_cancelled_where_the_branch_went_back_and_forth() {
        let there_and_back = [
            pushed("aaaaaaaaaa", 10, '1', Some('0')),
            pushed("bbbbbbbbbb", 10, '2', Some('1')),
            pushed("cccccccccc", 10, '1', Some('2')),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let branch = order
                .iter()
                .fold(branch(), |branch, index| enter(&branch, there_and_back[*index].clone()));
            assert!(!superseded(&branch).iter().any(|pair| pair.starts_with("cccccccccc")), "{order:?}");
        }
        // The branch moves forward once more, and that event arrives before the one of the way back.
        let again = pushed("dddddddddd", 10, '2', Some('1'));
        let [a, b, c] = there_and_back;
        let branch = [a, b, again, c].into_iter().fold(branch(), |branch, pushed| enter(&branch, pushed));
        assert!(!superseded(&branch).iter().any(|pair| pair.starts_with("dddddddddd")));
    }

    #[test]
    fn entering_twice_changes_nothing() {
        let once = enter(&branch(), pushed("aaaaaaaaaa", 10, '1', None));
        assert_eq!(enter(&once, pushed("aaaaaaaaaa", 10, '1', None)), once);
    }
}
