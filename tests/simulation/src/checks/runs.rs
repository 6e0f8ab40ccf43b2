//! Runs: what a record may change to, what its report says at rest, and one run for each trigger.

use bellhop_domain::agent::report_key;
use bellhop_domain::ids::BuildId;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::{JobState, Run, RunState};
use serde_json::Value;

use super::builds::{closed, decided_by_run};
use super::seen::{CALM_GRACE, GRACE};
use super::{actions, requests, superseded};
use crate::world::{World, timestamp};

pub(crate) fn run_written(world: &mut World, previous: Option<&Run>, next: &Run) {
    let id = &next.id;
    reads_back(world, next);
    match previous {
        None => requests::run_created(world, next),
        Some(previous) => actions::run_written(world, previous, next),
    }
    let over = next.jobs().all(|job| job.state.outcome().is_some());
    let finished = matches!(next.state, RunState::Finished { .. });
    check!(
        world,
        id,
        "run-over-with-its-jobs",
        finished == (over && next.jobs().len() > 0),
        "{:?} with {:?}",
        next.state,
        next.states
    );
    if let Some(previous) = previous {
        superseded::run_written(world, previous, next);
        let settled = previous.state == RunState::Open || previous.state == next.state;
        check!(world, id, "one-outcome", settled, "from {:?} to {:?}", previous.state, next.state);
    }
    for (index, job) in next.jobs().enumerate() {
        let before = previous.and_then(|previous| previous.jobs().nth(index)).map(|before| before.state);
        if before == Some(job.state) {
            continue;
        }
        let settled = before.and_then(JobState::outcome).is_none();
        check!(world, id, "one-outcome", settled, "{} from {before:?} to {:?}", job.name, job.state);
        if let Some(outcome) = job.state.outcome()
            && !(decided_by_run(outcome) && before.is_none_or(|before| before == JobState::Blocked))
        {
            let build = BuildId {
                run: id.clone(),
                job: job.name.clone(),
            };
            let truly = world.outcome_of(&build);
            check!(
                world,
                id,
                "run-knows-its-builds",
                truly == Some(outcome),
                "{build} is {truly:?}, and its run knows {outcome}"
            );
        }
    }
    if next.finished_at().is_some() && previous.is_none_or(|previous| previous.finished_at().is_none()) {
        closed(world, id.into(), id.to_string());
    }
}

/// What is written can be read again: the record, and the plan if it is kept apart.
fn reads_back(world: &mut World, run: &Run) {
    let record = serde_json::to_string(run).unwrap_or_default();
    let plan = run.plan.is_apart().then(|| serde_json::to_string(&run.plan).unwrap_or_default());
    let back = Run::from_parts(&record, plan.as_deref());
    check!(
        world,
        &run.id,
        "records-read-back",
        back.as_ref().is_ok_and(|back| back == run),
        "{back:?} from {record} and {plan:?}"
    );
}

/// Whoever was told that a run is cancelled can rely on it.
fn cancelled_at_rest(world: &mut World, run: &Run) {
    let Some(since) = world.checks.cancelled.get(&run.id).copied() else {
        return;
    };
    let until = timestamp((since + GRACE).max(world.calm_since.unwrap_or(world.now) + CALM_GRACE));
    let at = run.finished_at();
    check!(
        world,
        &run.id,
        "cancelling-is-final",
        at.is_some_and(|at| at <= until),
        "it ended at {at:?}, and was cancelled at {}",
        timestamp(since)
    );
}

pub(super) fn run_at_rest(world: &mut World, id: &bellhop_domain::ids::RunId) {
    let Some(run) = world.tables.runs.get(id).map(|run| run.record.clone()) else {
        return;
    };
    superseded::at_rest(world, &run);
    cancelled_at_rest(world, &run);
    let over = run.finished_at().is_some() && run.outbox.pending().is_empty();
    check!(world, id, "every-run-ends", over, "{:?}", run.state);
    let told = world.was_denied(&["Publish"]) || world.bucket.messages.contains_key(&format!("{id}/{}", run.status()));
    check!(
        world,
        id,
        "the-end-is-told",
        told,
        "no message about the run that is {}",
        run.status()
    );
    let report: Option<Value> = world
        .bucket
        .texts
        .get(&report_key(id))
        .and_then(|text| serde_json::from_str(text).ok());
    let status = report.as_ref().and_then(|report| report.get("status")).and_then(Value::as_str);
    check!(
        world,
        id,
        "runs-have-reports",
        status == Some(run.status()) || world.was_denied(&["PutObject"]),
        "the report says {status:?} of a run that is {}",
        run.status()
    );
    let reported: Vec<(String, String)> = report
        .as_ref()
        .and_then(|report| report.get("builds")?.as_array().cloned())
        .unwrap_or_default()
        .iter()
        .filter_map(|build| Some((build.get("job")?.as_str()?.to_owned(), build.get("status")?.as_str()?.to_owned())))
        .collect();
    let truly: Vec<(String, String)> = run
        .jobs()
        .map(|job| {
            let build = BuildId {
                run: id.clone(),
                job: job.name.clone(),
            };
            let outcome = world.outcome_of(&build).map_or("none", Outcome::as_str);
            (job.name.to_string(), outcome.to_owned())
        })
        .collect();
    check!(
        world,
        id,
        "reports-are-true",
        reported == truly || world.was_denied(&["PutObject"]),
        "the report says {reported:?}, and it was {truly:?}"
    );
    let worst = run.jobs().filter_map(|job| job.state.outcome());
    let expected = worst.max();
    let said = match run.state {
        RunState::Finished { outcome, .. } => Some(outcome),
        _ => None,
    };
    check!(
        world,
        id,
        "run-is-its-worst-build",
        said == expected,
        "{said:?}, and the worst is {expected:?}"
    );
}
