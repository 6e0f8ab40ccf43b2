//! Remedies: what Bellhop does about an alarm, one file per remedy.
//!
//! A remedy's file has everything that the domain knows about it: its key in the suite configuration and how its value is read, its target, the words
//! for messages, and whether it is a pause. `kind` has what all say about themselves, and this file the registry. How often a
//! remedy is applied is in `claim.rs`; when, in `decide.rs`; the call to AWS is the engine's.
//!
//! To add a remedy, write its file, add its variant of [`RemedyAction`] in `kind`, and here its module, its arm in [`RemedyAction::kind`] and its name
//! in `registry!` at the end. No other file of the domain names a single remedy. `back_up.rs` is a short example.

mod back_up;
mod kind;
mod pause_starts;
mod restart_service;
mod run_job;

use std::time::Duration;

use jiff::Timestamp;
use serde::de::{Error as _, MapAccess};
use serde::{Deserialize, Serialize};

pub use self::kind::{RemedyAction, RemedyKind, Wording};
pub(crate) use self::kind::{Rule, Setting, SettingError};

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
