//! A suite, and what happens to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellhop_aws::{Aws, Endpoint};
use bellhop_domain::backup::Definition;
use bellhop_domain::build::Build;
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::run::Run;
use bellhop_engine::{Engine, Fault, Keeper, Starter};
use bellhop_runtime::{Invocation, Settings, Suite};
use bellhop_spot_interruption::Watch;
use bellhop_stand_in::{
    Backup, BuildProcessOptions, BuildView, Builds, CodeBuild, CodePipeline, Ecs, Entry, Faults, Journal, Options, Project, StandIn,
    TaskView, Timing,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::local_aws::{ACCOUNT, REGION};
use crate::{Environment, LocalAws, Repository, SteppableClock};

/// The repository that is pushed to.
const REPOSITORY: &str = "shop";

/// The ARN of the suite's own table.
pub const SUITE_TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/suite";
/// The role for AWS Backup.
const BACKUP_ROLE: &str = "arn:aws:iam::000000000000:role/backup";
/// Where the suite configuration is in the bucket.
const CONFIG_KEY: &str = "config/bellhop.yaml";

/// One agent, on Spot where a job allows it, and every success is told.
const CONFIGURATION: &str = r"
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

/// One job.
const PIPELINE: &str = r"
version: 1
jobs:
  test: { agent: small, run: make test }
";

/// Longer than a push takes to be seen, on a slow machine too.
const SOON: Duration = Duration::from_secs(20);

/// How long a function has for one invocation.
const INVOCATION: Duration = Duration::from_secs(60);

/// A suite of a test's own, with one repository.
pub struct World {
    /// ECS, CodeCommit, and the way to everything else.
    pub stand_in: StandIn,
    /// The functions' time.
    pub clock: Arc<SteppableClock>,
    /// The tests' own way to the local AWS.
    pub local_aws: LocalAws,
    /// A clone of the repository.
    pub repository: Repository,
    suite: Suite,
    settings: Settings,
    queue: String,
    first_push: Value,
    newest_run: Mutex<Option<RunId>>,
    _folder: TempDir,
}

/// A message as a subscriber gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The document.
    pub document: Value,
    /// What filter policies see.
    pub attributes: BTreeMap<String, String>,
}

impl Message {
    /// What it is about, in a few words: `build test retrying`, `run succeeded`.
    #[must_use]
    pub fn line(&self) -> String {
        let words = ["kind", "job", "status"].map(|name| self.document[name].as_str());
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

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
            config_key: CONFIG_KEY.to_owned(),
            table_backup: None,
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

    /// EventBridge's event of the repository's first push, to branch `main`.
    #[must_use]
    pub fn push_event(&self) -> Value {
        self.first_push.clone()
    }

    /// Commits these files, pushes to branch `main`, and gives EventBridge's event of it.
    pub async fn commit(&self, files: &[(&str, &str)], message: &str) -> Value {
        self.repository.commit(files, message).await;
        self.push_to("refs/heads/main").await
    }

    /// Pushes what was committed last to a branch or tag, and gives EventBridge's event of it.
    pub async fn push_to(&self, reference: &str) -> Value {
        self.push_refspec(&format!("HEAD:{reference}")).await
    }

    /// Deletes a branch or tag, and gives EventBridge's event of it.
    pub async fn delete(&self, reference: &str) -> Value {
        self.push_refspec(&format!(":{reference}")).await
    }

    async fn push_refspec(&self, refspec: &str) -> Value {
        let mut deliveries = self.stand_in.events().subscribe();
        self.repository.push(refspec).await;
        let arrival = async {
            loop {
                let event = deliveries.recv().await.expect("the stand-in lives as long as the test");
                if event["source"] == "aws.codecommit" {
                    return event;
                }
            }
        };
        tokio::time::timeout(SOON, arrival).await.expect("a push is an event soon")
    }
}

// The functions. Where nothing else is said, an invocation is like a cold start: nothing is remembered from the one before.
impl World {
    /// What decides and acts on builds and runs.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine {
            clock: self.clock.clone(),
            ..self.suite.engine()
        }
    }

    /// What starts runs.
    #[must_use]
    pub fn starter(&self) -> Starter {
        Starter { engine: self.engine() }
    }

    /// Invokes `push`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn push(&self, event: &Value) -> Result<Value, Fault> {
        self.push_warm(&self.starter(), event).await
    }

    /// Invokes `push` where it has been invoked before.
    ///
    /// # Errors
    /// The handler's.
    pub async fn push_warm(&self, starter: &Starter, event: &Value) -> Result<Value, Fault> {
        if let Some(run) = run_of(&self.settings.suite, event) {
            *self.newest_run.lock().expect("no test panics while it holds the lock") = Some(run);
        }
        bellhop_push::handle(starter, event).await
    }

    /// Invokes `task-state`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn task_event(&self, event: &Value) -> Result<Value, Fault> {
        bellhop_task_state::handle(&self.engine(), event).await
    }

    /// Invokes `task-state` with one event after the other, all in one process.
    ///
    /// # Panics
    /// The handler gives an error.
    pub async fn task_events(&self, events: &[Value]) {
        let engine = self.engine();
        for event in events {
            if let Err(fault) = bellhop_task_state::handle(&engine, event).await {
                panic!("{fault}: {event}");
            }
        }
    }

    /// Invokes `build-state`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn build_event(&self, event: &Value) -> Result<Value, Fault> {
        bellhop_build_state::handle(&self.engine(), event).await
    }

    /// Invokes `build-state` with one event after the other, all in one process.
    ///
    /// # Panics
    /// The handler gives an error.
    pub async fn build_events(&self, events: &[Value]) {
        let engine = self.engine();
        for event in events {
            if let Err(fault) = bellhop_build_state::handle(&engine, event).await {
                panic!("{fault}: {event}");
            }
        }
    }

    /// What `spot-interruption` remembers between two invocations of one environment: at first, nothing.
    #[must_use]
    pub fn spot_watch(&self) -> Watch {
        Watch::new(self.engine())
    }

    /// Invokes `spot-interruption`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn instance_event(&self, event: &Value) -> Result<Value, Fault> {
        self.spot_watch().handle(event).await
    }

    /// Invokes `alarm`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn alarm(&self, event: &Value) -> Result<Value, Fault> {
        bellhop_alarm::handle(&self.engine(), event).await
    }

    /// Invokes `pipeline`. The run that it answers with is the newest one from then on.
    ///
    /// # Errors
    /// The handler's.
    pub async fn pipeline(&self, event: &Value) -> Result<Value, Fault> {
        let answer = bellhop_pipeline::handle(&self.starter(), event).await?;
        self.follow(&answer[0]["run"]);
        Ok(answer)
    }

    /// Invokes `control`, as an invocation of a name of its own. The run that it answers with is the newest one from then on.
    ///
    /// # Errors
    /// The handler's.
    pub async fn control(&self, event: &Value) -> Result<Value, Fault> {
        self.control_as(&format!("{:032x}", fastrand::u128(..)), event).await
    }

    /// Invokes `control` as the invocation of this name, as for [`World::control`].
    ///
    /// # Errors
    /// The handler's.
    pub async fn control_as(&self, request_id: &str, event: &Value) -> Result<Value, Fault> {
        let invocation = Invocation {
            event: event.clone(),
            request_id: request_id.to_owned(),
            deadline: self.engine().clock.now() + INVOCATION,
        };
        let answer = bellhop_control::handle(&self.starter(), &invocation).await?;
        self.follow(&answer["run"]);
        Ok(answer)
    }

    /// What starts and watches backups: those of the configuration, and the suite's own table.
    #[must_use]
    pub fn keeper(&self) -> Keeper {
        Keeper {
            engine: self.engine(),
            table: Some(Definition::of_suite_table(SUITE_TABLE, "bellhop", BACKUP_ROLE)),
        }
    }

    /// Invokes `backup`, as an invocation of a name of its own.
    ///
    /// # Errors
    /// The handler's.
    pub async fn backup(&self, event: &Value) -> Result<Value, Fault> {
        let invocation = Invocation {
            event: event.clone(),
            request_id: format!("{:032x}", fastrand::u128(..)),
            deadline: self.engine().clock.now() + INVOCATION,
        };
        bellhop_backup::handle(&self.keeper(), &invocation).await
    }

    fn follow(&self, run: &Value) {
        if let Some(run) = run.as_str() {
            let run = run.parse().expect("a function answers with the id of a run");
            *self.newest_run.lock().expect("no test panics while it holds the lock") = Some(run);
        }
    }

    /// Invokes `sweep`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn sweep(&self) -> Result<Value, Fault> {
        let engine = self.engine();
        let deadline = engine.clock.now() + INVOCATION;
        bellhop_sweep::handle(&engine, deadline).await
    }

    /// Invokes `sweep` so much later.
    ///
    /// # Errors
    /// The handler's.
    pub async fn sweep_after(&self, span: Duration) -> Result<Value, Fault> {
        self.clock.advance(span);
        self.sweep().await
    }

    /// Invokes `push` with the first push, which has to start a run, and gives the run's id.
    ///
    /// # Panics
    /// No run is started.
    pub async fn start(&self) -> RunId {
        self.start_by(&self.first_push).await
    }

    /// Invokes `push` with an event that has to start a run, and gives the run's id.
    ///
    /// # Panics
    /// No run is started.
    pub async fn start_by(&self, event: &Value) -> RunId {
        let answer = self.push(event).await.expect("the push is handled");
        assert!(answer[0]["builds"].is_u64(), "no run was started: {answer}");
        self.newest_run()
    }
}

// What became of it.
impl World {
    /// The run of the push that was handled last, whether or not that went well.
    ///
    /// # Panics
    /// None was handled.
    #[must_use]
    pub fn newest_run(&self) -> RunId {
        let run = self.newest_run.lock().expect("no test panics while it holds the lock");
        run.clone().expect("a run was started")
    }

    /// That run, as it is in the ledger.
    ///
    /// # Panics
    /// It is not there.
    pub async fn run(&self) -> Run {
        let run = self.engine().ledger.run(&self.newest_run()).await.expect("the ledger can be read");
        run.expect("the run is in the ledger").record
    }

    /// A build of that run, as it is in the ledger.
    ///
    /// # Panics
    /// It is not there.
    pub async fn build(&self, job: &str) -> Build {
        let id = BuildId {
            run: self.newest_run(),
            job: job.parse().expect("a job's name"),
        };
        let build = self.engine().ledger.build(&id).await.expect("the ledger can be read");
        build.expect("the build is in the ledger").record
    }

    /// Everything in the ledger's table.
    pub async fn items(&self) -> Vec<Value> {
        self.local_aws.items(&self.settings.table).await
    }

    /// Puts an item into the ledger's table, past the ledger.
    pub async fn put_item(&self, item: &Value) {
        self.local_aws.put_item(&self.settings.table, item).await;
    }

    /// The ids of all runs in the ledger, in order of their keys.
    pub async fn run_ids(&self) -> Vec<String> {
        let items = self.items().await;
        let runs = items.iter().filter(|item| item["sk"]["S"] == "RUN");
        let ids = runs.filter_map(|item| item["pk"]["S"].as_str()?.strip_prefix("RUN#"));
        ids.map(str::to_owned).collect()
    }

    /// The report of that run.
    ///
    /// # Panics
    /// It is not there.
    pub async fn report(&self) -> Value {
        let key = format!("runs/{}/report.json", self.newest_run());
        let text = self.object(&key).await.expect("the report is in the bucket");
        serde_json::from_str(&text).expect("the report is JSON")
    }

    /// An object in the suite's bucket.
    pub async fn object(&self, key: &str) -> Option<String> {
        self.local_aws.get(self.bucket(), key).await
    }

    /// The messages that have been published since this was asked last.
    pub async fn messages(&self) -> Vec<Message> {
        let bodies = self.local_aws.receive_all(&self.queue).await;
        bodies.iter().map(message).collect()
    }

    /// The same in a few words each, in the alphabet's order: nobody is promised another one.
    pub async fn told(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.messages().await.iter().map(Message::line).collect();
        lines.sort();
        lines
    }

    /// Every task, in the order of creation.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskView> {
        self.stand_in.ecs().tasks()
    }

    /// The ARN of a task, by its place in the order of creation.
    ///
    /// # Panics
    /// There are not so many.
    #[must_use]
    pub fn task(&self, place: usize) -> String {
        let tasks = self.tasks();
        let task = tasks.get(place).unwrap_or_else(|| panic!("there is no task {place}: {tasks:?}"));
        task.arn.clone()
    }

    /// Every build of CodeBuild, in the order of creation.
    #[must_use]
    pub fn builds(&self) -> Vec<BuildView> {
        self.stand_in.codebuild().builds()
    }

    /// The ARN of a build of CodeBuild, by its place in the order of creation.
    ///
    /// # Panics
    /// There are not so many.
    #[must_use]
    pub fn agent_build(&self, place: usize) -> String {
        let builds = self.builds();
        let build = builds.get(place).unwrap_or_else(|| panic!("there is no build {place}: {builds:?}"));
        build.arn.clone()
    }

    /// What AWS was asked, as `service Operation`.
    #[must_use]
    pub fn requests(entries: &[Entry]) -> Vec<String> {
        let names = entries.iter().map(|entry| format!("{} {}", entry.service, entry.operation));
        names.collect()
    }

    /// What happens to tasks.
    #[must_use]
    pub fn ecs(&self) -> &Ecs {
        self.stand_in.ecs()
    }

    /// What happens to builds of CodeBuild.
    #[must_use]
    pub fn codebuild(&self) -> &CodeBuild {
        self.stand_in.codebuild()
    }

    /// What happens to actions of CodePipeline.
    #[must_use]
    pub fn codepipeline(&self) -> &CodePipeline {
        self.stand_in.codepipeline()
    }

    /// What happens to jobs of AWS Backup.
    #[must_use]
    pub fn backups(&self) -> &Backup {
        self.stand_in.backup()
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.stand_in.faults()
    }

    /// What AWS was asked.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        self.stand_in.journal()
    }

    /// The environment in which a function's own process serves this suite.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", ACCOUNT.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT_URL", self.stand_in.endpoint()),
            ("BELLHOP_TABLE", self.settings.table.clone()),
            ("BELLHOP_BUCKET", self.settings.bucket.clone()),
            ("BELLHOP_TOPIC_ARN", self.settings.topic_arn.clone()),
        ]
    }

    /// The suite's bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.settings.bucket
    }
}

// What happens to tasks, told to `task-state` at once.
impl World {
    /// A task starts.
    ///
    /// # Panics
    /// It cannot, or the handler gives an error.
    pub async fn runs(&self, task: &str) {
        self.task_events(&self.ecs().run(task).expect("the task can start")).await;
    }

    /// A task ends by itself.
    ///
    /// # Panics
    /// It cannot, or the handler gives an error.
    pub async fn exits(&self, task: &str, exit_code: i32) {
        self.task_events(&self.ecs().exit(task, exit_code).expect("the task can end")).await;
    }

    /// A task's Spot capacity is to be taken back.
    ///
    /// # Panics
    /// It cannot be, or the handler gives an error.
    pub async fn is_warned(&self, task: &str) {
        self.task_events(&self.ecs().warn(task).expect("the task is on Spot")).await;
    }

    /// A task's Spot capacity is gone.
    ///
    /// # Panics
    /// It cannot be, or the handler gives an error.
    pub async fn is_interrupted(&self, task: &str, exit_code: impl Into<Option<i32>>) {
        let events = self.ecs().interrupt(task, exit_code).expect("the task is not over");
        self.task_events(&events).await;
    }

    /// A build of CodeBuild comes to its commands, told to `build-state`.
    ///
    /// # Panics
    /// It cannot, or the handler gives an error.
    pub async fn build_runs(&self, build: &str) {
        self.build_events(&self.codebuild().run(build).expect("the build can start")).await;
    }

    /// A build of CodeBuild ends by itself, told to `build-state`.
    ///
    /// # Panics
    /// It cannot, or the handler gives an error.
    pub async fn build_exits(&self, build: &str, exit_code: i32) {
        self.build_events(&self.codebuild().exit(build, exit_code).expect("the build can end"))
            .await;
    }

    /// An agent leaves a file of its checkout in the bucket, as an artifact of an attempt of the newest run.
    pub async fn leaves(&self, job: &str, attempt: u32, path: &str, text: &str) {
        let key = format!("runs/{}/{job}/{attempt}/artifacts/{path}", self.newest_run());
        self.local_aws.put(self.bucket(), &key, text).await;
    }

    /// A task's agent leaves its report in the bucket, where the task's environment says.
    ///
    /// # Panics
    /// There is no such task.
    pub async fn reports(&self, task: &str, report: &Value) {
        let place = self.ecs().task(task).expect("the task is there").environment["BELLHOP_RESULT_URI"].clone();
        let key = place.strip_prefix(&format!("s3://{}/", self.bucket()));
        let key = key.expect("the report goes into the suite's bucket");
        self.local_aws.put(self.bucket(), key, &report.to_string()).await;
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

/// The run that an event of EventBridge's about a push starts, if it starts one.
fn run_of(suite: &str, event: &Value) -> Option<RunId> {
    let reference = event["detail"]["referenceFullName"].as_str()?.parse().ok()?;
    Some(RunId::derive(suite, event["id"].as_str()?, &reference))
}

/// What an agent reports whose script ended by itself.
#[must_use]
pub fn script_report(exit_code: i32) -> Value {
    json!({ "phase": "script", "exit-code": exit_code, "signalled": false })
}

fn message(envelope: &Value) -> Message {
    let text = envelope["Message"].as_str().expect("a message has a text");
    let attributes = envelope["MessageAttributes"].as_object().into_iter().flatten();
    Message {
        document: serde_json::from_str(text).expect("the text for programs is JSON"),
        attributes: attributes
            .map(|(name, value)| (name.clone(), value["Value"].as_str().unwrap_or_default().to_owned()))
            .collect(),
    }
}
