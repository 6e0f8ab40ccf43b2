//! EC2 under ECS: instances with several agents each, and with tasks of others, that EC2 takes away. It tells of it before, mostly.

use bellhop_domain::config::SuiteConfig;
use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::Executor;
use bellhop_domain::executor::observation::{AgentStatus, Observation};
use bellhop_domain::ids::{AgentId, AttemptId, InstanceId};
use bellhop_domain::instance::{self, Action, Ec2Notice, ForeignTask, Host};
use bellhop_domain::spec::BuildSpec;
use bellhop_engine::ports::InstanceTask;
use bellhop_engine::{Engine, Fault, Handled};

use crate::checks;
use crate::ecs::ACCOUNT;
use crate::world::{Happening, Invoke, Job, MINUTE, Millis, SECOND, Shared, Subject, World, lock, timestamp};

/// How long before the end EC2 tells of it; it hibernates an instance at once.
const NOTICE: Millis = 2 * MINUTE;
/// The cluster of the template whose agents run on instances.
const CLUSTER: &str = "ci";
/// How long an instance that was stopped or hibernated is away at least, from the warning on, and at most.
const AWAY: std::ops::Range<Millis> = 12 * MINUTE..30 * MINUTE;

/// The instances of the account.
pub(crate) struct Instances {
    dice: fastrand::Rng,
    /// The agents of one template run on instances.
    used: bool,
    /// EC2 does more than to run them.
    restless: bool,
    pub(crate) all: Vec<Instance>,
}

/// An instance.
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(crate) host: Host,
    /// It belongs to one of the suite's clusters.
    pub(crate) ours: bool,
    spot: bool,
    room: usize,
    /// Tasks of others on it, and when each ends by itself.
    foreign: Vec<(ForeignTask, Millis)>,
    /// Since when ECS places nothing on it.
    pub(crate) drained: Option<Millis>,
    /// When EC2 warned of its end that is to come first, whether or not anybody was told.
    pub(crate) warned: Option<Millis>,
    pub(crate) gone: Option<Millis>,
    /// Until when ECS has it.
    registered_until: Option<Millis>,
    /// How often EC2 has taken it away.
    pub(crate) warnings: usize,
    /// When it came back last.
    pub(crate) back: Millis,
}

/// A step in an instance's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Advised,
    Warned,
    /// EC2 tells of the same end again.
    WarnedAgain(Action),
    Gone(Action),
    /// EC2 has capacity again for one that it stopped or hibernated.
    Back,
}

/// What EC2 tells, as its event tells it.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) instance: InstanceId,
    pub(crate) what: Ec2Notice,
    pub(crate) at: Millis,
}

impl Instances {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed.rotate_left(16) ^ 0x6563_3232);
        Self {
            used: dice.u32(0..3) == 0,
            dice,
            restless: false,
            all: Vec::new(),
        }
    }

    /// There are none.
    pub(crate) fn quiet() -> Self {
        Self {
            used: false,
            ..Self::new(0)
        }
    }

    pub(crate) fn get(&self, id: &InstanceId) -> Option<&Instance> {
        self.all.iter().find(|instance| instance.id == *id)
    }

    fn by_host(&mut self, host: &Host) -> Option<(usize, &mut Instance)> {
        let mut all = self.all.iter_mut().enumerate();
        all.find(|(_, instance)| instance.host == *host)
    }

    fn draw_id(&mut self) -> InstanceId {
        let id = format!("i-{:017x}", self.dice.u64(..) >> 4);
        id.parse().expect("it is an instance's id")
    }

    fn exponential(&mut self, mean: Millis) -> Millis {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "waits of at most hours"
        )]
        let wait = (-(1.0 - self.dice.f64()).ln() * mean as f64) as Millis;
        wait.min(100 * MINUTE)
    }
}

/// Decides whether agents run on instances, and what EC2 tells of those that are nobody's here.
pub(crate) fn prepare(world: &mut World, length: Millis, hostility: f64) {
    if !world.instances.used {
        return;
    }
    world.instances.restless = hostility > 0.0;
    use_them(world);
    for _ in 0..world.instances.dice.u32(0..6) {
        let index = world.instances.all.len();
        let id = world.instances.draw_id();
        let host = Host {
            cluster: "web".to_owned(),
            container_instance: format!("arn:aws:ecs:us-east-1:123456789012:container-instance/web/{index:032x}"),
        };
        world.instances.all.push(Instance {
            id,
            host,
            ours: false,
            spot: true,
            room: 0,
            foreign: Vec::new(),
            drained: None,
            warned: None,
            gone: None,
            registered_until: None,
            warnings: 0,
            back: 0,
        });
        let at = world.instances.dice.u64(0..length);
        world.schedule(at, Happening::Instance(index, Step::Advised));
        world.schedule(at + MINUTE, Happening::Instance(index, Step::Warned));
    }
}

/// The agents of one template run on instances.
pub(crate) fn use_them(world: &mut World) {
    let on_fargate = "task-definition: agent-mixed,";
    let on_instances = format!("{on_fargate} capacity-providers: {{ spot: ci-ec2-spot, on-demand: ci-ec2 }},");
    world.repository.suite = world.repository.suite.replace(on_fargate, &on_instances);
}

/// Whether a build's agents run on instances.
pub(crate) fn has_agents_of(spec: &BuildSpec) -> bool {
    matches!(&spec.executor, Executor::Ecs(ecs) if ecs.providers.is_some())
}

/// Finds an instance for a new task, or starts one; `None` if there is none to be had. ECS does not know what EC2 has told about an instance.
pub(crate) fn place(world: &mut World, capacity: Capacity) -> Option<usize> {
    let spot = capacity == Capacity::Spot;
    let (now, tasks) = (world.now, &world.ecs.tasks);
    let load = |index: usize| tasks.iter().filter(|task| task.host == Some(index) && !task.is_gone()).count();
    let free = world.instances.all.iter().enumerate().find(|(index, instance)| {
        let up = instance.ours && instance.gone.is_none() && instance.drained.is_none();
        up && instance.spot == spot && load(*index) < instance.room
    });
    if let Some((index, _)) = free {
        return Some(index);
    }
    let restless = world.instances.restless && !world.calm();
    let dice = &mut world.instances.dice;
    if restless && dice.u32(0..6) == 0 {
        return None;
    }
    let room = dice.usize(2..6);
    let foreign = (0..dice.usize(0..3))
        .map(|number| {
            let task = ForeignTask {
                arn: format!("arn:aws:ecs:us-east-1:123456789012:task/{CLUSTER}/{:032x}", dice.u128(..)),
                belongs_to: ["service:web", "family:jenkins-agent"][number % 2].to_owned(),
                started_by: (number == 0).then(|| "ecs-svc/1".to_owned()),
            };
            (task, now + dice.u64(MINUTE..60 * MINUTE))
        })
        .collect();
    let index = world.instances.all.len();
    let id = world.instances.draw_id();
    world.note("instance started", Subject::World, || format!("{id} on {capacity}"));
    world.instances.all.push(Instance {
        id,
        host: Host {
            cluster: CLUSTER.to_owned(),
            container_instance: format!("arn:aws:ecs:us-east-1:123456789012:container-instance/{CLUSTER}/{index:032x}"),
        },
        ours: true,
        spot,
        room,
        foreign,
        drained: None,
        warned: None,
        gone: None,
        registered_until: None,
        warnings: 0,
        back: 0,
    });
    if !spot || !restless {
        return Some(index);
    }
    if let Some(mean) = world.hostility.reclaim_after {
        let wait = SECOND + world.instances.exponential(mean);
        world.schedule_in(wait, Happening::Instance(index, Step::Warned));
        if world.instances.dice.bool() {
            let before = world.instances.dice.u64(0..5 * MINUTE);
            world.schedule_in(wait.saturating_sub(before), Happening::Instance(index, Step::Advised));
        }
    }
    if world.instances.dice.u32(0..4) == 0 {
        let wait = world.instances.exponential(10 * MINUTE);
        world.schedule_in(wait, Happening::Instance(index, Step::Advised));
    }
    Some(index)
}

/// A task has come onto an instance, which EC2 may be taking away already.
pub(crate) fn placed(world: &mut World, task: usize) {
    let Some(task) = world.ecs.tasks.get_mut(task) else { return };
    let host = task.host.and_then(|host| world.instances.all.get(host));
    if let Some(instance) = host {
        task.reclaimed = instance.warned;
        world.statistics.on_instances += 1;
    }
}

/// EC2 takes all Spot instances away at once.
pub(crate) fn reclaim_all(world: &mut World) {
    for index in 0..world.instances.all.len() {
        let wait = world.instances.dice.u64(0..5 * SECOND);
        world.schedule_in(wait, Happening::Instance(index, Step::Warned));
    }
}

impl World {
    /// A step in an instance's life, unless it is over.
    pub(crate) fn instance_step(&mut self, index: usize, step: Step) {
        let now = self.now;
        let calm = self.calm();
        let Some(instance) = self.instances.all.get_mut(index) else {
            return;
        };
        if step == Step::Back {
            come_back(self, index);
            return;
        }
        if instance.gone.is_some() {
            return;
        }
        match step {
            Step::Advised if !calm && instance.warned.is_none() => tell(self, index, Ec2Notice::Rebalance),
            Step::Warned if !calm && instance.warned.is_none() && instance.spot => {
                instance.warned = Some(now);
                instance.warnings += 1;
                let ours = instance.ours;
                self.statistics.taken_away += u64::from(ours);
                for task in self.ecs.tasks.iter_mut().filter(|task| task.host == Some(index) && task.lives()) {
                    task.reclaimed.get_or_insert(now);
                }
                let dice = &mut self.instances.dice;
                let action = [Action::Terminate, Action::Stop, Action::Hibernate][dice.usize(0..3)];
                let wait = if action == Action::Hibernate {
                    dice.u64(0..5 * SECOND)
                } else {
                    NOTICE
                };
                let again = (dice.u32(0..3) == 0).then(|| dice.u64(0..NOTICE));
                self.schedule_in(wait, Happening::Instance(index, Step::Gone(action)));
                if let Some(again) = again {
                    self.schedule_in(again, Happening::Instance(index, Step::WarnedAgain(action)));
                }
                tell(self, index, Ec2Notice::Interruption(action));
            }
            Step::WarnedAgain(action) => tell(self, index, Ec2Notice::Interruption(action)),
            Step::Gone(action) => {
                instance.gone = Some(now);
                instance.foreign.clear();
                let (id, host) = (instance.id.clone(), index);
                let back = (self.instances.dice.u32(0..4) > 0).then(|| self.instances.dice.u64(AWAY));
                if let Some(wait) = back.filter(|_| action != Action::Terminate) {
                    self.schedule_in(wait, Happening::Instance(index, Step::Back));
                }
                if action == Action::Terminate {
                    let wait = self.instances.dice.u64(0..MINUTE);
                    if let Some(instance) = self.instances.all.get_mut(index) {
                        instance.registered_until = Some(now + wait);
                    }
                }
                self.note("instance gone", Subject::World, || format!("{id}: {action:?}"));
                for task in 0..self.ecs.tasks.len() {
                    if self.ecs.tasks.get(task).is_some_and(|task| task.host == Some(host)) {
                        self.lose_host(task, &format!("Host EC2 (instance {id}) terminated."));
                    }
                }
            }
            Step::Advised | Step::Warned | Step::Back => {}
        }
    }
}

/// An instance comes back under its name, and may be taken away again. ECS still places nothing on it if it was drained, unless somebody has it do so.
fn come_back(world: &mut World, index: usize) {
    let now = world.now;
    let activated = world.instances.dice.u32(0..4) > 0;
    let again = world.hostility.reclaim_after.map(|mean| world.instances.exponential(mean));
    let Some(instance) = world.instances.all.get_mut(index) else {
        return;
    };
    instance.gone = None;
    instance.warned = None;
    instance.back = now;
    if activated {
        instance.drained = None;
    }
    let id = instance.id.clone();
    world.note("instance back", Subject::World, || id.to_string());
    if let Some(wait) = again {
        world.schedule_in(wait, Happening::Instance(index, Step::Warned));
    }
}

/// EC2 tells something, with events as EventBridge would deliver them.
fn tell(world: &mut World, index: usize, what: Ec2Notice) {
    let (now, hostile) = (world.now, !world.calm());
    let Some(instance) = world.instances.all.get(index) else { return };
    let notice = Notice {
        instance: instance.id.clone(),
        what,
        at: now / SECOND * SECOND,
    };
    world.note("EC2 tells", Subject::World, || format!("{notice:?}"));
    let deliveries = world.hostility.deliveries(&mut world.instances.dice, hostile);
    for wait in deliveries {
        let job = Job::Instance(notice.clone());
        world.statistics.events += 1;
        world.send(wait, Invoke { job, tries: 0 });
    }
}

/// What `spot-interruption` does with a notice. What it remembers of foreign instances is left out: it only spares calls.
///
/// # Errors
/// As the engine's.
pub(crate) async fn take(shared: &Shared, engine: &Engine, notice: &Notice) -> Result<(), Fault> {
    let told = instance::Notice {
        what: notice.what,
        at: timestamp(notice.at),
        account: Some(ACCOUNT.to_owned()),
    };
    if let Some(handled) = notify(engine, &notice.instance, told).await? {
        checks::instances::handled(&mut lock(shared), notice, handled);
    }
    Ok(())
}

/// The same with a notice that may be made up. `None` without a configuration.
///
/// # Errors
/// As the engine's.
pub(crate) async fn notify(engine: &Engine, instance: &InstanceId, told: instance::Notice) -> Result<Option<Handled>, Fault> {
    let Some(text) = engine.store.configuration().await? else {
        return Ok(None);
    };
    let suite = SuiteConfig::parse(&text).map_err(|error| Fault::permanent(error.to_string()))?;
    let clusters: Vec<String> = suite.clusters().into_iter().collect();
    engine.instance(instance, told, &clusters).await.map(Some)
}

/// `ListContainerInstances` in one cluster.
pub(crate) fn find(world: &World, id: &InstanceId, cluster: &str) -> Option<Host> {
    let instance = world.instances.get(id).filter(|instance| instance.host.cluster == cluster)?;
    let registered = instance.registered_until.is_none_or(|until| world.now < until);
    registered.then(|| instance.host.clone())
}

/// What is on an instance, as `ListTasks` and `DescribeTasks` tell it one after the other.
#[derive(Clone)]
pub(crate) struct Listed {
    tasks: Vec<usize>,
    foreign: Vec<ForeignTask>,
}

/// `ListTasks` by container instance: what is desired to run.
pub(crate) fn list(world: &mut World, host: &Host) -> Listed {
    let now = world.now;
    let Some((index, instance)) = world.instances.by_host(host) else {
        return Listed {
            tasks: Vec::new(),
            foreign: Vec::new(),
        };
    };
    let foreign = instance
        .foreign
        .iter()
        .filter(|(_, until)| now < *until)
        .map(|(task, _)| task.clone());
    let foreign = foreign.collect();
    let tasks = world.ecs.tasks.iter().enumerate();
    let tasks = tasks.filter(|(_, task)| task.host == Some(index) && task.goes_on() && task.is_visible(now));
    Listed {
        tasks: tasks.map(|(index, _)| index).collect(),
        foreign,
    }
}

/// `DescribeTasks` of what was listed.
pub(crate) fn describe(world: &mut World, listed: &Listed) -> Vec<InstanceTask> {
    let lag = if world.calm() { 0 } else { world.hostility.list_lag };
    let then = world.now.saturating_sub(world.instances.dice.u64(0..=lag));
    let tasks = listed.tasks.iter().filter_map(|index| world.ecs.tasks.get(*index));
    let agents = tasks.map(|task| (task.attempt.clone(), task.as_of(then)));
    let up = |status: &AgentStatus| matches!(status, AgentStatus::Starting | AgentStatus::Running { .. });
    let agents = agents.filter(|(_, observation): &(AttemptId, Observation)| up(&observation.status));
    let agents = agents.map(|(attempt, observation)| InstanceTask::Agent(attempt, observation));
    agents.chain(listed.foreign.iter().cloned().map(InstanceTask::Foreign)).collect()
}

/// `UpdateContainerInstancesState`, which leaves alone what runs on it.
pub(crate) fn drain(world: &mut World, host: &Host) {
    let now = world.now;
    let Some((_, instance)) = world.instances.by_host(host) else {
        return;
    };
    instance.drained.get_or_insert(now);
    let id = instance.id.clone();
    world.note("instance drained", Subject::World, || id.to_string());
}

/// `ListContainerInstances` by status.
pub(crate) fn is_draining(world: &World, id: &InstanceId) -> bool {
    let registered = |instance: &&Instance| instance.registered_until.is_none_or(|until| world.now < until);
    let instance = world.instances.get(id).filter(registered);
    instance.is_some_and(|instance| instance.drained.is_some())
}

/// `UpdateContainerInstancesState` to `ACTIVE`.
pub(crate) fn activate(world: &mut World, host: &Host) -> bool {
    let now = world.now;
    let Some((index, instance)) = world.instances.by_host(host) else {
        return false;
    };
    if instance.registered_until.is_some_and(|until| until <= now) {
        return false;
    }
    instance.drained = None;
    let id = instance.id.clone();
    checks::instances::activated(world, index);
    world.note("instance activated", Subject::World, || id.to_string());
    true
}

/// Whether a task goes with an instance of whose end EC2 has warned.
pub(crate) fn is_doomed(world: &World, agent: &AgentId) -> bool {
    let host = world.task(agent).and_then(|task| task.host);
    let instance = host.and_then(|host| world.instances.all.get(host));
    instance.is_some_and(|instance| instance.warned.is_some())
}

impl Notice {
    pub(crate) fn words(&self) -> String {
        format!("{}: {:?}, at {} s", self.instance, self.what, self.at / SECOND)
    }
}
