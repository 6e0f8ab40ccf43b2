//! Remedies: what Bellhop does about an alarm, one file per remedy.
//!
//! A remedy's file has everything that the domain knows about it: its key in the suite configuration and how its value is read, its target, the words
//! for messages, and whether it is a pause. This file has the stored types, the registry, and nothing that concerns only one remedy. How often a
//! remedy is applied is in `claim.rs`; when, in `decide.rs`; the call to AWS is the engine's.
//!
//! To add a remedy, write its file, and add here its module, its variant of [`RemedyAction`], its arm in [`RemedyAction::kind`] and its name in
//! `registry!` at the end. No other file of the domain names a single remedy. Look first at `run_job.rs`, the shortest one.

mod back_up;
mod pause_starts;
mod restart_service;
mod run_job;

use std::time::Duration;

use jiff::Timestamp;
use serde::de::{Error as _, MapAccess};
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

impl RemedyAction {
    /// The remedy. This is the only match on its variants.
    #[must_use]
    pub fn kind(&self) -> Box<dyn RemedyKind + '_> {
        match self {
            Self::RestartService { cluster, service } => Box::new(restart_service::RestartService { cluster, service }),
            Self::RunJob(job) => Box::new(run_job::RunJob(job)),
            Self::BackUp(name) => Box::new(back_up::BackUp(name)),
            Self::PauseStarts => Box::new(pause_starts::PauseStarts),
        }
    }

    /// The target of the action. Alarms with the same target share its `at-most-every`.
    #[must_use]
    pub fn target(&self) -> String {
        self.kind().target()
    }
}

/// A remedy of the suite configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remedy {
    /// The action.
    pub action: RemedyAction,
    /// The shortest time between two applications; zero for no limit.
    #[serde(with = "crate::serde_duration")]
    pub at_most_every: Duration,
    /// Only report what would be done.
    pub dry_run: bool,
}

impl Remedy {
    /// Whether it pauses launches for as long as the alarm lasts.
    #[must_use]
    pub fn is_pause(&self) -> bool {
        self.action.kind().is_pause()
    }
}

/// The result of a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyOutcome {
    /// It was applied. The text has details, such as the id of the started run.
    Done(Option<String>),
    /// It was applied recently, for this alarm or another one, so it was not repeated.
    #[serde(rename = "held")]
    CoolingDown {
        /// When it was applied.
        since: Timestamp,
    },
    /// It failed for good. The text has the reason.
    Failed(String),
    /// It failed for now; Bellhop retries it.
    #[serde(rename = "tried-again")]
    Retrying,
    /// Another alarm may be applying it now. Bellhop applies it for this alarm too, unless the other one succeeds.
    #[serde(rename = "waits")]
    WaitingForOther {
        /// When the other alarm requested it.
        since: Timestamp,
    },
    /// The alarm ended before the remedy was applied.
    NotNeeded,
    /// It was not applied because of `dry-run`.
    DryRun,
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
    fn at_most_every(&self) -> Duration {
        self.at_most_every.unwrap_or(DEFAULT_AT_MOST_EVERY)
    }
}

/// What is wrong with a remedy, and at which key of its rule.
pub(crate) struct SettingError {
    pub(crate) key: &'static str,
    pub(crate) message: String,
}

/// Refuses the name of something that the suite configuration does not define.
fn defined(key: &'static str, what: &str, name: &str, known: &[&str]) -> Result<(), SettingError> {
    if known.contains(&name) {
        return Ok(());
    }
    let known = suggestion(name, known.iter().copied());
    let message = format!("there is no {what} `{name}` in this file{known}");
    Err(SettingError { key, message })
}

/// Makes the list of the remedies' keys and the function that reads their values, from the names of their modules. A function pointer in a list could
/// not do the same: the reader's type is known only where the file is read.
macro_rules! registry {
    ($($remedy:ident),+ $(,)?) => {
        /// The keys of all remedies, in the order in which messages list them.
        pub(crate) const REMEDIES: &[&str] = &[$($remedy::KEY),+];

        /// Reads the value of a remedy's key; `None` if the key has no value.
        pub(crate) fn read_setting<'de, M: MapAccess<'de>>(key: &str, map: &mut M) -> Result<Option<Box<dyn Setting>>, M::Error> {
            match key {
                $($remedy::KEY => Ok(map.next_value::<Option<$remedy::Setting>>()?.map(|setting| Box::new(setting) as _)),)+
                _ => Err(M::Error::unknown_field(key, REMEDIES)),
            }
        }
    };
}

registry![restart_service, run_job, back_up, pause_starts];
