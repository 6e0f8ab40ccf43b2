//! The processing of the slots of agent templates.

use async_trait::async_trait;
use bellhop_domain::build::{Build, BuildEvent, Place};
use bellhop_domain::decision::Decision;
use bellhop_domain::ids::BuildId;
use bellhop_domain::outbox::{EffectId, Outbox, Pending};
use bellhop_domain::pool::{Pool, PoolEffect, PoolEvent};
use futures::future::try_join_all;
use jiff::Timestamp;

use crate::engine::Record;
use crate::ports::{Versioned, Written};
use crate::{Engine, Fault, Handled};

/// How many waiting builds one audit checks: the next ones to get a slot.
const WAITING_AUDITED: usize = 100;
/// How many builds are read in parallel.
const SIDE_BY_SIDE: usize = 16;

#[async_trait]
impl Record for Pool {
    type Event = PoolEvent;
    type Effect = PoolEffect;

    /// Every build of an agent template writes to this record.
    const CONFLICTS: u32 = 40;

    fn name(&self) -> String {
        format!("the slots of agent {}", self.agent)
    }

    fn decide(&self, event: &PoolEvent, now: Timestamp) -> Decision<Self> {
        Pool::decide(self, event, now)
    }

    fn deferred(effect: EffectId, why: String) -> PoolEvent {
        PoolEvent::Deferred(effect, why)
    }

    fn outbox(&self) -> &Outbox<PoolEffect> {
        &self.outbox
    }

    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault> {
        engine.load_pool(&self.agent).await.map(Some)
    }

    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault> {
        engine.ledger.update_pool(expected, self).await
    }

    async fn complete(&self, _: &Engine, _: &mut PoolEvent) -> Result<(), Fault> {
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<PoolEffect>) -> Result<Vec<PoolEvent>, Fault> {
        let performed = PoolEvent::Performed(pending.id);
        match &pending.effect {
            PoolEffect::Grant { build } => Ok(
                match engine.tell_build(build, BuildEvent::Granted { turn: self.turn(build) }).await? {
                    None => Vec::new(),
                    Some(Handled::Done | Handled::Ignored(_)) => vec![performed],
                    Some(Handled::Unknown) => vec![performed, PoolEvent::Gone(vec![build.clone()])],
                },
            ),
            PoolEffect::Audit => {
                let waiting = self.waiting.iter().take(WAITING_AUDITED).map(|waiting| &waiting.build);
                let known: Vec<BuildId> = self.holders.keys().chain(waiting).cloned().collect();
                let mut gone: Vec<BuildId> = Vec::new();
                for portion in known.chunks(SIDE_BY_SIDE) {
                    let builds = try_join_all(portion.iter().map(|id| engine.ledger.build(id))).await?;
                    let over = portion
                        .iter()
                        .zip(builds)
                        .filter(|(_, build)| build.as_ref().is_none_or(|build| has_left(&build.record)));
                    gone.extend(over.map(|(id, _)| id.clone()));
                }
                if gone.is_empty() {
                    return Ok(vec![performed]);
                }
                tracing::warn!(agent = %self.agent, builds = ?gone, "finished builds held slots");
                Ok(vec![performed, PoolEvent::Gone(gone)])
            }
        }
    }
}

/// A build that has not finished may continue at any moment, and releases its slot itself.
fn has_left(build: &Build) -> bool {
    build.outcome().is_some() && matches!(build.place, Place::None | Place::Left)
}
