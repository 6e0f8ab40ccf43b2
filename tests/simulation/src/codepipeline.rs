//! CodePipeline: invoke actions, their jobs, and who answers them. The 24 hours after which an action ends in any case are longer than any world.
//! See <https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-Lambda.html>.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellhop_domain::ids::{PipelineJobId, RunId};
use bellhop_domain::request::{PipelineAsks, PipelineJob, PipelineStart, PipelineWork};
use bellhop_domain::run::pipeline::{CONTINUE_AFTER, PipelineAnswer, PipelineFailure};
use bellhop_engine::ports::Answered;
use bellhop_model::codepipeline;

use crate::checks;
use crate::guarded::GUARDED;
use crate::requests::{Place, Work};
use crate::source::DEFAULT_BRANCH;
use crate::world::{Happening, Invoke, Job, MINUTE, Millis, SECOND, Subject, World, millis, moment};

/// How long a job may go without an answer.
const JOB_TIMEOUT: Millis = millis(codepipeline::JOB_TIMEOUT);
/// The longest wait between two tries of an answer.
const LONGEST_WAIT: Millis = 16 * MINUTE;
/// How far clocks and the index of what is due may be behind, and a little more.
const BEHIND: Millis = 30 * SECOND;

/// The actions that pipelines come to.
#[derive(Default)]
pub(crate) struct CodePipeline {
    pub(crate) actions: Vec<Action>,
    by_job: BTreeMap<PipelineJobId, (usize, usize)>,
}

/// A step in an action's life.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A pipeline comes to it.
    Begins,
    /// The next job of a continued one.
    NextJob(RunId),
    /// A job has gone too long without an answer.
    TimesOut(usize),
    /// Somebody stops the pipeline, or another execution supersedes it.
    Withdrawn,
}

/// An action.
pub(crate) struct Action {
    pub(crate) asks: PipelineAsks,
    first: PipelineJobId,
    /// When a pipeline comes to it.
    pub(crate) begins: Millis,
    pub(crate) jobs: Vec<ActionJob>,
    /// How it ended, and when.
    pub(crate) end: Option<(ActionEnd, Millis)>,
    /// What it was told first of its run's end, whether or not it still listened.
    pub(crate) told: Option<ActionEnd>,
}

/// How an action ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActionEnd {
    Succeeded,
    Failed(PipelineFailure),
    /// A job had no answer in time.
    TimedOut,
    Withdrawn,
}

/// A job of an action.
pub(crate) struct ActionJob {
    id: PipelineJobId,
    pub(crate) opened: Millis,
    settled: bool,
    /// When an invocation for it came to an end without a fault.
    pub(crate) taken: Option<Millis>,
    /// How often something went wrong that keeps it from being answered, and until when that excuses it.
    troubles: u32,
    excused: Millis,
    /// Since when it should have been answered: a sweep without any fault came by, nothing excused it, and it was due.
    missed: Option<Millis>,
}

impl CodePipeline {
    /// What a job is about.
    pub(crate) fn about(&self, job: &PipelineJobId) -> Subject {
        let action = self.by_job.get(job).and_then(|(action, _)| self.actions.get(*action));
        action.and_then(Action::run).map_or(Subject::World, Subject::Run)
    }

    /// The first job of the action that a job belongs to.
    pub(crate) fn first_job(&self, job: &PipelineJobId) -> Option<&PipelineJobId> {
        let (action, _) = self.by_job.get(job)?;
        self.actions.get(*action).map(|action| &action.first)
    }

    /// The action whose run this is.
    pub(crate) fn action_of(&self, run: &RunId) -> Option<&Action> {
        self.actions.iter().find(|action| action.run().as_ref() == Some(run))
    }

    /// An action that is not over, nor its run.
    pub(crate) fn unrest(&self) -> Option<String> {
        let open = self.actions.iter().find(|action| action.end.is_none())?;
        Some(format!("the action that began as job {} is not over", open.first))
    }
}

impl Action {
    /// The run that it asks for, if it asks for one.
    pub(crate) fn run(&self) -> Option<RunId> {
        match &self.asks {
            PipelineAsks::Start(start) => Some(run_of(&self.first, start)),
            PipelineAsks::Continue(_) | PipelineAsks::Wrong(_) => None,
        }
    }

    /// What its run's id is derived from.
    pub(crate) fn trigger(&self) -> String {
        format!("codepipeline/{}", self.first)
    }

    pub(crate) fn newest(&self) -> Option<&ActionJob> {
        self.jobs.last()
    }

    fn open_job(&mut self) -> Option<&mut ActionJob> {
        let over = self.end.is_some();
        self.jobs.last_mut().filter(|job| !over && !job.settled)
    }
}

/// Where the code of an action's run is.
pub(crate) fn place(start: &PipelineStart) -> Place {
    Place {
        repository: start.repository.clone(),
        branch: start.branch.clone().unwrap_or_else(|| DEFAULT_BRANCH.to_owned()),
        commit: start.commit.clone(),
        needs_tip: start.branch.is_some() || start.commit.is_none(),
    }
}

/// What an action runs.
pub(crate) fn work(start: &PipelineStart) -> Work<'_> {
    match &start.work {
        PipelineWork::Job(job) => Work::Job(job),
        PipelineWork::Script { agent, .. } => Work::Script("script", agent.as_str()),
    }
}

/// The run that an action asks for, by its first job.
pub(crate) fn run_of(first: &PipelineJobId, start: &PipelineStart) -> RunId {
    RunId::derive(crate::SUITE, &format!("codepipeline/{first}"), &place(start).reference())
}

/// The last digits of a job's id.
pub(crate) fn short(job: &PipelineJobId) -> &str {
    let text = job.as_str();
    text.get(text.len().saturating_sub(4)..).unwrap_or(text)
}

fn job_id(rng: &mut fastrand::Rng) -> PipelineJobId {
    let id = format!("{:08x}-0000-4000-8000-{:012x}", rng.u32(..), rng.u64(0..1 << 48));
    id.parse().expect("it is a job's id")
}

/// Decides which actions there are, and when pipelines come to them.
pub(crate) fn prepare(world: &mut World, length: Millis) {
    if world.asks.u32(0..3) > 0 {
        return;
    }
    world.repository.with_scripts(&mut world.asks);
    for number in 0..world.asks.usize(1..=2 + usize::try_from(length / (10 * MINUTE)).unwrap_or(0)) {
        // Some come when the faults have stopped.
        let at = world.asks.u64(0..length + 20 * MINUTE);
        let first = job_id(&mut world.asks);
        let asks = asks(world, at);
        come_to(world, at, first, asks);
        if world.asks.u32(0..3) == 0 {
            let wait = world.asks.u64(0..20 * MINUTE);
            world.schedule(at + wait, Happening::Action(number, Step::Withdrawn));
        }
        let run = world.codepipeline.actions.last().and_then(Action::run);
        if let Some(run) = run.filter(|_| world.asks.u32(0..8) == 0) {
            let wait = world.asks.u64(0..30 * MINUTE);
            let job = Job::Cancel(run, None);
            world.send(at + wait, Invoke { job, tries: 0 });
        }
    }
}

/// A pipeline comes to one action, in a world without others.
pub(crate) fn lay_down(world: &mut World, at: Millis, asks: PipelineAsks) {
    let first = job_id(&mut world.asks);
    come_to(world, at, first, asks);
}

/// A pipeline will come to an action.
fn come_to(world: &mut World, at: Millis, first: PipelineJobId, asks: PipelineAsks) {
    let number = world.codepipeline.actions.len();
    world.codepipeline.actions.push(Action {
        asks,
        first,
        begins: at,
        jobs: Vec::new(),
        end: None,
        told: None,
    });
    world.schedule(at, Happening::Action(number, Step::Begins));
}

/// What the author of an action asks for: mostly what can be had.
fn asks(world: &mut World, at: Millis) -> PipelineAsks {
    let rng = &mut world.asks;
    if rng.u32(0..12) == 0 {
        return PipelineAsks::Wrong("UserParameters: expected JSON".to_owned());
    }
    let repository = ["shop", "shop", "shop", "till", "till", "gone"][if rng.u32(0..20) == 0 { 5 } else { rng.usize(0..5) }];
    let branch = match rng.u32(0..20) {
        0..=9 => None,
        10..=15 => Some("main"),
        16..=18 => Some("next"),
        _ => Some("nowhere"),
    };
    let with_commit = rng.u32(0..4) == 0;
    let commit = world.repository.some_commit(rng, at).filter(|_| with_commit);
    let work = if rng.bool() {
        let number = if rng.u32(0..4) == 0 { rng.u32(0..4) } else { 0 };
        PipelineWork::Job(format!("job-{number}").parse().expect("it is a job's name"))
    } else {
        let agent = ["small", "mixed", "steady", "huge"][if rng.u32(0..16) == 0 { 3 } else { rng.usize(0..3) }];
        let guarded = world.repository.guarded.is_some() && rng.u32(0..3) == 0;
        let agent = if guarded { GUARDED } else { agent };
        PipelineWork::Script {
            run: "make".to_owned(),
            agent: agent.parse().expect("it is an agent's name"),
        }
    };
    PipelineAsks::Start(PipelineStart {
        repository: repository.parse().expect("it is a name"),
        branch: branch.map(str::to_owned),
        commit,
        work,
    })
}

impl World {
    /// A step in an action's life, unless it is over.
    pub(crate) fn action_step(&mut self, index: usize, step: Step) {
        let now = self.now;
        let Some(action) = self.codepipeline.actions.get_mut(index).filter(|action| action.end.is_none()) else {
            return;
        };
        match step {
            Step::Begins => {
                self.statistics.actions += 1;
                let (id, asks) = (action.first.clone(), action.asks.clone());
                open_job(self, index, PipelineJob { id, asks });
            }
            Step::NextJob(run) => {
                self.statistics.continued += 1;
                let id = job_id(&mut self.asks);
                let asks = PipelineAsks::Continue(run);
                open_job(self, index, PipelineJob { id, asks });
            }
            Step::TimesOut(number) => {
                let newest = number + 1 == action.jobs.len();
                if newest && action.open_job().is_some() {
                    self.statistics.unanswered += 1;
                    end(self, index, ActionEnd::TimedOut);
                    checks::actions::timed_out(self, index);
                }
            }
            // Nobody can stop what has not begun: then the pipeline does not come to it at all.
            Step::Withdrawn if action.jobs.is_empty() => action.end = Some((ActionEnd::Withdrawn, now)),
            Step::Withdrawn => {
                self.statistics.withdrawn += 1;
                end(self, index, ActionEnd::Withdrawn);
            }
        }
    }
}

fn open_job(world: &mut World, index: usize, job: PipelineJob) {
    let now = world.now;
    let Some(action) = world.codepipeline.actions.get_mut(index) else {
        return;
    };
    let number = action.jobs.len();
    action.jobs.push(ActionJob {
        id: job.id.clone(),
        opened: now,
        settled: false,
        taken: None,
        troubles: 0,
        excused: 0,
        missed: None,
    });
    world.codepipeline.by_job.insert(job.id.clone(), (index, number));
    let about = world.codepipeline.about(&job.id);
    world.note("job of an action", about, || {
        format!("{} of action {index}: {:?}", short(&job.id), job.asks)
    });
    world.schedule_in(JOB_TIMEOUT, Happening::Action(index, Step::TimesOut(number)));
    // Lambda queues the event, and may lose, repeat or delay it.
    let hostile = !world.calm();
    let (lost, repeated, late) = (
        world.hostility.event_lost.min(0.5) * 0.1,
        world.hostility.event_repeated * 0.5,
        world.hostility.event_late * 0.5,
    );
    let copies = match (hostile && world.chance(lost), hostile && world.chance(repeated)) {
        (true, _) => 0,
        (false, true) => 2,
        (false, false) => 1,
    };
    let job = Arc::new(job);
    for _ in 0..copies {
        let wait = if hostile && world.chance(late) {
            world.between_log(5 * SECOND, 40 * MINUTE)
        } else {
            world.between_log(100, 2 * SECOND)
        };
        let job = Job::Pipeline(job.clone());
        world.send(wait, Invoke { job, tries: 0 });
    }
}

fn end(world: &mut World, index: usize, how: ActionEnd) {
    let now = world.now;
    let Some(action) = world.codepipeline.actions.get_mut(index) else {
        return;
    };
    action.end = Some((how, now));
    let about = action.run().map_or(Subject::World, Subject::Run);
    world.note("action over", about, || format!("action {index}: {how:?}"));
}

/// `PutJobSuccessResult` and `PutJobFailureResult`.
pub(crate) fn answer(world: &mut World, id: &PipelineJobId, answer: &PipelineAnswer) -> Answered {
    let Some((index, number)) = world.codepipeline.by_job.get(id).copied() else {
        return Answered::NotOpen;
    };
    checks::actions::answered(world, index, answer);
    let Some(action) = world.codepipeline.actions.get_mut(index) else {
        return Answered::NotOpen;
    };
    let newest = number + 1 == action.jobs.len();
    let about = action.run().map_or(Subject::World, Subject::Run);
    let Some(job) = action.open_job().filter(|_| newest) else {
        world.note("answer refused", about, || format!("{}: {answer:?}", short(id)));
        return Answered::NotOpen;
    };
    job.settled = true;
    world.note("answer taken", about, || format!("{}: {answer:?}", short(id)));
    match answer {
        PipelineAnswer::Continue { run, .. } => {
            let wait = world.rng.u64(20 * SECOND..45 * SECOND);
            world.schedule_in(wait, Happening::Action(index, Step::NextJob(run.clone())));
        }
        PipelineAnswer::Success { .. } => end(world, index, ActionEnd::Succeeded),
        PipelineAnswer::Failure { kind, .. } => end(world, index, ActionEnd::Failed(*kind)),
    }
    Answered::Taken
}

// What excuses that a job goes without an answer.

/// An invocation for a job came to an end without a fault.
pub(crate) fn taken(world: &mut World, id: &PipelineJobId) {
    let now = world.now;
    let Some((index, number)) = world.codepipeline.by_job.get(id).copied() else {
        return;
    };
    let action = world.codepipeline.actions.get_mut(index);
    if let Some(job) = action.and_then(|action| action.jobs.get_mut(number)) {
        job.taken.get_or_insert(now);
    }
}

/// An answer did not get through.
pub(crate) fn answer_failed(world: &mut World, id: &PipelineJobId) {
    if let Some((index, _)) = world.codepipeline.by_job.get(id).copied() {
        troubled(world, |number, _| number == index);
    }
}

/// An invocation died, or ended with an error: whatever it was about to do is done only when the next try is due.
pub(crate) fn trouble(world: &mut World, job: &Job) {
    match (job, job.about()) {
        (Job::Sweep, _) => troubled(world, |_, _| true),
        (_, Subject::Run(run)) => troubled(world, |_, action| action.run().as_ref() == Some(&run)),
        (_, Subject::Build(build)) => troubled(world, |_, action| action.run().as_ref() == Some(&build.run)),
        (_, Subject::World) => {}
    }
}

fn troubled(world: &mut World, of: impl Fn(usize, &Action) -> bool) {
    let now = world.now;
    for (index, action) in world.codepipeline.actions.iter_mut().enumerate() {
        if !of(index, action) {
            continue;
        }
        if let Some(job) = action.open_job() {
            let wait = (MINUTE << job.troubles.min(8)).min(LONGEST_WAIT);
            job.troubles += 1;
            job.excused = now + wait;
            job.missed = None;
        }
    }
}

/// A sweep that began at this moment came to its end without any fault, and left nothing.
pub(crate) fn swept(world: &mut World, begun: Millis) {
    let now = world.now;
    let runs = &world.tables.runs;
    for action in &mut world.codepipeline.actions {
        let finished = action.run().and_then(|run| runs.get(&run)?.record.finished_at()).map(moment);
        let Some((job, taken)) = action.open_job().and_then(|job| job.taken.map(|taken| (job, taken))) else {
            continue;
        };
        let going_on = taken + Millis::try_from(CONTINUE_AFTER.as_millis()).unwrap_or(Millis::MAX);
        let over = finished.map(|at| at.max(taken) + MINUTE);
        let due = over.map_or(going_on, |over| over.min(going_on)).max(job.excused) + BEHIND;
        if begun >= due {
            job.missed.get_or_insert(now);
        }
    }
}

impl ActionJob {
    pub(crate) fn id(&self) -> &PipelineJobId {
        &self.id
    }

    /// Whether it has been due for long enough, without any excuse.
    pub(crate) fn is_neglected(&self, now: Millis) -> bool {
        self.missed.is_some_and(|missed| missed + 2 * MINUTE <= now)
    }
}
