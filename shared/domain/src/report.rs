//! The report of a finished run, as it is kept in the bucket.

use serde_json::{Value, json};

use crate::build::{Build, BuildState, End};
use crate::run::{JobState, Run, RunState};

/// Everything about a run that is worth keeping, without scripts and environment values.
#[must_use]
pub fn of_run<'a>(run: &Run, builds: impl Iterator<Item = &'a Build>) -> Value {
    let mut builds: Vec<&Build> = builds.collect();
    builds.sort_by_key(|build| run.jobs.iter().position(|job| job.name == build.spec.id.job));
    json!({
        "version": 1,
        "run": run.id,
        "status": run.status(),
        "rejected": match &run.state { RunState::Rejected { message, .. } => Some(message), _ => None },
        "repository": run.repository,
        "ref": run.reference,
        "commit": run.commit,
        "by": run.by,
        "created": run.created,
        "finished": run.finished_at(),
        "builds": builds.into_iter().map(|build| of_build(run, build)).collect::<Vec<_>>(),
    })
}

fn of_build(run: &Run, build: &Build) -> Value {
    let job = run.jobs.iter().find(|job| job.name == build.spec.id.job);
    let (status, finished, cause) = match (&build.state, job.map(|job| &job.state)) {
        (BuildState::Finished { at, cause, .. }, _) => (build.status(), Some(*at), cause.as_ref()),
        // The run decides what is skipped, and its report may be written before the build has been told.
        (_, Some(JobState::Finished { outcome, cause })) => (outcome.as_str(), run.finished_at(), cause.as_ref()),
        _ => (build.status(), None, None),
    };
    json!({
        "build": build.spec.id,
        "job": build.spec.id.job,
        "agent": build.spec.agent,
        "needs": build.spec.needs,
        "status": status,
        "cause": cause,
        "created": build.created,
        "finished": finished,
        "attempts": build.attempts.iter().map(|attempt| json!({
            "attempt": attempt.number,
            "capacity": attempt.capacity,
            "agent": attempt.agent,
            "launched": attempt.launched,
            "started": attempt.started,
            "ended": match &attempt.phase { crate::build::Phase::Ended { at, .. } => Some(at), _ => None },
            "end": attempt.end().map(End::word),
        })).collect::<Vec<_>>(),
    })
}
