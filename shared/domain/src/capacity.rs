//! What an agent runs on.

use serde::{Deserialize, Serialize};

/// The capacity that an attempt is launched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// Cheap, and taken back at two minutes' notice.
    Spot,
    /// Kept until the build is over.
    OnDemand,
    /// A machine of AWS CodeBuild's own; never taken back.
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
