//! Attempts: how each ended, against what its agent really did.

use bellhop_domain::build::{Attempt, Build, End, Phase, STOP_TIMEOUT, StopReason, UNKNOWN_FOR};
use bellhop_domain::executor::{Capacity, step_functions};
use bellhop_domain::outbox::RETRY_FOR;
use bellhop_model::ecs::REMEMBERED;

use super::seen::{CLOCKS, is_out_of_reach};
use crate::ecs::{Failure, Task, Truth, short};
use crate::ledger::describe;
use crate::world::{Millis, World, millis, moment};

/// An attempt counts as over whose agent was told to stop, and has not said that it has: it must have had its time for that.
pub(super) fn lost(world: &mut World, build: &Build, before: &Attempt, given_up: bool) {
    let Phase::Stopping { at, .. } = &before.phase else { return };
    let Some(task) = before.agent.as_ref().and_then(|agent| world.task(agent)) else {
        return;
    };
    let (lives, reachable) = (task.lives(), !is_out_of_reach(world, task));
    let waited = world.now.saturating_sub(moment(*at)) + CLOCKS;
    let name = short(&task.agent).to_owned();
    check!(
        world,
        &build.spec.id,
        "lost-after-its-time",
        !lives || waited >= Millis::try_from(STOP_TIMEOUT.as_millis()).unwrap_or(Millis::MAX),
        "{name} counts as lost after {waited} ms"
    );
    world.statistics.given_up += u64::from(lives);
    check!(
        world,
        &build.spec.id,
        "only-the-lost-are-given-up",
        // In a hostile world anything may fail for a quarter of an hour.
        !lives || !reachable || given_up && !world.calm(),
        "{name} is given up, and could have been stopped"
    );
}

/// An attempt counts as over whose agent never ran for want of something that others have, or that comes back: that is nobody's failure.
pub(super) fn never_ran(world: &mut World, previous: Option<&Build>, next: &Build, before: &Attempt) {
    let is_current = previous.is_some_and(|previous| previous.outcome().is_none() && previous.attempts.len() == before.number as usize);
    let Some(task) = before.agent.as_ref().and_then(|agent| world.task(agent)).filter(|_| is_current) else {
        return;
    };
    let for_want = task.failure == Some(Failure::NotNow) && before.phase == Phase::Launching;
    let never_up = matches!(
        before.phase,
        Phase::Stopping {
            why: StopReason::NeverStarted,
            ..
        }
    ) && task.never_ran();
    let job_waits = world.job(&next.spec).is_some_and(|job| job.relaunch_stopped);
    let mut later = next.attempts.iter().filter(|attempt| attempt.number > before.number);
    let gave_way = later.any(|attempt| attempt.capacity == Capacity::OnDemand);
    let gives_way = never_up && before.capacity == Capacity::Spot && !job_waits && !gave_way;
    let before_retries = previous.map(|previous| previous.retries.clone()).unwrap_or_default();
    check!(
        world,
        &next.spec.id,
        "want-is-no-failure",
        !for_want || next.retries == before_retries,
        "attempt {} found no room, and that counts as a failure: {}",
        before.number,
        describe(next)
    );
    check!(
        world,
        &next.spec.id,
        "on-demand-follows-spot",
        !gives_way,
        "attempt {} never came up on Spot, and does not go to on-demand",
        before.number
    );
}

/// The judgement on an attempt, against what its agent really did.
pub(super) fn attempt_ended(world: &mut World, build: &Build, attempt: &Attempt, end: &End, was_stopping: bool) {
    let id = &build.spec.id;
    let task = attempt.agent.as_ref().and_then(|agent| world.task(agent)).cloned();
    let truth = task.as_ref().map_or(Truth::Open, |task| task.truth);
    let now = world.now;
    let number = attempt.number;
    // A report that could not be read for its time decides nothing.
    let given_up = |task: &Task| !world.calm() && task.ended.is_some_and(|at| world.now + CLOCKS >= at + millis(RETRY_FOR));
    let readable = |task: &Task| task.reported && !given_up(task);
    let reported = task.as_ref().is_some_and(readable) && !world.was_denied(&["GetReport"]);
    // Without a report nobody can tell whether the script ended by itself or because the container beside it had ended, and not whether an exit code
    // is the script's or the agent's.
    let alone = !reported && task.as_ref().is_some_and(|task| task.sidecar_ended_first);
    // Two agents of one attempt, of which one is a launch that was given up, write their reports under one key.
    let twin = task.as_ref().is_some_and(|task| {
        let mut others = world
            .tasks_of(id)
            .filter(|other| other.attempt == task.attempt && other.agent != task.agent);
        others.any(|other| other.reported)
    });
    let unknowable = alone || twin;
    match end {
        End::Succeeded => {
            check!(
                world,
                id,
                "success-is-proven",
                truth == Truth::Succeeded || unknowable,
                "attempt {number} counts as a success, and its script is {truth:?}"
            );
        }
        End::Failed { .. } => {
            check!(
                world,
                id,
                "failure-is-proven",
                truth == Truth::Failed || unknowable || truth == Truth::NotCheckedOut && !reported,
                "attempt {number} counts as failed, and its script is {truth:?}"
            );
        }
        End::CommitGone { .. } => {
            check!(
                world,
                id,
                "failure-is-proven",
                truth == Truth::NotCheckedOut || unknowable,
                "attempt {number} has found no commit, and its script is {truth:?}"
            );
        }
        End::Interrupted => {
            let signalled = |task: &Task| task.capacity == Capacity::Spot && truth == Truth::Signalled;
            let taken = task.as_ref().is_some_and(|task| task.reclaimed.is_some() || signalled(task));
            check!(
                world,
                id,
                "interruption-is-real",
                taken,
                "attempt {number} counts as interrupted, and was not"
            );
        }
        End::TimedOut => {
            let timeout = world.job(&build.spec).map_or(0, |job| job.timeout);
            let ended_by_its_service = task
                .as_ref()
                .is_some_and(|task| task.capacity == step_functions::CAPACITY && task.timed_out());
            let ran = task.as_ref().map_or(0, |task| {
                // Nobody learns of the end of an agent that ECS does not hear of.
                let until = task.known_end().filter(|_| !task.deaf).unwrap_or(now);
                task.up_since().map_or(0, |since| until.saturating_sub(since))
            });
            check!(
                world,
                id,
                "timeout-is-real",
                // Or its end was not to be seen.
                ran + CLOCKS >= timeout || ended_by_its_service || world.was_denied(&["DescribeTasks"]),
                "attempt {number} ran {ran} ms of its {timeout} ms"
            );
        }
        End::Infrastructure { cause } => {
            let spent = task.is_none() && world.tasks_of(id).any(|other| other.attempt.number == number && !other.goes_on());
            let denied = world.checks.denied.get(id).copied();
            if let Some(since) = denied.filter(|_| cause.contains("AccessDenied")) {
                let millis = |time: std::time::Duration| Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
                let has_waited = moment(attempt.queued).saturating_add(millis(build.spec.queue_timeout)) <= now + CLOCKS;
                check!(
                    world,
                    id,
                    "unknown-is-tried-for-a-while",
                    has_waited || now.saturating_sub(since) + CLOCKS >= millis(UNKNOWN_FOR),
                    "attempt {number} ends {} ms after it was denied first",
                    now.saturating_sub(since)
                );
            }
            let forbidden = task.is_none() && (denied.is_some() || world.checks.forbidden.contains(&build.attempt_id(number)));
            let unseen = world.was_denied(&["DescribeTasks"]);
            let excused = twin
                || spent
                || forbidden
                || unseen
                || task.as_ref().is_some_and(|task| {
                    task.disturbed || truth == Truth::NotCheckedOut || task.never_ran() && was_stopping || is_forgotten(task, now)
                });
            check!(
                world,
                id,
                "infrastructure-is-to-blame",
                excused,
                "attempt {number} counts as `{cause}`, and nothing was wrong with its agent"
            );
        }
        End::Unneeded => {
            check!(
                world,
                id,
                "unneeded-is-over",
                build.outcome().is_some(),
                "attempt {number} counts as unneeded, and the build is not over"
            );
        }
    }
    // What an agent has reported must count, unless it was being stopped for another reason already.
    if !was_stopping && reported && !twin {
        let heard = match (truth, end) {
            // Another attempt has succeeded.
            (_, End::Unneeded) => true,
            (Truth::Succeeded, _) => *end == End::Succeeded,
            (Truth::Failed, _) => matches!(end, End::Failed { .. }),
            _ => true,
        };
        check!(
            world,
            id,
            "reports-count",
            heard,
            "attempt {number} counts as {end:?}, and its agent reported {truth:?}"
        );
    }
}

/// ECS has forgotten how the task ended.
fn is_forgotten(task: &Task, now: Millis) -> bool {
    task.ended.is_some_and(|ended| ended + millis(REMEMBERED) <= now)
}
