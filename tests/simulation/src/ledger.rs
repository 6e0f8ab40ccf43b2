//! DynamoDB: versions, conditional writes, and an index of what is due that lags a little behind.

use std::collections::BTreeMap;

use bellhop_domain::branch::Branch;
use bellhop_domain::build::Build;
use bellhop_domain::ids::{AgentName, BuildId, Reference, RepositoryName, RunId};
use bellhop_domain::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_engine::ports::{Created, Document, DocumentKey, DueItem, Lane, Versioned, Written};
use jiff::Timestamp;

use crate::checks;
use crate::mutant::{self, Mutant};
use crate::world::{Millis, Subject, World, timestamp};

/// A record, and its entries in the index of what is due with the moments from which on they can be read there.
pub(crate) struct Stored<T> {
    pub(crate) version: u64,
    pub(crate) record: T,
    index: Vec<(Millis, Lane, Option<Timestamp>)>,
}

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) runs: BTreeMap<RunId, Stored<Run>>,
    pub(crate) builds: BTreeMap<BuildId, Stored<Build>>,
    pub(crate) pools: BTreeMap<AgentName, Stored<Pool>>,
    pub(crate) branches: BTreeMap<(RepositoryName, Reference), Stored<Branch>>,
    pub(crate) documents: BTreeMap<DocumentKey, Stored<Document>>,
}

impl<T: Clone> Stored<T> {
    fn new(record: T) -> Self {
        Self {
            version: 1,
            record,
            index: Vec::new(),
        }
    }

    fn read(&self) -> Versioned<T> {
        Versioned {
            version: self.version,
            record: self.record.clone(),
        }
    }

    fn index(&mut self, visible: Millis, lane: Lane, due: Option<Timestamp>) {
        // The index never shows an older state after a newer one.
        let visible = self.index.last().map_or(visible, |(last, ..)| visible.max(*last));
        if self.index.len() > 8 {
            self.index.remove(0);
        }
        self.index.push((visible, lane, due));
    }

    fn indexed(&self, lane: Lane, now: Millis) -> Option<Timestamp> {
        self.index
            .iter()
            .rev()
            .find(|(visible, ..)| *visible <= now)
            .and_then(|(_, of, due)| due.filter(|_| *of == lane))
    }
}

impl World {
    fn lag(&mut self) -> Millis {
        let most = if self.calm() { 0 } else { self.hostility.index_lag };
        self.rng.u64(0..=most)
    }

    pub(crate) fn read_run(&self, id: &RunId) -> Option<Versioned<Run>> {
        let mut run = self.tables.runs.get(id)?.read();
        mutant::read_run(self, &mut run.record);
        Some(run)
    }

    pub(crate) fn read_build(&self, id: &BuildId) -> Option<Versioned<Build>> {
        let mut build = self.tables.builds.get(id)?.read();
        mutant::read_build(self, &mut build.record);
        Some(build)
    }

    /// Creates a build, if it is not there.
    pub(crate) fn create_build(&mut self, build: &Build) -> Created {
        let id = &build.spec.id;
        if self.tables.builds.contains_key(id) {
            return Created::AlreadyExists;
        }
        let mut build = build.clone();
        mutant::before_write_of_build(self, &mut build);
        checks::build_written(self, None, &build);
        let (visible, lane, due) = (self.now + self.lag(), Lane::of(&build), build.due());
        self.note("build created", id, || format!("{} due {due:?}", describe(&build)));
        let mut stored = Stored::new(build);
        stored.index(visible, lane, due);
        self.tables.builds.insert(id.clone(), stored);
        self.statistics.builds += 1;
        Created::New
    }

    /// Creates a run, if it is not there.
    pub(crate) fn create_run(&mut self, run: &Run) -> Created {
        if self.tables.runs.contains_key(&run.id) {
            return Created::AlreadyExists;
        }
        let mut run = run.clone();
        mutant::before_write_of_run(self, &mut run);
        checks::run_written(self, None, &run);
        let (visible, due) = (self.now + self.lag(), run.due());
        self.note("run created", &run.id, || format!("{} of {}", run.status(), run.commit.short()));
        let id = run.id.clone();
        let mut stored = Stored::new(run);
        stored.index(visible, Lane::Rest, due);
        self.tables.runs.insert(id, stored);
        self.statistics.runs += 1;
        Created::New
    }

    pub(crate) fn write_build(&mut self, expected: u64, next: &Build) -> Written {
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
        let (visible, lane, due) = (self.now + self.lag(), Lane::of(&next), next.due());
        self.note("build written", &id, || format!("v{} {}", expected + 1, describe(&next)));
        if let Some(stored) = self.tables.builds.get_mut(&id) {
            stored.version = expected + 1;
            stored.record = next;
            stored.index(visible, lane, due);
        }
        Written::Stored(expected + 1)
    }

    pub(crate) fn write_run(&mut self, expected: u64, next: &Run) -> Written {
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
        let (visible, due) = (self.now + self.lag(), next.due());
        self.note("run written", &id, || {
            format!("v{} {}, pending {:?}", expected + 1, next.status(), effects(next.outbox.pending()))
        });
        if let Some(stored) = self.tables.runs.get_mut(&id) {
            stored.version = expected + 1;
            stored.record = next;
            stored.index(visible, Lane::Rest, due);
        }
        Written::Stored(expected + 1)
    }

    pub(crate) fn read_pool(&self, agent: &AgentName) -> Option<Versioned<Pool>> {
        self.tables.pools.get(agent).map(Stored::read)
    }

    pub(crate) fn write_pool(&mut self, expected: u64, next: &Pool) -> Written {
        let mut next = next.clone();
        mutant::before_write_of_pool(self, &mut next);
        let next = &next;
        if self.is_overtaken() {
            rewritten(&mut self.tables.pools, &next.agent);
        }
        let previous = self.tables.pools.get(&next.agent);
        if previous.map_or(0, |previous| previous.version) == expected {
            let previous = previous.map(|previous| previous.record.clone());
            checks::places_written(self, previous.as_ref(), next);
        }
        let (visible, due) = (self.now + self.lag(), next.due());
        let key = next.agent.clone();
        self.note("places written", Subject::World, || {
            format!(
                "{key}: {} of {} held, {} wait, pending {:?}",
                next.holders.len(),
                next.limit,
                next.waiting.len(),
                effects(next.outbox.pending())
            )
        });
        let written = put(&mut self.tables.pools, key, expected, next, (visible, due));
        self.statistics.conflicts += u64::from(written == Written::Conflict);
        written
    }

    pub(crate) fn read_branch(&self, repository: &RepositoryName, reference: &Reference) -> Option<Versioned<Branch>> {
        let key = (repository.clone(), reference.clone());
        self.tables.branches.get(&key).map(Stored::read)
    }

    pub(crate) fn write_branch(&mut self, expected: u64, next: &Branch) -> Written {
        let (visible, due) = (self.now + self.lag(), next.due());
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

    pub(crate) fn read_document(&self, key: &DocumentKey) -> Option<Versioned<String>> {
        self.tables.documents.get(key).map(|stored| Versioned {
            version: stored.version,
            record: mutant::read_document(self, key, &stored.record.text),
        })
    }

    pub(crate) fn write_document(&mut self, expected: u64, next: &Document) -> Written {
        let next = &mutant::before_write_of_document(self, next);
        if self.is_overtaken() {
            rewritten(&mut self.tables.documents, &next.key);
        }
        let previous = self.tables.documents.get(&next.key);
        if previous.map_or(0, |previous| previous.version) == expected {
            let previous = previous.map(|previous| previous.record.clone());
            checks::backups::written(self, previous.as_ref(), next);
            checks::instances::written(self, previous.as_ref(), next);
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
    pub(crate) fn due(&self, lane: Lane, by: Timestamp, limit: usize) -> Vec<(Timestamp, DueItem)> {
        let runs = self
            .tables
            .runs
            .iter()
            .map(|(id, run)| (run.indexed(lane, self.now), DueItem::Run(id.clone())));
        let builds = self
            .tables
            .builds
            .iter()
            .map(|(id, build)| (build.indexed(lane, self.now), DueItem::Build(id.clone())));
        let pools = self
            .tables
            .pools
            .iter()
            .map(|(agent, pool)| (pool.indexed(lane, self.now), DueItem::Pool(agent.clone())));
        let branches = self.tables.branches.iter().map(|((repository, reference), branch)| {
            let item = DueItem::Branch(repository.clone(), reference.clone());
            (branch.indexed(lane, self.now), item)
        });
        let documents = self
            .tables
            .documents
            .iter()
            .map(|(key, document)| (document.indexed(lane, self.now), DueItem::Document(key.clone())));
        let mut due: Vec<(Timestamp, DueItem)> = runs
            .chain(builds)
            .chain(pools)
            .chain(branches)
            .chain(documents)
            .filter_map(|(at, item)| Some((at.filter(|at| *at <= by)?, item)))
            .collect();
        due.sort();
        due.truncate(limit);
        due
    }

    /// Everything that is not at rest in the ledger.
    pub(crate) fn unrest(&self) -> Option<String> {
        let run = self.tables.runs.values().find(|run| run.record.due().is_some());
        let build = self.tables.builds.values().find(|build| build.record.due().is_some());
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
        let pool = self
            .tables
            .pools
            .values()
            .find(|pool| pool.record.due().is_some() || !pool.record.holders.is_empty());
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
    (visible, due): (Millis, Option<Timestamp>),
) -> Written {
    match table.get_mut(&key) {
        None if expected == 0 => {
            let mut stored = Stored::new(next.clone());
            stored.index(visible, Lane::Rest, due);
            table.insert(key, stored);
            Written::Stored(1)
        }
        Some(stored) if stored.version == expected => {
            stored.version += 1;
            stored.record = next.clone();
            stored.index(visible, Lane::Rest, due);
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
