//! From a push and the two files to the builds of a run.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::gate::unserved;
use super::pipeline::images::COMMIT;
use super::pipeline::{DEFAULT_QUEUE_TIMEOUT, DEFAULT_TIMEOUT, Job, PipelineFile, Select, Work};
use super::suite::SuiteConfig;
use crate::executor::target::Given;
use crate::executor::{AgentTemplate, Demand, Executor, Script, Unmet};
use crate::ids::{AgentName, BuildId, JobName, PoolName, RepositoryName, RunId, TargetName};
use crate::inputs::Inputs;
use crate::run::trigger::Push;
use crate::secret::{self, Secrets};
use crate::spec::{Bearing, BuildSpec, Deployment, Relaunch, RetryPolicy};
use crate::yaml::{FieldPath, FileError, SUITE_FILE, quoted, suggestion};

/// Returns the builds of a run: each after the builds that it needs, otherwise in the file's order. Empty if no job matches the push.
///
/// A job that another one of the run needs is part of the run whether or not its own filter wants the push. The agents of all jobs of the file are
/// checked as soon as one of them is wanted, so that a mistake in a job for tags shows before the day of the release. Whether an agent serves the
/// push's branch or tag is only checked for the jobs of the run: a job that deploys from one branch may stand in the file of every branch.
///
/// # Errors
/// What is wrong with the file for this suite and repository.
pub fn plan(run: &RunId, push: &Push, file: &PipelineFile, config: &SuiteConfig, select: Select<'_>) -> Result<Vec<BuildSpec>, FileError> {
    let wanted = file.wanted(&push.reference, select)?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    for job in file.jobs() {
        if let Some(agent) = job.work.agent() {
            permitted_agent(job, agent, push, file, config)?;
        }
    }
    let mut specs = Vec::with_capacity(wanted.len());
    for job in wanted {
        let mut spec = build(run, push, job, file, config)?;
        if let Select::Exactly(names) = select {
            spec.needs.retain(|need| names.contains(need));
        }
        specs.push(spec);
    }
    Ok(specs)
}

fn build(run: &RunId, push: &Push, job: &Job, file: &PipelineFile, config: &SuiteConfig) -> Result<BuildSpec, FileError> {
    let (name, script) = match &job.work {
        Work::Run { agent, script } => (agent, Script::Inline(script.clone())),
        Work::Buildspec { agent, path } => (agent, Script::Buildspec(path.clone())),
        Work::Deploy { target, given } => return deployment(run, push, job, (target, given), file, config),
    };
    let agent = permitted_agent(job, name, push, file, config)?;
    if let Some(message) = unserved(name, agent, &push.reference) {
        return Err(file.source.error(&job.path().key("agent"), message));
    }
    let executor = agent.executor.clone();
    let demand = Demand {
        agent: name.as_str(),
        script: &script,
        environment: &job.environment,
        secrets: &secret::lines(&job.secrets, &push.repository),
        artifacts: &job.artifacts,
        fetches: !job.fetch.is_empty(),
    };
    if let Err(Unmet { key, message }) = executor.kind().check(&demand) {
        return Err(file.source.error(&job.path().key(key), message));
    }
    Ok(BuildSpec {
        limit: agent.max_concurrent,
        lock: job.lock.as_ref().map(|lock| PoolName::of_lock(&push.repository, lock)),
        pausable: config.pauses(),
        role: config.role(&push.repository, Some(&push.reference)).cloned(),
        ..frozen(run, push, job, (name.clone(), executor, script), config)
    })
}

/// The build of a job that deploys. Its target has to take the repository, and the branch or tag.
fn deployment(
    run: &RunId,
    push: &Push,
    job: &Job,
    (name, given): (&TargetName, &Given),
    file: &PipelineFile,
    config: &SuiteConfig,
) -> Result<BuildSpec, FileError> {
    let refused = |message: String| file.source.error(&job.path().key("deploy"), message);
    let Some(target) = config.targets.get(name) else {
        let known = suggestion(name.as_str(), config.targets.keys().map(TargetName::as_str));
        return Err(refused(format!("there is no target `{name}` in {SUITE_FILE}{known}")));
    };
    let repository = &push.repository;
    if !target.repositories.contains(repository) {
        return Err(refused(format!(
            "the target `{name}` takes no deployments of `{repository}`: see its `repositories` in {SUITE_FILE}"
        )));
    }
    if !target.refs.include(&push.reference) {
        return Err(refused(format!(
            "the target `{name}` takes no deployments of runs on {}: `refs` in {SUITE_FILE} allows {}",
            quoted(&push.reference.full()),
            target.refs
        )));
    }
    let kind = target.kind.kind();
    let executor = kind
        .deployment(given)
        .map_err(|Unmet { key, message }| file.source.error(&job.path().key(key), message))?;
    let mut spec = frozen(run, push, job, (AgentName::from(name.clone()), executor, Script::None), config);
    spec.lock = Some(kind.lock());
    spec.inputs.file = given.files().into_iter().next().map(|(_, file)| file.clone());
    spec.deployment = Some(Deployment {
        target: name.clone(),
        resource: kind.resource(),
        approval: target.approval.clone(),
        pushed: push.at.unwrap_or(Timestamp::UNIX_EPOCH),
        previous: push.previous.clone(),
    });
    Ok(spec)
}

/// What the builds of all jobs have.
fn frozen(run: &RunId, push: &Push, job: &Job, (agent, executor, script): (AgentName, Executor, Script), config: &SuiteConfig) -> BuildSpec {
    BuildSpec {
        id: BuildId {
            run: run.clone(),
            job: job.name.clone(),
        },
        repository: push.repository.clone(),
        reference: push.reference.clone(),
        commit: push.commit.clone(),
        agent,
        executor,
        script,
        environment: job.environment.clone(),
        secrets: job.secrets.clone(),
        critical: job.critical,
        timeout: job.timeout,
        queue_timeout: job.queue_timeout,
        relaunch: job.relaunch,
        retry: job.retry.clone(),
        needs: job.needs.clone(),
        successes: config.notify.successes,
        artifacts: job.artifacts.clone(),
        images: job.images.iter().map(|image| image.replace(COMMIT, push.commit.as_str())).collect(),
        inputs: Inputs {
            fetch: job.fetch.clone(),
            ..Inputs::default()
        },
        limit: None,
        deployment: None,
        lock: None,
        pausable: false,
        role: None,
        bearing: Bearing::default(),
    }
}

/// The build of a script outside of pipeline files: a job of the suite with this name, or the script of a CodePipeline action. Limits and
/// retries are the defaults. Only a job of the suite has secrets.
///
/// # Errors
/// If the agent does not exist, the repository may not use it, or it does not serve the push's branch or tag. The error names the field `agent`.
pub fn plan_script(
    run: &RunId,
    push: &Push,
    job: JobName,
    (agent, script): (&AgentName, &str),
    config: &SuiteConfig,
    on_behalf: OnBehalf,
) -> Result<BuildSpec, FileError> {
    let file = match on_behalf {
        OnBehalf::Suite => SUITE_FILE,
        OnBehalf::Action => "UserParameters",
    };
    let refused = |message: String| FileError {
        file,
        line: None,
        column: None,
        field: Some("agent".to_owned()),
        message,
        excerpt: None,
    };
    let (template, secrets) = match on_behalf {
        OnBehalf::Suite => {
            let template = config.agents.get(agent);
            let template = template.ok_or_else(|| refused(format!("there is no agent `{agent}`")))?;
            (template, config.jobs.get(&job).map(|job| job.secrets.clone()).unwrap_or_default())
        }
        OnBehalf::Action => (permitted(agent, &push.repository, config, refused)?, Secrets::new()),
    };
    if let Some(message) = unserved(agent, template, &push.reference) {
        return Err(refused(message));
    }
    Ok(BuildSpec {
        id: BuildId { run: run.clone(), job },
        repository: push.repository.clone(),
        reference: push.reference.clone(),
        commit: push.commit.clone(),
        agent: agent.clone(),
        executor: template.executor.clone(),
        script: Script::Inline(script.to_owned()),
        environment: BTreeMap::new(),
        secrets,
        critical: false,
        timeout: DEFAULT_TIMEOUT,
        queue_timeout: DEFAULT_QUEUE_TIMEOUT,
        relaunch: Relaunch::default(),
        retry: RetryPolicy::default(),
        needs: Vec::new(),
        successes: config.notify.successes,
        artifacts: Vec::new(),
        images: Vec::new(),
        inputs: Inputs::default(),
        limit: template.max_concurrent,
        deployment: None,
        lock: None,
        pausable: config.pauses(),
        role: config.role(&push.repository, Some(&push.reference)).cloned(),
        bearing: Bearing::default(),
    })
}

/// On whose behalf a script outside of pipeline files runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBehalf {
    /// The suite's administrators.
    Suite,
    /// An action of CodePipeline, for the repository that it names.
    Action,
}

/// The agent template that a job names, if it exists and the repository may use it.
fn permitted_agent<'a>(job: &Job, agent: &AgentName, push: &Push, file: &PipelineFile, config: &'a SuiteConfig) -> Result<&'a AgentTemplate, FileError> {
    permitted(agent, &push.repository, config, |message| {
        file.source.error(&job.path().key("agent"), message)
    })
}

fn permitted<'a>(
    name: &AgentName,
    repository: &RepositoryName,
    config: &'a SuiteConfig,
    error: impl Fn(String) -> FileError,
) -> Result<&'a AgentTemplate, FileError> {
    let refused = |message: String| Err(error(message));
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
