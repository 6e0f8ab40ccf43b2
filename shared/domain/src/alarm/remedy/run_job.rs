//! The remedy `run-job`: starts a job of the suite configuration.

use std::time::Duration;

use serde::Deserialize;

use super::kind::{RemedyAction, RemedyKind, Rule, SettingError, Wording, defined};
use crate::ids::JobName;
use crate::yaml::Id;

pub(super) const KEY: &str = "run-job";

pub(super) struct RunJob<'a>(pub(super) &'a JobName);

impl RemedyKind for RunJob<'_> {
    fn key(&self) -> &'static str {
        KEY
    }

    fn target(&self) -> String {
        format!("{KEY}/{}", self.0)
    }

    fn wording(&self) -> Wording {
        Wording {
            subject: format!("job {}", self.0),
            participle: "started",
            done: "was started",
        }
    }
}

/// The job's name.
#[derive(Deserialize)]
pub(super) struct Setting(Id<JobName>);

impl super::kind::Setting for Setting {
    fn check(&self, rule: &Rule<'_>) -> Result<(RemedyAction, Duration), SettingError> {
        let Self(Id(job)) = self;
        defined(KEY, "job", job.as_str(), rule.jobs)?;
        Ok((RemedyAction::RunJob(job.clone()), rule.at_most_every()))
    }
}
