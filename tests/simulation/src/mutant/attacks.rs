//! Mistakes that believe an event, or a description, too easily.

use bellhop_domain::agent::launched::{BuildLaunch, TaskLaunch};
use bellhop_domain::build::BuildEvent;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::executor::{Capacity, Executor, Placement};
use bellhop_domain::ids::AttemptId;
use bellhop_domain::spec::BuildSpec;

use super::kind::Mutant;
use crate::attacker::Likeness;
use crate::world::World;

mutants! {
    /// The account of an event is not compared with its agent's.
    ACCOUNT_NOT_COMPARED: "account-not-compared" within 200,
    /// The cluster, project or state machine of an event is not compared with the template's.
    PLACE_NOT_COMPARED: "place-not-compared" within 200,
    /// The task definition of an event is not compared with the template's.
    FAMILY_NOT_COMPARED: "family-not-compared" within 200,
    /// An attempt without an agent adopts the one that an event names.
    EVENTS_ADOPT: "events-adopt" within 200,
    /// A second agent that an event names is stopped.
    EVENTS_STOP: "events-stop" within 200,
    /// A described agent is taken for an attempt's if place, definition and name are right, with any overrides.
    OVERRIDES_NOT_COMPARED: "overrides-not-compared" within 500,
    /// Every agent that a list shows under an attempt's name is the attempt's.
    LISTED_ARE_OWN: "listed-are-own" within 2000,
    /// The agent that has used up a launch's token is the launch's, independent of who started it.
    HOLDER_ADOPTED: "token-holder-adopted" within 500,
    /// The policy of agents' roles lets an agent write its report in the place of another one.
    REPORTS_ANYWHERE: "reports-anywhere" within 500,
    /// What lies in any folder at an agent's place is taken for the agent's.
    FOREIGN_FOLDERS: "foreign-folders" within 500,
    /// An agent is stopped by its name, with all others that carry it.
    STOPPED_BY_NAME: "stopped-by-name" within 500,
    /// The account of a notice about an instance is not compared with the instance's.
    NOTICES_OF_ANY_ACCOUNT: "notices-of-any-account" within 1000,
}

/// An event about an agent, as it is decided about.
pub(crate) fn believed(world: &World, attempt: &AttemptId, observation: Observation, mut placement: Placement) -> BuildEvent {
    match world.mutant {
        Some(Mutant::ACCOUNT_NOT_COMPARED) => placement.account = None,
        Some(Mutant::PLACE_NOT_COMPARED) => placement.place = None,
        Some(Mutant::FAMILY_NOT_COMPARED) => placement.definition = None,
        _ => {}
    }
    let build = world.tables.builds.get(&attempt.build).map(|build| &build.record);
    let is_taken = build.is_some_and(|build| {
        let kind = build.spec.executor.kind();
        let fits = kind.check_placement(&observation.agent, attempt, &placement).is_ok();
        let of = build.attempts.iter().find(|candidate| candidate.number == attempt.number);
        let lacks_agent = of.is_some_and(|of| of.agent.is_none());
        match world.mutant {
            Some(Mutant::EVENTS_ADOPT) => fits && lacks_agent,
            Some(Mutant::EVENTS_STOP) => fits && !lacks_agent,
            _ => false,
        }
    });
    let attempt = attempt.number;
    if is_taken {
        BuildEvent::Agent { attempt, observation }
    } else {
        BuildEvent::Reported {
            attempt,
            observation,
            placement,
        }
    }
}

/// The folder in which a script can write that knows the name of another agent's: its own agent's, as the policy has it.
pub(crate) fn writable_folder<'a>(world: &World, own: &'a str, others: &'a str) -> &'a str {
    if world.is(Mutant::REPORTS_ANYWHERE) { others } else { own }
}

/// The account of a notice, as it is decided about.
pub(crate) fn believed_account(world: &World, account: Option<String>) -> Option<String> {
    account.filter(|_| !world.is(Mutant::NOTICES_OF_ANY_ACCOUNT))
}

/// Whether the agent that has used up a token is taken for the launch's, without a look at it.
pub(crate) fn adopts_holder(world: &World) -> bool {
    world.is(Mutant::HOLDER_ADOPTED)
}

/// Whether an agent that a service shows, in a list or by its id, is taken for one that a launch of an attempt started.
pub(crate) fn takes_for_own(world: &World, spec: &BuildSpec, attempt: &AttemptId, (likeness, listed): (&Likeness, bool)) -> bool {
    if world.is(Mutant::LISTED_ARE_OWN) && listed {
        return true;
    }
    let lax = world.is(Mutant::OVERRIDES_NOT_COMPARED);
    match (likeness, &spec.executor) {
        (Likeness::Task(task), Executor::Ecs(ecs)) if lax => [Capacity::Spot, Capacity::OnDemand].into_iter().any(|capacity| {
            let launch = ecs.launch_of(spec, attempt, capacity, "suite");
            let bare = TaskLaunch {
                cluster: task.cluster.clone(),
                definition: task.definition.clone(),
                started_by: task.started_by.clone(),
                launch_type: Some("FARGATE".to_owned()),
                ..launch
            };
            ecs.launched(spec, attempt, "suite", &bare).is_ok()
        }),
        (Likeness::Task(task), Executor::Ecs(ecs)) => ecs.launched(spec, attempt, "suite", task).is_ok(),
        (Likeness::Build(build), Executor::CodeBuild(codebuild)) => {
            let place = ("suite", "us-east-1");
            let bare = BuildLaunch {
                project: build.project.clone(),
                ..codebuild.launch_of(spec, attempt, place.0, place.1)
            };
            codebuild.launched(spec, attempt, place, if lax { &bare } else { build }).is_ok()
        }
        (Likeness::Execution(execution), Executor::StepFunctions(machine)) => {
            let named = execution.execution == machine.execution(attempt);
            lax && named || machine.launched(spec, attempt, "suite", execution).is_ok()
        }
        _ => false,
    }
}
