//! DynamoDB: versions, conditional writes, and an index of what is due that lags a little behind.

use std::collections::BTreeMap;

use bellhop_domain::build::Build;
use bellhop_domain::ids::{BuildId, PoolName, Reference, RepositoryName, RunId};
use bellhop_domain::queue::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_domain::run::branch::Branch;
use bellhop_engine::ports::{Created, Item, Key, Lane, Text, Written};
use bellhop_engine::records::Stored as _;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checks;
use crate::line::InLine;
use crate::mutant::{self, Mutant};
use crate::world::{Millis, Subject, World, timestamp};

/// A record, and its entries in the index of what is due with the moments from which on they can be read there.
pub(crate) struct Stored<T> {
    pub(crate) version: u64,
    pub(crate) record: T,
    index: Vec<(Millis, Option<(Lane, Timestamp)>)>,
}

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) runs: BTreeMap<RunId, Stored<Run>>,
    pub(crate) builds: BTreeMap<BuildId, Stored<Build>>,
    pub(crate) pools: BTreeMap<PoolName, Stored<Pool>>,
    pub(crate) branches: BTreeMap<(RepositoryName, Reference), Stored<Branch>>,
    /// Builds in line for a place.
    pub(crate) line: BTreeMap<Key, InLine>,
    /// All other kinds, as the ledger keeps them.
    pub(crate) documents: BTreeMap<Key, Stored<Item>>,
}

impl<T: Clone> Stored<T> {
    fn new(record: T) -> Self {
        Self {
            version: 1,
            record,
            index: Vec::new(),
        }
    }

    fn index(&mut self, visible: Millis, due: Option<(Lane, Timestamp)>) {
        // The index never shows an older state after a newer one.
        let visible = self.index.last().map_or(visible, |(last, ..)| visible.max(*last));
        if self.index.len() > 8 {
            self.index.remove(0);
        }
        self.index.push((visible, due));
    }

    /// When it was written, or when the index shows that.
    pub(crate) fn written(&self) -> Millis {
        self.index.last().map_or(0, |(visible, _)| *visible)
    }

    fn indexed(&self, lane: Lane, now: Millis) -> Option<Timestamp> {
        self.index
            .iter()
            .rev()
            .find(|(visible, ..)| *visible <= now)
            .and_then(|(_, due)| due.filter(|(of, _)| *of == lane))
            .map(|(_, at)| at)
    }
}

impl World {
    fn lag(&mut self) -> Millis {
        let most = if self.calm() { 0 } else { self.hostility.index_lag };
        self.rng.u64(0..=most)
    }

    /// A record as it is read.
    pub(crate) fn read(&self, key: &Key) -> Option<Text> {
        let tables = &self.tables;
        let (version, text) = match parts(key) {
            Parts::Run(id) => {
                let stored = tables.runs.get(&id)?;
                let mut run = stored.record.clone();
                mutant::read_run(self, &mut run);
                (stored.version, json(&run))
            }
            Parts::Build(id) => {
                let stored = tables.builds.get(&id)?;
                let mut build = stored.record.clone();
                mutant::read_build(self, &mut build);
                (stored.version, json(&build))
            }
            Parts::Pool(agent) => {
                let stored = tables.pools.get(&agent)?;
                (stored.version, json(&stored.record))
            }
            Parts::Branch(repository, reference) => {
                let stored = tables.branches.get(&(repository, reference))?;
                (stored.version, json(&stored.record))
            }
            Parts::Waiting => return tables.line.get(key).map(|in_line| in_line.read(key)),
            Parts::Other => {
                let stored = tables.documents.get(key)?;
                (stored.version, mutant::read_document(self, key, &stored.record.text))
            }
        };
        Some(Text {
            key: key.clone(),
            version,
            text,
        })
    }

    /// Writes a record, if its version is the expected one; version 0 means that there is none.
    pub(crate) fn write(&mut self, expected: u64, item: &Item) -> Written {
        let created = |created| match created {
            Created::New => Written::Stored(1),
            Created::AlreadyExists => Written::Conflict,
        };
        match parts(&item.key) {
            Parts::Run(_) if expected == 0 => created(self.create_run(&self.run_of(item))),
            Parts::Run(_) => self.write_run(expected, &self.run_of(item)),
            Parts::Build(_) if expected == 0 => created(self.create_build(&record(item))),
            Parts::Build(_) => self.write_build(expected, &record(item)),
            Parts::Pool(_) => self.write_pool(expected, &record(item)),
            Parts::Branch(..) => self.write_branch(expected, &record(item)),
            Parts::Waiting => self.queue_up(expected, &item.key, record(item)),
            Parts::Other => self.write_document(expected, item),
        }
    }

    /// Creates a run and its builds together, unless one of them is there.
    pub(crate) fn create(&mut self, items: &[Item]) -> Created {
        let exists = items.iter().any(|item| match parts(&item.key) {
            Parts::Run(id) => self.tables.runs.contains_key(&id),
            Parts::Build(id) => self.tables.builds.contains_key(&id),
            _ => self.tables.documents.contains_key(&item.key),
        });
        if exists {
            return Created::AlreadyExists;
        }
        // The run last, as a large one is created.
        let (runs, others): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| matches!(parts(&item.key), Parts::Run(_)));
        for item in others.into_iter().chain(runs) {
            self.write(0, item);
        }
        Created::New
    }

    /// The records of a partition whose sort keys begin so.
    pub(crate) fn in_partition(&self, partition: &str, beginning: &str) -> Vec<Text> {
        let tables = &self.tables;
        let runs = tables.runs.values().map(|stored| stored.record.key());
        let builds = tables.builds.values().map(|stored| stored.record.key());
        let all = runs.chain(builds).chain(tables.documents.keys().cloned());
        let inside = |key: &Key| key.partition == partition && key.sort.starts_with(beginning);
        let keys: Vec<Key> = all.filter(inside).collect();
        keys.iter().filter_map(|key| self.read(key)).collect()
    }

    /// The run that an item is the record of. Its plan, if it is kept apart, was written before.
    fn run_of(&self, item: &Item) -> Run {
        let plan = Key::new(
            item.key.partition.clone(),
            <Run as bellhop_engine::records::Stored>::FROZEN.unwrap_or_default(),
        );
        let plan = self.tables.documents.get(&plan).map(|stored| stored.record.text.as_str());
        Run::from_parts(&item.text, plan).expect("the engine writes records that it can read")
    }

    /// Creates a build, if it is not there.
    fn create_build(&mut self, build: &Build) -> Created {
        let id = &build.spec.id;
        if self.tables.builds.contains_key(id) {
            return Created::AlreadyExists;
        }
        let mut build = build.clone();
        mutant::before_write_of_build(self, &mut build);
        checks::build_written(self, None, &build);
        let (visible, due) = (self.now + self.lag(), build.due_in_lane());
        self.note("build created", id, || format!("{} due {due:?}", describe(&build)));
        let mut stored = Stored::new(build);
        stored.index(visible, due);
        self.tables.builds.insert(id.clone(), stored);
        self.statistics.builds += 1;
        Created::New
    }

    /// Creates a run, if it is not there.
    fn create_run(&mut self, run: &Run) -> Created {
        if self.tables.runs.contains_key(&run.id) {
            return Created::AlreadyExists;
        }
        let mut run = run.clone();
        mutant::before_write_of_run(self, &mut run);
        checks::run_written(self, None, &run);
        let (visible, due) = (self.now + self.lag(), run.due_in_lane());
        self.note("run created", &run.id, || format!("{} of {}", run.status(), run.commit.short()));
        let id = run.id.clone();
        let mut stored = Stored::new(run);
        stored.index(visible, due);
        self.tables.runs.insert(id, stored);
        self.statistics.runs += 1;
        Created::New
    }

    fn write_build(&mut self, expected: u64, next: &Build) -> Written {
        let id = next.spec.id.clone();
        if self.is_overtaken() {
            rewritten(&mut self.tables.builds, &id);
        }
        let Some(version) = self.tables.builds.get(&id).map(|stored| stored.version) else {
            return Written::Conflict;
        };
        if version != expected && !self.is(Mutant::CONFLICTS_IGNORED) {
            self.statistics.conflicts += 1;
            self.note("conflict", &id, || format!("version {version}, expected {expected}"));
            return Written::Conflict;
        }
        let mut next = next.clone();
        mutant::before_write_of_build(self, &mut next);
        let previous = self.tables.builds.get(&id).map(|stored| stored.record.clone());
        checks::version_written(self, &(&id).into(), version, expected + 1);
        checks::build_written(self, previous.as_ref(), &next);
        let (visible, due) = (self.now + self.lag(), next.due_in_lane());
        self.note("build written", &id, || format!("v{} {}", expected + 1, describe(&next)));
        if let Some(stored) = self.tables.builds.get_mut(&id) {
            stored.version = expected + 1;
            stored.record = next;
            stored.index(visible, due);
        }
        Written::Stored(expected + 1)
    }

    fn write_run(&mut self, expected: u64, next: &Run) -> Written {
        let id = next.id.clone();
        if self.is_overtaken() {
            rewritten(&mut self.tables.runs, &id);
        }
        let Some(version) = self.tables.runs.get(&id).map(|stored| stored.version) else {
            return Written::Conflict;
        };
        if version != expected && !self.is(Mutant::CONFLICTS_IGNORED) {
            self.statistics.conflicts += 1;
            self.note("conflict", &id, || format!("version {version}, expected {expected}"));
            return Written::Conflict;
        }
        if mutant::drops_run_write(self, next) {
            return Written::Stored(expected + 1);
        }
        let mut next = next.clone();
        mutant::before_write_of_run(self, &mut next);
        let previous = self.tables.runs.get(&id).map(|stored| stored.record.clone());
        checks::version_written(self, &(&id).into(), version, expected + 1);
        checks::run_written(self, previous.as_ref(), &next);
        let (visible, due) = (self.now + self.lag(), next.due_in_lane());
        self.note("run written", &id, || {
            format!("v{} {}, pending {:?}", expected + 1, next.status(), effects(next.outbox.pending()))
        });
        if let Some(stored) = self.tables.runs.get_mut(&id) {
            stored.version = expected + 1;
            stored.record = next;
            stored.index(visible, due);
        }
        Written::Stored(expected + 1)
    }

    fn write_pool(&mut self, expected: u64, next: &Pool) -> Written {
        if mutant::drops_pool_write(self, next) {
            return Written::Stored(expected + 1);
        }
        let mut next = next.clone();
        mutant::before_write_of_pool(self, &mut next);
        let next = &next;
        if self.is_overtaken() {
            rewritten(&mut self.tables.pools, &next.name);
        }
        let previous = self.tables.pools.get(&next.name);
        if previous.map_or(0, |previous| previous.version) == expected {
            let previous = previous.map(|previous| previous.record.clone());
            checks::places_written(self, previous.as_ref(), next);
        }
        let (visible, due) = (self.now + self.lag(), next.due_in_lane());
        let key = next.name.clone();
        self.note("places written", Subject::World, || {
            format!(
                "{key}: {} of {} held, {}, pending {:?}",
                next.holders.len(),
                next.limit,
                if next.queued { "others may wait" } else { "nothing waits" },
                effects(next.outbox.pending())
            )
        });
        let written = put(&mut self.tables.pools, key, expected, next, (visible, due));
        self.statistics.conflicts += u64::from(written == Written::Conflict);
        written
    }

    fn write_branch(&mut self, expected: u64, next: &Branch) -> Written {
        let (visible, due) = (self.now + self.lag(), next.due_in_lane());
        let key = (next.repository.clone(), next.reference.clone());
        if self.is_overtaken() {
            rewritten(&mut self.tables.branches, &key);
        }
        let previous = self.tables.branches.get(&key);
        if previous.map_or(0, |previous| previous.version) == expected {
            let previous = previous.map(|previous| previous.record.clone());
            checks::branch_written(self, previous.as_ref(), next);
        }
        self.note("branch written", Subject::World, || {
            format!("{} of {}: {:?}", next.reference, next.repository, effects(next.outbox.pending()))
        });
        let written = put(&mut self.tables.branches, key, expected, next, (visible, due));
        self.statistics.conflicts += u64::from(written == Written::Conflict);
        written
    }

    fn write_document(&mut self, expected: u64, next: &Item) -> Written {
        let expected = match self.tables.documents.get(&next.key) {
            Some(stored) if mutant::overwrites(self, &next.key) => stored.version,
            _ => expected,
        };
        let next = &mutant::before_write_of_document(self, next);
        if self.is_overtaken() {
            rewritten(&mut self.tables.documents, &next.key);
        }
        let previous = self.tables.documents.get(&next.key);
        if previous.map_or(0, |previous| previous.version) == expected {
            let previous = previous.map(|previous| previous.record.clone());
            checks::backups::written(self, previous.as_ref(), next);
            checks::instances::written(self, previous.as_ref(), next);
            checks::launcher::written(self, previous.as_ref(), next);
            if !mutant::drops_document(self, next) {
                checks::alarms::written(self, previous.as_ref(), next);
            }
        }
        if mutant::drops_document(self, next) {
            return Written::Stored(expected + 1);
        }
        let index = (self.now + self.lag(), next.due);
        self.note("document written", Subject::World, || format!("{}: {}", next.key, next.text));
        let written = put(&mut self.tables.documents, next.key.clone(), expected, next, index);
        self.statistics.conflicts += u64::from(written == Written::Conflict);
        written
    }

    /// What the index says is due in a lane by a moment.
    pub(crate) fn due(&self, lane: Lane, by: Timestamp, limit: usize) -> Vec<(Timestamp, Key)> {
        fn of<'a, K: Ord + 'a, T: Clone + 'a>(
            table: &'a BTreeMap<K, Stored<T>>,
            (lane, now): (Lane, Millis),
            key: impl Fn(&T) -> Key + 'a,
        ) -> impl Iterator<Item = (Timestamp, Key)> + 'a {
            table
                .values()
                .filter_map(move |stored| Some((stored.indexed(lane, now)?, key(&stored.record))))
        }
        let (tables, at) = (&self.tables, (lane, self.now));
        let mut due: Vec<(Timestamp, Key)> = of(&tables.runs, at, Run::key)
            .chain(of(&tables.builds, at, Build::key))
            .chain(of(&tables.pools, at, Pool::key))
            .chain(of(&tables.branches, at, Branch::key))
            .chain(of(&tables.documents, at, |item| item.key.clone()))
            .filter(|(at, _)| *at <= by)
            .collect();
        due.sort();
        due.truncate(limit);
        due
    }

    /// Everything that is not at rest in the ledger.
    pub(crate) fn unrest(&self) -> Option<String> {
        let run = self.tables.runs.values().find(|run| run.record.due().is_some());
        let is_open = |build: &Build| build.due().is_some() && !build.only_keeps_lock();
        let build = self.tables.builds.values().find(|build| is_open(&build.record));
        match (run, build) {
            (_, Some(build)) => Some(format!(
                "build {} is due at {:?}, and it is {} now: {}",
                build.record.spec.id,
                build.record.due(),
                timestamp(self.now),
                describe(&build.record)
            )),
            (Some(run), None) => Some(format!("run {} is due at {:?}", run.record.id, run.record.due())),
            (None, None) => self.unrest_beside_builds(),
        }
    }

    fn unrest_beside_builds(&self) -> Option<String> {
        // A lock is kept as long as an agent may run that counts as lost.
        let keeps = |id: &BuildId| self.tables.builds.get(id).is_some_and(|build| build.record.only_keeps_lock());
        let is_kept = |pool: &Pool| !pool.holders.is_empty() && pool.holders.keys().all(keeps) && pool.outbox.pending().is_empty();
        let is_open = |pool: &Pool| (pool.due().is_some() || !pool.holders.is_empty()) && !is_kept(pool);
        let pool = self.tables.pools.values().find(|pool| is_open(&pool.record));
        let branch = self.tables.branches.values().find(|branch| branch.record.due().is_some());
        let document = self.tables.documents.values().find(|document| document.record.due.is_some());
        match (pool, branch, document) {
            (Some(pool), _, _) => Some(format!("places are not at rest: {:?}", pool.record)),
            (None, Some(branch), _) => Some(format!("a branch is not at rest: {:?}", branch.record)),
            (None, None, Some(document)) => Some(format!("a document is not at rest: {:?}", document.record)),
            (None, None, None) => None,
        }
    }
}

/// What a key names.
enum Parts {
    Run(RunId),
    Build(BuildId),
    Pool(PoolName),
    Branch(RepositoryName, Reference),
    Waiting,
    Other,
}

fn parts(key: &Key) -> Parts {
    let name = key.name();
    let build = || key.sort.strip_prefix("BUILD#").map(|job| format!("{name}/{job}"));
    let branch = || key.sort.strip_prefix("BRANCH#");
    match key.sort.as_str() {
        "RUN" => Parts::Run(name.parse().expect("a run's id")),
        "POOL" => Parts::Pool(name.parse().expect("an agent's name")),
        _ if key.partition.starts_with("WAITING#") => Parts::Waiting,
        _ => match (build(), branch()) {
            (Some(id), _) => Parts::Build(id.parse().expect("a build's id")),
            (_, Some(reference)) => Parts::Branch(name.parse().expect("a repository"), reference.parse().expect("a reference")),
            _ => Parts::Other,
        },
    }
}

pub(crate) fn json<T: Serialize>(record: &T) -> String {
    serde_json::to_string(record).expect("records are JSON")
}

fn record<T: DeserializeOwned>(item: &Item) -> T {
    serde_json::from_str(&item.text).expect("a record of its kind")
}

/// Somebody writes a record as it is.
fn rewritten<K: Ord, T>(table: &mut BTreeMap<K, Stored<T>>, key: &K) {
    if let Some(stored) = table.get_mut(key) {
        stored.version += 1;
    }
}

/// Replaces a record, or creates it where version 0 is expected.
fn put<K: Ord, T: Clone>(
    table: &mut BTreeMap<K, Stored<T>>,
    key: K,
    expected: u64,
    next: &T,
    (visible, due): (Millis, Option<(Lane, Timestamp)>),
) -> Written {
    match table.get_mut(&key) {
        None if expected == 0 => {
            let mut stored = Stored::new(next.clone());
            stored.index(visible, due);
            table.insert(key, stored);
            Written::Stored(1)
        }
        Some(stored) if stored.version == expected => {
            stored.version += 1;
            stored.record = next.clone();
            stored.index(visible, due);
            Written::Stored(stored.version)
        }
        _ => Written::Conflict,
    }
}

fn effects<E: std::fmt::Debug>(pending: &[bellhop_domain::outbox::Pending<E>]) -> Vec<&E> {
    pending.iter().map(|pending| &pending.effect).collect()
}

/// A build in one line.
pub(crate) fn describe(build: &Build) -> String {
    let attempts: Vec<String> = build
        .attempts
        .iter()
        .map(|attempt| {
            format!(
                "{}/{}/{}/{:?}",
                attempt.number,
                attempt.capacity,
                attempt.agent.as_ref().map_or("-", |agent| crate::ecs::short(agent)),
                attempt.phase
            )
        })
        .collect();
    let strays: Vec<String> = build
        .strays
        .iter()
        .map(|stray| format!("{}{}", crate::ecs::short(&stray.agent), if stray.stopped { " stopped" } else { "" }))
        .collect();
    format!(
        "{:?}, attempts [{}], strays {strays:?}, retries {:?}, pending {:?}",
        build.state,
        attempts.join("; "),
        build.retries,
        effects(build.outbox.pending())
    )
}
