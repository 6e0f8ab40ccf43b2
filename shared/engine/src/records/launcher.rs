//! The launcher: whose turn it is to work off the launch queue.

use bellhop_domain::queue::launcher::Launcher;
use futures::future::join;

use super::{Stored, Versioned};
use crate::ports::{Key, Written};
use crate::{Engine, Fault};

impl Stored for Launcher {
    type Id<'a> = ();

    fn key_of((): ()) -> Key {
        Key::new("LAUNCHER#builds", "LAUNCHER")
    }

    fn id(&self) {}
}

impl Engine {
    /// The launcher's record, if no function has the turn; the version is 0 if there never was a turn.
    pub(crate) async fn free_turn(&self) -> Result<Option<(u64, Option<Launcher>)>, Fault> {
        let stored = self.ledger.load::<Launcher>(()).await?;
        let now = self.clock.now();
        Ok(match stored {
            Some(stored) if stored.record.is_taken(now) => None,
            Some(Versioned { version, record }) => Some((version, Some(record))),
            None => Some((0, None)),
        })
    }

    /// Whether the launch queue is being worked off, as far as this function has met throttling lately. If that cannot be read, a launch does not wait
    /// for it.
    pub(crate) async fn launches_queue(&self) -> bool {
        if !self.recent.may_queue(self.clock.now()) {
            return false;
        }
        let is_taken = matches!(self.free_turn().await, Ok(None));
        if is_taken {
            self.recent.throttled(self.clock.now());
        }
        is_taken
    }

    /// Takes the turn, or prolongs it; `version` is the one that was read, or that the turn has. `None` if another function was faster. A timer goes
    /// off at the turn's end: if this function dies, another one takes the next turn then.
    pub(crate) async fn take_turn(&self, version: u64, per_minute: u32) -> Result<Option<Versioned<Launcher>>, Fault> {
        let record = Launcher::turn(per_minute, self.clock.now());
        let ends = (record.until, Launcher::key_of(()));
        let (written, ()) = join(self.ledger.store(version, &record), self.set_timers(vec![ends])).await;
        Ok(match written? {
            Written::Stored(version) => Some(Versioned { version, record }),
            Written::Conflict => None,
        })
    }

    /// Gives the turn up. If another function has it by now, it keeps it.
    pub(crate) async fn give_turn_up(&self, turn: &Versioned<Launcher>, per_minute: u32) -> Result<(), Fault> {
        self.ledger.store(turn.version, &Launcher::over(per_minute)).await.map(|_| ())
    }
}
