//! The alarms that pause launches.

use bellhop_domain::alarm::Pauses;

use super::Stored;
use crate::ports::{Key, Written};
use crate::{Engine, Fault};

/// How often the pauses are written again after a write conflict.
const CONFLICTS: u32 = 8;

impl Stored for Pauses {
    type Id<'a> = ();

    fn key_of((): ()) -> Key {
        Key::new("PAUSE#starts", "PAUSE")
    }

    fn id(&self) {}
}

impl Engine {
    /// Why launches are paused; `None` if they are not.
    pub(crate) async fn paused(&self) -> Result<Option<String>, Fault> {
        let Some(pauses) = self.ledger.load::<Pauses>(()).await? else {
            return Ok(None);
        };
        let alarms = pauses.record.now(self.clock.now()).join(", ");
        Ok((!alarms.is_empty()).then(|| format!("launches are paused until this alarm returns to OK: {alarms}")))
    }

    /// Changes the pauses; `change` returns whether it changed anything.
    pub(crate) async fn change_pauses(&self, change: impl Fn(&mut Pauses) -> bool) -> Result<(), Fault> {
        for _ in 0..CONFLICTS {
            let stored = self.ledger.load::<Pauses>(()).await?;
            let (version, mut pauses) = stored.map_or((0, Pauses::default()), |stored| (stored.version, stored.record));
            pauses.forget(self.clock.now());
            if !change(&mut pauses) || matches!(self.ledger.store(version, &pauses).await?, Written::Stored(_)) {
                return Ok(());
            }
        }
        Err(Fault::transient(format!("the pauses had {CONFLICTS} write conflicts in a row")))
    }
}
