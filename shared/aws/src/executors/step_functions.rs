//! Agents as executions of AWS Step Functions (<https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>).

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use bellhop_domain::agent::environment;
use bellhop_domain::agent::launched::ExecutionLaunch;
use bellhop_domain::build::Refusal;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::executor::step_functions::{self, StepFunctionsExecutor, input};
use bellhop_domain::executor::{self, LaunchId};
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Executor, Launch};
use bellhop_events::step_functions::{ExecutionFacts, attempt as attempt_of};
use futures::stream::{self, StreamExt};

use super::agent_id;
use super::throttle::LeftToQueue;
use crate::Aws;
use crate::clock::timestamp;
use crate::config::Lazy;
use crate::fault::{code_of, fault, refusal_of};

/// The most characters of the cause of a stop.
const CAUSE_LIMIT: usize = 32_768;
/// How long the description of one execution may take, so that a slow one does not hide the others: less than the caller waits for all of them.
const ONE_DESCRIPTION: Duration = Duration::from_secs(4);
/// How many executions are described in parallel: there is no call for several.
const SIDE_BY_SIDE: usize = 16;

/// AWS Step Functions.
#[derive(Debug, Clone)]
pub(super) struct Executions {
    client: Lazy<Client>,
    bucket: String,
}

impl Executions {
    pub(super) fn new(aws: &Aws, bucket: &str) -> Self {
        Self {
            client: aws.lazy(Client::new),
            bucket: bucket.to_owned(),
        }
    }

    /// Whether a launch of an attempt started an execution.
    fn is_launched(&self, spec: &BuildSpec, attempt: &AttemptId, execution: &DescribeExecutionOutput) -> Result<bool, Fault> {
        let proof = template_of(spec)?.launched(spec, attempt, &self.bucket, &launch_of(execution));
        if let Err(difference) = proof {
            let execution = execution.execution_arn();
            tracing::warn!(%attempt, execution, ?difference, "an execution with the name of an attempt is not its agent");
        }
        Ok(proof.is_ok())
    }

    /// An execution; `None` if it does not exist, or no longer: Step Functions keeps it for 90 days.
    async fn get(&self, arn: &str) -> Result<Option<DescribeExecutionOutput>, Fault> {
        match self.client.describe_execution().execution_arn(arn).send().await {
            Ok(execution) => Ok(Some(execution)),
            Err(error) if matches!(code_of(&error), Some("ExecutionDoesNotExist" | "StateMachineDoesNotExist")) => Ok(None),
            Err(error) => Err(fault(format_args!("describe execution {arn}"), error)),
        }
    }
}

#[async_trait]
impl Executor for Executions {
    /// The execution's name is the token. Step Functions answers a repeated start with the same execution while it is open, and with
    /// `ExecutionAlreadyExists` when it is closed or has another input
    /// (<https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>). The name is not secret, so that one is the attempt's only
    /// if it carries the launch.
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, _again: bool) -> Result<Launch, Fault> {
        let template = template_of(spec)?;
        let LaunchId { attempt, capacity, .. } = launch;
        let started = self
            .client
            .start_execution()
            .state_machine_arn(&template.state_machine)
            .name(step_functions::name_of(attempt))
            .input(input(&environment(spec, attempt, *capacity, &self.bucket)).to_string())
            .customize()
            .config_override(aws_sdk_sfn::config::Builder::new().retry_classifier(LeftToQueue::<StartExecutionError>::new()))
            .send()
            .await;
        match started {
            // An EXPRESS state machine has other ARNs, starts a second execution for the same name, and cannot be polled or stopped
            // (https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html).
            Ok(started) if started.execution_arn.split(':').nth(5) == Some("express") => Ok(Launch::Refused {
                refusal: Refusal::Invalid(format!(
                    "the state machine {} is not of the type STANDARD; its execution was started and cannot be stopped",
                    template.state_machine
                )),
                spent: true,
            }),
            Ok(started) => Ok(Launch::Accepted(agent_id(step_functions::NAME, &started.execution_arn)?)),
            Err(error) if code_of(&error) == Some("ExecutionAlreadyExists") => {
                let agent = agent_id(step_functions::NAME, &template.execution(attempt))?;
                let Some(execution) = self.get(agent.as_str()).await? else {
                    return Err(fault(
                        format_args!("launch {attempt}: its name is used, and {agent} is not described"),
                        error,
                    ));
                };
                Ok(match self.is_launched(spec, attempt, &execution)? {
                    true => Launch::Accepted(agent),
                    false => Launch::refused(Refusal::Invalid(format!(
                        "the name of this launch is used by {agent}, which another principal or another version of Bellhop started"
                    ))),
                })
            }
            Err(error) => match refusal_of(&error) {
                Some(refusal) => Ok(Launch::refused(refusal)),
                None => Err(fault(format_args!("launch {attempt} on Step Functions"), error)),
            },
        }
    }

    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault> {
        let stopped = self
            .client
            .stop_execution()
            .execution_arn(agent.as_str())
            .error("Bellhop")
            .cause(reason.chars().take(CAUSE_LIMIT).collect::<String>())
            .send()
            .await;
        let error = match stopped {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        // What an execution that has ended answers is not documented.
        let execution = self.get(agent.as_str()).await?;
        let is_running = execution
            .and_then(|execution| observe(&execution))
            .is_some_and(|seen| seen.is_open());
        if is_running {
            Err(fault(format_args!("stop {agent}"), error))
        } else {
            Ok(())
        }
    }

    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        let Some(execution) = self.get(&template_of(spec)?.execution(attempt)).await? else {
            return Ok(Vec::new());
        };
        let own = self.is_launched(spec, attempt, &execution)?.then(|| observe(&execution)).flatten();
        Ok(own.into_iter().filter(Observation::is_open).collect())
    }

    async fn prove(&self, spec: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Result<Option<Observation>, Fault> {
        if agent.as_str() != template_of(spec)?.execution(attempt) {
            return Ok(None);
        }
        let Some(execution) = self.get(agent.as_str()).await? else {
            return Ok(None);
        };
        Ok(self.is_launched(spec, attempt, &execution)?.then(|| observe(&execution)).flatten())
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        let asking: Vec<_> = agents
            .iter()
            .map(|agent| async move {
                let answer = tokio::time::timeout(ONE_DESCRIPTION, self.get(agent.as_str())).await;
                let late = |_| {
                    Err(Fault::transient(format!(
                        "failed to describe execution {agent}: no answer within {} s",
                        ONE_DESCRIPTION.as_secs()
                    )))
                };
                (agent, answer.unwrap_or_else(late))
            })
            .collect();
        let mut asking = stream::iter(asking).buffered(SIDE_BY_SIDE);
        let (mut all, mut fault) = (Vec::with_capacity(agents.len()), None);
        while let Some((agent, answer)) = asking.next().await {
            match answer {
                Ok(None) => all.push((agent.clone(), None)),
                // One that exists but cannot be parsed is not missing: it has no entry in the result.
                Ok(Some(execution)) => all.extend(observe(&execution).map(|observation| (agent.clone(), Some(observation)))),
                Err(other) => {
                    fault.get_or_insert(other);
                }
            }
        }
        (all, fault)
    }

    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        let execution = self.get(agent.as_str()).await?;
        Ok(execution.and_then(|execution| {
            let attempt = attempt_of(execution.name()?, execution.input()?)?;
            Some((attempt, observe(&execution)?))
        }))
    }
}

fn template_of(spec: &BuildSpec) -> Result<&StepFunctionsExecutor, Fault> {
    match &spec.executor {
        executor::Executor::StepFunctions(template) => Ok(template),
        _ => Err(Fault::permanent(format!("build {} does not run on Step Functions", spec.id))),
    }
}

fn launch_of(execution: &DescribeExecutionOutput) -> ExecutionLaunch {
    ExecutionLaunch {
        execution: execution.execution_arn().to_owned(),
        state_machine: execution.state_machine_arn().to_owned(),
        input: execution.input().and_then(|input| serde_json::from_str(input).ok()),
        has_more: execution.state_machine_version_arn().is_some() || execution.state_machine_alias_arn().is_some(),
    }
}

fn observe(execution: &DescribeExecutionOutput) -> Option<Observation> {
    let facts = ExecutionFacts {
        arn: execution.execution_arn().to_owned(),
        status: execution.status().as_str().to_owned(),
        started_at: timestamp(execution.start_date()),
        stopped_at: execution.stop_date().and_then(timestamp),
        error: execution.error().map(ToOwned::to_owned),
        cause: execution.cause().map(ToOwned::to_owned),
    };
    match facts.observation() {
        Ok(observation) => Some(observation),
        Err(error) => {
            tracing::warn!(execution = facts.arn, %error, "Step Functions returned an execution that cannot be parsed");
            None
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::build::Refusal;
    use bellhop_domain::executor::Executor as Template;
    use bellhop_domain::executor::observation::{AgentStatus, StopCause};
    use bellhop_domain::executor::step_functions::{CAPACITY, name_of};
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{self, Reply, Wire, broken, ecs_spec, ok, refused, silent};

    const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:bellhop-agent-release";

    fn spec() -> BuildSpec {
        BuildSpec {
            executor: Template::StepFunctions(StepFunctionsExecutor {
                state_machine: MACHINE.to_owned(),
            }),
            ..testing::spec()
        }
    }

    fn arn(name: &str) -> String {
        format!("arn:aws:states:eu-west-1:123456789012:execution:bellhop-agent-release:{name}")
    }

    fn own() -> AgentId {
        arn(&name_of(&testing::attempt())).parse().unwrap()
    }

    /// The execution of the tests' attempt, as `DescribeExecution` shows it.
    fn execution(status: &str) -> Value {
        let environment = environment(&spec(), &testing::attempt(), CAPACITY, "suite");
        json!({
            "executionArn": own().as_str(), "stateMachineArn": MACHINE, "name": name_of(&testing::attempt()), "status": status,
            "startDate": 1_790_000_000, "input": input(&environment).to_string(), "inputDetails": { "included": true },
        })
    }

    fn described(status: &str) -> Reply {
        ok(&execution(status))
    }

    fn started() -> Reply {
        ok(&json!({ "executionArn": own().as_str(), "startDate": 1_790_000_000 }))
    }

    fn unknown() -> Reply {
        refused("ExecutionDoesNotExist", "Execution Does Not Exist")
    }

    async fn launch(spec: &BuildSpec, reply: Option<Reply>, again: bool) -> (Result<Launch, Fault>, Vec<(String, Value)>) {
        let (aws, wire) = Wire::replying(reply);
        let id = LaunchId::first(testing::attempt(), CAPACITY);
        let launched = Executions::new(&aws, "suite").launch(spec, &id, again).await;
        (launched, wire.asked())
    }

    #[tokio::test]
    async fn an_execution_is_started_with_its_name_and_environment() {
        let (launched, asked) = launch(&spec(), Some(started()), false).await;
        assert_eq!(launched.unwrap(), Launch::Accepted(own()));
        let [(operation, body)]: [(String, Value); 1] = asked.try_into().unwrap();
        assert_eq!(operation, "StartExecution");
        assert_eq!(body["stateMachineArn"], MACHINE);
        assert_eq!(body["name"], name_of(&testing::attempt()));
        let given: Value = serde_json::from_str(body["input"].as_str().unwrap()).unwrap();
        let environment = &given["environment"];
        assert_eq!(environment["BELLHOP_SCRIPT"], "make image");
        assert_eq!(environment["BELLHOP_BUILD"], "abcdefghij/image");
        assert_eq!(environment["BELLHOP_CAPACITY"], "step-functions");
        assert_eq!(environment["LEVEL"], "");
    }

    #[tokio::test]
    async fn a_repeated_start_is_the_same_request_and_leads_to_the_same_execution() {
        let (_, first) = launch(&spec(), Some(started()), false).await;
        let (launched, second) = launch(&spec(), Some(started()), true).await;
        assert_eq!(launched.unwrap(), Launch::Accepted(own()));
        assert_eq!(first, second, "another input would be another execution");
        let again = async |answer: Reply| {
            let closed = refused("ExecutionAlreadyExists", "Execution Already Exists: 'x'");
            let (aws, wire) = Wire::replying([closed, answer]);
            let id = LaunchId::first(testing::attempt(), CAPACITY);
            let launched = Executions::new(&aws, "suite").launch(&spec(), &id, true).await;
            assert_eq!(wire.operations(), ["StartExecution", "DescribeExecution"]);
            launched
        };
        assert_eq!(
            again(described("SUCCEEDED")).await.unwrap(),
            Launch::Accepted(own()),
            "it has ended already"
        );
        let mut imitation = execution("RUNNING");
        imitation["input"] = json!(r#"{"environment":{}}"#);
        let why = format!(
            "the name of this launch is used by {}, which another principal or another version of Bellhop started",
            own()
        );
        assert_eq!(again(ok(&imitation)).await.unwrap(), Launch::refused(Refusal::Invalid(why)));
        assert!(again(unknown()).await.is_err(), "it is not known who started it");
    }

    #[tokio::test]
    async fn an_execution_with_the_name_of_an_attempt_is_not_its_agent() {
        let ask = async |execution: &Value| {
            let (aws, _) = Wire::replying([ok(execution), ok(execution)]);
            let executions = Executions::new(&aws, "suite");
            let proven = executions.prove(&spec(), &testing::attempt(), &own()).await.unwrap();
            let found = executions.find(&spec(), &testing::attempt()).await.unwrap();
            (proven.is_some(), found.len())
        };
        assert_eq!(ask(&execution("RUNNING")).await, (true, 1));
        assert_eq!(ask(&execution("SUCCEEDED")).await, (true, 0));
        for (key, value) in [
            ("input", json!(r#"{"environment":{"BELLHOP_SCRIPT":"evil"}}"#)),
            ("input", json!(null)),
            ("stateMachineArn", json!(format!("{MACHINE}-2"))),
            ("stateMachineVersionArn", json!(format!("{MACHINE}:7"))),
            ("stateMachineAliasArn", json!(format!("{MACHINE}:old"))),
        ] {
            let mut imitation = execution("RUNNING");
            imitation[key] = value;
            assert_eq!(ask(&imitation).await, (false, 0), "{key}");
        }
        let (aws, wire) = Wire::replying([]);
        let other = arn("other").parse().unwrap();
        let proven = Executions::new(&aws, "suite").prove(&spec(), &testing::attempt(), &other).await;
        assert_eq!((proven.unwrap(), wire.asked().len()), (None, 0), "it has another name");
    }

    #[tokio::test(start_paused = true)]
    async fn each_refusal_has_its_class() {
        let text = |code: &str| format!("{code}: no");
        for (code, expected) in [
            ("ExecutionLimitExceeded", Refusal::AccountLimit(text("ExecutionLimitExceeded"))),
            ("ThrottlingException", Refusal::Throttled(text("ThrottlingException"))),
            ("KmsThrottlingException", Refusal::Throttled(text("KmsThrottlingException"))),
            ("StateMachineDoesNotExist", Refusal::Invalid(text("StateMachineDoesNotExist"))),
            ("StateMachineDeleting", Refusal::Invalid(text("StateMachineDeleting"))),
            ("InvalidExecutionInput", Refusal::Invalid(text("InvalidExecutionInput"))),
            ("InvalidArn", Refusal::Invalid(text("InvalidArn"))),
            ("AccessDeniedException", Refusal::Unknown(text("AccessDeniedException"))),
            ("KmsAccessDeniedException", Refusal::Unknown(text("KmsAccessDeniedException"))),
        ] {
            let (launched, _) = launch(&spec(), Some(refused(code, "no")), false).await;
            assert_eq!(launched.unwrap(), Launch::refused(expected));
        }
        for open in [broken(), ok(&json!({}))] {
            let (launched, _) = launch(&spec(), Some(open.clone()), false).await;
            assert!(launched.is_err(), "{open:?}");
        }
    }

    #[tokio::test]
    async fn an_express_state_machine_is_refused_and_not_started_again() {
        let express = "arn:aws:states:eu-west-1:123456789012:express:bellhop-agent-release:0f1e:2d3c";
        let started = ok(&json!({ "executionArn": express, "startDate": 1_790_000_000 }));
        let (launched, asked) = launch(&spec(), Some(started), false).await;
        let why = format!("the state machine {MACHINE} is not of the type STANDARD; its execution was started and cannot be stopped");
        let refused = Launch::Refused {
            refusal: Refusal::Invalid(why),
            spent: true,
        };
        assert_eq!((launched.unwrap(), asked.len()), (refused, 1));
    }

    #[tokio::test]
    async fn a_build_of_another_executor_is_not_started() {
        let (launched, asked) = launch(&ecs_spec(), None, false).await;
        assert!(launched.is_err() && asked.is_empty());
    }

    #[tokio::test]
    async fn one_under_way_is_found_by_its_name() {
        let find = async |reply: Reply| {
            let (aws, wire) = Wire::replying([reply]);
            let found = Executions::new(&aws, "suite").find(&spec(), &testing::attempt()).await;
            let asked = ("DescribeExecution".to_owned(), json!({ "executionArn": own().as_str() }));
            assert_eq!(wire.asked(), [asked]);
            found.map(|found| found.into_iter().map(|seen| seen.agent).collect::<Vec<_>>())
        };
        assert_eq!(find(described("RUNNING")).await.unwrap(), [own()]);
        for none in [
            described("SUCCEEDED"),
            described("DREAMING"),
            unknown(),
            refused("StateMachineDoesNotExist", "no"),
        ] {
            assert_eq!(find(none).await.unwrap(), []);
        }
        assert!(find(broken()).await.is_err());
    }

    #[tokio::test]
    async fn a_fault_of_one_description_leaves_the_others() {
        let agents: Vec<AgentId> = ["a", "b", "c", "d"].map(|name| arn(name).parse().unwrap()).into();
        let named = |name: &str, status: &str| {
            let mut execution = execution(status);
            execution["executionArn"] = arn(name).into();
            ok(&execution)
        };
        let (aws, wire) = Wire::replying([named("a", "RUNNING"), broken(), unknown(), named("d", "DREAMING")]);
        let (described, fault) = Executions::new(&aws, "suite").describe(&agents).await;
        assert!(fault.is_some());
        assert_eq!(wire.operations(), ["DescribeExecution"; 4]);
        let seen: Vec<(&AgentId, bool)> = described.iter().map(|(agent, seen)| (agent, seen.is_some())).collect();
        assert_eq!(
            seen,
            [(&agents[0], true), (&agents[2], false)],
            "one that cannot be parsed is not missing"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_description_without_an_answer_leaves_the_others() {
        let agents: Vec<AgentId> = ["a", "b"].map(|name| arn(name).parse().unwrap()).into();
        let (aws, _) = Wire::replying([silent(), unknown()]);
        let (described, fault) = Executions::new(&aws, "suite").describe(&agents).await;
        let why = format!("failed to describe execution {}: no answer within 4 s", agents[0]);
        assert_eq!(fault.map(|fault| fault.what), Some(why));
        assert_eq!(described, [(agents[1].clone(), None)]);
    }

    #[tokio::test]
    async fn one_that_has_ended_is_stopped() {
        let stop = async |replies: Vec<Reply>| {
            let (aws, wire) = Wire::replying(replies);
            let stopped = Executions::new(&aws, "suite").stop(&own(), "superseded").await;
            let body = json!({ "executionArn": own().as_str(), "error": "Bellhop", "cause": "superseded" });
            assert_eq!(wire.asked()[0], ("StopExecution".to_owned(), body));
            stopped
        };
        let refusal = || refused("ValidationException", "no");
        assert!(stop(vec![ok(&json!({ "stopDate": 1_790_000_000 }))]).await.is_ok());
        assert!(stop(vec![refusal(), described("FAILED")]).await.is_ok());
        assert!(stop(vec![unknown(), unknown()]).await.is_ok());
        assert!(stop(vec![refusal(), described("RUNNING")]).await.is_err());
        assert!(stop(vec![broken(), broken()]).await.is_err());
    }

    #[tokio::test]
    async fn an_execution_names_its_attempt() {
        let identify = async |reply: Reply| {
            let (aws, _) = Wire::replying([reply]);
            Executions::new(&aws, "suite").identify(&own()).await
        };
        let mut failed = execution("FAILED");
        (failed["error"], failed["cause"], failed["stopDate"]) = (json!("Refused"), json!("no"), json!(1_790_000_100));
        let (attempt, seen) = identify(ok(&failed)).await.unwrap().unwrap();
        assert_eq!((attempt, &seen.agent), (testing::attempt(), &own()));
        let AgentStatus::Stopped(stop) = seen.status else {
            unreachable!("it has failed")
        };
        assert_eq!((stop.cause, stop.reason.as_deref()), (StopCause::Definition, Some("Refused: no")));
        let (mut child, mut other) = (execution("RUNNING"), execution("RUNNING"));
        child["name"] = "0f1e2d3c".into();
        other["input"] = "{}".into();
        for none in [ok(&child), ok(&other), unknown()] {
            assert_eq!(identify(none).await.unwrap(), None);
        }
        assert!(identify(broken()).await.is_err());
    }
}
