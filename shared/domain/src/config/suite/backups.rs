//! The section `backups`, and AWS Backup's own rules for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::defined::Check;
use crate::backup::restore::{self, Resource};
use crate::backup::{Definition, RestoreTest};
use crate::yaml::{Arn, Entries, Name, Timespan};
use crate::yaml::{FieldPath, FileError, quoted};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawBackup {
    resource: Arn,
    vault: Name,
    role: Arn,
    start_within: Option<Timespan>,
    complete_within: Option<Timespan>,
    cold_after: Option<Timespan>,
    delete_after: Option<Timespan>,
    copy_to: Option<Arn>,
    newest_at_most: Option<Timespan>,
    restore_test: Option<RawRestoreTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRestoreTest {
    every: Timespan,
    role: Option<Arn>,
    #[serde(default)]
    metadata: Entries<Name, Name>,
}

impl Check<'_> {
    pub(super) fn backups(&self, raw: Entries<Name, RawBackup>) -> Result<BTreeMap<String, Definition>, FileError> {
        let mut backups = BTreeMap::new();
        for (Name(name), raw) in raw.0 {
            let at = FieldPath::top("backups").key(&name);
            let Arn(resource) = raw.resource;
            // The service counts in these units.
            let whole = |key: &str, value: Option<Timespan>, unit: Duration, expected: &str| match value {
                Some(value) if value.span.is_zero() || value.span.as_nanos() % unit.as_nanos() != 0 => {
                    let message = format!("{} is not valid: expected {expected}", quoted(&value.text));
                    Err(self.source.error(&at.clone().key(key), message))
                }
                value => Ok(value.map(|value| value.span)),
            };
            let minutes = |key: &str, value| whole(key, value, MINUTE, "whole minutes, at least 1m");
            let days = |key: &str, value| whole(key, value, DAY, "whole days, at least 1d");
            let restore_test = raw
                .restore_test
                .map(|raw| self.restore_test(&at.clone().key("restore-test"), &resource, raw))
                .transpose()?;
            let backup = Definition {
                resource,
                vault: raw.vault.0,
                role: raw.role.0,
                start_within: minutes("start-within", raw.start_within)?,
                complete_within: minutes("complete-within", raw.complete_within)?,
                cold_after: days("cold-after", raw.cold_after)?,
                delete_after: days("delete-after", raw.delete_after)?,
                copy_to: raw.copy_to.map(|Arn(arn)| arn),
                newest_at_most: minutes("newest-at-most", raw.newest_at_most)?,
                restore_test,
            };
            // AWS Backup's rules. It would refuse each backup otherwise, and only when the backup is due.
            if backup.start_within.is_some_and(|start| start < HOUR) {
                return Err(self.source.error(&at.key("start-within"), "expected at least 1h"));
            }
            self.windows(&at, &backup)?;
            if let (Some(cold), Some(delete)) = (backup.cold_after, backup.delete_after)
                && delete.saturating_sub(cold) < 90 * DAY
            {
                return Err(self
                    .source
                    .error(&at.key("delete-after"), "expected at least 90 days more than `cold-after`"));
            }
            backups.insert(name, backup);
        }
        Ok(backups)
    }

    /// AWS Backup requires 60 minutes between the end of the start window and the end of the backup window. A window that is left out has its default
    /// length.
    fn windows(&self, at: &FieldPath, backup: &Definition) -> Result<(), FileError> {
        let start = backup.start_within.unwrap_or(8 * HOUR);
        let complete = backup.complete_within.unwrap_or(7 * DAY);
        if complete >= start.saturating_add(HOUR) {
            return Ok(());
        }
        let (key, message) = match (backup.start_within, backup.complete_within) {
            (Some(_), Some(_)) => ("complete-within", "expected at least 60 minutes more than `start-within`"),
            (None, _) => (
                "complete-within",
                "expected at least 60 minutes more than `start-within`, which is 8h where it is left out",
            ),
            (_, None) => (
                "start-within",
                "expected at least 60 minutes less than `complete-within`, which is 7d where it is left out",
            ),
        };
        Err(self.source.error(&at.clone().key(key), message))
    }

    fn restore_test(&self, at: &FieldPath, resource: &str, raw: RawRestoreTest) -> Result<RestoreTest, FileError> {
        let Some(Resource { kind, .. }) = Resource::of(resource) else {
            // Bellhop could not remove the resource that the restore creates, and the resource would cost money.
            let message = format!("restores of this resource cannot be tested: expected {}", restore::TESTABLE);
            return Err(self.source.error(at, message));
        };
        if raw.every.span < HOUR {
            return Err(self.source.error(&at.clone().key("every"), "expected at least 1h"));
        }
        let metadata: BTreeMap<String, String> = raw.metadata.0.into_iter().map(|(Name(key), Name(value))| (key, value)).collect();
        let has = |key: &str| metadata.keys().any(|other| other.eq_ignore_ascii_case(key));
        if let Some(key) = kind.own_keys().iter().find(|key| has(key)) {
            let at = at.clone().key("metadata");
            return Err(self
                .source
                .error(&at, format!("`{key}` is set by Bellhop, so that the restore creates something new")));
        }
        if let Some(key) = kind.required_keys().iter().find(|key| !has(key)) {
            let message = format!("missing key `{key}`: Bellhop cannot determine it");
            return Err(self.source.error(&at.clone().key("metadata"), message));
        }
        Ok(RestoreTest {
            every: raw.every.span,
            role: raw.role.map(|Arn(arn)| arn),
            metadata,
        })
    }
}
