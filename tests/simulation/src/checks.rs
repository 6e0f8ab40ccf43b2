//! What must hold, after every step and at rest. The code under test is not asked: what is true is known from the stand-ins.
//!
//! One file holds the invariants of one family: of records as they are written ([`records`], [`builds`], [`attempts`], [`runs`], [`branches`], [`places`]), of launches
//! and agents ([`launches`], [`agents`], [`attacks`], [`instances`], [`artifacts`]), of time ([`timers`], [`launcher`]), and of what comes from outside ([`actions`], [`alarms`], [`backups`], [`requests`],
//! [`superseded`]). [`seen`] is what they share. This file only asks each for what must hold at rest. A new invariant is a `check!` with a name of its own in the
//! file of its family.

#[macro_use]
mod check;
pub(crate) mod actions;
mod agents;
pub(crate) mod alarms;
mod artifacts;
mod attacks;
mod attempts;
pub(crate) mod backups;
mod branches;
mod builds;
pub(crate) mod instances;
pub(crate) mod launcher;
mod launches;
pub(crate) mod places;
mod records;
pub(crate) mod requests;
mod runs;
mod seen;
mod superseded;
mod timers;

use bellhop_domain::run::{Run, RunState};

use crate::guarded::Served;
use crate::source::Expected;
use crate::world::{Subject, World};
pub(crate) use attacks::stopped_other;
pub(crate) use branches::branch_written;
use builds::build_at_rest;
pub(crate) use builds::build_written;
pub(crate) use launches::{launched_again, launching, refused_again};
pub(crate) use places::places_written;
pub(crate) use records::version_written;
use runs::run_at_rest;
pub(crate) use runs::run_written;
pub(crate) use seen::{Checks, cancelled, denied, forbidden, given_up, is_out_of_reach, refused, wished_away};

/// What must hold over time.
pub(crate) fn inspect(world: &mut World) {
    agents::inspect(world);
    timers::inspect(world);
    launcher::inspect(world);
    places::inspect(world);
}

/// What must hold once everything is at rest.
pub(crate) fn at_rest(world: &mut World) {
    let ids: Vec<_> = world.tables.builds.keys().cloned().collect();
    for id in ids {
        build_at_rest(world, &id);
    }
    let ids: Vec<_> = world.tables.runs.keys().cloned().collect();
    for id in ids {
        run_at_rest(world, &id);
    }
    places::at_rest(world);
    actions::at_rest(world);
    requests::at_rest(world);
    instances::at_rest(world);
    alarms::at_rest(world);
    backups::at_rest(world);
    for push in world.repository.pushes.clone() {
        let runs: Vec<Run> = world
            .tables
            .runs
            .values()
            .filter(|run| run.record.commit == push.commit && run.record.trigger.starts_with(&push.trigger))
            .map(|run| run.record.clone())
            .collect();
        let Some(commit) = world.repository.commits.get(push.commit.as_str()).cloned() else {
            continue;
        };
        let wanted = usize::from(commit.expected != Expected::Nothing);
        check!(
            world,
            Subject::World,
            "one-run-per-trigger",
            runs.len() == wanted,
            "{} runs of trigger {}, expected {wanted}",
            runs.len(),
            push.trigger
        );
        for run in &runs {
            let rejected = matches!(run.state, RunState::Rejected { .. });
            let served = requests::served(world, run, commit.jobs.keys());
            world.statistics.off_refs += u64::from(served != Served::Yes && rejected);
            let expected = match served {
                Served::Yes => rejected == (commit.expected == Expected::Rejected),
                Served::No => rejected,
                Served::Either => true,
            };
            check!(world, &run.id, "mistakes-are-rejected", expected, "{:?}", run.state);
            let jobs = run.jobs().len();
            check!(
                world,
                &run.id,
                "all-jobs",
                rejected || jobs == commit.jobs.len(),
                "{jobs} jobs of {}",
                commit.jobs.len()
            );
        }
    }
}
