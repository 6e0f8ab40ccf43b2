//! Timers: some things happen at their time.

use bellhop_engine::records::Stored;

use crate::ports::about;
use crate::world::{MINUTE, Millis, SECOND, Subject, World, moment};

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
    let by = world.now - LATE;
    let tables = &world.tables;
    let builds = tables.builds.values().filter_map(|build| late(&build.record, by));
    let runs = tables.runs.values().filter_map(|run| late(&run.record, by));
    let pools = tables.pools.values().filter_map(|pool| late(&pool.record, by));
    let branches = tables.branches.values().filter_map(|branch| late(&branch.record, by));
    let first = builds.chain(runs).chain(pools).chain(branches).next();
    let (about, late) = first.unwrap_or((Subject::World, 0));
    check!(world, about, "on-time", late == 0, "{} s late", late / SECOND);
}

/// How late a record is, if it should have been processed by a moment.
fn late<R: Stored>(record: &R, by: Millis) -> Option<(Subject, Millis)> {
    let at = record.timer().map(moment).filter(|at| *at < by)?;
    Some((about(&record.key()), by + LATE - at))
}
