//! The executors on AWS: one file per executor, and the registry.
//!
//! An executor's file holds its calls. What an error code means is not decided here: one table in `bellhop-events` (`aws_errors`) has it for all
//! services, and `fault` looks there. What an observed agent's state means is judged in `bellhop-events` too, as for events. A new executor is a file
//! here and a line in [`all`].

mod codebuild;
pub(crate) mod ecs;
mod step_functions;
mod throttle;

use std::sync::Arc;

use bellhop_domain::executor;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_engine::ports::Executors;
use bellhop_engine::{Fault, FaultKind};

use self::codebuild::CodeBuilds;
use self::ecs::EcsTasks;
use self::step_functions::Executions;
use crate::Aws;

/// Every executor that functions which carry builds perform. `bucket` is the suite's bucket, for the agents' environment.
pub(crate) fn all(aws: &Aws, bucket: &str) -> Executors {
    Executors::new([
        (executor::ecs::NAME, Arc::new(EcsTasks::new(aws, bucket)) as _),
        (executor::codebuild::NAME, Arc::new(CodeBuilds::new(aws, bucket)) as _),
        (executor::step_functions::NAME, Arc::new(Executions::new(aws, bucket)) as _),
    ])
}

/// The id of an agent, as a service returned it to an executor.
fn agent_id(executor: &str, arn: &str) -> Result<AgentId, Fault> {
    arn.parse()
        .map_err(|error| Fault::permanent(format!("{executor} returned the invalid ARN {arn:?}")).caused_by(error))
}

/// A description that is to prove who launched an agent has failed. A permanent fault means that there is no proof: the service does not accept the ARN of
/// another account or region, and IAM does not allow it. The launch is repeated under its token, and finds an agent that Bellhop launched.
fn unproven(attempt: &AttemptId, agent: &AgentId, fault: Fault) -> Result<Option<Observation>, Fault> {
    if fault.kind == FaultKind::Transient {
        return Err(fault);
    }
    tracing::warn!(%attempt, %agent, error = %fault, "an agent with the name of an attempt cannot be described");
    Ok(None)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Wire, ok};

    #[tokio::test]
    async fn every_executor_asks_its_service() {
        let agents = [
            ("arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b2c3d", "StopTask"),
            ("arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:0a1b", "StopBuild"),
            ("arn:aws:states:us-east-1:123456789012:execution:release:0a1b", "StopExecution"),
        ];
        for (name, (agent, operation)) in executor::NAMES.into_iter().zip(agents) {
            let (aws, wire) = Wire::replying([ok(&json!({}))]);
            let executors = all(&aws, "suite");
            executors.named(name).unwrap().stop(&agent.parse().unwrap(), "no").await.unwrap();
            assert_eq!(wire.operations(), [operation], "{name}");
        }
        assert_eq!(executor::NAMES.len(), agents.len());
        let (aws, _) = Wire::replying([]);
        let unknown = all(&aws, "suite").named("jenkins").err();
        assert_eq!(unknown.map(|fault| fault.kind), Some(FaultKind::Permanent));
    }
}
