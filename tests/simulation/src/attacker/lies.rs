//! What he makes up about a build.

use bellhop_domain::build::{Attempt, Build};
use bellhop_domain::executor::observation::{AgentStatus, Observation};
use bellhop_domain::executor::{Capacity, Executor, Placement};
use bellhop_domain::ids::{AgentId, AttemptId, BuildId, InstanceId};
use bellhop_domain::instance::{self, Action, Ec2Notice};

use super::imitation::{REGION, definition, draw_id, ended, start, success};
use super::{Event, send, soon};
use crate::ecs::{ACCOUNT, Of, cluster};
use crate::world::{World, timestamp};

/// The account of nothing that is the suite's.
const OTHER_ACCOUNT: &str = "210987654321";

/// He does one thing to a build that has attempts.
pub(super) fn about(world: &mut World, victim: &BuildId) {
    let Some(build) = world.tables.builds.get(victim).map(|build| build.record.clone()) else {
        return;
    };
    let dice = &mut world.attacker.dice;
    let back = if dice.u32(0..4) == 0 {
        dice.usize(0..build.attempts.len())
    } else {
        0
    };
    let Some(attempt) = build.attempts.iter().rev().nth(back) else {
        return;
    };
    let next = dice.u32(0..16) == 0;
    let id = build.attempt_id(attempt.number + u32::from(next));
    match world.attacker.dice.u32(0..24) {
        0..=9 => misfit(world, &build, attempt, &id),
        10..=13 => invented(world, &build, attempt, &id),
        14..=15 => of_another(world, &build, &id),
        16..=18 => start(world, &build.spec, &id, attempt.capacity, false),
        19 if world.attacker.has_token_to_take() => {
            // Of the next attempt, if this one has its agent.
            let number = attempt.number + u32::from(attempt.agent.is_some());
            start(world, &build.spec, &build.attempt_id(number), attempt.capacity, true);
        }
        20..=21 => unnamed(world, &build, attempt, &id),
        _ => notice(world, &id),
    }
}

/// A status, in no order, and mostly one that would decide something.
fn status(world: &mut World) -> (AgentStatus, Option<u64>) {
    let now = world.now;
    let dice = &mut world.attacker.dice;
    let version = (dice.u32(0..4) > 0).then(|| dice.u64(0..60));
    let status = match dice.u32(0..8) {
        0 => AgentStatus::Starting,
        1 => AgentStatus::Running { since: None },
        2 | 3 => AgentStatus::Interrupted,
        4 => AgentStatus::Stopping,
        5 => ended(now, dice.i32(1..256)),
        _ => success(now),
    };
    (status, version)
}

fn tell(world: &mut World, attempt: &AttemptId, agent: AgentId, capacity: Option<Capacity>, placement: Placement) {
    let (status, version) = status(world);
    let seen = Observation {
        agent,
        version,
        capacity,
        status,
    };
    let wait = soon(&mut world.attacker.dice);
    send(world, wait, attempt, Event::Agent(seen, placement));
}

/// What fits an agent of a build, if it has this ARN.
fn fitting(build: &Build, agent: &AgentId) -> Placement {
    let (place, definition) = match &build.spec.executor {
        Executor::Ecs(ecs) => (
            format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{}", cluster(agent)),
            Some(definition(&ecs.task_definition)),
        ),
        Executor::CodeBuild(codebuild) => (codebuild.project.clone(), None),
        Executor::StepFunctions(machine) => (machine.state_machine.clone(), None),
    };
    Placement {
        account: Some(ACCOUNT.to_owned()),
        place: Some(place),
        definition,
    }
}

/// An ARN of no agent, in the place where an attempt's would be.
fn draw_agent(world: &mut World, build: &Build, attempt: &Attempt) -> AgentId {
    let id = draw_id(&mut world.attacker.dice);
    let arn = match &build.spec.executor {
        Executor::Ecs(ecs) => format!("ecs:{REGION}:{ACCOUNT}:task/{}/{id}", ecs.cluster(attempt.capacity)),
        Executor::CodeBuild(codebuild) => format!("codebuild:{REGION}:{ACCOUNT}:build/{}:{id}", codebuild.project),
        Executor::StepFunctions(_) => format!("states:{REGION}:{ACCOUNT}:execution:steady:{id}"),
    };
    format!("arn:aws:{arn}").parse().expect("it is an ARN")
}

/// About the agent that an attempt has, or could have, with one thing that does not fit.
fn misfit(world: &mut World, build: &Build, attempt: &Attempt, id: &AttemptId) {
    let agent = match &attempt.agent {
        Some(agent) => agent.clone(),
        None => draw_agent(world, build, attempt),
    };
    let mut placement = fitting(build, &agent);
    match world.attacker.dice.u32(0..3) {
        0 => placement.account = Some(OTHER_ACCOUNT.to_owned()),
        1 => placement.place = Some(format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/others")),
        _ if placement.definition.is_some() => placement.definition = Some(definition("others")),
        _ => placement.account = Some(OTHER_ACCOUNT.to_owned()),
    }
    tell(world, id, agent, None, placement);
}

/// About an agent that does not exist.
fn invented(world: &mut World, build: &Build, attempt: &Attempt, id: &AttemptId) {
    let agent = draw_agent(world, build, attempt);
    let placement = match world.attacker.dice.u32(0..4) {
        0 => Placement::default(),
        _ => fitting(build, &agent),
    };
    tell(world, id, agent, Some(attempt.capacity), placement);
}

/// About the agent of another build.
fn of_another(world: &mut World, build: &Build, id: &AttemptId) {
    let others = world.ecs.tasks.iter().filter(|task| task.attempt.build != build.spec.id);
    let agents: Vec<&AgentId> = others.map(|task| &task.agent).collect();
    let Some(agent) = agents.get(world.attacker.dice.usize(0..agents.len().max(1))) else {
        return;
    };
    let agent = (*agent).clone();
    let placement = world.placement(&agent);
    tell(world, id, agent, None, placement);
}

/// About an agent that does not exist, or the recorded one in another account, without a name.
fn unnamed(world: &mut World, build: &Build, attempt: &Attempt, id: &AttemptId) {
    let of = Of::executor(&build.spec.executor);
    let executor = if of == Of::Ecs { Of::CodeBuild } else { of };
    let (agent, placement) = match &attempt.agent {
        Some(agent) => {
            let account = Some(OTHER_ACCOUNT.to_owned());
            let fitting = fitting(build, agent);
            (agent.clone(), Placement { account, ..fitting })
        }
        None => {
            let agent = draw_agent(world, build, attempt);
            let placement = fitting(build, &agent);
            (agent, placement)
        }
    };
    let wait = soon(&mut world.attacker.dice);
    send(world, wait, id, Event::Unnamed(executor.name(), agent, placement));
}

/// A notice of EC2: about an instance of the suite's from another account, or about one that does not exist.
fn notice(world: &mut World, id: &AttemptId) {
    let now = world.now;
    let ours: Vec<&InstanceId> = world
        .instances
        .all
        .iter()
        .filter(|instance| instance.ours)
        .map(|instance| &instance.id)
        .collect();
    let dice = &mut world.attacker.dice;
    let known = ours.get(dice.usize(0..ours.len().max(1))).map(|id| (*id).clone());
    let account = if known.is_some() { OTHER_ACCOUNT } else { ACCOUNT };
    let instance = known.unwrap_or_else(|| format!("i-{:017x}", dice.u64(..) >> 4).parse().expect("it is an instance's id"));
    let what = match dice.u32(0..4) {
        0 => Ec2Notice::Rebalance,
        1 => Ec2Notice::Interruption(Action::Hibernate),
        _ => Ec2Notice::Interruption(Action::Terminate),
    };
    let notice = instance::Notice {
        what,
        at: timestamp(now),
        account: Some(account.to_owned()),
    };
    let wait = soon(dice);
    send(world, wait, id, Event::Notice(instance, notice));
}
