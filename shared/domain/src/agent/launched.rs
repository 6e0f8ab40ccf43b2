//! Proof that Bellhop launched an agent: what a service shows of the agent, against everything that a launch of its attempt gives.
//!
//! `startedBy` and `BELLHOP_*` variables prove nothing, because each principal that may start a task can set them. An agent that a record does not know becomes an
//! attempt's agent in two ways only: a launch returns it under the attempt's token, or the service describes it and nothing differs from the launch. The
//! same holds for a stray: an agent that is not proven, and not recorded, is never stopped.
//!
//! Values of variables are compared as a digest, so that none of them gets further than to where the service's answer is read.

use sha2::{Digest as _, Sha256};

use super::environment;
use crate::executor::codebuild::{self, buildspec};
use crate::executor::placement::{is_definition, is_same_name};
use crate::executor::{Capacity, CodeBuildExecutor, EcsExecutor, StepFunctionsExecutor, step_functions};
use crate::ids::AttemptId;
use crate::spec::BuildSpec;

/// A digest of variables: the same for the same names and values in any order, and another one for a name that is there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariablesDigest([u8; 32]);

impl VariablesDigest {
    /// The digest of pairs of name and value.
    #[must_use]
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sorted: Vec<(&str, &str)> = variables.into_iter().collect();
        sorted.sort_unstable();
        let mut hash = Sha256::new();
        for text in sorted.iter().flat_map(|(name, value)| [name, value]) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

/// The first thing in which an agent differs from a launch of its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The cluster, project or state machine.
    Place,
    /// The task definition.
    Definition,
    /// The name of the attempt: `startedBy`, or the name of an execution.
    Name,
    /// The capacity provider or launch type.
    Capacity,
    /// A role.
    Role,
    /// The variables of a container or build, or the input of an execution.
    Variables,
    /// The source, buildspec or time limits of a build.
    Source,
    /// Something that no launch of Bellhop gives, such as another command, more memory, or ECS Exec.
    Extra,
}

/// What a task of ECS was launched with, as ECS shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLaunch {
    /// The name or ARN of its cluster.
    pub cluster: String,
    /// The ARN of its task definition, with the revision.
    pub definition: String,
    /// Its `startedBy`.
    pub started_by: Option<String>,
    /// Its capacity provider.
    pub capacity_provider: Option<String>,
    /// Its launch type.
    pub launch_type: Option<String>,
    /// The task role of its overrides.
    pub role: Option<String>,
    /// The overrides of its containers.
    pub containers: Vec<ContainerLaunch>,
    /// Whether anything else is overridden, or ECS Exec is on.
    pub has_more: bool,
}

/// The overrides of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLaunch {
    /// The container.
    pub name: String,
    /// Its variables; `None` if there are none. ECS shows containers without overrides as well.
    pub variables: Option<VariablesDigest>,
    /// Whether anything but variables is overridden.
    pub has_more: bool,
}

impl EcsExecutor {
    /// What a launch of an attempt gives a task, as ECS shows it. `bucket` is the suite's bucket.
    #[must_use]
    pub fn launch_of(&self, spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity, bucket: &str) -> TaskLaunch {
        let environment = environment(spec, attempt, capacity, bucket);
        let provider = self.provider(capacity);
        TaskLaunch {
            cluster: self.cluster(capacity).to_owned(),
            definition: self.task_definition.clone(),
            started_by: Some(attempt.started_by()),
            capacity_provider: provider.map(ToOwned::to_owned),
            launch_type: provider.is_none().then(|| "FARGATE".to_owned()),
            role: spec.role.as_ref().map(ToString::to_string),
            containers: vec![ContainerLaunch {
                name: self.container.clone(),
                variables: Some(VariablesDigest::of(
                    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())),
                )),
                has_more: false,
            }],
            has_more: false,
        }
    }

    /// Compares a task with the launches of an attempt, one on each capacity that the template offers. `bucket` is the suite's bucket. Returns the capacity
    /// of the launch that it is.
    ///
    /// # Errors
    /// The first difference from the launch that is nearest: the one on on-demand capacity, if none has the task's variables.
    pub fn launched(&self, spec: &BuildSpec, attempt: &AttemptId, bucket: &str, task: &TaskLaunch) -> Result<Capacity, Difference> {
        let spot = self.offers_spot().then_some(Capacity::Spot);
        let mut difference = Difference::Extra;
        for capacity in spot.into_iter().chain([Capacity::OnDemand]) {
            match difference_of(task, &self.launch_of(spec, attempt, capacity, bucket)) {
                None => return Ok(capacity),
                Some(found) => difference = found,
            }
        }
        Err(difference)
    }
}

fn difference_of(task: &TaskLaunch, launch: &TaskLaunch) -> Option<Difference> {
    let overridden = |launch: &TaskLaunch| -> Vec<ContainerLaunch> {
        let bare = |container: &&ContainerLaunch| container.variables.is_none() && !container.has_more;
        launch.containers.iter().filter(|container| !bare(container)).cloned().collect()
    };
    // ECS shows a launch type for tasks of capacity providers as well.
    let same_capacity =
        task.capacity_provider == launch.capacity_provider && (launch.launch_type.is_none() || task.launch_type == launch.launch_type);
    let checks = [
        (is_same_name(&task.cluster, &launch.cluster), Difference::Place),
        (is_definition(&launch.definition, &task.definition), Difference::Definition),
        (task.started_by == launch.started_by, Difference::Name),
        (same_capacity, Difference::Capacity),
        (task.role == launch.role, Difference::Role),
        (
            !task.has_more && task.containers.iter().all(|container| !container.has_more),
            Difference::Extra,
        ),
        (overridden(task) == overridden(launch), Difference::Variables),
    ];
    checks.into_iter().find_map(|(same, difference)| (!same).then_some(difference))
}

/// What a build of CodeBuild was started with, as CodeBuild shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildLaunch {
    /// The name of its project.
    pub project: String,
    /// The type of its source, such as `CODECOMMIT`.
    pub source_type: Option<String>,
    /// The location of its source.
    pub source_location: Option<String>,
    /// The version of its source.
    pub source_version: Option<String>,
    /// Its buildspec: a path, or the text.
    pub buildspec: Option<String>,
    /// Its time limit, in minutes.
    pub timeout: Option<i32>,
    /// Its time limit in the queue, in minutes.
    pub queued_timeout: Option<i32>,
    /// Its variables, except those that its project gives each build.
    pub variables: VariablesDigest,
    /// Whether image, machine or role are not its project's, or it has a variable that is not plain text.
    pub has_more: bool,
}

impl CodeBuildExecutor {
    /// What a launch of an attempt gives a build, as CodeBuild shows it. `bucket` is the suite's bucket, and `region` that of the repositories.
    #[must_use]
    pub fn launch_of(&self, spec: &BuildSpec, attempt: &AttemptId, bucket: &str, region: &str) -> BuildLaunch {
        let environment = buildspec::only_needed(environment(spec, attempt, codebuild::CAPACITY, bucket));
        BuildLaunch {
            project: self.project.clone(),
            source_type: Some("CODECOMMIT".to_owned()),
            source_location: Some(buildspec::clone_url(region, &spec.repository)),
            source_version: Some(spec.commit.to_string()),
            buildspec: buildspec::text(&spec.script, &spec.artifacts, attempt),
            timeout: Some(buildspec::timeout_minutes(spec.timeout)),
            queued_timeout: Some(buildspec::queued_timeout_minutes(spec.queue_timeout)),
            variables: VariablesDigest::of(environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            has_more: false,
        }
    }

    /// Compares a build with the launch of an attempt. `bucket` is the suite's bucket, and `region` that of the repositories.
    ///
    /// # Errors
    /// The first difference.
    pub fn launched(
        &self,
        spec: &BuildSpec,
        attempt: &AttemptId,
        (bucket, region): (&str, &str),
        build: &BuildLaunch,
    ) -> Result<(), Difference> {
        let launch = self.launch_of(spec, attempt, bucket, region);
        let difference = if !is_same_name(&build.project, &launch.project) {
            Difference::Place
        } else if build.variables != launch.variables {
            Difference::Variables
        } else if build.has_more {
            Difference::Extra
        } else if (BuildLaunch {
            project: launch.project.clone(),
            ..build.clone()
        }) != launch
        {
            Difference::Source
        } else {
            return Ok(());
        };
        Err(difference)
    }
}

/// What an execution of Step Functions was started with, as Step Functions shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionLaunch {
    /// The ARN of the execution.
    pub execution: String,
    /// The ARN of its state machine.
    pub state_machine: String,
    /// Its input, if it is shown.
    pub input: Option<serde_json::Value>,
    /// Whether it was started for a version or an alias of the state machine.
    pub has_more: bool,
}

impl StepFunctionsExecutor {
    /// What a launch of an attempt gives an execution, as Step Functions shows it. `bucket` is the suite's bucket.
    #[must_use]
    pub fn launch_of(&self, spec: &BuildSpec, attempt: &AttemptId, bucket: &str) -> ExecutionLaunch {
        ExecutionLaunch {
            execution: self.execution(attempt),
            state_machine: self.state_machine.clone(),
            input: Some(step_functions::input(&environment(spec, attempt, step_functions::CAPACITY, bucket))),
            has_more: false,
        }
    }

    /// Compares an execution with the launch of an attempt. `bucket` is the suite's bucket.
    ///
    /// # Errors
    /// The first difference.
    pub fn launched(&self, spec: &BuildSpec, attempt: &AttemptId, bucket: &str, execution: &ExecutionLaunch) -> Result<(), Difference> {
        let launch = self.launch_of(spec, attempt, bucket);
        let checks = [
            (execution.state_machine == launch.state_machine, Difference::Place),
            (execution.execution == launch.execution, Difference::Name),
            (execution.input == launch.input, Difference::Variables),
            (!execution.has_more, Difference::Extra),
        ];
        match checks.into_iter().find(|(same, _)| !same) {
            Some((_, difference)) => Err(difference),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
