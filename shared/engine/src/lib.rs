//! The processing of every event: load, decide, commit, perform the effects, and process their results as events.
//!
//! ```text
//! event ─▶ load the record ─▶ decide ─▶ commit the next state with its effects ─▶ perform them ─▶ results are events again
//!               ▲                             │ conflict: another writer was faster
//!               └─────────────────────────────┘
//! ```
//!
//! | room | does |
//! |---|---|
//! | `ports` | names what the engine needs of the outside, one file per service |
//! | `records` | says of each kind of record how it is loaded and what performs its effects |
//! | `advance` | the loop above, and what becomes of effects that were not performed in time |
//! | `start`, `retry` | start a run, and repeat one that somebody asks for |
//! | `plan`, `gate` | say which builds a run has, and reject what is not on its branch or tag |
//! | `results` | reads what an agent left: report, artifacts, test results |
//! | `alarm`, `remedies`, `backup` | handle alarms, apply remedies, start backups |
//! | `sweep` | once a minute: what is due, and what was left behind |
//!
//! The engine has no state. If a function stops between two steps, the effects stay in the record, and the [sweep](Engine::sweep) performs them again,
//! each under the same idempotency token.

mod advance;
mod alarm;
mod backup;
mod configuration;
mod engine;
mod fault;
mod gate;
mod inherit;
mod inputs;
#[cfg(feature = "testing")]
pub mod memory;
mod plan;
pub mod ports;
mod recent;
pub mod records;
mod remedies;
mod results;
mod retry;
mod start;
mod sweep;

#[cfg(feature = "testing")]
pub mod conformance;

pub use backup::{Asked, BackupService, PerBackup};
pub use configuration::NoConfiguration;
pub use engine::{BuildPorts, Engine, Handled, Performs, RemedyPorts};
pub use fault::{Fault, FaultKind};
pub use plan::NothingWhy;
pub use recent::Recent;
pub use retry::Retried;
pub use start::{Refused, RunStarter, Started};
pub use sweep::{Pace, Swept, TIMERS_AHEAD};
