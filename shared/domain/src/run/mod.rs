//! A run: all builds of one trigger, their order, and the run's result.
//!
//! - The types are at the bottom: `trigger`, `order`, `pipeline`, `plan`, `event`, `effect`, and the `record` of a run, with its `parts` in the
//!   ledger.
//! - Above them, one file for each subject: `create` makes a run and its builds, `jobs` starts, skips and cancels jobs, `action` keeps a CodePipeline
//!   action informed, `abandoned` reports effects that were abandoned, `retry` plans a run that repeats another one.
//! - At the top, `decide`, which answers every event.
//!
//! Two more records belong to runs: [`branch`], the newest run of a branch, and [`standing`], the last results of its jobs.
//!
//! A run knows of its builds only their names, states and outcomes: what happens inside a build belongs to [`crate::build`]. Messages and reports
//! about runs are written elsewhere.

mod abandoned;
mod action;
pub mod branch;
mod create;
mod decide;
mod effect;
mod event;
mod jobs;
mod order;
mod parts;
pub mod pipeline;
mod plan;
mod record;
mod retry;
pub mod standing;
pub mod trigger;

pub use crate::spec::Origin;
pub use effect::RunEffect;
pub use event::RunEvent;
pub use parts::{Listed, RunClass, Shown};
pub use plan::{JobState, Plan, Planned, RunJob, States};
pub use record::{RetryOf, Run, RunState};
pub use retry::{RetryPlan, RetryRefused, RetryScope};

#[cfg(test)]
mod tests;
