//! A backup of the suite configuration: its AWS Backup jobs, the age of its newest recovery point, and its restore tests.
//!
//! The token of a job contains the backup's name and the schedule's slot, so a schedule that is delivered twice starts one job. An event reports the
//! end of a job; because events get lost, Bellhop also polls. The age of the newest recovery point reveals a job that was never started. Each problem
//! is reported once, and so is the recovery.
//!
//! From the bottom up: `definition`, `job`, `seen` (what AWS says), `effect`, `record` and `event`; `restore` (which resources can be restored and
//! how); then the decisions: `schedule` (when a job begins, and which schedules are the same slot), `poll` (when a job is asked about), `progress`
//! (what an event or a poll says, and what follows a job's end), `age` (of the newest recovery point), `restore_test`, `alerts` (each problem once),
//! and on top `decide`. Texts for people are in `message::backup`, the rules of the configuration in `config::suite`, and calls to AWS are the
//! engine's. Look first at `decide.rs`.

mod age;
mod alerts;
mod decide;
mod definition;
mod effect;
mod event;
mod job;
mod poll;
mod progress;
mod record;
pub mod restore;
mod restore_test;
mod schedule;
mod seen;
mod summary;
#[cfg(test)]
mod tests;

pub use definition::{Definition, RestoreTest, SUITE_TABLE, add_suite_table};
pub use effect::{BackupEffect, BackupNews, BackupNewsKind, START_WITHIN};
pub use event::{BackupEvent, BackupRequest};
pub use job::{End, EndKind, Job, LONGEST_POLL_WAIT, POLL_AFTER, ServiceJob, WorkId};
pub use record::{Backup, Concern, REMOVAL_AFTER, Removal, Test, Trouble};
pub use schedule::SAME_SLOT_WITHIN;
pub use seen::{JobKind, JobObservation, JobState, Point, RemovalObservation};
