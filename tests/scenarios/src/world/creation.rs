//! A new suite: its stack in the local AWS, its configuration and its repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bellhop_aws::{Aws, Endpoint};
use bellhop_runtime::{Callers, Settings, Suite};
use bellhop_stand_in::{BuildProcessOptions, Builds, Options, Project, StandIn, Timing};
use serde_json::Value;

use super::World;
use crate::local_aws::{ACCOUNT, REGION};
use crate::{Environment, LocalAws, Repository, SteppableClock};

/// The repository that is pushed to.
const REPOSITORY: &str = "shop";

/// The role for AWS Backup.
pub(super) const BACKUP_ROLE: &str = "arn:aws:iam::000000000000:role/backup";
/// Where the suite configuration is in the bucket.
const CONFIG_KEY: &str = "config/bellhop.yaml";

/// One agent, on Spot where a job allows it, and every success is told.
pub(super) const CONFIGURATION: &str = r"
version: 1
agents:
  small:
    ecs:
      clusters: { spot: ci-spot, on-demand: ci-main }
      task-definition: bellhop-agent-small
      container: agent
      logs: { group: /bellhop/agents, stream-prefix: small }
      subnets: [subnet-0a, subnet-0b]
      security-groups: [sg-0a]
notify: { successes: all }
";

/// The project of CodeBuild whose builds are agents.
const PROJECT: &str = "ci-docker";

/// The state machine whose executions are agents.
const MACHINE: &str = "bellhop-agent-release";

/// One job.
pub(super) const PIPELINE: &str = r"
version: 1
jobs:
  test: { agent: small, run: make test }
";

// The way in.
impl World {
    /// A suite with one agent, and a repository whose one job, `test`, runs on every push.
    pub async fn new() -> Self {
        Self::with_pipeline(PIPELINE).await
    }

    /// A suite with one agent, and a repository with this pipeline file.
    ///
    /// # Panics
    /// The local AWS is not there, or something cannot be made in it.
    pub async fn with_pipeline(pipeline: &str) -> Self {
        Self::with_files(&[(".bellhop.yaml", pipeline)], "First").await
    }

    /// A suite with one agent, and a repository with these files.
    ///
    /// # Panics
    /// As [`World::with_pipeline`].
    pub async fn with_files(files: &[(&str, &str)], message: &str) -> Self {
        Self::with_options(files, message, |_, _| {}).await
    }

    async fn with_options(files: &[(&str, &str)], message: &str, adapt: impl FnOnce(&mut Options, &Path)) -> Self {
        let environment = Environment::read();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut options = Options::new(folder.path().join("repositories"));
        options.upstream = Some(environment.url.clone());
        ACCOUNT.clone_into(&mut options.account);
        REGION.clone_into(&mut options.region);
        adapt(&mut options, folder.path());
        let stand_in = StandIn::start(options).await.expect("a stand-in");

        let local_aws = LocalAws::at(&environment.url);
        let name = format!("bellhop-{:016x}", fastrand::u64(..));
        local_aws.copy_table(&environment.table, &name).await;
        local_aws.create_bucket(&name).await;
        local_aws.put(&name, CONFIG_KEY, CONFIGURATION).await;
        let topic_arn = local_aws.create_topic(&name).await;
        let queue = local_aws.subscribe_queue(&topic_arn, &name).await;
        let wake_name = format!("{name}-wake");
        let wake_topic_arn = local_aws.create_topic(&wake_name).await;
        let wake_queue = local_aws.subscribe_queue(&wake_topic_arn, &wake_name).await;
        let timer_queue = local_aws.create_queue(&format!("{name}-timers")).await;

        let endpoint = Endpoint {
            url: stand_in.endpoint(),
            region: REGION.to_owned(),
            access_key_id: ACCOUNT.to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let settings = Settings {
            table: name.clone(),
            suite: name.clone(),
            bucket: name,
            topic_arn,
            wake_topic_arn: Some(wake_topic_arn),
            timer_queue_url: Some(timer_queue.clone()),
            config_key: CONFIG_KEY.to_owned(),
            table_backup: None,
            callers: Callers::Unverified,
        };
        stand_in.codecommit().create(REPOSITORY).await.expect("a repository");
        let url = stand_in.codecommit().clone_url(REPOSITORY);
        let mut world = Self {
            repository: Repository::clone(&url, folder.path().join("clone")).await,
            clock: Arc::new(SteppableClock::default()),
            suite: Suite::new(Aws::at(&endpoint), settings.clone()),
            stand_in,
            local_aws,
            settings,
            queue,
            wake_queue,
            timer_queue,
            first_push: Value::Null,
            newest_run: Mutex::new(None),
            _folder: folder,
        };
        world.first_push = world.commit(files, message).await;
        world
    }

    /// A suite with an agent on each service, `small` on ECS and `docker` on CodeBuild, and a repository with this pipeline file.
    ///
    /// # Panics
    /// As [`World::with_pipeline`], or the project cannot be made.
    pub async fn with_both_agents(pipeline: &str) -> Self {
        Self::with_pipeline(pipeline).await.with_project().await
    }

    /// The same, and the builds of CodeBuild are processes that run their buildspecs.
    ///
    /// # Panics
    /// As [`World::with_pipeline`].
    pub async fn with_running_builds(pipeline: &str) -> Self {
        let run = |options: &mut Options, folder: &Path| {
            options.timing = Timing::quick();
            options.builds = Builds::Processes(BuildProcessOptions {
                environment: BTreeMap::new(),
                work: folder.join("work"),
                logs: folder.join("logs"),
            });
        };
        let world = Self::with_options(&[(".bellhop.yaml", pipeline)], "First", run).await;
        world.with_project().await
    }

    /// A suite with an agent `small` on ECS and `release` on Step Functions, and a repository with this pipeline file.
    ///
    /// # Panics
    /// As [`World::with_pipeline`].
    pub async fn with_state_machine(pipeline: &str) -> Self {
        let world = Self::with_pipeline(pipeline).await;
        let machine = world.stand_in.step_functions().create_state_machine(MACHINE);
        let release = format!("  release: {{ step-functions: {{ state-machine: '{machine}' }} }}\n");
        world
            .configure(&CONFIGURATION.replace("notify:", &format!("{release}notify:")))
            .await;
        world
    }

    async fn with_project(self) -> Self {
        let project = Project::new(PROJECT).codecommit(REPOSITORY);
        self.stand_in.codebuild().create_project(project).expect("a project");
        self.limit_agents(None, None).await;
        self
    }

    /// Replaces the suite configuration: an agent on each service, of which so many may run at a time.
    pub async fn limit_agents(&self, small: Option<u32>, docker: Option<u32>) {
        self.configure(&configuration(small, docker)).await;
    }

    /// Replaces the suite configuration.
    pub async fn configure(&self, text: &str) {
        self.local_aws.put(self.bucket(), CONFIG_KEY, text).await;
    }

    /// Takes the suite configuration away.
    pub async fn unconfigure(&self) {
        self.local_aws.delete(self.bucket(), CONFIG_KEY).await;
    }
}

/// A suite configuration with an agent on each service, each with its `max-concurrent`.
fn configuration(small: Option<u32>, docker: Option<u32>) -> String {
    let limit = |limit: Option<u32>| limit.map(|limit| format!("    max-concurrent: {limit}\n")).unwrap_or_default();
    let docker = format!(
        "{}  docker:\n    codebuild: {{ project: {PROJECT}, logs: {{ group: /aws/codebuild/{PROJECT} }} }}\n{}",
        limit(small),
        limit(docker)
    );
    CONFIGURATION.replace("notify:", &format!("{docker}notify:"))
}
