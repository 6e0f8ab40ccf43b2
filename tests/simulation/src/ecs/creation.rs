//! A new task, with everything that will happen to it.

use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::Executor;
use bellhop_domain::executor::codebuild::buildspec;
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_domain::spec::BuildSpec;
use bellhop_model::codebuild::TOKEN_LIFE;
use bellhop_model::ecs::Life;
use bellhop_model::step_functions::execution_arn;

use super::executions;
use super::life::changed;
use super::task::{Ending, Failure, Of, Step, Task, Truth, short};
use crate::guarded::GUARDED;
use crate::instances;
use crate::world::{HOUR, Happening, MINUTE, Millis, SECOND, World, millis};

pub(super) fn create(
    world: &mut World,
    spec: &BuildSpec,
    attempt: &AttemptId,
    (capacity, host): (Capacity, Option<usize>),
    token: String,
) -> AgentId {
    let (cluster, container) = match &spec.executor {
        Executor::Ecs(ecs) => (ecs.cluster(capacity), ecs.container.clone()),
        Executor::CodeBuild(codebuild) => (codebuild.project.as_str(), String::new()),
        Executor::StepFunctions(_) => ("", String::new()),
    };
    let of = Of::executor(&spec.executor);
    let on_codebuild = of == Of::CodeBuild;
    let index = world.ecs.tasks.len();
    let agent = match of {
        Of::Ecs => format!("arn:aws:ecs:us-east-1:123456789012:task/{cluster}/{index:032x}"),
        Of::CodeBuild => format!("arn:aws:codebuild:us-east-1:123456789012:build/{cluster}:{index:032x}"),
        Of::StepFunctions => execution_arn(executions::MACHINE, &token),
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
        of,
        host,
        family: match &spec.executor {
            Executor::Ecs(ecs) => Some(ecs.task_definition.clone()),
            _ => None,
        },
        longest: match of {
            Of::Ecs => None,
            Of::CodeBuild => Some(minutes(buildspec::timeout_minutes(spec.timeout))),
            // The state machine's own, which knows nothing of the job's.
            Of::StepFunctions if hostile && !scripted && world.dice.u32(0..8) == 0 => Some(world.dice.u64(MINUTE..10 * MINUTE)),
            Of::StepFunctions => None,
        },
        failure: None,
        container,
        life: Life::default(),
        exit_code: None,
        container_reason: None,
        sidecar: !scripted && world.rng.u32(0..5) == 0 && of == Of::Ecs,
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
        // On Step Functions the state machine checks out, as it likes.
        checkout_fails: world.chance(share(0.03)) && of != Of::StepFunctions,
        script_began: false,
        script_over: false,
        signalled: false,
        entry_point: scripted || world.rng.u32(0..6) != 0 || of != Of::Ecs,
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
    world.statistics.guarded += u64::from(spec.agent.as_str() == GUARDED);
    world.statistics.on_step_functions += u64::from(of == Of::StepFunctions);
    let first = if of == Of::StepFunctions {
        // An execution runs from its start.
        Some((0, Step::Up))
    } else if world.chance(share(hostility.late_no_capacity)) {
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
        let longest = minutes(buildspec::queued_timeout_minutes(spec.queue_timeout));
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
    if world.chance(share(hostility.host_lost)) && of != Of::StepFunctions {
        let wait = world.between_log(SECOND, 20 * MINUTE);
        world.schedule_in(wait, Happening::Task(index, Step::HostLost));
    }
    if world.chance(share(hostility.disconnected)) && of == Of::Ecs {
        let wait = world.between_log(SECOND, 20 * MINUTE);
        world.schedule_in(wait, Happening::Task(index, Step::Disconnected));
    }
    if task.sidecar && world.chance(share(0.1)) {
        let wait = world.between_log(30 * SECOND, 20 * MINUTE);
        world.schedule_in(wait, Happening::Task(index, Step::SidecarEnds));
    }
    world.ecs.tasks.push(task);
    let until = on_codebuild.then(|| world.now + millis(TOKEN_LIFE));
    world.ecs.tokens.made(&token, (attempt.clone(), capacity), index, until);
    world.ecs.by_agent.insert(agent.clone(), index);
    instances::placed(world, index);
    if of == Of::StepFunctions {
        executions::may_have_children(world, spec, attempt, &token);
    }
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
