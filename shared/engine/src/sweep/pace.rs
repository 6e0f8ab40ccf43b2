//! The pace of the launch queue: as many launches per second as a service accepts.
//!
//! A service takes launches from a token bucket that refills at a constant rate, and throttles a call that finds it empty. Launching slower than the
//! rate delays builds. Launching faster costs throttled calls, each with a request to the service and two writes to the ledger. The rate is unknown:
//! it belongs to the account, may change, and other callers share it. So the launcher probes it as TCP does. It begins with the rate that the last turn
//! found, and doubles it each second while nothing is throttled. A throttled launch reduces it by a factor; after that, it grows slowly, until nothing
//! has been throttled for a second. Tokens that a slow second leaves remain for the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellhop_domain::build::Refusal;
use jiff::Timestamp;

use crate::ports::Launch;

/// The launches per second with which the first turn begins: Fargate's limit for every account
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html>).
const FIRST: f64 = 20.0;
/// The fewest launches per second, however many are throttled.
const FEWEST: f64 = 2.0;
/// The most launches per second.
const MOST: f64 = 500.0;
/// The increase for each accepted launch while nothing is throttled: the rate doubles each second.
const SEARCHING: f64 = std::f64::consts::LN_2;
/// The increase for each accepted launch otherwise.
const FASTER: f64 = 0.3;
/// The factor for the rate after a throttled launch.
const SLOWER: f64 = 0.7;
/// How long throttled launches count as one: calls that were already sent contain no news.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long after a throttled launch the rate grows slowly.
const CAREFUL: Duration = Duration::from_secs(1);
/// The shortest wait, for the resolution of clocks.
const SHORTEST: Duration = Duration::from_millis(1);
/// How much of a pause, for instance while the next builds are read, is made up for.
const MADE_UP: Duration = Duration::from_secs(1);

/// The rate of launches.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    per_second: f64,
    /// When the next launch may start.
    next: Timestamp,
    /// When the rate was last reduced.
    slowed: Option<Timestamp>,
    /// When a launch was last throttled.
    throttled: Option<Timestamp>,
}

impl Pace {
    /// A pace that begins with the rate of the last turn, if there was one.
    pub(super) fn new(per_minute: Option<u32>, now: Timestamp) -> Self {
        let state = State {
            per_second: per_minute.map_or(FIRST, |rate| f64::from(rate) / 60.0).clamp(FEWEST, MOST),
            next: now,
            slowed: None,
            throttled: None,
        };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The launches per minute, for the next turn.
    pub(super) fn per_minute(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between FEWEST and MOST")]
        let rate = (self.state().per_second * 60.0).round() as u32;
        rate
    }

    /// How many launches there are in a time.
    pub(super) fn launches_in(&self, time: Duration) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of seconds")]
        let launches = (self.state().per_second * time.as_secs_f64()) as usize;
        launches
    }

    /// Takes the time of a launch, or returns the wait until the next one.
    pub(super) fn next(&self, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.state();
        let earliest = state.next.max(now.checked_sub(MADE_UP).unwrap_or(Timestamp::MIN));
        if let Ok(wait) = Duration::try_from(earliest.duration_since(now))
            && !wait.is_zero()
        {
            return Err(wait.max(SHORTEST));
        }
        let apart = Duration::from_secs_f64(1.0 / state.per_second);
        state.next = after(earliest, apart);
        Ok(())
    }

    /// Takes the result of a launch.
    pub(crate) fn note(&self, launched: &Launch, now: Timestamp) {
        match launched {
            Launch::Accepted(_) => self.accepted(now),
            Launch::Refused {
                refusal: Refusal::Throttled(_),
                ..
            } => self.throttled(now),
            Launch::Refused { .. } => {}
        }
    }

    fn accepted(&self, now: Timestamp) {
        let mut state = self.state();
        let is_careful = state.throttled.is_some_and(|throttled| after(throttled, CAREFUL) > now);
        let more = if is_careful { FASTER } else { SEARCHING };
        state.per_second = (state.per_second + more).min(MOST);
    }

    fn throttled(&self, now: Timestamp) {
        let mut state = self.state();
        state.throttled = Some(now);
        if state.slowed.is_none_or(|slowed| after(slowed, AT_ONCE) <= now) {
            state.per_second = (state.per_second * SLOWER).max(FEWEST);
            state.slowed = Some(now);
        }
    }

    /// Whether a launch was throttled since a moment.
    pub(super) fn was_throttled_since(&self, since: Timestamp) -> bool {
        self.state().throttled.is_some_and(|throttled| throttled >= since)
    }
}

fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    /// A service with a bucket of so many tokens, which gets so many a second, and a launcher with endless builds for so many seconds. Gives how many
    /// launches the service took and refused.
    fn ask(pace: &Pace, burst: f64, per_second: f64, seconds: std::ops::Range<u32>) -> (u32, u32) {
        let (mut tokens, mut taken, mut refused) = (burst, 0, 0);
        for tick in seconds.start * 1000..seconds.end * 1000 {
            let now = at(tick);
            tokens = (tokens + per_second / 1000.0).min(burst);
            while pace.next(now).is_ok() {
                if tokens >= 1.0 {
                    tokens -= 1.0;
                    taken += 1;
                    pace.accepted(now);
                } else {
                    refused += 1;
                    pace.throttled(now);
                }
            }
        }
        (taken, refused)
    }

    fn at(millisecond: u32) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + i64::from(millisecond)).unwrap()
    }

    #[test]
    fn the_pace_finds_the_services_rate_with_fewer_refusals_than_launches() {
        for per_second in [5.0, 20.0, 60.0, 100.0, 300.0] {
            let (burst, seconds) = (5.0 * per_second, 55);
            let (taken, refused) = ask(&Pace::new(None, at(0)), burst, per_second, 0..seconds);
            let most = per_second.mul_add(f64::from(seconds), burst);
            assert!(f64::from(taken) > 0.95 * most, "{taken} of {most} at {per_second}");
            assert!(f64::from(refused) <= 0.5 * most, "{refused} beside {taken} at {per_second}");
        }
    }

    #[test]
    fn a_rate_that_changes_is_found_within_seconds() {
        for (before, then) in [(100.0, 5.0), (5.0, 100.0)] {
            let pace = Pace::new(None, at(0));
            ask(&pace, 100.0, before, 0..30);
            ask(&pace, 10.0, then, 30..36);
            let (taken, _) = ask(&pace, 10.0, then, 36..66);
            assert!(f64::from(taken) > 0.95 * then * 30.0, "{taken} at {then} after {before}");
        }
    }

    #[test]
    fn the_next_turn_begins_with_the_rate_of_the_last() {
        let pace = Pace::new(Some(4_800), at(0));
        assert_eq!((pace.per_minute(), pace.launches_in(Duration::from_millis(500))), (4_800, 40));
        assert_eq!([0, u32::MAX].map(|rate| Pace::new(Some(rate), at(0)).per_minute()), [120, 30_000]);
        assert_eq!(Pace::new(None, at(0)).per_minute(), 1_200);
    }

    #[test]
    fn a_service_that_takes_nothing_is_asked_no_more_than_twice_a_second() {
        let pace = Pace::new(None, at(0));
        let (_, refused) = ask(&pace, 0.0, 0.0, 0..55);
        assert!((100..=220).contains(&refused), "{refused}");
        assert_eq!(pace.per_minute(), 120);
    }

    #[test]
    fn a_standstill_is_made_up_for_by_a_second_and_no_more() {
        let pace = Pace::new(None, at(0));
        let launches = (0..1000).take_while(|_| pace.next(at(30_000)).is_ok()).count();
        assert_eq!(launches, 21);
        assert_eq!(pace.next(at(30_000)), Err(Duration::from_millis(50)));
    }

    #[test]
    fn what_is_refused_at_once_slows_down_once() {
        let pace = Pace::new(None, at(0));
        for millisecond in 0..900 {
            pace.throttled(at(millisecond));
        }
        assert_eq!(pace.per_minute(), 840);
        assert!(pace.was_throttled_since(at(899)) && !pace.was_throttled_since(at(900)));
        pace.accepted(at(1_898));
        assert_eq!(pace.per_minute(), 858, "it grows slowly");
        pace.accepted(at(1_899));
        assert_eq!(pace.per_minute(), 900, "and then it searches");
    }
}
