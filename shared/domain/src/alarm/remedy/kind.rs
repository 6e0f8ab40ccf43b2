//! What every remedy says about itself, and the stored actions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::JobName;
use crate::yaml::suggestion;

/// The shortest time between two applications of a remedy, if the suite configuration does not set it.
const DEFAULT_AT_MOST_EVERY: Duration = Duration::from_secs(30 * 60);

/// What Bellhop does about an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyAction {
    /// Restarts an ECS service: new tasks replace the running ones.
    RestartService {
        /// The service's cluster.
        cluster: String,
        /// The service.
        service: String,
    },
    /// Starts a job of the suite configuration.
    RunJob(JobName),
    /// Starts a backup of the suite configuration.
    BackUp(String),
    /// Pauses launches of agents until the alarm is OK again.
    PauseStarts,
}

/// What the domain knows about one remedy.
pub trait RemedyKind {
    /// Its key in the suite configuration.
    fn key(&self) -> &'static str;

    /// Its target. Alarms with the same target share its `at-most-every`.
    fn target(&self) -> String;

    /// The words for messages.
    fn wording(&self) -> Wording;

    /// Whether it pauses launches for as long as the alarm lasts. Every other remedy is applied once per occasion.
    fn is_pause(&self) -> bool {
        false
    }
}

/// The words that messages use for a remedy, such as `job clean` with `started` and `was started`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// What the remedy is applied to.
    pub subject: String,
    /// What is done to it, as a participle.
    pub participle: &'static str,
    /// What has been done to it, as a predicate.
    pub done: &'static str,
}

/// The value of a remedy's key in a rule of the suite configuration.
pub(crate) trait Setting {
    /// The action, and the shortest time between two applications.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    fn check(&self, rule: &Rule<'_>) -> Result<(RemedyAction, Duration), SettingError>;
}

/// The rule that a remedy belongs to, and what the suite configuration defines.
pub(crate) struct Rule<'a> {
    /// The rule's own `at-most-every`.
    pub(crate) at_most_every: Option<Duration>,
    /// The names of the suite's jobs.
    pub(crate) jobs: &'a [&'a str],
    /// The names of the suite's backups.
    pub(crate) backups: &'a [&'a str],
}

impl Rule<'_> {
    pub(super) fn at_most_every(&self) -> Duration {
        self.at_most_every.unwrap_or(DEFAULT_AT_MOST_EVERY)
    }
}

/// What is wrong with a remedy, and at which key of its rule.
pub(crate) struct SettingError {
    pub(crate) key: &'static str,
    pub(crate) message: String,
}

/// Refuses the name of something that the suite configuration does not define.
pub(super) fn defined(key: &'static str, what: &str, name: &str, known: &[&str]) -> Result<(), SettingError> {
    if known.contains(&name) {
        return Ok(());
    }
    let known = suggestion(name, known.iter().copied());
    let message = format!("there is no {what} `{name}` in this file{known}");
    Err(SettingError { key, message })
}
