//! The ends of attempts and of the build. A build has one outcome, decided once. Its results are collected first, and then its end is reported to
//! people and to its run.

use jiff::Timestamp;

use super::effect::{BuildEffect, BuildNews};
use super::record::Build;
use super::state::{BuildState, End, Phase, StopReason};
use crate::decision::Ignored;
use crate::ids::JobName;
use crate::outcome::Outcome;
use crate::results::found::Results;

impl Build {
    /// It is cancelled or superseded.
    pub(super) fn cancelled(&mut self, outcome: Outcome, cause: &str, now: Timestamp) -> Result<(), Ignored> {
        match self.state {
            BuildState::Finished { .. } => return Err(Ignored::Over),
            BuildState::Blocked => {
                self.state = BuildState::Finished {
                    outcome,
                    at: now,
                    cause: Some(cause.to_owned()),
                };
                // The message about its run lists every job. But the run may not know this end: it may have released the build, and then cancelled
                // it before the build got the release.
                self.notify_run(now);
            }
            BuildState::Waiting | BuildState::Queued { .. } | BuildState::Active => self.finish(outcome, Some(cause.to_owned()), now),
        }
        Ok(())
    }

    /// A job that it needs did not succeed. The run itself has decided this, and its message lists every job, so nothing is reported.
    pub(super) fn skipped(&mut self, because: &JobName, now: Timestamp) -> Result<(), Ignored> {
        match self.state {
            BuildState::Blocked => {
                self.state = BuildState::Finished {
                    outcome: Outcome::Skipped,
                    at: now,
                    cause: Some(because_of(because)),
                };
                Ok(())
            }
            BuildState::Finished { .. } => Err(Ignored::Over),
            BuildState::Waiting | BuildState::Queued { .. } | BuildState::Active => Err(Ignored::NothingNew),
        }
    }

    /// Finishes the build with its current attempt as the deciding one.
    pub(super) fn finish(&mut self, outcome: Outcome, cause: Option<String>, now: Timestamp) {
        let last = self.attempts.last().map_or(0, |attempt| attempt.number);
        self.finish_by(last, outcome, cause, now);
    }

    /// Decides the build's one outcome from the end of an attempt, and stops everything that still runs for it.
    pub(super) fn finish_by(&mut self, decided_by: u32, outcome: Outcome, cause: Option<String>, now: Timestamp) {
        let decisive = self.attempts.iter().find(|attempt| attempt.number == decided_by);
        let news = BuildNews::Finished {
            outcome,
            attempt: decisive.map(|attempt| attempt.number),
            capacity: decisive.map(|attempt| attempt.capacity),
            cause: cause.clone(),
            at: now,
        };
        // A script that was stopped from outside may still be running, and nothing waits for its artifacts.
        let by_itself = matches!(outcome, Outcome::Succeeded | Outcome::Failed);
        let worked = decisive
            .filter(|attempt| by_itself && attempt.agent.is_some() && !matches!(attempt.end(), Some(End::CommitGone { .. })))
            .map(|attempt| attempt.number);
        self.state = BuildState::Finished { outcome, at: now, cause };
        self.outbox.remove_where(|pending| pending.effect == BuildEffect::FindInputs);
        for index in 0..self.attempts.len() {
            self.stop_attempt(index, StopReason::BuildOver, now);
        }
        let leaves = !self.spec.artifacts.is_empty() || !self.spec.images.is_empty();
        match worked.filter(|_| leaves) {
            Some(attempt) => self.outbox.push(BuildEffect::Collect { attempt, news }, now),
            None => self.announce_end(news, now),
        }
    }

    /// Ends an attempt. Its pending launch and the pending stop of its agent are dropped.
    pub(super) fn end_attempt(&mut self, number: u32, end: End, now: Timestamp) {
        let Some(index) = self.attempts.iter().position(|attempt| attempt.number == number) else {
            return;
        };
        if let Some(attempt) = self.attempts.get_mut(index) {
            attempt.phase = Phase::Ended { at: now, end };
            if let Some(agent) = attempt.agent.clone() {
                self.drop_stop(&agent);
            }
        }
        // Not a pending search: it may be for another agent than this attempt's.
        self.outbox
            .remove_where(|pending| matches!(pending.effect, BuildEffect::Launch { attempt, .. } if attempt == number));
        self.search_for_orphan(index, now);
    }

    /// Reports the end of the build, after its results were collected or could not be collected.
    pub(super) fn collected(&mut self, attempt: u32, found: Option<Results>, now: Timestamp) -> Result<(), Ignored> {
        let news = self.outbox.pending().iter().find_map(|pending| match &pending.effect {
            BuildEffect::Collect { attempt: of, news } if *of == attempt => Some(news.clone()),
            _ => None,
        });
        let Some(news) = news else {
            return Err(Ignored::NothingNew);
        };
        self.outbox
            .remove_where(|pending| matches!(pending.effect, BuildEffect::Collect { .. }));
        self.results = found;
        self.announce_end(news, now);
        Ok(())
    }

    /// Reports the end of the build to people and to its run.
    pub(super) fn announce_end(&mut self, news: BuildNews, now: Timestamp) {
        self.outbox.push(BuildEffect::Announce(news), now);
        self.notify_run(now);
    }

    /// Reports the end of the build to its run.
    pub(super) fn notify_run(&mut self, now: Timestamp) {
        if let BuildState::Finished { outcome, .. } = self.state {
            self.outbox.push(BuildEffect::NotifyRun { outcome }, now);
        }
    }
}

/// Why a build was skipped, for people. `because` is the job that it needs and that did not succeed.
#[must_use]
pub fn because_of(because: &JobName) -> String {
    format!("needs {because}, which did not succeed")
}
