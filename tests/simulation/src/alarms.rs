//! CloudWatch's alarms, and the services of ECS that are restarted for them.

use std::fmt::Write as _;

use bellhop_domain::alarm::{AlarmChange, AlarmFacts, AlarmId, AlarmState};

use crate::checks;
use crate::mutant::{self, Mutant};
use crate::world::{Invoke, Job, MINUTE, Millis, SECOND, Subject, World, moment, timestamp};

/// The alarms that there may be, and what the suite does about each: two of a service, two that pause starts.
const RULES: [(&str, &str); 8] = [
    ("service-down", "restart-service: { cluster: ci, service: jenkins }"),
    ("service-slow", "restart-service: { cluster: ci, service: jenkins }"),
    ("service-gone", "restart-service: { cluster: ci, service: gone }"),
    ("disk-full", "run-job: nightly"),
    ("orders-at-risk", BACK_UP),
    ("costs", "pause-starts: true"),
    ("quota", "pause-starts: true"),
    ("nothing-to-do", ""),
];
/// What is done where the suite has this backup.
const BACK_UP: &str = "back-up-now: orders";
/// The service that is there.
const SERVICE: (&str, &str) = ("ci", "jenkins");
/// How long before a moment a deployment may have begun that counts as begun since: clocks differ.
pub(crate) const SKEW: Millis = 5 * SECOND;

/// The alarms of the account.
pub(crate) struct Alarms {
    dice: fastrand::Rng,
    used: bool,
    pub(crate) all: Vec<Truth>,
    /// The shortest time between two times that something is done.
    pub(crate) every: Millis,
    /// When the service was restarted, and for which claim.
    pub(crate) deployments: Vec<(Millis, Millis)>,
}

/// What an alarm really did.
pub(crate) struct Truth {
    pub(crate) id: AlarmId,
    /// Its states, each with the moment that it began at.
    pub(crate) history: Vec<(Millis, AlarmState)>,
}

/// A transition in one of its forms.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) change: AlarmChange,
    /// Which of them.
    pub(crate) number: u32,
}

impl Alarms {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed.rotate_left(48) ^ 0x616c_6172_6d73);
        Self {
            used: dice.u32(0..3) == 0,
            every: [2 * MINUTE, 5 * MINUTE, 30 * MINUTE][dice.usize(0..3)],
            dice,
            all: Vec::new(),
            deployments: Vec::new(),
        }
    }

    /// There are none.
    pub(crate) fn quiet() -> Self {
        Self {
            used: false,
            every: 2 * MINUTE,
            ..Self::new(0)
        }
    }

    /// The transition to a state that is told with a moment: the last one that had begun by then, as far as the forms of an event round it.
    pub(crate) fn transition(&self, key: &str, state: AlarmState, at: Millis) -> Option<Millis> {
        let truth = self.all.iter().find(|truth| truth.id.key() == key)?;
        let mut history = truth.history.iter().rev();
        history
            .find(|(began, other)| *other == state && *began / SECOND * SECOND <= at)
            .map(|(began, _)| *began)
    }
}

/// Decides what the alarms do, and which of their events come when.
pub(crate) fn prepare(world: &mut World, length: Millis, hostility: f64) {
    if !world.alarms.used {
        return;
    }
    world.repository.with_scripts(&mut world.alarms.dice);
    let every = mutant::told_at_most_every(world) / SECOND;
    let mut rules = String::new();
    for (name, rule) in RULES {
        let there = world.alarms.dice.bool();
        if !there || rule == BACK_UP && world.backups.plan("orders").is_none() {
            continue;
        }
        write_rule(&mut rules, name, rule, every);
        let id = id_of(name);
        let history = history(&mut world.alarms.dice, length);
        for (index, (at, state)) in history.iter().enumerate() {
            let previous = index.checked_sub(1).and_then(|index| history.get(index)).map(|(_, state)| *state);
            deliver(world, &id, *at, *state, previous, hostility > 0.0 && *at < length);
        }
        world.alarms.all.push(Truth { id, history });
    }
    if !rules.is_empty() {
        world.repository.suite.push_str("alarms:\n");
        world.repository.suite.push_str(&rules);
    }
}

fn write_rule(rules: &mut String, name: &str, rule: &str, every: Millis) {
    // Writing to a String cannot fail.
    let _ = match rule {
        "" => Ok(()),
        "pause-starts: true" => writeln!(rules, "  - {{ name: {name}, {rule} }}"),
        _ => writeln!(rules, "  - {{ name: {name}, {rule}, at-most-every: {every}s }}"),
    };
}

fn id_of(name: &str) -> AlarmId {
    AlarmId {
        region: Some("us-east-1".to_owned()),
        account: Some("123456789012".to_owned()),
        name: name.to_owned(),
        contributor: None,
    }
}

/// Lays down what some of the alarms do: all of them the same, one a second after the other.
pub(crate) fn lay_down(world: &mut World, names: &[&str], states: &[(Millis, AlarmState)]) {
    let every = mutant::told_at_most_every(world) / SECOND;
    let mut rules = "alarms:\n".to_owned();
    for (number, (name, rule)) in (0..).zip(RULES.into_iter().filter(|(name, _)| names.contains(name))) {
        write_rule(&mut rules, name, rule, every);
        let id = id_of(name);
        let history: Vec<(Millis, AlarmState)> = states.iter().map(|(at, state)| (at + number * SECOND, *state)).collect();
        let mut previous = AlarmState::Ok;
        for (at, state) in &history {
            deliver(world, &id, *at, *state, Some(std::mem::replace(&mut previous, *state)), false);
        }
        world.alarms.all.push(Truth { id, history });
    }
    world.repository.suite.push_str(&rules);
}

/// What an alarm does: it changes now and then, or flaps. Once the faults have stopped, it goes to OK in the end, mostly.
fn history(dice: &mut fastrand::Rng, length: Millis) -> Vec<(Millis, AlarmState)> {
    let mut history = vec![];
    let mut state = AlarmState::Ok;
    let flaps = dice.u32(0..3) == 0;
    let mut at = dice.u64(0..length);
    while at < length && history.len() < 40 {
        state = match state {
            AlarmState::Alarm if dice.u32(0..5) == 0 => AlarmState::InsufficientData,
            AlarmState::Alarm => AlarmState::Ok,
            AlarmState::InsufficientData if dice.bool() => AlarmState::Ok,
            _ => AlarmState::Alarm,
        };
        history.push((at, state));
        let longest = if flaps && dice.u32(0..6) > 0 { 2 * MINUTE } else { 20 * MINUTE };
        at += dice.u64(15 * SECOND..longest);
    }
    let ends = length + dice.u64(2 * MINUTE..10 * MINUTE);
    if dice.u32(0..8) > 0 {
        if state == AlarmState::Ok {
            history.push((length + MINUTE, AlarmState::InsufficientData));
        }
        history.push((ends, AlarmState::Ok));
    }
    history
}

/// A transition comes in one to three forms, each lost, repeated and late by itself.
fn deliver(world: &mut World, id: &AlarmId, at: Millis, state: AlarmState, previous: Option<AlarmState>, hostile: bool) {
    let forms = world.alarms.dice.u32(1..4);
    for number in 0..forms {
        let deliveries = world.hostility.deliveries(&mut world.alarms.dice, hostile);
        let told = if number == 1 { at / SECOND * SECOND } else { at };
        let change = AlarmChange {
            id: id.clone(),
            state,
            at: Some(timestamp(told)),
            previous: previous.filter(|_| number != 2),
            quiet: None,
            facts: AlarmFacts::default(),
        };
        for wait in deliveries {
            let change = change.clone();
            let job = Job::Alarm(Box::new(Form { change, number }));
            world.statistics.events += 1;
            world.send(at + wait, Invoke { job, tries: 0 });
        }
    }
}

/// Whether new tasks of a service have been started since a moment; `None` if there is no such service.
pub(crate) fn was_restarted(world: &World, cluster: &str, service: &str, since: Millis) -> Option<bool> {
    let began = |(at, _): &(Millis, Millis)| *at + SKEW >= since;
    ((cluster, service) == SERVICE).then(|| world.is(Mutant::RESTARTS_DROPPED) || world.alarms.deployments.iter().any(began))
}

/// Starts new tasks of a service, for a claim: with each request once more, because `UpdateService` has no token.
pub(crate) fn restart(world: &mut World, service: &str, since: Millis) {
    checks::alarms::restarting(world, since);
    let now = world.now;
    world.note("service restarted", Subject::World, || service.to_owned());
    world.alarms.deployments.push((now, since));
    world.statistics.restarts += 1;
}

impl Form {
    pub(crate) fn words(&self) -> String {
        let at = self.change.at.map_or(0, moment);
        format!("{} {} at {at} ms, form {}", self.change.id.name, self.change.state, self.number)
    }
}
