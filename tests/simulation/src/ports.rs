//! The engine's ports, over the virtual world.
//!
//! Every call awaits virtual time twice: while its request is on the way, and while its reply is. Between the two it takes effect. Whatever else is
//! going on in the world goes on meanwhile.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::agent::result_key;
use bellhop_domain::backup::{Definition, JobKind, JobSeen, Point, RemovalSeen};
use bellhop_domain::branch::Branch;
use bellhop_domain::build::{Build, Refusal};
use bellhop_domain::found::Artifact;
use bellhop_domain::ids::{
    AgentId, AgentName, AttemptId, BuildId, CommitId, InstanceId, LaunchId, PipelineJobId, Reference, RepositoryName, RunId,
};
use bellhop_domain::instance::Host;
use bellhop_domain::measure::Measure;
use bellhop_domain::message::Message;
use bellhop_domain::observation::{Observation, Report};
use bellhop_domain::pipeline::PipelineAnswer;
use bellhop_domain::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_domain::spec::{BuildSpec, Executor};
use bellhop_engine::ports::{
    Agents, Answered, Backups, Begun, Clock, Created, Document, DocumentKey, DueItem, FileAt, Hosts, Lane, Launch, Ledger, Meter, Notifier,
    Occupant, Pipelines, Place, Restarted, Root, Services, Source, SourceFile, Store, TRANSACTION, Versioned, Written,
};
use bellhop_engine::{Engine, Fault, Keeper, Starter};
use futures::future::join_all;
use jiff::Timestamp;

use crate::hostility::Spell;
use crate::mutant::{self, Mutant};
use crate::plan::{self, Kind};
use crate::world::{Happening, Millis, SECOND, Shared, Subject, World, lock, moment, timestamp};
use crate::{alarms, backups, checks, codepipeline, ecs, instances, world};

/// What one invocation of a function sees of the world.
#[derive(Clone)]
pub(crate) struct Port {
    world: Shared,
    /// How far its clock is from the world's.
    skew: i64,
}

/// A service, as far as its faults differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Ledger,
    Launches,
    Other,
}

/// What becomes of one request.
enum Fate {
    Served,
    Refused,
    ReplyLost,
    Late(Millis),
}

type Effect<T> = Arc<dyn Fn(&mut World) -> T + Send + Sync>;

impl Port {
    /// A port for an invocation, with a clock of its own.
    pub(crate) fn new(shared: &Shared) -> Self {
        let mut world = lock(shared);
        let most = if world.calm() {
            0
        } else {
            i64::try_from(world.hostility.skew).unwrap_or(0)
        };
        let skew = world.rng.i64(-most..=most) / 2;
        drop(world);
        Self {
            world: shared.clone(),
            skew,
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        let port = Arc::new(self.clone());
        Engine {
            suite: crate::SUITE.into(),
            ledger: port.clone(),
            agents: port.clone(),
            store: port.clone(),
            notifier: port.clone(),
            pipelines: port.clone(),
            hosts: port.clone(),
            source: port.clone(),
            services: port.clone(),
            backups: port.clone(),
            meter: port.clone(),
            clock: port,
            reading: Arc::default(),
            depth: 0,
        }
    }

    pub(crate) fn starter(&self) -> Starter {
        Starter { engine: self.engine() }
    }

    pub(crate) fn keeper(&self) -> Keeper {
        Keeper {
            engine: self.engine(),
            table: lock(&self.world).backups.table.clone(),
        }
    }

    fn wait(&self, wait: Millis) -> Wait {
        Wait {
            world: self.world.clone(),
            wait,
            until: None,
        }
    }

    fn latency(&self) -> Millis {
        let mut world = lock(&self.world);
        if world.script.is_some() {
            return plan::HALF;
        }
        if world.calm() {
            return world.rng.u64(1..20);
        }
        let slow = world.hostility.slow;
        if world.chance(slow) {
            world.between_log(500, 20 * SECOND)
        } else {
            world.between_log(1, 80)
        }
    }

    /// A request to a service, with the SDK's own retries. Its effect takes place any number of times, also where the caller is told of a fault.
    async fn call<T>(
        &self,
        service: Service,
        what: &'static str,
        about: impl Into<Subject>,
        effect: impl Fn(&mut World) -> T + Send + Sync + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
    {
        let about = about.into();
        let effect: Effect<T> = Arc::new(effect);
        let mut tries = 0;
        loop {
            tries += 1;
            self.wait(self.latency()).await;
            // Whatever happens from here on happens while the answer is on the way.
            let (wait, answer) = self.serve(service, what, &about, &effect, tries);
            self.wait(wait).await;
            match answer {
                Answer::Reply(reply) => return Ok(reply),
                Answer::TryAgain => {}
                Answer::Denied => {
                    lock(&self.world).note("denied", about, || what.to_owned());
                    let words = "AccessDeniedException: the suite is not authorized to do that";
                    return Err(Fault::lasting(format!("failed to call {what}: {words}")));
                }
                Answer::Fault => {
                    lock(&self.world).note("fault", about, || what.to_owned());
                    return Err(Fault::passing(format!("{what}: the service does not answer")));
                }
            }
        }
    }

    /// A request arrives, or does not. With how long it takes until its sender knows.
    fn serve<T: 'static>(
        &self,
        service: Service,
        what: &'static str,
        about: &Subject,
        effect: &Effect<T>,
        tries: u32,
    ) -> (Millis, Answer<T>) {
        let mut world = lock(&self.world);
        if let Some(kind) = world.strike(what) {
            return struck(&mut world, kind, service, effect);
        }
        // A launch is a question of its own: it is answered with a refusal.
        if service != Service::Launches && world.denied(what) {
            world.statistics.denials += 1;
            drop(world);
            return (self.latency(), Answer::Denied);
        }
        match fate(&mut world, service) {
            Fate::Served => {
                let reply = effect(&mut world);
                drop(world);
                return (self.latency(), Answer::Reply(reply));
            }
            Fate::Refused => world.note("refused", about.clone(), || what.to_owned()),
            Fate::ReplyLost => {
                world.note("reply will be lost", about.clone(), || what.to_owned());
                effect(&mut world);
            }
            Fate::Late(wait) => {
                world.note("request delayed", about.clone(), || format!("{what}, by {wait} ms"));
                let effect = effect.clone();
                world.schedule_in(
                    wait,
                    Happening::Late(Box::new(move |world| {
                        effect(world);
                    })),
                );
            }
        }
        world.statistics.faults += 1;
        let pause = world.between_log(20, 3 * SECOND);
        let retries = world.hostility.sdk_retries;
        let answer = if tries < 3 && world.chance(retries) {
            Answer::TryAgain
        } else {
            Answer::Fault
        };
        (pause, answer)
    }
}

/// What the sender of a request learns in the end.
enum Answer<T> {
    Reply(T),
    /// Nothing, and the SDK repeats the request.
    TryAgain,
    /// Nothing, and that is that.
    Fault,
    /// That it may not do that.
    Denied,
}

/// What becomes of a request with which something is to go wrong.
fn struck<T: 'static>(world: &mut World, kind: Kind, service: Service, effect: &Effect<T>) -> (Millis, Answer<T>) {
    let refusal = match kind {
        Kind::Throttled => Refusal::Throttled("ThrottlingException: Rate exceeded".to_owned()),
        Kind::Denied => Refusal::Unknown("AccessDeniedException: not authorized to perform: ecs:RunTask".to_owned()),
        _ => Refusal::NoCapacity("Capacity is unavailable at this time".to_owned()),
    };
    let answer = match kind {
        Kind::Throttled | Kind::Denied | Kind::NoCapacity if service == Service::Launches => {
            world.refuse_launch(refusal);
            Answer::Reply(effect(world))
        }
        Kind::Conflict => {
            world.overtake();
            Answer::Reply(effect(world))
        }
        Kind::DiesBefore => {
            world.dead = true;
            Answer::Fault
        }
        Kind::DiesAfter => {
            effect(world);
            world.dead = true;
            Answer::Fault
        }
        Kind::ReplyLost => {
            effect(world);
            Answer::Fault
        }
        Kind::Late => {
            let effect = effect.clone();
            let late = Happening::Late(Box::new(move |world| {
                effect(world);
            }));
            world.schedule_in(plan::LATE, late);
            Answer::Fault
        }
        Kind::Denied => Answer::Denied,
        // Those of events are none of a request's.
        Kind::Throttled | Kind::NoCapacity | Kind::EventLost | Kind::EventTwice | Kind::EventLate => Answer::Fault,
    };
    world.statistics.faults += 1;
    (plan::HALF, answer)
}

fn fate(world: &mut World, service: Service) -> Fate {
    if world.calm() {
        return Fate::Served;
    }
    if service == Service::Ledger && world.spell(Spell::LedgerThrottled) && world.rng.u32(0..3) == 0 {
        return Fate::Refused;
    }
    if service != Service::Ledger && world.spell(Spell::Outage) && world.rng.u32(0..10) > 0 {
        return Fate::Refused;
    }
    let hostility = &world.hostility;
    let (refused, lost) = (hostility.refused, hostility.reply_lost);
    let late = match service {
        Service::Launches => hostility.launch_late,
        Service::Ledger | Service::Other => hostility.late,
    };
    let drawn = world.rng.f64();
    if drawn < refused {
        Fate::Refused
    } else if drawn < refused + lost {
        Fate::ReplyLost
    } else if drawn < refused + lost + late {
        Fate::Late(world.between_log(100, 20 * SECOND))
    } else {
        Fate::Served
    }
}

/// A wait in virtual time. It is at these points that others act, and that an invocation dies.
struct Wait {
    world: Shared,
    wait: Millis,
    until: Option<Millis>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.world.clone();
        let mut world = lock(&shared);
        if world.dead {
            return Poll::Pending;
        }
        match self.until {
            None => {
                let until = world.now + self.wait;
                world.schedule(until, Happening::Wake(context.waker().clone()));
                self.until = Some(until);
                Poll::Pending
            }
            Some(until) if world.now < until => Poll::Pending,
            Some(_) => {
                if let Some(left) = world.dies_in {
                    if left == 0 {
                        world.dead = true;
                        return Poll::Pending;
                    }
                    world.dies_in = Some(left - 1);
                }
                Poll::Ready(())
            }
        }
    }
}

#[async_trait]
impl Clock for Port {
    fn now(&self) -> Timestamp {
        let now = lock(&self.world).now;
        timestamp(now.saturating_add_signed(self.skew))
    }

    async fn pause(&self, about: Duration) {
        self.wait(Millis::try_from(about.as_millis()).unwrap_or(world::MINUTE)).await;
    }
}

impl Meter for Port {
    /// Nothing here depends on what is counted, and nothing may.
    fn count(&self, _: Option<&RepositoryName>, _: &[Measure]) {}
}

#[async_trait]
impl Ledger for Port {
    async fn create(&self, run: &Run, builds: &[Build]) -> Result<Created, Fault> {
        if builds.len() < TRANSACTION {
            let (run, builds) = (run.clone(), builds.to_vec());
            return self
                .call(Service::Ledger, "TransactWriteItems", &run.id.clone(), move |world| {
                    if world.tables.runs.contains_key(&run.id)
                        || builds.iter().any(|build| world.tables.builds.contains_key(&build.spec.id))
                    {
                        return Created::AlreadyExists;
                    }
                    for build in &builds {
                        world.create_build(build);
                    }
                    world.create_run(&run)
                })
                .await;
        }
        for portion in builds.chunks(TRANSACTION) {
            let written = portion.iter().map(|build| {
                let build = build.clone();
                let about = Subject::from(&build.spec.id);
                self.call(Service::Ledger, "PutItem", about, move |world| world.create_build(&build))
            });
            join_all(written).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        let run = run.clone();
        self.call(Service::Ledger, "PutItem", &run.id.clone(), move |world| world.create_run(&run))
            .await
    }

    async fn run(&self, id: &RunId) -> Result<Option<Versioned<Run>>, Fault> {
        let id = id.clone();
        self.call(Service::Ledger, "GetItem", &id.clone(), move |world| world.read_run(&id))
            .await
    }

    async fn build(&self, id: &BuildId) -> Result<Option<Versioned<Build>>, Fault> {
        let id = id.clone();
        self.call(Service::Ledger, "GetItem", &id.clone(), move |world| world.read_build(&id))
            .await
    }

    async fn builds_of(&self, run: &RunId) -> Result<Vec<Versioned<Build>>, Fault> {
        let run = run.clone();
        self.call(Service::Ledger, "Query", &run.clone(), move |world| {
            let ids = world.tables.builds.keys().filter(|id| id.run == run);
            ids.filter_map(|id| world.read_build(id)).collect()
        })
        .await
    }

    async fn update_run(&self, expected: u64, next: &Run) -> Result<Written, Fault> {
        let next = next.clone();
        self.call(Service::Ledger, "PutItem", &next.id.clone(), move |world| {
            world.write_run(expected, &next)
        })
        .await
    }

    async fn update_build(&self, expected: u64, next: &Build) -> Result<Written, Fault> {
        let next = next.clone();
        mutant::before_commit(&mut lock(&self.world), &next);
        self.call(Service::Ledger, "PutItem", &next.spec.id.clone(), move |world| {
            world.write_build(expected, &next)
        })
        .await
    }

    async fn pool(&self, agent: &AgentName) -> Result<Option<Versioned<Pool>>, Fault> {
        let agent = agent.clone();
        self.call(Service::Ledger, "GetItem", Subject::World, move |world| world.read_pool(&agent))
            .await
    }

    async fn update_pool(&self, expected: u64, next: &Pool) -> Result<Written, Fault> {
        let next = next.clone();
        self.call(Service::Ledger, "PutItem", Subject::World, move |world| {
            world.write_pool(expected, &next)
        })
        .await
    }

    async fn branch(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Versioned<Branch>>, Fault> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.call(Service::Ledger, "GetItem", Subject::World, move |world| {
            world.read_branch(&repository, &reference)
        })
        .await
    }

    async fn update_branch(&self, expected: u64, next: &Branch) -> Result<Written, Fault> {
        let next = next.clone();
        self.call(Service::Ledger, "PutItem", Subject::World, move |world| {
            world.write_branch(expected, &next)
        })
        .await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Versioned<String>>, Fault> {
        let key = key.clone();
        self.call(Service::Ledger, "GetItem", Subject::World, move |world| world.read_document(&key))
            .await
    }

    async fn update_document(&self, expected: u64, next: &Document) -> Result<Written, Fault> {
        let next = next.clone();
        self.call(Service::Ledger, "PutItem", Subject::World, move |world| {
            world.write_document(expected, &next)
        })
        .await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, DueItem)>, Fault> {
        self.call(Service::Ledger, "Query", Subject::World, move |world| world.due(lane, now, limit))
            .await
    }

    async fn runs_of(&self, _: &RepositoryName, _: Option<&str>, _: usize) -> Result<Vec<Versioned<Run>>, Fault> {
        Err(Fault::lasting("nobody here lists runs"))
    }
}

#[async_trait]
impl Agents for Port {
    async fn launch(&self, spec: &BuildSpec, launch: &LaunchId, again: bool) -> Result<Launch, Fault> {
        let (spec, launch) = (spec.clone(), launch.clone());
        if again && matches!(spec.executor, Executor::CodeBuild(_)) {
            let attempt = launch.attempt.clone();
            let before = self
                .call(Service::Other, "ListBuildsForProject", &spec.id, move |world| {
                    ecs::started_before(world, &attempt)
                })
                .await?;
            if let Some(agent) = before {
                return Ok(Launch::Accepted(agent));
            }
        }
        self.call(Service::Launches, "RunTask", &spec.id.clone(), move |world| {
            ecs::run_task(world, &spec, &launch)
        })
        .await
    }

    async fn stop(&self, agent: &AgentId, reason: &str) -> Result<(), Fault> {
        let (agent, reason) = (agent.clone(), reason.to_owned());
        let about = match lock(&self.world).task(&agent) {
            Some(task) => Subject::from(&task.attempt.build),
            None => Subject::World,
        };
        self.call(Service::Other, "StopTask", about, move |world| {
            ecs::stop_task(world, &agent, &reason)
        })
        .await
    }

    async fn find(&self, spec: &BuildSpec, attempt: &AttemptId) -> Result<Vec<Observation>, Fault> {
        let attempt = attempt.clone();
        self.call(Service::Other, "ListTasks", &spec.id, move |world| ecs::find(world, &attempt))
            .await
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        // A request for each cluster, so that some may be answered and others not.
        let mut clusters: BTreeMap<String, Vec<AgentId>> = BTreeMap::new();
        for agent in agents {
            clusters.entry(ecs::cluster(agent).to_owned()).or_default().push(agent.clone());
        }
        let asked = clusters.into_values().map(|agents| {
            self.call(Service::Other, "DescribeTasks", Subject::World, move |world| {
                ecs::describe(world, &agents)
            })
        });
        let (mut described, mut unanswered) = (Vec::new(), None);
        for answer in join_all(asked).await {
            match answer {
                Ok(more) => described.extend(more),
                Err(fault) => unanswered = Some(fault),
            }
        }
        (described, unanswered)
    }

    async fn identify(&self, agent: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        let agent = agent.clone();
        self.call(Service::Other, "BatchGetBuilds", Subject::World, move |world| {
            ecs::identify(world, &agent)
        })
        .await
    }
}

#[async_trait]
impl Hosts for Port {
    async fn find(&self, instance: &InstanceId, clusters: &[String]) -> Result<Option<Host>, Fault> {
        let asked = clusters.iter().map(|cluster| {
            let (instance, cluster) = (instance.clone(), cluster.clone());
            self.call(Service::Other, "ListContainerInstances", Subject::World, move |world| {
                instances::find(world, &instance, &cluster)
            })
        });
        let mut unanswered = None;
        for answer in join_all(asked).await {
            match answer {
                Ok(Some(host)) => return Ok(Some(host)),
                Ok(None) => {}
                Err(fault) => unanswered = Some(fault),
            }
        }
        unanswered.map_or(Ok(None), Err)
    }

    async fn occupants(&self, host: &Host) -> Result<Vec<Occupant>, Fault> {
        let of = host.clone();
        let listed = self
            .call(Service::Other, "ListTasks", Subject::World, move |world| {
                instances::list(world, &of)
            })
            .await?;
        let described = self
            .call(Service::Other, "DescribeTasks", Subject::World, move |world| {
                instances::describe(world, &listed)
            })
            .await?;
        checks::instances::looked(&mut lock(&self.world), host, &described);
        Ok(mutant::seen_occupants(&lock(&self.world), described))
    }

    async fn drain(&self, host: &Host) -> Result<(), Fault> {
        if lock(&self.world).is(Mutant::DrainForgotten) {
            return Ok(());
        }
        let of = host.clone();
        self.call(Service::Other, "UpdateContainerInstancesState", Subject::World, move |world| {
            instances::drain(world, &of);
        })
        .await?;
        checks::instances::drained(&mut lock(&self.world), host);
        Ok(())
    }

    async fn is_draining(&self, instance: &InstanceId, _: &Host) -> Result<bool, Fault> {
        let instance = instance.clone();
        self.call(Service::Other, "ListContainerInstances", Subject::World, move |world| {
            instances::is_draining(world, &instance)
        })
        .await
    }

    async fn activate(&self, host: &Host) -> Result<bool, Fault> {
        if lock(&self.world).is(Mutant::AdviceForEver) {
            return Ok(false);
        }
        let of = host.clone();
        self.call(Service::Other, "UpdateContainerInstancesState", Subject::World, move |world| {
            instances::activate(world, &of)
        })
        .await
    }
}

#[async_trait]
impl Pipelines for Port {
    async fn answer(&self, job: &PipelineJobId, answer: &PipelineAnswer) -> Result<Answered, Fault> {
        let (job, answer) = mutant::sent_answer(&lock(&self.world), job, answer);
        let about = lock(&self.world).codepipeline.about(&job);
        let what = match answer {
            PipelineAnswer::Continue { .. } | PipelineAnswer::Success { .. } => "PutJobSuccessResult",
            PipelineAnswer::Failure { .. } => "PutJobFailureResult",
        };
        let asked = job.clone();
        let answered = self
            .call(Service::Other, what, about, move |world| {
                codepipeline::answer(world, &asked, &answer)
            })
            .await;
        if answered.is_err() {
            codepipeline::answer_failed(&mut lock(&self.world), &job);
        }
        answered
    }
}

#[async_trait]
impl Services for Port {
    async fn restart(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Restarted, Fault> {
        let (cluster, service) = (cluster.to_owned(), service.to_owned());
        self.call(Service::Other, "UpdateService", Subject::World, move |world| {
            alarms::restart(world, &cluster, &service, moment(since))
        })
        .await
    }
}

#[async_trait]
impl Backups for Port {
    async fn back_up(&self, definition: &Definition, token: &str) -> Result<Begun, Fault> {
        let wanted = wanted(JobKind::Backup, definition, token, None, None);
        self.begin("StartBackupJob", wanted).await
    }

    async fn copy(&self, definition: &Definition, point: &str, token: &str) -> Result<Begun, Fault> {
        let wanted = wanted(JobKind::Copy, definition, token, Some(point), None);
        self.begin("StartCopyJob", wanted).await
    }

    async fn restore(&self, definition: &Definition, point: &str, name: &str, token: &str) -> Result<Begun, Fault> {
        let wanted = wanted(JobKind::Restore, definition, token, Some(point), Some(name));
        self.begin("StartRestoreJob", wanted).await
    }

    async fn job(&self, kind: JobKind, id: &str) -> Result<Option<JobSeen>, Fault> {
        let id = id.to_owned();
        self.call(Service::Other, "DescribeBackupJob", Subject::World, move |world| {
            backups::describe(world, kind, &id)
        })
        .await
    }

    async fn newest(&self, resource: &str, _: &str) -> Result<Option<Point>, Fault> {
        let resource = resource.to_owned();
        self.call(Service::Other, "ListRecoveryPointsByBackupVault", Subject::World, move |world| {
            backups::newest(world, &resource)
        })
        .await
    }

    async fn remove(&self, resource: &str, token: &str) -> Result<RemovalSeen, Fault> {
        let (resource, token) = (resource.to_owned(), token.to_owned());
        self.call(Service::Other, "DeleteResource", Subject::World, move |world| {
            backups::remove(world, &resource, &token)
        })
        .await
    }

    async fn removal(&self, request: &str) -> Result<RemovalSeen, Fault> {
        let request = request.to_owned();
        self.call(Service::Other, "GetResourceRequestStatus", Subject::World, move |world| {
            backups::removal(world, &request)
        })
        .await
    }
}

impl Port {
    async fn begin(&self, what: &'static str, wanted: backups::Wanted) -> Result<Begun, Fault> {
        self.call(Service::Other, what, Subject::World, move |world| backups::begin(world, &wanted))
            .await
    }
}

fn wanted(kind: JobKind, definition: &Definition, token: &str, point: Option<&str>, name: Option<&str>) -> backups::Wanted {
    backups::Wanted {
        kind,
        token: token.to_owned(),
        resource: definition.resource.clone(),
        point: point.map(str::to_owned),
        name: name.map(str::to_owned),
    }
}

#[async_trait]
impl Source for Port {
    async fn file(&self, _: &RepositoryName, commit: &CommitId, _: &str) -> Result<Option<FileAt>, Fault> {
        let commit = commit.clone();
        self.call(Service::Other, "GetFile", Subject::World, move |world| {
            let content = world.repository.commits.get(commit.as_str())?.file.clone();
            content.map(SourceFile::Text).map(|content| FileAt {
                commit: commit.clone(),
                content,
            })
        })
        .await
    }

    async fn root(&self, _: &RepositoryName, at: &Place) -> Result<Option<Root>, Fault> {
        let Place::Commit(commit) = at.clone() else {
            return Err(Fault::lasting("no push here is of a tag"));
        };
        self.call(Service::Other, "GetFolder", Subject::World, move |world| {
            world.repository.commits.get(commit.as_str())?;
            let (commit, files) = (commit.clone(), Vec::new());
            Some(Root { commit, files })
        })
        .await
    }

    async fn message(&self, _: &RepositoryName, commit: &CommitId) -> Result<Option<String>, Fault> {
        let commit = commit.clone();
        self.call(Service::Other, "GetCommit", Subject::World, move |world| {
            world.repository.commits.get(commit.as_str()).map(|commit| commit.message.clone())
        })
        .await
    }

    async fn changed(&self, _: &RepositoryName, _: &CommitId, _: &CommitId) -> Result<Option<Vec<String>>, Fault> {
        Err(Fault::lasting("no job here asks what changed"))
    }

    async fn default_branch(&self, repository: &RepositoryName) -> Result<Option<String>, Fault> {
        let repository = repository.clone();
        self.call(Service::Other, "GetRepository", Subject::World, move |world| {
            world.repository.default_branch(&repository).map(str::to_owned)
        })
        .await
    }

    async fn tip(&self, repository: &RepositoryName, branch: &str) -> Result<Option<CommitId>, Fault> {
        let (repository, branch) = (repository.clone(), branch.to_owned());
        self.call(Service::Other, "GetBranch", Subject::World, move |world| {
            world.repository.tip(&repository, &branch, world.now)
        })
        .await
    }
}

#[async_trait]
impl Store for Port {
    fn bucket(&self) -> &'static str {
        "suite"
    }

    fn configuration_place(&self) -> String {
        "s3://suite/config/bellhop.yaml".to_owned()
    }

    async fn configuration(&self) -> Result<Option<String>, Fault> {
        self.call(Service::Other, "GetObject", Subject::World, |world| {
            Some(world.repository.suite.clone())
        })
        .await
    }

    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault> {
        Err(Fault::lasting("the configuration here is never broken"))
    }

    async fn earlier_configuration(&self, _: &str) -> Result<Option<String>, Fault> {
        Err(Fault::lasting("the configuration here is never broken"))
    }

    async fn put(&self, key: &str, _: &str, text: String) -> Result<(), Fault> {
        let key = key.to_owned();
        self.call(Service::Other, "PutObject", Subject::World, move |world| {
            if world.is(Mutant::ReportsDropped) {
                return;
            }
            world.bucket.texts.insert(key.clone(), text.clone());
        })
        .await
    }

    async fn agent_report(&self, attempt: &AttemptId) -> Result<Option<Report>, Fault> {
        let attempt = attempt.clone();
        self.call(Service::Other, "GetReport", &attempt.build.clone(), move |world| {
            if world.is(Mutant::ExitCodeIsProof) {
                return mutant::report_from_exit_code(world, &attempt);
            }
            let report = world.bucket.reports.get(&result_key(&attempt)).cloned();
            world.note("report read", &attempt.build, || format!("{attempt}: {report:?}"));
            report
        })
        .await
    }

    async fn artifacts(&self, attempt: &AttemptId, _: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        let attempt = mutant::looked_through(&lock(&self.world), attempt);
        let about = Subject::from(&attempt.build);
        let of = attempt.clone();
        let listed = self
            .call(Service::Other, "ListObjectsV2", about, move |world| world.bucket.artifacts_of(&of))
            .await;
        self.note_look(&attempt, listed)
    }

    async fn artifact(&self, attempt: &AttemptId, path: &str, _: u64) -> Result<Option<Vec<u8>>, Fault> {
        let attempt = mutant::looked_through(&lock(&self.world), attempt);
        let about = Subject::from(&attempt.build);
        let (of, path) = (attempt.clone(), path.to_owned());
        let text = self
            .call(Service::Other, "GetObject", about, move |world| world.bucket.artifact(&of, &path))
            .await;
        self.note_look(&attempt, text)
    }
}

impl Port {
    /// Takes note of a look at artifacts that was in vain.
    fn note_look<T>(&self, attempt: &AttemptId, looked: Result<T, Fault>) -> Result<T, Fault> {
        if looked.is_err() {
            *lock(&self.world).bucket.vain_looks.entry(attempt.build.clone()).or_default() += 1;
        }
        looked
    }
}

#[async_trait]
impl Notifier for Port {
    async fn publish(&self, message: &Message) -> Result<(), Fault> {
        let id = message.document.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
        self.call(Service::Other, "Publish", Subject::World, move |world| {
            if world.is(Mutant::MessagesDropped) || mutant::drops_message(world, &id) {
                return;
            }
            world.note("published", Subject::World, || id.clone());
            *world.bucket.messages.entry(id.clone()).or_default() += 1;
            world.statistics.messages += 1;
        })
        .await
    }
}
