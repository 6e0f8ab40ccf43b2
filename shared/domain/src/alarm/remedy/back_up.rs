//! The remedy `back-up-now`: starts a backup of the suite configuration.

use std::time::Duration;

use serde::Deserialize;

use super::kind::{RemedyAction, RemedyKind, Rule, SettingError, Wording, defined};
use crate::yaml::Name;

pub(super) const KEY: &str = "back-up-now";

pub(super) struct BackUp<'a>(pub(super) &'a str);

impl RemedyKind for BackUp<'_> {
    fn key(&self) -> &'static str {
        KEY
    }

    fn target(&self) -> String {
        format!("{KEY}/{}", self.0)
    }

    fn wording(&self) -> Wording {
        Wording {
            subject: format!("a backup of {}", self.0),
            participle: "started",
            done: "was started",
        }
    }
}

/// The backup's name.
#[derive(Deserialize)]
pub(super) struct Setting(Name);

impl super::kind::Setting for Setting {
    fn check(&self, rule: &Rule<'_>) -> Result<(RemedyAction, Duration), SettingError> {
        let Self(Name(backup)) = self;
        defined(KEY, "backup", backup, rule.backups)?;
        Ok((RemedyAction::BackUp(backup.clone()), rule.at_most_every()))
    }
}
