//! The remedy `restart-service`: restarts an ECS service. Whether it may act now is decided by the target's claim (`alarm::claim`).

use std::time::Duration;

use serde::Deserialize;

use super::kind::{RemedyAction, RemedyKind, Rule, SettingError, Wording};
use crate::yaml::{Name, Timespan};

pub(super) const KEY: &str = "restart-service";

pub(super) struct RestartService<'a> {
    pub(super) cluster: &'a str,
    pub(super) service: &'a str,
}

impl RemedyKind for RestartService<'_> {
    fn key(&self) -> &'static str {
        KEY
    }

    fn target(&self) -> String {
        format!("{KEY}/{}/{}", self.cluster, self.service)
    }

    fn wording(&self) -> Wording {
        Wording {
            subject: format!("service {} of cluster {}", self.service, self.cluster),
            participle: "restarted",
            done: "is being restarted",
        }
    }
}

/// The service, and perhaps the `at-most-every` of the rule.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Setting {
    cluster: Name,
    service: Name,
    at_most_every: Option<Timespan>,
}

impl super::kind::Setting for Setting {
    fn check(&self, rule: &Rule<'_>) -> Result<(RemedyAction, Duration), SettingError> {
        let own = self.at_most_every.as_ref().map(|span| span.span);
        if own.is_some() && rule.at_most_every.is_some() {
            return Err(SettingError {
                key: "at-most-every",
                message: format!("`at-most-every` is also in `{KEY}`: keep one of them"),
            });
        }
        let action = RemedyAction::RestartService {
            cluster: self.cluster.0.clone(),
            service: self.service.0.clone(),
        };
        Ok((action, own.unwrap_or_else(|| rule.at_most_every())))
    }
}
