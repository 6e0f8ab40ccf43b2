//! Starts and checks of backups: from a schedule, a request or a job's event to the backups' records.

use std::collections::BTreeMap;

use bellhop_domain::backup::{Backup, BackupEvent, Definition, JobObservation, add_suite_table};
use bellhop_domain::message;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde_json::Value;

use crate::advance::Overdue;
use crate::records::Versioned;
use crate::start::Refused;
use crate::{Engine, Fault, Handled, NoConfiguration};

/// How many backups are processed in parallel.
const SIDE_BY_SIDE: usize = 8;

/// Starts and checks backups: the engine, and the backup of the suite's table if the stack has one.
#[derive(Clone)]
pub struct BackupService {
    /// The engine.
    pub engine: Engine,
    /// The backup of the suite's table.
    pub table: Option<Definition>,
}

/// The result of each requested backup, by name.
pub type PerBackup = Vec<(String, Handled)>;

/// The result of a request for backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The results of existing backups.
    pub backups: PerBackup,
    /// Why part of the request failed; for people.
    pub refused: Option<Refused>,
}

impl BackupService {
    /// Starts one backup, or all of them. `slot` is the schedule's time; without it, the request is for now, and its answer contains the errors. `by`
    /// identifies the requester: a repeated request starts nothing twice.
    ///
    /// If the configuration has an error, the suite's table is backed up nevertheless, and an error of a schedule is reported in a message.
    ///
    /// # Errors
    /// If a service cannot be reached now: the first such fault, after all others were tried.
    pub async fn start(&self, name: Option<&str>, slot: Option<Timestamp>, by: &str) -> Result<Asked, Fault> {
        let now = self.engine.clock.now();
        let (mut backups, mut refused) = self.backups().await?;
        if let Some(name) = name {
            if refused.is_none() && !backups.contains_key(name) {
                refused = Some(no_backup(&backups));
            }
            backups.retain(|other, _| other == name);
            if !backups.is_empty() {
                refused = None;
            }
        }
        let backups = self
            .each(backups, async |name, definition| {
                self.engine.back_up(name, definition, slot.unwrap_or(now), by).await
            })
            .await;
        if let (Some(Refused(why)), Some(slot)) = (&refused, slot) {
            tracing::error!(why, "backups could not be started");
            self.engine.notifier.publish(&message::about_no_backups(why, slot, now)).await?;
        }
        Ok(Asked {
            backups: backups?,
            refused,
        })
    }

    /// Checks all backups: polls their unfinished jobs and the age of their newest recovery points, and starts the restore tests that are due.
    ///
    /// # Errors
    /// As [`BackupService::start`].
    pub async fn check(&self) -> Result<Asked, Fault> {
        let (backups, refused) = self.backups().await?;
        let backups = self
            .each(backups, async |name, definition| {
                let record = self.engine.load_backup(name, definition).await?;
                let definition = Box::new(definition.clone());
                self.engine
                    .advance(record, vec![BackupEvent::Check { definition }], Overdue::Perform)
                    .await
            })
            .await?;
        Ok(Asked { backups, refused })
    }

    /// The state of each configured backup, for people: its newest job, the time of its newest recovery point, and its problems.
    ///
    /// # Errors
    /// If the ledger or the configuration cannot be read.
    pub async fn states(&self) -> Result<Vec<(String, Value)>, Fault> {
        let (backups, _) = self.backups().await?;
        let loading = backups.into_keys().map(async |name| {
            let stored = self.engine.ledger.load::<Backup>(&name).await?;
            Ok(stored.map(|stored| (name, stored.record.summary())))
        });
        let states: Vec<Option<(String, Value)>> = stream::iter(loading).buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(states.into_iter().flatten().collect())
    }

    /// Passes the observation of a job to its backup. `None` if no backup of the suite started it.
    ///
    /// # Errors
    /// If the ledger or the configuration cannot be read, or as [`Engine::build`].
    pub async fn job(&self, seen: &JobObservation) -> Result<Option<(String, Handled)>, Fault> {
        let (backups, _) = self.backups().await?;
        let of_resource = backups.into_iter().filter(|(_, definition)| {
            // The event of a restore job has its recovery point, but not its resource.
            seen.resource.as_ref().is_none_or(|resource| *resource == definition.resource)
        });
        let loading = of_resource.map(async |(name, _)| self.engine.ledger.load::<Backup>(&name).await);
        let mut loading = stream::iter(loading).buffered(SIDE_BY_SIDE);
        while let Some(record) = loading.next().await {
            if let Some(record) = record?
                && record.record.whose(seen.kind, &seen.id).is_some()
            {
                let name = record.record.name.clone();
                let event = BackupEvent::ReportedByEvent(seen.clone());
                let handled = self.engine.advance(record, vec![event], Overdue::Perform).await?;
                return Ok(Some((name, handled)));
            }
        }
        Ok(None)
    }

    /// All backups, and the error of the configuration, if it has one.
    async fn backups(&self) -> Result<(BTreeMap<String, Definition>, Option<Refused>), Fault> {
        let (mut backups, refused) = match self.engine.configuration().await? {
            Ok(config) => (config.backups, None),
            Err(NoConfiguration::Broken(why)) => (BTreeMap::new(), Some(Refused(why))),
            Err(NoConfiguration::Missing(_)) => (BTreeMap::new(), None),
        };
        if let Some(table) = &self.table {
            add_suite_table(&mut backups, table.clone());
        }
        Ok((backups, refused))
    }

    async fn each<Each>(&self, backups: BTreeMap<String, Definition>, each: Each) -> Result<PerBackup, Fault>
    where
        Each: AsyncFn(&str, &Definition) -> Result<Handled, Fault>,
    {
        let each = &each;
        let work = backups
            .iter()
            .map(async |(name, definition)| (name.clone(), each(name, definition).await));
        let results: Vec<_> = stream::iter(work).buffered(SIDE_BY_SIDE).collect().await;
        let mut backups = Vec::with_capacity(results.len());
        let mut fault = None;
        for (name, result) in results {
            match result {
                Ok(handled) => backups.push((name, handled)),
                Err(other) => {
                    tracing::error!(backup = name, error = %other, "a backup could not be processed");
                    fault.get_or_insert(other);
                }
            }
        }
        fault.map_or(Ok(backups), Err)
    }
}

fn no_backup(backups: &BTreeMap<String, Definition>) -> Refused {
    let known: Vec<&str> = backups.keys().map(String::as_str).take(20).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Refused(format!("there is no backup with that name (known: {known})"))
}

impl Engine {
    /// Starts a configured backup now. `Ok(Err(…))` has the reason if it does not exist.
    ///
    /// # Errors
    /// As [`Engine::back_up`], and if the configuration cannot be read.
    pub async fn back_up_now(&self, name: &str, by: &str) -> Result<Result<Handled, Refused>, Fault> {
        let service = BackupService {
            engine: self.clone(),
            table: None,
        };
        let (backups, refused) = service.backups().await?;
        match backups.get(name) {
            Some(definition) => self.back_up(name, definition, self.clock.now(), by).await.map(Ok),
            None => Ok(Err(refused.unwrap_or_else(|| no_backup(&backups)))),
        }
    }

    /// Starts a backup for a slot, once, even if requested repeatedly. `by` identifies the requester: repeated requests start one job.
    ///
    /// # Errors
    /// As [`Engine::build`].
    pub async fn back_up(&self, name: &str, definition: &Definition, slot: Timestamp, by: &str) -> Result<Handled, Fault> {
        let record = self.load_backup(name, definition).await?;
        let event = BackupEvent::Scheduled {
            definition: Box::new(definition.clone()),
            slot,
            by: by.to_owned(),
        };
        let handled = self.advance(record, vec![event], Overdue::Perform).await?;
        tracing::info!(backup = name, %slot, ?handled, "backup requested");
        Ok(handled)
    }

    /// Reads a backup from the ledger, or creates a new one.
    async fn load_backup(&self, name: &str, definition: &Definition) -> Result<Versioned<Backup>, Fault> {
        let mut stored = self.ledger.load::<Backup>(name).await?;
        if let Some(stored) = &mut stored {
            stored.record.join(&self.suite);
        }
        Ok(stored.unwrap_or_else(|| Versioned::new(Backup::new(&self.suite, name, definition.clone(), self.clock.now()))))
    }
}
