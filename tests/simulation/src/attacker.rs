//! Somebody who may start tasks, builds and executions in the account and invoke the suite's functions, and is not the suite. He knows all names, tokens and
//! variables, and neither has the suite's roles nor speaks for AWS's services: what he cannot do is to change an agent of the suite, or what EventBridge and a
//! description say of one. So an event in which all that there is fits a recorded agent is not among what he makes up: `docs/contributing/simulation.md`.

mod imitation;
mod lies;

use std::collections::BTreeMap;
use std::sync::Arc;

use bellhop_domain::agent;
use bellhop_domain::build::Refusal;
use bellhop_domain::executor::Placement;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{AgentId, AttemptId, BuildId, InstanceId};
use bellhop_domain::instance;
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::ports::Launch;
use bellhop_engine::{Engine, Fault};

use crate::ecs::{Task, short};
use crate::world::{Happening, Invoke, Job, Millis, SECOND, Shared, Subject, World, lock};
use crate::{Options, checks, instances, mutant};
use imitation::Imitation;
pub(crate) use imitation::Likeness;

/// All that he has done.
pub(crate) struct Attacker {
    dice: fastrand::Rng,
    /// Others, for what he does beside that.
    pens: fastrand::Rng,
    imitations: Vec<Imitation>,
    by_agent: BTreeMap<AgentId, usize>,
    /// The tokens and names of launches that an imitation has used.
    tokens: BTreeMap<String, usize>,
}

/// An event that a function gets because of him.
pub(crate) struct Forged {
    attempt: AttemptId,
    event: Event,
}

enum Event {
    /// About an agent.
    Agent(Observation, Placement),
    /// About an agent of this executor, without a word about whose it is.
    Unnamed(&'static str, AgentId, Placement),
    /// Of EC2.
    Notice(InstanceId, instance::Notice),
}

impl Attacker {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed.rotate_left(48) ^ 0x6c69_6172),
            pens: fastrand::Rng::with_seed(seed.rotate_left(24) ^ 0x7065_6e73),
            imitations: Vec::new(),
            by_agent: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    /// He takes few tokens, because that ends a build.
    fn has_token_to_take(&mut self) -> bool {
        self.tokens.len() < 2 && self.dice.bool()
    }

    fn imitation(&self, agent: &AgentId) -> Option<&Imitation> {
        self.imitations.get(*self.by_agent.get(agent)?)
    }
}

impl Forged {
    pub(crate) fn is_notice(&self) -> bool {
        matches!(self.event, Event::Notice(..))
    }

    pub(crate) fn function(&self) -> &'static str {
        match self.event {
            Event::Agent(..) => "task-state",
            Event::Unnamed(..) => "build-state",
            Event::Notice(..) => "spot-interruption",
        }
    }

    pub(crate) fn about(&self) -> Subject {
        Subject::from(&self.attempt.build)
    }

    pub(crate) fn words(&self) -> String {
        match &self.event {
            Event::Agent(seen, placement) => format!(
                "made up: attempt {}, {} v{:?}: {:?}, {placement:?}",
                self.attempt.number,
                short(&seen.agent),
                seen.version,
                seen.status
            ),
            Event::Unnamed(_, agent, placement) => format!("made up: of {}, {placement:?}", short(agent)),
            Event::Notice(instance, notice) => format!("made up: {instance}: {notice:?}"),
        }
    }
}

/// Decides when he does something.
pub(crate) fn prepare(world: &mut World, length: Millis, options: &Options) {
    if options.hostility <= 0.0 || world.attacker.dice.u32(0..4) == 0 {
        return;
    }
    for _ in 0..options.forgeries {
        let at = world.attacker.dice.u64(0..length);
        world.schedule(at, Happening::Attack);
    }
}

/// He does something to a build that there is: mostly to one that is not over.
pub(crate) fn attack(world: &mut World) {
    if world.calm() {
        return;
    }
    let only_open = world.attacker.dice.u32(0..8) > 0;
    let builds = world.tables.builds.values().map(|build| &build.record);
    let victims: Vec<&BuildId> = builds
        .filter(|build| !build.attempts.is_empty() && (!only_open || build.outcome().is_none()))
        .map(|build| &build.spec.id)
        .collect();
    let Some(victim) = victims.get(world.attacker.dice.usize(0..victims.len().max(1))) else {
        return;
    };
    let victim = (*victim).clone();
    lies::about(world, &victim);
    if world.attacker.pens.u32(0..4) == 0 {
        forge_report(world, &victim);
    }
}

/// A script of another build writes that the victim's has succeeded, and leaves artifacts for it, with the credentials of its own agent.
fn forge_report(world: &mut World, victim: &BuildId) {
    let Some(build) = world.tables.builds.get(victim).map(|build| &build.record) else {
        return;
    };
    let Some(attempt) = build.attempts.last() else { return };
    let of = build.attempt_id(attempt.number);
    let place = agent::place(&build.spec, &of);
    let of_victim = |task: &&Task| Some(&task.agent) == attempt.agent.as_ref();
    let theirs = world.ecs.tasks.iter().find(of_victim).map(Task::folder);
    let mut running = world
        .ecs
        .tasks
        .iter()
        .filter(|task| task.goes_on() && task.attempt.build != *victim);
    let Some((writer, own)) = running.next().map(|task| (task.attempt.clone(), task.folder())) else {
        return;
    };
    world.statistics.forged_reports += 1;
    let name = mutant::writable_folder(world, &own, theirs.as_deref().unwrap_or(&own)).to_owned();
    let left = world.bucket.open(&place, &name, &writer);
    left.report = Some(imitation::script_report(0));
    // In the victim's own folder, where the policy has a mistake, it replaces the report only.
    if name == own {
        (left.artifacts, left.forged) = (true, true);
    }
    world.note("report forged", victim, || format!("for {of} by {writer}, in the folder {name}"));
}

/// Sends an event after a while.
fn send(world: &mut World, wait: Millis, attempt: &AttemptId, event: Event) {
    world.statistics.forged += 1;
    let attempt = attempt.clone();
    let job = Job::Forged(Arc::new(Forged { attempt, event }));
    world.send(wait, Invoke { job, tries: 0 });
}

/// What a function does with an event that it gets because of him.
///
/// # Errors
/// As the engine's.
pub(crate) async fn take(shared: &Shared, engine: &Engine, forged: &Forged) -> Result<(), Fault> {
    match &forged.event {
        Event::Agent(seen, placement) => {
            let event = mutant::believed(&lock(shared), &forged.attempt, seen.clone(), placement.clone());
            engine.build(&forged.attempt.build, event).await.map(|_| ())
        }
        Event::Unnamed(executor, agent, placement) => take_unnamed(shared, engine, (executor, agent), placement.clone()).await,
        Event::Notice(instance, notice) => {
            let account = mutant::believed_account(&lock(shared), notice.account.clone());
            let notice = instance::Notice { account, ..notice.clone() };
            instances::notify(engine, instance, notice).await.map(|_| ())
        }
    }
}

/// What `build-state` does with an event that does not tell whose agent it is about.
///
/// # Errors
/// As the engine's.
pub(crate) async fn take_unnamed(
    shared: &Shared,
    engine: &Engine,
    (executor, agent): (&str, &AgentId),
    placement: Placement,
) -> Result<(), Fault> {
    let Some((attempt, observation)) = engine.identify(executor, agent).await? else {
        return Ok(());
    };
    let event = mutant::believed(&lock(shared), &attempt, observation, placement);
    engine.build(&attempt.build, event).await.map(|_| ())
}

/// The imitations that a list of an attempt's agents shows and that are taken for agents of it; with `over`, also those that are over.
pub(crate) fn found(world: &World, spec: &BuildSpec, attempt: &AttemptId, over: bool) -> Vec<Observation> {
    let imitations = world.attacker.imitations.iter();
    let listed = imitations.filter(|imitation| imitation.attempt == *attempt && imitation.is_listed(spec));
    let own = listed.filter(|imitation| mutant::takes_for_own(world, spec, attempt, (&imitation.likeness, true)));
    let seen = own.map(|imitation| imitation.observation(world.now));
    seen.filter(|seen| over || seen.is_open()).collect()
}

/// What a description of an imitation proves.
pub(crate) fn prove(world: &World, spec: &BuildSpec, attempt: &AttemptId, agent: &AgentId) -> Option<Observation> {
    let imitation = world.attacker.imitation(agent)?;
    let own = mutant::takes_for_own(world, spec, attempt, (&imitation.likeness, false));
    own.then(|| imitation.observation(world.now))
}

/// Whose name an imitation carries.
pub(crate) fn identify(world: &World, agent: &AgentId) -> Option<(AttemptId, Observation)> {
    let imitation = world.attacker.imitation(agent)?;
    Some((imitation.attempt.clone(), imitation.observation(world.now)))
}

/// A stop of something that is no agent of the suite's.
pub(crate) fn stopped(world: &mut World, agent: &AgentId) {
    checks::stopped_other(world, agent);
}

/// A stop of everything that carries the name of a task's attempt.
pub(crate) fn stopped_by_name(world: &mut World, task: usize) {
    let Some(attempt) = world.ecs.tasks.get(task).map(|task| task.attempt.clone()) else {
        return;
    };
    let mut imitations = world.attacker.imitations.iter();
    let named = imitations.find(|imitation| imitation.attempt == attempt && imitation.observation(world.now).is_open());
    if let Some(agent) = named.map(|imitation| imitation.agent.clone()) {
        stopped(world, &agent);
    }
}

/// The answer to a launch under a token, or with a name, that an imitation has used before.
pub(crate) fn holds(world: &mut World, spec: &BuildSpec, attempt: &AttemptId, token: &str) -> Option<Launch> {
    let imitation = world.attacker.imitations.get(*world.attacker.tokens.get(token)?)?;
    let agent = imitation.agent.clone();
    let own = mutant::adopts_holder(world) || mutant::takes_for_own(world, spec, attempt, (&imitation.likeness, false));
    world.note("token taken by another", &spec.id, || format!("{attempt}: {}", short(&agent)));
    if own {
        return Some(Launch::Accepted(agent));
    }
    world.statistics.refused_for_good += 1;
    checks::forbidden(world, attempt);
    Some(Launch::refused(Refusal::Invalid(format!(
        "the token was used for the task {agent}"
    ))))
}

/// How long an event is on its way.
fn soon(dice: &mut fastrand::Rng) -> Millis {
    dice.u64(1..2 * SECOND)
}
