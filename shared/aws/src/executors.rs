//! Agents of all services: a new one is launched by its template, and an existing one is found by the service in its ARN.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::build::Refusal;
use bellhop_domain::ids::{AgentId, AttemptId, LaunchId};
use bellhop_domain::observation::Observation;
use bellhop_domain::spec::{BuildSpec, Executor};
use bellhop_engine::Fault;
use bellhop_engine::ports::{Agents, Launch};
use futures::future::join;

use crate::{CodeBuildAgents, EcsAgents};

/// How long after a refusal for good Bellhop checks whether the missing resource exists.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// ECS and CodeBuild.
#[derive(Debug, Clone)]
pub struct Executors {
    ecs: EcsAgents,
    codebuild: CodeBuildAgents,
}

impl Executors {
    pub(crate) fn new(ecs: EcsAgents, codebuild: CodeBuildAgents) -> Self {
        Self { ecs, codebuild }
    }

    fn by_template(&self, spec: &BuildSpec) -> &dyn Agents {
        match &spec.executor {
            Executor::Ecs(_) => &self.ecs,
            Executor::CodeBuild(_) => &self.codebuild,
        }
    }

    fn by_name(&self, agent: &AgentId) -> Result<&dyn Agents, Fault> {
        match service_of(agent) {
            Some("ecs") => Ok(&self.ecs),
            Some("codebuild") => Ok(&self.codebuild),
            _ => Err(Fault::lasting(format!("{agent} is neither an ECS task nor a CodeBuild build"))),
        }
    }
}

/// `arn:PARTITION:SERVICE:…`
fn service_of(agent: &AgentId) -> Option<&str> {
    agent.as_str().split(':').nth(2)
}

#[async_trait]
impl Agents for Executors {
    /// A resource that AWS reports as missing may have been created a moment ago, such as a cluster or a task definition of the same deployment:
    /// Bellhop checks once more.
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault> {
        let agents = self.by_template(spec);
        match agents.launch(spec, launch, again).await? {
            Launch::Refused {
                refusal: Refusal::Invalid(_),
                spent: false,
            } => {
                tokio::time::sleep(LOOK_AGAIN).await;
                agents.launch(spec, launch, again).await
            }
            launched => Ok(launched),
        }
    }

    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault> {
        self.by_name(agent)?.stop(agent, reason).await
    }

    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        self.by_template(spec).find(spec, attempt).await
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        let of = |service: &str| -> Vec<AgentId> { agents.iter().filter(|agent| service_of(agent) == Some(service)).cloned().collect() };
        let (tasks, builds) = (of("ecs"), of("codebuild"));
        let ((mut all, fault), (more, other)) = join(self.ecs.describe(&tasks), self.codebuild.describe(&builds)).await;
        all.extend(more);
        let unknown = agents.iter().find_map(|agent| self.by_name(agent).err());
        (all, fault.or(other).or(unknown))
    }

    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        match self.by_name(agent) {
            Ok(agents) => agents.identify(agent).await,
            // An event may contain any id; this one is foreign.
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::Capacity;
    use serde_json::json;

    use super::*;
    use crate::testing::{Wire, attempt, broken, ecs_spec, ok, refused, spec};

    const TASK: &str = "arn:aws:ecs:eu-west-1:123456789012:task/ci/0f1e2d3c";
    const BUILD: &str = "arn:aws:codebuild:eu-west-1:123456789012:build/ci-docker:0f1e2d3c";

    fn agent(arn: &str) -> AgentId {
        arn.parse().unwrap()
    }

    #[tokio::test]
    async fn a_new_agent_comes_from_the_service_of_its_template() {
        let task = ok(&json!({ "tasks": [{ "taskArn": TASK }] }));
        let build = ok(&json!({ "build": { "arn": BUILD } }));
        let (aws, wire) = Wire::replying([task, build]);
        let agents = aws.agents("suite");
        let on_ecs = agents
            .launch(&ecs_spec(), &attempt().launch(Capacity::OnDemand), false)
            .await
            .unwrap();
        let on_codebuild = agents.launch(&spec(), &attempt().launch(Capacity::CodeBuild), false).await.unwrap();
        assert_eq!(on_ecs, Launch::Accepted(agent(TASK)));
        assert_eq!(on_codebuild, Launch::Accepted(agent(BUILD)));
        assert_eq!(wire.operations(), ["RunTask", "StartBuild"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_good_is_asked_for_once_more() {
        let missing = || refused("ClusterNotFoundException", "Cluster not found.");
        let task = ok(&json!({ "tasks": [{ "taskArn": TASK }] }));
        let (aws, wire) = Wire::replying([missing(), task, missing(), missing()]);
        let agents = aws.agents("suite");
        let launch = attempt().launch(Capacity::OnDemand);
        assert_eq!(
            agents.launch(&ecs_spec(), &launch, false).await.unwrap(),
            Launch::Accepted(agent(TASK))
        );
        let refusal = Refusal::Invalid("ClusterNotFoundException: Cluster not found.".to_owned());
        assert_eq!(agents.launch(&ecs_spec(), &launch, false).await.unwrap(), Launch::refused(refusal));
        assert_eq!(wire.operations(), ["RunTask"; 4]);
    }

    #[tokio::test]
    async fn an_agent_is_asked_for_where_its_name_says() {
        let nobody = ok(&json!({}));
        let (aws, wire) = Wire::replying(vec![nobody; 3]);
        let agents = aws.agents("suite");
        agents.stop(&agent(TASK), "no").await.unwrap();
        agents.stop(&agent(BUILD), "no").await.unwrap();
        assert_eq!(agents.identify(&agent(TASK)).await.unwrap(), None);
        assert_eq!(agents.identify(&agent(BUILD)).await.unwrap(), None);
        assert_eq!(wire.operations(), ["StopTask", "StopBuild", "BatchGetBuilds"]);
    }

    #[tokio::test]
    async fn a_fault_of_one_service_leaves_the_answers_of_the_other() {
        let both = [agent(BUILD), agent(TASK)];
        let (aws, wire) = Wire::replying([broken(), ok(&json!({ "builds": [] }))]);
        let (described, fault) = aws.agents("suite").describe(&both).await;
        assert_eq!(described, [(agent(BUILD), None)]);
        assert!(fault.is_some());
        assert_eq!(wire.operations(), ["DescribeTasks", "BatchGetBuilds"]);
        let (aws, _) = Wire::replying([ok(&json!({ "tasks": [] })), broken()]);
        let (described, fault) = aws.agents("suite").describe(&both).await;
        assert_eq!(described, [(agent(TASK), None)]);
        assert!(fault.is_some());
    }

    #[tokio::test]
    async fn what_no_service_knows_is_asked_of_none() {
        let function = agent("arn:aws:lambda:eu-west-1:123456789012:function:push");
        let (aws, wire) = Wire::replying([]);
        let agents = aws.agents("suite");
        assert!(agents.stop(&function, "no").await.is_err());
        assert_eq!(agents.identify(&function).await.unwrap(), None);
        let (described, fault) = agents.describe(&[function]).await;
        assert_eq!((described.len(), fault.is_some()), (0, true));
        assert!(wire.asked().is_empty());
    }
}
