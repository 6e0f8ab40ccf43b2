//! A stand-in for the parts of AWS that a local emulator lacks, and a recording proxy before the parts it has.
//!
//! One endpoint serves every service: `ecs`, `codebuild`, `states`, `codecommit`, `codepipeline`, `backup` and Cloud Control are answered here, and so are
//! deployments of functions and DescribeAlarms where a test has created functions and alarms. Every other request is forwarded to the upstream (a local
//! AWS emulator). So every AWS request of the functions under test stands in one [`Journal`], and [`Faults`] can be injected into any of them. What the
//! simulation says of a service too is in `tests/model`.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use bellhop_stand_in::{Options, StandIn};
//!
//! let stand_in = StandIn::start(Options::new("/tmp/repositories")).await?;
//! println!("export AWS_ENDPOINT_URL={}", stand_in.endpoint());
//! stand_in.stop().await;
//! # Ok(())
//! # }
//! ```

mod backup;
mod calls;
mod cbor;
mod cloudwatch;
mod codebuild;
mod codecommit;
mod codepipeline;
mod control;
mod ecs;
mod events;
mod faults;
mod git;
mod journal;
mod lambda;
mod processes;
mod proxy;
mod record;
mod replies;
pub mod request_units;
mod server;
mod step_functions;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use backup::{Backup, BackupJobView, RecoveryPointView, RemovalView};
pub use bellhop_model::cloudwatch::AlarmType;
pub use cloudwatch::{AlarmView, CloudWatch};
pub use codebuild::{BuildPhase, BuildView, CodeBuild, PhaseView, Project, ProjectArtifacts, ProjectEnvironment, ProjectSource, Variable};
pub use codecommit::CodeCommit;
pub use codepipeline::{ARTIFACT_CREDENTIALS, ActionView, Artifact, CodePipeline, InvokeAction, JobResult, JobView};
pub use ecs::{Ecs, InstanceView, TaskView};
pub use events::{Delivery, Events, Order};
pub use faults::{ActiveRule, Fault, Faults, Rule, RuleId, Times};
pub use journal::{Entry, Journal, Mark};
pub use lambda::{AliasView, Change, Effect, EffectKind, FunctionView, InvocationView, Lambda, VersionView, code_sha256};
pub use step_functions::{ExecutionView, StepFunctions};

use support::lock;

/// How a stand-in is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// The base URL of the local AWS that answers everything but ECS, CodeBuild, Step Functions, CodeCommit, CodePipeline, AWS Backup and Cloud Control, such as
    /// `http://127.0.0.1:4566`. Without it such requests are answered with 501.
    pub upstream: Option<String>,
    /// The region of all ARNs and events.
    pub region: String,
    /// The account of all ARNs and events.
    pub account: String,
    /// What an ECS task is made of.
    pub agents: Agents,
    /// What a CodeBuild build is made of.
    pub builds: Builds,
    /// How long the stages of a task's, a build's and a pipeline action's life take.
    pub timing: Timing,
    /// The folder of the bare Git repositories, `NAME.git` each. It is created where it is missing.
    pub repositories: PathBuf,
    /// The folder of the [record](https://jsonlines.org/) of what is asked, answered and told in events, one file for each process. Nothing is recorded
    /// without it.
    pub record: Option<PathBuf>,
}

impl Options {
    /// Scripted agents and builds, any free port, no upstream, us-east-1, the emulator's default account, the timing of
    /// [`Timing::default`], and a record in the folder that the environment variable `BELLHOP_RECORD` names, if it names one.
    pub fn new(repositories: impl Into<PathBuf>) -> Self {
        Self {
            port: 0,
            upstream: None,
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            agents: Agents::Scripted,
            builds: Builds::Scripted,
            timing: Timing::default(),
            repositories: repositories.into(),
            record: std::env::var_os(record::VARIABLE)
                .filter(|folder| !folder.is_empty())
                .map(PathBuf::from),
        }
    }
}

/// What an ECS task is made of.
#[derive(Debug, Clone)]
pub enum Agents {
    /// Nothing runs: the test says what happens to each task, by the methods of [`Ecs`].
    Scripted,
    /// Every task is a real process in its own process group.
    Processes(ProcessOptions),
}

/// How task processes are run.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// The container's entry point: an executable, or else a script for `/bin/bash`.
    pub entry_point: PathBuf,
    /// The environment that the image and ECS itself would give. The task definition's and the override's
    /// environment come on top of it. Nothing else is inherited; `PATH`, `HOME` and `LANG` have defaults.
    pub environment: BTreeMap<String, String>,
    /// Each task gets a new folder named by its id in here, as its working directory and `HOME`.
    pub work: PathBuf,
    /// Standard output and standard error of each task go to `TASKID.log` in here.
    pub logs: PathBuf,
}

/// What a CodeBuild build is made of.
#[derive(Debug, Clone)]
pub enum Builds {
    /// Nothing runs: the test says what happens to each build, by the methods of [`CodeBuild`].
    Scripted,
    /// The commands of every build's buildspec are run by a real shell, in a process group of their own. Sources are
    /// checked out of the repositories of [`CodeCommit`].
    Processes(BuildProcessOptions),
}

/// How build processes are run.
#[derive(Debug, Clone)]
pub struct BuildProcessOptions {
    /// The environment that the image would give. The variables of buildspec, project and request come on top of it,
    /// and CodeBuild's own on top of those. Nothing else is inherited; `PATH`, `HOME` and `LANG` have defaults.
    pub environment: BTreeMap<String, String>,
    /// Each build gets a new folder named by its UUID in here: its `HOME`, with its source in `src`.
    pub work: PathBuf,
    /// Standard output and standard error of each build's commands go to `UUID.log` in here.
    pub logs: PathBuf,
}

/// How long the stages of a task's, a build's and a pipeline action's life take. Scripted agents and builds ignore what
/// is said of them: their stages are the test's to say.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// From RunTask to the start of the container, and the same for a build that has left its queue.
    pub provisioning: Duration,
    /// From the Spot warning, and the SIGTERM that comes with it, to SIGKILL.
    pub spot_warning: Duration,
    /// From StopTask's SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// From the container's end to the STOPPED event, and the same for a build's FINALIZING.
    pub deprovisioning: Duration,
    /// What a minute of a build's timeouts takes. AWS allows no timeout below five of them.
    pub build_minute: Duration,
    /// How long CodeBuild knows an idempotency token. Scripted builds have it too.
    pub build_token: Duration,
    /// How long CodePipeline waits for a job's result.
    pub job_timeout: Duration,
    /// From a job's result with a continuation token to the action's next job.
    pub job_continuation: Duration,
    /// How long an action of CodePipeline may take with all its jobs.
    pub action_timeout: Duration,
    /// How long an update of a Lambda function is in progress.
    pub function_update: Duration,
    /// How long a new version of a Lambda function is Pending.
    pub version_publishing: Duration,
}

impl Default for Timing {
    /// About what Fargate, CodeBuild, CodePipeline and Lambda take.
    fn default() -> Self {
        Self {
            provisioning: Duration::from_secs(20),
            spot_warning: Duration::from_secs(120),
            stop_timeout: Duration::from_secs(30),
            deprovisioning: Duration::from_secs(10),
            build_minute: Duration::from_secs(60),
            build_token: bellhop_model::codebuild::TOKEN_LIFE,
            job_timeout: bellhop_model::codepipeline::JOB_TIMEOUT,
            job_continuation: Duration::from_secs(30),
            action_timeout: bellhop_model::codepipeline::ACTION_TIMEOUT,
            function_update: Duration::from_secs(3),
            version_publishing: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// Milliseconds instead of seconds and seconds instead of minutes, for tests. Only idempotency tokens live as long
    /// as they do: a slow machine must not start a build twice. [`CodeBuild::forget_tokens`] ends them.
    pub fn quick() -> Self {
        Self {
            provisioning: Duration::from_millis(20),
            spot_warning: Duration::from_secs(2),
            stop_timeout: Duration::from_secs(1),
            deprovisioning: Duration::from_millis(20),
            build_minute: Duration::from_secs(1),
            build_token: bellhop_model::codebuild::TOKEN_LIFE,
            job_timeout: Duration::from_secs(20),
            job_continuation: Duration::from_millis(30),
            action_timeout: Duration::from_secs(24 * 60),
            function_update: Duration::from_millis(30),
            version_publishing: Duration::from_millis(20),
        }
    }
}

/// A running stand-in. Clones are handles to the same one.
#[derive(Clone)]
pub struct StandIn {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: String,
    cloud: Cloud,
    background: Mutex<Vec<JoinHandle<()>>>,
}

/// Everything a request may need.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) ecs: Ecs,
    pub(crate) codebuild: CodeBuild,
    pub(crate) step_functions: StepFunctions,
    pub(crate) codecommit: CodeCommit,
    pub(crate) codepipeline: CodePipeline,
    pub(crate) backup: Backup,
    pub(crate) lambda: Lambda,
    pub(crate) cloudwatch: CloudWatch,
    pub(crate) events: Events,
    pub(crate) upstream: proxy::Upstream,
    pub(crate) recorder: Option<record::Recorder>,
}

impl StandIn {
    /// Binds the port and starts to serve, to watch the repositories for pushes, and to publish events.
    ///
    /// # Errors
    /// The port is taken, a folder cannot be created, or the record cannot be written.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        for folder in options.folders() {
            tokio::fs::create_dir_all(&folder)
                .await
                .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        }
        let listener = TcpListener::bind(("127.0.0.1", options.port))
            .await
            .with_context(|| format!("cannot listen on port {} of 127.0.0.1", options.port))?;
        let endpoint = format!("http://{}", listener.local_addr()?);

        let upstream = proxy::Upstream::new(&options)?;
        let recorder = options.record.as_deref().map(record::Recorder::of).transpose()?;
        let (events, queue) = Events::new(&options, recorder.clone());
        let codecommit = CodeCommit::new(&options, events.clone())?;
        let (codepipeline, jobs) = CodePipeline::new(&options);
        let cloud = Cloud {
            journal: Journal::new(),
            faults: Faults::new(),
            ecs: Ecs::new(&options, events.clone()),
            codebuild: CodeBuild::new(&options, events.clone(), codecommit.clone(), upstream.clone()),
            step_functions: StepFunctions::new(&options, events.clone()),
            codecommit,
            codepipeline,
            backup: Backup::new(&options, events.clone()),
            lambda: Lambda::new(&options, upstream.clone()),
            cloudwatch: CloudWatch::new(&options),
            events,
            upstream,
            recorder,
        };
        let background = vec![
            tokio::spawn(server::serve(listener, cloud.clone())),
            tokio::spawn(events::deliver(cloud.events.clone(), queue, cloud.upstream.clone())),
            tokio::spawn(codecommit::watch(cloud.codecommit.clone())),
            tokio::spawn(codepipeline::keep_time(cloud.codepipeline.clone())),
            tokio::spawn(codepipeline::invoke(cloud.codepipeline.clone(), jobs, cloud.upstream.clone())),
        ];
        Ok(Self {
            inner: Arc::new(Inner {
                endpoint,
                cloud,
                background: Mutex::new(background),
            }),
        })
    }

    /// The base URL, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        self.inner.endpoint.clone()
    }

    /// Ends the server, the publishing of events, the time of pipeline actions, and every process of a task or a build
    /// with its whole process group. The journal and the state can still be looked at afterwards.
    pub async fn stop(&self) {
        let background = std::mem::take(&mut *lock(&self.inner.background));
        for task in background {
            task.abort();
            // A cancelled task's error says no more than that it was cancelled.
            let _ = task.await;
        }
        self.inner.cloud.ecs.stop_processes().await;
        self.inner.cloud.codebuild.stop_processes().await;
    }

    /// Every AWS request in the order of arrival.
    pub fn journal(&self) -> &Journal {
        &self.inner.cloud.journal
    }

    /// What is to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.inner.cloud.faults
    }

    /// The tasks, and what happens to them.
    pub fn ecs(&self) -> &Ecs {
        &self.inner.cloud.ecs
    }

    /// The build projects, the builds, and what happens to them.
    pub fn codebuild(&self) -> &CodeBuild {
        &self.inner.cloud.codebuild
    }

    /// The state machines, their executions, and what happens to them.
    pub fn step_functions(&self) -> &StepFunctions {
        &self.inner.cloud.step_functions
    }

    /// The pipeline actions that invoke functions.
    pub fn codepipeline(&self) -> &CodePipeline {
        &self.inner.cloud.codepipeline
    }

    /// The backup jobs, and what happens to them.
    pub fn backup(&self) -> &Backup {
        &self.inner.cloud.backup
    }

    /// The functions that deployments change, and what became of them.
    pub fn lambda(&self) -> &Lambda {
        &self.inner.cloud.lambda
    }

    /// The alarms.
    pub fn cloudwatch(&self) -> &CloudWatch {
        &self.inner.cloud.cloudwatch
    }

    /// The repositories.
    pub fn codecommit(&self) -> &CodeCommit {
        &self.inner.cloud.codecommit
    }

    /// The EventBridge events.
    pub fn events(&self) -> &Events {
        &self.inner.cloud.events
    }

    /// The file of this process in the folder of a record.
    pub fn record_in(folder: &Path) -> PathBuf {
        record::file(folder)
    }
}

impl Options {
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.repositories.clone()];
        if let Agents::Processes(processes) = &self.agents {
            folders.extend([processes.work.clone(), processes.logs.clone()]);
        }
        if let Builds::Processes(processes) = &self.builds {
            folders.extend([processes.work.clone(), processes.logs.clone()]);
        }
        folders
    }
}
