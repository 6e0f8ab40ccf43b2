//! The processing of every event: load, decide, commit, perform the effects, and process their results as events.
//!
//! ```text
//! event ─▶ load the record ─▶ decide ─▶ commit the next state with its effects ─▶ perform them ─▶ results are events again
//!               ▲                             │ conflict: another writer was faster
//!               └─────────────────────────────┘
//! ```
//!
//! The engine has no state. If a function stops between two steps, the effects stay in the record, and the [sweep](Engine::sweep) performs them again,
//! each under the same idempotency token.

mod again;
mod alarm;
mod backup;
mod branch;
mod build;
mod configuration;
mod document;
mod engine;
mod fault;
mod found;
mod instance;
mod launches;
#[cfg(feature = "testing")]
pub mod memory;
mod pool;
pub mod ports;
mod run;
mod standing;
mod start;
mod sweep;

#[cfg(feature = "testing")]
pub mod conformance;

pub use again::Retried;
pub use backup::{Asked, Keeper, PerBackup};
pub use configuration::NoConfiguration;
pub use engine::{Engine, Handled};
pub use fault::{Fault, FaultKind};
pub use start::{NothingWhy, Refused, Started, Starter};
pub use sweep::Swept;
