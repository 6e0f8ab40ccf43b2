//! A share of the exploration with every test run; `cargo xtask explore` leaves nothing out.

use bellhop_simulation::{Exploration, Explored, Flow, Mutant, explore};

/// Every so many of the first faults of pairs.
const EVERY: usize = 199;

/// Mistakes that the exploration finds by itself, each with the flow that shows it and how many faults that takes.
const MISTAKES: [(Mutant, Flow, usize); 14] = [
    (Mutant::TOKEN_IGNORES_ATTEMPT, Flow::Push, 0),
    (Mutant::ACTION_BEFORE_STATE, Flow::Push, 0),
    (Mutant::EVENTS_MATCHED_BY_BUILD, Flow::Push, 0),
    (Mutant::NOTHING_DESCRIBED, Flow::End, 0),
    (Mutant::UNKNOWN_UNTOLD, Flow::Push, 1),
    (Mutant::TOKEN_UNSTABLE, Flow::End, 1),
    (Mutant::TOKEN_IGNORES_ROUND, Flow::Push, 1),
    (Mutant::CONFLICTS_IGNORED, Flow::Push, 0),
    (Mutant::NO_SWEEP, Flow::Push, 1),
    (Mutant::OUTBOX_FORGOTTEN, Flow::Push, 1),
    (Mutant::EXECUTION_NAME_UNSTABLE, Flow::StepFunctions, 1),
    (Mutant::STOPS_DROPPED, Flow::Cancel, 0),
    (Mutant::LOST_WAITED_FOR, Flow::Cancel, 1),
    (Mutant::RUNNING_TAKEN_FOR_GONE, Flow::Supersede, 1),
];

fn stories(explored: &Explored) -> Vec<String> {
    explored.found.iter().map(ToString::to_string).collect()
}

#[test]
fn one_fault_at_any_call_of_any_flow_does_no_harm() {
    for flow in Flow::ALL {
        let explored = explore(&Exploration::all(*flow, 1), 2, |_, _| {});
        let stories = stories(&explored);
        assert!(stories.is_empty(), "{}", stories.join("\n\n"));
        assert!(
            explored.calls.len() > 20,
            "the flow {} hardly calls anything: {:?}",
            flow.name(),
            explored.calls
        );
        assert!(
            explored.lives[0] >= 3 * explored.calls.len(),
            "{}: {:?}",
            flow.name(),
            explored.lives
        );
    }
}

#[test]
fn two_faults_do_no_harm_in_a_share_of_the_pairs() {
    for flow in Flow::ALL {
        let exploration = Exploration {
            share: (0, EVERY),
            ..Exploration::all(*flow, 2)
        };
        let explored = explore(&exploration, 2, |_, _| {});
        let stories = stories(&explored);
        assert!(stories.is_empty(), "{}", stories.join("\n\n"));
        assert!(explored.lives[1] > 50, "{}: {:?}", flow.name(), explored.lives);
    }
}

#[test]
fn what_is_explored_is_the_same_every_time() {
    for flow in [Flow::Cancel, Flow::CodeBuild, Flow::Backup] {
        let lives = || {
            let explored = explore(&Exploration::all(flow, 1), 2, |_, _| {});
            (explored.calls, explored.lives, explored.statistics)
        };
        assert_eq!(lives(), lives(), "{}", flow.name());
    }
}

#[test]
fn mistakes_are_found_by_the_exploration_alone() {
    for (mutant, flow, faults) in MISTAKES {
        let exploration = Exploration {
            mutant: Some(mutant),
            ..Exploration::all(flow, 1)
        };
        let explored = explore(&exploration, 2, |_, _| {});
        let found = explored.found.first().map(|found| found.faults.len());
        assert_eq!(found, Some(faults), "{} in {}: {:?}", mutant.name, flow.name(), stories(&explored));
    }
}

#[test]
fn every_flow_does_what_it_tells() {
    for flow in Flow::ALL {
        let happened = explore(&Exploration::all(*flow, 0), 1, |_, _| {}).peaceful;
        let told = match flow {
            Flow::Push => (happened.builds, happened.retries) == (3, 1),
            Flow::End => (happened.tasks, happened.events) == (1, 0),
            Flow::Interruption => (happened.interruptions, happened.retries) == (1, 1),
            Flow::Warning => (happened.on_instances, happened.taken_away, happened.retries) == (4, 1, 2),
            Flow::Sweep => happened.refusals > 0 && happened.tasks == 1,
            Flow::Cancel => happened.cancelled == 2,
            Flow::Supersede => (happened.runs, happened.cancelled) == (2, 1),
            Flow::Places => (happened.tasks, happened.waited) == (2, 1),
            Flow::CodeBuild => happened.on_codebuild == 1,
            Flow::StepFunctions => happened.on_step_functions == 1,
            Flow::Request => (happened.requested, happened.runs, happened.tasks) == (2, 2, 2),
            Flow::Action => happened.actions == 1,
            Flow::Alarm => (happened.restarts, happened.runs) == (1, 2),
            Flow::Backup => (happened.backup_jobs, happened.removed) == (3, 1),
        };
        assert!(told, "{}: {happened:?}", flow.name());
    }
}
