//! The effects of a build, which the engine performs, and the messages among them. Types only.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::executor::Capacity;
use crate::ids::AgentId;
use crate::outbox::{ANNOUNCE_FOR, Abandoned, Effect, RETRY_FOR};
use crate::outcome::Outcome;

/// An effect of a build. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildEffect {
    /// Find out what the build takes from other builds.
    FindInputs,
    /// Acquire a slot of the agent template.
    #[serde(rename = "ask")]
    AcquireSlot,
    /// Release that slot.
    #[serde(rename = "leave")]
    ReleaseSlot {
        /// The turn that ends.
        turn: u32,
        /// Since when the build has been in line for the slot, if it may still be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited: Option<Timestamp>,
    },
    /// Acquire the build's lock.
    AcquireLock,
    /// Release it.
    ReleaseLock {
        /// Since when the build has been in line for it, if it may still be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited: Option<Timestamp>,
    },
    /// Collect the deciding attempt's results in the bucket, before the end of the build is reported.
    Collect {
        /// The attempt.
        attempt: u32,
        /// The message that follows.
        news: BuildNews,
    },
    /// Launch an agent, under the idempotency token of attempt, capacity and round.
    Launch {
        /// The attempt.
        attempt: u32,
        /// The capacity.
        capacity: Capacity,
        /// The round.
        #[serde(default)]
        round: u32,
    },
    /// Search for the agents that carry the attempt's name: one of them may be an orphan.
    #[serde(rename = "find")]
    SearchOrphan {
        /// The attempt.
        attempt: u32,
    },
    /// Stop an agent.
    Stop {
        /// The agent.
        agent: AgentId,
        /// The reason, for the service's record.
        reason: String,
    },
    /// Publish a message.
    Announce(BuildNews),
    /// Report to the run that this build has finished.
    #[serde(rename = "tell-run")]
    NotifyRun {
        /// How it ended.
        outcome: Outcome,
    },
}

/// A message about a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildNews {
    /// A launch was refused for an unknown reason and is retried for a while.
    Refused {
        /// The attempt.
        attempt: u32,
        /// The capacity.
        capacity: Capacity,
        /// The service's message.
        cause: String,
        /// What a person can do.
        advice: String,
        /// The end of the retries.
        until: Timestamp,
        /// When it was refused.
        at: Timestamp,
    },
    /// An effect of the build was abandoned.
    Abandoned {
        /// The effect, by number.
        number: u64,
        /// The effect and its consequences.
        what: Abandoned,
    },
    /// The build has waited for an agent for a while.
    Waiting {
        /// The attempt.
        attempt: u32,
        /// The capacity.
        capacity: Capacity,
        /// What it waits for.
        cause: String,
        /// What a person can do, if known.
        advice: Option<String>,
        /// Since when.
        since: Timestamp,
        /// When it times out.
        until: Timestamp,
        /// When Bellhop detected it.
        at: Timestamp,
    },
    /// The last agent of a cancelled or timed-out build has stopped, a while after the build finished.
    Stopped {
        /// The attempt.
        attempt: u32,
        /// The capacity.
        capacity: Capacity,
        /// The build's outcome.
        outcome: Outcome,
        /// The time between the two.
        after: Duration,
        /// When the agent stopped.
        at: Timestamp,
    },
    /// An attempt has ended or is about to, and another one replaces it.
    Retrying {
        /// The new attempt.
        attempt: u32,
        /// Its capacity.
        capacity: Capacity,
        /// The end of the previous attempt.
        cause: String,
        /// When that was decided.
        at: Timestamp,
    },
    /// The build has finished.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// The attempt that decided the outcome, if there was one.
        attempt: Option<u32>,
        /// Its capacity.
        capacity: Option<Capacity>,
        /// The cause, for people.
        cause: Option<String>,
        /// When that was decided.
        at: Timestamp,
    },
}

impl Effect for BuildEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        match self {
            // A launch ends with the build's queue-timeout; notifications of records are retried without limit.
            Self::Launch { .. }
            | Self::FindInputs
            | Self::AcquireSlot
            | Self::ReleaseSlot { .. }
            | Self::AcquireLock
            | Self::ReleaseLock { .. }
            | Self::NotifyRun { .. } => None,
            Self::Collect { .. } | Self::SearchOrphan { .. } | Self::Stop { .. } => Some(RETRY_FOR),
            Self::Announce(_) => Some(ANNOUNCE_FOR),
        }
    }
}
