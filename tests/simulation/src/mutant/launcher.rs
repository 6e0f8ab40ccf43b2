//! Mistakes with the launch queue, and with whose turn it is to work it off.

use bellhop_domain::queue::launcher::Launcher;
use bellhop_engine::ports::{Key, Lane};
use bellhop_engine::records::Stored as _;
use jiff::Timestamp;

use super::kind::Mutant;
use crate::world::{SECOND, World, timestamp};

mutants! {
    /// A function does not see that another one has the turn.
    TURN_UNSEEN: "turn-unseen" within 200,
    /// A function takes a turn that another one has taken meanwhile.
    TURN_OVERWRITTEN: "turn-overwritten" within 1000,
    /// The turn of a function that has died never ends.
    TURN_FOR_EVER: "turn-for-ever" within 200,
    /// The launcher is never woken.
    LAUNCHER_NOT_WOKEN: "launcher-not-woken" within 500,
    /// The sweep does not look into the launch queue.
    QUEUE_NOT_SWEPT: "queue-not-swept" within 500,
}

/// The text of the launcher's record as it is read.
pub(super) fn read_launcher(world: &World, text: &str) -> Option<String> {
    let launcher: Launcher = serde_json::from_str(text).ok()?;
    let until = match world.mutant {
        Some(Mutant::TURN_UNSEEN) => Timestamp::UNIX_EPOCH,
        Some(Mutant::TURN_FOR_EVER) if launcher.until > Timestamp::UNIX_EPOCH => timestamp(world.now + 5 * SECOND),
        _ => return None,
    };
    serde_json::to_string(&Launcher { until, ..launcher }).ok()
}

/// Whether the version of a document is not compared when it is written.
pub(crate) fn overwrites(world: &World, key: &Key) -> bool {
    world.is(Mutant::TURN_OVERWRITTEN) && *key == Launcher::key_of(())
}

/// Whether a wake-up is lost.
pub(crate) fn drops_wake_up(world: &World, key: &Key) -> bool {
    world.is(Mutant::TIMERS_LOST) || world.is(Mutant::LAUNCHER_NOT_WOKEN) && *key == Launcher::key_of(())
}

/// Whether a lane is overlooked by a function, which may be the minute's sweep.
pub(crate) fn overlooks_lane(world: &World, lane: Lane, is_sweep: bool) -> bool {
    world.is(Mutant::QUEUE_NOT_SWEPT) && is_sweep && lane == Lane::Launches
}
