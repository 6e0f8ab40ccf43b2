//! Restarts an ECS service. Whether it may act now was decided before, by the claim on it (`remedies::mod`).

use bellhop_domain::alarm::RemedyOutcome;

use super::Occasion;
use crate::ports::Restarted;
use crate::{Engine, Fault};

pub(super) async fn apply(engine: &Engine, cluster: &str, service: &str, occasion: &Occasion<'_>) -> Result<RemedyOutcome, Fault> {
    let services = &engine.remedies()?.services;
    Ok(match services.restart(cluster, service, occasion.since).await? {
        Restarted::Yes => RemedyOutcome::Done(None),
        Restarted::No(why) => RemedyOutcome::Failed(why),
    })
}
