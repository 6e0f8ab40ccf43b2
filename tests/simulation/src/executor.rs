//! The scheduler: one thread, virtual time, and Lambda's way of invoking functions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bellhop_domain::ids::RunId;
use bellhop_domain::record::Performer;
use bellhop_domain::run::RunEvent;
use bellhop_domain::run::trigger::Push;
use bellhop_engine::{Fault, Handled, Recent};
use futures::future::{FutureExt, LocalBoxFuture};

use crate::hostility::SPELLS;
use crate::mutant::{self, Mutant};
use crate::ports::Port;
use crate::world::{HOUR, Happening, Invoke, Job, MINUTE, Millis, SECOND, Shared, Subject, Who, World, lock, timestamp};
use crate::{Options, Outcome, alarms, attacker, backups, checks, codepipeline, denials, instances, requests};

/// How long the world may take to come to rest once the faults have stopped: the longest pause of starts, and then a message about its end that may not
/// be sent.
const REST_WITHIN: Millis = 28 * HOUR;
/// How often everything is looked at that must hold over time.
pub(crate) const INSPECTION: Millis = 20 * SECOND;
/// The sweep's own time limit, of which it keeps some in reserve.
const SWEEP_LIMIT: Millis = 78 * SECOND;
const SWEEP_RESERVE: Millis = 20 * SECOND;
/// The part of a woken function's time in which it begins nothing new.
const WOKEN_RESERVE: Millis = 25 * SECOND;

type Ready = Arc<Mutex<VecDeque<u64>>>;

/// Puts an invocation on the list of those that can go on.
struct Ring {
    number: u64,
    ready: Ready,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.number);
    }
}

/// An invocation at work.
struct Invocation {
    future: LocalBoxFuture<'static, Result<(), Fault>>,
    invoke: Invoke,
    /// The memory of its execution environment.
    recent: Arc<Recent>,
    /// After how many points of waiting it dies.
    dies_in: Option<u32>,
    waker: Waker,
}

struct Executor {
    world: Shared,
    ready: Ready,
    invocations: BTreeMap<u64, Invocation>,
    next: u64,
}

/// Runs a whole simulation.
pub(crate) fn simulate(options: &Options, tells: bool) -> Outcome {
    // The engine's own dice, for the pauses after conflicts. They belong to this thread.
    fastrand::seed(options.seed);
    let mut world = World::new(options, tells);
    prepare(&mut world, options);
    live(world, |world| world.outcome())
}

/// Lets a world live until it is at rest, or something is violated.
pub(crate) fn live<T>(world: World, then: impl Fn(&mut World) -> T) -> T {
    let mut executor = Executor {
        world: Arc::new(Mutex::new(world)),
        ready: Ready::default(),
        invocations: BTreeMap::new(),
        next: 1,
    };
    executor.run();
    then(&mut lock(&executor.world))
}

/// Decides what the world has in store from outside: pushes, weather, and when it calms down.
fn prepare(world: &mut World, options: &Options) {
    let length = Millis::from(options.minutes.max(1)) * MINUTE;
    let pushes = world.rng.u64(1..=(2 + u64::from(options.minutes) / 4));
    let large = world.rng.u32(0..150) == 0;
    let mut moments = Vec::new();
    for number in 0..pushes {
        world.repository.push(&mut world.rng, large && number == 0);
        moments.push(world.rng.u64(0..length));
    }
    let pushes = world.repository.in_order(&moments);
    cancel_some(world, &pushes);
    codepipeline::prepare(world, length);
    requests::prepare(world, length, &pushes);
    instances::prepare(world, length, options.hostility);
    backups::prepare(world, length, options.hostility);
    alarms::prepare(world, length, options.hostility);
    denials::prepare(world, length, options.hostility);
    attacker::prepare(world, length, options);
    for (at, push) in pushes {
        let job = Job::Push(Arc::new(push));
        let share = world.hostility.push_repeated;
        while world.chance(share) {
            let wait = match world.rng.u32(0..3) {
                0 => world.rng.u64(0..200),
                1 => world.between_log(SECOND, MINUTE),
                _ => world.between_log(MINUTE, 8 * HOUR),
            };
            world.send(
                at + wait,
                Invoke {
                    job: job.clone(),
                    tries: 0,
                },
            );
        }
        let late = options.hostility > 0.0 && world.repository.supersedes && world.dice.u32(0..3) == 0;
        let wait = if late { world.dice.u64(0..30 * MINUTE) } else { 0 };
        world.send(at + wait, Invoke { job, tries: 0 });
    }
    if options.hostility > 0.0 {
        for spell in SPELLS {
            let flickers = if world.hostility.flickers { 5 * options.minutes } else { 0 };
            for number in 0..world.rng.u32(0..3) + flickers {
                if !world.chance(spell.share()) {
                    continue;
                }
                let longest = if number < flickers { 20 * SECOND } else { 20 * MINUTE };
                let begin = world.rng.u64(0..length);
                let end = begin + world.between_log(SECOND, longest);
                world.schedule(begin, Happening::Weather(spell, true));
                world.schedule(end, Happening::Weather(spell, false));
            }
        }
        for _ in 0..world.rng.u32(0..3) {
            let at = world.rng.u64(0..length);
            world.schedule(at, Happening::MassReclaim);
        }
    }
    world.schedule(length, Happening::Calm);
    let first = world.rng.u64(0..MINUTE);
    world.schedule(first, Happening::Minute);
    world.schedule(INSPECTION, Happening::Inspect);
}

/// Decides which runs somebody cancels, or jobs of them, and when.
fn cancel_some(world: &mut World, pushes: &[(Millis, Push)]) {
    if world.dice.u32(0..3) > 0 {
        return;
    }
    for (at, push) in pushes {
        while world.dice.u32(0..3) == 0 {
            let run = RunId::derive(crate::SUITE, &push.trigger, &push.reference);
            let job = (world.dice.u32(0..3) == 0).then(|| format!("job-{}", world.dice.u32(0..4)));
            let job = job.map(|job| job.parse().expect("it is a job's name"));
            let longest = if world.dice.bool() { MINUTE } else { 30 * MINUTE };
            let wait = world.dice.u64(0..longest);
            let job = Job::Cancel(run, job);
            world.send(at + wait, Invoke { job, tries: 0 });
        }
    }
}

impl Executor {
    fn run(&mut self) {
        loop {
            let Some(happening) = lock(&self.world).advance() else { return };
            self.happen(happening);
            self.work();
            let mut world = lock(&self.world);
            if world.violation.is_some() || world.ended {
                world.statistics.retries = world.tables.builds.values().map(|build| extra_attempts(&build.record)).sum();
                world.statistics.cancelled = world.tables.builds.values().map(|build| is_cancelled(&build.record)).sum();
                return;
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        let mut world = lock(&self.world);
        match happening {
            Happening::Wake(waker) => {
                drop(world);
                waker.wake();
            }
            Happening::Late(effect) => {
                world.note("delayed request arrives", Subject::World, String::new);
                effect(&mut world);
            }
            Happening::Task(index, step) => world.task_step(index, step),
            Happening::Action(index, step) => world.action_step(index, step),
            Happening::Instance(index, step) => world.instance_step(index, step),
            Happening::Invoke(invoke) => {
                if !matches!(invoke.job, Job::Sweep) {
                    world.on_the_way -= 1;
                }
                drop(world);
                self.invoke(invoke);
            }
            Happening::TimeOut(number) => {
                drop(world);
                if let Some(invocation) = self.invocations.remove(&number) {
                    self.died(number, invocation, "ran into its time limit");
                }
            }
            Happening::Weather(spell, begins) => {
                world.note("weather", Subject::World, || {
                    format!("{spell:?} {}", if begins { "begins" } else { "ends" })
                });
                if !begins {
                    world.spells.remove(&spell);
                } else if !world.calm() {
                    world.spells.insert(spell);
                }
            }
            Happening::Denial(operation, begins) => world.deny(operation, begins),
            Happening::MassReclaim => world.mass_reclaim(),
            Happening::Attack => attacker::attack(&mut world),
            Happening::Minute => world.minute(),
            Happening::Calm => world.calm_down(),
            Happening::Inspect => {
                checks::inspect(&mut world);
                if world.calm() {
                    let at_work = self.invocations.len();
                    world.rest(at_work);
                }
                world.schedule_in(INSPECTION, Happening::Inspect);
            }
        }
    }

    /// Lets everybody work who can.
    fn work(&mut self) {
        loop {
            let number = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(number) = number else { return };
            // The waits of an invocation that has died ring as well.
            let Some(mut invocation) = self.invocations.remove(&number) else {
                continue;
            };
            {
                let mut world = lock(&self.world);
                world.who = Who::Invocation(invocation.invoke.job.function(), number);
                world.dies_in = invocation.dies_in.filter(|_| !world.calm());
                world.dead = false;
            }
            let polled = invocation.future.poll_unpin(&mut Context::from_waker(&invocation.waker));
            let dead = {
                let mut world = lock(&self.world);
                invocation.dies_in = world.dies_in;
                std::mem::take(&mut world.dead)
            };
            match polled {
                _ if dead => self.died(number, invocation, "died"),
                Poll::Pending => {
                    self.invocations.insert(number, invocation);
                }
                Poll::Ready(Ok(())) => {
                    let mut world = lock(&self.world);
                    world.environments.put_back(invocation.recent);
                    world.note("done", invocation.invoke.job.about(), String::new);
                }
                Poll::Ready(Err(fault)) => {
                    let mut world = lock(&self.world);
                    world.environments.put_back(invocation.recent);
                    world.statistics.errors += 1;
                    world.note("ended with an error", invocation.invoke.job.about(), || fault.to_string());
                    codepipeline::trouble(&mut world, &invocation.invoke.job);
                    if !mutant::acknowledges_errors(&world, &invocation.invoke.job) {
                        world.try_again(invocation.invoke);
                    }
                }
            }
            lock(&self.world).who = Who::Nature;
        }
    }

    fn died(&mut self, number: u64, invocation: Invocation, how: &'static str) {
        let Invocation { future, invoke, .. } = invocation;
        drop(future);
        let mut world = lock(&self.world);
        world.who = Who::Invocation(invoke.job.function(), number);
        world.statistics.deaths += 1;
        world.note("died", invoke.job.about(), || how.to_owned());
        codepipeline::trouble(&mut world, &invoke.job);
        world.try_again(invoke);
    }

    fn invoke(&mut self, invoke: Invoke) {
        let number = self.next;
        self.next += 1;
        let mut port = Port::new(&self.world);
        port.is_sweep = matches!(invoke.job, Job::Sweep);
        port.way = World::way_of(&invoke.job);
        let (dies_in, limit) = {
            let mut world = lock(&self.world);
            world.who = Who::Invocation(invoke.job.function(), number);
            world.statistics.invocations += 1;
            world.note("invoked", invoke.job.about(), || invoke.job.words());
            let share = world.hostility.death;
            let dies = !world.calm() && world.chance(share);
            let points = if world.rng.u32(0..4) == 0 { 150 } else { 14 };
            let dies_in = dies.then(|| world.rng.u32(0..points));
            let limit = match invoke.job {
                Job::Push(_) | Job::Pipeline(_) | Job::Request(_) | Job::Backup(_) => 60 * SECOND,
                Job::Agent(..)
                | Job::Unnamed(..)
                | Job::Forged(_)
                | Job::Cancel(..)
                | Job::Instance(_)
                | Job::Alarm(_)
                | Job::WakeUp(..) => 30 * SECOND,
                Job::Timed(_) | Job::Sweep => SWEEP_LIMIT,
            };
            world.schedule_in(limit, Happening::TimeOut(number));
            (dies_in, world.now + limit)
        };
        let future = match &invoke.job {
            Job::Push(push) => {
                let starter = port.starter();
                let push = mutant::delivered_push(&mut lock(&self.world), push);
                async move { starter.push(&push).await.map(|_| ()) }.boxed_local()
            }
            Job::Agent(attempt, observation) => {
                let engine = port.engine();
                let (build, event) = mutant::delivered_event(&lock(&self.world), attempt, observation);
                async move { engine.build(&build, event).await.map(|_| ()) }.boxed_local()
            }
            Job::Unnamed(_, agent) => {
                let (engine, agent, world) = (port.engine(), agent.clone(), self.world.clone());
                let (name, placement) = {
                    let world = lock(&world);
                    (world.task(&agent).map_or("", |task| task.of.name()), world.placement(&agent))
                };
                async move { attacker::take_unnamed(&world, &engine, (name, &agent), placement).await }.boxed_local()
            }
            Job::Forged(forged) => {
                let performer = if forged.is_notice() {
                    Performer::Instances
                } else {
                    Performer::Builds
                };
                let (engine, world, forged) = (port.engine_of(performer), self.world.clone(), forged.clone());
                async move { attacker::take(&world, &engine, &forged).await }.boxed_local()
            }
            Job::Cancel(run, job) => {
                let engine = port.engine();
                let (run, job, world) = (run.clone(), job.clone(), self.world.clone());
                checks::wished_away(&mut lock(&world), &run);
                async move {
                    let all = job.is_none();
                    let event = RunEvent::Cancel {
                        job,
                        outcome: bellhop_domain::outcome::Outcome::Cancelled,
                        cause: "cancelled by hand".to_owned(),
                    };
                    let handled = engine.run(&run, event).await?;
                    if all && handled == Handled::Done {
                        checks::cancelled(&mut lock(&world), &run);
                    }
                    Ok(())
                }
                .boxed_local()
            }
            Job::Request(request) => {
                let (starter, request, world) = (port.starter(), request.clone(), self.world.clone());
                async move { requests::take(&world, &starter, &request).await }.boxed_local()
            }
            Job::Instance(notice) => {
                let (engine, world) = (port.engine_of(Performer::Instances), self.world.clone());
                let notice = mutant::delivered_notice(&lock(&world), notice);
                async move { instances::take(&world, &engine, &notice).await }.boxed_local()
            }
            Job::Alarm(form) => {
                let engine = port.engine_of(Performer::Alarms);
                let change = mutant::delivered_alarm(&lock(&self.world), form);
                async move { engine.alarm(change).await.map(|_| ()) }.boxed_local()
            }
            Job::Backup(input) => {
                let (backups, input) = (port.backup_service(), input.clone());
                let slot = mutant::delivered_slot(&lock(&self.world), &input);
                async move { backups::take(&backups, &input, slot).await }.boxed_local()
            }
            Job::WakeUp(performer, records) => {
                let (engine, records) = (port.engine_of(*performer), records.clone());
                let until = timestamp(limit.saturating_sub(WOKEN_RESERVE));
                async move { engine.woken(records, until).await.map(|_| ()) }.boxed_local()
            }
            Job::Pipeline(job) => {
                let (starter, world) = (port.starter(), self.world.clone());
                let delivered = mutant::delivered_job(&lock(&world), job);
                async move {
                    let _ = starter.pipeline(&delivered).await?;
                    codepipeline::taken(&mut lock(&world), &delivered.id);
                    Ok(())
                }
                .boxed_local()
            }
            Job::Timed(records) => {
                let (engine, records) = (port.engine(), records.clone());
                let until = timestamp(limit.saturating_sub(SWEEP_RESERVE));
                async move { engine.timed(records, until).await.map(|_| ()) }.boxed_local()
            }
            Job::Sweep => {
                let (engine, world) = (port.engine(), self.world.clone());
                let until = timestamp(limit.saturating_sub(SWEEP_RESERVE));
                let begun = limit.saturating_sub(SWEEP_LIMIT);
                async move {
                    let swept = engine.sweep(until).await?;
                    if swept.left == 0 {
                        codepipeline::swept(&mut lock(&world), begun);
                    }
                    Ok(())
                }
                .boxed_local()
            }
        };
        let ring = Ring {
            number,
            ready: self.ready.clone(),
        };
        let invocation = Invocation {
            future,
            recent: port.recent,
            invoke,
            dies_in,
            waker: Waker::from(Arc::new(ring)),
        };
        self.invocations.insert(number, invocation);
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(number);
    }
}

fn is_cancelled(build: &bellhop_domain::build::Build) -> u64 {
    use bellhop_domain::outcome::Outcome::{Cancelled, Superseded};
    u64::from(matches!(build.outcome(), Some(Cancelled | Superseded)))
}

fn extra_attempts(build: &bellhop_domain::build::Build) -> u64 {
    u64::try_from(build.attempts.len().saturating_sub(1)).unwrap_or(0)
}

impl World {
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome {
            statistics: self.statistics,
            violation: self.violation.clone(),
            digest: self.digest(),
        }
    }

    /// Sends something to a function.
    pub(crate) fn send(&mut self, wait: Millis, invoke: Invoke) {
        for wait in self.strike_event(wait, &invoke.job) {
            self.deliver(wait, invoke.clone());
        }
    }

    fn deliver(&mut self, wait: Millis, invoke: Invoke) {
        if !matches!(invoke.job, Job::Sweep) {
            self.on_the_way += 1;
        }
        self.schedule_in(wait, Happening::Invoke(invoke));
    }

    /// Lambda tries an asynchronous invocation twice more, and gives it up then. The sweep's schedule is its own retry, whoever cancels is told, and
    /// what a timer was set for is found by the sweep.
    fn try_again(&mut self, invoke: Invoke) {
        if matches!(invoke.job, Job::Sweep | Job::Timed(_) | Job::Cancel(..) | Job::Forged(_)) {
            return;
        }
        if invoke.tries < 2 {
            let wait = MINUTE * u64::from(invoke.tries + 1) + self.rng.u64(0..10 * SECOND);
            self.deliver(
                wait,
                Invoke {
                    tries: invoke.tries + 1,
                    ..invoke
                },
            );
            return;
        }
        self.statistics.dead_letters += 1;
        checks::given_up(self, &invoke.job);
        self.note("dead letter", invoke.job.about(), String::new);
        if self.calm() {
            self.hand_back(MINUTE, invoke.job);
        } else {
            self.dead_letters.push(invoke.job);
        }
    }

    /// Dead letters are handed back. Bellhop needs the pushes among them; the events only must not do harm, however late they are.
    fn hand_back(&mut self, wait: Millis, job: Job) {
        if matches!(job, Job::Push(_)) || self.rng.bool() {
            self.send(wait, Invoke { job, tries: 0 });
        }
    }

    fn mass_reclaim(&mut self) {
        self.note("all Spot capacity is taken back", Subject::World, String::new);
        for index in 0..self.ecs.tasks.len() {
            let on_spot = self
                .ecs
                .tasks
                .get(index)
                .is_some_and(|task| task.capacity == bellhop_domain::executor::Capacity::Spot && task.host.is_none() && task.goes_on());
            if on_spot {
                let wait = self.rng.u64(0..5 * SECOND);
                self.schedule_in(wait, Happening::Task(index, crate::ecs::Step::Reclaimed));
            }
        }
        instances::reclaim_all(self);
    }

    /// The sweep's schedule.
    fn minute(&mut self) {
        self.schedule_in(MINUTE, Happening::Minute);
        if self.is(Mutant::NO_SWEEP) {
            return;
        }
        let sweep = Invoke { job: Job::Sweep, tries: 0 };
        if self.calm() {
            self.send(0, sweep);
            return;
        }
        let (lost, twice) = (self.hostility.sweep_lost, self.hostility.sweep_twice);
        if self.chance(lost) {
            self.note("no sweep", Subject::World, String::new);
            return;
        }
        if self.chance(twice) {
            let wait = self.rng.u64(0..2 * SECOND);
            self.send(wait, sweep.clone());
        }
        let wait = self.rng.u64(0..2 * SECOND);
        self.send(wait, sweep);
    }

    fn calm_down(&mut self) {
        self.note("the faults stop", Subject::World, String::new);
        self.calm_since = Some(self.now);
        self.spells.clear();
        for job in std::mem::take(&mut self.dead_letters) {
            self.hand_back(SECOND, job);
        }
    }

    /// Ends the simulation once everything is at rest.
    fn rest(&mut self, at_work: usize) {
        let unrest = if at_work > 0 || self.on_the_way > 0 {
            Some(format!("{at_work} invocations are at work, {} on their way", self.on_the_way))
        } else if let Some(task) = self
            .ecs
            .tasks
            .iter()
            .find(|task| !task.is_gone() && !checks::is_out_of_reach(self, task))
        {
            Some(format!("task {} of {} is not gone", crate::ecs::short(&task.agent), task.attempt))
        } else if let Some(action) = self.codepipeline.unrest() {
            Some(action)
        } else {
            self.unrest()
        };
        match unrest {
            None => {
                checks::at_rest(self);
                self.ended = true;
            }
            Some(unrest) => {
                let since = self.calm_since.unwrap_or(self.now);
                if self.now > since + REST_WITHIN {
                    self.violated("rest", &Subject::World, unrest);
                }
            }
        }
    }
}
