//! AWS Backup: the states of its jobs, by their names and by what they mean.

use bellhop_domain::backup::JobState;

/// The states that a `backup`, `copy` or `restore` job may come to, as DescribeBackupJob, DescribeCopyJob and DescribeRestoreJob name them, and what each means.
/// The first is the one that a job begins in.
#[must_use]
pub fn states(kind: &str) -> &'static [(&'static str, JobState)] {
    match kind {
        "backup" => &[
            ("CREATED", JobState::Underway),
            ("PENDING", JobState::Underway),
            ("RUNNING", JobState::Underway),
            ("ABORTING", JobState::Underway),
            ("ABORTED", JobState::Aborted),
            ("COMPLETED", JobState::Completed),
            ("FAILED", JobState::Failed),
            ("EXPIRED", JobState::Expired),
            ("PARTIAL", JobState::Partial),
        ],
        "copy" => &[
            ("CREATED", JobState::Underway),
            ("RUNNING", JobState::Underway),
            ("COMPLETED", JobState::Completed),
            ("FAILED", JobState::Failed),
            ("PARTIAL", JobState::Partial),
        ],
        _ => &[
            ("PENDING", JobState::Underway),
            ("RUNNING", JobState::Underway),
            ("COMPLETED", JobState::Completed),
            ("ABORTED", JobState::Aborted),
            ("FAILED", JobState::Failed),
        ],
    }
}

/// What a state of a kind of job means; none for one that there is not.
#[must_use]
pub fn meaning(kind: &str, state: &str) -> Option<JobState> {
    let mut states = states(kind).iter();
    states.find(|(name, _)| *name == state).map(|(_, meaning)| *meaning)
}

/// Whether a kind of job may end like this.
#[must_use]
pub fn may_end(kind: &str, state: JobState) -> bool {
    state != JobState::Underway && states(kind).iter().any(|(_, meaning)| *meaning == state)
}
