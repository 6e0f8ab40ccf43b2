//! Messages about abandoned effects, and about refusals for unknown reasons: AWS's message, what Bellhop does now and until when, and what a person
//! can do.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::notice::{Facts, Message, Notice, Severity};
use super::text::{label_of_link, place};
use crate::build::Build;
use crate::instance::Instance;
use crate::links;
use crate::outbox::Abandoned;
use crate::run::Run;

/// The status of every such message.
const STATUS: &str = "abandoned";

impl Abandoned {
    /// It, in one line.
    pub(super) fn title(&self) -> String {
        // The text of a fault begins with the failed action.
        let why = match self.why.split_once(": ") {
            Some((what, message)) if what.starts_with("failed to ") => message,
            _ => &self.why,
        };
        format!("could not {}: {why}", self.what)
    }

    pub(super) fn rows(&self) -> String {
        let mut rows = String::new();
        for (name, value) in [("Cause", &self.why), ("Bellhop", &self.now), ("You can", &self.advice)] {
            // Writing to a String cannot fail.
            let _ = writeln!(rows, "{:<11} {value}", format!("{name}:"));
        }
        rows
    }

    pub(super) fn members(&self) -> Vec<(&'static str, Value)> {
        vec![("cause", json!(self.why)), ("now", json!(self.now)), ("advice", json!(self.advice))]
    }
}

pub(super) fn about_build(build: &Build, number: u64, what: &Abandoned) -> Message {
    let spec = &build.spec;
    let title = format!("{}: {}: {}", place(&spec.repository, &spec.reference), spec.id.job, what.title());
    let newest = build.attempts.last();
    let links = newest.map(|attempt| links::links(spec, attempt)).unwrap_or_default();
    let mut body = format!("{title}\n\nBuild:      {}\n{}", spec.id, what.rows());
    for (name, link) in &links {
        // Writing to a String cannot fail.
        let _ = writeln!(body, "{:<11} {link}", format!("{}:", label_of_link(name)));
    }
    let mut more = vec![
        ("job", json!(spec.id.job)),
        ("attempt", json!(newest.map(|attempt| attempt.number))),
        ("capacity", json!(newest.map(|attempt| attempt.capacity))),
        ("links", Value::Object(links::object(&links))),
    ];
    more.extend(what.members());
    Facts {
        id: format!("{}/{STATUS}/{number}", spec.id),
        kind: "build",
        severity: Severity::Error,
        status: STATUS,
        body,
        title,
        repository: &spec.repository,
        reference: &spec.reference,
        commit: &spec.commit,
        run: &spec.id.run,
        time: what.at,
        more,
    }
    .message()
}

/// The message about an abandoned effect of a run. `number` identifies the effect.
#[must_use]
pub fn about_abandoned_of_run(run: &Run, number: u64, what: &Abandoned) -> Message {
    let title = format!("{}: {}", place(&run.repository, &run.reference), what.title());
    Facts {
        id: format!("{}/{STATUS}/{number}", run.id),
        kind: "run",
        severity: Severity::Error,
        status: STATUS,
        body: format!("{title}\n\nRun:        {}\n{}", run.id, what.rows()),
        title,
        repository: &run.repository,
        reference: &run.reference,
        commit: &run.commit,
        run: &run.id,
        time: what.at,
        more: what.members(),
    }
    .message()
}

/// The message about an abandoned effect of a container instance. `number` identifies the effect.
#[must_use]
pub fn about_abandoned_of_instance(instance: &Instance, number: u64, what: &Abandoned) -> Message {
    let title = format!("{} of cluster {}: {}", instance.id, instance.host.cluster, what.title());
    let mut more = vec![("instance", json!(instance.id)), ("cluster", json!(instance.host.cluster))];
    more.extend(what.members());
    Notice {
        id: format!("instance/{}/{STATUS}/{number}", instance.id),
        kind: "suite",
        severity: Severity::Error,
        status: STATUS,
        time: what.at,
        more,
        body: format!("{title}\n\n{}", what.rows()),
        title,
    }
    .message()
}
