//! Timers: what has a time of its own happens at that time.

use bellhop_engine::ports::Lane;

use crate::ports::about;
use crate::world::{MINUTE, Millis, SECOND, Subject, World, moment, timestamp};

/// How late a record may be processed: the rest of a second that a delay in whole seconds rounds up, the delivery, and the requests before the decision.
const LATE: Millis = 3 * SECOND;
/// How long after the faults have stopped this holds: until then, timers that were lost may still be due.
const FROM: Millis = 3 * MINUTE;
/// What a decision at a timeout needs.
const NEEDED: [&str; 4] = ["SendMessageBatch", "DescribeTasks", "GetReport", "ListTasks"];

/// What must hold over time.
pub(super) fn inspect(world: &mut World) {
    let calm = world.calm_since.is_some_and(|since| world.now > since + FROM);
    if !calm || world.was_denied(&NEEDED) {
        return;
    }
    let late = world.due(Lane::Timers, timestamp(world.now - LATE), 1).pop();
    let (about, since) = late.map_or((Subject::World, world.now), |(at, key)| (about(&key), moment(at)));
    let late = world.now - since;
    check!(world, about, "on-time", late == 0, "{} s late", late / SECOND);
}
