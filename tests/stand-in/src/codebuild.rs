//! CodeBuild: projects, builds, and what happens to them.

mod api;
mod artifacts;
mod builds;
mod buildspec;
mod process;
mod projects;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
pub use bellhop_model::codebuild::BuildPhase;
use bellhop_model::codebuild::Outcome;
use bellhop_model::tokens::Tokens;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::codecommit::CodeCommit;
use crate::events::Events;
use crate::proxy::Upstream;
use crate::support::{self, lock};
use crate::{BuildProcessOptions, Builds, Options, Timing};
pub(crate) use api::queue_is_full;
use builds::{Build, Context, Plan};
pub use builds::{BuildView, PhaseView};
use buildspec::Buildspec;
pub use projects::{Project, ProjectArtifacts, ProjectEnvironment, ProjectSource, Variable};

/// How many builds an account may have at once, and how many may wait besides: AWS's own quotas.
const RUNNING_LIMIT: usize = 60;
const QUEUED_LIMIT: usize = 5 * RUNNING_LIMIT;

/// The projects and builds of the stand-in. Clones are handles to the same ones.
///
/// A build is named by its id (`PROJECT:UUID`) or by its ARN. A scripted build stays QUEUED until a test says
/// otherwise; with process builds the processes decide, and the methods that script a build's life are refused.
#[derive(Clone)]
pub struct CodeBuild {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    account: String,
    timing: Timing,
    processes: Option<BuildProcessOptions>,
    events: Events,
    codecommit: CodeCommit,
    upstream: Upstream,
    state: Mutex<State>,
    /// Counts the changes, for those who wait for one.
    changes: watch::Sender<u64>,
}

struct State {
    projects: BTreeMap<String, Project>,
    /// How many builds each project has had.
    numbers: HashMap<String, u64>,
    builds: Vec<Build>,
    /// The places of the builds, by id.
    places: HashMap<String, usize>,
    tokens: Tokens<Value, String, Infallible, Instant>,
    running_limit: usize,
    queued_limit: usize,
    starts_at_once: bool,
    runners: HashMap<String, JoinHandle<()>>,
    /// Whether no process may be started any more.
    closed: bool,
}

/// A build that is being changed, with the events that tell of it.
struct Change<'a> {
    build: &'a mut Build,
    events: &'a Events,
    produced: Vec<Value>,
}

impl Change<'_> {
    fn announce_state(&mut self) {
        self.announce("CodeBuild Build State Change", self.build.state_detail());
    }

    fn announce(&mut self, detail_type: &str, detail: Value) {
        let event = self.events.publish("aws.codebuild", detail_type, &[&self.build.arn], detail);
        self.produced.push(event);
    }

    /// Ends the phase that the build is in and begins another one.
    fn step(&mut self, outcome: Outcome, context: Option<Context>, next: BuildPhase) {
        self.build.step(outcome, context, next);
        if let Some(detail) = self.build.phase_detail() {
            self.announce("CodeBuild Build Phase Change", detail);
        }
    }

    /// The request was accepted: the first events.
    fn submit(&mut self) {
        self.announce_state();
        self.step(Outcome::Succeeded, None, BuildPhase::Queued);
    }

    /// All phases before this one succeed.
    fn enter(&mut self, phase: BuildPhase) {
        while self.build.phase() < phase {
            let next = self.build.phase().next();
            self.step(Outcome::Succeeded, None, next);
        }
    }

    /// The phase fails, and with it the build, which goes on with the phase that comes after such a failure.
    fn fail_phase(&mut self, outcome: Outcome, context: Context) {
        self.build.failing = true;
        let next = self.build.phase().next_after_failure();
        self.step(outcome, Some(context), next);
    }

    /// All that is left succeeds.
    fn complete(&mut self) {
        self.enter(BuildPhase::Completed);
        let outcome = if self.build.failing { Outcome::Failed } else { Outcome::Succeeded };
        self.close(outcome);
    }

    /// The build ends in the midst of a phase.
    fn break_off(&mut self, outcome: Outcome, context: Option<Context>) {
        if self.build.phase() != BuildPhase::Completed {
            self.step(outcome, context, BuildPhase::Completed);
        }
        self.close(outcome);
    }

    fn close(&mut self, outcome: Outcome) {
        self.build.close(outcome);
        self.announce_state();
    }
}

impl CodeBuild {
    pub(crate) fn new(options: &Options, events: Events, codecommit: CodeCommit, upstream: Upstream) -> Self {
        let processes = match &options.builds {
            Builds::Scripted => None,
            Builds::Processes(processes) => Some(processes.clone()),
        };
        Self {
            inner: Arc::new(Inner {
                region: options.region.clone(),
                account: options.account.clone(),
                timing: options.timing,
                processes,
                events,
                codecommit,
                upstream,
                state: Mutex::new(State {
                    projects: BTreeMap::new(),
                    numbers: HashMap::new(),
                    builds: Vec::new(),
                    places: HashMap::new(),
                    tokens: Tokens::default(),
                    running_limit: RUNNING_LIMIT,
                    queued_limit: QUEUED_LIMIT,
                    starts_at_once: false,
                    runners: HashMap::new(),
                    closed: false,
                }),
                changes: watch::Sender::new(0),
            }),
        }
    }

    // What there is.

    /// All builds, in the order of their creation.
    pub fn builds(&self) -> Vec<BuildView> {
        lock(&self.inner.state).builds.iter().map(Build::view).collect()
    }

    /// One build.
    ///
    /// # Errors
    /// There is no such build.
    pub fn build(&self, build: &str) -> anyhow::Result<BuildView> {
        let state = lock(&self.inner.state);
        let build = state.find(build).context("no such build")?;
        Ok(build.view())
    }

    /// All projects, in the order of their names.
    pub fn projects(&self) -> Vec<Project> {
        lock(&self.inner.state).projects.values().cloned().collect()
    }

    /// The events of one build so far, delivered or not, oldest first: `CodeBuild Build State Change` and
    /// `CodeBuild Build Phase Change`.
    pub fn events_of(&self, build: &str) -> Vec<Value> {
        match self.build(build) {
            Ok(build) => self.inner.events.about(&build.arn),
            Err(_) => Vec::new(),
        }
    }

    /// Waits until something can be found among the builds.
    ///
    /// # Errors
    /// It was not found in time; the text names the builds there are.
    pub async fn wait_for<T>(&self, within: Duration, mut find: impl FnMut(&[BuildView]) -> Option<T>) -> anyhow::Result<T> {
        if let Some(found) = support::wait_for(&self.inner.changes, within, || find(&self.builds())).await {
            return Ok(found);
        }
        let builds = self.builds();
        let standing = |build: &BuildView| format!("{} {} {}", build.id, build.phase.name(), build.status);
        let builds: Vec<_> = builds.iter().map(standing).collect();
        bail!("not found within {within:?}; the builds are {builds:?}")
    }

    /// Waits until a build has this status, such as `SUCCEEDED`.
    ///
    /// # Errors
    /// It did not come to have it in time.
    pub async fn wait_for_status(&self, build: &str, status: &str, within: Duration) -> anyhow::Result<BuildView> {
        let id = id_of(build);
        let found = |builds: &[BuildView]| {
            let fits = |build: &&BuildView| build.id == id && build.status == status;
            builds.iter().find(fits).cloned()
        };
        let waited = self.wait_for(within, found).await;
        waited.with_context(|| format!("build {id} did not become {status}"))
    }

    /// The file with a build's standard output and standard error; it is there once the build's commands run.
    ///
    /// # Errors
    /// There is no such build, or builds are not processes.
    pub fn log_path(&self, build: &str) -> anyhow::Result<PathBuf> {
        let processes = self.inner.processes.as_ref();
        let processes = processes.context("scripted builds have no output")?;
        let state = lock(&self.inner.state);
        let build = state.find(build).context("no such build")?;
        Ok(process::log_path(processes, &build.uuid))
    }

    /// What a build's commands have written so far to their standard output and standard error.
    ///
    /// # Errors
    /// There is no such build, builds are not processes, or its commands have not begun to run.
    pub fn stdout(&self, build: &str) -> anyhow::Result<String> {
        let path = self.log_path(build)?;
        let output = std::fs::read(&path);
        let output = output.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// The folder with copies of a build's artifacts: `BUCKET/KEY` each. With an upstream they are in its buckets too.
    ///
    /// # Errors
    /// There is no such build, or builds are not processes.
    pub fn artifact_folder(&self, build: &str) -> anyhow::Result<PathBuf> {
        let processes = self.inner.processes.as_ref();
        let processes = processes.context("scripted builds have no artifacts")?;
        let state = lock(&self.inner.state);
        let build = state.find(build).context("no such build")?;
        Ok(process::artifact_folder(processes, &build.uuid))
    }

    // How it is set up.

    /// Creates a project, or replaces the one of this name; builds that have been started keep what they are.
    ///
    /// # Errors
    /// CodeBuild would not accept it.
    pub fn create_project(&self, project: Project) -> anyhow::Result<()> {
        api::check_project(&project)?;
        lock(&self.inner.state).projects.insert(project.name.clone(), project);
        Ok(())
    }

    /// Takes a project away. Its builds stay known.
    pub fn delete_project(&self, name: &str) {
        lock(&self.inner.state).projects.remove(name);
    }

    /// How many builds the account may have at once, and how many may wait besides. At first they are AWS's quotas:
    /// 60, and five times as many. StartBuild refuses what is more; and a process build waits in QUEUED for its turn,
    /// whereas it is the test that says when a scripted one leaves it.
    pub fn set_account_limits(&self, running: usize, queued: usize) {
        {
            let mut state = lock(&self.inner.state);
            state.running_limit = running;
            state.queued_limit = queued;
        }
        self.changed();
    }

    /// Whether scripted builds go to BUILD as soon as they are created. They do not at first.
    pub fn set_start_at_once(&self, at_once: bool) {
        lock(&self.inner.state).starts_at_once = at_once;
    }

    /// Forgets all idempotency tokens, as CodeBuild does five minutes after their first use.
    pub fn forget_tokens(&self) {
        lock(&self.inner.state).tokens.forget();
    }

    // What happens to a scripted build. Each returns the events that tell of it.

    /// The build goes on to BUILD.
    ///
    /// # Errors
    /// There is no such build, it is in BUILD or later already, or builds are processes.
    pub fn run(&self, build: &str) -> anyhow::Result<Vec<Value>> {
        self.advance(build, BuildPhase::Build)
    }

    /// The build goes on to this phase, and all phases before it succeed. With COMPLETED the whole build ends, as
    /// SUCCEEDED or, where a phase failed before, as FAILED.
    ///
    /// # Errors
    /// There is no such build, it is in this phase or later already, it is over, or builds are processes.
    pub fn advance(&self, build: &str, phase: BuildPhase) -> anyhow::Result<Vec<Value>> {
        self.script(build, |change| {
            if change.build.phase() >= phase {
                bail!("a build in {} cannot continue with {}", change.build.phase().name(), phase.name());
            }
            match phase {
                BuildPhase::Completed => change.complete(),
                _ => change.enter(phase),
            }
            Ok(())
        })
    }

    /// The command that runs ends with this exit code, and the build goes on to its end: as SUCCEEDED with 0, as
    /// FAILED with any other. A build that has not come to its commands yet goes on to BUILD before.
    ///
    /// # Errors
    /// There is no such build, it is past its commands, it is over, or builds are processes.
    pub fn exit(&self, build: &str, exit_code: i32) -> anyhow::Result<Vec<Value>> {
        self.script(build, |change| {
            if change.build.phase() < BuildPhase::Install {
                change.enter(BuildPhase::Build);
            }
            let phase = change.build.phase();
            if !phase.has_commands() {
                bail!("a build in {} runs no command", phase.name());
            }
            if exit_code != 0 {
                let command = scripted_command(change.build, phase);
                change.fail_phase(Outcome::Failed, Context::of_command(&command, exit_code));
            }
            change.complete();
            Ok(())
        })
    }

    /// The phase that the build is in fails by other than a command, such as with `YAML_FILE_ERROR` in
    /// DOWNLOAD_SOURCE, and the build goes on to its end as FAILED.
    ///
    /// # Errors
    /// There is no such build, it is over, or builds are processes.
    pub fn fail(&self, build: &str, code: &str, message: &str) -> anyhow::Result<Vec<Value>> {
        self.script(build, |change| {
            change.fail_phase(Outcome::ClientError, Context::new(code, message));
            change.complete();
            Ok(())
        })
    }

    /// The build never gets an environment: PROVISIONING fails with this code and text, such as `VPC_CLIENT_ERROR`, and
    /// the build is FAILED.
    ///
    /// # Errors
    /// There is no such build, it has an environment already, it is over, or builds are processes.
    pub fn fail_to_provision(&self, build: &str, code: &str, message: &str) -> anyhow::Result<Vec<Value>> {
        self.script(build, |change| {
            if change.build.phase() > BuildPhase::Provisioning {
                bail!("a build in {} is already provisioned", change.build.phase().name());
            }
            change.enter(BuildPhase::Provisioning);
            change.fail_phase(Outcome::ClientError, Context::new(code, message));
            change.complete();
            Ok(())
        })
    }

    /// CodeBuild itself fails in the phase that the build is in: FAULT.
    ///
    /// # Errors
    /// There is no such build, it is over, or builds are processes.
    pub fn fault(&self, build: &str) -> anyhow::Result<Vec<Value>> {
        self.script(build, |change| {
            let context = Context::new("INTERNAL_ERROR", "Internal Service Error");
            change.break_off(Outcome::Fault, Some(context));
            Ok(())
        })
    }

    /// The build takes too long, in the queue or out of it: TIMED_OUT.
    ///
    /// # Errors
    /// There is no such build, it is over, or builds are processes.
    pub fn time_out(&self, build: &str) -> anyhow::Result<Vec<Value>> {
        self.script(build, |change| {
            change.break_off(Outcome::TimedOut, Some(timed_out()));
            Ok(())
        })
    }

    // For the rest of the crate.

    /// Kills all build processes and starts none any more.
    pub(crate) async fn stop_processes(&self) {
        let runners = {
            let mut state = lock(&self.inner.state);
            state.closed = true;
            std::mem::take(&mut state.runners)
        };
        for runner in runners.into_values() {
            runner.abort();
            // A cancelled task's error says no more than that it was cancelled.
            let _ = runner.await;
        }
    }

    fn script(&self, build: &str, change: impl FnOnce(&mut Change<'_>) -> anyhow::Result<()>) -> anyhow::Result<Vec<Value>> {
        if self.inner.processes.is_some() {
            bail!("builds are processes here, so a test cannot set their state");
        }
        self.change(build, change)
    }

    /// Changes a build that is not over and returns the events of it. Events are published under the lock, so that
    /// their order is that of the changes.
    fn change(&self, build: &str, change: impl FnOnce(&mut Change<'_>) -> anyhow::Result<()>) -> anyhow::Result<Vec<Value>> {
        let produced = {
            let mut state = lock(&self.inner.state);
            let build = state.find_mut(build).context("no such build")?;
            if build.is_over() {
                bail!("the build has already ended");
            }
            let mut changing = Change {
                build,
                events: &self.inner.events,
                produced: Vec::new(),
            };
            change(&mut changing)?;
            changing.produced
        };
        self.changed();
        Ok(produced)
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|count| *count += 1);
    }

    /// Creates a build: its first events, and its process or its script's first phases.
    fn create(&self, state: &mut State, plan: Plan) -> String {
        let mut build = Build::new(plan);
        let id = build.id.clone();
        let mut change = Change {
            build: &mut build,
            events: &self.inner.events,
            produced: Vec::new(),
        };
        change.submit();
        match &self.inner.processes {
            None if state.starts_at_once => change.enter(BuildPhase::Build),
            None => {}
            Some(_) if state.closed => {}
            Some(processes) => {
                let life = process::live(self.clone(), id.clone(), processes.clone());
                state.runners.insert(id.clone(), tokio::spawn(life));
            }
        }
        state.places.insert(id.clone(), state.builds.len());
        state.builds.push(build);
        id
    }

    // What processes tell. The builds are known; but one may have been stopped in the meantime, and then nothing more
    // is to be told of it.

    fn tell(&self, id: &str, what: impl FnOnce(&mut Change<'_>)) {
        let changed = self.change(id, |change| {
            what(change);
            Ok(())
        });
        if let Err(error) = changed {
            tracing::debug!(build = id, "{error:#}");
        }
    }

    /// Leaves the queue if it is this build's turn: the account has room for one more.
    fn leave_queue(&self, id: &str) -> bool {
        let turn = {
            let state = lock(&self.inner.state);
            let active = state.builds.iter().filter(|build| !build.is_over());
            let (queued, running): (Vec<_>, Vec<_>) = active.partition(|build| build.phase() <= BuildPhase::Queued);
            let room = state.running_limit.saturating_sub(running.len());
            queued.iter().take(room).any(|build| build.id == id)
        };
        if turn {
            self.tell(id, |change| change.enter(BuildPhase::Provisioning));
        }
        turn
    }
}

impl State {
    fn find(&self, build: &str) -> Option<&Build> {
        let place = self.places.get(id_of(build))?;
        self.builds.get(*place)
    }

    fn find_mut(&mut self, build: &str) -> Option<&mut Build> {
        let place = self.places.get(id_of(build))?;
        self.builds.get_mut(*place)
    }
}

/// The last part of an ARN; an id itself.
fn id_of(build: &str) -> &str {
    build.rsplit('/').next().unwrap_or(build)
}

fn timed_out() -> Context {
    Context::new("BUILD_TIMED_OUT", "Build has timed out. ")
}

/// The command that a scripted build is said to run in a phase: the last one of the buildspec's, where it is readable.
fn scripted_command(build: &Build, phase: BuildPhase) -> String {
    let buildspec = build.plan.source.buildspec.as_deref().and_then(Buildspec::inline);
    let buildspec = buildspec.and_then(Result::ok);
    let command = buildspec.and_then(|buildspec| buildspec.phase(phase).and_then(|phase| phase.commands.last().cloned()));
    command.unwrap_or_else(|| "./run".to_owned())
}
