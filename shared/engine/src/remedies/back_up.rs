//! Starts a backup now.

use bellhop_domain::alarm::RemedyOutcome;

use super::Occasion;
use crate::start::Refused;
use crate::{Engine, Fault, Handled};

pub(super) async fn apply(engine: &Engine, backup: &str, occasion: &Occasion<'_>) -> Result<RemedyOutcome, Fault> {
    Ok(match engine.back_up_now(backup, &occasion.name).await? {
        Ok(Handled::Ignored(_)) => RemedyOutcome::Done(Some("the backup of the last ten minutes counts".to_owned())),
        Ok(_) => RemedyOutcome::Done(None),
        Err(Refused(why)) => RemedyOutcome::Failed(why),
    })
}
