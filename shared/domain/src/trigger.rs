//! What starts a run, as the parsers of `bellhop-events` hand it over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{CommitId, Reference, RepositoryName};

/// A branch or tag that now points to a commit: the reason for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// What the run's id is derived from, together with the reference: the EventBridge event's `id`, a trigger record's `eventId`.
    pub trigger: String,
    /// The repository pushed to.
    pub repository: RepositoryName,
    /// The branch or tag.
    pub reference: Reference,
    /// Where it points now.
    pub commit: CommitId,
    /// Where it pointed before; `None` for a new reference, and where the form of the event does not tell.
    pub previous: Option<CommitId>,
    /// Who pushed, where the event tells: the last part of the caller's ARN.
    pub by: Option<String>,
    /// When, where the event tells. Deliveries may be late and out of order; this is what tells which push is the newer one.
    #[serde(default)]
    pub at: Option<Timestamp>,
}
