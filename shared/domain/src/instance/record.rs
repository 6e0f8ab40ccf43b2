//! The record of an instance in the ledger, and when it needs attention next.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::effect::InstanceEffect;
use super::notice::{Host, InterruptionNotice};
use crate::ids::InstanceId;
use crate::outbox::Outbox;
use crate::time::later;

/// How long a record is kept after the last event about its instance: ids of instances are never reused, so it only has to outlive repeated notices.
pub(super) const KEEP: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Notices of one interruption arrive within this time. A stopped or hibernated instance may return under the same id, and be interrupted again.
pub(super) const ONE_INTERRUPTION: Duration = Duration::from_secs(10 * 60);

/// An instance that EC2 sent a notice about: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The instance.
    pub id: InstanceId,
    /// Its place in ECS.
    pub host: Host,
    /// When EC2 sent a rebalance recommendation.
    pub advised: Option<Timestamp>,
    /// The last interruption notice.
    pub warned: Option<InterruptionNotice>,
    /// If it was drained because of a recommendation only: when to check whether it still exists.
    #[serde(default, rename = "look")]
    pub check_at: Option<Timestamp>,
    /// When it was reactivated after that.
    #[serde(default, rename = "reopened")]
    pub reactivated_at: Option<Timestamp>,
    /// Pending effects.
    pub outbox: Outbox<InstanceEffect>,
}

impl Instance {
    /// An instance without events.
    #[must_use]
    pub fn new(id: InstanceId, host: Host) -> Self {
        Self {
            id,
            host,
            advised: None,
            warned: None,
            check_at: None,
            reactivated_at: None,
            outbox: Outbox::default(),
        }
    }

    /// When the sweep should process this record next; `None` if nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox.due().into_iter().chain(self.check_at).min()
    }

    /// When DynamoDB may delete the record.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.last_notice().map(|at| later(at, KEEP))
    }

    /// The time of the last new notice.
    pub(super) fn last_notice(&self) -> Option<Timestamp> {
        self.advised.max(self.warned.map(|warned| warned.at))
    }

    /// Whether the last interruption is so old that it cannot concern what runs on the instance now.
    #[must_use]
    pub fn is_past(&self, now: Timestamp) -> bool {
        self.warned.is_none_or(|warned| is_past(warned.at, now))
    }
}

pub(super) fn is_past(notice: Timestamp, now: Timestamp) -> bool {
    later(notice, ONE_INTERRUPTION) <= now
}
