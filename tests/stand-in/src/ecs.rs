//! ECS, on Fargate and on instances: tasks, and what happens to them.

mod api;
mod identity;
mod instances;
mod process;
mod services;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bellhop_model::ecs::{CONTAINER_EXITED, EXITED, FAILED_TO_START, OUT_OF_MEMORY, SPOT_INTERRUPTION, SPOT_REASON, Status};
use bellhop_model::tokens::Tokens;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::events::Events;
use crate::support::{self, lock};
use crate::{Agents, Options, ProcessOptions, Timing};
use api::{invalid, strings};
use instances::Instance;
pub use instances::InstanceView;
use process::Runner;
pub use tasks::TaskView;
use tasks::{Plan, Task};

/// The tasks of the stand-in. Clones are handles to the same tasks.
///
/// A task is named by its ARN or by the last part of it. With scripted agents a task stays PROVISIONING until a test
/// says otherwise; with process agents the processes decide, and the methods that script a task's life are refused.
#[derive(Clone)]
pub struct Ecs {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    account: String,
    timing: Timing,
    processes: Option<ProcessOptions>,
    events: Events,
    state: Mutex<State>,
    /// Counts the changes, for those who wait for one.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    tasks: Vec<Task>,
    /// The places of the tasks, by id.
    places: HashMap<String, usize>,
    /// What the client tokens made, by the tasks' ids, or were refused with.
    tokens: Tokens<Value, Vec<String>, Value, ()>,
    /// The container definitions, CPU and memory of the registered revisions, by family.
    definitions: BTreeMap<String, Vec<Value>>,
    services: Vec<services::Service>,
    denied: BTreeSet<String>,
    clusters: Option<BTreeSet<String>>,
    runs_at_once: bool,
    stops_at_once: Option<i32>,
    runners: HashMap<String, Runner>,
    instances: Vec<Instance>,
    /// Whether no process may be started any more.
    closed: bool,
}

/// What a task's process is given.
struct Launch {
    access_key: String,
    command: Vec<String>,
    defined_environment: BTreeMap<String, String>,
    environment_override: BTreeMap<String, String>,
}

/// A task that is being changed, with the events that tell of it.
struct Change<'a> {
    task: &'a mut Task,
    events: &'a Events,
    produced: Vec<Value>,
}

impl Change<'_> {
    fn announce(&mut self) {
        let event = self
            .events
            .publish("aws.ecs", "ECS Task State Change", &[&self.task.arn], self.task.event_detail());
        self.produced.push(event);
    }

    fn enter(&mut self, stages: &[Status]) {
        for stage in stages {
            if self.task.enter(*stage) {
                self.announce();
            }
        }
    }

    fn want_stop(&mut self, code: &'static str, reason: &str) {
        self.task.want_stop(code, reason);
        self.announce();
    }

    fn run(&mut self) {
        self.enter(&[Status::Pending, Status::Activating, Status::Running]);
    }

    /// The container is gone: everything up to the release of the network interface.
    fn end(&mut self, exit_code: Option<i32>) {
        self.task.exit_code = exit_code;
        if self.task.life.status >= Status::Running {
            self.enter(&[Status::Deactivating, Status::Stopping]);
        }
        self.enter(&[Status::Deprovisioning]);
    }

    /// The container is gone, and everything else too.
    fn end_and_stop(&mut self, exit_code: Option<i32>) {
        self.end(exit_code);
        self.enter(&[Status::Stopped]);
    }
}

impl Ecs {
    pub(crate) fn new(options: &Options, events: Events) -> Self {
        let processes = match &options.agents {
            Agents::Scripted => None,
            Agents::Processes(processes) => Some(processes.clone()),
        };
        Self {
            inner: Arc::new(Inner {
                region: options.region.clone(),
                account: options.account.clone(),
                timing: options.timing,
                processes,
                events,
                state: Mutex::default(),
                changes: watch::Sender::new(0),
            }),
        }
    }

    // What there is.

    /// All tasks, in the order of their creation, without the [forgotten](Ecs::forget) ones.
    pub fn tasks(&self) -> Vec<TaskView> {
        let state = lock(&self.inner.state);
        let known = state.tasks.iter().filter(|task| !task.forgotten);
        known.map(Task::view).collect()
    }

    /// One task.
    ///
    /// # Errors
    /// There is no such task.
    pub fn task(&self, task: &str) -> anyhow::Result<TaskView> {
        let state = lock(&self.inner.state);
        let place = state.place(task).context("no such task")?;
        let task = state.tasks.get(place).context("no such task")?;
        Ok(task.view())
    }

    /// What STS says about the caller with this access key, as XML; None if it is not a task's.
    pub(crate) fn caller_identity(&self, access_key: &str) -> Option<String> {
        let state = lock(&self.inner.state);
        let task = state.tasks.iter().find(|task| task.access_key() == access_key)?;
        Some(task.caller_identity())
    }

    /// The events of one task so far, delivered or not, oldest first.
    pub fn events_of(&self, task: &str) -> Vec<Value> {
        match self.task(task) {
            Ok(task) => self.inner.events.about(&task.arn),
            Err(_) => Vec::new(),
        }
    }

    /// Waits until something can be found among the tasks.
    ///
    /// # Errors
    /// It was not found in time; the text names the tasks there are.
    pub async fn wait_for<T>(&self, within: Duration, mut find: impl FnMut(&[TaskView]) -> Option<T>) -> anyhow::Result<T> {
        if let Some(found) = support::wait_for(&self.inner.changes, within, || find(&self.tasks())).await {
            return Ok(found);
        }
        let tasks = self.tasks();
        let tasks: Vec<_> = tasks.iter().map(|task| format!("{} {}", task.id, task.last_status)).collect();
        bail!("not found within {within:?}; the tasks are {tasks:?}")
    }

    /// Waits until a task has this last status, such as `STOPPED`.
    ///
    /// # Errors
    /// It did not come to have it in time.
    pub async fn wait_for_status(&self, task: &str, status: &str, within: Duration) -> anyhow::Result<TaskView> {
        let id = id_of(task);
        let found = |tasks: &[TaskView]| {
            let fits = |task: &&TaskView| task.id == id && task.last_status == status;
            tasks.iter().find(fits).cloned()
        };
        let waited = self.wait_for(within, found).await;
        waited.with_context(|| format!("task {id} did not become {status}"))
    }

    /// The file with a task's standard output and standard error; it is there once the task runs.
    ///
    /// # Errors
    /// There is no such task, or tasks are not processes.
    pub fn log_path(&self, task: &str) -> anyhow::Result<PathBuf> {
        let processes = self.inner.processes.as_ref();
        let processes = processes.context("scripted tasks have no output")?;
        Ok(process::log_path(processes, &self.task(task)?.id))
    }

    /// What a task has written so far to its standard output and standard error.
    ///
    /// # Errors
    /// There is no such task, tasks are not processes, or it has not started yet.
    pub fn stdout(&self, task: &str) -> anyhow::Result<String> {
        let path = self.log_path(task)?;
        let output = std::fs::read(&path);
        let output = output.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    // How it is set up.

    /// Knows only these clusters, by name. Any name is accepted before.
    pub fn set_clusters<'a>(&self, clusters: impl IntoIterator<Item = &'a str>) {
        let clusters = clusters.into_iter().map(str::to_owned).collect();
        lock(&self.inner.state).clusters = Some(clusters);
    }

    /// Does not know this task definition family. Any other family is accepted, registered or not.
    pub fn deny_task_definition(&self, family: &str) {
        lock(&self.inner.state).denied.insert(family.to_owned());
    }

    /// Whether scripted tasks go to RUNNING as soon as they are created. They do not at first.
    pub fn set_run_at_once(&self, at_once: bool) {
        lock(&self.inner.state).runs_at_once = at_once;
    }

    /// With an exit code, a StopTask of a scripted task goes on to STOPPED at once, and its container ends with this
    /// code if it was running. Without, which is so at first, it takes [`Ecs::settle_stop`].
    pub fn set_stop_at_once(&self, exit_code: impl Into<Option<i32>>) {
        lock(&self.inner.state).stops_at_once = exit_code.into();
    }

    // What happens to it. Each returns the events that tell of it.

    /// The task's container starts: up to RUNNING.
    ///
    /// # Errors
    /// There is no such task, it has started already or is to be stopped, or tasks are processes.
    pub fn run(&self, task: &str) -> anyhow::Result<Vec<Value>> {
        self.script(task, |change| {
            if change.task.life.status >= Status::Running || change.task.life.is_stopping() {
                bail!("a task that {} cannot start", standing(change.task));
            }
            change.run();
            Ok(())
        })
    }

    /// The task's container ends by itself with this exit code: up to STOPPED. The stop code is
    /// EssentialContainerExited, unless something else stops the task already.
    ///
    /// # Errors
    /// There is no such task, it does not run, or tasks are processes.
    pub fn exit(&self, task: &str, exit_code: i32) -> anyhow::Result<Vec<Value>> {
        self.script(task, |change| {
            must_run(change.task)?;
            change.task.life.mark_stop(CONTAINER_EXITED, EXITED);
            change.end_and_stop(Some(exit_code));
            Ok(())
        })
    }

    /// The task's container is killed for its use of memory: up to STOPPED, with exit code 137.
    ///
    /// # Errors
    /// There is no such task, it does not run, or tasks are processes.
    pub fn out_of_memory(&self, task: &str) -> anyhow::Result<Vec<Value>> {
        self.script(task, |change| {
            must_run(change.task)?;
            change.task.life.mark_stop(CONTAINER_EXITED, EXITED);
            change.task.container_reason = Some(OUT_OF_MEMORY.to_owned());
            change.end_and_stop(Some(137));
            Ok(())
        })
    }

    /// The task never gets to run: up to STOPPED, with stop code TaskFailedToStart and this reason, such as
    /// `CannotPullContainerError: …`.
    ///
    /// # Errors
    /// There is no such task, it has started already, or tasks are processes.
    pub fn fail_to_start(&self, task: &str, reason: &str) -> anyhow::Result<Vec<Value>> {
        self.script(task, |change| {
            if change.task.life.status >= Status::Running {
                bail!("a task that {} has not failed to start", standing(change.task));
            }
            change.task.life.mark_stop(FAILED_TO_START, reason);
            change.end_and_stop(None);
            Ok(())
        })
    }

    /// Spot takes a scripted task's capacity back: the warning. [`Ecs::interrupt`] or [`Ecs::exit`] ends it.
    ///
    /// # Errors
    /// As [`Ecs::reclaim_spot`], or tasks are processes.
    pub fn warn(&self, task: &str) -> anyhow::Result<Vec<Value>> {
        self.must_be_scripted()?;
        self.reclaim_spot(task)
    }

    /// The end of a task whose Spot capacity is taken back: up to STOPPED, with stop code SpotInterruption. Without a
    /// warning before, it is an interruption whose warning got lost.
    ///
    /// # Errors
    /// There is no such task, it is over already, or tasks are processes.
    pub fn interrupt(&self, task: &str, exit_code: impl Into<Option<i32>>) -> anyhow::Result<Vec<Value>> {
        self.script(task, |change| {
            must_not_be_over(change.task)?;
            change.task.life.mark_stop(SPOT_INTERRUPTION, SPOT_REASON);
            change.end_and_stop(exit_code.into());
            Ok(())
        })
    }

    /// The end of a task that StopTask has been asked to stop: up to STOPPED. 137 is the exit code of a container
    /// that did not end in time; a container that never ran has none.
    ///
    /// # Errors
    /// There is no such task, nobody stops it, it is over already, or tasks are processes.
    pub fn settle_stop(&self, task: &str, exit_code: impl Into<Option<i32>>) -> anyhow::Result<Vec<Value>> {
        self.script(task, |change| {
            must_not_be_over(change.task)?;
            if !change.task.life.is_stopping() {
                bail!("nobody stops this task");
            }
            change.end_and_stop(exit_code.into());
            Ok(())
        })
    }

    /// Spot takes the task's capacity back: the warning event, and with a process SIGTERM at once and SIGKILL after
    /// [`Timing::spot_warning`].
    ///
    /// # Errors
    /// There is no such task, it is not on Spot, does not run, or is being stopped already.
    pub fn reclaim_spot(&self, task: &str) -> anyhow::Result<Vec<Value>> {
        let events = self.change(task, |change| {
            must_run(change.task)?;
            if !change.task.on_spot() {
                bail!("the task is not on Spot");
            }
            if change.task.life.is_stopping() {
                bail!("the task is being stopped already");
            }
            change.want_stop(SPOT_INTERRUPTION, SPOT_REASON);
            Ok(())
        })?;
        self.terminate(task, self.inner.timing.spot_warning);
        Ok(events)
    }

    /// Makes the API forget a task, as ECS does [`REMEMBERED`](bellhop_model::ecs::REMEMBERED) after its end. Its client token is still known.
    ///
    /// # Errors
    /// There is no such task.
    pub fn forget(&self, task: &str) -> anyhow::Result<()> {
        self.change(task, |change| {
            change.task.forgotten = true;
            Ok(())
        })
        .map(drop)
    }

    // For the rest of the crate.

    /// The ARNs of the tasks that Spot could take back.
    pub(crate) fn running_on_spot(&self) -> Vec<String> {
        let state = lock(&self.inner.state);
        let running = state
            .tasks
            .iter()
            .filter(|task| task.on_spot() && task.life.status == Status::Running && !task.life.is_stopping());
        running.map(|task| task.arn.clone()).collect()
    }

    /// How many tasks of a capacity, or of any, have not stopped.
    pub(crate) fn live(&self, capacity: Option<&str>) -> usize {
        let of_it = |task: &&TaskView| capacity.is_none_or(|capacity| task.capacity == capacity);
        let tasks = self.tasks();
        tasks.iter().filter(of_it).filter(|task| task.last_status != "STOPPED").count()
    }

    /// Kills all task processes and starts none any more.
    pub(crate) async fn stop_processes(&self) {
        let runners = {
            let mut state = lock(&self.inner.state);
            state.closed = true;
            std::mem::take(&mut state.runners)
        };
        for runner in runners.into_values() {
            runner.abandon().await;
        }
    }

    fn must_be_scripted(&self) -> anyhow::Result<()> {
        if self.inner.processes.is_some() {
            bail!("tasks are processes here, so a test cannot set their state");
        }
        Ok(())
    }

    fn script(&self, task: &str, change: impl FnOnce(&mut Change<'_>) -> anyhow::Result<()>) -> anyhow::Result<Vec<Value>> {
        self.must_be_scripted()?;
        self.change(task, change)
    }

    /// Changes a task and returns the events of it. Events are published under the lock, so that their order is that
    /// of the versions.
    fn change(&self, task: &str, change: impl FnOnce(&mut Change<'_>) -> anyhow::Result<()>) -> anyhow::Result<Vec<Value>> {
        let produced = {
            let mut state = lock(&self.inner.state);
            let place = state.place(task).context("no such task")?;
            let task = state.tasks.get_mut(place).context("no such task")?;
            let mut changing = Change {
                task,
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

    fn terminate(&self, task: &str, grace: Duration) {
        let state = lock(&self.inner.state);
        if let Some(runner) = state.runners.get(id_of(task)) {
            runner.terminate(grace);
        }
    }

    /// Creates a task: its first event, and its process or its script's first stage.
    fn create(&self, state: &mut State, plan: Plan) -> String {
        let mut task = Task::new(plan);
        let id = task.id.clone();
        let mut change = Change {
            task: &mut task,
            events: &self.inner.events,
            produced: Vec::new(),
        };
        change.announce();
        match &self.inner.processes {
            None if state.runs_at_once => change.run(),
            None => {}
            Some(_) if state.closed => {}
            Some(processes) => {
                let runner = Runner::start(self.clone(), id.clone(), processes.clone());
                state.runners.insert(id.clone(), runner);
            }
        }
        state.places.insert(id.clone(), state.tasks.len());
        state.tasks.push(task);
        id
    }

    // What processes tell. The tasks are known, so there are no errors to speak of.

    fn timing(&self) -> Timing {
        self.inner.timing
    }

    /// The container is about to start: up to ACTIVATING.
    fn activate(&self, id: &str) -> Option<Launch> {
        let mut launch = None;
        let changed = self.change(id, |change| {
            change.enter(&[Status::Pending, Status::Activating]);
            launch = Some(Launch {
                access_key: change.task.access_key(),
                command: change.task.command(),
                defined_environment: change.task.defined_environment(),
                environment_override: change.task.environment_override(),
            });
            Ok(())
        });
        changed.ok().and(launch)
    }

    /// The container has started: RUNNING.
    fn started(&self, id: &str) {
        self.tell(id, |change| change.enter(&[Status::Running]));
    }

    /// The container could not be started: up to DEPROVISIONING.
    fn not_started(&self, id: &str, code: &'static str, reason: &str) {
        self.tell(id, |change| {
            change.task.life.mark_stop(code, reason);
            change.task.container_reason = Some(reason.to_owned());
            change.end(None);
        });
    }

    /// The container has ended or, without an exit code, will not start: up to DEPROVISIONING.
    fn container_ended(&self, id: &str, exit_code: Option<i32>) {
        self.tell(id, |change| {
            change.task.life.mark_stop(CONTAINER_EXITED, EXITED);
            change.end(exit_code);
        });
    }

    /// All is over: STOPPED.
    fn deprovisioned(&self, id: &str) {
        self.tell(id, |change| change.enter(&[Status::Stopped]));
        lock(&self.inner.state).runners.remove(id);
    }

    fn tell(&self, id: &str, what: impl FnOnce(&mut Change<'_>)) {
        let changed = self.change(id, |change| {
            what(change);
            Ok(())
        });
        if let Err(error) = changed {
            tracing::warn!(task = id, "{error:#}");
        }
    }
}

impl State {
    /// The answer of a RunTask without a task, which its client token has from now on.
    fn fail(&mut self, token: Option<&str>, failures: Value) -> Value {
        let answer = json!({ "tasks": [], "failures": &failures });
        if let Some(token) = token {
            self.tokens.refused(token, failures);
        }
        answer
    }

    /// The tasks with these ids.
    fn named<'a>(&'a self, ids: &'a [String]) -> impl Iterator<Item = &'a Task> {
        ids.iter().filter_map(|id| self.tasks.get(self.place(id)?))
    }

    fn place(&self, task: &str) -> Option<usize> {
        self.places.get(id_of(task)).copied()
    }

    /// The task, unless the API does not know it any more.
    fn known(&self, task: &str) -> Option<&Task> {
        let task = self.tasks.get(self.place(task)?)?;
        Some(task).filter(|task| !task.forgotten)
    }
}

/// The last part of an ARN; an id itself.
fn id_of(task: &str) -> &str {
    task.rsplit('/').next().unwrap_or(task)
}

fn must_run(task: &Task) -> anyhow::Result<()> {
    if task.life.status != Status::Running {
        bail!("a task that {} does not run", standing(task));
    }
    Ok(())
}

fn must_not_be_over(task: &Task) -> anyhow::Result<()> {
    if task.life.status == Status::Stopped {
        bail!("the task has already ended");
    }
    Ok(())
}

fn standing(task: &Task) -> String {
    format!("is {} and is to be {}", task.life.status.name(), task.life.desired_status())
}
