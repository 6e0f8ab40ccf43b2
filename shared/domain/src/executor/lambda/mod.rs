//! Deployments of AWS Lambda functions: new code, a version of it, and an alias that moves to the version, at once or in steps that alarms judge.
//!
//! Lambda has no token for a deployment and no events. Each step therefore looks first, and is repeated as often as needed: [`next`](Progress::next) says
//! from what was stored and what was seen which one call comes next. What it returns is stored before the call. A call whose reply was lost shows in what is
//! seen the next time: the code has the hash, publishing again returns the same version
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>), the alias is where it should be.
//!
//! The alias is moved by compare-and-set on its `RevisionId` (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>). If it is elsewhere than
//! this deployment has put it, somebody else has moved it: the deployment ends, and leaves it there.

mod progress;

use serde::{Deserialize, Serialize};

pub use self::progress::{Alarm, AlarmState, Alias, Call, Code, Done, Next, Progress, Seen, Update};
use super::placement::Placement;
use super::target::{Deploys, FileOf, Given, Step};
use super::{Capacity, Demand, Executor, ExecutorKind, Pages, Unmet};
use crate::decision::Misfit;
use crate::ids::{AgentId, AttemptId, PoolName};
use crate::record::Performer;
use crate::yaml::{FieldPath, FileError, Name, OneOrMany, Source, quoted};

/// The name of this executor.
pub const NAME: &str = "lambda";

/// A deployment runs on Lambda's own machines.
pub const CAPACITY: Capacity = Capacity::Own(NAME);

/// The most alarms of a target. `DescribeAlarms` takes as many names in one call
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>).
const MOST_ALARMS: usize = 100;

/// What a target deploys to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LambdaTarget {
    /// The function's name.
    pub function: String,
    /// The alias that moves.
    pub alias: String,
    /// The alarms that judge a deployment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

/// A deployment of a function: the target's part and the job's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LambdaExecutor {
    /// The target.
    #[serde(flatten)]
    pub target: LambdaTarget,
    /// The zip file with the code.
    pub code: FileOf,
    /// The steps in which the alias moves; without any, it moves at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shift: Vec<Step>,
}

impl Deploys for LambdaTarget {
    fn name(&self) -> &'static str {
        NAME
    }

    fn lock(&self) -> PoolName {
        PoolName::of_target(NAME, &[&self.function, &self.alias])
    }

    fn resource(&self) -> String {
        format!("alias {} of the function {}", self.alias, self.function)
    }

    fn deployment(&self, given: &Given) -> Result<Executor, Unmet> {
        let Some(code) = &given.code else {
            return Err(Unmet {
                key: "code",
                message: "missing: a function needs its code, such as `code: { from: package, path: function.zip }`".to_owned(),
            });
        };
        if !given.shift.is_empty() && self.alarms.is_empty() {
            return Err(Unmet {
                key: "shift",
                message: "nothing judges the steps, because the target has no `alarms`: expected no `shift`".to_owned(),
            });
        }
        Ok(Executor::Lambda(LambdaExecutor {
            target: self.clone(),
            code: code.clone(),
            shift: given.shift.clone(),
        }))
    }
}

impl ExecutorKind for LambdaExecutor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn performer(&self) -> Performer {
        Performer::Deploys
    }

    fn capacity(&self) -> Capacity {
        CAPACITY
    }

    /// It runs no script.
    fn check(&self, _: &Demand<'_>) -> Result<(), Unmet> {
        Ok(())
    }

    /// Lambda sends no events about deployments, so none fits.
    fn check_placement(&self, _: &AgentId, _: &AttemptId, _: &Placement) -> Result<(), Misfit> {
        Err(Misfit::Place)
    }

    fn pages(&self, _: &AgentId) -> Option<Pages> {
        None
    }
}

/// The part of a target.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Raw {
    function: Name,
    alias: Name,
    #[serde(default)]
    alarms: OneOrMany<Name>,
}

impl Raw {
    pub(super) fn read(self, source: &Source, at: &FieldPath) -> Result<LambdaTarget, FileError> {
        let Self { function, alias, alarms } = self;
        if !is_name(&function.0, 64) {
            let message = format!(
                "{} is not the name of a function: expected up to 64 letters, digits, '-' and '_', not an ARN",
                quoted(&function.0)
            );
            return Err(source.error(&at.clone().key("function"), message));
        }
        if !is_name(&alias.0, 128) || alias.0.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!(
                "{} is not an alias: expected up to 128 letters, digits, '-' and '_', not a number",
                quoted(&alias.0)
            );
            return Err(source.error(&at.clone().key("alias"), message));
        }
        if alarms.0.len() > MOST_ALARMS {
            let message = format!("{} alarms: at most {MOST_ALARMS} are possible", alarms.0.len());
            return Err(source.error(&at.clone().key("alarms"), message));
        }
        Ok(LambdaTarget {
            function: function.0,
            alias: alias.0,
            alarms: alarms.0.into_iter().map(|Name(alarm)| alarm).collect(),
        })
    }
}

/// Whether a text is the name of a function or an alias
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>, <https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html>).
fn is_name(text: &str, longest: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=longest).contains(&text.len()) && text.bytes().all(fits)
}
