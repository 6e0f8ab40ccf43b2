//! Branches whose pushes supersede each other.

use async_trait::async_trait;
use bellhop_domain::ids::{Reference, RepositoryName};
use bellhop_domain::outbox::Pending;
use bellhop_domain::run::branch::{Branch, BranchEffect, BranchEvent};
use bellhop_domain::run::{Run, RunEvent};
use jiff::Timestamp;

use super::run::KEEP;
use super::{Outcome, Record, Stored};
use crate::ports::Key;
use crate::{Engine, Fault};

impl Stored for Branch {
    type Id<'a> = (&'a RepositoryName, &'a Reference);

    fn key_of((repository, reference): Self::Id<'_>) -> Key {
        Key::new(format!("REPO#{repository}"), format!("BRANCH#{reference}"))
    }

    fn id(&self) -> Self::Id<'_> {
        (&self.repository, &self.reference)
    }

    fn due(&self) -> Option<Timestamp> {
        Branch::due(self)
    }

    fn timer(&self) -> Option<Timestamp> {
        self.outbox.retry()
    }

    fn expires(&self) -> Option<Timestamp> {
        self.newest.as_ref().and_then(|newest| newest.at.checked_add(KEEP).ok())
    }
}

#[async_trait]
impl Record for Branch {
    fn name(&self) -> String {
        format!("{} of {}", self.reference, self.repository)
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<BranchEffect>) -> Result<Outcome<BranchEvent>, Fault> {
        let BranchEffect::Supersede { run, by } = &pending.effect;
        let newer = engine.ledger.load::<Run>(by).await?;
        let event = RunEvent::Superseded {
            by: by.clone(),
            jobs: newer.map(|newer| newer.record.jobs().map(|job| job.name.clone()).collect()),
        };
        // A run that has finished or expired has nothing left to cancel.
        let notified = engine.notify::<Run>(run, event).await?;
        if notified.is_some() {
            tracing::info!(%run, %by, "run superseded");
        }
        Ok(Outcome::notified(notified))
    }
}
