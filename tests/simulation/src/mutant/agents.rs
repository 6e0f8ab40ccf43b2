//! Mistakes with agents: their tokens, refusals, events, and how they are found and stopped.

use bellhop_domain::build::{Build, BuildEffect, BuildEvent, Refusal};
use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::observation::{AgentStatus, Observation, Report, ReportPhase, StopCause};
use bellhop_domain::executor::{LaunchId, step_functions};
use bellhop_domain::ids::{AttemptId, BuildId};
use bellhop_engine::ports::Item;
use bellhop_events::step_functions::attempt;
use bellhop_events::task;
use bellhop_model::step_functions::execution_arn;

use super::attacks::believed;
use super::kind::Mutant;
use crate::ecs::{self, MACHINE};
use crate::world::World;

mutants! {
    /// A launch that is refused for a reason nobody knows has failed at once.
    UNKNOWN_IS_FINAL: "unknown-is-final" within 200,
    /// A limit of the account that shows only once a task is accepted counts as a failure.
    LIMITS_ARE_FAILURES: "limits-are-failures" within 200,
    /// Every `RunTask` has a token of its own.
    TOKEN_UNSTABLE: "token-unstable" within 20,
    /// An attempt has the same token on Spot and on demand.
    TOKEN_IGNORES_CAPACITY: "token-ignores-capacity" within 200,
    /// A launch that was refused in a 200 is tried again under the token that gives this refusal again.
    TOKEN_IGNORES_ROUND: "token-ignores-round" within 100,
    /// Each start of an execution of Step Functions has another name.
    EXECUTION_NAME_UNSTABLE: "execution-name-unstable" within 200,
    /// An execution that has a build's input is taken for its agent, under any name and of any state machine.
    CHILDREN_ADOPTED: "children-adopted" within 2000,
    /// All attempts of a build have the same token.
    TOKEN_IGNORES_ATTEMPT: "token-ignores-attempt" within 50,
    /// Agents are launched before the decision is stored.
    ACTION_BEFORE_STATE: "action-before-state" within 20,
    /// A critical job goes to Spot like any other.
    CRITICAL_ON_SPOT: "critical-on-spot" within 20,
    /// A build of CodeBuild is started again without a look whether there is one.
    AGAIN_IGNORED: "again-ignored" within 3000,
    /// The sweep gets no answer about agents.
    NOTHING_DESCRIBED: "nothing-described" within 50,
    /// Once in a while a running agent is taken for one that ECS has forgotten.
    RUNNING_TAKEN_FOR_GONE: "running-taken-for-gone" within 50,
    /// Looking for the agent of a lost launch finds nothing.
    NOTHING_FOUND: "nothing-found" within 2000,
    /// Nobody is told to stop.
    STOPS_DROPPED: "stops-dropped" within 50,
    /// Agents that are no attempt's are not told to stop.
    STRAYS_NOT_STOPPED: "strays-not-stopped" within 4000,
    /// Events count for the current attempt and its agent, whatever agent they are about.
    EVENTS_MATCHED_BY_BUILD: "events-matched-by-build" within 50,
    /// Every agent that is being stopped counts as interrupted.
    EVERY_STOP_IS_INTERRUPTION: "every-stop-is-an-interruption" within 200,
    /// Exit code 0 is a proof of success.
    EXIT_CODE_IS_PROOF: "exit-code-is-proof" within 100,
}

/// The token of a launch.
pub(crate) fn token(world: &mut World, launch: &LaunchId) -> String {
    let mut launch = launch.clone();
    match world.mutant {
        Some(Mutant::TOKEN_UNSTABLE) if launch.capacity != step_functions::CAPACITY => {
            return format!("{}{}", launch.token(), world.rng.u64(..));
        }
        Some(Mutant::EXECUTION_NAME_UNSTABLE) if launch.capacity == step_functions::CAPACITY => {
            return format!("{}{}", launch.token(), world.rng.u64(..));
        }
        Some(Mutant::TOKEN_IGNORES_CAPACITY) if launch.capacity != step_functions::CAPACITY => launch.capacity = Capacity::OnDemand,
        Some(Mutant::TOKEN_IGNORES_ATTEMPT) => launch.attempt.number = 1,
        Some(Mutant::TOKEN_IGNORES_ROUND) => launch.round = 0,
        _ => {}
    }
    launch.token()
}

/// The attempt of an execution, by its name and its input, and the execution's ARN as the function sees it.
pub(crate) fn attempt_of_execution(world: &World, name: &str, input: &str, arn: String) -> Option<(AttemptId, String)> {
    if !world.is(Mutant::CHILDREN_ADOPTED) {
        return Some((attempt(name, input)?, arn));
    }
    let input: serde_json::Value = serde_json::from_str(input).ok()?;
    let environment = input.get(step_functions::ENVIRONMENT)?.as_object()?;
    let pairs = environment
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let attempt = task::from_environment(pairs)?;
    let own = execution_arn(MACHINE, &step_functions::name_of(&attempt));
    Some((attempt, own))
}

pub(crate) fn launch_capacity(world: &World, capacity: Capacity) -> Capacity {
    if world.is(Mutant::CRITICAL_ON_SPOT) {
        Capacity::Spot
    } else {
        capacity
    }
}

pub(crate) fn drops_stop(world: &World, index: usize) -> bool {
    match world.mutant {
        Some(Mutant::STOPS_DROPPED) => true,
        Some(Mutant::STRAYS_NOT_STOPPED) => world.ecs.tasks.get(index).is_some_and(|task| {
            let build = world.tables.builds.get(&task.attempt.build);
            build.is_some_and(|build| build.record.strays.iter().any(|stray| stray.agent == task.agent))
        }),
        _ => false,
    }
}

fn fail_for_want(observation: &mut Observation) {
    if let AgentStatus::Stopped(stop) = &mut observation.status
        && stop.cause == StopCause::NotNow
    {
        stop.cause = StopCause::FailedToStart;
    }
}

/// A refusal for a reason that nobody knows.
pub(crate) fn unknown(world: &World, words: &str) -> Refusal {
    let words = words.to_owned();
    if world.is(Mutant::UNKNOWN_IS_FINAL) {
        Refusal::Invalid(words)
    } else {
        Refusal::Unknown(words)
    }
}

/// What is done before a decision is stored.
pub(crate) fn before_commit(world: &mut World, next: &Item) {
    if !world.is(Mutant::ACTION_BEFORE_STATE) || !next.key.sort.starts_with("BUILD#") {
        return;
    }
    let Ok(next) = serde_json::from_str::<Build>(&next.text) else {
        return;
    };
    for pending in next.outbox.pending() {
        if let BuildEffect::Launch { attempt, capacity, round } = &pending.effect {
            let launch = LaunchId {
                attempt: next.attempt_id(*attempt),
                capacity: *capacity,
                round: *round,
            };
            ecs::run_task(world, &next.spec, &launch);
        }
    }
}

/// Whether a running agent is not described.
pub(crate) fn overlooks(world: &mut World) -> bool {
    world.is(Mutant::RUNNING_TAKEN_FOR_GONE) && world.rng.u32(0..20) == 0
}

/// An agent's report, as somebody writes it who has the exit code alone.
pub(crate) fn report_from_exit_code(world: &World, attempt: &AttemptId) -> Option<Report> {
    let task = world.ecs.tasks.iter().rev().find(|task| task.attempt == *attempt)?;
    Some(Report {
        phase: ReportPhase::Script,
        exit_code: task.exit_code?,
        signalled: false,
        command: None,
        line: None,
        message: None,
    })
}

/// An agent's event as it is delivered.
pub(crate) fn delivered_event(world: &World, attempt: &AttemptId, observation: &Observation) -> (BuildId, BuildEvent) {
    let (mut number, mut observation) = (attempt.number, observation.clone());
    let current = world
        .tables
        .builds
        .get(&attempt.build)
        .and_then(|build| build.record.attempts.last());
    match (world.mutant, current) {
        (Some(Mutant::EVENTS_MATCHED_BY_BUILD), Some(current)) => {
            number = current.number;
            observation.version = None;
            if let Some(agent) = &current.agent {
                observation.agent = agent.clone();
            }
        }
        (Some(Mutant::LIMITS_ARE_FAILURES), _) => fail_for_want(&mut observation),
        (Some(Mutant::EVERY_STOP_IS_INTERRUPTION), _) if observation.status == AgentStatus::Stopping => {
            observation.status = AgentStatus::Interrupted;
        }
        _ => {}
    }
    let placement = world.placement(&observation.agent);
    let of = AttemptId {
        build: attempt.build.clone(),
        number,
    };
    (attempt.build.clone(), believed(world, &of, observation, placement))
}
