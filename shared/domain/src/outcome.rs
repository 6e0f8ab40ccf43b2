//! How builds and runs end.

use serde::{Deserialize, Serialize};

/// The one terminal outcome of a build. Ordered from best to worst, so that a run's outcome is the maximum of its builds'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The script ended with exit code 0.
    Succeeded,
    /// A job it needs did not succeed.
    Skipped,
    /// A newer push superseded it.
    Superseded,
    /// A person or program cancelled it.
    Cancelled,
    /// Its agents were interrupted, and no retry was left.
    Interrupted,
    /// Its agents never started or were lost, and no retry was left.
    InfrastructureFailed,
    /// It ran, or waited for an agent, longer than allowed.
    TimedOut,
    /// The job's own commands failed.
    Failed,
}

impl Outcome {
    /// Its name in messages, reports and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::InfrastructureFailed => "infrastructure-failed",
            Self::TimedOut => "timed-out",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
