//! Tasks, builds and executions that carry the name of an attempt, and differ from its launch in one thing at least.

use bellhop_domain::agent::launched::{BuildLaunch, ContainerLaunch, ExecutionLaunch, TaskLaunch, VariablesDigest};
use bellhop_domain::executor::observation::{AgentStatus, ContainerEnd, Observation, Report, ReportPhase, Stop, StopCause};
use bellhop_domain::executor::{Capacity, Executor, LaunchId, Placement};
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::spec::BuildSpec;
use bellhop_model::step_functions::execution_arn;

use super::{Event, send, soon};
use crate::ecs::{ACCOUNT, MACHINE};
use crate::world::{MINUTE, Millis, SECOND, World, timestamp};

/// The region of everything.
pub(super) const REGION: &str = "us-east-1";

/// What an imitation was started with, as its service shows it.
pub(crate) enum Likeness {
    Task(TaskLaunch),
    Build(BuildLaunch),
    Execution(ExecutionLaunch),
}

pub(super) struct Imitation {
    pub(super) agent: AgentId,
    /// Whose name it carries.
    pub(super) attempt: AttemptId,
    pub(super) likeness: Likeness,
    capacity: Capacity,
    /// When its script ends, with exit code 0.
    ends: Millis,
}

impl Imitation {
    /// Whether a list by `startedBy`, or of the project's builds, shows it.
    pub(super) fn is_listed(&self, spec: &BuildSpec) -> bool {
        match (&self.likeness, &spec.executor) {
            (Likeness::Task(task), Executor::Ecs(ecs)) => {
                let named = task.started_by.as_deref() == Some(&self.attempt.started_by());
                named && [ecs.cluster(Capacity::Spot), ecs.cluster(Capacity::OnDemand)].contains(&task.cluster.as_str())
            }
            (Likeness::Build(build), Executor::CodeBuild(codebuild)) => build.project == codebuild.project,
            (Likeness::Execution(execution), Executor::StepFunctions(machine)) => execution.execution == machine.execution(&self.attempt),
            _ => false,
        }
    }

    pub(super) fn observation(&self, now: Millis) -> Observation {
        let status = if now < self.ends {
            AgentStatus::Running { since: None }
        } else {
            success(self.ends)
        };
        Observation {
            agent: self.agent.clone(),
            version: Some(if now < self.ends { 3 } else { 7 }),
            capacity: Some(self.capacity),
            status,
        }
    }

    /// Where it runs, as EventBridge tells it.
    fn placement(&self) -> Placement {
        let (place, definition) = match &self.likeness {
            Likeness::Task(task) => (
                format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{}", task.cluster),
                Some(task.definition.clone()),
            ),
            Likeness::Build(build) => (build.project.clone(), None),
            Likeness::Execution(execution) => (execution.state_machine.clone(), None),
        };
        Placement {
            account: Some(ACCOUNT.to_owned()),
            place: Some(place),
            definition,
        }
    }
}

/// The end of a script with exit code 0, as each service tells it.
pub(super) fn success(at: Millis) -> AgentStatus {
    ended(at, 0)
}

/// The end of a script.
pub(super) fn ended(at: Millis, exit_code: i32) -> AgentStatus {
    AgentStatus::Stopped(Stop {
        cause: StopCause::Exited,
        reason: None,
        containers: vec![ContainerEnd {
            name: "agent".to_owned(),
            exit_code: Some(exit_code),
            reason: None,
        }],
        report: Some(script_report(exit_code)),
        at: Some(timestamp(at)),
    })
}

/// The report of a script that ended by itself.
pub(super) fn script_report(exit_code: i32) -> Report {
    Report {
        phase: ReportPhase::Script,
        exit_code,
        signalled: false,
        command: None,
        line: None,
        message: None,
    }
}

/// An id that no agent of the suite has.
pub(super) fn draw_id(dice: &mut fastrand::Rng) -> String {
    format!("f{:015x}{:016x}", dice.u64(..) >> 4, dice.u64(..))
}

/// The ARN that a family's third revision has.
pub(super) fn definition(family: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:3")
}

/// Starts an imitation, and lets its service tell of it. With `takes_token`, it uses the token or the name of the attempt's launch before the suite does.
pub(super) fn start(world: &mut World, spec: &BuildSpec, attempt: &AttemptId, capacity: Capacity, takes_token: bool) {
    let now = world.now;
    let token = LaunchId::first(attempt.clone(), capacity).token();
    if takes_token && world.has_launched(&token, attempt, capacity) {
        return;
    }
    let dice = &mut world.attacker.dice;
    let id = draw_id(dice);
    let (likeness, arn) = match &spec.executor {
        Executor::Ecs(ecs) => {
            let mut task = ecs.launch_of(spec, attempt, capacity, "suite");
            task.definition = definition(&ecs.task_definition);
            task.launch_type = Some("FARGATE".to_owned());
            change_task(dice, &mut task);
            let arn = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{}/{id}", task.cluster);
            (Likeness::Task(task), arn)
        }
        // A token of CodeBuild's is good for five minutes, and another build under it is refused.
        Executor::CodeBuild(_) if takes_token => return,
        Executor::CodeBuild(codebuild) => {
            let mut build = codebuild.launch_of(spec, attempt, "suite", REGION);
            change_build(dice, &mut build);
            let arn = format!("arn:aws:codebuild:{REGION}:{ACCOUNT}:build/{}:{id}", build.project);
            (Likeness::Build(build), arn)
        }
        Executor::StepFunctions(machine) => {
            let mut execution = machine.launch_of(spec, attempt, "suite");
            if takes_token {
                execution.input = Some(serde_json::json!({ "environment": { "BELLHOP_BUILD": attempt.build.to_string() } }));
            } else {
                execution.execution = execution_arn(MACHINE, &id);
            }
            let arn = execution.execution.clone();
            (Likeness::Execution(execution), arn)
        }
    };
    let wait = dice.u64(5 * SECOND..10 * MINUTE);
    let agent: AgentId = arn.parse().expect("it is an ARN");
    let imitation = Imitation {
        agent: agent.clone(),
        attempt: attempt.clone(),
        likeness,
        capacity,
        ends: now + wait,
    };
    let index = world.attacker.imitations.len();
    world.statistics.imitations += 1;
    if takes_token {
        world.statistics.tokens_taken += 1;
        world.attacker.tokens.insert(token, index);
    }
    world.note("imitation started", &attempt.build, || format!("{attempt} on {capacity}: {agent}"));
    let placement = imitation.placement();
    let (running, over) = (imitation.observation(now), imitation.observation(now + wait));
    let interrupted = Observation {
        status: AgentStatus::Interrupted,
        version: Some(5),
        ..running.clone()
    };
    world.attacker.by_agent.insert(agent, index);
    world.attacker.imitations.push(imitation);
    let middle = world.attacker.dice.bool().then_some((wait / 2, interrupted));
    let first = soon(&mut world.attacker.dice);
    for (wait, seen) in [(first, running)].into_iter().chain(middle).chain([(wait + first, over)]) {
        send(world, wait, attempt, Event::Agent(seen, placement.clone()));
    }
}

fn change_task(dice: &mut fastrand::Rng, task: &mut TaskLaunch) {
    match dice.u32(0..9) {
        0 => task.cluster = "others".to_owned(),
        1 => task.definition = definition("others"),
        2 => task.capacity_provider = Some("others".to_owned()),
        3 => task.role = Some(format!("arn:aws:iam::{ACCOUNT}:role/others")),
        4 => task.has_more = true,
        5 => task.containers.push(ContainerLaunch {
            name: "log-router".to_owned(),
            variables: None,
            has_more: true,
        }),
        6 => task.containers.clear(),
        _ => {
            for container in &mut task.containers {
                match dice.bool() {
                    true => container.has_more = true,
                    false => container.variables = Some(VariablesDigest::of([("BELLHOP_SCRIPT", "other")])),
                }
            }
        }
    }
}

fn change_build(dice: &mut fastrand::Rng, build: &mut BuildLaunch) {
    match dice.u32(0..6) {
        0 => build.project = "others".to_owned(),
        1 => build.buildspec = Some("other".to_owned()),
        2 => build.source_version = Some("main".to_owned()),
        3 => build.source_location = None,
        4 => build.has_more = true,
        _ => build.variables = VariablesDigest::of([("BELLHOP_SCRIPT", "other")]),
    }
}
