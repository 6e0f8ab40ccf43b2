//! What can happen to an instance.

use jiff::Timestamp;

use super::notice::{Ec2Notice, ForeignTask};
use crate::ids::BuildId;
use crate::outbox::EffectId;

/// An event for an instance's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceEvent {
    /// EC2 sent a notice.
    NoticeReceived {
        /// The notice.
        what: Ec2Notice,
        /// Its time.
        at: Timestamp,
        /// The account that sent it, if the event has it.
        account: Option<String>,
        /// Another program had drained the instance before.
        draining: bool,
    },
    /// Bellhop tried to reactivate it.
    Reactivated {
        /// The effect.
        effect: EffectId,
        /// The result.
        what: Reactivation,
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
}

/// The result of a reactivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reactivation {
    /// It was reactivated.
    Yes,
    /// Tasks run on it. Somebody may wait for their end to terminate it.
    Busy,
    /// It no longer exists, or another program has reactivated it.
    NotDraining,
}
