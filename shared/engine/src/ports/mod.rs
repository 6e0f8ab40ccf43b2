//! The engine's interfaces to external services, in domain types: one file per port.
//!
//! `bellhop-aws` implements these ports with AWS, tests and the simulation with stateful fakes. A port says what a caller may rely on: what repeated
//! calls do, what a fault leaves open, and which limits hold. It names no SDK, and decides nothing about builds.
//!
//! A function has the ports of what it performs, and no others: see [`Performs`](crate::Performs).

mod backups;
mod clock;
mod executor;
mod images;
mod instances;
mod ledger;
mod notifier;
mod pipelines;
mod services;
mod source;
mod store;
mod timer;

pub use backups::{Backups, JobStart};
pub use bellhop_domain::record::Key;
pub use clock::{Clock, Meter};
pub use executor::{Executor, Executors, Launch};
pub use images::Images;
pub use instances::{InstanceTask, Instances};
pub use ledger::{Created, Entry, Item, Lane, Ledger, List, Listing, TRANSACTION, Text, Written};
pub use notifier::{Notifier, Waker};
pub use pipelines::{Answered, Pipelines};
pub use services::{Restarted, Services};
pub use source::{Ancestry, FileAt, Revision, Root, Source, SourceFile};
pub use store::Store;
pub use timer::{CLOCKS, Timer};
