//! The remedy `pause-starts`: pauses launches of agents until the alarm is OK again.

use std::time::Duration;

use serde::Deserialize;

use super::kind::{RemedyAction, RemedyKind, Rule, SettingError, Wording};
use crate::yaml::Flag;

pub(super) const KEY: &str = "pause-starts";

pub(super) struct PauseStarts;

impl RemedyKind for PauseStarts {
    fn key(&self) -> &'static str {
        KEY
    }

    fn target(&self) -> String {
        KEY.to_owned()
    }

    fn wording(&self) -> Wording {
        Wording {
            subject: "every agent launch".to_owned(),
            participle: "paused",
            done: "is paused until the alarm is OK again",
        }
    }

    fn is_pause(&self) -> bool {
        true
    }
}

/// The value `true`.
#[derive(Deserialize)]
pub(super) struct Setting(Flag);

impl super::kind::Setting for Setting {
    fn check(&self, rule: &Rule<'_>) -> Result<(RemedyAction, Duration), SettingError> {
        let Self(Flag(is_on)) = self;
        let (key, message) = match (is_on, rule.at_most_every) {
            (true, None) => return Ok((RemedyAction::PauseStarts, Duration::ZERO)),
            (true, Some(_)) => (
                "at-most-every",
                format!("`{KEY}` cannot have `at-most-every`: a pause lasts as long as its alarm"),
            ),
            (false, _) => (KEY, format!("`{KEY}` can only be true: to pause nothing, remove the rule")),
        };
        Err(SettingError { key, message })
    }
}
