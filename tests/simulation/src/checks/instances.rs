//! What must hold of instances that EC2 takes away.

use std::collections::{BTreeMap, BTreeSet};

use bellhop_domain::build::{Attempt, Build, Phase};
use bellhop_domain::decision::Ignored;
use bellhop_domain::ids::{AgentId, AttemptId, InstanceId};
use bellhop_domain::instance::{Ec2Notice, ForeignTask, Host, Instance, InstanceEffect};
use bellhop_domain::outbox::EffectId;
use bellhop_engine::Handled;
use bellhop_engine::ports::{InstanceTask, Item, Key};

use super::records::reads_back;
use super::seen::CLOCKS;
use crate::instances::{Notice, is_doomed};
use crate::world::{MINUTE, Millis, Subject, Who, World, moment};

/// Notices of one interruption come within this time, and concern nobody after it.
const ONE_INTERRUPTION: Millis = 10 * MINUTE;

/// What is remembered of instances for the checks alone.
#[derive(Default)]
pub(crate) struct Seen {
    /// Whoever asked what is on an instance, and was answered.
    looks: BTreeMap<InstanceId, Vec<Look>>,
    /// The interruptions that were decided.
    interruptions: BTreeMap<InstanceId, BTreeSet<EffectId>>,
    /// How often the builds on an instance were told while tasks of others were on it.
    beside_others: BTreeMap<InstanceId, usize>,
    /// The instances that nobody could look at in time.
    missed: BTreeSet<InstanceId>,
    /// The instances of which ECS has answered that nothing more is placed on them.
    drained: BTreeSet<InstanceId>,
    /// The instances that had tasks placed on them again.
    activated: BTreeSet<InstanceId>,
    /// When the suite had first taken in that an instance is taken away.
    doomed: BTreeMap<InstanceId, Millis>,
}

struct Look {
    who: Who,
    agents: Vec<(AttemptId, AgentId)>,
    foreign: Vec<ForeignTask>,
}

fn id_of(world: &World, host: &Host) -> Option<InstanceId> {
    let mut all = world.instances.all.iter();
    all.find(|instance| instance.host == *host).map(|instance| instance.id.clone())
}

/// Somebody was answered what is on an instance.
pub(crate) fn looked(world: &mut World, host: &Host, occupants: &[InstanceTask]) {
    let Some(id) = id_of(world, host) else { return };
    let mut look = Look {
        who: world.who,
        agents: Vec::new(),
        foreign: Vec::new(),
    };
    for occupant in occupants {
        match occupant {
            InstanceTask::Agent(attempt, observation) => look.agents.push((attempt.clone(), observation.agent.clone())),
            InstanceTask::Foreign(task) => look.foreign.push(task.clone()),
        }
    }
    world.checks.instances.looks.entry(id).or_default().push(look);
}

/// Somebody was answered that an instance is drained.
pub(crate) fn drained(world: &mut World, host: &Host) {
    let Some(instance) = world.instances.all.iter().find(|instance| instance.host == *host) else {
        return;
    };
    // What has gone needs no draining. What has just come back may have been drained before.
    let holds = instance.drained.is_some() || instance.gone.is_some() || instance.back > 0;
    let id = instance.id.clone();
    check!(
        world,
        Subject::World,
        "instances-are-drained",
        holds,
        "{id} counts as drained, and is not"
    );
    world.checks.instances.drained.insert(id);
}

/// An instance has tasks placed on it again.
pub(crate) fn activated(world: &mut World, index: usize) {
    let Some(instance) = world.instances.all.get(index) else { return };
    let id = instance.id.clone();
    let known = world
        .checks
        .instances
        .doomed
        .get(&id)
        .copied()
        .filter(|since| *since >= instance.back);
    // It may have been on its way when the notice came.
    let is_known = known.is_some_and(|since| since + MINUTE <= world.now);
    check!(
        world,
        Subject::World,
        "doomed-instances-stay-drained",
        !is_known,
        "{id} takes tasks again, and it is known that EC2 takes it away"
    );
    world.checks.instances.activated.insert(id);
}

/// A notice was handled to its end.
pub(crate) fn handled(world: &mut World, notice: &Notice, handled: Handled) {
    let Some(instance) = world.instances.get(&notice.instance) else {
        return;
    };
    let (ours, gone, back) = (instance.ours, instance.gone.is_some(), instance.back);
    let unknown = handled == Handled::Unknown;
    let stale = handled == Handled::Ignored(Ignored::Stale) && is_past(world, notice.at);
    let key = Key::new(format!("INSTANCE#{}", notice.instance), "INSTANCE");
    let recorded = world.tables.documents.contains_key(&key);
    if matches!(notice.what, Ec2Notice::Interruption(_)) && recorded && !stale {
        let since = world.checks.instances.doomed.entry(notice.instance.clone()).or_default();
        if *since == 0 || *since < back {
            *since = world.now;
        }
    }
    check!(
        world,
        Subject::World,
        "foreign-instances-leave-nothing",
        ours || unknown && !recorded,
        "{notice:?} of an instance that is nobody's here: {handled:?}"
    );
    check!(
        world,
        Subject::World,
        "notices-are-taken",
        !ours || recorded || unknown && gone || stale,
        "{notice:?} of an instance of ours: {handled:?}"
    );
}

fn is_past(world: &World, told: Millis) -> bool {
    told + ONE_INTERRUPTION <= world.now + CLOCKS
}

fn read(document: &Item) -> Option<Instance> {
    serde_json::from_str(&document.text).ok()
}

fn interrupts(instance: &Instance) -> BTreeSet<EffectId> {
    let pending = instance.outbox.pending().iter();
    let interrupts = pending.filter(|pending| pending.effect == InstanceEffect::Interrupt);
    interrupts.map(|pending| pending.id).collect()
}

/// Whether a build has heard that one of its agents is being taken away, or has no use for it any more.
fn has_heard(build: &Build, agent: &AgentId) -> bool {
    let goes_on = |attempt: &Attempt| matches!(attempt.phase, Phase::Waiting | Phase::Launching | Phase::Running);
    let mut attempts = build.attempts.iter().filter(|attempt| attempt.agent.as_ref() == Some(agent));
    let known = attempts.clone().next().is_some() || build.strays.iter().any(|stray| stray.agent == *agent) || build.outcome().is_some();
    known && !attempts.any(goes_on)
}

/// The record of an instance is about to be written.
pub(crate) fn written(world: &mut World, previous: Option<&Item>, next: &Item) {
    if next.key.sort != "INSTANCE" {
        return;
    }
    let Some(record) = read(next) else {
        let text = next.text.clone();
        world.violated("records-read-back", &Subject::World, text);
        return;
    };
    reads_back(world, Subject::World, &record);
    let id = record.id.clone();
    let truth = world.instances.get(&id);
    let ours = truth.is_some_and(|instance| instance.ours);
    let warnings = truth.map_or(0, |instance| instance.warnings);
    check!(
        world,
        Subject::World,
        "foreign-instances-leave-nothing",
        ours,
        "{id} is nobody's here, and has a record"
    );
    check!(
        world,
        Subject::World,
        "only-warnings-interrupt",
        warnings > 0 || record.warned.is_none(),
        "{id} counts as warned of, and EC2 has not"
    );
    let before = previous.and_then(read);
    let pending = interrupts(&record);
    let decided = world.checks.instances.interruptions.entry(id.clone()).or_default();
    decided.extend(pending.iter().copied());
    let decided = decided.len();
    check!(
        world,
        Subject::World,
        "one-interruption",
        decided <= warnings,
        "{id} is interrupted {decided} times, and EC2 takes it away {warnings} times"
    );
    let given_up = before
        .as_ref()
        .is_some_and(|before| before.outbox.abandoned() < record.outbox.abandoned());
    let performed = !given_up && before.is_some_and(|before| !interrupts(&before).is_subset(&pending));
    if performed {
        interrupted(world, &record);
    }
}

/// The builds on an instance count as told: those must have heard of it whom the one saw that says so.
fn interrupted(world: &mut World, record: &Instance) {
    let who = world.who;
    let looks = world.checks.instances.looks.get(&record.id).map(Vec::as_slice).unwrap_or_default();
    // A write that was delayed is nobody's any more.
    let mine = |look: &&Look| who == Who::Nature || look.who == who;
    let told = record.outbox.pending().iter().find_map(|pending| match &pending.effect {
        InstanceEffect::Notify { foreign, .. } => Some(foreign.as_slice()),
        InstanceEffect::Interrupt
        | InstanceEffect::Drain
        | InstanceEffect::Reactivate
        | InstanceEffect::NotifyAfterAdvice { .. }
        | InstanceEffect::NotifyAbandoned { .. } => None,
    });
    let told = told.unwrap_or_default();
    let fits = |look: &&Look| look.foreign == told;
    let deaf = |look: &Look| {
        look.agents.iter().find_map(|(attempt, agent)| {
            let build = world.tables.builds.get(&attempt.build)?;
            (!has_heard(&build.record, agent)).then(|| attempt.clone())
        })
    };
    let looked = looks.iter().any(|look| mine(&look));
    let says = looks.iter().any(|look| mine(&look) && fits(&look));
    let unheard = looks.iter().filter(mine).filter(fits).map(deaf).next_back().flatten();
    let others = !told.is_empty();
    let id = record.id.clone();
    let past = record.warned.is_some_and(|warned| is_past(world, moment(warned.at)));
    if past && !looked && !others {
        world.checks.instances.missed.insert(id);
        return;
    }
    check!(
        world,
        Subject::World,
        "builds-on-it-are-told",
        looked,
        "the builds on {id} count as told, and nobody has looked which they are"
    );
    check!(
        world,
        Subject::World,
        "others-on-it-are-told-of",
        says,
        "people are told of other tasks on {id} than there were"
    );
    if let Some(attempt) = unheard {
        world.violated(
            "builds-on-it-are-told",
            &Subject::from(&attempt.build),
            format!("the builds on {id} count as told, and {attempt} has not heard of it"),
        );
    }
    if others {
        *world.checks.instances.beside_others.entry(id).or_default() += 1;
    }
}

/// A build is about to be written: of the agents on instances, those alone are interrupted whose instance is being taken away.
pub(crate) fn build_written(world: &mut World, previous: Option<&Build>, next: &Build) {
    for attempt in &next.attempts {
        let before = previous.and_then(|previous| previous.attempts.iter().find(|before| before.number == attempt.number));
        let is_interrupted = |attempt: &Attempt| matches!(attempt.phase, Phase::Interrupted { .. });
        if !is_interrupted(attempt) || before.is_some_and(is_interrupted) {
            continue;
        }
        let Some(agent) = &attempt.agent else { continue };
        if world.task(agent).is_none_or(|task| task.host.is_none()) {
            continue;
        }
        let doomed = is_doomed(world, agent);
        check!(
            world,
            &next.spec.id,
            "only-warnings-interrupt",
            doomed,
            "attempt {} is interrupted, and nobody takes its instance away",
            attempt.number
        );
    }
}

/// What must hold once everything is at rest.
pub(crate) fn at_rest(world: &mut World) {
    let records: Vec<Instance> = world.tables.documents.values().filter_map(|stored| read(&stored.record)).collect();
    for record in records {
        let id = &record.id;
        let seen = &world.checks.instances;
        // What came back was drained when it was taken away the last time, or not.
        let goes_on = world.instances.get(id).is_some_and(|instance| {
            let heard = record.advised.max(record.warned.map(|warned| warned.at)).map_or(0, moment);
            instance.gone.is_none() && instance.drained.is_none() && heard >= instance.back
        });
        let drained = seen.drained.contains(id) && (!goes_on || seen.activated.contains(id));
        // What nobody warned of, and nobody but the suite has drained, is paid for and takes tasks; or people know that it does not.
        let is_idle = world
            .instances
            .get(id)
            .is_some_and(|instance| instance.drained.is_some() && instance.warnings == 0);
        let told_of_it = world.bucket.messages.keys().any(|message| {
            message.starts_with(&format!("instance/{id}/instance-drained/")) || message.starts_with(&format!("instance/{id}/abandoned/"))
        });
        let looked = seen.looks.contains_key(id) || seen.missed.contains(id);
        let beside_others = seen.beside_others.get(id).copied().unwrap_or(0);
        let prefix = format!("instance/{id}/interrupted/");
        let told: Vec<String> = world
            .bucket
            .messages
            .keys()
            .filter(|message| message.starts_with(&prefix))
            .cloned()
            .collect();
        let denied = |operations: &[&str]| world.was_denied(operations);
        let (undrainable, unlisted) = (denied(&["UpdateContainerInstancesState"]), denied(&["ListTasks", "DescribeTasks"]));
        let untold = denied(&["Publish"]);
        let told_abandoned = world
            .bucket
            .messages
            .keys()
            .any(|message| message.starts_with(&format!("instance/{id}/abandoned/")));
        check!(
            world,
            Subject::World,
            "what-is-given-up-is-told",
            record.outbox.abandoned() == 0 || told_abandoned || untold,
            "something was given up for {id}, and nobody was told"
        );
        check!(
            world,
            Subject::World,
            "instances-are-drained",
            drained || undrainable || told_abandoned || untold && record.outbox.abandoned() > 0,
            "{id} is not drained: {record:?}"
        );
        check!(
            world,
            Subject::World,
            "advice-is-not-for-ever",
            !is_idle || told_of_it || untold,
            "{id} is drained for a recommendation that nothing followed"
        );
        check!(
            world,
            Subject::World,
            "builds-on-it-are-told",
            looked || unlisted || record.outbox.abandoned() > 0 || record.warned.is_none(),
            "nobody has looked who is on {id}"
        );
        check!(
            world,
            Subject::World,
            "others-on-it-are-told-of",
            told.len() == beside_others || untold,
            "others were on {id} {beside_others} times, and told were {told:?}"
        );
    }
}
