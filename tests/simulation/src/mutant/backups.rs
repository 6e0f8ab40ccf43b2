//! Mistakes with backups.

use bellhop_domain::backup::{Backup, BackupEffect, BackupNewsKind, WorkId};
use bellhop_engine::ports::{Item, Lane};
use jiff::Timestamp;

use super::kind::Mutant;
use crate::backups::{Input, Plan};
use crate::world::{World, timestamp};

mutants! {
    /// Every delivery of a schedule counts as another one.
    SLOTS_IGNORED: "slots-ignored" within 200,
    /// Every `StartBackupJob` has a token of its own.
    BACKUP_TOKEN_UNSTABLE: "backup-token-unstable" within 200,
    /// Nobody asks for jobs of AWS Backup whose events are lost.
    LOST_JOBS_UNASKED: "lost-jobs-unasked" within 200,
    /// A job that went wrong goes wrong again with each of its events.
    EVERY_EVENT_ALERTS: "every-event-alerts" within 200,
    /// Nobody is told that a backup has recovered.
    RECOVERY_UNTOLD: "recovery-untold" within 200,
    /// A success recovers from what went wrong later.
    OLDER_SUCCESS_RECOVERS: "older-success-recovers" within 3000,
    /// Recovery points are not copied.
    COPIES_FORGOTTEN: "copies-forgotten" within 200,
    /// The newest recovery point is always new.
    AGE_UNWATCHED: "age-unwatched" within 200,
    /// What a restore test created stays.
    REMOVALS_DROPPED: "removals-dropped" within 200,
    /// The original is removed in the place of what a restore test created.
    ORIGINAL_REMOVED: "original-removed" within 200,
}

/// The time of a schedule as it is delivered.
pub(crate) fn delivered_slot(world: &World, input: &Input) -> Option<Timestamp> {
    match input {
        Input::Schedule { .. } if world.is(Mutant::SLOTS_IGNORED) => Some(timestamp(world.now)),
        Input::Schedule { slot, .. } => Some(timestamp(*slot)),
        Input::Request { .. } | Input::Check | Input::Job(_) => None,
    }
}

/// The token of a job of AWS Backup.
pub(crate) fn backup_token(world: &mut World, token: &str) -> String {
    if world.is(Mutant::BACKUP_TOKEN_UNSTABLE) {
        return format!("{token}{}", world.rng.u64(..));
    }
    token.to_owned()
}

/// What is removed where a restored resource is to be.
pub(crate) fn removed_resource(world: &World, resource: &str) -> String {
    let of = |plan: &&Plan| resource.split_once('/').is_some_and(|(place, _)| plan.resource.starts_with(place));
    match world.backups.plans.iter().find(of) {
        Some(plan) if world.is(Mutant::ORIGINAL_REMOVED) => plan.resource.clone(),
        _ => resource.to_owned(),
    }
}

/// What is done to a document that is about to be written.
pub(crate) fn before_write_of_document(world: &World, next: &Item) -> Item {
    let mut next = next.clone();
    if next.key.sort != "BACKUP" {
        return next;
    }
    let Ok(mut backup) = serde_json::from_str::<Backup>(&next.text) else {
        return next;
    };
    match world.mutant {
        Some(Mutant::LOST_JOBS_UNASKED) => {
            next.due = backup.outbox.due().map(|at| (Lane::Rest, at));
            return next;
        }
        Some(Mutant::RECOVERY_UNTOLD) => {
            backup.outbox.remove_where(|pending| {
                let BackupEffect::Notify(news) = &pending.effect else {
                    return false;
                };
                matches!(news.what, BackupNewsKind::Recovered { .. })
            });
        }
        Some(Mutant::COPIES_FORGOTTEN) => {
            let forgotten = |effect: &BackupEffect| matches!(effect, BackupEffect::Start(WorkId::Copy(_)));
            if !backup.outbox.remove_where(|pending| forgotten(&pending.effect)) {
                return next;
            }
            for job in &mut backup.jobs {
                job.copy = None;
            }
        }
        _ => return next,
    }
    next.text = serde_json::to_string(&backup).unwrap_or_default();
    next
}

/// The text of a backup as it is read.
pub(super) fn read_backup(world: &World, text: &str) -> Option<String> {
    if !matches!(world.mutant, Some(Mutant::EVERY_EVENT_ALERTS | Mutant::OLDER_SUCCESS_RECOVERS)) {
        return None;
    }
    let mut backup = serde_json::from_str::<Backup>(text).ok()?;
    for trouble in backup.troubles.values_mut().filter(|_| world.is(Mutant::OLDER_SUCCESS_RECOVERS)) {
        trouble.slot = Timestamp::MIN;
    }
    for job in backup.jobs.iter_mut().filter(|_| world.is(Mutant::EVERY_EVENT_ALERTS)) {
        job.work.end = job.work.end.take().filter(|end| end.how.is_good());
    }
    serde_json::to_string(&backup).ok()
}
