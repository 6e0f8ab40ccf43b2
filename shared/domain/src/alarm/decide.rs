//! How an alarm answers each event.

use std::time::Duration;

use jiff::Timestamp;

use super::effect::AlarmEffect;
use super::event::{AlarmEvent, ConfiguredRemedy};
use super::news::{AlarmNewsKind, RemedyNews};
use super::record::Alarm;
use super::remedy::{Remedy, RemedyOutcome};
use super::state::{AlarmChange, AlarmState, Transition};
use crate::decision::Ignored;
use crate::outbox::{EffectId, Outbox};
use crate::record::Decides;
use crate::time::later;

/// Two times of the same state that are no further apart than this are one transition, because the forms of an event round times differently.
pub const SAME_WITHIN: Duration = Duration::from_secs(2);
/// The most characters stored of the reason for a failure.
const MESSAGE_LIMIT: usize = 300;

impl Decides for Alarm {
    type Event = AlarmEvent;
    type Effect = AlarmEffect;

    fn outbox(&self) -> &Outbox<AlarmEffect> {
        &self.outbox
    }

    fn outbox_mut(&mut self) -> &mut Outbox<AlarmEffect> {
        &mut self.outbox
    }

    fn apply(&mut self, event: &AlarmEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            AlarmEvent::Changed { change, wanted } => return self.changed(change, wanted, now),
            AlarmEvent::Remedied { effect, outcome } => self.remedied(*effect, outcome, now),
            AlarmEvent::Waits { effect, since } => self.waiting_for_other(*effect, *since, now),
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

    fn failed(&mut self, effect: &AlarmEffect, _: &str, now: Timestamp) {
        if let AlarmEffect::Remedy { remedy, .. } = effect
            && let Some(transition) = self.unreported.take()
        {
            let news = RemedyNews {
                remedy: remedy.clone(),
                outcome: RemedyOutcome::Retrying,
            };
            self.notify_unless_flapping(transition, Some(news), now);
        }
    }

    fn abandoned(&mut self, effect: AlarmEffect, why: &str, now: Timestamp) {
        // A failed message cannot be reported by another message, so it is only counted.
        if let AlarmEffect::Remedy { at, remedy } = effect {
            let outcome = RemedyOutcome::Failed(crate::text::shown(why, MESSAGE_LIMIT));
            self.remedy_ended(at, remedy, &outcome, now);
        }
    }
}

impl Alarm {
    fn changed(&mut self, change: &AlarmChange, wanted: &ConfiguredRemedy, now: Timestamp) -> Result<(), Ignored> {
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
            received_at: now,
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

    fn entered_alarm(&mut self, transition: Transition, wanted: &ConfiguredRemedy, now: Timestamp) {
        self.notify_unreported(now);
        self.unconfigured = None;
        match wanted {
            ConfiguredRemedy::Remedy(remedy) if !remedy.dry_run && self.id.contributor.is_none() => {
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
                self.unreported = Some(transition);
            }
            ConfiguredRemedy::Remedy(remedy) if self.id.contributor.is_none() => {
                let news = RemedyNews {
                    remedy: remedy.clone(),
                    outcome: RemedyOutcome::DryRun,
                };
                self.notify_unless_flapping(transition, Some(news), now);
            }
            ConfiguredRemedy::Unknown(why) if self.id.contributor.is_none() => {
                self.unconfigured = Some(why.clone());
                self.notify_unless_flapping(transition, None, now);
            }
            // A contributor's state is a part of its alarm's state; remedies are applied for the alarm.
            ConfiguredRemedy::Nothing | ConfiguredRemedy::Remedy(_) | ConfiguredRemedy::Unknown(_) => {
                self.notify_unless_flapping(transition, None, now)
            }
        }
    }

    fn entered_ok(&mut self, transition: Transition, closes: bool, now: Timestamp) {
        self.notify_unreported(now);
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

    fn remedied(&mut self, effect: EffectId, outcome: &RemedyOutcome, now: Timestamp) {
        let Some((at, remedy)) = self.pending_remedy(effect) else { return };
        self.outbox.remove(effect);
        self.remedy_ended(at, remedy, outcome, now);
    }

    fn remedy_ended(&mut self, at: Timestamp, remedy: Remedy, outcome: &RemedyOutcome, now: Timestamp) {
        if !remedy.is_pause() && matches!(outcome, RemedyOutcome::Failed(_)) {
            let remedy = remedy.clone();
            self.outbox.push(AlarmEffect::Release { at, remedy }, now);
        }
        if remedy.is_pause() && !matches!(outcome, RemedyOutcome::Done(_)) && self.paused.is_some() {
            // The pause may have been written nevertheless, or exist from an earlier ALARM.
            self.resume(now);
        }
        let news = RemedyNews {
            remedy,
            outcome: outcome.clone(),
        };
        match self.unreported.take() {
            Some(transition) if self.flapping.is_none() => self.notify(AlarmNewsKind::Changed, transition, Some(news), now),
            // If the alarm was already reported, the result of the remedy is reported too, unless the remedy was not repeated.
            unreported => {
                let about = unreported.or_else(|| self.current.clone()).filter(|transition| transition.at == at);
                if let (Some(transition), RemedyOutcome::Done(_) | RemedyOutcome::Failed(_)) = (about, outcome) {
                    self.notify(AlarmNewsKind::Remedied, transition, Some(news), now);
                }
            }
        }
    }

    /// A remedy that is still wanted is retried like a new one. The claim ends this: as done or failed, and at the latest after `at-most-every`.
    fn waiting_for_other(&mut self, effect: EffectId, since: Timestamp, now: Timestamp) {
        let Some((_, remedy)) = self.pending_remedy(effect) else { return };
        self.outbox.postpone(effect, now);
        if let Some(transition) = self.unreported.take() {
            let outcome = RemedyOutcome::WaitingForOther { since };
            self.notify_unless_flapping(transition, Some(RemedyNews { remedy, outcome }), now);
        }
    }

    fn resume(&mut self, now: Timestamp) {
        // The clock of the function that decided the pause may be ahead of this one.
        let until = self.paused.take().map_or(now, |since| since.max(now));
        self.outbox.push(AlarmEffect::Resume { until }, now);
    }
}
