//! A token bucket, as AWS throttles by.

use std::time::Duration;

/// How many tokens a bucket holds, and how many it gets a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
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
        let gained = now.saturating_sub(self.at).as_secs_f64() * self.rate.per_second;
        self.tokens = (self.tokens + gained).min(self.rate.burst);
        self.at = self.at.max(now);
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
        let missing = (1.0 - self.tokens).max(0.0);
        let at = self.at + Duration::from_secs_f64(missing / self.rate.per_second);
        self.refill(at);
        self.tokens -= 1.0;
        at
    }
}

/// When the last of these launches can take place at the earliest: each takes a token as soon as it is wanted and there is one, in the order of the wishes.
pub(crate) fn least(rate: Rate, wanted: &[Duration]) -> Duration {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let mut bucket = Bucket::new(rate);
    wanted.into_iter().map(|at| bucket.take_next(at)).max().unwrap_or_default()
}
