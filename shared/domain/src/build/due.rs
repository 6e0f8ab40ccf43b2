//! When a build must be processed, by the sweep or to the second, and which of its agents must be polled. The intervals are in `deadline`.

use jiff::Timestamp;

use super::attempt::Attempt;
use super::deadline::{AHEAD_IN_QUEUE, CHECK_CHANGING, CHECK_RUNNING};
use super::record::Build;
use super::state::{BuildState, Slot};
use crate::ids::AgentId;
use crate::time::later;

impl Build {
    /// When the sweep should process this build next; `None` if nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let watched = self
            .attempts
            .iter()
            .filter(|attempt| attempt.is_live() || attempt.must_search_for_orphan());
        let polls = watched.map(|attempt| later(attempt.polled_at, attempt.check_after()));
        let lost = self.lost_agents().map(|(_, _, polled_at)| later(polled_at, CHECK_RUNNING));
        let strays = self
            .strays
            .iter()
            .filter(|stray| !stray.stopped)
            .map(|stray| later(stray.polled_at, CHECK_CHANGING));
        let queue = self.launch_due().into_iter().chain(self.waiting_announced_at());
        let timers = self.timer().into_iter();
        self.outbox
            .due()
            .into_iter()
            .chain(queue)
            .chain(timers)
            .chain(polls)
            .chain(strays)
            .chain(lost)
            .min()
    }

    /// The next moment that has to be kept to the second: the end of a backoff or a timeout, or the next try of something that failed. For
    /// everything else, the minute's sweep is soon enough; a launch that was throttled waits for its turn in the launch queue.
    #[must_use]
    pub fn timer(&self) -> Option<Timestamp> {
        let queue = match (&self.state, self.attempts.last()) {
            (BuildState::Waiting, Some(attempt)) => Some(self.waiting_deadline(attempt)),
            (_, Some(attempt)) if !attempt.paced => self.launch_due(),
            _ => None,
        };
        let deadlines = self.attempts.iter().filter_map(|attempt| self.deadline(attempt));
        self.outbox.retry().into_iter().chain(queue).chain(deadlines).min()
    }

    /// If its current attempt waits for a launch: the earliest time of the launch, or the deadline. In the launch queue, it is the attempt's place.
    fn launch_due(&self) -> Option<Timestamp> {
        match (&self.state, self.attempts.last()) {
            (BuildState::Queued { not_before }, Some(attempt)) => {
                let at = (*not_before).min(self.queue_deadline(attempt));
                let is_ahead = attempt.number > 1 && attempt.is_in_queue(*not_before);
                Some(if is_ahead {
                    at.checked_sub(AHEAD_IN_QUEUE).unwrap_or(at)
                } else {
                    at
                })
            }
            _ => None,
        }
    }

    /// Whether a launch that waits for its turn in the launch queue is the first thing that is due. A service's rate limits such launches, and other
    /// work must not wait behind them.
    #[must_use]
    pub fn is_due_for_paced_launch(&self) -> bool {
        let launch = self
            .launch_due()
            .filter(|_| self.attempts.last().is_some_and(|attempt| attempt.paced));
        launch.is_some() && launch == self.due()
    }

    /// The agents to poll, each with its attempt's number: those without recent events, and those whose timeout has passed. The poll before the
    /// timeout avoids stopping a build that has ended in time, but whose events were lost.
    #[must_use]
    pub fn agents_to_check(&self, now: Timestamp) -> Vec<(u32, AgentId)> {
        let attempts = self
            .attempts
            .iter()
            .filter(|attempt| {
                let deadline = self.deadline(attempt).filter(|deadline| *deadline <= now);
                attempt.is_live() && (later(attempt.polled_at, attempt.check_after()) <= now || deadline.is_some())
            })
            .filter_map(|attempt| Some((attempt.number, attempt.agent.clone()?)));
        let strays = self
            .strays
            .iter()
            .filter(|stray| !stray.stopped && later(stray.polled_at, CHECK_CHANGING) <= now)
            .map(|stray| (stray.attempt, stray.agent.clone()));
        let lost = self
            .lost_agents()
            .filter(|(_, _, polled_at)| later(*polled_at, CHECK_RUNNING) <= now);
        let lost = lost.map(|(number, agent, _)| (number, agent.clone()));
        attempts.chain(strays).chain(lost).collect()
    }

    /// Whether agents that count as lost are still polled: while the build holds a lock, which it must not release before they have stopped.
    pub(super) fn watches_lost(&self) -> bool {
        self.lock == Slot::Held
    }

    /// The agents that count as lost and are still polled: each with its attempt's number, and when it was last polled.
    fn lost_agents(&self) -> impl Iterator<Item = (u32, &AgentId, Timestamp)> {
        let attempts = self.attempts.iter().filter(|attempt| attempt.may_run_on());
        let attempts = attempts.filter_map(|attempt| Some((attempt.number, attempt.agent.as_ref()?, attempt.polled_at)));
        let strays = self.strays.iter().filter(|stray| stray.may_run_on());
        let strays = strays.map(|stray| (stray.attempt, &stray.agent, stray.polled_at));
        attempts.chain(strays).filter(|_| self.watches_lost())
    }
}

impl Attempt {
    /// Whether it waits for nothing but its turn in the launch queue, if its launch is not tried before this moment.
    pub(super) fn is_in_queue(&self, not_before: Timestamp) -> bool {
        self.paced && not_before <= self.queued
    }
}
