//! What a backup is, according to the suite configuration or the stack's environment.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::serde_duration;

/// The definition of a backup in the suite configuration. The service decides about fields that are not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The ARN of the resource.
    pub resource: String,
    /// The vault.
    pub vault: String,
    /// The ARN of the role that AWS Backup assumes for it.
    pub role: String,
    /// How long AWS Backup may wait before it starts the job.
    #[serde(with = "serde_duration::optional", default)]
    pub start_within: Option<Duration>,
    /// How long the job may take from the time it was requested.
    #[serde(with = "serde_duration::optional", default)]
    pub complete_within: Option<Duration>,
    /// The age at which a recovery point moves to cold storage.
    #[serde(with = "serde_duration::optional", default)]
    pub cold_after: Option<Duration>,
    /// The age at which it is deleted.
    #[serde(with = "serde_duration::optional", default)]
    pub delete_after: Option<Duration>,
    /// The ARN of another vault that gets a copy.
    pub copy_to: Option<String>,
    /// The age of the newest recovery point from which Bellhop raises an alert.
    #[serde(with = "serde_duration::optional", default)]
    pub newest_at_most: Option<Duration>,
    /// Whether and how restores are tested.
    pub restore_test: Option<RestoreTest>,
}

/// How restores are tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTest {
    /// The time between two tests.
    #[serde(with = "serde_duration")]
    pub every: Duration,
    /// The ARN of the role that AWS Backup assumes for a test; without it, the backup's role.
    pub role: Option<String>,
    /// Restore metadata that AWS Backup should not take from the recovery point.
    pub metadata: BTreeMap<String, String>,
}

/// The name of the backup of the suite's table.
pub const SUITE_TABLE: &str = "suite-table";
/// How long a daily backup of the suite's table is kept. Each is a full copy; the stack's weekly backups and the table's point-in-time recovery reach
/// back five weeks.
const SUITE_TABLE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

impl Definition {
    /// The backup of the suite's table, if the stack's environment defines it.
    #[must_use]
    pub fn of_suite_table(resource: &str, vault: &str, role: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            vault: vault.to_owned(),
            role: role.to_owned(),
            start_within: None,
            complete_within: None,
            cold_after: None,
            delete_after: Some(SUITE_TABLE_KEPT),
            copy_to: None,
            newest_at_most: Some(Duration::from_secs(26 * 3600)),
            restore_test: None,
        }
    }
}

/// Adds the backup of the suite's table to the configured ones, unless one of them has the same resource.
pub fn add_suite_table(backups: &mut BTreeMap<String, Definition>, table: Definition) {
    if backups.values().any(|backup| backup.resource == table.resource) {
        return;
    }
    let mut name = SUITE_TABLE.to_owned();
    while backups.contains_key(&name) {
        name.push('-');
    }
    backups.insert(name, table);
}
