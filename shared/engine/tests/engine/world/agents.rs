//! Agents that honour tokens, as ECS does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use bellhop_domain::build::Refusal;
use bellhop_domain::executor::observation::{AgentStatus, Observation};
use bellhop_domain::executor::{self, Capacity, LaunchId};
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Executor, Launch};

use super::values::take;

/// A service that honours tokens.
#[derive(Default)]
pub(crate) struct FakeAgents {
    known: Mutex<BTreeMap<String, Known>>,
    /// Every call to launch, by attempt and capacity.
    pub(crate) calls: Mutex<Vec<String>>,
    /// Every agent told to stop.
    pub(crate) stops: Mutex<Vec<AgentId>>,
    /// The answers to the launches to come.
    pub(crate) refusals: Mutex<VecDeque<Refusal>>,
    /// So many launches to come take place without a reply.
    pub(crate) lost_replies: AtomicUsize,
    /// So many questions to come get no answer.
    pub(crate) silent: AtomicUsize,
    /// So many questions to come are never over.
    pub(crate) hanging: AtomicUsize,
}

#[derive(Clone)]
struct Known {
    agent: AgentId,
    attempt: AttemptId,
    capacity: Capacity,
    status: AgentStatus,
}

impl Known {
    fn observation(&self) -> Observation {
        Observation {
            agent: self.agent.clone(),
            version: None,
            capacity: Some(self.capacity),
            status: self.status.clone(),
        }
    }
}

impl FakeAgents {
    pub(crate) fn end(&self, agent: &AgentId, status: AgentStatus) {
        self.change(agent, |known| known.status = status);
    }

    fn change(&self, agent: &AgentId, how: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock().unwrap();
        if let Some(known) = known.values_mut().find(|known| known.agent == *agent) {
            how(known);
        }
    }

    /// The service forgets an agent.
    pub(crate) fn forget(&self, agent: &AgentId) {
        self.known.lock().unwrap().retain(|_, known| known.agent != *agent);
    }

    /// The agents that have not stopped, each by its attempt and capacity.
    pub(crate) fn live(&self) -> Vec<String> {
        let known = self.known.lock().unwrap();
        let mut live: Vec<String> = known
            .values()
            .filter(|known| !matches!(known.status, AgentStatus::Stopped(_)))
            .map(|known| format!("{}/{} on {}", known.attempt.build.job, known.attempt.number, known.capacity))
            .collect();
        live.sort();
        live
    }

    pub(crate) fn all(&self) -> Vec<AgentId> {
        self.known.lock().unwrap().values().map(|known| known.agent.clone()).collect()
    }
}

#[async_trait]
impl Executor for FakeAgents {
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, _: bool) -> Result<Launch, Fault> {
        let (attempt, capacity) = (&launch.attempt, launch.capacity);
        tokio::task::yield_now().await;
        let call = format!("{}/{} on {capacity}", attempt.build.job, attempt.number);
        self.calls.lock().unwrap().push(call);
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return Ok(Launch::refused(refusal));
        }
        let token = launch.token();
        let resource = match &spec.executor {
            executor::Executor::Ecs(ecs) => format!("ecs:us-east-1:123456789012:task/{}/{token}", ecs.cluster(capacity)),
            executor::Executor::CodeBuild(codebuild) => format!("codebuild:us-east-1:123456789012:build/{}:{token}", codebuild.project),
            executor::Executor::StepFunctions(_) => panic!("no test has such an agent"),
        };
        let agent: AgentId = format!("arn:aws:{resource}").parse().unwrap();
        self.known.lock().unwrap().entry(token).or_insert_with(|| Known {
            agent: agent.clone(),
            attempt: attempt.clone(),
            capacity,
            status: AgentStatus::Running { since: None },
        });
        if take(&self.lost_replies) {
            return Err(Fault::transient(format!("launch {attempt}: no reply")));
        }
        Ok(Launch::Accepted(agent))
    }

    async fn stop(&self, agent: &AgentId, _: &str) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.stops.lock().unwrap().push(agent.clone());
        Ok(())
    }

    async fn find(&self, _: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        tokio::task::yield_now().await;
        let known = self.known.lock().unwrap();
        let live = known
            .values()
            .filter(|known| known.attempt == *attempt && !matches!(known.status, AgentStatus::Stopped(_)));
        Ok(live.map(Known::observation).collect())
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        tokio::task::yield_now().await;
        if take(&self.silent) {
            return (Vec::new(), Some(Fault::transient("describe agents: no reply")));
        }
        if take(&self.hanging) {
            std::future::pending::<()>().await;
        }
        let known = self.known.lock().unwrap();
        let look = |agent: &AgentId| known.values().find(|known| known.agent == *agent).map(Known::observation);
        (agents.iter().map(|agent| (agent.clone(), look(agent))).collect(), None)
    }

    async fn prove(&self, _: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Result<Option<Observation>, Fault> {
        tokio::task::yield_now().await;
        if take(&self.silent) {
            return Err(Fault::transient("describe an agent: no reply"));
        }
        let known = self.known.lock().unwrap();
        let own = known.values().find(|known| known.agent == *agent && known.attempt == *attempt);
        Ok(own.map(Known::observation))
    }

    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        let known = self.known.lock().unwrap();
        let found = known.values().find(|known| known.agent == *agent);
        Ok(found.map(|known| (known.attempt.clone(), known.observation())))
    }
}
