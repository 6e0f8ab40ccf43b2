//! How an alarm answers each event.

use std::time::Duration;

use jiff::Timestamp;

use super::effect::AlarmEffect;
use super::event::{AlarmEvent, Wanted};
use super::news::{AlarmNewsKind, RemedyNews};
use super::record::Alarm;
use super::remedy::{Remedied, Remedy};
use super::state::{AlarmChange, AlarmState, Transition};
use crate::decision::{Decision, Ignored};
use crate::outbox::{Deferral, EffectId, later};

/// Two times of the same state that are no further apart than this are one transition, because the forms of an event round times differently.
pub const SAME_WITHIN: Duration = Duration::from_secs(2);
/// The most characters stored of the reason for a failure.
const MESSAGE_LIMIT: usize = 300;

impl Alarm {
    /// Decides the next state of this alarm after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &AlarmEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) if next == *self => Decision::Ignored(Ignored::NothingNew),
            Ok(()) => Decision::Next(Box::new(next)),
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &AlarmEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            AlarmEvent::Changed { change, wanted } => return self.changed(change, wanted, now),
            AlarmEvent::Remedied { effect, outcome } => self.remedied(*effect, outcome, now),
            AlarmEvent::Waits { effect, since } => self.waiting_for_other(*effect, *since, now),
            AlarmEvent::Performed(id) => {
                self.outbox.remove(*id);
            }
            AlarmEvent::Deferred(id, why) => self.deferred(*id, why, now),
            AlarmEvent::Tick => {
                if self.settles_at().is_some_and(|at| at <= now) {
                    self.flapping = None;
                    self.changes.clear();
                    self.notify_current(AlarmNewsKind::Settled, now);
                }
                if self.pause_ends_at().is_some_and(|at| at <= now) {
                    self.resume(now);
                    self.notify_current(AlarmNewsKind::PauseEnded, now);
                }
            }
        }
        Ok(())
    }

    fn changed(&mut self, change: &AlarmChange, wanted: &Wanted, now: Timestamp) -> Result<(), Ignored> {
        if let Some(current) = &self.current {
            let again = change.state == current.state && change.at.is_none_or(|at| at <= later(current.at, SAME_WITHIN));
            let unmuted = again && current.quiet.is_some() && change.quiet.is_none();
            if again && !unmuted {
                return Err(Ignored::Stale);
            }
            // Another form of the current state may have a slightly different time; for another state, older times are ignored.
            if !again && change.at.is_some_and(|at| at < current.at) {
                return Err(Ignored::Stale);
            }
        }
        let known = self.current.as_ref().map(|current| current.state);
        let transition = Transition {
            state: change.state,
            at: change.at.unwrap_or(now),
            heard: now,
            previous: change.previous.or(known),
            quiet: change.quiet.clone(),
            facts: change.facts.clone(),
        };
        self.current = Some(transition.clone());
        match transition.state {
            // A muted alarm opens no alert: when it is unmuted, CloudWatch sends it again.
            _ if transition.quiet.is_some() && transition.state != AlarmState::Ok => {}
            AlarmState::Alarm => {
                self.record_change(&transition, now);
                self.open.get_or_insert(transition.at);
                self.entered_alarm(transition, wanted, now);
            }
            AlarmState::Ok => {
                // The event in between may have been lost.
                let closes = self.open.is_some() || (known != Some(AlarmState::Alarm) && transition.previous == Some(AlarmState::Alarm));
                self.entered_ok(transition, closes, now);
            }
            AlarmState::InsufficientData => {
                if self.open.is_some() && !self.record_change(&transition, now) {
                    self.notify(AlarmNewsKind::Changed, transition, None, now);
                }
            }
        }
        Ok(())
    }

    fn entered_alarm(&mut self, transition: Transition, wanted: &Wanted, now: Timestamp) {
        self.notify_untold(now);
        self.unconfigured = None;
        match wanted {
            Wanted::Remedy(remedy) if !remedy.dry_run && self.id.contributor.is_none() => {
                // Effects of an occasion that the next one has replaced are no longer needed.
                self.outbox
                    .remove_where(|pending| matches!(pending.effect, AlarmEffect::Remedy { .. }));
                if remedy.is_pause() {
                    self.paused = Some(now);
                }
                let effect = AlarmEffect::Remedy {
                    at: transition.at,
                    remedy: remedy.clone(),
                };
                self.outbox.push(effect, now);
                self.untold = Some(transition);
            }
            Wanted::Remedy(remedy) if self.id.contributor.is_none() => {
                let news = RemedyNews {
                    remedy: remedy.clone(),
                    outcome: Remedied::DryRun,
                };
                self.notify_unless_flapping(transition, Some(news), now);
            }
            Wanted::Unknown(why) if self.id.contributor.is_none() => {
                self.unconfigured = Some(why.clone());
                self.notify_unless_flapping(transition, None, now);
            }
            // A contributor's state is a part of its alarm's state; remedies are applied for the alarm.
            Wanted::Nothing | Wanted::Remedy(_) | Wanted::Unknown(_) => self.notify_unless_flapping(transition, None, now),
        }
    }

    fn entered_ok(&mut self, transition: Transition, closes: bool, now: Timestamp) {
        self.notify_untold(now);
        self.outbox
            .remove_where(|pending| matches!(pending.effect, AlarmEffect::Remedy { .. }));
        if self.paused.is_some() {
            self.resume(now);
        }
        if closes && transition.quiet.is_none() && !self.record_change(&transition, now) {
            self.notify(AlarmNewsKind::Changed, transition, None, now);
        }
        self.open = None;
        self.unconfigured = None;
    }

    /// The remedy and the occasion of the effect with this id.
    fn pending_remedy(&self, effect: EffectId) -> Option<(Timestamp, Remedy)> {
        let pending = self.outbox.pending().iter().find(|pending| pending.id == effect)?;
        match &pending.effect {
            AlarmEffect::Remedy { at, remedy } => Some((*at, remedy.clone())),
            _ => None,
        }
    }

    fn remedied(&mut self, effect: EffectId, outcome: &Remedied, now: Timestamp) {
        let Some((at, remedy)) = self.pending_remedy(effect) else { return };
        self.outbox.remove(effect);
        self.remedy_ended(at, remedy, outcome, now);
    }

    fn remedy_ended(&mut self, at: Timestamp, remedy: Remedy, outcome: &Remedied, now: Timestamp) {
        if !remedy.is_pause() && matches!(outcome, Remedied::Failed(_)) {
            let remedy = remedy.clone();
            self.outbox.push(AlarmEffect::Release { at, remedy }, now);
        }
        if remedy.is_pause() && !matches!(outcome, Remedied::Done(_)) && self.paused.is_some() {
            // The pause may have been written nevertheless, or exist from an earlier ALARM.
            self.resume(now);
        }
        let news = RemedyNews {
            remedy,
            outcome: outcome.clone(),
        };
        match self.untold.take() {
            Some(transition) if self.flapping.is_none() => self.notify(AlarmNewsKind::Changed, transition, Some(news), now),
            // If the alarm was already reported, the result of the remedy is reported too, unless the remedy was not repeated.
            unreported => {
                let about = unreported.or_else(|| self.current.clone()).filter(|transition| transition.at == at);
                if let (Some(transition), Remedied::Done(_) | Remedied::Failed(_)) = (about, outcome) {
                    self.notify(AlarmNewsKind::Remedied, transition, Some(news), now);
                }
            }
        }
    }

    /// A remedy that is still wanted is retried like a new one. The claim ends this: as done or failed, and at the latest after `at-most-every`.
    fn waiting_for_other(&mut self, effect: EffectId, since: Timestamp, now: Timestamp) {
        let Some((_, remedy)) = self.pending_remedy(effect) else { return };
        self.outbox.postpone(effect, now);
        if let Some(transition) = self.untold.take() {
            let outcome = Remedied::Waits { since };
            self.notify_unless_flapping(transition, Some(RemedyNews { remedy, outcome }), now);
        }
    }

    fn deferred(&mut self, id: EffectId, why: &str, now: Timestamp) {
        match self.outbox.defer(id, now) {
            Deferral::Abandoned(AlarmEffect::Remedy { at, remedy }) => {
                let outcome = Remedied::Failed(crate::text::shown(why, MESSAGE_LIMIT));
                self.remedy_ended(at, remedy, &outcome, now);
            }
            // A failed message cannot be reported by another message, so it is only counted.
            Deferral::Abandoned(_) | Deferral::Unknown => {}
            Deferral::Again => {
                if let Some((_, remedy)) = self.pending_remedy(id)
                    && let Some(transition) = self.untold.take()
                {
                    let news = RemedyNews {
                        remedy,
                        outcome: Remedied::TriedAgain,
                    };
                    self.notify_unless_flapping(transition, Some(news), now);
                }
            }
        }
    }

    fn resume(&mut self, now: Timestamp) {
        // The clock of the function that decided the pause may be ahead of this one.
        let until = self.paused.take().map_or(now, |since| since.max(now));
        self.outbox.push(AlarmEffect::Resume { until }, now);
    }
}
