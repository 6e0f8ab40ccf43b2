//! What can happen to an instance.

use jiff::Timestamp;

use super::notice::{ForeignTask, What};
use crate::ids::BuildId;
use crate::outbox::EffectId;

/// An event for an instance's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceEvent {
    /// EC2 sent a notice.
    Told {
        /// The notice.
        what: What,
        /// Its time.
        at: Timestamp,
        /// Another program had drained the instance before.
        draining: bool,
    },
    /// Bellhop tried to reactivate it.
    Reopened {
        /// The effect.
        effect: EffectId,
        /// The result.
        what: Reopened,
    },
    /// Time has passed.
    Tick,
    /// The builds on it were marked as interrupted, and these other tasks run on it.
    Interrupted {
        /// The effect.
        effect: EffectId,
        /// The builds.
        builds: Vec<BuildId>,
        /// The other tasks.
        foreign: Vec<ForeignTask>,
    },
    /// An effect was performed.
    Performed(EffectId),
    /// An effect failed for this reason. It stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
}

/// The result of a reactivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopened {
    /// It was reactivated.
    Yes,
    /// Tasks run on it. Somebody may wait for their end to terminate it.
    Busy,
    /// It no longer exists, or another program has reactivated it.
    NotDraining,
}
