//! The processing of alarms: remedies, and their two records, claims and pauses.

use async_trait::async_trait;
use bellhop_domain::alarm::{
    Alarm, AlarmChange, AlarmEffect, AlarmEvent, AlarmId, AlarmState, Claim, Claimed, Pauses, Remedied, Remedy, RemedyAction, Wanted,
};
use bellhop_domain::decision::Decision;
use bellhop_domain::ids::JobName;
use bellhop_domain::message;
use bellhop_domain::outbox::{EffectId, Outbox, Pending};
use bellhop_domain::request::{Start, StartWhat};
use jiff::Timestamp;

use crate::document::Kept;
use crate::engine::{Overdue, Record};
use crate::ports::{DocumentKey, DocumentKind, Restarted, Versioned, Written};
use crate::start::{Refused, Started, Starter};
use crate::{Engine, Fault, Handled};

/// How often a claim or a pause is written again after a write conflict.
const CONFLICTS: u32 = 8;

impl Engine {
    /// Handles a state change of an alarm. The remedy is read from the suite configuration once, here; if that fails, the alarm is reported
    /// nevertheless.
    ///
    /// # Errors
    /// As [`Engine::build`], or if the suite configuration cannot be read now.
    pub async fn alarm(&self, change: AlarmChange) -> Result<Handled, Fault> {
        let current = self.load_alarm(&change.id).await?;
        let change = Box::new(change);
        let nothing = AlarmEvent::Changed {
            change: change.clone(),
            wanted: Wanted::Nothing,
        };
        let known = matches!(current.record.decide(&nothing, self.clock.now()), Decision::Ignored(_));
        let wanted = match change.state {
            AlarmState::Alarm if !known && change.quiet.is_none() => self.wanted(&change.id.name).await?,
            _ => Wanted::Nothing,
        };
        self.advance(current, vec![AlarmEvent::Changed { change, wanted }], Overdue::Perform)
            .await
    }

    /// Processes an alarm that is due.
    pub(crate) async fn sweep_alarm(&self, key: &DocumentKey) -> Result<Handled, Fault> {
        match self.load_kept::<Alarm>(key).await? {
            Some(alarm) => self.advance(alarm, vec![AlarmEvent::Tick], Overdue::Perform).await,
            None => Ok(Handled::Unknown),
        }
    }

    /// Why launches are paused; `None` if they are not.
    pub(crate) async fn paused(&self) -> Result<Option<String>, Fault> {
        let Some(pauses) = self.load_kept::<Pauses>(&pauses_key()).await? else {
            return Ok(None);
        };
        let alarms = pauses.record.now(self.clock.now()).join(", ");
        Ok((!alarms.is_empty()).then(|| format!("launches are paused until this alarm returns to OK: {alarms}")))
    }

    async fn wanted(&self, alarm: &str) -> Result<Wanted, Fault> {
        Ok(match (Starter { engine: self.clone() }).suite().await? {
            Ok(suite) => suite.remedy(alarm).cloned().map_or(Wanted::Nothing, Wanted::Remedy),
            Err(why) => Wanted::Unknown(why),
        })
    }

    async fn load_alarm(&self, id: &AlarmId) -> Result<Versioned<Alarm>, Fault> {
        let stored = self.load_kept(&alarm_key(id)).await?;
        Ok(stored.unwrap_or_else(|| Versioned {
            version: 0,
            record: Alarm::new(id.clone()),
        }))
    }

    /// Claims a target for an occasion, unless another one holds it.
    async fn claim(&self, remedy: &Remedy, occasion: &str) -> Result<Claimed, Fault> {
        let target = remedy.action.target();
        for _ in 0..CONFLICTS {
            let stored = self.load_kept::<Claim>(&claim_key(&target)).await?;
            let (version, present) = stored.map_or((0, None), |stored| (stored.version, Some(stored.record)));
            let claimed = Claim::take(present.as_ref(), &target, occasion, remedy.at_most_every, self.clock.now());
            let Claimed::Yes(claim) = &claimed else { return Ok(claimed) };
            if present.as_ref() == Some(claim) || matches!(self.store_kept(version, claim).await?, Written::Stored(_)) {
                return Ok(claimed);
            }
        }
        Err(Fault::passing(format!(
            "the claim of {target} had {CONFLICTS} write conflicts in a row"
        )))
    }

    /// Records that the remedy of a claim was applied, or failed for good.
    async fn end_claim(&self, remedy: &Remedy, occasion: &str, done: bool) -> Result<(), Fault> {
        let key = claim_key(&remedy.action.target());
        for _ in 0..CONFLICTS {
            let Some(Versioned { version, record }) = self.load_kept::<Claim>(&key).await? else {
                return Ok(());
            };
            let Some(ended) = record.end(occasion, done, self.clock.now()) else {
                return Ok(());
            };
            if matches!(self.store_kept(version, &ended).await?, Written::Stored(_)) {
                return Ok(());
            }
        }
        Err(Fault::passing(format!("{key} had {CONFLICTS} write conflicts in a row")))
    }

    async fn change_pauses(&self, change: impl Fn(&mut Pauses) -> bool) -> Result<(), Fault> {
        for _ in 0..CONFLICTS {
            let stored = self.load_kept::<Pauses>(&pauses_key()).await?;
            let (version, mut pauses) = stored.map_or((0, Pauses::default()), |stored| (stored.version, stored.record));
            pauses.forget(self.clock.now());
            if !change(&mut pauses) || matches!(self.store_kept(version, &pauses).await?, Written::Stored(_)) {
                return Ok(());
            }
        }
        Err(Fault::passing(format!("the pauses had {CONFLICTS} write conflicts in a row")))
    }

    async fn run_job(&self, job: &JobName, occasion: &str) -> Result<Remedied, Fault> {
        let start = Start {
            what: StartWhat::Suite(job.clone()),
            id: None,
        };
        let starter = Starter { engine: self.clone() };
        Ok(match starter.request(&start, &format!("alarm/{occasion}")).await? {
            Ok(Started::Run { id, .. } | Started::Again(id)) => Remedied::Done(Some(format!("run {id}"))),
            Ok(Started::Rejected { message, .. }) | Err(Refused(message)) => Remedied::Failed(message),
            Ok(Started::Nothing(why)) => Remedied::Failed(why.to_string()),
        })
    }
}

fn alarm_key(id: &AlarmId) -> DocumentKey {
    DocumentKey {
        kind: DocumentKind::Alarm,
        name: id.key(),
    }
}

fn claim_key(target: &str) -> DocumentKey {
    DocumentKey {
        kind: DocumentKind::Claim,
        name: target.to_owned(),
    }
}

fn pauses_key() -> DocumentKey {
    DocumentKey {
        kind: DocumentKind::Pause,
        name: "starts".to_owned(),
    }
}

impl Kept for Alarm {
    fn key(&self) -> DocumentKey {
        alarm_key(&self.id)
    }

    fn due(&self) -> Option<Timestamp> {
        Alarm::due(self)
    }

    fn expires(&self) -> Option<Timestamp> {
        Alarm::expires(self)
    }
}

impl Kept for Claim {
    fn key(&self) -> DocumentKey {
        claim_key(&self.target)
    }

    fn due(&self) -> Option<Timestamp> {
        None
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

impl Kept for Pauses {
    fn key(&self) -> DocumentKey {
        pauses_key()
    }

    fn due(&self) -> Option<Timestamp> {
        None
    }

    fn expires(&self) -> Option<Timestamp> {
        None
    }
}

#[async_trait]
impl Record for Alarm {
    type Event = AlarmEvent;
    type Effect = AlarmEffect;

    fn name(&self) -> String {
        format!("alarm {}", self.id.key())
    }

    fn decide(&self, event: &AlarmEvent, now: Timestamp) -> Decision<Self> {
        Alarm::decide(self, event, now)
    }

    fn deferred(effect: EffectId, why: String) -> AlarmEvent {
        AlarmEvent::Deferred(effect, why)
    }

    fn outbox(&self) -> &Outbox<AlarmEffect> {
        &self.outbox
    }

    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault> {
        engine.load_alarm(&self.id).await.map(Some)
    }

    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault> {
        engine.store_kept(expected, self).await
    }

    async fn complete(&self, _: &Engine, _: &mut AlarmEvent) -> Result<(), Fault> {
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<AlarmEffect>) -> Result<Vec<AlarmEvent>, Fault> {
        let performed = AlarmEvent::Performed(pending.id);
        match &pending.effect {
            AlarmEffect::Remedy { at, remedy } => {
                let (effect, target) = (pending.id, remedy.action.target());
                let outcome = perform_remedy(self, engine, *at, remedy).await?;
                tracing::info!(alarm = self.id.name, target, ?outcome, "acted on an alarm");
                Ok(vec![match outcome {
                    Remedied::Waits { since } => AlarmEvent::Waits { effect, since },
                    outcome => AlarmEvent::Remedied { effect, outcome },
                }])
            }
            AlarmEffect::Release { at, remedy } => {
                engine.end_claim(remedy, &self.occasion(*at), false).await?;
                Ok(vec![performed])
            }
            AlarmEffect::Resume { until } => {
                engine.change_pauses(|pauses| pauses.resume(&self.id, *until)).await?;
                tracing::info!(alarm = self.id.name, "this alarm no longer pauses launches");
                Ok(vec![performed])
            }
            AlarmEffect::Tell(news) => {
                engine.notifier.publish(&message::about_alarm(self, news)).await?;
                Ok(vec![performed])
            }
        }
    }
}

async fn perform_remedy(alarm: &Alarm, engine: &Engine, at: Timestamp, remedy: &Remedy) -> Result<Remedied, Fault> {
    let occasion = alarm.occasion(at);
    if remedy.action == RemedyAction::PauseStarts {
        // Repeated requests are one pause. It counts from its decision, because an OK may have been decided since, and processed first.
        let Some(since) = alarm.paused else {
            return Ok(Remedied::NotNeeded);
        };
        engine.change_pauses(|pauses| pauses.pause(&alarm.id, since)).await?;
        return Ok(Remedied::Done(None));
    }
    let since = match engine.claim(remedy, &occasion).await? {
        Claimed::Yes(claim) => claim.at,
        Claimed::Done(since) => return Ok(Remedied::Held { since }),
        Claimed::Busy(since) => return Ok(Remedied::Waits { since }),
    };
    let outcome = act(engine, remedy, &occasion, since).await?;
    if matches!(outcome, Remedied::Done(_)) {
        engine.end_claim(remedy, &occasion, true).await?;
    }
    Ok(outcome)
}

async fn act(engine: &Engine, remedy: &Remedy, occasion: &str, since: Timestamp) -> Result<Remedied, Fault> {
    match &remedy.action {
        RemedyAction::RestartService { cluster, service } => Ok(match engine.services.restart(cluster, service, since).await? {
            Restarted::Yes => Remedied::Done(None),
            Restarted::No(why) => Remedied::Failed(why),
        }),
        RemedyAction::RunJob(job) => engine.run_job(job, occasion).await,
        RemedyAction::BackUp(name) => Ok(match engine.back_up_now(name, occasion).await? {
            Ok(Handled::Ignored(_)) => Remedied::Done(Some("the backup of the last ten minutes counts".to_owned())),
            Ok(_) => Remedied::Done(None),
            Err(Refused(why)) => Remedied::Failed(why),
        }),
        RemedyAction::PauseStarts => Ok(Remedied::NotNeeded),
    }
}
