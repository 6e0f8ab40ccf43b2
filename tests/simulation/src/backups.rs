//! AWS Backup, Cloud Control, and who asks for backups: schedules, people, and checks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use bellhop_domain::backup::restore::{Kind, Resource};
use bellhop_domain::backup::{Definition, JobKind, JobObservation, JobState, Point, RemovalObservation};
use bellhop_engine::ports::JobStart;
use bellhop_engine::{BackupService, Fault};
use bellhop_model::backup::may_end;
use jiff::Timestamp;

use crate::hostility::Spell;
use crate::mutant::Mutant;
use crate::world::{HOUR, Invoke, Job as Invoked, MINUTE, Millis, SECOND, Subject, World, timestamp};
use crate::{checks, mutant};

/// What may be backed up: each by name, with its ARN.
const RESOURCES: [(&str, &str); 3] = [
    ("files", "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0a"),
    ("orders", "arn:aws:dynamodb:us-east-1:123456789012:table/orders"),
    ("artifacts", "arn:aws:s3:::shop-artifacts"),
];
/// The suite's own table, in the stacks that back it up.
const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/suite";
const VAULT: &str = "ci";
const ROLE: &str = "arn:aws:iam::123456789012:role/bellhop-backup/all";
/// The vault of the copies.
const FAR: &str = "arn:aws:backup:eu-west-1:123456789012:backup-vault:far";
/// How long after the faults have stopped the last schedule comes, and the last check, both without fail.
const LAST_SCHEDULE: Millis = HOUR;
const LAST_CHECK: Millis = 100 * MINUTE;

/// What AWS Backup and Cloud Control have in the account.
pub(crate) struct Backups {
    dice: fastrand::Rng,
    used: bool,
    /// Every job takes its time and completes, and is told of once.
    steady: bool,
    /// When the faults stop.
    calm_from: Millis,
    /// The backup of the suite's own table, where the stack has one.
    pub(crate) table: Option<Definition>,
    /// What is backed up.
    pub(crate) plans: Vec<Plan>,
    /// The times of the schedule.
    pub(crate) slots: BTreeSet<Millis>,
    /// All jobs, in the order in which they were taken.
    pub(crate) jobs: Vec<Job>,
    /// What restores have created.
    pub(crate) restored: Vec<Restored>,
    removals: Vec<Removal>,
    /// The tokens of jobs that were refused.
    pub(crate) refused: BTreeSet<String>,
}

/// Something that is backed up, whatever the code under test makes of it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) resource: String,
    pub(crate) copies: bool,
    pub(crate) newest_at_most: Option<Millis>,
    /// AWS Backup will have nothing to do with it.
    refused: bool,
    /// There is a recovery point from before the world began.
    older_point: bool,
}

/// A job of AWS Backup.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: JobKind,
    pub(crate) token: String,
    /// What is backed up, or was.
    pub(crate) resource: String,
    pub(crate) begun: Millis,
    pub(crate) ends_at: Millis,
    /// How it ends.
    pub(crate) ends: JobState,
    /// What AWS Backup says about it then.
    pub(crate) message: Option<&'static str>,
    /// The recovery point that comes of it, or that it is about.
    pub(crate) point: String,
    /// What a restore creates.
    created: Option<String>,
    /// AWS Backup does not know it any more once it is over.
    pub(crate) forgotten: bool,
}

/// What a restore created.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) resource: String,
    pub(crate) is_gone: bool,
    /// AWS Backup has forgotten its job, and what it is called cannot be known.
    pub(crate) nameless: bool,
}

/// A request to Cloud Control.
struct Removal {
    request: String,
    token: String,
    resource: String,
    ends_at: Millis,
    fails: bool,
}

/// What `backup` is invoked with.
#[derive(Debug)]
pub(crate) enum Input {
    /// All backups are started, for a time of the schedule.
    Schedule { slot: Millis, by: String },
    /// Somebody wants one now.
    Request { name: String, by: String },
    /// Somebody asks whether all is well.
    Check,
    /// AWS Backup tells of a job.
    Job(JobObservation),
}

impl Backups {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed.rotate_left(24) ^ 0x6261_636b_7570);
        Self {
            used: dice.u32(0..3) == 0,
            steady: false,
            dice,
            calm_from: 0,
            table: None,
            plans: Vec::new(),
            slots: BTreeSet::new(),
            jobs: Vec::new(),
            restored: Vec::new(),
            removals: Vec::new(),
            refused: BTreeSet::new(),
        }
    }

    /// There are none.
    pub(crate) fn quiet() -> Self {
        Self {
            used: false,
            steady: true,
            ..Self::new(0)
        }
    }

    pub(crate) fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name == name)
    }

    /// The job of a kind with an id.
    pub(crate) fn job(&self, kind: JobKind, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.kind == kind && job.id == id)
    }

    /// The newest recovery point that is listed at a moment, and since when there is one.
    pub(crate) fn newest(&self, resource: &str, at: Millis) -> Option<(&str, Millis)> {
        let jobs = self
            .jobs
            .iter()
            .filter(|job| job.kind == JobKind::Backup && job.resource == resource);
        let listed = jobs.filter(|job| job.ends == JobState::Completed && job.ends_at <= at);
        let newest = listed.max_by_key(|job| job.begun).map(|job| (job.point.as_str(), job.begun));
        newest.or_else(|| {
            let older = self.plans.iter().find(|plan| plan.resource == resource && plan.older_point);
            older.map(|_| ("arn:aws:backup:us-east-1:123456789012:recovery-point:before", 0))
        })
    }

    fn draw_id(&mut self) -> String {
        format!("{:016x}", self.dice.u64(..))
    }

    /// How a job ends, and what is said about it.
    fn draw_end(&mut self, kind: JobKind) -> (JobState, Option<&'static str>) {
        if self.steady {
            return (JobState::Completed, None);
        }
        match (self.dice.u32(0..20), kind) {
            (0..12, _) => (JobState::Completed, None),
            (12, JobKind::Backup | JobKind::Copy) => (JobState::Completed, Some("some objects were skipped")),
            (13..15, JobKind::Backup) => (JobState::Expired, None),
            (15, JobKind::Backup) => (JobState::Partial, None),
            (16, _) if may_end(kind.as_str(), JobState::Aborted) => (JobState::Aborted, None),
            _ => (JobState::Failed, Some("Access denied")),
        }
    }
}

/// Decides what is backed up, and when somebody asks for it.
pub(crate) fn prepare(world: &mut World, length: Millis, hostility: f64) {
    if !world.backups.used {
        return;
    }
    world.backups.calm_from = if hostility > 0.0 { length } else { 0 };
    let dice = &mut world.backups.dice;
    let mut section = String::new();
    for (name, resource) in RESOURCES {
        if dice.u32(0..3) == 0 {
            continue;
        }
        let copies = dice.bool();
        let newest_at_most = (dice.u32(0..3) > 0).then(|| dice.u64(10..60) * MINUTE);
        let is_tested = Resource::of(resource).is_some() && dice.bool();
        // Writing to a String cannot fail.
        let _ = write!(section, "  {name}: {{ resource: \"{resource}\", vault: {VAULT}, role: \"{ROLE}\"");
        if copies {
            let _ = write!(section, ", copy-to: \"{FAR}\"");
        }
        if let Some(limit) = newest_at_most {
            let _ = write!(section, ", newest-at-most: {}m", limit / MINUTE);
        }
        if is_tested {
            let _ = write!(section, ", restore-test: {{ every: 1h }}");
        }
        section.push_str(" }\n");
        world.backups.plans.push(Plan {
            name: name.to_owned(),
            resource: resource.to_owned(),
            copies,
            newest_at_most,
            refused: dice.u32(0..12) == 0,
            older_point: dice.u32(0..3) == 0,
        });
    }
    if !section.is_empty() {
        world.repository.suite.push_str("backups:\n");
        world.repository.suite.push_str(&section);
    }
    if dice.bool() {
        let table = Definition::of_suite_table(TABLE, VAULT, ROLE);
        world.backups.plans.push(Plan {
            name: bellhop_domain::backup::SUITE_TABLE.to_owned(),
            resource: TABLE.to_owned(),
            copies: false,
            newest_at_most: table.newest_at_most.and_then(|limit| Millis::try_from(limit.as_millis()).ok()),
            refused: false,
            older_point: false,
        });
        world.backups.table = Some(table);
    }
    ask(world, length);
}

/// One backup with a copy and a test of its recovery point: a time of its schedule, and a check.
pub(crate) fn lay_down(world: &mut World) {
    let (name, resource) = RESOURCES[1];
    let line = format!(
        "backups:\n  {name}: {{ resource: \"{resource}\", vault: {VAULT}, role: \"{ROLE}\", copy-to: \"{FAR}\", restore-test: {{ every: 1h }} }}\n"
    );
    world.repository.suite.push_str(&line);
    world.backups.plans.push(Plan {
        name: name.to_owned(),
        resource: resource.to_owned(),
        copies: true,
        newest_at_most: None,
        refused: false,
        older_point: false,
    });
    let slot = 10 * SECOND;
    world.backups.slots.insert(slot);
    deliver(world, slot, |copy| Input::Schedule {
        slot,
        by: format!("schedule-{copy}/0"),
    });
    deliver(world, 4 * MINUTE, |_| Input::Check);
}

/// Schedules, requests and checks, each now and then lost, repeated and late.
fn ask(world: &mut World, length: Millis) {
    let dice = &mut world.backups.dice;
    let every = [12, 15, 25][dice.usize(0..3)] * MINUTE;
    let mut slot = dice.u64(0..every);
    let mut number = 0;
    while slot < length {
        world.backups.slots.insert(slot);
        deliver(world, slot, |copy| Input::Schedule {
            slot,
            by: format!("schedule-{number}-{copy}/0"),
        });
        number += 1;
        slot += every;
    }
    let names: Vec<String> = world.backups.plans.iter().map(|plan| plan.name.clone()).collect();
    for number in 0..world.backups.dice.u32(0..3) {
        let dice = &mut world.backups.dice;
        let (at, drawn) = (dice.u64(0..length), dice.usize(0..=names.len()));
        // One of them may not be there.
        let name = names.get(drawn).map_or("typo", String::as_str);
        deliver(world, at, |copy| Input::Request {
            name: name.to_owned(),
            by: format!("request-{number}-{copy}/0"),
        });
    }
    let every = [5, 10, 20][world.backups.dice.usize(0..3)] * MINUTE;
    let mut at = world.backups.dice.u64(0..every);
    while at < length {
        deliver(world, at, |_| Input::Check);
        at += every;
    }
    let slot = length + LAST_SCHEDULE;
    world.backups.slots.insert(slot);
    deliver(world, slot, |copy| Input::Schedule {
        slot,
        by: format!("schedule-last-{copy}/0"),
    });
    deliver(world, length + LAST_CHECK, |_| Input::Check);
}

/// Invokes `backup` at a moment; while the world is hostile, not at all, more than once, or late.
fn deliver(world: &mut World, at: Millis, input: impl Fn(u32) -> Input) {
    let hostile = at < world.backups.calm_from;
    let deliveries = world.hostility.deliveries(&mut world.backups.dice, hostile);
    for (copy, wait) in (0..).zip(deliveries) {
        world.statistics.events += 1;
        let job = Invoked::Backup(Arc::new(input(copy)));
        let from_now = (at + wait).saturating_sub(world.now);
        world.send(from_now, Invoke { job, tries: 0 });
    }
}

/// Takes an input to the backups, as the function does.
pub(crate) async fn take(service: &BackupService, input: &Input, slot: Option<Timestamp>) -> Result<(), Fault> {
    match input {
        Input::Schedule { by, .. } => service.start(None, slot, by).await.map(|_| ()),
        Input::Request { name, by } => service.start(Some(name), None, by).await.map(|_| ()),
        Input::Check => service.check().await.map(|_| ()),
        Input::Job(seen) => service.job(seen).await.map(|_| ()),
    }
}

/// What a job is to be made of.
pub(crate) struct Wanted {
    pub(crate) kind: JobKind,
    pub(crate) token: String,
    pub(crate) resource: String,
    /// The recovery point that it is about.
    pub(crate) point: Option<String>,
    /// The name of what a restore creates.
    pub(crate) name: Option<String>,
}

/// Starts a job, unless its token has one.
pub(crate) fn begin(world: &mut World, wanted: &Wanted) -> JobStart {
    let token = mutant::backup_token(world, &wanted.token);
    let known = world.backups.jobs.iter().find(|job| job.kind == wanted.kind && job.token == token);
    if let Some(known) = known {
        return JobStart::Started(known.id.clone());
    }
    let plan = world.backups.plans.iter().find(|plan| plan.resource == wanted.resource);
    if plan.is_none_or(|plan| plan.refused) || world.spell(Spell::Forbidden) {
        world.backups.refused.insert(token);
        return JobStart::Refused("AccessDeniedException: no".to_owned());
    }
    checks::backups::beginning(world, wanted.kind, &token, wanted.point.as_deref());
    let now = world.now;
    let backups = &mut world.backups;
    let id = backups.draw_id();
    let (ends, message) = backups.draw_end(wanted.kind);
    let takes = match backups.dice.u32(0..4) {
        _ if backups.steady => 40 * SECOND,
        0 => backups.dice.u64(SECOND..10 * SECOND),
        1 => backups.dice.u64(10 * MINUTE..40 * MINUTE),
        _ => backups.dice.u64(10 * SECOND..5 * MINUTE),
    };
    let forgotten = backups.dice.u32(0..25) == 0 && !backups.steady;
    let point = wanted
        .point
        .clone()
        .unwrap_or_else(|| format!("arn:aws:backup:us-east-1:123456789012:recovery-point:{id}"));
    // A restore that fails may have created something as well.
    let creates = wanted.kind == JobKind::Restore && (ends == JobState::Completed || backups.dice.bool());
    let created = creates.then(|| created(&wanted.resource, wanted.name.as_deref(), &id));
    if let Some(resource) = &created {
        let is_named = Resource::of(resource).is_some_and(|resource| resource.kind == Kind::DynamoDb);
        backups.restored.push(Restored {
            resource: resource.clone(),
            is_gone: false,
            nameless: forgotten && !is_named,
        });
    }
    backups.jobs.push(Job {
        id: id.clone(),
        kind: wanted.kind,
        token,
        resource: wanted.resource.clone(),
        begun: now,
        ends_at: now + takes,
        ends,
        message,
        point,
        created,
        forgotten,
    });
    world.statistics.backup_jobs += 1;
    let kind = wanted.kind.as_str();
    world.note("job of AWS Backup", Subject::World, || {
        format!("{kind} {id} of {}, in {takes} ms {ends:?}", wanted.resource)
    });
    tell(world, wanted.kind, &id);
    JobStart::Started(id)
}

/// The ARN of what a restore creates: of a table the name was given, of a file system it is drawn.
fn created(original: &str, name: Option<&str>, id: &str) -> String {
    let (place, _) = original.split_once('/').unwrap_or((original, ""));
    match Resource::of(original).map(|resource| resource.kind) {
        Some(Kind::DynamoDb) => format!("{place}/{}", name.unwrap_or_default()),
        _ => format!("{place}/fs-{id}"),
    }
}

/// The events of a job: that it runs, and how it ends.
fn tell(world: &mut World, kind: JobKind, id: &str) {
    let Some(job) = world.backups.job(kind, id).cloned() else { return };
    let running = job.begun + (job.ends_at - job.begun) / 3;
    for at in [running, job.ends_at] {
        let mut seen = seen(&job, at);
        let dice = &mut world.backups.dice;
        if dice.u32(0..3) == 0 {
            seen.point = None;
        }
        // Whoever may invoke the function may claim what he likes about what was created.
        seen.created = (kind == JobKind::Restore && dice.u32(0..4) == 0).then(|| job.resource.clone());
        deliver(world, at, |_| Input::Job(seen.clone()));
    }
}

/// A job as AWS Backup shows it at a moment.
fn seen(job: &Job, at: Millis) -> JobObservation {
    let is_over = job.ends_at <= at;
    JobObservation {
        kind: job.kind,
        id: job.id.clone(),
        state: if is_over { job.ends } else { JobState::Underway },
        message: job.message.filter(|_| is_over).map(str::to_owned),
        point: (is_over && job.ends == JobState::Completed && job.kind != JobKind::Restore).then(|| job.point.clone()),
        created: job.created.clone().filter(|_| is_over),
        resource: (job.kind != JobKind::Restore).then(|| job.resource.clone()),
        ended: is_over.then(|| timestamp(job.ends_at)),
    }
}

/// How a job is, as far as AWS Backup knows it.
pub(crate) fn describe(world: &mut World, kind: JobKind, id: &str) -> Option<JobObservation> {
    let at = world.now.saturating_sub(lag(world));
    let job = world.backups.job(kind, id)?;
    let is_forgotten = job.forgotten && job.ends_at <= at;
    (!is_forgotten).then(|| seen(job, at))
}

/// The newest recovery point of a resource.
pub(crate) fn newest(world: &mut World, resource: &str) -> Option<Point> {
    let at = world.now.saturating_sub(lag(world));
    let newest = world.backups.newest(resource, at).map(|(arn, created)| (arn.to_owned(), created));
    checks::backups::looked(world, resource, newest.as_ref().map(|(_, created)| *created));
    if world.is(Mutant::AGE_UNWATCHED) {
        let arn = newest.map(|(arn, _)| arn)?;
        let created = timestamp(world.now);
        return Some(Point { arn, created });
    }
    newest.map(|(arn, created)| Point {
        arn,
        created: timestamp(created),
    })
}

/// How far an answer is behind.
fn lag(world: &mut World) -> Millis {
    let most = if world.calm() { 0 } else { world.hostility.list_lag };
    world.backups.dice.u64(0..=most)
}

/// Asks Cloud Control to remove something, once for each token.
pub(crate) fn remove(world: &mut World, resource: &str, token: &str) -> RemovalObservation {
    let resource = &mutant::removed_resource(world, resource);
    checks::backups::removing(world, resource);
    if world.is(Mutant::REMOVALS_DROPPED) {
        return RemovalObservation::Done;
    }
    let there = |restored: &Restored| restored.resource == *resource && !restored.is_gone;
    let is_known = world.backups.removals.iter().any(|removal| removal.token == token);
    if !is_known {
        if !world.backups.restored.iter().any(there) {
            return RemovalObservation::Done;
        }
        let now = world.now;
        let backups = &mut world.backups;
        let takes = backups.dice.u64(SECOND..6 * MINUTE);
        let fails = backups.dice.u32(0..8) == 0 && !backups.steady;
        let removal = Removal {
            request: backups.draw_id(),
            token: token.to_owned(),
            resource: resource.clone(),
            ends_at: now + takes,
            fails,
        };
        world.note("removal", Subject::World, || {
            format!(
                "{} of {resource}, in {takes} ms {}",
                removal.request,
                if fails { "in vain" } else { "gone" }
            )
        });
        world.backups.removals.push(removal);
    }
    let of_token = |removal: &&Removal| removal.token == token;
    let request = world.backups.removals.iter().find(of_token).map(|removal| removal.request.clone());
    removal(world, &request.unwrap_or_default())
}

/// How a removal goes.
pub(crate) fn removal(world: &mut World, request: &str) -> RemovalObservation {
    let now = world.now;
    let Some(removal) = world.backups.removals.iter().find(|removal| removal.request == request) else {
        return RemovalObservation::Failed("RequestTokenNotFoundException: no such request".to_owned());
    };
    if removal.ends_at > now {
        return RemovalObservation::Underway {
            request: request.to_owned(),
        };
    }
    if removal.fails {
        return RemovalObservation::Failed("GeneralServiceException: it is in use".to_owned());
    }
    let resource = removal.resource.clone();
    for restored in world.backups.restored.iter_mut().filter(|restored| restored.resource == resource) {
        world.statistics.removed += u64::from(!restored.is_gone);
        restored.is_gone = true;
    }
    RemovalObservation::Done
}

impl Input {
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Schedule { slot, by } => format!("schedule of {slot} ms, by {by}"),
            Self::Request { name, by } => format!("request for {name}, by {by}"),
            Self::Check => "check".to_owned(),
            Self::Job(seen) => format!("{} {} {:?}", seen.kind.as_str(), seen.id, seen.state),
        }
    }
}
