//! What must hold of backups, their copies and their restore tests.

use std::collections::{BTreeMap, BTreeSet};

use bellhop_domain::alarm::AlarmState;
use bellhop_domain::backup::{
    Backup, BackupEffect, BackupNews, BackupNewsKind, Concern, EndKind, JobKind, JobState, SAME_SLOT_WITHIN, START_WITHIN, ServiceJob,
    WorkId,
};
use bellhop_domain::message::about_backup;
use bellhop_engine::ports::Item;
use jiff::Timestamp;

use super::records::reads_back;
use super::seen::CLOCKS;
use crate::world::{MINUTE, Millis, Subject, World, moment, timestamp};

/// How long before a decision it was looked what is true, at most: the time limit of a function, and the delay of an answer.
const LOOKED_BEFORE: Millis = 2 * MINUTE;

/// Names a job of a backup: the backup, the kind, the slot.
type Named = (String, &'static str, Millis);

/// What is remembered of backups for the checks alone.
#[derive(Default)]
pub(crate) struct Seen {
    /// The ids of the messages that were decided upon.
    wanted: BTreeSet<String>,
    /// What was decided to be told of each job.
    news: BTreeMap<Named, BTreeSet<String>>,
    /// What was told as left over.
    left_over: BTreeSet<String>,
    /// How each job is known to have ended, in the order of the decisions, and when that was decided.
    ended: Vec<(Named, EndKind, Millis)>,
    /// When each of those was decided upon, and when AWS Backup has begun it, if it has.
    began: BTreeMap<Named, (Millis, Option<Millis>)>,
    /// The jobs that were decided upon, by who asked for them.
    asked: BTreeMap<(String, String), Millis>,
    /// The last time that the newest recovery point of a resource was looked for: when, what was found, and whether a missing one would be wrong.
    looked: BTreeMap<String, Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Millis,
    newest: Option<Millis>,
    /// Every job had ended, and there had been one.
    none_is_wrong: bool,
}

fn records(world: &World) -> Vec<Backup> {
    let documents = world.tables.documents.iter().filter(|(key, _)| key.sort == "BACKUP");
    documents
        .filter_map(|(_, stored)| serde_json::from_str(&stored.record.text).ok())
        .collect()
}

fn works(backup: &Backup) -> Vec<(WorkId, &ServiceJob)> {
    let jobs = backup.jobs.iter().flat_map(|job| {
        let copy = job.copy.as_ref().map(|copy| (WorkId::Copy(job.slot), copy));
        [(WorkId::Backup(job.slot), &job.work)].into_iter().chain(copy)
    });
    jobs.chain(backup.test.iter().map(|test| (WorkId::Restore(test.slot), &test.work)))
        .collect()
}

fn named(backup: &str, work: WorkId) -> Named {
    let (word, slot) = match work {
        WorkId::Backup(slot) => (JobKind::Backup.as_str(), slot),
        WorkId::Copy(slot) => (JobKind::Copy.as_str(), slot),
        WorkId::Restore(slot) => (JobKind::Restore.as_str(), slot),
    };
    (backup.to_owned(), word, moment(slot))
}

fn kind(work: WorkId) -> JobKind {
    match work {
        WorkId::Backup(_) => JobKind::Backup,
        WorkId::Copy(_) => JobKind::Copy,
        WorkId::Restore(_) => JobKind::Restore,
    }
}

/// AWS Backup is about to take a job.
pub(crate) fn beginning(world: &mut World, of: JobKind, token: &str, point: Option<&str>) {
    let mut decided = None;
    for backup in records(world) {
        for (id, _) in works(&backup) {
            if kind(id) == of && backup.token(id) == token {
                decided = Some((backup.clone(), id));
            }
        }
    }
    check!(
        world,
        Subject::World,
        "backups-are-decided-first",
        decided.is_some(),
        "a {} job is started, and no backup has decided upon it",
        of.as_str()
    );
    let Some((backup, WorkId::Copy(slot))) = decided else { return };
    let of_slot = backup.job(slot).and_then(|job| job.work.id.as_ref());
    let copied = of_slot
        .and_then(|id| world.backups.job(JobKind::Backup, id))
        .map(|job| job.point.clone());
    check!(
        world,
        Subject::World,
        "copies-are-of-their-backup",
        copied.as_deref() == point,
        "{point:?} is copied for {} at {slot}, which made {copied:?}",
        backup.name
    );
}

/// Something is about to be removed.
pub(crate) fn removing(world: &mut World, resource: &str) {
    let created = world.backups.restored.iter().any(|restored| restored.resource == resource);
    // Of a restore that AWS Backup has forgotten, it is not known whether it created something.
    let tested = records(world).iter().any(|backup| {
        let name = backup.test.as_ref().map(|test| backup.restored_name(test.slot));
        name.is_some_and(|name| resource.ends_with(&format!("/{name}")))
    });
    check!(
        world,
        Subject::World,
        "only-what-was-restored-is-removed",
        created || tested,
        "{resource} is removed, and no restore has created it"
    );
}

/// The newest recovery point of a resource was looked for.
pub(crate) fn looked(world: &mut World, resource: &str, newest: Option<Millis>) {
    let record = records(world).into_iter().find(|backup| backup.definition.resource == resource);
    let none_is_wrong = record.is_some_and(|backup| !backup.jobs.is_empty() && backup.jobs.iter().all(|job| job.work.end.is_some()));
    let at = world.now;
    let look = Look { at, newest, none_is_wrong };
    world.checks.backups.looked.insert(resource.to_owned(), look);
}

/// A record of a backup is about to be written.
pub(crate) fn written(world: &mut World, previous: Option<&Item>, next: &Item) {
    if next.key.sort != "BACKUP" {
        return;
    }
    let Ok(backup) = serde_json::from_str::<Backup>(&next.text) else {
        world.violated("records-read-back", &Subject::World, next.text.clone());
        return;
    };
    reads_back(world, Subject::World, &backup);
    let previous: Option<Backup> = previous.and_then(|previous| serde_json::from_str(&previous.text).ok());
    slots_written(world, previous.as_ref(), &backup);
    for (id, work) in works(&backup) {
        let before = previous.as_ref().and_then(|previous| previous.work(id));
        if let Some(end) = work.end.as_ref().filter(|_| before.is_none_or(|before| before.end.is_none())) {
            ended(world, &backup, id, work, end.how);
        }
    }
    let outbox = previous.as_ref().map(|previous| previous.outbox.clone()).unwrap_or_default();
    let told: Vec<BackupNews> = backup
        .outbox
        .since(&outbox)
        .filter_map(|pending| match &pending.effect {
            BackupEffect::Notify(news) => Some(news.clone()),
            _ => None,
        })
        .collect();
    for news in &told {
        telling(world, &backup, news);
    }
    let troubles = previous.iter().flat_map(|previous| &previous.troubles);
    for (concern, trouble) in troubles.filter(|(concern, _)| !backup.troubles.contains_key(concern)) {
        let is_told = told.iter().any(|news| match &news.what {
            BackupNewsKind::Recovered { copy, .. } => *copy == (*concern == Concern::Copy),
            BackupNewsKind::RestoreTested { .. } => *concern == Concern::Restore,
            _ => false,
        });
        check!(
            world,
            Subject::World,
            "recovery-is-told",
            is_told,
            "{} has recovered from {}, and nobody is to hear of it",
            backup.name,
            trouble.status
        );
    }
}

/// Every slot is one that somebody asked for, once.
fn slots_written(world: &mut World, previous: Option<&Backup>, next: &Backup) {
    let before = previous.map(|previous| previous.jobs.as_slice()).unwrap_or_default();
    for job in next.jobs.iter().filter(|job| before.iter().all(|known| known.slot != job.slot)) {
        let slot = moment(job.slot);
        let is_real = if job.by.starts_with("schedule-") {
            let minute = |at: Timestamp| at.as_second().div_euclid(60);
            let mut slots = world.backups.slots.iter();
            slots.any(|scheduled| minute(timestamp(*scheduled)) == minute(job.slot))
        } else if let Some((key, at)) = job.by.rsplit_once('@') {
            let at = at.parse().map_or(0, moment);
            world.alarms.transition(key, AlarmState::Alarm, at).is_some()
        } else {
            job.by.starts_with("request-")
        };
        check!(
            world,
            Subject::World,
            "slots-are-real",
            is_real,
            "{} is backed up for {}, by {}, and nobody asked for that",
            next.name,
            job.slot,
            job.by
        );
        let asked = world.checks.backups.asked.insert((next.name.clone(), job.by.clone()), slot);
        check!(
            world,
            Subject::World,
            "one-job-per-request",
            asked.is_none(),
            "{} is backed up for {} a second time",
            next.name,
            job.by
        );
        let beside = before.iter().find(|known| {
            let counts = known.work.end.as_ref().is_none_or(|end| end.how.is_good());
            counts && known.slot.duration_since(job.slot).unsigned_abs() < SAME_SLOT_WITHIN
        });
        check!(
            world,
            Subject::World,
            "slots-are-apart",
            beside.is_none(),
            "{} is backed up for {} beside {beside:?}",
            next.name,
            job.slot
        );
    }
}

/// A job counts as over.
fn ended(world: &mut World, backup: &Backup, id: WorkId, work: &ServiceJob, how: EndKind) {
    let now = world.now;
    let name = named(&backup.name, id);
    let truth = work.id.as_ref().and_then(|job| world.backups.job(kind(id), job));
    let began = (moment(work.since), truth.map(|job| job.begun));
    let is_real = match (how, truth) {
        (EndKind::Refused, None) => {
            let given_up = moment(work.since) + Millis::try_from(START_WITHIN.as_millis()).unwrap_or(Millis::MAX) <= now + CLOCKS;
            // A copy of a job that AWS Backup has forgotten has nothing to copy.
            let pointless = matches!(id, WorkId::Copy(_));
            world.backups.refused.contains(&backup.token(id)) || given_up || pointless
        }
        (EndKind::Vanished, Some(job)) => job.forgotten && job.ends_at <= now,
        (how, Some(job)) if job.ends_at <= now => {
            let really = match (job.ends, job.message) {
                (JobState::Completed, None) => EndKind::Completed,
                (JobState::Completed, Some(_)) => EndKind::WithIssues,
                (JobState::Aborted, _) => EndKind::Aborted,
                (JobState::Expired, _) => EndKind::Expired,
                (JobState::Partial, _) => EndKind::Partial,
                (JobState::Failed | JobState::Underway, _) => EndKind::Failed,
            };
            how == really
        }
        _ => false,
    };
    check!(
        world,
        Subject::World,
        "ends-are-real",
        is_real,
        "{name:?} counts as {how:?}, and is {:?}",
        work.id.as_ref().and_then(|job| world.backups.job(kind(id), job))
    );
    let again = world.checks.backups.ended.iter().any(|(known, ..)| *known == name);
    check!(
        world,
        Subject::World,
        "one-end-per-job",
        !again,
        "{name:?} ends a second time, as {how:?}"
    );
    world.checks.backups.began.insert(name.clone(), began);
    world.checks.backups.ended.push((name, how, now));
}

/// Something is to be told.
fn telling(world: &mut World, backup: &Backup, news: &BackupNews) {
    let message = about_backup(backup, news);
    let id = message.document.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
    world.checks.backups.wanted.insert(id.clone());
    let (now, limit) = (world.now, world.backups.plan(&backup.name).and_then(|plan| plan.newest_at_most));
    let resource = &backup.definition.resource;
    match &news.what {
        BackupNewsKind::Missing => {
            let newest = world.backups.newest(resource, now.saturating_sub(LOOKED_BEFORE));
            let newest = newest.map(|(_, at)| at);
            check!(
                world,
                Subject::World,
                "age-is-real",
                newest.is_none(),
                "{} counts as without a recovery point, and has one of {newest:?} ms",
                backup.name
            );
        }
        BackupNewsKind::Stale { .. } => {
            let newest = world.backups.newest(resource, now.saturating_sub(LOOKED_BEFORE));
            let newest = newest.map(|(_, at)| at);
            let is_old = newest.is_none_or(|newest| limit.is_some_and(|limit| newest + limit <= now + CLOCKS));
            check!(
                world,
                Subject::World,
                "age-is-real",
                is_old,
                "the newest recovery point of {} counts as too old, and is of {newest:?} ms",
                backup.name
            );
        }
        BackupNewsKind::LeftOver { resource, .. } => {
            world.checks.backups.left_over.insert(resource.clone());
        }
        BackupNewsKind::Ended(_)
        | BackupNewsKind::CopyEnded(_)
        | BackupNewsKind::RestoreTested { .. }
        | BackupNewsKind::RestoreFailed { .. } => {
            let work = match &news.what {
                BackupNewsKind::CopyEnded(_) => WorkId::Copy(news.slot),
                BackupNewsKind::Ended(_) => WorkId::Backup(news.slot),
                _ => WorkId::Restore(news.slot),
            };
            let name = named(&backup.name, work);
            world.checks.backups.news.entry(name).or_default().insert(id);
            world.statistics.backup_alerts += 1;
        }
        BackupNewsKind::Recovered { .. } | BackupNewsKind::Abandoned(_) => {}
    }
}

/// What must hold once everything is at rest.
pub(crate) fn at_rest(world: &mut World) {
    for id in world.checks.backups.wanted.clone() {
        let is_told = world.bucket.messages.contains_key(&id);
        check!(
            world,
            Subject::World,
            "backups-are-told",
            is_told || world.was_denied(&["Publish"]),
            "nobody was told {id}"
        );
    }
    told_at_rest(world);
    jobs_at_rest(world);
    for backup in records(world) {
        for (id, work) in works(&backup) {
            let name = named(&backup.name, id);
            check!(
                world,
                Subject::World,
                "backups-end",
                work.end.is_some() || work.polling_suspended && world.was_denied(&["DescribeBackupJob", "WakeUp"]),
                "{name:?} goes on for ever"
            );
        }
        for concern in [Concern::Backup, Concern::Copy] {
            let is_wrong = is_wrong(&world.checks.backups.ended, &backup.name, concern);
            check!(
                world,
                Subject::World,
                "troubles-are-as-they-are",
                is_wrong == backup.troubles.contains_key(&concern),
                "{}: {:?} after {:?}",
                backup.name,
                backup.troubles,
                world.checks.backups.ended
            );
        }
        age_at_rest(world, &backup);
    }
    for index in 0..world.backups.restored.len() {
        let Some(restored) = world.backups.restored.get(index) else {
            return;
        };
        let resource = restored.resource.clone();
        // Nobody can tell what it is then, and people are told of the job that created it.
        let unseen = world.was_denied(&["DescribeBackupJob", "WakeUp"]);
        let is_done = unseen || restored.is_gone || restored.nameless || world.checks.backups.left_over.contains(&resource);
        check!(
            world,
            Subject::World,
            "what-was-restored-is-removed",
            is_done,
            "{resource} is still there, and nobody was told"
        );
    }
}

/// Every job that went wrong was told once; what went well was not, but for the remarks of AWS Backup, and restores, which are told either way.
fn told_at_rest(world: &mut World) {
    for (name, how, _) in world.checks.backups.ended.clone() {
        let count = world.checks.backups.news.get(&name).map_or(0, BTreeSet::len);
        let fits = match (how, name.1) {
            (EndKind::Completed, "restore") => count == 1,
            (EndKind::Completed, _) => count == 0,
            (EndKind::WithIssues, _) => count <= 1,
            _ => count == 1,
        };
        check!(
            world,
            Subject::World,
            "one-alert-per-trouble",
            fits,
            "{name:?} ended as {how:?} and was told {count} times"
        );
    }
}

/// AWS Backup has no job that is not known, and each backup that went well has its copy.
fn jobs_at_rest(world: &mut World) {
    let (records, jobs) = (records(world), world.backups.jobs.clone());
    for job in &jobs {
        let known = records.iter().any(|backup| backup.whose(job.kind, &job.id).is_some());
        let is_over = records.iter().any(|backup| {
            let mut works = works(backup).into_iter();
            works.any(|(id, work)| backup.token(id) == job.token && work.end.as_ref().is_some_and(|end| end.how == EndKind::Refused))
        });
        // Only the newest restore test is remembered.
        let is_older = job.kind == JobKind::Restore;
        check!(
            world,
            Subject::World,
            "jobs-are-known",
            known || is_over || is_older,
            "{job:?} is nobody's"
        );
    }
    for backup in &records {
        for job in &backup.jobs {
            let is_good = job.work.end.as_ref().is_some_and(|end| end.how.is_good());
            if !is_good || !world.backups.plan(&backup.name).is_some_and(|plan| plan.copies) {
                continue;
            }
            let point = job
                .work
                .id
                .as_ref()
                .and_then(|id| world.backups.job(JobKind::Backup, id))
                .map(|job| &job.point);
            let copies = jobs.iter().filter(|copy| copy.kind == JobKind::Copy && Some(&copy.point) == point);
            let count = copies.count();
            let refused = job
                .copy
                .as_ref()
                .and_then(|copy| copy.end.as_ref())
                .is_some_and(|end| end.how == EndKind::Refused);
            check!(
                world,
                Subject::World,
                "copies-follow",
                count == 1 || refused && count == 0,
                "{} of {} has {count} copies",
                backup.name,
                job.slot
            );
        }
    }
}

/// Whether something is wrong with the jobs of a backup, or their copies, after everything that is known of them.
fn is_wrong(ended: &[(Named, EndKind, Millis)], backup: &str, concern: Concern) -> bool {
    let word = if concern == Concern::Copy { "copy" } else { "backup" };
    let mut newest_wrong: Option<Millis> = None;
    for ((name, kind, slot), how, _) in ended {
        if name != backup || *kind != word {
            continue;
        }
        newest_wrong = match newest_wrong {
            wrong if *how != EndKind::Completed => Some(wrong.map_or(*slot, |wrong| wrong.max(*slot))),
            Some(wrong) if wrong <= *slot => None,
            wrong => wrong,
        };
    }
    newest_wrong.is_some()
}

/// After the last look the age of the newest recovery point is told as it is.
fn age_at_rest(world: &mut World, backup: &Backup) {
    let limit = world.backups.plan(&backup.name).and_then(|plan| plan.newest_at_most);
    let look = world.checks.backups.looked.get(&backup.definition.resource).copied();
    let (Some(limit), Some(look)) = (limit, look) else { return };
    let (is_wrong, is_right) = match look.newest {
        Some(newest) => (newest + limit + CLOCKS < look.at, newest + limit > look.at + CLOCKS),
        None => (look.none_is_wrong, false),
    };
    // Since that look a job may have brought a recovery point, as old as its beginning, of which Bellhop knows only that it decided upon it before.
    let points = || {
        let jobs = world.checks.backups.ended.iter();
        let good = jobs.filter(|((name, kind, _), how, at)| *name == backup.name && *kind == "backup" && how.is_good() && *at >= look.at);
        good.filter_map(|(name, _, at)| world.checks.backups.began.get(name).map(|(decided, begun)| (*decided, *begun, *at)))
    };
    let is_mended = points().any(|(decided, _, at)| decided + limit > at + CLOCKS);
    let may_be_mended = points().any(|(_, begun, at)| begun.is_some_and(|begun| begun + limit + CLOCKS >= at));
    let trouble = backup.troubles.get(&Concern::Age).map(|trouble| trouble.status.clone());
    // What the last look found was lost, and no function could be woken for another one: people were told that.
    let was_given_up = backup.outbox.abandoned() > 0 && world.was_denied(&["WakeUp"]);
    let fits = match &trouble {
        Some(_) => !is_right && !is_mended,
        None => !is_wrong || may_be_mended || was_given_up,
    };
    check!(
        world,
        Subject::World,
        "age-is-watched",
        fits,
        "{}: {trouble:?}, after {look:?} for at most {limit} ms",
        backup.name
    );
}
