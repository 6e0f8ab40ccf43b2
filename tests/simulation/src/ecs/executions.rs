//! Executions of Step Functions: their names, and the children that they start with their own input.

use bellhop_domain::agent::environment;
use bellhop_domain::executor::step_functions::{CAPACITY, input};
use bellhop_domain::ids::AttemptId;
use bellhop_domain::spec::BuildSpec;
use bellhop_events::step_functions::ExecutionFacts;

use crate::mutant;
use crate::world::{Invoke, Job, MINUTE, SECOND, World, timestamp};

/// The ARN of the state machine.
pub(crate) const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:steady";

/// The ARN of an execution by its name.
pub(super) fn arn(name: &str) -> String {
    format!("{}:{name}", MACHINE.replacen(":stateMachine:", ":execution:", 1))
}

/// An execution may start others of its state machine with its own input. They run and succeed in their own time, and their events come like its own. The
/// function finds out by name and input whose they are.
pub(super) fn may_have_children(world: &mut World, spec: &BuildSpec, attempt: &AttemptId, parent: &str) {
    if world.calm() || world.script.is_some() || world.dice.u32(0..2) == 0 {
        return;
    }
    world.statistics.children += 1;
    let name = format!("child-of-{parent}");
    let input = input(&environment(spec, attempt, CAPACITY, "suite")).to_string();
    let facts = ExecutionFacts {
        arn: arn(&name),
        status: "RUNNING".to_owned(),
        started_at: Some(timestamp(world.now)),
        ..ExecutionFacts::default()
    };
    let wait = world.dice.u64(1..5 * SECOND);
    tell(world, &name, &input, &facts, wait);
    let end = wait + world.dice.u64(SECOND..5 * MINUTE);
    let facts = ExecutionFacts {
        status: "SUCCEEDED".to_owned(),
        stopped_at: Some(timestamp(world.now + end)),
        ..facts
    };
    tell(world, &name, &input, &facts, end);
}

/// An event of an execution that is none of the suite's agents: the function skips it, unless it takes it for one.
fn tell(world: &mut World, name: &str, input: &str, facts: &ExecutionFacts, wait: u64) {
    let Some(attempt) = mutant::attempt_of_execution(world, name, input) else {
        return;
    };
    let observation = facts.observation().expect("the stand-in knows Step Functions' words");
    let job = Job::Agent(attempt, Box::new(observation));
    world.send(wait, Invoke { job, tries: 0 });
}
