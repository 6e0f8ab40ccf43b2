//! Mistakes with alarms, and with what is done about them.

use std::time::Duration;

use bellhop_domain::alarm::{AlarmChange, Claim, Pauses};
use bellhop_engine::ports::Item;
use serde_json::Value;

use super::kind::Mutant;
use crate::alarms::Form;
use crate::world::{Millis, SECOND, World};

mutants! {
    /// Each form of an alarm's transition is a transition of its own.
    FORMS_COUNTED_APART: "forms-counted-apart" within 200,
    /// `at-most-every` is not observed.
    AT_MOST_EVERY_IGNORED: "at-most-every-ignored" within 200,
    /// A service is restarted without a claim.
    CLAIMS_DROPPED: "claims-dropped" within 200,
    /// A service counts as restarted, and is not.
    RESTARTS_DROPPED: "restarts-dropped" within 200,
    /// Agents are launched while an alarm keeps starts paused.
    PAUSES_IGNORED: "pauses-ignored" within 200,
    /// Starts stay paused when the alarm is OK again.
    RESUMES_DROPPED: "resumes-dropped" within 200,
    /// What was done counts as not done, and is claimed again before its time.
    CLAIMS_TAKEN_OVER: "claims-taken-over" within 200,
    /// That a function performs an effect already is forgotten, and a wake-up that comes twice is served twice.
    PROGRESS_FORGOTTEN: "progress-forgotten" within 5000,
    /// What another alarm has claimed counts as done.
    CLAIMS_COUNT_AS_DONE: "claims-count-as-done" within 200,
}

/// The shortest time between two times that something is done, as the suite says it. The mistake is made here and not in the claims as they are read:
/// what is read of a claim is written again with it, and the check would see the mistake's moment instead of the claim's.
pub(crate) fn told_at_most_every(world: &World) -> Millis {
    if world.is(Mutant::AT_MOST_EVERY_IGNORED) {
        SECOND
    } else {
        world.alarms.every
    }
}

/// A transition of an alarm as it is delivered.
pub(crate) fn delivered_alarm(world: &World, form: &Form) -> AlarmChange {
    let mut change = form.change.clone();
    if world.is(Mutant::FORMS_COUNTED_APART) {
        let apart = Duration::from_secs(3 * u64::from(form.number));
        change.at = change.at.and_then(|at| at.checked_add(apart).ok());
    }
    change
}

/// Whether the write of a document gets lost without a word.
pub(crate) fn drops_document(world: &World, next: &Item) -> bool {
    match (world.mutant, next.key.sort.as_str()) {
        (Some(Mutant::CLAIMS_DROPPED), "CLAIM") => true,
        (Some(Mutant::RESUMES_DROPPED), "PAUSE") => {
            let held = |text: &str| {
                let pauses: Option<Pauses> = serde_json::from_str(text).ok();
                pauses.map_or(0, |pauses| pauses.by.values().filter(|pause| pause.since.is_some()).count())
            };
            let stored = world.tables.documents.get(&next.key);
            stored.is_some_and(|stored| held(&next.text) < held(&stored.record.text))
        }
        _ => false,
    }
}

/// The text of a claim as it is read.
pub(super) fn read_claim(world: &World, text: &str) -> Option<String> {
    if !matches!(world.mutant, Some(Mutant::CLAIMS_TAKEN_OVER | Mutant::CLAIMS_COUNT_AS_DONE)) {
        return None;
    }
    let mut claim = serde_json::from_str::<Claim>(text).ok()?;
    claim.done = world.is(Mutant::CLAIMS_COUNT_AS_DONE);
    serde_json::to_string(&claim).ok()
}

/// The text of an alarm as it is read.
pub(super) fn read_alarm(world: &World, text: &str) -> Option<String> {
    if !world.is(Mutant::PROGRESS_FORGOTTEN) {
        return None;
    }
    let mut alarm = serde_json::from_str::<Value>(text).ok()?;
    for pending in alarm["outbox"]["pending"].as_array_mut()? {
        pending.as_object_mut()?.remove("begun");
    }
    Some(alarm.to_string())
}

/// The text of what pauses launches, as it is read.
pub(super) fn read_pauses(world: &World) -> Option<String> {
    world
        .is(Mutant::PAUSES_IGNORED)
        .then(|| serde_json::to_string(&Pauses::default()).ok())?
}
