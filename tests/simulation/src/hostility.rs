//! How bad the world is. Every seed draws its own kinds of badness: a world in which everything goes wrong at once hides what one of them does alone.

use crate::world::{MINUTE, Millis, SECOND};

/// Something that lasts a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spell {
    /// Spot capacity is out.
    NoSpot,
    /// All capacity is out.
    NoCapacity,
    /// The account may run few tasks at once.
    AccountLimit,
    /// `RunTask` is throttled.
    Throttled,
    /// The ledger is throttled.
    LedgerThrottled,
    /// `RunTask` is refused for a reason that nobody knows: somebody has taken a permission away, and will bring it back.
    Forbidden,
    /// `RunTask` is refused for good: somebody has taken a task definition away, and will bring it back.
    Missing,
    /// Hardly a request to ECS, S3, SNS and CodeCommit is served.
    Outage,
}

pub(crate) const SPELLS: [Spell; 8] = [
    Spell::NoSpot,
    Spell::NoCapacity,
    Spell::AccountLimit,
    Spell::Throttled,
    Spell::LedgerThrottled,
    Spell::Forbidden,
    Spell::Outage,
    Spell::Missing,
];

impl Spell {
    /// How likely one that could come does come. What ends every build that meets it must leave the others something to do.
    pub(crate) fn share(self) -> f64 {
        match self {
            Self::Missing => 0.1,
            Self::Outage | Self::Forbidden => 0.4,
            Self::NoSpot | Self::NoCapacity | Self::AccountLimit | Self::Throttled | Self::LedgerThrottled => 1.0,
        }
    }
}

/// Shares (0 to 1) of what goes wrong while the world is hostile.
#[derive(Debug, Clone)]
pub(crate) struct Hostility {
    /// A request is refused by a fault of the service, and nothing came of it.
    pub(crate) refused: f64,
    /// A request took effect, and its reply is lost.
    pub(crate) reply_lost: f64,
    /// A request takes effect only after its sender has given up on it.
    pub(crate) late: f64,
    /// The same of `RunTask`, whose replies take seconds when capacity is short.
    pub(crate) launch_late: f64,
    /// A failed request is repeated by the SDK (up to twice).
    pub(crate) sdk_retries: f64,
    /// A call is slow: up to twenty seconds.
    pub(crate) slow: f64,
    /// An invocation dies at one of its points of waiting, most often at one of the first.
    pub(crate) death: f64,
    /// An event is lost, repeated, late, or comes without its version.
    pub(crate) event_lost: f64,
    pub(crate) event_repeated: f64,
    pub(crate) event_late: f64,
    pub(crate) event_unversioned: f64,
    /// A minute's sweep does not come, or comes twice.
    pub(crate) sweep_lost: f64,
    pub(crate) sweep_twice: f64,
    /// Capacity comes and goes within seconds.
    pub(crate) flickers: bool,
    /// The mean time until a task's Spot capacity is taken back.
    pub(crate) reclaim_after: Option<Millis>,
    /// A task is stopped by somebody outside, or lost with its host.
    pub(crate) outsider: f64,
    pub(crate) host_lost: f64,
    /// A task does not come up: no capacity after all, no image, or just nothing.
    pub(crate) late_no_capacity: f64,
    pub(crate) no_start: f64,
    /// A task does not come up, for want of something that comes back: an address, a vCPU, a token of EC2.
    pub(crate) not_now: f64,
    /// A task's instance loses its connection: ECS hears of it no more.
    pub(crate) disconnected: f64,
    pub(crate) never_up: f64,
    /// A script hangs.
    pub(crate) hangs: f64,
    /// How far the clocks of two invocations may be apart.
    pub(crate) skew: Millis,
    /// How long a write may stay out of the index of what is due, at most.
    pub(crate) index_lag: Millis,
    /// How far the answers to questions about tasks may be behind, at most: a new task is not listed yet, a changed one is described as it was.
    pub(crate) list_lag: Millis,
    /// A trigger comes again.
    pub(crate) push_repeated: f64,
}

impl Hostility {
    /// After how long each copy of an event arrives; while the world is hostile, none may, or several, or late ones.
    pub(crate) fn deliveries(&self, dice: &mut fastrand::Rng, hostile: bool) -> Vec<Millis> {
        let copies = match dice.f64() {
            _ if !hostile => 1,
            drawn if drawn < self.event_lost => 0,
            _ if dice.f64() < self.event_repeated => dice.u32(2..4),
            _ => 1,
        };
        let wait = |_| {
            if hostile && dice.f64() < self.event_late {
                let longest = [20 * SECOND, 40 * MINUTE][dice.usize(0..2)];
                dice.u64(5 * SECOND..longest)
            } else {
                dice.u64(100..2 * SECOND)
            }
        };
        (0..copies).map(wait).collect()
    }

    /// Nothing goes wrong by itself.
    pub(crate) fn none() -> Self {
        Self {
            sdk_retries: 0.0,
            flickers: false,
            skew: 0,
            index_lag: 0,
            list_lag: 0,
            ..Self::draw(&mut fastrand::Rng::with_seed(0), 0.0)
        }
    }

    /// What a seed has in store, each kind of badness being off, mild or strong. `scale` 1 is the usual world, 0 a peaceful one.
    pub(crate) fn draw(rng: &mut fastrand::Rng, scale: f64) -> Self {
        // Now and then no event comes at all, as with a rule that somebody has disabled.
        let deaf = scale > 0.0 && rng.u32(0..8) == 0;
        let mut share = |strong: f64| {
            let strength = [0.0, 0.15, 0.4, 1.0][rng.usize(0..4)];
            (strong * strength * scale).min(0.9)
        };
        Self {
            refused: share(0.15),
            reply_lost: share(0.12),
            late: share(0.06),
            launch_late: share(0.5),
            sdk_retries: 0.2 + share(0.7),
            slow: share(0.05),
            death: share(0.35),
            event_lost: if deaf { 1.0 } else { share(0.5) },
            event_repeated: share(0.4),
            event_late: share(0.4),
            event_unversioned: share(0.1),
            sweep_lost: share(0.3),
            sweep_twice: share(0.2),
            outsider: share(0.1),
            host_lost: share(0.08),
            late_no_capacity: share(0.25),
            no_start: share(0.12),
            not_now: share(0.12),
            disconnected: share(0.06),
            never_up: share(0.08),
            hangs: share(0.12),
            push_repeated: share(0.6),
            reclaim_after: match (share(1.0) * 10.0).round() {
                0.0 => None,
                mild if mild < 3.0 => Some(30 * MINUTE),
                medium if medium < 9.0 => Some(8 * MINUTE),
                _ => Some(2 * MINUTE),
            },
            flickers: scale > 0.0 && rng.u32(0..4) == 0,
            skew: [0, 500, 2 * SECOND, 4 * SECOND][rng.usize(0..4)],
            index_lag: [0, SECOND, 5 * SECOND, 20 * SECOND][rng.usize(0..4)],
            list_lag: [0, SECOND, 5 * SECOND][rng.usize(0..3)],
        }
    }
}
