//! Backups: the jobs of AWS Backup for one backup of the suite configuration.

use async_trait::async_trait;
use bellhop_domain::backup::{Backup, BackupEffect, BackupEvent, Definition, JobKind, WorkId};
use bellhop_domain::message;
use bellhop_domain::outbox::Pending;
use bellhop_domain::record::Performer;
use jiff::Timestamp;

use super::{Outcome, Record, Stored};
use crate::ports::{JobStart, Key};
use crate::{Engine, Fault};

impl Stored for Backup {
    type Id<'a> = &'a str;

    fn key_of(name: &str) -> Key {
        Key::new(format!("BACKUP#{name}"), "BACKUP")
    }

    fn id(&self) -> &str {
        &self.name
    }

    fn due(&self) -> Option<Timestamp> {
        Backup::due(self)
    }

    fn timer(&self) -> Option<Timestamp> {
        self.outbox.retry()
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(Backup::expires(self))
    }
}

#[async_trait]
impl Record for Backup {
    fn name(&self) -> String {
        format!("backup {}", self.name)
    }

    fn performer(&self, effect: &BackupEffect) -> Performer {
        match effect {
            BackupEffect::Notify(_) => Performer::Any,
            _ => Performer::Backups,
        }
    }

    async fn when_due(&self, _: &Engine) -> Result<Vec<BackupEvent>, Fault> {
        Ok(vec![BackupEvent::Tick])
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<BackupEffect>) -> Result<Outcome<BackupEvent>, Fault> {
        let outcome = match &pending.effect {
            BackupEffect::Start(work) => {
                let work = *work;
                match begin(self, engine, work).await? {
                    JobStart::Started(id) => {
                        tracing::info!(backup = self.name, ?work, id, "job started");
                        BackupEvent::Started { work, id }
                    }
                    JobStart::Refused(message) => {
                        tracing::error!(backup = self.name, ?work, why = message, "a job was refused");
                        BackupEvent::Refused { work, message }
                    }
                }
            }
            BackupEffect::Poll(work) => {
                let kind = match work {
                    WorkId::Backup(_) => JobKind::Backup,
                    WorkId::Copy(_) => JobKind::Copy,
                    WorkId::Restore(_) => JobKind::Restore,
                };
                let Some(id) = self.work(*work).and_then(|work| work.id.clone()) else {
                    return Ok(Outcome::done());
                };
                match engine.backups()?.job(kind, &id).await? {
                    Some(seen) => BackupEvent::Described(seen),
                    None => BackupEvent::Vanished(*work),
                }
            }
            BackupEffect::Check => {
                let Definition { resource, vault, .. } = &self.definition;
                BackupEvent::Newest(engine.backups()?.newest(resource, vault).await?)
            }
            BackupEffect::Remove { resource } => {
                let Some(test) = &self.test else { return Ok(Outcome::done()) };
                let token = self.token(WorkId::Restore(test.slot));
                tracing::info!(backup = self.name, resource, "what a restore test created is removed");
                BackupEvent::Removal(engine.backups()?.remove(resource, &token).await?)
            }
            BackupEffect::PollRemoval { request } => BackupEvent::Removal(engine.backups()?.removal(request).await?),
            BackupEffect::Notify(news) => {
                engine.notifier.publish(&message::about_backup(self, news)).await?;
                return Ok(Outcome::done());
            }
        };
        Ok(Outcome::Done(vec![outcome]))
    }
}

/// Starts a job, and returns its id or why it was refused.
async fn begin(backup: &Backup, engine: &Engine, work: WorkId) -> Result<JobStart, Fault> {
    let token = backup.token(work);
    let gone = || JobStart::Refused("the ledger no longer has the job".to_owned());
    match work {
        WorkId::Backup(slot) => match backup.job(slot) {
            Some(job) => engine.backups()?.back_up(&job.definition, &token).await,
            None => Ok(gone()),
        },
        WorkId::Copy(slot) => {
            let Some(job) = backup.job(slot) else { return Ok(gone()) };
            let point = match (&job.point, &job.work.id) {
                (Some(point), _) => Some(point.clone()),
                (None, Some(id)) => engine.backups()?.job(JobKind::Backup, id).await?.and_then(|seen| seen.point),
                (None, None) => None,
            };
            match point {
                Some(point) => engine.backups()?.copy(&job.definition, &point, &token).await,
                None => Ok(JobStart::Refused("AWS Backup did not return the job's recovery point".to_owned())),
            }
        }
        WorkId::Restore(slot) => match backup.test.as_ref().filter(|test| test.slot == slot) {
            Some(test) => {
                let name = backup.restored_name(slot);
                engine.backups()?.restore(&test.definition, &test.point, &name, &token).await
            }
            None => Ok(gone()),
        },
    }
}
