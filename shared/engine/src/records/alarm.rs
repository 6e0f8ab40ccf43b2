//! Alarms, and what was done about them.

use async_trait::async_trait;
use bellhop_domain::alarm::{Alarm, AlarmEffect, AlarmEvent, AlarmId, RemedyOutcome};
use bellhop_domain::message;
use bellhop_domain::outbox::Pending;
use bellhop_domain::record::Performer;
use jiff::Timestamp;

use super::{Outcome, Record, Stored};
use crate::ports::Key;
use crate::{Engine, Fault, remedies};

impl Stored for Alarm {
    type Id<'a> = &'a AlarmId;

    fn key_of(id: &AlarmId) -> Key {
        Key::new(format!("ALARM#{}", id.key()), "ALARM")
    }

    fn id(&self) -> &AlarmId {
        &self.id
    }

    fn due(&self) -> Option<Timestamp> {
        Alarm::due(self)
    }

    fn timer(&self) -> Option<Timestamp> {
        self.outbox.retry()
    }

    fn expires(&self) -> Option<Timestamp> {
        Alarm::expires(self)
    }
}

#[async_trait]
impl Record for Alarm {
    fn name(&self) -> String {
        format!("alarm {}", self.id.key())
    }

    fn performer(&self, effect: &AlarmEffect) -> Performer {
        match effect {
            AlarmEffect::Remedy { .. } => Performer::Alarms,
            AlarmEffect::Release { .. } | AlarmEffect::Resume { .. } | AlarmEffect::Notify(_) => Performer::Any,
        }
    }

    async fn when_due(&self, _: &Engine) -> Result<Vec<AlarmEvent>, Fault> {
        Ok(vec![AlarmEvent::Tick])
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<AlarmEffect>) -> Result<Outcome<AlarmEvent>, Fault> {
        match &pending.effect {
            AlarmEffect::Remedy { at, remedy } => {
                let (effect, target) = (pending.id, remedy.action.target());
                let outcome = remedies::apply(self, engine, *at, remedy).await?;
                tracing::info!(alarm = self.id.name, target, ?outcome, "acted on an alarm");
                Ok(Outcome::Event(match outcome {
                    RemedyOutcome::WaitingForOther { since } => AlarmEvent::Waits { effect, since },
                    outcome => AlarmEvent::Remedied { effect, outcome },
                }))
            }
            AlarmEffect::Release { at, remedy } => {
                engine.end_claim(remedy, &self.occasion(*at), false).await?;
                Ok(Outcome::done())
            }
            AlarmEffect::Resume { until } => {
                engine.change_pauses(|pauses| pauses.resume(&self.id, *until)).await?;
                tracing::info!(alarm = self.id.name, "this alarm no longer pauses launches");
                Ok(Outcome::done())
            }
            AlarmEffect::Notify(news) => {
                engine.notifier.publish(&message::about_alarm(self, news)).await?;
                Ok(Outcome::done())
            }
        }
    }
}
