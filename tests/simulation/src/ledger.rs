//! DynamoDB: versions, conditional writes, and an index of what is due that lags a little behind.

use std::collections::BTreeMap;

use bellhop_domain::build::Build;
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::run::Run;
use bellhop_engine::ports::{Created, DueItem, Versioned, Written};
use jiff::Timestamp;

use crate::checks;
use crate::mutant::{self, Mutant};
use crate::world::{Millis, World, timestamp};

/// A record, and its entries in the index of what is due with the moments from which on they can be read there.
pub(crate) struct Stored<T> {
    pub(crate) version: u64,
    pub(crate) record: T,
    index: Vec<(Millis, Option<Timestamp>)>,
}

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) runs: BTreeMap<RunId, Stored<Run>>,
    pub(crate) builds: BTreeMap<BuildId, Stored<Build>>,
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

    fn index(&mut self, visible: Millis, due: Option<Timestamp>) {
        // The index never shows an older state after a newer one.
        let visible = self.index.last().map_or(visible, |(last, _)| visible.max(*last));
        if self.index.len() > 8 {
            self.index.remove(0);
        }
        self.index.push((visible, due));
    }

    fn indexed(&self, now: Millis) -> Option<Timestamp> {
        self.index
            .iter()
            .rev()
            .find(|(visible, _)| *visible <= now)
            .and_then(|(_, due)| *due)
    }
}

impl World {
    fn lag(&mut self) -> Millis {
        let most = if self.calm() { 0 } else { self.hostility.index_lag };
        self.rng.u64(0..=most)
    }

    pub(crate) fn read_run(&self, id: &RunId) -> Option<Versioned<Run>> {
        self.tables.runs.get(id).map(Stored::read)
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
        let (visible, due) = (self.now + self.lag(), build.due());
        self.note("build created", id, || format!("{} due {due:?}", describe(&build)));
        let mut stored = Stored::new(build);
        stored.index(visible, due);
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
        stored.index(visible, due);
        self.tables.runs.insert(id, stored);
        self.statistics.runs += 1;
        Created::New
    }

    pub(crate) fn write_build(&mut self, expected: u64, next: &Build) -> Written {
        let id = next.spec.id.clone();
        let Some(version) = self.tables.builds.get(&id).map(|stored| stored.version) else {
            return Written::Conflict;
        };
        if version != expected && !self.is(Mutant::ConflictsIgnored) {
            self.statistics.conflicts += 1;
            self.note("conflict", &id, || format!("version {version}, expected {expected}"));
            return Written::Conflict;
        }
        let mut next = next.clone();
        mutant::before_write_of_build(self, &mut next);
        let previous = self.tables.builds.get(&id).map(|stored| stored.record.clone());
        checks::version_written(self, &(&id).into(), version, expected + 1);
        checks::build_written(self, previous.as_ref(), &next);
        let (visible, due) = (self.now + self.lag(), next.due());
        self.note("build written", &id, || format!("v{} {}", expected + 1, describe(&next)));
        if let Some(stored) = self.tables.builds.get_mut(&id) {
            stored.version = expected + 1;
            stored.record = next;
            stored.index(visible, due);
        }
        Written::Stored(expected + 1)
    }

    pub(crate) fn write_run(&mut self, expected: u64, next: &Run) -> Written {
        let id = next.id.clone();
        let Some(version) = self.tables.runs.get(&id).map(|stored| stored.version) else {
            return Written::Conflict;
        };
        if version != expected && !self.is(Mutant::ConflictsIgnored) {
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
            stored.index(visible, due);
        }
        Written::Stored(expected + 1)
    }

    /// What the index says is due by a moment.
    pub(crate) fn due(&self, by: Timestamp, limit: usize) -> Vec<DueItem> {
        let runs = self
            .tables
            .runs
            .iter()
            .map(|(id, run)| (run.indexed(self.now), DueItem::Run(id.clone())));
        let builds = self
            .tables
            .builds
            .iter()
            .map(|(id, build)| (build.indexed(self.now), DueItem::Build(id.clone())));
        let mut due: Vec<(Timestamp, DueItem)> = runs
            .chain(builds)
            .filter_map(|(at, item)| Some((at.filter(|at| *at <= by)?, item)))
            .collect();
        due.sort();
        due.into_iter().take(limit).map(|(_, item)| item).collect()
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
            (None, None) => None,
        }
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
