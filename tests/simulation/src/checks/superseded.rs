//! What must hold of runs of a branch whose pushes supersede each other.

use std::time::Duration;

use bellhop_domain::build::BuildState;
use bellhop_domain::ids::{BuildId, JobName};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::{JobState, Run, RunEffect, RunJob};
use jiff::Timestamp;

use super::builds::decided_by_run;
use super::seen::{CALM_GRACE, GRACE};
use crate::world::{World, timestamp};

/// A run is about to be written: a newer one cancels what it does itself, and nothing that another job of the older one still needs.
pub(super) fn run_written(world: &mut World, previous: &Run, next: &Run) {
    let known = previous.outbox.pending();
    let mut cancelled: Vec<(JobName, String)> = Vec::new();
    for pending in next.outbox.pending() {
        if let RunEffect::Cancel {
            job,
            outcome: Outcome::Superseded,
            cause,
        } = &pending.effect
            && known.iter().all(|known| known.id != pending.id)
        {
            cancelled.push((job.clone(), cause.clone()));
        }
    }
    for (name, cause) in cancelled {
        let mut runs = world.tables.runs.values().map(|run| &run.record);
        let newer = runs.find(|run| cause.ends_with(run.id.as_str()));
        let goes_on = |job: &RunJob<'_>| matches!(job.state, JobState::Blocked | JobState::Released);
        let mut dependents = next.jobs().filter(|other| other.needs.contains(&name)).filter(goes_on);
        let right = newer.is_some_and(|newer| newer.job(&name).is_some()) && dependents.next().is_none();
        check!(world, &next.id, "only-what-is-done-again-is-superseded", right, "{name}: {cause}");
    }
}

/// Of the runs of a branch whose pushes supersede each other, what is older has not gone on.
pub(super) fn at_rest(world: &mut World, run: &Run) {
    let Some(at) = world.pushed_at(&run.id).filter(|_| run.jobs().len() > 0) else {
        return;
    };
    let newer: Vec<Run> = world
        .tables
        .runs
        .values()
        .map(|other| &other.record)
        .filter(|other| (&other.repository, &other.reference) == (&run.repository, &run.reference) && other.jobs().len() > 0)
        .filter(|other| world.pushed_at(&other.id).is_some_and(|other| other > at))
        .cloned()
        .collect();
    let calm = timestamp(world.calm_since.unwrap_or(world.now) + CALM_GRACE);
    for job in run.jobs() {
        let build = BuildId {
            run: run.id.clone(),
            job: job.name.clone(),
        };
        let state = world.tables.builds.get(&build).map(|build| build.record.state.clone());
        let Some(BuildState::Finished { outcome, at, .. }) = state else {
            continue;
        };
        // What the newer run does not do goes on, with what it needs.
        let successors = newer.iter().filter(|newer| is_replaced(run, newer, job.name));
        let Some(next) = successors.map(|newer| newer.created).min() else {
            continue;
        };
        // From here on both runs are there, and the branch is told of them.
        let both = next.max(run.created);
        let hostile = both.checked_add(Duration::from_millis(GRACE)).unwrap_or(Timestamp::MAX);
        let until = hostile.max(calm);
        check!(
            world,
            &build,
            "older-does-not-go-on",
            decided_by_run(outcome) || at <= until,
            "it ended as {outcome} at {at}, and a newer push was there at {both}"
        );
    }
}

/// Whether a job of a run is one that a newer run has as well, and nothing that the newer run does not do needs it.
fn is_replaced(run: &Run, newer: &Run, job: &JobName) -> bool {
    let is_there = newer.job(job).is_some();
    let mut dependents = run.jobs().filter(|other| other.needs.contains(job));
    is_there && dependents.all(|other| is_replaced(run, newer, other.name))
}
