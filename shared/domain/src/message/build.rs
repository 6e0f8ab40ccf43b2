//! Messages about builds.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::abandoned;
use super::notice::{Facts, Message, Severity};
use super::results::{ARTIFACTS_NAMED, artifact_rows, test_counts};
use super::text::{label_of_link, minute, place, predicate};
use crate::build::{Attempt, Build, BuildNews, End, Phase};
use crate::links;
use crate::outcome::Outcome;

/// The message about a build.
#[must_use]
pub fn about_build(build: &Build, news: &BuildNews) -> Message {
    let spec = &build.spec;
    let place = place(&spec.repository, &spec.reference);
    let (status, severity, attempt, capacity, cause, time, title) = match news {
        BuildNews::Abandoned { number, what } => return abandoned::about_build(build, *number, what),
        BuildNews::Refused {
            attempt,
            capacity,
            cause,
            until,
            at,
            ..
        } => (
            "retrying",
            Severity::Warning,
            Some(*attempt),
            Some(*capacity),
            Some(cause),
            *at,
            format!(
                "{place}: {} cannot be launched; retrying until {}: {cause}",
                spec.id.job,
                minute(*until)
            ),
        ),
        BuildNews::Waiting {
            attempt,
            capacity,
            cause,
            since,
            at,
            ..
        } => (
            "waiting",
            Severity::Warning,
            Some(*attempt),
            Some(*capacity),
            Some(cause),
            *at,
            format!("{place}: {} has waited for an agent since {}: {cause}", spec.id.job, minute(*since)),
        ),
        BuildNews::Stopped {
            attempt,
            capacity,
            outcome,
            after,
            at,
        } => {
            let ago = humantime::format_duration(Duration::from_secs(after.as_secs()));
            (
                "stopped",
                Severity::Info,
                Some(*attempt),
                Some(*capacity),
                None,
                *at,
                format!("{place}: {} has stopped; it {} {ago} earlier", spec.id.job, predicate(*outcome)),
            )
        }
        BuildNews::Retrying {
            attempt,
            capacity,
            cause,
            at,
        } => (
            "retrying",
            Severity::Warning,
            Some(*attempt),
            Some(*capacity),
            Some(cause),
            *at,
            format!("{place}: {} is retried (attempt {attempt}, {capacity}): {cause}", spec.id.job),
        ),
        BuildNews::Finished {
            outcome,
            attempt,
            capacity,
            cause,
            at,
        } => {
            let why = cause.as_deref().map(|cause| format!(": {cause}")).unwrap_or_default();
            (
                outcome.as_str(),
                Severity::of(*outcome),
                *attempt,
                *capacity,
                cause.as_ref(),
                *at,
                format!("{place}: {} {}{why}", spec.id.job, predicate(*outcome)),
            )
        }
    };
    // While an attempt is being replaced, the ending agent is the relevant one.
    let shown = match news {
        BuildNews::Retrying { attempt, .. } => attempt.checked_sub(1),
        BuildNews::Finished { attempt, .. } => *attempt,
        BuildNews::Stopped { attempt, .. } => Some(*attempt),
        BuildNews::Refused { .. } | BuildNews::Waiting { .. } | BuildNews::Abandoned { .. } => None,
    };
    let shown = build.attempts.iter().find(|candidate| Some(candidate.number) == shown);
    let links = shown.map(|attempt| links::links(spec, attempt)).unwrap_or_default();
    let mut body = format!("{title}\n\n");
    let mut row = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(body, "{:<11} {value}", format!("{name}:"));
    };
    row("Repository", spec.repository.as_str());
    row("Ref", &spec.reference.full());
    row("Commit", spec.commit.as_str());
    row("Build", &spec.id.to_string());
    if let Some(cause) = cause {
        row("Cause", cause);
    }
    let advice = next_steps(build, news);
    if let Some((now, advice)) = &advice {
        row("Bellhop", now);
        row("You can", advice);
    }
    for attempt in &build.attempts {
        row(
            &format!("Attempt {}", attempt.number),
            &format!("{}, {}", attempt.capacity, phase_text(attempt)),
        );
    }
    for remark in build.attempts.iter().filter_map(|attempt| attempt.remark.as_ref()) {
        row("Remark", remark);
    }
    let found = build.results.as_ref();
    let tests = found.and_then(|found| found.tests.as_ref());
    if let Some(tests) = tests {
        row("Tests", &test_counts(tests));
        for name in &tests.failures {
            row("Failed test", name);
        }
        for why in &tests.unread_because {
            row("Not counted", why);
        }
    }
    for line in found.map(artifact_rows).unwrap_or_default() {
        row("Artifact", &line);
    }
    for (name, link) in &links {
        row(label_of_link(name), link);
    }
    let mut more = vec![
        ("job", json!(spec.id.job)),
        ("attempt", json!(attempt)),
        ("capacity", json!(capacity)),
        ("cause", json!(cause)),
        ("links", Value::Object(links::object(&links))),
    ];
    if let Some((now, advice)) = advice {
        more.extend([("now", json!(now)), ("advice", json!(advice))]);
    }
    more.extend(tests.map(|tests| ("tests", json!(tests))));
    more.extend(found.filter(|found| found.count > 0).map(|found| {
        let files: Vec<&str> = found
            .artifacts
            .iter()
            .take(ARTIFACTS_NAMED)
            .map(|artifact| artifact.path.as_str())
            .collect();
        ("artifacts", json!({ "count": found.count, "files": files }))
    }));
    Facts {
        id: match news {
            BuildNews::Retrying { attempt, .. } => format!("{}/retrying/{attempt}", spec.id),
            BuildNews::Refused { attempt, .. } => format!("{}/refused/{attempt}", spec.id),
            BuildNews::Waiting { .. } | BuildNews::Stopped { .. } | BuildNews::Finished { .. } | BuildNews::Abandoned { .. } => {
                format!("{}/{status}", spec.id)
            }
        },
        kind: "build",
        severity,
        status,
        title,
        repository: &spec.repository,
        reference: &spec.reference,
        commit: &spec.commit,
        run: &spec.id.run,
        time,
        more,
        body,
    }
    .message()
}

/// What Bellhop does about a refused launch, and what a person can do; `None` for messages about anything else.
fn next_steps(build: &Build, news: &BuildNews) -> Option<(String, String)> {
    match news {
        BuildNews::Waiting { until, advice, .. } => {
            let now = format!("the build waits until {}, then times out", minute(*until));
            Some((now, advice.clone().unwrap_or_else(|| "wait, or cancel the build".to_owned())))
        }
        BuildNews::Finished {
            outcome: Outcome::Cancelled | Outcome::TimedOut,
            ..
        } if build.attempts.iter().any(|attempt| attempt.started.is_some() && attempt.is_live()) => Some((
            "the agent has been asked to stop; the script may keep running for some minutes".to_owned(),
            "wait for the message that it has stopped before you start anything that must not run at the same time".to_owned(),
        )),
        BuildNews::Refused { until, advice, .. } => {
            let now = format!("the launch is retried until {}; then the build fails", minute(*until));
            Some((now, advice.clone()))
        }
        BuildNews::Finished {
            outcome: Outcome::TimedOut | Outcome::InfrastructureFailed,
            ..
        } => {
            let attempt = build.attempts.last().filter(|attempt| attempt.agent.is_none())?;
            Some(("the build is not retried".to_owned(), attempt.advice.clone()?))
        }
        BuildNews::Finished { .. } | BuildNews::Stopped { .. } | BuildNews::Retrying { .. } | BuildNews::Abandoned { .. } => None,
    }
}

/// The phase or the end of an attempt, as text.
fn phase_text(attempt: &Attempt) -> String {
    match &attempt.phase {
        Phase::Waiting => "waiting".to_owned(),
        Phase::Launching => "starting".to_owned(),
        Phase::Running => "running".to_owned(),
        Phase::Interrupted { .. } => "being interrupted".to_owned(),
        Phase::Stopping { .. } => "being stopped".to_owned(),
        Phase::Ended {
            end: End::Failed { exit_code: Some(code), .. },
            ..
        } => format!("failed with exit code {code}"),
        Phase::Ended { end, .. } => end.as_str().to_owned(),
    }
}
