//! Pauses launches until the alarm returns to OK.

use bellhop_domain::alarm::{Alarm, RemedyOutcome};

use crate::{Engine, Fault};

/// Repeated requests are one pause. It counts from its decision, because an OK may have been decided since, and processed first.
pub(super) async fn apply(engine: &Engine, alarm: &Alarm) -> Result<RemedyOutcome, Fault> {
    let Some(since) = alarm.paused else {
        return Ok(RemedyOutcome::NotNeeded);
    };
    engine.change_pauses(|pauses| pauses.pause(&alarm.id, since)).await?;
    Ok(RemedyOutcome::Done(None))
}
