//! Executors: the services that carry attempts.
//!
//! One port for all of them, and a registry of those that this function performs. What distinguishes one executor from another is data: see
//! [`bellhop_domain::executor`].

use std::sync::Arc;

use async_trait::async_trait;
use bellhop_domain::build::Refusal;
use bellhop_domain::executor::LaunchId;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::spec::BuildSpec;

use crate::Fault;

/// The result of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// There is an agent, new or from an earlier try with the same token.
    Accepted(AgentId),
    /// There is no agent.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Whether the service answers the launch's token with this refusal from now on: the next try then needs another token.
        spent: bool,
    },
}

impl Launch {
    /// A refusal after which the launch's token can be used again.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self::Refused { refusal, spent: false }
    }
}

/// A service that carries attempts.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Launches an agent under the launch's token: repeated calls start one agent. `again` says that it may have been called before: an executor whose
    /// service forgets tokens, or has none, then looks for the agent first.
    ///
    /// # Errors
    /// If it is unknown whether an agent was started. The effect then stays in the outbox.
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault>;

    /// Stops an agent. If the agent has stopped, or no longer exists, that is not an error.
    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault>;

    /// The agents that a launch of an attempt started and that have not stopped, as far as known. An agent that only carries the attempt's name is not
    /// among them: see [`bellhop_domain::agent::launched`].
    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault>;

    /// The states of agents. An agent that no longer exists has no observation; one whose description cannot be parsed is left out.
    ///
    /// If only some of them can be described, their states are returned together with the first fault.
    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>);

    /// The state of an agent, also of one that has stopped, if a launch of the attempt started it; `None` if that is not proven
    /// ([`bellhop_domain::agent::launched`]), or the agent does not exist.
    async fn prove(&self, spec: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Result<Option<Observation>, Fault>;

    /// The attempt whose name an agent carries, and its state, for an event that does not identify it; `None` if it is foreign, or no longer exists. That
    /// is no proof that Bellhop launched it.
    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault>;
}

/// The executors that a function performs, by the names of their kinds.
#[derive(Clone, Default)]
pub struct Executors(Vec<(&'static str, Arc<dyn Executor>)>);

impl Executors {
    /// A registry of these executors.
    #[must_use]
    pub fn new(executors: impl IntoIterator<Item = (&'static str, Arc<dyn Executor>)>) -> Self {
        Self(executors.into_iter().collect())
    }

    /// The executor of this name.
    ///
    /// # Errors
    /// If this function does not perform it.
    pub fn named(&self, name: &str) -> Result<&dyn Executor, Fault> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, executor)| &**executor)
            .ok_or_else(|| Fault::permanent(format!("this function does not perform the executor {name}")))
    }

    /// The executor of a build.
    ///
    /// # Errors
    /// If this function does not perform it.
    pub fn of(&self, spec: &BuildSpec) -> Result<&dyn Executor, Fault> {
        self.named(spec.executor.kind().name())
    }
}
