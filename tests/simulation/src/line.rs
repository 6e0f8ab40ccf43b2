//! DynamoDB: the builds in line for a place, each an item of its own.

use bellhop_domain::build::{Build, Slot};
use bellhop_domain::ids::PoolName;
use bellhop_domain::queue::line::Waiting;
use bellhop_engine::ports::{Key, Text, Written};

use crate::ledger::json;
use crate::mutant::Mutant;
use crate::world::World;

/// A build in line.
pub(crate) struct InLine {
    pub(crate) waiting: Waiting,
    /// When it was put there, in writes to the line and to the places.
    pub(crate) at: u64,
    /// Whether the build wanted a place then, and not only when the request was made.
    pub(crate) is_wanted: bool,
}

impl InLine {
    pub(crate) fn read(&self, key: &Key) -> Text {
        Text {
            key: key.clone(),
            version: 1,
            text: json(&self.waiting),
        }
    }
}

/// Whether a build waits for this place in line.
pub(crate) fn waits_at(build: &Build, place: &Waiting) -> bool {
    let turn = if place.pool.is_lock() { 0 } else { build.turn };
    build.slot_in(&place.pool) == Slot::Requested && turn == place.turn
}

impl World {
    /// Puts a build in line, unless it is there.
    pub(crate) fn queue_up(&mut self, expected: u64, key: &Key, waiting: Waiting) -> Written {
        if expected != 0 || self.tables.line.contains_key(key) {
            return Written::Conflict;
        }
        if self.is(Mutant::WAITING_LOST) {
            return Written::Stored(1);
        }
        self.note("queued up", &waiting.build, || format!("{key}"));
        let build = self.tables.builds.get(&waiting.build).map(|stored| &stored.record);
        let is_wanted = build.is_some_and(|build| waits_at(build, &waiting));
        let at = self.checks.places.next_write();
        self.statistics.waited += 1;
        let in_line = InLine { waiting, at, is_wanted };
        self.tables.line.insert(key.clone(), in_line);
        Written::Stored(1)
    }

    /// The first builds in line after a sort key.
    pub(crate) fn next_in_line(&self, partition: &str, after: &str, limit: usize) -> Vec<Text> {
        let from = Key::new(partition, format!("{after}\0"));
        let after = self.tables.line.range(from..);
        let of_agent = after.take_while(|(key, _)| key.partition == partition).take(limit);
        of_agent.map(|(key, in_line)| in_line.read(key)).collect()
    }

    /// Takes a build out of the line, if it is there.
    pub(crate) fn leave_line(&mut self, key: &Key) {
        if self.is(Mutant::NOT_TAKEN_OUT) {
            return;
        }
        if let Some(in_line) = self.tables.line.remove(key) {
            self.note("left the line", &in_line.waiting.build, || format!("{key}"));
        }
    }

    /// The builds in line for the places of an agent template, the first of each repository before its others.
    pub(crate) fn line_of<'a>(&'a self, agent: &'a PoolName) -> impl DoubleEndedIterator<Item = &'a InLine> {
        self.tables.line.values().filter(move |in_line| in_line.waiting.pool == *agent)
    }
}
