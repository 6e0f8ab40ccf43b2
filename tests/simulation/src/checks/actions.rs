//! What must hold of actions of CodePipeline.

use bellhop_domain::ids::BuildId;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::request::PipelineAsks;
use bellhop_domain::run::pipeline::{ActionState, GONE_AFTER, PipelineAnswer, PipelineFailure};
use bellhop_domain::run::{Run, RunState};

use super::seen::{CALM_GRACE, CLOCKS, GRACE, wished_away};
use crate::codepipeline::{Action, ActionEnd, place, work};
use crate::requests::{Makes, makes};
use crate::world::{MINUTE, Millis, Subject, World, moment};

/// How long it takes at most until it is noticed that an action has gone: its job has to be due for a continuation, and the next one to stay away.
const NOTICED: Millis = 21 * MINUTE;
/// How long a cancelled run takes until its agents are gone, where nothing goes wrong.
const CANCELLED: Millis = 10 * MINUTE;

fn subject(action: &Action) -> Subject {
    action.run().map_or(Subject::World, Subject::Run)
}

/// Whether nothing can come of what an action asks for, so that it has to be refused: at the moment it began, or by one of the commits that its branch has
/// pointed to since.
fn is_refused(world: &World, action: &Action) -> bool {
    let PipelineAsks::Start(start) = &action.asks else { return true };
    let Some(first) = action.jobs.first() else { return false };
    let place = place(start);
    let commits = place.commits(world, first.opened, world.now);
    !place.is_there(world, first.opened) || commits.iter().any(|commit| makes(world, commit, work(start)) == Makes::Nothing)
}

/// How an action ends whose run ends like this.
fn end_of(outcome: Outcome) -> ActionEnd {
    match outcome {
        Outcome::Succeeded => ActionEnd::Succeeded,
        Outcome::Interrupted | Outcome::InfrastructureFailed => ActionEnd::Failed(PipelineFailure::SystemUnavailable),
        _ => ActionEnd::Failed(PipelineFailure::JobFailed),
    }
}

/// A job of an action is about to be answered, whether or not it is still open.
pub(crate) fn answered(world: &mut World, index: usize, answer: &PipelineAnswer) {
    let Some(action) = world.codepipeline.actions.get(index) else {
        return;
    };
    let about = subject(action);
    let id = action.run();
    let record = id.as_ref().and_then(|run| world.tables.runs.get(run)).map(|run| run.record.clone());
    let said = match answer {
        PipelineAnswer::Continue { run, .. } => {
            let known = record.is_some() && Some(run) == id.as_ref();
            check!(world, about, "continues-its-run", known, "{run} goes on, and its run is {id:?}");
            return;
        }
        PipelineAnswer::Success { .. } => ActionEnd::Succeeded,
        PipelineAnswer::Failure { kind, .. } => ActionEnd::Failed(*kind),
    };
    let Some(record) = record else {
        let refused = is_refused(world, action);
        check!(
            world,
            about,
            "mistakes-are-answered",
            refused && said == ActionEnd::Failed(PipelineFailure::Configuration),
            "{answer:?} without a run"
        );
        return;
    };
    let true_end = match record.state {
        RunState::Open => None,
        RunState::Rejected { .. } => Some(ActionEnd::Failed(PipelineFailure::Configuration)),
        RunState::Finished { outcome, .. } => Some(end_of(outcome)),
    };
    let before = action.told;
    let (build, attempts) = match answer {
        PipelineAnswer::Success { build, attempts, .. } => (Some(build), Some(*attempts)),
        PipelineAnswer::Failure { build, .. } => (build.as_ref(), None),
        PipelineAnswer::Continue { .. } => (None, None),
    };
    let about_job = match &action.asks {
        PipelineAsks::Start(start) => work(start).job(),
        PipelineAsks::Continue(_) | PipelineAsks::Wrong(_) => None,
    };
    let named = build.is_none_or(|build| build.run == record.id && Some(build.job.as_str()) == about_job);
    let truly = build
        .and_then(|build: &BuildId| world.tables.builds.get(build))
        .map(|build| build.record.attempts.len());
    check!(
        world,
        about.clone(),
        "action-ends-as-its-run",
        true_end == Some(said) && named && (attempts.is_none() || attempts == truly),
        "{answer:?}, and the run is {:?}",
        record.state
    );
    check!(
        world,
        about,
        "one-end-of-an-action",
        before.is_none_or(|before| before == said),
        "{answer:?} after {before:?}"
    );
    if let Some(action) = world.codepipeline.actions.get_mut(index) {
        action.told = Some(said);
    }
}

/// CodePipeline has ended an action because nobody answered.
pub(crate) fn timed_out(world: &mut World, index: usize) {
    let (now, calm) = (world.now, world.calm_since);
    let Some(action) = world.codepipeline.actions.get(index) else {
        return;
    };
    let about = subject(action);
    let Some(job) = action.newest() else { return };
    let in_peace = calm.is_some_and(|calm| job.opened >= calm);
    let neglected = job.is_neglected(now);
    check!(
        world,
        about,
        "actions-are-answered",
        !in_peace && !neglected || world.was_denied(&["PutJobSuccessResult", "PutJobFailureResult"]),
        "its job {} had no answer in time, {}",
        job.id(),
        if in_peace {
            "without any fault"
        } else {
            "and a sweep without a fault passed it by"
        }
    );
}

/// A run gives its action up. Only one that has gone, or does not come back, may be given up.
pub(crate) fn run_written(world: &mut World, previous: &Run, next: &Run) {
    let state = |run: &Run| run.action.as_ref().map(|action| action.state);
    let gives_up = previous.state == RunState::Open
        && matches!(state(previous), Some(ActionState::Continued { .. }))
        && state(next) == Some(ActionState::Over);
    if !gives_up {
        return;
    }
    let now = world.now;
    // The next job comes within a minute.
    let away = Millis::try_from(GONE_AFTER.as_millis()).unwrap_or(Millis::MAX) - MINUTE - CLOCKS;
    let gone = world.codepipeline.action_of(&next.id).is_some_and(|action| {
        let newest = action.newest();
        let unanswered = world.was_denied(&["PutJobSuccessResult", "PutJobFailureResult"]);
        unanswered || action.end.is_some() || newest.is_some_and(|job| job.taken.is_none() && job.opened + away <= now)
    });
    check!(
        world,
        &next.id,
        "only-gone-actions-are-given-up",
        gone,
        "it is cancelled, and its action waits for it"
    );
    wished_away(world, &next.id);
}

/// What must hold once everything is at rest.
pub(crate) fn at_rest(world: &mut World) {
    for index in 0..world.codepipeline.actions.len() {
        let Some(action) = world.codepipeline.actions.get(index) else {
            continue;
        };
        let about = subject(action);
        let trigger = action.trigger();
        let runs: Vec<Run> = world
            .tables
            .runs
            .values()
            .map(|run| &run.record)
            .filter(|run| {
                let of_action = run.trigger.strip_prefix("codepipeline/");
                of_action.is_some_and(|id| action.jobs.iter().any(|job| job.id().as_str() == id))
            })
            .cloned()
            .collect();
        let one = runs.len() <= 1 && runs.iter().all(|run| run.trigger == trigger);
        let end = action.end;
        let told = action.told;
        check!(world, about.clone(), "one-run-per-action", one, "{} runs", runs.len());
        let Some(run) = runs.first() else { continue };
        let Some((end, at)) = end else { continue };
        let by_itself = matches!(end, ActionEnd::Succeeded | ActionEnd::Failed(_)) && told.is_some();
        let calm = world.calm_since.unwrap_or(world.now);
        let since = at.max(moment(run.created));
        let until = (since + NOTICED + GRACE).min(since.max(calm + CALM_GRACE) + NOTICED + CANCELLED);
        let finished = run.finished_at().map(moment);
        check!(
            world,
            about,
            "gone-actions-end-their-runs",
            by_itself
                || world.was_denied(&["PutJobSuccessResult", "PutJobFailureResult"])
                || finished.is_some_and(|finished| finished <= until),
            "the action was gone at {since} ({end:?}), and its run went on until {finished:?}"
        );
    }
}
