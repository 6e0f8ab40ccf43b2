//! Messages to people: one JSON document for programs, and texts for e-mail and SMS.

mod abandoned;
mod backup;
mod instance;

pub use abandoned::{about_abandoned_of_instance, about_abandoned_of_run};
pub use backup::{about_backup, about_no_backups};
pub use instance::{about_foreign, about_instance_after_advice};

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::build::{Attempt, Build, BuildNews, End, Phase};
use crate::config::is_unfit;
use crate::found::{Found, Tests};
use crate::ids::{CommitId, JobName, Reference, RepositoryName, RunId};
use crate::links;
use crate::outcome::Outcome;
use crate::run::{JobState, Run, RunJob, RunState};

/// The longest SMS text, in characters.
pub const SMS_LIMIT: usize = 140;
/// The longest subject that SNS takes, in ASCII characters: "must be less than 100 characters long"
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).
pub const SUBJECT_LIMIT: usize = 99;
/// The most characters of a repository's or a branch's name in a title.
const NAME_LIMIT: usize = 30;

/// In a run with more jobs than this, causes are cut to [`SHORT_CAUSE`] characters. So a run with the most jobs that a file may have, and every
/// character escaped twice, stays below the 256 KiB that SNS accepts.
const MANY_JOBS: usize = 20;
/// See [`MANY_JOBS`].
const SHORT_CAUSE: usize = 80;
/// The most artifacts that a message names.
const ARTIFACTS_NAMED: usize = 20;
/// The most jobs that a title names.
const JOBS_NAMED: usize = 3;

/// The severity of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// No problem.
    Info,
    /// Unusual, but Bellhop handles it.
    Warning,
    /// A person should act.
    Error,
}

impl Severity {
    /// Its name in the document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Info,
            Outcome::Skipped | Outcome::Superseded | Outcome::Cancelled => Self::Warning,
            Outcome::Interrupted | Outcome::InfrastructureFailed | Outcome::TimedOut | Outcome::Failed => Self::Error,
        }
    }
}

/// A message in all its forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The document for programs. Its `id` is the same however often the message is sent.
    pub document: Value,
    /// The subject of an e-mail: at most [`SUBJECT_LIMIT`] printable ASCII characters.
    pub subject: String,
    /// The body of an e-mail.
    pub email: String,
    /// The text of an SMS: at most [`SMS_LIMIT`] characters.
    pub sms: String,
    /// The message attributes, for filter policies of subscriptions.
    pub attributes: Vec<(&'static str, String)>,
}

/// The parts of every message.
pub(crate) struct Notice {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) severity: Severity,
    pub(crate) status: &'static str,
    pub(crate) title: String,
    pub(crate) time: Timestamp,
    /// Further members of the document.
    pub(crate) more: Vec<(&'static str, Value)>,
    pub(crate) body: String,
}

impl Notice {
    pub(crate) fn message(mut self) -> Message {
        // They contain foreign names and reasons.
        self.title = fit(&self.title);
        self.body = fit(&self.body);
        let mut document = json!({
            "version": 1,
            "id": self.id,
            "kind": self.kind,
            "severity": self.severity.as_str(),
            "status": self.status,
            "title": self.title,
            "time": self.time,
        });
        if let Some(object) = document.as_object_mut() {
            object.extend(self.more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        Message {
            document,
            subject: cut(&printable_ascii(&self.title), SUBJECT_LIMIT),
            email: self.body,
            sms: cut(&self.title, SMS_LIMIT),
            attributes: vec![
                ("kind", self.kind.to_owned()),
                ("severity", self.severity.as_str().to_owned()),
                ("status", self.status.to_owned()),
            ],
        }
    }
}

struct Facts<'a> {
    id: String,
    kind: &'static str,
    severity: Severity,
    status: &'static str,
    title: String,
    repository: &'a RepositoryName,
    reference: &'a Reference,
    commit: &'a CommitId,
    run: &'a RunId,
    time: Timestamp,
    more: Vec<(&'static str, Value)>,
    body: String,
}

impl Facts<'_> {
    fn message(self) -> Message {
        let mut more = vec![
            ("repository", json!(self.repository)),
            ("ref", json!(self.reference)),
            ("commit", json!(self.commit)),
            ("run", json!(self.run)),
        ];
        let mut attributes = vec![("repository", self.repository.to_string())];
        if let Some(branch) = self.reference.branch() {
            attributes.push(("branch", branch.to_owned()));
        }
        for (name, value) in self.more {
            if let ("job", Value::String(job)) = (name, &value) {
                attributes.push(("job", job.clone()));
            }
            more.push((name, value));
        }
        let notice = Notice {
            id: self.id,
            kind: self.kind,
            severity: self.severity,
            status: self.status,
            title: self.title,
            time: self.time,
            more,
            body: self.body,
        };
        let mut message = notice.message();
        message.attributes.extend(attributes);
        message
    }
}

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
                format!("{place}: {} has stopped; it {} {ago} earlier", spec.id.job, words(*outcome)),
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
                format!("{place}: {} {}{why}", spec.id.job, words(*outcome)),
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
    let advice = refused(build, news);
    if let Some((now, advice)) = &advice {
        row("Bellhop", now);
        row("You can", advice);
    }
    for attempt in &build.attempts {
        row(
            &format!("Attempt {}", attempt.number),
            &format!("{}, {}", attempt.capacity, story(attempt)),
        );
    }
    for remark in build.attempts.iter().filter_map(|attempt| attempt.remark.as_ref()) {
        row("Remark", remark);
    }
    let found = build.found.as_ref();
    let tests = found.and_then(|found| found.tests.as_ref());
    if let Some(tests) = tests {
        row("Tests", &counts(tests));
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
        row(title_of(name), link);
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
fn refused(build: &Build, news: &BuildNews) -> Option<(String, String)> {
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

/// A time for people, to the minute.
fn minute(at: Timestamp) -> String {
    at.strftime("%H:%M UTC").to_string()
}

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
                format!("{place}: {what} of {} {}{why}", run.commit.short(), words(*outcome)),
            )
        }
    };
    // All jobs share SNS's size limit; the jobs' own messages have the full texts.
    let of_cause = if run.jobs.len() > MANY_JOBS { SHORT_CAUSE } else { usize::MAX };
    let short = |cause: &String| cut(cause, of_cause);
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
            let _ = writeln!(body, "    {}", counts(tests));
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
        let _ = writeln!(body, "{:<11} {link}", format!("{}:", title_of(name)));
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
            Some(format!("run {} {}{why}", run.id, words(*outcome)))
        }
    }
}

/// The label of a link in an e-mail.
fn title_of(link: &str) -> &'static str {
    match link {
        "logs" => "Logs",
        "report" => "Report",
        _ => "Agent",
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

/// The job that decided a run's outcome; none for a success.
#[must_use]
pub fn decisive_job(run: &Run) -> Option<&JobName> {
    match &run.state {
        RunState::Finished { outcome, .. } => wrong_jobs(run, *outcome).first().map(|(name, _)| *name),
        RunState::Open | RunState::Rejected { .. } => None,
    }
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

/// The counts of tests, as text.
fn counts(tests: &Tests) -> String {
    let of = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    let unread = match tests.unread {
        0 => String::new(),
        1 => "; one report was counted only in part".to_owned(),
        unread => format!("; {unread} reports were counted only in part"),
    };
    format!(
        "{} tests{}{}{unread}",
        tests.run,
        of(tests.failed, "failed"),
        of(tests.skipped, "skipped")
    )
}

fn artifact_rows(found: &Found) -> Vec<String> {
    let mut rows: Vec<String> = found
        .artifacts
        .iter()
        .take(ARTIFACTS_NAMED)
        .map(|artifact| artifact.path.clone())
        .collect();
    let others = found.count.saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    if others > 0 {
        rows.push(format!("and {others} more"));
    }
    rows
}

/// Repository and branch or tag. Long names are cut, to leave room in a subject and an SMS; the document has them in full.
fn place(repository: &RepositoryName, reference: &Reference) -> String {
    format!("{} {}", cut(repository.as_str(), NAME_LIMIT), cut(reference.name(), NAME_LIMIT))
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Skipped => "was skipped",
        Outcome::Superseded => "was superseded by a newer push",
        Outcome::Cancelled => "was cancelled",
        Outcome::Interrupted => "was interrupted",
        Outcome::InfrastructureFailed => "had an infrastructure failure",
        Outcome::TimedOut => "timed out",
        Outcome::Failed => "failed",
    }
}

/// The phase or the end of an attempt, as text.
fn story(attempt: &Attempt) -> String {
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
        Phase::Ended { end, .. } => end.word().to_owned(),
    }
}

fn printable_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            '…' => ascii.push_str("..."),
            _ if c.is_whitespace() => ascii.push(' '),
            _ => ascii.push('?'),
        }
    }
    ascii
}

/// A text for people, with spaces for control characters and others that affect the lines around them; line breaks stay.
fn fit(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && is_unfit(c) { ' ' } else { c }).collect()
}

fn cut(text: &str, limit: usize) -> String {
    let text = text.replace(is_unfit, " ");
    if text.chars().count() <= limit {
        text
    } else {
        let mut short: String = text.chars().take(limit - 3).collect();
        short.push_str("...");
        short
    }
}

mod alarm;
#[cfg(test)]
pub(crate) mod page;
#[cfg(test)]
mod tests;

pub use alarm::about_alarm;
