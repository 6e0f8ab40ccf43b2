//! Claims: which alarm acted on a target last.

use bellhop_domain::alarm::{Claim, Claimed, Remedy};
use jiff::Timestamp;

use super::{Stored, Versioned};
use crate::ports::{Key, Written};
use crate::{Engine, Fault};

/// How often a claim is written again after a write conflict.
const CONFLICTS: u32 = 8;

impl Stored for Claim {
    type Id<'a> = &'a str;

    fn key_of(target: &str) -> Key {
        Key::new(format!("CLAIM#{target}"), "CLAIM")
    }

    fn id(&self) -> &str {
        &self.target
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

impl Engine {
    /// Claims a target for an occasion, unless another one holds it.
    pub(crate) async fn claim(&self, remedy: &Remedy, occasion: &str) -> Result<Claimed, Fault> {
        let target = remedy.action.target();
        for _ in 0..CONFLICTS {
            let stored = self.ledger.load::<Claim>(&target).await?;
            let (version, present) = stored.map_or((0, None), |stored| (stored.version, Some(stored.record)));
            let claimed = Claim::acquire(present.as_ref(), &target, occasion, remedy.at_most_every, self.clock.now());
            let Claimed::Yes(claim) = &claimed else { return Ok(claimed) };
            if present.as_ref() == Some(claim) || matches!(self.ledger.store(version, claim).await?, Written::Stored(_)) {
                return Ok(claimed);
            }
        }
        Err(conflicts(&target))
    }

    /// Records that the remedy of a claim was applied, or failed for good.
    pub(crate) async fn end_claim(&self, remedy: &Remedy, occasion: &str, done: bool) -> Result<(), Fault> {
        let target = remedy.action.target();
        for _ in 0..CONFLICTS {
            let Some(Versioned { version, record }) = self.ledger.load::<Claim>(&target).await? else {
                return Ok(());
            };
            let Some(ended) = record.end(occasion, done, self.clock.now()) else {
                return Ok(());
            };
            if matches!(self.ledger.store(version, &ended).await?, Written::Stored(_)) {
                return Ok(());
            }
        }
        Err(conflicts(&target))
    }
}

fn conflicts(target: &str) -> Fault {
    Fault::transient(format!("the claim of {target} had {CONFLICTS} write conflicts in a row"))
}
