//! The slots of agent templates.

use async_trait::async_trait;
use bellhop_domain::build::{Build, BuildEvent, Slot};
use bellhop_domain::ids::{AgentName, BuildId};
use bellhop_domain::outbox::Pending;
use bellhop_domain::queue::pool::{Pool, PoolEffect, PoolEvent};
use futures::future::try_join_all;
use jiff::Timestamp;

use super::{Outcome, Record, Stored};
use crate::ports::Key;
use crate::{Engine, Fault, Handled};

/// How many waiting builds one audit checks: the next ones to get a slot.
const WAITING_AUDITED: usize = 100;
/// How many builds are read in parallel.
const SIDE_BY_SIDE: usize = 16;

impl Stored for Pool {
    type Id<'a> = &'a AgentName;

    fn key_of(agent: &AgentName) -> Key {
        Key::new(format!("POOL#{agent}"), "POOL")
    }

    fn id(&self) -> &AgentName {
        &self.agent
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
    /// Every build of an agent template writes to this record.
    const CONFLICTS: u32 = 40;

    fn name(&self) -> String {
        format!("the slots of agent {}", self.agent)
    }

    async fn when_due(&self, _: &Engine) -> Result<Vec<PoolEvent>, Fault> {
        Ok(vec![PoolEvent::Tick])
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<PoolEffect>) -> Result<Outcome<PoolEvent>, Fault> {
        match &pending.effect {
            PoolEffect::Grant { build } => {
                let granted = BuildEvent::Granted { turn: self.turn(build) };
                Ok(match engine.notify::<Build>(build, granted).await? {
                    Some(Handled::Unknown) => Outcome::Done(vec![PoolEvent::Gone(vec![build.clone()])]),
                    notified => Outcome::notified(notified),
                })
            }
            PoolEffect::Audit => {
                let waiting = self.waiting.iter().take(WAITING_AUDITED).map(|waiting| &waiting.build);
                let known: Vec<BuildId> = self.holders.keys().chain(waiting).cloned().collect();
                let mut gone: Vec<BuildId> = Vec::new();
                for portion in known.chunks(SIDE_BY_SIDE) {
                    let builds = try_join_all(portion.iter().map(|id| engine.ledger.load::<Build>(id))).await?;
                    let over = portion
                        .iter()
                        .zip(builds)
                        .filter(|(_, build)| build.as_ref().is_none_or(|build| has_left(&build.record)));
                    gone.extend(over.map(|(id, _)| id.clone()));
                }
                if gone.is_empty() {
                    return Ok(Outcome::done());
                }
                tracing::warn!(agent = %self.agent, builds = ?gone, "finished builds held slots");
                Ok(Outcome::Done(vec![PoolEvent::Gone(gone)]))
            }
        }
    }
}

/// A build that has not finished may continue at any moment, and releases its slot itself.
fn has_left(build: &Build) -> bool {
    build.outcome().is_some() && matches!(build.slot, Slot::None | Slot::Released)
}
