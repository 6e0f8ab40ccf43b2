//! Runs a job of the suite's own.

use bellhop_domain::alarm::RemedyOutcome;
use bellhop_domain::caller::Caller;
use bellhop_domain::ids::JobName;
use bellhop_domain::request::{Start, StartWhat};

use super::Occasion;
use crate::start::{Refused, RunStarter, Started};
use crate::{Engine, Fault};

pub(super) async fn apply(engine: &Engine, job: &JobName, occasion: &Occasion<'_>) -> Result<RemedyOutcome, Fault> {
    let start = Start {
        what: StartWhat::Suite(job.clone()),
        id: None,
    };
    let starter = RunStarter {
        engine: engine.clone(),
        source: engine.remedies()?.source.clone(),
    };
    let caller = occasion.alarm.id.arn().map_or(Caller::Unverified, Caller::Service);
    let started = starter.request(&start, &format!("alarm/{}", occasion.name), &caller).await?;
    Ok(match started {
        Ok(Started::Run { id, .. } | Started::Again(id)) => RemedyOutcome::Done(Some(format!("run {id}"))),
        Ok(Started::Rejected { message, .. }) | Err(Refused(message)) => RemedyOutcome::Failed(message),
        Ok(Started::Nothing(why)) => RemedyOutcome::Failed(why.to_string()),
    })
}
