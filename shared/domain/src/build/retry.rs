//! What follows the end of an attempt: the next attempt under a rule of the retry policy, or the end of the build. An interrupted attempt may be
//! replaced before it has ended.
//!
//! The default rules and their waits are `RetryPolicy::default` in `spec`; a user's rules are read in `config::pipeline`. How a wait grows, and its
//! longest, is `deadline::backoff`. A retry that somebody asks for is a new run: `run::retry`.

use std::time::Duration;

use jiff::Timestamp;

use super::attempt::Attempt;
use super::deadline::backoff;
use super::effect::{BuildEffect, BuildNews};
use super::record::Build;
use super::state::{BuildState, End, Phase};
use crate::executor::Capacity;
use crate::outcome::Outcome;
use crate::spec::{Relaunch, RetryOn};
use crate::time::later;

/// What a retry rule says about the next attempt.
struct Retry {
    wait: Duration,
    capacity: Option<Capacity>,
}

impl Build {
    /// Decides what happens to the build after one of its attempts has ended.
    pub(super) fn ended(&mut self, index: usize, end: &End, now: Timestamp) {
        let Some(attempt) = self.attempts.get(index) else { return };
        let number = attempt.number;
        if self.outcome().is_some() {
            return;
        }
        if *end == End::Succeeded {
            self.finish_by(number, Outcome::Succeeded, None, now);
        } else if index + 1 == self.attempts.len() {
            self.retry_or_finish(number, end, now);
        } else {
            match self.attempts.last().map(|attempt| attempt.phase.clone()) {
                // The current attempt is also interrupted, and its replacement had to wait for the end of this one.
                Some(Phase::Interrupted { .. }) => self.replace_interrupted(now),
                // The current attempt could never be launched, so this one was the last that could succeed.
                Some(Phase::Ended {
                    end: End::Infrastructure { cause },
                    ..
                }) => self.finish(Outcome::InfrastructureFailed, Some(cause), now),
                _ => {}
            }
        }
    }

    /// Starts the next attempt after the end of the current one, or finishes the build.
    fn retry_or_finish(&mut self, number: u32, end: &End, now: Timestamp) {
        let Some(attempt) = self.attempts.iter().find(|attempt| attempt.number == number) else {
            return;
        };
        let capacity = attempt.capacity;
        let (on, exit_code, outcome, cause) = match end {
            End::Succeeded | End::Unneeded => return,
            // The retry policy does not apply: the commit is missing for the next attempt too.
            End::CommitGone { cause } => return self.finish_by(number, Outcome::Failed, Some(cause.clone()), now),
            End::Failed { exit_code, cause } => (RetryOn::Failure, *exit_code, Outcome::Failed, cause.clone()),
            End::Interrupted => (RetryOn::Interrupted, None, Outcome::Interrupted, interruption(capacity)),
            End::Infrastructure { cause } => (RetryOn::Infrastructure, None, Outcome::InfrastructureFailed, cause.clone()),
            End::TimedOut => (RetryOn::Timeout, None, Outcome::TimedOut, self.timeout_cause_of(attempt)),
        };
        match self.take_retry(on, exit_code) {
            Some(retry) => self.next_attempt(number, capacity, on, &retry, cause, now),
            None => self.finish_by(number, outcome, Some(cause), now),
        }
    }

    /// Starts the replacement of an attempt that is being interrupted, if the job allows two attempts at the same time.
    pub(super) fn replace_interrupted(&mut self, now: Timestamp) {
        let Some((current, others)) = self.attempts.split_last() else {
            return;
        };
        let at_once = self.spec.relaunch == Relaunch::Warning;
        // At most two attempts are live: the interrupted one and its replacement.
        if !at_once || others.iter().any(Attempt::is_live) || self.outcome().is_some() {
            return;
        }
        let (number, capacity) = (current.number, current.capacity);
        if let Some(retry) = self.take_retry(RetryOn::Interrupted, None) {
            self.next_attempt(number, capacity, RetryOn::Interrupted, &retry, interruption(capacity), now);
        }
    }

    /// The retry rule for an end, if a rule allows another attempt.
    pub(super) fn matching_rule(&self, on: RetryOn, exit_code: Option<i32>) -> Option<usize> {
        let index = self.spec.retry.rules.iter().position(|rule| {
            if on == RetryOn::Failure && !rule.exit_codes.is_empty() {
                exit_code.is_some_and(|code| rule.exit_codes.contains(&code))
            } else {
                rule.on.contains(&on)
            }
        })?;
        (self.retries.get(index)? < &self.spec.retry.rules.get(index)?.limit).then_some(index)
    }

    /// Uses up a retry of the matching rule.
    fn take_retry(&mut self, on: RetryOn, exit_code: Option<i32>) -> Option<Retry> {
        let index = self.matching_rule(on, exit_code)?;
        let rule = self.spec.retry.rules.get(index)?;
        let used = self.retries.get_mut(index)?;
        let retry = Retry {
            wait: backoff(rule.backoff, *used),
            capacity: rule.capacity,
        };
        *used += 1;
        Some(retry)
    }

    /// Adds the next attempt: it is launched at once, or queued for its backoff.
    fn next_attempt(&mut self, last: u32, last_capacity: Capacity, on: RetryOn, retry: &Retry, cause: String, now: Timestamp) {
        let wanted = match (retry.capacity, on) {
            (Some(capacity), _) => capacity,
            (None, RetryOn::Interrupted) => Capacity::OnDemand,
            (None, _) => last_capacity,
        };
        let wanted = if self.spec.critical && wanted == Capacity::Spot {
            Capacity::OnDemand
        } else {
            wanted
        };
        let capacity = self.spec.executor.nearest(wanted);
        let number = last + 1;
        if retry.wait.is_zero() {
            self.attempts.push(Attempt::new(number, capacity, now));
            self.launch_in_slot(now);
        } else {
            let not_before = later(now, self.jittered(retry.wait, number));
            // The backoff does not count as time in the queue; otherwise a short `queue-timeout` could prevent every retry.
            let mut attempt = Attempt::new(number, capacity, now);
            attempt.queued = not_before;
            self.attempts.push(attempt);
            self.state = BuildState::Queued { not_before };
        }
        self.outbox.push(
            BuildEffect::Announce(BuildNews::Retrying {
                attempt: number,
                capacity,
                cause,
                at: now,
            }),
            now,
        );
    }
}

/// The cause of an interruption.
fn interruption(capacity: Capacity) -> String {
    match capacity {
        Capacity::Spot => "AWS reclaimed its Spot capacity".to_owned(),
        Capacity::OnDemand | Capacity::Own(_) => "AWS reclaimed its agent".to_owned(),
    }
}
