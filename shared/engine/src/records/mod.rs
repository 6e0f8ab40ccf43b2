//! The kinds of records: where the ledger keeps each, and what the engine does for it.
//!
//! One file per kind. It implements [`Stored`], which says where the record is kept and when it is due, and, if the record has effects, [`Record`],
//! which performs them. A kind that can be due has a line in [`KINDS`], by which the sweep finds it from a key. So a new kind is a file here, a
//! line there, and a line in `tests/checks/tests/stored_records.rs`.
//!
//! No decisions belong here: what a record makes of an event is decided in `bellhop-domain`. The exception is a message whose need depends on another
//! record, such as a success that is announced only after a failure. No service is named here either: effects go through the ports.

mod alarm;
mod backup;
mod branch;
mod build;
mod claim;
mod configuration;
mod instance;
mod launcher;
mod pauses;
mod pool;
mod run;
mod standing;
mod waiting;

use async_trait::async_trait;
use bellhop_domain::alarm::Alarm;
use bellhop_domain::backup::Backup;
use bellhop_domain::build::Build;
use bellhop_domain::configuration::Configuration;
use bellhop_domain::decision::Ignored;
use bellhop_domain::instance::Instance;
use bellhop_domain::outbox::Pending;
use bellhop_domain::queue::launcher::Launcher;
use bellhop_domain::queue::pool::Pool;
use bellhop_domain::record::{Decides, Performer};
use bellhop_domain::run::Run;
use bellhop_domain::run::branch::Branch;
use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tracing::Span;

use crate::advance::Overdue;
use crate::ports::{Created, Item, Key, Lane, Ledger, Listing, Meter, Text, Written};
use crate::{Engine, Fault, Handled, TIMERS_AHEAD};

pub(crate) use self::build::BUILD;
pub use self::run::fits_transaction;

/// A record with its version, which must be unchanged at the next write.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// The version; 0 for a record that the ledger does not have yet.
    pub version: u64,
    /// The record.
    pub record: T,
}

impl<T> Versioned<T> {
    /// A record that the ledger does not have yet.
    pub(crate) fn new(record: T) -> Self {
        Self { version: 0, record }
    }
}

/// The largest record that is stored as it is, in bytes of JSON: a larger one is cut.
pub const LARGEST: usize = 300_000;
/// The largest record that is stored although it cannot be cut: what has grown so large may get smaller with its next events. An item of DynamoDB has at
/// most 400 KB, with its other attributes (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const LARGEST_OF_ALL: usize = 390_000;

/// A record that the ledger keeps.
pub trait Stored: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What identifies it among the records of its kind.
    type Id<'a>: Copy + Send;

    /// The sort key of the item with the part that never changes, if records of this kind may have one; it begins with the record's own. Such a part
    /// costs nothing when the record is written again.
    const FROZEN: Option<&'static str> = None;

    /// The item with the part that never changes, if this record has one. It is stored before the record, and no later write changes it.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    fn frozen(&self) -> Result<Option<Item>, Fault> {
        Ok(None)
    }

    /// The record from its text, and from the text of the part that never changes, if there is one.
    ///
    /// # Errors
    /// If it is no such JSON.
    fn from_parts(text: &str, _frozen: Option<&str>) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// A smaller record with the same decisions: without the largest part of what it keeps for people. `None` if it keeps nothing for people.
    fn cut(&self) -> Option<Self> {
        None
    }

    /// The key of the record with this id.
    fn key_of(id: Self::Id<'_>) -> Key;

    /// Its id.
    fn id(&self) -> Self::Id<'_>;

    /// Its key.
    fn key(&self) -> Key {
        Self::key_of(self.id())
    }

    /// When it is due next; `None` if it waits for nothing.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// The next moment at which it must be processed to the second; `None` if the minute's sweep is soon enough. Not before [`Stored::due`].
    fn timer(&self) -> Option<Timestamp> {
        None
    }

    /// Whether a launch is the first thing that it is due for, which waits for its turn.
    fn launches(&self) -> bool {
        false
    }

    /// The lane in which it is due: among the timers, also if its timer is not the first thing that it is due for, but may be over before the next
    /// sweep.
    fn lane(&self) -> Lane {
        match self.timer().zip(self.due()) {
            _ if self.launches() => Lane::Launches,
            Some((timer, due)) if timer <= due.checked_add(TIMERS_AHEAD).unwrap_or(Timestamp::MAX) => Lane::Timers,
            _ => Lane::Rest,
        }
    }

    /// When it is due next, and in which lane.
    fn due_in_lane(&self) -> Option<(Lane, Timestamp)> {
        self.due().map(|at| (self.lane(), at))
    }

    /// What is to be woken for it, each at its time: the launcher for a launch that waits for its turn, and the sweep for the record itself.
    fn wake_ups(&self) -> Vec<(Timestamp, Key)> {
        let launch = self.due().filter(|_| self.launches()).map(|at| (at, Launcher::key_of(())));
        let own = self.timer().map(|at| (at, self.key()));
        launch.into_iter().chain(own).collect()
    }

    /// When the ledger may delete it; `None` while it must stay.
    fn expires(&self) -> Option<Timestamp> {
        None
    }

    /// The lists that it is in.
    ///
    /// # Errors
    /// If what they show cannot be written as JSON.
    fn listed(&self) -> serde_json::Result<Option<Listing>> {
        Ok(None)
    }

    /// Its status in a word.
    fn status(&self) -> Option<&'static str> {
        None
    }

    /// The record as the ledger stores it. If it is too large, what it keeps for people is cut; state and effects never are.
    ///
    /// # Errors
    /// If it cannot be written as JSON, or is too large for DynamoDB.
    fn item(&self) -> Result<Item, Fault> {
        let key = self.key();
        let text = json(&key, self)?;
        if text.len() > LARGEST
            && let Some(smaller) = self.cut()
        {
            tracing::warn!(%key, bytes = text.len(), "a record was too large: what it keeps for people was cut");
            return smaller.item();
        }
        if text.len() > LARGEST_OF_ALL {
            let length = text.len();
            return Err(Fault::permanent(format!(
                "{key} has {length} bytes, and at most {LARGEST_OF_ALL} are stored"
            )));
        }
        Ok(Item {
            text,
            due: self.due_in_lane(),
            expires: self.expires(),
            listed: self.listed().map_err(|error| unwritable(&key, error))?,
            status: self.status(),
            key,
        })
    }
}

fn unwritable(key: &Key, error: serde_json::Error) -> Fault {
    Fault::permanent(format!("{key} cannot be written as JSON")).caused_by(error)
}

/// A record, or a part of it, as JSON.
pub(crate) fn json(key: &Key, part: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(part).map_err(|error| unwritable(key, error))
}

/// Reads a stored record. The error has the column but not the content, which may be the value of a job's variable and must not be logged. Naming the
/// fields would take code for each kind of record, in every function.
///
/// # Errors
/// If the text is no such record.
pub fn read<R: Stored>(stored: &Text) -> Result<Versioned<R>, Fault> {
    read_parts(stored, None)
}

fn read_parts<R: Stored>(stored: &Text, frozen: Option<&Text>) -> Result<Versioned<R>, Fault> {
    let record = R::from_parts(&stored.text, frozen.map(|frozen| frozen.text.as_str())).map_err(|error| {
        let what = match error.classify() {
            Category::Data => "it has an unexpected value",
            Category::Io | Category::Syntax | Category::Eof => "it is not valid JSON",
        };
        Fault::permanent(format!(
            "{}: a record cannot be read: {what}, at column {}",
            stored.key,
            error.column()
        ))
    })?;
    Ok(Versioned {
        version: stored.version,
        record,
    })
}

impl dyn Ledger + '_ {
    /// Reads a record.
    ///
    /// # Errors
    /// If the ledger cannot be read, or has something else under the record's key.
    pub async fn load<R: Stored>(&self, id: R::Id<'_>) -> Result<Option<Versioned<R>>, Fault> {
        self.load_from::<R>(&R::key_of(id)).await
    }

    /// Reads the record with this key, in one request.
    pub(crate) async fn load_from<R: Stored>(&self, key: &Key) -> Result<Option<Versioned<R>>, Fault> {
        let Some(frozen) = R::FROZEN else {
            return self.get(key).await?.as_ref().map(read).transpose();
        };
        let parts = self.in_partition(&key.partition, &key.sort).await?;
        let part = |sort: &str| parts.iter().find(|part| part.key.sort == sort);
        part(&key.sort).map(|stored| read_parts(stored, part(frozen))).transpose()
    }

    /// Replaces a record, if it still has the version; creates it if the version is 0 and there is none.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub async fn store<R: Stored>(&self, expected: u64, record: &R) -> Result<Written, Fault> {
        let item = record.item()?;
        match record.frozen()? {
            Some(frozen) if expected == 0 => Ok(match self.put_together(&[frozen, item]).await? {
                Created::New => Written::Stored(1),
                Created::AlreadyExists => Written::Conflict,
            }),
            _ => self.put(expected, &item).await,
        }
    }
}

/// What came of an effect.
pub(crate) enum Outcome<E> {
    /// It is done and leaves the outbox. Events may follow.
    Done(Vec<E>),
    /// An event follows, which ends it.
    Event(E),
    /// It is left to the sweep.
    Left,
}

impl<E> Outcome<E> {
    /// It is done, and nothing follows.
    pub(crate) fn done() -> Self {
        Self::Done(Vec::new())
    }

    /// The end of a notification of another record: done, unless it is left to the sweep.
    pub(crate) fn notified(handled: Option<Handled>) -> Self {
        if handled.is_some() { Self::done() } else { Self::Left }
    }
}

/// A record that decides about events, and whose effects the engine performs.
#[async_trait]
pub(crate) trait Record: Stored + Decides<Event: Send + Sync + 'static, Effect: Send + Sync + 'static> {
    /// How often a decision is repeated after a write conflict. Most records have few writers, so more conflicts indicate a fault.
    const CONFLICTS: u32 = 8;

    /// Its name for people.
    fn name(&self) -> String;

    /// The tracing span of log lines about the record.
    fn span(&self) -> Span {
        tracing::info_span!("record", record = self.name())
    }

    /// Who performs an effect.
    fn performer(&self, _effect: &Self::Effect) -> Performer {
        Performer::Builds
    }

    /// Counts the metrics of a committed change; `previous` is none for a new record.
    fn count(&self, _previous: Option<&Self>, _meter: &dyn Meter) {}

    /// Keeps what was just stored for the record's next event, if that may come to the same function soon.
    fn keep(_stored: &Versioned<Self>, _engine: &Engine) {}

    /// Adds data of external services to an event before the decision.
    async fn complete(&self, _engine: &Engine, _event: &mut Self::Event) -> Result<(), Fault> {
        Ok(())
    }

    /// What happens to the record when it is due.
    async fn when_due(&self, _engine: &Engine) -> Result<Vec<Self::Event>, Fault> {
        Ok(Vec::new())
    }

    /// Performs an effect.
    async fn perform(&self, engine: &Engine, pending: &Pending<Self::Effect>) -> Result<Outcome<Self::Event>, Fault>;
}

/// A kind of record that can be due.
pub(crate) struct Kind {
    /// The beginning of its partitions, up to the `#`.
    partition: &'static str,
    /// Its sort key, or the beginning of it.
    sort: &'static str,
    process: for<'a> fn(&'a Engine, Key, Overdue) -> BoxFuture<'a, Result<Handled, Fault>>,
}

/// Every kind that can be due.
const KINDS: [Kind; 8] = [
    Kind::of::<Run>("RUN", "RUN"),
    Kind::of::<Build>("RUN", BUILD),
    Kind::of::<Pool>("POOL", "POOL"),
    Kind::of::<Branch>("REPO", "BRANCH#"),
    Kind::of::<Instance>("INSTANCE", "INSTANCE"),
    Kind::of::<Alarm>("ALARM", "ALARM"),
    Kind::of::<Backup>("BACKUP", "BACKUP"),
    Kind::of::<Configuration>("CONFIGURATION", "CONFIGURATION"),
];

impl Kind {
    const fn of<R: Record>(partition: &'static str, sort: &'static str) -> Self {
        Self {
            partition,
            sort,
            process: |engine, key, overdue| process::<R>(engine, key, overdue).boxed(),
        }
    }

    /// The kind of the record with this key; `None` for a kind that only another version of the suite knows.
    pub(crate) fn with(key: &Key) -> Option<&'static Self> {
        let partition = key.partition.split_once('#').map(|(kind, _)| kind);
        KINDS
            .iter()
            .find(|kind| partition == Some(kind.partition) && key.sort.starts_with(kind.sort))
    }

    /// Processes a record of this kind that is due.
    pub(crate) async fn process(&self, engine: &Engine, key: Key, overdue: Overdue) -> Result<Handled, Fault> {
        (self.process)(engine, key, overdue).await
    }
}

async fn process<R: Record>(engine: &Engine, key: Key, overdue: Overdue) -> Result<Handled, Fault> {
    let Some(current) = engine.ledger.load_from::<R>(&key).await? else {
        return Ok(Handled::Unknown);
    };
    // For a function that was woken, a record that has nothing for it is none of its business.
    if overdue == Overdue::PerformOwn {
        let nothing = engine.pending_in(&current.record, overdue, engine.clock.now()).is_empty();
        return match nothing {
            true => Ok(Handled::Ignored(Ignored::NothingNew)),
            false => engine.advance(current, Vec::new(), overdue).await,
        };
    }
    let events = current.record.when_due(engine).await?;
    engine.advance(current, events, overdue).await
}
