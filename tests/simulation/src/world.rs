//! The virtual world: its clock, its queue of what happens next, and everything that there is in it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{AgentId, AttemptId, BuildId, JobName, RunId};
use bellhop_domain::record::{Key, Performer};
use bellhop_domain::request::PipelineJob;
use bellhop_domain::run::trigger::Push;
use jiff::Timestamp;

use crate::alarms::{Alarms, Form};
use crate::attacker::{Attacker, Forged};
use crate::backups::{self, Backups};
use crate::bucket::Bucket;
use crate::checks::Checks;
use crate::codepipeline::{self, CodePipeline};
use crate::denials::Denials;
use crate::ecs::{Ecs, Step};
use crate::environments::Environments;
use crate::hostility::{Hostility, Spell};
use crate::instances::{self, Instances, Notice};
use crate::ledger::Tables;
use crate::mutant::Mutant;
use crate::plan::Script;
use crate::requests::{Request, Requests};
use crate::source::Repository;
use crate::{Options, Statistics, Violation};

/// Virtual time: milliseconds since the world began.
pub(crate) type Millis = u64;

pub(crate) const SECOND: Millis = 1000;
pub(crate) const MINUTE: Millis = 60 * SECOND;
pub(crate) const HOUR: Millis = 60 * MINUTE;

/// When the world begins.
const BEGINNING: i64 = 1_790_000_000;

/// The world, shared by everybody in it. There is one thread, so the lock is never waited for.
pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, World> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A time of AWS's or of the code under test in virtual time.
pub(crate) const fn millis(time: Duration) -> Millis {
    time.as_secs() * SECOND + time.subsec_millis() as Millis
}

/// A moment of virtual time as the code under test sees it.
pub(crate) fn timestamp(at: Millis) -> Timestamp {
    i64::try_from(at)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(BEGINNING * 1000 + at).ok())
        .unwrap_or(Timestamp::MAX)
}

/// When a moment that the code under test tells is, or was.
pub(crate) fn moment(at: Timestamp) -> Millis {
    Millis::try_from(at.as_millisecond() - BEGINNING * 1000).unwrap_or(0)
}

/// What happens at a moment.
pub(crate) enum Happening {
    /// A future's wait is over.
    Wake(Waker),
    /// A request whose sender has given up on it arrives after all.
    Late(Box<dyn FnOnce(&mut World) + Send>),
    /// A task of ECS goes on.
    Task(usize, Step),
    /// An action of CodePipeline goes on.
    Action(usize, codepipeline::Step),
    /// An instance of EC2 goes on.
    Instance(usize, instances::Step),
    /// A Lambda function is invoked.
    Invoke(Invoke),
    /// Lambda ends an invocation that took too long.
    TimeOut(u64),
    /// The weather turns bad for a while, or good again.
    Weather(Spell, bool),
    /// A service denies an operation from now on, or not any more.
    Denial(&'static str, bool),
    /// Somebody imitates an agent, or makes up events.
    Attack,
    /// The Spot capacity of all tasks is taken back at once.
    MassReclaim,
    /// The minute of the sweep's schedule.
    Minute,
    /// The faults stop.
    Calm,
    /// Everything that must hold over time is looked at.
    Inspect,
}

/// An invocation of a Lambda function.
#[derive(Clone)]
pub(crate) struct Invoke {
    pub(crate) job: Job,
    /// How often it was tried before.
    pub(crate) tries: u32,
}

/// What a Lambda function is invoked for.
#[derive(Clone)]
pub(crate) enum Job {
    Push(Arc<Push>),
    Agent(AttemptId, Box<Observation>),
    /// An event of CodeBuild or Step Functions that does not tell whose agent it is about; here it does, for the story.
    Unnamed(AttemptId, AgentId),
    /// Somebody invokes a function with an event that no service has sent, or with one about a task that only imitates an agent.
    Forged(Arc<Forged>),
    /// Somebody cancels a run, or one job of it.
    Cancel(RunId, Option<JobName>),
    /// Somebody asks for a run.
    Request(Arc<Request>),
    /// EC2 tells something about an instance.
    Instance(Notice),
    /// CloudWatch tells of a transition of an alarm, in one of its forms.
    Alarm(Box<Form>),
    /// Somebody asks for backups, or AWS Backup tells of a job.
    Backup(Arc<backups::Input>),
    /// CodePipeline has a job of an action.
    Pipeline(Arc<PipelineJob>),
    /// Another function asks for records to be processed.
    WakeUp(Performer, Vec<Key>),
    /// Timers of records have gone off.
    Timed(Vec<Key>),
    Sweep,
}

impl Job {
    pub(crate) fn function(&self) -> &'static str {
        match self {
            Self::Push(_) => "push",
            Self::Agent(..) => "task-state",
            Self::Unnamed(..) => "build-state",
            Self::Forged(forged) => forged.function(),
            Self::Cancel(..) | Self::Request(_) => "control",
            Self::Instance(_) => "spot-interruption",
            Self::Alarm(_) => "alarm",
            Self::Backup(_) => "backup",
            Self::Pipeline(_) => "pipeline",
            Self::WakeUp(performer, _) => performer.name(),
            Self::Timed(_) | Self::Sweep => "sweep",
        }
    }
}

/// What a step concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    World,
    Run(RunId),
    Build(BuildId),
}

impl From<&BuildId> for Subject {
    fn from(id: &BuildId) -> Self {
        Self::Build(id.clone())
    }
}

impl From<&RunId> for Subject {
    fn from(id: &RunId) -> Self {
        Self::Run(id.clone())
    }
}

/// Who does something at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Nature,
    Invocation(&'static str, u64),
}

impl Who {
    /// The function that is at work, or the world.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Nature => "world",
            Self::Invocation(function, _) => function,
        }
    }
}

struct Entry {
    at: Millis,
    order: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// One step of the story, kept only where somebody wants to read it.
struct Line {
    at: Millis,
    who: Who,
    about: Subject,
    text: String,
}

pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) rng: fastrand::Rng,
    /// Other dice, for what only some worlds have in store.
    pub(crate) dice: fastrand::Rng,
    /// And others, for what is asked of the suite beside pushes.
    pub(crate) asks: fastrand::Rng,
    pub(crate) seed: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    order: u64,
    /// Who is at work.
    pub(crate) who: Who,
    /// How many points of waiting the invocation at work has still to pass before it dies, if it is to die.
    pub(crate) dies_in: Option<u32>,
    /// The invocation at work has died; its future is about to be dropped, and nothing of it goes on.
    pub(crate) dead: bool,
    /// The faults have stopped.
    pub(crate) calm_since: Option<Millis>,
    /// Every fault is a chosen one.
    pub(crate) script: Option<Script>,
    pub(crate) hostility: Hostility,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) tables: Tables,
    pub(crate) ecs: Ecs,
    pub(crate) bucket: Bucket,
    pub(crate) repository: Repository,
    pub(crate) codepipeline: CodePipeline,
    pub(crate) requests: Requests,
    /// With dice of their own.
    pub(crate) instances: Instances,
    /// With dice of their own.
    pub(crate) alarms: Alarms,
    /// With dice of their own.
    pub(crate) backups: Backups,
    /// With dice of their own.
    pub(crate) denials: Denials,
    /// With dice of their own.
    pub(crate) environments: Environments,
    /// With dice of its own.
    pub(crate) attacker: Attacker,
    pub(crate) checks: Checks,
    pub(crate) statistics: Statistics,
    /// Events and pushes on their way to a function, and invocations that will be tried again.
    pub(crate) on_the_way: u32,
    /// What was given up on, to be handed back once the faults have stopped.
    pub(crate) dead_letters: Vec<Job>,
    pub(crate) violation: Option<Violation>,
    pub(crate) spells: BTreeSet<Spell>,
    /// Everything has come to rest.
    pub(crate) ended: bool,
    digest: u64,
    tells: bool,
    lines: Vec<Line>,
}

impl World {
    pub(crate) fn new(options: &Options, tells: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(options.seed);
        let hostility = Hostility::draw(&mut rng, options.hostility);
        let mut dice = fastrand::Rng::with_seed(!options.seed);
        let repository = Repository::new(&mut dice);
        let asks = fastrand::Rng::with_seed(options.seed.rotate_left(32) ^ 0x6173_6b73);
        Self {
            now: 0,
            rng,
            dice,
            asks,
            seed: options.seed,
            queue: BinaryHeap::new(),
            order: 0,
            who: Who::Nature,
            dies_in: None,
            dead: false,
            calm_since: None,
            script: None,
            hostility,
            mutant: options.mutant,
            tables: Tables::default(),
            ecs: Ecs::default(),
            bucket: Bucket::default(),
            repository,
            codepipeline: CodePipeline::default(),
            requests: Requests::default(),
            instances: Instances::new(options.seed),
            alarms: Alarms::new(options.seed),
            backups: Backups::new(options.seed),
            denials: Denials::new(options.seed),
            environments: Environments::new(options.seed),
            attacker: Attacker::new(options.seed),
            checks: Checks::default(),
            statistics: Statistics::default(),
            on_the_way: 0,
            dead_letters: Vec::new(),
            violation: None,
            spells: BTreeSet::new(),
            ended: false,
            digest: 0xcbf2_9ce4_8422_2325,
            tells,
            lines: Vec::new(),
        }
    }

    pub(crate) fn calm(&self) -> bool {
        self.calm_since.is_some()
    }

    pub(crate) fn spell(&self, spell: Spell) -> bool {
        self.spells.contains(&spell)
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn schedule(&mut self, at: Millis, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Entry {
            at: at.max(self.now),
            order: self.order,
            what,
        }));
    }

    pub(crate) fn schedule_in(&mut self, wait: Millis, what: Happening) {
        self.schedule(self.now + wait, what);
    }

    /// Goes to the next moment at which something happens.
    pub(crate) fn advance(&mut self) -> Option<Happening> {
        let Reverse(entry) = self.queue.pop()?;
        self.now = entry.at;
        self.who = Who::Nature;
        self.statistics.virtual_seconds = self.now / SECOND;
        Some(entry.what)
    }

    /// Whether something happens that does so in this share (0 to 1) of all cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.f64() < share
    }

    /// A number between two, small ones as likely as large ones.
    pub(crate) fn between_log(&mut self, low: Millis, high: Millis) -> Millis {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "waits of at most hours"
        )]
        let drawn = ((low.max(1) as f64).ln() + self.rng.f64() * ((high.max(1) as f64) / (low.max(1) as f64)).ln()).exp() as Millis;
        drawn.clamp(low, high)
    }

    /// Takes note of a step. What it is goes into the digest; the words for it are only made where somebody wants to read them.
    pub(crate) fn note(&mut self, what: &'static str, about: impl Into<Subject>, text: impl FnOnce() -> String) {
        // FNV-1a.
        let who = match self.who {
            Who::Nature => 0,
            Who::Invocation(_, number) => number,
        };
        for byte in what.bytes().chain(self.now.to_le_bytes()).chain(who.to_le_bytes()) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.statistics.steps += 1;
        if self.tells {
            let detail = text();
            let text = if detail.is_empty() {
                what.to_owned()
            } else {
                format!("{what}: {detail}")
            };
            self.lines.push(Line {
                at: self.now,
                who: self.who,
                about: about.into(),
                text,
            });
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Something that must hold does not.
    pub(crate) fn violated(&mut self, invariant: &'static str, about: &Subject, message: String) {
        if self.violation.is_some() {
            return;
        }
        self.note("violated", about.clone(), || format!("{invariant}: {message}"));
        self.violation = Some(Violation {
            invariant,
            message,
            seed: self.seed,
            about: match about {
                Subject::World => None,
                Subject::Run(id) => Some(id.to_string()),
                Subject::Build(id) => Some(id.to_string()),
            },
            at: std::time::Duration::from_millis(self.now),
            trace: self.story(about),
        });
    }

    /// The last steps that concern something: a build with its run, a run with its builds.
    fn story(&self, about: &Subject) -> Vec<String> {
        const LAST: usize = 400;
        let concerns = |line: &&Line| match (about, &line.about) {
            (Subject::World, _) => true,
            (_, Subject::World) => line.who == Who::Nature && !line.is_passing(),
            (Subject::Run(run), Subject::Run(other)) => run == other,
            (Subject::Run(run), Subject::Build(build)) => *run == build.run,
            (Subject::Build(build), Subject::Run(run)) => build.run == *run,
            (Subject::Build(build), Subject::Build(other)) => build == other,
        };
        let mut lines: Vec<String> = self.lines.iter().rev().filter(concerns).take(LAST).map(Line::to_string).collect();
        lines.reverse();
        lines
    }
}

impl Line {
    /// It says nothing by itself about what it does not concern.
    fn is_passing(&self) -> bool {
        ["weather", "delayed request arrives", "published", "no sweep"]
            .iter()
            .any(|word| self.text.starts_with(word))
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (hours, minutes, seconds) = (self.at / HOUR, self.at / MINUTE % 60, self.at / SECOND % 60);
        let who = match self.who {
            Who::Nature => "world".to_owned(),
            Who::Invocation(function, number) => format!("{function}#{number}"),
        };
        write!(
            f,
            "{hours:02}:{minutes:02}:{seconds:02}.{:03} {who:>16}  {}",
            self.at % SECOND,
            self.text
        )
    }
}
