//! Executions of a state machine of AWS Step Functions: the way to any place that a state machine can reach, such as a fleet of one's own whose workers
//! poll an activity.
//!
//! The state machine gets the agent's environment as its input, and decides what it does with the script in it. An execution that succeeds is a
//! success.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pages::{Pages, ResourceName, console_of};
use super::placement::Placement;
use super::{Capacity, Demand, ExecutorKind, LaunchId, Unmet};
use crate::decision::Misfit;
use crate::ids::{AgentId, AttemptId};
use crate::yaml::{Arn, FieldPath, FileError, Source};

/// The name of this executor.
pub const NAME: &str = "step-functions";

/// What the state machine runs on is its own concern.
pub const CAPACITY: Capacity = Capacity::Own(NAME);

/// The key of the environment in an execution's input.
pub const ENVIRONMENT: &str = "environment";

/// The most bytes of an execution's input (<https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>).
const INPUT_LIMIT: usize = 262_144;

/// Space kept free below the limit for a longer attempt number than at planning time.
const INPUT_MARGIN: usize = 64;

/// An agent template on Step Functions: parameters of `StartExecution`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFunctionsExecutor {
    /// The ARN of the state machine, which is of the type STANDARD.
    pub state_machine: String,
}

impl StepFunctionsExecutor {
    /// The id of an attempt's execution. Its name is the token of the attempt's first launch, so that every start gives the same execution; a name is
    /// used up for 90 days (<https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>).
    #[must_use]
    pub fn execution(&self, attempt: &AttemptId) -> String {
        let machine = self.state_machine.replacen(":stateMachine:", ":execution:", 1);
        format!("{machine}:{}", name_of(attempt))
    }
}

/// The name of an attempt's execution.
#[must_use]
pub fn name_of(attempt: &AttemptId) -> String {
    LaunchId::first(attempt.clone(), CAPACITY).token()
}

/// The input of an execution.
#[must_use]
pub fn input(environment: &BTreeMap<String, String>) -> Value {
    json!({ ENVIRONMENT: environment })
}

impl ExecutorKind for StepFunctionsExecutor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capacity(&self) -> Capacity {
        CAPACITY
    }

    fn takes(&self, environment: &BTreeMap<String, String>) -> bool {
        input(environment).to_string().len() + INPUT_MARGIN <= INPUT_LIMIT
    }

    /// There is no agent of Bellhop's that could fetch secrets.
    fn check(&self, demand: &Demand<'_>) -> Result<(), Unmet> {
        demand.script_of_its_own()?;
        demand.fetches_nothing()?;
        if demand.secrets.is_empty() {
            return Ok(());
        }
        Err(Unmet {
            key: "secrets",
            message: format!(
                "secrets need an agent on ECS or CodeBuild, and `{}` is none: expected no `secrets`; the state machine can read them itself",
                demand.agent
            ),
        })
    }

    /// Only the execution of the template's state machine with the attempt's name: a state machine may start others with its own input and name.
    fn check_placement(&self, agent: &AgentId, attempt: &AttemptId, placement: &Placement) -> Result<(), Misfit> {
        let name = ResourceName::of(agent, "states").ok_or(Misfit::Place)?;
        placement.check_account(&name)?;
        let is_machine = placement.place.as_ref().is_none_or(|place| *place == self.state_machine);
        if agent.as_str() == self.execution(attempt) && is_machine {
            Ok(())
        } else {
            Err(Misfit::Place)
        }
    }

    fn pages(&self, agent: &AgentId) -> Option<Pages> {
        let name = ResourceName::of(agent, "states")?;
        let (_, id) = name.resource.strip_prefix("execution:")?.split_once(':')?;
        let (console, region) = (console_of(&name), name.region);
        let page = format!("{console}/states/home?region={region}#/v2/executions/details/{agent}");
        Some(Pages {
            agent: page.clone(),
            log: page,
            id: id.to_owned(),
            region: region.to_owned(),
            console,
        })
    }
}

/// The part of an agent template.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Raw {
    state_machine: Arn,
}

impl Raw {
    pub(super) fn read(self, source: &Source, at: &FieldPath) -> Result<StepFunctionsExecutor, FileError> {
        let Arn(state_machine) = self.state_machine;
        // A version or an alias has one part more; the ARN of its executions is not made from it.
        let parts: Vec<&str> = state_machine.split(':').collect();
        if !matches!(parts[..], [_, _, "states", _, _, "stateMachine", name] if !name.is_empty()) {
            let message = "expected the ARN of a state machine, such as arn:aws:states:us-east-1:123456789012:stateMachine:release";
            return Err(source.error(&at.clone().key("state-machine"), message));
        }
        Ok(StepFunctionsExecutor { state_machine })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::agent::{environment, fits_environment};
    use crate::config::SuiteConfig;
    use crate::executor::{Executor, Script};
    use crate::spec::BuildSpec;
    use crate::testing::spec;

    const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:bellhop-agent-release";

    fn release() -> StepFunctionsExecutor {
        StepFunctionsExecutor {
            state_machine: MACHINE.to_owned(),
        }
    }

    fn attempt(number: u32) -> AttemptId {
        AttemptId { build: spec().id, number }
    }

    fn parse(value: &str) -> Result<SuiteConfig, String> {
        let text = format!("version: 1\nagents:\n  release:\n    step-functions:\n      state-machine: '{value}'\n");
        SuiteConfig::parse(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_template_names_its_state_machine() {
        let config = parse(MACHINE).unwrap();
        let executors: Vec<Executor> = config.agents.into_values().map(|agent| agent.executor).collect();
        assert_eq!(executors, [Executor::StepFunctions(release())]);
    }

    #[test]
    fn what_is_not_a_state_machine_is_refused_with_its_line() {
        for other in [
            "arn:aws:states:us-east-1:123456789012:execution:release:1",
            "arn:aws:states:us-east-1:123456789012:activity:release",
            "arn:aws:states:us-east-1:123456789012:express:release:1:2",
            "arn:aws:lambda:us-east-1:123456789012:stateMachine:release",
            "arn:aws:states:us-east-1:123456789012:stateMachine:",
            "arn:aws:states:us-east-1:123456789012:stateMachine:release:7",
            "arn:aws:states:us-east-1:123456789012:stateMachine:release:live",
        ] {
            let error = parse(other).unwrap_err();
            let expected =
                "line 5, agents.release.step-functions.state-machine: expected the ARN of a state machine, such as arn:aws:states:";
            assert!(error.contains(expected), "{other}: {error}");
        }
        assert!(parse("release").unwrap_err().contains("is not a valid ARN"), "a name alone");
    }

    #[test]
    fn an_attempts_execution_has_one_name_on_every_try() {
        let name = name_of(&attempt(1));
        assert_eq!(name, name_of(&attempt(1)));
        assert_ne!(name, name_of(&attempt(2)));
        // https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html: up to 80 characters.
        assert!(
            name.len() <= 80 && name.chars().all(|letter| letter.is_ascii_alphanumeric()),
            "{name}"
        );
        let arn = release().execution(&attempt(1));
        assert_eq!(
            arn,
            format!("arn:aws:states:us-east-1:123456789012:execution:bellhop-agent-release:{name}")
        );
    }

    #[test]
    fn only_its_own_execution_carries_an_attempt() {
        let of = |arn: &str, placement: &Placement| release().check_placement(&arn.parse().unwrap(), &attempt(1), placement);
        let carries = |arn: &str| of(arn, &Placement::default()).is_ok();
        let own = release().execution(&attempt(1));
        assert!(carries(&own));
        assert!(!carries(&own.replace("bellhop-agent-release", "other")), "another state machine");
        assert!(!carries(&release().execution(&attempt(2))), "another attempt");
        assert!(!carries("arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b"));
        let at = |account: &str, machine: &str| Placement {
            account: Some(account.to_owned()),
            place: Some(machine.to_owned()),
            definition: None,
        };
        assert_eq!(of(&own, &at("123456789012", MACHINE)), Ok(()));
        assert_eq!(of(&own, &at("210987654321", MACHINE)), Err(Misfit::Account));
        assert_eq!(of(&own, &at("123456789012", &format!("{MACHINE}-2"))), Err(Misfit::Place));
    }

    #[test]
    fn a_script_that_fits_is_in_the_input_and_a_longer_one_in_the_bucket() {
        let with = |length: usize| BuildSpec {
            executor: Executor::StepFunctions(release()),
            script: Script::Inline("x".repeat(length)),
            ..spec()
        };
        let length = |script: usize| {
            let spec = with(script);
            input(&environment(&spec, &attempt(1), CAPACITY, "suite")).to_string().len()
        };
        let most = INPUT_LIMIT - INPUT_MARGIN - length(0);
        assert!(fits_environment(&with(most), "suite"));
        assert!(!fits_environment(&with(most + 1), "suite"));
    }

    #[test]
    fn a_buildspec_needs_codebuild_and_secrets_an_agent_that_fetches_them() {
        let demand = |script, secrets| {
            let demand = Demand {
                agent: "release",
                script: &script,
                environment: &BTreeMap::new(),
                secrets,
                artifacts: &["dist/*".to_owned()],
                fetches: false,
            };
            release().check(&demand)
        };
        let script = || Script::Inline("make release".to_owned());
        assert_eq!(demand(script(), ""), Ok(()));
        let unmet = demand(script(), "TOKEN ssm /bellhop/shop/token").unwrap_err();
        assert_eq!(unmet.key, "secrets");
        assert!(
            unmet
                .message
                .starts_with("secrets need an agent on ECS or CodeBuild, and `release` is none")
        );
        let unmet = demand(Script::Buildspec("release.yml".to_owned()), "").unwrap_err();
        assert_eq!(unmet.key, "buildspec");
        assert_eq!(
            unmet.message,
            "a buildspec needs a CodeBuild agent, and `release` is none: expected `run`"
        );
    }

    #[test]
    fn an_execution_leads_to_its_page_in_its_partition() {
        let arn = "arn:aws-cn:states:cn-north-1:123456789012:execution:release:0f1e";
        let pages = release().pages(&arn.parse().unwrap()).unwrap();
        let page = format!("https://cn-north-1.console.amazonaws.cn/states/home?region=cn-north-1#/v2/executions/details/{arn}");
        assert_eq!([&pages.agent, &pages.log, &pages.id], [&page, &page, "0f1e"]);
        for other in [
            "arn:aws:states:us-east-1:123456789012:stateMachine:release",
            "arn:aws:states:us-east-1:123456789012:execution:release",
            "arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b",
        ] {
            assert_eq!(release().pages(&other.parse().unwrap()), None, "{other}");
        }
    }
}
