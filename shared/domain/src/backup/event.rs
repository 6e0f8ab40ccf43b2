//! What can happen to a backup, and what the function `backup` can be asked for.

use jiff::Timestamp;

use super::definition::Definition;
use super::job::WorkId;
use super::seen::{JobObservation, Point, RemovalObservation};

/// A request to the function `backup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupRequest {
    /// Start a backup.
    Start {
        /// Its name.
        name: String,
        /// The schedule's time, if the request has it.
        slot: Option<Timestamp>,
    },
    /// Check the age and the jobs of all backups.
    Check,
}

/// An event for a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupEvent {
    /// A schedule or a request starts a backup job.
    Scheduled {
        /// The current definition.
        definition: Box<Definition>,
        /// The schedule's time.
        slot: Timestamp,
        /// The id of the request, if it has one.
        by: String,
    },
    /// A schedule or a request checks the backup.
    Check {
        /// The current definition.
        definition: Box<Definition>,
    },
    /// AWS Backup accepted a job.
    Started {
        /// Which.
        work: WorkId,
        /// Its id.
        id: String,
    },
    /// AWS Backup refused a job.
    Refused {
        /// Which.
        work: WorkId,
        /// Why.
        message: String,
    },
    /// An event reports a job. Bellhop ignores what it says about a restored resource, because anyone who may invoke the function could send it.
    ReportedByEvent(JobObservation),
    /// A poll returned a job.
    Described(JobObservation),
    /// A poll did not find a job.
    Vanished(WorkId),
    /// The search for the newest recovery point returned; `None` if there is none.
    Newest(Option<Point>),
    /// The state of the removal of a restored resource.
    Removal(RemovalObservation),
    /// Time has passed.
    Tick,
}
