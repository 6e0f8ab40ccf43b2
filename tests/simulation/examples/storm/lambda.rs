//! Lambda: how many invocations there are at once, how long each may take, and how often it is tried.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bellhop_domain::build::BuildEvent;
use bellhop_domain::ids::BuildId;
use bellhop_domain::record::Key;
use bellhop_domain::run::trigger::Push;
use bellhop_engine::{Engine, Fault, Recent};
use tokio::sync::Semaphore;

use crate::cloud::Cloud;

/// How many invocations an account may have at once.
const CONCURRENCY: usize = 1000;
/// How many readers the timer queue has, how many messages each takes at a time, and how long it waits for one, as in infra/template.yaml.
const READERS: usize = 5;
const BATCH: usize = 10;
const RECEIVE: Duration = Duration::from_millis(50);
/// What an invocation takes beside its requests.
const OWN: Duration = Duration::from_millis(3);
/// After which times an invocation that failed is tried again.
const AGAIN: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// What a function is invoked for.
#[derive(Clone)]
pub(crate) enum Event {
    Agent(BuildId, BuildEvent),
    Push(Push),
    Sweep,
    /// Timers have gone off.
    Timed(Vec<Key>),
}

/// The sweep's times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SweepTimes {
    pub(crate) timeout: Duration,
    /// What it keeps of that for finishing what was begun.
    pub(crate) reserve: Duration,
}

/// What came of all invocations.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Billed {
    pub(crate) invocations: u64,
    pub(crate) errors: u64,
    /// What is paid for, in milliseconds.
    pub(crate) ms: u128,
    /// Of that, the sweep's.
    pub(crate) sweep_ms: u128,
    /// The most that there were at once.
    pub(crate) most_at_once: usize,
}

pub(crate) struct Lambda {
    cloud: Arc<Cloud>,
    places: Semaphore,
    sweep: SweepTimes,
    billed: RefCell<Billed>,
    at_once: Cell<usize>,
    /// What the idle execution environments of each function remember; an event goes to the one that was busy last.
    idle: RefCell<[Vec<Arc<Recent>>; 3]>,
}

impl Lambda {
    pub(crate) fn new(cloud: &Arc<Cloud>, sweep: SweepTimes) -> Rc<Self> {
        Rc::new(Self {
            cloud: cloud.clone(),
            places: Semaphore::new(CONCURRENCY),
            sweep,
            billed: RefCell::default(),
            at_once: Cell::new(0),
            idle: RefCell::default(),
        })
    }

    pub(crate) fn billed(&self) -> Billed {
        *self.billed.borrow()
    }

    pub(crate) fn forget(&self) {
        *self.billed.borrow_mut() = Billed::default();
    }

    /// Invokes a function asynchronously: the event waits for a place, and is tried up to three times.
    pub(crate) fn invoke(self: &Rc<Self>, event: Event) {
        let lambda = self.clone();
        tokio::task::spawn_local(async move {
            let mut again = AGAIN.iter();
            while lambda.once(&event).await.is_err() {
                let Some(wait) = again.next().filter(|_| !matches!(event, Event::Sweep)) else {
                    return;
                };
                tokio::time::sleep(*wait).await;
            }
        });
    }

    /// Delivers the messages of the timer queue, as Lambda does: a few readers, each of which invokes the function with what there is and waits for it.
    pub(crate) fn reads_timers(self: &Rc<Self>) {
        for _ in 0..READERS {
            let lambda = self.clone();
            tokio::task::spawn_local(async move {
                loop {
                    let keys = lambda.cloud.timers(BATCH);
                    if keys.is_empty() {
                        tokio::time::sleep(RECEIVE).await;
                    } else {
                        // A batch that failed comes back after minutes, when it is worth nothing.
                        let _ = lambda.once(&Event::Timed(keys)).await;
                    }
                }
            });
        }
    }

    /// One invocation, and whether it ended well.
    pub(crate) async fn once(&self, event: &Event) -> Result<(), Fault> {
        let Ok(_place) = self.places.acquire().await else {
            return Err(Fault::transient("Lambda is gone"));
        };
        let at_once = self.at_once.get() + 1;
        self.at_once.set(at_once);
        let begun = self.cloud.now();
        let limit = match event {
            Event::Agent(..) => Duration::from_secs(30),
            Event::Push(_) => Duration::from_secs(60),
            Event::Sweep | Event::Timed(_) => self.sweep.timeout,
        };
        let function = match event {
            Event::Agent(..) => 0,
            Event::Push(_) => 1,
            Event::Sweep | Event::Timed(_) => 2,
        };
        let recent = self.idle.borrow_mut().get_mut(function).and_then(Vec::pop).unwrap_or_default();
        let result = tokio::time::timeout(limit, self.work(event, recent.clone())).await;
        if let Some(idle) = self.idle.borrow_mut().get_mut(function) {
            idle.push(recent);
        }
        self.at_once.set(self.at_once.get() - 1);
        let ms = (self.cloud.now() - begun).as_millis() + 1;
        let mut billed = self.billed.borrow_mut();
        billed.most_at_once = billed.most_at_once.max(at_once);
        billed.invocations += 1;
        billed.ms += ms;
        billed.sweep_ms += if matches!(event, Event::Sweep | Event::Timed(_)) { ms } else { 0 };
        let result = result.unwrap_or_else(|_| Err(Fault::transient("the invocation took too long")));
        billed.errors += u64::from(result.is_err());
        result
    }

    async fn work(&self, event: &Event, recent: Arc<Recent>) -> Result<(), Fault> {
        let engine = Engine {
            recent,
            ..self.cloud.engine()
        };
        let begun = engine.clock.now();
        tokio::time::sleep(OWN).await;
        match event {
            Event::Agent(build, event) => engine.build(build, event.clone()).await.map(|_| ()),
            Event::Push(push) => self.cloud.starter(engine).push(push).await.map(|_| ()),
            Event::Sweep => {
                let until = begun.checked_add(self.sweep.timeout.saturating_sub(self.sweep.reserve));
                engine.sweep(until.unwrap_or(begun)).await.map(|_| ())
            }
            Event::Timed(keys) => {
                let until = begun.checked_add(self.sweep.timeout.saturating_sub(self.sweep.reserve));
                engine.timed(keys.clone(), until.unwrap_or(begun)).await.map(|_| ())
            }
        }
    }
}
