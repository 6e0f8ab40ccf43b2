//! Executors: the services that carry attempts, as far as decisions depend on them.
//!
//! One file per executor. It holds the executor's part of an agent template, its rules ([`ExecutorKind`], in `kind`), and what the service is called
//! with. The registry is in this file: a variant, a line in [`Executor::kind`], in [`NAMES`] and in `RawTemplate`. No other production file asks which executor
//! a build has, except the executor's own: its parser in `bellhop-events` and its adapter in `bellhop-aws`.
//!
//! Also here: the capacity of an attempt, the identity of a launch, and observations of agents, which are the same for all executors.
//!
//! What does not belong here: decisions about builds (`build`), and calls to services.

pub mod capacity;
pub mod codebuild;
pub mod ecs;
mod kind;
pub mod lambda;
pub mod launch;
mod logs;
pub mod observation;
mod pages;
mod place;
pub mod placement;
pub mod step_functions;
pub mod target;

use serde::de::Unexpected;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::capacity::Capacity;
pub use self::codebuild::CodeBuildExecutor;
pub use self::ecs::{EcsExecutor, Providers};
pub use self::kind::{Demand, ExecutorKind, LAUNCH_TIMEOUT, Script, Unmet};
pub use self::lambda::LambdaExecutor;
pub use self::launch::LaunchId;
pub use self::logs::{LogStream, Logs};
pub use self::pages::Pages;
pub use self::place::{Folder, Place};
pub use self::placement::Placement;
pub use self::step_functions::StepFunctionsExecutor;
use crate::patterns::{RefPattern, Refs};
use crate::queue::pool::MOST_SLOTS;
use crate::yaml::{FieldPath, FileError, Flag, OneOrMany, Source, Whole};

/// The service that carries the attempts of an agent template, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Executor {
    /// A task of Amazon ECS.
    Ecs(EcsExecutor),
    /// A build of AWS CodeBuild.
    #[serde(rename = "codebuild")]
    CodeBuild(CodeBuildExecutor),
    /// An execution of AWS Step Functions.
    StepFunctions(StepFunctionsExecutor),
    /// A deployment of a function of AWS Lambda.
    Lambda(LambdaExecutor),
}

/// The names of all executors: their keys in the suite configuration.
pub const NAMES: [&str; 3] = [ecs::NAME, codebuild::NAME, step_functions::NAME];

impl Executor {
    /// The rules of this executor.
    #[must_use]
    pub fn kind(&self) -> &dyn ExecutorKind {
        match self {
            Self::Ecs(ecs) => ecs,
            Self::CodeBuild(codebuild) => codebuild,
            Self::StepFunctions(step_functions) => step_functions,
            Self::Lambda(lambda) => lambda,
        }
    }

    /// The capacity to use for a wanted one: the wanted one if the template has it, otherwise the one that every job may use.
    #[must_use]
    pub fn nearest(&self, wanted: Capacity) -> Capacity {
        let kind = self.kind();
        if kind.offers(wanted) { wanted } else { kind.capacity() }
    }
}

/// An agent template of the suite configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTemplate {
    /// The service that carries its attempts, and what that service is called with.
    pub executor: Executor,
    /// How many agents there may be at a time.
    pub max_concurrent: Option<u32>,
    /// Only for repositories that `repositories` gives it to.
    pub restricted: bool,
    /// The branches and tags whose runs it serves. With `None`, it serves all of them.
    pub refs: Option<Refs>,
}

/// The same as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawTemplate {
    ecs: Option<ecs::Raw>,
    codebuild: Option<codebuild::Raw>,
    step_functions: Option<step_functions::Raw>,
    max_concurrent: Option<Whole>,
    #[serde(default)]
    restricted: Flag,
    refs: Option<OneOrMany<RefPattern>>,
}

impl RawTemplate {
    /// Reads the template with its one executor.
    pub(crate) fn read(self, source: &Source, at: &FieldPath) -> Result<AgentTemplate, FileError> {
        let under = |name: &str| at.clone().key(name);
        let given = [
            self.ecs.map(|raw| raw.read(source, &under(ecs::NAME)).map(Executor::Ecs)),
            self.codebuild.map(|raw| Ok(Executor::CodeBuild(raw.read()))),
            self.step_functions
                .map(|raw| raw.read(source, &under(step_functions::NAME)).map(Executor::StepFunctions)),
        ];
        let mut given = given.into_iter().flatten();
        let executor = match (given.next(), given.next()) {
            (Some(executor), None) => executor?,
            (Some(_), Some(_)) => {
                let names = NAMES.map(quoted).join(" and ");
                return Err(source.error(at, format!("{names} exclude each other: expected one of them")));
            }
            (None, _) => {
                let [first, others @ ..] = NAMES.map(quoted);
                return Err(source.error(at, format!("missing key {first} (or {})", others.join(", "))));
            }
        };
        if let Some(Whole(most)) = self.max_concurrent
            && !(1..=MOST_SLOTS).contains(&most)
        {
            let text = format!("`{most}` is out of bounds: expected 1 to {MOST_SLOTS}");
            return Err(source.error(&at.clone().key("max-concurrent"), text));
        }
        let refs = self.refs.map(|refs| Refs::read(source, &under("refs"), refs)).transpose()?;
        Ok(AgentTemplate {
            executor,
            max_concurrent: self.max_concurrent.map(|Whole(most)| most),
            restricted: self.restricted.0,
            refs,
        })
    }
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// From the name of a capacity in the ledger.
impl<'de> Deserialize<'de> for Capacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let own = NAMES.into_iter().chain(target::TARGETS).map(Capacity::Own);
        [Capacity::Spot, Capacity::OnDemand]
            .into_iter()
            .chain(own)
            .find(|capacity| capacity.as_str() == name)
            .ok_or_else(|| serde::de::Error::invalid_value(Unexpected::Str(&name), &"a capacity"))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::SuiteConfig;
    use crate::testing::spec;

    const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:release";

    /// One of each, in the order of [`NAMES`].
    fn every() -> [Executor; NAMES.len()] {
        let codebuild = CodeBuildExecutor {
            project: "ci-docker".to_owned(),
            logs: None,
        };
        let step_functions = StepFunctionsExecutor {
            state_machine: MACHINE.to_owned(),
        };
        [
            spec().executor,
            Executor::CodeBuild(codebuild),
            Executor::StepFunctions(step_functions),
        ]
    }

    fn template(parts: &[&str]) -> Result<SuiteConfig, String> {
        let parts = parts.join(", ");
        SuiteConfig::parse(&format!("version: 1\nagents:\n  small: {{ {parts} }}\n")).map_err(|error| error.to_string())
    }

    const PARTS: [&str; NAMES.len()] = [
        "ecs: { cluster: c, task-definition: t, subnets: [s] }",
        "codebuild: { project: p }",
        "step-functions: { state-machine: 'arn:aws:states:us-east-1:123456789012:stateMachine:release' }",
    ];

    #[test]
    fn names_are_unique_and_those_of_the_kinds() {
        assert_eq!(every().map(|executor| executor.kind().name()), NAMES);
        assert_eq!(BTreeSet::from(NAMES).len(), NAMES.len());
        let capacities = [Capacity::Spot, Capacity::OnDemand].map(Capacity::as_str);
        assert!(
            !NAMES.iter().any(|name| capacities.contains(name)),
            "each is the name of a capacity, too"
        );
    }

    #[test]
    fn an_executor_is_stored_and_configured_under_its_name() {
        for ((executor, name), part) in every().into_iter().zip(NAMES).zip(PARTS) {
            let stored = serde_json::to_value(&executor).unwrap();
            assert!(stored.get(name).is_some(), "{stored}");
            assert_eq!(serde_json::from_value::<Executor>(stored).unwrap(), executor);
            let config = template(&[part]).unwrap();
            let read: Vec<&str> = config.agents.values().map(|agent| agent.executor.kind().name()).collect();
            assert_eq!(read, [name]);
        }
    }

    #[test]
    fn a_template_has_one_executor() {
        let none = template(&["max-concurrent: 2"]).unwrap_err();
        assert!(
            none.contains("line 3, agents.small: missing key `ecs` (or `codebuild`, `step-functions`);"),
            "{none}"
        );
        let all = template(&PARTS).unwrap_err();
        assert!(
            all.contains("line 3, agents.small: `ecs` and `codebuild` and `step-functions` exclude each other: expected one of them;"),
            "{all}"
        );
        for name in NAMES.map(quoted) {
            assert!(none.contains(&name) && all.contains(&name), "{name}: {none}; {all}");
        }
    }

    #[test]
    fn a_stored_capacity_reads_back() {
        let own = every().map(|executor| executor.kind().capacity());
        assert_eq!(own, [Capacity::OnDemand, codebuild::CAPACITY, step_functions::CAPACITY]);
        let names = ["spot", "on-demand", "codebuild", "step-functions"];
        for (capacity, name) in [Capacity::Spot].into_iter().chain(own).zip(names) {
            let stored = serde_json::to_value(capacity).unwrap();
            assert_eq!(stored, name);
            assert_eq!(serde_json::from_value::<Capacity>(stored).unwrap(), capacity);
        }
    }

    #[test]
    fn an_unknown_capacity_is_an_error() {
        for name in ["code-build", "Spot", "on-demand ", ""] {
            let error = serde_json::from_value::<Capacity>(name.into()).unwrap_err().to_string();
            assert_eq!(error, format!("invalid value: string \"{name}\", expected a capacity"));
        }
        assert!(serde_json::from_str::<Capacity>("7").is_err());
    }

    #[test]
    fn the_nearest_capacity_is_one_that_the_template_offers() {
        for executor in every() {
            for wanted in [Capacity::Spot, Capacity::OnDemand, codebuild::CAPACITY, step_functions::CAPACITY] {
                let nearest = executor.nearest(wanted);
                assert!(executor.kind().offers(nearest), "{nearest}");
                assert_eq!(nearest == wanted, executor.kind().offers(wanted));
            }
            assert!(executor.kind().offers(executor.kind().capacity()));
        }
    }
}
