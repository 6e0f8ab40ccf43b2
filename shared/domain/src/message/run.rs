//! Messages about runs, and a run's progress and result in one line.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::notice::{Facts, Message, Severity};
use super::results::test_counts;
use super::text::{label_of_link, place, predicate, truncate};
use crate::ids::JobName;
use crate::links;
use crate::outcome::Outcome;
use crate::results::found::Tests;
use crate::run::{JobState, Run, RunJob, RunState};

/// In a run with more jobs than this, causes are cut to [`SHORT_CAUSE`] characters. So a run with the most jobs that a file may have, and every
/// character escaped twice, stays below the 256 KiB that SNS accepts.
const MANY_JOBS: usize = 20;
/// See [`MANY_JOBS`].
const SHORT_CAUSE: usize = 80;
/// The most jobs that a title names.
const JOBS_NAMED: usize = 3;

/// The message about a finished run; `None` if it has not finished. `broken` are the jobs of its branch or tag whose last result was not a success,
/// and `links` are further links, by name.
#[must_use]
pub fn about_run(run: &Run, broken: &[JobName], links: &[(&'static str, String)]) -> Option<Message> {
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
            let worst = worst_job(run, *outcome);
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
    let of_cause = if run.jobs.len() > MANY_JOBS { SHORT_CAUSE } else { usize::MAX };
    let short = |cause: &String| truncate(cause, of_cause);
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
    row("Run", run.id.as_str());
    if let Some(retried) = &run.retry_of {
        row("Retry of", retried.run.as_str());
    }
    if !broken.is_empty() {
        row("Broken", &named(broken));
    }
    if !run.jobs.is_empty() {
        let seconds = time.duration_since(run.created).as_secs().max(0).unsigned_abs();
        row("Took", &humantime::format_duration(Duration::from_secs(seconds)).to_string());
        body.push_str("\nJobs:\n");
    }
    for job in &run.jobs {
        let (status, cause) = match &job.state {
            JobState::Finished { outcome, cause, .. } => (outcome.as_str(), cause.as_ref().map(short)),
            JobState::Blocked => ("blocked", None),
            JobState::Released => ("running", None),
        };
        let why = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(body, "  {} {status}{why}", job.name);
        if let Some(tests) = tests_of(job) {
            let _ = writeln!(body, "    {}", test_counts(tests));
            for name in tests.failures.iter().filter(|_| run.jobs.len() <= MANY_JOBS) {
                let _ = writeln!(body, "    failed: {name}");
            }
            for why in tests.unread_because.iter().filter(|_| run.jobs.len() <= MANY_JOBS) {
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
    let jobs: Vec<Value> = run
        .jobs
        .iter()
        .filter_map(|job| match &job.state {
            JobState::Finished { outcome, cause, .. } => {
                let mut document = json!({ "job": job.name, "status": outcome, "cause": cause.as_ref().map(short) });
                if let (Some(tests), Some(object)) = (tests_of(job), document.as_object_mut()) {
                    let mut tests = tests.clone();
                    if run.jobs.len() > MANY_JOBS {
                        tests.failures.clear();
                        tests.unread_because.clear();
                    }
                    object.insert("tests".to_owned(), json!(tests));
                }
                Some(document)
            }
            _ => None,
        })
        .collect();
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
    let over = run.jobs.iter().filter(|job| matches!(job.state, JobState::Finished { .. })).count();
    format!("{over} of {} jobs have finished", run.jobs.len())
}

/// The result of a run, in one line; `None` if it has not finished.
#[must_use]
pub fn summary(run: &Run) -> Option<String> {
    match &run.state {
        RunState::Open => None,
        RunState::Rejected { message, .. } => Some(message.clone()),
        RunState::Finished { outcome, .. } => {
            let why = worst_job(run, *outcome).map(|worst| format!(": {worst}")).unwrap_or_default();
            Some(format!("run {} {}{why}", run.id, predicate(*outcome)))
        }
    }
}

/// The job that decided a run's outcome; none for a success.
#[must_use]
pub fn decisive_job(run: &Run) -> Option<&JobName> {
    match &run.state {
        RunState::Finished { outcome, .. } => wrong_jobs(run, *outcome).first().map(|(name, _)| *name),
        RunState::Open | RunState::Rejected { .. } => None,
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
    let jobs: Vec<JobName> = run.jobs.iter().map(|job| job.name.clone()).collect();
    named(&jobs)
}

/// The unsuccessful jobs, each with its cause. Those that decided the run's outcome come first.
fn wrong_jobs(run: &Run, outcome: Outcome) -> Vec<(&JobName, Option<&String>)> {
    let mut wrong: Vec<_> = run
        .jobs
        .iter()
        .filter_map(|job| match &job.state {
            JobState::Finished {
                outcome: of_job, cause, ..
            } if !matches!(of_job, Outcome::Succeeded | Outcome::Skipped) => Some((*of_job != outcome, &job.name, cause.as_ref())),
            _ => None,
        })
        .collect();
    // The sort is stable: equal jobs stay in the file's order.
    wrong.sort_by_key(|(lesser, ..)| *lesser);
    wrong.into_iter().map(|(_, name, cause)| (name, cause)).collect()
}

/// The job that decided a run's outcome, with its cause, and the number of other unsuccessful jobs; none for a success.
fn worst_job(run: &Run, outcome: Outcome) -> Option<String> {
    if outcome == Outcome::Succeeded {
        return None;
    }
    let wrong = wrong_jobs(run, outcome);
    let (name, cause) = wrong.first()?;
    let why = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    let others = match wrong.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    Some(format!("{name}{why}{others}"))
}

fn tests_of(job: &RunJob) -> Option<&Tests> {
    match &job.state {
        JobState::Finished { tests, .. } => tests.as_ref(),
        JobState::Blocked | JobState::Released => None,
    }
}
