//! The launch queue: one function at a time works it off, and no build waits in it for nothing.

use bellhop_domain::queue::launcher::Launcher;
use bellhop_engine::ports::{Item, Lane};
use bellhop_engine::records::Stored as _;

use crate::world::{MINUTE, Millis, SECOND, Subject, Who, World, moment};

/// How long a build may wait in the queue while no launch is throttled: for the delivery of a wake-up, and for the end of a turn whose function died.
const LATE: Millis = 12 * SECOND;
/// How much longer for each build in the queue: the slowest pace.
const EACH: Millis = SECOND;
/// How long after the faults have stopped this holds: until then, builds whose wake-ups were lost may still wait for a sweep.
const FROM: Millis = 3 * MINUTE;

/// The launcher's record is about to be written.
pub(crate) fn written(world: &mut World, previous: Option<&Item>, next: &Item) {
    if next.key != Launcher::key_of(()) {
        return;
    }
    let turn = |item: &Item| serde_json::from_str::<Launcher>(&item.text).map_or(0, |turn| moment(turn.until));
    // Which function a request is from that takes effect after its sender has given up on it is not known.
    let by = match world.who {
        Who::Invocation(_, number) => Some(number),
        Who::Nature => None,
    };
    let until = previous.map_or(0, turn);
    // The clocks of two functions may be so far apart.
    let is_taken = until > world.now + world.hostility.skew;
    let is_own = by.is_none() || by == world.checks.launcher;
    check!(
        world,
        Subject::World,
        "one-turn-at-a-time",
        !is_taken || is_own,
        "another function has the turn for {} ms more",
        until - world.now
    );
    world.checks.launcher = by;
}

/// What must hold over time.
pub(super) fn inspect(world: &mut World) {
    let calm = world.calm_since.is_some_and(|since| world.now > since + FROM);
    if !calm || world.was_ever_denied() {
        return;
    }
    let now = world.now;
    let queued = world.tables.builds.values().filter_map(|build| {
        let due = build.record.due_in_lane().filter(|(lane, _)| *lane == Lane::Launches)?;
        let since = moment(due.1).max(build.written());
        (since <= now).then(|| (build.record.spec.id.clone(), now - since))
    });
    let queued: Vec<_> = queued.collect();
    let longest = LATE + EACH * u64::try_from(queued.len()).unwrap_or(u64::MAX);
    if let Some((id, waited)) = queued.into_iter().max_by_key(|(_, waited)| *waited) {
        check!(
            world,
            &id,
            "queue-is-worked-off",
            waited <= longest,
            "it waits in the launch queue for {} s",
            waited / SECOND
        );
    }
}
