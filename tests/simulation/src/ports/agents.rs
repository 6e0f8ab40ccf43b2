//! ECS, CodeBuild and Step Functions: agents.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::executor::{self, LaunchId};
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Executor, Launch};
use futures::future::join_all;

use super::fate::Service;
use super::port::Port;
use crate::ecs;
use crate::world::{Subject, lock};

#[async_trait]
impl Executor for Port {
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault> {
        let (spec, launch) = (spec.clone(), launch.clone());
        if again && spec.executor.kind().name() == executor::codebuild::NAME {
            let (of, attempt) = (spec.clone(), launch.attempt.clone());
            let before = self
                .call(Service::Other, "ListBuildsForProject", &spec.id, move |world| {
                    ecs::started_before(world, &of, &attempt)
                })
                .await?;
            if let Some(agent) = before {
                return Ok(Launch::Accepted(agent));
            }
        }
        self.call(Service::Launches, "RunTask", &spec.id.clone(), move |world| {
            ecs::run_task(world, &spec, &launch)
        })
        .await
    }

    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault> {
        let (agent, reason) = (agent.clone(), reason.to_owned());
        let about = match lock(&self.world).task(&agent) {
            Some(task) => Subject::from(&task.attempt.build),
            None => Subject::World,
        };
        self.call(Service::Other, "StopTask", about, move |world| {
            ecs::stop_task(world, &agent, &reason)
        })
        .await
    }

    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        let (of, attempt) = (spec.clone(), attempt.clone());
        self.call(Service::Other, "ListTasks", &spec.id, move |world| ecs::find(world, &of, &attempt))
            .await
    }

    async fn prove(&self, spec: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Result<Option<Observation>, Fault> {
        let (of, attempt, agent) = (spec.clone(), attempt.clone(), agent.clone());
        self.call(Service::Other, "DescribeTasks", &spec.id, move |world| {
            ecs::prove(world, &of, &attempt, &agent)
        })
        .await
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        // A request for each cluster, so that some may be answered and others not.
        let mut clusters: BTreeMap<String, Vec<AgentId>> = BTreeMap::new();
        for agent in agents {
            clusters.entry(ecs::cluster(agent).to_owned()).or_default().push(agent.clone());
        }
        let asked = clusters.into_values().map(|agents| {
            self.call(Service::Other, "DescribeTasks", Subject::World, move |world| {
                ecs::describe(world, &agents)
            })
        });
        let (mut described, mut unanswered) = (Vec::new(), None);
        for answer in join_all(asked).await {
            match answer {
                Ok(more) => described.extend(more),
                Err(fault) => unanswered = Some(fault),
            }
        }
        (described, unanswered)
    }

    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        let agent = agent.clone();
        self.call(Service::Other, "BatchGetBuilds", Subject::World, move |world| {
            ecs::identify(world, &agent)
        })
        .await
    }
}
