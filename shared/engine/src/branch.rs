//! The processing of branches whose pushes supersede each other.

use async_trait::async_trait;
use bellhop_domain::branch::{Branch, BranchEffect, BranchEvent};
use bellhop_domain::decision::Decision;
use bellhop_domain::outbox::{EffectId, Outbox, Pending};
use bellhop_domain::run::RunEvent;
use jiff::Timestamp;

use crate::engine::Record;
use crate::ports::{Versioned, Written};
use crate::{Engine, Fault};

#[async_trait]
impl Record for Branch {
    type Event = BranchEvent;
    type Effect = BranchEffect;

    fn name(&self) -> String {
        format!("{} of {}", self.reference, self.repository)
    }

    fn decide(&self, event: &BranchEvent, now: Timestamp) -> Decision<Self> {
        Branch::decide(self, event, now)
    }

    fn deferred(effect: EffectId, why: String) -> BranchEvent {
        BranchEvent::Deferred(effect, why)
    }

    fn outbox(&self) -> &Outbox<BranchEffect> {
        &self.outbox
    }

    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault> {
        engine.load_branch(&self.repository, &self.reference).await.map(Some)
    }

    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault> {
        engine.ledger.update_branch(expected, self).await
    }

    async fn complete(&self, _: &Engine, _: &mut BranchEvent) -> Result<(), Fault> {
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<BranchEffect>) -> Result<Vec<BranchEvent>, Fault> {
        let BranchEffect::Supersede { run, by } = &pending.effect;
        let newer = engine.ledger.run(by).await?;
        let event = RunEvent::Superseded {
            by: by.clone(),
            jobs: newer.map(|newer| newer.record.jobs.into_iter().map(|job| job.name).collect()),
        };
        // A run that has finished or expired has nothing left to cancel.
        let told = engine.tell_run(run, event).await?;
        if told.is_some() {
            tracing::info!(%run, %by, "run superseded");
        }
        Ok(told.map(|_| BranchEvent::Performed(pending.id)).into_iter().collect())
    }
}
