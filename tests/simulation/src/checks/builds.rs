//! Builds: what a record may change to, and which messages must have been sent at rest.

use bellhop_domain::build::{Attempt, Build, BuildEffect, BuildState, End, Phase, StopReason};
use bellhop_domain::ids::BuildId;
use bellhop_domain::outcome::Outcome;

use super::attempts::{attempt_ended, lost, never_ran};
use super::branches::is_outdated;
use super::records::reads_back;
use super::seen::CALM_GRACE;
use super::{alarms, artifacts, attacks, instances};
use crate::ecs::Task;
use crate::ledger::describe;
use crate::world::{Subject, World};

pub(crate) fn build_written(world: &mut World, previous: Option<&Build>, next: &Build) {
    let id = &next.spec.id;
    reads_back(world, id, next);
    attacks::agents_written(world, next);

    let limits = world.job(&next.spec).map(|job| job.limits.clone()).unwrap_or_default();
    let within = next.retries.len() == limits.len() && next.retries.iter().zip(&limits).all(|(used, limit)| used <= limit);
    check!(
        world,
        id,
        "retry-limits",
        within,
        "retries {:?} for the limits {limits:?}",
        next.retries
    );

    let live: Vec<_> = next.attempts.iter().filter(|attempt| attempt.is_live()).collect();
    let over = next.outcome().is_some();
    let windows = live
        .iter()
        .rev()
        .skip(1)
        .all(|attempt| matches!(attempt.phase, Phase::Interrupted { .. } | Phase::Stopping { .. }));
    check!(world, id, "one-live-attempt", live.len() <= 2 && windows, "{}", describe(next));

    let waits = !over && next.state != BuildState::Blocked || !next.outbox.pending().is_empty() || !live.is_empty();
    check!(world, id, "what-waits-is-due", !waits || next.due().is_some(), "{}", describe(next));

    let stopping = next
        .attempts
        .iter()
        .filter(|attempt| matches!(attempt.phase, Phase::Stopping { .. }))
        .filter_map(|attempt| attempt.agent.as_ref());
    let strays = next.strays.iter().filter(|stray| !stray.stopped).map(|stray| &stray.agent);
    let untold = stopping.chain(strays).find(|agent| {
        let pending = next
            .outbox
            .any(|effect| matches!(effect, BuildEffect::Stop { agent: other, .. } if other == *agent));
        !pending && world.task(agent).is_some_and(Task::goes_on)
    });
    check!(
        world,
        id,
        "told-to-stop",
        untold.is_none(),
        "{untold:?} is taken for told: {}",
        describe(next)
    );

    // What it left behind is looked at first.
    let tells = next
        .outbox
        .any(|effect| matches!(effect, BuildEffect::NotifyRun { .. } | BuildEffect::Collect { .. }));
    let knows = next.outcome() == Some(Outcome::Skipped)
        || world
            .tables
            .runs
            .get(&id.run)
            .and_then(|run| run.record.job(&id.job))
            .is_some_and(|job| job.state.outcome().is_some());
    check!(world, id, "run-is-told", !over || tells || knows, "{}", describe(next));

    let abandoned = |build: &Build| build.outbox.abandoned();
    world.statistics.given_up += abandoned(next).saturating_sub(previous.map_or(0, abandoned));
    let previous_attempts = previous.map(|previous| previous.attempts.as_slice()).unwrap_or_default();
    if let Some(previous) = previous {
        let kept = previous
            .attempts
            .iter()
            .zip(&next.attempts)
            .all(|(before, after)| before.number == after.number && (before.end().is_none() || before.phase == after.phase));
        check!(
            world,
            id,
            "ends-never-change",
            kept && previous.attempts.len() <= next.attempts.len(),
            "from {} to {}",
            describe(previous),
            describe(next)
        );
        let fewer = previous.retries.iter().zip(&next.retries).any(|(before, after)| after < before);
        check!(
            world,
            id,
            "retries-never-return",
            !fewer,
            "from {:?} to {:?}",
            previous.retries,
            next.retries
        );
        let settled = previous.outcome().is_none() || previous.state == next.state;
        check!(world, id, "one-outcome", settled, "from {:?} to {:?}", previous.state, next.state);
        let blocked_again = previous.state != BuildState::Blocked && next.state == BuildState::Blocked;
        check!(world, id, "never-blocked-again", !blocked_again, "from {}", describe(previous));
    }
    for attempt in &next.attempts {
        let before = previous_attempts.iter().find(|before| before.number == attempt.number);
        if let Some(end) = attempt.end()
            && before.is_none_or(|before| before.end().is_none())
        {
            let was_stopping = before.is_some_and(|before| matches!(before.phase, Phase::Stopping { .. }));
            attempt_ended(world, next, attempt, end, was_stopping);
            if let Some(before) = before.cloned() {
                let given_up = previous.is_some_and(|previous| abandoned(previous) < abandoned(next));
                lost(world, next, &before, given_up);
                never_ran(world, previous, next, &before);
            }
        }
    }
    artifacts::found(world, previous, next);
    instances::build_written(world, previous, next);
    if next.outcome().is_some() && previous.is_none_or(|previous| previous.outcome().is_none()) {
        closed(world, id.into(), id.to_string());
        build_finished(world, previous, next);
    }
}

pub(super) fn closed(world: &mut World, about: Subject, name: String) {
    let times = world.checks.closed.entry(name).or_default();
    *times += 1;
    let times = *times;
    check!(world, about, "one-closing", times == 1, "closed {times} times");
}

fn build_finished(world: &mut World, previous: Option<&Build>, build: &Build) {
    let id = &build.spec.id;
    let BuildState::Finished { outcome, cause, .. } = &build.state else {
        return;
    };
    let ended = |fits: fn(&End) -> bool| build.attempts.iter().filter_map(|attempt| attempt.end()).any(fits);
    match outcome {
        Outcome::Succeeded => {
            check!(
                world,
                id,
                "success-is-proven",
                ended(|end| *end == End::Succeeded),
                "{}",
                describe(build)
            );
        }
        Outcome::Failed => {
            check!(
                world,
                id,
                "failure-is-proven",
                ended(|end| matches!(end, End::Failed { .. } | End::CommitGone { .. })),
                "{}",
                describe(build)
            );
        }
        Outcome::Interrupted => {
            check!(
                world,
                id,
                "interruption-is-real",
                ended(|end| *end == End::Interrupted),
                "{}",
                describe(build)
            );
        }
        Outcome::InfrastructureFailed => {
            // Of a launch that is denied until the build's time in the queue is over nothing has ended.
            let denied = build.attempts.last().is_some_and(|attempt| attempt.refused_unknown_since.is_some());
            check!(
                world,
                id,
                "infrastructure-is-to-blame",
                denied || ended(|end| matches!(end, End::Infrastructure { .. })),
                "{}",
                describe(build)
            );
        }
        Outcome::TimedOut => {
            let ran = build.attempts.iter().any(|attempt| {
                matches!(
                    attempt.phase,
                    Phase::Stopping {
                        why: StopReason::Timeout,
                        ..
                    } | Phase::Ended { end: End::TimedOut, .. }
                )
            });
            // Once the faults have stopped, every launch is answered, and accepted, as soon as the longest wait for it is over.
            let waited = world.calm_since.is_none_or(|since| world.now < since + CALM_GRACE);
            // Places may be taken for as long as other builds take.
            let taken = previous.is_some_and(|previous| previous.state == BuildState::Waiting) && {
                let pools = [Some(build.spec.agent.clone().into()), build.spec.lock.clone()];
                pools
                    .into_iter()
                    .flatten()
                    .any(|pool| world.line_of(&pool).any(|in_line| in_line.waiting.build == *id))
            };
            let paused = build.spec.pausable && alarms::may_have_waited(world);
            check!(
                world,
                id,
                "timeout-is-real",
                ran || waited || taken || paused,
                "{cause:?}: {}",
                describe(build)
            );
        }
        Outcome::Skipped => {
            let needs = world.job(&build.spec).map(|job| job.needs.clone()).unwrap_or_default();
            let unsuccessful = needs.iter().any(|need| {
                let needed = BuildId {
                    run: id.run.clone(),
                    job: need.parse().expect("it is a job's name"),
                };
                let run = world.tables.runs.get(&id.run).map(|run| &run.record);
                let outcome = run.and_then(|run| run.job(&needed.job)?.state.outcome());
                let skipped = outcome.is_some_and(decided_by_run);
                skipped || world.outcome_of(&needed).is_some_and(|outcome| outcome != Outcome::Succeeded)
            });
            check!(world, id, "skipped-for-a-need", unsuccessful, "{cause:?}");
        }
        Outcome::Cancelled => {
            let wished = world.checks.wished_away.contains(&id.run);
            check!(world, id, "somebody-cancelled", wished, "{cause:?}");
        }
        Outcome::Superseded => {
            let by_newer = is_outdated(world, &id.run);
            check!(world, id, "newer-supersedes-older", by_newer, "{cause:?}");
        }
    }
}

/// A run decides by itself that a build ends like this, where it has not started yet.
pub(super) fn decided_by_run(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Skipped | Outcome::Cancelled | Outcome::Superseded)
}

pub(super) fn build_at_rest(world: &mut World, id: &BuildId) {
    let Some(build) = world.tables.builds.get(id).map(|build| build.record.clone()) else {
        return;
    };
    let over = build.outcome().is_some() && build.outbox.pending().is_empty() && !build.attempts.iter().any(|attempt| attempt.is_live());
    // A start can fail for good between the builds of a large run and the run, with a dead letter or an answer that says so; nothing was to come of them yet.
    let given_up = world.checks.given_up.contains(&id.run) && !world.tables.runs.contains_key(&id.run);
    let never_begun = build.state == BuildState::Blocked && build.due().is_none() && given_up;
    check!(world, id, "every-build-ends", over || never_begun, "{}", describe(&build));
    let Some(outcome) = build.outcome() else { return };
    artifacts::at_rest(world, &build);
    let prefix = format!("{id}/");
    let told: Vec<String> = world
        .bucket
        .messages
        .keys()
        .filter_map(|message| message.strip_prefix(&prefix).map(str::to_owned))
        .collect();
    if world.was_denied(&["Publish"]) {
        return;
    }
    let (marks, told): (Vec<String>, Vec<String>) = told.into_iter().partition(|told| told == "waiting" || told == "stopped");
    let is_told = |mark: &str| marks.iter().any(|told| told == mark);
    check!(
        world,
        id,
        "waiting-is-told",
        build.waiting_announced == is_told("waiting"),
        "it counts as told that it waits: {}, and told were {marks:?}",
        build.waiting_announced
    );
    // Of an agent that counts as lost it is told that it may go on.
    let lost = build.attempts.iter().any(|attempt| attempt.lost) || build.strays.iter().any(|stray| stray.lost);
    let over = build.finished_at();
    let went_on = |attempt: &Attempt| attempt.started.is_some() && matches!(attempt.phase, Phase::Ended { at, .. } if Some(at) >= over);
    let is_awaited = matches!(outcome, Outcome::Cancelled | Outcome::TimedOut) && build.attempts.iter().any(went_on);
    check!(
        world,
        id,
        "the-agents-end-is-told",
        lost || is_awaited == is_told("stopped"),
        "its agent has gone on after its end: {is_awaited}, and told were {marks:?}"
    );
    let remarks = ["refused/", "abandoned/"];
    let (remarks, told): (Vec<String>, Vec<String>) = told
        .into_iter()
        .partition(|told| remarks.iter().any(|remark| told.starts_with(remark)));
    // One that had no time left ended at once, and that is told.
    let BuildState::Finished { at: ended, .. } = build.state else {
        return;
    };
    let told_of = |attempt: &&Attempt| attempt.refused_unknown_since.is_some_and(|since| since < ended);
    let refused = build.attempts.iter().filter(told_of).count();
    let told_refused = remarks.iter().filter(|remark| remark.starts_with("refused/")).count();
    let denied = world.checks.denied.contains_key(id);
    check!(
        world,
        id,
        "unknown-is-told",
        told_refused >= usize::from(refused > 0) && told_refused <= build.attempts.len() && (denied || told_refused == 0),
        "{refused} attempts were refused for a reason that nobody knows, and told were {remarks:?}"
    );
    let told_abandoned = remarks.len() - told_refused;
    let lost = build.attempts.iter().filter(|attempt| attempt.lost).count() + build.strays.iter().filter(|stray| stray.lost).count();
    let most = build.outbox.abandoned() + u64::try_from(lost).unwrap_or(u64::MAX) + u64::from(build.polls_failing_announced);
    check!(
        world,
        id,
        "given-up-is-told-once",
        u64::try_from(told_abandoned).is_ok_and(|told| told <= most),
        "{most} things were given up, and told were {remarks:?}"
    );
    check!(
        world,
        id,
        "what-is-given-up-is-told",
        // What is given up once more, of an agent that was seen again, is told already.
        told_abandoned > 0 || build.outbox.abandoned() == 0,
        "{} effects were given up, and told were {remarks:?}",
        build.outbox.abandoned()
    );
    let ends: Vec<&String> = told.iter().filter(|told| !told.starts_with("retrying/")).collect();
    // What is skipped is told by the run's message alone.
    let expected = match outcome {
        _ if decided_by_run(outcome) && build.attempts.is_empty() => Vec::new(),
        _ => vec![outcome.as_str()],
    };
    check!(world, id, "the-end-is-told", ends == expected, "{outcome}, and told were {ends:?}");
    let retries = usize::try_from(build.retries.iter().sum::<u32>()).unwrap_or(usize::MAX);
    let told_retries = told.len() - ends.len();
    check!(
        world,
        id,
        "retries-are-told",
        told_retries == retries,
        "{retries} retries, and told were {told:?}"
    );
}
