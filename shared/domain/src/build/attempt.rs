//! An attempt, one try at a build; and a stray, an agent that carries an attempt's name without being its agent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{End, Phase};
use crate::executor::Capacity;
use crate::ids::AgentId;

/// One try at a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// The capacity that it runs on, or will run on.
    pub capacity: Capacity,
    /// Its agent, once known.
    pub agent: Option<AgentId>,
    /// The highest version seen of its agent.
    #[serde(rename = "seen")]
    pub seen_version: u64,
    /// Whether a refused launch of it may have left an orphan that Bellhop has not searched for yet: see `orphan.rs`.
    #[serde(default, rename = "fell_back")]
    pub may_have_orphan: bool,
    /// Since when the build has been waiting for an agent; `queue-timeout` starts here.
    pub queued: Timestamp,
    /// How often its launch was refused because of capacity or a limit of the account.
    pub refusals: u32,
    /// How often its launch was throttled.
    #[serde(default)]
    pub throttles: u32,
    /// Whether its next launch waits for its turn in the launch queue: the last one was throttled, or launches are paused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paced: bool,
    /// How many of its launches were refused under a token that cannot be used again: the next launch uses another one.
    #[serde(default)]
    pub round: u32,
    /// The message of the last refusal.
    pub last_refusal: Option<String>,
    /// What a person can do about that refusal.
    #[serde(default)]
    pub advice: Option<String>,
    /// Since when its launch has been refused for an unknown reason.
    #[serde(default, rename = "unknown")]
    pub refused_unknown_since: Option<Timestamp>,
    /// Its agent counts as lost: if it is seen again, it is stopped again.
    #[serde(default)]
    pub lost: bool,
    /// Its agent counted as lost, and was seen stopped later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found_stopped: bool,
    /// A remark about a successful attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// When its launch was last decided, or accepted.
    pub launched: Option<Timestamp>,
    /// When its agent started.
    pub started: Option<Timestamp>,
    /// When it was last polled.
    #[serde(rename = "checked")]
    pub polled_at: Timestamp,
    /// The phase.
    pub phase: Phase,
}

/// An agent with this build's name that is not, or no longer, an attempt's agent. Bellhop stops it and remembers it, so that its later events are not
/// mistaken for the attempt's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// The agent.
    pub agent: AgentId,
    /// The attempt whose name it carries.
    pub attempt: u32,
    /// Whether it is proven stopped, or counts as lost.
    pub stopped: bool,
    /// It counts as lost: if it is seen again, it is stopped again.
    #[serde(default)]
    pub lost: bool,
    /// It counted as lost, and was seen stopped later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found_stopped: bool,
    /// When it was recognized as such.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// When it was last polled.
    #[serde(rename = "checked")]
    pub polled_at: Timestamp,
}

impl Attempt {
    pub(super) fn new(number: u32, capacity: Capacity, now: Timestamp) -> Self {
        Self {
            number,
            capacity,
            agent: None,
            seen_version: 0,
            may_have_orphan: false,
            queued: now,
            refusals: 0,
            throttles: 0,
            paced: false,
            round: 0,
            last_refusal: None,
            advice: None,
            refused_unknown_since: None,
            lost: false,
            found_stopped: false,
            remark: None,
            launched: None,
            started: None,
            polled_at: now,
            phase: Phase::Waiting,
        }
    }

    /// Whether it has, or may have, an agent that is not proven stopped.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Waiting | Phase::Ended { .. })
    }

    /// Whether its agent counts as lost and was not seen stopped since: it may still be running.
    pub(super) fn may_run_on(&self) -> bool {
        self.lost && !self.found_stopped
    }

    /// Whether a launch of it was refused or postponed before, which does not prove that no agent was started.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        self.refusals > 0 || self.throttles > 0 || self.last_refusal.is_some()
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Ended { end, .. } => Some(end),
            _ => None,
        }
    }

    /// When it ended, if it did.
    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Ended { at, .. } => Some(at),
            _ => None,
        }
    }
}

impl Stray {
    /// Whether it counts as lost and was not seen stopped since: it may still be running.
    pub(super) fn may_run_on(&self) -> bool {
        self.lost && !self.found_stopped
    }

    pub(super) fn new(agent: AgentId, attempt: u32, stopped: bool, now: Timestamp) -> Self {
        Self {
            agent,
            attempt,
            stopped,
            lost: false,
            found_stopped: false,
            since: Some(now),
            polled_at: now,
        }
    }
}
