//! Executions of Step Functions: their names, and the children that they start with their own input.

use bellhop_domain::agent::environment;
use bellhop_domain::executor::step_functions::{CAPACITY, input};
use bellhop_domain::ids::AttemptId;
use bellhop_domain::spec::BuildSpec;
use bellhop_events::step_functions::ExecutionFacts;
use bellhop_model::step_functions::{Status, execution_arn};

use crate::mutant;
use crate::world::{Invoke, Job, MINUTE, SECOND, World, timestamp};

/// The ARN of the state machine.
pub(crate) const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:steady";

/// The ARN of another one.
const OTHER_MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:other";

/// An execution may start others with its own input: of its state machine under another name, or of another one under its own. They run and succeed in their
/// own time, and their events come like its own. Input, name and state machine together tell whose they are.
pub(super) fn may_have_children(world: &mut World, spec: &BuildSpec, attempt: &AttemptId, parent: &str) {
    if world.calm() || world.script.is_some() || world.dice.u32(0..2) == 0 {
        return;
    }
    world.statistics.children += 1;
    let (machine, name) = if world.dice.bool() {
        (MACHINE, format!("child-of-{parent}"))
    } else {
        (OTHER_MACHINE, parent.to_owned())
    };
    let input = input(&environment(spec, attempt, CAPACITY, "suite")).to_string();
    let facts = ExecutionFacts {
        arn: execution_arn(machine, &name),
        status: Status::Running.name().to_owned(),
        started_at: Some(timestamp(world.now)),
        ..ExecutionFacts::default()
    };
    let wait = world.dice.u64(1..5 * SECOND);
    tell(world, &name, &input, &facts, wait);
    let end = wait + world.dice.u64(SECOND..5 * MINUTE);
    let facts = ExecutionFacts {
        status: Status::Succeeded.name().to_owned(),
        stopped_at: Some(timestamp(world.now + end)),
        ..facts
    };
    tell(world, &name, &input, &facts, end);
}

/// An event of an execution that is none of the suite's agents.
fn tell(world: &mut World, name: &str, input: &str, facts: &ExecutionFacts, wait: u64) {
    let Some((attempt, arn)) = mutant::attempt_of_execution(world, name, input, facts.arn.clone()) else {
        return;
    };
    let facts = ExecutionFacts { arn, ..facts.clone() };
    let observation = facts.observation().expect("the stand-in knows Step Functions' words");
    let job = Job::Agent(attempt, Box::new(observation));
    world.send(wait, Invoke { job, tries: 0 });
}
