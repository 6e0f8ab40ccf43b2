//! The rules for runs, builds and attempts.
//!
//! Everything here is a pure function of its arguments: no AWS, no clock, no environment, no I/O. The engine loads a state, calls `decide` with an
//! event, stores the new state and performs its effects.

pub mod agent;
pub mod alarm;
pub mod backup;
pub mod build;
pub mod capacity;
pub mod codebuild;
pub mod config;
pub mod configuration;
pub mod decision;
pub mod ids;
pub mod instance;
pub mod links;
pub mod measure;
pub mod message;
pub mod observation;
pub mod outbox;
pub mod outcome;
pub mod queue;
pub mod report;
pub mod request;
pub mod results;
pub mod run;
pub(crate) mod serde_duration;
pub mod spec;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod text;
pub(crate) mod time;

pub use capacity::Capacity;
pub use queue::pool;
pub use results::{found, junit};
pub use run::{branch, pipeline, standing, trigger};
