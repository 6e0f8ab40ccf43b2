//! Which messages an alarm sends, and when it sends none because it is flapping.

use jiff::Timestamp;

use super::effect::AlarmEffect;
use super::news::{AlarmNews, AlarmNewsKind, RemedyNews};
use super::record::{Alarm, FLAP_WINDOW, FLAPS};
use super::remedy::RemedyOutcome;
use super::state::Transition;
use crate::time::later;

impl Alarm {
    /// Counts a change. Returns whether the alarm is flapping, so that no message is sent; reports the flapping the first time.
    pub(super) fn record_change(&mut self, transition: &Transition, now: Timestamp) -> bool {
        self.changes.push(transition.at);
        let forgotten = self.changes.len().saturating_sub(FLAPS);
        self.changes.drain(..forgotten);
        let within = |first: &Timestamp| transition.at <= later(*first, FLAP_WINDOW);
        if self.flapping.is_none() && self.changes.len() == FLAPS && self.changes.first().is_some_and(within) {
            self.flapping = Some(now);
            self.notify(AlarmNewsKind::Flapping, transition.clone(), None, now);
        }
        self.flapping.is_some()
    }

    /// Sends the message of an alarm that waits for the result of its remedy, because the result no longer matters.
    pub(super) fn notify_unreported(&mut self, now: Timestamp) {
        let Some(transition) = self.unreported.take() else { return };
        let remedy = self.outbox.pending().iter().find_map(|pending| match &pending.effect {
            AlarmEffect::Remedy { remedy, .. } => Some(remedy.clone()),
            _ => None,
        });
        let news = remedy.map(|remedy| RemedyNews {
            remedy,
            outcome: RemedyOutcome::NotNeeded,
        });
        self.notify_unless_flapping(transition, news, now);
    }

    pub(super) fn notify_unless_flapping(&mut self, transition: Transition, remedy: Option<RemedyNews>, now: Timestamp) {
        if self.flapping.is_none() {
            self.notify(AlarmNewsKind::Changed, transition, remedy, now);
        }
    }

    pub(super) fn notify_current(&mut self, what: AlarmNewsKind, now: Timestamp) {
        if let Some(transition) = self.current.clone() {
            self.notify(what, transition, None, now);
        }
    }

    pub(super) fn notify(&mut self, what: AlarmNewsKind, transition: Transition, remedy: Option<RemedyNews>, now: Timestamp) {
        let news = AlarmNews {
            what,
            transition,
            open: self.open,
            remedy,
            unconfigured: self.unconfigured.clone(),
            announced_at: now,
        };
        self.outbox.push(AlarmEffect::Notify(Box::new(news)), now);
    }
}
