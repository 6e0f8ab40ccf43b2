//! What can go wrong at the edges, in the two classes that matter to whoever called.

use std::fmt;

/// Something outside failed. The caller returns it as an error, so that Lambda tries again and the dead-letter queue keeps what stays unsolved.
#[derive(thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// Whether trying again can help.
    pub kind: FaultKind,
    /// What was to be done, and what stood in the way; one line without secrets.
    pub what: String,
    /// The error underneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// In its one line, whoever prints it: the error underneath holds whole requests and answers.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A throttle, a time-out, a fault of the service's own: it passes.
    Passing,
    /// A missing permission or resource, a record that cannot be read: somebody has to mend it first.
    Lasting,
}

impl Fault {
    /// A fault that passes.
    pub fn passing(what: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Passing,
            what: what.into(),
            source: None,
        }
    }

    /// A fault that somebody has to mend.
    pub fn lasting(what: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Lasting,
            what: what.into(),
            source: None,
        }
    }

    /// The same fault with the error underneath it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
