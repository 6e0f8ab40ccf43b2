//! The two YAML files of users, and the run that they make of a push.
//!
//! `config/bellhop.yaml` ([`SuiteConfig`]) belongs to the administrators of a suite and says which agents there are. `.bellhop.yaml`
//! ([`PipelineFile`]) belongs to a repository and says which jobs a push starts. [`plan`] puts both together and freezes the builds of a run.
//!
//! Not here: the keys of an agent template, with their checks, are in `executor`, one file per kind; those of a remedy in `alarm::remedy`. What all
//! files have in common (bounds, lines, errors) is in `yaml`.
//!
//! Every mistake in a file is one [`FileError`]: one line with file, line, field, and what was expected, fit for a notification.
//! Files are read with bounds (size, nesting, values once aliases are expanded), because everyone who may push may write one.

mod filter;
mod gate;
mod pipeline;
mod plan;
mod suite;

pub use crate::yaml::{FileError, PIPELINE_FILE, SUITE_FILE, is_misnamed, nearest};
pub use filter::skips;
pub use gate::{OffRef, gated, is_protected, off_ref, unprotect};
pub use pipeline::{Concurrency, Job, PipelineFile, Select, Work};
pub use plan::{OnBehalf, plan, plan_script};
pub use suite::{Alarm, Notify, Protected, Repository, SuiteConfig, SuiteJob};

#[cfg(test)]
mod tests;
