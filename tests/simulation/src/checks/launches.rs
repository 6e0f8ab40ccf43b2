//! Launches: each is in the ledger first, has a token of its own, and no more agents run beside it than may.

use bellhop_domain::build::Phase;
use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::LaunchId;
use bellhop_domain::ids::{AttemptId, BuildId, PoolName};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::spec::BuildSpec;

use super::seen::{CALM_GRACE, GRACE, is_given_up, is_named, is_stray};
use super::{alarms, requests};
use crate::ecs::{Failure, Task, short};
use crate::instances::is_doomed;
use crate::world::World;

/// A launch is answered with the refusal that its token was spent on.
pub(crate) fn refused_again(world: &mut World, launch: &LaunchId, of: &LaunchId) {
    check!(
        world,
        &launch.attempt.build,
        "no-try-under-a-spent-token",
        launch == of,
        "round {} of {launch} has the token of round {} of {of}",
        launch.round,
        of.round
    );
}

/// A launch's token is spent on a task already.
pub(crate) fn launched_again(world: &mut World, attempt: &AttemptId, capacity: Capacity, spent_on: &(AttemptId, Capacity)) {
    let (other, on) = spent_on;
    check!(
        world,
        &attempt.build,
        "one-token-per-launch",
        (other, *on) == (attempt, capacity),
        "{attempt} on {capacity} has the token of {other} on {on}"
    );
}

/// A new task is about to be created. The number of live tasks grows here alone, so that here alone it has to be looked at.
pub(crate) fn launching(world: &mut World, spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity) {
    let id = &attempt.build;
    let Some(job) = world.job(spec).cloned() else {
        world.violated("jobs-as-pushed", &id.into(), "no commit has such a job".to_owned());
        return;
    };
    let known = world.tables.builds.get(id).is_some_and(|build| {
        build
            .record
            .attempts
            .iter()
            .any(|known| known.number == attempt.number && known.launched.is_some())
    });
    check!(
        world,
        id,
        "state-before-action",
        known,
        "{attempt} is launched and not in the ledger"
    );

    let is_served = world.is_served(spec);
    check!(
        world,
        id,
        "guarded-agents-serve-their-refs",
        is_served,
        "{attempt} of commit {} on {} is launched on {}",
        spec.commit.short(),
        spec.reference,
        spec.agent
    );

    let spot = capacity == Capacity::Spot;
    check!(
        world,
        id,
        "critical-never-on-spot",
        !(spot && job.critical),
        "{attempt} is launched on Spot"
    );
    check!(
        world,
        id,
        "spot-only-where-offered",
        !spot || job.spot,
        "{attempt} is launched on Spot"
    );

    for need in &job.needs {
        if requests::is_left_out(world, id, need) {
            continue;
        }
        let needed = BuildId {
            run: id.run.clone(),
            job: need.parse().expect("it is a job's name"),
        };
        let outcome = world.outcome_of(&needed);
        check!(
            world,
            id,
            "needs-first",
            outcome == Some(Outcome::Succeeded),
            "{attempt} is launched, and {needed} is {outcome:?}"
        );
    }

    alarms::launching(world, attempt);
    let first = world.checks.launched.insert((attempt.clone(), capacity));
    check!(
        world,
        id,
        "one-agent-per-launch",
        first,
        "{attempt} has a second agent on {capacity}"
    );

    // An attempt whose accepted launch found no capacity after all takes another number, and no retry.
    let without_capacity = world.tasks_of(id).filter(|task| {
        task.never_ran() && task.disturbed && (task.capacity == Capacity::OnDemand || task.failure == Some(Failure::NotNow))
    });
    // So does one whose token was spent on an agent that was taken for a stray.
    let spent = world.tables.builds.get(id).map_or(0, |build| {
        let attempts = build.record.attempts.iter();
        attempts
            .filter(|attempt| attempt.end().is_some() && (attempt.agent.is_none() || attempt.lost && attempt.started.is_none()))
            .count()
    });
    let extra = u32::try_from(without_capacity.count() + spent).unwrap_or(u32::MAX);
    let most = 1 + job.limits.iter().sum::<u32>() + extra;
    check!(
        world,
        id,
        "retry-limits",
        attempt.number <= most,
        "{attempt} is one too many for the limits {:?}",
        job.limits
    );

    // A launch that was refused, while an earlier request of it was still under way: the attempt has gone on to other capacity by now, and what comes
    // of that request has to be found and stopped.
    if world.checks.refused.contains(&(attempt.clone(), capacity)) && is_over_with(world, attempt, capacity) {
        return;
    }
    let holds = |pool: &PoolName| {
        let pool = world.tables.pools.get(pool);
        pool.is_some_and(|pool| pool.record.holders.contains_key(id))
    };
    let (has_lock, held) = (spec.lock.as_ref().is_some_and(holds), holds(&spec.agent.clone().into()));
    if job.is_locked {
        check!(
            world,
            id,
            "no-agent-without-its-lock",
            has_lock,
            "{attempt} is launched without its lock"
        );
    }
    if world.repository.limits.contains_key(job.agent) {
        // A request that was delayed comes through after another one was denied, and the place was given back meanwhile.
        let build = world.tables.builds.get(id).map(|stored| &stored.record);
        let waits = build
            .and_then(|build| build.attempts.last())
            .is_some_and(|attempt| attempt.phase == Phase::Waiting);
        let denied = waits && world.checks.denied.contains_key(id);
        check!(
            world,
            id,
            "no-agent-without-a-place",
            held || denied,
            "{attempt} is launched without a place"
        );
    }
    let since = world.checks.cancelled.get(&id.run).copied();
    let late = since.is_some_and(|since| match world.calm_since {
        Some(calm) => world.now > since.max(calm) + CALM_GRACE,
        None => world.now > since + GRACE,
    });
    check!(
        world,
        id,
        "cancelled-starts-nothing",
        !late,
        "{attempt} is launched long after its run was cancelled"
    );
    let others: Vec<Task> = world.tasks_of(id).filter(|task| task.lives()).cloned().collect();
    let mut going = 0;
    for other in others {
        // A launch on Spot that was refused and, at another try, not: found by its events, and stopped.
        let abandoned = world.checks.refused.contains(&(other.attempt.clone(), other.capacity)) && !is_named(world, &other);
        let lost = is_given_up(world, &other) && (!job.relaunch_stopped || is_stray(world, &other));
        if abandoned || lost {
            continue;
        }
        let name = short(&other.agent).to_owned();
        check!(
            world,
            id,
            "one-live-agent",
            !other.goes_on() || is_doomed(world, &other.agent),
            "{attempt} is launched beside {name} of {}",
            other.attempt
        );
        check!(
            world,
            id,
            "two-only-after-a-warning",
            other.goes_on() || other.reclaimed.is_some(),
            "{attempt} is launched beside {name} of {}, which is being stopped",
            other.attempt
        );
        check!(
            world,
            id,
            "relaunch-stopped",
            !job.relaunch_stopped,
            "{attempt} is launched beside {name} of {}",
            other.attempt
        );
        going += 1;
    }
    check!(
        world,
        id,
        "at-most-two-agents",
        going <= 1,
        "{attempt} is launched beside {going} others"
    );
}

/// Whether an attempt has gone on to other capacity, or ended.
fn is_over_with(world: &World, attempt: &AttemptId, capacity: Capacity) -> bool {
    let build = world.tables.builds.get(&attempt.build);
    let known = build.and_then(|build| build.record.attempts.iter().find(|known| known.number == attempt.number));
    known.is_some_and(|known| known.capacity != capacity || known.end().is_some())
}
