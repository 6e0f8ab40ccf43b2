//! Mistakes with the records of builds.

use std::time::Duration;

use bellhop_domain::build::{Build, BuildEffect, BuildState, Phase, Slot, StopReason};
use bellhop_domain::executor::{Folder, Place};
use bellhop_domain::ids::AgentId;
use bellhop_domain::outcome::Outcome;

use super::kind::Mutant;
use super::outbox::{change_effects, forget_outbox};
use crate::ecs::Truth;
use crate::world::{World, timestamp};

mutants! {
    /// What is tried in vain is tried for ever.
    NOTHING_ABANDONED: "nothing-abandoned" within 200,
    /// An agent that never says that it has stopped is waited for.
    LOST_WAITED_FOR: "lost-waited-for" within 200,
    /// An agent counts as lost as soon as it is told to stop.
    LOST_AT_ONCE: "lost-at-once" within 200,
    /// What nobody can be asked about is waited for.
    UNSEEN_WAITED_FOR: "unseen-waited-for" within 500,
    /// A Spot agent that never comes up is followed by another one on Spot.
    NEVER_UP_ON_SPOT_AGAIN: "never-up-on-spot-again" within 500,
    /// A write does not look at the version.
    CONFLICTS_IGNORED: "conflicts-ignored" within 20,
    /// There is no sweep.
    NO_SWEEP: "no-sweep" within 20,
    /// A function never wakes the performer of what it does not perform itself.
    WAKE_UPS_DROPPED: "wake-ups-dropped" within 500,
    /// Timers never go off.
    TIMERS_LOST: "timers-lost" within 200,
    /// Timers go off before their time, when nothing is due yet.
    TIMERS_EARLY: "timers-early" within 200,
    /// The sweep sets no timers.
    TIMERS_NOT_SEEN_AHEAD: "timers-not-seen-ahead" within 200,
    /// What is left in an outbox is never overdue.
    OUTBOX_FORGOTTEN: "outbox-forgotten" within 50,
    /// Late events decide about finished builds again.
    LATE_EVENTS_DECIDE_AGAIN: "late-events-decide-again" within 50,
    /// A success that comes late changes the outcome.
    LATE_SUCCESS_COUNTS: "late-success-counts" within 200,
    /// A script that ends with exit code 0 undoes that its build was cancelled.
    SUCCESS_UNDOES_CANCELLING: "success-undoes-cancelling" within 200,
    /// `relaunch: stopped` is not observed.
    RELAUNCH_AT_ONCE: "relaunch-at-once" within 100,
    /// The limits of retry rules are not observed.
    RETRIES_UNLIMITED: "retries-unlimited" within 50,
    /// Timeouts are not observed.
    TIMEOUTS_IGNORED: "timeouts-ignored" within 100,
    /// Builds start without waiting for those they need.
    NEEDS_IGNORED: "needs-ignored" within 20,
    /// A build asks for its place once, whether or not it is heard.
    ASK_NOT_REPEATED: "ask-not-repeated" within 200,
    /// What a build left is looked for where its first attempt has left something.
    FOUND_OF_FIRST_ATTEMPT: "found-of-first-attempt" within 500,
    /// What a build left behind is forgotten.
    FOUND_FORGOTTEN: "found-forgotten" within 50,
}

/// What is done to a record that is about to be written.
pub(crate) fn before_write_of_build(world: &World, build: &mut Build) {
    match world.mutant {
        Some(Mutant::OUTBOX_FORGOTTEN) => forget_outbox(build),
        Some(Mutant::NOTHING_ABANDONED) => change_effects(build, |effect| {
            effect.remove("failing");
        }),
        Some(Mutant::UNSEEN_WAITED_FOR) => build.polls_failing_since = None,
        Some(Mutant::LOST_WAITED_FOR) => {
            for attempt in &mut build.attempts {
                if let Phase::Stopping { at, .. } = &mut attempt.phase {
                    *at = timestamp(world.now);
                }
            }
            for stray in &mut build.strays {
                stray.since = None;
            }
        }
        Some(Mutant::LOST_AT_ONCE) => {
            for attempt in &mut build.attempts {
                if let Phase::Stopping { at, .. } = &mut attempt.phase {
                    *at = timestamp(0);
                }
            }
        }
        Some(Mutant::NEVER_UP_ON_SPOT_AGAIN) => {
            for attempt in &mut build.attempts {
                if let Phase::Stopping {
                    at,
                    why: StopReason::NeverStarted,
                } = &attempt.phase
                {
                    attempt.started = Some(*at);
                }
            }
        }
        Some(Mutant::LATE_SUCCESS_COUNTS) => {
            let succeeded = world
                .ecs
                .tasks
                .iter()
                .any(|task| task.attempt.build == build.spec.id && task.truth == Truth::Succeeded);
            if let BuildState::Finished { outcome, .. } = &mut build.state
                && succeeded
            {
                *outcome = Outcome::Succeeded;
            }
        }
        Some(Mutant::SUCCESS_UNDOES_CANCELLING) => {
            let mut tasks = world.ecs.tasks.iter();
            let succeeded = tasks.any(|task| task.attempt.build == build.spec.id && task.truth == Truth::Succeeded);
            if let BuildState::Finished { outcome, .. } = &mut build.state
                && matches!(outcome, Outcome::Cancelled | Outcome::Superseded)
                && succeeded
            {
                *outcome = Outcome::Succeeded;
            }
        }
        Some(Mutant::ASK_NOT_REPEATED) => {
            build.outbox.remove_where(|pending| pending.effect == BuildEffect::AcquireSlot);
        }
        Some(Mutant::FOUND_FORGOTTEN) => build.results = None,
        Some(Mutant::LOCK_IGNORED) if build.lock == Slot::Requested => {
            build.spec.lock = None;
            *build = Build::ready(build.spec.clone(), build.created);
        }
        Some(Mutant::NEEDS_IGNORED) if build.state == BuildState::Blocked => {
            *build = Build::ready(build.spec.clone(), build.created);
        }
        _ => {}
    }
}

/// Where it is looked for what an agent has left, if not in its own folder.
pub(crate) fn folder_of(world: &World, place: &Place, agent: &AgentId) -> Option<Folder> {
    if world.is(Mutant::FOREIGN_FOLDERS) {
        return world.bucket.folders_at(place).last().map(|name| place.folder(name));
    }
    if !world.is(Mutant::FOUND_OF_FIRST_ATTEMPT) {
        return None;
    }
    let build = world.attempt_of_agent(agent)?.build;
    let mut folders = world.bucket.left.iter();
    let first = folders.find(|(_, left)| left.attempt.build == build && left.attempt.number == 1);
    first.map(|(folder, _)| folder.clone())
}

/// What is done to a record as it is read.
pub(crate) fn read_build(world: &World, build: &mut Build) {
    match world.mutant {
        Some(Mutant::RELAUNCH_AT_ONCE) => build.spec.relaunch = bellhop_domain::spec::Relaunch::Warning,
        Some(Mutant::RETRIES_UNLIMITED) => {
            for rule in &mut build.spec.retry.rules {
                rule.limit = 100;
            }
        }
        Some(Mutant::TIMEOUTS_IGNORED) => build.spec.timeout = Duration::from_secs(7 * 24 * 3600),
        Some(Mutant::LATE_EVENTS_DECIDE_AGAIN) if build.attempts.last().is_some_and(|attempt| attempt.is_live()) => {
            build.state = BuildState::Active;
        }
        _ => {}
    }
}
