//! The triggers of runs, as `bellhop-events` parses them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{CommitId, Reference, RepositoryName};

/// A branch or tag that points to a new commit: the reason for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The source of the run's id, together with the reference: the EventBridge event's `id`, or a trigger record's `eventId`.
    pub trigger: String,
    /// The repository pushed to.
    pub repository: RepositoryName,
    /// The branch or tag.
    pub reference: Reference,
    /// The commit that it points to now.
    pub commit: CommitId,
    /// The commit that it pointed to before; `None` for a new reference, or if the event does not say.
    pub previous: Option<CommitId>,
    /// Who pushed, if the event says: the last part of the caller's ARN.
    pub by: Option<String>,
    /// When, if the event says. Events may arrive late and out of order; this time determines which push is newer.
    #[serde(default)]
    pub at: Option<Timestamp>,
}
