//! ECS: tasks with the real life cycle, tokens, refusals, and scripts in them whose true end only this file knows.
//!
//! And CodeBuild, whose builds live like tasks as far as anybody asks here, but for what [`Task::on_codebuild`] tells.

use std::collections::BTreeMap;

use bellhop_domain::Capacity;
use bellhop_domain::agent::result_key;
use bellhop_domain::build::Refusal;
use bellhop_domain::codebuild;
use bellhop_domain::ids::{AgentId, AttemptId, LaunchId};
use bellhop_domain::observation::{Observation, Report, ReportPhase};
use bellhop_domain::spec::{BuildSpec, Executor};
use bellhop_engine::ports::Launch;
use bellhop_events::codebuild::{BuildFacts, PhaseContext, PhaseFacts};
use bellhop_events::task::{ContainerFacts, TaskFacts};

use crate::checks;
use crate::hostility::Spell;
use crate::instances;
use crate::mutant::{self, Mutant};
use crate::world::{HOUR, Happening, Invoke, Job, MINUTE, Millis, SECOND, World, timestamp};

/// The container's `stopTimeout` in the task definition.
const STOP_TIMEOUT: Millis = 120 * SECOND;
/// What the agent's entry point keeps of it for the script's cleaning up and the report.
const MARGIN: Millis = 20 * SECOND;
/// How long a stopped task can still be described.
const REMEMBERED: Millis = HOUR;

/// How long CodeBuild remembers a token.
const TOKEN_LIFE: Millis = 5 * MINUTE;

const INTERRUPTED: &str = "Your Spot Task was interrupted.";
/// What a task says that never came up because there was no capacity.
const NO_CAPACITY: [&str; 4] = [
    "Capacity is unavailable at this time. Please try again later or in a different availability zone",
    "RESOURCE:MEMORY",
    "EMPTY CAPACITY PROVIDER",
    "NO ACTIVE INSTANCES",
];
/// What a task says that never came up for want of something that comes back.
const NOT_NOW: [&str; 4] = [
    "Unexpected EC2 error while attempting to Create Network Interface: InsufficientFreeAddressesInSubnet",
    "You've reached the limit on the number of vCPUs you can run concurrently",
    "Request limit exceeded.",
    "InternalError: an internal error has occurred",
];
const EXITED: &str = "Essential container in task exited";

#[derive(Default)]
pub(crate) struct Ecs {
    pub(crate) tasks: Vec<Task>,
    tokens: BTreeMap<String, usize>,
    /// Tokens that were refused in a 200, with the launch and the refusal.
    spent: BTreeMap<String, (LaunchId, Refusal)>,
    by_agent: BTreeMap<AgentId, usize>,
}

/// A step in a task's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Pending,
    Activating,
    Up,
    /// It never comes up.
    Fails(Failure),
    CheckedOut,
    /// The script ends by itself.
    ScriptEnds,
    /// The entry point passes SIGTERM on.
    TermPassedOn,
    /// The script answers SIGTERM.
    ScriptAnswers(i32),
    /// The container ends, after the report is written.
    ContainerEnds(i32),
    /// SIGKILL.
    Killed,
    /// An essential container beside the agent's ends.
    SidecarEnds,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
    Reclaimed,
    StoppedByOutsider,
    HostLost,
    /// ECS hears no more of it.
    Disconnected,
    /// CodeBuild ends a build that takes too long.
    TimesOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    NoCapacity,
    /// For want of something that comes back.
    NotNow,
    NoImage,
    /// It waited in CodeBuild's queue for too long.
    LeftQueue,
}

/// How a task's script ended in truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It has not ended, or never ran.
    Open,
    /// By itself, with exit code 0.
    Succeeded,
    /// By itself, with another exit code, or for want of memory.
    Failed,
    /// The commit could not be checked out.
    NotCheckedOut,
    /// By a signal: its end proves nothing.
    Signalled,
}

/// How a script ends if nobody stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Exits(i32),
    /// The container is killed for want of memory, and with it the entry point.
    OutOfMemory,
    Hangs,
}

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) agent: AgentId,
    pub(crate) attempt: AttemptId,
    pub(crate) capacity: Capacity,
    /// It is a build of CodeBuild: without versions, without SIGTERM, and its API tells how its script ended.
    pub(crate) on_codebuild: bool,
    /// The instance that it runs on; none on Fargate.
    pub(crate) host: Option<usize>,
    created: Millis,
    /// After how long CodeBuild ends it.
    longest: Option<Millis>,
    pub(crate) failure: Option<Failure>,
    container: String,
    version: u64,
    last_status: &'static str,
    stop_code: Option<&'static str>,
    stopped_reason: Option<String>,
    started_at: Option<Millis>,
    stopping_at: Option<Millis>,
    stopped_at: Option<Millis>,
    pub(crate) exit_code: Option<i32>,
    container_reason: Option<&'static str>,
    /// It has a second container.
    sidecar: bool,
    /// The second container ended first, and took the agent's with it.
    pub(crate) sidecar_ended_first: bool,
    /// Its end, as far as its containers are concerned. A task that is to stop before it is up has ended at once.
    pub(crate) ended: Option<Millis>,
    /// Its Spot capacity was taken back.
    pub(crate) reclaimed: Option<Millis>,
    /// Somebody outside stopped it, or its host was lost, or it did not come up.
    pub(crate) disturbed: bool,
    pub(crate) told_to_stop: bool,
    /// Its instance has no connection any more: ECS knows what it is told to do, and not what it does.
    pub(crate) deaf: bool,
    pub(crate) truth: Truth,
    /// The agent's own report is in the bucket.
    pub(crate) reported: bool,
    ending: Ending,
    takes: Millis,
    checkout_fails: bool,
    script_began: bool,
    script_over: bool,
    signalled: bool,
    /// Its image has the suite's entry point.
    entry_point: bool,
    upload_fails: bool,
    /// What the script makes of SIGTERM: an exit code soon, or nothing.
    on_term: Option<i32>,
    /// Since when it lives without being the agent of a live attempt of an open build.
    pub(crate) unwanted_since: Option<Millis>,
    /// Since when its build's record names it.
    pub(crate) known_since: Option<Millis>,
    visible_at: Millis,
    /// What it was, and since when, as far back as an answer may be behind.
    past: Vec<(Millis, Observation)>,
}

impl Task {
    /// Its containers run, or are about to.
    pub(crate) fn lives(&self) -> bool {
        self.ended.is_none()
    }

    /// Nobody and nothing has told it to stop.
    pub(crate) fn goes_on(&self) -> bool {
        self.lives() && !self.is_stopping()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop_code.is_some()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.last_status == "STOPPED"
    }

    pub(crate) fn up_since(&self) -> Option<Millis> {
        self.started_at
    }

    /// Lists of tasks show it already.
    pub(crate) fn is_visible(&self, now: Millis) -> bool {
        self.visible_at <= now
    }

    pub(crate) fn never_ran(&self) -> bool {
        self.started_at.is_none()
    }

    fn facts(&self) -> TaskFacts {
        let ends_known = self.ended.is_some() && self.last_status != "RUNNING" && !self.deaf;
        let mut containers = vec![ContainerFacts {
            name: self.container.clone(),
            last_status: Some(if ends_known { "STOPPED" } else { "RUNNING" }.to_owned()),
            exit_code: self.exit_code.filter(|_| ends_known),
            reason: self.container_reason.filter(|_| ends_known).map(str::to_owned),
        }];
        if self.sidecar {
            containers.push(ContainerFacts {
                name: "log-router".to_owned(),
                last_status: Some(if ends_known { "STOPPED" } else { "RUNNING" }.to_owned()),
                exit_code: ends_known.then_some(if self.started_at.is_some() { 1 } else { 0 }),
                reason: None,
            });
        }
        TaskFacts {
            arn: self.agent.to_string(),
            version: Some(self.version),
            last_status: self.last_status.to_owned(),
            desired_status: Some(if self.is_stopping() { "STOPPED" } else { "RUNNING" }.to_owned()),
            stop_code: self.stop_code.filter(|code| !code.is_empty()).map(str::to_owned),
            stopped_reason: self.stopped_reason.clone(),
            capacity_provider: None,
            launch_type: None,
            launched_on: Some(self.capacity),
            started_at: self.started_at.map(timestamp),
            execution_stopped_at: self.ended.filter(|_| ends_known).map(timestamp),
            stopping_at: self.stopping_at.map(timestamp),
            stopped_at: self.stopped_at.map(timestamp),
            containers,
        }
    }

    /// What was to be seen of it at a moment that is not long past, or first.
    pub(crate) fn as_of(&self, then: Millis) -> Observation {
        let seen = self.past.iter().rev().find(|(since, _)| *since <= then).or(self.past.first());
        seen.map_or_else(|| self.observation(), |(_, observation)| observation.clone())
    }

    /// A build of CodeBuild, in its words.
    fn build_facts(&self) -> BuildFacts {
        let phase = |kind: &str, status: &str, ended_at: Option<Millis>, message: &str| PhaseFacts {
            kind: kind.to_owned(),
            status: Some(status.to_owned()),
            ended_at: ended_at.map(timestamp),
            contexts: vec![PhaseContext::read(message)],
        };
        let mut phases = Vec::new();
        if self.started_at.is_some() {
            phases.push(phase("PROVISIONING", "SUCCEEDED", self.started_at, ": "));
        }
        let code = self.exit_code.unwrap_or(1);
        let command = format!("COMMAND_EXECUTION_ERROR: Error while executing command: make. Reason: exit status {code}");
        let (status, trouble) = match (self.truth, self.stop_code, self.failure) {
            _ if !self.is_gone() => ("IN_PROGRESS", None),
            (Truth::Succeeded, ..) => ("SUCCEEDED", None),
            (Truth::Failed, ..) => ("FAILED", Some(phase("BUILD", "FAILED", self.ended, &command))),
            (Truth::NotCheckedOut, ..) => (
                "FAILED",
                Some(phase("DOWNLOAD_SOURCE", "FAILED", self.ended, "CLIENT_ERROR: reference not found")),
            ),
            (_, _, Some(Failure::LeftQueue)) => ("TIMED_OUT", Some(phase("QUEUED", "TIMED_OUT", self.ended, "BUILD_TIMED_OUT: "))),
            (_, _, Some(_)) => (
                "FAILED",
                Some(phase(
                    "PROVISIONING",
                    "FAILED",
                    self.ended,
                    "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: ",
                )),
            ),
            (_, Some("InfrastructureHealth"), _) => ("FAULT", None),
            (_, Some("TimedOut"), _) => ("TIMED_OUT", Some(phase("BUILD", "TIMED_OUT", self.ended, "BUILD_TIMED_OUT: "))),
            _ => ("STOPPED", None),
        };
        phases.extend(trouble);
        BuildFacts {
            arn: self.agent.to_string(),
            status: status.to_owned(),
            current_phase: None,
            ended_at: self.stopped_at.map(timestamp),
            phases,
            failed: None,
        }
    }

    /// When everything about its end could be known.
    pub(crate) fn known_end(&self) -> Option<Millis> {
        // An end without an exit code cannot be told from none before the task is gone altogether, and CodeBuild tells nothing before.
        if self.exit_code.is_some() && !self.on_codebuild {
            self.ended
        } else {
            self.stopped_at
        }
    }

    pub(crate) fn observation(&self) -> Observation {
        if self.on_codebuild {
            return self.build_facts().observation().expect("the stand-in knows CodeBuild's words");
        }
        self.facts().observation().expect("the stand-in knows ECS's words")
    }
}

/// The last digits of a task's name.
pub(crate) fn short(agent: &AgentId) -> &str {
    let text = agent.as_str();
    text.get(text.len().saturating_sub(4)..).unwrap_or(text)
}

/// The cluster that a task's ARN names.
pub(crate) fn cluster(agent: &AgentId) -> &str {
    agent.as_str().rsplit('/').nth(1).unwrap_or_default()
}

/// `RunTask`.
///
/// Errors leave the token as it was. A 200 without a task spends it: the same token gives the same refusal again
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>).
pub(crate) fn run_task(world: &mut World, spec: &BuildSpec, launch: &LaunchId) -> Launch {
    let build = &spec.id;
    let attempt = &launch.attempt;
    let capacity = mutant::launch_capacity(world, launch.capacity);
    let refused = |world: &mut World, refusal: Refusal| {
        world.note("RunTask refused", build, || format!("{attempt} on {capacity}: {refusal:?}"));
        world.statistics.refusals += 1;
        checks::refused(world, attempt, capacity);
        Launch::refused(refusal)
    };
    // A rate limit stands before everything else, even before the token of a task that exists.
    if world.spell(Spell::Throttled) && world.rng.bool() {
        return refused(world, Refusal::Throttled("ThrottlingException: Rate exceeded".to_owned()));
    }
    if world.spell(Spell::Missing) {
        checks::forbidden(world, attempt);
        world.statistics.refused_for_good += 1;
        return refused(world, Refusal::Invalid("ClientException: TaskDefinition not found.".to_owned()));
    }
    if world.spell(Spell::Forbidden) || world.denied("RunTask") {
        checks::denied(world, attempt);
        world.statistics.denials += 1;
        return refused(
            world,
            mutant::unknown(world, "AccessDeniedException: not authorized to perform: ecs:RunTask"),
        );
    }
    let on_codebuild = matches!(spec.executor, Executor::CodeBuild(_));
    let out = match world.script.as_mut().and_then(|script| script.refusal.take()) {
        None => false,
        Some(Refusal::Unknown(words)) => {
            checks::denied(world, attempt);
            return refused(world, mutant::unknown(world, &words));
        }
        Some(Refusal::NoCapacity(words)) if on_codebuild => return refused(world, Refusal::AccountLimit(words)),
        Some(Refusal::NoCapacity(_)) => true,
        Some(refusal) => return refused(world, refusal),
    };
    let token = mutant::token(
        world,
        &LaunchId {
            capacity,
            ..launch.clone()
        },
    );
    if let Some((of, refusal)) = world.ecs.spent.get(&token).cloned() {
        checks::refused_again(world, launch, &of);
        world.note("RunTask refused again", build, || format!("{launch}: {refusal:?}"));
        return Launch::Refused { refusal, spent: true };
    }
    let spend = |world: &mut World, refusal: Refusal| {
        world.ecs.spent.insert(token.clone(), (launch.clone(), refusal.clone()));
        refused(world, refusal.clone());
        Launch::Refused { refusal, spent: true }
    };
    let remembered = |task: &&Task| !on_codebuild || world.now < task.created + TOKEN_LIFE;
    let known = world.ecs.tokens.get(&token).and_then(|task| world.ecs.tasks.get(*task));
    if let Some(task) = known.filter(remembered) {
        let agent = task.agent.clone();
        let spent_on = (task.attempt.clone(), task.capacity);
        checks::launched_again(world, attempt, capacity, &spent_on);
        world.note("RunTask again", build, || format!("{attempt} on {capacity}: {}", short(&agent)));
        return Launch::Accepted(agent);
    }
    if out || world.spell(Spell::NoCapacity) && !on_codebuild || capacity == Capacity::Spot && world.spell(Spell::NoSpot) {
        return spend(
            world,
            Refusal::NoCapacity(
                "Capacity is unavailable at this time. Please try again later or in a different availability zone".to_owned(),
            ),
        );
    }
    if world.spell(Spell::AccountLimit) && world.ecs.tasks.iter().filter(|task| task.lives()).count() >= 2 {
        let refusal = Refusal::AccountLimit("You've reached the limit on the number of vCPUs you can run concurrently".to_owned());
        // It comes among the failures of a 200 and as an error.
        return if !on_codebuild && world.rng.bool() {
            spend(world, refusal)
        } else {
            refused(world, refusal)
        };
    }
    let host = if instances::has_agents_of(spec) {
        let Some(host) = instances::place(world, capacity) else {
            let words = "RESOURCE:MEMORY: no instance has room for it";
            return spend(world, Refusal::NoCapacity(words.to_owned()));
        };
        Some(host)
    } else {
        None
    };
    checks::launching(world, spec, attempt, capacity);
    let agent = create(world, spec, attempt, (capacity, host), token);
    Launch::Accepted(agent)
}

fn create(world: &mut World, spec: &BuildSpec, attempt: &AttemptId, (capacity, host): (Capacity, Option<usize>), token: String) -> AgentId {
    let (cluster, container) = match &spec.executor {
        Executor::Ecs(ecs) => (ecs.cluster(capacity), ecs.container.clone()),
        Executor::CodeBuild(codebuild) => (codebuild.project.as_str(), String::new()),
    };
    let on_codebuild = matches!(spec.executor, Executor::CodeBuild(_));
    let index = world.ecs.tasks.len();
    let agent = if on_codebuild {
        format!("arn:aws:codebuild:us-east-1:123456789012:build/{cluster}:{index:032x}")
    } else {
        format!("arn:aws:ecs:us-east-1:123456789012:task/{cluster}/{index:032x}")
    };
    let agent: AgentId = agent.parse().expect("it is an ARN");
    let (takes, fails) = world.repository.job(spec).map_or((MINUTE, 0.0), |job| (job.takes, job.fails));
    let hostile = !world.calm();
    let hostility = world.hostility.clone();
    let share = |share: f64| if hostile { share } else { 0.0 };
    let ending = if let Some(script) = &world.script {
        Ending::Exits(script.exit_code(attempt))
    } else if world.chance(hostility.hangs) {
        Ending::Hangs
    } else if world.chance(fails) {
        match world.rng.u32(0..5) {
            0 => Ending::OutOfMemory,
            1 => Ending::Exits(75),
            2 => Ending::Exits(137),
            _ => Ending::Exits(1),
        }
    } else {
        Ending::Exits(0)
    };
    let lag = if hostile { world.hostility.list_lag } else { 0 };
    let scripted = world.script.is_some();
    let task = Task {
        agent: agent.clone(),
        attempt: attempt.clone(),
        capacity,
        on_codebuild,
        host,
        created: world.now,
        longest: on_codebuild.then(|| minutes(codebuild::timeout_minutes(spec))),
        failure: None,
        container,
        version: 1,
        last_status: "PROVISIONING",
        stop_code: None,
        stopped_reason: None,
        started_at: None,
        stopping_at: None,
        stopped_at: None,
        exit_code: None,
        container_reason: None,
        sidecar: !scripted && world.rng.u32(0..5) == 0 && !on_codebuild,
        sidecar_ended_first: false,
        ended: None,
        reclaimed: None,
        disturbed: false,
        told_to_stop: false,
        deaf: false,
        truth: Truth::Open,
        reported: false,
        ending,
        takes: if scripted { takes } else { world.between_log(takes / 4, takes * 3) },
        checkout_fails: world.chance(share(0.03)),
        script_began: false,
        script_over: false,
        signalled: false,
        entry_point: scripted || world.rng.u32(0..6) != 0 || on_codebuild,
        upload_fails: world.chance(share(0.04)),
        on_term: if scripted {
            Some(143)
        } else {
            [Some(0), Some(143), Some(143), None][world.rng.usize(0..4)]
        },
        unwanted_since: None,
        known_since: None,
        visible_at: world.now + world.rng.u64(0..=lag),
        past: Vec::new(),
    };
    world.note("task created", &spec.id, || {
        format!(
            "{attempt} on {capacity}: {} ({:?} after {} s)",
            short(&agent),
            task.ending,
            task.takes / SECOND
        )
    });
    world.statistics.tasks += 1;
    world.statistics.on_codebuild += u64::from(on_codebuild);
    let first = if world.chance(share(hostility.late_no_capacity)) {
        let wait = world.between_log(5 * SECOND, 180 * SECOND);
        Some((wait, Step::Fails(Failure::NoCapacity)))
    } else if world.chance(share(hostility.not_now)) && !on_codebuild {
        let wait = world.between_log(5 * SECOND, 180 * SECOND);
        Some((wait, Step::Fails(Failure::NotNow)))
    } else if world.chance(share(hostility.no_start)) {
        let wait = world.between_log(5 * SECOND, 180 * SECOND);
        Some((wait, Step::Fails(Failure::NoImage)))
    } else if world.chance(share(hostility.never_up)) {
        None
    } else {
        let wait = world.between_log(2 * SECOND, 20 * SECOND);
        Some((wait, Step::Pending))
    };
    let first = if on_codebuild && hostile && !scripted && world.dice.u32(0..4) == 0 {
        let queued = world.dice.u64(10 * SECOND..30 * MINUTE);
        let longest = minutes(codebuild::queued_timeout_minutes(spec));
        first.map(|(wait, step)| {
            if queued > longest {
                (longest, Step::Fails(Failure::LeftQueue))
            } else {
                (queued + wait, step)
            }
        })
    } else {
        first
    };
    if let Some((wait, step)) = first {
        world.schedule_in(wait, Happening::Task(index, step));
    }
    if capacity == Capacity::Spot
        && host.is_none()
        && let Some(mean) = hostility.reclaim_after.filter(|_| hostile)
    {
        let wait = exponential(world, mean);
        world.schedule_in(wait, Happening::Task(index, Step::Reclaimed));
    }
    if let Some(wait) = world.script.as_ref().and_then(|script| script.reclaimed_after(attempt)) {
        world.schedule_in(wait, Happening::Task(index, Step::Reclaimed));
    }
    if world.chance(share(hostility.outsider)) {
        let wait = world.between_log(SECOND, 20 * MINUTE);
        world.schedule_in(wait, Happening::Task(index, Step::StoppedByOutsider));
    }
    if world.chance(share(hostility.host_lost)) {
        let wait = world.between_log(SECOND, 20 * MINUTE);
        world.schedule_in(wait, Happening::Task(index, Step::HostLost));
    }
    if world.chance(share(hostility.disconnected)) && !on_codebuild {
        let wait = world.between_log(SECOND, 20 * MINUTE);
        world.schedule_in(wait, Happening::Task(index, Step::Disconnected));
    }
    if task.sidecar && world.chance(share(0.1)) {
        let wait = world.between_log(30 * SECOND, 20 * MINUTE);
        world.schedule_in(wait, Happening::Task(index, Step::SidecarEnds));
    }
    world.ecs.tasks.push(task);
    world.ecs.tokens.insert(token, index);
    world.ecs.by_agent.insert(agent.clone(), index);
    instances::placed(world, index);
    changed(world, index);
    agent
}

fn minutes(count: i32) -> Millis {
    MINUTE * Millis::try_from(count).unwrap_or(0)
}

fn exponential(world: &mut World, mean: Millis) -> Millis {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "waits of at most hours"
    )]
    let wait = (-(1.0 - world.rng.f64()).ln() * mean as f64) as Millis;
    wait.min(12 * HOUR)
}

/// `StopTask`.
pub(crate) fn stop_task(world: &mut World, agent: &AgentId, reason: &str) {
    let Some(&index) = world.ecs.by_agent.get(agent) else { return };
    if mutant::drops_stop(world, index) {
        return;
    }
    begin_stop(world, index, "UserInitiated", reason);
    if let Some(task) = world.ecs.tasks.get_mut(index) {
        task.told_to_stop = true;
    }
}

/// `ListBuildsForProject` and `BatchGetBuilds`: the build that an earlier launch of an attempt has started.
pub(crate) fn started_before(world: &World, attempt: &AttemptId) -> Option<AgentId> {
    if world.is(Mutant::AgainIgnored) {
        return None;
    }
    let mut builds = world.ecs.tasks.iter().rev();
    let found = builds.find(|task| task.attempt == *attempt && task.visible_at <= world.now);
    found.map(|task| task.agent.clone())
}

/// `BatchGetBuilds`, for an event that does not tell whose build it is about.
pub(crate) fn identify(world: &World, agent: &AgentId) -> Option<(AttemptId, Observation)> {
    world.task(agent).map(|task| (task.attempt.clone(), task.observation()))
}

/// `ListTasks` by `startedBy`, then `DescribeTasks`: only what is desired to run is listed.
pub(crate) fn find(world: &World, attempt: &AttemptId) -> Vec<Observation> {
    if world.is(Mutant::NothingFound) {
        return Vec::new();
    }
    world
        .ecs
        .tasks
        .iter()
        .filter(|task| task.attempt == *attempt && task.visible_at <= world.now)
        .filter(|task| if task.on_codebuild { !task.is_gone() } else { !task.is_stopping() })
        .map(Task::observation)
        .collect()
}

/// `DescribeTasks`, whose answer may be a little behind.
pub(crate) fn describe(world: &mut World, agents: &[AgentId]) -> Vec<(AgentId, Option<Observation>)> {
    if world.is(Mutant::NothingDescribed) {
        return Vec::new();
    }
    let lag = if world.calm() { 0 } else { world.hostility.list_lag };
    let then = world.now.saturating_sub(world.rng.u64(0..=lag));
    agents
        .iter()
        .map(|agent| {
            let overlooked = mutant::overlooks(world);
            let task = world.ecs.by_agent.get(agent).and_then(|index| world.ecs.tasks.get(*index));
            let known =
                task.filter(|task| !overlooked && (task.on_codebuild || task.stopped_at.is_none_or(|at| at + REMEMBERED > world.now)));
            (agent.clone(), known.map(|task| task.as_of(then)))
        })
        .collect()
}

impl World {
    /// A task of this name, if there ever was one.
    pub(crate) fn task(&self, agent: &AgentId) -> Option<&Task> {
        self.ecs.by_agent.get(agent).and_then(|index| self.ecs.tasks.get(*index))
    }

    /// A step in a task's life, unless the life went another way.
    pub(crate) fn task_step(&mut self, index: usize, step: Step) {
        let Some(task) = self.ecs.tasks.get(index) else { return };
        let starting = task.lives() && !task.is_stopping() && task.started_at.is_none();
        let running = task.lives() && task.started_at.is_some();
        let healthy = running && !task.is_stopping();
        match step {
            Step::Pending if starting => {
                self.status(index, "PENDING");
                let wait = self.between_log(5 * SECOND, 60 * SECOND);
                self.schedule_in(wait / 2, Happening::Task(index, Step::Activating));
                self.schedule_in(wait, Happening::Task(index, Step::Up));
            }
            Step::Activating if starting && self.rng.bool() => self.status(index, "ACTIVATING"),
            Step::Up if starting => self.up(index),
            Step::Fails(failure) if starting => self.fail_to_start(index, failure),
            Step::CheckedOut if running && !task.signalled => {
                if task.checkout_fails && task.entry_point {
                    self.script_ends(index, Truth::NotCheckedOut, 90);
                } else {
                    let takes = task.takes;
                    let ending = task.ending;
                    if let Some(task) = self.ecs.tasks.get_mut(index) {
                        task.script_began = true;
                    }
                    if ending != Ending::Hangs {
                        self.schedule_in(takes, Happening::Task(index, Step::ScriptEnds));
                    }
                }
            }
            Step::ScriptEnds if running && !task.script_over && !task.signalled => match task.ending {
                Ending::Exits(0) => self.script_ends(index, Truth::Succeeded, 0),
                Ending::Exits(code) => self.script_ends(index, Truth::Failed, code),
                Ending::OutOfMemory => {
                    if let Some(task) = self.ecs.tasks.get_mut(index) {
                        task.script_over = true;
                        task.truth = Truth::Failed;
                        task.container_reason = Some("OutOfMemoryError: Container killed due to memory usage");
                    }
                    self.container_ends(index, Some(137));
                }
                Ending::Hangs => {}
            },
            Step::TermPassedOn if running && !task.script_over && !task.signalled => {
                let answer = task.on_term;
                let (began, spot) = (task.script_began, task.capacity == Capacity::Spot && task.entry_point);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.signalled = true;
                }
                let wait = self.between_log(200, 5 * SECOND);
                let grace = if spot { MARGIN / 2 } else { STOP_TIMEOUT - MARGIN / 2 };
                match answer {
                    _ if !began => self.schedule_in(wait, Happening::Task(index, Step::ScriptAnswers(143))),
                    Some(code) => self.schedule_in(wait, Happening::Task(index, Step::ScriptAnswers(code))),
                    None => self.schedule_in(grace, Happening::Task(index, Step::ScriptAnswers(137))),
                }
            }
            Step::TimesOut if healthy && !task.script_over => {
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.script_over = true;
                    task.truth = Truth::Signalled;
                    task.stop_code = Some("TimedOut");
                    task.stopping_at = Some(self.now);
                }
                self.container_ends(index, None);
            }
            Step::ScriptAnswers(code) if running && !task.script_over => self.script_ends(index, Truth::Signalled, code),
            Step::ContainerEnds(code) if running => self.container_ends(index, Some(code)),
            Step::Killed if running => {
                if let Some(task) = self.ecs.tasks.get_mut(index)
                    && !task.script_over
                {
                    task.script_over = true;
                    task.truth = Truth::Signalled;
                }
                self.container_ends(index, Some(137));
            }
            Step::SidecarEnds if healthy => {
                self.disturb(index);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.sidecar_ended_first = true;
                }
                begin_stop(self, index, "EssentialContainerExited", EXITED);
            }
            Step::Deactivating if running && self.rng.bool() => self.status(index, "DEACTIVATING"),
            Step::Stopping if running => self.status(index, "STOPPING"),
            Step::Deprovisioning => self.status(index, "DEPROVISIONING"),
            Step::Stopped => {
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.stopped_at = Some(self.now);
                }
                self.status(index, "STOPPED");
            }
            Step::Reclaimed if task.goes_on() && !self.calm() => {
                self.statistics.interruptions += 1;
                begin_stop(self, index, "SpotInterruption", INTERRUPTED);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.reclaimed = Some(self.now);
                }
            }
            Step::Disconnected if task.lives() && !self.calm() => {
                self.disturb(index);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.deaf = true;
                }
            }
            Step::StoppedByOutsider if task.goes_on() && !self.calm() => {
                self.disturb(index);
                begin_stop(self, index, "UserInitiated", "Task stopped by user");
            }
            Step::HostLost if task.goes_on() && !self.calm() => {
                self.disturb(index);
                if let Some(task) = self.ecs.tasks.get_mut(index) {
                    task.stop_code = Some("InfrastructureHealth");
                    task.stopped_reason = Some("The host of the task was lost".to_owned());
                    task.script_over = true;
                }
                self.container_ends(index, None);
            }
            _ => {}
        }
    }

    /// The instance of a task has gone, and the task with it.
    pub(crate) fn lose_host(&mut self, index: usize, reason: &str) {
        let now = self.now;
        let Some(task) = self.ecs.tasks.get_mut(index).filter(|task| task.lives()) else {
            return;
        };
        task.deaf = false;
        task.disturbed = true;
        task.script_over = true;
        if !task.is_stopping() {
            // ECS gives no stop code for it.
            task.stop_code = Some("");
            task.stopped_reason = Some(reason.to_owned());
            task.stopping_at = Some(now);
        }
        self.container_ends(index, None);
    }

    fn disturb(&mut self, index: usize) {
        if let Some(task) = self.ecs.tasks.get_mut(index) {
            task.disturbed = true;
        }
    }

    fn status(&mut self, index: usize, status: &'static str) {
        if let Some(task) = self.ecs.tasks.get_mut(index) {
            if task.deaf {
                return;
            }
            task.last_status = status;
            task.version += 1;
        }
        changed(self, index);
    }

    fn up(&mut self, index: usize) {
        if let Some(task) = self.ecs.tasks.get_mut(index) {
            task.started_at = Some(self.now);
        }
        self.status(index, "RUNNING");
        if let Some(longest) = self.ecs.tasks.get(index).and_then(|task| task.longest) {
            self.schedule_in(longest, Happening::Task(index, Step::TimesOut));
        }
        let checkout = self.between_log(SECOND, 20 * SECOND);
        self.schedule_in(checkout, Happening::Task(index, Step::CheckedOut));
    }

    fn fail_to_start(&mut self, index: usize, failure: Failure) {
        let now = self.now;
        if let Some(task) = self.ecs.tasks.get_mut(index) {
            task.disturbed = true;
            task.failure = Some(failure);
            task.stop_code = Some("TaskFailedToStart");
            task.stopped_reason = Some(
                match failure {
                    Failure::NoCapacity => NO_CAPACITY[index % NO_CAPACITY.len()],
                    Failure::NotNow => NOT_NOW[index % NOT_NOW.len()],
                    Failure::NoImage | Failure::LeftQueue => "CannotPullContainerError: pull image manifest has been retried 5 time(s)",
                }
                .to_owned(),
            );
            task.stopping_at = Some(now);
            task.ended = Some(now);
        }
        self.take_down(index);
    }

    /// The script is over: the entry point writes its report, and then the container ends.
    fn script_ends(&mut self, index: usize, truth: Truth, code: i32) {
        let Some(task) = self.ecs.tasks.get_mut(index) else { return };
        task.script_over = true;
        task.truth = truth;
        let attempt = task.attempt.clone();
        let agent = task.agent.clone();
        let reports = task.entry_point && !task.upload_fails && !task.on_codebuild;
        // Its API tells as much as a report would.
        task.reported = task.on_codebuild && matches!(truth, Truth::Succeeded | Truth::Failed);
        self.note("script over", &attempt.build, || {
            format!("{}: {truth:?}, exit code {code}", short(&agent))
        });
        let artifacts = self.tables.builds.get(&attempt.build).map(|build| &build.record.spec.artifacts);
        if matches!(truth, Truth::Succeeded | Truth::Failed) && artifacts.is_some_and(|artifacts| !artifacts.is_empty()) {
            self.bucket.left.insert(attempt.clone());
        }
        if reports {
            let signalled = truth == Truth::Signalled;
            let report = Report {
                phase: if truth == Truth::NotCheckedOut || signalled && !self.ecs.tasks.get(index).is_some_and(|task| task.script_began) {
                    ReportPhase::Checkout
                } else {
                    ReportPhase::Script
                },
                exit_code: code,
                signalled,
                command: None,
                line: None,
                message: None,
            };
            if let Some(task) = self.ecs.tasks.get_mut(index) {
                task.reported = true;
            }
            self.bucket.reports.insert(result_key(&attempt), report);
        }
        let wait = self.between_log(50, 3 * SECOND);
        self.schedule_in(wait, Happening::Task(index, Step::ContainerEnds(code)));
    }

    fn container_ends(&mut self, index: usize, code: Option<i32>) {
        let now = self.now;
        let Some(task) = self.ecs.tasks.get_mut(index) else { return };
        task.ended = Some(now);
        task.exit_code = code;
        if task.stop_code.is_none() {
            task.stop_code = Some("EssentialContainerExited");
            task.stopped_reason = Some(EXITED.to_owned());
            task.stopping_at = Some(now);
        }
        self.take_down(index);
    }

    /// What follows the end of the containers.
    fn take_down(&mut self, index: usize) {
        let first = self.rng.u64(300..2 * SECOND);
        let then = self.between_log(5 * SECOND, 40 * SECOND);
        self.schedule_in(first, Happening::Task(index, Step::Deprovisioning));
        self.schedule_in(first + then, Happening::Task(index, Step::Stopped));
    }
}

/// A task is told to stop: by `StopTask`, or because its Spot capacity is taken back. What has been told so before is not told again.
fn begin_stop(world: &mut World, index: usize, code: &'static str, reason: &str) {
    let now = world.now;
    let Some(task) = world.ecs.tasks.get_mut(index).filter(|task| task.lives() && !task.is_stopping()) else {
        return;
    };
    task.stop_code = Some(code);
    task.stopped_reason = Some(reason.to_owned());
    task.stopping_at = Some(now);
    task.version += 1;
    let up = task.started_at.is_some();
    let on_codebuild = task.on_codebuild;
    let patient = task.entry_point && task.capacity == Capacity::Spot;
    if task.deaf {
        // ECS says what it wants, and the instance does not hear it.
        return changed(world, index);
    }
    if !up {
        task.ended = Some(now);
    }
    changed(world, index);
    if up && on_codebuild {
        let wait = world.rng.u64(SECOND..5 * SECOND);
        world.schedule_in(wait, Happening::Task(index, Step::Killed));
    } else if up {
        let wait = if patient { STOP_TIMEOUT - MARGIN } else { 0 };
        world.schedule_in(wait, Happening::Task(index, Step::TermPassedOn));
        world.schedule_in(STOP_TIMEOUT, Happening::Task(index, Step::Killed));
        let echo = world.rng.u64(SECOND..10 * SECOND);
        world.schedule_in(echo, Happening::Task(index, Step::Deactivating));
        world.schedule_in(echo + SECOND, Happening::Task(index, Step::Stopping));
    } else {
        world.take_down(index);
    }
}

/// Tells the world of a task's new state, with an event as EventBridge would deliver it.
fn changed(world: &mut World, index: usize) {
    const KEPT: usize = 4;
    let now = world.now;
    let Some(task) = world.ecs.tasks.get_mut(index) else { return };
    let mut observation = task.observation();
    if task.past.len() == KEPT {
        task.past.remove(0);
    }
    task.past.push((now, observation.clone()));
    let (attempt, agent) = (task.attempt.clone(), task.agent.clone());
    let on_codebuild = task.on_codebuild;
    let (status, stopping, version) = (task.last_status, task.is_stopping(), task.version);
    world.note("task", &attempt.build, || {
        format!("{} v{version} {status}{}", short(&agent), if stopping { ", to stop" } else { "" })
    });
    let hostility = world.hostility.clone();
    let hostile = !world.calm();
    let mut copies = 1;
    if hostile {
        if world.chance(hostility.event_lost) {
            world.statistics.events_lost += 1;
            copies = 0;
        } else if world.chance(hostility.event_repeated) {
            world.statistics.events_repeated += 1;
            copies = world.rng.u32(2..4);
        }
        if world.chance(hostility.event_unversioned) {
            observation.version = None;
        }
    }
    for _ in 0..copies {
        let late = hostile && world.chance(hostility.event_late);
        let wait = if late {
            world.between_log(5 * SECOND, 40 * MINUTE)
        } else {
            world.between_log(100, 2 * SECOND)
        };
        let unnamed = on_codebuild && hostile && world.dice.u32(0..4) == 0;
        let job = if unnamed {
            Job::Unnamed(attempt.clone(), agent.clone())
        } else {
            Job::Agent(attempt.clone(), Box::new(observation.clone()))
        };
        world.statistics.events += 1;
        world.send(wait, Invoke { job, tries: 0 });
    }
}
