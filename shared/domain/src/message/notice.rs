//! A message in all its forms, and how its parts become these forms.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{SMS_LIMIT, SUBJECT_LIMIT, printable_ascii, sanitise, truncate};
use crate::ids::{CommitId, Reference, RepositoryName, RunId};
use crate::outcome::Outcome;

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

    pub(super) fn of(outcome: Outcome) -> Self {
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
        self.title = sanitise(&self.title);
        self.body = sanitise(&self.body);
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
            subject: truncate(&printable_ascii(&self.title), SUBJECT_LIMIT),
            email: self.body,
            sms: truncate(&self.title, SMS_LIMIT),
            attributes: vec![
                ("kind", self.kind.to_owned()),
                ("severity", self.severity.as_str().to_owned()),
                ("status", self.status.to_owned()),
            ],
        }
    }
}

/// The parts of a message about a build or a run.
pub(super) struct Facts<'a> {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) severity: Severity,
    pub(super) status: &'static str,
    pub(super) title: String,
    pub(super) repository: &'a RepositoryName,
    pub(super) reference: &'a Reference,
    pub(super) commit: &'a CommitId,
    pub(super) run: &'a RunId,
    pub(super) time: Timestamp,
    pub(super) more: Vec<(&'static str, Value)>,
    pub(super) body: String,
}

impl Facts<'_> {
    pub(super) fn message(self) -> Message {
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
