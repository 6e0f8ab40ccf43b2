//! What must hold of runs that somebody asks for: `control`, or an action of CodePipeline.

use std::collections::BTreeSet;

use bellhop_domain::ids::{BuildId, CommitId, JobName, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::request::PipelineAsks;
use bellhop_domain::run::{Run, RunState};
use bellhop_engine::{Refused, Started};

use crate::codepipeline;
use crate::guarded::{GUARDED, Served};
use crate::requests::{Asks, Makes, Request, Work, makes, place, work};
use crate::world::{Millis, Subject, World, moment, timestamp};

/// A job that a build needs is no part of its run: the run repeats others of a run before, in which that job had succeeded. The build that somebody has
/// named runs whatever it needs.
pub(crate) fn is_left_out(world: &World, build: &BuildId, need: &str) -> bool {
    let Some(run) = world.tables.runs.get(&build.run).map(|run| &run.record) else {
        // In parts, the builds of a large run come before it; none of them runs before the run is there.
        return false;
    };
    let Some(Asks::Retry(named, _)) = asked_for(world, run).map(|request| &request.asks) else {
        return false;
    };
    let had_succeeded = || {
        let before = world.tables.runs.get(&named.run);
        before.is_some_and(|before| ended(&before.record, need) == Some(Outcome::Succeeded))
    };
    // The run before may have been a repetition too.
    let was_left_out = || {
        let before = BuildId {
            run: named.run.clone(),
            job: build.job.clone(),
        };
        is_left_out(world, &before, need)
    };
    run.jobs().all(|job| job.name.as_str() != need) && (build.job == named.job || had_succeeded() || was_left_out())
}

fn asked_for<'a>(world: &'a World, run: &Run) -> Option<&'a Request> {
    let mut made = world.requests.made.iter();
    made.find(|request| request.trigger() == run.trigger).map(AsRef::as_ref)
}

/// How a job ended, as its run knows it.
fn ended(run: &Run, name: &str) -> Option<Outcome> {
    run.jobs().find(|job| job.name.as_str() == name)?.state.outcome()
}

/// The jobs of a run that repeats a build: it, and what was skipped and has every other thing that it needs, but nothing beside a build that was skipped
/// itself. `None` while one of those may come yet.
pub(crate) fn again(before: &Run, build: &JobName) -> Option<BTreeSet<String>> {
    let mut jobs: BTreeSet<String> = [build.to_string()].into();
    if ended(before, build.as_str()) == Some(Outcome::Skipped) {
        return Some(jobs);
    }
    loop {
        let count = jobs.len();
        let skipped = before
            .jobs()
            .filter(|job| ended(before, job.name.as_str()) == Some(Outcome::Skipped));
        for job in skipped {
            let (again, others): (Vec<_>, Vec<_>) = job.needs.iter().partition(|need| jobs.contains(need.as_str()));
            let others: BTreeSet<Option<Outcome>> = others.iter().map(|need| ended(before, need.as_str())).collect();
            let lacks = others.iter().flatten().any(|outcome| *outcome != Outcome::Succeeded);
            if again.is_empty() || lacks || jobs.contains(job.name.as_str()) {
                continue;
            }
            if others.contains(&None) {
                return None;
            }
            jobs.insert(job.name.to_string());
        }
        if jobs.len() == count {
            return Some(jobs);
        }
    }
}

/// A run is about to be stored for the first time.
pub(crate) fn run_created(world: &mut World, run: &Run) {
    let of_control = run.trigger.starts_with("control/");
    let of_action = run.trigger.starts_with("codepipeline/");
    if !of_control && !of_action {
        return;
    }
    world.statistics.requested += 1;
    let request = asked_for(world, run);
    let action = world.codepipeline.actions.iter().find(|action| action.trigger() == run.trigger);
    let whole = |commits: Vec<CommitId>, makes: Makes| (commits.contains(&run.commit), makes);
    // Whether it is of the right commit, and what has to come of that.
    let expected = match (request.map(|request| &request.asks), action.map(|action| (&action.asks, action))) {
        (Some(Asks::Start(start)), _) => {
            let from = request.map_or(0, |request| request.at);
            let commits = place(start).commits(world, from, world.now);
            Some((whole(commits, makes(world, &run.commit, work(start))), place(start).reference()))
        }
        (Some(Asks::Retry(build, reference)), _) => world.tables.runs.get(&build.run).and_then(|before| {
            let jobs = again(&before.record, &build.job)?;
            Some((whole(vec![before.record.commit.clone()], Makes::Jobs(jobs)), reference.clone()))
        }),
        (None, Some((PipelineAsks::Start(start), action))) => {
            let from = action.jobs.first().map_or(0, |job| job.opened);
            let place = codepipeline::place(start);
            let commits = place.commits(world, from, world.now);
            let makes = makes(world, &run.commit, codepipeline::work(start));
            Some((whole(commits, makes), place.reference()))
        }
        (None, _) => None,
    };
    let name = if of_control { "one-run-per-request" } else { "one-run-per-action" };
    let Some(((commit, makes), reference)) = expected else {
        world.violated(name, &Subject::from(&run.id), format!("nobody asked for a run of {}", run.trigger));
        return;
    };
    let is_rejected = matches!(run.state, RunState::Rejected { .. });
    let off_refs = matches!(&makes, Makes::Jobs(jobs) if served(world, run, jobs) != Served::Yes);
    let makes = match &makes {
        Makes::Jobs(jobs) => match served(world, run, jobs) {
            Served::No => Makes::Rejected,
            Served::Either if is_rejected => Makes::Rejected,
            Served::Yes | Served::Either => makes,
        },
        Makes::Rejected | Makes::Nothing => makes,
    };
    world.statistics.off_refs += u64::from(is_rejected && off_refs);
    let jobs = match run.state {
        RunState::Rejected { .. } => Makes::Rejected,
        RunState::Open | RunState::Finished { .. } => Makes::Jobs(run.jobs().map(|job| job.name.to_string()).collect()),
    };
    check!(
        world,
        &run.id,
        "runs-as-asked-for",
        commit && reference == run.reference && jobs == makes,
        "{jobs:?} of {} on {}, expected {makes:?} on {reference}",
        run.commit,
        run.reference
    );
    let waits = run.action.is_some();
    check!(
        world,
        &run.id,
        "runs-know-their-actions",
        waits == of_action,
        "started by {}, and an action waits: {waits}",
        run.trigger
    );
}

/// Whether the agent template with `refs` serves a run, if one of these jobs is its.
pub(super) fn served<'a>(world: &World, run: &Run, jobs: impl IntoIterator<Item = &'a String>) -> Served {
    let (repository, commit, created) = (&run.repository, &run.commit, moment(run.created));
    let of_script = |job: &str| job == "weekly" || job == "script" && is_guarded_script(world, run);
    let mut guarded = jobs.into_iter();
    if guarded.any(|job| of_script(job) || world.repository.is_guarded(commit, job)) {
        world.repository.served(repository, &run.reference, commit, created)
    } else {
        Served::Yes
    }
}

/// Whether a run is of an action's script on the agent template with `refs`, or repeats such a one.
fn is_guarded_script(world: &World, run: &Run) -> bool {
    if let Some(Asks::Retry(build, _)) = asked_for(world, run).map(|request| &request.asks) {
        let before = world.tables.runs.get(&build.run);
        return before.is_some_and(|before| is_guarded_script(world, &before.record));
    }
    let mut actions = world.codepipeline.actions.iter();
    let action = actions.find(|action| action.trigger() == run.trigger).map(|action| &action.asks);
    matches!(action, Some(PipelineAsks::Start(start)) if matches!(codepipeline::work(start), Work::Script(_, GUARDED)))
}

/// Whether the agent template with `refs` may refuse a build once more, now.
fn may_be_refused(world: &World, request: &Request) -> bool {
    let Asks::Retry(build, _) = &request.asks else { return false };
    let before = world.tables.runs.get(&build.run).map(|run| &run.record);
    before.is_some_and(|before| {
        let again = Run {
            created: timestamp(world.now),
            ..before.clone()
        };
        let jobs: Vec<String> = before.jobs().map(|job| job.name.to_string()).collect();
        served(world, &again, &jobs) != Served::Yes
    })
}

/// Somebody is told what came of a request. It could have been fulfilled from a moment on, or not.
pub(crate) fn told(world: &mut World, request: &Request, started: &Result<Started, Refused>, possible: Option<Millis>) {
    let run: RunId = request.run();
    let (holds, fulfilled) = match started {
        Ok(Started::Run { id, .. } | Started::Again(id) | Started::Rejected { id, .. }) => {
            (*id == run && world.tables.runs.contains_key(id), true)
        }
        Ok(Started::Nothing(_)) => match &request.asks {
            Asks::Start(start) => {
                let commits = place(start).commits(world, possible.unwrap_or(world.now), world.now);
                let nothing = commits.iter().any(|commit| makes(world, commit, work(start)) == Makes::Nothing);
                (nothing, false)
            }
            Asks::Retry(..) => (false, false),
        },
        Err(_) => (possible.is_none() || may_be_refused(world, request), false),
    };
    check!(world, &run, "requests-are-fulfilled", holds, "{started:?} for {:?}", request.asks);
    if fulfilled {
        world.requests.fulfilled.insert(request.trigger());
    } else {
        world.checks.given_up.insert(run);
    }
}

/// What must hold once everything is at rest.
pub(crate) fn at_rest(world: &mut World) {
    for request in world.requests.made.clone() {
        let trigger = request.trigger();
        let runs = world.tables.runs.values().filter(|run| run.record.trigger == trigger).count();
        let wanted = usize::from(world.requests.fulfilled.contains(&trigger));
        check!(
            world,
            &request.run(),
            "one-run-per-request",
            runs >= wanted && runs <= 1,
            "{runs} runs of {trigger}"
        );
    }
}
