//! The slots of agent templates, and locks.

use async_trait::async_trait;
use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::ids::{BuildId, PoolName};
use bellhop_domain::outbox::Pending;
use bellhop_domain::queue::pool::{Pool, PoolChange, PoolEffect, PoolEvent};
use futures::future::try_join_all;
use jiff::Timestamp;

use super::waiting::next_in_line;
use super::{Outcome, Record, Stored};
use crate::ports::Key;
use crate::{Engine, Fault, Handled};

/// How many builds are read in parallel.
const SIDE_BY_SIDE: usize = 16;

impl Stored for Pool {
    type Id<'a> = &'a PoolName;

    fn key_of(name: &PoolName) -> Key {
        Key::new(format!("POOL#{name}"), "POOL")
    }

    fn id(&self) -> &PoolName {
        &self.name
    }

    fn due(&self) -> Option<Timestamp> {
        Pool::due(self)
    }

    fn timer(&self) -> Option<Timestamp> {
        self.outbox.retry()
    }
}

#[async_trait]
impl Record for Pool {
    /// Every build of an agent template, or with the lock, writes to this record.
    const CONFLICTS: u32 = 40;

    fn name(&self) -> String {
        let kind = if self.name.is_lock() { "lock" } else { "the slots of agent" };
        format!("{kind} {}", self.name)
    }

    async fn when_due(&self, _: &Engine) -> Result<Vec<PoolEvent>, Fault> {
        Ok(vec![PoolChange::Tick.into()])
    }

    /// Adds the builds that are next in line, if the event leaves a slot free. They are read after the pool's own record: a build that queues up meanwhile
    /// changes that, and the event is decided again.
    async fn complete(&self, engine: &Engine, event: &mut PoolEvent) -> Result<(), Fault> {
        event.line = match self.wants_of_line(&event.change, engine.clock.now()) {
            0 => None,
            wanted => Some(next_in_line(engine, self, wanted).await?),
        };
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<PoolEffect>) -> Result<Outcome<PoolEvent>, Fault> {
        match &pending.effect {
            PoolEffect::Grant { build, waiting } => {
                let mut follows = Vec::new();
                // A build that has released the slot already has yet to be taken out of the line.
                if self.holders.contains_key(build) {
                    let granted = if self.name.is_lock() {
                        BuildEvent::LockGranted
                    } else {
                        BuildEvent::Granted { turn: self.turn(build) }
                    };
                    match engine.notify::<Build>(build, granted).await? {
                        None => return Ok(Outcome::Left),
                        Some(Handled::Unknown) => follows.push(PoolChange::Gone(vec![build.clone()]).into()),
                        Some(Handled::Done | Handled::Ignored(_)) => {}
                    }
                }
                if let Some(waiting) = waiting {
                    engine.ledger.remove(&waiting.key()).await?;
                }
                // More slots may be free than are granted at a time.
                if self.may_wait() {
                    follows.push(PoolChange::Tick.into());
                }
                Ok(Outcome::Done(follows))
            }
            PoolEffect::Audit => {
                let known: Vec<BuildId> = self.holders.keys().cloned().collect();
                let mut gone: Vec<BuildId> = Vec::new();
                for portion in known.chunks(SIDE_BY_SIDE) {
                    let builds = try_join_all(portion.iter().map(|id| engine.ledger.load::<Build>(id))).await?;
                    let over = portion
                        .iter()
                        .zip(builds)
                        .filter(|(_, build)| build.as_ref().is_none_or(|build| build.record.has_left(&self.name)));
                    gone.extend(over.map(|(id, _)| id.clone()));
                }
                if gone.is_empty() {
                    return Ok(Outcome::done());
                }
                tracing::warn!(pool = %self.name, builds = ?gone, "finished builds held slots");
                Ok(Outcome::Done(vec![PoolChange::Gone(gone).into()]))
            }
        }
    }
}
