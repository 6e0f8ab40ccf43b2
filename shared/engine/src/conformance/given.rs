//! The records and queries of the properties.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::decision::Decision;
use bellhop_domain::executor::{EcsExecutor, Executor, Script};
use bellhop_domain::ids::{BuildId, PoolName, RepositoryName, RunId};
use bellhop_domain::inputs::Inputs;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::queue::line::Waiting;
use bellhop_domain::queue::pool::{Pool, PoolChange};
use bellhop_domain::record::{Decides as _, Step};
use bellhop_domain::run::branch::{Branch, BranchEvent, Pushed};
use bellhop_domain::run::trigger::Push;
use bellhop_domain::run::{Run, RunEvent};
use bellhop_domain::spec::{Bearing, BuildSpec, Relaunch, RetryPolicy, Successes};
use jiff::Timestamp;

use crate::ports::{Item, Key, Lane, Ledger, Text};
use crate::records::Versioned;

/// How long an index may lag behind the table.
const SETTLE: Duration = Duration::from_secs(10);
/// More records than are due in any table of this suite.
pub(super) const EVERYTHING: usize = 10_000;

/// The records of a property: a run in a repository of its own.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) run: RunId,
    pub(super) repository: RepositoryName,
    pub(super) created: Timestamp,
}

impl Given {
    pub(super) fn new() -> Self {
        Self {
            run: random_run(),
            repository: format!("conformance-{:016x}", fastrand::u64(..)).parse().unwrap(),
            created: now(),
        }
    }

    pub(super) fn after(&self, seconds: u64) -> Timestamp {
        later(self.created, Duration::from_secs(seconds))
    }

    /// A new pool with one slot and no builds.
    pub(super) fn pool(&self) -> Pool {
        Pool::new(self.pool_named("a"), self.created)
    }

    pub(super) fn pool_named(&self, suffix: &str) -> PoolName {
        format!("{}-{suffix}", self.repository).parse().unwrap()
    }

    /// A build in line, since so many seconds.
    pub(super) fn waiting(&self, pool: &PoolName, job: &str, seconds: u64) -> Waiting {
        let BuildSpec { id, repository, .. } = self.spec(job);
        Waiting {
            pool: pool.clone(),
            repository,
            since: self.after(seconds),
            build: id,
            turn: 0,
        }
    }

    /// A branch with one run and no effects.
    pub(super) fn branch(&self, reference: &str) -> Branch {
        self.entered(&Branch::new(self.repository.clone(), reference.parse().unwrap()), 0)
    }

    /// A record of some kind, with a text that no kind has.
    pub(super) fn item(&self, kind: &str, name: &str, due: Option<Timestamp>) -> Item {
        Item {
            key: Key::new(format!("{kind}#{}/{name}", self.run), kind),
            text: format!("{{\"kind\":\"{kind}\"}}"),
            due: due.map(|at| (Lane::Rest, at)),
            expires: None,
            listed: None,
            status: None,
        }
    }

    /// The branch after another run has entered it.
    pub(super) fn entered(&self, branch: &Branch, second: u64) -> Branch {
        let pushed = Pushed {
            run: random_run(),
            at: self.after(second),
            commit: self.push().commit,
            previous: None,
        };
        match branch.decide(&BranchEvent::Entered(pushed), self.created) {
            Decision::Next(next) => *next,
            Decision::Ignored(_) => branch.clone(),
        }
    }

    fn push(&self) -> Push {
        Push {
            trigger: format!("conformance-{}", self.run),
            repository: self.repository.clone(),
            reference: "refs/heads/main".parse().unwrap(),
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            previous: None,
            at: None,
            by: None,
        }
    }

    /// A run of blocked builds, in which nothing is due.
    pub(super) fn run(&self, jobs: &[&str]) -> (Run, Vec<Build>) {
        let specs = jobs.iter().map(|job| self.spec(job)).collect();
        Run::create(self.run.clone(), &self.push(), specs, true, self.created)
    }

    /// The same with scripts of this many bytes.
    pub(super) fn run_of_large(&self, count: usize, script: usize) -> (Run, Vec<Build>) {
        let specs = (0..count).map(|index| BuildSpec {
            script: Script::Inline("x".repeat(script)),
            ..self.spec(&format!("job-{index}"))
        });
        Run::create(self.run.clone(), &self.push(), specs.collect(), true, self.created)
    }

    pub(super) fn run_of(&self, count: usize) -> (Run, Vec<Build>) {
        let jobs: Vec<String> = (0..count).map(|index| format!("job-{index}")).collect();
        self.run(&jobs.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A run with a pending effect, which is due [`PERFORM_WITHIN`] after its creation.
    pub(super) fn rejected(&self, created: Timestamp) -> Run {
        Run::rejected(self.run.clone(), &self.push(), "no".to_owned(), created)
    }

    fn spec(&self, job: &str) -> BuildSpec {
        let Push {
            repository,
            reference,
            commit,
            ..
        } = self.push();
        BuildSpec {
            id: BuildId {
                run: self.run.clone(),
                job: job.parse().unwrap(),
            },
            repository,
            reference,
            commit,
            agent: "small".parse().unwrap(),
            executor: Executor::Ecs(EcsExecutor {
                spot_cluster: Some("ci-spot".to_owned()),
                on_demand_cluster: "ci-main".to_owned(),
                task_definition: "bellhop-agent-small".to_owned(),
                container: "agent".to_owned(),
                subnets: vec!["subnet-0a".to_owned()],
                security_groups: Vec::new(),
                assign_public_ip: false,
                providers: None,
                logs: None,
            }),
            script: Script::Inline("make test\n# größer: 日本語 \" \\ \u{1f642}".to_owned()),
            environment: BTreeMap::from([("EMPTY".to_owned(), String::new())]),
            secrets: BTreeMap::new(),
            critical: false,
            timeout: Duration::from_secs(5400),
            queue_timeout: Duration::from_secs(90),
            relaunch: Relaunch::Stopped,
            retry: RetryPolicy::default(),
            // A job that the run does not have: nothing ever releases the build.
            needs: vec!["never".parse().unwrap()],
            successes: Successes::Changes,
            artifacts: Vec::new(),
            images: Vec::new(),
            inputs: Inputs::default(),
            limit: None,
            lock: None,
            pausable: false,
            role: None,
            bearing: Bearing::default(),
        }
    }
}

/// The current time, with the precision of every ledger.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

pub(super) fn random_run() -> RunId {
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    let id: String = (0..10).map(|_| char::from(alphabet[fastrand::usize(..alphabet.len())])).collect();
    id.parse().unwrap()
}

pub(super) fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap()
}

pub(super) fn versioned<T: Clone>(version: u64, record: &T) -> Versioned<T> {
    let record = record.clone();
    Versioned { version, record }
}

/// A record of some kind as it is read.
pub(super) fn text(version: u64, item: &Item) -> Text {
    Text {
        key: item.key.clone(),
        version,
        text: item.text.clone(),
    }
}

pub(super) async fn read_run(ledger: &dyn Ledger, id: &RunId) -> Versioned<Run> {
    ledger.load::<Run>(id).await.unwrap().unwrap()
}

pub(super) async fn read_build(ledger: &dyn Ledger, id: &BuildId) -> Versioned<Build> {
    ledger.load::<Build>(id).await.unwrap().unwrap()
}

pub(super) fn by_id(builds: Vec<Versioned<Build>>) -> BTreeMap<BuildId, (u64, Build)> {
    let count = builds.len();
    let map: BTreeMap<_, _> = builds
        .into_iter()
        .map(|build| (build.record.spec.id.clone(), (build.version, build.record)))
        .collect();
    assert_eq!(map.len(), count, "a build is there twice");
    map
}

pub(super) fn decide(build: &Build, event: &BuildEvent, now: Timestamp) -> Build {
    let decision = build.decide(event, now);
    assert!(matches!(decision, Decision::Next(_)), "{event:?}: {decision:?}");
    match decision {
        Decision::Next(next) => *next,
        Decision::Ignored(_) => build.clone(),
    }
}

/// The pool, with one slot, after another build has requested one, or has queued up for it.
pub(super) fn ask(pool: &Pool, given: &Given, job: &str) -> Pool {
    let (limit, again) = (1, false);
    let waiting = given.waiting(&pool.name, job, 0);
    let acquire = PoolChange::Acquire { waiting, limit, again };
    let decide = |change: PoolChange| pool.decide(&change.into(), given.created);
    match (decide(acquire), decide(PoolChange::Queued { limit })) {
        (Decision::Next(next), _) | (_, Decision::Next(next)) => *next,
        _ => pool.clone(),
    }
}

pub(super) fn skip(build: &Build) -> Build {
    let because = "never".parse().unwrap();
    decide(build, &BuildEvent::Skipped { because }, build.created)
}

pub(super) fn cancelled(run: &Run) -> Run {
    let event = RunEvent::Cancel {
        job: None,
        outcome: Outcome::Cancelled,
        cause: "cancelled by hand".to_owned(),
    };
    match run.decide(&event, run.created) {
        Decision::Next(next) => *next,
        Decision::Ignored(_) => run.clone(),
    }
}

/// The run after all its effects were performed.
pub(super) fn performed(run: &Run) -> Run {
    let mut run = run.clone();
    while let Some(pending) = run.outbox.pending().first() {
        let decision = run.take(&Step::Performed(pending.id), run.created);
        match decision {
            Decision::Next(next) => run = *next,
            Decision::Ignored(_) => break,
        }
    }
    assert_eq!(run.due(), None);
    run
}

pub(super) fn only(mine: &BTreeSet<Key>, due: Vec<(Timestamp, Key)>) -> Vec<Key> {
    due.into_iter().map(|(_, item)| item).filter(|item| mine.contains(item)).collect()
}

/// Repeats a query until it returns the expected result, or the time is up.
pub(super) async fn eventually<T, F>(ask: impl Fn() -> F, expected: &T)
where
    T: PartialEq + std::fmt::Debug,
    F: Future<Output = T>,
{
    let pause = Duration::from_millis(200);
    let mut waited = Duration::ZERO;
    loop {
        let answer = ask().await;
        if answer == *expected || waited >= SETTLE {
            assert_eq!(answer, *expected, "after {waited:?}");
            return;
        }
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}
