//! AWS as a storm meets it: a table, tasks behind token buckets, and the time that each request takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::build::Refusal;
use bellhop_domain::executor::observation::{AgentStatus, Observation, Report};
use bellhop_domain::executor::{Capacity, LaunchId, ecs};
use bellhop_domain::executor::{Folder, Place};
use bellhop_domain::ids::{AgentId, AttemptId, CommitId, PipelineJobId, RepositoryName};
use bellhop_domain::measure::Measure;
use bellhop_domain::message::Message;
use bellhop_domain::record::{Key, Performer};
use bellhop_domain::results::found::{Artifact, Seal};
use bellhop_domain::run::pipeline::PipelineAnswer;
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::memory::MemoryLedger;
use bellhop_engine::ports::{
    Ancestry, Answered, CLOCKS, Clock, Created, Entry, Executor, Executors, FileAt, Images, Item, Lane, Launch, Ledger, List, Meter,
    Notifier, Pipelines, Revision, Root, Source, SourceFile, Store, Text, Timer, Waker, Written,
};
use bellhop_engine::{BuildPorts, Engine, Fault, Performs, RunStarter};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::bucket::{Bucket, Rate};

/// The suite's name.
pub(crate) const SUITE: &str = "storm";
/// When the storm begins.
const BEGINNING: i64 = 1_790_000_000;
/// What the requests of each service take, on an average. They take between half of that and one and a half times as long.
const TABLE: Duration = Duration::from_millis(5);
const RUN_TASK: Duration = Duration::from_millis(100);
const OTHER: Duration = Duration::from_millis(30);
/// The SDK's first wait between two tries; it doubles, and each wait is a random share of it.
const SDK_BACKOFF: Duration = Duration::from_millis(200);

const CONFIG: &str = "
version: 1
agents:
  small:
    ecs:
      clusters: { spot: ci-spot, on-demand: ci-main }
      task-definition: bellhop-agent-small
      container: agent
      subnets: [subnet-0a]
      security-groups: [sg-0a]
";

/// What is wrong with launches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// The service does not answer.
    NoAnswer,
    /// It has no capacity.
    NoCapacity,
}

/// A task of ECS.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) attempt: AttemptId,
    pub(crate) agent: AgentId,
    pub(crate) capacity: Capacity,
    pub(crate) status: AgentStatus,
    /// When its launch was accepted.
    pub(crate) at: Duration,
}

#[derive(Default)]
struct Ecs {
    tasks: Vec<Task>,
    tokens: HashMap<String, usize>,
    /// The limits of requests and, by capacity, of launches; none before the storm.
    limits: Option<(Bucket, BTreeMap<Capacity, Bucket>)>,
    /// Launches that nobody has been told of yet.
    news: Vec<usize>,
}

/// What was asked of AWS.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) by_kind: BTreeMap<&'static str, u64>,
    pub(crate) run_task: u64,
    pub(crate) throttled: u64,
    pub(crate) timers: u64,
}

/// Everything outside of the functions.
pub(crate) struct Cloud {
    begun: Mutex<Instant>,
    ledger: MemoryLedger,
    ecs: Mutex<Ecs>,
    counts: Mutex<Counts>,
    /// The messages of the timer queue, each with the moment from which on it is delivered.
    timers: Mutex<Vec<(Duration, Key)>>,
    dice: Mutex<fastrand::Rng>,
    /// The pipeline file of every repository.
    pipeline: Mutex<String>,
    /// What is wrong with launches, and until when.
    trouble: Mutex<Option<(Trouble, Duration)>>,
    /// When an agent was first asked to stop.
    stopped: Mutex<Option<Duration>>,
    /// How often the SDK tries a request that is throttled.
    sdk_tries: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud {
    pub(crate) fn new(seed: u64, sdk_tries: u32) -> Arc<Self> {
        Arc::new(Self {
            begun: Mutex::new(Instant::now()),
            ledger: MemoryLedger::default(),
            ecs: Mutex::default(),
            counts: Mutex::default(),
            timers: Mutex::default(),
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            pipeline: Mutex::default(),
            trouble: Mutex::default(),
            stopped: Mutex::default(),
            sdk_tries,
        })
    }

    /// The storm begins: time is counted from now on, and so are requests, and the limits hold, with full buckets.
    pub(crate) fn begin(&self, rate: Rate) {
        *lock(&self.begun) = Instant::now();
        *lock(&self.counts) = Counts::default();
        lock(&self.timers).clear();
        let mut ecs = lock(&self.ecs);
        let launches = [Capacity::Spot, Capacity::OnDemand].map(|capacity| (capacity, Bucket::new(rate)));
        ecs.limits = Some((Bucket::new(rate), launches.into()));
        ecs.news.clear();
    }

    /// The time since the storm began.
    pub(crate) fn now(&self) -> Duration {
        lock(&self.begun).elapsed()
    }

    pub(crate) fn dice(&self) -> MutexGuard<'_, fastrand::Rng> {
        lock(&self.dice)
    }

    pub(crate) fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    pub(crate) fn tasks(&self) -> Vec<Task> {
        lock(&self.ecs).tasks.clone()
    }

    /// The tasks that were launched since this was asked last.
    pub(crate) fn launched(&self) -> Vec<Task> {
        let mut ecs = lock(&self.ecs);
        let news = std::mem::take(&mut ecs.news);
        news.into_iter().filter_map(|index| ecs.tasks.get(index).cloned()).collect()
    }

    /// The first messages of the timer queue that are to be delivered, at most so many.
    pub(crate) fn timers(&self, most: usize) -> Vec<Key> {
        let now = self.now();
        let mut timers = lock(&self.timers);
        let mut keys = Vec::new();
        timers.retain(|(at, key)| {
            let stays = *at > now || keys.len() >= most;
            if !stays {
                keys.push(key.clone());
            }
            stays
        });
        keys
    }

    /// A task changes.
    pub(crate) fn change(&self, agent: &AgentId, status: &AgentStatus) {
        if let Some(task) = lock(&self.ecs).tasks.iter_mut().find(|task| task.agent == *agent) {
            task.status = status.clone();
        }
    }

    /// The pushes to come have so many jobs, for on-demand capacity if they are critical.
    pub(crate) fn pushes_have(&self, jobs: usize, critical: bool) {
        let jobs: String = (0..jobs)
            .map(|number| format!("  job-{number}: {{ agent: small, run: make, critical: {critical} }}\n"))
            .collect();
        self.pushes_run(format!("version: 1\njobs:\n{jobs}"));
    }

    /// The pushes to come have this pipeline file.
    pub(crate) fn pushes_run(&self, file: String) {
        *lock(&self.pipeline) = file;
    }

    /// Launches have this trouble until then.
    pub(crate) fn has_trouble(&self, trouble: Trouble, until: Duration) {
        *lock(&self.trouble) = Some((trouble, until));
    }

    fn trouble(&self) -> Option<Trouble> {
        let now = self.now();
        lock(&self.trouble).filter(|(_, until)| now < *until).map(|(trouble, _)| trouble)
    }

    /// When an agent was first asked to stop.
    pub(crate) fn stopped_at(&self) -> Option<Duration> {
        *lock(&self.stopped)
    }

    /// The table, whose requests take no time here.
    pub(crate) fn ledger(&self) -> &dyn Ledger {
        &self.ledger
    }

    /// A moment as time since the beginning.
    pub(crate) fn since_beginning(&self, at: Timestamp) -> Duration {
        let beginning = Timestamp::from_second(BEGINNING).unwrap_or_default();
        Duration::try_from(at.duration_since(beginning)).unwrap_or_default()
    }

    pub(crate) fn engine(self: &Arc<Self>) -> Engine {
        let port = Arc::new(Port(self.clone()));
        Engine {
            suite: SUITE.into(),
            ledger: port.clone(),
            store: port.clone(),
            notifier: port.clone(),
            waker: port.clone(),
            timer: port.clone(),
            meter: port.clone(),
            clock: port.clone(),
            performs: Performs {
                builds: Some(BuildPorts {
                    executors: Executors::new([(ecs::NAME, port.clone() as Arc<dyn Executor>)]),
                    pipelines: port.clone(),
                    images: port,
                }),
                ..Performs::default()
            },
            reading: Arc::default(),
            recent: Arc::default(),
            depth: 0,
            pace: None,
        }
    }

    pub(crate) fn starter(self: &Arc<Self>, engine: Engine) -> RunStarter {
        RunStarter {
            engine,
            source: Arc::new(Port(self.clone())),
        }
    }

    /// Half of the time of a request: it is under way, or its reply is.
    async fn half(&self, mean: Duration) {
        let share = lock(&self.dice).f64();
        tokio::time::sleep(mean.mul_f64(0.25 + 0.5 * share)).await;
    }

    async fn request(&self, kind: &'static str, times: u64, mean: Duration) {
        *lock(&self.counts).by_kind.entry(kind).or_default() += times;
        self.half(mean).await;
        self.half(mean).await;
    }

    /// One try of `RunTask`; none if it is throttled.
    fn run_task(&self, launch: &LaunchId) -> Option<AgentId> {
        let (attempt, capacity) = (&launch.attempt, launch.capacity);
        let now = self.now();
        let mut ecs = lock(&self.ecs);
        lock(&self.counts).run_task += 1;
        let token = launch.token();
        let known = ecs.tokens.get(&token).copied();
        if let Some((requests, launches)) = &mut ecs.limits {
            // A request that launches nothing new needs no place among the launches.
            let served = requests.take(now) && (known.is_some() || launches.get_mut(&capacity).is_none_or(|bucket| bucket.take(now)));
            if !served {
                lock(&self.counts).throttled += 1;
                return None;
            }
        }
        if let Some(task) = known.and_then(|index| ecs.tasks.get(index)) {
            return Some(task.agent.clone());
        }
        let index = ecs.tasks.len();
        let agent: AgentId = format!("arn:aws:ecs:us-east-1:123456789012:task/ci/{index:032x}").parse().ok()?;
        ecs.tasks.push(Task {
            attempt: attempt.clone(),
            agent: agent.clone(),
            capacity,
            status: AgentStatus::Starting,
            at: now,
        });
        ecs.tokens.insert(token, index);
        ecs.news.push(index);
        Some(agent)
    }
}

/// The engine's ports.
struct Port(Arc<Cloud>);

fn none<T>() -> Result<T, Fault> {
    Err(Fault::permanent("a storm needs none of this"))
}

#[async_trait]
impl Clock for Port {
    fn now(&self) -> Timestamp {
        let beginning = Timestamp::from_second(BEGINNING).unwrap_or_default();
        beginning.checked_add(self.0.now()).unwrap_or(Timestamp::MAX)
    }

    async fn pause(&self, about: Duration) {
        tokio::time::sleep(about).await;
    }
}

impl Meter for Port {
    fn count(&self, _: Option<&RepositoryName>, _: &[Measure]) {}
}

#[async_trait]
impl Ledger for Port {
    async fn get(&self, key: &Key) -> Result<Option<Text>, Fault> {
        self.0.request("GetItem", 1, TABLE).await;
        self.0.ledger.get(key).await
    }

    async fn put(&self, expected: u64, item: &Item) -> Result<Written, Fault> {
        self.0.request("PutItem", 1, TABLE).await;
        self.0.ledger.put(expected, item).await
    }

    async fn put_together(&self, items: &[Item]) -> Result<Created, Fault> {
        self.0.request("TransactWriteItems", 1, TABLE).await;
        self.0.ledger.put_together(items).await
    }

    async fn in_partition(&self, partition: &str, beginning: &str) -> Result<Vec<Text>, Fault> {
        self.0.request("Query", 1, TABLE).await;
        self.0.ledger.in_partition(partition, beginning).await
    }

    async fn next_in_partition(&self, partition: &str, after: &str, limit: usize) -> Result<Vec<Text>, Fault> {
        self.0.request("Query", 1, TABLE).await;
        self.0.ledger.next_in_partition(partition, after, limit).await
    }

    async fn remove(&self, key: &Key) -> Result<(), Fault> {
        self.0.request("DeleteItem", 1, TABLE).await;
        self.0.ledger.remove(key).await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        let queries = match lane {
            Lane::Launches | Lane::Timers => 1,
            Lane::Rest => 4,
        };
        self.0.request("Query", queries, TABLE).await;
        self.0.ledger.due(lane, now, limit).await
    }

    async fn newest_due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        self.0.request("Query", 1, TABLE).await;
        self.0.ledger.newest_due(lane, now, limit).await
    }

    async fn list(&self, _: &List, _: Option<&str>, _: usize) -> Result<Vec<Entry>, Fault> {
        none()
    }
}

#[async_trait]
impl Executor for Port {
    async fn launch(&self, _: &BuildSpec, launch: &LaunchId, _: bool) -> Result<Launch, Fault> {
        let mut tries = 0;
        loop {
            self.0.half(RUN_TASK).await;
            match self.0.trouble() {
                Some(Trouble::NoAnswer) => return Err(Fault::transient("RunTask: ServerException")),
                Some(Trouble::NoCapacity) => {
                    let text = "Capacity is unavailable at this time".to_owned();
                    return Ok(Launch::refused(Refusal::NoCapacity(text)));
                }
                None => {}
            }
            let agent = self.0.run_task(launch);
            self.0.half(RUN_TASK).await;
            if let Some(agent) = agent {
                return Ok(Launch::Accepted(agent));
            }
            tries += 1;
            if tries >= self.0.sdk_tries {
                let text = "ThrottlingException: Rate exceeded".to_owned();
                return Ok(Launch::refused(Refusal::Throttled(text)));
            }
            let share = lock(&self.0.dice).f64();
            tokio::time::sleep((SDK_BACKOFF * 2u32.pow(tries - 1)).mul_f64(share)).await;
        }
    }

    async fn stop(&self, _: &AgentId, _: &str) -> Result<(), Fault> {
        lock(&self.0.stopped).get_or_insert(self.0.now());
        self.0.half(OTHER).await;
        Ok(())
    }

    async fn find(&self, _: &BuildSpec, _: &AttemptId) -> Result<Vec<Observation>, Fault> {
        none()
    }

    async fn prove(&self, _: &BuildSpec, _: &AttemptId, _: &AgentId) -> Result<Option<Observation>, Fault> {
        none()
    }

    async fn describe(&self, agents: &[AgentId]) -> (Vec<(AgentId, Option<Observation>)>, Option<Fault>) {
        self.0.half(OTHER).await;
        let ecs = lock(&self.0.ecs);
        let look = |agent: &AgentId| {
            let task = ecs.tasks.iter().find(|task| task.agent == *agent)?;
            Some(Observation {
                agent: agent.clone(),
                version: None,
                capacity: Some(task.capacity),
                status: task.status.clone(),
            })
        };
        (agents.iter().map(|agent| (agent.clone(), look(agent))).collect(), None)
    }

    async fn identify(&self, _: &AgentId) -> Result<Option<(AttemptId, Observation)>, Fault> {
        none()
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
        self.0.half(OTHER).await;
        Ok(Some(CONFIG.to_owned()))
    }

    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault> {
        none()
    }

    async fn earlier_configuration(&self, _: &str) -> Result<Option<String>, Fault> {
        none()
    }

    async fn put(&self, _: &str, _: &str, _: String) -> Result<(), Fault> {
        self.0.half(OTHER).await;
        Ok(())
    }

    /// An agent that is taken back leaves no report.
    async fn folder(&self, _: &Place, _: &AgentId) -> Result<Option<Folder>, Fault> {
        self.0.half(OTHER).await;
        Ok(None)
    }

    async fn agent_report(&self, _: &Folder) -> Result<Option<Report>, Fault> {
        self.0.half(OTHER).await;
        Ok(None)
    }

    async fn artifacts(&self, _: &Folder, _: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        none()
    }

    async fn seal(&self, _: &str, _: Option<u64>) -> Result<Seal, Fault> {
        none()
    }

    async fn object(&self, _: &str, _: u64) -> Result<Option<Vec<u8>>, Fault> {
        none()
    }
}

#[async_trait]
impl Images for Port {
    async fn digest(&self, _: &str, _: &str) -> Result<Option<String>, Fault> {
        none()
    }
}

#[async_trait]
impl Notifier for Port {
    async fn publish(&self, _: &Message) -> Result<(), Fault> {
        self.0.half(OTHER).await;
        Ok(())
    }
}

#[async_trait]
impl Source for Port {
    async fn file(&self, _: &RepositoryName, commit: &CommitId, _: &str) -> Result<Option<FileAt>, Fault> {
        self.0.half(OTHER).await;
        Ok(Some(FileAt {
            commit: commit.clone(),
            content: SourceFile::Text(lock(&self.0.pipeline).clone()),
        }))
    }

    async fn root(&self, _: &RepositoryName, _: &Revision) -> Result<Option<Root>, Fault> {
        none()
    }

    async fn message(&self, _: &RepositoryName, _: &CommitId) -> Result<Option<String>, Fault> {
        self.0.half(OTHER).await;
        Ok(Some("a change".to_owned()))
    }

    async fn changed(&self, _: &RepositoryName, _: &CommitId, _: &CommitId) -> Result<Option<Vec<String>>, Fault> {
        none()
    }

    async fn default_branch(&self, _: &RepositoryName) -> Result<Option<String>, Fault> {
        none()
    }

    async fn ancestry(&self, _: &RepositoryName, _: &CommitId, _: &CommitId) -> Result<Ancestry, Fault> {
        none()
    }

    async fn tip(&self, _: &RepositoryName, _: &str) -> Result<Option<CommitId>, Fault> {
        none()
    }
}

#[async_trait]
impl Pipelines for Port {
    async fn answer(&self, _: &PipelineJobId, _: &PipelineAnswer) -> Result<Answered, Fault> {
        none()
    }
}

#[async_trait]
impl Waker for Port {
    async fn wake(&self, _: Performer, _: &[Key]) -> Result<(), Fault> {
        none()
    }
}

#[async_trait]
impl Timer for Port {
    /// A delay has whole seconds.
    async fn set(&self, timers: &[(Duration, Key)]) -> Result<(), Fault> {
        self.0.half(OTHER).await;
        let now = self.0.now();
        let messages = timers.iter().map(|(wait, key)| {
            let wait = if wait.is_zero() { *wait } else { *wait + CLOCKS };
            let delay = Duration::from_secs(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
            (now + delay, key.clone())
        });
        lock(&self.0.timers).extend(messages);
        lock(&self.0.counts).timers += timers.len() as u64;
        Ok(())
    }
}
