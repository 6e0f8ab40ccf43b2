//! ECS: tasks with the real life cycle, tokens, refusals, and scripts in them whose true end only this module knows.
//!
//! And CodeBuild and Step Functions, whose builds and executions live like tasks as far as anybody asks here, except for what [`Task::of`] tells.

mod capacity;
mod creation;
mod executions;
mod life;
mod orphans;
mod task;
mod tokens;

use std::collections::BTreeMap;

use bellhop_domain::build::Refusal;
use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::{LaunchId, Placement};
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_model::tokens::Tokens;

use crate::world::{Millis, World};
pub(crate) use executions::MACHINE;
pub(crate) use orphans::{describe, find, identify, prove, started_before, stop_task};
pub(crate) use task::{ACCOUNT, Failure, Of, Step, Task, Truth, cluster, short};
pub(crate) use tokens::run_task;

#[derive(Default)]
pub(crate) struct Ecs {
    pub(crate) tasks: Vec<Task>,
    /// What each token made, which is a task, or was refused with in a 200, and for which launch.
    tokens: Tokens<(AttemptId, Capacity), usize, (LaunchId, Refusal), Millis>,
    by_agent: BTreeMap<AgentId, usize>,
}

impl World {
    /// A task of this name, if there ever was one.
    pub(crate) fn task(&self, agent: &AgentId) -> Option<&Task> {
        self.ecs.by_agent.get(agent).and_then(|index| self.ecs.tasks.get(*index))
    }

    /// Where a task runs, as its events say it; of what is none, only the account.
    pub(crate) fn placement(&self, agent: &AgentId) -> Placement {
        let account = || Placement {
            account: Some(ACCOUNT.to_owned()),
            ..Placement::default()
        };
        self.task(agent).map_or_else(account, Task::placement)
    }
}
