//! The events of a build: what its run, the pool, the launches, the agents and the clock report. A [`Refusal`] is the answer to a failed launch.

use jiff::Timestamp;

use super::inputs::Found;
use crate::executor::observation::Observation;
use crate::executor::{Capacity, Placement};
use crate::ids::{AgentId, JobName};
use crate::outcome::Outcome;
use crate::results::found::Results;

/// An event for a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// All jobs that it needs have succeeded.
    Released,
    /// A job that it needs did not succeed.
    Skipped {
        /// That job.
        because: JobName,
    },
    /// The pool granted it a slot.
    Granted {
        /// The turn of the grant.
        turn: u32,
    },
    /// What it takes from other builds is known: the key of the list; or why it cannot be had.
    InputsFound(Found),
    /// It has its lock.
    LockGranted,
    /// It is cancelled or superseded.
    Cancelled {
        /// [`Outcome::Cancelled`] or [`Outcome::Superseded`].
        outcome: Outcome,
        /// The cause, for people.
        cause: String,
    },
    /// The results of an attempt in the bucket were collected.
    Collected {
        /// The attempt.
        attempt: u32,
        /// The results.
        results: Results,
    },
    /// A launch was accepted.
    LaunchAccepted {
        /// The attempt.
        attempt: u32,
        /// The capacity of the launch.
        capacity: Capacity,
        /// The new agent.
        agent: AgentId,
    },
    /// A launch was refused and started no agent.
    LaunchRefused {
        /// The attempt.
        attempt: u32,
        /// The capacity of the launch.
        capacity: Capacity,
        /// Its round.
        round: u32,
        /// The refusal.
        refusal: Refusal,
        /// Whether the service answers the token with this refusal from now on.
        spent: bool,
    },
    /// The service described an agent: one that the record has, or one that is proven to be launched for the attempt
    /// ([`launched`](crate::agent::launched)).
    Agent {
        /// The attempt.
        attempt: u32,
        /// The observation.
        observation: Observation,
    },
    /// An event about an agent. It counts only if it fits, and for an agent that the record has.
    Reported {
        /// The attempt whose name the agent carries.
        attempt: u32,
        /// The observation.
        observation: Observation,
        /// Where the agent runs, as the event says it.
        placement: Placement,
    },
    /// The service was asked for the agents that carry an attempt's name.
    Searched {
        /// The attempt.
        attempt: u32,
        /// Those that a launch of it started and that have not stopped.
        found: Vec<Observation>,
    },
    /// Time has passed.
    Tick {
        /// When the agents of [`Build::agents_to_check`](super::Build::agents_to_check) were polled; [`Timestamp::MIN`] if that failed. Timeouts that
        /// ended after this time do not apply yet, unless polls have failed for [`FAILING_POLLS_FOR`](super::FAILING_POLLS_FOR).
        polled_at: Timestamp,
    },
}

/// Why a launch was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no capacity of this kind now.
    NoCapacity(String),
    /// The service throttled the call.
    Throttled(String),
    /// The account's limit on running agents is reached.
    AccountLimit(String),
    /// A fault of the service that certainly started no agent.
    Transient(String),
    /// An alarm pauses launches, so the service was not called.
    Paused(String),
    /// The launch can never succeed: an unknown cluster or task definition.
    Invalid(String),
    /// An unknown reason, such as a missing permission: it may be fixed within minutes.
    Unknown(String),
}

impl Refusal {
    /// The service's message.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::NoCapacity(text)
            | Self::Throttled(text)
            | Self::AccountLimit(text)
            | Self::Transient(text)
            | Self::Paused(text)
            | Self::Invalid(text)
            | Self::Unknown(text) => text,
        }
    }

    /// What a person can do about it, for an agent template.
    pub(super) fn advice(&self, agent: &str) -> String {
        match self {
            Self::NoCapacity(_) => format!("give the agent `{agent}` subnets in more zones or another size, or wait and retry the build"),
            Self::Throttled(_) => "ask AWS for a higher rate of launches, or start fewer builds at once".to_owned(),
            Self::AccountLimit(_) => format!("raise the limit in Service Quotas, or lower `max-concurrent` of the agent `{agent}`"),
            Self::Transient(_) => "check the AWS Health Dashboard, and retry the build when the service has recovered".to_owned(),
            Self::Paused(_) => "fix the cause of the alarm".to_owned(),
            Self::Invalid(_) => {
                format!("fix the agent `{agent}` in the suite configuration, or the AWS resources it names, and retry the build")
            }
            Self::Unknown(_) => format!("check the functions' permissions and the AWS resources that the agent `{agent}` names"),
        }
    }
}
