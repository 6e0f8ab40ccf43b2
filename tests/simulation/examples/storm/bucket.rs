//! A token bucket, as AWS throttles by.

use std::time::Duration;

/// How long a rate lasts that changes.
const PERIOD: Duration = Duration::from_secs(20);

/// How many tokens a bucket holds, and how many it gets a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
    /// By how much the rate is multiplied in every other period.
    pub(crate) changes_by: f64,
}

impl Rate {
    /// The tokens a second at a moment, and when that changes next.
    fn at(self, moment: Duration) -> (f64, Duration) {
        let period = u32::try_from(moment.as_nanos() / PERIOD.as_nanos()).unwrap_or(u32::MAX - 1);
        let factor = if period % 2 == 1 { self.changes_by } else { 1.0 };
        (self.per_second * factor, PERIOD * (period + 1))
    }
}

/// A bucket that begins full. Time is counted from the beginning of the storm.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            tokens: rate.burst,
            at: Duration::ZERO,
        }
    }

    fn refill(&mut self, now: Duration) {
        while self.at < now {
            let (per_second, changes) = self.rate.at(self.at);
            let next = now.min(changes);
            let gained = (next - self.at).as_secs_f64() * per_second;
            self.tokens = (self.tokens + gained).min(self.rate.burst);
            self.at = next;
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        self.refill(now);
        // A token that lacks a millionth for the rounding of time is one.
        let there = self.tokens >= 1.0 - 1e-6;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// Takes the next token there is, and tells when that is.
    fn take_next(&mut self, wanted: Duration) -> Duration {
        self.refill(wanted);
        while self.tokens < 1.0 - 1e-6 {
            let (per_second, changes) = self.rate.at(self.at);
            let full = self.at + Duration::from_secs_f64((1.0 - self.tokens) / per_second) + Duration::from_nanos(1);
            self.refill(full.min(changes));
        }
        self.tokens -= 1.0;
        self.at
    }
}

/// When the last of the replacements can be launched at the earliest: each launch takes a token as soon as it is wanted and there is one, and pushes
/// come first.
pub(crate) fn least(rate: Rate, replacements: &[Duration], pushes: &[Duration]) -> Duration {
    let sorted = |wanted: &[Duration]| {
        let mut wanted = wanted.to_vec();
        wanted.sort();
        wanted.into_iter().peekable()
    };
    let (mut replacements, mut pushes) = (sorted(replacements), sorted(pushes));
    let (mut bucket, mut last) = (Bucket::new(rate), Duration::ZERO);
    while let Some(replacement) = replacements.peek() {
        let wanted = pushes.peek().map_or(*replacement, |push| *push.min(replacement));
        let at = bucket.take_next(wanted);
        if pushes.next_if(|push| *push <= at).is_none() {
            replacements.next();
            last = at;
        }
    }
    last
}
