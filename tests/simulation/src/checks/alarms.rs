//! What must hold of alarms, and of what is done about them.

use std::collections::{BTreeMap, BTreeSet};

use bellhop_domain::alarm::{Alarm, AlarmEffect, AlarmNewsKind, AlarmState, Claim, Pauses, RemedyAction, RemedyNews, RemedyOutcome};
use bellhop_domain::backup::Backup;
use bellhop_domain::ids::AttemptId;
use bellhop_engine::ports::{Item, Key};
use jiff::Timestamp;

use super::records::reads_back;
use super::seen::{CALM_GRACE, CLOCKS};
use crate::alarms::SKEW;
use crate::world::{HOUR, MINUTE, Millis, Subject, World, moment};

/// How long before a launch it was looked whether starts are paused, at most: the time limit of a function, and a request's delay.
const LOOKED_BEFORE: Millis = 2 * MINUTE;
/// How long an alarm keeps starts paused at most.
const LONGEST_PAUSE: Millis = 24 * HOUR;

/// What is remembered of alarms for the checks alone.
#[derive(Default)]
pub(crate) struct Seen {
    /// The transitions to ALARM that were taken, by alarm and moment as it was told, and whether somebody has to hear of each.
    taken: BTreeMap<(String, Millis), bool>,
    /// Every claim that was stored: target and moment.
    claims: BTreeSet<(String, Millis)>,
    /// The moments of claims whose remedy was given up.
    given_up: BTreeSet<Millis>,
    /// Every target for which something is known to be done, and when that was.
    fulfilled: BTreeSet<(String, Millis)>,
    /// Which alarms keep starts paused, since when by the clock of the world.
    pauses: BTreeMap<String, Millis>,
    /// When starts were last paused.
    last_paused: Option<Millis>,
}

/// The service is about to be restarted for a claim.
pub(crate) fn restarting(world: &mut World, since: Millis) {
    let claimed = world.checks.alarms.claims.iter().any(|(_, at)| *at == since);
    check!(
        world,
        Subject::World,
        "restarts-are-claimed",
        claimed,
        "the service is restarted, and nobody has claimed it at {since} ms"
    );
    let before = world.alarms.deployments.iter().find(|(_, of)| *of == since).copied();
    check!(
        world,
        Subject::World,
        "restarted-once-per-claim",
        // A request that is late may still take effect after people were told that the remedy failed, and the next occasion has its claim.
        before.is_none() || world.checks.alarms.given_up.contains(&since),
        "the service is restarted for the claim of {since} ms, as at {} ms",
        before.map_or(0, |(at, _)| at)
    );
}

/// A record of an alarm, a claim or the pauses is about to be written.
pub(crate) fn written(world: &mut World, previous: Option<&Item>, next: &Item) {
    match next.key.sort.as_str() {
        "ALARM" => alarm_written(world, previous.and_then(read), next),
        "CLAIM" => claim_written(world, previous.and_then(read), next),
        "PAUSE" => pauses_written(world, next),
        _ => {}
    }
}

fn read<T: serde::de::DeserializeOwned>(document: &Item) -> Option<T> {
    serde_json::from_str(&document.text).ok()
}

fn claim_written(world: &mut World, previous: Option<Claim>, next: &Item) {
    let Some(claim) = read::<Claim>(next) else {
        world.violated("records-read-back", &Subject::World, next.text.clone());
        return;
    };
    reads_back(world, Subject::World, &claim);
    let every = world.alarms.every;
    // What was not done may be another occasion's to do before its time.
    let apart = previous.is_none_or(|previous| {
        let ended = moment(previous.over.unwrap_or(previous.at));
        previous.by == claim.by || !previous.done || moment(claim.at) + CLOCKS >= ended + every
    });
    check!(
        world,
        Subject::World,
        "at-most-every",
        apart,
        "{} is claimed for {} at {}, sooner than {every} ms after the claim before",
        claim.target,
        claim.by,
        claim.at
    );
    if claim.done {
        let ended = moment(claim.over.unwrap_or(claim.at));
        world.checks.alarms.fulfilled.insert((claim.target.clone(), ended));
    }
    if claim.over.is_some() && !claim.done {
        world.checks.alarms.given_up.insert(moment(claim.at));
    }
    world.checks.alarms.claims.insert((claim.target, moment(claim.at)));
}

/// What was to be done about an alarm is not to be done any more, and the alarm has not changed: it was done, for this alarm or another one not long ago, or
/// people are told that it failed.
fn remedies_settled(world: &mut World, previous: &Alarm, next: &Alarm) {
    for pending in previous.outbox.pending() {
        let AlarmEffect::Remedy { at, remedy } = &pending.effect else {
            continue;
        };
        let goes_on = next.outbox.pending().iter().any(|other| other.id == pending.id);
        let changed = next.current.as_ref().is_none_or(|current| current.at != *at);
        if goes_on || changed || remedy.action == RemedyAction::PauseStarts {
            continue;
        }
        let target = remedy.action.target();
        let recently = moment(*at).saturating_sub(world.alarms.every + CLOCKS);
        let known = |(of, when): &(String, Millis)| *of == target && *when >= recently;
        let done = world.checks.alarms.fulfilled.iter().any(known)
            || match &remedy.action {
                RemedyAction::RestartService { .. } => world.alarms.deployments.iter().any(|(at, _)| *at + SKEW >= recently),
                action => is_done(world, &next.id.key(), action, &next.occasion(*at)),
            };
        let failed = next.outbox.any(|effect| {
            let AlarmEffect::Notify(news) = effect else { return false };
            let failed = |news: &RemedyNews| matches!(news.outcome, RemedyOutcome::Failed(_));
            news.transition.at == *at && news.remedy.as_ref().is_some_and(failed)
        });
        check!(
            world,
            Subject::World,
            "wanted-remedies-are-not-lost",
            done || failed,
            "{} wants {target} since {at} no more, and it was not done",
            next.id.key()
        );
    }
}

fn pauses_written(world: &mut World, next: &Item) {
    let Some(pauses) = read::<Pauses>(next) else {
        world.violated("records-read-back", &Subject::World, next.text.clone());
        return;
    };
    reads_back(world, Subject::World, &pauses);
    let now = world.now;
    let seen = &mut world.checks.alarms;
    let holding: BTreeSet<String> = pauses
        .by
        .iter()
        .filter(|(_, pause)| pause.since.is_some())
        .map(|(key, _)| key.clone())
        .collect();
    seen.pauses.retain(|key, _| holding.contains(key));
    for key in holding {
        seen.pauses.entry(key).or_insert(now);
    }
    seen.last_paused = Some(now);
}

fn alarm_written(world: &mut World, previous: Option<Alarm>, next: &Item) {
    let Some(alarm) = read::<Alarm>(next) else {
        world.violated("records-read-back", &Subject::World, next.text.clone());
        return;
    };
    reads_back(world, Subject::World, &alarm);
    let key = alarm.id.key();
    let before = previous.as_ref().and_then(|previous| previous.current.as_ref());
    let current = alarm.current.as_ref();
    if let Some(current) = current.filter(|current| before.is_none_or(|before| (before.state, before.at) != (current.state, current.at))) {
        let real = world.alarms.transition(&key, current.state, moment(current.at));
        check!(
            world,
            Subject::World,
            "transitions-are-real",
            real.is_some(),
            "{key} is {} since {}",
            current.state,
            current.at
        );
        if current.state == AlarmState::Alarm {
            let taken = (key.clone(), moment(current.at));
            world.checks.alarms.taken.insert(taken, alarm.flapping.is_none());
            world.statistics.alarms += 1;
        }
    }
    if let Some(untold) = previous.as_ref().and_then(|previous| previous.unreported.as_ref())
        && alarm.flapping.is_some()
    {
        let taken = (key.clone(), moment(untold.at));
        world.checks.alarms.taken.insert(taken, false);
    }
    if let Some(previous) = &previous {
        remedies_settled(world, previous, &alarm);
    }
    let paused = alarm.paused.is_some() && current.is_some_and(|current| current.state == AlarmState::Ok);
    check!(world, Subject::World, "pauses-end", !paused, "{key} is OK, and keeps starts paused");
    // What is new to be told as done has been done.
    let known = previous.as_ref().map(|previous| previous.outbox.pending()).unwrap_or_default();
    let new = alarm
        .outbox
        .pending()
        .iter()
        .filter(|pending| known.iter().all(|known| known.id != pending.id));
    for pending in new {
        let AlarmEffect::Notify(news) = &pending.effect else { continue };
        if !matches!(news.what, AlarmNewsKind::Changed | AlarmNewsKind::Remedied) {
            continue;
        }
        if let Some(remedy) = news
            .remedy
            .as_ref()
            .filter(|remedy| matches!(remedy.outcome, RemedyOutcome::Done(_)))
        {
            let occasion = alarm.occasion(news.transition.at);
            let done = is_done(world, &key, &remedy.remedy.action, &occasion);
            check!(
                world,
                Subject::World,
                "done-is-done",
                done,
                "{} is told as done for {occasion}",
                remedy.remedy.action.target()
            );
        }
    }
}

fn is_done(world: &World, key: &str, action: &RemedyAction, occasion: &str) -> bool {
    match action {
        RemedyAction::RestartService { .. } => {
            let claim = document::<Claim>(world, "CLAIM", &action.target());
            // Another occasion may have claimed it meanwhile.
            claim.is_some_and(|claim| {
                let of_claim = world.alarms.deployments.iter().any(|(at, _)| *at + SKEW >= moment(claim.at));
                of_claim || claim.by != occasion && !world.alarms.deployments.is_empty()
            })
        }
        RemedyAction::RunJob(_) => {
            let trigger = format!("alarm/{occasion}");
            world.tables.runs.values().any(|run| run.record.trigger == trigger)
        }
        RemedyAction::BackUp(name) => {
            let backup = document::<Backup>(world, "BACKUP", name);
            backup.is_some_and(|backup| {
                // One of the last minutes counts.
                let counts = |slot: Timestamp| moment(slot) + LOOKED_BEFORE + 10 * MINUTE > world.now;
                backup.jobs.iter().any(|job| job.by == occasion || counts(job.slot))
            })
        }
        RemedyAction::PauseStarts => {
            let pauses = document::<Pauses>(world, "PAUSE", "starts");
            pauses.is_some_and(|pauses| pauses.by.contains_key(key))
        }
    }
}

fn document<T: serde::de::DeserializeOwned>(world: &World, kind: &str, name: &str) -> Option<T> {
    let key = Key::new(format!("{kind}#{name}"), kind);
    read(&world.tables.documents.get(&key)?.record)
}

/// A new agent is about to be created for an attempt.
pub(crate) fn launching(world: &mut World, attempt: &AttemptId) {
    let Some(build) = world.tables.builds.get(&attempt.build).map(|stored| &stored.record) else {
        return;
    };
    let looks = build.spec.pausable;
    let now = world.now;
    let pauses = &world.checks.alarms.pauses;
    let held = pauses
        .iter()
        .find(|(_, since)| **since + LOOKED_BEFORE < now && now + CLOCKS < **since + LONGEST_PAUSE - HOUR);
    let held = held.map(|(key, _)| key.clone());
    check!(
        world,
        &attempt.build,
        "paused-starts-wait",
        held.is_none() || !looks,
        "{attempt} is launched, and {held:?} keeps starts paused"
    );
}

/// Whether a build may have waited because starts were paused.
pub(crate) fn may_have_waited(world: &World) -> bool {
    let seen = &world.checks.alarms;
    let recently = seen.last_paused.is_some_and(|last| world.now < last + CALM_GRACE);
    recently || seen.pauses.values().any(|since| world.now < since + LONGEST_PAUSE + CALM_GRACE)
}

/// What must hold once everything is at rest.
pub(crate) fn at_rest(world: &mut World) {
    told_at_rest(world);
    let mut runs: BTreeMap<(String, Millis), usize> = BTreeMap::new();
    let triggers: Vec<String> = world.tables.runs.values().map(|run| run.record.trigger.clone()).collect();
    for trigger in triggers {
        let Some((key, at)) = trigger.strip_prefix("alarm/").and_then(|occasion| occasion.rsplit_once('@')) else {
            continue;
        };
        let at = at.parse().map_or(0, moment);
        let occasion = world.alarms.transition(key, AlarmState::Alarm, at);
        check!(
            world,
            Subject::World,
            "one-run-per-occasion",
            occasion.is_some(),
            "{trigger} has a run, and there was no such alarm"
        );
        *runs.entry((key.to_owned(), occasion.unwrap_or(0))).or_default() += 1;
    }
    for ((key, at), count) in runs {
        check!(
            world,
            Subject::World,
            "one-run-per-occasion",
            count == 1,
            "{count} runs for {key} since {at} ms"
        );
    }
    let pauses = document::<Pauses>(world, "PAUSE", "starts").unwrap_or_default();
    for (key, pause) in pauses.by {
        let ends = pause.since.map(|since| moment(since) + LONGEST_PAUSE);
        check!(
            world,
            Subject::World,
            "pauses-end",
            ends.is_none_or(|ends| ends < world.now + CLOCKS),
            "{key} keeps starts paused since {:?}",
            pause.since
        );
    }
}

fn told_at_rest(world: &mut World) {
    let mut told: BTreeMap<(String, Millis), BTreeSet<Millis>> = BTreeMap::new();
    for ((key, at), wanted) in world.checks.alarms.taken.clone() {
        let id = format!("alarm/{key}/alarm/{}", crate::world::timestamp(at));
        let is_told = world.bucket.messages.contains_key(&id);
        check!(
            world,
            Subject::World,
            "alarms-are-told",
            is_told || !wanted || world.was_denied(&["Publish"]),
            "nobody was told {id}"
        );
        if is_told {
            let real = world.alarms.transition(&key, AlarmState::Alarm, at).unwrap_or(0);
            told.entry((key, real)).or_default().insert(at);
        }
    }
    for ((key, real), ids) in told {
        check!(
            world,
            Subject::World,
            "one-message-per-alarm",
            ids.len() == 1,
            "{key} since {real} ms is told as of {ids:?}"
        );
    }
}
