//! The order of the runs of a branch or tag.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The place of a run in the order of its branch's or tag's runs. A run that repeats another one comes directly after it: its result is about that
/// commit, not about later pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// When the run was created, or, for a repetition, when the first run in its chain was created.
    pub since: Timestamp,
    /// When the run itself was created.
    pub created: Timestamp,
}
