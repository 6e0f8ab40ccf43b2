//! Messages about runs, and a run's progress and result in one line.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::notice::{Facts, Message, Severity};
use super::results::test_counts;
use super::text::{label_of_link, place, predicate, truncate};
use crate::build::Build;
use crate::caller::Caller;
use crate::ids::JobName;
use crate::links;
use crate::outcome::Outcome;
use crate::results::found::Tests;
use crate::run::{Run, RunState};

/// In a run with more jobs than this, causes are cut to [`SHORT_CAUSE`] characters. So a run with the most jobs that a file may have, and every
/// character escaped twice, stays below the 256 KiB that SNS accepts.
const MANY_JOBS: usize = 20;
/// See [`MANY_JOBS`].
const SHORT_CAUSE: usize = 80;
/// The most jobs that a title names.
const JOBS_NAMED: usize = 3;

/// The message about a finished run; `None` if it has not finished. `builds` are the run's, `broken` are the jobs of its branch or tag whose last result was not a success,
/// and `links` are further links, by name.
#[must_use]
pub fn about_run(run: &Run, builds: &[Build], broken: &[JobName], links: &[(&'static str, String)]) -> Option<Message> {
    let build_of = |job: &JobName| builds.iter().find(|build| build.spec.id.job == *job);
    let place = place(&run.repository, &run.reference);
    let (severity, cause, time, title) = match &run.state {
        RunState::Open => return None,
        RunState::Rejected { message, at } => (
            Severity::Error,
            Some(message.clone()),
            *at,
            format!("{place}: run rejected: {message}"),
        ),
        RunState::Finished { outcome, at } => {
            let worst = decisive_job(run).map(|job| worst_job(run, job, build_of(job)));
            let why = match &worst {
                Some(worst) => format!(": {worst}"),
                // A success says nothing about jobs that are not part of the run.
                None if !broken.is_empty() => format!("; still broken: {}", named(broken)),
                None => String::new(),
            };
            let what = match &run.retry_of {
                Some(_) => format!("retry of {}", named_of(run)),
                None => "run".to_owned(),
            };
            (
                Severity::of(*outcome),
                worst,
                *at,
                format!("{place}: {what} of {} {}{why}", run.commit.short(), predicate(*outcome)),
            )
        }
    };
    // All jobs share SNS's size limit; the jobs' own messages have the full texts.
    let has_many = run.jobs().len() > MANY_JOBS;
    let of_cause = if has_many { SHORT_CAUSE } else { usize::MAX };
    let cause_of = |job: &JobName| run.cause_of(job, build_of(job)).map(|cause| truncate(&cause, of_cause));
    let tests_of = |job: &JobName| build_of(job).and_then(|build| build.results.as_ref()?.tests.as_ref());
    let mut body = format!("{title}\n\n");
    let mut row = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(body, "{:<11} {value}", format!("{name}:"));
    };
    row("Repository", run.repository.as_str());
    row("Ref", &run.reference.full());
    row("Commit", run.commit.as_str());
    if let Some(by) = &run.by {
        row("Pushed by", by);
    }
    if let Some(caller) = &run.started_by {
        row("Started by", &caller.to_string());
    }
    row("Run", run.id.as_str());
    if let Some(retried) = &run.retry_of {
        row("Retry of", retried.run.as_str());
    }
    if !broken.is_empty() {
        row("Broken", &named(broken));
    }
    if run.jobs().len() > 0 {
        let seconds = time.duration_since(run.created).as_secs().max(0).unsigned_abs();
        row("Took", &humantime::format_duration(Duration::from_secs(seconds)).to_string());
        body.push_str("\nJobs:\n");
    }
    for job in run.jobs() {
        let why = cause_of(job.name).map(|cause| format!(": {cause}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(body, "  {} {}{why}", job.name, job.state.as_str());
        if let Some(tests) = tests_of(job.name) {
            let _ = writeln!(body, "    {}", test_counts(tests));
            for name in tests.failures.iter().filter(|_| !has_many) {
                let _ = writeln!(body, "    failed: {name}");
            }
            for why in tests.unread_because.iter().filter(|_| !has_many) {
                let _ = writeln!(body, "    not counted: {why}");
            }
        }
    }
    if !links.is_empty() {
        body.push('\n');
    }
    for (name, link) in links {
        // Writing to a String cannot fail.
        let _ = writeln!(body, "{:<11} {link}", format!("{}:", label_of_link(name)));
    }
    let document_of = |job: &JobName, outcome: Outcome| {
        let mut document = json!({ "job": job, "status": outcome, "cause": cause_of(job) });
        if let Some(tests) = tests_of(job) {
            document["tests"] = if has_many { json!(without_names(tests)) } else { json!(tests) };
        }
        document
    };
    let finished = run.jobs().filter_map(|job| Some((job.name, job.state.outcome()?)));
    let jobs: Vec<Value> = finished.map(|(job, outcome)| document_of(job, outcome)).collect();
    Some(
        Facts {
            id: format!("{}/{}", run.id, run.status()),
            kind: "run",
            severity,
            status: run.status(),
            title,
            repository: &run.repository,
            reference: &run.reference,
            commit: &run.commit,
            run: &run.id,
            time,
            more: vec![
                ("cause", json!(cause)),
                ("jobs", Value::Array(jobs)),
                ("by", json!(run.by)),
                ("started-by", json!(run.started_by.as_ref().map(Caller::document))),
                ("retry-of", json!(run.retry_of.as_ref().map(|retried| &retried.run))),
                ("broken", json!(broken)),
                ("links", Value::Object(links::object(links))),
            ],
            body,
        }
        .message(),
    )
}

/// The progress of a run, in one line.
#[must_use]
pub fn progress(run: &Run) -> String {
    let over = run.jobs().filter(|job| job.state.outcome().is_some()).count();
    format!("{over} of {} jobs have finished", run.jobs().len())
}

/// The result of a run, in one line; `None` if it has not finished. `decisive` is the build of its [`decisive_job`].
#[must_use]
pub fn summary(run: &Run, decisive: Option<&Build>) -> Option<String> {
    match &run.state {
        RunState::Open => None,
        RunState::Rejected { message, .. } => Some(message.clone()),
        RunState::Finished { outcome, .. } => {
            let why = decisive_job(run).map(|job| format!(": {}", worst_job(run, job, decisive)));
            Some(format!("run {} {}{}", run.id, predicate(*outcome), why.unwrap_or_default()))
        }
    }
}

/// The job that decided a run's outcome, the first one in the order of the file; none for a success.
#[must_use]
pub fn decisive_job(run: &Run) -> Option<&JobName> {
    match run.state {
        RunState::Finished { outcome, .. } if outcome != Outcome::Succeeded => {
            let mut decisive = run.jobs().filter(|job| job.state.outcome() == Some(outcome));
            decisive.next().map(|job| job.name)
        }
        _ => None,
    }
}

/// The names of jobs, or their number if there are many.
fn named(jobs: &[JobName]) -> String {
    if jobs.len() > JOBS_NAMED {
        return format!("{} jobs", jobs.len());
    }
    jobs.iter().map(JobName::as_str).collect::<Vec<_>>().join(", ")
}

fn named_of(run: &Run) -> String {
    let jobs: Vec<JobName> = run.jobs().map(|job| job.name.clone()).collect();
    named(&jobs)
}

/// The job that decided a run's outcome, with its cause, and the number of other unsuccessful jobs.
fn worst_job(run: &Run, job: &JobName, build: Option<&Build>) -> String {
    let is_wrong = |outcome| !matches!(outcome, Outcome::Succeeded | Outcome::Skipped);
    let wrong = run.jobs().filter(|job| job.state.outcome().is_some_and(is_wrong)).count();
    let why = run.cause_of(job, build).map(|cause| format!(": {cause}")).unwrap_or_default();
    let others = match wrong.saturating_sub(1) {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    format!("{job}{why}{others}")
}

/// Only the numbers.
fn without_names(tests: &Tests) -> Tests {
    Tests {
        failures: Vec::new(),
        unread_because: Vec::new(),
        ..tests.clone()
    }
}
