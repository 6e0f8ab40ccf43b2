//! From a push and the two files to the builds of a run.

use std::collections::BTreeMap;

use super::error::{FieldPath, FileError, SUITE_FILE, suggestion};
use super::pipeline::{Job, PipelineFile, Work};
use super::suite::{Agent, AgentKind, SuiteConfig};
use crate::ids::{AgentName, BuildId, RepositoryName, RunId};
use crate::spec::{BuildSpec, Executor, Script};
use crate::trigger::Push;

/// How much of the 8,192 characters of a task's overrides a job's own variables may take. The rest is for the variables of every agent, and for the
/// place of a script that is kept elsewhere.
const LARGEST_ENVIRONMENT: usize = 6_000;

/// The builds of the run that a push starts, each after the builds that it needs, and otherwise in the file's order; none where no job wants the
/// push. `changed` holds the paths of the files that differ from the commit before; `None` where they are not known (then no `paths` filter keeps a
/// job from starting).
///
/// A job that another one of the run needs is part of the run whether or not its own filter wants the push. The agents of all jobs of the file are
/// checked as soon as one of them is wanted, so that a mistake in a job for tags shows before the day of the release.
///
/// # Errors
/// What is wrong with the file for this suite and repository.
pub fn plan(
    run: &RunId,
    push: &Push,
    file: &PipelineFile,
    config: &SuiteConfig,
    changed: Option<&[String]>,
) -> Result<Vec<BuildSpec>, FileError> {
    let wanted = file.wanted(&push.reference, changed);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    for job in file.jobs() {
        permitted_agent(job, &push.repository, file, config)?;
    }
    wanted.into_iter().map(|job| build(run, push, job, file, config)).collect()
}

fn build(run: &RunId, push: &Push, job: &Job, file: &PipelineFile, config: &SuiteConfig) -> Result<BuildSpec, FileError> {
    let refused = |key: &str, message: String| Err(file.source.error(&job.path().key(key), message));
    let agent = permitted_agent(job, &push.repository, file, config)?;
    let executor = match &agent.kind {
        AgentKind::Ecs(ecs) => Executor::Ecs(ecs.clone()),
        AgentKind::CodeBuild { .. } => {
            let message = format!(
                "agent `{}` is a CodeBuild agent; only ECS agents can run jobs in this version",
                job.agent
            );
            return refused("agent", message);
        }
    };
    let script = match &job.work {
        Work::Run(script) => Script::Inline(script.clone()),
        Work::Buildspec(_) => {
            let message = format!(
                "a buildspec needs a CodeBuild agent, and `{}` is an ECS agent: expected `run`",
                job.agent
            );
            return refused("buildspec", message);
        }
    };
    let size = override_size(&job.environment);
    if size > LARGEST_ENVIRONMENT {
        let message = format!(
            "the variables of the job take {size} bytes as JSON: at most {LARGEST_ENVIRONMENT} fit into an ECS task; larger values belong into a file"
        );
        return refused("environment", message);
    }
    Ok(BuildSpec {
        id: BuildId {
            run: run.clone(),
            job: job.name.clone(),
        },
        repository: push.repository.clone(),
        reference: push.reference.clone(),
        commit: push.commit.clone(),
        agent: job.agent.clone(),
        executor,
        script,
        environment: job.environment.clone(),
        critical: job.critical,
        timeout: job.timeout,
        queue_timeout: job.queue_timeout,
        relaunch: job.relaunch,
        retry: job.retry.clone(),
        needs: job.needs.clone(),
        successes: config.notify.successes,
    })
}

/// The agent template that a job names, if it exists and the repository may use it.
fn permitted_agent<'a>(
    job: &Job,
    repository: &RepositoryName,
    file: &PipelineFile,
    config: &'a SuiteConfig,
) -> Result<&'a Agent, FileError> {
    let refused = |message: String| Err(file.source.error(&job.path().key("agent"), message));
    let name = &job.agent;
    let permitted = match &config.repositories {
        None => None,
        Some(repositories) => match repositories.get(repository) {
            Some(repository) => Some(&repository.agents),
            None => {
                let message = format!("the repository `{repository}` is not listed in `repositories` of {SUITE_FILE}");
                return Err(config.source.error(&FieldPath::top("repositories"), message));
            }
        },
    };
    let Some(agent) = config.agents.get(name) else {
        let known = suggestion(name.as_str(), config.agents.keys().map(AgentName::as_str));
        return refused(format!("there is no agent `{name}` in {SUITE_FILE}{known}"));
    };
    match permitted {
        Some(agents) if !agents.contains(name) => {
            let known = suggestion(name.as_str(), agents.iter().map(AgentName::as_str));
            refused(format!(
                "`repositories` of {SUITE_FILE} does not let `{repository}` use the agent `{name}`{known}"
            ))
        }
        None if agent.restricted => refused(format!(
            "the agent `{name}` is restricted, and there are no `repositories` in {SUITE_FILE} to let `{repository}` use it"
        )),
        _ => Ok(agent),
    }
}

/// What variables take in the overrides of a task. Bytes, where ECS speaks of characters: never too few.
fn override_size(environment: &BTreeMap<String, String>) -> usize {
    environment
        .iter()
        .map(|(name, value)| serde_json::json!({ "name": name, "value": value }).to_string().len() + 1)
        .sum()
}
