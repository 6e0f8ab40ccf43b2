//! The launcher: the one function whose turn it is to work off the launch queue.
//!
//! Builds whose launch was throttled wait in the launch queue. If several functions worked it off at once, each would learn only a part of what the
//! service accepts, and they would compete for it. So a function takes a turn, which is a lease: it prolongs the turn while it is at work, and gives it
//! up at its end. If the function dies, its turn ends by itself, soon enough that the builds hardly wait longer.
//!
//! No build depends on this record. Two turns at once, for instance because two clocks differ, cost throttled calls and nothing else: every build is
//! still launched once, by the version of its own record.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::time::later;

/// How long a turn lasts if it is not prolonged: for so long, the launch queue stands still if a function dies.
pub const TURN: Duration = Duration::from_secs(10);

/// Whose turn it is, as far as others need to know: the record in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launcher {
    /// When the turn ends.
    pub until: Timestamp,
    /// The launches a minute that the turn has found the service to accept. The next turn begins with it.
    pub per_minute: u32,
}

impl Launcher {
    /// A turn that begins, or is prolonged, now.
    #[must_use]
    pub fn turn(per_minute: u32, now: Timestamp) -> Self {
        Self {
            until: later(now, TURN),
            per_minute,
        }
    }

    /// The record after a turn that was given up: free at once, also to a function whose clock is behind.
    #[must_use]
    pub fn over(per_minute: u32) -> Self {
        Self {
            until: Timestamp::UNIX_EPOCH,
            per_minute,
        }
    }

    /// Whether a function has the turn. One that ends later than any turn can is that of a wrong clock, and does not count.
    #[must_use]
    pub fn is_taken(&self, now: Timestamp) -> bool {
        now < self.until && self.until <= later(now, 2 * TURN)
    }

    /// Whether the function that has the turn should prolong it: half of it is over.
    #[must_use]
    pub fn is_half_over(&self, now: Timestamp) -> bool {
        self.until <= later(now, TURN / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::t;

    #[test]
    fn a_turn_is_prolonged_after_its_half_and_ends_by_itself() {
        let turn = Launcher::turn(1200, t(100));
        assert_eq!(
            [89, 90, 100, 109, 110].map(|second| turn.is_taken(t(second))),
            [false, true, true, true, false]
        );
        assert_eq!(
            [100, 104, 105, 111].map(|second| turn.is_half_over(t(second))),
            [false, false, true, true]
        );
        assert_eq!(Launcher::turn(1300, t(105)).until, t(115));
    }

    #[test]
    fn a_turn_that_is_given_up_is_free_to_every_clock_and_leaves_its_rate() {
        let over = Launcher::over(1300);
        assert!(!over.is_taken(t(0)) && over.is_half_over(t(0)));
        assert_eq!(over.per_minute, 1300);
    }
}
