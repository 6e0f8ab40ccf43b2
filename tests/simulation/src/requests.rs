//! What people, schedules and programs ask `control` for: runs, and builds once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use bellhop_domain::caller::Caller;
use bellhop_domain::ids::{BuildId, CommitId, JobName, Reference, RepositoryName, RunId};
use bellhop_domain::request::{At, PipelineAsks, RetryWhat, Start, StartWhat};
use bellhop_domain::run::trigger::Push;
use bellhop_engine::{Fault, RunStarter};

use crate::codepipeline::Action;
use crate::guarded::GUARDED;
use crate::source::{DEFAULT_BRANCH, Expected};
use crate::world::{Invoke, Job, MINUTE, Millis, SECOND, Shared, World, lock};
use crate::{checks, codepipeline, mutant};

/// A request to `control`.
#[derive(Debug)]
pub(crate) struct Request {
    /// The id of its invocation.
    id: String,
    /// When it is made.
    pub(crate) at: Millis,
    pub(crate) asks: Asks,
}

#[derive(Debug)]
pub(crate) enum Asks {
    Start(Start),
    /// A build once more, of a run of this branch.
    Retry(BuildId, Reference),
}

/// All of them.
#[derive(Default)]
pub(crate) struct Requests {
    pub(crate) made: Vec<Arc<Request>>,
    /// The triggers of those that were told of a run.
    pub(crate) fulfilled: BTreeSet<String>,
}

/// Where the code of a run is that somebody asks for.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) repository: RepositoryName,
    pub(crate) branch: String,
    pub(crate) commit: Option<CommitId>,
    /// The branch itself is looked at, whether or not a commit is named.
    pub(crate) needs_tip: bool,
}

/// What is to run there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work<'a> {
    /// Every job of the pipeline file.
    All,
    /// One job, and those it needs.
    Job(&'a JobName),
    /// A script, under this name and on this agent.
    Script(&'a str, &'a str),
}

/// What comes of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Makes {
    Jobs(BTreeSet<String>),
    Rejected,
    Nothing,
}

impl<'a> Work<'a> {
    /// The one job that it is about.
    pub(crate) fn job(self) -> Option<&'a str> {
        match self {
            Self::All => None,
            Self::Job(job) => Some(job.as_str()),
            Self::Script(name, _) => Some(name),
        }
    }
}

impl Place {
    pub(crate) fn reference(&self) -> Reference {
        format!("refs/heads/{}", self.branch).parse().expect("it is a reference")
    }

    /// Whether it can be found at a moment.
    pub(crate) fn is_there(&self, world: &World, at: Millis) -> bool {
        match (&self.commit, self.needs_tip) {
            (Some(_), false) => world.repository.default_branch(&self.repository).is_some(),
            _ => world.repository.tip(&self.repository, &self.branch, at).is_some(),
        }
    }

    /// The commits that it may mean for somebody who looks between two moments.
    pub(crate) fn commits(&self, world: &World, from: Millis, to: Millis) -> Vec<CommitId> {
        match &self.commit {
            Some(commit) => vec![commit.clone()],
            None => world.repository.tips(&self.repository, &self.branch, from, to),
        }
    }
}

/// What comes of a commit for somebody who asks for work there.
pub(crate) fn makes(world: &World, commit: &CommitId, work: Work<'_>) -> Makes {
    let commit = world.repository.commits.get(commit.as_str());
    let wanted = match work {
        Work::Script(_, agent) if !world.repository.has_agent(agent) => return Makes::Rejected,
        Work::Script(name, _) => return Makes::Jobs([name.to_owned()].into()),
        Work::All => None,
        Work::Job(job) => Some(job.as_str()),
    };
    let Some(commit) = commit.filter(|commit| commit.file.is_some()) else {
        return Makes::Nothing;
    };
    if commit.expected == Expected::Rejected || wanted.is_some_and(|job| !commit.jobs.contains_key(job)) {
        return Makes::Rejected;
    }
    let Some(wanted) = wanted else {
        return Makes::Jobs(commit.jobs.keys().cloned().collect());
    };
    let (mut jobs, mut left) = (BTreeSet::new(), vec![wanted.to_owned()]);
    while let Some(job) = left.pop() {
        left.extend(commit.jobs.get(&job).into_iter().flat_map(|truth| truth.needs.iter().cloned()));
        jobs.insert(job);
    }
    Makes::Jobs(jobs)
}

impl Request {
    /// A request that is made once.
    pub(crate) fn new(id: String, at: Millis, asks: Asks) -> Self {
        Self { id, at, asks }
    }

    /// What its run's id is derived from.
    pub(crate) fn trigger(&self) -> String {
        match &self.asks {
            Asks::Start(Start { id: Some(id), .. }) => format!("control/id/{id}"),
            Asks::Start(_) | Asks::Retry(..) => format!("control/{}", self.id),
        }
    }

    /// Its run.
    pub(crate) fn run(&self) -> RunId {
        let reference = match &self.asks {
            Asks::Start(start) => place(start).reference(),
            Asks::Retry(_, reference) => reference.clone(),
        };
        RunId::derive(crate::SUITE, &self.trigger(), &reference)
    }

    /// Whether it can be fulfilled now.
    pub(crate) fn is_possible(&self, world: &World) -> bool {
        match &self.asks {
            Asks::Start(start) => {
                let guarded = world.repository.guarded.is_some();
                let is_known = |name: &str| name == "nightly" || name == "weekly" && guarded;
                let known = !matches!(&start.what, StartWhat::Suite(name) if !is_known(name.as_str()));
                known && place(start).is_there(world, world.now)
            }
            Asks::Retry(build, _) => {
                let run = world.tables.runs.get(&build.run).map(|run| &run.record);
                let job = run.and_then(|run| run.job(&build.job));
                job.is_some_and(|job| job.state.outcome().is_some())
                    && run.is_some_and(|run| checks::requests::again(run, &build.job).is_some())
            }
        }
    }
}

/// Where the code of a run is that is to be started.
pub(crate) fn place(start: &Start) -> Place {
    let (repository, branch, commit) = match &start.what {
        StartWhat::Pipeline { repository, at, .. } => match at {
            At::Default => (repository.clone(), DEFAULT_BRANCH, None),
            At::Branch(branch) => (repository.clone(), branch.as_str(), None),
            At::Commit(commit) => (repository.clone(), DEFAULT_BRANCH, Some(commit.clone())),
        },
        StartWhat::Suite(name) => {
            let branch = if name.as_str() == "weekly" { "next" } else { "main" };
            ("shop".parse().expect("it is a name"), branch, None)
        }
    };
    Place {
        repository,
        branch: branch.to_owned(),
        needs_tip: commit.is_none(),
        commit,
    }
}

/// What is to run of it.
pub(crate) fn work(start: &Start) -> Work<'_> {
    match &start.what {
        StartWhat::Pipeline { job: Some(job), .. } => Work::Job(job),
        StartWhat::Pipeline { job: None, .. } => Work::All,
        StartWhat::Suite(name) if name.as_str() == "weekly" => Work::Script("weekly", GUARDED),
        StartWhat::Suite(_) => Work::Script("nightly", "small"),
    }
}

/// Decides which requests are made, and when.
pub(crate) fn prepare(world: &mut World, length: Millis, pushes: &[(Millis, Push)]) {
    if world.asks.u32(0..3) > 0 {
        return;
    }
    world.repository.with_scripts(&mut world.asks);
    // What may be asked for once more.
    let mut runs: Vec<(Millis, RunId, Reference, Option<JobName>)> = pushes
        .iter()
        .map(|(at, push)| {
            (
                *at,
                RunId::derive(crate::SUITE, &push.trigger, &push.reference),
                push.reference.clone(),
                None,
            )
        })
        .chain(world.codepipeline.actions.iter().filter_map(of_action))
        .collect();
    for number in 0..world.asks.u64(1..=2 + length / (8 * MINUTE)) {
        let request = if world.asks.bool() {
            let at = world.asks.u64(0..length);
            let asks = Asks::Start(start(world, at, number));
            let id = format!("request-{number}");
            Request { id, at, asks }
        } else {
            let Some((before, run, reference, job)) = runs.get(world.asks.usize(0..runs.len())).cloned() else {
                continue;
            };
            let digit = if world.asks.u32(0..4) == 0 { world.asks.u32(0..4) } else { 0 };
            let job = job.unwrap_or_else(|| format!("job-{digit}").parse().expect("it is a job's name"));
            let wait = world.asks.u64(MINUTE..2 * length.max(30 * MINUTE));
            Request {
                id: format!("request-{number}"),
                at: before + wait,
                asks: Asks::Retry(BuildId { run, job }, reference),
            }
        };
        let (reference, job) = match &request.asks {
            Asks::Start(start) => (place(start).reference(), work(start).job()),
            Asks::Retry(build, reference) => (reference.clone(), Some(build.job.as_str())),
        };
        let job = job.map(|job| job.parse().expect("it is a job's name"));
        runs.push((request.at, request.run(), reference, job));
        make(world, request);
    }
}

/// The run of an action, as something that may be asked for once more.
fn of_action(action: &Action) -> Option<(Millis, RunId, Reference, Option<JobName>)> {
    let PipelineAsks::Start(start) = &action.asks else {
        return None;
    };
    let job = codepipeline::work(start).job()?.parse().expect("it is a job's name");
    Some((action.begins, action.run()?, codepipeline::place(start).reference(), Some(job)))
}

/// Makes a request, more than once where Lambda or the asker repeats it.
fn make(world: &mut World, request: Request) {
    let request = Arc::new(request);
    world.requests.made.push(request.clone());
    let repeated = world.hostility.push_repeated;
    while world.asks.f64() < repeated {
        let wait = match world.asks.u32(0..3) {
            0 => world.asks.u64(0..200),
            1 => world.asks.u64(SECOND..MINUTE),
            _ => world.asks.u64(MINUTE..60 * MINUTE),
        };
        let repeated = match &request.asks {
            // Whoever gives the request a name of its own may send it again himself.
            Asks::Start(start) if start.id.is_some() => Arc::new(Request {
                id: format!("{}-again", request.id),
                at: request.at,
                asks: Asks::Start(start.clone()),
            }),
            _ => request.clone(),
        };
        let job = Job::Request(repeated);
        world.send(request.at + wait, Invoke { job, tries: 0 });
    }
    if request.at > 0 && world.asks.u32(0..8) == 0 {
        let wait = world.asks.u64(0..30 * MINUTE);
        let job = Job::Cancel(request.run(), None);
        world.send(request.at + wait, Invoke { job, tries: 0 });
    }
    let at = request.at;
    let job = Job::Request(request);
    world.send(at, Invoke { job, tries: 0 });
}

/// A run that somebody asks for: mostly one that can be had.
fn start(world: &mut World, at: Millis, number: u64) -> Start {
    let guarded = world.repository.guarded.is_some();
    let rng = &mut world.asks;
    let id = (rng.u32(0..3) == 0).then(|| format!("name-{number}"));
    if rng.u32(0..5) == 0 {
        let name = if rng.u32(0..if guarded { 2 } else { 8 }) == 0 {
            "weekly"
        } else {
            "nightly"
        };
        let what = StartWhat::Suite(name.parse().expect("it is a job's name"));
        return Start { what, id };
    }
    let repository = match rng.u32(0..20) {
        0 => "gone",
        1..=10 => "shop",
        _ => "till",
    };
    let place = match rng.u32(0..10) {
        0..=3 => At::Default,
        4..=5 => At::Branch("main".to_owned()),
        6 => At::Branch("next".to_owned()),
        7 => At::Branch("nowhere".to_owned()),
        _ => world.repository.some_commit(rng, at).map_or(At::Default, At::Commit),
    };
    let job = match rng.u32(0..6) {
        0..=2 => None,
        3..=4 => Some(0),
        _ => Some(rng.u32(0..4)),
    };
    let what = StartWhat::Pipeline {
        repository: repository.parse().expect("it is a name"),
        at: place,
        job: job.map(|number| format!("job-{number}").parse().expect("it is a job's name")),
    };
    Start { what, id }
}

/// What `control` does with a request.
///
/// # Errors
/// As the engine's.
pub(crate) async fn take(shared: &Shared, starter: &RunStarter, request: &Request) -> Result<(), Fault> {
    let (trigger, possible, begun) = {
        let mut world = lock(shared);
        let trigger = mutant::trigger_of(&mut world, request);
        (trigger, request.is_possible(&world), world.now)
    };
    let started = match &request.asks {
        Asks::Start(start) => starter.request(start, &trigger, &Caller::Unverified).await?,
        Asks::Retry(build, _) => starter
            .retry(&RetryWhat::Build(build.clone()), &trigger, &Caller::Unverified)
            .await?
            .map(|retried| retried.started),
    };
    checks::requests::told(&mut lock(shared), request, &started, possible.then_some(begun));
    Ok(())
}
