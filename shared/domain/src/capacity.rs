//! The capacity of an agent.

use serde::{Deserialize, Serialize};

/// The capacity on which an attempt is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// Cheap; AWS may reclaim it with two minutes' notice.
    Spot,
    /// Kept until the build has finished.
    OnDemand,
    /// A machine of AWS CodeBuild; never reclaimed.
    #[serde(rename = "codebuild")]
    CodeBuild,
}

impl Capacity {
    /// `spot`, `on-demand` or `codebuild`, as in `BELLHOP_CAPACITY`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
            Self::CodeBuild => "codebuild",
        }
    }
}

impl std::fmt::Display for Capacity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
