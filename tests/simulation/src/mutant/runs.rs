//! Mistakes with runs: what starts them, and what they tell their builds.

use bellhop_domain::ids::JobName;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::pipeline::ActionState;
use bellhop_domain::run::trigger::Push;
use bellhop_domain::run::{JobState, Run, RunEffect};
use jiff::Timestamp;

use super::kind::Mutant;
use super::outbox::forget_outbox;
use crate::requests::Request;
use crate::world::{Job, World, timestamp};

mutants! {
    /// A run's id does not depend on its trigger alone.
    RUN_ID_UNSTABLE: "run-id-unstable" within 50,
    /// A push that could not be handled is acknowledged.
    PUSH_ERRORS_ACKNOWLEDGED: "push-errors-acknowledged" within 50,
    /// A run is not told of its builds' ends.
    RUN_NOT_TOLD: "run-not-told" within 20,
    /// Reports of runs are not written.
    REPORTS_DROPPED: "reports-dropped" within 20,
    /// An older push that comes late supersedes a newer one.
    OLDER_PUSH_SUPERSEDES: "older-push-supersedes" within 200,
    /// A newer push supersedes everything in the older run, whether or not it does that itself.
    EVERYTHING_SUPERSEDED: "everything-superseded" within 1000,
    /// A run that is cancelled forgets to tell its builds.
    CANCELS_DROPPED: "cancels-dropped" within 200,
    /// A request that Lambda repeats counts as another one.
    REPEATED_REQUEST_STARTS: "repeated-request-starts" within 200,
    /// A run that somebody asks for supersedes others, like one of a push.
    REQUESTS_SUPERSEDE: "requests-supersede" within 200,
    /// A run does not notice that its action has gone.
    GONE_UNNOTICED: "gone-unnoticed" within 2000,
    /// A run gives its action up while the action waits.
    WAITING_TAKEN_FOR_GONE: "waiting-taken-for-gone" within 500,
}

pub(crate) fn before_write_of_run(world: &World, run: &mut Run) {
    match world.mutant {
        Some(Mutant::OUTBOX_FORGOTTEN) => forget_outbox(run),
        Some(Mutant::CANCELS_DROPPED) => {
            run.outbox
                .remove_where(|pending| matches!(pending.effect, RunEffect::Cancel { .. }));
        }
        Some(Mutant::EVERYTHING_SUPERSEDED) => supersede_everything(run, timestamp(world.now)),
        Some(Mutant::REQUESTS_SUPERSEDE) if run.trigger.starts_with("control/") && !world.tables.runs.contains_key(&run.id) => {
            let push = Push {
                trigger: run.trigger.clone(),
                repository: run.repository.clone(),
                reference: run.reference.clone(),
                commit: run.commit.clone(),
                previous: None,
                by: None,
                at: None,
            };
            *run = run.clone().superseding(&push, timestamp(world.now));
        }
        Some(Mutant::WAITING_TAKEN_FOR_GONE) => {
            if let Some(ActionState::Continued { at }) = run.action.as_mut().map(|action| &mut action.state) {
                *at = timestamp(0);
            }
        }
        _ => {}
    }
}

fn supersede_everything(run: &mut Run, now: Timestamp) {
    let superseded = run.outbox.pending().iter().find_map(|pending| match &pending.effect {
        RunEffect::Cancel {
            outcome: Outcome::Superseded,
            cause,
            ..
        } => Some(cause.clone()),
        _ => None,
    });
    let Some(cause) = superseded else { return };
    let continues = |state| matches!(state, JobState::Blocked | JobState::Released);
    let jobs: Vec<(usize, JobName)> = run
        .jobs()
        .enumerate()
        .filter(|(_, job)| continues(job.state))
        .map(|(index, job)| (index, job.name.clone()))
        .collect();
    for (index, job) in jobs {
        run.states.set(index, JobState::Cancelling);
        let cancel = RunEffect::Cancel {
            job,
            outcome: Outcome::Superseded,
            cause: cause.clone(),
        };
        run.outbox.push(cancel, now);
    }
}

/// What is done to a run as it is read.
pub(crate) fn read_run(world: &World, run: &mut Run) {
    if let Some(ActionState::Continued { at }) = run.action.as_mut().map(|action| &mut action.state)
        && world.is(Mutant::GONE_UNNOTICED)
    {
        *at = timestamp(world.now);
    }
}

/// What the id of a request's run is derived from.
pub(crate) fn trigger_of(world: &mut World, request: &Request) -> String {
    let mut trigger = request.trigger();
    if world.is(Mutant::REPEATED_REQUEST_STARTS) {
        trigger.push_str(&world.rng.u64(..).to_string());
    }
    trigger
}

/// Whether the write of a run gets lost without a word.
pub(crate) fn drops_run_write(world: &World, next: &Run) -> bool {
    let finished = |run: &Run| run.jobs().filter(|job| job.state.outcome().is_some()).count();
    world.is(Mutant::RUN_NOT_TOLD)
        && world
            .tables
            .runs
            .get(&next.id)
            .is_some_and(|stored| finished(&stored.record) < finished(next))
}

/// A push as it is delivered.
pub(crate) fn delivered_push(world: &mut World, push: &Push) -> Push {
    let mut push = push.clone();
    if world.is(Mutant::RUN_ID_UNSTABLE) {
        push.trigger = format!("{}-{}", push.trigger, world.rng.u64(..));
    }
    if world.is(Mutant::OLDER_PUSH_SUPERSEDES) {
        push.at = None;
    }
    push
}

pub(crate) fn acknowledges_errors(world: &World, job: &Job) -> bool {
    world.is(Mutant::PUSH_ERRORS_ACKNOWLEDGED) && matches!(job, Job::Push(_))
}
