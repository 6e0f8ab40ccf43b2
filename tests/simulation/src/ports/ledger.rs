//! DynamoDB: the ledger.

use async_trait::async_trait;
use bellhop_domain::ids::RunId;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Created, Entry, Item, Key, Lane, Ledger, List, Text, Written};
use jiff::Timestamp;

use super::fate::Service;
use super::port::Port;
use crate::mutant::{self, Mutant};
use crate::world::{Happening, Subject, World, lock, timestamp};

#[async_trait]
impl Ledger for Port {
    async fn get(&self, key: &Key) -> Result<Option<Text>, Fault> {
        let (key, about) = (key.clone(), about(key));
        self.call(Service::Ledger, "GetItem", about, move |world| world.read(&key)).await
    }

    async fn put(&self, expected: u64, item: &Item) -> Result<Written, Fault> {
        let (item, about) = (item.clone(), about(&item.key));
        if expected > 0 {
            mutant::before_commit(&mut lock(&self.world), &item);
        }
        if self.puts_late(&item.key) {
            let late = Box::new(move |world: &mut World| {
                world.write(expected, &item);
            });
            lock(&self.world).schedule_in(mutant::PUT_LATE, Happening::Late(late));
            return Ok(Written::Stored(1));
        }
        self.call(Service::Ledger, "PutItem", about, move |world| world.write(expected, &item))
            .await
    }

    async fn put_together(&self, items: &[Item]) -> Result<Created, Fault> {
        let about = items.first().map_or(Subject::World, |run| about(&run.key));
        let items = items.to_vec();
        self.call(Service::Ledger, "TransactWriteItems", about, move |world| world.create(&items))
            .await
    }

    async fn in_partition(&self, partition: &str, beginning: &str) -> Result<Vec<Text>, Fault> {
        let (partition, beginning) = (partition.to_owned(), beginning.to_owned());
        let about = about(&Key::new(partition.clone(), "RUN"));
        let read = move |world: &mut World| world.in_partition(&partition, &beginning);
        self.call(Service::Ledger, "Query", about, read).await
    }

    async fn next_in_partition(&self, partition: &str, after: &str, limit: usize) -> Result<Vec<Text>, Fault> {
        let (partition, after) = (partition.to_owned(), after.to_owned());
        self.call(Service::Ledger, "Query", Subject::World, move |world| {
            world.next_in_line(&partition, &after, limit)
        })
        .await
    }

    async fn remove(&self, key: &Key) -> Result<(), Fault> {
        let key = key.clone();
        self.call(Service::Ledger, "DeleteItem", Subject::World, move |world| world.leave_line(&key))
            .await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        let is_sweep = self.is_sweep;
        self.call(Service::Ledger, "Query", Subject::World, move |world| {
            if mutant::overlooks_lane(world, lane, is_sweep) {
                return Vec::new();
            }
            let ahead = !world.is(Mutant::TIMERS_NOT_SEEN_AHEAD);
            world.due(lane, if ahead { now } else { now.min(timestamp(world.now)) }, limit)
        })
        .await
    }

    async fn newest_due(&self, lane: Lane, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key)>, Fault> {
        self.call(Service::Ledger, "Query", Subject::World, move |world| {
            let mut due = world.due(lane, now, usize::MAX);
            due.reverse();
            due.truncate(limit);
            due
        })
        .await
    }

    async fn list(&self, _: &List, _: Option<&str>, _: usize) -> Result<Vec<Entry>, Fault> {
        Err(Fault::permanent("the simulation does not list runs"))
    }
}

impl Port {
    /// Whether a build is put in line after the places were notified of it.
    fn puts_late(&self, key: &Key) -> bool {
        key.partition.starts_with("WAITING#") && lock(&self.world).is(Mutant::QUEUED_LATE)
    }
}

/// The run or build that a record is.
pub(crate) fn about(key: &Key) -> Subject {
    let build = key.sort.strip_prefix("BUILD#").map(|job| format!("{}/{job}", key.name()));
    match (key.sort.as_str(), build.and_then(|id| id.parse().ok())) {
        ("RUN", _) => key.name().parse().map_or(Subject::World, |run: RunId| Subject::from(&run)),
        (_, Some(id)) => Subject::Build(id),
        _ => Subject::World,
    }
}
