//! Remedies of alarms: what is done about an alarm's target.
//!
//! One file per remedy. Its rules and words are in `bellhop-domain`; here it acts, through the ports. The registry is [`act`]: a line per remedy.
//!
//! A remedy that is no pause is applied under a claim of its target, so that two alarms do not restart one service at the same time. It receives the
//! time since which the target is claimed: a repeated call for that time must act once.

mod back_up;
mod pause_starts;
mod restart_service;
mod run_job;

use bellhop_domain::alarm::{Alarm, Claimed, Remedy, RemedyAction, RemedyOutcome};
use jiff::Timestamp;

use crate::{Engine, Fault};

/// The occasion on which a remedy is applied.
struct Occasion<'a> {
    /// The alarm.
    alarm: &'a Alarm,
    /// The same for every try.
    name: String,
    /// Since when the target is claimed; for a pause, since when the alarm lasts.
    since: Timestamp,
}

/// Applies the remedy of an alarm that went to ALARM at a moment.
pub(crate) async fn apply(alarm: &Alarm, engine: &Engine, at: Timestamp, remedy: &Remedy) -> Result<RemedyOutcome, Fault> {
    let name = alarm.occasion(at);
    if remedy.is_pause() {
        return act(engine, &remedy.action, &Occasion { alarm, name, since: at }).await;
    }
    let since = match engine.claim(remedy, &name).await? {
        Claimed::Yes(claim) => claim.at,
        Claimed::Done(since) => return Ok(RemedyOutcome::CoolingDown { since }),
        Claimed::Busy(since) => return Ok(RemedyOutcome::WaitingForOther { since }),
    };
    let occasion = Occasion { alarm, name, since };
    let outcome = act(engine, &remedy.action, &occasion).await?;
    if matches!(outcome, RemedyOutcome::Done(_)) {
        engine.end_claim(remedy, &occasion.name, true).await?;
    }
    Ok(outcome)
}

async fn act(engine: &Engine, action: &RemedyAction, occasion: &Occasion<'_>) -> Result<RemedyOutcome, Fault> {
    match action {
        RemedyAction::RestartService { cluster, service } => restart_service::apply(engine, cluster, service, occasion).await,
        RemedyAction::RunJob(job) => run_job::apply(engine, job, occasion).await,
        RemedyAction::BackUp(name) => back_up::apply(engine, name, occasion).await,
        RemedyAction::PauseStarts => pause_starts::apply(engine, occasion.alarm).await,
    }
}
