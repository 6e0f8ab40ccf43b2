//! Failures of external services, in the two classes that matter to callers.

use std::fmt;

/// An external call failed. The caller returns it as an error, so that Lambda retries and its dead-letter queue keeps the event.
#[derive(thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// Whether a retry can help.
    pub kind: FaultKind,
    /// The failed action and the reason; one line without secrets.
    pub what: String,
    /// The underlying error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Always prints the one line, because the underlying error contains whole requests and responses.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// Whether a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Throttling, a timeout, a fault of the service: a retry can help.
    Transient,
    /// A missing permission or resource, an unreadable record: a person must fix it first.
    Permanent,
}

impl Fault {
    /// A fault that a retry can end.
    pub fn transient(what: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Transient,
            what: what.into(),
            source: None,
        }
    }

    /// A fault that a person must fix.
    pub fn permanent(what: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Permanent,
            what: what.into(),
            source: None,
        }
    }

    /// The same fault with its underlying error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
